//! What of a list is near the choice: the tags that may replace it, for the gates; the tags around it, for people.

use super::explain::{self, Verdict};
use super::{Candidate, Held, choose, compare, hold, listed, ranked};
use crate::api::image_policy::TagVerdict;
use crate::image::{Tag, TagList};
use crate::watch::judge::Judgement;
use crate::watch::policy::Policy;

/// How many tags may stand before the gates at once.
const CANDIDATES: usize = 1000;
/// How many images are looked at to find the newest build.
const BUILDS: usize = 500;
/// How many older tags, and how many that don't fit, a status tells of.
const TOLD: usize = 3;
/// How many tags at the end of a list are looked at for some that don't fit.
const SAMPLE: usize = 200;

/// What may replace the choice of before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidates {
    /// Tags that are newer, newest first.
    pub newer: Vec<Tag>,
    /// Whether the choice of before stands when none of them may be taken yet.
    pub current_stands: bool,
    /// Whether the choice of before is still listed.
    pub is_listed: bool,
    /// Why the choice of before stands although the list has no tag as new.
    pub held: Option<Held>,
}

/// The tags of a list that are newer than the choice of before: all that fit if that doesn't fit the policy any more.
pub fn candidates(policy: &Policy, current: Option<&Tag>, tags: &TagList) -> Candidates {
    let is_listed = current.is_some_and(|current| tags.contains(current.as_str()));
    let choice = choose(policy, current, tags);
    if let Some(current) = current
        && choice.chosen.as_ref() == Some(current)
    {
        return Candidates { newer: Vec::new(), current_stands: true, is_listed, held: choice.held };
    }
    let fits = current.is_some_and(|current| compare(policy, None, current.as_str(), current.as_str()).is_some());
    let can_replace = |tag: &&str| match current {
        Some(current) if fits && (is_listed || !policy.allows_downgrade) => {
            compare(policy, Some(current), tag, current.as_str()).is_some_and(std::cmp::Ordering::is_gt)
        }
        _ => true,
    };
    let newer: Vec<Tag> =
        ranked(policy, current, tags, CANDIDATES).into_iter().take_while(can_replace).map(listed).collect();
    Candidates { current_stands: current.is_some() && !newer.is_empty(), newer, is_listed, held: None }
}

/// All tags that fit a policy whose order is not in the tags.
///
/// # Errors
/// When there are more than tagboat looks at, with what to do.
pub fn fitting(policy: &Policy, tags: &TagList) -> Result<Vec<Tag>, String> {
    let fitting: Vec<Tag> = tags.iter().filter(|tag| policy.compared(tag).is_some()).map(listed).collect();
    if fitting.len() > BUILDS {
        return Err(format!(
            "spec.policy.newestBuild: {} tags fit, and each image has to be looked at: let filterTags or exclusionList leave at most {BUILDS}",
            fitting.len()
        ));
    }
    Ok(fitting)
}

/// The verdicts that go into the status: what the gates stopped, the choice, and a few tags behind it.
pub fn nearest(policy: &Policy, judgement: &Judgement, tags: &TagList) -> Vec<TagVerdict> {
    let chosen = judgement.chosen.as_ref().map(|(tag, _)| tag);
    let mut verdicts = judgement.stopped.clone();
    let is_stopped = |tag: &str| judgement.stopped.iter().any(|stopped| stopped.tag.as_str() == tag);
    let best = ranked(policy, chosen, tags, judgement.stopped.len() + TOLD + 1);
    let mut older =
        best.into_iter().filter(|tag| !is_stopped(tag) || chosen.is_some_and(|chosen| chosen.as_str() == *tag));
    let with_key = |tag: &str, then: &mut dyn FnMut(&Candidate<'_, '_>)| {
        if let Some(text) = policy.compared(tag)
            && let Some(key) = policy.ranking.key(&text)
        {
            then(&Candidate { tag, key });
        }
    };
    let mut told: Vec<Verdict> = Vec::new();
    if let Some(chosen) = chosen {
        with_key(chosen.as_str(), &mut |best| {
            let held = hold(policy, chosen, None).filter(|_| !tags.contains(chosen.as_str()));
            if held.is_none() {
                told.push(explain::taken_verdict(policy, best, !judgement.stopped.is_empty()));
            }
            for tag in older.by_ref().filter(|tag| *tag != chosen.as_str()).take(TOLD) {
                with_key(tag, &mut |other| told.push(explain::older_verdict(policy, Some(chosen), best, other)));
            }
        });
    }
    let refused = |tag: &&str| policy.compared(tag).is_none_or(|text| policy.ranking.key(&text).is_none());
    told.extend(tags.iter().rev().take(SAMPLE).filter(refused).take(TOLD).map(|tag| {
        let text = policy.compared(tag);
        explain::refused_verdict(policy, tag, text.as_deref())
    }));
    verdicts.extend(told.into_iter().filter_map(|verdict| {
        let tag: Tag = verdict.tag.parse().ok()?;
        let is_chosen = chosen == Some(&tag);
        Some(TagVerdict {
            verdict: verdict.verdict.to_string(),
            rule: verdict.rule.to_string(),
            reason: verdict.reason,
            digest: judgement.chosen.as_ref().filter(|_| is_chosen).and_then(|(_, digest)| digest.clone()),
            first_seen: None,
            until: None,
            tag,
        })
    }));
    verdicts
}

#[cfg(test)]
mod tests;
