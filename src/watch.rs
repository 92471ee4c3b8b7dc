//! LOOP 1a: registry → tags → decision → ImagePolicy status → wakes the commits.
//!
//! 1. policy (pure)  2. is it time to ask, or was it asked for?  3. credentials (cluster)  4. tags (registry, shared and whole)
//! 5. choose (pure)  6. status, event (pure, cluster)  7. wake the ImageUpdates of the namespace

use std::sync::Arc;
use std::time::Duration;

use kube::ResourceExt;
use kube::runtime::controller::Action;
use kube::runtime::reflector::ObjectRef;

pub mod version;
pub mod range;
pub mod number;
pub mod filter;
pub mod policy;
pub mod decide;
pub mod status;

use crate::api::condition::Reason;
use crate::api::{ImagePolicy, ImagePolicyStatus};
use crate::clock::{self, Now};
use crate::cluster::events::Severity;
use crate::context::{Context, Progress, requested_at};
use crate::failure::{Answer, Failure, chain};
use crate::registry::{self, Access};
use crate::source::secret_failure;
use policy::Policy;
use status::Outcome;

/// How long one scan may take, all pages together.
const SCAN_TIMEOUT: Duration = Duration::from_secs(60);

/// What is remembered of an ImagePolicy.
#[derive(Clone, Default)]
pub struct Remembered {
    progress: Progress<ImagePolicyStatus>,
    /// What the Secret held when it was last read.
    access: Option<Access>,
}

impl Remembered {
    /// The status as it was last written.
    pub fn written(&self) -> Option<&ImagePolicyStatus> {
        self.progress.status.as_ref()
    }
}

/// Brings one ImagePolicy's choice up to date.
pub async fn reconcile(policy: Arc<ImagePolicy>, context: Arc<Context>) -> Action {
    let now = clock::now();
    let mut memory = context.policies.get(&*policy);
    let before = memory.progress.status.clone().or_else(|| policy.status.clone()).unwrap_or_default();
    let outcome = judge(&policy, &context, &mut memory, &before, now).await;
    let status = status::next(&before, &outcome, policy.metadata.generation, requested_at(&*policy), now.wall);
    let mut again = match &outcome {
        Ok(Outcome::Suspended) => Duration::from_secs(24 * 3600),
        Ok(_) => {
            memory.progress.failures = 0;
            now.until(memory.progress.asked, policy.spec.interval.0).max(Duration::from_secs(1))
        }
        Err(failure) => {
            memory.progress.failures += 1;
            tracing::warn!(kind = "ImagePolicy", namespace = policy.namespace(), name = policy.name_any(), "{failure}");
            failure.retry_after(memory.progress.failures)
        }
    };
    context.metrics.reconciled("ImagePolicy", outcome.as_ref().err().map(|failure| failure.reason));
    let mut is_news = memory.progress.generation != policy.metadata.generation;
    match context.cluster.write_status(&*policy, &before, &status).await {
        Ok(()) => {
            is_news |= status.latest_ref != before.latest_ref;
            memory.progress.status = Some(status.clone());
        }
        Err(error) => {
            tracing::warn!(kind = "ImagePolicy", name = policy.name_any(), "status not written: {error}");
            again = again.min(Duration::from_secs(2));
            // Not remembered, so that the next run does not take "not due" for "written".
            memory.progress.asked = None;
        }
    }
    memory.progress.generation = policy.metadata.generation;
    let is_written = memory.progress.status.as_ref() == Some(&status);
    context.policies.put(&*policy, memory);
    // Only now, as who is woken reads what was put; and before the event, which nobody waits for.
    if is_news {
        wake_updates(&policy, &context);
    }
    if is_written {
        tell(&policy, &context, &before, &status, now).await;
    }
    Action::requeue(again)
}

async fn judge(
    object: &ImagePolicy,
    context: &Context,
    memory: &mut Remembered,
    before: &ImagePolicyStatus,
    now: Now,
) -> Result<Outcome, Failure> {
    if object.spec.suspend {
        return Ok(Outcome::Suspended);
    }
    let policy =
        Policy::parse(&object.spec).map_err(|invalid| Failure::user(Reason::InvalidSpec, format!("{invalid}")))?;
    let is_asked_for = requested_at(object) != before.last_handled_reconcile_at;
    let is_due = now.until(memory.progress.asked, object.spec.interval.0).is_zero() || memory.progress.failures > 0;
    if !is_due && !is_asked_for && memory.progress.generation == object.metadata.generation {
        return Ok(Outcome::NotDue);
    }
    memory.progress.asked = Some(now.steady);
    let within = if is_asked_for { Duration::ZERO } else { object.spec.interval.0 };
    // The Secret is read again when the object changed, when somebody asks, and when the registry no longer takes what it held.
    let is_same = memory.progress.generation == object.metadata.generation;
    let (access, is_kept) = match memory.access.take().filter(|_| is_same && !is_asked_for) {
        Some(kept) => (kept, true),
        None => (self::access(object, &policy, context).await?, false),
    };
    let mut found = context.registry.tags(&access, within, SCAN_TIMEOUT).await;
    let access =
        if is_kept && matches!(found, Err(registry::Error::Authentication { .. } | registry::Error::NotFound { .. })) {
            let access = self::access(object, &policy, context).await?;
            found = context.registry.tags(&access, within, SCAN_TIMEOUT).await;
            access
        } else {
            access
        };
    let list = found.map_err(|error| failure(&error))?;
    memory.access = Some(access);
    let current =
        before.latest_ref.as_ref().filter(|latest| latest.name == policy.image.as_str()).map(|latest| &latest.tag);
    let choice = decide::choose(&policy, current, &list.tags);
    Ok(Outcome::Judged {
        image: policy.image.clone(),
        chosen: choice.chosen,
        held: choice.held.map(|held| held.reason),
        tags: u32::try_from(list.tags.len()).unwrap_or(u32::MAX),
    })
}

async fn access(object: &ImagePolicy, policy: &Policy, context: &Context) -> Result<Access, Failure> {
    let credential = match &object.spec.secret_ref {
        None => None,
        Some(secret) => {
            let namespace = object.namespace().unwrap_or_default();
            let data =
                context.cluster.secret(&namespace, &secret.name).await.map_err(|error| secret_failure(&error))?;
            let invalid = |reason: String| {
                Failure::user(Reason::InvalidSecret, format!("Secret {namespace}/{}: {reason}", secret.name))
            };
            let config = data
                .get(".dockerconfigjson")
                .ok_or_else(|| invalid("it lacks the key .dockerconfigjson".to_owned()))?;
            registry::credential(config, &policy.image).map_err(invalid)?
        }
    };
    Ok(Access { insecure: object.spec.insecure, credential, ..Access::new(policy.image.clone()) })
}

/// Tells people when the choice changed, or why there is none.
async fn tell(
    policy: &ImagePolicy,
    context: &Context,
    before: &ImagePolicyStatus,
    status: &ImagePolicyStatus,
    now: Now,
) {
    let reason = |status: &ImagePolicyStatus| {
        status.conditions.first().map(|c| (c.status.clone(), c.reason.clone(), c.message.clone()))
    };
    if status.latest_ref != before.latest_ref {
        if let Some(latest) = &status.latest_ref {
            let note = match &before.latest_ref {
                Some(previous) => format!("chose {}:{} (was {})", latest.name, latest.tag, previous.tag),
                None => format!("chose {}:{}", latest.name, latest.tag),
            };
            tracing::info!(namespace = policy.namespace(), name = policy.name_any(), "{note}");
            let _ = context.cluster.publish(policy, Severity::Normal, Reason::Chosen, &note, now.wall).await;
        }
    } else if reason(status) != reason(before)
        && let Some(ready) = status.conditions.first().filter(|ready| ready.status == "False")
    {
        let reason = match ready.reason.as_str() {
            "NoTagAllowed" => Reason::NoTagAllowed,
            "InvalidSpec" => Reason::InvalidSpec,
            _ => Reason::ScanFailed,
        };
        let _ = context.cluster.publish(policy, Severity::Warning, reason, &ready.message, now.wall).await;
    }
}

fn wake_updates(policy: &ImagePolicy, context: &Context) {
    let namespace = policy.namespace();
    for update in context.stores.image_updates.state().iter().filter(|update| update.namespace() == namespace) {
        let _ = context.wakes.image_updates.send(ObjectRef::from_obj(&**update));
    }
}

/// What a failed scan means for the policy.
fn failure(error: &registry::Error) -> Failure {
    let message = chain(error);
    match error {
        registry::Error::Authentication { .. } => Failure::user(Reason::RegistryAuthenticationFailed, message),
        _ => Failure { answer: Answer::Retry { after: error.retry_after() }, reason: Reason::ScanFailed, message },
    }
}
