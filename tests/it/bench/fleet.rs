//! Many small applications: their manifests, and the two who bring them to the cluster, the product and a bare client.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use futures::StreamExt;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{DeleteParams, DynamicObject, ListParams, Patch, PatchParams, PostParams};
use kube::core::{ApiResource, GroupVersionKind};
use kube::{Api, Client, ResourceExt};
use serde_json::{Value, json};
use tagboat::api::GitSync;

use super::SOON;
use super::watched::Watched;
use super::wire::Wire;
use crate::setup::Product;
use crate::support::git::Repo;
use crate::support::tagboat::Tagboat;
use crate::support::wait::eventually;
use crate::support::world::World;

/// Requests that the bare client has in flight.
pub const IN_FLIGHT: usize = 24;
/// As whom the bare client writes.
pub const FLOOR: &str = "floor";
const FINALIZER: &str = "bench.tagboat.dev/floor";

/// What the product keeps up.
pub struct Fleet {
    pub world: World,
    pub repo: Repo,
    pub wire: Wire,
    pub tagboat: Tagboat,
}

/// The names of so many applications.
pub fn apps(count: usize) -> Vec<String> {
    (0..count).map(|n| format!("app-{n:04}")).collect()
}

/// The four objects of an application, without namespace. No pods, as running them is not what is measured.
pub fn objects(app: &str) -> [Value; 4] {
    let labels = json!({"app": app});
    [
        json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": app, "labels": labels}}),
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": app, "labels": labels}, "data": {"greeting": "ahoy", "app": app}}),
        json!({
            "apiVersion": "v1", "kind": "Service", "metadata": {"name": app, "labels": labels},
            "spec": {"selector": labels, "ports": [{"name": "http", "port": 80, "targetPort": 8080}]},
        }),
        deployment(app, "registry.example.com/acme/app:1.0.0"),
    ]
}

/// The Deployment of an application.
pub fn deployment(app: &str, image: &str) -> Value {
    let labels = json!({"app": app});
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": app, "labels": labels},
        "spec": {
            "replicas": 0, "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels},
                "spec": {
                    "serviceAccountName": app,
                    "containers": [{
                        "name": "main", "image": image, "ports": [{"containerPort": 8080}],
                        "envFrom": [{"configMapRef": {"name": app}}],
                        "resources": {"requests": {"cpu": "100m", "memory": "64Mi"}, "limits": {"memory": "256Mi"}},
                    }],
                },
            },
        },
    })
}

/// The image that a Deployment runs.
pub fn image(deployment: &Deployment) -> &str {
    let pods = deployment.spec.template.spec.as_ref();
    pods.and_then(|pods| pods.containers.first()?.image.as_deref()).unwrap_or_default()
}

/// Where an application is in the repository.
pub fn path(app: &str) -> String {
    format!("apps/{app}/app.yaml")
}

/// A repository with a folder for each application.
pub fn repository(world: &World, apps: &[String]) -> Repo {
    let text = |object: &Value| serde_yaml::to_string(object).unwrap();
    let file = |app: &String| (path(app), objects(app).iter().map(text).collect::<Vec<_>>().join("---\n"));
    let files: Vec<(String, String)> = apps.iter().map(file).collect();
    let files: Vec<(&str, &str)> = files.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
    world.repo("fleet", &files)
}

fn git_sync(app: &str, namespace: &str, is_suspended: bool) -> GitSync {
    let spec = json!({
        "configRepoRef": {"name": "fleet"}, "path": format!("./apps/{app}"), "targetNamespace": namespace, "suspend": is_suspended,
    });
    let sync =
        json!({"apiVersion": "tagboat.dev/v1alpha1", "kind": "GitSync", "metadata": {"name": app}, "spec": spec});
    serde_json::from_value(sync).unwrap()
}

/// Creates a GitSync for each application; the time until all are ready.
pub async fn ours(world: &World, apps: &[String]) -> Duration {
    let api = world.api::<GitSync>();
    let mut seen = Watched::start(api.clone()).await;
    let begin = Instant::now();
    let api = &api;
    let create = |app: &String| {
        let sync = git_sync(app, &world.namespace, false);
        async move { api.create(&PostParams::default(), &sync).await.map(drop).unwrap() }
    };
    futures::stream::iter(apps.iter().map(create)).buffer_unordered(IN_FLIGHT).collect::<()>().await;
    all_ready(&mut seen, apps).await.duration_since(begin)
}

/// The same without the product: each application's GitSync (which nobody serves), and the writes that can't be left out.
pub async fn bare(world: &World, client: &Client, apps: &[String]) -> Duration {
    let mut seen = Watched::start(world.api::<GitSync>()).await;
    let begin = Instant::now();
    let each = apps.iter().map(|app| bare_app(world, client, app));
    futures::stream::iter(each).buffer_unordered(IN_FLIGHT).collect::<()>().await;
    all_ready(&mut seen, apps).await.duration_since(begin)
}

async fn bare_app(world: &World, client: &Client, app: &str) {
    let namespace = &world.namespace;
    let syncs: Api<GitSync> = Api::namespaced(client.clone(), namespace);
    syncs.create(&PostParams::default(), &git_sync(app, namespace, true)).await.unwrap();
    finalizers(&syncs, app, &[FINALIZER]).await;
    let mut entries = Vec::new();
    for object in objects(app) {
        apply(client, namespace, &object).await;
        let (group, kind) = (group_of(&object), object["kind"].as_str().unwrap());
        entries.push(json!({"id": format!("{namespace}_{app}_{group}_{kind}"), "v": "v1", "h": "0123456789abcdef0123456789abcdef"}));
    }
    let revision = format!("main@sha1:{}", "0123456789".repeat(4));
    let ready = json!({
        "type": "Ready", "status": "True", "reason": "Succeeded", "message": format!("applied {revision}, 4 objects"),
        "observedGeneration": 1, "lastTransitionTime": "2026-01-02T03:04:05Z",
    });
    let status = json!({"status": {
        "conditions": [ready], "observedGeneration": 1, "lastAppliedRevision": revision, "inventory": {"entries": entries},
    }});
    syncs.patch_status(app, &PatchParams::default(), &Patch::Merge(status)).await.unwrap();
}

async fn finalizers(syncs: &Api<GitSync>, app: &str, finalizers: &[&str]) {
    let patch = json!({"metadata": {"finalizers": finalizers}});
    syncs.patch(app, &PatchParams::default(), &Patch::Merge(patch)).await.unwrap();
}

fn group_of(object: &Value) -> &str {
    object["apiVersion"].as_str().unwrap().split_once('/').map_or("", |(group, _)| group)
}

/// Server-side apply as the bare client.
pub async fn apply(client: &Client, namespace: &str, object: &Value) {
    let (group, kind) = (group_of(object), object["kind"].as_str().unwrap());
    let plural = format!("{}s", kind.to_lowercase());
    let resource = ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(group, "v1", kind), &plural);
    let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), namespace, &resource);
    let params = PatchParams::apply(FLOOR).force();
    api.patch(object["metadata"]["name"].as_str().unwrap(), &params, &Patch::Apply(object)).await.unwrap();
}

async fn all_ready(seen: &mut Watched<GitSync>, apps: &[String]) -> Instant {
    let mut missing: BTreeSet<String> = apps.iter().cloned().collect();
    let (at, ()) = seen
        .until("all GitSyncs are ready", SOON, |sync| {
            if sync.conditions().iter().any(|condition| condition.kind == "Ready" && condition.status == "True") {
                missing.remove(&sync.name_any());
            }
            missing.is_empty().then_some(())
        })
        .await;
    at
}

/// Deletes all GitSyncs, and what the product applied with them; the time until all of it is gone.
pub async fn delete(world: &World) -> Duration {
    let begin = Instant::now();
    let syncs = world.api::<GitSync>();
    syncs.delete_collection(&DeleteParams::default(), &ListParams::default()).await.unwrap();
    let configs = world.api::<ConfigMap>();
    eventually("everything is pruned", SOON, || async {
        let ours = ListParams::default().labels("app");
        let left = syncs.list(&ListParams::default()).await.unwrap().items.len()
            + configs.list(&ours).await.unwrap().items.len();
        if left == 0 { Ok(()) } else { Err(left) }
    })
    .await;
    begin.elapsed()
}

/// Takes the bare client's finalizers away, so that its GitSyncs can go.
pub async fn let_go(world: &World, apps: &[String]) {
    let syncs = &world.api::<GitSync>();
    let each = apps.iter().map(|app| async move { finalizers(syncs, app, &[]).await });
    futures::stream::iter(each).buffer_unordered(IN_FLIGHT).collect::<()>().await;
}
