//! A decision × the status before → the next status of an ImagePolicy, and what to tell people.

use chrono::{DateTime, Utc};

use crate::api::ImagePolicyStatus;
use crate::api::condition::{Reason, Verdict, conditions, counted};
use crate::api::image_policy::ImageRef;
use crate::failure::Failure;
use crate::image::{Repository, Tag};

/// What a run found out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// A whole list was read and judged.
    Judged {
        /// The image.
        image: Repository,
        /// The choice, if any tag may run.
        chosen: Option<Tag>,
        /// Why the choice of before stands although the list has no tag as new.
        held: Option<String>,
        /// How many tags the list has.
        tags: u32,
    },
    /// It was not time to ask yet.
    NotDue,
    /// Asked to stand still.
    Suspended,
}

/// The next status; equal to the one before when nothing changed. A failure never takes a choice away.
pub fn next(
    before: &ImagePolicyStatus,
    outcome: &Result<Outcome, Failure>,
    generation: Option<i64>,
    requested_at: Option<String>,
    now: DateTime<Utc>,
) -> ImagePolicyStatus {
    let mut status = before.clone();
    status.observed_generation = generation;
    status.last_handled_reconcile_at = requested_at;
    let verdict = match outcome {
        Ok(Outcome::NotDue) => return before.clone(),
        Ok(Outcome::Suspended) => {
            Verdict::Ready { reason: Reason::Suspended, message: "suspended; the choice stays in use".to_owned() }
        }
        Ok(Outcome::Judged { image, chosen, held, tags }) => {
            status.tags_seen = Some(*tags);
            judged(&mut status, image, chosen.as_ref(), held.as_ref(), now)
        }
        Err(failure) => Verdict::Failed(failure.clone()),
    };
    status.conditions = conditions(&verdict, generation, &before.conditions, now);
    status
}

fn judged(
    status: &mut ImagePolicyStatus,
    image: &Repository,
    chosen: Option<&Tag>,
    held: Option<&String>,
    now: DateTime<Utc>,
) -> Verdict {
    let tags = status.tags_seen.unwrap_or_default();
    let Some(tag) = chosen else {
        let message = format!(
            "none of the {} of {image} may run by this policy; `tagboat explain` says why",
            counted(tags as usize, "tag")
        );
        // What was chosen for another image or by another policy can't stand for this one.
        status.observed_previous_ref = status.latest_ref.take().or_else(|| status.observed_previous_ref.take());
        status.chosen_at = None;
        return Verdict::Failed(Failure::user(Reason::NoTagAllowed, message));
    };
    let latest = ImageRef { name: image.to_string(), tag: tag.clone() };
    if status.latest_ref.as_ref() != Some(&latest) {
        if let Some(previous) = status.latest_ref.replace(latest) {
            status.observed_previous_ref = Some(previous);
        }
        status.chosen_at = Some(now);
    }
    match held {
        Some(reason) => Verdict::Ready { reason: Reason::DowngradeRefused, message: reason.clone() },
        None => Verdict::Ready {
            reason: Reason::Succeeded,
            message: format!("{tag} is the newest that may run of {}", counted(tags as usize, "tag")),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(second, 0).unwrap()
    }

    fn judged(chosen: Option<&str>) -> Result<Outcome, Failure> {
        let chosen = chosen.map(|tag| tag.parse().unwrap());
        Ok(Outcome::Judged { image: "x.io/app".parse().unwrap(), chosen, held: None, tags: 3 })
    }

    #[test]
    fn a_new_choice_keeps_the_one_before_and_the_same_choice_changes_nothing() {
        let first = next(&ImagePolicyStatus::default(), &judged(Some("1.0.0")), Some(1), None, at(1));
        assert_eq!(next(&first, &judged(Some("1.0.0")), Some(1), None, at(50)), first);
        let second = next(&first, &judged(Some("1.1.0")), Some(1), None, at(60));
        assert_eq!(second.observed_previous_ref, first.latest_ref);
        assert_eq!(second.chosen_at, Some(at(60)));
    }

    #[test]
    fn a_failure_keeps_the_choice() {
        let first = next(&ImagePolicyStatus::default(), &judged(Some("1.0.0")), Some(1), None, at(1));
        let failed = next(&first, &Err(Failure::retry(Reason::ScanFailed, "down")), Some(1), None, at(2));
        assert_eq!(failed.latest_ref, first.latest_ref);
        assert_eq!(failed.conditions[0].reason, "ScanFailed");
    }

    #[test]
    fn no_tag_that_may_run_is_said() {
        let none = next(&ImagePolicyStatus::default(), &judged(None), Some(1), None, at(1));
        assert_eq!((none.latest_ref, none.conditions[0].reason.as_str()), (None, "NoTagAllowed"));
    }
}
