//! Objects that others changed: what they changed, and who; what is undone, and what is left to whom.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use futures::future::join_all;
use kube::ResourceExt;
use serde_json::Value;

use crate::api::FIELD_MANAGER;
use crate::api::condition::Reason;
use crate::api::git_sync::ObjectDrift;
use crate::cluster::events::Severity;
use crate::object::{Manifest, ObjectKey};
use crate::sync::fights::{Fights, ROUNDS};
use crate::sync::{fields, ignore, status};

use super::Applying;

/// The most objects whose changes are told in a status.
const OBJECTS: usize = 20;
/// The most changes of one object that are told in a status.
const CHANGES: usize = 10;

/// A change by others.
pub(super) struct Drift {
    /// What was changed, where, and by which field manager.
    text: String,
    changes: Vec<String>,
    /// What it was and by whom, without the time.
    change: String,
    /// The field managers that did it.
    by: Vec<String>,
    /// Only what is left to others was changed.
    pub(super) is_nothing: bool,
}

impl Applying<'_> {
    /// What was changed of an object.
    pub(super) async fn drift(&self, manifest: &Manifest) -> Drift {
        let say = |text: &str| Drift {
            text: text.to_owned(),
            changes: vec![text.to_owned()],
            change: text.to_owned(),
            by: Vec::new(),
            is_nothing: false,
        };
        match self.cluster.get(&manifest.gvk, &manifest.key).await {
            Ok(Some(live)) => {
                let left = self.left_of(manifest, &live);
                let body = if left.is_empty() { &manifest.body } else { &ignore::without(&manifest.body, &left) };
                let mut changed = fields::differences(body, &live, FIELD_MANAGER);
                changed.iter_mut().filter(|drift| self.mask.touches(&drift.want)).for_each(fields::FieldDrift::hide);
                if changed.is_empty() {
                    let is_nothing = self.ignored.contains_key(&manifest.key);
                    return Drift { is_nothing, ..say("the ownership of its fields changed") };
                }
                // What the cluster holds may be a secret's value too.
                let told = |text: String| self.mask.hide(&text);
                let changes: Vec<String> = changed.iter().map(|drift| told(drift.to_string())).collect();
                let change = changed.iter().map(|drift| told(drift.change())).collect::<Vec<_>>().join("; ");
                let by = changed.into_iter().filter_map(|drift| drift.manager).collect();
                Drift { text: status::few(&changes), changes, change, by, is_nothing: false }
            }
            Ok(None) => say("it was deleted"),
            Err(error) => say(&format!("what was changed can't be read: {error}")),
        }
    }

    /// The fields of an object that are left to others, as JSON pointers.
    pub(super) fn left_of(&self, manifest: &Manifest, live: &Value) -> Vec<String> {
        let Some(ignored) = self.ignored.get(&manifest.key) else { return Vec::new() };
        let mut paths = ignored.paths.clone();
        paths.extend(ignore::of_managers(&manifest.body, live, &ignored.managers));
        paths.sort();
        paths.dedup();
        paths
    }

    /// Whether a change that came back is left to whoever makes it; told once.
    pub(super) async fn yields(&self, key: &ObjectKey, drift: &Drift, fights: &mut Fights) -> Option<ObjectDrift> {
        // A person is no controller, however stubborn.
        let is_person = !drift.by.is_empty() && drift.by.iter().all(|manager| manager.starts_with("kubectl"));
        let rest = self.sync.spec.interval.0;
        if is_person || !fights.is_lost(key, &drift.change, self.now.steady, rest) {
            return None;
        }
        if fights.tells(key) {
            let note = format!(
                "{key} was set back {ROUNDS} times in a row and is left now: {}; leave the field to its manager by \
                 spec.ignoreDifferences, or stop that",
                drift.text
            );
            tracing::warn!(namespace = self.sync.namespace(), name = self.sync.name_any(), "{note}");
            let cluster = &self.context.cluster;
            let _ = cluster.publish(self.sync, Severity::Warning, Reason::Contested, &note, self.now.wall).await;
        }
        Some(drift.of(key))
    }

    /// Records a correction, and tells of it.
    pub(super) async fn tell_correction(&self, key: &ObjectKey, drift: &Drift, fights: &mut Fights) {
        fights.corrected(key, &drift.change, self.now.steady);
        self.context.metrics.corrected();
        let note = format!("corrected {key}: {}", drift.text);
        tracing::info!(namespace = self.sync.namespace(), name = self.sync.name_any(), "{note}");
        let cluster = &self.context.cluster;
        let _ = cluster.publish(self.sync, Severity::Normal, Reason::DriftCorrected, &note, self.now.wall).await;
    }

    /// The changes that are left, each looked at once; those of nothing but ignored fields are returned apart.
    pub(super) async fn look_at(
        &self,
        left: &[ObjectKey],
        manifests: &BTreeMap<&ObjectKey, &Manifest>,
        fights: &mut Fights,
    ) -> (BTreeMap<ObjectKey, ObjectDrift>, Vec<ObjectKey>) {
        let (mut drifts, mut nothing) = (BTreeMap::new(), Vec::new());
        let seen: Vec<Option<ObjectDrift>> = left.iter().map(|key| fights.seen(key, self.stamp(key))).collect();
        let unseen = left.iter().zip(&seen).filter(|(_, seen)| seen.is_none()).take(OBJECTS);
        let looked = unseen.map(|(key, _)| async move { (key, self.drift(manifests[key]).await) });
        let looked: BTreeMap<&ObjectKey, Drift> = join_all(looked).await.into_iter().collect();
        for (key, seen) in left.iter().zip(seen) {
            let drift = match (seen, looked.get(key)) {
                (Some(seen), _) => seen,
                (None, Some(drift)) if drift.is_nothing => {
                    nothing.push(key.clone());
                    continue;
                }
                (None, Some(drift)) => {
                    fights.see(key, self.stamp(key), drift.of(key));
                    drift.of(key)
                }
                (None, None) => ObjectDrift { object: key.to_string(), changes: Vec::new() },
            };
            drifts.insert(key.clone(), drift);
        }
        (drifts, nothing)
    }

    /// Stands for all that a change follows from: the object as its watch saw it last, what Git says of it, and the rules.
    fn stamp(&self, key: &ObjectKey) -> u64 {
        let live = self.seen(key).map(|entry| (entry.version, entry.observed.uid));
        let mut stamp = DefaultHasher::new();
        (live, self.hashes.get(key), self.sync.metadata.generation).hash(&mut stamp);
        stamp.finish()
    }
}

impl Drift {
    fn of(&self, key: &ObjectKey) -> ObjectDrift {
        ObjectDrift { object: key.to_string(), changes: self.changes.iter().take(CHANGES).cloned().collect() }
    }
}
