//! Chooses a tag. A policy, the tag chosen before and a whole list of tags come in; the choice goes out, with a reason for every tag.
//!
//! The order is total, so that the same list in any order gives the same choice: by the policy's key; of equal keys the
//! current tag is the newest, else the lexically greatest tag. A choice never goes back to an older tag while the current
//! one still fits the policy.

use std::borrow::Cow;
use std::cmp::Ordering;

use serde::Serialize;

use self::explain::{chosen_verdict, held_verdict, older_verdict, refused_verdict};
use super::filter::Filter;
use super::policy::{Key, Policy, Ranking};
use super::range::Range;
use super::version::{self, Parts};
use crate::image::Tag;

pub mod explain;

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
struct Candidate<'t> {
    tag: &'t Tag,
    key: Key<'t>,
}

/// Chooses from a whole list, fast: the same choice as [`decide`], without reasons for each tag.
///
/// `current` is the tag chosen before, by whatever policy.
pub fn choose(policy: &Policy, current: Option<&Tag>, tags: &[Tag]) -> Choice {
    // From the end: registries list in lexical order, so that most tags lose against the first that was seen.
    let best = match &policy.filter {
        None => newest(&policy.ranking, current, tags.iter().rev().map(|tag| (tag, tag.as_str()))),
        Some(filter) => {
            let mut extractor = filter.extractor();
            let texts: Vec<(&Tag, Cow<'_, str>)> =
                tags.iter().rev().filter_map(|tag| Some((tag, extractor.apply(tag.as_str())?))).collect();
            let best = newest(&policy.ranking, current, texts.iter().map(|(tag, text)| (*tag, &**text)));
            return conclude(policy, current, best);
        }
    };
    conclude(policy, current, best)
}

fn newest<'t>(
    ranking: &Ranking,
    current: Option<&Tag>,
    texts: impl Iterator<Item = (&'t Tag, &'t str)>,
) -> Option<Candidate<'t>> {
    if let Ranking::Semver { range, .. } = ranking {
        return newest_version(range, current, texts);
    }
    let candidates = texts.filter_map(|(tag, text)| Some(Candidate { tag, key: ranking.key(text)? }));
    candidates.reduce(|best, next| if order(ranking, current, &next, &best).is_gt() { next } else { best })
}

/// As for the other rankings, but most versions lose by their numbers, before anything else of them is read.
fn newest_version<'t>(
    range: &Range,
    current: Option<&Tag>,
    texts: impl Iterator<Item = (&'t Tag, &'t str)>,
) -> Option<Candidate<'t>> {
    let mut best: Option<(&Tag, Parts<'_>)> = None;
    for (tag, text) in texts {
        if let (Some((_, best)), Ok((numbers, _))) = (&best, version::leading_numbers(text))
            && numbers < best.numbers
        {
            continue;
        }
        let Ok(version) = version::read(text) else { continue };
        let is_newer = best
            .as_ref()
            .is_none_or(|(best_tag, best)| version.cmp(best).then_with(|| break_tie(current, tag, best_tag)).is_gt());
        if is_newer && range.contains(&version) {
            best = Some((tag, version));
        }
    }
    best.map(|(tag, version)| Candidate { tag, key: Key::Version(version) })
}

/// Which candidate is newer: the greater is.
fn order(ranking: &Ranking, current: Option<&Tag>, a: &Candidate<'_>, b: &Candidate<'_>) -> Ordering {
    ranking.compare(&a.key, &b.key).then_with(|| break_tie(current, a.tag, b.tag))
}

/// Of tags with equal keys the current one is the newest, else the lexically greatest, whatever the policy's order.
fn break_tie(current: Option<&Tag>, a: &Tag, b: &Tag) -> Ordering {
    let is_current = |tag: &Tag| current == Some(tag);
    is_current(a).cmp(&is_current(b)).then_with(|| a.cmp(b))
}

/// The choice between the newest of the list and the current tag, which may have left the list.
fn conclude(policy: &Policy, current: Option<&Tag>, best: Option<Candidate<'_>>) -> Choice {
    let held = current.and_then(|current| hold(policy, current, best.as_ref()));
    let chosen = held.as_ref().map(|held| &held.kept).or(best.map(|best| best.tag)).cloned();
    Choice { chosen, held }
}

/// Holds the current tag when it still fits the policy and is newer than all of the list. As a listed one is never newer
/// than the newest, it has left the list then.
fn hold(policy: &Policy, current: &Tag, best: Option<&Candidate<'_>>) -> Option<Held> {
    let text = compared(policy.filter.as_ref(), current.as_str())?;
    let key = policy.ranking.key(&text)?;
    let reason = match best {
        Some(best) if policy.ranking.compare(&key, &best.key).is_le() => return None,
        Some(best) => format!(
            "{} is older than {current}, which was chosen before and is no longer listed: a downgrade is refused",
            best.tag
        ),
        None => format!("{current} was chosen before and is no longer listed; it stays, as no listed tag fits"),
    };
    Some(Held { kept: current.clone(), instead_of: best.map(|best| best.tag.clone()), reason })
}

/// What of a tag is compared; `None` when the filter leaves it out.
fn compared<'t>(filter: Option<&Filter>, tag: &'t str) -> Option<Cow<'t, str>> {
    filter.map_or(Some(Cow::Borrowed(tag)), |filter| filter.apply(tag))
}

/// Chooses from a whole list and gives a reason for every tag.
///
/// `current` is the tag chosen before, by whatever policy.
pub fn decide(policy: &Policy, current: Option<&Tag>, tags: &[Tag]) -> Decision {
    let mut listed: Vec<&Tag> = tags.iter().collect();
    listed.sort_unstable_by(|a, b| b.cmp(a));
    listed.dedup();
    let texts: Vec<Option<Cow<'_, str>>> =
        listed.iter().map(|tag| compared(policy.filter.as_ref(), tag.as_str())).collect();
    let (mut candidates, mut refused) = (Vec::new(), Vec::new());
    for (&tag, text) in listed.iter().zip(&texts) {
        match text.as_deref().map(|text| (text, policy.ranking.key(text))) {
            Some((_, Some(key))) => candidates.push(Candidate { tag, key }),
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
    verdicts.extend(refused.into_iter().map(|(tag, text)| refused_verdict(policy, tag, text)));
    Decision { chosen, verdicts, held }
}

#[cfg(test)]
mod tests;
