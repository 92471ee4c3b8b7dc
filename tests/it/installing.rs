//! `deploy/`: what the API server says to it, with which rights the controller works, and that the chart is the same.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use k8s_openapi::api::apps::v1::Deployment;
use kube::Api;
use libtest_mimic::Trial;
use serde::Deserialize;
use serde_json::{Value, json};
use tagboat::api::ConfigRepo;
use tagboat::api::condition::Reason;

use crate::objects::*;
use crate::setup::*;
use crate::support::cluster::CONTROLLER;
use crate::support::parts::program;
use crate::support::wait::wait_for;
use crate::support::world::World;
use crate::support::{checkout, trial};

pub fn trials() -> Vec<Trial> {
    vec![
        trial("installing: pods are admitted and run", pods_are_admitted),
        trial("installing: the chart has what the kustomization has", the_chart_is_the_same),
        trial("installing: the controller may touch nothing itself", it_may_touch_nothing),
        trial("installing: a namespace that gave no rights", a_namespace_that_gave_none),
    ]
}

/// The namespace refuses pods that are not restricted, so that two which run are.
async fn pods_are_admitted(world: World) {
    let deployments: Api<Deployment> = Api::namespaced(world.client.clone(), "tagboat-system");
    wait_for(&deployments, "tagboat", "two pods", SOON, |deployment| {
        deployment?.status.as_ref()?.available_replicas.filter(|pods| *pods == 2)
    })
    .await;
}

/// What a command prints, as objects by kind, namespace and name.
fn objects(command: &mut Command) -> BTreeMap<String, Value> {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let documents = serde_yaml::Deserializer::from_slice(&output.stdout).map(|text| Value::deserialize(text).unwrap());
    let text = |object: &Value, pointer| object.pointer(pointer).and_then(Value::as_str).unwrap_or("-").to_owned();
    let key =
        |object: &Value| ["/kind", "/metadata/namespace", "/metadata/name"].map(|part| text(object, part)).join(" ");
    documents.filter(|object| !object.is_null()).map(|object| (key(&object), object)).collect()
}

/// The way from a folder to another one, as kustomize takes no whole paths.
fn way(from: &Path, to: &Path) -> String {
    let up = from.canonicalize().unwrap().components().count() - 1;
    format!("{}{}", "../".repeat(up), to.canonicalize().unwrap().display().to_string().trim_start_matches('/'))
}

async fn the_chart_is_the_same(_world: World) {
    let folder = tempfile::tempdir().unwrap();
    let deploy = checkout("deploy");
    for (components, values) in
        [(vec![], vec![]), (vec!["every-namespace", "monitoring"], vec!["everyNamespace=true", "monitoring=true"])]
    {
        let paths: Vec<_> =
            components.iter().map(|name| way(folder.path(), &deploy.join("components").join(name))).collect();
        let overlay = json!({"resources": [way(folder.path(), &deploy)], "components": paths});
        std::fs::write(folder.path().join("kustomization.yaml"), overlay.to_string()).unwrap();
        let mut kustomize = Command::new(program("kustomize").unwrap());
        let mut expected = objects(kustomize.arg("build").arg(folder.path()));
        // Whoever installs a chart names the namespace, and Helm makes it.
        assert!(expected.remove("Namespace - tagboat-system").is_some());

        let mut helm = Command::new(program("helm").unwrap());
        helm.args(["template", "tagboat", "--namespace", "tagboat-system"]).arg(deploy.join("chart"));
        helm.env("HOME", folder.path());
        values.iter().for_each(|value| drop(helm.args(["--set", value])));
        let chart = objects(&mut helm);
        for (key, object) in &expected {
            assert_eq!(chart.get(key), Some(object), "{key}");
        }
        assert_eq!(chart.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>());
    }
    let mut helm = Command::new(program("helm").unwrap());
    helm.args(["template", "tagboat", "--namespace", "elsewhere", "--include-crds"]).arg(deploy.join("chart"));
    let other = objects(helm.args(["--set", "tenants={web,shop}"]).env("HOME", folder.path()));
    assert!(other.contains_key("RoleBinding web tagboat") && other.contains_key("RoleBinding shop tagboat"));
    assert!(other.contains_key("CustomResourceDefinition - gitsyncs.tagboat.dev"));
    let is_whole = |object: &Value| !object.to_string().contains("tagboat-system");
    assert!(other.values().all(is_whole), "the release's namespace is the only one");
}

/// As the API server says.
async fn it_may_touch_nothing(world: World) {
    let may = |verb: &str, what: &str, namespace: &[&str]| {
        let mut kubectl = world.cluster.kubectl("admin");
        let answer = kubectl.args(["auth", "can-i", verb, what, "--as", CONTROLLER]).args(namespace).output().unwrap();
        answer.status.success()
    };
    let here = ["--namespace", world.namespace.as_str()];
    for (verb, what) in [
        ("get", "configrepos.tagboat.dev"),
        ("patch", "gitsyncs.tagboat.dev/status"),
        ("create", "events.events.k8s.io"),
    ] {
        assert!(may(verb, what, &["--all-namespaces"]), "{verb} {what}");
    }
    for (verb, what) in [("get", "secrets"), ("impersonate", "serviceaccounts"), ("create", "serviceaccounts/token")] {
        assert!(may(verb, what, &here), "{verb} {what} where it was given");
        assert!(
            !may(verb, what, &["--all-namespaces"]) && !may(verb, what, &["--namespace", "default"]),
            "{verb} {what}"
        );
    }
    for (verb, what) in [
        ("list", "secrets"),
        ("create", "configmaps"),
        ("patch", "deployments.apps"),
        ("delete", "pods"),
        ("delete", "gitsyncs.tagboat.dev"),
        ("impersonate", "users"),
        ("impersonate", "groups"),
        ("escalate", "clusterroles.rbac.authorization.k8s.io"),
        ("bind", "clusterroles.rbac.authorization.k8s.io"),
        ("create", "rolebindings.rbac.authorization.k8s.io"),
    ] {
        assert!(!may(verb, what, &here), "{verb} {what}");
    }
}

async fn a_namespace_that_gave_none(world: World) {
    let kubectl = |args: &[&str]| {
        let mut kubectl = world.cluster.kubectl("admin");
        let done = kubectl.args(args).args(["--namespace", &world.namespace]).output().unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    };
    kubectl(&["delete", "rolebinding", "tagboat"]);
    let repo = fleet(&world, &[("apps/cm.yaml", &config_map("settings", "1"))]).await;
    git_sync(&world, "path: apps").await;
    let _tagboat = world.tagboat().await;
    let refused = ready::<ConfigRepo>(&world, "fleet", "False", Reason::AccessDenied).await;
    let words = message(&refused);
    assert!(words.contains("secrets \"git\" is forbidden") && words.contains("ClusterRole tagboat-tenant"), "{words}");
    // Its owner does what the README says.
    let (role, account) = ("--clusterrole=tagboat-tenant", "--serviceaccount=tagboat-system:tagboat");
    kubectl(&["create", "rolebinding", "tagboat", role, account]);
    synced(&world, "apps", &repo.head()).await;
}
