//! What a run did × the status before → the next status of a GitSync.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use super::plan::{Action, Plan};
use crate::api::condition::{Reason, Verdict, conditions, counted};
use crate::api::git_sync::{HealthStatus, Inventory, ObjectDrift, ObjectHealth, RevisionOutcome};
use crate::api::{CONFIRM_PRUNE, GitSyncStatus};
use crate::failure::Failure;
use crate::object::ObjectKey;
use crate::revision::Revision;
use crate::sync::history::{self, Step};

/// How many objects that others changed a status lists.
const DRIFTED: usize = 20;
/// How many unhealthy objects a status lists.
const LISTED: usize = 50;

/// What a run did and saw.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// Everything is applied.
    Applied {
        /// The revision.
        revision: Revision,
        /// What is owned now.
        inventory: Inventory,
        /// The objects that are not healthy; those that are waited for come first.
        health: Vec<ObjectHealth>,
        /// How many of them are waited for.
        waited: usize,
        /// How many objects there are.
        objects: usize,
        /// What still keeps it from being ready.
        waits: Waits,
        /// Changes of others that were left.
        drifted: Vec<ObjectDrift>,
    },
    /// Some is applied, and the rest waits for it.
    Staged {
        /// The revision.
        revision: Revision,
        /// What is owned now.
        inventory: Inventory,
        /// How the objects fare that are applied.
        health: Vec<ObjectHealth>,
        /// How many objects there are in all.
        objects: usize,
        /// Whether it is still worth waiting.
        waits: Waits,
        /// How many objects wait for what.
        waiting: Vec<String>,
        /// Changes of others that were left.
        drifted: Vec<ObjectDrift>,
    },
    /// Something is to do, and no window is open.
    Held {
        /// The revision that waits.
        revision: Revision,
        /// What is owned now.
        inventory: Inventory,
        /// The objects that are not healthy; those that are waited for come first.
        health: Vec<ObjectHealth>,
        /// How many of them are waited for.
        waited: usize,
        /// How many objects there are.
        objects: usize,
        /// Whether health keeps it from being ready too.
        waits: Waits,
        /// What waits, until when, in a sentence.
        waiting: String,
        /// Changes of others that were left.
        drifted: Vec<ObjectDrift>,
    },
    /// The repository is about to be read; nothing is known that could be said.
    Waiting,
    /// Asked to stand still.
    Suspended,
}

/// Whether health keeps a GitSync from being ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Waits {
    /// It is ready.
    No,
    /// Objects are on their way.
    ForHealth,
    /// Objects failed, or took too long.
    InVain,
}

/// A run that failed half-way: what is owned is kept all the same.
#[derive(Debug, Clone, PartialEq)]
pub struct Broken {
    /// Why.
    pub failure: Failure,
    /// The revision that was tried.
    pub attempted: Option<Revision>,
    /// What is owned now, when the run got that far.
    pub inventory: Option<Inventory>,
    /// Changes of others that were left, when the run got that far.
    pub drifted: Option<Vec<ObjectDrift>>,
}

impl Broken {
    /// A run that failed before anything was applied.
    pub fn early(failure: Failure, attempted: &Revision) -> Self {
        Self { attempted: Some(attempted.clone()), ..failure.into() }
    }
}

impl From<Failure> for Broken {
    fn from(failure: Failure) -> Self {
        Self { failure, attempted: None, inventory: None, drifted: None }
    }
}

/// The next list of revisions: `committed_at` is the time of the commit that was tried.
pub fn history(
    before: &GitSyncStatus,
    outcome: &Result<Outcome, Broken>,
    committed_at: Option<DateTime<Utc>>,
    now: DateTime<Utc>,
) -> Vec<crate::api::git_sync::RevisionRecord> {
    let (revision, outcome, message) = match outcome {
        Ok(Outcome::Applied { revision, health, waited, waits, .. }) => match waits {
            Waits::ForHealth => (revision, RevisionOutcome::Progressing, None),
            Waits::InVain => (revision, RevisionOutcome::Failed, Some(in_vain(revision, &health[..*waited]))),
            Waits::No if health.is_empty() => (revision, RevisionOutcome::Healthy, None),
            Waits::No => (revision, RevisionOutcome::Applied, None),
        },
        Ok(Outcome::Staged { revision, health, waits: Waits::InVain, .. }) => {
            (revision, RevisionOutcome::Failed, Some(in_vain(revision, health)))
        }
        Ok(Outcome::Staged { revision, .. }) => (revision, RevisionOutcome::Progressing, None),
        Err(Broken { attempted: Some(revision), failure, .. }) => {
            (revision, RevisionOutcome::Failed, Some(failure.message.clone()))
        }
        _ => return before.history.clone(),
    };
    let step = Step { revision, outcome, committed_at, message: message.as_deref() };
    history::next(&before.history, step, now)
}

/// The next status; equal to the one before when nothing changed.
pub fn next(
    before: &GitSyncStatus,
    outcome: &Result<Outcome, Broken>,
    generation: Option<i64>,
    requested_at: Option<String>,
    now: DateTime<Utc>,
) -> GitSyncStatus {
    let mut status = before.clone();
    status.observed_generation = generation;
    status.last_handled_reconcile_at = requested_at;
    let verdict = match outcome {
        Ok(Outcome::Waiting) => return before.clone(),
        Ok(Outcome::Suspended) => {
            // Nobody looks, so nobody knows.
            status.drift.clear();
            Verdict::Ready {
                reason: Reason::Suspended,
                message: "suspended; nothing is applied, corrected or pruned".to_owned(),
            }
        }
        Ok(Outcome::Applied { revision, inventory, health, waited, objects, waits, drifted }) => {
            status.last_attempted_revision = Some(revision.clone());
            status.last_applied_revision = Some(revision.clone());
            status.inventory = Some(inventory.clone());
            let healthy = objects.saturating_sub(health.len());
            status.health = Some(HealthStatus {
                summary: format!("{healthy}/{objects}"),
                unhealthy: health.iter().take(LISTED).cloned().collect(),
            });
            status.drift = drifted.iter().take(DRIFTED).cloned().collect();
            applied(revision, &health[..*waited], *objects, *waits, drifted)
        }
        Ok(Outcome::Staged { revision, inventory, health, objects, waits, waiting, drifted }) => {
            status.drift = drifted.iter().take(DRIFTED).cloned().collect();
            status.last_attempted_revision = Some(revision.clone());
            status.inventory = Some(inventory.clone());
            let held = waiting.len();
            status.health = Some(HealthStatus {
                summary: format!("{}/{objects}", objects.saturating_sub(health.len() + held)),
                unhealthy: health.iter().take(LISTED).cloned().collect(),
            });
            staged(revision, health, *waits, waiting)
        }
        Ok(Outcome::Held { inventory, health, waited, objects, waits, waiting, drifted, .. }) => {
            status.inventory = Some(inventory.clone());
            status.health = Some(HealthStatus {
                summary: format!("{}/{objects}", objects.saturating_sub(health.len())),
                unhealthy: health.iter().take(LISTED).cloned().collect(),
            });
            status.drift = drifted.iter().take(DRIFTED).cloned().collect();
            held_back(waiting, &health[..*waited], *waits)
        }
        Err(broken) => {
            if let Some(attempted) = &broken.attempted {
                status.last_attempted_revision = Some(attempted.clone());
            }
            if let Some(inventory) = &broken.inventory {
                status.inventory = Some(inventory.clone());
            }
            if let Some(drifted) = &broken.drifted {
                status.drift = drifted.iter().take(DRIFTED).cloned().collect();
            }
            Verdict::Failed(broken.failure.clone())
        }
    };
    status.conditions = conditions(&verdict, generation, &before.conditions, now);
    status
}

fn applied(
    revision: &Revision,
    health: &[ObjectHealth],
    objects: usize,
    waits: Waits,
    drifted: &[ObjectDrift],
) -> Verdict {
    match waits {
        Waits::No if !drifted.is_empty() => Verdict::Ready {
            reason: Reason::DriftDetected,
            message: format!("applied {revision}; changed by others and left: {}", few(&told(drifted))),
        },
        Waits::No => Verdict::Ready {
            reason: Reason::Succeeded,
            message: format!("applied {revision}: {}", counted(objects, "object")),
        },
        Waits::ForHealth => {
            let waiting: Vec<String> = health.iter().map(|h| h.object.clone()).collect();
            Verdict::Reconciling {
                reason: Reason::Progressing,
                message: format!("applied {revision}; waiting for {}", few(&waiting)),
            }
        }
        Waits::InVain => Verdict::Failed(Failure::retry(Reason::HealthCheckFailed, in_vain(revision, health))),
    }
}

/// How many objects wait for what, and which hooks run.
pub fn waiting(waiting: &BTreeMap<ObjectKey, ObjectKey>) -> Vec<String> {
    let say = |(key, what): (&ObjectKey, &ObjectKey)| match key == what {
        true => format!("hook {key} runs"),
        false => format!("{key} waits for {what}"),
    };
    // What is waited for is told first.
    let (hooks, others): (Vec<_>, Vec<_>) = waiting.iter().partition(|(key, what)| key == what);
    hooks.into_iter().chain(others).map(say).collect()
}

/// Each object with its first change.
fn told(drifted: &[ObjectDrift]) -> Vec<String> {
    let tell = |drift: &ObjectDrift| match drift.changes.split_first() {
        None => drift.object.clone(),
        Some((first, [])) => format!("{}: {first}", drift.object),
        Some((first, more)) => format!("{}: {first} and {} more", drift.object, more.len()),
    };
    drifted.iter().map(tell).collect()
}

fn staged(revision: &Revision, health: &[ObjectHealth], waits: Waits, waiting: &[String]) -> Verdict {
    let why: Vec<String> = health.iter().map(|object| format!("{}: {}", object.object, object.message)).collect();
    let why = if why.is_empty() { String::new() } else { format!(" ({})", few(&why)) };
    let message = format!("applying {revision}; {}{why}", few(waiting));
    match waits {
        Waits::InVain => Verdict::Failed(Failure::retry(Reason::HealthCheckFailed, message)),
        Waits::No | Waits::ForHealth => Verdict::Reconciling { reason: Reason::Progressing, message },
    }
}

/// A revision waits; what fails meanwhile is told first.
fn held_back(waiting: &str, health: &[ObjectHealth], waits: Waits) -> Verdict {
    match waits {
        Waits::InVain => {
            let message = format!("{}; {waiting}", unhealthy(health));
            Verdict::Failed(Failure::retry(Reason::HealthCheckFailed, message))
        }
        Waits::No | Waits::ForHealth => {
            Verdict::Reconciling { reason: Reason::WaitingForWindow, message: waiting.to_owned() }
        }
    }
}

/// What is not done while no window is open: objects with the reason, and hooks that would run.
pub fn held(actions: &[Action], hooks: &[ObjectKey]) -> String {
    let objects = actions.iter().map(|action| format!("{}: {}", action.key, action.reason));
    few(&objects.chain(hooks.iter().map(|key| format!("hook {key} is due"))).collect::<Vec<_>>())
}

/// A prune that is too large to happen unasked.
pub fn unconfirmed(plan: &Plan, revision: &Revision) -> Option<Failure> {
    let going: Vec<String> = plan.unconfirmed.iter().map(|action| action.key.to_string()).collect();
    let commit = revision.commit.to_string();
    let commit = &commit[..commit.len().min(12)];
    (!going.is_empty()).then(|| {
        let message = format!(
            "applied {revision}, but {} left Git at once: {}; they are deleted when the GitSync has the annotation \
             {CONFIRM_PRUNE}: {commit}",
            counted(going.len(), "object"),
            few(&going)
        );
        Failure::user(Reason::PruneUnconfirmed, message)
    })
}

/// What failed; when nothing did, what was not healthy in time.
fn in_vain(revision: &Revision, health: &[ObjectHealth]) -> String {
    format!("applied {revision}; {}", unhealthy(health))
}

fn unhealthy(health: &[ObjectHealth]) -> String {
    let is_failed = |object: &&ObjectHealth| object.status == "Failed";
    let mut failed: Vec<String> =
        health.iter().filter(is_failed).map(|h| format!("{}: {}", h.object, h.message)).collect();
    if failed.is_empty() {
        failed = health.iter().map(|h| format!("{}: not healthy in time: {}", h.object, h.message)).collect();
    }
    few(&failed)
}

/// The first three of a list, and how many more there are.
pub fn few(items: &[String]) -> String {
    let mut text = items.iter().take(3).cloned().collect::<Vec<_>>().join("; ");
    if items.len() > 3 {
        text.push_str(&format!(" and {} more", items.len() - 3));
    }
    text
}

#[cfg(test)]
mod tests;
