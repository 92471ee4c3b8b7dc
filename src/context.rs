//! What the flows share: the shells, the settings, what is remembered between runs, and how one flow wakes another.

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use kube::runtime::reflector::{ObjectRef, Store};
use kube::{Resource, ResourceExt};
use tokio::sync::{mpsc, watch};

use crate::api::condition::{Reason, ready};
use crate::api::{ConfigRepo, GitSync, ImagePolicy, ImageUpdate, REQUESTED_AT};
use crate::cluster::Cluster;
use crate::cluster::watches::Watches;
use crate::failure::Failure;
use crate::git::{Mirror, Reach, Remote, Target};
use crate::http::hooks::Hooks;
use crate::pulse::Pulse;
use crate::pushing::Queues;
use crate::quarantine::Held;
use crate::registry::Registry;
use crate::registry::cloud::Cloud;
use crate::remotes::{self, Remotes};
use crate::revision::Revision;
use crate::sync::observed::Table;
use crate::telemetry::Metrics;
use crate::tool::Programs;
use crate::trusting::Trust;

/// What the command line says, resolved.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where bare mirrors of the repositories are kept; may be lost at any time.
    pub data_dir: PathBuf,
    /// Whether a ConfigRepo may be a folder of this machine.
    pub allow_file_urls: bool,
    /// The service account for GitSyncs that name none.
    pub default_service_account: Option<String>,
    /// The programs that render.
    pub programs: Programs,
    /// The only namespace to serve; all when none.
    pub namespace: Option<String>,
}

/// Everything that a flow may use.
pub struct Context {
    /// The Kubernetes API.
    pub cluster: Cluster,
    /// The registries.
    pub registry: Registry,
    /// The clouds that log in to their registries.
    pub cloud: Cloud,
    /// Whom a webhook wakes.
    pub hooks: Hooks,
    /// The settings.
    pub settings: Settings,
    /// The heads of all ConfigRepos.
    pub ground: Ground,
    /// Who writes to which branch.
    pub queues: Queues,
    /// The objects of the four kinds, as last seen.
    pub stores: Stores,
    /// When the controller started.
    pub started_at: Instant,
    /// Becomes true when the stores hold all objects; no flow decides before.
    pub started: watch::Receiver<bool>,
    /// How flows wake each other.
    pub wakes: Wakes,
    /// The clusters of kubeconfigs.
    pub remotes: Arc<Remotes>,
    /// The watches of applied objects.
    pub watches: Watches,
    /// What those watches saw.
    pub table: Arc<Table>,
    /// Counters.
    pub metrics: Metrics,
    /// What loop one's first half remembers.
    pub policies: Memory<crate::watch::Remembered>,
    /// What loop one's second half remembers.
    pub updates: Memory<crate::update::Remembered>,
    /// What loop two remembers.
    pub syncs: Memory<crate::sync::Remembered>,
    /// What the ground flow remembers.
    pub repos: Memory<crate::source::Remembered>,
    /// The objects whose last run panicked.
    pub held: Memory<Held>,
    /// What runs now.
    pub pulse: Pulse,
}

/// The objects of the four kinds, as last seen by their watches.
pub struct Stores {
    /// All ConfigRepos.
    pub config_repos: Store<ConfigRepo>,
    /// All ImagePolicies.
    pub image_policies: Store<ImagePolicy>,
    /// All ImageUpdates.
    pub image_updates: Store<ImageUpdate>,
    /// All GitSyncs.
    pub git_syncs: Store<GitSync>,
}

impl Stores {
    /// How many objects of each kind are suspended.
    pub fn suspended(&self) -> [(&'static str, usize); 4] {
        let count = |suspended: &mut dyn Iterator<Item = bool>| suspended.filter(|suspended| *suspended).count();
        [
            ("ConfigRepo", count(&mut self.config_repos.state().iter().map(|repo| repo.spec.suspend))),
            ("ImagePolicy", count(&mut self.image_policies.state().iter().map(|policy| policy.spec.suspend))),
            ("ImageUpdate", count(&mut self.image_updates.state().iter().map(|update| update.spec.suspend))),
            ("GitSync", count(&mut self.git_syncs.state().iter().map(|sync| sync.spec.suspend))),
        ]
    }
}

/// A wake carries an object's name and nothing else: who is woken looks for itself.
#[derive(Clone)]
pub struct Wakes {
    /// Wakes the ground flow.
    pub config_repos: mpsc::UnboundedSender<ObjectRef<ConfigRepo>>,
    /// Wakes loop one's first half.
    pub image_policies: mpsc::UnboundedSender<ObjectRef<ImagePolicy>>,
    /// Wakes loop one's second half.
    pub image_updates: mpsc::UnboundedSender<ObjectRef<ImageUpdate>>,
    /// Wakes loop two.
    pub git_syncs: mpsc::UnboundedSender<ObjectRef<GitSync>>,
}

impl Context {
    /// Wakes what stands on a ConfigRepo.
    pub fn wake_dependants(&self, namespace: &str, repo: &str) {
        for sync in self.readers(namespace, repo) {
            let _ = self.wakes.git_syncs.send(ObjectRef::from_obj(&*sync));
        }
        self.wake_writers(namespace, repo);
    }

    /// Wakes the ImageUpdates that write to a ConfigRepo.
    pub fn wake_writers(&self, namespace: &str, repo: &str) {
        for update in self.writers(namespace, repo) {
            let _ = self.wakes.image_updates.send(ObjectRef::from_obj(&*update));
        }
    }

    /// The GitSyncs that stand on a ConfigRepo.
    pub fn readers(&self, namespace: &str, repo: &str) -> impl Iterator<Item = Arc<GitSync>> + use<> {
        let (namespace, repo) = (namespace.to_owned(), repo.to_owned());
        let is_of_it = move |sync: &Arc<GitSync>| {
            sync.namespace().as_deref() == Some(&*namespace) && sync.spec.config_repo_ref.name == repo
        };
        self.stores.git_syncs.state().into_iter().filter(is_of_it)
    }

    /// The ImageUpdates that write to a ConfigRepo.
    pub fn writers(&self, namespace: &str, repo: &str) -> impl Iterator<Item = Arc<ImageUpdate>> + use<'_> {
        let (namespace, repo) = (namespace.to_owned(), repo.to_owned());
        let is_ours = move |update: &Arc<ImageUpdate>| {
            update.namespace().as_deref() == Some(&*namespace) && update.spec.config_repo_ref.name == repo
        };
        self.stores.image_updates.state().into_iter().filter(is_ours)
    }
}

impl Context {
    /// Forgets what is remembered of objects that are gone.
    pub fn forget_the_gone(&self) {
        fn uids<K: Resource<DynamicType = ()> + Clone + 'static>(store: &Store<K>) -> HashSet<String> {
            store.state().iter().filter_map(|object| object.meta().uid.clone()).collect()
        }
        let (policies, repos) = (uids(&self.stores.image_policies), uids(&self.stores.config_repos));
        let (updates, syncs) = (uids(&self.stores.image_updates), uids(&self.stores.git_syncs));
        self.policies.retain(&policies);
        self.hooks.retain(&policies.union(&repos).cloned().collect());
        self.updates.retain(&updates);
        self.syncs.retain(&syncs);
        self.repos.retain(&repos);
        self.held.retain(&[policies, repos, updates, syncs].into_iter().flatten().collect());
        remotes::forget_the_gone(self);
    }

    /// How much of a ConfigRepo its readers need: who applies it reads its head, who writes to it asks what people did before.
    pub fn reach(&self, namespace: &str, repo: &str) -> Reach {
        let is_written = self.writers(namespace, repo).any(|update| !update.spec.suspend);
        if is_written { Reach::History } else { Reach::Head }
    }

    /// What an object stands on: the head of its ConfigRepo. None while that is about to be read: whoever asked is woken then.
    ///
    /// # Errors
    /// When there is no such ConfigRepo, or it can't be read and never was.
    pub fn footing<K: Resource>(&self, object: &K, repo: &str) -> Result<Option<Grounded>, Failure> {
        let namespace = object.meta().namespace.clone().unwrap_or_default();
        let Some(known) = self.stores.config_repos.get(&ObjectRef::new(repo).within(&namespace)) else {
            let message = format!("ConfigRepo {namespace}/{repo} does not exist");
            return Err(Failure::user(Reason::DependencyNotReady, message));
        };
        if let Some(grounded) = self.ground.head(&namespace, repo) {
            return Ok(Some(grounded));
        }
        let written = self.repos.look(&*known, |memory| memory.written().cloned()).flatten();
        let status = written.or_else(|| known.status.clone()).unwrap_or_default();
        match ready(&status.conditions).filter(|ready| ready.status == "False") {
            Some(not_ready) => {
                let message = format!("ConfigRepo {repo} is not ready: {}", not_ready.message);
                Err(Failure::retry(Reason::DependencyNotReady, message))
            }
            None => Ok(None),
        }
    }
}

/// A repository as it was last read, and how to read more of it.
#[derive(Clone)]
pub struct Grounded {
    /// What is followed, and its commit.
    pub revision: Revision,
    /// The repository's objects.
    pub mirror: Mirror,
    /// How to reach the host.
    pub remote: Remote,
    /// How to fetch more of it.
    pub target: Target,
    /// Whether it is a branch, which can be written to.
    pub is_branch: bool,
    /// Who must have signed it.
    pub trust: Option<Arc<Trust>>,
}

/// The heads of all ConfigRepos, by namespace and name.
#[derive(Default)]
pub struct Ground {
    heads: Mutex<HashMap<(String, String), Grounded>>,
}

impl Ground {
    /// The head of a ConfigRepo, if it was read yet.
    pub fn head(&self, namespace: &str, repo: &str) -> Option<Grounded> {
        lock(&self.heads).get(&(namespace.to_owned(), repo.to_owned())).cloned()
    }

    /// Forgets a head: nobody stands on it any more.
    pub fn remove(&self, namespace: &str, repo: &str) {
        lock(&self.heads).remove(&(namespace.to_owned(), repo.to_owned()));
    }

    /// Records a head. Says whether it is another one than before.
    pub fn set(&self, namespace: &str, repo: &str, grounded: Grounded) -> bool {
        let revision = grounded.revision.clone();
        let before = lock(&self.heads).insert((namespace.to_owned(), repo.to_owned()), grounded);
        before.is_none_or(|before| before.revision != revision)
    }
}

/// What a flow remembers of each object between two runs, by uid. All of it can be lost: it saves requests, never decides.
pub struct Memory<T> {
    entries: Mutex<HashMap<String, T>>,
}

impl<T> Default for Memory<T> {
    fn default() -> Self {
        Self { entries: Mutex::default() }
    }
}

impl<T: Default + Clone> Memory<T> {
    /// What was put last for an object.
    pub fn get<K: Resource>(&self, object: &K) -> T {
        lock(&self.entries).get(object.meta().uid.as_deref().unwrap_or_default()).cloned().unwrap_or_default()
    }

    /// A look at what was put last for an object.
    pub fn look<K: Resource, R>(&self, object: &K, look: impl FnOnce(&T) -> R) -> Option<R> {
        lock(&self.entries).get(object.meta().uid.as_deref().unwrap_or_default()).map(look)
    }

    /// Forgets the objects that are not among the living.
    pub fn retain(&self, living: &HashSet<String>) {
        lock(&self.entries).retain(|uid, _| living.contains(uid));
    }

    /// Remembers; one object is never reconciled twice at a time, so nothing is overwritten unseen.
    pub fn put<K: Resource>(&self, object: &K, entry: T) {
        lock(&self.entries).insert(object.meta().uid.clone().unwrap_or_default(), entry);
    }
}

/// What every flow remembers of an object: the status it wrote last (the watch may still show an older one), and its failures.
#[derive(Debug, Clone, Default)]
pub struct Progress<S> {
    /// The status as it was last written.
    pub status: Option<S>,
    /// The generation that was last acted on.
    pub generation: Option<i64>,
    /// Failures in a row.
    pub failures: u32,
    /// When the outside was last asked.
    pub asked: Option<Instant>,
}

/// The value of the annotation that asks for a reconcile now.
pub fn requested_at<K: Resource>(object: &K) -> Option<String> {
    object.annotations().get(REQUESTED_AT).cloned()
}

/// Waits until a watch has listed once; a failing one is reported, not waited for.
pub(crate) async fn synced(mut state: watch::Receiver<crate::cluster::watches::WatchState>) -> Result<(), String> {
    use crate::cluster::watches::WatchState;
    let state = state.wait_for(|state| *state != WatchState::Starting).await;
    match state.as_deref() {
        Ok(WatchState::Failed(text)) => Err(text.clone()),
        Ok(_) => Ok(()),
        Err(_) => Err("the watch ended".to_owned()),
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
