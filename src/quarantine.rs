//! A panic in one object's run is that object's failure and nobody else's: it is told, and the object waits ever longer for its next
//! run. So no object can end the controller, nor its next life.

use std::panic::AssertUnwindSafe;
use std::time::Instant;

use chrono::{DateTime, Utc};
use futures::FutureExt;
use k8s_openapi::NamespaceResourceScope;
use kube::runtime::controller::Action;
use kube::{Resource, ResourceExt};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::api::condition::Reason;
use crate::api::{
    ConfigRepo, ConfigRepoStatus, GitSync, GitSyncStatus, ImagePolicy, ImagePolicyStatus, ImageUpdate,
    ImageUpdateStatus,
};
use crate::clock::{self, Now};
use crate::cluster::events::Severity;
use crate::context::{Context, Memory, Progress, requested_at};
use crate::failure::{Failure, backoff};
use crate::telemetry;

pub mod unreadable;

/// Does the work to its end or to its panic.
///
/// # Errors
/// When it panicked.
pub async fn caught<T>(work: impl Future<Output = T>) -> Result<T, Failure> {
    // In its own place: a run's state is large, and each layer around it would hold it on the stack.
    let done = AssertUnwindSafe(Box::pin(work)).catch_unwind().await;
    done.map_err(|_| Failure::bug(&telemetry::panicked()))
}

/// Does work that takes its time away from those who must not wait.
///
/// # Errors
/// When it panicked.
pub async fn caught_aside<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Failure> {
    let work = move || {
        let done = std::panic::catch_unwind(AssertUnwindSafe(work));
        done.map_err(|_| Failure::bug(&telemetry::panicked()))
    };
    let cut_off = |_| Failure::retry(Reason::InternalError, "the work was cut off, as the process ends");
    tokio::task::spawn_blocking(work).await.map_err(cut_off)?
}

/// How long an object waits whose last run panicked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Held {
    panics: u32,
    until: Option<Instant>,
    of: Option<Asked>,
}

/// What a person can do about an object: change it, ask for a run, or delete it.
type Asked = (Option<i64>, Option<String>, bool);

fn asked<K: Resource>(object: &K) -> Asked {
    (object.meta().generation, requested_at(object), object.meta().deletion_timestamp.is_some())
}

impl Held {
    /// After one more panic of an object.
    fn longer(&self, of: Asked, now: Now) -> Self {
        let panics = self.panics.saturating_add(1);
        Self { panics, until: Some(now.steady + backoff(panics)), of: Some(of) }
    }

    /// Whether whatever wakes the object has to wait: what others did may be the cure, but is no reason to run without a pause. What a
    /// person did to the object itself is.
    fn until(&self, of: &Asked, now: Now) -> Option<Instant> {
        self.until.filter(|until| *until > now.steady && self.of.as_ref() == Some(of))
    }
}

/// Runs a flow over an object.
pub async fn run<K: Item>(object: &K, context: &Context, flow: impl Future<Output = Action>) -> Action {
    let held = context.held.get(object);
    let now = clock::now();
    if let Some(until) = held.until(&asked(object), now) {
        return Action::requeue(until - now.steady);
    }
    let failure = match caught(flow).await {
        Ok(action) => {
            if held.panics > 0 {
                context.held.put(object, Held::default());
            }
            return action;
        }
        Err(failure) => failure,
    };
    let held = held.longer(asked(object), clock::now());
    let again = failure.retry_after(held.panics, object.meta().uid.as_deref());
    context.held.put(object, held);
    if caught(tell(object, context, &failure)).await.is_err() {
        tracing::error!(kind = K::KIND, namespace = object.namespace(), name = object.name_any(), "can't be told");
    }
    Action::requeue(again)
}

async fn tell<K: Item>(object: &K, context: &Context, failure: &Failure) {
    let (namespace, name) = (object.namespace().unwrap_or_default(), object.name_any());
    tracing::error!(kind = K::KIND, namespace, name, "{failure}");
    context.metrics.reconciled(K::KIND, Some(failure.reason));
    let mut memory = K::memory(context).get(object);
    let before = K::progress(&mut memory).status.clone().or_else(|| object.shown()).unwrap_or_default();
    let now = clock::now().wall;
    let after = object.failed(&before, failure, now);
    match context.cluster.write_status(object, &before, &after).await {
        Ok(_) if before == after => {}
        Ok(_) => {
            K::progress(&mut memory).status = Some(after);
            K::memory(context).put(object, memory);
            let _ = context.cluster.publish(object, Severity::Warning, failure.reason, &failure.message, now).await;
            if K::KIND == "ConfigRepo" {
                // They say so if they have never seen it.
                context.wake_dependants(&namespace, &name);
            }
        }
        Err(error) => tracing::warn!(kind = K::KIND, namespace, name, "status not written: {error}"),
    }
}

/// One of the four kinds: what is remembered of it, and its status after a failure.
pub trait Item:
    Resource<DynamicType = (), Scope = NamespaceResourceScope>
    + Clone
    + std::fmt::Debug
    + DeserializeOwned
    + Send
    + Sync
    + 'static
{
    /// The kind's name.
    const KIND: &'static str;
    /// Its status.
    type Status: Clone + Default + PartialEq + Serialize + Send + Sync;
    /// What its flow remembers of an object.
    type Remembered: Clone + Default + Send + Sync;
    /// Where that is.
    fn memory(context: &Context) -> &Memory<Self::Remembered>;
    /// The part of it that all flows have.
    fn progress(memory: &mut Self::Remembered) -> &mut Progress<Self::Status>;
    /// The status that the watch shows.
    fn shown(&self) -> Option<Self::Status>;
    /// The status after a failure.
    fn failed(&self, before: &Self::Status, failure: &Failure, now: DateTime<Utc>) -> Self::Status;
}

macro_rules! items {
    ($($kind:ident, $status:ident, $flow:ident, $memory:ident;)*) => { $(
        impl Item for $kind {
            const KIND: &'static str = stringify!($kind);
            type Status = $status;
            type Remembered = crate::$flow::Remembered;
            fn memory(context: &Context) -> &Memory<Self::Remembered> {
                &context.$memory
            }
            fn progress(memory: &mut Self::Remembered) -> &mut Progress<Self::Status> {
                &mut memory.progress
            }
            fn shown(&self) -> Option<Self::Status> {
                self.status.clone()
            }
            fn failed(&self, before: &Self::Status, failure: &Failure, now: DateTime<Utc>) -> Self::Status {
                let failed = Err(failure.clone().into());
                crate::$flow::status::next(before, &failed, self.metadata.generation, requested_at(self), now)
            }
        }
    )* };
}

items! {
    ConfigRepo, ConfigRepoStatus, source, repos;
    ImagePolicy, ImagePolicyStatus, watch, policies;
    ImageUpdate, ImageUpdateStatus, update, updates;
    GitSync, GitSyncStatus, sync, syncs;
}

#[cfg(test)]
mod tests;
