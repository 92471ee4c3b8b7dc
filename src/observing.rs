//! Loop two's eyes: watches of every kind that matters to a GitSync, what they say of its objects' health, and whose rights they use.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use kube::ResourceExt;
use kube::runtime::reflector::ObjectRef;
use tokio::sync::mpsc;

use crate::api::condition::Reason;
use crate::api::git_sync::ObjectHealth;
use crate::api::{APPLIES, GitSync};
use crate::clock::Now;
use crate::cluster::remote::Site;
use crate::cluster::watches::{Listener, One, Seen, WatchKey};
use crate::cluster::{Cluster, Error, Identity};
use crate::context::{Context, synced};
use crate::failure::Failure;
use crate::object::{Gvk, Manifest, ObjectKey};
use crate::rendering::Rendering;
use crate::sync::Remembered;
use crate::sync::health::Health;
use crate::sync::inventory::Inventory;
use crate::sync::observed::{Owner, Table};
use crate::sync::render::remote_uid;

/// How long a watch may take to list for the first time.
pub(crate) const LIST_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a workload may be unhealthy before its pods are looked at.
pub(crate) const PODS_AFTER: Duration = Duration::from_secs(1);

/// The watches of a run, by kind and namespace.
pub type Keys = BTreeMap<(Gvk, String), WatchKey>;

/// Hands what the watches see to the table, and wakes whom it concerns.
pub fn listener(table: Arc<Table>, wake: mpsc::UnboundedSender<ObjectRef<GitSync>>) -> Listener {
    Arc::new(move |key: &WatchKey, seen: Seen| {
        let view = view(key);
        let owners = match &key.one {
            Some(One { asker: Some(asker), .. }) => see_one(&table, &view, asker, seen),
            Some(One { asker: None, .. }) => see_referred(&table, &view, &seen),
            None => see(&table, &view, key.is_owned, seen),
        };
        for (namespace, name) in owners {
            let _ = wake.send(ObjectRef::new(&name).within(&namespace));
        }
    })
}

/// What a watch of a kind saw: owned objects, or pods. Returns whom to wake, as all three.
fn see(table: &Table, view: &String, is_owned: bool, seen: Seen) -> Vec<Owner> {
    match (is_owned, seen) {
        (true, Seen::Restarted) => {
            table.restart(view);
            Vec::new()
        }
        (true, Seen::Listed) => table.listed(view),
        (true, Seen::Object(object)) => table.see(view, &object),
        (true, Seen::Gone(object)) => table.gone(view, &object).into_iter().collect(),
        (false, Seen::Object(pod)) => table.see_pod(view, &pod),
        (false, Seen::Gone(pod)) => {
            table.forget_pod(view, pod.pointer("/metadata/name").and_then(|n| n.as_str()).unwrap_or_default())
        }
        (false, _) => Vec::new(),
    }
}

/// What a watch of a single object saw that is judged for one GitSync.
fn see_one(table: &Table, view: &String, asker: &Owner, seen: Seen) -> Vec<Owner> {
    let is_news = match seen {
        Seen::Restarted => {
            table.restart(view);
            false
        }
        Seen::Listed => {
            table.listed(view);
            true
        }
        Seen::Object(object) => table.see_for(view, &object, asker),
        Seen::Gone(object) => {
            table.gone(view, &object);
            true
        }
    };
    if is_news { vec![asker.clone()] } else { Vec::new() }
}

/// What a watch of a single object saw that GitSyncs refer to.
fn see_referred(table: &Table, view: &String, seen: &Seen) -> Vec<Owner> {
    match seen {
        Seen::Restarted => {
            table.referred.restart(view);
            Vec::new()
        }
        Seen::Listed => table.referred.listed(view),
        Seen::Object(object) => table.referred.see(view, object),
        Seen::Gone(_) => table.referred.gone(view),
    }
}

/// The name under which the table knows a watch.
pub(crate) fn view(key: &WatchKey) -> String {
    let namespace = key.namespace.as_deref().unwrap_or_default();
    let one = key.one.as_ref().map(|one| format!("|{}|{:?}", one.name, one.asker)).unwrap_or_default();
    let site = match &key.site {
        Site::Home => String::new(),
        Site::Remote { way, .. } => format!("{way}|"),
    };
    format!("{site}{}|{}|{}|{namespace}|{}{one}", key.identity, key.gvk.api_version(), key.gvk.kind, key.is_owned)
}

/// Namespace and name, as the owner labels hold them.
pub(crate) fn owner(sync: &GitSync) -> Owner {
    (sync.namespace().unwrap_or_default(), sync.name_any())
}

impl Context {
    /// Whether a GitSync owns an object of a cluster; `uid` is the one that the object's labels name beside it. One of a namespace that
    /// we do not serve always does, as we can't know.
    pub(crate) fn owns(
        &self,
        (namespace, name): &Owner,
        uid: Option<&str>,
        cluster: &Cluster,
        key: &ObjectKey,
    ) -> bool {
        let is_served = self.settings.namespace.as_ref().is_none_or(|served| served == namespace);
        let Some(sync) = self.stores.git_syncs.get(&ObjectRef::new(name).within(namespace)) else { return !is_served };
        if remote_uid(&sync).as_deref() != uid {
            return false;
        }
        let here = |owned: &Inventory| owned.cluster() == cluster.site().cluster() && owned.contains(key);
        let holds = |memory: &Remembered| memory.inventory.as_ref().map(here);
        let recorded = || Some(here(&Inventory::decode(sync.status.as_ref()?.inventory.as_ref()?)));
        // Of one that died at its first apply, the labels are all that is known.
        let died = || sync.annotations().contains_key(APPLIES);
        self.syncs.look(&*sync, holds).flatten().or_else(recorded).unwrap_or_else(died)
    }

    /// What was rendered last for a GitSync.
    pub(crate) fn rendered(&self, sync: &GitSync) -> Option<Arc<Rendering>> {
        self.syncs.look(sync, |memory| memory.rendering.clone()).flatten()
    }

    /// The other GitSyncs that render an object for a cluster: when one gives it up, they take it over.
    pub(crate) fn heirs(&self, sync: &GitSync, cluster: &Cluster, key: &ObjectKey) -> Vec<Arc<GitSync>> {
        let renders = |memory: &Remembered| {
            let there = memory.cluster.as_ref().map(|cluster| cluster.site().cluster());
            let is_there = there == Some(cluster.site().cluster());
            is_there && memory.rendering.as_ref().is_some_and(|rendering| rendering.hashes.contains_key(key))
        };
        let wants = |other: &Arc<GitSync>| {
            other.uid() != sync.uid() && !other.spec.suspend && self.syncs.look(&**other, renders).unwrap_or(false)
        };
        self.stores.git_syncs.state().into_iter().filter(wants).collect()
    }
}

/// Whose rights a GitSync uses in its own cluster.
pub(crate) fn identity(sync: &GitSync, context: &Context) -> Identity {
    match sync.spec.service_account_name.clone().or_else(|| context.settings.default_service_account.clone()) {
        Some(name) => Identity::ServiceAccount { namespace: sync.namespace().unwrap_or_default(), name },
        None => Identity::Controller,
    }
}

/// What could be watched, and what not.
#[derive(Default)]
pub(crate) struct Watched {
    /// The watches.
    pub keys: Keys,
    /// Kinds and namespaces that the identity may not see.
    pub denied: BTreeMap<(Gvk, String), Failure>,
}

/// Starts what is not watched yet and waits for the first lists. The controller watches whole kinds; a service account only
/// where its objects are, as its rights end there.
///
/// # Errors
/// When the server can't be asked. What is denied stops nothing else.
pub(crate) async fn start(
    context: &Context,
    cluster: &Cluster,
    wanted: BTreeSet<(Gvk, String)>,
) -> Result<Watched, Failure> {
    let identity = cluster.identity();
    let mut watched = Watched::default();
    let mut states = BTreeMap::new();
    for (gvk, namespace) in wanted {
        let everywhere = *identity == Identity::Controller && context.settings.namespace.is_none();
        let in_namespace = Some(namespace.clone()).filter(|namespace| !namespace.is_empty() && !everywhere);
        let key = WatchKey {
            site: cluster.site().clone(),
            identity: identity.clone(),
            gvk: gvk.clone(),
            namespace: in_namespace,
            is_owned: true,
            one: None,
        };
        match context.watches.start(cluster, &key).await {
            Ok(state) => {
                states.insert(key.clone(), state);
                watched.keys.insert((gvk, namespace), key);
            }
            // Its definition may come with a stage of this very run.
            Err(Error::UnknownKind { .. }) => {}
            Err(error) => return Err(cluster_failure(&error)),
        }
    }
    let listed = states.into_iter().map(|(key, state)| async move {
        let listed = tokio::time::timeout(LIST_TIMEOUT, synced(state)).await;
        let listed = listed.unwrap_or_else(|_| Err("no list within 30 s".to_owned()));
        listed
            .err()
            .map(|reason| (key.clone(), format!("{} can't watch {}: {reason}", key.identity, key.gvk.kind), reason))
    });
    for (key, message, reason) in futures::future::join_all(listed).await.into_iter().flatten() {
        if !reason.contains("forbidden") {
            cluster.link().iter().for_each(|link| link.doubt());
            return Err(Failure::retry(Reason::ClusterUnavailable, message));
        }
        let failure = Failure::user(Reason::AccessDenied, message);
        let hidden = watched.keys.iter().filter(|(_, other)| **other == key);
        watched.denied.extend(hidden.map(|(place, _)| (place.clone(), failure.clone())));
        watched.keys.retain(|_, other| *other != key);
    }
    Ok(watched)
}

/// What is remembered of a GitSync whose objects are not all healthy.
#[derive(Debug, Clone, Default)]
pub struct Unhealthy {
    /// Since when.
    pub since: Option<Instant>,
    /// Since when some are unhealthy that are waited for.
    pub waited_since: Option<Instant>,
    /// The watches of their pods.
    pods: BTreeSet<WatchKey>,
    /// The watches of objects that others make.
    pub checks: BTreeSet<WatchKey>,
    /// One of those can't be watched now, so nobody will tell when it changes.
    pub is_blind: bool,
}

/// Status and message of what is not healthy.
pub(crate) fn fares(health: &Health) -> Option<(&'static str, String)> {
    match health {
        Health::Healthy => None,
        Health::Progressing(message) => Some(("Progressing", message.clone())),
        Health::Failed(message) => Some(("Failed", message.clone())),
    }
}

/// How every object fares; for workloads that stay unhealthy their pods are watched, as the reason stands there.
pub(crate) async fn health(
    context: &Context,
    (sync, cluster): (&GitSync, &Cluster),
    manifests: &[&Manifest],
    keys: &Keys,
    memory: &mut Unhealthy,
    now: Now,
) -> Vec<ObjectHealth> {
    let mut unhealthy = Vec::new();
    let mut pods = BTreeSet::new();
    let looks_at_pods = memory.since.is_some() && now.until(memory.since, PODS_AFTER).is_zero();
    for manifest in manifests {
        let key = keys.get(&(manifest.gvk.clone(), manifest.key.namespace.clone()));
        let entry = key.and_then(|key| context.table.get(&view(key), &manifest.key));
        let (mut status, mut message) = match entry.as_ref().map(|entry| fares(&entry.health)) {
            Some(None) => continue,
            Some(Some(said)) => said,
            None => ("Missing", "not seen in the cluster yet".to_owned()),
        };
        if let Some(selector) = entry.and_then(|entry| entry.selector).filter(|_| looks_at_pods) {
            let watch = pods_of(cluster, &manifest.key.namespace);
            if let Some(trouble) = context.table.trouble(&view(&watch), &selector) {
                (status, message) = ("Failed", trouble);
            }
            pods.insert(watch);
        }
        unhealthy.push(ObjectHealth { object: manifest.key.to_string(), status: status.to_owned(), message });
    }
    watch_pods(context, cluster, &owner(sync), memory, pods).await;
    unhealthy
}

/// Ends all watches that only this GitSync needs.
pub(crate) fn leave(context: &Context, sync: &GitSync, memory: &mut Unhealthy) {
    leave_pods(context, &owner(sync), memory, &BTreeSet::new());
    crate::awaiting::leave(context, memory.checks.iter());
    memory.checks.clear();
    context.table.set_rules(&owner(sync), None);
}

fn pods_of(cluster: &Cluster, namespace: &str) -> WatchKey {
    let (gvk, namespace) = (Gvk::new("v1", "Pod"), Some(namespace.to_owned()));
    let (site, identity) = (cluster.site().clone(), cluster.identity().clone());
    WatchKey { site, identity, gvk, namespace, is_owned: false, one: None }
}

fn leave_pods(context: &Context, owner: &Owner, memory: &mut Unhealthy, wanted: &BTreeSet<WatchKey>) {
    for key in memory.pods.difference(wanted) {
        if context.table.leave_pods(&view(key), owner) {
            context.watches.stop(key);
        }
    }
    memory.pods.retain(|key| wanted.contains(key));
}

async fn watch_pods(
    context: &Context,
    cluster: &Cluster,
    owner: &Owner,
    memory: &mut Unhealthy,
    wanted: BTreeSet<WatchKey>,
) {
    leave_pods(context, owner, memory, &wanted);
    for key in wanted.difference(&memory.pods) {
        context.table.wait_for_pods(&view(key), owner);
        if let Err(error) = context.watches.start(cluster, key).await {
            tracing::debug!("pods are not watched: {error}");
        }
    }
    memory.pods = wanted;
}

/// The reason for a failed request.
pub(crate) fn reason(error: &Error) -> Reason {
    match error {
        Error::Forbidden { .. } => Reason::AccessDenied,
        Error::Unavailable(_) | Error::Refused { code: 401, .. } => Reason::ClusterUnavailable,
        _ => Reason::ApplyFailed,
    }
}

/// What a failed request means for the GitSync.
pub(crate) fn cluster_failure(error: &Error) -> Failure {
    let reason = reason(error);
    if error.is_transient() {
        Failure::retry(reason, error.to_string())
    } else {
        Failure::user(reason, error.to_string())
    }
}
