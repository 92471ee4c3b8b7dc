//! Webhooks: what a registry announces is found at once, what it doesn't is found by the interval, and nobody else can wake anything.

use std::time::{Duration, Instant};

use axum::http::StatusCode;
use chrono::Utc;
use futures::StreamExt;
use hmac::{Hmac, KeyInit, Mac};
use libtest_mimic::Trial;
use reqwest::RequestBuilder;
use serde_json::{Value, json};
use sha2::Sha256;
use tagboat::api::condition::Reason;
use tagboat::api::image_update::PullRequestState;
use tagboat::api::{ConfigRepo, ImagePolicy};

use crate::proposals::project::Project;
use crate::setup::*;
use crate::support::registry::Registry;
use crate::support::tagboat::Tagboat;
use crate::support::wait::{eventually, wait_for};
use crate::support::world::World;
use crate::support::{next_number, trial};

pub fn trials() -> Vec<Trial> {
    vec![
        trial("announced: a push is chosen at once", a_push_is_chosen_at_once),
        trial("announced: the registry's own notifications", the_registrys_own_notifications),
        trial("announced: one webhook for all policies of an image", one_webhook_for_all_policies_of_an_image),
        trial("announced: a flood is a few scans", a_flood_is_a_few_scans),
        trial("announced: a webhook that was lost", a_webhook_that_was_lost),
        trial("announced: signed by HMAC", signed_by_hmac),
        trial("announced: a Secret that will not do", a_secret_that_will_not_do),
        trial("announced: a Git host's own webhooks", a_git_hosts_own_webhooks),
    ]
}

const TOKEN: &str = "a-token-of-the-tests";
const BEARER: &str = "Bearer of-the-registry";

async fn announced_policy(world: &World, kind: &str, interval: &str) {
    let webhook = format!("webhook: {{type: {kind}, secretRef: {{name: hook}}}}");
    image_policy(world, "app", "app", &format!("interval: {interval}, {NEWEST}, {webhook}")).await;
}

/// The hook's URL, once the status tells its path.
async fn hook(world: &World, tagboat: &Tagboat) -> String {
    let path = wait_for(&world.api::<ImagePolicy>(), "app", "a webhook's path", SOON, |policy| {
        policy?.status.as_ref()?.webhook_path.clone()
    })
    .await;
    assert_eq!(path, tagboat::http::hooks::path(TOKEN.as_bytes(), &world.namespace, "app"));
    format!("{}{path}", tagboat.url)
}

/// As the distribution registry says that an image was pushed.
fn push(repository: &str, tag: &str) -> Value {
    json!({"events": [{
        "id": format!("event-{}", next_number()), "timestamp": Utc::now().to_rfc3339(), "action": "push",
        "target": {"mediaType": "application/vnd.oci.image.manifest.v1+json", "repository": repository, "tag": tag},
    }]})
}

fn post(url: &str, body: &Value) -> RequestBuilder {
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let body = body.to_string();
    client.post(url).header("content-type", "application/vnd.docker.distribution.events.v1+json").body(body)
}

/// Status and body of the answer.
async fn answer(request: RequestBuilder) -> (StatusCode, String) {
    let answer = request.send().await.unwrap();
    (answer.status(), answer.text().await.unwrap())
}

async fn a_push_is_chosen_at_once(world: World) {
    world.push("app", &["1.0.0"]).await;
    world.secret("hook", "Opaque", json!({"token": TOKEN, "authorization": BEARER})).await;
    announced_policy(&world, "distribution", "1h").await;
    let tagboat = world.tagboat().await;
    chosen(&world, "app", "1.0.0").await;
    let (url, repository) = (hook(&world, &tagboat).await, world.repository("app"));
    world.push("app", &["1.1.0"]).await;
    let lists = world.registry.lists(&repository);

    let news = push(&repository, "1.1.0");
    let nobody = (StatusCode::NOT_FOUND, "not found\n".to_owned());
    let wrong_path = url.replace("/hook/", "/hook/0");
    for request in [
        post(&wrong_path, &news).header("authorization", BEARER),
        post(&url, &news).header("authorization", "Bearer of-somebody"),
        post(&url, &news),
    ] {
        assert_eq!(answer(request).await, nobody, "one answer to all who are not known");
    }
    // Known, but about something else.
    let genuine = |news: &Value| post(&url, news).header("authorization", BEARER);
    let other = push("somebody/else", "1.1.0");
    assert_eq!(answer(genuine(&other)).await.0, StatusCode::OK);
    assert_eq!(answer(genuine(&json!("no envelope"))).await.0, StatusCode::BAD_REQUEST);
    assert_eq!(world.registry.lists(&repository), lists, "none of them woke anything");

    let begin = Instant::now();
    assert_eq!(answer(genuine(&news)).await.0, StatusCode::OK);
    chosen(&world, "app", "1.1.0").await;
    assert!(begin.elapsed() < Duration::from_secs(10), "{:?}", begin.elapsed());
    assert_eq!(answer(genuine(&news)).await.0, StatusCode::OK, "sent again");
    assert_eq!(world.registry.lists(&repository), lists + 1);
    assert!(!tagboat.log().contains(TOKEN) && !tagboat.log().contains("of-the-registry"), "no secret in the log");

    image_policy(&world, "app", "app", &format!("interval: 1h, {NEWEST}")).await;
    eventually("the hook is gone", SOON, || async {
        let status = answer(genuine(&news)).await.0;
        if status == StatusCode::NOT_FOUND { Ok(()) } else { Err(status) }
    })
    .await;
}

async fn the_registrys_own_notifications(world: World) {
    let tagboat = world.tagboat().await;
    let url = format!("{}{}", tagboat.url, tagboat::http::hooks::path(TOKEN.as_bytes(), &world.namespace, "app"));
    let endpoint = json!({
        "name": "tagboat", "url": url, "headers": {"Authorization": [BEARER]},
        "timeout": "5s", "threshold": 3, "backoff": "1s",
    });
    let name = format!("{}-registry", world.namespace);
    let registry =
        Registry::start_with(&name, |config| config["notifications"] = json!({"endpoints": [endpoint]})).await;
    let registry = registry.unwrap_or_else(|reason| panic!("{reason}"));
    let repository = world.repository("app");
    registry.push(&repository, "1.0.0").await;
    world.secret("hook", "Opaque", json!({"token": TOKEN, "authorization": BEARER})).await;
    let image = format!("{}/{repository}", registry.host);
    let webhook = "webhook: {type: distribution, secretRef: {name: hook}}";
    let spec = format!("{{image: '{image}', insecure: true, interval: 1h, {NEWEST}, {webhook}}}");
    apply(&world, "ImagePolicy", "app", &spec).await;
    chosen(&world, "app", "1.0.0").await;
    for tag in ["1.1.0", "1.2.0"] {
        let before = registry.lists(&repository);
        registry.push(&repository, tag).await;
        chosen(&world, "app", tag).await;
        assert!(registry.lists(&repository) - before <= 2, "layers are pushed too, and wake nobody");
    }
    registry.delete(&repository, "1.2.0").await;
    let held: ImagePolicy = ready(&world, "app", "True", Reason::DowngradeRefused).await;
    assert_eq!(latest(&held).as_deref(), Some("1.2.0"));
}

async fn one_webhook_for_all_policies_of_an_image(world: World) {
    world.push("app", &["1.0.0"]).await;
    world.secret("hook", "Opaque", json!({"token": TOKEN})).await;
    announced_policy(&world, "distribution", "1h").await;
    image_policy(&world, "minor", "app", "interval: 1h, policy: {semver: {range: '1.x'}}").await;
    let tagboat = world.tagboat().await;
    let url = hook(&world, &tagboat).await;
    chosen(&world, "minor", "1.0.0").await;
    for (tag, minor) in [("1.1.0", "1.1.0"), ("1.2.0", "1.2.0"), ("2.0.0", "1.2.0")] {
        world.push("app", &[tag]).await;
        assert_eq!(answer(post(&url, &push(&world.repository("app"), tag))).await.0, StatusCode::OK);
        chosen(&world, "app", tag).await;
        let policy = chosen(&world, "minor", minor).await;
        assert_eq!(policy.status.unwrap().webhook_path, None);
    }
}

async fn a_flood_is_a_few_scans(world: World) {
    world.push("app", &["1.0.0"]).await;
    world.secret("hook", "Opaque", json!({"token": TOKEN})).await;
    announced_policy(&world, "distribution", "1h").await;
    let tagboat = world.tagboat().await;
    chosen(&world, "app", "1.0.0").await;
    let (url, repository) = (hook(&world, &tagboat).await, world.repository("app"));
    event(&world, "app", Reason::Chosen, &["1.0.0"]).await; // which comes after the status
    let (before, mark, begin) = (world.registry.lists(&repository), world.cluster.audit().mark(), Instant::now());
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let send = async |n: u32| {
        let body = push(&repository, &format!("0.0.{n}")).to_string();
        client.post(&url).body(body).send().await.unwrap().status()
    };
    let answers: Vec<StatusCode> = futures::stream::iter(0..1000).map(send).buffer_unordered(32).collect().await;
    let heard = answers.iter().filter(|status| **status == StatusCode::OK).count();
    assert!(answers.iter().all(|status| matches!(status.as_u16(), 200 | 503)) && heard > 0, "{heard}");
    world.push("app", &["1.1.0"]).await;
    send(1000).await;
    chosen(&world, "app", "1.1.0").await;
    event(&world, "app", Reason::Chosen, &["1.1.0"]).await;
    let scans = world.registry.lists(&repository) - before;
    let seconds = begin.elapsed().as_secs() as usize;
    assert!(scans <= seconds + 3, "{scans} scans in {seconds} s");
    let written = writes(&world, mark).into_iter().filter(|write| write.contains("/status")).collect::<Vec<_>>();
    assert_eq!(written, ["patch imagepolicies/app/status"], "the new choice only");
}

async fn a_webhook_that_was_lost(world: World) {
    world.push("app", &["1.0.0"]).await;
    world.secret("hook", "Opaque", json!({"token": TOKEN})).await;
    announced_policy(&world, "distribution", "1s").await;
    let tagboat = world.tagboat().await;
    chosen(&world, "app", "1.0.0").await;
    hook(&world, &tagboat).await;
    let begin = Instant::now();
    world.push("app", &["1.1.0"]).await;
    chosen(&world, "app", "1.1.0").await;
    assert!(begin.elapsed() < Duration::from_secs(10), "{:?}", begin.elapsed());
}

async fn signed_by_hmac(world: World) {
    world.push("app", &["1.0.0"]).await;
    world.secret("hook", "Opaque", json!({"token": TOKEN})).await;
    announced_policy(&world, "generic-hmac", "1h").await;
    let tagboat = world.tagboat().await;
    chosen(&world, "app", "1.0.0").await;
    let url = hook(&world, &tagboat).await;
    world.push("app", &["1.1.0"]).await;
    let before = world.registry.lists(&world.repository("app"));
    let body = json!({"whatever": "it says"});
    let sign = |key: &str| {
        let mac = Hmac::<Sha256>::new_from_slice(key.as_bytes()).unwrap().chain_update(body.to_string());
        format!("sha256={}", hex::encode(mac.finalize().into_bytes()))
    };
    let signed = |by: &str| post(&url, &body).header("x-signature", by);
    for bad in [sign("another-token-of-16"), sign(TOKEN).replace("sha256=", "sha1="), String::new()] {
        assert_eq!(answer(signed(&bad)).await, (StatusCode::NOT_FOUND, "not found\n".to_owned()), "{bad}");
    }
    assert_eq!(world.registry.lists(&world.repository("app")), before);
    assert_eq!(answer(signed(&sign(TOKEN))).await.0, StatusCode::OK);
    chosen(&world, "app", "1.1.0").await;
}

async fn a_secret_that_will_not_do(world: World) {
    world.push("app", &["1.0.0"]).await;
    announced_policy(&world, "distribution", "1s").await;
    let tagboat = world.tagboat().await;
    let policy = chosen(&world, "app", "1.0.0").await;
    assert_eq!(policy.status.unwrap().webhook_path, None);
    event(&world, "app", Reason::InvalidSecret, &["spec.webhook", "hook"]).await;
    world.push("app", &["1.1.0"]).await;
    chosen(&world, "app", "1.1.0").await;

    world.secret("hook", "Opaque", json!({"token": "short"})).await;
    request::<ImagePolicy>(&world, "app", "again").await;
    let note = event(&world, "app", Reason::InvalidSecret, &["spec.webhook", "at least 16"]).await;
    assert!(!note.contains("short"), "{note}");
    world.secret("hook", "Opaque", json!({"token": TOKEN})).await;
    request::<ImagePolicy>(&world, "app", "and again").await;
    hook(&world, &tagboat).await;
}

/// Gitea, for real: a push and a person's answer to a pull request are seen at once, although nobody asks for an hour.
async fn a_git_hosts_own_webhooks(world: World) {
    world.push("app", &["1.0.0", "1.1.0"]).await;
    let project = Project::new(&world, &[("app.yaml", &marked(&world, "app", "1.0.0"))], "").await;
    world.secret("hook", "Opaque", json!({"token": TOKEN})).await;
    let webhook = "webhook: {type: gitea, secretRef: {name: hook}}";
    let url = &project.repo.url;
    let spec = format!("{{url: '{url}', interval: 1h, secretRef: {{name: git}}, {webhook}}}");
    apply(&world, "ConfigRepo", "fleet", &spec).await;
    image_policy(&world, "app", "app", NEWEST).await;
    let tagboat = world.tagboat().await;
    let path = wait_for(&world.api::<ConfigRepo>(), "fleet", "a webhook's path", SOON, |repo| {
        repo?.status.as_ref()?.webhook_path.clone()
    })
    .await;
    project.gitea.announce(&project.repo, &format!("{}{path}", tagboat.url), TOKEN).await;
    project.proposed("1.1.0").await;
    project.shown(1, PullRequestState::Open).await;

    let head = project.commit(&[("README.md", "main moves\n")], "main moves");
    wait_for(&world.api::<ConfigRepo>(), "fleet", "the new head", SOON, |repo| {
        let revision = repo?.status.as_ref()?.revision.clone()?;
        (revision.commit.as_str() == head).then_some(())
    })
    .await;
    project.proposed("1.1.0").await;
    project.set(1, "closed").await;
    project.status("1 held", |status| status.holds.len() == 1).await;

    // Who does not know the token wakes nobody.
    let news = json!({"ref": "refs/heads/main", "repository": {"full_name": "somebody/fleet"}});
    assert_eq!(answer(post(&format!("{}{path}", tagboat.url), &news)).await.0, StatusCode::NOT_FOUND);
}
