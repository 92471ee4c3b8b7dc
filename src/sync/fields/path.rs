//! One element of a `fieldsV1` path (structured-merge-diff): `f:name` a field, `k:{…}` a list item by its keys, `v:…` a list
//! item by its value, `i:…` a list item by its index, `.` the node itself.

use serde_json::{Map, Value};

/// The elements below a node, in their order, without the node itself.
pub(in crate::sync) fn children(set: &Value) -> Vec<(&str, &Value)> {
    let mut children: Vec<(&str, &Value)> = set
        .as_object()
        .into_iter()
        .flatten()
        .filter(|(key, _)| *key != ".")
        .map(|(key, child)| (key.as_str(), child))
        .collect();
    children.sort_unstable_by_key(|(key, _)| *key);
    children
}

/// What a value has at an element.
pub(super) fn get<'a>(value: &'a Value, element: &str) -> Option<&'a Value> {
    match element.split_once(':')? {
        ("f", name) => value.get(name),
        ("k", _) => item(value.as_array()?, &keys(element)?),
        ("v", text) => {
            let wanted: Value = serde_json::from_str(text).ok()?;
            value.as_array()?.iter().find(|item| **item == wanted)
        }
        ("i", index) => value.as_array()?.get(index.parse::<usize>().ok()?),
        _ => None,
    }
}

/// The keys and values of a `k:` element.
pub(in crate::sync) fn keys(element: &str) -> Option<Map<String, Value>> {
    serde_json::from_str(element.strip_prefix("k:")?).ok()
}

/// The item with these keys; a key that an item lacks counts as equal, since it may stand for its default (`protocol: TCP`),
/// but an item that has them all comes first.
pub(in crate::sync) fn item<'a>(items: &'a [Value], keys: &Map<String, Value>) -> Option<&'a Value> {
    let has_all = |item: &&Value| keys.iter().all(|(key, value)| item.get(key) == Some(value));
    let may_be = |item: &&Value| {
        let has_one = keys.iter().any(|(key, value)| item.get(key) == Some(value));
        has_one && keys.iter().all(|(key, value)| item.get(key).is_none_or(|own| own == value))
    };
    items.iter().find(has_all).or_else(|| items.iter().find(may_be))
}

/// The element below `set` that stands for a list's item.
pub(in crate::sync) fn element_of<'a>(set: &'a Value, item: &Value) -> Option<(&'a str, &'a Value)> {
    let items = std::slice::from_ref(item);
    children(set).into_iter().find(|(element, _)| keys(element).is_some_and(|keys| self::item(items, &keys).is_some()))
}
