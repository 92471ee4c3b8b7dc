//! The marked files of one head × the choices → one batch: new texts, changes, problems, and the facts of their commit.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use super::edit::{Change, Choices, edit};
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
        let edited = edit(path, bytes, choices, namespace);
        batch.files.extend(edited.bytes.map(|bytes| (path.clone(), bytes)));
        batch.changes.extend(edited.changes);
        batch.problems.extend(edited.problems);
        batch.markers += edited.markers;
    }
    batch
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
