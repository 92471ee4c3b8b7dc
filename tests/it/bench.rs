//! `it bench`: what the product costs beside the least that anybody could do (the floor), all in one run on the same servers.
//! Floor and ours take turns, medians are printed; what is worse than wanted is printed as worse.
//! `TAGBOAT_BENCH_SMALL=1` shrinks everything, to see that it works; names behind it (choosing, scans, memory, announced, bump,
//! burst, history, fleet) choose parts.

mod announced;
mod bare;
mod bump;
mod burst;
mod choosing;
mod cold;
mod edits;
mod fleet;
mod history;
mod images;
mod memory;
mod monorepo;
mod policies;
mod release;
mod restart;
mod scans;
mod table;
mod watched;
mod wire;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::Namespace;
use kube::Api;
use kube::api::ListParams;
use tagboat::api::ImagePolicy;

use self::table::{Row, Table, counted, mib};
use crate::support::cluster::audit::{ApiRequest, Mark};
use crate::support::git::Repo;
use crate::support::tagboat::Tagboat;
use crate::support::wait::eventually;
use crate::support::world::World;
use crate::support::{bounded, guard, runtime};

/// How long all of it may take.
const WHOLE: Duration = Duration::from_secs(3600);
/// How long one thing may take to happen.
pub const SOON: Duration = Duration::from_secs(300);

/// How much of everything.
#[derive(Debug, Clone, Copy)]
pub struct Sizes {
    /// Tags of a repository.
    pub tags: usize,
    /// Rounds over them.
    pub tag_rounds: usize,
    /// Repositories of a few tags that are scanned again and again.
    pub scanned: usize,
    /// Rounds over them.
    pub scan_rounds: usize,
    /// ImagePolicies of one repository.
    pub alike: usize,
    /// Intervals of theirs.
    pub scans: usize,
    /// ImagePolicies with a repository each.
    pub unlike: usize,
    /// How often those ask.
    pub interval: Duration,
    /// Webhooks.
    pub webhooks: usize,
    /// Files of the repository that is bumped; a fifth of them is marked.
    pub files: usize,
    /// Files of a repository that is larger still.
    pub many_files: usize,
    /// Bumps.
    pub bumps: usize,
    /// Bumps that come at once.
    pub burst: usize,
    /// Rounds of them.
    pub bursts: usize,
    /// Commits of a long history.
    pub commits: usize,
    /// Applications of the fleet.
    pub apps: usize,
    /// Rounds of the fleet.
    pub rounds: usize,
    /// Edits by hand.
    pub edits: usize,
    /// Lines that change in the fleet's repository.
    pub lines: usize,
    /// Releases.
    pub releases: usize,
    /// How long nothing changes.
    pub idle: Duration,
}

const WHOLE_SIZE: Sizes = Sizes {
    tags: 100_000,
    tag_rounds: 21,
    scanned: 40,
    scan_rounds: 11,
    alike: 200,
    scans: 4,
    unlike: 1000,
    interval: Duration::from_secs(25),
    webhooks: 20,
    files: 10_000,
    many_files: 100_000,
    bumps: 25,
    burst: 500,
    bursts: 6,
    commits: 100_000,
    apps: 1000,
    rounds: 2,
    edits: 50,
    lines: 6,
    releases: 20,
    idle: Duration::from_secs(10),
};
const SMALL: Sizes = Sizes {
    tags: 5_000,
    tag_rounds: 5,
    scanned: 24,
    scan_rounds: 2,
    alike: 20,
    scans: 2,
    unlike: 60,
    interval: Duration::from_secs(6),
    webhooks: 4,
    files: 500,
    many_files: 2_000,
    bumps: 4,
    burst: 20,
    bursts: 2,
    commits: 2_000,
    apps: 20,
    rounds: 1,
    edits: 6,
    lines: 2,
    releases: 3,
    idle: Duration::from_secs(3),
};

/// Runs all of it.
pub fn main() -> ExitCode {
    let is_small = std::env::var_os("TAGBOAT_BENCH_SMALL").is_some();
    if std::env::var_os("TAGBOAT_KEEP").is_some() {
        guard::keep_folder();
        eprintln!("logs and data stay in {}", guard::folder().display());
    }
    let sizes = if is_small { SMALL } else { WHOLE_SIZE };
    runtime();
    let begin = Instant::now();
    let load = load();
    let mut table = Table::default();
    let ran = bounded(WHOLE, run(sizes, &mut table));
    let build = if cfg!(debug_assertions) { "debug build: these times do not count" } else { "release build" };
    let processors = std::thread::available_parallelism().map_or(0, usize::from);
    println!(
        "\n{build}, {processors} processors for all servers, controller and bench; {} s; medians",
        begin.elapsed().as_secs()
    );
    println!("load of the machine over 1, 5, 15 minutes, before: {load}; after: {}\n", self::load());
    println!("{table}");
    match ran {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            println!("\nnot all of it ran: {reason}");
            ExitCode::FAILURE
        }
    }
}

/// What else the machine does shows here.
fn load() -> String {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').take(3).collect::<Vec<_>>().join(" ")
}

async fn run(sizes: Sizes, table: &mut Table) {
    let named: Vec<String> = std::env::args().skip(2).collect();
    let is_wanted = |part: &str| named.is_empty() || named.iter().any(|name| name == part);
    if is_wanted("choosing") {
        choosing::run(sizes, table);
    }
    if is_wanted("scans") {
        scans::run(sizes, table).await;
        policies::alike(sizes, table).await;
        policies::unlike(sizes, table).await;
    }
    if is_wanted("memory") {
        memory::run(sizes, table).await;
    }
    if is_wanted("announced") {
        announced::run(sizes, table).await;
    }
    if is_wanted("bump") {
        for files in [sizes.files, sizes.many_files] {
            bump::run(files, sizes.bumps, table).await;
        }
    }
    if is_wanted("burst") {
        burst::run(sizes, table).await;
    }
    if is_wanted("history") {
        history::run(sizes, table).await;
    }
    if is_wanted("fleet") {
        let fleet = cold::run(sizes, table).await;
        edits::run(sizes, &fleet, table).await;
        monorepo::run(sizes, &fleet, table).await;
        let fleet = restart::run(sizes, fleet, table).await;
        let release = release::run(sizes, &fleet, table).await;
        idle(sizes, &fleet, &release, table).await;
    }
}

/// Nothing changes anywhere; the ConfigRepos and the policy ask every second.
async fn idle(sizes: Sizes, fleet: &fleet::Fleet, release: &release::Release, table: &mut Table) {
    progress("unchanged");
    settled(&fleet.world).await;
    let asked =
        || (fleet.repo.requests().len() + release.repo.requests().len(), release.world.registry.requests(&release.app));
    let ((git, registry), mark, cpu) = (asked(), fleet.world.cluster.audit().mark(), fleet.tagboat.cpu());
    tokio::time::sleep(sizes.idle).await;
    let requests = controllers(&fleet.world, mark);
    let cpu = fleet.tagboat.cpu().saturating_sub(cpu);
    let (git, registry) = (asked().0 - git, asked().1 - registry);
    let seconds = sizes.idle.as_secs();
    let counts = format!(
        "API {}; Git {git}, registry {registry} (2 repositories, 1 policy, each every 1 s); CPU {} ms",
        requests.len(),
        cpu.as_millis()
    );
    let peak = format!("{} (now {})", mib(fleet.tagboat.peak_memory()), mib(fleet.tagboat.memory_now()));
    let row = Row::new(format!("{} apps, unchanged for {seconds} s", sizes.apps)).counts(counts).memory(peak);
    table.add(row.goal("API requests ≤ 0", requests.is_empty()));
    table.detail(format!("API requests in {seconds} s unchanged"), counted(&requests, 1));
}

/// Says what runs now.
pub fn progress(text: &str) {
    eprintln!("bench: {text}");
}

/// The controller's requests since, without watches.
pub fn controllers(world: &World, since: Mark) -> Vec<ApiRequest> {
    let mut requests = world.cluster.audit().requests_by("tagboat", since);
    requests.retain(|request| request.verb != "watch");
    requests
}

/// Whether a request writes.
pub fn is_write(request: &ApiRequest) -> bool {
    !matches!(&*request.verb, "get" | "list" | "watch")
}

/// Waits until the controller has written nothing for two seconds; it may go on to ask.
pub async fn settled(world: &World) {
    let mut quiet = 0;
    let mut mark = world.cluster.audit().mark();
    for _ in 0..300 {
        tokio::time::sleep(Duration::from_millis(200)).await;
        let requests = controllers(world, mark);
        mark = world.cluster.audit().mark();
        quiet = if requests.iter().any(is_write) { 0 } else { quiet + 1 };
        if quiet == 10 {
            return;
        }
    }
    eprintln!("bench: the controller never rests");
}

/// Deletes the namespace and waits until it is gone, so that nothing of it disturbs what comes next.
pub async fn clear(world: &World) {
    let namespaces: Api<Namespace> = Api::all(world.client.clone());
    namespaces.delete(&world.namespace, &Default::default()).await.unwrap();
    eventually("the namespace is gone", SOON, || async {
        match namespaces.get_opt(&world.namespace).await {
            Ok(None) => Ok(()),
            other => Err(format!("{:?}", other.map(|namespace| namespace.and_then(|n| n.status)))),
        }
    })
    .await;
}

/// Deletes the policies; faster than the whole namespace.
pub async fn clear_policies(world: &World) {
    let policies = world.api::<ImagePolicy>();
    policies.delete_collection(&Default::default(), &ListParams::default()).await.unwrap();
    eventually("the policies are gone", SOON, || async {
        let left = policies.list_metadata(&ListParams::default()).await.unwrap().items.len();
        if left == 0 { Ok(()) } else { Err(left) }
    })
    .await;
}

/// A controller for all namespaces, or for one.
pub async fn controller(world: &World, is_everywhere: bool) -> Tagboat {
    let mut launch = world.launch();
    launch.namespace = launch.namespace.filter(|_| !is_everywhere);
    world.run(&launch).await
}

/// A repository's address by another way.
pub fn by_way_of(wire: &wire::Wire, world: &World, repo: &Repo) -> String {
    repo.url.replace(&world.git.url, &wire.url)
}
