//! From a folder of plain files to objects: what is applied, what it costs, whose changes are undone, and whose are none of our business.

use std::collections::BTreeSet;

use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Service};
use kube::api::{DeleteParams, Patch, PatchParams};
use kube::{Api, Resource, ResourceExt};
use libtest_mimic::Trial;
use serde_json::{Value, json};
use tagboat::api::GitSync;
use tagboat::api::condition::Reason;

use crate::setup::*;
use crate::support::cluster::audit::{ApiRequest, Mark};
use crate::support::git::Repo;
use crate::support::trial;
use crate::support::wait::{eventually, wait_for};
use crate::support::world::World;

pub fn trials() -> Vec<Trial> {
    vec![
        trial("objects: a folder of plain files", a_folder_of_plain_files),
        trial("objects: what a new GitSync costs, and an unchanged one", what_a_git_sync_costs),
        trial("objects: a crash in the first apply forgets nothing", a_crash_forgets_nothing),
        trial("objects: a refused object stops no other", a_refused_object_stops_no_other),
        trial("objects: kubectl apply is succeeded", kubectl_apply_is_succeeded),
        trial("objects: a namespace that goes comes back", a_namespace_that_goes_comes_back),
        trial("objects: another target namespace", another_target_namespace),
    ]
}

/// A ConfigMap with one entry.
pub fn config_map(name: &str, greeting: &str) -> String {
    format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}}}\ndata: {{greeting: {greeting}}}\n---\n")
}

/// A Deployment; `spec` as flow YAML without braces goes beside its selector, `pod` into its pods' spec.
pub fn deployment(name: &str, spec: &str, pod: &str) -> String {
    format!(
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: {name}}}\nspec: {{{spec} selector: {{matchLabels: {{app: {name}}}}}, \
         template: {{metadata: {{labels: {{app: {name}}}}}, spec: {{{pod} containers: [{{name: {name}, image: 'example.com/{name}:1.0.0'}}]}}}}}}\n---\n"
    )
}

/// A Service.
pub fn service(name: &str, port: u32) -> String {
    format!(
        "apiVersion: v1\nkind: Service\nmetadata: {{name: {name}}}\nspec: {{selector: {{app: {name}}}, ports: [{{port: {port}}}]}}\n---\n"
    )
}

/// A repository of these files and its ConfigRepo `fleet`.
pub async fn fleet(world: &World, files: &[(&str, &str)]) -> Repo {
    let repo = world.repo("fleet", files);
    config_repo(world, &repo).await;
    repo
}

/// A GitSync of any name; `spec` as flow YAML without braces.
pub async fn sync(world: &World, name: &str, spec: &str) {
    apply(world, "GitSync", name, &format!("{{configRepoRef: {{name: fleet}}, {spec}}}")).await;
}

/// Waits until a GitSync is ready at a commit.
pub async fn synced(world: &World, name: &str, commit: &str) -> GitSync {
    wait_for(&world.api::<GitSync>(), name, &format!("ready at {commit}"), SOON, |sync| {
        let status = sync?.status.as_ref()?;
        let ready = status.conditions.iter().find(|condition| condition.kind == "Ready")?;
        let is_it = ready.status == "True"
            && ready.observed_generation == sync?.metadata.generation
            && status.last_applied_revision.as_ref()?.to_string() == format!("main@sha1:{commit}");
        is_it.then(|| sync.cloned())?
    })
    .await
}

/// Waits until a GitSync failed like this, in these words.
pub async fn fails(world: &World, name: &str, reason: Reason, words: &[&str]) -> GitSync {
    wait_for(&world.api::<GitSync>(), name, &format!("{} with {words:?}", reason.as_str()), SOON, |sync| {
        let ready = sync?.conditions().iter().find(|condition| condition.kind == "Ready")?;
        let is_it = ready.status == "False"
            && ready.reason == reason.as_str()
            && words.iter().all(|word| ready.message.contains(word));
        is_it.then(|| sync.cloned())?
    })
    .await
}

/// Somebody changes an object, as this field manager.
pub async fn edit<K: Thing>(world: &World, name: &str, manager: &str, patch: Value) -> K {
    let params = PatchParams { field_manager: Some(manager.to_owned()), ..PatchParams::default() };
    world.api::<K>().patch(name, &params, &Patch::Merge(patch)).await.unwrap()
}

/// An object as JSON; null when it is missing.
pub async fn live<K: Thing>(world: &World, name: &str) -> Value {
    serde_json::to_value(world.api::<K>().get_opt(name).await.unwrap()).unwrap()
}

/// Waits until a place of an object holds this.
pub async fn holds<K: Thing>(world: &World, name: &str, pointer: &str, value: Value) {
    let what = format!("{pointer} is {value} in {} {name}", K::kind(&()));
    wait_for(&world.api::<K>(), name, &what, SOON, |object| {
        let object = serde_json::to_value(object).unwrap();
        (object.pointer(pointer).unwrap_or(&Value::Null) == &value).then_some(())
    })
    .await;
}

/// Waits until an object is there, or gone.
pub async fn exists<K: Thing>(world: &World, name: &str, is_there: bool) {
    let what = format!("{} {name} there: {is_there}", K::kind(&()));
    wait_for(&world.api::<K>(), name, &what, SOON, |object| (object.is_some() == is_there).then_some(())).await;
}

/// Any namespaced kind.
pub trait Thing:
    Resource<Scope = NamespaceResourceScope, DynamicType = ()>
    + Clone
    + std::fmt::Debug
    + Send
    + serde::Serialize
    + serde::de::DeserializeOwned
    + 'static
{
}

impl<K> Thing for K where
    K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>
        + Clone
        + std::fmt::Debug
        + Send
        + serde::Serialize
        + serde::de::DeserializeOwned
        + 'static
{
}

/// What the controller asked for in a namespace since.
pub fn asked_in(world: &World, namespace: &str, since: Mark) -> Vec<ApiRequest> {
    let requests = world.cluster.audit().requests_by("tagboat", since);
    requests.into_iter().filter(|request| request.namespace == namespace).collect()
}

/// What the controller wrote of others' objects since: no events, no statuses of its own.
pub fn acts(world: &World, since: Mark) -> Vec<String> {
    writes(world, since)
        .into_iter()
        .filter(|write| ![" events/", " gitsyncs/", " configrepos/"].iter().any(|own| write.contains(own)))
        .collect()
}

async fn a_folder_of_plain_files(world: World) {
    let list = "apiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: ConfigMap\n  metadata: {name: from-list}\n- apiVersion: v1\n  kind: Secret\n  metadata: {name: secret, namespace: elsewhere}\n  stringData: {word: hello}\n";
    let many = format!("# two documents\n---\n{}{}", config_map("first", "one"), service("web", 80));
    let files = [
        ("apps/many.yaml", many.as_str()),
        ("apps/web/deep/er/deployment.yml", &deployment("web", "replicas: 2,", "")),
        ("apps/list.yaml", list),
        ("apps/map.json", r#"{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "from-json"}}"#),
        ("apps/notes.txt", "kind: Nothing\n"),
        ("other/outside.yaml", &config_map("outside", "no")),
    ];
    let repo = fleet(&world, &files).await;
    let target = format!("{}-x", world.namespace);
    sync(&world, "apps", &format!("path: ./apps/, targetNamespace: {target}, createNamespace: true")).await;
    let _tagboat = world.tagboat().await;

    let status = synced(&world, "apps", &repo.head()).await.status.unwrap();
    let ids: BTreeSet<String> = status.inventory.unwrap().entries.into_iter().map(|entry| entry.id).collect();
    let id = |rest: &str| format!("{target}_{rest}");
    let expected = [
        "first__ConfigMap",
        "web__Service",
        "web_apps_Deployment",
        "from-list__ConfigMap",
        "secret__Secret",
        "from-json__ConfigMap",
    ];
    assert_eq!(ids, expected.into_iter().map(id).collect());
    let health = status.health.unwrap();
    assert_eq!((health.summary.as_str(), health.unhealthy.len()), ("6/6", 0));
    assert_eq!(status.last_attempted_revision, status.last_applied_revision);

    let deployments: Api<Deployment> = Api::namespaced(world.client.clone(), &target);
    let web = deployments.get("web").await.unwrap();
    assert_eq!(web.labels()["tagboat.dev/gitsync"], "apps");
    assert_eq!(web.labels()["tagboat.dev/gitsync-namespace"], world.namespace);
    let ours = web.managed_fields().iter().find(|fields| fields.manager.as_deref() == Some("tagboat")).unwrap();
    assert_eq!(ours.operation.as_deref(), Some("Apply"));
    let sync = world.api::<GitSync>().get("apps").await.unwrap();
    assert_eq!(sync.finalizers().len(), 1);
    let maps: Api<ConfigMap> = Api::namespaced(world.client.clone(), &target);
    assert!(maps.get_opt("outside").await.unwrap().is_none());
    event(&world, "apps", Reason::Applied, &[&repo.head()]).await;
}

async fn a_crash_forgets_nothing(world: World) {
    let repo = fleet(&world, &[("a.yaml", &config_map("a", "x")), ("web.yaml", &service("web", 80))]).await;
    git_sync(&world, "path: ./").await;
    let crash = || async {
        let tagboat = world.tagboat().await;
        synced(&world, "apps", &repo.head()).await;
        tagboat.kill9().await;
        // As if it had died before its first status.
        let nothing: serde_json::Map<String, Value> =
            serde_json::to_value(world.api::<GitSync>().get("apps").await.unwrap().status)
                .unwrap()
                .as_object()
                .unwrap()
                .keys()
                .map(|field| (field.clone(), Value::Null))
                .collect();
        let patch = Patch::Merge(json!({"status": nothing}));
        world.api::<GitSync>().patch_status("apps", &PatchParams::default(), &patch).await.unwrap();
    };
    crash().await;
    repo.remove(&["web.yaml"], "no Service any more, nor anything else of its kind");
    crash().await;
    exists::<Service>(&world, "web", false).await;

    world.api::<GitSync>().delete("apps", &DeleteParams::default()).await.unwrap();
    let _tagboat = world.tagboat().await;
    exists::<ConfigMap>(&world, "a", false).await;
}

async fn what_a_git_sync_costs(world: World) {
    let account = "apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: robot}\n";
    let four = format!("{}{}{}{account}", config_map("a", "x"), config_map("b", "x"), service("web", 80));
    let more = format!("{}{}", config_map("c", "x"), service("api", 80));
    let repo = fleet(&world, &[("apps/four.yaml", &four), ("more/more.yaml", &more)]).await;
    let _tagboat = world.tagboat().await;
    ready::<tagboat::api::ConfigRepo>(&world, "fleet", "True", Reason::Succeeded).await;

    let mark = world.cluster.audit().mark();
    git_sync(&world, "path: apps").await;
    synced(&world, "apps", &repo.head()).await;
    event(&world, "apps", Reason::Applied, &[]).await;
    let mut acted = acts(&world, mark);
    acted.sort();
    let expected = ["patch configmaps/a", "patch configmaps/b", "patch serviceaccounts/robot", "patch services/web"];
    assert_eq!(acted, expected);
    let count = |what: &str| writes(&world, mark).iter().filter(|write| write.contains(what)).count();
    assert_eq!(count("gitsyncs/apps/status"), 1, "{:?}", writes(&world, mark));
    assert_eq!(count("gitsyncs/apps") - count("gitsyncs/apps/status"), 1, "the finalizer: {:?}", writes(&world, mark));
    assert_eq!(count(" events/"), 1, "{:?}", writes(&world, mark));
    let reads = |verb: &str, since| -> Vec<String> {
        let requests = asked_in(&world, &world.namespace, since).into_iter().filter(|request| request.verb == verb);
        let mut kinds: Vec<String> = requests.map(|request| request.resource).collect();
        kinds.sort();
        kinds
    };
    assert_eq!(reads("list", mark), ["configmaps", "serviceaccounts", "services"]);
    assert_eq!(reads("watch", mark), ["configmaps", "serviceaccounts", "services"]);

    let mark = world.cluster.audit().mark();
    sync(&world, "more", &format!("path: more, targetNamespace: {}", world.namespace)).await;
    synced(&world, "more", &repo.head()).await;
    event(&world, "more", Reason::Applied, &[]).await;
    assert_eq!(acts(&world, mark).len(), 2, "{:?}", acts(&world, mark));
    assert_eq!((reads("list", mark), reads("watch", mark)), (vec![], vec![]), "all kinds are watched already");

    let (mark, before) = (world.cluster.audit().mark(), repo.requests().len());
    asked("the branch", before + 5, || repo.requests().len()).await;
    let requests = asked_in(&world, &world.namespace, mark);
    let shown: Vec<String> = requests.iter().map(|r| format!("{} {}/{}", r.verb, r.resource, r.name)).collect();
    assert_eq!(shown, Vec::<String>::new(), "nothing changed, so nothing is asked");
}

async fn a_refused_object_stops_no_other(world: World) {
    let repo = fleet(&world, &[("a.yaml", &config_map("a", "one")), ("old.yaml", &config_map("old", "one"))]).await;
    git_sync(&world, "path: ./").await;
    let _tagboat = world.tagboat().await;
    synced(&world, "apps", &repo.head()).await;

    let files = [
        ("web.yaml", &*service("web", 70_000)),
        ("a.yaml", &config_map("a", "two")),
        ("z.yaml", &deployment("z", "", "")),
    ];
    repo.commit(&files, "a bad port");
    let place = format!("Service/{}/web", world.namespace);
    let failed = fails(&world, "apps", Reason::ApplyFailed, &[&place, "70000"]).await;
    println!("{}", message(&failed));
    event(&world, "apps", Reason::ApplyFailed, &[&place]).await;
    holds::<ConfigMap>(&world, "a", "/data/greeting", json!("two")).await;
    exists::<Deployment>(&world, "z", true).await;
    let bad = repo.remove(&["old.yaml"], "old is not needed");
    wait_for(&world.api::<GitSync>(), "apps", "the next commit tried", SOON, |sync| {
        let tried = sync?.status.as_ref()?.last_attempted_revision.as_ref()?.to_string();
        tried.ends_with(&bad).then_some(())
    })
    .await;
    fails(&world, "apps", Reason::ApplyFailed, &[&place]).await;
    assert_ne!(live::<ConfigMap>(&world, "old").await, Value::Null, "nothing is pruned while something fails");

    let good = repo.commit(&[("web.yaml", &service("web", 70))], "good port");
    synced(&world, "apps", &good).await;
    exists::<ConfigMap>(&world, "old", false).await;
    exists::<Service>(&world, "web", true).await;
}

async fn kubectl_apply_is_succeeded(world: World) {
    use std::io::Write;
    let old = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, annotations: {old: yes-please}}\ndata: {greeting: one, extra: from-kubectl}\n";
    let mut kubectl = world.cluster.kubectl("person");
    kubectl.args(["apply", "-n", &world.namespace, "-f", "-"]).stdin(std::process::Stdio::piped());
    let mut child = kubectl.spawn().unwrap();
    child.stdin.take().unwrap().write_all(old.as_bytes()).unwrap();
    assert!(child.wait().unwrap().success());
    let before = world.api::<ConfigMap>().get("a").await.unwrap();
    assert!(before.managed_fields().iter().any(|f| f.manager.as_deref() == Some("kubectl-client-side-apply")));

    let repo = fleet(&world, &[("a.yaml", &config_map("a", "two"))]).await;
    git_sync(&world, "path: ./").await;
    let _tagboat = world.tagboat().await;
    synced(&world, "apps", &repo.head()).await;
    let a = world.api::<ConfigMap>().get("a").await.unwrap();
    assert_eq!(a.uid(), before.uid(), "adopted, not made anew");
    assert_eq!(a.data.clone().unwrap().into_iter().collect::<Vec<_>>(), [("greeting".to_owned(), "two".to_owned())]);
    let managers: Vec<_> = a.managed_fields().iter().filter_map(|fields| fields.manager.clone()).collect();
    assert_eq!(managers, ["tagboat"]);
    assert!(a.annotations().is_empty(), "{:?}", a.annotations());
}

async fn a_namespace_that_goes_comes_back(world: World) {
    let repo = fleet(&world, &[("a.yaml", &config_map("a", "one"))]).await;
    let target = format!("{}-x", world.namespace);
    sync(&world, "apps", &format!("path: ./, targetNamespace: {target}, createNamespace: true")).await;
    let _tagboat = world.tagboat().await;
    synced(&world, "apps", &repo.head()).await;
    let namespaces: Api<Namespace> = Api::all(world.client.clone());
    let before = namespaces.get(&target).await.unwrap().uid();
    namespaces.delete(&target, &DeleteParams::default()).await.unwrap();
    let maps: Api<ConfigMap> = Api::namespaced(world.client.clone(), &target);
    eventually("the namespace and its object are there again", 2 * SOON, || async {
        let namespace = namespaces.get_opt(&target).await.map_err(|error| error.to_string())?;
        let is_new = namespace.as_ref().is_some_and(|namespace| namespace.uid() != before);
        let map = maps.get_opt("a").await.map_err(|error| error.to_string())?;
        if is_new && map.is_some() { Ok(()) } else { Err(format!("new namespace: {is_new}")) }
    })
    .await;
}

async fn another_target_namespace(world: World) {
    let repo = fleet(&world, &[("a.yaml", &config_map("a", "one"))]).await;
    git_sync(&world, "path: ./").await;
    let _tagboat = world.tagboat().await;
    synced(&world, "apps", &repo.head()).await;
    let target = format!("{}-x", world.namespace);
    sync(&world, "apps", &format!("path: ./, targetNamespace: {target}, createNamespace: true")).await;
    exists::<ConfigMap>(&world, "a", false).await;
    let status = synced(&world, "apps", &repo.head()).await.status.unwrap();
    let ids: Vec<String> = status.inventory.unwrap().entries.into_iter().map(|entry| entry.id).collect();
    assert_eq!(ids, [format!("{target}_a__ConfigMap")]);
    let maps: Api<ConfigMap> = Api::namespaced(world.client.clone(), &target);
    maps.get("a").await.unwrap();
}
