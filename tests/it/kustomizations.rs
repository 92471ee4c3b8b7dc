//! What a folder renders to: kustomize builds and what they read, broken files that leave the cluster as it is, definitions with their objects.

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::ResourceExt;
use kube::api::{ListParams, Patch, PatchParams};
use libtest_mimic::Trial;
use serde_json::{Value, json};
use tagboat::api::GitSync;
use tagboat::api::condition::Reason;

use crate::objects::*;
use crate::setup::*;
use crate::support::git::Repo;
use crate::support::trial;
use crate::support::wait::{eventually, wait_for};
use crate::support::world::World;

pub fn trials() -> Vec<Trial> {
    vec![
        trial("kustomizations: an overlay and its base elsewhere", an_overlay_and_its_base_elsewhere),
        trial("kustomizations: a broken one is told", a_broken_one_is_told),
        trial("kustomizations: a remote base is refused", a_remote_base_is_refused),
        trial("kustomizations: nothing of anybody else's is run", nothing_of_others_is_run),
        trial("rendering: broken files leave the cluster as it is", broken_files_leave_the_cluster_as_it_is),
        trial("rendering: an empty folder prunes nothing", an_empty_folder_prunes_nothing),
        trial("rendering: a path that is not there", a_path_that_is_not_there),
        trial("rendering: a definition and its object in one commit", a_definition_and_its_object_in_one_commit),
    ]
}

const OVERLAY: &str = "resources: [../../base]\nnamePrefix: prod-\nconfigMapGenerator:\n- name: settings\n  files: [mode.txt]\npatches:\n- path: replicas.yaml\n";
const REPLICAS: &str = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: app}\nspec: {replicas: 2}\n";

async fn overlay(world: &World) -> Repo {
    let app = deployment("app", "", "volumes: [{name: s, configMap: {name: settings}}],");
    let files = [
        ("apps/base/kustomization.yaml", "resources: [app.yaml]\n"),
        ("apps/base/app.yaml", &app),
        ("apps/base/unread.yaml", "not: [read\n"),
        ("apps/overlays/prod/kustomization.yaml", OVERLAY),
        ("apps/overlays/prod/mode.txt", "production\n"),
        ("apps/overlays/prod/replicas.yaml", REPLICAS),
    ];
    let repo = fleet(world, &files).await;
    git_sync(world, "path: apps/overlays/prod").await;
    repo
}

/// The generated ConfigMap.
async fn generated(world: &World) -> Vec<ConfigMap> {
    let all = world.api::<ConfigMap>().list(&ListParams::default().labels("tagboat.dev/gitsync")).await.unwrap();
    all.items.into_iter().filter(|map| map.name_any().starts_with("prod-settings-")).collect()
}

async fn an_overlay_and_its_base_elsewhere(world: World) {
    let repo = overlay(&world).await;
    let _tagboat = world.tagboat().await;
    synced(&world, "apps", &repo.head()).await;
    holds::<Deployment>(&world, "prod-app", "/spec/replicas", json!(2)).await;
    let first = generated(&world).await;
    assert_eq!(first.len(), 1);
    assert_eq!(first[0].data.as_ref().unwrap()["mode.txt"], "production\n");

    let mark = world.cluster.audit().mark();
    let files =
        [("apps/base/unread.yaml", "other: 1\n"), ("apps/overlays/prod/notes.md", "hello\n"), ("README.md", "x\n")];
    let unread = repo.commit(&files, "what the build does not read");
    synced(&world, "apps", &unread).await;
    assert_eq!(acts(&world, mark), Vec::<String>::new());

    let commit = repo.commit(&[("apps/overlays/prod/mode.txt", "careful\n")], "another mode");
    synced(&world, "apps", &commit).await;
    let second = generated(&world).await;
    assert_eq!(second.len(), 1, "the old one is pruned: {:?}", second.iter().map(|m| m.name_any()).collect::<Vec<_>>());
    assert_ne!(second[0].name_any(), first[0].name_any());
    let name = second[0].name_any();
    holds::<Deployment>(&world, "prod-app", "/spec/template/spec/volumes/0/configMap/name", json!(name)).await;
    let base = deployment("app", "minReadySeconds: 1,", "volumes: [{name: s, configMap: {name: settings}}],");
    let commit = repo.commit(&[("apps/base/app.yaml", &base)], "the base");
    synced(&world, "apps", &commit).await;
    holds::<Deployment>(&world, "prod-app", "/spec/minReadySeconds", json!(1)).await;
}

async fn a_broken_one_is_told(world: World) {
    let repo = overlay(&world).await;
    let _tagboat = world.tagboat().await;
    synced(&world, "apps", &repo.head()).await;
    let kustomization = "apps/overlays/prod/kustomization.yaml";
    let missing = OVERLAY.replace("replicas.yaml", "none.yaml");
    let unknown = format!("{OVERLAY}nonsense: 1\n");
    let broken = format!("{OVERLAY}more: [a\n");
    let orphan = REPLICAS.replace("name: app", "name: nobody");
    let cases: [(&str, &str, &[&str]); 4] = [
        (kustomization, &missing, &[kustomization, "none.yaml"]),
        (kustomization, &unknown, &["apps/overlays/prod", "nonsense"]),
        (kustomization, &broken, &[kustomization]),
        ("apps/overlays/prod/replicas.yaml", &orphan, &["apps/overlays/prod", "nobody"]),
    ];
    let mark = world.cluster.audit().mark();
    for (path, text, words) in cases {
        let good = repo.file_at_head(path).unwrap();
        repo.commit(&[(path, text)], "broken");
        println!("{}", message(&fails(&world, "apps", Reason::RenderFailed, words).await));
        let mended = repo.commit(&[(path, &good)], "mended");
        synced(&world, "apps", &mended).await;
    }
    assert_eq!(acts(&world, mark), Vec::<String>::new());
}

async fn a_remote_base_is_refused(world: World) {
    let remotes = [
        "https://example.com/fleet.git//base?ref=v1",
        "github.com/example/fleet/base?ref=v1",
        "git@example.com:fleet.git",
    ];
    let text = |base: &str| format!("# our app\nresources:\n- app.yaml\n- {base}\n");
    let repo =
        fleet(&world, &[("apps/kustomization.yaml", &text("web.yaml")), ("apps/app.yaml", &config_map("a", "x"))])
            .await;
    git_sync(&world, "path: apps").await;
    let _tagboat = world.tagboat().await;
    fails(&world, "apps", Reason::RenderFailed, &["web.yaml"]).await;
    for remote in remotes {
        repo.commit(&[("apps/kustomization.yaml", &text(remote))], "a remote base");
        let name = remote.split(['?', ':']).next().unwrap();
        println!(
            "{}",
            message(&fails(&world, "apps", Reason::RenderFailed, &["apps/kustomization.yaml:4", name]).await)
        );
    }
    exists::<ConfigMap>(&world, "a", false).await;
}

async fn nothing_of_others_is_run(world: World) {
    let mark = world.namespace.clone();
    let script = format!("#!/bin/sh\ntouch /tmp/{mark}\n");
    let function = |how: &str| {
        format!(
            "apiVersion: example.com/v1\nkind: Evil\nmetadata:\n  name: x\n  annotations:\n    config.kubernetes.io/function: |\n      {how}\n"
        )
    };
    let exec = function("exec: {path: ./run.sh}");
    let container = function("container: {image: example.com/run:1}");
    let plugin = "apiVersion: someteam.example.com/v1\nkind: SedTransformer\nmetadata: {name: x}\n".to_owned();
    let chart = "helmCharts: [{name: web, repo: 'https://charts.example.com', version: 1.0.0}]\n";
    let repo = fleet(&world, &[("apps/app.yaml", &config_map("a", "x")), ("apps/run.sh", &script)]).await;
    git_sync(&world, "path: apps").await;
    let _tagboat = world.tagboat().await;
    synced(&world, "apps", &repo.head()).await;
    let cases = [
        ("resources: [app.yaml]\ngenerators: [evil.yaml]\n", &exec),
        ("resources: [app.yaml]\ngenerators: [evil.yaml]\n", &container),
        ("resources: [app.yaml]\ntransformers: [evil.yaml]\n", &plugin),
        (chart, &plugin),
    ];
    for (kustomization, evil) in cases {
        let files = [("apps/kustomization.yaml", kustomization), ("apps/evil.yaml", evil)];
        let commit = repo.commit(&files, "something to run");
        let failed = wait_for(&world.api::<GitSync>(), "apps", "refused", SOON, |sync| {
            let tried = sync?.status.as_ref()?.last_attempted_revision.as_ref()?.to_string();
            tried.ends_with(&commit).then(|| sync.cloned())?
        })
        .await;
        println!("{}", message(&failed));
        fails(&world, "apps", Reason::RenderFailed, &[]).await;
    }
    assert!(!std::path::Path::new("/tmp").join(&mark).exists(), "it was run");
    exists::<ConfigMap>(&world, "a", true).await;
}

async fn broken_files_leave_the_cluster_as_it_is(world: World) {
    let good = config_map("good", "hello");
    let repo = fleet(&world, &[("apps/good.yaml", &good), ("apps/old.yaml", &config_map("old", "hello"))]).await;
    git_sync(&world, "path: apps").await;
    let _tagboat = world.tagboat().await;
    let first = repo.head();
    let applied = synced(&world, "apps", &first).await.status.unwrap().last_applied_revision;

    let cases: [(&str, &[&str]); 6] = [
        ("fine: 1\nlist: [a, b\n", &["apps/zzz.yaml:"]),
        ("# no kind\napiVersion: v1\nmetadata: {name: x}\n", &["apps/zzz.yaml:2", "kind"]),
        ("apiVersion: v1\nkind: ConfigMap\nmetadata: {labels: {a: b}}\n", &["apps/zzz.yaml:1", "name"]),
        (&good, &["apps/zzz.yaml:1", "good", "apps/good.yaml:1"]),
        ("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x, labels: {a: 1}}\n", &["apps/zzz.yaml:1", "quote"]),
        ("just words\n", &["apps/zzz.yaml:1"]),
    ];
    let mark = world.cluster.audit().mark();
    for (n, (text, words)) in cases.into_iter().enumerate() {
        let bad = repo.commit(&[("apps/zzz.yaml", text)], "broken");
        let failed = wait_for(&world.api::<GitSync>(), "apps", "the broken commit tried", SOON, |sync| {
            let tried = sync?.status.as_ref()?.last_attempted_revision.as_ref()?.to_string();
            tried.ends_with(&bad).then(|| sync.cloned())?
        })
        .await;
        println!("{}", message(&failed));
        fails(&world, "apps", Reason::RenderFailed, words).await;
        assert_eq!(failed.status.unwrap().last_applied_revision, applied, "{text}");
        if n == 0 {
            event(&world, "apps", Reason::RenderFailed, words).await;
            repo.remove(&["apps/old.yaml"], "beside a broken file");
        }
        edit::<ConfigMap>(&world, "good", "kubectl-edit", json!({"data": {"greeting": format!("bye {n}")}})).await;
        holds::<ConfigMap>(&world, "good", "/data/greeting", json!("hello")).await;
        event(&world, "apps", Reason::DriftCorrected, &["good", "data.greeting", &format!("bye {n}")]).await;
    }
    exists::<ConfigMap>(&world, "old", true).await;
    let only_good = acts(&world, mark).iter().all(|act| act == "patch configmaps/good");
    assert!(only_good, "{:?}", acts(&world, mark));
    let fixed = repo.commit(&[("apps/zzz.yaml", &config_map("fixed", "hello"))], "mended");
    synced(&world, "apps", &fixed).await;
    exists::<ConfigMap>(&world, "fixed", true).await;
    exists::<ConfigMap>(&world, "old", false).await;
}

async fn an_empty_folder_prunes_nothing(world: World) {
    let files = [("apps/a.yaml", config_map("a", "x")), ("apps/README.md", "x".to_owned())];
    let files: Vec<(&str, &str)> = files.iter().map(|(path, text)| (*path, text.as_str())).collect();
    let repo = fleet(&world, &files).await;
    git_sync(&world, "path: apps").await;
    let _tagboat = world.tagboat().await;
    synced(&world, "apps", &repo.head()).await;
    let mark = world.cluster.audit().mark();
    let empty = repo.remove(&["apps/a.yaml"], "nothing left");
    let failed = wait_for(&world.api::<GitSync>(), "apps", "the empty folder tried", SOON, |sync| {
        let tried = sync?.status.as_ref()?.last_attempted_revision.as_ref()?.to_string();
        tried.ends_with(&empty).then(|| sync.cloned())?
    })
    .await;
    println!("{}", message(&failed));
    repo.remove(&["apps/README.md"], "no folder left");
    fails(&world, "apps", Reason::RenderFailed, &["apps", "not in the repository"]).await;
    assert_eq!(acts(&world, mark), Vec::<String>::new());
    exists::<ConfigMap>(&world, "a", true).await;
    let back = repo.commit(&[("apps/b.yaml", &config_map("b", "x"))], "something else");
    synced(&world, "apps", &back).await;
    exists::<ConfigMap>(&world, "a", false).await;
}

async fn a_path_that_is_not_there(world: World) {
    let repo = fleet(&world, &[("apps/a.yaml", &config_map("a", "x")), ("file.yaml", &config_map("b", "x"))]).await;
    git_sync(&world, "path: ./nowhere").await;
    sync(&world, "file", &format!("path: file.yaml, targetNamespace: {}", world.namespace)).await;
    sync(&world, "up", &format!("path: ../other, targetNamespace: {}", world.namespace)).await;
    let _tagboat = world.tagboat().await;
    fails(&world, "apps", Reason::RenderFailed, &["nowhere", "not in the repository"]).await;
    println!("{}", message(&fails(&world, "file", Reason::RenderFailed, &["file.yaml"]).await));
    println!("{}", message(&fails(&world, "up", Reason::RenderFailed, &["../other"]).await));
    git_sync(&world, "path: ./apps").await;
    synced(&world, "apps", &repo.head()).await;
}

async fn a_definition_and_its_object_in_one_commit(world: World) {
    let group = format!("{}.example.com", world.namespace);
    let definition = format!(
        "apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {{name: widgets.{group}}}
spec:
  group: {group}
  scope: Namespaced
  names: {{plural: widgets, singular: widget, kind: Widget}}
  versions:
  - name: v1
    served: true
    storage: true
    schema: {{openAPIV3Schema: {{type: object, properties: {{spec: {{type: object, properties: {{size: {{type: integer}}}}}}}}}}}}
"
    );
    let widget =
        |size: u32| format!("apiVersion: {group}/v1\nkind: Widget\nmetadata: {{name: big}}\nspec: {{size: {size}}}\n");
    let repo = fleet(
        &world,
        &[("a.yaml", &config_map("a", "x")), ("widget.yaml", &widget(1)), ("z/definition.yaml", &definition)],
    )
    .await;
    git_sync(&world, "path: ./").await;
    let begin = std::time::Instant::now();
    let _tagboat = world.tagboat().await;
    let status = synced(&world, "apps", &repo.head()).await.status.unwrap();
    println!("ready after {:?}", begin.elapsed());
    assert_eq!(status.inventory.unwrap().entries.len(), 3);

    let gvk = kube::core::GroupVersionKind::gvk(&group, "v1", "Widget");
    let resource = kube::core::ApiResource::from_gvk_with_plural(&gvk, "widgets");
    let widgets: kube::Api<kube::api::DynamicObject> =
        kube::Api::namespaced_with(world.client.clone(), &world.namespace, &resource);
    let params = PatchParams { field_manager: Some("kubectl-edit".to_owned()), ..PatchParams::default() };
    widgets.patch("big", &params, &Patch::Merge(json!({"spec": {"size": 7}}))).await.unwrap();
    eventually("size 1 again", SOON, || async {
        let size = widgets.get("big").await.unwrap().data["spec"]["size"].clone();
        if size == 1 { Ok(()) } else { Err(size) }
    })
    .await;
    event(&world, "apps", Reason::DriftCorrected, &["Widget", "spec.size", "7", "kubectl-edit"]).await;

    let removed = repo.remove(&["widget.yaml", "z/definition.yaml"], "no widgets");
    let status = synced(&world, "apps", &removed).await.status.unwrap();
    assert_eq!(status.inventory.unwrap().entries.len(), 1);
    let gone = || async {
        let path = format!("/apis/apiextensions.k8s.io/v1/customresourcedefinitions/widgets.{group}");
        let request = axum::http::Request::get(path).body(Vec::new()).unwrap();
        match world.client.request::<Value>(request).await {
            Err(kube::Error::Api(status)) if status.is_not_found() => Ok(()),
            other => Err(format!("{other:?}")),
        }
    };
    eventually("the definition is gone", SOON, gone).await;

    let again = repo.commit(&[("widget.yaml", &widget(2)), ("z/definition.yaml", &definition)], "widgets again");
    synced(&world, "apps", &again).await;
    assert_eq!(widgets.get("big").await.unwrap().data["spec"]["size"], 2);
}
