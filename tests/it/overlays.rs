//! What a GitSync's spec adds to what its path holds: names, images, patches, components, metadata, files that are ignored.

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::api::rbac::v1::RoleBinding;
use libtest_mimic::Trial;
use serde_json::json;
use tagboat::api::condition::Reason;

use crate::objects::*;
use crate::setup::*;
use crate::support::trial;
use crate::support::world::World;

pub fn trials() -> Vec<Trial> {
    vec![
        trial("overlays: additions to a kustomization", additions_to_a_kustomization),
        trial("overlays: additions to plain files", additions_to_plain_files),
        trial("overlays: a kustomization below plain files", a_kustomization_below_plain_files),
        trial("overlays: labels and annotations of all objects", labels_and_annotations),
        trial("overlays: files that are ignored", files_that_are_ignored),
        trial("overlays: what is wrong is told", what_is_wrong_is_told),
    ]
}

const VOLUME: &str = "volumes: [{name: s, configMap: {name: settings}}],";
const COMPONENT: &str = "apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\npatches:\n- target: {kind: Deployment}\n  patch: '[{\"op\": \"add\", \"path\": \"/spec/minReadySeconds\", \"value\": 7}]'\n";
const ADDITIONS: &str = "namePrefix: my-, nameSuffix: -x, images: [{name: example.com/app, newName: example.org/app, newTag: 2.0.0}], \
    patches: [{patch: '{apiVersion: apps/v1, kind: Deployment, metadata: {name: app}, spec: {replicas: 0}}'}, \
    {patch: '[{\"op\": \"add\", \"path\": \"/spec/revisionHistoryLimit\", \"value\": 3}]', target: {kind: Deployment, labelSelector: tier=front}}], \
    components: [../../parts/slow]";

/// A Deployment with what refers to it renamed, its image, both patches and the component.
async fn has_all(world: &World, name: &str, settings: &str) {
    let template = "/spec/template/spec";
    for (pointer, value) in [
        ("/spec/replicas", json!(0)),
        ("/spec/revisionHistoryLimit", json!(3)),
        ("/spec/minReadySeconds", json!(7)),
        (&format!("{template}/containers/0/image"), json!("example.org/app:2.0.0")),
        (&format!("{template}/volumes/0/configMap/name"), json!(settings)),
    ] {
        holds::<Deployment>(world, name, pointer, value).await;
    }
    exists::<ConfigMap>(world, settings, true).await;
}

async fn additions_to_a_kustomization(world: World) {
    let app =
        deployment("app", "", VOLUME).replace("metadata: {name: app}", "metadata: {name: app, labels: {tier: front}}");
    let own =
        "resources: [app.yaml, settings.yaml]\nnamePrefix: own-\nimages:\n- {name: example.com/app, newTag: 1.5.0}\n";
    let files = [
        ("apps/web/kustomization.yaml", own),
        ("apps/web/app.yaml", &app),
        ("apps/web/settings.yaml", &config_map("settings", "x")),
        ("parts/slow/kustomization.yaml", COMPONENT),
    ];
    let repo = fleet(&world, &files).await;
    git_sync(&world, "wait: false, path: apps/web").await;
    let _tagboat = world.tagboat().await;
    holds::<Deployment>(&world, "own-app", "/spec/template/spec/containers/0/image", json!("example.com/app:1.5.0"))
        .await;
    git_sync(&world, &format!("wait: false, path: apps/web, {ADDITIONS}")).await;
    has_all(&world, "my-app-x", "my-settings-x").await;
    exists::<Deployment>(&world, "own-app", false).await;
    synced(&world, "apps", &repo.head()).await;

    // A component is read, so its change counts.
    repo.commit(&[("parts/slow/kustomization.yaml", &COMPONENT.replace("7}]", "8}]"))], "slower");
    holds::<Deployment>(&world, "my-app-x", "/spec/minReadySeconds", json!(8)).await;
}

async fn additions_to_plain_files(world: World) {
    let app =
        deployment("app", "", VOLUME).replace("metadata: {name: app}", "metadata: {name: app, labels: {tier: front}}");
    let binding = "apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: viewer, namespace: elsewhere}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: view}
subjects: [{kind: ServiceAccount, name: robot, namespace: elsewhere}]
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: robot, namespace: elsewhere}
";
    let files = [
        ("apps/web/app.yaml", app.as_str()),
        ("apps/web/deep/settings.yaml", &config_map("settings", "x")),
        ("apps/web/binding.yaml", binding),
        ("parts/slow/kustomization.yaml", COMPONENT),
    ];
    let repo = fleet(&world, &files).await;
    git_sync(&world, "wait: false, path: apps/web").await;
    let _tagboat = world.tagboat().await;
    synced(&world, "apps", &repo.head()).await;
    let subject = "/subjects/0/namespace";
    holds::<RoleBinding>(&world, "viewer", subject, json!(world.namespace)).await;
    git_sync(&world, &format!("wait: false, path: apps/web, {ADDITIONS}")).await;
    has_all(&world, "my-app-x", "my-settings-x").await;
    holds::<RoleBinding>(&world, "my-viewer-x", subject, json!(world.namespace)).await;
    holds::<RoleBinding>(&world, "my-viewer-x", "/subjects/0/name", json!("my-robot-x")).await;
    synced(&world, "apps", &repo.head()).await;
    exists::<Deployment>(&world, "app", false).await;
    repo.commit(&[("apps/web/more.yaml", &config_map("more", "x"))], "one more");
    exists::<ConfigMap>(&world, "my-more-x", true).await;
    repo.commit(&[("apps/web/more.yaml", "a: [\n")], "broken");
    fails(&world, "apps", Reason::RenderFailed, &["apps/web/more.yaml:"]).await;
}

async fn a_kustomization_below_plain_files(world: World) {
    let files = [
        ("all/plain.yaml", config_map("plain", "x")),
        ("all/web/kustomization.yaml", "resources: [map.yaml, ../../base]\nnamePrefix: web-\n".to_owned()),
        ("all/web/map.yaml", config_map("map", "x")),
        ("all/web/unread.yaml", "a: [\n".to_owned()),
        ("base/kustomization.yaml", "resources: [base.yaml]\n".to_owned()),
        ("base/base.yaml", config_map("base", "x")),
    ];
    let files: Vec<(&str, &str)> = files.iter().map(|(path, text)| (*path, text.as_str())).collect();
    let repo = fleet(&world, &files).await;
    git_sync(&world, "path: all").await;
    let _tagboat = world.tagboat().await;
    let status = synced(&world, "apps", &repo.head()).await.status.unwrap();
    assert_eq!(status.inventory.unwrap().entries.len(), 3);
    for name in ["plain", "web-map", "web-base"] {
        exists::<ConfigMap>(&world, name, true).await;
    }
    repo.commit(&[("base/base.yaml", &config_map("base", "y"))], "the base");
    holds::<ConfigMap>(&world, "web-base", "/data/greeting", json!("y")).await;
}

async fn labels_and_annotations(world: World) {
    let map = config_map("app", "x").replace("{name: app}", "{name: app, labels: {team: none, own: x}}");
    let repo = fleet(&world, &[("app.yaml", &map)]).await;
    git_sync(&world, "path: ./, commonMetadata: {labels: {team: web}, annotations: {example.com/note: '${n}'}}, postBuild: {substitute: {n: x}}")
        .await;
    let _tagboat = world.tagboat().await;
    synced(&world, "apps", &repo.head()).await;
    holds::<ConfigMap>(&world, "app", "/metadata/labels/team", json!("web")).await;
    holds::<ConfigMap>(&world, "app", "/metadata/labels/own", json!("x")).await;
    holds::<ConfigMap>(&world, "app", "/metadata/annotations/example.com~1note", json!("${n}")).await;
    git_sync(&world, "path: ./").await;
    holds::<ConfigMap>(&world, "app", "/metadata/labels/team", json!("none")).await;
    holds::<ConfigMap>(&world, "app", "/metadata/annotations/example.com~1note", json!(null)).await;
}

async fn files_that_are_ignored(world: World) {
    let files = [
        ("apps/a.yaml", config_map("a", "x")),
        ("apps/a.test.yaml", "no: [object\n".to_owned()),
        ("apps/examples/b.yaml", config_map("b", "x")),
        ("apps/examples/kept.yaml", config_map("kept", "x")),
        ("apps/deep/examples/c.yaml", config_map("c", "x")),
    ];
    let files: Vec<(&str, &str)> = files.iter().map(|(path, text)| (*path, text.as_str())).collect();
    let repo = fleet(&world, &files).await;
    let patterns =
        |more: &str| format!("path: apps, ignore: \"*.test.yaml\\n/examples/*\\n!/examples/kept.yaml\\n{more}\"");
    git_sync(&world, &patterns("")).await;
    let _tagboat = world.tagboat().await;
    synced(&world, "apps", &repo.head()).await;
    for (name, is_there) in [("a", true), ("b", false), ("kept", true), ("c", true)] {
        exists::<ConfigMap>(&world, name, is_there).await;
    }
    git_sync(&world, &patterns("deep/\\n")).await;
    exists::<ConfigMap>(&world, "c", false).await;
    git_sync(&world, "path: apps").await;
    fails(&world, "apps", Reason::RenderFailed, &["apps/a.test.yaml:"]).await;
}

async fn what_is_wrong_is_told(world: World) {
    let repo = fleet(&world, &[("apps/a.yaml", &config_map("a", "x"))]).await;
    git_sync(&world, "path: apps").await;
    let _tagboat = world.tagboat().await;
    synced(&world, "apps", &repo.head()).await;
    let cases: [(&str, &[&str]); 6] = [
        ("patches: [{patch: '{a: ['}]", &["spec.patches[0].patch", "line 1"]),
        ("patches: [{patch: '{apiVersion: v1, kind: ConfigMap, metadata: {name: nobody}}'}]", &["kustomize", "nobody"]),
        (
            "patches: [{patch: '[{\"op\": \"remove\", \"path\": \"/data/none\"}]', target: {name: a}}]",
            &["kustomize", "/data/none"],
        ),
        ("components: [../none]", &["spec.components[0]: none is not in the repository"]),
        ("components: [../../none]", &["spec.components[0]: ../../none leads out"]),
        ("components: [.]", &["spec.components[0]", "apps has no kustomization.yaml"]),
    ];
    for (spec, words) in cases {
        git_sync(&world, &format!("path: apps, {spec}")).await;
        println!("{}", message(&fails(&world, "apps", Reason::RenderFailed, words).await));
        // What was good before is still defended, and does not pass for what the spec says now.
        edit::<ConfigMap>(&world, "a", "kubectl-edit", json!({"data": {"greeting": "y"}})).await;
        holds::<ConfigMap>(&world, "a", "/data/greeting", json!("x")).await;
        fails(&world, "apps", Reason::RenderFailed, words).await;
    }
    git_sync(&world, "path: apps, components: [../none], ignoreMissingComponents: true").await;
    synced(&world, "apps", &repo.head()).await;
    let component = "kind: Component\napiVersion: kustomize.config.k8s.io/v1alpha1\nnameSuffix: -late\n";
    repo.commit(&[("none/kustomization.yaml", component)], "the component comes");
    exists::<ConfigMap>(&world, "a-late", true).await;
}
