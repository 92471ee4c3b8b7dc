//! A decision in words: the verdict on every tag, and what `explain -o json` prints.

use std::cmp::Ordering;

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::{Candidate, Decision, Held};
use crate::api::ImagePolicyStatus;
use crate::api::image_policy::{LastScan, TagVerdict};
use crate::api::image_update::HoldStatus;
use crate::image::{Digest, Tag};
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
    /// Which gate, if one did: `minAge`, `windows`, `manifest`, `platforms` or `verify`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gate: Option<String>,
    /// When that gate opens, if that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<DateTime<Utc>>,
}

impl Verdict {
    fn new(tag: &str, verdict: Outcome, reason: String, rule: Rule) -> Self {
        Self { tag: tag.to_owned(), verdict, reason, rule, gate: None, until: None }
    }
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
#[serde(rename_all = "camelCase")]
pub enum Rule {
    /// `exclusionList`.
    Exclusion,
    /// `filterTags`.
    Filter,
    /// `policy.semver`.
    Semver,
    /// `policy.numerical`.
    Numerical,
    /// `policy.alphabetical`.
    Alphabetical,
    /// `policy.newestBuild`.
    NewestBuild,
    /// `policy.digestOf`.
    DigestOf,
    /// `gates`, `platforms`, or the manifest is missing.
    Gate,
    /// The choice doesn't go back to an older tag.
    Downgrade,
    /// The OCI distribution specification: the text is no tag.
    Tag,
}

impl std::fmt::Display for Rule {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Exclusion => "exclusion",
            Self::Filter => "filter",
            Self::Semver => "semver",
            Self::Numerical => "numerical",
            Self::Alphabetical => "alphabetical",
            Self::NewestBuild => "newestBuild",
            Self::DigestOf => "digestOf",
            Self::Gate => "gate",
            Self::Downgrade => "downgrade",
            Self::Tag => "tag",
        })
    }
}

/// A decision as `explain -o json` prints it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
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
    /// What the controller says of its own last decision, when it was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub controller: Option<Controller>,
    /// The list that the controller's decision rests on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_scan: Option<LastScan>,
    /// Where it is not written, since a person decided against it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub holds: Vec<HoldBack>,
    /// Gates that only the controller can check.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub not_checked: Vec<&'static str>,
    /// What else a reader should know.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

/// A hold, and whose.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct HoldBack {
    /// The ImageUpdate.
    pub image_update: String,
    /// The hold.
    #[serde(flatten)]
    pub hold: HoldStatus,
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
    /// The digest that is written beside it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
}

impl Explanation {
    /// The explanation of a policy's decision. `invalid` are texts of the list that are no tags, each with the reason.
    pub fn new(namespace: &str, name: &str, decision: Decision, invalid: Vec<(String, String)>) -> Self {
        let mut tags = decision.verdicts;
        tags.extend(invalid.into_iter().map(|(tag, reason)| Verdict::new(&tag, Outcome::Refused, reason, Rule::Tag)));
        Self {
            policy: Name { namespace: namespace.to_owned(), name: name.to_owned() },
            chosen: decision.chosen.map(|tag| Chosen { tag, digest: None }),
            tags,
            held: decision.held,
            controller: None,
            last_scan: None,
            holds: Vec::new(),
            not_checked: Vec::new(),
            notes: Vec::new(),
        }
    }

    /// What a status tells, for when there is no list of tags at hand.
    pub fn of_status(namespace: &str, name: &str, status: &ImagePolicyStatus) -> Self {
        let decision = Decision { chosen: None, verdicts: status.verdicts.iter().map(told).collect(), held: None };
        let chosen = status.latest_ref.clone().map(|latest| Chosen { tag: latest.tag, digest: latest.digest });
        Self { chosen, ..Self::new(namespace, name, decision, Vec::new()) }
    }
}

/// What the controller says of its own last decision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Controller {
    /// How it stands, for people.
    pub message: String,
    /// When it chose what it chose.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chosen_at: Option<DateTime<Utc>>,
}

impl Controller {
    /// From a status; nothing before the first decision.
    pub fn new(status: &ImagePolicyStatus) -> Option<Self> {
        let ready = crate::api::condition::ready(&status.conditions)?;
        Some(Self { message: ready.message.clone(), chosen_at: status.chosen_at })
    }
}

/// A verdict of a status as the explanation has it.
fn told(verdict: &TagVerdict) -> Verdict {
    if super::is_stop(verdict) {
        return gate_verdict(verdict);
    }
    let outcome = match verdict.verdict.as_str() {
        "chosen" => Outcome::Chosen,
        "older" => Outcome::Older,
        _ => Outcome::Refused,
    };
    let rule = ALL_RULES.into_iter().find(|rule| rule.to_string() == verdict.rule).unwrap_or(Rule::Gate);
    Verdict::new(verdict.tag.as_str(), outcome, verdict.reason.clone(), rule)
}

const ALL_RULES: [Rule; 9] = [
    Rule::Exclusion,
    Rule::Filter,
    Rule::Semver,
    Rule::Numerical,
    Rule::Alphabetical,
    Rule::NewestBuild,
    Rule::DigestOf,
    Rule::Downgrade,
    Rule::Tag,
];

pub(super) fn gate_verdict(stop: &TagVerdict) -> Verdict {
    let reason = format!("{} is stopped by {}: {}", stop.tag, stop.rule, stop.reason);
    let verdict = Verdict::new(stop.tag.as_str(), Outcome::Refused, reason, Rule::Gate);
    Verdict { gate: Some(stop.rule.clone()), until: stop.until, ..verdict }
}

/// Of the choice, where the whole list is not counted.
pub(super) fn taken_verdict(policy: &Policy, best: &Candidate<'_, '_>, is_behind: bool) -> Verdict {
    let reason = match is_behind {
        false => format!("{} is the newest tag that fits", best.tag),
        true => format!("{} is the newest tag that fits and passes the gates", best.tag),
    };
    Verdict::new(best.tag, Outcome::Chosen, reason, rule(&policy.ranking))
}

pub(super) fn chosen_verdict(policy: &Policy, best: &Candidate<'_, '_>, candidates: usize) -> Verdict {
    let reason = match candidates {
        1 => format!("{} is the only tag that fits", best.tag),
        count => format!("{} is the newest of {count} tags that fit", best.tag),
    };
    Verdict::new(best.tag, Outcome::Chosen, reason, rule(&policy.ranking))
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
        Key::Built(_) => "age",
        Key::Any => "tag",
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
    Verdict::new(tag, Outcome::Older, reason, rule(&policy.ranking))
}

pub(super) fn held_verdict(held: &Held, other: &Candidate<'_, '_>) -> Verdict {
    let reason = format!("{} is older than {}, which was chosen before: a downgrade is refused", other.tag, held.kept);
    Verdict::new(other.tag, Outcome::Older, reason, Rule::Downgrade)
}

/// `text` is what the filter extracted, or nothing when it left the tag out.
pub(super) fn refused_verdict(policy: &Policy, tag: &str, text: Option<&str>) -> Verdict {
    let (reason, rule) = match text {
        None => match policy.exclusion.pattern(tag) {
            Some(pattern) => (format!("{tag} is excluded by {pattern}"), Rule::Exclusion),
            None => (format!("{tag} does not match the pattern {}", policy.pattern), Rule::Filter),
        },
        Some(text) if text == tag => (policy.ranking.refusal(text), rule(&policy.ranking)),
        Some(text) => (format!("{} (extracted from {tag})", policy.ranking.refusal(text)), rule(&policy.ranking)),
    };
    Verdict::new(tag, Outcome::Refused, reason, rule)
}

fn rule(ranking: &Ranking) -> Rule {
    match ranking {
        Ranking::Semver { .. } => Rule::Semver,
        Ranking::Numerical(_) => Rule::Numerical,
        Ranking::Alphabetical(_) => Rule::Alphabetical,
        Ranking::NewestBuild(_) => Rule::NewestBuild,
        Ranking::DigestOf(_) => Rule::DigestOf,
    }
}
