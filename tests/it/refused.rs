//! What the API server refuses, holds up or no longer knows: each failure is told of its object, and the rest goes on.

use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::{ConfigMap, Namespace, ResourceQuota, Secret, Service};
use kube::Api;
use kube::api::{DeleteParams, Patch, PatchParams};
use libtest_mimic::Trial;
use serde_json::{Value, json};
use tagboat::api::condition::Reason;
use tagboat::api::{ConfigRepo, GitSync};

use crate::objects::*;
use crate::setup::*;
use crate::support::cluster::audit::Mark;
use crate::support::trial;
use crate::support::wait::{eventually, wait_for};
use crate::support::world::World;

pub fn trials() -> Vec<Trial> {
    vec![
        trial("refused: by a policy, and by a webhook that does not answer", by_admission),
        trial("refused: by a quota", by_a_quota),
        trial("refused: too many requests", too_many_requests),
        trial("refused: a namespace that does not go", a_namespace_that_does_not_go),
        trial("refused: a definition that goes, and a version of it", a_definition_that_goes),
        trial("refused: a Git login that changes and goes", a_login_that_changes),
    ]
}

/// How often one object was written, in any namespace of the test.
fn tries(world: &World, since: Mark, resource: &str, name: &str) -> usize {
    let requests = world.cluster.audit().requests_by("tagboat", since).into_iter();
    let is_it = |r: &crate::support::cluster::audit::ApiRequest| {
        r.verb == "patch" && r.resource == resource && r.name == name && r.namespace.starts_with(&world.namespace)
    };
    requests.filter(is_it).count()
}

fn remove(world: &World, kind: &str) {
    let done = world.cluster.kubectl("admin").args(["delete", kind, &world.namespace]).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
}

/// A policy that refuses the ConfigMap `b`, and a webhook at this port for Services.
fn admission(world: &World, port: u16) -> String {
    let name = &world.namespace;
    let here = format!("namespaceSelector: {{matchLabels: {{kubernetes.io/metadata.name: {}}}}}", world.namespace);
    let rule = |resource: &str| {
        format!("[{{apiGroups: [''], apiVersions: [v1], operations: [CREATE, UPDATE], resources: [{resource}]}}]")
    };
    format!(
        "apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {{name: {name}}}
spec:
  failurePolicy: Fail
  matchConstraints: {{{here}, resourceRules: {}}}
  validations: [{{expression: \"object.metadata.name != 'b'\", message: no b here}}]
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata: {{name: {name}}}
spec: {{policyName: {name}, validationActions: [Deny]}}
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingWebhookConfiguration
metadata: {{name: {name}}}
webhooks:
- name: silent.example.com
  clientConfig: {{url: 'https://127.0.0.1:{port}/'}}
  timeoutSeconds: 1
  failurePolicy: Fail
  sideEffects: None
  admissionReviewVersions: [v1]
  {here}
  rules: {}
",
        rule("configmaps"),
        rule("services")
    )
}

async fn by_admission(world: World) {
    // Takes connections and says nothing.
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = silent.local_addr().unwrap().port();
    let name = &world.namespace;
    let repo = fleet(&world, &[("a.yaml", &config_map("a", "x")), ("old.yaml", &config_map("old", "x"))]).await;
    git_sync(&world, "path: ./").await;
    let _tagboat = world.tagboat().await;
    synced(&world, "apps", &repo.head()).await;
    world.apply_yaml(&admission(&world, port)).await;
    let refuses = async |object: Value| {
        let params = PatchParams { dry_run: true, ..PatchParams::apply("person") };
        let asked = match object["kind"].as_str() {
            Some("Service") => world.api::<Service>().patch("b", &params, &Patch::Apply(&object)).await.map(drop),
            _ => world.api::<ConfigMap>().patch("b", &params, &Patch::Apply(&object)).await.map(drop),
        };
        if asked.is_err() { Ok(()) } else { Err("still taken") }
    };
    let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "b"}});
    eventually("the policy counts", SOON, || refuses(map.clone())).await;
    let svc =
        json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "b"}, "spec": {"ports": [{"port": 80}]}});
    eventually("the webhook counts", SOON, || refuses(svc.clone())).await;

    let mark = world.cluster.audit().mark();
    repo.remove(&["old.yaml"], "old is not needed");
    let files =
        [("b.yaml", &*config_map("b", "x")), ("c.yaml", &config_map("c", "x")), ("web.yaml", &service("web", 80))];
    let commit = repo.commit(&files, "some that are refused");
    let (b, web) = (format!("ConfigMap/{name}/b"), format!("Service/{name}/web"));
    let words = [b.as_str(), "no b here", &web, "failed calling webhook"];
    let failed = fails(&world, "apps", Reason::ApplyFailed, &words).await;
    println!("{}", message(&failed));
    assert!(message(&failed).len() < 2000);
    exists::<ConfigMap>(&world, "c", true).await;
    asked("tries", 3, || tries(&world, mark, "configmaps", "b")).await;
    assert_eq!(tries(&world, mark, "configmaps", "c"), 1, "only what failed is tried again");
    assert_eq!(tries(&world, mark, "configmaps", "a"), 0);
    exists::<ConfigMap>(&world, "old", true).await;
    remove(&world, "validatingadmissionpolicy");
    remove(&world, "validatingadmissionpolicybinding");
    remove(&world, "validatingwebhookconfiguration");
    synced(&world, "apps", &commit).await;
    exists::<ConfigMap>(&world, "old", false).await;
    drop(silent);
}

async fn by_a_quota(world: World) {
    let quota = |services: u32| {
        format!(
            "apiVersion: v1\nkind: ResourceQuota\nmetadata: {{name: small}}\nspec: {{hard: {{count/services: '{services}'}}}}\n"
        )
    };
    let effective = async |services: &'static str| {
        wait_for(&world.api::<ResourceQuota>(), "small", "the quota counts", SOON, |quota| {
            (quota?.status.as_ref()?.hard.as_ref()?.get("count/services")?.0 == services).then_some(())
        })
        .await;
    };
    world.apply_yaml(&quota(1)).await;
    effective("1").await;
    let services = format!("{}{}", service("web", 80), service("api", 80));
    let repo = fleet(&world, &[("services.yaml", &services), ("a.yaml", &config_map("a", "x"))]).await;
    git_sync(&world, "path: ./").await;
    let _tagboat = world.tagboat().await;
    let failed = fails(&world, "apps", Reason::ApplyFailed, &["Service", "exceeded quota: small"]).await;
    println!("{}", message(&failed));
    exists::<ConfigMap>(&world, "a", true).await;
    world.apply_yaml(&quota(5)).await;
    effective("5").await;
    request::<GitSync>(&world, "apps", "now").await;
    synced(&world, "apps", &repo.head()).await;
}

async fn too_many_requests(world: World) {
    let repo = fleet(&world, &[("a.yaml", &config_map("a", "x"))]).await;
    git_sync(&world, "path: ./").await;
    let tagboat = world.tagboat().await;
    synced(&world, "apps", &repo.head()).await;
    let name = &world.namespace;
    let limits = world
        .apply_yaml(&format!(
            "apiVersion: flowcontrol.apiserver.k8s.io/v1
kind: PriorityLevelConfiguration
metadata: {{name: {name}}}
spec: {{type: Limited, limited: {{nominalConcurrencyShares: 0, lendablePercent: 0, borrowingLimitPercent: 0, limitResponse: {{type: Reject}}}}}}
---
apiVersion: flowcontrol.apiserver.k8s.io/v1
kind: FlowSchema
metadata: {{name: {name}}}
spec:
  priorityLevelConfiguration: {{name: {name}}}
  matchingPrecedence: 2
  rules:
  - subjects: [{{kind: ServiceAccount, serviceAccount: {{name: default, namespace: {name}}}}}]
    resourceRules: [{{verbs: ['*'], apiGroups: ['*'], resources: ['*'], namespaces: ['*']}}]
"
        ))
        .await;
    let account = format!("system:serviceaccount:{name}:default");
    let limited = async || {
        let request = axum::http::Request::get(format!("/api/v1/namespaces/{name}/configmaps/a"));
        let request = request.header("Impersonate-User", &account).body(Vec::new().into()).unwrap();
        let answer = world.client.send(request).await.map_err(|error| error.to_string())?;
        let schema = answer.headers().get("x-kubernetes-pf-flowschema-uid");
        let is_ours = schema.is_some_and(|uid| uid.to_str().ok() == limits[1].metadata.uid.as_deref());
        if is_ours { Ok(()) } else { Err(format!("by {schema:?}")) }
    };
    eventually("the limit counts", SOON, limited).await;

    // One request at a time gets through, and all that come beside it are refused.
    let mark = world.cluster.audit().mark();
    let begin = Instant::now();
    let names: Vec<String> = (0..20).map(|n| format!("m{n}")).collect();
    let text: String = names.iter().map(|name| config_map(name, "x")).collect();
    let commit = repo.commit(&[("more.yaml", &text)], "twenty more");
    let failed = fails(&world, "apps", Reason::ApplyFailed, &["ConfigMap", "oo many requests"]).await;
    println!("{}", message(&failed));
    let most = || names.iter().map(|name| tries(&world, mark, "configmaps", name)).max().unwrap_or(0);
    asked("tries", 3, most).await;
    let (took, total) =
        (begin.elapsed(), names.iter().map(|name| tries(&world, mark, "configmaps", name)).sum::<usize>());
    println!("{total} requests in {took:?}");
    assert!(took >= Duration::from_secs(3), "it waits a second, then two: {took:?}");
    assert!(most() <= 4 && total <= 4 * names.len(), "{total} requests, at most {} for one", most());
    assert_eq!(tries(&world, mark, "configmaps", "a"), 0, "what is as it should be is not asked for");
    remove(&world, "flowschema");
    remove(&world, "prioritylevelconfiguration");
    let begin = Instant::now();
    synced(&world, "apps", &commit).await;
    println!("recovered after {:?}", begin.elapsed());
    tagboat.get("/livez").await;
}

async fn a_namespace_that_does_not_go(world: World) {
    let repo = fleet(&world, &[("a.yaml", &config_map("a", "x"))]).await;
    let target = format!("{}-x", world.namespace);
    sync(&world, "apps", &format!("path: ./, targetNamespace: {target}, createNamespace: true")).await;
    let _tagboat = world.tagboat().await;
    synced(&world, "apps", &repo.head()).await;
    let holder = format!(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: holder, namespace: {target}, finalizers: [example.com/hold]}}\n"
    );
    world.apply_yaml(&holder).await;
    let namespaces: Api<Namespace> = Api::all(world.client.clone());
    let mark = world.cluster.audit().mark();
    let begin = Instant::now();
    namespaces.delete(&target, &DeleteParams::default()).await.unwrap();
    let failed = fails(&world, "apps", Reason::ApplyFailed, &["a", "being terminated"]).await;
    println!("{}", message(&failed));
    asked("tries", 3, || tries(&world, mark, "configmaps", "a")).await;
    let (took, times) = (begin.elapsed(), tries(&world, mark, "configmaps", "a"));
    println!("{times} tries in {took:?}");
    assert!(took >= Duration::from_secs(3) && times <= 4, "it waits a second, then two: {times} in {took:?}");
    let maps: Api<ConfigMap> = Api::namespaced(world.client.clone(), &target);
    let free = json!({"metadata": {"finalizers": null}});
    maps.patch("holder", &PatchParams::default(), &Patch::Merge(free)).await.unwrap();
    eventually("all of it is there again", 2 * SOON, || async {
        let map = maps.get_opt("a").await.map_err(|error| error.to_string())?;
        map.filter(|map| map.metadata.deletion_timestamp.is_none()).ok_or_else(|| "no a".to_owned())
    })
    .await;
    synced(&world, "apps", &repo.head()).await;
}

async fn a_definition_that_goes(world: World) {
    let group = format!("{}.example.com", world.namespace);
    let definition = |versions: &str| {
        let one = |version: &str| {
            format!(
                "{{name: {version}, served: true, storage: true, schema: {{openAPIV3Schema: {{type: object, x-kubernetes-preserve-unknown-fields: true}}}}}}"
            )
        };
        format!(
            "apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {{name: widgets.{group}}}
spec: {{group: {group}, scope: Namespaced, names: {{plural: widgets, singular: widget, kind: Widget}}, versions: [{}]}}
",
            one(versions)
        )
    };
    let widget = |version: &str| {
        format!("apiVersion: {group}/{version}\nkind: Widget\nmetadata: {{name: big}}\nspec: {{size: 1}}\n")
    };
    let served = async |version: &str| {
        let path = format!("/apis/{group}/{version}/namespaces/{}/widgets", world.namespace);
        eventually("it is served", SOON, || {
            let request = axum::http::Request::get(&path).body(Vec::new()).unwrap();
            world.client.request::<Value>(request)
        })
        .await;
    };
    world.apply_yaml(&definition("v1")).await;
    served("v1").await;
    let repo = fleet(&world, &[("a.yaml", &config_map("a", "x")), ("widget.yaml", &widget("v1"))]).await;
    git_sync(&world, "path: ./").await;
    let _tagboat = world.tagboat().await;
    synced(&world, "apps", &repo.head()).await;

    let mark = world.cluster.audit().mark();
    let gone = world.cluster.kubectl("admin").args(["delete", "crd", &format!("widgets.{group}")]).output().unwrap();
    assert!(gone.status.success(), "{}", String::from_utf8_lossy(&gone.stderr));
    let failed = fails(&world, "apps", Reason::ApplyFailed, &["Widget", "does not know kind"]).await;
    println!("{}", message(&failed));
    edit::<ConfigMap>(&world, "a", "kubectl-edit", json!({"data": {"greeting": "y"}})).await;
    holds::<ConfigMap>(&world, "a", "/data/greeting", json!("x")).await;
    let without = repo.remove(&["widget.yaml"], "no widgets");
    let status = synced(&world, "apps", &without).await.status.unwrap();
    assert_eq!(status.inventory.unwrap().entries.len(), 1, "what went with its definition is not owned any more");

    // Another version of it than before.
    world.apply_yaml(&definition("v2")).await;
    served("v2").await;
    repo.commit(&[("widget.yaml", &widget("v1"))], "an old version");
    let failed = fails(&world, "apps", Reason::ApplyFailed, &["Widget", "does not know kind"]).await;
    println!("{}", message(&failed));
    let mended = repo.commit(&[("widget.yaml", &widget("v2"))], "the new version");
    synced(&world, "apps", &mended).await;
    assert!(acts(&world, mark).iter().all(|act| !act.starts_with("delete")), "{:?}", acts(&world, mark));
}

async fn a_login_that_changes(world: World) {
    let repo = fleet(&world, &[("a.yaml", &config_map("a", "x"))]).await;
    git_sync(&world, "path: ./").await;
    let _tagboat = world.tagboat().await;
    synced(&world, "apps", &repo.head()).await;
    world.secret("git", "Opaque", json!({"username": "nobody", "password": "wrong-sesame"})).await;
    request::<ConfigRepo>(&world, "fleet", "1").await;
    let refused: ConfigRepo = ready(&world, "fleet", "False", Reason::GitAuthenticationFailed).await;
    assert!(!message(&refused).contains("sesame"), "{}", message(&refused));
    world.git_secret("git").await;
    let commit = repo.commit(&[("b.yaml", &config_map("b", "x"))], "with the new login");
    request::<ConfigRepo>(&world, "fleet", "2").await;
    synced(&world, "apps", &commit).await;

    world.api::<Secret>().delete("git", &DeleteParams::default()).await.unwrap();
    request::<ConfigRepo>(&world, "fleet", "3").await;
    let missing: ConfigRepo = ready(&world, "fleet", "False", Reason::InvalidSecret).await;
    assert!(message(&missing).contains("git does not exist"), "{}", message(&missing));
    // What was read stays in use.
    edit::<ConfigMap>(&world, "a", "kubectl-edit", json!({"data": {"greeting": "y"}})).await;
    holds::<ConfigMap>(&world, "a", "/data/greeting", json!("x")).await;
    world.git_secret("git").await;
    request::<ConfigRepo>(&world, "fleet", "4").await;
    ready::<ConfigRepo>(&world, "fleet", "True", Reason::Succeeded).await;
}
