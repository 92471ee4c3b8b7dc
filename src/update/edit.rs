//! A file's bytes and what the policies chose → the file with only the marked and targeted values changed, byte for byte.
//! Never re-prints YAML: replaces the bytes of single scalars or puts in new ones, then reads the result again and refuses if anything else moved.

use std::collections::BTreeMap;

use granit_parser::{Event, ScalarStyle, Tag};
use serde::Serialize;

use super::marker;
use super::scalar::{self, Quotes};
use super::target::{self, Target};
use crate::image::Image;
use crate::object::Problem;

pub(super) mod claims;
mod draft;
pub(super) mod places;
pub(super) mod reading;
pub(super) mod splice;
pub mod values;

pub use super::marker::Field;
use claims::{Claim, Slot, Want};
use draft::Draft;
use places::{Place, Places};
use reading::Reading;
use splice::{Fill, Meant, Splice};
use values::Wanted;

/// What a file with a marker contains; files without it are never read further.
pub const NEEDLE: &[u8] = marker::KEY.as_bytes();

/// The reason of a file that is too large to be edited.
pub const TOO_LARGE: &str = "the file is larger than 2 MiB: split it";

/// What all markers are called.
const MARKER: &str = "the marker";

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
    /// Markers and targets that do nothing, and why, in the order of the file.
    pub problems: Vec<Problem>,
    /// How many markers and targets work, whether they change something or not.
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

/// What is wanted of one file.
#[derive(Debug, Clone, Copy)]
pub struct Wishes<'a> {
    /// What the policies chose.
    pub choices: &'a Choices,
    /// The only namespace whose policies may be named; none allows all.
    pub namespace: Option<&'a str>,
    /// Whether its markers count.
    pub is_marked: bool,
    /// Its targets.
    pub targets: &'a [&'a Target],
}

/// Writes the choices to a file's marked values. `namespace` is the only one whose policies its markers may name; none
/// allows all.
pub fn edit(file: &str, bytes: &[u8], choices: &Choices, namespace: Option<&str>) -> Edited {
    edit_file(file, bytes, &Wishes { choices, namespace, is_marked: true, targets: &[] })
}

/// Writes the choices to a file's marked and targeted values. A target whose values can't all be written writes none.
pub fn edit_file(file: &str, bytes: &[u8], wishes: &Wishes<'_>) -> Edited {
    edit_without(file, bytes, wishes, &[])
}

/// The same, but for some values of these bytes that are held back. A target whose values can't all be written writes none.
pub fn edit_without(file: &str, bytes: &[u8], wishes: &Wishes<'_>, held: &[Wanted]) -> Edited {
    let Some(found) = look(bytes, wishes) else { return Edited::default() };
    let mut problems = found.problems.clone();
    let claims = claims(bytes, &found, wishes, &mut problems);
    let mut claims = claims::settle(claims, &mut problems);
    values::hold_back(&mut claims, held);
    let mut draft = Draft::new(found.text);
    let markers = draft.write(&found.reading, &claims, wishes, &mut problems);
    problems.sort();
    let problems = problems_of(file, problems);
    Edited { markers, problems, ..draft.finish(file) }
}

/// The file's markers and its text; nothing when it has neither markers nor targets.
fn look<'a>(bytes: &'a [u8], wishes: &Wishes<'_>) -> Option<Places<'a>> {
    let is_marked = wishes.is_marked && has_marker(bytes);
    if !is_marked && wishes.targets.is_empty() {
        return None;
    }
    Some(if is_marked { places::find(bytes) } else { places::unmarked(bytes) })
}

/// What all markers and targets want.
fn claims(bytes: &[u8], found: &Places<'_>, wishes: &Wishes<'_>, problems: &mut Vec<(u32, String)>) -> Vec<Claim> {
    let mut claims = Vec::new();
    let quotes = favourite_quotes(&found.reading);
    for place in &found.places {
        match plan(place, found, wishes, quotes) {
            Ok(claim) => claims.push(claim),
            Err(reason) => problems.push((place.line, reason)),
        }
    }
    claims.extend(target::claims(bytes, found, wishes, problems));
    claims
}

/// The values of a file that follow more than one policy.
pub(in crate::update) fn rivals(file: &str, bytes: &[u8], wishes: &Wishes<'_>) -> Vec<Problem> {
    let Some(found) = look(bytes, wishes) else { return Vec::new() };
    problems_of(file, claims::rivals(&claims(bytes, &found, wishes, &mut Vec::new())))
}

/// The problems of a file from their lines and reasons.
pub(in crate::update) fn problems_of(file: &str, problems: Vec<(u32, String)>) -> Vec<Problem> {
    problems.into_iter().map(|(line, reason)| Problem { file: file.to_owned(), line, reason }).collect()
}

/// What one marker asks for; nothing to do if its value is right or its policy undecided.
fn plan(place: &Place, found: &Places<'_>, wishes: &Wishes<'_>, quotes: Quotes) -> Result<Claim, String> {
    let marker = &place.marker;
    let policy = marker.policy();
    if let Some(namespace) = wishes.namespace.filter(|namespace| *namespace != marker.namespace) {
        return Err(format!(
            "policy {policy} is of another namespace: only policies of namespace {namespace} write here"
        ));
    }
    let mut claim = Claim { who: MARKER.to_owned(), policy, wants: Vec::new(), splices: Vec::new(), inserts: None };
    let Some(image) = chosen(&claim.policy, wishes.choices)? else { return Ok(claim) };
    let new = part_of(image, marker.field, &claim.policy)?;
    claim.scalar(&found.reading, place.piece, (marker.field, new, place.line), quotes)?;
    Ok(claim)
}

impl Claim {
    /// Adds the wish that the scalar of a piece be `new`.
    pub(in crate::update) fn scalar(
        &mut self,
        reading: &Reading<'_>,
        piece: usize,
        (field, new, line): (Field, String, u32),
        quotes: Quotes,
    ) -> Result<(), String> {
        let (event, range) = &reading.pieces[piece];
        let Some((old, style, tag)) = scalar_of(event) else { return Ok(()) };
        if old != new {
            let source = scalar::render(&new, style, tag, quotes)?;
            let fill = Fill { policy: self.policy.clone(), field, old: old.to_owned(), new: new.clone(), at: 0 };
            let meant = Meant::Value(piece, new.clone());
            self.splices.push(Splice { range: range.clone(), source, meant, fills: vec![fill] });
        }
        self.wants.push(Want { slot: Slot::At(range.start), line, value: new });
        Ok(())
    }
}

/// What a policy chose; nothing when it is undecided.
pub(in crate::update) fn chosen<'a>(policy: &str, choices: &'a Choices) -> Result<Option<&'a Image>, String> {
    match choices.get(policy) {
        Some(Known::Chosen(image)) => Ok(Some(image)),
        Some(Known::Undecided) => Ok(None),
        Some(Known::NotSelected) => Err(format!("policy {policy} is not selected by this ImageUpdate")),
        None => Err(missing(policy)),
    }
}

/// One part of a choice, as text.
pub(in crate::update) fn part_of(image: &Image, field: Field, policy: &str) -> Result<String, String> {
    match field {
        Field::Image => Ok(image.to_string()),
        Field::Tag => Ok(image.tag.to_string()),
        Field::Name => Ok(image.name.to_string()),
        Field::Digest => match &image.digest {
            Some(digest) => Ok(digest.to_string()),
            None => Err(format!("policy {policy} chose {image} without a digest, so there is none to write")),
        },
    }
}

/// The reason of a marker whose policy isn't there.
pub(in crate::update) fn missing(policy: &str) -> String {
    format!("policy {policy} does not exist")
}

/// A scalar's text, style and tag.
pub(in crate::update) fn scalar_of<'e>(event: &'e Event<'_>) -> Option<(&'e str, ScalarStyle, Option<&'e Tag>)> {
    match event {
        Event::Scalar(text, style, _, tag) => Some((text, *style, tag.as_deref())),
        _ => None,
    }
}

/// The quotes that the file uses most; single ones when it uses none.
pub(in crate::update) fn favourite_quotes(reading: &Reading<'_>) -> Quotes {
    let styles = || reading.pieces.iter().filter_map(|(event, _)| scalar_of(event)).map(|(_, style, _)| style);
    let double = styles().filter(|style| *style == ScalarStyle::DoubleQuoted).count();
    let single = styles().filter(|style| *style == ScalarStyle::SingleQuoted).count();
    if double > single { Quotes::Double } else { Quotes::Single }
}

#[cfg(test)]
mod tests;
