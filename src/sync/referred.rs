//! ConfigMaps and Secrets that GitSyncs refer to, as watches of single objects saw them: an object comes in as a value, and who waits
//! for it goes out. What they hold is never shown.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::Value;

use super::observed::{Owner, View};

/// What an object holds, by key.
pub type Data = BTreeMap<String, Vec<u8>>;

#[derive(Default)]
struct Entry {
    /// None when the object is not there.
    data: Option<Data>,
    /// While a new list arrives: nothing was shown yet.
    is_relisting: bool,
    waiting: HashSet<Owner>,
}

/// All such objects, by watch.
#[derive(Default)]
pub struct Referred {
    entries: Mutex<HashMap<View, Entry>>,
}

impl Referred {
    /// A GitSync wants to be woken by news of a view.
    pub fn wait(&self, view: &View, owner: &Owner) {
        self.lock().entry(view.clone()).or_default().waiting.insert(owner.clone());
    }

    /// It no longer does. Says whether nobody does now, so that the view can end.
    pub fn leave(&self, view: &View, owner: &Owner) -> bool {
        let mut entries = self.lock();
        let Some(entry) = entries.get_mut(view) else { return false };
        let is_last = entry.waiting.remove(owner) && entry.waiting.is_empty();
        if is_last {
            entries.remove(view);
        }
        is_last
    }

    /// What the object of a view holds; none when it is not there.
    pub fn data(&self, view: &View) -> Option<Data> {
        self.lock().get(view)?.data.clone()
    }

    /// The view lists anew.
    pub fn restart(&self, view: &View) {
        self.change(view, |entry| entry.is_relisting = true);
    }

    /// The list is complete: an object that it did not show is gone. Returns whom to wake.
    pub fn listed(&self, view: &View) -> Vec<Owner> {
        self.change(view, |entry| {
            if std::mem::take(&mut entry.is_relisting) {
                entry.data = None;
            }
        })
    }

    /// The object was seen. Returns whom to wake.
    pub fn see(&self, view: &View, object: &Value) -> Vec<Owner> {
        self.change(view, |entry| {
            entry.is_relisting = false;
            entry.data = Some(data(object));
        })
    }

    /// The object is gone. Returns whom to wake.
    pub fn gone(&self, view: &View) -> Vec<Owner> {
        self.change(view, |entry| entry.data = None)
    }

    fn change(&self, view: &View, change: impl FnOnce(&mut Entry)) -> Vec<Owner> {
        let mut entries = self.lock();
        let Some(entry) = entries.get_mut(view) else { return Vec::new() };
        let before = entry.data.clone();
        change(entry);
        if entry.data == before { Vec::new() } else { entry.waiting.iter().cloned().collect() }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<View, Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a ConfigMap or Secret holds; a Secret's `stringData` too, which only files have.
pub fn data(object: &Value) -> Data {
    let texts = |field: &str| {
        let entries = object.get(field).and_then(Value::as_object).into_iter().flatten();
        entries.filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned()))).collect::<Vec<_>>()
    };
    if object.get("kind").and_then(Value::as_str) != Some("Secret") {
        return texts("data").into_iter().map(|(key, text)| (key, text.into_bytes())).collect();
    }
    let decoded = texts("data").into_iter().map(|(key, text)| (key, BASE64.decode(text.trim()).unwrap_or_default()));
    decoded.chain(texts("stringData").into_iter().map(|(key, text)| (key, text.into_bytes()))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn who_waits_is_woken_by_what_changes() {
        let referred = Referred::default();
        let (view, owner) = ("v".to_owned(), ("web".to_owned(), "apps".to_owned()));
        let map = |value: &str| json!({"kind": "ConfigMap", "data": {"a": value}});
        assert!(referred.see(&view, &map("1")).is_empty() && referred.data(&view).is_none(), "nobody waits");
        referred.wait(&view, &owner);
        assert!(referred.listed(&view).is_empty());
        assert_eq!(referred.see(&view, &map("1")), std::slice::from_ref(&owner));
        assert!(referred.see(&view, &map("1")).is_empty(), "the same");
        referred.restart(&view);
        assert!(referred.see(&view, &map("1")).is_empty() && referred.listed(&view).is_empty(), "still there");
        assert_eq!(referred.data(&view).unwrap()["a"], b"1");
        referred.restart(&view);
        assert_eq!(referred.listed(&view), std::slice::from_ref(&owner), "gone while nobody looked");
        assert!(referred.data(&view).is_none());
        referred.see(&view, &map("2"));
        assert_eq!(referred.gone(&view), std::slice::from_ref(&owner));
        assert!(referred.leave(&view, &owner) && !referred.leave(&view, &owner));
    }

    #[test]
    fn a_secret_is_decoded() {
        let secret = json!({"kind": "Secret", "data": {"a": "eA==", "b": "no base64!"}, "stringData": {"c": "y"}});
        let held: Vec<(String, Vec<u8>)> = data(&secret).into_iter().collect();
        assert_eq!(held, [("a".into(), b"x".to_vec()), ("b".into(), vec![]), ("c".into(), b"y".to_vec())]);
    }
}
