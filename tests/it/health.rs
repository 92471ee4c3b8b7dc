//! What healthy means, and how it is waited for: rules that a GitSync brings, objects that others make, expressions on dependencies,
//! a newer commit that never waits, what a status remembers, and an inventory that people could not read any more.

use std::fmt::Write;
use std::time::Instant;

use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{DeleteParams, Patch, PatchParams};
use libtest_mimic::Trial;
use serde_json::{Value, json};
use tagboat::api::GitSync;
use tagboat::api::condition::Reason;
use tagboat::api::git_sync::{HealthStatus, RevisionOutcome};

use crate::objects::*;
use crate::setup::*;
use crate::support::cluster::audit::Mark;
use crate::support::trial;
use crate::support::wait::wait_for;
use crate::support::world::World;

pub fn trials() -> Vec<Trial> {
    vec![
        trial("health: rules that a GitSync brings", rules_that_a_git_sync_brings),
        trial("health: a rule that can't be read", a_rule_that_can_not_be_read),
        trial("health: objects that others make", objects_that_others_make),
        trial("health: a dependency by expression", a_dependency_by_expression),
        trial("health: waiting holds no worker, and a newer commit never waits", a_newer_commit_never_waits),
        trial("health: an inventory that is packed", an_inventory_that_is_packed),
    ]
}

/// Waits until the health in the status is like this.
async fn fares(world: &World, name: &str, what: &str, is_it: impl Fn(&HealthStatus) -> bool) -> GitSync {
    wait_for(&world.api::<GitSync>(), name, what, SOON, |sync| {
        let health = sync?.status.as_ref()?.health.as_ref()?;
        is_it(health).then(|| sync.cloned())?
    })
    .await
}

/// How often the controller read single ConfigMaps since.
fn reads(world: &World, since: Mark) -> usize {
    let requests = asked_in(world, &world.namespace, since);
    requests.iter().filter(|request| request.verb == "get" && request.resource == "configmaps").count()
}

/// Somebody gives a ConfigMap a state, in a field that is not ours.
async fn state(world: &World, name: &str, state: &str) {
    edit::<ConfigMap>(world, name, "someone", json!({"data": {"state": state}})).await;
}

fn rules(current: &str) -> String {
    format!(
        "healthCheckExprs: [{{apiVersion: v1, kind: ConfigMap, current: \"{current}\", failed: \"data.state == 'broken'\"}}]"
    )
}

async fn rules_that_a_git_sync_brings(world: World) {
    let repo = fleet(&world, &[("a.yaml", &config_map("a", "x")), ("b.yaml", &service("b", 80))]).await;
    git_sync(&world, &format!("path: ./, {}", rules("data.state == 'ready'"))).await;
    let tagboat = world.tagboat().await;
    let mark = world.cluster.audit().mark();
    let waiting: GitSync = ready(&world, "apps", "Unknown", Reason::Progressing).await;
    let health = waiting.status.unwrap().health.unwrap();
    assert_eq!((health.summary.as_str(), health.unhealthy[0].message.as_str()), ("1/2", "has no state yet"));

    state(&world, "a", "broken").await;
    fails(&world, "apps", Reason::HealthCheckFailed, &["ConfigMap", "has failed"]).await;
    state(&world, "a", "ready").await;
    let done = synced(&world, "apps", &repo.head()).await;
    assert_eq!(reads(&world, mark), 0, "the watch tells it all");
    let history = done.status.unwrap().history;
    assert_eq!((history.len(), history[0].outcome), (1, RevisionOutcome::Healthy), "{history:?}");
    assert!(history[0].lead_time.is_some() && history[0].committed_at.is_some(), "{history:?}");

    // Another rule judges what was judged already, by one read of each object.
    let mark = world.cluster.audit().mark();
    git_sync(&world, &format!("path: ./, {}", rules("data.state == 'done'"))).await;
    ready::<GitSync>(&world, "apps", "Unknown", Reason::Progressing).await;
    state(&world, "a", "done").await;
    synced(&world, "apps", &repo.head()).await;
    assert_eq!(reads(&world, mark), 1);

    // After a restart the rules are there before the objects are seen.
    tagboat.kill9().await;
    let mark = world.cluster.audit().mark();
    state(&world, "a", "later").await;
    let _tagboat = world.tagboat().await;
    ready::<GitSync>(&world, "apps", "Unknown", Reason::Progressing).await;
    assert_eq!((reads(&world, mark), acts(&world, mark)), (0, Vec::<String>::new()));
}

async fn a_rule_that_can_not_be_read(world: World) {
    let repo = fleet(&world, &[("a.yaml", &config_map("a", "x"))]).await;
    git_sync(&world, &format!("path: ./, {}", rules("data.state = 'ready'"))).await;
    let _tagboat = world.tagboat().await;
    let failed =
        fails(&world, "apps", Reason::InvalidSpec, &["spec.healthCheckExprs[0].current, line 1, column"]).await;
    println!("{}", message(&failed));
    assert!(failed.conditions().iter().any(|condition| condition.kind == "Stalled"));
    git_sync(&world, &format!("path: ./, {}", rules("status.phase == 'x' || 'greeting' in data"))).await;
    synced(&world, "apps", &repo.head()).await;
}

async fn objects_that_others_make(world: World) {
    let repo = fleet(
        &world,
        &[("a.yaml", &config_map("a", "x")), ("b.yaml", &deployment("b", "", "nodeSelector: {no: where},"))],
    )
    .await;
    let checks = "healthChecks: [{apiVersion: v1, kind: ConfigMap, name: other}, {apiVersion: v1, kind: ConfigMap, name: a}], wait: false, timeout: 4s";
    let exprs =
        "healthCheckExprs: [{apiVersion: v1, kind: ConfigMap, current: \"!has(data.state) || data.state == 'ready'\"}]";
    git_sync(&world, &format!("path: ./, {checks}, {exprs}")).await;
    let _tagboat = world.tagboat().await;
    let other = format!("ConfigMap/{}/other", world.namespace);
    let failed =
        fails(&world, "apps", Reason::HealthCheckFailed, &[&other, "not healthy in time: does not exist"]).await;
    assert_eq!(failed.status.unwrap().health.unwrap().summary, "1/3");
    let mark = world.cluster.audit().mark();
    world.apply_yaml(&config_map("other", "y")).await;
    let done = synced(&world, "apps", &repo.head()).await;
    let status = done.status.unwrap();
    assert_eq!(status.health.unwrap().summary, "2/3", "the Deployment is not waited for");
    assert_eq!(status.history[0].outcome, RevisionOutcome::Applied);
    assert_eq!(status.inventory.unwrap().entries.len(), 2, "it stays others' object");
    state(&world, "other", "busy").await;
    ready::<GitSync>(&world, "apps", "Unknown", Reason::Progressing).await;
    state(&world, "other", "ready").await;
    ready::<GitSync>(&world, "apps", "True", Reason::Succeeded).await;
    assert_eq!(reads(&world, mark), 0, "it is watched, not asked for");
    world.api::<ConfigMap>().delete("other", &DeleteParams::default()).await.unwrap();
    fares(&world, "apps", "the other one gone", |health| {
        health.unhealthy.iter().any(|object| object.object == other && object.status == "Missing")
    })
    .await;
    git_sync(&world, "path: ./, wait: false").await;
    ready::<GitSync>(&world, "apps", "True", Reason::Succeeded).await;
}

async fn a_dependency_by_expression(world: World) {
    let repo = fleet(&world, &[("infra/a.yaml", &config_map("a", "x")), ("apps/b.yaml", &config_map("b", "x"))]).await;
    let target = format!("targetNamespace: {}", world.namespace);
    sync(&world, "infra", &format!("path: infra, {target}")).await;
    let label = "dep.metadata.?labels.?stage.orValue('') == self.metadata.?labels.?stage.orValue('none')";
    git_sync(&world, &format!("path: apps, dependsOn: [{{name: infra, readyExpr: \"{label}\"}}]")).await;
    let _tagboat = world.tagboat().await;
    fails(&world, "apps", Reason::DependencyNotReady, &["GitSync infra is not ready: its readyExpr does not hold"])
        .await;
    for name in ["apps", "infra"] {
        let patch = json!({"metadata": {"labels": {"stage": "two"}}});
        world.api::<GitSync>().patch(name, &PatchParams::default(), &Patch::Merge(patch)).await.unwrap();
    }
    request::<GitSync>(&world, "apps", "now").await;
    synced(&world, "apps", &repo.head()).await;

    let summary = "dep.status.health.summary == '2/2'";
    git_sync(&world, &format!("path: apps, dependsOn: [{{name: infra, readyExpr: \"{summary}\"}}]")).await;
    fails(&world, "apps", Reason::DependencyNotReady, &["does not hold"]).await;
    let commit = repo.commit(&[("infra/c.yaml", &config_map("c", "x"))], "the second");
    synced(&world, "apps", &commit).await;
    git_sync(&world, "path: apps, dependsOn: [{name: infra, readyExpr: 'dep.status'}]").await;
    fails(&world, "apps", Reason::InvalidSpec, &["spec.dependsOn[0].readyExpr: it gives an object"]).await;
    git_sync(&world, "path: apps, dependsOn: [{name: infra, namespace: elsewhere}]").await;
    let words =
        format!("GitSync elsewhere/infra does not exist, or its spec.accessFrom does not name {}", world.namespace);
    fails(&world, "apps", Reason::AccessDenied, &[&words]).await;
}

async fn a_newer_commit_never_waits(world: World) {
    let stuck = |name: &str| deployment(name, "", "nodeSelector: {no: where},");
    let files = [
        ("a/a.yaml", stuck("a")),
        ("b/b.yaml", stuck("b")),
        ("c/c.yaml", stuck("c")),
        ("d/d.yaml", config_map("d", "x")),
    ];
    let files: Vec<(&str, &str)> = files.iter().map(|(path, text)| (*path, text.as_str())).collect();
    let repo = fleet(&world, &files).await;
    let target = format!("targetNamespace: {}", world.namespace);
    let _tagboat = world.launch().arg("--concurrency").arg("1").start().await;
    for name in ["a", "b", "c"] {
        sync(&world, name, &format!("path: {name}, {target}")).await;
        ready::<GitSync>(&world, name, "Unknown", Reason::Progressing).await;
    }
    sync(&world, "d", &format!("path: d, {target}")).await;
    synced(&world, "d", &repo.head()).await;
    event(&world, "d", Reason::Applied, &[]).await;
    let first = repo.head();

    // Nothing is asked while three wait for their objects.
    let (mark, before) = (world.cluster.audit().mark(), repo.requests().len());
    asked("the branch", before + 4, || repo.requests().len()).await;
    let shown: Vec<String> = asked_in(&world, &world.namespace, mark)
        .iter()
        .map(|r| format!("{} {}/{}", r.verb, r.resource, r.name))
        .collect();
    assert_eq!(shown, Vec::<String>::new());

    let commit = repo.commit(&[("a/a.yaml", &deployment("a", "", ""))], "a place for it");
    let begin = Instant::now();
    let status = synced(&world, "a", &commit).await.status.unwrap();
    println!("healthy {:?} after the commit", begin.elapsed());
    let told: Vec<(String, RevisionOutcome)> =
        status.history.iter().map(|record| (record.revision.commit.to_string(), record.outcome)).collect();
    assert_eq!(told, [(commit.clone(), RevisionOutcome::Healthy), (first, RevisionOutcome::Superseded)]);
    let waiting: GitSync = ready(&world, "b", "Unknown", Reason::Progressing).await;
    assert_eq!(waiting.status.unwrap().history[0].outcome, RevisionOutcome::Progressing);
}

async fn an_inventory_that_is_packed(world: World) {
    let names: Vec<String> =
        (0..900).map(|index| format!("{}-{index}", "a-long-name-of-an-application".repeat(7))).collect();
    let file = |names: &[String]| {
        names.iter().fold(String::new(), |mut text, name| {
            write!(text, "{}", config_map(name, "x")).unwrap();
            text
        })
    };
    let repo = fleet(&world, &[("all.yaml", &file(&names))]).await;
    git_sync(&world, "path: ./").await;
    let tagboat = world.tagboat().await;
    let done = synced(&world, "apps", &repo.head()).await;
    let inventory = done.status.unwrap().inventory.unwrap();
    assert!(inventory.entries.is_empty());
    println!("{} bytes", inventory.packed.as_ref().unwrap().len());
    tagboat.kill9().await;

    let mark = world.cluster.audit().mark();
    let _tagboat = world.tagboat().await;
    let commit = repo.commit(&[("all.yaml", &file(&names[1..]))], "one less");
    synced(&world, "apps", &commit).await;
    assert_eq!(acts(&world, mark), [format!("delete configmaps/{}", names[0])], "it reads back whole");
    let few = repo.commit(&[("all.yaml", &file(&names[..800]))], "as many as need no packing");
    let done = synced(&world, "apps", &few).await;
    let inventory = done.status.unwrap().inventory.unwrap();
    assert_eq!((inventory.entries.len(), inventory.packed), (800, None));
    let shown: Value = serde_json::to_value(&inventory.entries[0]).unwrap();
    assert!(shown["id"].as_str().unwrap().ends_with("__ConfigMap"), "{shown}");
}
