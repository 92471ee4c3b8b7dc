//! What a run did × the status before → the next status of an ImageUpdate.

use std::borrow::Cow;
use std::time::Duration;

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use sha2::{Digest, Sha256};

use super::batch::{Batch, TEMPLATE};
use super::proposal;
use crate::api::ImageUpdateStatus;
use crate::api::condition::{Reason, Verdict, conditions, counted};
use crate::api::image_update::{ChangeStatus, HoldStatus, ProblemStatus, PullRequestState};
use crate::failure::Failure;
use crate::revision::{CommitId, Revision};

/// How many changes and problems a status lists.
const LISTED: usize = 100;
/// How many holds one event tells of.
const TOLD: usize = 5;

/// What a run did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The files hold the choices.
    UpToDate {
        /// The head that was read.
        revision: Revision,
        /// What was found in it.
        batch: Batch,
    },
    /// A commit was pushed.
    Pushed {
        /// The commit.
        commit: CommitId,
        /// The branch that it went to.
        branch: String,
        /// What it changed.
        batch: Batch,
    },
    /// New choices wait for others to join them.
    Waiting {
        /// What is left of the batch window.
        left: Duration,
    },
    /// There is something to commit, but the last push is too young.
    Resting {
        /// When it may be pushed.
        until: DateTime<Utc>,
        /// What would change.
        batch: Batch,
    },
    /// Neither the choices nor the head moved.
    Unchanged,
    /// Asked to stand still.
    Suspended,
}

impl Outcome {
    /// What was seen and done, if there was a look.
    pub fn batch(&self) -> Option<&Batch> {
        match self {
            Self::UpToDate { batch, .. } | Self::Pushed { batch, .. } | Self::Resting { batch, .. } => Some(batch),
            Self::Waiting { .. } | Self::Unchanged | Self::Suspended => None,
        }
    }

    /// Why its pull request could not be brought up to date, although all else was done.
    pub fn failure(&self) -> Option<&Failure> {
        self.batch()?.proposal.failure.as_ref()
    }
}

impl Outcome {
    /// What was found in the files, if they were looked at.
    pub fn batch_mut(&mut self) -> Option<&mut Batch> {
        match self {
            Self::UpToDate { batch, .. } | Self::Pushed { batch, .. } | Self::Resting { batch, .. } => Some(batch),
            Self::Waiting { .. } | Self::Unchanged | Self::Suspended => None,
        }
    }
}

/// Until when a push has to wait after the one before. A time that lies further ahead than the whole interval is another clock's, and
/// waited for by nobody.
pub fn rests_until(last: Option<DateTime<Utc>>, interval: Duration, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
    let interval = TimeDelta::from_std(interval).ok()?;
    let until = last?.checked_add_signed(interval)?;
    Some(until).filter(|until| now < *until && *until - now <= interval)
}

/// How a status names the repository with this URL, which may hold a password.
pub fn repository(url: &str) -> String {
    hex::encode(&Sha256::digest(url)[..8])
}

/// What a status says of this repository. Commits of another one are neither lost here nor ours.
pub fn here<'s>(status: &'s ImageUpdateStatus, repository: &str) -> Cow<'s, ImageUpdateStatus> {
    if status.observed_repository.as_deref().is_none_or(|observed| observed == repository) {
        return Cow::Borrowed(status);
    }
    Cow::Owned(ImageUpdateStatus {
        observed_revision: None,
        last_push_commit: None,
        last_push_branch: None,
        last_changes: Vec::new(),
        holds: Vec::new(),
        proposals: Vec::new(),
        pull_request: None,
        ..status.clone()
    })
}

/// The next status; equal to the one before when nothing changed.
pub fn next(
    before: &ImageUpdateStatus,
    outcome: &Result<Outcome, Failure>,
    generation: Option<i64>,
    requested_at: Option<String>,
    now: DateTime<Utc>,
) -> ImageUpdateStatus {
    let seen_in = outcome.as_ref().ok().and_then(Outcome::batch).and_then(|batch| batch.repository.as_deref());
    let mut status = seen_in.map_or(Cow::Borrowed(before), |repository| here(before, repository)).into_owned();
    status.observed_repository = seen_in.map(str::to_owned).or(status.observed_repository);
    let verdict = match outcome {
        Ok(Outcome::Waiting { .. } | Outcome::Unchanged) => return status,
        Ok(Outcome::Suspended) => {
            Verdict::Ready { reason: Reason::Suspended, message: "suspended; nothing is committed".to_owned() }
        }
        Ok(Outcome::UpToDate { revision, batch }) => {
            status.observed_revision = Some(revision.clone());
            repair(&mut status, batch, now);
            let template = before.problems.iter().find(|problem| problem.file == TEMPLATE);
            let verdict = seen(&mut status, batch);
            match template.filter(|_| before.observed_generation == generation) {
                Some(problem) => still(&mut status, problem, verdict),
                None => verdict,
            }
        }
        Ok(Outcome::Resting { until, batch }) => {
            let waiting = match batch.changes.len() {
                1 => "1 new value waits".to_owned(),
                values => format!("{values} new values wait"),
            };
            repair(&mut status, batch, now);
            match seen(&mut status, batch) {
                Verdict::Ready { reason, .. } => {
                    let until = until.to_rfc3339_opts(SecondsFormat::Secs, true);
                    let message = format!("{waiting} until {until}: pushes are spec.minInterval apart");
                    Verdict::Ready { reason, message }
                }
                failed => failed,
            }
        }
        Ok(Outcome::Pushed { commit, branch, batch }) => {
            status.observed_revision = Some(Revision { name: branch.clone(), commit: commit.clone() });
            status.last_push_commit = Some(commit.clone());
            status.last_push_branch = Some(branch.clone());
            status.last_push_time = Some(now);
            status.last_changes = batch.changes.iter().take(LISTED).map(change).collect();
            seen(&mut status, batch)
        }
        Err(failure) => Verdict::Failed(failure.clone()),
    };
    status.observed_generation = generation;
    status.last_handled_reconcile_at = requested_at;
    status.conditions = conditions(&verdict, generation, &before.conditions, now);
    status
}

/// Tells of a push whose maker could not do so any more.
fn repair(status: &mut ImageUpdateStatus, batch: &Batch, now: DateTime<Utc>) {
    if let Some(earlier) = &batch.earlier {
        status.last_push_commit = Some(earlier.commit.clone());
        status.last_push_branch = Some(earlier.branch.clone());
        status.last_push_time = Some(now);
        status.last_changes = earlier.changes.iter().take(LISTED).cloned().collect();
    }
}

fn seen(status: &mut ImageUpdateStatus, batch: &Batch) -> Verdict {
    status.markers = Some(batch.markers);
    status.problems = batch
        .problems
        .iter()
        .chain(&batch.idle)
        .take(LISTED)
        .map(|p| ProblemStatus { file: p.file.clone(), line: p.line, reason: p.reason.clone() })
        .collect();
    let holding = &batch.holding;
    status.holds = holding.holds.iter().take(LISTED).cloned().collect();
    status.released = holding.used.iter().chain(&holding.waiting).take(LISTED).cloned().collect();
    status.last_handled_release.clone_from(&holding.release);
    status.pull_request.clone_from(&batch.proposal.request);
    if let Some(places) = &batch.proposal.places {
        status.proposals.clone_from(places);
    }
    if let Some(failure) = &batch.proposal.failure {
        return Verdict::Failed(failure.clone());
    }
    let request = batch.proposal.request.as_ref().filter(|request| request.state == PullRequestState::Open);
    let values = match (batch.markers, request.filter(|_| !batch.changes.is_empty())) {
        (markers, _) if !holding.holds.is_empty() => held(markers, &holding.holds),
        (_, Some(request)) => proposal::waiting(&batch.changes, request),
        (1, None) => "1 value holds what its policy chose".to_owned(),
        (markers, None) => format!("{markers} values hold what the policies chose"),
    };
    match batch.problems.as_slice() {
        [] => Verdict::Ready { reason: Reason::Succeeded, message: values },
        [first, rest @ ..] => {
            let more =
                if rest.is_empty() { String::new() } else { format!(" and {}", counted(rest.len(), "more problem")) };
            Verdict::Failed(Failure::user(Reason::UpdateProblems, format!("{first}{more}")))
        }
    }
}

/// Keeps the problem that the last commit had with its template: only a better template or the next commit ends it.
fn still(status: &mut ImageUpdateStatus, problem: &ProblemStatus, verdict: Verdict) -> Verdict {
    if status.problems.iter().any(|other| other.file == TEMPLATE) {
        return verdict;
    }
    status.problems.insert(0, problem.clone());
    status.problems.truncate(LISTED);
    match verdict {
        Verdict::Ready { .. } => Verdict::Failed(Failure::user(Reason::UpdateProblems, problem.to_string())),
        verdict => verdict,
    }
}

/// How many values are held, and the first.
fn held(markers: u32, holds: &[HoldStatus]) -> String {
    let more = match holds.len() {
        1 => String::new(),
        all => format!(" and {} more", all - 1),
    };
    let of = match markers {
        1 => "the one value is held".to_owned(),
        markers => format!("{} of {markers} values are held", holds.len()),
    };
    let first = holds.first().map(told).unwrap_or_default();
    format!("{of}: {first}{more}")
}

/// A hold in one line.
fn told(hold: &HoldStatus) -> String {
    let HoldStatus { file, line, policy, value, reason, .. } = hold;
    format!("{file}:{line}: {value} of policy {policy}: {reason}")
}

/// What people should hear of holds that began or ended, each with the event's reason.
pub fn hold_notes(before: &ImageUpdateStatus, after: &ImageUpdateStatus) -> Vec<(Reason, String)> {
    let is_in = |holds: &[HoldStatus], hold: &HoldStatus| {
        let key = |hold: &HoldStatus| (hold.file.clone(), hold.policy.clone(), hold.field.clone(), hold.value.clone());
        holds.iter().any(|other| key(other) == key(hold) && other.commit == hold.commit)
    };
    let new = after.holds.iter().filter(|hold| !is_in(&before.holds, hold));
    let gone = before.holds.iter().filter(|hold| !is_in(&after.holds, hold));
    let new = listed(new.map(told)).map(|note| (Reason::Held, format!("held: {note}")));
    let gone =
        listed(gone.map(|hold| format!("{}:{}: {} of policy {}", hold.file, hold.line, hold.value, hold.policy)));
    new.into_iter().chain(gone.map(|note| (Reason::HoldReleased, format!("no longer held: {note}")))).collect()
}

/// What people should hear of pull requests that began or ended.
pub fn request_note(before: &ImageUpdateStatus, after: &ImageUpdateStatus) -> Option<(Reason, String)> {
    let request = after.pull_request.as_ref().filter(|request| before.pull_request.as_ref() != Some(request))?;
    Some(match request.state {
        PullRequestState::Open => (Reason::Proposed, format!("{request} is open")),
        PullRequestState::Merged => (Reason::ProposalEnded, format!("{request} is merged")),
        PullRequestState::Closed => (Reason::ProposalEnded, format!("{request} is closed unmerged")),
    })
}

/// The first few, in one line; nothing when there are none.
fn listed(notes: impl Iterator<Item = String>) -> Option<String> {
    let notes: Vec<String> = notes.collect();
    let more = match notes.len().saturating_sub(TOLD) {
        0 => String::new(),
        more => format!("; and {more} more"),
    };
    (!notes.is_empty()).then(|| format!("{}{more}", notes[..notes.len().min(TOLD)].join("; ")))
}

fn change(change: &super::edit::Change) -> ChangeStatus {
    ChangeStatus {
        file: change.file.clone(),
        line: change.line,
        policy: change.policy.clone(),
        field: change.field.to_string(),
        old: change.old.clone(),
        new: change.new.clone(),
    }
}

#[cfg(test)]
mod tests;
