//! What a run did × the status before → the next status of an ImageUpdate.

use std::time::Duration;

use chrono::{DateTime, Utc};

use super::batch::{Batch, TEMPLATE};
use crate::api::ImageUpdateStatus;
use crate::api::condition::{Reason, Verdict, conditions, counted};
use crate::api::image_update::{ChangeStatus, ProblemStatus};
use crate::failure::Failure;
use crate::revision::{CommitId, Revision};

/// How many changes and problems a status lists.
const LISTED: usize = 100;

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
    /// Neither the choices nor the head moved.
    Unchanged,
    /// Asked to stand still.
    Suspended,
}

/// The next status; equal to the one before when nothing changed.
pub fn next(
    before: &ImageUpdateStatus,
    outcome: &Result<Outcome, Failure>,
    generation: Option<i64>,
    requested_at: Option<String>,
    now: DateTime<Utc>,
) -> ImageUpdateStatus {
    let mut status = before.clone();
    let verdict = match outcome {
        Ok(Outcome::Waiting { .. } | Outcome::Unchanged) => return status,
        Ok(Outcome::Suspended) => {
            Verdict::Ready { reason: Reason::Suspended, message: "suspended; nothing is committed".to_owned() }
        }
        Ok(Outcome::UpToDate { revision, batch }) => {
            status.observed_revision = Some(revision.clone());
            let template = before.problems.iter().find(|problem| problem.file == TEMPLATE);
            let verdict = seen(&mut status, batch);
            match template.filter(|_| before.observed_generation == generation) {
                Some(problem) => still(&mut status, problem, verdict),
                None => verdict,
            }
        }
        Ok(Outcome::Pushed { commit, branch, batch }) => {
            status.observed_revision = Some(Revision { branch: branch.clone(), commit: commit.clone() });
            status.last_push_commit = Some(commit.clone());
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

fn seen(status: &mut ImageUpdateStatus, batch: &Batch) -> Verdict {
    status.markers = Some(batch.markers);
    status.problems = batch
        .problems
        .iter()
        .take(LISTED)
        .map(|p| ProblemStatus { file: p.file.clone(), line: p.line, reason: p.reason.clone() })
        .collect();
    let values = match batch.markers {
        1 => "1 marked value holds what its policy chose".to_owned(),
        markers => format!("{markers} marked values hold what the policies chose"),
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
