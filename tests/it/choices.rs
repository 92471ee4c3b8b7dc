//! The ways to choose besides versions: by the time of a build, by the digest of a tag that moves; and which digest is written.

use chrono::{DateTime, Utc};
use kube::api::PostParams;
use libtest_mimic::Trial;
use tagboat::api::ImagePolicy;
use tagboat::api::condition::Reason;

use crate::setup::*;
use crate::support::registry::Build;
use crate::support::trial;
use crate::support::world::World;

pub fn trials() -> Vec<Trial> {
    vec![
        trial("choices: the newest build, as config and annotation say", the_newest_build),
        trial("choices: a tag that moves is followed by its digest", a_tag_is_followed_by_its_digest),
        trial("choices: digests once, always or never", digests_once_always_or_never),
        trial("choices: contradictions are refused by the API", contradictions_are_refused_by_the_api),
        trial("choices: what signing tools leave is no choice", what_signing_tools_leave_is_no_choice),
    ]
}

async fn the_newest_build(world: World) {
    let repository = world.repository("app");
    let registry = world.registry;
    registry.push_build(&repository, "red", &Build::created("2026-03-05T00:00:00Z")).await;
    registry.push_build(&repository, "zulu", &Build::created("2026-03-01T00:00:00+02:00")).await;
    image_policy(&world, "app", "app", "policy: {newestBuild: {}}").await;
    let _tagboat = world.tagboat().await;
    let at = |policy: &ImagePolicy| policy.status.as_ref().unwrap().built_at;
    let time = |text: &str| Some(text.parse::<DateTime<Utc>>().unwrap());
    assert_eq!(at(&chosen(&world, "app", "red").await), time("2026-03-05T00:00:00Z"));

    // The annotation counts more than the configuration; what says nothing of its time is no choice.
    let built = Build { annotated: Some("2026-03-09T00:00:00Z"), ..Build::created("2026-03-02T00:00:00Z") };
    registry.push_build(&repository, "alpha", &built).await;
    assert_eq!(at(&chosen(&world, "app", "alpha").await), time("2026-03-09T00:00:00Z"));
    registry.push_build(&repository, "zzz", &Build { created: None, ..Build::new("timeless") }).await;
    let (policy, refused) = ruled(&world, "app", "zzz", "newestBuild").await;
    assert_eq!((latest(&policy).as_deref(), refused.verdict.as_str()), (Some("alpha"), "refused"));

    // A tag that was built anew is another build.
    registry.push_build(&repository, "red", &Build::created("2026-03-10T00:00:00Z")).await;
    assert_eq!(at(&chosen(&world, "app", "red").await), time("2026-03-10T00:00:00Z"));
    registry.delete(&repository, "red").await;
    let held: ImagePolicy = ready(&world, "app", "True", Reason::DowngradeRefused).await;
    assert_eq!(latest(&held).as_deref(), Some("red"));
}

async fn a_tag_is_followed_by_its_digest(world: World) {
    let repository = world.repository("app");
    let first = world.registry.push_variant(&repository, "stable", "first").await;
    world.push("app", &["9.9.9"]).await;
    let repo = world.repo("fleet", &[("app.yaml", &marked(&world, "app", "stable"))]);
    config_repo(&world, &repo).await;
    image_policy(&world, "app", "app", "policy: {digestOf: {tag: stable}}").await;
    image_update(&world, "batchWindow: 10ms").await;
    let _tagboat = world.tagboat().await;
    in_git(&repo, "app.yaml", &format!("{}:stable@{first} ", world.image("app"))).await;

    let second = world.registry.push_variant(&repository, "stable", "second").await;
    in_git(&repo, "app.yaml", &format!("{}:stable@{second} ", world.image("app"))).await;
    let policy = chosen_as(&world, "app", "stable", &second).await;
    let status = policy.status.unwrap();
    let before = status.observed_previous_ref.unwrap();
    assert_eq!((before.tag.as_str(), before.digest.unwrap().as_str()), ("stable", first.as_str()));
    event(&world, "app", Reason::Chosen, &[&second, &format!("was {first}")]).await;
    assert_eq!(world.registry.lists(&repository), 0, "the other tags are of no interest");
    assert_eq!(bumps(&repo.log()).len(), 2);

    world.registry.delete(&repository, "stable").await;
    let asks = world.registry.requests(&repository);
    asked("the tag that is gone", asks + 4, || world.registry.requests(&repository)).await;
    let policy = world.api::<ImagePolicy>().get("app").await.unwrap();
    assert_eq!(pinned(&policy), Some(second.clone()), "what runs stays: {}", message(&policy));
    assert!(repo.file_at_head("app.yaml").unwrap().contains(&second));
}

async fn digests_once_always_or_never(world: World) {
    let repository = world.repository("app");
    let first = world.registry.push_variant(&repository, "1.0.0", "first").await;
    for (name, reflection) in [("never", "Never"), ("once", "IfNotPresent"), ("always", "Always")] {
        image_policy(&world, name, "app", &format!("{NEWEST}, digestReflectionPolicy: {reflection}")).await;
    }
    let _tagboat = world.tagboat().await;
    assert_eq!(pinned(&chosen(&world, "never", "1.0.0").await), None);
    chosen_as(&world, "once", "1.0.0", &first).await;
    chosen_as(&world, "always", "1.0.0", &first).await;

    let moved = world.registry.push_variant(&repository, "1.0.0", "moved").await;
    chosen_as(&world, "always", "1.0.0", &moved).await;
    scanned(&world, &repository, 2).await;
    assert_eq!(pinned(&world.api::<ImagePolicy>().get("once").await.unwrap()), Some(first));

    let newer = world.registry.push(&repository, "1.1.0").await;
    chosen_as(&world, "once", "1.1.0", &newer).await;
    chosen_as(&world, "always", "1.1.0", &newer).await;
    assert_eq!(pinned(&chosen(&world, "never", "1.1.0").await), None);

    // What was looked up for a choice and is not any more is no news.
    event(&world, "always", Reason::Chosen, &[&newer]).await;
    scanned(&world, &repository, 1).await;
    let mark = world.cluster.audit().mark();
    scanned(&world, &repository, 3).await;
    assert!(writes(&world, mark).is_empty(), "{:?}", writes(&world, mark));

    // Who wants digests from now on gets the one of what runs.
    image_policy(&world, "never", "app", &format!("{NEWEST}, digestReflectionPolicy: IfNotPresent")).await;
    chosen_as(&world, "never", "1.1.0", &newer).await;
}

async fn what_signing_tools_leave_is_no_choice(world: World) {
    let signature = format!("sha256-{}.sig", "5e".repeat(32));
    world.push("app", &["main", "zulu.att", "zulu.sbom", &signature]).await;
    let last = "policy: {alphabetical: {order: asc}}";
    image_policy(&world, "app", "app", last).await;
    image_policy(&world, "all", "app", &format!("{last}, exclusionList: []")).await;
    image_policy(&world, "own", "app", &format!("{last}, exclusionList: ['^main$', '[.]sbom$']")).await;
    let _tagboat = world.tagboat().await;
    let policy = chosen(&world, "app", "main").await;
    assert_eq!(policy.status.unwrap().last_scan.unwrap().tags, 4, "they are listed all the same");
    chosen(&world, "all", "zulu.sbom").await;
    chosen(&world, "own", "zulu.att").await;
    let (_, refused) = ruled(&world, "own", "main", "exclusion").await;
    assert!(refused.reason.contains("^main$"), "{refused:?}");
}

async fn contradictions_are_refused_by_the_api(world: World) {
    for (spec, words) in [
        ("policy: {semver: {range: '*'}, digestOf: {tag: stable}}", "set exactly one of"),
        ("policy: {}", "set exactly one of"),
        (
            "policy: {digestOf: {tag: stable}}, digestReflectionPolicy: IfNotPresent",
            "policy.digestOf follows the digest",
        ),
        (
            "policy: {newestBuild: {}}, digestReflectionPolicy: Never, gates: {verify: {cosign: {secretRef: {name: k}}}}",
            "gates.verify needs the digest",
        ),
        ("policy: {newestBuild: {}}, gates: {verify: {cosign: {}}}", "set secretRef, matchOIDCIdentity or both"),
        ("policy: {newestBuild: {}}, provider: aws, secretRef: {name: login}", "leave secretRef out"),
    ] {
        let text = format!(
            "apiVersion: tagboat.dev/v1alpha1\nkind: ImagePolicy\nmetadata: {{name: app}}\nspec: {{image: example.com/app, {spec}}}\n"
        );
        let object: ImagePolicy = serde_yaml::from_str(&text).unwrap();
        let refused = world.api::<ImagePolicy>().create(&PostParams::default(), &object).await.unwrap_err();
        assert!(refused.to_string().contains(words), "{spec}: {refused}");
    }
}
