//! What the controller makes of a registry's list of tags: long, shared, cut off, shrinking, or not to be had.

use std::time::Duration;

use libtest_mimic::Trial;
use tagboat::api::ImagePolicy;
use tagboat::api::condition::Reason;

use crate::setup::*;
use crate::support::registry::LOGIN;
use crate::support::traffic::Fault;
use crate::support::world::World;
use crate::support::{private_registry, trial};

pub fn trials() -> Vec<Trial> {
    vec![
        trial("lists: ten thousand tags", ten_thousand_tags),
        trial("lists: an unchanged list costs one request and no write", an_unchanged_list_is_free),
        trial("lists: one scan for all who see the same", one_scan_for_all_who_see_the_same),
        trial("lists: the choice outlives the registry", the_choice_outlives_the_registry),
        trial("lists: a part of a list decides nothing", a_part_of_a_list_decides_nothing),
        trial("lists: a deleted tag is no downgrade", a_deleted_tag_is_no_downgrade),
    ]
}

async fn ten_thousand_tags(world: World) {
    let (repository, start) = (world.repository("big"), world.cluster.audit().mark());
    world.registry.push_many(&repository, (0..10_000).map(|n| format!("1.0.{n}"))).await;
    image_policy(&world, "newest", "big", &format!("interval: 1h, {NEWEST}")).await;
    let _tagboat = world.tagboat().await;
    let policy = chosen(&world, "newest", "1.0.9999").await;
    assert_eq!(policy.status.unwrap().last_scan.unwrap().tags, 10_000);
    let pages = world.registry.lists(&repository);
    assert!((10..=11).contains(&pages), "{pages} requests");

    // The same list serves who comes later.
    image_policy(&world, "old", "big", "interval: 1h, policy: {semver: {range: '<1.0.5000'}}").await;
    chosen(&world, "old", "1.0.4999").await;
    assert_eq!(world.registry.lists(&repository), pages);
    let told = || writes(&world, start).iter().filter(|write| write.starts_with("create events/")).count();
    asked("events, one for each choice", 2, told).await;

    let mark = world.cluster.audit().mark();
    request::<ImagePolicy>(&world, "newest", "now").await;
    asked("the pages", 2 * pages, || world.registry.lists(&repository)).await;
    asked("the answer", 1, || writes(&world, mark).len()).await;
    let policy = world.api::<ImagePolicy>().get("newest").await.unwrap();
    assert_eq!(policy.status.unwrap().last_handled_reconcile_at.as_deref(), Some("now"));
    assert_eq!(world.registry.lists(&repository), 2 * pages);
    assert_eq!(writes(&world, mark), ["patch imagepolicies/newest/status"], "the answer to the request only");
}

async fn an_unchanged_list_is_free(world: World) {
    world.push("app", &["1.0.0", "1.1.0"]).await;
    image_policy(&world, "app", "app", NEWEST).await;
    let repository = world.repository("app");
    let _tagboat = world.tagboat().await;
    event(&world, "app", Reason::Chosen, &["1.1.0"]).await;
    let before = world.registry.lists(&repository) + 1;
    asked("the list", before, || world.registry.lists(&repository)).await;
    let (mark, begin) = (world.cluster.audit().mark(), std::time::Instant::now());
    asked("the list", before + 4, || world.registry.lists(&repository)).await;
    assert!(begin.elapsed() > Duration::from_millis(2500), "one request a second: {:?}", begin.elapsed());
    assert!(writes(&world, mark).is_empty(), "{:?}", writes(&world, mark));
    let other = world.registry.requests(&repository) - world.registry.lists(&repository);
    assert_eq!(other, 1, "besides the lists, one look at the image before it was chosen");
}

async fn one_scan_for_all_who_see_the_same(world: World) {
    let registry = private_registry().await;
    let repository = world.repository("app");
    for tag in ["1.0.0", "1.1.0", "2.0.0"] {
        registry.push(&repository, tag).await;
    }
    // Two Secrets with the same login, and one with another.
    world.registry_secret("one", &registry.host, LOGIN).await;
    world.registry_secret("two", &registry.host, LOGIN).await;
    world.registry_secret("stranger", &registry.host, (LOGIN.0, "guess")).await;
    let policy = async |name: &str, secret: &str, range: &str| {
        let spec = format!(
            "{{image: '{}/{repository}', insecure: true, interval: 1h, secretRef: {{name: {secret}}}, policy: {{semver: {{range: '{range}'}}}}}}",
            registry.host
        );
        apply(&world, "ImagePolicy", name, &spec).await;
    };
    policy("a", "one", "*").await;
    policy("b", "one", "<2.0.0").await;
    policy("c", "two", "1.0.x").await;
    let tagboat = world.tagboat().await;
    chosen(&world, "a", "2.0.0").await;
    chosen(&world, "b", "1.1.0").await;
    chosen(&world, "c", "1.0.0").await;
    let requests = registry.traffic().requests(&repository);
    assert!(registry.lists(&repository) <= 2, "a question that is refused, and the list: {requests:?}");
    assert_eq!(
        requests.len() - registry.lists(&repository),
        3,
        "and a look at each image before it was chosen: {requests:?}"
    );

    policy("stranger", "stranger", "*").await;
    let refused: ImagePolicy = ready(&world, "stranger", "False", Reason::RegistryAuthenticationFailed).await;
    assert_eq!(latest(&refused), None, "nobody sees a list that another login saw");
    assert!(!message(&refused).contains("guess"), "{}", message(&refused));
    let log = tagboat.log();
    assert!(!log.contains("guess") && !log.contains(LOGIN.1), "no secret in the log");

    policy("missing", "nowhere", "*").await;
    let missing: ImagePolicy = ready(&world, "missing", "False", Reason::InvalidSecret).await;
    assert!(message(&missing).contains("nowhere"), "{}", message(&missing));
}

async fn the_choice_outlives_the_registry(world: World) {
    world.push("app", &["1.0.0"]).await;
    image_policy(&world, "app", "app", NEWEST).await;
    let launch = world.launch();
    let tagboat = world.run(&launch).await;
    chosen(&world, "app", "1.0.0").await;

    let repository = world.repository("app");
    world.registry.down(&repository, true);
    let failed: ImagePolicy = ready(&world, "app", "False", Reason::ScanFailed).await;
    assert_eq!(latest(&failed).as_deref(), Some("1.0.0"));
    assert!(message(&failed).contains("503"), "{}", message(&failed));
    event(&world, "app", Reason::ScanFailed, &["503"]).await;

    // A controller that starts while the registry is down stands by the choice too.
    assert_eq!(tagboat.terminate().await, 0);
    let before = world.registry.lists(&repository);
    let _tagboat = world.run(&launch).await;
    asked("the list", before + 2, || world.registry.lists(&repository)).await;
    let still: ImagePolicy = ready(&world, "app", "False", Reason::ScanFailed).await;
    assert_eq!(latest(&still).as_deref(), Some("1.0.0"));

    world.registry.push(&repository, "1.1.0").await;
    world.registry.down(&repository, false);
    chosen(&world, "app", "1.1.0").await;
    ready::<ImagePolicy>(&world, "app", "True", Reason::Succeeded).await;
}

async fn a_part_of_a_list_decides_nothing(world: World) {
    // 1,500 tags make two pages of 1,000; the newest stands on the second one.
    let repository = world.repository("app");
    world.registry.push_many(&repository, (0..1500).map(|n| format!("1.0.{n}"))).await;
    world.push("app", &["2.0.0"]).await;
    let traffic = world.registry.traffic();

    traffic.fault(&repository, Some(Fault::Truncate));
    image_policy(&world, "app", "app", NEWEST).await;
    let _tagboat = world.tagboat().await;
    let failed: ImagePolicy = ready(&world, "app", "False", Reason::ScanFailed).await;
    assert_eq!(latest(&failed), None, "{failed:?}");
    let before = world.registry.lists(&repository);
    asked("the list", before + 2, || world.registry.lists(&repository)).await;

    // The first page arrives, the second does not: the fault is set while the first is on its way.
    traffic.slow(&repository, Duration::from_millis(300));
    for _ in 0..2 {
        traffic.fault(&repository, None);
        let is_first = |path: &str| !path.contains("last=");
        let firsts = || traffic.requests(&repository).iter().filter(|request| is_first(&request.path)).count();
        let before = firsts();
        asked("the first page", before + 1, firsts).await;
        traffic.fault(&repository, Some(Fault::Status(500)));
        let seconds = || traffic.requests(&repository).len() - firsts();
        asked("the second page", seconds() + 1, seconds).await;
        request::<ImagePolicy>(&world, "app", &format!("after {before}")).await;
    }
    let policy: ImagePolicy = ready(&world, "app", "False", Reason::ScanFailed).await;
    assert_eq!(latest(&policy), None, "half a list was taken for a whole one");

    traffic.slow(&repository, Duration::ZERO);
    traffic.fault(&repository, None);
    let policy = chosen(&world, "app", "2.0.0").await;
    assert_eq!(policy.status.unwrap().last_scan.unwrap().tags, 1501);
}

async fn a_deleted_tag_is_no_downgrade(world: World) {
    world.push("app", &["1.0.0", "1.1.0"]).await;
    let repo = world.repo("fleet", &[("app.yaml", &marked(&world, "app", "1.0.0"))]);
    config_repo(&world, &repo).await;
    image_policy(&world, "app", "app", NEWEST).await;
    image_update(&world, "batchWindow: 10ms").await;
    let launch = world.launch();
    let mut tagboat = world.run(&launch).await;
    in_git(&repo, "app.yaml", ":1.1.0 ").await;
    let head = repo.head();

    let repository = world.repository("app");
    world.registry.delete(&repository, "1.1.0").await;
    for _ in 0..2 {
        let policy: ImagePolicy = ready(&world, "app", "True", Reason::DowngradeRefused).await;
        assert_eq!(latest(&policy).as_deref(), Some("1.1.0"));
        assert!(message(&policy).contains("1.1.0"), "{}", message(&policy));
        let before = world.registry.lists(&repository);
        asked("the list", before + 3, || world.registry.lists(&repository)).await;
        let policy = world.api::<ImagePolicy>().get("app").await.unwrap();
        assert_eq!(latest(&policy).as_deref(), Some("1.1.0"));
        assert_eq!(repo.head(), head);
        assert_eq!(tagboat.terminate().await, 0);
        tagboat = world.run(&launch).await;
    }
    world.push("app", &["1.2.0"]).await;
    in_git(&repo, "app.yaml", ":1.2.0 ").await;
    ready::<ImagePolicy>(&world, "app", "True", Reason::Succeeded).await;
}
