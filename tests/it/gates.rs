//! What must hold before a newer choice is taken: it waits, wakes by itself, says so, and passes the choice on to the next best tag.

use chrono::{DateTime, Datelike, TimeDelta, Utc};
use libtest_mimic::Trial;
use serde_json::json;
use tagboat::api::ImagePolicy;
use tagboat::api::condition::Reason;

use crate::setup::*;
use crate::support::cosign::{Form, Signer};
use crate::support::git::Repo;
use crate::support::registry::Build;
use crate::support::trial;
use crate::support::world::World;

pub fn trials() -> Vec<Trial> {
    vec![
        trial("gates: a tag waits for its age and is taken without a poll", a_tag_waits_for_its_age),
        trial("gates: a wait outlives the controller", a_wait_outlives_the_controller),
        trial("gates: a tag that moves waits anew", a_tag_that_moves_waits_anew),
        trial("gates: a window that is closed holds", a_window_that_is_closed_holds),
        trial("gates: an image for other platforms is passed over", other_platforms_are_passed_over),
        trial("gates: a tag without a manifest is passed over", a_tag_without_a_manifest_is_passed_over),
        trial("gates: exactly what was signed is written", exactly_what_was_signed_is_written),
        trial("gates: keys that are taken away count no more", keys_that_are_taken_away_count_no_more),
    ]
}

/// Everything for an app that runs 1.0.0.
async fn runs_1_0_0(world: &World, interval: &str) -> Repo {
    world.push("app", &["1.0.0"]).await;
    let repo = world.repo("fleet", &[("app.yaml", &marked(world, "app", "1.0.0"))]);
    config_repo(world, &repo).await;
    image_policy(world, "app", "app", &format!("interval: {interval}, {NEWEST}")).await;
    image_update(world, "batchWindow: 10ms").await;
    repo
}

async fn gates(world: &World, interval: &str, gates: &str) {
    image_policy(world, "app", "app", &format!("interval: {interval}, {NEWEST}, gates: {{{gates}}}")).await;
}

fn chosen_at(policy: &ImagePolicy) -> DateTime<Utc> {
    policy.status.as_ref().unwrap().chosen_at.unwrap()
}

async fn a_tag_waits_for_its_age(world: World) {
    let repo = runs_1_0_0(&world, "1h").await;
    let _tagboat = world.tagboat().await;
    chosen(&world, "app", "1.0.0").await;
    let head = repo.head();
    gates(&world, "1h", "minAge: 5s").await;
    let digest = world.registry.push(&world.repository("app"), "1.1.0").await;
    request::<ImagePolicy>(&world, "app", "now").await;

    let (policy, waiting) = ruled(&world, "app", "1.1.0", "minAge").await;
    let lists = world.registry.lists(&world.repository("app"));
    assert_eq!(latest(&policy).as_deref(), Some("1.0.0"));
    assert_eq!((waiting.verdict.as_str(), waiting.digest.unwrap().as_str()), ("waiting", digest.as_str()));
    let (first_seen, until) = (waiting.first_seen.unwrap(), waiting.until.unwrap());
    assert_eq!(until - first_seen, TimeDelta::seconds(5));
    assert!(message(&policy).contains("1.1.0 waits for minAge"), "{}", message(&policy));
    assert!(message(&policy).contains(&format!("{until:?}")), "{}", message(&policy));
    event(&world, "app", Reason::WaitingForGate, &["1.1.0", "minAge"]).await;
    assert_eq!(repo.head(), head, "nothing is written before");

    in_git(&repo, "app.yaml", ":1.1.0 ").await;
    let policy = chosen(&world, "app", "1.1.0").await;
    assert!(chosen_at(&policy) >= until, "{policy:?}");
    assert!(chosen_at(&policy) - until < TimeDelta::seconds(20), "long before the next poll: {policy:?}");
    assert_eq!(world.registry.lists(&world.repository("app")), lists, "the list of before will do");
    assert_eq!(bumps(&repo.log()).len(), 1);
    event(&world, "app", Reason::Chosen, &["1.1.0"]).await;
}

async fn a_wait_outlives_the_controller(world: World) {
    runs_1_0_0(&world, "1h").await;
    let launch = world.launch();
    let tagboat = world.run(&launch).await;
    chosen(&world, "app", "1.0.0").await;
    gates(&world, "1h", "minAge: 8s").await;
    world.push("app", &["1.1.0"]).await;
    request::<ImagePolicy>(&world, "app", "now").await;
    let (_, before) = ruled(&world, "app", "1.1.0", "minAge").await;

    tagboat.kill9().await;
    let repository = world.repository("app");
    let lists = world.registry.lists(&repository);
    let _tagboat = world.run(&launch).await;
    asked("the list, by the new controller", lists + 1, || world.registry.lists(&repository)).await;
    request::<ImagePolicy>(&world, "app", "again").await;
    let policy = crate::support::wait::wait_for(&world.api::<ImagePolicy>(), "app", "the answer", SOON, |policy| {
        let handled = policy?.status.as_ref()?.last_handled_reconcile_at.as_deref() == Some("again");
        handled.then(|| policy.cloned())?
    })
    .await;
    if latest(&policy).as_deref() == Some("1.0.0") {
        assert_eq!(ruled(&world, "app", "1.1.0", "minAge").await.1, before);
    }
    let policy = chosen(&world, "app", "1.1.0").await;
    assert!(chosen_at(&policy) >= before.until.unwrap(), "{before:?} {policy:?}");
}

async fn a_tag_that_moves_waits_anew(world: World) {
    runs_1_0_0(&world, "1s").await;
    let _tagboat = world.tagboat().await;
    chosen(&world, "app", "1.0.0").await;
    gates(&world, "1s", "minAge: 4s").await;
    let repository = world.repository("app");
    let first = world.registry.push(&repository, "1.1.0").await;
    let (_, waiting) = ruled(&world, "app", "1.1.0", "minAge").await;
    assert_eq!(waiting.digest.unwrap().as_str(), first);

    let second = world.registry.push_variant(&repository, "1.1.0", "moved").await;
    let what = "1.1.0 waits with another digest";
    let moved = crate::support::wait::wait_for(&world.api::<ImagePolicy>(), "app", what, SOON, |policy| {
        assert_eq!(latest(policy?).as_deref(), Some("1.0.0"), "what moved has not been here for so long");
        let mut verdicts = policy?.status.as_ref()?.verdicts.iter();
        verdicts.find(|verdict| verdict.digest.as_ref().is_some_and(|digest| digest.as_str() == second)).cloned()
    })
    .await;
    assert!(moved.first_seen > waiting.first_seen, "{moved:?}");
    assert_eq!((moved.tag.as_str(), moved.rule.as_str()), ("1.1.0", "minAge"));
    let policy = chosen(&world, "app", "1.1.0").await;
    assert!(chosen_at(&policy) >= moved.until.unwrap(), "{moved:?} {policy:?}");
}

async fn a_window_that_is_closed_holds(world: World) {
    let repo = runs_1_0_0(&world, "1s").await;
    let _tagboat = world.tagboat().await;
    chosen(&world, "app", "1.0.0").await;
    // Midnight in Tokyo, which knows no summer time: 15:00 of the day before in UTC.
    let far = (Utc::now() + TimeDelta::days(60)).date_naive();
    let closed = format!("{{schedule: '0 0 {} {} *', duration: 1h, timezone: Asia/Tokyo}}", far.day(), far.month());
    let opens = far.and_hms_opt(0, 0, 0).unwrap().and_utc() - TimeDelta::hours(9);
    gates(&world, "1s", &format!("windows: [{closed}]")).await;
    world.push("app", &["1.1.0"]).await;

    let (policy, waiting) = ruled(&world, "app", "1.1.0", "windows").await;
    assert_eq!((waiting.verdict.as_str(), waiting.until), ("waiting", Some(opens)));
    let when = format!("{opens:?}");
    assert!(message(&policy).contains("1.1.0 waits for windows") && message(&policy).contains(&when), "{policy:?}");
    event(&world, "app", Reason::WaitingForGate, &["1.1.0", "windows", &when]).await;
    scanned(&world, &world.repository("app"), 2).await;
    assert_eq!(latest(&world.api::<ImagePolicy>().get("app").await.unwrap()).as_deref(), Some("1.0.0"));
    assert!(repo.file_at_head("app.yaml").unwrap().contains(":1.0.0 "));

    gates(&world, "1s", &format!("windows: [{closed}, {{schedule: '* * * * *', duration: 2m}}]")).await;
    in_git(&repo, "app.yaml", ":1.1.0 ").await;
    let policy: ImagePolicy = ready(&world, "app", "True", Reason::Succeeded).await;
    assert!(!message(&policy).contains("waits"), "{}", message(&policy));

    gates(&world, "1s", "windows: [{schedule: 'at night', duration: 1h}]").await;
    let invalid: ImagePolicy = ready(&world, "app", "False", Reason::InvalidSpec).await;
    assert!(message(&invalid).contains("spec.gates.windows[0].schedule"), "{}", message(&invalid));
    assert_eq!(latest(&invalid).as_deref(), Some("1.1.0"), "what was chosen stays");
}

async fn other_platforms_are_passed_over(world: World) {
    let repository = world.repository("app");
    world.registry.push_build(&repository, "1.0.0", &Build::on("linux/amd64")).await;
    world.registry.push_build(&repository, "1.1.0", &Build::on("linux/arm64")).await;
    image_policy(&world, "app", "app", &format!("{NEWEST}, platforms: [linux/amd64]")).await;
    image_policy(&world, "none", "app", &format!("{NEWEST}, platforms: [windows/amd64]")).await;
    let _tagboat = world.tagboat().await;
    chosen(&world, "app", "1.0.0").await;
    let (_, refused) = ruled(&world, "app", "1.1.0", "platforms").await;
    assert_eq!(refused.verdict, "refused");
    assert!(refused.reason.contains("linux/amd64") && refused.reason.contains("linux/arm64"), "{refused:?}");
    let none: ImagePolicy = ready(&world, "none", "False", Reason::NoTagAllowed).await;
    assert!(message(&none).contains("windows/amd64"), "{}", message(&none));

    // Of several, all must be there, and the variant counts.
    image_policy(&world, "app", "app", &format!("{NEWEST}, platforms: [linux/amd64, linux/arm/v7]")).await;
    let index = |variants: &[&'static str]| variants.iter().map(|platform| Build::on(platform)).collect::<Vec<_>>();
    let lacking = index(&["linux/amd64", "linux/arm/v6"]);
    world.registry.push_index(&repository, "1.2.0", &lacking).await;
    let (policy, refused) = ruled(&world, "app", "1.2.0", "platforms").await;
    assert!(refused.reason.contains("not built for linux/arm/v7"), "{refused:?}");
    assert_eq!(latest(&policy).as_deref(), Some("1.0.0"));
    world.registry.push_index(&repository, "1.1.1", &index(&["linux/arm/v7", "linux/amd64"])).await;
    chosen(&world, "app", "1.1.1").await;
}

async fn a_tag_without_a_manifest_is_passed_over(world: World) {
    let repo = runs_1_0_0(&world, "1s").await;
    let repository = world.repository("app");
    world.registry.traffic().lose(&repository, Some("/manifests/1.2.0"));
    world.push("app", &["1.1.0", "1.2.0"]).await;
    let _tagboat = world.tagboat().await;
    in_git(&repo, "app.yaml", ":1.1.0 ").await;
    let (_, refused) = ruled(&world, "app", "1.2.0", "manifest").await;
    assert_eq!(refused.verdict, "refused");
    scanned(&world, &repository, 2).await;
    let policy = world.api::<ImagePolicy>().get("app").await.unwrap();
    assert_eq!(latest(&policy).as_deref(), Some("1.1.0"));

    world.registry.traffic().lose(&repository, None);
    in_git(&repo, "app.yaml", ":1.2.0 ").await;
    assert_eq!(bumps(&repo.log()).len(), 2);
}

const SIGNED: &str = "verify: {cosign: {secretRef: {name: keys}}}";

async fn exactly_what_was_signed_is_written(world: World) {
    let repository = world.repository("app");
    let signer = Signer::new().await;
    world.secret("keys", "Opaque", json!({"release.pub": signer.public_key()})).await;
    let repo = world.repo("fleet", &[("app.yaml", &marked(&world, "app", "0.9.0"))]);
    config_repo(&world, &repo).await;
    image_update(&world, "batchWindow: 10ms").await;
    let signed = world.registry.push(&repository, "1.0.0").await;
    signer.sign(world.registry, &repository, &signed, Form::Tag).await;
    let unsigned = world.registry.push(&repository, "1.1.0").await;
    gates(&world, "1s", SIGNED).await;
    let _tagboat = world.tagboat().await;

    in_git(&repo, "app.yaml", &format!(":1.0.0@{signed} ")).await;
    let (policy, refused) = ruled(&world, "app", "1.1.0", "verify").await;
    assert_eq!((latest(&policy).as_deref(), pinned(&policy)), (Some("1.0.0"), Some(signed.clone())));
    assert_eq!((refused.verdict.as_str(), refused.digest.unwrap().as_str()), ("refused", unsigned.as_str()));
    assert!(refused.reason.contains("has no signature"), "{}", refused.reason);

    // A tag that was moved after it was signed is another image.
    signer.sign(world.registry, &repository, &unsigned, Form::Tag).await;
    in_git(&repo, "app.yaml", &format!(":1.1.0@{unsigned} ")).await;
    let other = world.registry.push_variant(&repository, "1.1.0", "malicious").await;
    scanned(&world, &repository, 2).await;
    assert_eq!(pinned(&world.api::<ImagePolicy>().get("app").await.unwrap()), Some(unsigned));
    assert_eq!(bumps(&repo.log()).len(), 2);
    assert!(!repo.file_at_head("app.yaml").unwrap().contains(&other));
}

async fn keys_that_are_taken_away_count_no_more(world: World) {
    let repository = world.repository("app");
    let (old, new) = (Signer::new().await, Signer::new().await);
    world.secret("keys", "Opaque", json!({"old.pub": old.public_key()})).await;
    let [first, second] =
        [world.registry.push(&repository, "1.0.0").await, world.registry.push(&repository, "2.0.0").await];
    old.sign(world.registry, &repository, &first, Form::Tag).await;
    old.sign(world.registry, &repository, &second, Form::Tag).await;
    gates(&world, "1s", SIGNED).await;
    let _tagboat = world.tagboat().await;
    chosen_as(&world, "app", "2.0.0", &second).await;

    // Everything is chosen anew, by the key that is left.
    world.secret("keys-2", "Opaque", json!({"new.pub": new.public_key()})).await;
    new.sign(world.registry, &repository, &first, Form::Bundle).await;
    let spec = format!("{NEWEST}, gates: {{verify: {{cosign: {{secretRef: {{name: keys-2}}}}}}}}");
    image_policy(&world, "app", "app", &spec.replace('*', "1.x")).await;
    chosen_as(&world, "app", "1.0.0", &first).await;
    image_policy(&world, "app", "app", &spec).await;
    let (policy, refused) = ruled(&world, "app", "2.0.0", "verify").await;
    assert_eq!((latest(&policy).as_deref(), refused.verdict.as_str()), (Some("1.0.0"), "refused"));
    assert!(refused.reason.contains("no trusted key made it"), "{}", refused.reason);
}
