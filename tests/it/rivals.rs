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
        trial("rivals: policies that nothing follows", policies_that_nothing_follows),
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
    let repo = one_app(&world, "app.yaml").await;
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

/// Told by all ImageUpdates that might use them, as long as none does; they stay ready.
async fn policies_that_nothing_follows(world: World) {
    world.push("app", &["1.0.0"]).await;
    let repo = world.repo("fleet", &[("app.yaml", &marked(&world, "app", "1.0.0")), ("b/b.yaml", "image: x\n")]);
    config_repo(&world, &repo).await;
    image_policy(&world, "app", "app", NEWEST).await;
    image_policy(&world, "idle", "app", NEWEST).await;
    image_update(&world, "batchWindow: 10ms").await;
    apply(&world, "ImageUpdate", "other", "{configRepoRef: {name: fleet}, path: b}").await;
    let _tagboat = world.tagboat().await;
    let idle = format!("ImagePolicy {}/idle", world.namespace);
    let tells = |name: &'static str, expected: Vec<String>| {
        let (updates, expected) = (world.api::<ImageUpdate>(), expected);
        async move {
            wait_for(&updates, name, &format!("the problems {expected:?}"), SOON, |update| {
                let problems = &update?.status.as_ref()?.problems;
                let files: Vec<&String> = problems.iter().map(|problem| &problem.file).collect();
                (files == expected.iter().collect::<Vec<_>>()).then_some(())
            })
            .await;
        }
    };
    tells("fleet", vec![idle.clone()]).await;
    tells("other", vec![idle.clone()]).await;
    ready::<ImageUpdate>(&world, "fleet", "True", Reason::Succeeded).await;
    event(&world, "fleet", Reason::UpdateProblems, &[&idle, "no marker and no target names it"]).await;
    // One of them uses it from now on: both are content.
    repo.commit(
        &[("b/b.yaml", &marked(&world, "idle", "1.0.0").replace(&world.image("idle"), &world.image("app")))],
        "use it",
    );
    tells("other", vec![]).await;
    tells("fleet", vec![]).await;
}
