//! A decision × the status before → the next status of an ImagePolicy, and what to tell people.

use chrono::{DateTime, Utc};

use super::judge::WAITING;
use crate::api::ImagePolicyStatus;
use crate::api::condition::{Reason, Verdict, conditions, counted};
use crate::api::image_policy::{ImageRef, LastScan, TagVerdict};
use crate::failure::{Answer, Failure};
use crate::image::{Digest, Repository, Tag};

/// What a run found out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// A whole list was read and judged.
    Judged(Box<Judged>),
    /// A whole list was read, but not believed: why not.
    NotBelieved(String),
    /// It was not time to ask yet.
    NotDue,
    /// Asked to stand still.
    Suspended,
}

/// What was judged, from which list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judged {
    /// The image.
    pub image: Repository,
    /// The choice, if any tag may run.
    pub chosen: Option<(Tag, Option<Digest>)>,
    /// When the chosen image was built, if the policy goes by that.
    pub built_at: Option<DateTime<Utc>>,
    /// Why the choice of before stands although the list has no tag as new.
    pub held: Option<String>,
    /// The list.
    pub scan: Scan,
    /// The tags nearest to the choice, newest first.
    pub verdicts: Vec<TagVerdict>,
}

/// A list, in short.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scan {
    /// The image as the registry knows it.
    pub image: String,
    /// How many tags it has.
    pub tags: u32,
    /// How many names in it were no valid tags.
    pub skipped: u32,
    /// Equal lists have equal revisions.
    pub revision: String,
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
        Ok(Outcome::NotBelieved(reason)) if status.latest_ref.is_some() => {
            Verdict::Ready { reason: Reason::ListShrank, message: reason.clone() }
        }
        Ok(Outcome::NotBelieved(reason)) => Verdict::Failed(Failure::retry(Reason::ListShrank, reason.clone())),
        Ok(Outcome::Judged(judged)) => {
            status.last_scan = Some(last_scan(before.last_scan.as_ref(), &judged.scan, now));
            status.verdicts.clone_from(&judged.verdicts);
            choose(&mut status, judged, now);
            verdict(judged)
        }
        Err(failure) => Verdict::Failed(failure.clone()),
    };
    status.conditions = conditions(&verdict, generation, &before.conditions, now);
    status
}

/// A list's revision as the status has it: enough of a hash to see by eye whether two are the same.
pub fn revision(hash: &[u8]) -> String {
    hex::encode(&hash[..hash.len().min(8)])
}

/// What people should hear of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct News {
    /// The event's reason.
    pub reason: Reason,
    /// The event's note.
    pub note: String,
    /// Something is wrong.
    pub is_warning: bool,
}

/// What changed between two statuses, if people should hear of it.
pub fn news(before: &ImagePolicyStatus, after: &ImagePolicyStatus) -> Option<News> {
    let shown = |latest: &ImageRef| match &latest.digest {
        Some(digest) => format!("{}:{}@{digest}", latest.name, latest.tag),
        None => format!("{}:{}", latest.name, latest.tag),
    };
    if let Some(latest) = after.latest_ref.as_ref().filter(|_| after.latest_ref != before.latest_ref) {
        let was = before.latest_ref.as_ref().map(|previous| match &previous.digest {
            Some(digest) if previous.tag == latest.tag => format!(" (was {digest})"),
            _ => format!(" (was {})", previous.tag),
        });
        let note = format!("chose {}{}", shown(latest), was.unwrap_or_default());
        return Some(News { reason: Reason::Chosen, note, is_warning: false });
    }
    let waits = |status: &ImagePolicyStatus| {
        let waiting = status.verdicts.iter().find(|verdict| verdict.verdict == WAITING);
        waiting.map(|verdict| (verdict.tag.clone(), verdict.rule.clone(), verdict.reason.clone()))
    };
    let (ready, was) = (after.conditions.first()?, before.conditions.first());
    let is_new = was
        .is_none_or(|was| (&was.status, &was.reason, &was.message) != (&ready.status, &ready.reason, &ready.message));
    let reason = Reason::named(&ready.reason).unwrap_or(Reason::ScanFailed);
    let is_held = matches!(reason, Reason::DowngradeRefused | Reason::ListShrank);
    if is_new && (ready.status == "False" || is_held) {
        return Some(News { reason, note: ready.message.clone(), is_warning: true });
    }
    let (tag, rule, why) = waits(after)?;
    let is_known = waits(before).is_some_and(|(known, by, _)| known == tag && by == rule);
    let note = format!("{tag} waits for {rule}: {why}");
    (!is_known).then_some(News { reason: Reason::WaitingForGate, note, is_warning: false })
}

fn last_scan(before: Option<&LastScan>, scan: &Scan, now: DateTime<Utc>) -> LastScan {
    let Scan { image, tags, skipped, revision } = scan.clone();
    let same = before.filter(|before| before.image == image && before.revision == revision);
    LastScan { image, tags, skipped, revision, changed_at: same.map_or(now, |same| same.changed_at) }
}

fn choose(status: &mut ImagePolicyStatus, judged: &Judged, now: DateTime<Utc>) {
    status.built_at = judged.built_at;
    let Some((tag, digest)) = judged.chosen.clone() else {
        // What was chosen for another image or by another policy can't stand for this one.
        status.observed_previous_ref = status.latest_ref.take().or_else(|| status.observed_previous_ref.take());
        status.chosen_at = None;
        return;
    };
    let latest = ImageRef { name: judged.image.to_string(), tag, digest };
    if status.latest_ref.as_ref() != Some(&latest) {
        if let Some(previous) = status.latest_ref.replace(latest) {
            status.observed_previous_ref = Some(previous);
        }
        status.chosen_at = Some(now);
    }
}

fn verdict(judged: &Judged) -> Verdict {
    let Judged { image, chosen, held, scan, verdicts, .. } = judged;
    let tags = counted(scan.tags as usize, "tag");
    let waits = verdicts.iter().find(|verdict| verdict.verdict == WAITING);
    let waiting = waits.map(|verdict| format!("{} waits for {}: {}", verdict.tag, verdict.rule, verdict.reason));
    match (chosen, held, waiting) {
        (Some(_), Some(reason), _) => Verdict::Ready { reason: Reason::DowngradeRefused, message: reason.clone() },
        (Some((tag, _)), None, None) => {
            Verdict::Ready { reason: Reason::Succeeded, message: format!("{tag} is the newest that may run of {tags}") }
        }
        (Some((tag, _)), None, Some(waiting)) => Verdict::Ready {
            reason: Reason::Succeeded,
            message: format!("{tag} is the newest that may run now of {tags}; {waiting}"),
        },
        (None, _, Some(waiting)) => Verdict::Reconciling { reason: Reason::WaitingForGate, message: waiting },
        (None, _, None) => {
            let why = match verdicts.first() {
                Some(verdict) => format!(", as for {}: {}", verdict.tag, verdict.reason),
                None => String::new(),
            };
            let message = format!(
                "none of the {tags} of {image} may run by this policy{why}; `tagboat explain` says it for each"
            );
            // A signature or another tag may come without a change of this object.
            Verdict::Failed(Failure { answer: Answer::WaitForUser, reason: Reason::NoTagAllowed, message })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(second, 0).unwrap()
    }

    fn judged(chosen: Option<&str>, verdicts: Vec<TagVerdict>) -> Result<Outcome, Failure> {
        let chosen = chosen.map(|tag| (tag.parse().unwrap(), None));
        let scan = Scan { image: "x.io/app".to_owned(), tags: 3, skipped: 0, revision: "r".to_owned() };
        let image = "x.io/app".parse().unwrap();
        Ok(Outcome::Judged(Box::new(Judged { image, chosen, built_at: None, held: None, scan, verdicts })))
    }

    fn waiting(tag: &str) -> TagVerdict {
        TagVerdict {
            tag: tag.parse().unwrap(),
            verdict: WAITING.to_owned(),
            rule: "minAge".to_owned(),
            reason: "it is young".to_owned(),
            digest: None,
            first_seen: Some(at(0)),
            until: Some(at(60)),
        }
    }

    fn reason(status: &ImagePolicyStatus) -> (&str, &str) {
        (&status.conditions[0].status, &status.conditions[0].reason)
    }

    #[test]
    fn a_new_choice_keeps_the_one_before_and_the_same_choice_changes_nothing() {
        let first = next(&ImagePolicyStatus::default(), &judged(Some("1.0.0"), vec![]), Some(1), None, at(1));
        assert_eq!(next(&first, &judged(Some("1.0.0"), vec![]), Some(1), None, at(50)), first);
        let second = next(&first, &judged(Some("1.1.0"), vec![]), Some(1), None, at(60));
        assert_eq!(second.observed_previous_ref, first.latest_ref);
        assert_eq!(second.chosen_at, Some(at(60)));
        assert_eq!(second.last_scan.unwrap().changed_at, at(1), "the same list");
    }

    #[test]
    fn neither_a_failure_nor_a_list_that_is_not_believed_takes_the_choice_away() {
        let first = next(&ImagePolicyStatus::default(), &judged(Some("1.0.0"), vec![]), Some(1), None, at(1));
        let failed = next(&first, &Err(Failure::retry(Reason::ScanFailed, "down")), Some(1), None, at(2));
        assert_eq!((&failed.latest_ref, reason(&failed)), (&first.latest_ref, ("False", "ScanFailed")));
        let shrank = next(&first, &Ok(Outcome::NotBelieved("gone".to_owned())), Some(1), None, at(2));
        assert_eq!((&shrank.latest_ref, &shrank.last_scan), (&first.latest_ref, &first.last_scan));
        assert_eq!(reason(&shrank), ("True", "ListShrank"));
    }

    #[test]
    fn what_waits_is_said() {
        let none = next(&ImagePolicyStatus::default(), &judged(None, vec![waiting("2")]), Some(1), None, at(1));
        assert_eq!(reason(&none), ("Unknown", "WaitingForGate"));
        let kept = next(&none, &judged(Some("1"), vec![waiting("2")]), Some(1), None, at(2));
        assert_eq!(reason(&kept), ("True", "Succeeded"));
        assert!(kept.conditions[0].message.contains("2 waits for minAge"), "{}", kept.conditions[0].message);
    }

    #[test]
    fn no_tag_that_may_run_is_said() {
        let none = next(&ImagePolicyStatus::default(), &judged(None, vec![]), Some(1), None, at(1));
        assert_eq!((&none.latest_ref, reason(&none)), (&None, ("False", "NoTagAllowed")));
    }
}
