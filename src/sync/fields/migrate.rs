//! Ownership that `kubectl apply` left on an object → ours, so that a later apply removes what Git no longer holds
//! (the rule of client-go's `csaupgrade`).

use serde_json::{Map, Value, json};

use super::{entries, is_apply_of, text};
use crate::api::FIELD_MANAGER;

/// Whether `kubectl apply`, client-side or server-side, owns fields of a live object.
pub fn kubectl_applied(object: &Value) -> bool {
    entries(object).any(is_kubectl)
}

/// `managedFields` in which our entry owns what `kubectl apply` owned, and `kubectl apply` owns nothing; none when there is
/// nothing to take over. Fields of other API versions are not merged, as their paths may mean something else.
pub fn migrated_managed_fields(object: &Value) -> Option<Vec<Value>> {
    let (theirs, mut kept): (Vec<&Value>, Vec<Value>) =
        entries(object).fold((Vec::new(), Vec::new()), |mut split, entry| {
            if is_kubectl(entry) {
                split.0.push(entry)
            } else {
                split.1.push(entry.clone())
            }
            split
        });
    let first = theirs.first()?;
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
    for entry in theirs.iter().filter(|entry| text(entry, "apiVersion") == version) {
        if let Some(more) = entry.get("fieldsV1").and_then(Value::as_object) {
            unite(fields, more);
        }
    }
    Some(kept)
}

fn is_kubectl(entry: &Value) -> bool {
    let who = (text(entry, "manager"), text(entry, "operation"));
    let is_apply = matches!(who, ("kubectl-client-side-apply" | "before-first-apply", "Update") | ("kubectl", "Apply"));
    is_apply && text(entry, "subresource").is_empty()
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
