//! LOOP 1b: decisions → edits → commit → push → ImageUpdate status → wakes loop two.
//!
//! 1. choices of the namespace's policies  2. batch window  3. marked and targeted files of the head (git, from the mirror)
//! 4. edits (pure)  5. message (pure)  6. commit (git, no network)  7. compare-and-swap push (git, one request);
//!    the branch moved: read it again and go back to 3  8. status, event (pure, cluster)  9. wake loop two
//!
//! What goes to another branch than the one that is read is a proposal: `proposing.rs`.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use kube::ResourceExt;
use kube::runtime::controller::Action;
use kube::runtime::reflector::ObjectRef;

pub mod marker;
pub mod scalar;
pub mod edit;
pub mod hold;
pub mod target;
pub mod link;
pub mod lint;
pub mod diff;
pub mod refspec;
pub mod advice;
pub mod trailers;
pub mod proposal;
pub mod message;
pub mod batch;
pub mod status;

use crate::api::condition::Reason;
use crate::api::{ImagePolicyStatus, ImageUpdate, ImageUpdateStatus};
use crate::clock::{self, Now};
use crate::cluster::events::Severity;
use crate::committing::{Task, Wants, along};
use crate::context::{Context, Grounded, Progress, requested_at};
use crate::failure::Failure;
use crate::holding::{self, Reverts};
use crate::pushing::Written;
use crate::revision::Revision;
use crate::{proposing, pushing, signing};
use batch::Settled;
use edit::{Choices, Known};
use status::Outcome;

/// What is remembered of an ImageUpdate.
#[derive(Clone, Default)]
pub struct Remembered {
    pub(crate) progress: Progress<ImageUpdateStatus>,
    /// What was compared last.
    compared: Option<Arc<Compared>>,
    /// What failed last, and when it is to be tried again.
    failed: Option<(Arc<Compared>, Instant)>,
    /// The policies that its files and targets name.
    named: Option<BTreeSet<String>>,
    /// The key that signs.
    key: signing::Kept,
    /// Files that need no edit.
    settled: Arc<Mutex<Settled>>,
    /// Choices that wait for the end of the batch window, and since when.
    waiting: Option<(Arc<Choices>, Instant)>,
    /// The pull request.
    proposing: proposing::Kept,
}

/// All that a run's result depends on beside the object itself: the same again needs no run.
struct Compared {
    choices: Arc<Choices>,
    reverts: Reverts,
    /// The policies that the namespace's other ImageUpdates name, if that is known of all of them.
    others: Option<BTreeSet<String>>,
    head: Revision,
}

impl Compared {
    fn is(&self, choices: &Choices, reverts: &Reverts, others: Option<&BTreeSet<String>>, head: &Revision) -> bool {
        *self.choices == *choices && self.reverts == *reverts && self.others.as_ref() == others && self.head == *head
    }
}

/// Brings the marked and targeted values of one ImageUpdate's repository up to date.
pub async fn reconcile(update: Arc<ImageUpdate>, context: Arc<Context>) -> Action {
    let now = clock::now();
    let mut memory = context.updates.get(&*update);
    let mut before = memory.progress.status.clone().or_else(|| update.status.clone()).unwrap_or_default();
    let named = memory.named.clone();
    let outcome = commit_choices(&update, &context, &mut memory, &mut before, now).await;
    let status = status::next(&before, &outcome, update.metadata.generation, requested_at(&*update), clock::now().wall);
    let failure = outcome.as_ref().map_or_else(Some, Outcome::failure);
    if let Some(failure) = failure {
        tracing::warn!(kind = "ImageUpdate", namespace = update.namespace(), name = update.name_any(), "{failure}");
    }
    let mut again = match (failure, &outcome) {
        (Some(failure), _) => failure.retry_after(memory.progress.failures + 1, update.metadata.uid.as_deref()),
        (None, Ok(Outcome::Waiting { left })) => *left,
        (None, Ok(Outcome::Resting { until, .. })) => {
            (*until - now.wall).to_std().unwrap_or_default().max(Duration::from_secs(1))
        }
        // Nothing to poll: a choice or the branch wakes it.
        (None, _) => Duration::from_secs(24 * 3600),
    };
    memory.progress.failures = match (failure, &outcome) {
        (Some(_), _) => memory.progress.failures + 1,
        (None, Ok(Outcome::Waiting { .. })) => memory.progress.failures,
        (None, _) => 0,
    };
    if let Some((_, due)) = memory.failed.as_mut().filter(|_| failure.is_some()) {
        *due = now.steady + again;
    }
    if failure.is_none()
        && let Some(left) = memory.proposing.next_look(&update, &context, &status, now)
    {
        again = again.min(left);
    }
    context.metrics.reconciled("ImageUpdate", failure.map(|failure| failure.reason));
    match context.cluster.write_status(&*update, &before, &status).await {
        Ok(_) => {
            tell(&update, &context, &before, &status, &outcome).await;
            memory.progress.status = Some(status);
        }
        Err(error) => {
            tracing::warn!(kind = "ImageUpdate", name = update.name_any(), "status not written: {error}");
            again = again.min(Duration::from_secs(2));
            memory.compared = None;
        }
    }
    memory.progress.generation = update.metadata.generation;
    let is_other = memory.named != named;
    context.updates.put(&*update, memory);
    if is_other {
        wake_others(&context, &update);
    }
    Action::requeue(again)
}

async fn commit_choices(
    update: &ImageUpdate,
    context: &Context,
    memory: &mut Remembered,
    before: &mut ImageUpdateStatus,
    now: Now,
) -> Result<Outcome, Failure> {
    if update.spec.suspend {
        return Ok(Outcome::Suspended);
    }
    let namespace = update.namespace().unwrap_or_default();
    let repo = &update.spec.config_repo_ref.name;
    let Some(grounded) = context.footing(update, repo)? else { return Ok(Outcome::Unchanged) };
    let wants = wants(context, &namespace, update);
    let reverts = holding::on_revert(&wants.policies);
    let others = others(context, update);
    let release = holding::release(update);
    let is_untouched = memory.progress.generation == update.metadata.generation
        && requested_at(update) == before.last_handled_reconcile_at
        && (release.is_none() || release == before.last_handled_release);
    let is_it = |compared: &Compared| compared.is(&wants.choices, &reverts, others.as_ref(), &grounded.revision);
    let is_same = is_untouched && memory.compared.as_deref().is_some_and(is_it);
    // Whoever wakes us without any news does not shorten the wait after a failure.
    let failed = memory.failed.take().filter(|(failed, due)| is_untouched && is_it(failed) && now.steady < *due);
    if let Some((failed, due)) = failed {
        memory.failed = Some((failed, due));
        return Ok(Outcome::Waiting { left: due.saturating_duration_since(now.steady) });
    }
    if memory.progress.failures > 0 {
        memory.proposing.distrust();
    }
    let mut host = None;
    if is_same && memory.progress.failures == 0 {
        if !memory.proposing.next_look(update, context, before, now).is_some_and(|left| left.is_zero()) {
            return Ok(Outcome::Unchanged);
        }
        host = memory.proposing.look(update, context, &grounded, now).await?;
        if !host.as_ref().is_some_and(|host| host.is_news) {
            return Ok(Outcome::Unchanged);
        }
    }
    if let Some(left) = wait(memory, &wants.choices, update.spec.batch_window.0, now) {
        return Ok(Outcome::Waiting { left });
    }
    check_writable(update, &grounded)?;
    if proposing::announce(update, context, &grounded, before).await? {
        memory.progress.status = Some(before.clone());
    }
    let key = signing::key(update, &context.cluster, &mut memory.key).await?;
    let source = &grounded.revision.name;
    let target = update.spec.push.as_ref().map_or(source, |push| push.branch_or(source)).clone();
    let task = Task {
        update: update.clone(),
        wants,
        status: before.clone(),
        settled: memory.settled.clone(),
        key,
        along: along(update, &target)?,
        rests: update.spec.min_interval.and_then(|rest| status::rests_until(before.last_push_time, rest.0, now.wall)),
    };
    let task = Arc::new(task);
    let tried = grounded.revision.clone();
    let host = match host {
        Some(host) => Some(host),
        None => memory.proposing.look(update, context, &grounded, now).await?,
    };
    let mut written = if grounded.is_branch && target == grounded.revision.name {
        pushing::write(task.clone(), context, grounded.clone()).await
    } else {
        proposing::write(task.clone(), context, grounded.clone(), target, host).await
    };
    if let Some(batch) = written.as_mut().ok().and_then(|(outcome, _)| outcome.batch_mut()) {
        proposing::leave(&task, context, &grounded, batch).await;
    }
    memory.remember(&task.wants.choices, written, (reverts, others, tried), now)
}

/// Only a branch can be written to: on anything else a proposal may stand, and nothing that asks to be merged into it.
fn check_writable(update: &ImageUpdate, grounded: &Grounded) -> Result<(), Failure> {
    if grounded.is_branch {
        return Ok(());
    }
    let (repo, is) = (&update.spec.config_repo_ref.name, &grounded.revision);
    let message = if update.spec.push.as_ref().is_none_or(|push| push.branch.is_none()) {
        format!(
            "spec.push.branch: ConfigRepo {repo} follows no branch (it is at {is}): name the branch to push to, or set its spec.ref.branch"
        )
    } else if update.spec.pull_request.is_some() {
        format!(
            "spec.pullRequest: ConfigRepo {repo} follows no branch (it is at {is}), so there is none to ask for: set its spec.ref.branch"
        )
    } else {
        return Ok(());
    };
    Err(Failure::user(Reason::InvalidSpec, message))
}

impl Remembered {
    /// Notes what a run did, so that only news leads to the next one.
    fn remember(
        &mut self,
        choices: &Arc<Choices>,
        written: Written,
        (reverts, others, tried): (Reverts, Option<BTreeSet<String>>, Revision),
        now: Now,
    ) -> Result<Outcome, Failure> {
        let (mut outcome, head) = match written {
            Ok(written) => written,
            Err(failure) => {
                let compared = Compared { choices: choices.clone(), reverts, others, head: tried };
                self.failed = Some((Arc::new(compared), now.steady));
                return Err(failure);
            }
        };
        self.waiting = None;
        if let Some(batch) = outcome.batch_mut() {
            batch.find_idle(choices, others.as_ref());
            self.named.clone_from(&batch.named);
        }
        // What rests is to be looked at again.
        let is_done = !matches!(outcome, Outcome::Resting { .. });
        self.compared = is_done.then(|| Compared { choices: choices.clone(), reverts, others, head }).map(Arc::new);
        Ok(outcome)
    }
}

/// How much of the batch window is left: choices that are new wait for others to join them.
fn wait(memory: &mut Remembered, choices: &Arc<Choices>, window: Duration, now: Now) -> Option<Duration> {
    if memory.compared.as_ref().is_none_or(|compared| *compared.choices == **choices) {
        return None;
    }
    let since = memory.waiting.as_ref().map_or(now.steady, |(_, since)| *since);
    memory.waiting = Some((choices.clone(), since));
    Some(now.until(Some(since), window)).filter(|left| !left.is_zero())
}

/// The other ImageUpdates of the namespace.
fn siblings<'a>(context: &Context, update: &'a ImageUpdate) -> impl Iterator<Item = Arc<ImageUpdate>> + use<'a> {
    let all = context.stores.image_updates.state().into_iter();
    all.filter(|other| other.namespace() == update.namespace() && other.name_any() != update.name_any())
}

/// The policies that they name; nothing before all of them have looked at their files.
fn others(context: &Context, update: &ImageUpdate) -> Option<BTreeSet<String>> {
    let mut named = BTreeSet::new();
    for other in siblings(context, update) {
        named.extend(context.updates.look(&*other, |memory| memory.named.clone()).flatten()?);
    }
    Some(named)
}

/// What nobody uses is a question to all of them.
fn wake_others(context: &Context, update: &ImageUpdate) {
    for other in siblings(context, update) {
        let _ = context.wakes.image_updates.send(ObjectRef::from_obj(&*other));
    }
}

/// What the namespace's policies chose, and when.
fn wants(context: &Context, namespace: &str, update: &ImageUpdate) -> Wants {
    let (mut wants, mut choices) = (Wants::default(), Choices::new());
    for policy in context.stores.image_policies.state() {
        let ours = policy.namespace().as_deref() == Some(namespace);
        if !ours {
            continue;
        }
        let id = format!("{namespace}:{}", policy.name_any());
        let latest_of = |status: &ImagePolicyStatus| Some((status.latest_ref.clone()?, status.chosen_at));
        // What was written last may be newer than what the watch shows.
        let written = context.policies.look(&*policy, |memory| memory.written(&policy).map(latest_of)).flatten();
        let latest = written.or_else(|| policy.status.as_ref().map(latest_of)).flatten();
        let known = match latest {
            _ if !update.spec.policy_selector.matches(policy.labels()) => Known::NotSelected,
            Some((latest, at)) => match latest.image() {
                Some(image) => {
                    wants.chosen_at.extend(at.map(|at| (id.clone(), at)));
                    Known::Chosen(image)
                }
                None => Known::Undecided,
            },
            None => Known::Undecided,
        };
        choices.insert(id.clone(), known);
        wants.policies.insert(id, policy);
    }
    wants.choices = Arc::new(choices);
    wants
}

async fn tell(
    update: &ImageUpdate,
    context: &Context,
    before: &ImageUpdateStatus,
    status: &ImageUpdateStatus,
    outcome: &Result<Outcome, Failure>,
) {
    let mut notes = Vec::new();
    if let Ok(Outcome::Pushed { commit, branch, batch }) = outcome {
        let note = format!("pushed {} to {branch}: {}", commit.short(), batch.summary());
        tracing::info!(namespace = update.namespace(), name = update.name_any(), "{note}");
        notes.push((Severity::Normal, Reason::Committed, note));
    }
    let ended = outcome.iter().filter_map(Outcome::batch).flat_map(|batch| batch.proposal.notes.clone());
    notes.extend(ended.map(|note| (Severity::Normal, Reason::ProposalEnded, note)));
    let of_people = status::hold_notes(before, status).into_iter().chain(status::request_note(before, status));
    notes.extend(of_people.map(|(reason, note)| (Severity::Normal, reason, note)));
    if status.problems != before.problems && !status.problems.is_empty() {
        let listed: Vec<String> = status.problems.iter().take(5).map(ToString::to_string).collect();
        notes.push((Severity::Warning, Reason::UpdateProblems, listed.join("; ")));
    }
    if let Some(failure) = outcome.as_ref().map_or_else(Some, Outcome::failure)
        && before.conditions.first().is_none_or(|ready| ready.message != failure.message)
    {
        notes.push((Severity::Warning, failure.reason, failure.message.clone()));
    }
    for (severity, reason, note) in notes {
        let _ = context.cluster.publish(update, severity, reason, &note, clock::now().wall).await;
    }
}
