//! The marked files of one head × the choices → one batch: new texts, changes, problems, and the facts of their commit.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use chrono::{DateTime, Utc};

use super::edit::{Change, Choices, Edited, Known, NEEDLE, edit};
use super::message;
use crate::object::Problem;

/// Everything that one run would change.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Batch {
    /// The files that change, with their new bytes.
    pub files: Vec<(String, Vec<u8>)>,
    /// Every changed value, in the order of files and lines.
    pub changes: Vec<Change>,
    /// What keeps values from being kept up to date.
    pub problems: Vec<Problem>,
    /// How many markers there are.
    pub markers: u32,
}

/// Edits all files.
pub fn edit_all(files: &[(String, Vec<u8>)], choices: &Choices, namespace: Option<&str>) -> Batch {
    let mut batch = Batch::default();
    for (path, bytes) in files {
        batch.add(path, edit(path, bytes, choices, namespace));
    }
    batch
}

/// Files that need no edit, remembered by path and content: they are looked at again only when a policy that they name chooses
/// anew. It saves reading and parsing, and can be lost at any time.
#[derive(Debug, Clone, Default)]
pub struct Settled {
    files: HashMap<(String, String), Rest>,
}

/// What is known of a file that needs no edit.
#[derive(Debug, Clone)]
struct Rest {
    /// What the policies that it names had chosen.
    choices: Vec<(String, Option<Known>)>,
    problems: Vec<Problem>,
    markers: u32,
}

/// Edits all files of a head, each given by its path and the id of its content; `read` is called only for those that are not
/// settled.
///
/// # Errors
/// Those of `read`.
pub fn edit_new<E>(
    files: &[(String, String)],
    read: &mut dyn FnMut(usize) -> Result<Vec<u8>, E>,
    choices: &Choices,
    namespace: Option<&str>,
    settled: &mut Settled,
) -> Result<Batch, E> {
    let mut batch = Batch::default();
    let mut before = std::mem::take(&mut settled.files);
    for (index, place) in files.iter().enumerate() {
        let rest = before
            .remove(place)
            .filter(|rest| rest.choices.iter().all(|(id, known)| choices.get(id) == known.as_ref()));
        if let Some(rest) = rest {
            batch.problems.extend(rest.problems.iter().cloned());
            batch.markers += rest.markers;
            settled.files.insert(place.clone(), rest);
            continue;
        }
        let bytes = read(index)?;
        let edited = edit(&place.0, &bytes, choices, namespace);
        if edited.bytes.is_none()
            && let Some(names) = named(&bytes)
        {
            let choices = names.into_iter().map(|id| (id.clone(), choices.get(&id).cloned())).collect();
            let rest = Rest { choices, problems: edited.problems.clone(), markers: edited.markers };
            settled.files.insert(place.clone(), rest);
        }
        batch.add(&place.0, edited);
    }
    Ok(batch)
}

/// The policies that a file's markers name; none when one of them is not plain to see, as then anything may depend on anything.
fn named(bytes: &[u8]) -> Option<BTreeSet<String>> {
    let text = std::str::from_utf8(bytes).ok()?;
    let needle = std::str::from_utf8(NEEDLE).ok()?;
    let mut names = BTreeSet::new();
    for (at, _) in text.match_indices(needle) {
        let value = text[at + needle.len()..]
            .strip_prefix('"')?
            .trim_start()
            .strip_prefix(':')?
            .trim_start()
            .strip_prefix('"')?;
        let value = value.split('"').next().filter(|value| !value.contains(['\\', '\n']))?;
        let mut parts = value.splitn(3, ':');
        names.insert(format!("{}:{}", parts.next()?, parts.next().unwrap_or_default()));
    }
    Some(names)
}

/// The commit's time in seconds: when the newest of its choices was made, but never before its parent.
/// Only recorded facts, so that whoever makes this commit again makes the same one.
pub fn commit_time(changes: &[Change], chosen_at: &BTreeMap<String, DateTime<Utc>>, parent: i64) -> i64 {
    changes
        .iter()
        .filter_map(|change| chosen_at.get(&change.policy))
        .map(DateTime::timestamp)
        .max()
        .unwrap_or(parent)
        .max(parent)
}

impl Batch {
    fn add(&mut self, path: &str, edited: Edited) {
        self.files.extend(edited.bytes.map(|bytes| (path.to_owned(), bytes)));
        self.changes.extend(edited.changes);
        self.problems.extend(edited.problems);
        self.markers += edited.markers;
    }

    /// The commit's message. A template that fails on these changes gives way to the default one, since a bump must not
    /// wait for its wording; the failure is a problem of the batch's status.
    pub fn message(&self, template: Option<&str>, object: (&str, &str)) -> String {
        message::message(template, object, &self.changes)
            .or_else(|_| message::message(None, object, &self.changes))
            .unwrap_or_else(|_| "update images".to_owned())
    }

    /// The changes in one line, for events.
    pub fn summary(&self) -> String {
        let mut changes: Vec<String> =
            self.changes.iter().map(|change| format!("{} → {}", change.old, change.new)).collect();
        changes.dedup();
        let more = changes.len().saturating_sub(5);
        changes.truncate(5);
        let listed = changes.join(", ");
        if more > 0 { format!("{listed} and {more} more") } else { listed }
    }
}

#[cfg(test)]
mod tests;
