//! Who wants which value where → the claims that can all be met, and a problem for each value that two want to differ.

use std::collections::{BTreeMap, BTreeSet};

use super::splice::Splice;

/// What one marker or target wants of a file: all of it, or nothing.
#[derive(Debug, Clone)]
pub(in crate::update) struct Claim {
    /// `the marker`, `target key image.tag` …
    pub who: String,
    /// The policy, `namespace:name`.
    pub policy: String,
    /// The values that it is about.
    pub wants: Vec<Want>,
    /// What must be done; nothing where the values are right.
    pub splices: Vec<Splice>,
    /// Which of the file's targets must be planned again on the text as it then is, since it puts in what wasn't there.
    pub inserts: Option<usize>,
}

/// One value of a claim.
#[derive(Debug, Clone)]
pub(in crate::update) struct Want {
    /// Where.
    pub slot: Slot,
    /// The line, from 1; 0 when there is none yet.
    pub line: u32,
    /// The value.
    pub value: String,
}

/// A place for one value.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::update) enum Slot {
    /// The scalar that begins at this byte.
    At(usize),
    /// One that is not there yet, by a name.
    New(String),
}

/// Takes out the claims that contradict each other, and says so.
pub(in crate::update) fn settle(claims: Vec<Claim>, problems: &mut Vec<(u32, String)>) -> Vec<Claim> {
    let mut is_out = vec![false; claims.len()];
    for wants in slots(&claims).values() {
        let Some((_, first)) = wants.first() else { continue };
        if wants.iter().all(|(_, want)| want.value == first.value) {
            continue;
        }
        wants.iter().for_each(|(index, _)| is_out[*index] = true);
        let mut said: Vec<String> = wants.iter().map(|(index, want)| claims[*index].says(&want.value)).collect();
        said.sort();
        said.dedup();
        problems.push((first.line, format!("one value, different wishes, so none is written: {}", said.join("; "))));
    }
    claims.into_iter().zip(is_out).filter(|(_, is_out)| !is_out).map(|(claim, _)| claim).collect()
}

/// What is wanted at each place, and by which claims.
fn slots(claims: &[Claim]) -> BTreeMap<&Slot, Vec<(usize, &Want)>> {
    let mut slots: BTreeMap<&Slot, Vec<(usize, &Want)>> = BTreeMap::new();
    for (index, claim) in claims.iter().enumerate() {
        for want in &claim.wants {
            slots.entry(&want.slot).or_default().push((index, want));
        }
    }
    slots
}

/// The values that claims of different policies are about, whatever they want.
pub(in crate::update) fn rivals(claims: &[Claim]) -> Vec<(u32, String)> {
    let mut rivals = Vec::new();
    for wants in slots(claims).values() {
        let policies: BTreeSet<&str> = wants.iter().map(|(index, _)| claims[*index].policy.as_str()).collect();
        if let ([(_, want), ..], true) = (wants.as_slice(), policies.len() > 1) {
            let said: BTreeSet<String> = wants
                .iter()
                .map(|(index, _)| format!("{} of policy {}", claims[*index].who, claims[*index].policy))
                .collect();
            let said = said.into_iter().collect::<Vec<_>>().join("; ");
            rivals.push((want.line, format!("one value, two policies: {said}")));
        }
    }
    rivals
}

impl Claim {
    fn says(&self, value: &str) -> String {
        format!("{} of policy {} wants {value}", self.who, self.policy)
    }
}
