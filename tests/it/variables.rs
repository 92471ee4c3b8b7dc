//! Variables in what a GitSync renders: where they come from, when they are read again, what is missing, and what is never shown.

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::api::{DeleteParams, ListParams};
use libtest_mimic::Trial;
use serde_json::json;
use tagboat::api::GitSync;
use tagboat::api::condition::Reason;

use crate::objects::*;
use crate::setup::*;
use crate::support::cluster::audit::ApiRequest;
use crate::support::trial;
use crate::support::world::World;

pub fn trials() -> Vec<Trial> {
    vec![
        trial("variables: from the spec, a ConfigMap and a Secret", from_spec_config_map_and_secret),
        trial("variables: in a kustomization", in_a_kustomization),
        trial("variables: one that is missing is told", one_that_is_missing_is_told),
        trial("variables: a Secret's value is never shown", a_secrets_value_is_never_shown),
        trial("variables: read as the service account", read_as_the_service_account),
    ]
}

const APP: &str = "apiVersion: apps/v1
kind: Deployment
metadata: {name: 'app-${stage}', annotations: {token: '${token}'}}
spec:
  replicas: ${replicas}
  selector: {matchLabels: {app: app}}
  template:
    metadata: {labels: {app: app}}
    spec: {containers: [{name: app, image: '${registry:=example.com}/app:1.0.0', env: [{name: PORT, value: '${port}'}]}]}
";
const SCRIPT: &str = "apiVersion: v1
kind: ConfigMap
metadata: {name: script, annotations: {kustomize.toolkit.fluxcd.io/substitute: disabled}}
data: {run: 'echo ${HOME} $$'}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: escaped}
data: {run: 'echo $${HOME} ${stage^^}'}
";
const SOURCES: &str = "path: ./, interval: 1h, postBuild: {substitute: {stage: prod, port: '\"8080\"'}, substituteFrom: [\
    {kind: ConfigMap, name: settings}, {kind: Secret, name: keys}, {kind: ConfigMap, name: more, optional: true}]}";

fn settings(replicas: u32) -> String {
    format!(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: settings}}\ndata: {{replicas: '{replicas}', stage: dev, not.a.name: x}}\n"
    )
}

async fn from_spec_config_map_and_secret(world: World) {
    world.apply_yaml(&settings(1)).await;
    world.secret("keys", "Opaque", json!({"token": "abcdef\n"})).await;
    let repo = fleet(&world, &[("app.yaml", APP), ("script.yaml", SCRIPT)]).await;
    git_sync(&world, SOURCES).await;
    let _tagboat = world.tagboat().await;
    let app = "app-prod";
    holds::<Deployment>(&world, app, "/spec/replicas", json!(1)).await;
    holds::<Deployment>(&world, app, "/metadata/annotations/token", json!("abcdef")).await;
    let container = "/spec/template/spec/containers/0";
    holds::<Deployment>(&world, app, &format!("{container}/image"), json!("example.com/app:1.0.0")).await;
    holds::<Deployment>(&world, app, &format!("{container}/env/0/value"), json!("8080")).await;
    holds::<ConfigMap>(&world, "script", "/data/run", json!("echo ${HOME} $$")).await;
    holds::<ConfigMap>(&world, "escaped", "/data/run", json!("echo ${HOME} PROD")).await;

    // A run without news asks nobody for them.
    let mark = world.cluster.audit().mark();
    let other = repo.commit(&[("more.yaml", &config_map("more-to-do", "x"))], "another object");
    exists::<ConfigMap>(&world, "more-to-do", true).await;
    let read = |request: &&ApiRequest| {
        ["configmaps", "secrets"].contains(&request.resource.as_str())
            && ["get", "list"].contains(&request.verb.as_str())
    };
    let asked: Vec<_> =
        asked_in(&world, &world.namespace, mark).into_iter().filter(|r| read(&r) && r.name != "git").collect();
    assert!(asked.is_empty(), "{asked:#?}");
    assert_eq!(repo.head(), other);

    // Each change counts at once.
    edit::<ConfigMap>(&world, "settings", "person", json!({"data": {"replicas": "2"}})).await;
    holds::<Deployment>(&world, app, "/spec/replicas", json!(2)).await;
    edit::<Secret>(&world, "keys", "person", json!({"stringData": {"token": "ghijkl"}})).await;
    holds::<Deployment>(&world, app, "/metadata/annotations/token", json!("ghijkl")).await;
    world.apply_yaml("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: more}\ndata: {replicas: '3', registry: reg.example.com}\n").await;
    holds::<Deployment>(&world, app, "/spec/replicas", json!(3)).await;
    holds::<Deployment>(&world, app, &format!("{container}/image"), json!("reg.example.com/app:1.0.0")).await;
    world.api::<ConfigMap>().delete("more", &DeleteParams::default()).await.unwrap();
    holds::<Deployment>(&world, app, "/spec/replicas", json!(2)).await;
    git_sync(&world, &SOURCES.replace("stage: prod", "stage: test")).await;
    exists::<Deployment>(&world, "app-test", true).await;
    exists::<Deployment>(&world, app, false).await;
}

async fn in_a_kustomization(world: World) {
    let files = [
        ("apps/kustomization.yaml", "resources: [app.yaml]\nnamePrefix: my-\nlabels: [{pairs: {stage: '${stage}'}}]\n"),
        ("apps/app.yaml", &config_map("app", "'${greeting:-hello} ${stage}'")),
    ];
    let repo = fleet(&world, &files).await;
    git_sync(&world, "path: apps, postBuild: {substitute: {stage: prod}}").await;
    let _tagboat = world.tagboat().await;
    synced(&world, "apps", &repo.head()).await;
    holds::<ConfigMap>(&world, "my-app", "/data/greeting", json!("hello prod")).await;
    holds::<ConfigMap>(&world, "my-app", "/metadata/labels/stage", json!("prod")).await;
}

async fn one_that_is_missing_is_told(world: World) {
    let text = config_map("app", "'${greeting} ${name}'");
    let repo = fleet(&world, &[("apps/app.yaml", &text)]).await;
    let spec = |more: &str| format!("path: apps, postBuild: {{{more} substitute: {{name: you}}}}");
    git_sync(&world, &spec("substituteFrom: [{kind: ConfigMap, name: settings}],")).await;
    let _tagboat = world.tagboat().await;
    let place = "spec.postBuild.substituteFrom[0]: ConfigMap";
    println!("{}", message(&fails(&world, "apps", Reason::RenderFailed, &[place, "settings does not exist"]).await));
    world.apply_yaml("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings}\ndata: {other: x}\n").await;
    let words = ["apps/app.yaml:1", "ConfigMap/app", "data.greeting", "the variable greeting is not defined"];
    println!("{}", message(&fails(&world, "apps", Reason::RenderFailed, &words).await));
    edit::<ConfigMap>(&world, "settings", "person", json!({"data": {"greeting": "hello"}})).await;
    let applied = synced(&world, "apps", &repo.head()).await;
    holds::<ConfigMap>(&world, "app", "/data/greeting", json!("hello you")).await;

    // What was good stays in force, and is kept.
    world.api::<ConfigMap>().delete("settings", &DeleteParams::default()).await.unwrap();
    fails(&world, "apps", Reason::RenderFailed, &[place, "settings does not exist"]).await;
    edit::<ConfigMap>(&world, "app", "kubectl-edit", json!({"data": {"greeting": "bye"}})).await;
    holds::<ConfigMap>(&world, "app", "/data/greeting", json!("hello you")).await;
    assert!(applied.status.unwrap().last_applied_revision.is_some());

    git_sync(&world, &spec("")).await;
    fails(&world, "apps", Reason::RenderFailed, &["the variable greeting is not defined"]).await;
    git_sync(&world, &spec("strict: false,")).await;
    synced(&world, "apps", &repo.head()).await;
    holds::<ConfigMap>(&world, "app", "/data/greeting", json!("you")).await;
    git_sync(&world, "path: apps, postBuild: {substitute: {a-b: x}}").await;
    fails(&world, "apps", Reason::RenderFailed, &["spec.postBuild.substitute", "\"a-b\""]).await;
}

/// It may be in an object, but not in what we say about it.
async fn a_secrets_value_is_never_shown(world: World) {
    const VALUE: &str = "hunter22-and-more";
    world.secret("keys", "Opaque", json!({"password": VALUE, "greeting": format!("{VALUE}: x")})).await;
    let good = config_map("app", "'${password}'");
    let repo = fleet(&world, &[("app.yaml", &good)]).await;
    git_sync(&world, "path: ./, postBuild: {substituteFrom: [{kind: Secret, name: keys}]}").await;
    let tagboat = world.tagboat().await;
    synced(&world, "apps", &repo.head()).await;
    holds::<ConfigMap>(&world, "app", "/data/greeting", json!(VALUE)).await;
    edit::<ConfigMap>(&world, "app", "kubectl-edit", json!({"data": {"greeting": format!("not {VALUE}")}})).await;
    event(&world, "apps", Reason::DriftCorrected, &["app", "data.greeting", "***", "kubectl-edit"]).await;

    let of = |field: &str| {
        format!("apiVersion: v1\nkind: Service\nmetadata: {{name: web}}\nspec: {{ports: [{{port: 80}}], {field}}}\n")
    };
    let cases: [(&str, &[&str]); 4] = [
        (&of("type: '${password}'"), &["Service", "web", "***"]),
        (&of("clusterIP: '${password}'"), &["Service", "web", "***"]),
        (&of("sessionAffinity: '${greeting}'"), &["Service/web", "spec.sessionAffinity", "greeting"]),
        ("apiVersion: v1\nkind: Service\nmetadata: {name: '${password}/x'}\n", &["Service/", "name"]),
    ];
    for (n, (text, words)) in cases.into_iter().enumerate() {
        repo.commit(&[("service.yaml", text)], &format!("refused {n}"));
        let reason = if n < 2 { Reason::ApplyFailed } else { Reason::RenderFailed };
        println!("{}", message(&fails(&world, "apps", reason, words).await));
    }
    let sync = serde_json::to_string(&world.api::<GitSync>().get("apps").await.unwrap()).unwrap();
    let events = world.api::<k8s_openapi::api::events::v1::Event>().list(&ListParams::default()).await.unwrap();
    let events = serde_json::to_string(&events.items).unwrap();
    let log = tagboat.log();
    for (what, text) in [("status", sync), ("events", events), ("log", log)] {
        assert!(text.contains("***") || what == "status", "{what} tells something");
        assert!(!text.contains("hunter22"), "{what}: {text}");
    }
}

async fn read_as_the_service_account(world: World) {
    world.apply_yaml("apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: deployer}\n").await;
    let role = |secrets: &str| {
        format!(
            "apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {{name: deployer}}
rules:
- {{apiGroups: [''], resources: [configmaps], verbs: ['*']}}
{secrets}---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {{name: deployer}}
roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: Role, name: deployer}}
subjects: [{{kind: ServiceAccount, name: deployer, namespace: {}}}]
",
            world.namespace
        )
    };
    world.apply_yaml(&role("")).await;
    world.secret("keys", "Opaque", json!({"greeting": "hello"})).await;
    let repo = fleet(&world, &[("app.yaml", &config_map("app", "'${greeting}'"))]).await;
    let mark = world.cluster.audit().mark();
    git_sync(
        &world,
        "path: ./, serviceAccountName: deployer, postBuild: {substituteFrom: [{kind: Secret, name: keys}]}",
    )
    .await;
    let _tagboat = world.tagboat().await;
    let words = ["spec.postBuild.substituteFrom[0]", "deployer", "Secret keys", "forbidden"];
    println!("{}", message(&fails(&world, "apps", Reason::AccessDenied, &words).await));
    // The right to this one is enough.
    let rule = "- {apiGroups: [''], resources: [secrets], resourceNames: [keys], verbs: [list, watch]}\n";
    world.apply_yaml(&role(rule)).await;
    synced(&world, "apps", &repo.head()).await;
    holds::<ConfigMap>(&world, "app", "/data/greeting", json!("hello")).await;
    let account = format!("system:serviceaccount:{}:deployer", world.namespace);
    let requests = asked_in(&world, &world.namespace, mark);
    let own: Vec<_> = requests
        .iter()
        .filter(|r| r.resource == "secrets" && ["list", "watch"].contains(&r.verb.as_str()))
        .filter(|r| r.impersonated.as_deref() != Some(&account))
        .collect();
    assert!(own.is_empty(), "with the controller's own rights: {own:#?}");
}
