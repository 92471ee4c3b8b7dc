//! A file's bytes → the values in it that follow policies, and which of them the choices would change. Writes nothing.

use std::collections::BTreeMap;

use super::claims::{self, Claim, Slot};
use super::{Choices, Field, Known, MARKER, Wishes};
use crate::image::{Digest, Image};

/// One value that follows a policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Value {
    /// Which of the file's values it is.
    pub place: Place,
    /// Its line, from 1; 0 when it is not there yet.
    pub line: u32,
    /// The value; empty when a target would put it in.
    pub text: String,
    /// Where it is, in bytes.
    at: usize,
    /// What was asked for.
    new: String,
}

/// A value's place in a file, which stays the same place while lines move: the how manieth value with this policy and field a
/// marker stands beside, or which target's.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The policy, `namespace:name`.
    pub policy: String,
    /// Which part of the image.
    pub field: Field,
    /// `the marker`, `target key image.tag` …
    pub(in crate::update) who: String,
    /// From 0.
    pub(in crate::update) ordinal: usize,
}

/// A value that a choice would change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// The value as it is.
    pub now: Value,
    /// The value that is chosen.
    pub choice: String,
    /// Of which claim of the file.
    claim: Mark,
}

/// What a claim of a file is known by as long as its bytes are the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mark {
    who: String,
    at: usize,
}

/// Choices that no file holds, so that each value differs from them.
#[derive(Debug, Clone)]
pub struct Probe(Choices);

impl Probe {
    /// For these choices: an image without a digest asks for none.
    pub fn new(choices: &Choices) -> Self {
        let known = |known: &Known| match known {
            Known::Chosen(image) => Known::Chosen(nowhere(image)),
            other => other.clone(),
        };
        Self(choices.iter().map(|(policy, choice)| (policy.clone(), known(choice))).collect())
    }

    /// The values of a file's bytes.
    pub fn values(&self, bytes: &[u8], wishes: &Wishes<'_>) -> Vec<Value> {
        values(bytes, &Wishes { choices: &self.0, ..*wishes }).into_iter().map(|(value, _)| value).collect()
    }

    /// The values that the choices would change.
    pub fn wanted(&self, bytes: &[u8], wishes: &Wishes<'_>) -> Vec<Wanted> {
        let places = self.values(bytes, wishes);
        let is_same = |known: &Value, value: &Value| {
            let (one, other) = (&known.place, &value.place);
            let is_there = known.at == value.at || one.who != MARKER;
            is_there && (&one.who, &one.policy, one.field) == (&other.who, &other.policy, other.field)
        };
        let wanted = |(mut value, claim): (Value, Mark)| {
            // Values that are right have no part in the counting of the others, so that comes from where all are wrong.
            value.place.ordinal = places.iter().find(|known| is_same(known, &value))?.place.ordinal;
            let choice = std::mem::take(&mut value.new);
            Some(Wanted { now: value, choice, claim })
        };
        values(bytes, wishes).into_iter().filter_map(wanted).collect()
    }
}

/// An image that nobody names.
fn nowhere(image: &Image) -> Image {
    let digest = || format!("sha256:{}", "0".repeat(64)).parse::<Digest>().ok();
    Image {
        name: "nowhere.invalid/none".parse().unwrap_or_else(|_| image.name.clone()),
        tag: "none".parse().unwrap_or_else(|_| image.tag.clone()),
        digest: image.digest.as_ref().and_then(|_| digest()),
    }
}

fn values(bytes: &[u8], wishes: &Wishes<'_>) -> Vec<(Value, Mark)> {
    let Some(found) = super::look(bytes, wishes) else { return Vec::new() };
    let claims = super::claims(bytes, &found, wishes, &mut Vec::new());
    let claims = claims::settle(claims, &mut Vec::new());
    let mut counts: BTreeMap<(String, String, Field), usize> = BTreeMap::new();
    let mut values = Vec::new();
    for claim in claims {
        let mark = Mark::of(&claim);
        for splice in &claim.splices {
            let is_here = |slot: &Slot| *slot == Slot::At(splice.range.start);
            let line = claim.wants.iter().find(|want| is_here(&want.slot)).or(claim.wants.first());
            let line = line.map_or(0, |want| want.line);
            for fill in &splice.fills {
                let (who, policy, field) = (claim.who.clone(), fill.policy.clone(), fill.field);
                let ordinal = counts.entry((who.clone(), policy.clone(), field)).or_default();
                let place = Place { policy, field, who, ordinal: *ordinal };
                *ordinal += 1;
                let (text, new) = (fill.old.clone(), fill.new.clone());
                values.push((Value { place, line, text, at: splice.range.start, new }, mark.clone()));
            }
        }
    }
    values
}

impl Mark {
    fn of(claim: &Claim) -> Self {
        let first = claim.splices.first().map_or(0, |splice| splice.range.start);
        Self { who: claim.who.clone(), at: first }
    }
}

/// Takes out the claims of values that are held back.
pub(super) fn hold_back(claims: &mut Vec<Claim>, held: &[Wanted]) {
    claims.retain(|claim| claim.splices.is_empty() || !held.iter().any(|held| held.claim == Mark::of(claim)));
}

#[cfg(test)]
mod tests;
