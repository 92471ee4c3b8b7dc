//! `it chaos`: a thousand `kill -9` while bumps go in, and a thousand commits of people against three hundred bumps: nothing is lost,
//! nothing is doubled. The tests run both on a small scale, and `KILLS`, `COMMITS`, `BUMPS` say how much here.

mod kills;
mod people;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use libtest_mimic::Trial;

use crate::cuts::{self, Life};
use crate::support::world::World;
use crate::support::{bounded, guard, trial};

/// How long each part may take.
const WHOLE: Duration = Duration::from_secs(3600);
/// How long one thing may take to happen while so much goes on, on a machine that may be slow: what never happens is found all the same.
pub(crate) const LONG: Duration = Duration::from_secs(600);

pub fn trials() -> Vec<Trial> {
    vec![
        trial("chaos: a dozen kills at random", |world| async move {
            let done = kills::kill(vec![world], 12).await;
            println!("{done}");
            done.check();
        }),
        trial("chaos: people push against the controller", |world| async move {
            let done = people::compete(&world, people::Sizes { commits: 40, people: 2, bumps: 12, apps: 3 }).await;
            println!("{done}");
        }),
    ]
}

/// Runs all of it.
pub fn main() -> ExitCode {
    if std::env::var_os("TAGBOAT_KEEP").is_some() {
        guard::keep_folder();
        println!("logs and data stay in {}", guard::folder().display());
    }
    let (kills, commits, bumps) = (number("KILLS", 1000), number("COMMITS", 1000), number("BUMPS", 300));
    let parts = [
        part("kill -9 at random moments", async {
            let mut worlds = Vec::new();
            for lane in 0..kills::LANES {
                worlds.push(World::new(&format!("kills {lane}")).await);
            }
            let done = kills::kill(worlds, kills).await;
            println!("{done}");
            done.check();
        }),
        part("commits of people against bumps", async {
            let world = World::new("people").await;
            let sizes = people::Sizes { commits, people: 4, bumps, apps: 6 };
            println!("{}", people::compete(&world, sizes).await);
        }),
        part("every call cut, with and without a kill, with and without data", async {
            for life in [Life::Starts, Life::Runs] {
                cuts::sweep(World::new(&format!("cuts {life:?}")).await, life, true).await;
            }
        }),
    ];
    if parts.iter().all(|is_well| *is_well) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn number(name: &str, usual: usize) -> usize {
    let text = std::env::var(name).unwrap_or_default();
    if text.is_empty() { usual } else { text.parse().unwrap_or_else(|_| panic!("{name}={text} is no number")) }
}

/// One part and how it went.
fn part(what: &str, work: impl Future<Output = ()>) -> bool {
    println!("== {what}");
    let begun = Instant::now();
    let done = bounded(WHOLE, work);
    match &done {
        Ok(()) => println!("well, after {} s\n", begun.elapsed().as_secs()),
        Err(reason) => println!("FAILED after {} s: {reason}\n", begun.elapsed().as_secs()),
    }
    done.is_ok()
}
