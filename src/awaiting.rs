//! Loop two's patience: what a GitSync waits for beside its own objects (other GitSyncs, objects of others), and what healthy means
//! to it. All of it is told by watches; waiting holds nothing.

use std::collections::{BTreeMap, BTreeSet};

use futures::StreamExt;
use kube::ResourceExt;
use kube::runtime::reflector::ObjectRef;
use serde_json::Value;

use crate::api::condition::Reason;
use crate::api::git_sync::{HealthCheck, ObjectHealth};
use crate::api::{GitSync, GitSyncStatus};
use crate::cluster::Cluster;
use crate::cluster::watches::{One, WatchKey, WatchState};
use crate::context::Context;
use crate::failure::Failure;
use crate::object::{Gvk, Manifest, ObjectKey};
use crate::observing::{Keys, Unhealthy, fares, owner, view};
use crate::revision::Revision;
use crate::sync::dependencies::{self, Node, Wish};
use crate::sync::health::exprs::Rules;

/// How many objects are read at once to be judged by new rules.
const READS: usize = 8;

/// Reads the rules of a GitSync, so that the watches judge by them; at the first call those of all GitSyncs, since their objects
/// may be seen before they have their turn.
///
/// # Errors
/// When a rule can't be read: names it.
pub(crate) fn learn(context: &Context, sync: &GitSync) -> Result<(), Failure> {
    let table = &context.table;
    table.learned.get_or_init(|| {
        for other in context.stores.git_syncs.state() {
            if let Ok(rules @ Some(_)) = Rules::read(&other.spec.health_check_exprs, &table.pool) {
                table.set_rules(&owner(&other), rules);
            }
        }
    });
    table.set_rules(&owner(sync), Rules::read(&sync.spec.health_check_exprs, &table.pool)?);
    Ok(())
}

/// Reads and judges again what was judged by other rules than those of now. An object is not kept, so that costs a request
/// each; a restart needs none, as rules are known before the watches begin. Says whether all could be read.
pub(crate) async fn judge_anew(
    context: &Context,
    (sync, cluster): (&GitSync, &Cluster),
    manifests: &[Manifest],
    keys: &Keys,
) -> bool {
    let rules = context.table.rules(&owner(sync));
    let is_stale = |manifest: &&Manifest| {
        let key = keys.get(&(manifest.gvk.clone(), manifest.key.namespace.clone()));
        let entry = key.and_then(|key| context.table.get(&view(key), &manifest.key));
        let now = rules.as_ref().map_or(0, |rules| rules.id(&manifest.key.group, &manifest.key.kind));
        entry.is_some_and(|entry| entry.judged_by != now)
    };
    let stale = manifests.iter().filter(is_stale).map(|manifest| (manifest.gvk.clone(), manifest.key.clone()));
    let stale: Vec<(Gvk, ObjectKey)> = stale.collect();
    let reads = stale.into_iter().map(|(gvk, key)| {
        let cluster = cluster.clone();
        async move { (cluster.get(&gvk, &key).await, gvk, key.namespace) }
    });
    let mut reads = futures::stream::iter(reads).buffer_unordered(READS);
    let mut all = true;
    while let Some((read, gvk, namespace)) = reads.next().await {
        all &= read.is_ok();
        if let (Ok(Some(live)), Some(key)) = (read, keys.get(&(gvk, namespace))) {
            context.table.see(&view(key), &live);
        }
    }
    all
}

/// Whether all that a GitSync depends on is ready.
///
/// # Errors
/// Says what is not.
pub(crate) fn depend(context: &Context, sync: &GitSync, revision: &Revision) -> Result<(), Failure> {
    if sync.spec.depends_on.is_empty() {
        return Ok(());
    }
    let mut wishes = BTreeMap::new();
    for (index, dependency) in sync.spec.depends_on.iter().enumerate() {
        let ready =
            dependency.ready_expr.as_ref().map(|text| context.table.pool.compile(text, &dependencies::VARIABLES));
        let ready = ready.transpose().map_err(|mistake| {
            Failure::user(Reason::InvalidSpec, format!("spec.dependsOn[{index}].readyExpr, {mistake}"))
        })?;
        wishes.insert(index, ready);
    }
    let is_shown = wishes.values().any(Option::is_some);
    let own = owner(sync);
    let mut nodes: Vec<Node> = Vec::new();
    let mut left = vec![own.clone()];
    let mut seen = BTreeSet::new();
    while let Some(name) = left.pop() {
        if !seen.insert(name.clone()) {
            continue;
        }
        let Some(other) = context.stores.git_syncs.get(&ObjectRef::new(&name.1).within(&name.0)) else { continue };
        // The store may be behind what this very run is about.
        let other = if name == own { sync } else { &*other };
        let mut node = node(context, other, is_shown);
        if name == own {
            node.depends_on.iter_mut().zip(wishes.values()).for_each(|(wish, ready)| wish.ready.clone_from(ready));
        }
        left.extend(node.depends_on.iter().map(|wish| wish.name.clone()));
        nodes.push(node);
    }
    dependencies::check(&own, revision, &nodes)
}

fn node(context: &Context, other: &GitSync, is_shown: bool) -> Node {
    // What was written last may be newer than what the watch shows.
    let written = context.syncs.look(other, |memory| memory.written()).flatten();
    let status: GitSyncStatus = written.or_else(|| other.status.clone()).unwrap_or_default();
    let namespace = other.namespace().unwrap_or_default();
    let wishes = other.spec.depends_on.iter().map(|dependency| Wish {
        name: (dependency.namespace.clone().unwrap_or_else(|| namespace.clone()), dependency.name.clone()),
        ready: None,
    });
    Node {
        name: owner(other),
        repo: other.spec.config_repo_ref.name.clone(),
        depends_on: wishes.collect(),
        grants: other.spec.access_from.clone(),
        is_ready: crate::sync::is_ready(&status) && status.observed_generation == other.metadata.generation,
        applied: status.last_applied_revision.clone(),
        object: is_shown.then(|| object(other, &status)),
    }
}

/// A GitSync as expressions see it, with the newest status.
fn object(sync: &GitSync, status: &GitSyncStatus) -> Value {
    let mut object = serde_json::to_value(sync).unwrap_or_default();
    object["status"] = serde_json::to_value(status).unwrap_or_default();
    object
}

/// Wakes the GitSyncs that depend on this one: when it became ready, applied another revision, or changed in any way that an
/// expression may look at.
pub(crate) fn wake_dependants(context: &Context, sync: &GitSync, before: &GitSyncStatus, status: &GitSyncStatus) {
    let own = owner(sync);
    let is_news = crate::sync::is_ready(before) != crate::sync::is_ready(status)
        || before.last_applied_revision != status.last_applied_revision
        // Another spec may grant another access.
        || before.observed_generation != status.observed_generation;
    if before == status {
        return;
    }
    let all = context.stores.git_syncs.state();
    for other in all.iter().filter(|other| !other.spec.depends_on.is_empty()) {
        let namespace = other.namespace().unwrap_or_default();
        let waits = other.spec.depends_on.iter().any(|dependency| {
            let is_it = dependency.name == own.1 && *dependency.namespace.as_ref().unwrap_or(&namespace) == own.0;
            is_it && (is_news || dependency.ready_expr.is_some())
        });
        if waits {
            let _ = context.wakes.git_syncs.send(ObjectRef::from_obj(&**other));
        }
    }
}

/// The objects of `spec.healthChecks`.
pub(crate) struct Others {
    /// Those that are not healthy.
    pub unhealthy: Vec<ObjectHealth>,
    /// How many there are that the GitSync does not apply itself.
    pub count: usize,
    /// What all of them are called in a status, its own ones too.
    pub named: BTreeSet<String>,
}

/// How the objects fare that others make. Each has a watch of its own, with the rights of the GitSync.
pub(crate) async fn others(
    context: &Context,
    (sync, cluster): (&GitSync, &Cluster),
    manifests: &[Manifest],
    memory: &mut Unhealthy,
) -> Others {
    let mut others = Others { unhealthy: Vec::new(), count: 0, named: BTreeSet::new() };
    let mut watched = BTreeSet::new();
    memory.is_blind = false;
    for check in &sync.spec.health_checks {
        let key = named(check, sync);
        others.named.insert(key.to_string());
        let is_own = |manifest: &Manifest| {
            let own = &manifest.key;
            // A kind of the whole cluster has no namespace, whatever the check says.
            let is_there = own.namespace == key.namespace || own.namespace.is_empty();
            is_there && (&own.group, &own.kind, &own.name) == (&key.group, &key.kind, &key.name)
        };
        if let Some(own) = manifests.iter().find(|manifest| is_own(manifest)) {
            others.named.insert(own.key.to_string());
            continue;
        }
        others.count += 1;
        let watch = WatchKey {
            site: cluster.site().clone(),
            identity: cluster.identity().clone(),
            gvk: Gvk::new(&check.api_version, &check.kind),
            namespace: Some(key.namespace.clone()),
            is_owned: false,
            one: Some(One { name: check.name.clone(), asker: Some(owner(sync)) }),
        };
        let said = look(context, (sync, cluster), &watch, &key).await;
        memory.is_blind |= said.as_ref().is_some_and(|(_, _, is_blind)| *is_blind);
        if let Some((status, message, _)) = said {
            others.unhealthy.push(ObjectHealth { object: key.to_string(), status: status.to_owned(), message });
        }
        watched.insert(watch);
    }
    leave(context, memory.checks.difference(&watched));
    memory.checks = watched;
    others
}

fn named(check: &HealthCheck, sync: &GitSync) -> ObjectKey {
    let namespace = check.namespace.clone().or_else(|| sync.namespace()).unwrap_or_default();
    let gvk = Gvk::new(&check.api_version, &check.kind);
    ObjectKey { group: gvk.group, kind: gvk.kind, namespace, name: check.name.clone() }
}

/// Status and message of an object that is not healthy, and whether nobody will tell when that changes.
async fn look(
    context: &Context,
    (sync, cluster): (&GitSync, &Cluster),
    watch: &WatchKey,
    key: &ObjectKey,
) -> Option<(&'static str, String, bool)> {
    let state = match context.watches.start(cluster, watch).await {
        Ok(state) => state.borrow().clone(),
        Err(error) => return Some(("Missing", error.to_string(), true)),
    };
    let rules = context.table.rules(&owner(sync)).map_or(0, |rules| rules.id(&key.group, &key.kind));
    if context.table.only(&view(watch)).is_some_and(|entry| entry.judged_by != rules)
        && let Ok(Some(live)) = cluster.get(&watch.gvk, key).await
    {
        context.table.see_for(&view(watch), &live, &owner(sync));
    }
    match (context.table.only(&view(watch)), state) {
        (Some(entry), _) => fares(&entry.health).map(|(status, message)| (status, message, false)),
        (None, WatchState::Failed(reason)) => Some(("Missing", format!("can't be watched: {reason}"), false)),
        (None, WatchState::Starting) => Some(("Missing", "not seen yet".to_owned(), false)),
        (None, WatchState::Synced) => Some(("Missing", "does not exist".to_owned(), false)),
    }
}

/// Ends watches of single objects.
pub(crate) fn leave<'a>(context: &Context, watches: impl Iterator<Item = &'a WatchKey>) {
    for key in watches {
        context.watches.stop(key);
        context.table.forget(&view(key));
    }
}
