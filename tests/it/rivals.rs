//! Two writers who want one value to differ: they stop after a few steps, and say who the other one is.

use libtest_mimic::Trial;
use tagboat::api::ImageUpdate;
use tagboat::api::condition::Reason;

use crate::setup::*;
use crate::support::git::Repo;
use crate::support::trial;
use crate::support::wait::wait_for;
use crate::support::world::World;

pub fn trials() -> Vec<Trial> {
    vec![
        trial("rivals: two policies write one value", two_policies_write_one_value),
        trial("rivals: another cluster writes with the same policy", another_cluster_writes_with_the_same_policy),
    ]
}

/// Waits for the problem of an ImageUpdate, and that it told of it.
async fn told(world: &World, update: &str, words: &str) {
    let object = ready::<ImageUpdate>(world, update, "False", Reason::UpdateProblems).await;
    let problems = object.status.unwrap().problems;
    assert!(
        problems.iter().any(|problem| problem.file == "app.yaml" && problem.reason.contains(words)),
        "{problems:?}"
    );
    event(world, update, Reason::UpdateProblems, &["app.yaml:1: two writers: ", words]).await;
}

/// More commits of people change nothing.
async fn stays(world: &World, repo: &Repo) {
    let written = robots(&repo.log()).len();
    let head = repo.commit(&[("README.md", "hello\n")], "readme");
    wait_for(&world.api::<ImageUpdate>(), "fleet", "the head seen", SOON, |update| {
        let seen = update?.status.as_ref()?.observed_revision.as_ref()?;
        seen.to_string().ends_with(&head).then_some(())
    })
    .await;
    assert_eq!((repo.head(), robots(&repo.log()).len()), (head, written));
}

async fn two_policies_write_one_value(world: World) {
    world.push("app", &["1.0.0", "1.1.0", "1.2.0"]).await;
    let repo = world.repo("fleet", &[("app.yaml", &marked(&world, "app", "1.0.0"))]);
    config_repo(&world, &repo).await;
    image_policy(&world, "app", "app", NEWEST).await;
    image_policy(&world, "other", "app", "policy: {semver: {range: '<1.2.0'}}").await;
    image_update(&world, "batchWindow: 10ms").await;
    let _tagboat = world.tagboat().await;
    in_git(&repo, "app.yaml", ":1.2.0 ").await;

    let target = "{configRepoRef: {name: fleet}, path: none, targets: [{file: app.yaml, key: image, policy: other}]}";
    apply(&world, "ImageUpdate", "other", target).await;
    in_git(&repo, "app.yaml", ":1.1.0 ").await;
    told(&world, "fleet", &format!("policy {}:other writes this value too", world.namespace)).await;
    ready::<ImageUpdate>(&world, "other", "True", Reason::Succeeded).await;
    stays(&world, &repo).await;
    assert_eq!(robots(&repo.log()).len(), 2);
}

async fn another_cluster_writes_with_the_same_policy(world: World) {
    world.push("app", &["1.0.0"]).await;
    let repo = world.repo("fleet", &[("app.yaml", &marked(&world, "app", "1.0.0"))]);
    config_repo(&world, &repo).await;
    image_policy(&world, "app", "app", NEWEST).await;
    image_update(&world, "batchWindow: 10ms").await;
    let _tagboat = world.tagboat().await;
    ready::<ImageUpdate>(&world, "fleet", "True", Reason::Succeeded).await;
    world.push("app", &["1.1.0"]).await;
    let (old, new) = (format!("{}:1.0.0", world.image("app")), format!("{}:1.1.0", world.image("app")));
    let theirs = format!(
        "update app to 1.0.0\n\nTagboat-Update: [\"{}:app\",\"app.yaml\",1,\"image\",\"{new}\",\"{old}\"]",
        world.namespace
    );
    for _ in 0..2 {
        in_git(&repo, "app.yaml", ":1.1.0 ").await;
        repo.commit(&[("app.yaml", &marked(&world, "app", "1.0.0"))], &theirs);
    }
    told(&world, "fleet", "another tagboat with a policy of this name goes back and forth").await;
    stays(&world, &repo).await;
}
