//! Hooks: work that is done before and after an app is applied, and when that failed; once, whatever crashes.

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{ConfigMap, Node};
use kube::api::{DeleteParams, Patch, PatchParams};
use kube::{Api, ResourceExt};
use libtest_mimic::Trial;
use serde_json::{Value, json};
use tagboat::api::GitSync;
use tagboat::api::condition::Reason;

use crate::manners::map;
use crate::objects::*;
use crate::setup::*;
use crate::support::cluster::audit::Mark;
use crate::support::trial;
use crate::support::wait::{eventually, wait_for};
use crate::support::world::World;

pub fn trials() -> Vec<Trial> {
    vec![
        trial("hooked: before and after, once a commit", before_and_after),
        trial("hooked: one object for two phases", one_object_for_two_phases),
        trial("hooked: a failed hook stops what follows", a_failed_hook),
        trial("hooked: another try of a failed hook", another_try),
        trial("hooked: on failure of an object", on_failure_of_an_object),
        trial("hooked: a hook of another GitSync is not taken", a_hook_of_another),
        trial("hooked: a crash runs no hook twice", a_crash_runs_none_twice),
    ]
}

/// How a Job fares here.
#[derive(Clone, Copy)]
enum Fate<'a> {
    /// Its pod is done at once.
    Done,
    /// Its pod runs nowhere, so that its deadline ends it.
    Fails,
    /// Its pod runs when a node has this label.
    Waits(&'a str),
}

fn job(name: &str, annotations: &str, fate: Fate<'_>) -> String {
    let (more, pod) = match fate {
        Fate::Done => (String::new(), String::new()),
        Fate::Fails => ("activeDeadlineSeconds: 1, ".to_owned(), "nodeSelector: {nowhere: here}, ".to_owned()),
        Fate::Waits(label) => (String::new(), format!("nodeSelector: {{{label}: here}}, ")),
    };
    format!(
        "apiVersion: batch/v1\nkind: Job\nmetadata: {{name: {name}, annotations: {{{annotations}}}}}\n\
         spec: {{backoffLimit: 0, {more}template: {{spec: {{{pod}restartPolicy: Never, \
         containers: [{{name: main, image: 'example.com/job:1'}}]}}}}}}\n---\n"
    )
}

/// Waits until exactly this was written since.
async fn acted(world: &World, since: Mark, expected: &[&str]) {
    eventually(&format!("{expected:?}"), SOON, || async {
        let acts = acts(world, since);
        if acts == expected { Ok(()) } else { Err(format!("{acts:?}")) }
    })
    .await;
}

async fn uid(world: &World, name: &str) -> String {
    world.api::<Job>().get(name).await.unwrap().uid().unwrap()
}

async fn before_and_after(world: World) {
    let before = job("before", "argocd.argoproj.io/hook: PreSync", Fate::Done);
    let after = "helm.sh/hook: 'post-install,post-upgrade', helm.sh/hook-delete-policy: hook-succeeded";
    let after = job("after", after, Fate::Done);
    let repo = fleet(&world, &[("jobs.yaml", &format!("{before}{after}")), ("a.yaml", &config_map("a", "one"))]).await;
    let mark = world.cluster.audit().mark();
    git_sync(&world, "path: ./").await;
    let tagboat = world.tagboat().await;
    let sync = synced(&world, "apps", &repo.head()).await;
    assert_eq!(sync.status.unwrap().health.unwrap().summary, "1/1");
    acted(&world, mark, &["patch jobs/before", "patch configmaps/a", "patch jobs/after", "delete jobs/after"]).await;
    exists::<Job>(&world, "before", true).await;
    exists::<Job>(&world, "after", false).await;

    // Neither a restart nor a correction runs them again; a change does.
    drop(tagboat);
    let mark = world.cluster.audit().mark();
    let _tagboat = world.tagboat().await;
    edit::<ConfigMap>(&world, "a", "kubectl-edit", json!({"data": {"greeting": "two"}})).await;
    holds::<ConfigMap>(&world, "a", "/data/greeting", json!("one")).await;
    event(&world, "apps", Reason::DriftCorrected, &["ConfigMap", "kubectl-edit"]).await;
    synced(&world, "apps", &repo.head()).await;
    acted(&world, mark, &["patch configmaps/a"]).await;
    let mark = world.cluster.audit().mark();
    let commit = repo.commit(&[("a.yaml", &config_map("a", "three"))], "three");
    synced(&world, "apps", &commit).await;
    let expected =
        ["delete jobs/before", "patch jobs/before", "patch configmaps/a", "patch jobs/after", "delete jobs/after"];
    acted(&world, mark, &expected).await;
    let commit = repo.remove(&["jobs.yaml"], "no hooks");
    synced(&world, "apps", &commit).await;
    exists::<Job>(&world, "before", false).await;
}

async fn one_object_for_two_phases(world: World) {
    let both = job("both", "helm.sh/hook: 'pre-install,post-install,pre-upgrade,post-upgrade'", Fate::Done);
    let repo = fleet(&world, &[("job.yaml", &both), ("a.yaml", &config_map("a", "one"))]).await;
    let mark = world.cluster.audit().mark();
    git_sync(&world, "path: ./").await;
    let tagboat = world.tagboat().await;
    synced(&world, "apps", &repo.head()).await;
    acted(&world, mark, &["patch jobs/both", "patch configmaps/a", "delete jobs/both", "patch jobs/both"]).await;
    drop(tagboat);
    let mark = world.cluster.audit().mark();
    let _tagboat = world.tagboat().await;
    edit::<ConfigMap>(&world, "a", "kubectl-edit", json!({"data": {"greeting": "two"}})).await;
    event(&world, "apps", Reason::DriftCorrected, &["ConfigMap", "kubectl-edit"]).await;
    synced(&world, "apps", &repo.head()).await;
    acted(&world, mark, &["patch configmaps/a"]).await;
}

async fn a_failed_hook(world: World) {
    let before = job("before", "tagboat.dev/hook: before", Fate::Fails);
    let failed = job("failed", "argocd.argoproj.io/hook: SyncFail", Fate::Done);
    let repo = fleet(&world, &[("jobs.yaml", &format!("{before}{failed}")), ("a.yaml", &config_map("a", "one"))]).await;
    git_sync(&world, "path: ./").await;
    let _tagboat = world.tagboat().await;
    let sync = fails(&world, "apps", Reason::HookFailed, &["Job", "before"]).await;
    println!("{}", message(&sync));
    exists::<Job>(&world, "failed", true).await;
    event(&world, "apps", Reason::HookFailed, &["before"]).await;
    assert_eq!(live::<ConfigMap>(&world, "a").await, Value::Null);
    let mended = job("before", "tagboat.dev/hook: before", Fate::Done);
    let commit = repo.commit(&[("jobs.yaml", &mended)], "mended");
    synced(&world, "apps", &commit).await;
    exists::<ConfigMap>(&world, "a", true).await;
}

async fn another_try(world: World) {
    let label = world.namespace.clone();
    let before = job("before", "tagboat.dev/hook: before, tagboat.dev/hook-delete-policy: hookFailed", Fate::Fails)
        .replace("nowhere", &label)
        .replace("activeDeadlineSeconds: 1", "activeDeadlineSeconds: 5");
    let repo = fleet(&world, &[("job.yaml", &before), ("a.yaml", &config_map("a", "one"))]).await;
    git_sync(&world, "path: ./").await;
    let tagboat = world.tagboat().await;
    fails(&world, "apps", Reason::HookFailed, &["Job", "before"]).await;
    exists::<Job>(&world, "before", false).await;

    // That its object is gone makes it no better, nor does a restart.
    drop(tagboat);
    let _tagboat = world.tagboat().await;
    let mark = world.cluster.audit().mark();
    repo.commit(&[("README.md", "another path")], "nothing that is rendered");
    let head = repo.head();
    let still = wait_for(&world.api::<GitSync>(), "apps", "the newer commit tried", SOON, |sync| {
        let tried = sync?.status.as_ref()?.last_attempted_revision.as_ref()?.to_string();
        tried.ends_with(&head).then(|| sync.cloned())?
    })
    .await;
    assert!(message(&still).contains("longer than specified deadline"), "{}", message(&still));
    assert_eq!(acts(&world, mark), Vec::<String>::new());

    label_node(&world, &label).await;
    request::<GitSync>(&world, "apps", "again").await;
    synced(&world, "apps", &repo.head()).await;
    acted(&world, mark, &["patch jobs/before", "patch configmaps/a"]).await;
}

async fn on_failure_of_an_object(world: World) {
    let failed = job("failed", "tagboat.dev/hook: onFailure", Fate::Done);
    let repo = fleet(&world, &[("job.yaml", &failed), ("a.yaml", &config_map("a", "one"))]).await;
    git_sync(&world, "path: ./").await;
    let _tagboat = world.tagboat().await;
    synced(&world, "apps", &repo.head()).await;
    assert_eq!(live::<Job>(&world, "failed").await, Value::Null);
    repo.commit(&[("web.yaml", &service("web", 70_000))], "a bad port");
    fails(&world, "apps", Reason::ApplyFailed, &["Service", "70000"]).await;
    exists::<Job>(&world, "failed", true).await;
    let commit = repo.remove(&["web.yaml"], "mended");
    synced(&world, "apps", &commit).await;
}

async fn a_hook_of_another(world: World) {
    let hook = job("migrate", "tagboat.dev/hook: before, tagboat.dev/hook-delete-policy: hookFailed", Fate::Done);
    let repo = fleet(
        &world,
        &[
            ("first/job.yaml", &hook),
            ("first/a.yaml", &config_map("a", "one")),
            ("second/job.yaml", &hook),
            ("second/b.yaml", &config_map("b", "one")),
        ],
    )
    .await;
    let target = format!("targetNamespace: {}", world.namespace);
    sync(&world, "first", &format!("path: first, {target}")).await;
    let _tagboat = world.tagboat().await;
    synced(&world, "first", &repo.head()).await;
    let before = uid(&world, "migrate").await;
    sync(&world, "second", &format!("path: second, {target}")).await;
    let owner = format!("it belongs to GitSync {}/first", world.namespace);
    let refused = fails(&world, "second", Reason::HookFailed, &["Job", "migrate", &owner]).await;
    println!("{}", message(&refused));
    assert_eq!(uid(&world, "migrate").await, before);
    assert_eq!(live::<ConfigMap>(&world, "b").await, Value::Null, "nothing goes on without its hook");
    let labels = world.api::<Job>().get("migrate").await.unwrap().labels().clone();
    assert_eq!(labels["tagboat.dev/gitsync"], "first");

    // When the first gives it up, the second has it.
    let commit = repo.remove(&["first/job.yaml"], "the second has it");
    synced(&world, "first", &commit).await;
    synced(&world, "second", &commit).await;
    assert_ne!(uid(&world, "migrate").await, before, "it ran");
}

/// Lets the Jobs go on that wait for this label.
async fn label_node(world: &World, label: &str) {
    let nodes: Api<Node> = Api::all(world.client.clone());
    let patch = Patch::Merge(json!({"metadata": {"labels": {label: "here"}}}));
    nodes.patch("node", &PatchParams::default(), &patch).await.unwrap();
}

async fn a_crash_runs_none_twice(world: World) {
    let label = world.namespace.clone();
    let hook = job("migrate", "tagboat.dev/hook: before", Fate::Waits(&label));
    let goes = job("goes", "tagboat.dev/hook: before, tagboat.dev/hook-delete-policy: hookSucceeded", Fate::Done);
    let repo = fleet(&world, &[("jobs.yaml", &format!("{hook}{goes}")), ("a.yaml", &map("a", "one", ""))]).await;
    git_sync(&world, "path: ./").await;
    let mark = world.cluster.audit().mark();
    let tagboat = world.tagboat().await;
    exists::<Job>(&world, "migrate", true).await;
    exists::<Job>(&world, "goes", true).await;
    tagboat.kill9().await;
    // As if it had crashed between the start and the status.
    let mut status = world.api::<GitSync>().get("apps").await.unwrap().status.unwrap_or_default();
    let entries = status.inventory.iter_mut().flat_map(|inventory| &mut inventory.entries);
    entries.filter(|entry| entry.id.contains("migrate")).for_each(|entry| entry.h = None);
    let patch = Patch::Merge(json!({"status": {"inventory": status.inventory}}));
    world.api::<GitSync>().patch_status("apps", &PatchParams::default(), &patch).await.unwrap();
    let before = uid(&world, "migrate").await;

    let _tagboat = world.tagboat().await;
    wait_for(&world.api::<GitSync>(), "apps", "waiting for the hook", SOON, |sync| {
        let ready = sync?.status.as_ref()?.conditions.iter().find(|condition| condition.kind == "Ready")?;
        ready.message.contains("migrate runs").then_some(())
    })
    .await;
    // Its success is in the status, so it may go.
    exists::<Job>(&world, "goes", false).await;
    assert_eq!(live::<ConfigMap>(&world, "a").await, Value::Null);
    assert_eq!(uid(&world, "migrate").await, before);
    label_node(&world, &label).await;
    synced(&world, "apps", &repo.head()).await;
    let mut all = acts(&world, mark);
    all.sort();
    assert_eq!(all, ["delete jobs/goes", "patch configmaps/a", "patch jobs/goes", "patch jobs/migrate"]);

    // A hook that a person deletes at work was not done.
    let slow = job("migrate", "tagboat.dev/hook: before", Fate::Waits("nowhere"));
    repo.commit(&[("jobs.yaml", &slow)], "another hook");
    wait_for(&world.api::<Job>(), "migrate", "made anew", SOON, |job| (job?.uid()? != before).then_some(())).await;
    world.api::<Job>().delete("migrate", &DeleteParams::background()).await.unwrap();
    fails(&world, "apps", Reason::HookFailed, &["migrate", "it was deleted before it was done"]).await;
}
