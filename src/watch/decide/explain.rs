//! A decision in words: the verdict on every tag, and what `explain -o json` prints.

use std::cmp::Ordering;

use serde::Serialize;

use super::{Candidate, Decision, Held};
use crate::image::Tag;
use crate::watch::policy::{Key, Policy, Ranking};

/// What was decided about a tag.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Verdict {
    /// The tag, or a text that is none.
    pub tag: String,
    /// Chosen, older or refused.
    pub verdict: Outcome,
    /// For people.
    pub reason: String,
    /// Which part of the policy decided.
    pub rule: Rule,
}

/// What a tag is, next to the choice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// It runs.
    Chosen,
    /// It may run, but another is newer.
    Older,
    /// It may not run.
    Refused,
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Self::Chosen => "chosen",
            Self::Older => "older",
            Self::Refused => "refused",
        })
    }
}

/// Which part of a policy decided about a tag.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Rule {
    /// `filterTags`.
    Filter,
    /// `policy.semver`.
    Semver,
    /// `policy.numerical`.
    Numerical,
    /// `policy.alphabetical`.
    Alphabetical,
    /// The choice doesn't go back to an older tag.
    Downgrade,
    /// The OCI distribution specification: the text is no tag.
    Tag,
}

/// A decision as `explain -o json` prints it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Explanation {
    /// Whose decision it is.
    pub policy: Name,
    /// What runs.
    pub chosen: Option<Chosen>,
    /// Each tag of the list once: newest first, refused ones last.
    pub tags: Vec<Verdict>,
    /// Set when the choice stays at a tag that is not in the list.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub held: Option<Held>,
}

/// An object's namespace and name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Name {
    /// The namespace.
    pub namespace: String,
    /// The name.
    pub name: String,
}

/// What runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Chosen {
    /// The tag.
    pub tag: Tag,
}

impl Explanation {
    /// The explanation of a policy's decision. `invalid` are texts of the list that are no tags, each with the reason.
    pub fn new(namespace: &str, name: &str, decision: Decision, invalid: Vec<(String, String)>) -> Self {
        let mut tags = decision.verdicts;
        tags.extend(invalid.into_iter().map(|(tag, reason)| Verdict {
            tag,
            verdict: Outcome::Refused,
            reason,
            rule: Rule::Tag,
        }));
        Self {
            policy: Name { namespace: namespace.to_owned(), name: name.to_owned() },
            chosen: decision.chosen.map(|tag| Chosen { tag }),
            tags,
            held: decision.held,
        }
    }
}

pub(super) fn chosen_verdict(policy: &Policy, best: &Candidate<'_, '_>, candidates: usize) -> Verdict {
    let reason = match candidates {
        1 => format!("{} is the only tag that fits", best.tag),
        count => format!("{} is the newest of {count} tags that fit", best.tag),
    };
    Verdict { tag: best.tag.to_string(), verdict: Outcome::Chosen, reason, rule: rule(&policy.ranking) }
}

pub(super) fn older_verdict(
    policy: &Policy,
    current: Option<&Tag>,
    best: &Candidate<'_, '_>,
    other: &Candidate<'_, '_>,
) -> Verdict {
    let (tag, best_tag) = (other.tag, best.tag);
    let what = match other.key {
        Key::Version(_) => "version",
        Key::Number(_) => "number",
        Key::Text(_) => "text",
    };
    let reason = match policy.ranking.compare(&other.key, &best.key) {
        Ordering::Equal if current.is_some_and(|current| current.as_str() == best_tag) => {
            format!("{tag} is the same {what} as {best_tag}, which is the current tag")
        }
        Ordering::Equal => {
            format!("{tag} is the same {what} as {best_tag}; of equals the lexically greatest tag is chosen")
        }
        Ordering::Less | Ordering::Greater => format!("{tag} is older than {best_tag}"),
    };
    Verdict { tag: tag.to_string(), verdict: Outcome::Older, reason, rule: rule(&policy.ranking) }
}

pub(super) fn held_verdict(held: &Held, other: &Candidate<'_, '_>) -> Verdict {
    let reason = format!("{} is older than {}, which was chosen before: a downgrade is refused", other.tag, held.kept);
    Verdict { tag: other.tag.to_string(), verdict: Outcome::Older, reason, rule: Rule::Downgrade }
}

/// `text` is what the filter extracted, or nothing when it left the tag out.
pub(super) fn refused_verdict(policy: &Policy, tag: &str, text: Option<&str>) -> Verdict {
    let (reason, rule) = match text {
        None => (format!("{tag} does not match the pattern {}", policy.pattern), Rule::Filter),
        Some(text) if text == tag => (policy.ranking.refusal(text), rule(&policy.ranking)),
        Some(text) => (format!("{} (extracted from {tag})", policy.ranking.refusal(text)), rule(&policy.ranking)),
    };
    Verdict { tag: tag.to_string(), verdict: Outcome::Refused, reason, rule }
}

fn rule(ranking: &Ranking) -> Rule {
    match ranking {
        Ranking::Semver { .. } => Rule::Semver,
        Ranking::Numerical(_) => Rule::Numerical,
        Ranking::Alphabetical(_) => Rule::Alphabetical,
    }
}
