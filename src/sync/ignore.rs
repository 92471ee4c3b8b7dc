//! Rules of `ignoreDifferences` × the rendered objects → what of each is left to others, and the object without it.
//! A field that an autoscaler sets is left to it without a rule.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::api::git_sync::{IgnoreDifference, IgnoreTarget};
use crate::object::{Manifest, ObjectKey};

mod selector;
mod strip;

pub use strip::{given_up, of_managers, without};

/// Where a workload says how many pods it wants.
pub const REPLICAS: &str = "/spec/replicas";

/// What of one object is left to others.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ignored {
    /// JSON pointers into the rendered object, of fields that are in it.
    pub paths: Vec<String>,
    /// Field managers whose fields are theirs.
    pub managers: Vec<String>,
    /// The replicas are among the paths since an autoscaler was seen at work, not by a rule.
    pub is_seen: bool,
}

/// What the rules and the autoscalers among the objects leave to others; only objects of which something is.
///
/// # Errors
/// Names the rule that can't be read.
pub fn rules(spec: &[IgnoreDifference], manifests: &[Manifest]) -> Result<BTreeMap<ObjectKey, Ignored>, String> {
    let mut all: BTreeMap<ObjectKey, Ignored> = BTreeMap::new();
    for (index, rule) in spec.iter().enumerate() {
        let at = |reason: String| format!("spec.ignoreDifferences[{index}]: {reason}");
        let target = rule.target.clone().unwrap_or_default();
        let labels = selector::parse(target.label_selector.as_deref().unwrap_or_default()).map_err(at)?;
        for manifest in manifests.iter().filter(|manifest| names(&target, &manifest.key)) {
            if !selector::matches(&labels, &manifest.body) {
                continue;
            }
            let paths: Vec<String> =
                rule.paths.iter().filter(|path| manifest.body.pointer(path).is_some()).cloned().collect();
            if !paths.is_empty() || !rule.managed_fields_managers.is_empty() {
                let ignored = all.entry(manifest.key.clone()).or_default();
                ignored.paths.extend(paths);
                ignored.managers.extend(rule.managed_fields_managers.iter().cloned());
            }
        }
    }
    for key in manifests.iter().filter_map(scaled) {
        let workload = manifests.iter().find(|manifest| manifest.key == key && has_replicas(manifest));
        if workload.is_some() {
            all.entry(key).or_default().paths.push(REPLICAS.to_owned());
        }
    }
    for ignored in all.values_mut() {
        ignored.paths.sort();
        ignored.paths.dedup();
        ignored.managers.sort();
        ignored.managers.dedup();
    }
    Ok(all)
}

/// Whether a rendered object says how many pods it wants.
pub fn has_replicas(manifest: &Manifest) -> bool {
    manifest.body.pointer(REPLICAS).is_some()
}

/// The workload that a HorizontalPodAutoscaler or KEDA's ScaledObject scales.
fn scaled(manifest: &Manifest) -> Option<ObjectKey> {
    if !matches!(
        (manifest.key.group.as_str(), manifest.key.kind.as_str()),
        ("autoscaling", "HorizontalPodAutoscaler") | ("keda.sh", "ScaledObject")
    ) {
        return None;
    }
    let target = manifest.body.pointer("/spec/scaleTargetRef")?;
    let text = |name: &str| target.get(name).and_then(Value::as_str);
    let (api_version, kind) = match text("kind") {
        Some(kind) => (text("apiVersion").unwrap_or_default(), kind),
        // What KEDA means when nothing is said.
        None => ("apps/v1", "Deployment"),
    };
    let api_version = if manifest.key.group == "keda.sh" && api_version.is_empty() { "apps/v1" } else { api_version };
    let group = api_version.split_once('/').map_or("", |(group, _)| group);
    let (kind, namespace) = (kind.to_owned(), manifest.key.namespace.clone());
    Some(ObjectKey { group: group.to_owned(), kind, namespace, name: text("name")?.to_owned() })
}

fn names(target: &IgnoreTarget, key: &ObjectKey) -> bool {
    let fits = |pattern: &Option<String>, text: &str| pattern.as_ref().is_none_or(|pattern| like(pattern, text));
    fits(&target.group, &key.group)
        && fits(&target.kind, &key.kind)
        && fits(&target.name, &key.name)
        && fits(&target.namespace, &key.namespace)
}

/// Whether a text is like a pattern in which `*` stands for any text.
fn like(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = text.strip_prefix(first) else { return false };
    let parts: Vec<&str> = parts.collect();
    let Some((last, middle)) = parts.split_last() else { return rest.is_empty() };
    for part in middle {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests;
