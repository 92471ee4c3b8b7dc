//! An object without the fields that are left to others, and `managedFields` in which we own them no longer.

use serde_json::{Map, Value};

use crate::api::{FIELD_MANAGER, OWNER_NAME, OWNER_NAMESPACE, OWNER_UID};
use crate::sync::fields::{apply_entries, is_own_entry, path};

/// The object without the fields at these JSON pointers.
pub fn without(body: &Value, pointers: &[String]) -> Value {
    let mut body = body.clone();
    let mut pointers: Vec<&String> = pointers.iter().collect();
    // Backwards, so that what is taken out of a list moves nothing that is still to be taken out.
    pointers.sort_by_key(|pointer| std::cmp::Reverse(steps(pointer).iter().map(|step| rank(step)).collect::<Vec<_>>()));
    for pointer in pointers {
        take_out(&mut body, &steps(pointer));
    }
    body
}

/// Takes one field out, and maps that held nothing else: an empty one would claim the whole.
fn take_out(value: &mut Value, steps: &[String]) {
    let Some((step, rest)) = steps.split_first() else { return };
    match value {
        Value::Object(map) if rest.is_empty() => drop(map.shift_remove(step)),
        Value::Object(map) => {
            let Some(child) = map.get_mut(step) else { return };
            let was_full = child.as_object().is_some_and(|child| !child.is_empty());
            take_out(child, rest);
            if was_full && child.as_object().is_some_and(Map::is_empty) {
                map.shift_remove(step);
            }
        }
        Value::Array(items) => match step.parse::<usize>() {
            Ok(index) if index >= items.len() => {}
            Ok(index) if rest.is_empty() => drop(items.remove(index)),
            Ok(index) => take_out(&mut items[index], rest),
            Err(_) => {}
        },
        _ => {}
    }
}

/// A step's order: numbers by their value.
fn rank(step: &str) -> (u64, String) {
    (step.parse().unwrap_or(0), step.to_owned())
}

/// The JSON pointers of fields of a rendered object that these managers own in the live one. Its identity and owner labels are ours
/// whoever writes them.
pub fn of_managers(body: &Value, live: &Value, managers: &[String]) -> Vec<String> {
    let mut found = Vec::new();
    for (manager, fields) in apply_entries(live) {
        if managers.iter().any(|name| name == manager) {
            leaves(body, fields, String::new(), &mut found);
        }
    }
    found.retain(|pointer| !is_ours(pointer));
    found.sort();
    found.dedup();
    found
}

fn is_ours(pointer: &str) -> bool {
    let owner = [OWNER_NAME, OWNER_NAMESPACE, OWNER_UID].map(|label| format!("/metadata/labels/{}", escaped(label)));
    let fixed = ["/apiVersion", "/kind", "/metadata/name", "/metadata/namespace"];
    fixed.contains(&pointer) || owner.iter().any(|label| label == pointer)
}

/// The places in a value that a field set owns as leaves.
fn leaves(value: &Value, set: &Value, at: String, found: &mut Vec<String>) {
    let children = path::children(set);
    if children.is_empty() {
        return found.push(at);
    }
    for (element, child) in children {
        match (element.split_once(':'), value) {
            (Some(("f", name)), Value::Object(map)) => {
                if let Some(value) = map.get(name) {
                    leaves(value, child, format!("{at}/{}", escaped(name)), found);
                }
            }
            (Some(("k", _)), Value::Array(items)) => {
                let keys = path::keys(element).unwrap_or_default();
                let index = items.iter().position(|item| path::item(std::slice::from_ref(item), &keys).is_some());
                // An item stays what it is by its keys.
                if let Some(index) = index {
                    leaves(&items[index], &but_keys(child, &keys), format!("{at}/{index}"), found);
                }
            }
            (Some(("v", text)), Value::Array(items)) => {
                let wanted: Option<Value> = serde_json::from_str(text).ok();
                if let Some(index) = items.iter().position(|item| Some(item) == wanted.as_ref()) {
                    found.push(format!("{at}/{index}"));
                }
            }
            _ => {}
        }
    }
}

/// The fields of a list's item without its keys; never empty, so that the item itself is no leaf.
fn but_keys(set: &Value, keys: &Map<String, Value>) -> Value {
    let fields = set.as_object().into_iter().flatten();
    let is_key = |element: &str| element.strip_prefix("f:").is_some_and(|name| keys.contains_key(name));
    let mut rest: Map<String, Value> = fields
        .filter(|(element, _)| !is_key(element) && *element != ".")
        .map(|(element, child)| (element.clone(), child.clone()))
        .collect();
    if rest.is_empty() {
        rest.insert("f:".to_owned(), Value::Object(Map::new()));
    }
    Value::Object(rest)
}

/// `managedFields` of a live object in which we own nothing at these JSON pointers into the rendered one; none when we own nothing
/// there already. What nobody owns stays as it is, and is for anybody to take.
pub fn given_up(body: &Value, live: &Value, pointers: &[String]) -> Option<Vec<Value>> {
    let mut entries = live.pointer("/metadata/managedFields")?.as_array()?.clone();
    let ours = entries.iter_mut().find(|entry| is_own_entry(entry, FIELD_MANAGER))?.get_mut("fieldsV1")?;
    let mut is_changed = false;
    for pointer in pointers {
        is_changed |= give_up(ours, body, &steps(pointer));
    }
    is_changed.then_some(entries)
}

/// Takes one path out of a field set. Says whether it was in it.
fn give_up(set: &mut Value, value: &Value, steps: &[String]) -> bool {
    let Some((step, rest)) = steps.split_first() else { return false };
    let (element, below) = match value {
        Value::Array(items) => {
            let Some(item) = step.parse::<usize>().ok().and_then(|index| items.get(index)) else { return false };
            let known = path::element_of(set, item).map(|(element, _)| element.to_owned());
            (known.unwrap_or_else(|| format!("v:{item}")), item)
        }
        _ => (format!("f:{step}"), value.get(step).unwrap_or(&Value::Null)),
    };
    let Some(children) = set.as_object_mut() else { return false };
    if rest.is_empty() {
        return children.shift_remove(&element).is_some();
    }
    let Some(child) = children.get_mut(&element) else { return false };
    let is_changed = give_up(child, below, rest);
    // An empty set would mean the whole field.
    if is_changed && child.as_object().is_some_and(Map::is_empty) {
        children.shift_remove(&element);
    }
    is_changed
}

/// The steps of a JSON pointer (RFC 6901).
fn steps(pointer: &str) -> Vec<String> {
    pointer.split('/').skip(1).map(unescaped).collect()
}

fn unescaped(step: &str) -> String {
    step.replace("~1", "/").replace("~0", "~")
}

fn escaped(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}
