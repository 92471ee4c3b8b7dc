//! A list of tags that gets shorter: what was deleted on purpose, what a registry lost, and what a controller that starts anew
//! makes of it. The choice never goes back unless it may.

use std::time::Duration;

use chrono::Utc;
use libtest_mimic::Trial;
use tagboat::api::ImagePolicy;
use tagboat::api::condition::Reason;

use crate::setup::*;
use crate::support::trial;
use crate::support::wait::eventually;
use crate::support::world::World;

pub fn trials() -> Vec<Trial> {
    vec![
        trial("shrinking: a downgrade is refused until it is allowed", a_downgrade_is_refused_until_it_is_allowed),
        trial("shrinking: many tags gone at once are believed later", many_tags_gone_are_believed_later),
        trial("shrinking: a registry that was emptied", a_registry_that_was_emptied),
        trial("shrinking: another registry behind the same name", another_registry_behind_the_same_name),
        trial("shrinking: a restart in the middle of a loss", a_restart_in_the_middle_of_a_loss),
        trial("shrinking: killed in the middle of scans", killed_in_the_middle_of_scans),
        trial("shrinking: a gate that opens in a loss wakes once", a_gate_that_opens_in_a_loss_wakes_once),
    ]
}

/// Pushes 1.0.0 to 1.0.9, the newest of which is chosen; a downgrade is allowed.
async fn ten_tags(world: &World, interval: &str) {
    let tags = (0..10).map(|n| format!("1.0.{n}"));
    world.registry.push_many(&world.repository("app"), tags).await;
    image_policy(world, "app", "app", &format!("interval: {interval}, {NEWEST}, allowDowngrade: true")).await;
}

async fn delete(world: &World, tags: impl IntoIterator<Item = &str>) {
    for tag in tags {
        world.registry.delete(&world.repository("app"), tag).await;
    }
}

/// Deletes tags, and lets no scan see them half deleted.
async fn lose(world: &World, tags: &[&str]) {
    let repository = world.repository("app");
    world.registry.down(&repository, true);
    // What passed before the registry went down has been answered when the next question is refused.
    let before = world.registry.requests(&repository);
    request::<ImagePolicy>(world, "app", &format!("down after {before}")).await;
    ready::<ImagePolicy>(world, "app", "False", Reason::ScanFailed).await;
    delete(world, tags.iter().copied()).await;
    world.registry.down(&repository, false);
}

const FIVE: [&str; 5] = ["1.0.5", "1.0.6", "1.0.7", "1.0.8", "1.0.9"];

async fn a_downgrade_is_refused_until_it_is_allowed(world: World) {
    world.push("app", &["1.0.0", "1.1.0", "1.2.0"]).await;
    let repo = world.repo("fleet", &[("app.yaml", &marked(&world, "app", "1.0.0"))]);
    config_repo(&world, &repo).await;
    image_update(&world, "batchWindow: 10ms").await;
    image_policy(&world, "app", "app", NEWEST).await;
    let _tagboat = world.tagboat().await;
    in_git(&repo, "app.yaml", ":1.2.0 ").await;
    delete(&world, ["1.2.0"]).await;
    let held: ImagePolicy = ready(&world, "app", "True", Reason::DowngradeRefused).await;
    assert_eq!(latest(&held).as_deref(), Some("1.2.0"));
    event(&world, "app", Reason::DowngradeRefused, &["1.1.0", "1.2.0", "no longer listed"]).await;

    image_policy(&world, "app", "app", &format!("{NEWEST}, allowDowngrade: true")).await;
    in_git(&repo, "app.yaml", ":1.1.0 ").await;
    delete(&world, ["1.1.0"]).await;
    in_git(&repo, "app.yaml", ":1.0.0 ").await;
    assert_eq!(bumps(&repo.log()).len(), 3);
}

async fn many_tags_gone_are_believed_later(world: World) {
    ten_tags(&world, "1s").await;
    let repository = world.repository("app");
    let _tagboat = world.tagboat().await;
    chosen(&world, "app", "1.0.9").await;
    lose(&world, &FIVE).await;
    let shrank: ImagePolicy = ready(&world, "app", "True", Reason::ListShrank).await;
    let lists = world.registry.lists(&repository);
    assert_eq!(latest(&shrank).as_deref(), Some("1.0.9"));
    assert_eq!(shrank.status.as_ref().unwrap().last_scan.as_ref().unwrap().tags, 10, "the last list that was believed");
    assert!(message(&shrank).starts_with("5 of 10 tags are gone at once"), "{}", message(&shrank));
    event(&world, "app", Reason::ListShrank, &["5 of 10 tags"]).await;

    let policy = chosen(&world, "app", "1.0.4").await;
    let later = world.registry.lists(&repository) - lists;
    assert!((2..=4).contains(&later), "three later scans, {later} of them since it was seen");
    assert_eq!(policy.status.unwrap().last_scan.unwrap().tags, 5);
    ready::<ImagePolicy>(&world, "app", "True", Reason::Succeeded).await;
}

async fn a_registry_that_was_emptied(world: World) {
    ten_tags(&world, "1s").await;
    let _tagboat = world.tagboat().await;
    chosen(&world, "app", "1.0.9").await;
    let all = world.registry.tags(&world.repository("app")).await;
    lose(&world, &all.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let shrank: ImagePolicy = ready(&world, "app", "True", Reason::ListShrank).await;
    assert!(message(&shrank).starts_with("all 10 tags are gone at once"), "{}", message(&shrank));
    // When it is believed, there is nothing better all the same.
    let empty: ImagePolicy = ready(&world, "app", "True", Reason::DowngradeRefused).await;
    assert_eq!(latest(&empty).as_deref(), Some("1.0.9"));
    world.push("app", &["1.0.3"]).await;
    chosen(&world, "app", "1.0.3").await;
}

async fn another_registry_behind_the_same_name(world: World) {
    ten_tags(&world, "1s").await;
    let repository = world.repository("app");
    let _tagboat = world.tagboat().await;
    let policy = chosen(&world, "app", "1.0.9").await;
    // As many tags as before, and newer ones, but none of those that were known.
    world.registry.down(&repository, true);
    ready::<ImagePolicy>(&world, "app", "False", Reason::ScanFailed).await;
    let all = world.registry.tags(&repository).await;
    delete(&world, all.iter().map(String::as_str)).await;
    world.registry.push_many(&repository, (0..10).map(|n| format!("7.0.{n}"))).await;
    world.registry.down(&repository, false);
    let shrank: ImagePolicy = ready(&world, "app", "True", Reason::ListShrank).await;
    assert_eq!(shrank.status.as_ref().unwrap().latest_ref, policy.status.unwrap().latest_ref);
    chosen(&world, "app", "7.0.9").await;
}

async fn a_restart_in_the_middle_of_a_loss(world: World) {
    ten_tags(&world, "1h").await;
    let repository = world.repository("app");
    let launch = world.launch();
    let mut tagboat = world.run(&launch).await;
    let first = chosen(&world, "app", "1.0.9").await.status.unwrap();
    tagboat.kill9().await;
    delete(&world, FIVE).await;
    for _ in 0..3 {
        let before = world.registry.lists(&repository);
        tagboat = world.run(&launch).await;
        asked("the list", before + 1, || world.registry.lists(&repository)).await;
        let policy: ImagePolicy = ready(&world, "app", "True", Reason::ListShrank).await;
        let status = policy.status.unwrap();
        assert_eq!((&status.latest_ref, &status.chosen_at), (&first.latest_ref, &first.chosen_at));
        assert_eq!(status.last_scan, first.last_scan, "how long it was is not forgotten");
        tagboat.kill9().await;
    }
    world.push("app", &FIVE).await;
    let _tagboat = world.run(&launch).await;
    let policy: ImagePolicy = ready(&world, "app", "True", Reason::Succeeded).await;
    assert_eq!(policy.status.unwrap().chosen_at, first.chosen_at);
}

async fn killed_in_the_middle_of_scans(world: World) {
    // Two pages, the newest on the second one.
    let repository = world.repository("app");
    world.registry.push_many(&repository, (0..1200).map(|n| format!("1.0.{n}"))).await;
    world.push("app", &["2.0.0"]).await;
    image_policy(&world, "app", "app", &format!("{NEWEST}, allowDowngrade: true")).await;
    let launch = world.launch();
    let tagboat = world.run(&launch).await;
    let first = chosen(&world, "app", "2.0.0").await.status.unwrap();
    tagboat.kill9().await;

    let traffic = world.registry.traffic();
    traffic.slow(&repository, Duration::from_millis(100));
    for round in 0..6 {
        let before = world.registry.lists(&repository);
        let tagboat = launch.start_unready();
        // Before the answer, between the pages, or right after.
        asked("a page", before + 1 + round % 3, || world.registry.lists(&repository)).await;
        tagboat.kill9().await;
        let policy = world.api::<ImagePolicy>().get("app").await.unwrap();
        let status = policy.status.unwrap();
        assert_eq!((&status.latest_ref, &status.chosen_at), (&first.latest_ref, &first.chosen_at), "round {round}");
    }
    traffic.slow(&repository, Duration::ZERO);
    let _tagboat = world.run(&launch).await;
    scanned(&world, &repository, 3).await;
    let status = world.api::<ImagePolicy>().get("app").await.unwrap().status.unwrap();
    assert_eq!((status.latest_ref, status.chosen_at), (first.latest_ref, first.chosen_at));
}

async fn a_gate_that_opens_in_a_loss_wakes_once(world: World) {
    ten_tags(&world, "1h").await;
    let tagboat = world.tagboat().await;
    chosen(&world, "app", "1.0.9").await;
    image_policy(&world, "app", "app", &format!("interval: 1h, {NEWEST}, gates: {{minAge: 5s}}")).await;
    world.push("app", &["2.0.0"]).await;
    request::<ImagePolicy>(&world, "app", "a new tag").await;
    let (_, waiting) = ruled(&world, "app", "2.0.0", "minAge").await;
    delete(&world, FIVE).await;
    request::<ImagePolicy>(&world, "app", "a loss").await;
    ready::<ImagePolicy>(&world, "app", "True", Reason::ListShrank).await;

    let opened = waiting.until.unwrap() + chrono::TimeDelta::seconds(2);
    eventually("the gate is open for two seconds", SOON, || async {
        if Utc::now() > opened { Ok(()) } else { Err("not yet") }
    })
    .await;
    let metrics = tagboat.get("/metrics").await;
    let is_it = |line: &&str| line.starts_with("tagboat_reconciles_total{kind=\"ImagePolicy\",outcome=\"ok\"}");
    let runs: u32 = metrics.lines().find(is_it).unwrap().rsplit(' ').next().unwrap().parse().unwrap();
    assert!(runs < 20, "{runs} runs");
}
