//! A repository that is only applied is read without its history; who writes to it gets all of it, and errs in nothing.

use tagboat::api::ImageUpdate;
use tagboat::api::condition::Reason;

use crate::objects::{config_map, synced};
use crate::setup::*;
use crate::support::git::Repo;
use crate::support::wait::wait_for;
use crate::support::world::World;

/// So many commits, each with so many bytes that nothing makes smaller.
const COMMITS: u64 = 200;
const NOISE: usize = 10_000;

fn noise(mut word: u64) -> String {
    let letter = || {
        word = word.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        char::from(b'0' + (word >> 58) as u8)
    };
    std::iter::repeat_with(letter).take(NOISE).collect()
}

/// Waits until the ImageUpdate has looked at the branch's head, and took it as it is; the commit of the one value that is held.
async fn held(world: &World, repo: &Repo) -> String {
    wait_for(&world.api::<ImageUpdate>(), "fleet", "held at the head", SOON, |update| {
        let status = update?.status.as_ref()?;
        let is_at_head = status.observed_revision.as_ref()?.to_string().ends_with(&repo.head());
        status.holds.first().filter(|_| is_at_head).map(|hold| hold.commit.to_string())
    })
    .await
}

pub async fn read_or_written(world: World) {
    let repo = one_app(&world, "app.yaml").await;
    for n in 0..COMMITS {
        repo.commit(&[("noise.txt", &noise(n))], "noise");
    }
    repo.commit(&[("objects/greeting.yaml", &config_map("greeting", "hello"))], "an object");
    // Somebody writes to it: all is fetched. A person takes the bump back, long ago in the end.
    let launch = world.launch();
    let tagboat = world.run(&launch).await;
    ready::<ImageUpdate>(&world, "fleet", "True", Reason::Succeeded).await;
    let whole = repo.answered();
    world.push("app", &["1.1.0"]).await;
    in_git(&repo, "app.yaml", ":1.1.0 ").await;
    let revert = repo.revert(&repo.head());
    assert_eq!(held(&world, &repo).await, revert);
    tagboat.kill9().await;
    let updates = world.api::<ImageUpdate>();
    updates.delete("fleet", &kube::api::DeleteParams::default()).await.unwrap();
    for n in 0..20 {
        repo.commit(&[("noise.txt", &noise(COMMITS + n))], "noise");
    }

    // An empty data folder, and only a GitSync reads.
    let mut fresh = launch.clone();
    fresh.data_dir.set_extension("fresh");
    git_sync(&world, "path: ./objects, interval: 1h").await;
    let before = (repo.answered(), repo.requests().len());
    let tagboat = world.run(&fresh).await;
    synced(&world, "apps", &repo.head()).await;
    let (head, requests) = (repo.answered() - before.0, repo.requests().len() - before.1);
    let before = repo.answered();
    let next = repo.commit(&[("objects/greeting.yaml", &config_map("greeting", "again"))], "another");
    synced(&world, "apps", &next).await;
    let more = repo.answered() - before;
    println!("{COMMITS} commits: whole {whole} bytes, head {head} in {requests} requests, the next head {more}");
    assert!(whole > COMMITS * 7000 && head < 20_000 && more < 3000, "{whole} {head} {more}");

    // As it was left, and the folder damaged in no way: nothing is fetched.
    tagboat.kill9().await;
    let before = repo.answered();
    let tagboat = world.run(&fresh).await;
    asked("the head", repo.requests().len() + 2, || repo.requests().len()).await;
    assert!(repo.answered() - before < 2000, "only polls");

    // Now somebody writes again: what was taken back stays so, by the history that nobody had fetched.
    let before = repo.answered();
    image_update(&world, "batchWindow: 10ms").await;
    assert_eq!(held(&world, &repo).await, revert);
    assert!(repo.answered() - before > whole, "all of it");
    assert_eq!(repo.head(), next, "nothing was written over it");
    world.push("app", &["1.2.0"]).await;
    in_git(&repo, "app.yaml", ":1.2.0 ").await;
    assert_eq!(bumps(&repo.log()).len(), 2);
    assert!(!tagboat.log().contains("panicked"));
}
