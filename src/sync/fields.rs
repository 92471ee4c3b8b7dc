//! Field ownership of a live object (`metadata.managedFields`, Kubernetes: Server-Side Apply): what we own and what it is now,
//! what others changed of it, and how ownership moves over from `kubectl apply`.

use serde_json::Value;
use sha2::{Digest, Sha256};

use super::hash::{hash_text, hash_value, short};

mod drift;
mod migrate;
pub(super) mod path;

pub use drift::{DIFFERENCES, FieldDrift, differences};
pub use migrate::{has_predecessor, migrated_managed_fields};

/// The fields (`fieldsV1`) that a manager owns by applying the object itself; none when it never applied it.
pub fn owned<'a>(object: &'a Value, manager: &str) -> Option<&'a Value> {
    entries(object).find(|entry| is_apply_of(entry, manager))?.get("fieldsV1")
}

/// Field managers and what they own of a live object, subresources included.
pub(super) fn apply_entries(object: &Value) -> impl Iterator<Item = (&str, &Value)> {
    entries(object).filter_map(|entry| Some((text(entry, "manager"), entry.get("fieldsV1")?)))
}

/// Whether an entry of `managedFields` is of the manager's applies.
pub(super) fn is_own_entry(entry: &Value, manager: &str) -> bool {
    is_apply_of(entry, manager)
}

/// Whether an autoscaler sets the replicas of a live workload: it does so by the scale subresource, as the controller manager.
pub fn is_autoscaled(object: &Value) -> bool {
    entries(object).any(|entry| {
        text(entry, "manager") == "kube-controller-manager"
            && text(entry, "subresource") == "scale"
            && entry.pointer("/fieldsV1/f:spec/f:replicas").is_some()
    })
}

/// A hash of the fields that a manager owns together with their values in the live object: 16 hex digits.
///
/// It changes when somebody changes such a field or takes it over, and stays the same whatever happens to other fields, to the
/// order of keys and to the times in `managedFields`. None when the manager never applied the object.
pub fn projection_hash(object: &Value, manager: &str) -> Option<String> {
    let set = owned(object, manager)?;
    let others: Vec<&Value> = entries(object)
        .filter(|entry| !is_apply_of(entry, manager))
        .filter_map(|entry| entry.get("fieldsV1"))
        .collect();
    let mut hasher = Sha256::new();
    project(&mut hasher, Some(object), set, &others);
    Some(short(hasher))
}

fn entries(object: &Value) -> impl Iterator<Item = &Value> {
    object.pointer("/metadata/managedFields").and_then(Value::as_array).into_iter().flatten()
}

fn text<'a>(entry: &'a Value, key: &str) -> &'a str {
    entry.get(key).and_then(Value::as_str).unwrap_or_default()
}

fn is_apply_of(entry: &Value, manager: &str) -> bool {
    text(entry, "manager") == manager && text(entry, "operation") == "Apply" && text(entry, "subresource").is_empty()
}

/// Feeds one node of the field set and what the object has there. `others` are the same node in the sets of other managers.
fn project(hasher: &mut Sha256, value: Option<&Value>, set: &Value, others: &[&Value]) {
    let children = path::children(set);
    if children.is_empty() {
        let is_shared = others.iter().any(|other| !path::children(other).is_empty());
        return match value {
            None => hasher.update(b"missing"),
            // We own that the map or list is there; what is in it belongs to others.
            Some(_) if is_shared => hasher.update(b"shared"),
            Some(value) => hash_value(hasher, value),
        };
    }
    hasher.update(b"(");
    for (element, child) in children {
        hash_text(hasher, element);
        let below: Vec<&Value> = others.iter().filter_map(|other| other.get(element)).collect();
        project(hasher, value.and_then(|value| path::get(value, element)), child, &below);
    }
    hasher.update(b")");
}

#[cfg(test)]
mod tests;
