//! A kustomization × an image's name × a choice → the values of its entry in `images`, those to replace and those to add.
//! The fields are kustomize's: `name`, `newName`, `newTag`, `digest`. Each is written by its own key; none is ever removed.

use super::insert;
use super::sheet::{Refusal, Sheet};
use super::style::Style;
use super::tree::{Id, Kind};
use crate::image::Image;
use crate::update::edit::claims::{Claim, Slot, Want};
use crate::update::edit::{self, Field};

/// Where the entry is, or where it will be.
#[derive(Debug, Clone, Copy)]
struct Survey {
    root: Id,
    images: Option<Id>,
    entry: Option<Id>,
}

/// A key of an entry and the value that it gets.
#[derive(Debug, Clone)]
pub(super) struct Wish {
    pub key: &'static str,
    pub field: Field,
    pub value: String,
}

/// Whether the file is a kustomization whose `images` can be edited.
pub(super) fn check(sheet: &Sheet<'_>, name: &str) -> Result<(), Refusal> {
    survey(sheet, name).map(|_| ())
}

fn survey(sheet: &Sheet<'_>, name: &str) -> Result<Survey, Refusal> {
    if let Some((line, reason)) = sheet.reading.failures.first() {
        return Err((*line, format!("the file does not parse: {reason}")));
    }
    let root = match sheet.tree.roots[..] {
        [] => return Err((0, "the file holds nothing: a kustomization needs a mapping".to_owned())),
        [root] => root,
        [_, second, ..] => {
            return Err((
                sheet.line(second),
                "the file has more than one document, a kustomization only one".to_owned(),
            ));
        }
    };
    if !matches!(sheet.tree.node(root).kind, Kind::Map(_)) {
        return Err((sheet.line(root), "the file is no kustomization: it holds no mapping".to_owned()));
    }
    for (key, is_right) in [("apiVersion", is_kustomize_group as fn(&str) -> bool), ("kind", is_kustomize_kind)] {
        let found = sheet.pair(root, key)?.and_then(|(_, value)| Some((value, sheet.scalar(value)?.0)));
        if let Some((value, text)) = found.filter(|(_, text)| !is_right(text)) {
            return Err((
                sheet.line(value),
                format!("the file is no kustomization: its {key} is {text}; use key instead"),
            ));
        }
    }
    let images = sheet.pair(root, "images")?.map(|(_, value)| value);
    let entry = match images {
        Some(images) => entry(sheet, images, name)?,
        None => None,
    };
    Ok(Survey { root, images, entry })
}

fn is_kustomize_group(api_version: &str) -> bool {
    api_version.starts_with("kustomize.config.k8s.io/")
}

fn is_kustomize_kind(kind: &str) -> bool {
    matches!(kind, "Kustomization" | "Component")
}

/// The one entry with this name. When there is none, none of the others may leave its name open.
fn entry(sheet: &Sheet<'_>, images: Id, name: &str) -> Result<Option<Id>, Refusal> {
    let items = match &sheet.tree.node(images).kind {
        Kind::List(items) => items,
        _ if sheet.is_empty(images) => return Ok(None),
        _ => return Err((sheet.line(images), "images is no list of entries".to_owned())),
    };
    let (mut found, mut doubtful) = (None, None);
    for item in items {
        let named = sheet.pair(*item, "name")?.and_then(|(_, value)| sheet.scalar(value));
        match named {
            Some((text, _)) if text == name => {
                if found.replace(*item).is_some() {
                    return Err((sheet.line(*item), format!("images has two entries with the name {name}")));
                }
            }
            Some(_) => {}
            None => doubtful = Some(*item),
        }
    }
    match (found, doubtful) {
        (None, Some(item)) => Err((
            sheet.line(item),
            format!(
                "images has no entry with the name {name}, but one whose name is not written in it: write it there"
            ),
        )),
        (found, _) => Ok(found),
    }
}

/// Adds what an entry needs to a claim. True when something must be put in that is not there yet.
pub(super) fn plan(sheet: &Sheet<'_>, name: &str, image: &Image, claim: &mut Claim) -> Result<bool, Refusal> {
    let survey = survey(sheet, name)?;
    let wishes = wishes(sheet, survey, name, image, &claim.policy)?;
    let quotes = edit::favourite_quotes(sheet.reading);
    let mut missing = Vec::new();
    for wish in wishes {
        let there = survey.entry.map(|entry| sheet.pair(entry, wish.key)).transpose()?.flatten();
        match there {
            Some((_, value)) => {
                let line = sheet.line(value);
                let keyed = |reason: String| (line, format!("{}: {reason}", wish.key));
                sheet.replaceable(value).map_err(|(_, reason)| keyed(reason))?;
                let piece = sheet.tree.node(value).first;
                claim.scalar(sheet.reading, piece, (wish.field, wish.value, line), quotes).map_err(keyed)?;
            }
            None => missing.push(wish),
        }
    }
    if missing.is_empty() {
        return Ok(false);
    }
    for wish in &missing {
        let slot = Slot::New(format!("images[{name}].{}", wish.key));
        let line = survey.entry.map_or(0, |entry| sheet.line(entry));
        claim.wants.push(Want { slot, line, value: wish.value.clone() });
    }
    let style = Style::of_images(sheet, survey.images, survey.entry);
    let maker = insert::Maker { sheet, style, policy: &claim.policy, name };
    let splices = match (survey.entry, survey.images) {
        (Some(entry), _) => maker.keys(entry, &missing)?,
        (None, Some(images)) if !sheet.is_empty(images) => vec![maker.item(images, &missing)?],
        (None, _) => vec![maker.list(survey.root, survey.images, &missing)?],
    };
    claim.splices.extend(splices);
    claim.splices.sort_by_key(|splice| splice.range.start);
    Ok(true)
}

/// What the entry must say: the tag, the digest of the choice, and the name where it is another one.
fn wishes(sheet: &Sheet<'_>, survey: Survey, name: &str, image: &Image, policy: &str) -> Result<Vec<Wish>, Refusal> {
    let written = |key: &str| -> Result<Option<(u32, &str)>, Refusal> {
        let Some(entry) = survey.entry else { return Ok(None) };
        let pair = sheet.pair(entry, key)?;
        Ok(pair.and_then(|(_, value)| Some((sheet.line(value), sheet.scalar(value)?.0))))
    };
    let mut wishes = Vec::new();
    let chosen = image.name.to_string();
    // A person who renames the image to a mirror of it keeps the mirror.
    let is_named = chosen == name || written("newName")?.is_some_and(|(_, new_name)| new_name == chosen);
    if !is_named {
        wishes.push(Wish { key: "newName", field: Field::Name, value: chosen });
    }
    wishes.push(Wish { key: "newTag", field: Field::Tag, value: image.tag.to_string() });
    let pinned = written("digest")?.filter(|(_, digest)| !digest.is_empty());
    match (&image.digest, pinned) {
        (Some(digest), _) => wishes.push(Wish { key: "digest", field: Field::Digest, value: digest.to_string() }),
        // With the old digest beside it, the new tag would still run the old image.
        (None, Some((line, _))) => {
            let reason = format!(
                "the entry pins a digest, but policy {policy} chose {image} without one: remove the digest, or let the policy choose digests"
            );
            return Err((line, reason));
        }
        (None, None) => {}
    }
    Ok(wishes)
}
