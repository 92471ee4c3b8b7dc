//! kstatus conditions: `Ready` always, `Reconciling` and `Stalled` only while they are true, never both.

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One condition, with the fields that `kubectl wait` and kstatus read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Condition {
    /// `Ready`, `Reconciling` or `Stalled`.
    #[serde(rename = "type")]
    pub kind: String,
    /// `True`, `False` or `Unknown`.
    pub status: String,
    /// The generation that this speaks of.
    pub observed_generation: Option<i64>,
    /// When `status` last changed.
    pub last_transition_time: DateTime<Utc>,
    /// A stable word, for scripts.
    pub reason: String,
    /// A sentence, for people.
    pub message: String,
}

macro_rules! reasons {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {
        /// Every reason of a condition or event; also the label of failure metrics, so the list is closed.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Reason { $($(#[$doc])* $name),* }

        impl Reason {
            /// The word that users see.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$name => stringify!($name)),* }
            }

            /// The reason with this word.
            pub fn named(word: &str) -> Option<Self> {
                match word { $(stringify!($name) => Some(Self::$name),)* _ => None }
            }
        }
    };
}

reasons! {
    /// It is as it should be.
    Succeeded,
    /// On the way.
    Progressing,
    /// On the way again after a failure.
    ProgressingWithRetry,
    /// `spec.suspend` is set.
    Suspended,
    /// A field of the object can't be used.
    InvalidSpec,
    /// An object that this one refers to is missing or not ready.
    DependencyNotReady,
    /// GitSyncs that wait for each other.
    DependencyCycle,
    /// A secret is missing or lacks a key.
    InvalidSecret,
    /// The Git host refused the credentials.
    GitAuthenticationFailed,
    /// The Git host could not be asked or did not answer well.
    GitOperationFailed,
    /// The branch is not there.
    BranchNotFound,
    /// The tag, ref or commit is not there.
    RefNotFound,
    /// A commit or tag is not signed by a key that is trusted.
    VerificationFailed,
    /// The Git host refused the push.
    PushRejected,
    /// The registry refused the credentials.
    RegistryAuthenticationFailed,
    /// The registry's list of tags could not be read whole.
    ScanFailed,
    /// No tag of the list may run.
    NoTagAllowed,
    /// No tag was chosen yet, since a gate stops those that fit.
    WaitingForGate,
    /// The list lost so many tags at once that it is taken for a fault of the registry: the choice stands.
    ListShrank,
    /// A newer tag was chosen.
    Chosen,
    /// The chosen tag is no longer listed, or only older ones are: the choice stands.
    DowngradeRefused,
    /// A commit was pushed.
    Committed,
    /// A pull request was opened.
    Proposed,
    /// A pull request was merged or closed.
    ProposalEnded,
    /// The Git host's API for pull requests could not be asked, or refused.
    PullRequestFailed,
    /// The proposal branch has commits that are not ours.
    BranchTaken,
    /// A value is not written, since a person decided against it.
    Held,
    /// What was held may be written again.
    HoldReleased,
    /// Markers that cannot work, or files that do not parse.
    UpdateProblems,
    /// The manifests of the path could not be read or built.
    RenderFailed,
    /// Some objects could not be applied.
    ApplyFailed,
    /// Some objects could not be deleted.
    PruneFailed,
    /// So many objects left Git at once that a person must confirm their deletion.
    PruneUnconfirmed,
    /// A hook failed.
    HookFailed,
    /// Changes wait for a window in which they are allowed.
    WaitingForWindow,
    /// Objects did not become healthy.
    HealthCheckFailed,
    /// Objects were applied.
    Applied,
    /// A change by someone else was undone.
    DriftCorrected,
    /// A change by someone else was seen and left (`selfHeal: false`).
    DriftDetected,
    /// Another controller insists on another value, and was given way.
    Contested,
    /// Objects were deleted.
    Pruned,
    /// Another cluster is kept equal from now on; what was applied in the one of before stays there.
    ClusterChanged,
    /// The API server refused what the service account may not do.
    AccessDenied,
    /// The API server could not be asked.
    ClusterUnavailable,
    /// Our bug.
    InternalError,
}

/// How an object stands, before it becomes conditions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// As it should be.
    Ready {
        /// A stable word.
        reason: Reason,
        /// A sentence.
        message: String,
    },
    /// On the way.
    Reconciling {
        /// A stable word.
        reason: Reason,
        /// A sentence.
        message: String,
    },
    /// It failed.
    Failed(crate::failure::Failure),
}

/// The conditions for a verdict; a condition whose status did not change keeps its transition time, so that equal facts make equal conditions.
pub fn conditions(
    verdict: &Verdict,
    generation: Option<i64>,
    previous: &[Condition],
    now: DateTime<Utc>,
) -> Vec<Condition> {
    use crate::failure::Answer;
    let condition = |kind: &str, status: &str, reason: Reason, message: &str| {
        let last_transition_time =
            previous.iter().find(|c| c.kind == kind && c.status == status).map_or(now, |c| c.last_transition_time);
        Condition {
            kind: kind.to_owned(),
            status: status.to_owned(),
            observed_generation: generation,
            last_transition_time,
            reason: reason.as_str().to_owned(),
            message: message.to_owned(),
        }
    };
    match verdict {
        Verdict::Ready { reason, message } => vec![condition("Ready", "True", *reason, message)],
        Verdict::Reconciling { reason, message } => {
            vec![condition("Ready", "Unknown", *reason, message), condition("Reconciling", "True", *reason, message)]
        }
        Verdict::Failed(failure) => {
            let (kind, second) = match failure.answer {
                Answer::Retry { .. } => ("Reconciling", Reason::ProgressingWithRetry),
                Answer::WaitForUser | Answer::Bug => ("Stalled", failure.reason),
            };
            vec![
                condition("Ready", "False", failure.reason, &failure.message),
                condition(kind, "True", second, &failure.message),
            ]
        }
    }
}

/// A number and its noun, as people say it: `1 object`, `2 objects`.
pub fn counted(number: usize, noun: &str) -> String {
    if number == 1 { format!("1 {noun}") } else { format!("{number} {noun}s") }
}

/// The `Ready` condition's status and message.
pub fn ready(conditions: &[Condition]) -> Option<&Condition> {
    conditions.iter().find(|c| c.kind == "Ready")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::Failure;

    fn at(second: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(second, 0).unwrap()
    }

    #[test]
    fn an_unchanged_verdict_makes_equal_conditions() {
        let verdict = Verdict::Ready { reason: Reason::Succeeded, message: "ok".into() };
        let first = conditions(&verdict, Some(1), &[], at(1));
        assert_eq!(conditions(&verdict, Some(1), &first, at(2)), first);
    }

    #[test]
    fn a_retry_reconciles_and_a_users_mistake_stalls() {
        let kinds = |failure| -> Vec<String> {
            conditions(&Verdict::Failed(failure), None, &[], at(1))
                .iter()
                .map(|c| format!("{}={}", c.kind, c.status))
                .collect()
        };
        assert_eq!(kinds(Failure::retry(Reason::ScanFailed, "x")), ["Ready=False", "Reconciling=True"]);
        assert_eq!(kinds(Failure::user(Reason::InvalidSpec, "x")), ["Ready=False", "Stalled=True"]);
    }
}
