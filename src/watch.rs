//! LOOP 1a: registry → tags → decision → ImagePolicy status → wakes the commits.
//!
//! 1. policy (pure)  2. is it time to ask, or was it asked for?  3. who we are to the registry  4. tags (registry, shared and whole)
//! 5. is the list believed? (pure)  6. choose, and ask the gates (pure; facts from the registry)  7. status, event (pure, cluster)
//! 8. wake the ImageUpdates of the namespace

use std::sync::Arc;
use std::time::Duration;

use kube::ResourceExt;
use kube::runtime::controller::Action;
use kube::runtime::reflector::ObjectRef;

pub mod number;
pub mod filter;
pub mod exclusion;
pub mod signature;
pub mod policy;
pub mod decide;
pub mod guard;
pub mod judge;
pub mod occasion;
pub mod status;

use crate::api::condition::Reason;
use crate::api::{ImagePolicy, ImagePolicyStatus};
use crate::authenticating::{self, Login};
use crate::clock::{self, Now};
use crate::cluster::events::Severity;
use crate::cluster::own::version;
use crate::context::{Context, Progress, requested_at};
use crate::failure::Failure;
use crate::http::hooks::Subject;
use crate::listening::{self, Asked};
use crate::looking::{Look, Problem, Seen};
use occasion::{Occasion, Pace, Past};
use policy::Policy;
use status::Outcome;

/// How long what was read from Secrets is used before it is read again.
const LOGIN_LIFE: Duration = Duration::from_secs(600);

/// What is remembered of an ImagePolicy.
#[derive(Clone, Default)]
pub struct Remembered {
    pub(crate) progress: Progress<ImagePolicyStatus>,
    /// The object's version after its status was written last.
    version: Option<u64>,
    /// What its Secrets held, and when they were read.
    login: Option<(Login, Now)>,
    /// What it saw of the registry.
    seen: Seen,
    /// Where webhooks go, if they do; not known before the Secret was read.
    webhook_path: Option<Option<String>>,
    /// The number of the last webhook that had come when the registry was last asked.
    heard: u64,
}

impl Remembered {
    /// The status as it was last written, while `shown`, what the watch shows, is older. After that the watch counts, whoever
    /// chose, so that two controllers decide alike.
    pub fn written(&self, shown: &ImagePolicy) -> Option<&ImagePolicyStatus> {
        let is_older = version(shown) < self.version;
        self.progress.status.as_ref().filter(|_| is_older)
    }
}

/// Brings one ImagePolicy's choice up to date.
pub async fn reconcile(policy: Arc<ImagePolicy>, context: Arc<Context>) -> Action {
    let now = clock::now();
    let mut memory = context.policies.get(&*policy);
    let before = memory.progress.status.clone().or_else(|| policy.status.clone()).unwrap_or_default();
    let outcome = judge(&policy, &context, &mut memory, &before, now).await;
    let mut status = status::next(&before, &outcome, policy.metadata.generation, requested_at(&*policy), now.wall);
    if let Some(path) = &memory.webhook_path {
        status.webhook_path.clone_from(path);
    }
    let mut again = match &outcome {
        Ok(Outcome::Suspended) => Duration::from_secs(24 * 3600),
        Ok(_) => {
            memory.progress.failures = 0;
            let past = Past { is_asked_for: false, is_same: true, ..past(&policy, &context, &memory, &status) };
            occasion::wait(&past, &pace(&policy), (now.wall, now.steady))
        }
        Err(failure) => {
            memory.progress.failures += 1;
            tracing::warn!(kind = "ImagePolicy", namespace = policy.namespace(), name = policy.name_any(), "{failure}");
            failure.retry_after(memory.progress.failures, policy.metadata.uid.as_deref())
        }
    };
    context.metrics.reconciled("ImagePolicy", outcome.as_ref().err().map(|failure| failure.reason));
    let mut is_news = memory.progress.generation != policy.metadata.generation;
    match context.cluster.write_status(&*policy, &before, &status).await {
        Ok(version) => {
            memory.version = version.or(memory.version);
            is_news |= status.latest_ref != before.latest_ref;
            memory.progress.status = Some(status.clone());
            // Not before: when only the answer to a write was lost, the next run finds the choice written, and it is news all the same.
            memory.progress.generation = policy.metadata.generation;
        }
        Err(error) => {
            tracing::warn!(kind = "ImagePolicy", name = policy.name_any(), "status not written: {error}");
            again = again.min(Duration::from_secs(2));
            // Not remembered, so that the next run does not take "not due" for "written".
            memory.progress.asked = None;
        }
    }
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

/// What happened to the policy so far.
fn past(object: &ImagePolicy, context: &Context, memory: &Remembered, before: &ImagePolicyStatus) -> Past {
    let generation = memory.progress.generation.or(before.observed_generation);
    Past {
        started: context.started_at,
        asked: memory.progress.asked,
        failures: memory.progress.failures,
        is_same: generation == object.metadata.generation,
        is_decided: before.latest_ref.is_some(),
        is_asked_for: requested_at(object) != before.last_handled_reconcile_at,
        is_heard: context.hooks.rung(&audience(object)) > memory.heard,
        opens: match memory.progress.asked {
            Some(_) => memory.seen.opens,
            None => before.verdicts.iter().filter_map(|verdict| verdict.until).min(),
        },
    }
}

/// What asks the same registry for the same with the same login keeps the same pace.
fn pace(object: &ImagePolicy) -> Pace {
    let spec = &object.spec;
    let login = (object.namespace(), spec.secret_ref.as_ref(), spec.service_account_name.as_ref());
    Pace::new(spec.interval.0, (&spec.image, login))
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
    let (past, pace) = (past(object, context, memory, before), pace(object));
    let Some(occasion) = Occasion::of(&past, &pace, (now.wall, now.steady)) else { return Ok(Outcome::NotDue) };
    // A gate that has opened wakes once, whatever becomes of this look.
    memory.seen.opens.take_if(|opens| *opens <= now.wall);
    // After a restart there is no list that was read before.
    if occasion.asks() || past.asked.is_none() {
        memory.progress.asked = Some(now.steady);
        // What rings from now on is not in the list that is about to be read.
        memory.heard = context.hooks.seen(&audience(object));
    }
    let is_young = |(_, read): &(Login, Now)| now.until(Some(read.steady), LOGIN_LIFE) > Duration::ZERO;
    let kept = memory.login.take().filter(|kept| past.is_same && !past.is_asked_for && is_young(kept));
    let (mut login, mut read, is_kept) = match kept {
        Some((login, read)) => (login.renewed(&context.cluster, &context.cloud).await?, read, true),
        None => {
            listen(object, &policy, context, memory, now).await;
            memory.seen.distrust();
            (authenticating::login(object, &policy.image, &context.cluster, &context.cloud).await?, now, false)
        }
    };
    let look = Look {
        policy: &policy,
        context,
        before,
        now,
        within: occasion.within(&pace),
        is_confirmed: past.is_asked_for,
        generation: object.metadata.generation.filter(|_| past.is_same && !past.is_asked_for),
    };
    let mut looked = look.at(&login, &mut memory.seen).await;
    // What the Secret held may be out of date: it is read again when the registry no longer takes it.
    if is_kept && looked.as_ref().is_err_and(Problem::is_about_credentials) {
        if looked.as_ref().is_err_and(Problem::is_refusal) {
            login.refused(&context.cloud);
        }
        memory.seen.distrust();
        (login, read) = (authenticating::login(object, &policy.image, &context.cluster, &context.cloud).await?, now);
        looked = look.at(&login, &mut memory.seen).await;
    }
    if looked.as_ref().is_err_and(Problem::is_refusal) {
        login.refused(&context.cloud);
    }
    memory.login = Some((login, read));
    // All policies of a list come back together, so that they share the next one as well.
    if let Some(begun) = memory.seen.begun.take().filter(|_| memory.progress.asked.is_some()) {
        memory.progress.asked = Some(begun);
    }
    looked.map_err(Failure::from)
}

/// Lets webhooks in, or no longer.
async fn listen(object: &ImagePolicy, policy: &Policy, context: &Context, memory: &mut Remembered, now: Now) {
    let asked = object.spec.webhook.as_ref().map(|webhook| {
        let (wakes, policies) = (context.wakes.image_policies.clone(), context.stores.image_policies.clone());
        let named = audience(object);
        let wake = Arc::new(move || {
            for policy in policies.state().iter().filter(|policy| audience(policy) == named) {
                let _ = wakes.send(ObjectRef::from_obj(&**policy));
            }
        });
        Asked {
            sender: webhook.kind.into(),
            secret: &webhook.secret_ref,
            subject: Subject::Image(policy.image.clone()),
            audience: audience(object),
            wake,
        }
    });
    memory.webhook_path = listening::listen(object, asked, context, now).await.or(memory.webhook_path.take());
}

/// Who hears a webhook of this policy: all of its image in its namespace, never those of another tenant.
fn audience(object: &ImagePolicy) -> String {
    format!("{}/{}", object.namespace().unwrap_or_default(), object.spec.image)
}

/// Tells people when the choice changed, when it is held, or why there is none.
async fn tell(
    policy: &ImagePolicy,
    context: &Context,
    before: &ImagePolicyStatus,
    status: &ImagePolicyStatus,
    now: Now,
) {
    let Some(news) = status::news(before, status) else { return };
    let severity = if news.is_warning { Severity::Warning } else { Severity::Normal };
    if !news.is_warning {
        tracing::info!(namespace = policy.namespace(), name = policy.name_any(), "{}", news.note);
    }
    let _ = context.cluster.publish(policy, severity, news.reason, &news.note, now.wall).await;
}

fn wake_updates(policy: &ImagePolicy, context: &Context) {
    let namespace = policy.namespace();
    for update in context.stores.image_updates.state().iter().filter(|update| update.namespace() == namespace) {
        let _ = context.wakes.image_updates.send(ObjectRef::from_obj(&**update));
    }
}
