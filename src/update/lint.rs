//! A file's bytes → the markers and targets in it that cannot work, whatever the policies choose. Never edits.

use std::collections::BTreeSet;

use super::edit::{self, places};
use super::target::Target;
use crate::api::image_update::ImageTarget;
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

/// The bytes of the file at a path, or why there is none.
pub type Look<'a, E> = dyn FnMut(&str) -> Result<Result<Vec<u8>, &'static str>, E> + 'a;

/// What is wrong with one target of an ImageUpdate, whose file `look` finds: as a problem of the target's file.
///
/// # Errors
/// Those of `look`.
pub fn target<E>(spec: &ImageTarget, look: &mut Look<'_, E>) -> Result<Option<Problem>, E> {
    // The namespace plays no part without choices.
    let target = match Target::read(spec, "") {
        Ok(target) => target,
        Err(problem) => return Ok(Some(problem)),
    };
    Ok(match look(&target.file)? {
        Ok(bytes) => target.check(&bytes).err(),
        Err(why) => Some(target.problem(why)),
    })
}

#[cfg(test)]
mod tests;
