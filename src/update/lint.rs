//! A file's bytes → the markers and targets in it that cannot work, whatever the policies choose. Never edits.

use std::collections::BTreeSet;

use super::edit::{self, Choices, Known, Wishes, places};
use super::marker::Marker;
use super::target::Target;
use crate::api::image_update::ImageTarget;
use crate::image::Image;
use crate::object::Problem;

pub mod checkout;

/// An image that nobody names, with all that can be written of one.
const NOWHERE: &str =
    "nowhere.invalid/none:none@sha256:0000000000000000000000000000000000000000000000000000000000000000";

/// What is wrong with a file's markers, in the order of the file: place and form, what does not parse around them, and
/// what `judge` has against their policies. A file without a marker is always right.
pub fn lint(file: &str, bytes: &[u8], judge: &mut dyn FnMut(&Marker) -> Option<String>) -> Vec<Problem> {
    if !edit::has_marker(bytes) {
        return Vec::new();
    }
    let found = places::find(bytes);
    let mut problems = found.problems;
    for place in found.places {
        problems.extend(judge(&place.marker).map(|reason| (place.line, reason)));
    }
    problems.sort();
    edit::problems_of(file, problems)
}

/// The values of a file that follow more than one of these policies (`namespace:name`), by markers or targets.
pub fn rivals(file: &str, bytes: &[u8], policies: &BTreeSet<String>, targets: &[Target]) -> Vec<Problem> {
    let Ok(nowhere) = NOWHERE.parse::<Image>() else { return Vec::new() };
    let all = policies.iter().chain(targets.iter().map(|target| &target.policy));
    let choices: Choices = all.map(|policy| (policy.clone(), Known::Chosen(Image::clone(&nowhere)))).collect();
    let targets: Vec<&Target> = targets.iter().collect();
    edit::rivals(file, bytes, &Wishes { choices: &choices, namespace: None, is_marked: true, targets: &targets })
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
