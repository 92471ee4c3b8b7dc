//! Plans as tables, and what must hold of every plan.

use std::collections::BTreeSet;

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::object::Gvk;

fn key(kind: &str, name: &str) -> ObjectKey {
    ObjectKey { group: String::new(), kind: kind.into(), namespace: "web".into(), name: name.into() }
}

fn manifest(kind: &str, name: &str) -> Manifest {
    Manifest { gvk: Gvk::new("v1", kind), key: key(kind, name), body: json!({}), file: String::new(), line: 0 }
}

fn owner() -> (String, String) {
    ("web".into(), "app".into())
}

fn live(projection: &str) -> Observed {
    Observed {
        uid: projection.into(),
        owner: Some(owner()),
        projection: Some(projection.into()),
        ..Observed::default()
    }
}

fn options() -> Options {
    Options { prune: true, self_heal: true, owner: owner(), prune_limit: PRUNE_LIMIT, is_prune_confirmed: false }
}

/// One ConfigMap `a` with rendered hash `r1`, applied as `r1` with live hash `l1` unless said otherwise.
struct Case {
    live: Option<Observed>,
    applied: Option<(&'static str, &'static str)>,
    options: Options,
}

fn case() -> Case {
    Case { live: Some(live("l1")), applied: Some(("r1", "l1")), options: options() }
}

#[track_caller]
fn check(case: Case, expected: &str) {
    let desired = [manifest("ConfigMap", "a")];
    let hashes = BTreeMap::from([(key("ConfigMap", "a"), "r1".to_owned())]);
    let observed = case.live.map(|live| (key("ConfigMap", "a"), live)).into_iter().collect();
    let mut owned = Inventory::default();
    if let Some((rendered, live)) = case.applied {
        owned.set(key("ConfigMap", "a"), "v1", rendered, live);
    }
    let plan = plan(&desired, &hashes, &observed, &owned, &case.options);
    let applied = plan.apply.iter().flatten().map(|action| format!("apply: {}", action.reason));
    let drifted = plan.drifted.iter().map(|key| format!("left: {key}"));
    let said: Vec<String> = applied.chain(drifted).chain(plan.problems.iter().cloned()).collect();
    assert_eq!(said.join("; "), expected);
}

#[test]
fn why_an_object_is_applied() {
    check(case(), "");
    check(Case { live: None, applied: None, ..case() }, "apply: it is new in Git");
    check(Case { applied: None, ..case() }, "apply: nothing is recorded of its last apply");
    check(Case { applied: Some(("r0", "l1")), ..case() }, "apply: it changed in Git");
    check(Case { live: Some(live("l2")), ..case() }, "apply: others changed it");
    check(Case { live: None, ..case() }, "apply: it was deleted");
    check(Case { live: Some(Observed { deleting: true, ..live("l2") }), ..case() }, "");
}

#[test]
fn without_self_heal_drift_is_left_and_git_still_wins() {
    let options = Options { self_heal: false, ..options() };
    check(Case { live: Some(live("l2")), options: options.clone(), ..case() }, "left: ConfigMap/web/a");
    check(Case { applied: Some(("r0", "l1")), options, ..case() }, "apply: it changed in Git");
}

#[test]
fn a_plan_that_is_held_changes_nothing_and_tells_all() {
    let (a, b, c) = (key("ConfigMap", "a"), key("ConfigMap", "b"), key("ConfigMap", "c"));
    let desired = [manifest("ConfigMap", "a"), manifest("ConfigMap", "b")];
    let hashes = BTreeMap::from([(a.clone(), "r1".to_owned()), (b.clone(), "r1".to_owned())]);
    let observed = BTreeMap::from([(a.clone(), live("l2")), (c.clone(), live("l1"))]);
    let mut owned = Inventory::default();
    owned.set(a.clone(), "v1", "r1", "l1");
    owned.set(c.clone(), "v1", "r1", "l1");
    let mut plan = plan(&desired, &hashes, &observed, &owned, &options());
    plan.hold();
    assert!(plan.is_empty() && plan.is_held, "{plan:?}");
    assert_eq!(plan.drifted, [a]);
    assert_eq!(plan.held.iter().map(|action| &action.key).collect::<Vec<_>>(), [&b, &c]);
}

#[test]
fn an_object_of_another_gitsync_is_not_taken() {
    let other = Observed { owner: Some(("web".into(), "other".into())), ..live("l1") };
    check(
        Case { live: Some(other), applied: None, ..case() },
        "ConfigMap/web/a belongs to GitSync web/other; remove it from one of the two",
    );
}

#[track_caller]
fn check_prune(
    desired: &[Manifest],
    live: Option<Observed>,
    options: &Options,
    pruned: usize,
    forgotten: usize,
    problems: usize,
) {
    let mut owned = Inventory::default();
    owned.set(key("Secret", "old"), "v1", "r", "l");
    let observed = live.map(|live| (key("Secret", "old"), live)).into_iter().collect();
    let plan = plan(desired, &BTreeMap::new(), &observed, &owned, options);
    assert_eq!((plan.prune.len(), plan.forgotten.len(), plan.problems.len()), (pruned, forgotten, problems));
}

#[test]
fn what_is_pruned() {
    let desired = [manifest("ConfigMap", "a")];
    check_prune(&desired, Some(live("l")), &options(), 1, 0, 0);
    check_prune(&desired, None, &options(), 0, 1, 0);
    check_prune(&desired, Some(Observed { owner: None, ..live("l") }), &options(), 0, 1, 0);
    check_prune(
        &desired,
        Some(Observed { kept: Kept { when_pruned: true, ..Kept::default() }, ..live("l") }),
        &options(),
        0,
        0,
        0,
    );
    check_prune(&desired, Some(live("l")), &Options { prune: false, ..options() }, 0, 0, 0);
    check_prune(&[], Some(live("l")), &options(), 0, 0, 1);
}

#[test]
fn a_large_prune_asks_first() {
    let mut owned = Inventory::default();
    let mut observed = BTreeMap::new();
    for n in 0..12 {
        let key = key("Secret", &format!("s{n}"));
        owned.set(key.clone(), "v1", "r", "l");
        observed.insert(key.clone(), Observed { uid: key.to_string(), ..live("l") });
    }
    let desired = [manifest("Secret", "s0")];
    let counts = |options: &Options| {
        let plan = plan(&desired, &BTreeMap::new(), &observed, &owned, options);
        (plan.prune.len(), plan.unconfirmed.len())
    };
    assert_eq!(counts(&options()), (0, 11));
    assert_eq!(counts(&Options { is_prune_confirmed: true, ..options() }), (11, 0));
    assert_eq!(counts(&Options { prune_limit: 100, ..options() }), (11, 0));
    assert_eq!(counts(&Options { prune: false, ..options() }), (0, 0));
}

#[test]
fn definitions_and_namespaces_come_first() {
    let mut crd = manifest("CustomResourceDefinition", "x");
    crd.gvk.group = "apiextensions.k8s.io".into();
    let plan = plan(
        &[manifest("ConfigMap", "a"), manifest("Namespace", "web"), crd],
        &BTreeMap::new(),
        &BTreeMap::new(),
        &Inventory::default(),
        &options(),
    );
    assert_eq!(plan.apply.iter().map(Vec::len).collect::<Vec<_>>(), [2, 1]);
}

const KINDS: [&str; 4] = ["Namespace", "ConfigMap", "Secret", "Deployment"];

type Seen = Option<(u8, u8, bool)>;
type Recorded = Option<Option<(u8, u8)>>;

/// For each of eight objects: is it desired, with which hash; live, with which hash and owner; owned, with which hashes.
fn world() -> impl Strategy<Value = Vec<(Option<u8>, Seen, Recorded)>> {
    let live = prop::option::of((0..3u8, 0..3u8, any::<bool>()));
    prop::collection::vec((prop::option::of(0..3u8), live, prop::option::of(prop::option::of((0..3u8, 0..3u8)))), 8)
}

proptest! {
    #[test]
    fn a_plan_that_was_carried_out_leaves_nothing_to_do(world in world()) {
        let mut desired = Vec::new();
        let (mut hashes, mut observed, mut owned) = (BTreeMap::new(), BTreeMap::new(), Inventory::default());
        for (index, (wanted, seen, recorded)) in world.into_iter().enumerate() {
            let manifest = manifest(KINDS[index % KINDS.len()], &format!("o{index}"));
            let key = manifest.key.clone();
            if let Some((projection, who, when_pruned)) = seen {
                let owner = [Some(owner()), None, Some(("web".into(), "other".into()))][usize::from(who)].clone();
                let projection = Some(format!("l{projection}"));
                observed.insert(key.clone(), Observed { uid: key.to_string(), owner, projection, kept: Kept { when_pruned, ..Kept::default() }, ..Observed::default() });
            }
            if let Some(recorded) = recorded {
                owned.add(key.clone(), "v1");
                if let Some((rendered, live)) = recorded {
                    owned.set(key.clone(), "v1", &format!("r{rendered}"), &format!("l{live}"));
                }
            }
            if let Some(hash) = wanted {
                hashes.insert(key, format!("r{hash}"));
                desired.push(manifest);
            }
        }
        let first = plan(&desired, &hashes, &observed, &owned, &options());
        let applied: BTreeSet<ObjectKey> = first.apply.iter().flatten().map(|action| action.key.clone()).collect();
        for action in &first.prune {
            prop_assert!(!applied.contains(&action.key), "both applied and pruned");
            prop_assert!(owned.contains(&action.key), "pruned without being owned");
            prop_assert_eq!(observed[&action.key].owner.clone(), Some(owner()), "pruned without our labels");
        }
        // A small model of the cluster: what is applied becomes ours, with the hash that the server answers.
        for key in &applied {
            owned.set(key.clone(), "v1", &hashes[key], "l9");
            observed.insert(key.clone(), Observed { uid: key.to_string(), ..live("l9") });
        }
        for key in first.prune.iter().map(|action| &action.key).chain(&first.forgotten) {
            owned.remove(key);
            if first.prune.iter().any(|action| action.key == *key) {
                observed.remove(key);
            }
        }
        prop_assert!(plan(&desired, &hashes, &observed, &owned, &options()).is_empty());
    }
}
