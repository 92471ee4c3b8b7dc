//! What the integration tests stand on: real servers shared by the whole run, started when the first test wants them, and stopped
//! with the run however it ends (see `guard`).

#![allow(dead_code, reason = "the stories do not use all of it at any time")]

pub mod cluster;
pub mod cosign;
pub mod cutter;
pub mod git;
pub mod gitea;
pub mod guard;
pub mod parts;
pub mod process;
pub mod registry;
pub mod ssh_key;
pub mod tagboat;
pub mod traffic;
pub mod wait;
pub mod world;

use std::future::Future;
use std::path::Path;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use futures::FutureExt;
use libtest_mimic::{Failed, Trial};
use tokio::runtime::Runtime;
use tokio::sync::OnceCell;

use self::cluster::Cluster;
use self::cluster::other::Other;
use self::git::GitServer;
use self::gitea::Gitea;
use self::registry::Registry;
use self::world::World;

/// How long one test may take, the start of the shared servers not included.
const DEADLINE: Duration = Duration::from_secs(300);
/// How long the shared servers may take to start.
const START_DEADLINE: Duration = Duration::from_secs(120);

/// The one runtime of the run. Servers of our own live on it, so it outlives every test.
pub fn runtime() -> &'static Runtime {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| {
        rustls::crypto::ring::default_provider().install_default().expect("first and only provider");
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        runtime.spawn(stop_on_signal());
        runtime
    })
}

/// Ctrl-C and SIGTERM end the run; nothing stays.
async fn stop_on_signal() {
    use tokio::signal::unix::{SignalKind, signal};
    let mut interrupt = signal(SignalKind::interrupt()).unwrap();
    let mut terminate = signal(SignalKind::terminate()).unwrap();
    let code = tokio::select! {
        _ = interrupt.recv() => 130,
        _ = terminate.recv() => 143,
    };
    tokio::task::spawn_blocking(guard::shut_down).await.unwrap();
    std::process::exit(code);
}

/// The shared cluster.
///
/// # Panics
/// When it does not start; every test that needs it then fails with the same words.
pub async fn cluster() -> &'static Cluster {
    static CLUSTER: OnceCell<Result<Cluster, String>> = OnceCell::const_new();
    started("cluster", CLUSTER.get_or_init(Cluster::start).await)
}

/// The other shared cluster.
pub async fn other_cluster() -> &'static Other {
    static OTHER: OnceCell<Result<Other, String>> = OnceCell::const_new();
    started("other cluster", OTHER.get_or_init(Other::start).await)
}

/// The shared registry without login.
pub async fn registry() -> &'static Registry {
    static REGISTRY: OnceCell<Result<Registry, String>> = OnceCell::const_new();
    started("registry", REGISTRY.get_or_init(|| Registry::start("registry", None)).await)
}

/// The shared registry that wants user and password (`registry::LOGIN`).
pub async fn private_registry() -> &'static Registry {
    static REGISTRY: OnceCell<Result<Registry, String>> = OnceCell::const_new();
    let start = || Registry::start("private-registry", Some(registry::LOGIN));
    started("private registry", REGISTRY.get_or_init(start).await)
}

/// The shared registry of distribution 2.8.
pub async fn registry_2() -> &'static Registry {
    static REGISTRY: OnceCell<Result<Registry, String>> = OnceCell::const_new();
    started("registry 2.8", REGISTRY.get_or_init(|| Registry::start_2("registry-2", None)).await)
}

/// The shared registry of distribution 2.8 that wants user and password (`registry::LOGIN`).
pub async fn private_registry_2() -> &'static Registry {
    static REGISTRY: OnceCell<Result<Registry, String>> = OnceCell::const_new();
    let start = || Registry::start_2("private-registry-2", Some(registry::LOGIN));
    started("private registry 2.8", REGISTRY.get_or_init(start).await)
}

/// The shared Gitea, as a registry. Its images have owners: `gitea::OPEN`, `gitea::PRIVATE`.
pub async fn gitea() -> &'static Registry {
    &gitea_host().await.registry
}

/// The shared Gitea, as a Git host.
pub async fn gitea_host() -> &'static Gitea {
    static GITEA: OnceCell<Result<Gitea, String>> = OnceCell::const_new();
    started("Gitea", GITEA.get_or_init(|| gitea::start("gitea")).await)
}

/// The shared Git server.
pub async fn git() -> &'static GitServer {
    static GIT: OnceCell<Result<GitServer, String>> = OnceCell::const_new();
    started("Git server", GIT.get_or_init(GitServer::start).await)
}

fn started<T>(what: &str, result: &'static Result<T, String>) -> &'static T {
    match result {
        Ok(part) => part,
        Err(reason) => panic!("the {what} did not start: {reason}"),
    }
}

/// A test that gets a world of its own: a namespace, a repository, image names.
pub fn trial<T, F>(name: &'static str, test: T) -> Trial
where
    T: FnOnce(World) -> F + Send + 'static,
    F: Future<Output = ()>,
{
    Trial::test(name, move || {
        let world = bounded(START_DEADLINE, World::new(name))?;
        let logs = world.logs();
        bounded(DEADLINE, test(world)).map_err(|reason| Failed::from(format!("{reason}{}", logs.tails())))
    })
}

/// A test that needs no cluster.
pub fn bare_trial<T, F>(name: &'static str, test: T) -> Trial
where
    T: FnOnce() -> F + Send + 'static,
    F: Future<Output = ()>,
{
    Trial::test(name, move || bounded(DEADLINE, test()).map_err(Failed::from))
}

/// Runs to the end or the deadline; a panic becomes an error, so that the run goes on and the servers are stopped at its end.
pub fn bounded<T>(deadline: Duration, work: impl Future<Output = T>) -> Result<T, String> {
    let caught = std::panic::AssertUnwindSafe(work).catch_unwind();
    match runtime().block_on(async { tokio::time::timeout(deadline, caught).await }) {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(panic)) => Err(words_of(panic.as_ref())),
        Err(_) => Err(format!("not done after {} s", deadline.as_secs())),
    }
}

fn words_of(panic: &(dyn std::any::Any + Send)) -> String {
    panic
        .downcast_ref::<String>()
        .cloned()
        .or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()))
        .unwrap_or_else(|| "a panic without words".to_owned())
}

/// A number that no other caller of this run gets.
pub fn next_number() -> u32 {
    static NEXT: AtomicU32 = AtomicU32::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// Free loopback ports. All are held until the last is known, so that they differ.
pub fn free_ports<const N: usize>() -> [u16; N] {
    let held: [std::net::TcpListener; N] = std::array::from_fn(|_| std::net::TcpListener::bind("127.0.0.1:0").unwrap());
    held.map(|listener| listener.local_addr().unwrap().port())
}

/// The last lines of a log, for messages.
pub fn tail(log: &Path, lines: usize) -> String {
    let text = String::from_utf8_lossy(&std::fs::read(log).unwrap_or_default()).into_owned();
    let all: Vec<&str> = text.lines().collect();
    all[all.len().saturating_sub(lines)..].join("\n")
}

/// A file or folder of the checkout.
pub fn checkout(path: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}
