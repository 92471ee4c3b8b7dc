//! What the watches saw, kept small: identity, version, projection hash, health. An object comes in as a value and is dropped again.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use serde_json::Value;

use super::cel::pool::Pool;
use super::fields::{is_autoscaled, projection_hash};
use super::health::exprs::Rules;
use super::health::{Health, assess, pod_trouble};
use super::manner;
use super::plan::Observed;
use super::referred::Referred;
use crate::api::{FIELD_MANAGER, HOOK_RUN, OWNER_NAME, OWNER_NAMESPACE, OWNER_UID};
use crate::object::{Gvk, ObjectKey};

/// One watch, by whatever name its owner gave it.
pub type View = String;
/// Namespace and name of a GitSync.
pub type Owner = (String, String);

/// One object as it was last seen.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// What plans need.
    pub observed: Observed,
    /// How it fares.
    pub health: Health,
    /// Of a workload that is not healthy: the labels of its pods.
    pub selector: Option<BTreeMap<String, String>>,
    /// Its version; grows with every change.
    pub version: u64,
    /// By whose rules it was judged ([`Rules::id`]); 0 by ours.
    pub judged_by: u64,
}

#[derive(Default)]
struct Listing {
    objects: HashMap<ObjectKey, Entry>,
    /// While a new list arrives: what it has shown so far.
    relisted: Option<HashSet<ObjectKey>>,
}

#[derive(Default)]
struct Pods {
    /// Troubled pods: their labels, and the trouble.
    troubled: BTreeMap<String, (BTreeMap<String, String>, String)>,
    /// Who wants to know.
    waiting: HashSet<Owner>,
}

/// All objects that the watches saw.
#[derive(Default)]
pub struct Table {
    views: Mutex<HashMap<View, Listing>>,
    pods: Mutex<HashMap<View, Pods>>,
    /// What GitSyncs refer to.
    pub referred: Referred,
    rules: Mutex<HashMap<Owner, Arc<Rules>>>,
    /// The expressions in use.
    pub pool: Pool,
    /// Done when the rules of all GitSyncs are known.
    pub learned: OnceLock<()>,
}

impl Table {
    /// A view lists anew: what the list does not show is gone, once it is complete.
    pub fn restart(&self, view: &View) {
        lock(&self.views).entry(view.clone()).or_default().relisted = Some(HashSet::new());
    }

    /// The list is complete. Returns whose objects are gone.
    pub fn listed(&self, view: &View) -> Vec<Owner> {
        let mut views = lock(&self.views);
        let listing = views.entry(view.clone()).or_default();
        let Some(shown) = listing.relisted.take() else { return Vec::new() };
        let (kept, gone): (HashMap<_, _>, HashMap<_, _>) =
            std::mem::take(&mut listing.objects).into_iter().partition(|(key, _)| shown.contains(key));
        listing.objects = kept;
        gone.into_values().filter_map(|entry| entry.observed.owner).collect()
    }

    /// By which rules an owner's objects are judged from now on, beside ours.
    pub fn set_rules(&self, owner: &Owner, rules: Option<Arc<Rules>>) {
        let mut all = lock(&self.rules);
        match rules {
            Some(rules) => all.insert(owner.clone(), rules),
            None => all.remove(owner),
        };
    }

    /// The rules of an owner.
    pub fn rules(&self, owner: &Owner) -> Option<Arc<Rules>> {
        lock(&self.rules).get(owner).cloned()
    }

    /// An object was seen. Returns whom to wake: its owner when anything that matters changed, and its owner of before when it changed hands.
    pub fn see(&self, view: &View, object: &Value) -> Vec<Owner> {
        let rules = owner_of(object).and_then(|owner| self.rules(&owner));
        self.put(view, object, rules.as_deref()).unwrap_or_default()
    }

    /// An object was seen that `by` waits for, though others make it. Returns whether that is news.
    pub fn see_for(&self, view: &View, object: &Value, by: &Owner) -> bool {
        self.put(view, object, self.rules(by).as_deref()).is_some()
    }

    /// Its owners of before and now; none when it is no news.
    fn put(&self, view: &View, object: &Value, rules: Option<&Rules>) -> Option<Vec<Owner>> {
        let (key, entry) = entry(object, rules)?;
        let mut views = lock(&self.views);
        let listing = views.entry(view.clone()).or_default();
        if let Some(shown) = &mut listing.relisted {
            shown.insert(key.clone());
        }
        match listing.objects.get(&key) {
            // A reply to our own apply may overtake the watch: an older version is no news.
            Some(before) if before.version > entry.version && before.observed.uid == entry.observed.uid => None,
            Some(before) if is_same(before, &entry) => {
                listing.objects.insert(key, entry);
                None
            }
            before => {
                let mut owners: Vec<Owner> =
                    before.and_then(|before| before.observed.owner.clone()).into_iter().collect();
                owners.extend(entry.observed.owner.clone());
                owners.dedup();
                listing.objects.insert(key, entry);
                Some(owners)
            }
        }
    }

    /// What is known of the one object of a view.
    pub fn only(&self, view: &View) -> Option<Entry> {
        lock(&self.views).get(view)?.objects.values().next().cloned()
    }

    /// A view has ended.
    pub fn forget(&self, view: &View) {
        lock(&self.views).remove(view);
        lock(&self.pods).remove(view);
    }

    /// An object is gone, or lost its owner label. Returns whom to wake.
    pub fn gone(&self, view: &View, object: &Value) -> Option<Owner> {
        let (key, entry) = entry(object, None)?;
        let mut views = lock(&self.views);
        let listing = views.get_mut(view)?;
        let is_older = listing.objects.get(&key).is_some_and(|now| now.version > entry.version);
        // The object that went is the one that was known, or a newer one of that name is there already.
        if is_older { None } else { listing.objects.remove(&key)?.observed.owner }
    }

    /// The server took the deletion of this incarnation of an object. Its watch tells the rest, and until it does nobody asks again.
    pub fn leaves(&self, key: &ObjectKey, uid: &str) {
        let mut views = lock(&self.views);
        let known = views.values_mut().filter_map(|listing| listing.objects.get_mut(key));
        known.filter(|entry| entry.observed.uid == uid).for_each(|entry| entry.observed.deleting = true);
    }

    /// What is known of one object.
    pub fn get(&self, view: &View, key: &ObjectKey) -> Option<Entry> {
        lock(&self.views).get(view)?.objects.get(key).cloned()
    }

    /// All objects of a view that carry an owner's labels ([`Observed::is_of`]).
    pub fn owned(&self, view: &View, owner: &Owner, uid: Option<&str>) -> Vec<ObjectKey> {
        let views = lock(&self.views);
        let objects = views.get(view).into_iter().flat_map(|listing| &listing.objects);
        objects.filter(|(_, entry)| entry.observed.is_of(owner, uid)).map(|(key, _)| key.clone()).collect()
    }

    /// Someone waits for news of the pods of a view.
    pub fn wait_for_pods(&self, view: &View, owner: &Owner) {
        lock(&self.pods).entry(view.clone()).or_default().waiting.insert(owner.clone());
    }

    /// Someone no longer waits. Says whether nobody does now, so that the view can end.
    pub fn leave_pods(&self, view: &View, owner: &Owner) -> bool {
        let mut pods = lock(&self.pods);
        let Some(entry) = pods.get_mut(view) else { return false };
        let is_last = entry.waiting.remove(owner) && entry.waiting.is_empty();
        if is_last {
            pods.remove(view);
        }
        is_last
    }

    /// A pod was seen. Returns whom to wake.
    pub fn see_pod(&self, view: &View, pod: &Value) -> Vec<Owner> {
        let name = text(pod, "/metadata/name");
        match pod_trouble(pod) {
            Some(trouble) => {
                let mut pods = lock(&self.pods);
                let entry = pods.entry(view.clone()).or_default();
                let before = entry.troubled.insert(name, (labels(pod), trouble.clone()));
                let is_news = before.is_none_or(|(_, before)| before != trouble);
                if is_news { entry.waiting.iter().cloned().collect() } else { Vec::new() }
            }
            None => self.forget_pod(view, &name),
        }
    }

    /// A pod is gone or no longer in trouble. Returns whom to wake.
    pub fn forget_pod(&self, view: &View, name: &str) -> Vec<Owner> {
        let mut pods = lock(&self.pods);
        let Some(entry) = pods.get_mut(view) else { return Vec::new() };
        if entry.troubled.remove(name).is_some() { entry.waiting.iter().cloned().collect() } else { Vec::new() }
    }

    /// The first trouble among the pods that a workload selects.
    pub fn trouble(&self, view: &View, selector: &BTreeMap<String, String>) -> Option<String> {
        let pods = lock(&self.pods);
        let troubled = pods.get(view)?.troubled.values();
        let mut selected =
            troubled.filter(|(labels, _)| selector.iter().all(|(key, value)| labels.get(key) == Some(value)));
        selected.next().map(|(_, trouble)| trouble.clone())
    }
}

fn is_same(before: &Entry, now: &Entry) -> bool {
    before.observed == now.observed && before.health == now.health
}

/// Whom the labels of an object name.
fn owner_of(object: &Value) -> Option<Owner> {
    Some((label(object, OWNER_NAMESPACE)?, label(object, OWNER_NAME)?))
}

fn label(object: &Value, name: &str) -> Option<String> {
    Some(object.pointer("/metadata/labels")?.get(name)?.as_str()?.to_owned())
}

fn entry(object: &Value, rules: Option<&Rules>) -> Option<(ObjectKey, Entry)> {
    let gvk = Gvk::new(object.get("apiVersion")?.as_str()?, object.get("kind")?.as_str()?);
    let key = ObjectKey {
        group: gvk.group,
        kind: gvk.kind,
        namespace: text(object, "/metadata/namespace"),
        name: object.pointer("/metadata/name")?.as_str()?.to_owned(),
    };
    let owner = owner_of(object);
    let resource_version = text(object, "/metadata/resourceVersion");
    let health = assess(object, rules);
    let judged_by = rules.map_or(0, |rules| rules.id(&key.group, &key.kind));
    let selector = (health != Health::Healthy).then(|| string_map(object.pointer("/spec/selector/matchLabels")));
    let observed = Observed {
        uid: text(object, "/metadata/uid"),
        owner,
        owner_uid: label(object, OWNER_UID),
        projection: projection_hash(object, FIELD_MANAGER),
        kept: manner::kept(object),
        autoscaled: is_autoscaled(object),
        deleting: object.pointer("/metadata/deletionTimestamp").is_some_and(|at| !at.is_null()),
        hook_run: object.pointer("/metadata/annotations").and_then(|all| Some(all.get(HOOK_RUN)?.as_str()?.to_owned())),
    };
    // Resource versions are decimal numbers that grow (Kubernetes API conventions since 1.35, and before in fact).
    let version = resource_version.parse().unwrap_or(0);
    let selector = selector.filter(|selector| !selector.is_empty());
    Some((key, Entry { observed, health, selector, judged_by, version }))
}

fn labels(object: &Value) -> BTreeMap<String, String> {
    string_map(object.pointer("/metadata/labels"))
}

fn string_map(value: Option<&Value>) -> BTreeMap<String, String> {
    let pairs = value.and_then(Value::as_object).into_iter().flatten();
    pairs.filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned()))).collect()
}

fn text(object: &Value, pointer: &str) -> String {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn config_map(version: &str, value: &str) -> Value {
        json!({
            "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {
                "name": "a", "namespace": "web", "uid": "u1", "resourceVersion": version,
                "labels": {OWNER_NAME: "app", OWNER_NAMESPACE: "web"},
                "managedFields": [{
                    "manager": FIELD_MANAGER, "operation": "Apply", "fieldsType": "FieldsV1",
                    "fieldsV1": {"f:data": {"f:k": {}}}
                }]
            },
            "data": {"k": value}
        })
    }

    fn owner() -> Owner {
        ("web".into(), "app".into())
    }

    #[test]
    fn only_what_matters_wakes_the_owner() {
        let (table, view) = (Table::default(), "configmaps".to_owned());
        let key =
            ObjectKey { group: String::new(), kind: "ConfigMap".into(), namespace: "web".into(), name: "a".into() };
        assert_eq!(table.see(&view, &config_map("5", "x")), [owner()]);
        assert!(table.see(&view, &config_map("6", "x")).is_empty(), "only the version moved");
        assert_eq!(table.see(&view, &config_map("7", "y")), [owner()]);
        assert!(table.see(&view, &config_map("6", "x")).is_empty(), "an older version is no news");
        table.leaves(&key, "another");
        assert!(!table.get(&view, &key).unwrap().observed.deleting, "another one of its name left");
        table.leaves(&key, "u1");
        assert!(table.get(&view, &key).unwrap().observed.deleting, "before the watch has told");
        assert_eq!(table.gone(&view, &config_map("8", "y")), Some(owner()));
        assert_eq!(table.gone(&view, &config_map("8", "y")), None);
    }

    #[test]
    fn namesakes_of_other_clusters_own_other_objects() {
        let (table, view) = (Table::default(), "configmaps".to_owned());
        let mut object = config_map("5", "x");
        object["metadata"]["labels"][OWNER_UID] = json!("u-sync");
        table.see(&view, &object);
        let owned = |uid| table.owned(&view, &owner(), uid).len();
        assert_eq!((owned(Some("u-sync")), owned(Some("u-other")), owned(None)), (1, 0, 0));
    }

    #[test]
    fn what_a_new_list_does_not_show_is_gone() {
        let (table, view) = (Table::default(), "configmaps".to_owned());
        table.see(&view, &config_map("5", "x"));
        table.restart(&view);
        assert_eq!(table.owned(&view, &owner(), None).len(), 1, "kept until the list is complete");
        assert_eq!(table.listed(&view), [owner()]);
        assert!(table.owned(&view, &owner(), None).is_empty());
    }

    #[test]
    fn objects_are_judged_by_the_rules_of_whom_they_concern() {
        let (table, view) = (Table::default(), "configmaps".to_owned());
        let rules = |current: &str| {
            let expr = serde_json::from_value(json!({"apiVersion": "v1", "kind": "ConfigMap", "current": current}));
            Rules::read(&[expr.unwrap()], &table.pool).unwrap()
        };
        let health = |table: &Table| table.only(&view).unwrap().health;
        table.set_rules(&owner(), rules("data.k == 'x'"));
        table.see(&view, &config_map("5", "x"));
        assert_eq!((health(&table), table.only(&view).unwrap().judged_by == 0), (Health::Healthy, false));
        assert_eq!(table.see(&view, &config_map("6", "y")), [owner()]);
        assert_ne!(health(&table), Health::Healthy);
        table.set_rules(&owner(), None);
        assert_eq!(table.see(&view, &config_map("6", "y")), [owner()], "the same object, by other rules");
        assert_eq!((health(&table), table.only(&view).unwrap().judged_by), (Health::Healthy, 0));

        // Who waits for an object of others judges it by rules of its own.
        let asker = ("shop".to_owned(), "asker".to_owned());
        table.set_rules(&asker, rules("data.k == 'z'"));
        let one = "one".to_owned();
        assert!(table.see_for(&one, &config_map("7", "y"), &asker));
        assert!(!table.see_for(&one, &config_map("8", "y"), &asker));
        assert_ne!(table.only(&one).unwrap().health, Health::Healthy);
        assert!(table.see_for(&one, &config_map("9", "z"), &asker));
        assert_eq!(table.only(&one).unwrap().health, Health::Healthy);
        table.forget(&one);
        assert_eq!(table.only(&one), None);
    }
}
