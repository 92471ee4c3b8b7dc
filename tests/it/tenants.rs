//! Several GitSyncs beside each other: whose rights they use, who waits for whom, what belongs to which, and what goes with one that goes.

use std::time::{Duration, Instant};

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Service, ServiceAccount};
use kube::Api;
use kube::api::DeleteParams;
use libtest_mimic::Trial;
use serde_json::{Value, json};
use tagboat::api::GitSync;
use tagboat::api::condition::Reason;

use crate::objects::*;
use crate::setup::*;
use crate::support::tagboat::Launch;
use crate::support::wait::wait_for;
use crate::support::world::{World, make_namespace};
use crate::support::{other_cluster, trial};

pub fn trials() -> Vec<Trial> {
    vec![
        trial("tenants: a service account's rights are used", a_service_accounts_rights_are_used),
        trial("tenants: without rights, and with rights granted later", rights_granted_later),
        trial("tenants: rights that are taken and given back", rights_taken_and_given_back),
        trial("tenants: a denied namespace stops no other one", a_denied_namespace_stops_no_other_one),
        trial("tenants: one waits for another", one_waits_for_another),
        trial("tenants: a dependency in another namespace", a_dependency_in_another_namespace),
        trial("tenants: a circle is told", a_circle_is_told),
        trial("tenants: what leaves Git is pruned, or not", what_leaves_git_is_pruned),
        trial("tenants: an object moves to another GitSync", an_object_moves),
        trial("tenants: what carries another owner's label is not deleted", another_owners_label),
        trial("tenants: a deleted GitSync takes its objects along", a_deleted_git_sync_takes_its_objects_along),
        trial("tenants: a suspended GitSync leaves everything", a_suspended_git_sync_leaves_everything),
    ]
}

/// A service account `deployer` of the test's namespace, and its rights to ConfigMaps and more in a namespace.
async fn rights(world: &World, namespace: &str) {
    let text = format!(
        "apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {{name: deployer, namespace: {namespace}}}
rules:
- {{apiGroups: [''], resources: [configmaps, services], verbs: ['*']}}
- {{apiGroups: [apps], resources: [deployments], verbs: ['*']}}
- {{apiGroups: [''], resources: [pods], verbs: [get, list, watch]}}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {{name: deployer, namespace: {namespace}}}
roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: Role, name: deployer}}
subjects: [{{kind: ServiceAccount, name: deployer, namespace: {}}}]
",
        world.namespace
    );
    world.apply_yaml(&text).await;
}

async fn deployer(world: &World) {
    world.apply_yaml("apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: deployer}\n").await;
}

async fn a_service_accounts_rights_are_used(world: World) {
    deployer(&world).await;
    rights(&world, &world.namespace).await;
    let files = [
        ("a.yaml", config_map("a", "x")),
        ("old.yaml", config_map("old", "x")),
        ("app.yaml", deployment("app", "minReadySeconds: 3,", "")),
    ];
    let files: Vec<(&str, &str)> = files.iter().map(|(path, text)| (*path, text.as_str())).collect();
    let repo = fleet(&world, &files).await;
    let mark = world.cluster.audit().mark();
    git_sync(&world, "path: ./, serviceAccountName: deployer").await;
    let _tagboat = world.tagboat().await;
    synced(&world, "apps", &repo.head()).await;
    edit::<ConfigMap>(&world, "a", "kubectl-edit", json!({"data": {"greeting": "y"}})).await;
    holds::<ConfigMap>(&world, "a", "/data/greeting", json!("x")).await;
    event(&world, "apps", Reason::DriftCorrected, &["a", "kubectl-edit"]).await;
    let commit = repo.remove(&["old.yaml"], "old is not needed");
    exists::<ConfigMap>(&world, "old", false).await;
    synced(&world, "apps", &commit).await;
    world.api::<GitSync>().delete("apps", &DeleteParams::default()).await.unwrap();
    exists::<GitSync>(&world, "apps", false).await;
    exists::<ConfigMap>(&world, "a", false).await;

    let account = format!("system:serviceaccount:{}:deployer", world.namespace);
    let requests = asked_in(&world, &world.namespace, mark);
    let objects: Vec<_> =
        requests.iter().filter(|r| ["configmaps", "deployments", "pods"].contains(&r.resource.as_str())).collect();
    for verb in ["list", "watch", "get", "patch", "delete"] {
        assert!(objects.iter().any(|r| r.verb == verb), "no {verb}: {objects:#?}");
    }
    let own: Vec<_> = objects.iter().filter(|r| r.impersonated.as_deref() != Some(&account)).collect();
    assert!(own.is_empty(), "with the controller's own rights: {own:#?}");
    let denied: Vec<_> = objects.iter().filter(|r| r.code == 403).collect();
    assert!(denied.is_empty(), "{denied:#?}");
}

async fn rights_granted_later(world: World) {
    deployer(&world).await;
    let repo = fleet(&world, &[("a.yaml", &config_map("a", "x"))]).await;
    git_sync(&world, "path: ./, serviceAccountName: deployer").await;
    let _tagboat = world.tagboat().await;
    let failed = fails(&world, "apps", Reason::AccessDenied, &["deployer", "configmaps"]).await;
    println!("{}", message(&failed));
    event(&world, "apps", Reason::AccessDenied, &["deployer", "configmaps"]).await;
    exists::<ConfigMap>(&world, "a", false).await;

    rights(&world, &world.namespace).await;
    let begin = Instant::now();
    exists_within(&world, "a", Duration::from_secs(75)).await;
    println!("recovered after {:?}", begin.elapsed());
    synced(&world, "apps", &repo.head()).await;
    edit::<ConfigMap>(&world, "a", "kubectl-edit", json!({"data": {"greeting": "y"}})).await;
    holds::<ConfigMap>(&world, "a", "/data/greeting", json!("x")).await;
}

async fn rights_taken_and_given_back(world: World) {
    deployer(&world).await;
    rights(&world, &world.namespace).await;
    let repo = fleet(&world, &[("a.yaml", &config_map("a", "x")), ("old.yaml", &config_map("old", "x"))]).await;
    git_sync(&world, "path: ./, serviceAccountName: deployer").await;
    let tagboat = world.tagboat().await;
    synced(&world, "apps", &repo.head()).await;
    let mark = world.cluster.audit().mark();
    let kubectl = |args: &[&str]| {
        let done = world.cluster.kubectl("admin").args(args).args(["-n", &world.namespace]).output().unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    };
    kubectl(&["delete", "rolebinding", "deployer"]);
    let may = async || {
        let mut kubectl = world.cluster.kubectl("admin");
        let account = format!("system:serviceaccount:{}:deployer", world.namespace);
        kubectl.args(["auth", "can-i", "patch", "configmaps", "-n", &world.namespace, "--as", &account]);
        if kubectl.output().unwrap().status.success() { Err("it still may") } else { Ok(()) }
    };
    crate::support::wait::eventually("the rights are gone", SOON, may).await;
    let files = [("b.yaml", &*config_map("b", "x"))];
    repo.remove(&["old.yaml"], "old is not needed");
    let commit = repo.commit(&files, "one more");
    let place = format!("ConfigMap/{}/b", world.namespace);
    let failed = fails(&world, "apps", Reason::AccessDenied, &["deployer", "configmaps"]).await;
    println!("{}", message(&failed));
    assert!(message(&failed).contains(&place) || message(&failed).contains("can't watch"), "{}", message(&failed));
    exists::<ConfigMap>(&world, "old", true).await;
    assert!(acts(&world, mark).iter().all(|act| !act.starts_with("delete")), "{:?}", acts(&world, mark));
    tagboat.get("/livez").await;

    rights(&world, &world.namespace).await;
    request::<GitSync>(&world, "apps", "now").await;
    synced(&world, "apps", &commit).await;
    exists::<ConfigMap>(&world, "old", false).await;
    exists::<ConfigMap>(&world, "b", true).await;
}

async fn exists_within(world: &World, name: &str, deadline: Duration) {
    wait_for(&world.api::<ConfigMap>(), name, "there", deadline, |map| map.map(drop)).await;
}

async fn a_denied_namespace_stops_no_other_one(world: World) {
    deployer(&world).await;
    rights(&world, &world.namespace).await;
    let other = format!("{}-x", world.namespace);
    make_namespace(&world.client, &other).await;
    let elsewhere = config_map("a", "x").replace("name: a", &format!("name: a, namespace: {other}"));
    let repo = fleet(&world, &[("a.yaml", &config_map("a", "x")), ("b.yaml", &elsewhere)]).await;
    sync(&world, "apps", "path: ./, serviceAccountName: deployer").await;
    let _tagboat = world.tagboat().await;
    let failed = fails(&world, "apps", Reason::AccessDenied, &["deployer", "configmaps", &other]).await;
    println!("{}", message(&failed));
    exists::<ConfigMap>(&world, "a", true).await;
    rights(&world, &other).await;
    request::<GitSync>(&world, "apps", "now").await;
    synced(&world, "apps", &repo.head()).await;
    let maps: Api<ConfigMap> = Api::namespaced(world.client.clone(), &other);
    maps.get("a").await.unwrap();
}

async fn one_waits_for_another(world: World) {
    let stuck = deployment("db", "", "nodeSelector: {no: where},");
    let repo = fleet(&world, &[("apps/a.yaml", &config_map("a", "x")), ("infra/db.yaml", &stuck)]).await;
    git_sync(&world, "path: apps, dependsOn: [{name: infra}]").await;
    let _tagboat = world.tagboat().await;
    fails(&world, "apps", Reason::DependencyNotReady, &["infra", "does not exist"]).await;
    sync(&world, "infra", &format!("path: infra, targetNamespace: {}", world.namespace)).await;
    ready::<GitSync>(&world, "infra", "Unknown", Reason::Progressing).await;
    fails(&world, "apps", Reason::DependencyNotReady, &["infra", "not ready"]).await;
    exists::<ConfigMap>(&world, "a", false).await;

    let begin = Instant::now();
    let commit = repo.commit(&[("infra/db.yaml", &deployment("db", "", ""))], "a place for it");
    synced(&world, "infra", &commit).await;
    println!("infra ready after {:?}", begin.elapsed());
    synced(&world, "apps", &commit).await;
    println!("apps ready after {:?}", begin.elapsed());
    exists::<ConfigMap>(&world, "a", true).await;
}

/// One controller for all namespaces, so in a cluster where nobody else is.
async fn a_dependency_in_another_namespace(world: World) {
    let other = other_cluster().await;
    other.install_definitions().await;
    let apps = world.elsewhere(other.client());
    let mut infra = world.elsewhere(other.client());
    infra.namespace = format!("{}-infra", world.namespace);
    let repo = world.repo("fleet", &[("apps/a.yaml", &config_map("a", "x")), ("infra/b.yaml", &config_map("b", "x"))]);
    for side in [&apps, &infra] {
        other.namespace(&side.namespace).await;
        config_repo(side, &repo).await;
    }
    let base = format!("path: infra, targetNamespace: {}", infra.namespace);
    sync(&infra, "base", &base).await;
    git_sync(&apps, &format!("path: apps, dependsOn: [{{name: base, namespace: {}}}]", infra.namespace)).await;
    let launch = Launch { kubeconfig: other.admin(), namespace: None, env: Vec::new(), ..world.launch() };
    let _tagboat = world.run(&launch).await;
    synced(&infra, "base", &repo.head()).await;
    fails(&apps, "apps", Reason::AccessDenied, &["base", "spec.accessFrom does not name"]).await;
    exists::<ConfigMap>(&apps, "a", false).await;

    let begin = Instant::now();
    sync(&infra, "base", &format!("{base}, accessFrom: {{namespaces: [{}]}}", apps.namespace)).await;
    synced(&apps, "apps", &repo.head()).await;
    println!("after {:?}", begin.elapsed());
    exists::<ConfigMap>(&apps, "a", true).await;
    sync(&infra, "base", &format!("{base}, accessFrom: {{namespaces: [elsewhere]}}")).await;
    fails(&apps, "apps", Reason::AccessDenied, &["spec.accessFrom does not name"]).await;
    exists::<ConfigMap>(&apps, "a", true).await;
}

async fn a_circle_is_told(world: World) {
    let repo = fleet(&world, &[("apps/a.yaml", &config_map("a", "x"))]).await;
    git_sync(&world, "path: apps, dependsOn: [{name: b}]").await;
    sync(&world, "b", "path: apps, dependsOn: [{name: c}]").await;
    sync(&world, "c", "path: apps, dependsOn: [{name: apps}]").await;
    let _tagboat = world.tagboat().await;
    for (name, circle) in [("apps", "apps → b → c → apps"), ("b", "b → c → apps → b"), ("c", "c → apps → b → c")]
    {
        fails(&world, name, Reason::DependencyCycle, &[circle]).await;
    }
    exists::<ConfigMap>(&world, "a", false).await;
    world.api::<GitSync>().delete("c", &DeleteParams::default()).await.unwrap();
    world.api::<GitSync>().delete("b", &DeleteParams::default()).await.unwrap();
    git_sync(&world, "path: apps").await;
    synced(&world, "apps", &repo.head()).await;
}

async fn what_leaves_git_is_pruned(world: World) {
    let precious = config_map("precious", "x")
        .replace("name: precious", "name: precious, annotations: {tagboat.dev/prune: disabled}");
    let files = [
        ("apps/a.yaml", config_map("a", "x")),
        ("apps/b.yaml", config_map("b", "x")),
        ("apps/precious.yaml", precious),
        ("kept/c.yaml", config_map("c", "x")),
        ("kept/d.yaml", config_map("d", "x")),
    ];
    let files: Vec<(&str, &str)> = files.iter().map(|(path, text)| (*path, text.as_str())).collect();
    let repo = fleet(&world, &files).await;
    git_sync(&world, "path: apps").await;
    sync(&world, "kept", &format!("path: kept, prune: false, targetNamespace: {}", world.namespace)).await;
    let _tagboat = world.tagboat().await;
    synced(&world, "apps", &repo.head()).await;
    synced(&world, "kept", &repo.head()).await;
    let mark = world.cluster.audit().mark();
    let commit = repo.remove(&["apps/a.yaml", "apps/precious.yaml", "kept/c.yaml"], "not needed");
    exists::<ConfigMap>(&world, "a", false).await;
    event(&world, "apps", Reason::Pruned, &["ConfigMap", "a"]).await;
    synced(&world, "apps", &commit).await;
    synced(&world, "kept", &commit).await;
    for name in ["b", "precious", "c", "d"] {
        exists::<ConfigMap>(&world, name, true).await;
    }
    assert_eq!(acts(&world, mark), ["delete configmaps/a"]);
    // Once prune is set, what was kept goes.
    sync(&world, "kept", &format!("path: kept, prune: true, targetNamespace: {}", world.namespace)).await;
    exists::<ConfigMap>(&world, "c", false).await;
    exists::<ConfigMap>(&world, "d", true).await;
}

async fn an_object_moves(world: World) {
    let files = [
        ("apps/a.yaml", config_map("a", "x")),
        ("apps/b.yaml", config_map("b", "x")),
        ("other/c.yaml", config_map("c", "x")),
    ];
    let files: Vec<(&str, &str)> = files.iter().map(|(path, text)| (*path, text.as_str())).collect();
    let repo = fleet(&world, &files).await;
    git_sync(&world, "path: apps").await;
    sync(&world, "other", &format!("path: other, targetNamespace: {}", world.namespace)).await;
    let _tagboat = world.tagboat().await;
    synced(&world, "apps", &repo.head()).await;
    synced(&world, "other", &repo.head()).await;
    repo.commit(&[("other/a.yaml", &config_map("a", "changed"))], "in both");
    let failed = fails(&world, "other", Reason::ApplyFailed, &["ConfigMap", "a", "apps"]).await;
    println!("{}", message(&failed));
    assert_eq!(live::<ConfigMap>(&world, "a").await["data"]["greeting"], "x");
    let begin = Instant::now();
    let moved = repo.remove(&["apps/a.yaml"], "only in the other");
    synced(&world, "apps", &moved).await;
    holds::<ConfigMap>(&world, "a", "/metadata/labels/tagboat.dev~1gitsync", json!("other")).await;
    println!("moved after {:?}", begin.elapsed());
    assert!(begin.elapsed() < Duration::from_secs(15), "who waits for it is woken: {:?}", begin.elapsed());
    synced(&world, "other", &moved).await;
    exists::<ConfigMap>(&world, "a", true).await;

    // The same in one commit.
    let begin = Instant::now();
    let files = [("apps/b.yaml", &*config_map("z", "x")), ("other/b.yaml", &config_map("b", "x"))];
    let moved = repo.commit(&files, "b moves");
    synced(&world, "apps", &moved).await;
    holds::<ConfigMap>(&world, "b", "/metadata/labels/tagboat.dev~1gitsync", json!("other")).await;
    println!("moved in one commit after {:?}", begin.elapsed());
    assert!(begin.elapsed() < Duration::from_secs(15), "who waits for it is woken: {:?}", begin.elapsed());
    synced(&world, "other", &moved).await;
}

async fn another_owners_label(world: World) {
    let repo = fleet(&world, &[("apps/a.yaml", &config_map("a", "x")), ("apps/b.yaml", &config_map("b", "x"))]).await;
    git_sync(&world, "path: apps").await;
    let _tagboat = world.tagboat().await;
    synced(&world, "apps", &repo.head()).await;
    let mark = world.cluster.audit().mark();
    // A GitSync of a namespace that this controller does not serve: it may well be there.
    let labels = json!({"tagboat.dev/gitsync": "someone", "tagboat.dev/gitsync-namespace": "elsewhere"});
    edit::<ConfigMap>(&world, "a", "someone", json!({"metadata": {"labels": labels}})).await;
    println!("{}", message(&fails(&world, "apps", Reason::ApplyFailed, &["ConfigMap", "a", "someone"]).await));
    let commit = repo.remove(&["apps/a.yaml"], "not needed");
    let status = synced(&world, "apps", &commit).await.status.unwrap();
    assert_eq!(status.inventory.unwrap().entries.len(), 1);
    assert_eq!(acts(&world, mark), Vec::<String>::new());
    assert_eq!(live::<ConfigMap>(&world, "a").await["metadata"]["labels"]["tagboat.dev/gitsync"], "someone");
}

async fn a_deleted_git_sync_takes_its_objects_along(world: World) {
    let role = format!(
        "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata: {{name: {}}}\nrules: []\n---\n",
        world.namespace
    );
    let account = "apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: robot}\n---\n";
    let precious = config_map("precious", "x")
        .replace("name: precious", "name: precious, annotations: {tagboat.dev/prune: disabled}");
    let all =
        format!("{role}{account}{precious}{}{}{}", config_map("a", "x"), service("web", 80), deployment("web", "", ""));
    let repo = fleet(&world, &[("all.yaml", &all)]).await;
    git_sync(&world, "path: ./").await;
    let _tagboat = world.tagboat().await;
    synced(&world, "apps", &repo.head()).await;
    let mark = world.cluster.audit().mark();
    world.api::<GitSync>().delete("apps", &DeleteParams::default()).await.unwrap();
    exists::<GitSync>(&world, "apps", false).await;
    let requests = world.cluster.audit().requests_by("tagboat", mark);
    let deletes: Vec<String> = requests
        .iter()
        .filter(|r| r.verb == "delete" && (r.namespace == world.namespace || r.name == world.namespace))
        .map(|r| r.resource.clone())
        .collect();
    assert_eq!(deletes, ["deployments", "services", "configmaps", "serviceaccounts", "clusterroles"]);
    exists::<Deployment>(&world, "web", false).await;
    exists::<Service>(&world, "web", false).await;
    exists::<ServiceAccount>(&world, "robot", false).await;
    exists::<ConfigMap>(&world, "a", false).await;
    exists::<ConfigMap>(&world, "precious", true).await;
    event(&world, "apps", Reason::Pruned, &["Deployment"]).await;
}

async fn a_suspended_git_sync_leaves_everything(world: World) {
    let repo = fleet(&world, &[("a.yaml", &config_map("a", "one"))]).await;
    git_sync(&world, "path: ./").await;
    let _tagboat = world.tagboat().await;
    synced(&world, "apps", &repo.head()).await;
    git_sync(&world, "path: ./, suspend: true").await;
    ready::<GitSync>(&world, "apps", "True", Reason::Suspended).await;
    let mark = world.cluster.audit().mark();
    edit::<ConfigMap>(&world, "a", "someone", json!({"data": {"greeting": "two"}})).await;
    let commit = repo.commit(&[("b.yaml", &config_map("b", "one"))], "another");
    let before = repo.requests().len();
    asked("the branch", before + 3, || repo.requests().len()).await;
    assert_eq!(acts(&world, mark), Vec::<String>::new());
    git_sync(&world, "path: ./, suspend: false").await;
    synced(&world, "apps", &commit).await;
    holds::<ConfigMap>(&world, "a", "/data/greeting", json!("one")).await;
    exists::<ConfigMap>(&world, "b", true).await;

    request::<GitSync>(&world, "apps", "2026-01-01T00:00:00Z").await;
    let handled = |sync: Option<&GitSync>| sync?.status.as_ref()?.last_handled_reconcile_at.clone();
    wait_for(&world.api::<GitSync>(), "apps", "the request handled", SOON, |sync| {
        (handled(sync)? == "2026-01-01T00:00:00Z").then_some(())
    })
    .await;

    git_sync(&world, "path: ./, suspend: true").await;
    ready::<GitSync>(&world, "apps", "True", Reason::Suspended).await;
    world.api::<GitSync>().delete("apps", &DeleteParams::default()).await.unwrap();
    exists::<GitSync>(&world, "apps", false).await;
    assert_ne!(live::<ConfigMap>(&world, "a").await, Value::Null);
    assert!(world.api::<ConfigMap>().get("a").await.unwrap().metadata.deletion_timestamp.is_none());
}
