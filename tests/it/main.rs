//! The integration tests: the product's binary against a real cluster, registry and Git server. Without a story's name it runs the
//! tests (`--help` lists the options); `demo` and `cluster` are stories for people, `bench` measures, `chaos` kills.

#![allow(
    clippy::disallowed_methods,
    clippy::panic,
    clippy::print_stderr,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "tests touch the world, and fail loudly"
)]

mod support;

mod announced;
mod architecture;
mod bench;
mod chaos;
mod charts;
mod choices;
mod commands;
mod cuts;
mod demo;
mod documented;
mod drift;
mod explained;
mod faults;
mod forges;
mod gates;
mod generated;
mod holds;
mod health;
mod hooked;
mod hostile;
mod installing;
mod kustomizations;
mod leaders;
mod lists;
mod loop_one;
mod manners;
mod objects;
mod outages;
mod overlays;
mod parts_work;
mod policies;
mod private;
mod proposals;
mod races;
mod refs;
mod refused;
mod registries;
mod remotes;
mod reliability;
mod rivals;
mod sealed;
mod setup;
mod showroom;
mod shrinking;
mod signatures;
mod signing;
mod story;
mod tenants;
mod transports;
mod told;
mod treatments;
mod upgrades;
mod variables;
mod verifying;
mod windowed;

use std::process::ExitCode;

use libtest_mimic::Arguments;

/// Tests mostly wait for servers, so more of them run at once than there are processors.
const AT_ONCE: usize = 8;

fn main() -> ExitCode {
    let story = std::env::args().nth(1).unwrap_or_default();
    let code = match story.as_str() {
        "guard" => return support::guard::main(),
        "hold" => parts_work::hold(),
        "demo" => demo::main(),
        "cluster" => showroom::main(),
        "bench" => bench::main(),
        "chaos" => chaos::main(),
        _ => run_tests(),
    };
    support::guard::shut_down();
    code
}

fn run_tests() -> ExitCode {
    let mut arguments = Arguments::from_args();
    arguments.test_threads.get_or_insert(AT_ONCE);
    if std::env::var_os("TAGBOAT_KEEP").is_some() {
        support::guard::keep_folder();
        eprintln!("logs and data stay in {}", support::guard::folder().display());
    }
    let trials = [
        architecture::trials(),
        generated::trials(),
        parts_work::trials(),
        policies::trials(),
        commands::trials(),
        documented::trials(),
        story::trials(),
        loop_one::trials(),
        lists::trials(),
        registries::trials(),
        forges::trials(),
        reliability::trials(),
        rivals::trials(),
        signatures::trials(),
        signing::trials(),
        refs::trials(),
        verifying::trials(),
        windowed::trials(),
        gates::trials(),
        choices::trials(),
        private::trials(),
        shrinking::trials(),
        announced::trials(),
        explained::trials(),
        races::trials(),
        cuts::trials(),
        chaos::trials(),
        faults::trials(),
        holds::trials(),
        proposals::trials(),
        health::trials(),
        hostile::trials(),
        objects::trials(),
        drift::trials(),
        manners::trials(),
        told::trials(),
        treatments::trials(),
        hooked::trials(),
        kustomizations::trials(),
        variables::trials(),
        charts::trials(),
        sealed::trials(),
        overlays::trials(),
        tenants::trials(),
        remotes::trials(),
        installing::trials(),
        outages::trials(),
        refused::trials(),
        upgrades::trials(),
        leaders::trials(),
        transports::trials(),
    ];
    let trials = trials.into_iter().flatten().collect();
    libtest_mimic::run(&arguments, trials).exit_code()
}
