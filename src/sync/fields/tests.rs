//! Who owns which field, what others changed, and what kubectl leaves to us.

use proptest::prelude::*;
use serde_json::{Map, json};

use super::*;

fn managed(entries: Value, mut object: Value) -> Value {
    object["metadata"]["managedFields"] = entries;
    object
}

fn entry(manager: &str, operation: &str, fields: Value) -> Value {
    json!({"manager": manager, "operation": operation, "apiVersion": "apps/v1", "time": "t", "fieldsType": "FieldsV1", "fieldsV1": fields})
}

fn ours() -> Value {
    entry(
        "tagboat",
        "Apply",
        json!({
            "f:spec": {"f:replicas": {}, "f:template": {"f:spec": {"f:containers": {"k:{\"name\":\"app\"}": {
                ".": {}, "f:name": {}, "f:image": {}, "f:resources": {"f:limits": {"f:cpu": {}}},
                "f:ports": {"k:{\"containerPort\":80,\"protocol\":\"TCP\"}": {".": {}, "f:containerPort": {}}}
            }}}}}
        }),
    )
}

fn deployment(replicas: u32, image: &str) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "app", "namespace": "web"},
        "spec": {"replicas": replicas, "template": {"spec": {"containers": [
            {"name": "side", "image": "x"},
            {"name": "app", "image": image, "resources": {"limits": {"cpu": "1"}}, "ports": [{"containerPort": 80, "protocol": "TCP"}]}
        ]}}}
    })
}

fn hash(object: &Value) -> String {
    projection_hash(object, "tagboat").unwrap()
}

#[test]
fn only_what_we_own_moves_the_hash() {
    let base = managed(json!([ours()]), deployment(3, "app:1"));
    let mut same = base.clone();
    same["metadata"]["labels"] = json!({"x": "y"});
    same["status"] = json!({"replicas": 3});
    same["spec"]["template"]["spec"]["containers"][0]["image"] = json!("y");
    same["spec"]["template"]["spec"]["containers"].as_array_mut().unwrap().reverse();
    same["metadata"]["managedFields"][0]["time"] = json!("later");
    same["metadata"]["managedFields"].as_array_mut().unwrap().push(entry("kubelet", "Update", json!({"f:status": {}})));
    assert_eq!(hash(&base), hash(&same));
    assert_ne!(hash(&base), hash(&managed(json!([ours()]), deployment(4, "app:1"))));
    assert_ne!(hash(&base), hash(&managed(json!([ours()]), deployment(3, "app:2"))));
    let mut taken = base.clone();
    taken["metadata"]["managedFields"][0]["fieldsV1"]["f:spec"].as_object_mut().unwrap().remove("f:replicas");
    assert_ne!(hash(&base), hash(&taken));
    let mut without_protocol = base.clone();
    without_protocol["spec"]["template"]["spec"]["containers"][1]["ports"] = json!([{"containerPort": 80}]);
    assert_eq!(hash(&base), hash(&without_protocol), "a key may stand for its default");
    assert_eq!(projection_hash(&deployment(1, "a"), "tagboat"), None);
    assert_eq!(
        projection_hash(&managed(json!([entry("tagboat", "Update", json!({}))]), json!({"metadata": {}})), "tagboat"),
        None
    );
}

#[test]
fn a_map_that_others_fill_is_theirs() {
    let object = |value: &str, others: Value| {
        managed(
            json!([entry("tagboat", "Apply", json!({"f:spec": {}})), entry("op", "Update", others)]),
            json!({"metadata": {}, "spec": {"a": value}}),
        )
    };
    let others = || json!({"f:spec": {"f:a": {}}});
    assert_eq!(hash(&object("1", others())), hash(&object("2", others())));
    assert_ne!(hash(&object("1", json!({}))), hash(&object("2", json!({}))));
}

#[track_caller]
fn check_drift(rendered: &Value, live: &Value, expected: &[&str]) {
    let found: Vec<String> = differences(rendered, live, "tagboat").iter().map(ToString::to_string).collect();
    assert_eq!(found, expected);
}

#[test]
fn differences_name_the_field_and_who_changed_it() {
    let mut rendered = deployment(3, "app:1");
    rendered["spec"]["template"]["spec"]["containers"][1]["resources"]["limits"]["cpu"] = json!("1000m");
    rendered["spec"]["template"]["spec"]["containers"].as_array_mut().unwrap().remove(0);
    rendered["spec"]["template"]["spec"]["containers"][0]["ports"] = json!([{"containerPort": 80}]);
    check_drift(&rendered, &managed(json!([ours()]), deployment(3, "app:1")), &[]);

    let mut left = ours();
    left["fieldsV1"]["f:spec"].as_object_mut().unwrap().remove("f:replicas");
    left["fieldsV1"]["f:spec"]["f:template"]["f:spec"]["f:containers"]["k:{\"name\":\"app\"}"]
        .as_object_mut()
        .unwrap()
        .remove("f:image");
    let theirs = entry(
        "kubectl-edit",
        "Update",
        json!({"f:spec": {"f:replicas": {}, "f:template": {"f:spec": {"f:containers": {"k:{\"name\":\"app\"}": {"f:image": {}}}}}}}),
    );
    let live = managed(json!([left, theirs]), deployment(5, "app:2"));
    check_drift(
        &rendered,
        &live,
        &[
            "spec.replicas is 5, Git has 3 (set by kubectl-edit at t)",
            "spec.template.spec.containers[name=app].image is \"app:2\", Git has \"app:1\" (set by kubectl-edit at t)",
        ],
    );
    let mut gone = ours();
    gone["fieldsV1"]["f:spec"].as_object_mut().unwrap().remove("f:replicas");
    let mut live = managed(json!([gone]), deployment(5, "app:1"));
    live["spec"].as_object_mut().unwrap().remove("replicas");
    check_drift(&rendered, &live, &["spec.replicas is missing, Git has 3"]);
}

#[test]
fn secrets_stay_secret_and_the_list_is_bounded() {
    let rendered = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "a", "labels": {"app.io/x": "1"}}, "data": {"p.x": "aHVudGVy"}});
    let live = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "a", "labels": {"app.io/x": "2"}}, "data": {"p.x": "b2xk"}});
    check_drift(
        &rendered,
        &live,
        &["metadata.labels[app.io/x] is \"2\", Git has \"1\"", "data[p.x] is \"***\", Git has \"***\""],
    );
    let many: Map<String, Value> = (0..50).map(|n| (format!("k{n}"), json!("v"))).collect();
    let rendered = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": many});
    assert_eq!(differences(&rendered, &json!({"data": {}}), "tagboat").len(), DIFFERENCES);
}

#[test]
fn what_kubectl_applied_becomes_ours() {
    let kubectl = entry(
        "kubectl-client-side-apply",
        "Update",
        json!({"f:spec": {"f:paused": {}, "f:replicas": {}}, "f:metadata": {"f:annotations": {}}}),
    );
    let mut older = entry("before-first-apply", "Update", json!({"f:spec": {"f:old": {}}}));
    older["apiVersion"] = json!("apps/v1beta1");
    let mut scale = entry("kubectl", "Apply", json!({"f:spec": {"f:replicas": {}}}));
    scale["subresource"] = json!("scale");
    let own = entry(
        "tagboat",
        "Apply",
        json!({"f:spec": {"f:replicas": {}}, "f:metadata": {"f:annotations": {".": {}, "f:a": {}}}}),
    );
    let object = managed(json!([kubectl, older, scale, own]), json!({"metadata": {}}));
    assert!(has_predecessor(&object));
    let fields = migrated_managed_fields(&object).unwrap();
    assert_eq!(fields.len(), 2);
    assert_eq!(fields[0], scale);
    assert_eq!(
        fields[1]["fieldsV1"],
        json!({"f:spec": {"f:replicas": {}, "f:paused": {}}, "f:metadata": {"f:annotations": {".": {}, "f:a": {}}}})
    );
    let done = managed(Value::Array(fields), json!({"metadata": {}}));
    assert!(!has_predecessor(&done));
    assert_eq!(migrated_managed_fields(&done), None);
    let without_ours = managed(json!([entry("kubectl", "Apply", json!({"f:a": {}}))]), json!({"metadata": {}}));
    assert_eq!(migrated_managed_fields(&without_ours).unwrap()[0]["manager"], "tagboat");
}

#[test]
fn every_predecessor_hands_over_and_controllers_keep_their_bookkeeping() {
    let fields = || json!({"f:spec": {"f:paused": {}}, "f:metadata": {"f:labels": {"f:a": {}}}});
    let cases = [
        ("kubectl", "Apply", true),
        ("kubectl", "Update", false),
        ("kubectl-edit", "Update", false),
        ("helm", "Update", true),
        ("helm", "Apply", true),
        ("kustomize-controller", "Apply", true),
        ("argocd-controller", "Apply", true),
        ("argocd-application-controller", "Update", true),
        ("kube-controller-manager", "Update", false),
        ("someone", "Apply", false),
    ];
    for (manager, operation, is_one) in cases {
        let object = managed(json!([entry(manager, operation, fields()), ours()]), json!({"metadata": {}}));
        assert_eq!(has_predecessor(&object), is_one, "{manager} {operation}");
        let moved = migrated_managed_fields(&object);
        assert_eq!(moved.is_some(), is_one, "{manager} {operation}");
        if let Some(moved) = moved {
            assert_eq!(moved.len(), 1);
            assert_eq!(moved[0]["fieldsV1"]["f:spec"]["f:paused"], json!({}));
            assert_eq!(migrated_managed_fields(&managed(json!(moved), json!({"metadata": {}}))), None, "only once");
        }
    }
    let mut kept = fields();
    kept["f:metadata"]["f:finalizers"] = json!({"v:\"finalizers.fluxcd.io\"": {}});
    kept["f:status"] = json!({"f:conditions": {}});
    let object = managed(json!([entry("kustomize-controller", "Update", kept), ours()]), json!({"metadata": {}}));
    let moved = migrated_managed_fields(&object).unwrap();
    assert_eq!(moved[0]["fieldsV1"]["f:metadata"], json!({"f:finalizers": {"v:\"finalizers.fluxcd.io\"": {}}}));
    assert_eq!(moved[1]["fieldsV1"]["f:metadata"], json!({"f:labels": {"f:a": {}}}));
    let only = json!({"f:metadata": {"f:finalizers": {}}});
    let object = managed(json!([entry("kustomize-controller", "Update", only)]), json!({"metadata": {}}));
    assert!(!has_predecessor(&object));
}

proptest! {
    /// The hash is blind to the order of keys.
    #[test]
    fn key_order_does_not_matter(mut keys in prop::collection::vec("[a-z]{1,4}", 1..8)) {
        let object = |keys: &[String]| {
            let set: Map<String, Value> = keys.iter().map(|key| (format!("f:{key}"), json!({}))).collect();
            let data: Map<String, Value> = keys.iter().map(|key| (key.clone(), json!(key.len()))).collect();
            let mut object = managed(json!([entry("tagboat", "Apply", Value::Object(set))]), json!({"metadata": {}}));
            object.as_object_mut().unwrap().extend(data);
            object
        };
        let before = hash(&object(&keys));
        keys.reverse();
        prop_assert_eq!(before, hash(&object(&keys)));
    }
}
