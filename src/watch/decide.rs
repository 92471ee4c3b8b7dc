//! Chooses a tag. A policy, the tag chosen before and a whole list of tags come in; the choice goes out, with a reason for every tag.
//!
//! The order is total, so that the same list in any order gives the same choice: by the policy's key; of equal keys the
//! current tag is the newest, else the lexically greatest tag. A choice never goes back to an older tag while the current
//! one still fits the policy.

use std::borrow::Cow;
use std::cmp::Ordering;

use serde::Serialize;

use self::explain::{chosen_verdict, gate_verdict, held_verdict, older_verdict, refused_verdict};
use super::policy::{Key, Policy, Ranking};
use crate::api::image_policy::TagVerdict;
use crate::image::{Tag, TagList};
use crate::version;

mod best;
pub mod candidates;
pub mod explain;

pub use candidates::{candidates, fitting, nearest};
pub use explain::{Explanation, Outcome, Rule, Verdict};

/// What runs, without reasons for each tag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice {
    /// The tag; `None` when none may run.
    pub chosen: Option<Tag>,
    /// Set when the choice stays at a tag that is not in the list.
    pub held: Option<Held>,
}

/// Why the choice stays at a tag that is not in the list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Held {
    /// The tag that stays.
    pub kept: Tag,
    /// The newest of the list, which is older.
    #[serde(rename = "insteadOf", skip_serializing_if = "Option::is_none")]
    pub instead_of: Option<Tag>,
    /// For people.
    pub reason: String,
}

/// What runs, and why each other tag doesn't.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// The tag; `None` when none may run.
    pub chosen: Option<Tag>,
    /// Each tag of the list once: newest first, refused ones last.
    pub verdicts: Vec<Verdict>,
    /// Set when the choice stays at a tag that is not in the list.
    pub held: Option<Held>,
}

/// A tag that may run.
#[derive(Debug, Clone, Copy)]
struct Candidate<'t, 'k> {
    tag: &'t str,
    /// Of what the filter extracted, which may live shorter.
    key: Key<'k>,
}

/// Chooses from a whole list, fast: the same choice as [`decide`], without reasons for each tag.
///
/// `current` is the tag chosen before, by whatever policy.
pub fn choose(policy: &Policy, current: Option<&Tag>, tags: &TagList) -> Choice {
    best::of(policy, current, tags, 1, |best| conclude(policy, current, best.first().copied()))
}

/// The best of a list, newest first, at most `limit` of them: the first is what [`choose`] chooses, unless that holds a tag.
///
/// `current` is the tag chosen before, by whatever policy.
pub fn ranked<'t>(policy: &Policy, current: Option<&Tag>, tags: &'t TagList, limit: usize) -> Vec<&'t str> {
    best::of(policy, current, tags, limit, |best| best.iter().map(|candidate| candidate.tag).collect())
}

/// Which of two tags is newer, the greater being it; `None` when one of them doesn't fit the policy.
///
/// `current` is the tag chosen before, by whatever policy.
pub fn compare(policy: &Policy, current: Option<&Tag>, a: &str, b: &str) -> Option<Ordering> {
    let (a_text, b_text) = (policy.compared(a)?, policy.compared(b)?);
    let a = Candidate { tag: a, key: policy.ranking.key(&a_text)? };
    let b = Candidate { tag: b, key: policy.ranking.key(&b_text)? };
    Some(order(&policy.ranking, current, &a, &b))
}

/// Which candidate is newer: the greater is.
fn order(ranking: &Ranking, current: Option<&Tag>, a: &Candidate<'_, '_>, b: &Candidate<'_, '_>) -> Ordering {
    ranking.compare(&a.key, &b.key).then_with(|| break_tie(current, a.tag, b.tag))
}

/// Of tags with equal keys the current one is the newest, else the lexically greatest, whatever the policy's order.
fn break_tie(current: Option<&Tag>, a: &str, b: &str) -> Ordering {
    let is_current = |tag: &str| current.is_some_and(|current| current.as_str() == tag);
    is_current(a).cmp(&is_current(b)).then_with(|| a.cmp(b))
}

/// The choice between the newest of the list and the current tag, which may have left the list.
fn conclude(policy: &Policy, current: Option<&Tag>, best: Option<Candidate<'_, '_>>) -> Choice {
    let held = current.and_then(|current| hold(policy, current, best.as_ref()));
    let chosen = held.as_ref().map(|held| held.kept.clone()).or_else(|| best.map(|best| listed(best.tag)));
    Choice { chosen, held }
}

/// Holds the current tag when it still fits the policy and is newer than all of the list. As a listed one is never newer
/// than the newest, it has left the list then.
fn hold(policy: &Policy, current: &Tag, best: Option<&Candidate<'_, '_>>) -> Option<Held> {
    let text = policy.compared(current.as_str())?;
    let key = policy.ranking.key(&text)?;
    let reason = match best {
        Some(best) if policy.allows_downgrade || policy.ranking.compare(&key, &best.key).is_le() => return None,
        Some(best) => format!(
            "{} is older than {current}, which was chosen before and is no longer listed: a downgrade is refused",
            best.tag
        ),
        None => format!("{current} was chosen before and is no longer listed; it stays, as no listed tag fits"),
    };
    Some(Held { kept: current.clone(), instead_of: best.map(|best| listed(best.tag)), reason })
}

/// Whether this verdict is a gate's.
pub fn is_stop(verdict: &TagVerdict) -> bool {
    use super::judge::GATES;
    GATES.contains(&verdict.rule.as_str())
}

fn listed(tag: &str) -> Tag {
    tag.parse().expect("a list takes nothing but tags")
}

/// Chooses from a whole list and gives a reason for every tag.
///
/// `current` is the tag chosen before, by whatever policy; `stopped` are the tags that a gate stops, as far as that is known.
pub fn decide(policy: &Policy, current: Option<&Tag>, tags: &TagList, stopped: &[TagVerdict]) -> Decision {
    let listed: Vec<&str> = tags.iter().rev().collect();
    let texts: Vec<Option<Cow<'_, str>>> = listed.iter().map(|tag| policy.compared(tag)).collect();
    let (mut candidates, mut refused, mut gated) = (Vec::new(), Vec::new(), Vec::new());
    for (&tag, text) in listed.iter().zip(&texts) {
        match text.as_deref().map(|text| (text, policy.ranking.key(text))) {
            Some((_, Some(key))) => match stopped.iter().find(|stop| is_stop(stop) && stop.tag.as_str() == tag) {
                Some(stop) if current != Some(&stop.tag) => gated.push(gate_verdict(stop)),
                _ => candidates.push(Candidate { tag, key }),
            },
            Some((text, None)) => refused.push((tag, Some(text))),
            None => refused.push((tag, None)),
        }
    }
    candidates.sort_by(|a, b| order(&policy.ranking, current, b, a));
    // Versions outside of the range newest first as well, then what is no version, then what the filter leaves out.
    refused
        .sort_by_key(|(_, text)| std::cmp::Reverse((text.is_some(), text.and_then(|text| version::read(text).ok()))));
    let Choice { chosen, held } = conclude(policy, current, candidates.first().copied());
    let mut verdicts: Vec<Verdict> = Vec::with_capacity(listed.len());
    if let Some(best) = candidates.first() {
        let others = candidates.iter().skip(usize::from(held.is_none()));
        verdicts.extend(held.is_none().then(|| chosen_verdict(policy, best, candidates.len())));
        verdicts.extend(others.map(|other| match &held {
            Some(held) => held_verdict(held, other),
            None => older_verdict(policy, current, best, other),
        }));
    }
    verdicts.extend(gated);
    verdicts.extend(refused.into_iter().map(|(tag, text)| refused_verdict(policy, tag, text)));
    Decision { chosen, verdicts, held }
}

#[cfg(test)]
mod tests;
