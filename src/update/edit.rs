//! A file's bytes and what the policies chose → the file with only the marked values changed, byte for byte.
//! Never re-prints YAML: replaces the bytes of single scalars, then reads the result again and refuses if anything else moved.

use std::collections::BTreeMap;

use granit_parser::{Event, ScalarStyle, Tag};
use serde::Serialize;

use super::marker;
use super::scalar::{self, Quotes};
use crate::image::Image;
use crate::object::Problem;

pub(super) mod places;
mod reading;

pub use super::marker::Field;
use places::{Place, Places};

/// What a file with a marker contains; files without it are never read further.
pub const NEEDLE: &[u8] = marker::KEY.as_bytes();

/// What is known of a policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Known {
    /// It chose this image.
    Chosen(Image),
    /// It exists and chose nothing yet: its markers edit nothing and are right.
    Undecided,
    /// It exists, but the ImageUpdate's selector leaves it out.
    NotSelected,
}

/// All policies by `namespace:name`.
pub type Choices = BTreeMap<String, Known>;

/// One value that changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Change {
    /// The file, from the repository's root.
    pub file: String,
    /// The scalar's line, from 1.
    pub line: u32,
    /// The policy, `namespace:name`.
    pub policy: String,
    /// Which part of the image.
    pub field: Field,
    /// The value before, without quotes.
    pub old: String,
    /// The value after, without quotes.
    pub new: String,
}

/// What became of one file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Edited {
    /// The new bytes; none when nothing changes.
    pub bytes: Option<Vec<u8>>,
    /// Every changed value, in the order of the file.
    pub changes: Vec<Change>,
    /// Markers that do nothing, and why, in the order of the file.
    pub problems: Vec<Problem>,
    /// How many markers work, whether they change something or not.
    pub markers: u32,
}

/// Whether files of this name are looked into: `*.yaml`, `*.yml` and `Kustomization`. `name` is a path's last part.
pub fn is_marked_file_name(name: &str) -> bool {
    let has_ending = |ending: &str| name.strip_suffix(ending).is_some_and(|stem| !stem.is_empty());
    has_ending(".yaml") || has_ending(".yml") || name == "Kustomization"
}

/// Whether a file may hold a marker.
pub fn has_marker(bytes: &[u8]) -> bool {
    bytes.windows(NEEDLE.len()).any(|window| window == NEEDLE)
}

/// Writes the choices to a file's marked values. `namespace` is the only one whose policies its markers may name; none
/// allows all.
pub fn edit(file: &str, bytes: &[u8], choices: &Choices, namespace: Option<&str>) -> Edited {
    let mut edited = Edited::default();
    if !has_marker(bytes) {
        return edited;
    }
    let found = places::find(bytes);
    let mut problems = found.problems.clone();
    let mut splices = Vec::new();
    let quotes = favourite_quotes(&found);
    for place in &found.places {
        match plan(place, &found, choices, namespace, quotes) {
            Ok(splice) => {
                edited.markers += 1;
                splices.extend(splice);
            }
            Err(reason) => problems.push((place.line, reason)),
        }
    }
    if !splices.is_empty() {
        let new = splice(found.text, &splices);
        if is_only(&found, &new, &splices) {
            edited.changes.extend(splices.into_iter().map(|splice| splice.change(file)));
            edited.bytes = Some(new.into_bytes());
        } else {
            problems.push((0, "the new values would change more than the marked ones, so none was written".to_owned()));
        }
    }
    problems.sort();
    edited.problems = problems_of(file, problems);
    edited
}

/// The problems of a file from their lines and reasons.
pub(in crate::update) fn problems_of(file: &str, problems: Vec<(u32, String)>) -> Vec<Problem> {
    problems.into_iter().map(|(line, reason)| Problem { file: file.to_owned(), line, reason }).collect()
}

/// One scalar's new source text.
struct Splice<'a> {
    place: &'a Place,
    old: String,
    new: String,
    source: String,
}

impl Splice<'_> {
    fn change(self, file: &str) -> Change {
        let Place { marker, line, .. } = self.place;
        let (policy, field) = (marker.policy(), marker.field);
        Change { file: file.to_owned(), line: *line, policy, field, old: self.old, new: self.new }
    }
}

/// What one marker asks for; nothing if its value is right or its policy undecided.
fn plan<'a>(
    place: &'a Place,
    found: &Places<'_>,
    choices: &Choices,
    namespace: Option<&str>,
    quotes: Quotes,
) -> Result<Option<Splice<'a>>, String> {
    let marker = &place.marker;
    let policy = marker.policy();
    if let Some(namespace) = namespace.filter(|namespace| *namespace != marker.namespace) {
        return Err(format!(
            "policy {policy} is of another namespace: only policies of namespace {namespace} write here"
        ));
    }
    let image = match choices.get(&policy) {
        Some(Known::Chosen(image)) => image,
        Some(Known::Undecided) => return Ok(None),
        Some(Known::NotSelected) => return Err(format!("policy {policy} is not selected by this ImageUpdate")),
        None => return Err(missing(&policy)),
    };
    let new = match marker.field {
        Field::Image => image.to_string(),
        Field::Tag => image.tag.to_string(),
        Field::Name => image.name.to_string(),
        Field::Digest => match &image.digest {
            Some(digest) => digest.to_string(),
            None => return Err(format!("policy {policy} chose {image} without a digest, so there is none to write")),
        },
    };
    let Some((old, style, tag)) = scalar_of(&found.reading.pieces[place.piece].0) else { return Ok(None) };
    if old == new {
        return Ok(None);
    }
    let source = scalar::render(&new, style, tag, quotes)?;
    Ok(Some(Splice { place, old: old.to_owned(), new, source }))
}

/// The reason of a marker whose policy isn't there.
pub(in crate::update) fn missing(policy: &str) -> String {
    format!("policy {policy} does not exist")
}

fn scalar_of<'e>(event: &'e Event<'_>) -> Option<(&'e str, ScalarStyle, Option<&'e Tag>)> {
    match event {
        Event::Scalar(text, style, _, tag) => Some((text, *style, tag.as_deref())),
        _ => None,
    }
}

/// The quotes that the file uses most; single ones when it uses none.
fn favourite_quotes(found: &Places<'_>) -> Quotes {
    let styles = || found.reading.pieces.iter().filter_map(|(event, _)| scalar_of(event)).map(|(_, style, _)| style);
    let double = styles().filter(|style| *style == ScalarStyle::DoubleQuoted).count();
    let single = styles().filter(|style| *style == ScalarStyle::SingleQuoted).count();
    if double > single { Quotes::Double } else { Quotes::Single }
}

fn splice(text: &str, splices: &[Splice<'_>]) -> String {
    let mut new = String::with_capacity(text.len() + 64 * splices.len());
    let mut at = 0;
    for Splice { place, source, .. } in splices {
        new.push_str(&text[at..place.range.start]);
        new.push_str(source);
        at = place.range.end;
    }
    new.push_str(&text[at..]);
    new
}

/// Whether the new text reads as the old one does, but for the values that were meant to change.
fn is_only(found: &Places<'_>, new: &str, splices: &[Splice<'_>]) -> bool {
    let (before, after) = (&found.reading, reading::read(new));
    let mut meant = splices.iter().peekable();
    before.failures == after.failures
        && before.pieces.len() == after.pieces.len()
        && before.pieces.iter().zip(&after.pieces).enumerate().all(|(index, ((old, _), (event, _)))| {
            match (meant.next_if(|splice| splice.place.piece == index), old, event) {
                (None, old, event) => old == event,
                (Some(splice), Event::Scalar(_, _, anchor, tag), Event::Scalar(text, _, new_anchor, new_tag)) => {
                    *text == splice.new && anchor == new_anchor && tag == new_tag
                }
                _ => false,
            }
        })
        && meant.next().is_none()
}

#[cfg(test)]
mod tests;
