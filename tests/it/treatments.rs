//! What is in the cluster already and how a GitSync treats it: fields of others, fields that can't be changed, predecessors,
//! large prunes, and the end.

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::autoscaling::v1::Scale;
use k8s_openapi::api::core::v1::{ConfigMap, PersistentVolumeClaim};
use kube::ResourceExt;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use libtest_mimic::Trial;
use serde_json::{Value, json};
use tagboat::api::GitSync;
use tagboat::api::condition::Reason;

use crate::manners::map;
use crate::objects::*;
use crate::setup::*;
use crate::support::trial;
use crate::support::wait::wait_for;
use crate::support::world::World;

pub fn trials() -> Vec<Trial> {
    vec![
        trial("treatments: ignored fields by pointer", ignored_by_pointer),
        trial("treatments: ignored fields by field manager", ignored_by_manager),
        trial("treatments: replicas of an autoscaler", replicas_of_an_autoscaler),
        trial("treatments: a field that can't be changed", a_field_that_cant_be_changed),
        trial("treatments: never a claim by force alone", never_a_claim),
        trial("treatments: a large prune asks first", a_large_prune_asks_first),
        trial("treatments: deletion policies", deletion_policies),
        trial("treatments: waits for termination", waits_for_termination),
        trial("treatments: predecessors hand over", predecessors_hand_over),
    ]
}

/// The manager whose apply owns a field of an object.
fn owners(object: &Value, pointer: &str) -> Vec<String> {
    let entries = object["metadata"]["managedFields"].as_array().unwrap();
    let own = entries.iter().filter(|entry| entry["fieldsV1"].pointer(pointer).is_some());
    own.map(|entry| entry["manager"].as_str().unwrap().to_owned()).collect()
}

async fn ignored_by_pointer(world: World) {
    let two = |a: &str, b: &str| {
        format!(
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: a, labels: {{tier: web}}}}\ndata: {{theirs: {a}, ours: {b}}}\n"
        )
    };
    let repo = fleet(&world, &[("a.yaml", &two("one", "one")), ("b.yaml", &config_map("b", "one"))]).await;
    let rules = "ignoreDifferences: [{target: {kind: ConfigMap, labelSelector: tier=web}, paths: [/data/theirs]}]";
    git_sync(&world, &format!("path: ./, {rules}")).await;
    let _tagboat = world.tagboat().await;
    synced(&world, "apps", &repo.head()).await;
    let a = live::<ConfigMap>(&world, "a").await;
    assert_eq!(a["data"], json!({"theirs": "one", "ours": "one"}), "Git sets it at the beginning");
    assert_eq!(owners(&a, "/f:data/f:theirs"), Vec::<String>::new());

    let mark = world.cluster.audit().mark();
    edit::<ConfigMap>(&world, "a", "someone", json!({"data": {"theirs": "two"}})).await;
    edit::<ConfigMap>(&world, "b", "kubectl-edit", json!({"data": {"greeting": "two"}})).await;
    holds::<ConfigMap>(&world, "b", "/data/greeting", json!("one")).await;
    assert_eq!(acts(&world, mark), ["patch configmaps/b"]);
    edit::<ConfigMap>(&world, "a", "kubectl-edit", json!({"data": {"ours": "two"}})).await;
    holds::<ConfigMap>(&world, "a", "/data/ours", json!("one")).await;

    let mark = world.cluster.audit().mark();
    repo.commit(&[("a.yaml", &two("three", "one"))], "only what is ignored");
    let commit = repo.commit(&[("b.yaml", &config_map("b", "three"))], "b");
    synced(&world, "apps", &commit).await;
    assert_eq!(acts(&world, mark), ["patch configmaps/b"]);
    let commit = repo.commit(&[("a.yaml", &two("three", "three"))], "three");
    synced(&world, "apps", &commit).await;
    assert_eq!(live::<ConfigMap>(&world, "a").await["data"], json!({"theirs": "two", "ours": "three"}));

    // Without the rule Git says all of it again.
    git_sync(&world, "path: ./").await;
    holds::<ConfigMap>(&world, "a", "/data/theirs", json!("three")).await;
    synced(&world, "apps", &commit).await;
    // With it again, nothing is lost, and a rule that is no rule is told of.
    git_sync(&world, &format!("path: ./, {rules}")).await;
    synced(&world, "apps", &commit).await;
    edit::<ConfigMap>(&world, "a", "someone", json!({"data": {"theirs": "four"}})).await;
    let commit = repo.commit(&[("a.yaml", &two("five", "five"))], "five");
    synced(&world, "apps", &commit).await;
    assert_eq!(live::<ConfigMap>(&world, "a").await["data"], json!({"theirs": "four", "ours": "five"}));
    git_sync(&world, "path: ./, ignoreDifferences: [{target: {labelSelector: 'a b'}, paths: [/x]}]").await;
    fails(&world, "apps", Reason::InvalidSpec, &["spec.ignoreDifferences[0]", "label selector"]).await;
}

async fn ignored_by_manager(world: World) {
    let repo = fleet(&world, &[("a.yaml", &config_map("a", "one")), ("b.yaml", &config_map("b", "one"))]).await;
    let rules = "ignoreDifferences: [{target: {name: a}, managedFieldsManagers: [operator]}]";
    git_sync(&world, &format!("path: ./, {rules}")).await;
    let _tagboat = world.tagboat().await;
    synced(&world, "apps", &repo.head()).await;
    edit::<ConfigMap>(&world, "a", "operator", json!({"data": {"greeting": "theirs"}})).await;
    edit::<ConfigMap>(&world, "b", "operator", json!({"data": {"greeting": "theirs"}})).await;
    holds::<ConfigMap>(&world, "b", "/data/greeting", json!("one")).await;
    let commit = repo.commit(&[("a.yaml", &config_map("a", "two"))], "two");
    synced(&world, "apps", &commit).await;
    assert_eq!(live::<ConfigMap>(&world, "a").await["data"]["greeting"], "theirs");
    for note in events(&world, "apps", Reason::DriftCorrected).await {
        assert!(!note.contains("/a:"), "{note}");
    }
    edit::<ConfigMap>(&world, "a", "kubectl-edit", json!({"metadata": {"labels": {"tagboat.dev/gitsync": "x"}}})).await;
    holds::<ConfigMap>(&world, "a", "/metadata/labels/tagboat.dev~1gitsync", json!("apps")).await;
    assert_eq!(live::<ConfigMap>(&world, "a").await["data"]["greeting"], "theirs");
}

/// As the controller manager scales for an autoscaler.
async fn scale(world: &World, name: &str, replicas: u32) {
    let params = PatchParams { field_manager: Some("kube-controller-manager".to_owned()), ..PatchParams::default() };
    let patch = Patch::Merge(json!({"spec": {"replicas": replicas}}));
    let _: Scale = world.api::<Deployment>().patch_scale(name, &params, &patch).await.unwrap();
}

async fn replicas_of_an_autoscaler(world: World) {
    let scaler = |name: &str| {
        format!(
            "apiVersion: autoscaling/v2\nkind: HorizontalPodAutoscaler\nmetadata: {{name: {name}}}\n\
             spec: {{scaleTargetRef: {{apiVersion: apps/v1, kind: Deployment, name: {name}}}, minReplicas: 1, maxReplicas: 5, \
             metrics: [{{type: Resource, resource: {{name: cpu, target: {{type: Utilization, averageUtilization: 70}}}}}}]}}\n"
        )
    };
    let app = |name: &str, more: &str| deployment(name, &format!("replicas: 2, {more}"), "");
    let files = [("in.yaml", app("in", "")), ("scaler.yaml", scaler("in")), ("out.yaml", app("out", ""))];
    let files: Vec<(&str, &str)> = files.iter().map(|(path, text)| (*path, text.as_str())).collect();
    let repo = fleet(&world, &files).await;
    git_sync(&world, "path: ./, wait: false").await;
    world.apply_yaml(&scaler("out")).await;
    let _tagboat = world.tagboat().await;
    synced(&world, "apps", &repo.head()).await;
    assert_eq!(live::<Deployment>(&world, "in").await["spec"]["replicas"], 2);
    scale(&world, "in", 4).await;
    scale(&world, "out", 4).await;
    let (new_in, new_out) = (app("in", "minReadySeconds: 1,"), app("out", "minReadySeconds: 1,"));
    let commit = repo.commit(&[("in.yaml", &new_in), ("out.yaml", &new_out)], "both");
    synced(&world, "apps", &commit).await;
    for name in ["in", "out"] {
        let app = live::<Deployment>(&world, name).await;
        assert_eq!((&app["spec"]["replicas"], &app["spec"]["minReadySeconds"]), (&json!(4), &json!(1)), "{name}");
    }
    // A person is no autoscaler.
    edit::<Deployment>(&world, "out", "kubectl-edit", json!({"spec": {"minReadySeconds": 9}})).await;
    holds::<Deployment>(&world, "out", "/spec/minReadySeconds", json!(1)).await;
    assert_eq!(live::<Deployment>(&world, "out").await["spec"]["replicas"], 4);
    for note in events(&world, "apps", Reason::DriftCorrected).await {
        assert!(!note.contains("spec.replicas"), "{note}");
    }
}

fn labelled(name: &str, app: &str) -> String {
    deployment(name, "", "").replace(&format!("app: {name}"), &format!("app: {app}"))
}

async fn a_field_that_cant_be_changed(world: World) {
    // One asks for itself, in Argo CD's words, and one in Flux's.
    let asks = |name: &str, app: &str, annotation: &str| {
        labelled(name, app).replacen(
            &format!("name: {name}}}"),
            &format!("name: {name}, annotations: {{{annotation}}}}}"),
            1,
        )
    };
    let argo = |app: &str| asks("argo", app, "argocd.argoproj.io/sync-options: 'Force=true,Replace=true'");
    let flux = |app: &str| asks("flux", app, "kustomize.toolkit.fluxcd.io/force: Enabled");
    let files = [
        ("web.yaml", &*labelled("web", "one")),
        ("a.yaml", &config_map("a", "one")),
        ("argo.yaml", &argo("one")),
        ("flux.yaml", &flux("one")),
    ];
    let repo = fleet(&world, &files).await;
    git_sync(&world, "path: ./, wait: false").await;
    let _tagboat = world.tagboat().await;
    synced(&world, "apps", &repo.head()).await;
    let before = world.api::<Deployment>().get("web").await.unwrap().uid();
    let files = [
        ("web.yaml", &*labelled("web", "two")),
        ("a.yaml", &config_map("a", "two")),
        ("argo.yaml", &argo("two")),
        ("flux.yaml", &flux("two")),
    ];
    repo.commit(&files, "other selectors");
    let failed = fails(&world, "apps", Reason::ApplyFailed, &["Deployment", "immutable", "spec.force"]).await;
    println!("{}", message(&failed));
    holds::<ConfigMap>(&world, "a", "/data/greeting", json!("two")).await;
    assert_eq!(world.api::<Deployment>().get("web").await.unwrap().uid(), before);
    for name in ["argo", "flux"] {
        holds::<Deployment>(&world, name, "/spec/selector/matchLabels/app", json!("two")).await;
    }

    // What is invalid besides is never a reason to delete.
    git_sync(&world, "path: ./, wait: false, force: true").await;
    wait_for(&world.api::<Deployment>(), "web", "made anew", SOON, |web| (web?.uid() != before).then_some(())).await;
    synced(&world, "apps", &repo.head()).await;
    let before = world.api::<Deployment>().get("web").await.unwrap().uid();
    let invalid = labelled("web", "three").replace("image: 'example.com/web:1.0.0'", "image: ''");
    repo.commit(&[("web.yaml", &invalid)], "immutable and invalid");
    fails(&world, "apps", Reason::ApplyFailed, &["Deployment", "image"]).await;
    assert_eq!(world.api::<Deployment>().get("web").await.unwrap().uid(), before, "it lives on");
    repo.commit(&[("web.yaml", &service("web", 80).replace("port: 80", "port: 70000"))], "invalid");
    fails(&world, "apps", Reason::ApplyFailed, &["Service", "70000"]).await;
    assert_eq!(world.api::<Deployment>().get("web").await.unwrap().uid(), before, "it lives on");
}

async fn never_a_claim(world: World) {
    let claim = |modes: &str, annotations: &str| {
        format!(
            "apiVersion: v1\nkind: PersistentVolumeClaim\nmetadata: {{name: data, annotations: {{{annotations}}}}}\n\
             spec: {{accessModes: [{modes}], storageClassName: none, resources: {{requests: {{storage: 1Gi}}}}}}\n"
        )
    };
    let repo = fleet(&world, &[("claim.yaml", &claim("ReadWriteOnce", ""))]).await;
    git_sync(&world, "path: ./, wait: false, force: true").await;
    let _tagboat = world.tagboat().await;
    synced(&world, "apps", &repo.head()).await;
    let before = world.api::<PersistentVolumeClaim>().get("data").await.unwrap().uid();
    repo.commit(&[("claim.yaml", &claim("ReadWriteMany", ""))], "many");
    let failed = fails(&world, "apps", Reason::ApplyFailed, &["PersistentVolumeClaim", "tagboat.dev/force"]).await;
    println!("{}", message(&failed));
    assert_eq!(world.api::<PersistentVolumeClaim>().get("data").await.unwrap().uid(), before);
}

async fn a_large_prune_asks_first(world: World) {
    let files: Vec<(String, String)> =
        (0..12).map(|n| (format!("m{n}.yaml"), config_map(&format!("m{n}"), "one"))).collect();
    let files: Vec<(&str, &str)> = files.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
    let repo = fleet(&world, &files).await;
    git_sync(&world, "path: ./").await;
    let _tagboat = world.tagboat().await;
    synced(&world, "apps", &repo.head()).await;
    let paths: Vec<&str> = files.iter().skip(1).map(|(path, _)| *path).collect();
    let mark = world.cluster.audit().mark();
    let commit = repo.remove(&paths, "all but one");
    let words = ["11 objects left Git at once", "tagboat.dev/confirmPrune", &commit[..12]];
    let asks = fails(&world, "apps", Reason::PruneUnconfirmed, &words).await;
    println!("{}", message(&asks));
    event(&world, "apps", Reason::PruneUnconfirmed, &["11 objects"]).await;
    assert_eq!(acts(&world, mark), Vec::<String>::new());
    let confirm = |value: &str| {
        let patch = json!({"metadata": {"annotations": {"tagboat.dev/confirmPrune": value}}});
        let api = world.api::<GitSync>();
        async move { api.patch("apps", &PatchParams::default(), &Patch::Merge(patch)).await.unwrap() }
    };
    confirm("yes").await;
    confirm(&commit[..12]).await;
    synced(&world, "apps", &commit).await;
    exists::<ConfigMap>(&world, "m1", false).await;
    exists::<ConfigMap>(&world, "m0", true).await;
}

async fn deletion_policies(world: World) {
    let repo = fleet(
        &world,
        &[
            ("orphan/a.yaml", &config_map("a", "one")),
            ("gone/b.yaml", &config_map("b", "one")),
            ("kept/c.yaml", &config_map("c", "one")),
        ],
    )
    .await;
    let target = format!("targetNamespace: {}", world.namespace);
    sync(&world, "orphan", &format!("path: orphan, deletionPolicy: Orphan, {target}")).await;
    sync(&world, "gone", &format!("path: gone, prune: false, deletionPolicy: Delete, {target}")).await;
    sync(&world, "kept", &format!("path: kept, prune: false, {target}")).await;
    let _tagboat = world.tagboat().await;
    for name in ["orphan", "gone", "kept"] {
        synced(&world, name, &repo.head()).await;
        world.api::<GitSync>().delete(name, &DeleteParams::default()).await.unwrap();
        exists::<GitSync>(&world, name, false).await;
    }
    exists::<ConfigMap>(&world, "b", false).await;
    exists::<ConfigMap>(&world, "a", true).await;
    exists::<ConfigMap>(&world, "c", true).await;
}

async fn waits_for_termination(world: World) {
    let repo = fleet(&world, &[("a.yaml", &config_map("a", "one"))]).await;
    git_sync(&world, "path: ./, deletionPolicy: WaitForTermination").await;
    let _tagboat = world.tagboat().await;
    synced(&world, "apps", &repo.head()).await;
    let slow = |finalizers: Value| json!({"metadata": {"finalizers": finalizers}});
    edit::<ConfigMap>(&world, "a", "someone", slow(json!(["example.com/slow"]))).await;
    world.api::<GitSync>().delete("apps", &DeleteParams::default()).await.unwrap();
    fails(&world, "apps", Reason::Progressing, &["waiting until", "ConfigMap"]).await;
    edit::<ConfigMap>(&world, "a", "someone", slow(Value::Null)).await;
    exists::<GitSync>(&world, "apps", false).await;
    exists::<ConfigMap>(&world, "a", false).await;
}

async fn predecessors_hand_over(world: World) {
    // Those who apply server-side, and those who write otherwise.
    let predecessors = [
        ("kustomize-controller", "kustomize.toolkit.fluxcd.io/name", true),
        ("argocd-controller", "argocd.argoproj.io/instance", true),
        ("helm", "app.kubernetes.io/managed-by", true),
        ("kubectl", "app", true),
        ("kustomize-controller", "kustomize.toolkit.fluxcd.io/name", false),
        ("argocd-controller", "argocd.argoproj.io/instance", false),
        ("helm", "app.kubernetes.io/managed-by", false),
        ("kubectl-client-side-apply", "app", false),
    ];
    let count = predecessors.len();
    for (n, (manager, label, is_apply)) in predecessors.iter().enumerate() {
        let old = json!({
            "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": format!("m{n}"), "labels": {*label: "x"}},
            "data": {"greeting": "one", "extra": "old"}
        });
        let api = world.api::<ConfigMap>();
        if *is_apply {
            api.patch(&format!("m{n}"), &PatchParams::apply(manager), &Patch::Apply(old)).await.unwrap();
        } else {
            let params = PostParams { field_manager: Some((*manager).to_owned()), ..PostParams::default() };
            api.create(&params, &serde_json::from_value(old).unwrap()).await.unwrap();
        }
    }
    let files: Vec<String> = (0..count).map(|n| config_map(&format!("m{n}"), "two")).collect();
    let kept = map("merged", "two", "kustomize.toolkit.fluxcd.io/ssa: Merge");
    let old =
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "merged"}, "data": {"extra": "old"}});
    world.api::<ConfigMap>().patch("merged", &PatchParams::apply("helm"), &Patch::Apply(old)).await.unwrap();
    let repo = fleet(&world, &[("all.yaml", &files.concat()), ("kept.yaml", &kept)]).await;
    git_sync(&world, "path: ./").await;
    let _tagboat = world.tagboat().await;
    synced(&world, "apps", &repo.head()).await;
    for (n, (manager, label, _)) in predecessors.iter().enumerate() {
        let map = live::<ConfigMap>(&world, &format!("m{n}")).await;
        assert_eq!(map["data"], json!({"greeting": "two"}), "{manager}");
        assert!(map["metadata"]["labels"].get(*label).is_none(), "{manager}");
        assert_eq!(map["metadata"]["managedFields"].as_array().unwrap().len(), 1, "{manager}");
    }
    assert_eq!(live::<ConfigMap>(&world, "merged").await["data"], json!({"greeting": "two", "extra": "old"}));
    assert_eq!(events(&world, "apps", Reason::DriftCorrected).await, Vec::<String>::new(), "nobody is fought");
    // What was taken over is tagboat's: a field that leaves Git leaves the object, and one of nobody's stays.
    for n in 0..count {
        edit::<ConfigMap>(&world, &format!("m{n}"), "someone", json!({"data": {"more": "theirs"}})).await;
    }
    let bare = |n| format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: m{n}}}\ndata: {{other: three}}\n---\n");
    let commit = repo.commit(&[("all.yaml", &(0..count).map(bare).collect::<String>())], "another field");
    synced(&world, "apps", &commit).await;
    for (n, (manager, ..)) in predecessors.iter().enumerate() {
        let map = live::<ConfigMap>(&world, &format!("m{n}")).await;
        assert_eq!(map["data"], json!({"other": "three", "more": "theirs"}), "{manager}");
    }
}
