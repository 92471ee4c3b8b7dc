//! What is owned and no longer desired: what goes, what is forgotten, what stays, and when a person is asked first.

use std::collections::{BTreeMap, BTreeSet};

use super::{Action, Cause, Observed, Options, Plan};
use crate::object::{Manifest, ObjectKey};
use crate::revision::Revision;
use crate::sync::inventory::Inventory;
use crate::sync::manner::Manner;
use crate::sync::order;

/// The share of the owned objects in percent of which more go at once only when a person says so.
pub const LIMIT: u8 = 50;
/// Up to so many objects go without a question, whatever their share.
pub const FEW: usize = 10;
/// The least digits of a commit's id that name it.
const ID_DIGITS: usize = 7;

/// Plans what goes, if its labels still name this GitSync; an empty render prunes nothing, since a folder that lost all its
/// objects is far more often a mistake than a wish.
pub(super) fn plan(
    plan: &mut Plan,
    desired: &[Manifest],
    observed: &BTreeMap<ObjectKey, Observed>,
    owned: &Inventory,
    options: &Options,
) {
    let wanted: BTreeSet<&ObjectKey> = desired.iter().map(|manifest| &manifest.key).collect();
    let left: Vec<ObjectKey> =
        owned.objects().map(|(key, _)| key.clone()).filter(|key| !wanted.contains(key)).collect();
    if desired.is_empty() && !left.is_empty() {
        plan.problems.push(format!(
            "the path holds no objects, so the {} owned ones are kept; delete the GitSync to delete them",
            left.len()
        ));
        return;
    }
    let mut ordered = order::prune_order(left);
    ordered.sort_by_key(|key| observed.get(key).map_or(0, |live| -i64::from(live.kept.wave)));
    for key in ordered {
        let Some(live) = observed.get(&key).filter(|live| live.owner.as_ref() == Some(&options.owner)) else {
            plan.forgotten.push(key);
            continue;
        };
        let is_kept = live.kept.when_pruned || !options.prune || live.deleting || owned.is_left(&key);
        // Deleting it would delete what is still in Git.
        if is_kept || desired.iter().any(|manifest| lives_in(manifest, &key)) {
            continue;
        }
        let is_it = |manifest: &Manifest| observed.get(&manifest.key).is_some_and(|other| other.uid == live.uid);
        if desired.iter().any(is_it) {
            // Served under another group now; it is one and the same object.
            plan.forgotten.push(key);
        } else {
            let (cause, reason, manner) = (Cause::Changed, "it is no longer in Git", Manner::default());
            plan.prune.push(Action { key, cause, reason, manner });
        }
    }
    let there = owned.objects().filter(|(key, _)| observed.contains_key(key)).count();
    if is_large(plan.prune.len(), there, options.prune_limit) && !options.is_prune_confirmed {
        plan.unconfirmed = std::mem::take(&mut plan.prune);
    }
}

/// Whether so many of all are too many to go without a question.
fn is_large(going: usize, all: usize, limit: u8) -> bool {
    going > FEW && going * 100 > all * usize::from(limit)
}

/// Whether what a person wrote (a commit's id or its beginning, or the whole revision) names this revision.
pub fn confirms(written: &str, revision: &Revision) -> bool {
    let written = written.trim();
    let id = revision.commit.to_string();
    let names_commit = written.len() >= ID_DIGITS && id.starts_with(&written.to_ascii_lowercase());
    names_commit || written == revision.to_string()
}

/// Whether an object needs a namespace or definition to be.
fn lives_in(manifest: &Manifest, key: &ObjectKey) -> bool {
    match key.kind.as_str() {
        "Namespace" => manifest.key.namespace == key.name,
        "CustomResourceDefinition" => key.name.split_once('.').is_some_and(|(_, group)| manifest.key.group == group),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_large() {
        let cases = [
            (10, 10, 50, false),
            (11, 22, 50, false),
            (12, 22, 50, true),
            (11, 1000, 0, true),
            (11, 11, 100, false),
            (100, 1000, 10, false),
            (101, 1000, 10, true),
        ];
        for (going, all, limit, expected) in cases {
            assert_eq!(is_large(going, all, limit), expected, "{going} of {all} at {limit} %");
        }
    }

    #[test]
    fn what_confirms() {
        let revision: Revision = format!("main@sha1:{}", "a1b2c3d4".repeat(5)).parse().unwrap();
        let cases = [
            ("a1b2c3d", true),
            (" A1B2C3D4 ", true),
            ("a1b2c3", false),
            ("a1b2c3e", false),
            ("yes", false),
            ("", false),
            (&*revision.to_string(), true),
        ];
        for (written, expected) in cases {
            assert_eq!(confirms(written, &revision), expected, "{written:?}");
        }
    }
}
