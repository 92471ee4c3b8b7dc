//! A GitSync of another cluster: everything happens there, by the kubeconfig of a Secret, and what is wrong with one harms nobody else.

use std::time::Instant;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::ResourceExt;
use kube::api::{DeleteParams, Patch, PatchParams};
use libtest_mimic::Trial;
use serde_json::{Value, json};
use tagboat::api::GitSync;
use tagboat::api::condition::Reason;

use crate::objects::*;
use crate::setup::*;
use crate::support::cluster::other::{Gate, Other};
use crate::support::wait::{eventually, wait_for};
use crate::support::world::World;
use crate::support::{other_cluster, trial};

/// What a GitSync of another cluster says beside its path.
const THERE: &str = "kubeConfig: {secretRef: {name: remote}}";

pub fn trials() -> Vec<Trial> {
    vec![
        trial("remote: everything happens in the other cluster", everything_happens_there),
        trial("remote: a service account of the other cluster", a_service_account_there),
        trial("remote: another token is taken up at once", another_token),
        trial("remote: a kubeconfig that is missing or refused", a_kubeconfig_that_can_not_be_used),
        trial("remote: a cluster that does not answer delays nobody", a_cluster_that_does_not_answer),
        trial("remote: another cluster than before", another_cluster_than_before),
        trial("remote: a deleted GitSync, and a cluster that is not there", deleted_without_its_cluster),
    ]
}

/// The other cluster with the test's namespace, and the test's way to look at it.
async fn other(world: &World) -> (&'static Other, World) {
    let other = other_cluster().await;
    other.namespace(&world.namespace).await;
    (other, world.elsewhere(other.client()))
}

async fn kubeconfig(world: &World, config: &Value) {
    world.secret("remote", "Opaque", json!({"value": config.to_string()})).await;
}

async fn fleet_of(world: &World, files: &[(&str, String)]) -> crate::support::git::Repo {
    let files: Vec<(&str, &str)> = files.iter().map(|(path, text)| (*path, text.as_str())).collect();
    fleet(world, &files).await
}

/// A workload is healthy there when somebody says so.
async fn roll_out(there: &World, name: &str) {
    let deployments = there.api::<Deployment>();
    let generation = deployments.get(name).await.unwrap().metadata.generation;
    let status = json!({"status": {
        "observedGeneration": generation, "replicas": 1, "updatedReplicas": 1, "readyReplicas": 1, "availableReplicas": 1,
        "conditions": [{"type": "Available", "status": "True"}],
    }});
    deployments.patch_status(name, &PatchParams::default(), &Patch::Merge(status)).await.unwrap();
}

async fn everything_happens_there(world: World) {
    let (other, there) = other(&world).await;
    kubeconfig(&world, &other.kubeconfig("first", None)).await;
    // Of a GitSync of the same name, that another cluster has.
    let namesake = format!(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: namesake, labels: {{tagboat.dev/gitsync: apps, \
         tagboat.dev/gitsync-namespace: {}}}}}\n",
        world.namespace
    );
    there.apply_yaml(&namesake).await;
    let files = [
        ("a.yaml", config_map("a", "x")),
        ("old.yaml", config_map("old", "x")),
        ("app.yaml", deployment("app", "", "")),
    ];
    let repo = fleet_of(&world, &files).await;
    let (mark, here) = (other.audit().mark(), world.cluster.audit().mark());
    git_sync(&world, &format!("path: ./, {THERE}")).await;
    let _tagboat = world.tagboat().await;

    exists::<ConfigMap>(&there, "a", true).await;
    ready::<GitSync>(&world, "apps", "Unknown", Reason::Progressing).await;
    exists::<Deployment>(&there, "app", true).await;
    roll_out(&there, "app").await;
    let sync = synced(&world, "apps", &repo.head()).await;
    let labels = live::<ConfigMap>(&there, "a").await["metadata"]["labels"].clone();
    assert_eq!(labels["tagboat.dev/gitsync-uid"], json!(sync.uid().unwrap()));
    let inventory = sync.status.unwrap().inventory.unwrap();
    assert_eq!((inventory.entries.len(), inventory.cluster.is_some()), (3, true), "{inventory:?}");

    edit::<ConfigMap>(&there, "a", "kubectl-edit", json!({"data": {"greeting": "y"}})).await;
    holds::<ConfigMap>(&there, "a", "/data/greeting", json!("x")).await;
    event(&world, "apps", Reason::DriftCorrected, &["ConfigMap", "a", "kubectl-edit"]).await;
    let commit = repo.remove(&["old.yaml"], "old is not needed");
    exists::<ConfigMap>(&there, "old", false).await;
    synced(&world, "apps", &commit).await;
    event(&world, "apps", Reason::Pruned, &["ConfigMap", "old"]).await;
    world.api::<GitSync>().delete("apps", &DeleteParams::default()).await.unwrap();
    exists::<GitSync>(&world, "apps", false).await;
    exists::<ConfigMap>(&there, "a", false).await;
    exists::<Deployment>(&there, "app", false).await;
    exists::<ConfigMap>(&there, "namesake", true).await;

    assert_eq!(acts(&world, here), Vec::<String>::new(), "nothing was touched here");
    let requests = other.audit().requests_by("first", mark).into_iter();
    let own: Vec<String> = requests
        .filter(|r| r.resource == "events" || r.resource == "gitsyncs" || r.resource == "secrets")
        .map(|r| r.uri)
        .collect();
    assert_eq!(own, Vec::<String>::new(), "events and statuses stay here");
}

async fn a_service_account_there(world: World) {
    let (other, there) = other(&world).await;
    kubeconfig(&world, &other.kubeconfig("first", None)).await;
    let here = format!(
        "apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {{name: deployer}}
rules: [{{apiGroups: [''], resources: [secrets], resourceNames: [remote], verbs: [get, list, watch]}}]
---
{}",
        binding(&world.namespace)
    );
    world.apply_yaml(&here).await;
    let repo = fleet_of(&world, &[("a.yaml", config_map("a", "x"))]).await;
    let mark = other.audit().mark();
    git_sync(&world, &format!("path: ./, serviceAccountName: deployer, {THERE}")).await;
    let _tagboat = world.tagboat().await;
    let failed = fails(&world, "apps", Reason::AccessDenied, &["deployer", "configmaps"]).await;
    println!("{}", message(&failed));

    let rights = format!(
        "apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {{name: deployer}}
rules: [{{apiGroups: [''], resources: [configmaps], verbs: ['*']}}]
---
{}",
        binding(&world.namespace)
    );
    there.apply_yaml(&rights).await;
    request::<GitSync>(&world, "apps", "now").await;
    synced(&world, "apps", &repo.head()).await;
    exists::<ConfigMap>(&there, "a", true).await;
    let account = format!("system:serviceaccount:{}:deployer", world.namespace);
    let requests = other.audit().requests_by("first", mark).into_iter();
    let maps: Vec<_> = requests.filter(|r| r.resource == "configmaps" && r.namespace == world.namespace).collect();
    assert!(!maps.is_empty() && maps.iter().all(|r| r.impersonated.as_deref() == Some(&account)), "{maps:#?}");
}

fn binding(namespace: &str) -> String {
    format!(
        "apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {{name: deployer}}
roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: Role, name: deployer}}
subjects: [{{kind: ServiceAccount, name: deployer, namespace: {namespace}}}]
"
    )
}

async fn another_token(world: World) {
    let (other, there) = other(&world).await;
    let gate = other.gate().await;
    let mut stale = other.kubeconfig("first", Some(&gate));
    stale["users"][0]["user"]["token"] = json!("canary-of-old");
    kubeconfig(&world, &stale).await;
    let repo = fleet_of(&world, &[("a.yaml", config_map("a", "x"))]).await;
    git_sync(&world, &format!("path: ./, {THERE}")).await;
    let tagboat = world.tagboat().await;
    let words = ["the credentials of the kubeconfig's user are not accepted"];
    let failed = fails(&world, "apps", Reason::ClusterUnavailable, &words).await;
    println!("{}", message(&failed));

    kubeconfig(&world, &other.kubeconfig("first", Some(&gate))).await;
    let before = synced(&world, "apps", &repo.head()).await;
    let (old, mark) = (gate.connections(), other.audit().mark());
    assert!(!old.is_empty());
    kubeconfig(&world, &other.kubeconfig("second", Some(&gate))).await;
    eventually("the connections of before are closed", SOON, async || {
        let left: Vec<u64> = gate.connections().into_iter().filter(|number| old.contains(number)).collect();
        if left.is_empty() { Ok(()) } else { Err(format!("{left:?}")) }
    })
    .await;
    edit::<ConfigMap>(&there, "a", "kubectl-edit", json!({"data": {"greeting": "y"}})).await;
    holds::<ConfigMap>(&there, "a", "/data/greeting", json!("x")).await;
    let applied = |user: &str| {
        other
            .audit()
            .requests_by(user, mark)
            .iter()
            .filter(|r| r.verb == "patch" && r.namespace == world.namespace)
            .count()
    };
    assert_eq!((applied("first"), applied("second")), (0, 1));
    let after = synced(&world, "apps", &repo.head()).await;
    let cluster = |sync: &GitSync| sync.status.clone().unwrap().inventory.unwrap().cluster;
    assert_eq!(cluster(&before), cluster(&after), "one and the same cluster");
    assert!(!tagboat.log().contains("canary") && !tagboat.log().contains("token-of"), "secrets are not logged");
}

async fn a_kubeconfig_that_can_not_be_used(world: World) {
    let (other, there) = other(&world).await;
    let good = other.kubeconfig("first", None);
    let repo = fleet_of(&world, &[("a.yaml", config_map("a", "x")), ("b.yaml", config_map("b", "x"))]).await;
    git_sync(&world, &format!("path: ./, {THERE}")).await;
    let _tagboat = world.tagboat().await;
    fails(&world, "apps", Reason::DependencyNotReady, &["spec.kubeConfig", "/remote does not exist"]).await;
    kubeconfig(&world, &good).await;
    synced(&world, "apps", &repo.head()).await;

    let mut exec = good.clone();
    exec["users"][0]["user"] =
        json!({"exec": {"apiVersion": "client.authentication.k8s.io/v1", "command": "touch", "args": ["/canary"]}});
    kubeconfig(&world, &exec).await;
    let words = ["/remote, key value: user \"first\": exec", "token of a service account into token"];
    println!("{}", message(&fails(&world, "apps", Reason::InvalidSecret, &words).await));
    let mut insecure = good.clone();
    insecure["clusters"][0]["cluster"]["insecure-skip-tls-verify"] = json!(true);
    kubeconfig(&world, &insecure).await;
    fails(&world, "apps", Reason::InvalidSecret, &["insecure-skip-tls-verify", "into certificate-authority-data"])
        .await;
    event(&world, "apps", Reason::InvalidSecret, &["insecure-skip-tls-verify"]).await;
    let commit = repo.remove(&["b.yaml"], "b is not needed");
    world.api::<Secret>().delete("remote", &DeleteParams::default()).await.unwrap();
    fails(&world, "apps", Reason::DependencyNotReady, &["does not exist"]).await;
    exists::<ConfigMap>(&there, "b", true).await;
    kubeconfig(&world, &good).await;
    synced(&world, "apps", &commit).await;
    exists::<ConfigMap>(&there, "b", false).await;
    exists::<ConfigMap>(&there, "a", true).await;
}

async fn a_cluster_that_does_not_answer(world: World) {
    let (other, there) = other(&world).await;
    let gate: Gate = other.gate().await;
    kubeconfig(&world, &other.kubeconfig("first", Some(&gate))).await;
    let repo =
        fleet_of(&world, &[("far/a.yaml", config_map("a", "one")), ("near/map.yaml", config_map("near", "one"))]).await;
    for name in ["far-1", "far-2", "far-3"] {
        // Each has objects of its own.
        let spec = format!("path: far, nameSuffix: -{name}, targetNamespace: {}, {THERE}", world.namespace);
        sync(&world, name, &spec).await;
    }
    sync(&world, "near", &format!("path: near, targetNamespace: {}", world.namespace)).await;
    let _tagboat = world.run(&world.launch().arg("--concurrency=2")).await;
    for name in ["far-1", "far-2", "far-3", "near"] {
        synced(&world, name, &repo.head()).await;
    }

    gate.close();
    let begin = Instant::now();
    let commit =
        repo.commit(&[("far/a.yaml", &config_map("a", "two")), ("near/map.yaml", &config_map("near", "two"))], "both");
    holds::<ConfigMap>(&world, "near", "/data/greeting", json!("two")).await;
    println!("near after {:?}", begin.elapsed());
    for name in ["far-1", "far-2", "far-3"] {
        // A request that was on its way has its whole time first.
        wait_for(&world.api::<GitSync>(), name, "that its cluster does not answer", SOON * 2, |sync| {
            message(sync?).contains("no answer within 5 s").then_some(())
        })
        .await;
        println!("{name} after {:?}", begin.elapsed());
    }
    gate.open();
    for name in ["far-1", "far-2", "far-3"] {
        synced(&world, name, &commit).await;
    }
    println!("all after {:?}", begin.elapsed());
    holds::<ConfigMap>(&there, "a-far-1", "/data/greeting", json!("two")).await;
}

async fn another_cluster_than_before(world: World) {
    let (other, there) = other(&world).await;
    kubeconfig(&world, &other.kubeconfig("first", None)).await;
    let repo = fleet_of(&world, &[("a.yaml", config_map("a", "x")), ("b.yaml", config_map("b", "x"))]).await;
    git_sync(&world, "path: ./").await;
    let _tagboat = world.tagboat().await;
    synced(&world, "apps", &repo.head()).await;

    git_sync(&world, &format!("path: ./, {THERE}")).await;
    exists::<ConfigMap>(&there, "b", true).await;
    let note = event(&world, "apps", Reason::ClusterChanged, &["stays in this cluster", "ConfigMap", "a"]).await;
    println!("{note}");
    let commit = repo.remove(&["b.yaml"], "b is not needed");
    exists::<ConfigMap>(&there, "b", false).await;
    synced(&world, "apps", &commit).await;
    exists::<ConfigMap>(&world, "b", true).await;

    // Back again: what was left behind is known by its labels.
    world
        .api::<GitSync>()
        .patch("apps", &PatchParams::default(), &Patch::Merge(json!({"spec": {"kubeConfig": null}})))
        .await
        .unwrap();
    exists::<ConfigMap>(&world, "b", false).await;
    synced(&world, "apps", &commit).await;
    event(&world, "apps", Reason::ClusterChanged, &["stays in the cluster of the kubeconfig of before", "ConfigMap"])
        .await;
    exists::<ConfigMap>(&there, "a", true).await;
    assert!(live::<ConfigMap>(&world, "a").await["metadata"]["labels"].get("tagboat.dev/gitsync-uid").is_none());
}

async fn deleted_without_its_cluster(world: World) {
    let (other, there) = other(&world).await;
    let gate = other.gate().await;
    kubeconfig(&world, &other.kubeconfig("first", Some(&gate))).await;
    let repo = fleet_of(&world, &[("a.yaml", config_map("a", "x"))]).await;
    git_sync(&world, &format!("path: ./, {THERE}")).await;
    let _tagboat = world.tagboat().await;
    synced(&world, "apps", &repo.head()).await;
    gate.close();
    world.api::<GitSync>().delete("apps", &DeleteParams::default()).await.unwrap();
    let failed = fails(&world, "apps", Reason::ClusterUnavailable, &["deletionPolicy: Orphan"]).await;
    println!("{}", message(&failed));
    world.api::<Secret>().delete("remote", &DeleteParams::default()).await.unwrap();
    exists::<GitSync>(&world, "apps", false).await;
    event(&world, "apps", Reason::DependencyNotReady, &["let go without deleting", "does not exist"]).await;
    // The gate stays closed: a deletion that was sent before may still be on its way.
    exists::<ConfigMap>(&there, "a", true).await;
}
