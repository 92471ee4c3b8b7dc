//! Ownership that kubectl, Helm, Flux or Argo CD left on an object → ours, so that a later apply removes what Git no longer holds
//! (the rule of client-go's `csaupgrade`).

use serde_json::{Map, Value, json};

use super::{entries, is_apply_of, text};
use crate::api::FIELD_MANAGER;

/// Managers whose place we take: what they own is ours from now on. `Update` stands for writes other than server-side apply.
const PREDECESSORS: [(&str, &[&str]); 8] = [
    ("kubectl", &["Apply"]),
    ("kubectl-client-side-apply", &["Update"]),
    ("kubectl-last-applied", &["Apply"]),
    ("before-first-apply", &["Update"]),
    ("helm", &["Update", "Apply"]),
    ("kustomize-controller", &["Update", "Apply"]),
    ("argocd-controller", &["Update", "Apply"]),
    ("argocd-application-controller", &["Update", "Apply"]),
];
/// What of `metadata` is bookkeeping of controllers, and never comes from Git.
const BOOKKEEPING: [&str; 2] = ["f:finalizers", "f:ownerReferences"];

/// Whether a tool whose place we take owns fields of a live object.
pub fn has_predecessor(object: &Value) -> bool {
    entries(object).any(|entry| given_up(entry).is_some())
}

/// `managedFields` in which our entry owns what our predecessors owned, and they own nothing of it; none when there is
/// nothing to take over. Fields of other API versions are not merged, as their paths may mean something else.
pub fn migrated_managed_fields(object: &Value) -> Option<Vec<Value>> {
    let (mut theirs, mut kept) = (Vec::new(), Vec::new());
    for entry in entries(object) {
        match given_up(entry) {
            Some((fields, rest)) => {
                theirs.push((entry, fields));
                kept.extend(rest);
            }
            None => kept.push(entry.clone()),
        }
    }
    let (first, _) = theirs.first()?;
    let place = kept.iter().position(|entry| is_apply_of(entry, FIELD_MANAGER)).unwrap_or_else(|| {
        kept.push(json!({
            "manager": FIELD_MANAGER, "operation": "Apply", "apiVersion": first.get("apiVersion"),
            "time": first.get("time"), "fieldsType": "FieldsV1", "fieldsV1": {}
        }));
        kept.len() - 1
    });
    let ours = &mut kept[place];
    let version = text(ours, "apiVersion").to_owned();
    let Some(Value::Object(fields)) = ours.get_mut("fieldsV1") else { return None };
    for (_, more) in theirs.iter().filter(|(entry, _)| text(entry, "apiVersion") == version) {
        unite(fields, more);
    }
    Some(kept)
}

/// What an entry of a predecessor leaves to us, and the entry of what it keeps; none when it leaves nothing.
fn given_up(entry: &Value) -> Option<(Map<String, Value>, Option<Value>)> {
    let (manager, operation) = (text(entry, "manager"), text(entry, "operation"));
    let is_it = |(name, operations): &(&str, &[&str])| *name == manager && operations.contains(&operation);
    if !PREDECESSORS.iter().any(is_it) || !text(entry, "subresource").is_empty() {
        return None;
    }
    let mut fields = entry.get("fieldsV1")?.as_object()?.clone();
    let mut rest = Map::new();
    if let Some(status) = fields.remove("f:status") {
        rest.insert("f:status".to_owned(), status);
    }
    if let Some(metadata) = fields.get_mut("f:metadata").and_then(Value::as_object_mut) {
        let kept: Map<String, Value> =
            BOOKKEEPING.iter().filter_map(|name| Some(((*name).to_owned(), metadata.remove(*name)?))).collect();
        if metadata.is_empty() {
            fields.remove("f:metadata");
        }
        if !kept.is_empty() {
            rest.insert("f:metadata".to_owned(), Value::Object(kept));
        }
    }
    if fields.is_empty() {
        return None;
    }
    let rest = (!rest.is_empty()).then(|| {
        let mut entry = entry.clone();
        entry["fieldsV1"] = Value::Object(rest);
        entry
    });
    Some((fields, rest))
}

/// Adds the paths of one set to another. A node without children is owned itself; with some, it is so by its `.`.
fn unite(set: &mut Map<String, Value>, more: &Map<String, Value>) {
    for (element, theirs) in more {
        match (set.get_mut(element), theirs) {
            (Some(Value::Object(ours)), Value::Object(theirs)) => {
                let is_leaf = |node: &Map<String, Value>| node.is_empty();
                if is_leaf(ours) != is_leaf(theirs) {
                    ours.insert(".".to_owned(), json!({}));
                }
                unite(ours, theirs);
            }
            _ => {
                set.insert(element.clone(), theirs.clone());
            }
        }
    }
}
