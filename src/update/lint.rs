//! A file's bytes → the markers in it that cannot work, whatever the policies choose. Never edits.

use std::collections::BTreeSet;

use super::edit::{self, places};
use crate::object::Problem;

/// What is wrong with a file's markers, in the order of the file: place and form, what does not parse around them, and
/// with `known` (`namespace:name`) also policies that don't exist. A file without a marker is always right.
pub fn lint(file: &str, bytes: &[u8], known: Option<&BTreeSet<String>>) -> Vec<Problem> {
    if !edit::has_marker(bytes) {
        return Vec::new();
    }
    let found = places::find(bytes);
    let mut problems = found.problems;
    for place in found.places {
        let policy = place.marker.policy();
        if known.is_some_and(|known| !known.contains(&policy)) {
            problems.push((place.line, edit::missing(&policy)));
        }
    }
    problems.sort();
    edit::problems_of(file, problems)
}

#[cfg(test)]
mod tests;
