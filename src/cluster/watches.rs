//! Shared watches of applied objects: one for each kind, identity and namespace, selected by the owner label.
//! An object flows past as a value; whoever listens keeps what it needs.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt};
use kube::Api;
use kube::api::DynamicObject;
use kube::runtime::watcher;
use serde_json::Value;
use tokio::sync::{mpsc, watch};

use super::remote::Site;
use super::{Cluster, Error, Identity};
use crate::api::OWNER_NAME;
use crate::object::Gvk;

/// The longest wait of a watch that the server can't be asked for.
pub const SOON: Duration = Duration::from_secs(2);
/// The longest wait of a watch that the server refuses.
const LONGEST: Duration = Duration::from_secs(30);

/// What one watch looks at.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct WatchKey {
    /// Which API server.
    pub site: Site,
    /// Whose rights it uses.
    pub identity: Identity,
    /// The kind.
    pub gvk: Gvk,
    /// The namespace; all when none.
    pub namespace: Option<String>,
    /// Which objects: those with the owner label, or (for the pods of workloads) all.
    pub is_owned: bool,
    /// One object only, which needs a right to it and to no other.
    pub one: Option<One>,
}

/// A single object, and for whom it is seen.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct One {
    /// The object's name.
    pub name: String,
    /// Namespace and name of the GitSync that it is judged for; none when all who refer to it see the same.
    pub asker: Option<(String, String)>,
}

/// What a watch saw.
#[derive(Debug)]
pub enum Seen {
    /// A new list starts: what is not in it is gone.
    Restarted,
    /// An object is there, or changed.
    Object(Value),
    /// An object is gone, or no longer selected.
    Gone(Value),
    /// The list is complete.
    Listed,
}

/// How a watch stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WatchState {
    /// The first list is under way.
    Starting,
    /// All that it saw is true.
    Synced,
    /// It can't see; it goes on trying.
    Failed(String),
}

/// Who listens to what the watches see.
pub type Listener = Arc<dyn Fn(&WatchKey, Seen) + Send + Sync>;
/// A piece of background work, for the one place that spawns.
pub type Job = BoxFuture<'static, ()>;

/// All running watches.
pub struct Watches {
    listener: Listener,
    jobs: mpsc::UnboundedSender<Job>,
    running: Mutex<HashMap<WatchKey, Running>>,
}

struct Running {
    state: watch::Receiver<WatchState>,
    stop: Arc<tokio::sync::Notify>,
}

impl Watches {
    /// No watch yet; `jobs` goes to the one place that spawns.
    pub fn new(listener: Listener, jobs: mpsc::UnboundedSender<Job>) -> Self {
        Self { listener, jobs, running: Mutex::default() }
    }

    /// Starts a watch of `cluster`, the key's, unless it runs already.
    ///
    /// # Errors
    /// When the server does not know the kind or can't be asked for it.
    pub async fn start(&self, cluster: &Cluster, key: &WatchKey) -> Result<watch::Receiver<WatchState>, Error> {
        if let Some(state) = self.state(key) {
            return Ok(state);
        }
        let cluster = cluster.by(&key.identity);
        let kind = cluster.kinds().resolve(&key.gvk).await?;
        let api: Api<DynamicObject> = match &key.namespace {
            Some(namespace) if kind.is_namespaced => Api::namespaced_with(cluster.client(), namespace, &kind.resource),
            _ => Api::all_with(cluster.client(), &kind.resource),
        };
        let (sender, receiver) = watch::channel(WatchState::Starting);
        let stop = Arc::new(tokio::sync::Notify::new());
        let mut running = self.lock();
        if let Some(other) = running.get(key).filter(|other| other.state.has_changed().is_ok()) {
            return Ok(other.state.clone());
        }
        running.insert(key.clone(), Running { state: receiver.clone(), stop: stop.clone() });
        let job = follow(api, key.clone(), self.listener.clone(), sender);
        let job = async move {
            tokio::select! {
                () = job => {}
                () = stop.notified() => {}
            }
        };
        // When the receiver is gone the process is ending; a watch that never starts does no harm then.
        let _ = self.jobs.send(job.boxed());
        Ok(receiver)
    }

    /// How a watch stands, if it runs.
    pub fn state(&self, key: &WatchKey) -> Option<watch::Receiver<WatchState>> {
        let state = self.lock().get(key).map(|running| running.state.clone());
        // One that ended sees nothing any more, so it does not count.
        state.filter(|state| state.has_changed().is_ok())
    }

    /// Ends a watch.
    pub fn stop(&self, key: &WatchKey) {
        if let Some(running) = self.lock().remove(key) {
            running.stop.notify_one();
        }
    }

    /// Ends all watches of an API server. Returns what they looked at.
    pub fn stop_all(&self, site: &Site) -> Vec<WatchKey> {
        let stopped: Vec<_> = self.lock().extract_if(|key, _| key.site == *site).collect();
        stopped.iter().for_each(|(_, running)| running.stop.notify_one());
        stopped.into_iter().map(|(key, _)| key).collect()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<WatchKey, Running>> {
        self.running.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

async fn follow(api: Api<DynamicObject>, key: WatchKey, listener: Listener, state: watch::Sender<WatchState>) {
    let selector = if key.is_owned { OWNER_NAME } else { "" };
    let config = watcher::Config::default().labels(selector);
    let config = match &key.one {
        Some(one) => config.fields(&format!("metadata.name={}", one.name)),
        None => config,
    };
    let mut events = pin!(watcher(api, config));
    let mut failures = Failures::default();
    while let Some(event) = events.next().await {
        match event {
            Ok(event) => {
                failures = Failures::default();
                let (seen, is_synced) = seen(event, &key.gvk);
                if let Some(seen) = seen {
                    // An object that breaks who listens is not seen; all others are.
                    let _ = catch_unwind(AssertUnwindSafe(|| listener(&key, seen)));
                }
                if is_synced {
                    state.send_if_modified(|state| std::mem::replace(state, WatchState::Synced) != WatchState::Synced);
                }
            }
            Err(error) => {
                let text = said(&error);
                tracing::debug!(kind = key.gvk.kind, identity = %key.identity, error = text, "watch interrupted");
                state.send_if_modified(|state| {
                    // A watch that has listed once and lost its connection re-lists by itself; what it saw stays.
                    let is_news = *state == WatchState::Starting || matches!(state, WatchState::Failed(_));
                    is_news
                        && std::mem::replace(state, WatchState::Failed(text.clone()))
                            != WatchState::Failed(text.clone())
                });
                #[expect(clippy::disallowed_methods, reason = "a shell waits")]
                tokio::time::sleep(failures.wait(&key, is_answer(&error))).await;
            }
        }
    }
}

/// Failures of a watch in a row, all of the same kind.
#[derive(Default)]
struct Failures {
    number: u32,
    are_answers: bool,
}

impl Failures {
    /// How long to wait after one more. Who can't reach the server asks again soon, so that all is seen at once when it is back; who
    /// got an answer asks ever more rarely. Each watch has its own time, so that they don't all come at once.
    fn wait(&mut self, key: &WatchKey, is_answer: bool) -> Duration {
        // A server that has just started says no to much, for a moment.
        self.number = if self.are_answers == is_answer { self.number.saturating_add(1) } else { 1 };
        self.are_answers = is_answer;
        let longest = if is_answer { LONGEST } else { SOON };
        let mut hash = DefaultHasher::new();
        (key, self.number).hash(&mut hash);
        let wait = Duration::from_millis(400 << self.number.min(7)).min(longest);
        wait / 2 + wait / 2 * u32::from(hash.finish().to_le_bytes()[0]) / 255
    }
}

/// Whether the server said no, and not the network.
fn is_answer(error: &watcher::Error) -> bool {
    use watcher::Error::{InitialListFailed, NoResourceVersion, WatchError, WatchFailed, WatchStartFailed};
    match error {
        InitialListFailed(error) | WatchStartFailed(error) | WatchFailed(error) => matches!(error, kube::Error::Api(_)),
        WatchError(_) | NoResourceVersion => true,
    }
}

/// The server's own words, if it said any.
fn said(error: &watcher::Error) -> String {
    use watcher::Error::{InitialListFailed, WatchError, WatchFailed, WatchStartFailed};
    let text = match error {
        InitialListFailed(kube::Error::Api(status))
        | WatchStartFailed(kube::Error::Api(status))
        | WatchFailed(kube::Error::Api(status)) => status.message.clone(),
        WatchError(status) => status.message.clone(),
        other => crate::failure::chain(other),
    };
    crate::failure::printable(&text, 400)
}

fn seen(event: watcher::Event<DynamicObject>, gvk: &Gvk) -> (Option<Seen>, bool) {
    use watcher::Event;
    let value = |mut object: DynamicObject| {
        // Items of a list carry no kind of their own.
        object.types = Some(kube::core::TypeMeta { api_version: gvk.api_version(), kind: gvk.kind.clone() });
        serde_json::to_value(object).ok()
    };
    match event {
        Event::Init => (Some(Seen::Restarted), false),
        Event::InitApply(object) => (value(object).map(Seen::Object), false),
        Event::InitDone => (Some(Seen::Listed), true),
        Event::Apply(object) => (value(object).map(Seen::Object), true),
        Event::Delete(object) => (value(object).map(Seen::Gone), true),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_watch_is_back_soon_and_asks_rarely_for_what_is_refused() {
        let key = |namespace: &str| WatchKey {
            site: crate::cluster::remote::Site::Home,
            identity: Identity::Controller,
            gvk: Gvk::new("v1", "ConfigMap"),
            namespace: Some(namespace.to_owned()),
            is_owned: true,
            one: None,
        };
        let nth = |namespace: &str, number: u32, is_answer: bool| {
            let mut failures = Failures { number: number - 1, are_answers: is_answer };
            failures.wait(&key(namespace), is_answer)
        };
        for (number, shortest, longest) in [(1, 400, 800), (2, 800, 1600), (3, 1000, 2000), (100, 1000, 2000)] {
            let wait = nth("a", number, false).as_millis();
            assert!((shortest..=longest).contains(&wait), "{number}: {wait}");
        }
        assert!(nth("a", 100, true) >= LONGEST / 2);
        let mut failures = Failures { number: 100, are_answers: false };
        assert!(failures.wait(&key("a"), true) < SOON, "the first answer after an outage is no long row of refusals");
        let waits: Vec<Duration> = ["a", "b", "c", "d"].map(|namespace| nth(namespace, 9, false)).to_vec();
        assert!(waits.iter().any(|wait| *wait != waits[0]), "each has its own: {waits:?}");
    }
}
