//! Rules, selectors and what is left of an object.

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::object::Gvk;

fn manifest(api_version: &str, kind: &str, name: &str, body: Value) -> Manifest {
    let gvk = Gvk::new(api_version, kind);
    let key = ObjectKey { group: gvk.group.clone(), kind: kind.into(), namespace: "web".into(), name: name.into() };
    Manifest { gvk, key, body, file: String::new(), line: 0 }
}

fn deployment(name: &str) -> Manifest {
    let body = json!({
        "metadata": {"name": name, "labels": {"tier": "web"}},
        "spec": {"replicas": 3, "template": {"spec": {"containers": [{"name": "side", "image": "s"}, {"name": "app", "image": "a"}]}}}
    });
    manifest("apps/v1", "Deployment", name, body)
}

fn rule(target: IgnoreTarget, paths: &[&str]) -> IgnoreDifference {
    let paths = paths.iter().map(|path| (*path).to_owned()).collect();
    IgnoreDifference { target: Some(target), paths, managed_fields_managers: Vec::new() }
}

fn kind(kind: &str) -> IgnoreTarget {
    IgnoreTarget { kind: Some(kind.into()), ..IgnoreTarget::default() }
}

#[track_caller]
fn check(rules_: &[IgnoreDifference], manifests: &[Manifest], expected: &[&str]) {
    let found: Vec<String> = rules(rules_, manifests)
        .unwrap()
        .iter()
        .map(|(key, ignored)| format!("{} {:?} {:?}", key.name, ignored.paths, ignored.managers))
        .collect();
    assert_eq!(found, expected);
}

#[test]
fn rules_choose_objects_and_fields() {
    let all = [deployment("api"), deployment("web")];
    let both = [r#"api ["/spec/replicas"] []"#, r#"web ["/spec/replicas"] []"#];
    check(&[], &all, &[]);
    check(&[rule(kind("Deployment"), &["/spec/replicas", "/spec/paused"])], &all, &both);
    check(&[rule(kind("StatefulSet"), &["/spec/replicas"])], &all, &[]);
    check(&[IgnoreDifference { target: None, ..rule(kind(""), &["/spec/replicas"]) }], &all, &both);
    let named = IgnoreTarget { name: Some("w*".into()), group: Some("apps".into()), ..kind("*") };
    check(&[rule(named, &["/spec/replicas"])], &all, &both[1..]);
    let labelled = IgnoreTarget { label_selector: Some("tier in (web,db),!canary".into()), ..kind("Deployment") };
    check(&[rule(labelled, &["/spec/replicas"])], &all, &both);
    let other = IgnoreTarget { label_selector: Some("tier!=web".into()), ..kind("Deployment") };
    check(&[rule(other, &["/spec/replicas"])], &all, &[]);
    let by_manager = IgnoreDifference {
        managed_fields_managers: vec!["kube-controller-manager".into()],
        ..rule(IgnoreTarget { name: Some("api".into()), ..kind("Deployment") }, &[])
    };
    check(&[by_manager], &all, &[r#"api [] ["kube-controller-manager"]"#]);
    let bad = IgnoreTarget { label_selector: Some("a b".into()), ..IgnoreTarget::default() };
    assert_eq!(
        rules(&[rule(bad, &["/spec"])], &all).unwrap_err(),
        "spec.ignoreDifferences[0]: \"a b\" is no condition of a label selector; write such as tier=web or !canary"
    );
}

#[test]
fn an_autoscaler_owns_the_replicas() {
    let scaler = |target: Value| {
        manifest("autoscaling/v2", "HorizontalPodAutoscaler", "any", json!({"spec": {"scaleTargetRef": target}}))
    };
    let to = |kind: &str, name: &str| json!({"apiVersion": "apps/v1", "kind": kind, "name": name});
    check(&[], &[deployment("web"), scaler(to("Deployment", "web"))], &[r#"web ["/spec/replicas"] []"#]);
    check(&[], &[deployment("web"), scaler(to("StatefulSet", "web"))], &[]);
    check(&[], &[deployment("web"), scaler(to("Deployment", "api"))], &[]);
    let keda =
        manifest("keda.sh/v1alpha1", "ScaledObject", "any", json!({"spec": {"scaleTargetRef": {"name": "web"}}}));
    check(&[], &[deployment("web"), keda], &[r#"web ["/spec/replicas"] []"#]);
}

#[test]
fn patterns() {
    for (pattern, text, expected) in [
        ("web", "web", true),
        ("web", "web1", false),
        ("*", "", true),
        ("w*", "web", true),
        ("*b", "web", true),
        ("w*b*", "web-1", true),
        ("w*x*", "web", false),
        ("a*a", "a", false),
        ("", "", true),
        ("", "apps", false),
    ] {
        assert_eq!(like(pattern, text), expected, "{pattern} {text}");
    }
}

fn live(fields: Value, others: Value) -> Value {
    json!({"metadata": {"managedFields": [
        {"manager": "tagboat", "operation": "Apply", "apiVersion": "apps/v1", "fieldsV1": fields},
        {"manager": "other", "operation": "Update", "apiVersion": "apps/v1", "fieldsV1": others}
    ]}})
}

#[test]
fn fields_are_taken_out_of_the_object_and_given_up() {
    let body = deployment("web").body;
    let image = "/spec/template/spec/containers/1/image";
    let paths = ["/spec/replicas".to_owned(), image.to_owned(), "/spec/gone".to_owned()];
    let left = without(&body, &paths);
    assert_eq!(left.pointer("/spec/replicas"), None);
    assert_eq!(left.pointer("/spec/template/spec/containers/1"), Some(&json!({"name": "app"})));
    assert_eq!(without(&json!({"data": {"a": 1}, "b": {}}), &["/data/a".to_owned()]), json!({"b": {}}));
    let items = ["/a/10".to_owned(), "/a/2".to_owned(), "/a/0".to_owned()];
    let list = json!({"a": [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10]});
    assert_eq!(without(&list, &items), json!({"a": [1, 3, 4, 5, 6, 7, 8, 9]}));

    let container = "k:{\"name\":\"app\"}";
    let fields = json!({"f:spec": {"f:replicas": {}, "f:template": {"f:spec": {"f:containers": {container: {".": {}, "f:name": {}, "f:image": {}}}}}}});
    let entries = given_up(&body, &live(fields, json!({})), &paths).unwrap();
    let expected =
        json!({"f:spec": {"f:template": {"f:spec": {"f:containers": {container: {".": {}, "f:name": {}}}}}}});
    assert_eq!(entries[0]["fieldsV1"], expected);
    assert_eq!(given_up(&body, &live(expected, json!({})), &paths), None);
    let only = given_up(&body, &live(json!({"f:spec": {"f:replicas": {}}}), json!({})), &paths).unwrap();
    assert_eq!(only[0]["fieldsV1"], json!({}), "no empty set is left, which would mean all of spec");
}

#[test]
fn what_a_manager_owns_of_an_object() {
    let body = deployment("web").body;
    let others = json!({
        "f:metadata": {"f:labels": {"f:tier": {}, "f:tagboat.dev/gitsync": {}}, "f:name": {}},
        "f:spec": {"f:replicas": {}, "f:paused": {}, "f:template": {"f:spec": {"f:containers": {
            "k:{\"name\":\"app\"}": {".": {}, "f:name": {}, "f:image": {}}, "k:{\"name\":\"side\"}": {".": {}, "f:name": {}}
        }}}}
    });
    let found = of_managers(&body, &live(json!({}), others.clone()), &["other".to_owned()]);
    assert_eq!(found, ["/metadata/labels/tier", "/spec/replicas", "/spec/template/spec/containers/1/image"]);
    assert!(of_managers(&body, &live(json!({}), others), &["third".to_owned()]).is_empty());
}

proptest! {
    /// Whatever is taken out: nothing else changes, and taking it out twice changes nothing more.
    #[test]
    fn taking_out_is_exact(keys in prop::collection::btree_set("[a-c~/]{1,3}", 1..6), taken in 0..6_usize) {
        let body = Value::Object(keys.iter().map(|key| (key.clone(), json!(key))).collect());
        let pointers: Vec<String> =
            keys.iter().take(taken).map(|key| format!("/{}", key.replace('~', "~0").replace('/', "~1"))).collect();
        let left = without(&body, &pointers);
        prop_assert_eq!(left.as_object().unwrap().len(), keys.len() - pointers.len());
        prop_assert_eq!(without(&left, &pointers), left);
    }

    #[test]
    fn selectors_are_read_or_refused(text in "[a-c=!(), in]{0,16}") {
        if let Ok(terms) = selector::parse(&text) {
            let _ = selector::matches(&terms, &json!({"metadata": {"labels": {"a": "b"}}}));
        }
    }
}
