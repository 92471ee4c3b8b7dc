//! Hooks: work that is done before and after an app is applied, and when that failed.

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::ConfigMap;
use libtest_mimic::Trial;
use serde_json::{Value, json};
use tagboat::api::condition::Reason;

use crate::objects::*;
use crate::setup::*;
use crate::support::trial;
use crate::support::world::World;

pub fn trials() -> Vec<Trial> {
    vec![
        trial("hooked: before and after, once a commit", before_and_after),
        trial("hooked: a failed hook stops what follows", a_failed_hook),
    ]
}

/// A Job that is done at once, or one whose pod runs nowhere, so that its deadline ends it.
fn job(name: &str, annotations: &str, is_good: bool) -> String {
    let more = if is_good { "" } else { "nodeSelector: {nowhere: here}, " };
    let deadline = if is_good { "" } else { "activeDeadlineSeconds: 1, " };
    format!(
        "apiVersion: batch/v1\nkind: Job\nmetadata: {{name: {name}, annotations: {{{annotations}}}}}\n\
         spec: {{backoffLimit: 0, {deadline}template: {{spec: {{{more}restartPolicy: Never, \
         containers: [{{name: main, image: 'example.com/job:1'}}]}}}}}}\n---\n"
    )
}

async fn before_and_after(world: World) {
    let before = job("before", "argocd.argoproj.io/hook: PreSync", true);
    let after =
        job("after", "helm.sh/hook: 'post-install,post-upgrade', helm.sh/hook-delete-policy: hook-succeeded", true);
    let repo = fleet(&world, &[("jobs.yaml", &format!("{before}{after}")), ("a.yaml", &config_map("a", "one"))]).await;
    let mark = world.cluster.audit().mark();
    git_sync(&world, "path: ./").await;
    let tagboat = world.tagboat().await;
    let sync = synced(&world, "apps", &repo.head()).await;
    assert_eq!(sync.status.unwrap().health.unwrap().summary, "1/1");
    assert_eq!(
        acts(&world, mark),
        ["patch jobs/before", "patch configmaps/a", "patch jobs/after", "delete jobs/after"]
    );
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
    assert_eq!(acts(&world, mark), ["patch configmaps/a"]);
    let mark = world.cluster.audit().mark();
    let commit = repo.commit(&[("a.yaml", &config_map("a", "three"))], "three");
    synced(&world, "apps", &commit).await;
    let expected =
        ["delete jobs/before", "patch jobs/before", "patch configmaps/a", "patch jobs/after", "delete jobs/after"];
    assert_eq!(acts(&world, mark), expected);
    let commit = repo.remove(&["jobs.yaml"], "no hooks");
    synced(&world, "apps", &commit).await;
    exists::<Job>(&world, "before", false).await;
}

async fn a_failed_hook(world: World) {
    let before = job("before", "tagboat.dev/hook: before", false);
    let failed = job("failed", "argocd.argoproj.io/hook: SyncFail", true);
    let repo = fleet(&world, &[("jobs.yaml", &format!("{before}{failed}")), ("a.yaml", &config_map("a", "one"))]).await;
    git_sync(&world, "path: ./").await;
    let _tagboat = world.tagboat().await;
    let sync = fails(&world, "apps", Reason::HookFailed, &["Job", "before"]).await;
    println!("{}", message(&sync));
    exists::<Job>(&world, "failed", true).await;
    event(&world, "apps", Reason::HookFailed, &["before"]).await;
    assert_eq!(live::<ConfigMap>(&world, "a").await, Value::Null);
    let mended = job("before", "tagboat.dev/hook: before", true);
    let commit = repo.commit(&[("jobs.yaml", &mended)], "mended");
    synced(&world, "apps", &commit).await;
    exists::<ConfigMap>(&world, "a", true).await;
}
