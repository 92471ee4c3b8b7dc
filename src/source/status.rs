//! What a run found out × the status before → the next status of a ConfigRepo.

use chrono::{DateTime, Utc};

use crate::api::ConfigRepoStatus;
use crate::api::condition::{Reason, Verdict, conditions};
use crate::api::config_repo::VerificationStatus;
use crate::failure::Failure;
use crate::revision::Revision;

/// What a run found out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The head is known and its objects are here.
    Grounded {
        /// What is followed, and its commit.
        revision: Revision,
        /// Who signed it, if that must be.
        verification: Option<VerificationStatus>,
    },
    /// Asked to stand still.
    Suspended,
}

/// The next status; equal to the one before when nothing changed.
pub fn next(
    before: &ConfigRepoStatus,
    outcome: &Result<Outcome, Failure>,
    generation: Option<i64>,
    requested_at: Option<String>,
    now: DateTime<Utc>,
) -> ConfigRepoStatus {
    let (verdict, revision, verification) = match outcome {
        Ok(Outcome::Grounded { revision, verification }) => {
            let signers = verification.iter().flat_map(|verified| verified.key.iter().chain(&verified.tag_key));
            let signers: Vec<&str> = signers.map(String::as_str).collect();
            let signed =
                if signers.is_empty() { String::new() } else { format!(", signed by {}", signers.join(" and ")) };
            let message = format!("read {revision}{signed}");
            (Verdict::Ready { reason: Reason::Succeeded, message }, Some(revision.clone()), verification.clone())
        }
        Ok(Outcome::Suspended) => (
            Verdict::Ready { reason: Reason::Suspended, message: "suspended; what was read stays in use".to_owned() },
            before.revision.clone(),
            before.verification.clone(),
        ),
        Err(failure) => (Verdict::Failed(failure.clone()), before.revision.clone(), before.verification.clone()),
    };
    ConfigRepoStatus {
        conditions: conditions(&verdict, generation, &before.conditions, now),
        observed_generation: generation,
        last_handled_reconcile_at: requested_at,
        revision,
        verification,
        webhook_path: before.webhook_path.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_keeps_the_revision_and_equal_facts_keep_the_status() {
        let at = |second| DateTime::from_timestamp(second, 0).unwrap();
        let revision: Revision = format!("main@sha1:{}", "ab".repeat(20)).parse().unwrap();
        let found = Ok(Outcome::Grounded { revision: revision.clone(), verification: None });
        let first = next(&ConfigRepoStatus::default(), &found, Some(1), None, at(1));
        assert_eq!(next(&first, &found, Some(1), None, at(99)), first);
        let failed = next(&first, &Err(Failure::retry(Reason::GitOperationFailed, "down")), Some(1), None, at(2));
        assert_eq!(failed.revision, Some(revision));
        assert_eq!(failed.conditions[0].status, "False");
    }
}
