//! The controller's life: clients, the four flows, HTTP, signals. The only place that spawns.

use std::future::Future;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use futures::{FutureExt, StreamExt, stream};
use kube::core::DeserializeGuard;
use kube::runtime::controller::{Action, Controller};
use kube::runtime::reflector::{self, ObjectRef, Store};
use kube::runtime::utils::Backoff;
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client, Config, ResourceExt};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::api::{ConfigRepo, GitSync, ImagePolicy, ImageUpdate};
use crate::cluster::watches::{Job, SOON, Watches};
use crate::cluster::{Cluster, SILENCE};
use crate::context::{Context, Ground, Memory, Settings, Stores, Wakes};
use crate::http::hooks::Hooks;
use crate::http::{self, Pages, Readiness};
use crate::leading::{self, Seat};
use crate::pulse::{Pulse, STUCK};
use crate::pushing::Queues;
use crate::quarantine::{self, Item, unreadable};
use crate::registry::cloud::{Cloud, Environment};
use crate::registry::{Limits, Registry};
use crate::remotes::Remotes;
use crate::sync::observed::Table;
use crate::telemetry::Metrics;
use crate::{observing, source, sync, update};

/// How we call ourselves to others.
pub const USER_AGENT: &str = concat!("tagboat/", env!("CARGO_PKG_VERSION"));

/// What `tagboat run` was told.
#[derive(Debug, Clone)]
pub struct Options {
    /// The kubeconfig; the usual places when none.
    pub kubeconfig: Option<PathBuf>,
    /// The only namespace to serve; all when none.
    pub namespace: Option<String>,
    /// Where to answer over HTTP.
    pub listen: SocketAddr,
    /// How many objects of a kind are reconciled at once.
    pub concurrency: u16,
    /// The Lease by which replicas agree on who works; without one this process works alone.
    pub election: Option<Election>,
    /// What the environment says about clouds.
    pub cloud: Environment,
    /// Where Google's keys for webhooks of its own are.
    pub google_keys: String,
    /// The rest.
    pub settings: Settings,
}

/// Where replicas meet.
#[derive(Debug, Clone)]
pub struct Election {
    /// The Lease's name.
    pub lease: String,
    /// Its namespace; that of the kubeconfig or of the pod when none.
    pub namespace: Option<String>,
    /// The machine's or pod's name.
    pub host: String,
}

impl Election {
    /// The seat of this process, whose name nobody else has.
    fn seat(&self, config: &Config) -> anyhow::Result<Seat> {
        let mut random = [0; 8];
        ring::rand::SecureRandom::fill(&ring::rand::SystemRandom::new(), &mut random)
            .map_err(|_| anyhow::anyhow!("the system has no random numbers"))?;
        let namespace = self.namespace.clone().unwrap_or_else(|| config.default_namespace.clone());
        let candidate = format!("{}_{}", self.host, hex::encode(random));
        Ok(Seat { namespace, lease: self.lease.clone(), candidate })
    }
}

/// How long what runs may take to finish when the process is asked to end.
const PATIENCE: Duration = Duration::from_secs(3);

/// Runs until SIGTERM or SIGINT: then no new work is taken, what runs is finished or dropped, and the lead is given back.
///
/// # Errors
/// When it can't start, or when one of its parts ends by itself.
pub async fn run(options: Options) -> anyhow::Result<()> {
    let config = config(options.kubeconfig.as_deref()).await?;
    let seat = options.election.as_ref().map(|election| election.seat(&config)).transpose()?;
    let make_client = || Client::try_from(config.clone()).context("make the client of the API server");
    let cluster = Cluster::new(make_client()?);
    // A connection of its own, so that no other request keeps a renewal waiting.
    let seat = seat.map(|seat| anyhow::Ok((seat, Cluster::new(make_client()?)))).transpose()?;
    let listener = http::bind(options.listen).await.with_context(|| format!("listen on {}", options.listen))?;
    let (jobs, spawned) = mpsc::unbounded_channel();
    let flows = Flows::new(&cluster, options.namespace.as_deref(), options.concurrency, &jobs);
    let (start, started) = watch::channel(false);
    let leads = watch::Sender::new(seat.is_none());
    let listed = watch::Sender::new(0);
    let context = Arc::new(context(cluster, &flows, &options, jobs, started));
    let stop = CancellationToken::new();
    let readiness = Readiness::default();
    let pages = pages(readiness.clone(), &context);

    let mut tasks = JoinSet::new();
    #[expect(clippy::disallowed_methods, reason = "the one place that spawns")]
    {
        let answers = http::serve(listener, pages, context.hooks.clone());
        let answers = stop.clone().run_until_cancelled_owned(answers);
        tasks.spawn(answers.map(|ended| ended.unwrap_or(Ok(())).context("http")));
        tasks.spawn(background(spawned, stop.clone()).map(Ok));
        let forgetting = stop.clone().run_until_cancelled_owned(forget(context.clone()));
        tasks.spawn(forgetting.map(|_| Ok(())));
        let Flows { repos, policies, updates, syncs } = flows;
        tasks.spawn(repos.run(context.clone(), stop.clone(), listed.clone(), source::reconcile).map(Ok));
        tasks.spawn(policies.run(context.clone(), stop.clone(), listed.clone(), crate::watch::reconcile).map(Ok));
        tasks.spawn(updates.run(context.clone(), stop.clone(), listed.clone(), update::reconcile).map(Ok));
        tasks.spawn(syncs.run(context.clone(), stop.clone(), listed.clone(), sync::reconcile).map(Ok));
        let signs = (listed.subscribe(), leads.subscribe());
        let pulse = context.clone();
        let begun = stop.clone().run_until_cancelled_owned(ready(signs, start, readiness, context));
        tasks.spawn(begun.map(|_| Ok(())));
        if let Some((seat, cluster)) = seat.clone() {
            let (stop, context) = (stop.clone(), pulse);
            tasks.spawn(async move {
                let lead = leading::lead(&seat, &cluster, &leads, &stop);
                context.pulse.follow("Lease", seat.lease.clone(), lead).await
            });
        }
    }
    tracing::info!(listen = %options.listen, "started");
    let ended = tokio::select! {
        signal = signal() => signal.map(|signal| tracing::info!(signal, "stopping")),
        ended = first_end(&mut tasks) => ended,
    };
    stop.cancel();
    if ended.is_ok() {
        let _ = tokio::time::timeout(PATIENCE, async { while tasks.join_next().await.is_some() {} }).await;
    }
    tasks.shutdown().await;
    if let Some((seat, cluster)) = seat {
        leading::release(&seat, &cluster).await;
    }
    ended
}

/// What the controller says of itself over HTTP.
fn pages(readiness: Readiness, context: &Arc<Context>) -> Pages {
    let (of_metrics, of_pulse) = (context.clone(), context.clone());
    let metrics = move || {
        let Context { metrics, hooks, registry, stores, .. } = &*of_metrics;
        metrics.text(&hooks.counts(), registry.requests(), stores.suspended())
    };
    let stuck = move || {
        let repos = of_pulse.stores.config_repos.state();
        let longest = repos.iter().map(|repo| repo.spec.timeout.0).max().unwrap_or_default();
        of_pulse.pulse.stuck(crate::clock::now().steady, STUCK.saturating_add(longest))
    };
    Pages { readiness, stuck: Arc::new(stuck), metrics: Arc::new(metrics) }
}

/// How the API server is reached: without retries of the client's own, as the flows decide when to try again.
///
/// # Errors
/// When the kubeconfig can't be read, or there is none.
pub async fn config(kubeconfig: Option<&std::path::Path>) -> anyhow::Result<Config> {
    let mut config = match kubeconfig {
        Some(path) => {
            let kubeconfig =
                kube::config::Kubeconfig::read_from(path).with_context(|| format!("read {}", path.display()))?;
            Config::from_custom_kubeconfig(kubeconfig, &kube::config::KubeConfigOptions::default()).await?
        }
        None => Config::infer().await.context("no kubeconfig given or found, and not in a cluster")?,
    };
    config.default_retry = false;
    config.read_timeout = Some(SILENCE);
    config.reset_reader_on_write = true;
    Ok(config)
}

/// Where background work goes.
type Jobs = mpsc::UnboundedSender<Job>;

struct Flow<K: Item> {
    controller: Controller<K>,
    wake: mpsc::UnboundedSender<ObjectRef<K>>,
}

impl<K: Item> Flow<K> {
    fn new(cluster: &Cluster, namespace: Option<&str>, concurrency: u16, jobs: &Jobs) -> Self {
        let api: Api<DeserializeGuard<K>> = match namespace {
            Some(namespace) => Api::namespaced(cluster.client(), namespace),
            None => Api::all(cluster.client()),
        };
        let (store, writer) = reflector::store();
        let (jobs, cluster) = (jobs.clone(), cluster.clone());
        let tell = move |invalid| {
            let _ = jobs.send(unreadable::tell::<K>(invalid, cluster.clone()).boxed());
        };
        let seen = unreadable::left_out(watcher(api, watcher::Config::default()), store.clone(), tell);
        let (wake, woken) = mpsc::unbounded_channel();
        let woken = stream::unfold(woken, |mut woken| async { woken.recv().await.map(|object| (object, woken)) });
        let controller = Controller::for_stream(seen.reflect(writer).applied_objects(), store)
            .trigger_backoff(Steady)
            .with_config(kube::runtime::controller::Config::default().concurrency(concurrency))
            .reconcile_on(woken);
        Self { controller, wake }
    }

    fn store(&self) -> Store<K> {
        self.controller.store()
    }

    async fn run<F, R>(self, context: Arc<Context>, stop: CancellationToken, listed: watch::Sender<usize>, reconcile: F)
    where
        F: Fn(Arc<K>, Arc<Context>) -> R + Clone + Send + Sync + 'static,
        R: Future<Output = Action> + Send + 'static,
    {
        let latest = self.store();
        let reconcile = move |object: Arc<K>, context: Arc<Context>| {
            let (reconcile, latest, mut started) = (reconcile.clone(), latest.clone(), context.started.clone());
            async move {
                // An object that is not in its store yet is not an object that does not exist.
                let is_started = started.wait_for(|started| *started).await.is_ok();
                // Who waited for the lead has seen an old version: what the leader of before decided is in a later one.
                let Some(object) = latest.get(&ObjectRef::from_obj(&*object)).filter(|_| is_started) else {
                    return Ok::<Action, std::convert::Infallible>(Action::await_change());
                };
                let name = format!("{}/{}", object.namespace().unwrap_or_default(), object.name_any());
                let flow = reconcile(object.clone(), context.clone());
                let run = quarantine::run(&*object, &context, flow);
                Ok(context.pulse.follow(K::KIND, name, run).await)
            }
        };
        // In one task with its controller: a store wakes only one of several tasks that wait for it.
        let store = self.store();
        let seen = async move {
            if store.wait_until_ready().await.is_ok() {
                listed.send_modify(|kinds| *kinds += 1);
            }
        };
        let never = |_: Arc<K>, error: &std::convert::Infallible, _: Arc<Context>| match *error {};
        let ends = self.controller.graceful_shutdown_on(stop.cancelled_owned());
        let runs = ends.run(reconcile, never, context.clone());
        let runs = runs.for_each(|ran| async move {
            if let Err(error) = ran {
                tracing::debug!("{}", crate::failure::chain(&error));
            }
        });
        let looped = async { tokio::join!(seen, runs) };
        // A loop without work has its turns all the same.
        let turns = async {
            loop {
                crate::clock::pause(TURN).await;
            }
        };
        let both = async {
            tokio::select! { _ = looped => {}, () = turns => {} }
        };
        context.pulse.follow(K::KIND, "loop".to_owned(), both).await;
    }
}

/// How long the watch of a kind of ours waits after each failure: all is seen soon after the API server is back.
struct Steady;

impl Iterator for Steady {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        Some(SOON / 2)
    }
}

impl Backoff for Steady {
    fn reset(&mut self) {}
}

/// How often a loop shows that it could work.
const TURN: Duration = Duration::from_secs(60);

struct Flows {
    repos: Flow<ConfigRepo>,
    policies: Flow<ImagePolicy>,
    updates: Flow<ImageUpdate>,
    syncs: Flow<GitSync>,
}

impl Flows {
    fn new(cluster: &Cluster, namespace: Option<&str>, concurrency: u16, jobs: &Jobs) -> Self {
        Self {
            repos: Flow::new(cluster, namespace, concurrency, jobs),
            policies: Flow::new(cluster, namespace, concurrency, jobs),
            updates: Flow::new(cluster, namespace, concurrency, jobs),
            syncs: Flow::new(cluster, namespace, concurrency, jobs),
        }
    }
}

fn context(cluster: Cluster, flows: &Flows, options: &Options, jobs: Jobs, started: watch::Receiver<bool>) -> Context {
    let table = Arc::new(Table::default());
    let wakes = Wakes {
        config_repos: flows.repos.wake.clone(),
        image_policies: flows.policies.wake.clone(),
        image_updates: flows.updates.wake.clone(),
        git_syncs: flows.syncs.wake.clone(),
    };
    let listener = observing::listener(table.clone(), wakes.git_syncs.clone());
    Context {
        remotes: Arc::new(Remotes::new(options.concurrency, jobs.clone(), wakes.git_syncs.clone())),
        watches: Watches::new(listener, jobs),
        cluster,
        registry: Registry::new(USER_AGENT, Limits::default()),
        cloud: Cloud::new(options.cloud.clone(), USER_AGENT),
        hooks: Hooks::new(options.google_keys.clone()),
        settings: options.settings.clone(),
        ground: Ground::default(),
        queues: Queues::default(),
        stores: Stores {
            config_repos: flows.repos.store(),
            image_policies: flows.policies.store(),
            image_updates: flows.updates.store(),
            git_syncs: flows.syncs.store(),
        },
        started_at: crate::clock::now().steady,
        started,
        wakes,
        table,
        metrics: Metrics::default(),
        policies: Memory::default(),
        updates: Memory::default(),
        syncs: Memory::default(),
        repos: Memory::default(),
        held: Memory::default(),
        pulse: Pulse::default(),
    }
}

/// How often what is remembered of deleted objects is given up.
const FORGET_EVERY: Duration = Duration::from_secs(60);

async fn forget(context: Arc<Context>) {
    let forgetting = async {
        loop {
            crate::clock::pause(FORGET_EVERY).await;
            context.forget_the_gone();
        }
    };
    context.pulse.follow("memory", "of deleted objects".to_owned(), forgetting).await
}

/// Runs the watches that the flows ask for.
async fn background(mut jobs: mpsc::UnboundedReceiver<Job>, stop: CancellationToken) {
    let mut running = JoinSet::new();
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            job = jobs.recv() => match job {
                #[expect(clippy::disallowed_methods, reason = "the one place that spawns")]
                Some(job) => { running.spawn(job); }
                None => return,
            },
            Some(ended) = running.join_next() => if let Err(error) = ended {
                tracing::error!("a watch broke off: {error}");
            },
        }
    }
}

/// Lets the flows decide, once the objects of all four kinds are known and this process leads. One that waits for the lead is
/// ready too: it can take over at any time.
async fn ready(
    (mut listed, mut leads): (watch::Receiver<usize>, watch::Receiver<bool>),
    start: watch::Sender<bool>,
    readiness: Readiness,
    context: Arc<Context>,
) {
    if listed.wait_for(|kinds| *kinds == 4).await.is_ok() {
        readiness.set();
        if leads.wait_for(|leads| *leads).await.is_ok() {
            context.metrics.leads();
            readiness.works();
            start.send_replace(true);
        }
    }
    std::future::pending().await
}

async fn first_end(tasks: &mut JoinSet<anyhow::Result<()>>) -> anyhow::Result<()> {
    match tasks.join_next().await {
        Some(Ok(Ok(()))) | None => Err(anyhow::anyhow!("a part of the controller ended by itself")),
        Some(Ok(Err(error))) => Err(error),
        Some(Err(error)) => Err(anyhow::anyhow!("a part of the controller broke off: {error}")),
    }
}

async fn signal() -> anyhow::Result<&'static str> {
    use tokio::signal::unix::{SignalKind, signal};
    let (mut term, mut int) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    Ok(tokio::select! { _ = term.recv() => "SIGTERM", _ = int.recv() => "SIGINT" })
}

#[cfg(test)]
mod tests;
