//! `deploy/`: what the API server says to it, with which rights the controller works, and that the chart is the same.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

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
use crate::support::registry::digest;
use crate::support::tagboat::BINARY;
use crate::support::wait::wait_for;
use crate::support::world::World;
use crate::support::{checkout, trial};

pub fn trials() -> Vec<Trial> {
    vec![
        trial("installing: pods are admitted and run", pods_are_admitted),
        trial("installing: the chart has what the kustomization has", the_chart_is_the_same),
        trial("installing: the image goes into a registry and comes back", the_image_comes_back),
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
        for value in &values {
            helm.args(["--set", value]);
        }
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

/// Assembled without Docker and without root, pushed, pulled, and started as its own files and nothing else.
async fn the_image_comes_back(world: World) {
    let folder = tempfile::tempdir().unwrap();
    let slim = folder.path().join("tagboat");
    let strip = Command::new("strip").arg("-o").arg(&slim).arg(BINARY).status();
    assert!(strip.unwrap().success(), "the binary of a test is large");
    let assemble = |layout: &str| {
        let mut image = Command::new(checkout("deploy/image"));
        image
            .arg(&slim)
            .arg(program("kustomize").unwrap())
            .arg(program("helm").unwrap())
            .arg(folder.path().join(layout));
        let done = image.output().unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        String::from_utf8(done.stdout).unwrap().trim_end().to_owned()
    };
    let said = assemble("layout");
    assert_eq!(assemble("again"), said, "the same files, the same image");
    let (repository, tag) = (world.repository("tagboat"), "1.0.0");
    assert_eq!(world.registry.push_layout(&repository, tag, &folder.path().join("layout")).await, said);

    let manifest = world.registry.pull(&repository, &format!("manifests/{tag}")).await;
    assert_eq!(digest(&manifest), said);
    let manifest: Value = serde_json::from_slice(&manifest).unwrap();
    let part = |part: &Value| part["digest"].as_str().unwrap().to_owned();
    let config = world.registry.pull(&repository, &format!("blobs/{}", part(&manifest["config"]))).await;
    let config: Value = serde_json::from_slice(&config).unwrap();
    assert_eq!((&config["config"]["User"], &config["config"]["Cmd"]), (&json!("65532:65532"), &json!(["run"])));
    let layer = world.registry.pull(&repository, &format!("blobs/{}", part(&manifest["layers"][0]))).await;
    let (archive, root) = (folder.path().join("layer.tar.gz"), folder.path().join("root"));
    std::fs::write(&archive, layer).unwrap();
    std::fs::create_dir(&root).unwrap();
    assert!(Command::new("tar").arg("-xzf").arg(&archive).arg("-C").arg(&root).status().unwrap().success());
    for program in ["tagboat", "kustomize", "helm"] {
        let output = within(&root, program);
        assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
    }
    assert!(root.join("etc/ssl/certs/ca-certificates.crt").metadata().unwrap().len() > 1000);
}

/// A program of an image says its version. By the image's own loader and libraries, as a user may not change its root everywhere.
fn within(root: &Path, program: &str) -> Output {
    let find = |start: &str| {
        let files = walk(root).into_iter();
        files
            .filter(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(start)))
            .collect::<Vec<_>>()
    };
    let program = root.join("usr/bin").join(program);
    let version = if program.ends_with("tagboat") { "--version" } else { "version" };
    let is_static =
        !String::from_utf8_lossy(&Command::new("ldd").arg(&program).output().unwrap().stdout).contains("=>");
    if is_static {
        return Command::new(program).arg(version).output().unwrap();
    }
    let libraries: Vec<_> = find("lib").iter().map(|path| path.parent().unwrap().display().to_string()).collect();
    let loader = find("ld-").pop().expect("a loader");
    let mut command = Command::new(loader);
    command.arg("--library-path").arg(libraries.join(":")).arg(program).arg(version).env_clear().output().unwrap()
}

fn walk(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { walk(&path) } else { vec![path] }).collect()
}

/// As the API server says.
async fn it_may_touch_nothing(world: World) {
    let may = |verb: &str, what: &str, namespace: &[&str]| {
        let mut kubectl = world.cluster.kubectl("admin");
        let (what, part) = what.split_once('/').unwrap_or((what, ""));
        kubectl.args(["auth", "can-i", verb, what, "--subresource", part, "--as", CONTROLLER]).args(namespace);
        kubectl.output().unwrap().status.success()
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
    let repo = fleet(&world, &[("apps/cm.yaml", &config_map("settings", "hello"))]).await;
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
