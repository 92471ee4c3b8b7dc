//! Loop two's end: a GitSync is deleted → what it applied is deleted, then it may go.

use std::time::Duration;

use kube::ResourceExt;
use kube::runtime::controller::Action as Requeue;

use crate::api::condition::Reason;
use crate::api::git_sync::DeletionPolicy;
use crate::api::{FINALIZER, GitSync, GitSyncStatus};
use crate::applying::announced;
use crate::clock;
use crate::cluster::Cluster;
use crate::cluster::events::Severity;
use crate::context::{Context, requested_at};
use crate::failure::Failure;
use crate::observing::{cluster_failure, owner, start, view};
use crate::referring::{self, References};
use crate::remotes;
use crate::sync::inventory::Inventory;
use crate::sync::render::remote_uid;
use crate::sync::{Remembered, order, places, recorded, status};

/// Deletes what a GitSync applied, then lets it go.
pub(crate) async fn finalize(
    sync: &GitSync,
    context: &Context,
    memory: &mut Remembered,
    before: &GitSyncStatus,
) -> Requeue {
    let finalizers: Vec<String> =
        sync.finalizers().iter().filter(|finalizer| *finalizer != FINALIZER).cloned().collect();
    if finalizers.len() == sync.finalizers().len() {
        end(sync, context, memory);
        return Requeue::await_change();
    }
    let policy = sync.spec.deletion_policy;
    let deletes = match policy {
        DeletionPolicy::MirrorPrune => sync.spec.prune,
        DeletionPolicy::Delete | DeletionPolicy::WaitForTermination => true,
        DeletionPolicy::Orphan => false,
    };
    let deleted = if deletes && !sync.spec.suspend {
        match remotes::reach(context, sync, memory).await {
            Ok(Some(reached)) => delete_all(sync, context, &reached.cluster, before, recorded(memory, before)).await,
            Ok(None) => return Requeue::requeue(remotes::LATER),
            Err(failure) => Err(failure),
        }
    } else {
        Ok(Vec::new())
    };
    let deleted = match deleted {
        Ok(left) if policy == DeletionPolicy::WaitForTermination && !left.is_empty() && !is_late(sync) => {
            let message = format!("waiting until what it applied is gone: {}", status::few(&left));
            Err(Failure::retry(Reason::Progressing, message))
        }
        Ok(_) => Ok(()),
        Err(failure) => Err(failure),
    };
    let left = match &deleted {
        // Its rights or its kubeconfig went before it did: nobody can delete for it any more, and waiting would hold its namespace for
        // ever.
        Err(failure) if failure.reason == Reason::AccessDenied || failure.reason == Reason::DependencyNotReady => {
            let note = format!("let go without deleting: {failure}");
            let _ = context.cluster.publish(sync, Severity::Warning, failure.reason, &note, clock::now().wall).await;
            None
        }
        Err(failure) => Some(with_way_out(sync, failure)),
        Ok(()) => None,
    };
    let written = match left {
        None => {
            context.cluster.write_finalizers(sync, &finalizers, None).await.map_err(|error| cluster_failure(&error))
        }
        Some(failure) => Err(failure),
    };
    match written {
        Ok(()) => {
            end(sync, context, memory);
            Requeue::await_change()
        }
        Err(failure) => {
            let status = status::next(
                before,
                &Err(failure.clone().into()),
                sync.metadata.generation,
                requested_at(sync),
                clock::now().wall,
            );
            let _ = context.cluster.write_status(sync, before, &status).await;
            tracing::warn!(
                kind = "GitSync",
                namespace = sync.namespace(),
                name = sync.name_any(),
                "not deleted yet: {failure}"
            );
            Requeue::requeue(Duration::from_secs(2))
        }
    }
}

/// Ends all that was kept for it.
fn end(sync: &GitSync, context: &Context, memory: &mut Remembered) {
    referring::follow(context, sync, &mut memory.references, References::new());
    remotes::leave(context, sync, memory);
}

/// Nobody may ever mend what another cluster's kubeconfig lacks.
fn with_way_out(sync: &GitSync, failure: &Failure) -> Failure {
    let is_of_cluster = matches!(failure.reason, Reason::ClusterUnavailable | Reason::InvalidSecret);
    let hint = "spec.deletionPolicy: Orphan lets the GitSync go and leaves its objects there";
    match sync.spec.kube_config.is_some() && is_of_cluster {
        true => Failure { message: format!("{failure}; {hint}"), ..failure.clone() },
        false => failure.clone(),
    }
}

/// Whether the objects had `timeout` to go.
fn is_late(sync: &GitSync) -> bool {
    let since = sync.metadata.deletion_timestamp.as_ref().map_or(0, |time| time.0.as_second());
    let timeout = i64::try_from(sync.spec.timeout.0.as_secs()).unwrap_or(i64::MAX);
    clock::now().wall.timestamp().saturating_sub(since) >= timeout
}

/// Deletes what is owned. Returns what is still there.
async fn delete_all(
    sync: &GitSync,
    context: &Context,
    cluster: &Cluster,
    before: &GitSyncStatus,
    owned: Inventory,
) -> Result<Vec<String>, Failure> {
    let here = cluster.site().cluster();
    let mut owned = owned;
    if owned.cluster() != here {
        // What is in another cluster can't be reached by this way.
        if let Some(note) = remotes::left_behind(&owned) {
            let now = clock::now().wall;
            let _ = context.cluster.publish(sync, Severity::Warning, Reason::ClusterChanged, &note, now).await;
        }
        owned = Inventory::of(here);
    }
    let wanted = places::owned(&owned).chain(announced(sync, before)).collect();
    let watched = start(context, cluster, wanted).await?;
    if let Some(denied) = watched.denied.into_values().next() {
        return Err(denied);
    }
    let keys = watched.keys;
    let (owner, uid) = (owner(sync), remote_uid(sync));
    for ((gvk, _), key) in &keys {
        context
            .table
            .owned(&view(key), &owner, uid.as_deref())
            .into_iter()
            .for_each(|labelled| owned.add(labelled, &gvk.version));
    }
    let (mut gone, mut left) = (Vec::new(), Vec::new());
    for key in order::prune_order(owned.objects().map(|(key, _)| key.clone()).collect()) {
        let found = keys.iter().find(|((gvk, namespace), _)| {
            gvk.group == key.group && gvk.kind == key.kind && *namespace == key.namespace
        });
        let Some(((gvk, _), watch)) = found else { continue };
        let entry = context.table.get(&view(watch), &key);
        let ours = entry.filter(|entry| {
            entry.observed.is_of(&owner, uid.as_deref()) && !entry.observed.kept.when_deleted && !owned.is_left(&key)
        });
        left.extend(ours.is_some().then(|| key.to_string()));
        if let Some(entry) = ours.filter(|entry| !entry.observed.deleting) {
            cluster.delete(gvk, &key, &entry.observed.uid).await.map_err(|error| cluster_failure(&error))?;
            context.table.leaves(&key, &entry.observed.uid);
            gone.push(key.to_string());
        }
    }
    if !gone.is_empty() {
        let note = format!("deleted with its GitSync: {}", status::few(&gone));
        let _ = context.cluster.publish(sync, Severity::Normal, Reason::Pruned, &note, clock::now().wall).await;
    }
    Ok(left)
}
