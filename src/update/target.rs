//! An ImageUpdate's `targets` × a file → what each of them wants there, or why it names nothing.
//! Finds and plans; writing, and checking what was written, is the editor's.

use std::fmt;

use super::edit::claims::Claim;
use super::edit::places::{self, Places};
use super::edit::reading::Reading;
use super::edit::splice::Splice;
use super::edit::{self, Field, Wishes};
use crate::api::image_update::{ImageTarget, TargetField};
use crate::object::Problem;

mod insert;
pub(super) mod json;
mod key_path;
mod kustomize_image;
mod sheet;
mod style;
mod tree;

pub use key_path::KeyPath;
use sheet::Sheet;

/// How deep a target's file may lie.
const DEPTH: usize = 60;

/// Where a value is that follows a policy without a marker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The file, from the repository's root.
    pub file: String,
    /// The policy, `namespace:name`.
    pub policy: String,
    place: Place,
}

/// The place in the file.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Place {
    /// The entry of `images` with this name.
    KustomizeImage(String),
    /// The scalar at a path.
    Key(KeyPath, Field),
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Place::KustomizeImage(name) => write!(f, "target kustomizeImage {name}"),
            Place::Key(path, _) => write!(f, "target key {path}"),
        }
    }
}

impl Target {
    /// Reads a target of an ImageUpdate of this namespace. The schema checks the same; files that no API server saw have it here.
    ///
    /// # Errors
    /// What is wrong with it, as a problem of its file.
    pub fn read(spec: &ImageTarget, namespace: &str) -> Result<Self, Problem> {
        let problem = |reason: String| Problem { file: spec.file.clone(), line: 0, reason };
        let parts: Vec<&str> = spec.file.split('/').filter(|part| !matches!(*part, "" | ".")).collect();
        if spec.file.starts_with('/') || parts.is_empty() || parts.contains(&"..") || spec.file.contains('\0') {
            return Err(problem(format!("target: {:?} is no file below the repository's root", spec.file)));
        }
        if parts.len() > DEPTH {
            return Err(problem(format!("target: the file is more than {DEPTH} folders deep")));
        }
        let file = parts.join("/");
        let place = match (&spec.kustomize_image, &spec.key) {
            (Some(_), None) if is_json(&file) => {
                return Err(problem("target: kustomizeImage is for YAML: use key in a JSON file".to_owned()));
            }
            (Some(_), None) if spec.field.is_some() => {
                return Err(problem("target: field goes with key, not with kustomizeImage".to_owned()));
            }
            (Some(name), None) if name.is_empty() || name.chars().any(|c| c.is_whitespace() || c.is_control()) => {
                return Err(problem(format!("target: kustomizeImage {name:?} is no name of an image")));
            }
            (Some(name), None) => Place::KustomizeImage(name.clone()),
            (None, Some(key)) => {
                let path = key.parse().map_err(|reason| problem(format!("target key {key}: {reason}")))?;
                Place::Key(path, spec.field.map_or(Field::Image, field))
            }
            _ => return Err(problem("target: set exactly one of kustomizeImage and key".to_owned())),
        };
        Ok(Self { file, policy: format!("{namespace}:{}", spec.policy), place })
    }

    /// The problem of a target whose file is not there: why, as in `it is a folder`.
    pub fn problem(&self, why: &str) -> Problem {
        Problem { file: self.file.clone(), line: 0, reason: format!("{self}: {why}") }
    }

    /// Reads all targets of an ImageUpdate.
    pub fn all(specs: &[ImageTarget], namespace: &str) -> (Vec<Self>, Vec<Problem>) {
        let (mut targets, mut problems) = (Vec::new(), Vec::new());
        for spec in specs {
            match Self::read(spec, namespace) {
                Ok(target) => targets.push(target),
                Err(problem) => problems.push(problem),
            }
        }
        (targets, problems)
    }
}

fn field(field: TargetField) -> Field {
    match field {
        TargetField::Image => Field::Image,
        TargetField::Tag => Field::Tag,
        TargetField::Name => Field::Name,
        TargetField::Digest => Field::Digest,
    }
}

fn is_json(file: &str) -> bool {
    file.ends_with(".json")
}

/// What a file's targets want of it; those that can't have it are problems.
pub(super) fn claims(
    bytes: &[u8],
    found: &Places<'_>,
    wishes: &Wishes<'_>,
    problems: &mut Vec<(u32, String)>,
) -> Vec<Claim> {
    if wishes.targets.is_empty() {
        return Vec::new();
    }
    if let Err((line, reason)) = text(bytes) {
        problems.extend(wishes.targets.iter().map(|target| (line, format!("{target}: {reason}"))));
        return Vec::new();
    }
    let sheet = Sheet::new(found.text, &found.reading);
    let mut claims = Vec::new();
    for (index, target) in wishes.targets.iter().enumerate() {
        match target.claim(&sheet, wishes, index) {
            Ok(claim) => claims.push(claim),
            Err((line, reason)) => problems.push((line, format!("{target}: {reason}"))),
        }
    }
    claims
}

/// What a target puts into a text that other claims have changed meanwhile.
pub(super) fn insert(
    text: &str,
    reading: &Reading<'_>,
    wishes: &Wishes<'_>,
    index: usize,
) -> Result<Vec<Splice>, (u32, String)> {
    let Some(target) = wishes.targets.get(index) else { return Ok(Vec::new()) };
    let claim = target.claim(&Sheet::new(text, reading), wishes, index);
    claim.map(|claim| claim.splices).map_err(|(line, reason)| (line, format!("{target}: {reason}")))
}

/// The text of a file that may be edited.
fn text(bytes: &[u8]) -> Result<&str, (u32, String)> {
    if bytes.len() > places::MAX_FILE {
        return Err((0, edit::TOO_LARGE.to_owned()));
    }
    std::str::from_utf8(bytes).map_err(|error| {
        let lines = bytes[..error.valid_up_to()].iter().filter(|b| **b == b'\n').count();
        (places::number(lines), "the file is not UTF-8 here".to_owned())
    })
}

impl Target {
    /// Whether it names something in a file that is there, whatever its policy chose.
    ///
    /// # Errors
    /// Why not, with the line.
    pub fn check(&self, bytes: &[u8]) -> Result<(), Problem> {
        let found = places::unmarked(bytes);
        let sheet = Sheet::new(found.text, &found.reading);
        let is_there = || match &self.place {
            Place::KustomizeImage(name) => kustomize_image::check(&sheet, name),
            Place::Key(path, _) if is_json(&self.file) => json::find(sheet.text, path).map(|_| ()),
            Place::Key(path, _) => sheet.value_at(path).map(|_| ()),
        };
        let checked = text(bytes).and_then(|_| is_there());
        checked.map_err(|(line, reason)| Problem { line, ..self.problem(&reason) })
    }

    fn claim(&self, sheet: &Sheet<'_>, wishes: &Wishes<'_>, index: usize) -> Result<Claim, (u32, String)> {
        let mut claim = Claim {
            who: self.to_string(),
            policy: self.policy.clone(),
            wants: Vec::new(),
            splices: Vec::new(),
            inserts: None,
        };
        match &self.place {
            Place::KustomizeImage(name) => {
                kustomize_image::check(sheet, name)?;
                let chosen = edit::chosen(&self.policy, wishes.choices).map_err(|reason| (0, reason))?;
                if let Some(image) = chosen
                    && kustomize_image::plan(sheet, name, image, &mut claim)?
                {
                    claim.inserts = Some(index);
                }
            }
            Place::Key(path, field) if is_json(&self.file) => {
                let value = json::find(sheet.text, path)?;
                if let Some(new) = self.part(wishes, *field).map_err(|reason| (value.line, reason))? {
                    value.claim(&mut claim, *field, new);
                }
            }
            Place::Key(path, field) => {
                let (piece, line) = sheet.value_at(path)?;
                let quotes = edit::favourite_quotes(sheet.reading);
                if let Some(new) = self.part(wishes, *field).map_err(|reason| (line, reason))? {
                    claim.scalar(sheet.reading, piece, (*field, new, line), quotes).map_err(|reason| (line, reason))?;
                }
            }
        }
        Ok(claim)
    }

    /// What goes there; nothing while the policy is undecided.
    fn part(&self, wishes: &Wishes<'_>, field: Field) -> Result<Option<String>, String> {
        let chosen = edit::chosen(&self.policy, wishes.choices)?;
        chosen.map(|image| edit::part_of(image, field, &self.policy)).transpose()
    }
}

#[cfg(test)]
mod tests;
