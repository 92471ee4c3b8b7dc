//! Webhooks without a server: for each type of sender a genuine one, and all that must not wake.

mod formats;
mod git;
mod google;
mod urls;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use chrono::{DateTime, TimeDelta, Utc};
use hmac::{Hmac, KeyInit, Mac};
use proptest::prelude::*;
use sha1::Sha1;
use sha2::Sha256;

use super::replay::Heard;
use super::*;
use crate::api::webhook::WebhookType::{self, *};

pub const TOKEN: &str = "0123456789abcdef0123456789abcdef";
const ALL: [WebhookType; 14] = [
    Distribution,
    Dockerhub,
    Ghcr,
    Quay,
    Harbor,
    Acr,
    Ecr,
    Gar,
    Nexus,
    Artifactory,
    Gitea,
    Cdevents,
    Generic,
    GenericHmac,
];

/// Runs a test's future.
pub fn run<T>(test: impl Future<Output = T>) -> T {
    let _ = rustls::crypto::ring::default_provider().install_default();
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(test)
}

/// The time of every test.
pub fn noon() -> DateTime<Utc> {
    "2031-05-06T12:00:00Z".parse().unwrap()
}

pub fn secret(kind: WebhookType, more: &[(&str, &str)]) -> Secret {
    let all = [("token", TOKEN)].iter().chain(more).map(|(key, value)| ((*key).to_owned(), value.as_bytes().to_vec()));
    Secret::new(kind, all.collect::<BTreeMap<_, _>>()).unwrap_or_else(|error| panic!("{error}"))
}

/// One hook, and how often it woke.
pub struct One {
    pub hooks: Hooks,
    path: String,
    woken: Arc<AtomicU64>,
}

impl One {
    pub fn new(kind: WebhookType, repository: &str) -> Self {
        Self::with(kind, repository, Hooks::new("http://127.0.0.1:9/"), secret(kind, &google::more(kind)))
    }

    pub fn with(kind: WebhookType, repository: &str, hooks: Hooks, secret: Secret) -> Self {
        Self::about(kind.into(), Subject::Image(repository.parse().unwrap()), hooks, secret)
    }

    pub fn about(sender: Sender, subject: Subject, hooks: Hooks, secret: Secret) -> Self {
        let (path, woken) = (path(TOKEN.as_bytes(), "apps", "app"), Arc::new(AtomicU64::new(0)));
        let counter = woken.clone();
        let wake = Arc::new(move || {
            counter.fetch_add(1, Ordering::Relaxed);
        });
        let audience = "app".to_owned();
        hooks.set("uid", Hook { path: path.clone(), sender, secret, subject, audience, wake });
        Self { hooks, path, woken }
    }

    pub async fn send_at(&self, headers: &HeaderMap, body: &[u8], now: DateTime<Utc>) -> Verdict {
        self.hooks.receive(&self.path, headers, body, now).await
    }

    pub fn send(&self, headers: &HeaderMap, body: &str) -> Verdict {
        run(self.send_at(headers, body.as_bytes(), noon()))
    }

    pub fn woken(&self) -> u64 {
        self.woken.load(Ordering::Relaxed)
    }
}

pub fn headers<'a>(of: impl IntoIterator<Item = (&'a str, &'a str)>) -> HeaderMap {
    of.into_iter()
        .map(|(name, value)| (name.parse::<HeaderName>().unwrap(), value.parse::<HeaderValue>().unwrap()))
        .collect()
}

pub fn sha256(key: &str, body: &str) -> String {
    hex::encode(Hmac::<Sha256>::new_from_slice(key.as_bytes()).unwrap().chain_update(body).finalize().into_bytes())
}

pub fn sha1(key: &str, body: &str) -> String {
    hex::encode(Hmac::<Sha1>::new_from_slice(key.as_bytes()).unwrap().chain_update(body).finalize().into_bytes())
}

#[test]
fn the_path_is_the_hash_of_token_name_and_namespace() {
    // printf 'tokenappapps' | sha256sum
    let expected = "/hook/2e05a4621a829f498204579ee564bc1c6ec9700eadf2408679b8d7d8859a2c14";
    assert_eq!(path(b"token", "apps", "app"), expected);
    assert_ne!(path(b"token", "app", "apps"), expected);
}

#[test]
fn a_secret_that_proves_nothing_is_refused() {
    let check = |kind, data: &[(&str, &str)], expected: &str| {
        let data = data.iter().map(|(key, value)| ((*key).to_owned(), value.as_bytes().to_vec())).collect();
        let error = Secret::new(kind, data).err().map(|error| error.to_string()).unwrap_or_default();
        assert!(error.contains(expected) && error.is_empty() == expected.is_empty(), "{error:?}, not {expected:?}");
    };
    check(Generic, &[], "needs `token`");
    check(Generic, &[("token", "short")], "needs `token`");
    check(Generic, &[("token", "0123456789abcde\n")], "needs `token`");
    check(Generic, &[("token", TOKEN)], "");
    check(Harbor, &[("token", TOKEN), ("authorization", "")], "`authorization` in the webhook's secret is empty");
    check(Ecr, &[("token", TOKEN), ("api-key", " \n")], "`api-key`");
    check(Gar, &[("token", TOKEN), ("email", "a@example.com")], "needs `audience`");
    check(Gar, &[("token", TOKEN), ("audience", "us"), ("email", "")], "needs `email`");
    check(Gar, &[("token", TOKEN), ("audience", "us"), ("email", "a@example.com")], "");
}

#[test]
fn an_unknown_path_is_as_unknown_as_a_wrong_signature() {
    let one = One::new(GenericHmac, "acme/app");
    let signed = headers([("x-signature", &*format!("sha256={}", sha256(TOKEN, "x")))]);
    let unknown = run(one.hooks.receive("/hook/00", &signed, b"x", noon()));
    assert_eq!(
        (unknown, one.send(&signed, "y"), one.send(&signed, "x")),
        (Verdict::Unknown, Verdict::Unknown, Verdict::Genuine)
    );
    assert_eq!(one.woken(), 1);
    one.hooks.remove("uid");
    assert_eq!(one.send(&signed, "x"), Verdict::Unknown);
}

#[test]
fn a_flood_wakes_once_until_it_is_seen_and_none_is_lost() {
    let one = One::new(Generic, "acme/app");
    let ring = |times| (0..times).for_each(|_| assert_eq!(one.send(&HeaderMap::new(), ""), Verdict::Genuine));
    ring(500);
    assert_eq!((one.woken(), one.hooks.rung("app")), (1, 500));
    // A scan starts; what comes during it wakes again.
    assert_eq!(one.hooks.seen("app"), 500);
    assert_eq!(one.woken(), 1);
    ring(500);
    assert_eq!((one.woken(), one.hooks.rung("app")), (2, 1000));
    assert_eq!((one.hooks.seen("app"), one.hooks.rung("app")), (1000, 1000));
    assert_eq!((one.hooks.seen("nobody"), one.hooks.rung("nobody")), (0, 0));
}

#[test]
fn a_replaced_hook_keeps_what_rang_and_leaves_its_old_path() {
    let one = One::new(Generic, "acme/app");
    one.send(&HeaderMap::new(), "");
    let moved = path(b"another token than before", "apps", "app");
    one.hooks.set("uid", hook(moved.clone(), "app", Arc::new(|| {})));
    assert_eq!(one.send(&HeaderMap::new(), ""), Verdict::Unknown);
    assert_eq!(run(one.hooks.receive(&moved, &HeaderMap::new(), b"", noon())), Verdict::Genuine);
    assert_eq!(one.hooks.rung("app"), 2);
}

/// A hook that anybody who knows its path rings.
fn hook(path: String, audience: &str, wake: Arc<dyn Fn() + Send + Sync>) -> Hook {
    let (secret, audience) = (secret(Generic, &[]), audience.to_owned());
    let subject = Subject::Image("acme/app".parse().unwrap());
    Hook { path, sender: Generic.into(), secret, subject, audience, wake }
}

#[test]
fn an_audience_hears_all_of_its_hooks_and_nobody_elses() {
    let one = One::new(Generic, "acme/app");
    let ring = |path: &str| run(one.hooks.receive(path, &HeaderMap::new(), b"", noon()));
    one.hooks.set("uid2", hook("/hook/2".to_owned(), "app", Arc::new(|| {})));
    one.hooks.set("uid3", hook("/hook/3".to_owned(), "other", Arc::new(|| {})));
    let rung = || (one.hooks.rung("app"), one.hooks.rung("other"));
    ring(&one.path);
    assert_eq!((rung(), one.woken()), ((1, 0), 1));
    ring("/hook/2");
    assert_eq!((rung(), one.woken()), ((2, 0), 1), "it is awake");
    one.hooks.seen("app");
    ring("/hook/3");
    assert_eq!((rung(), one.woken()), ((2, 3), 1));
    // One hook less takes no number back; without any, what rings later has a greater one.
    one.hooks.remove("uid2");
    one.hooks.retain(&["uid".to_owned()].into());
    assert_eq!(rung(), (2, 0));
    one.hooks.retain(&["nobody".to_owned()].into());
    assert_eq!(rung(), (0, 0));
    one.hooks.set("uid", hook(one.path.clone(), "app", Arc::new(|| {})));
    ring(&one.path);
    assert_eq!(rung(), (4, 0));
}

#[test]
fn two_owners_of_one_path_are_both_heard() {
    let one = One::new(Generic, "acme/app");
    let heard = Arc::new(AtomicU64::new(0));
    let counter = heard.clone();
    let wake = Arc::new(move || {
        counter.fetch_add(1, Ordering::Relaxed);
    });
    one.hooks.set("uid2", hook(one.path.clone(), "other", wake));
    one.send(&HeaderMap::new(), "");
    assert_eq!((one.woken(), heard.load(Ordering::Relaxed)), (1, 1));
    one.hooks.remove("uid2");
    assert_eq!(one.send(&HeaderMap::new(), ""), Verdict::Genuine);
}

/// A body of distribution's with these ids and times, in minutes before now.
fn pushes(of: &[(&str, i64)]) -> String {
    let event = |(id, minutes): &(&str, i64)| {
        let at = (noon() - TimeDelta::minutes(*minutes)).to_rfc3339();
        format!(r#"{{"id":"{id}","timestamp":"{at}","action":"push","target":{{"repository":"acme/app","tag":"1"}}}}"#)
    };
    format!(r#"{{"events":[{}]}}"#, of.iter().map(event).collect::<Vec<_>>().join(","))
}

#[test]
fn what_was_heard_or_is_old_is_no_news() {
    let one = One::new(Distribution, "registry.example.com/acme/app");
    let check = |of: &[(&str, i64)], expected: u64| {
        assert_eq!(one.send(&HeaderMap::new(), &pushes(of)), Verdict::Genuine);
        assert_eq!(one.hooks.rung("app"), expected, "{of:?}");
    };
    check(&[("a", 0)], 1);
    check(&[("a", 0)], 1);
    check(&[("a", 0), ("b", 0)], 2);
    check(&[("c", 16)], 2);
    check(&[("c", 14)], 3);
    // Of a clock that is ahead.
    check(&[("d", -60)], 4);
    check(&[("b", 0), ("e", 20)], 4);
    let counts = one.hooks.counts();
    assert_eq!((counts.genuine, counts.repeated, counts.old), (7, 2, 1));
}

#[test]
fn a_delivery_is_heard_once_even_under_another_id() {
    let one = One::new(Ghcr, "ghcr.io/acme/app");
    let body = r#"{"action":"published","package":{"name":"app","package_type":"CONTAINER","owner":{"login":"acme"},"updated_at":"2031-05-06T12:00:00Z"}}"#;
    let signature = format!("sha256={}", sha256(TOKEN, body));
    let check = |delivery, expected| {
        one.send(&headers([("x-hub-signature-256", &*signature), ("x-github-delivery", delivery)]), body);
        assert_eq!(one.hooks.rung("app"), expected, "{delivery}");
    };
    check("1", 1);
    check("1", 1);
    check("2", 1);
}

#[test]
fn white_space_that_nobody_signs_makes_no_news() {
    let one = One::new(Nexus, "registry.example.com/acme/app");
    let body =
        r#"{"timestamp":"2031-05-06T12:00:00Z","component":{"format":"docker","name":"acme/app","version":"1"}}"#;
    let signature = sha1(TOKEN, body);
    for sent in [body.to_owned(), body.replace(',', ", "), format!("{body}\n")] {
        assert_eq!(one.send(&headers([("x-nexus-webhook-signature", &*signature)]), &sent), Verdict::Genuine);
        assert_eq!(one.hooks.rung("app"), 1, "{sent}");
    }
}

#[test]
fn ids_are_remembered_for_the_window_and_in_bounds() {
    let mut heard = Heard::default();
    heard.remember(b"first", noon());
    assert!(heard.has(b"first", noon() + WINDOW));
    assert!(!heard.has(b"first", noon() + WINDOW + TimeDelta::seconds(1)));
    (0..5000_u32).for_each(|id| heard.remember(&id.to_be_bytes(), noon()));
    assert!(heard.has(&4999_u32.to_be_bytes(), noon()) && !heard.has(&3999_u32.to_be_bytes(), noon()));
}

#[test]
fn lists_have_a_limit() {
    let events = |count| format!(r#"{{"events":[{}]}}"#, vec!["{}"; count].join(","));
    assert!(parse(Distribution, &HeaderMap::new(), events(10_000).as_bytes()).is_ok());
    assert!(parse(Distribution, &HeaderMap::new(), events(10_001).as_bytes()).is_err());
    for deep in ["[".repeat(100_000), r#"{"a":"#.repeat(100_000)] {
        for kind in ALL.into_iter().filter(|kind| !matches!(kind, Generic | GenericHmac)) {
            assert!(parse(kind, &HeaderMap::new(), deep.as_bytes()).is_err(), "{kind:?}");
        }
    }
}

/// JSON of any shape, under the names that parsers look at.
fn json() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        any::<f64>().prop_map(Into::into),
        "[a-z/:@%?=.&+]{0,20}".prop_map(Into::into),
        prop_oneof![Just("push"), Just("PUSH_ARTIFACT"), Just("dev.cdevents.artifact.published.0.2.0"), Just("docker")]
            .prop_map(Into::into),
    ];
    let name = proptest::sample::select(vec![
        "events",
        "action",
        "target",
        "repository",
        "tag",
        "data",
        "type",
        "subject",
        "context",
        "message",
        "package",
        "name",
        "owner",
        "detail",
        "event_data",
        "resources",
        "asset",
        "id",
        "time",
        "updated_tags",
        "docker_url",
    ]);
    leaf.prop_recursive(5, 60, 6, move |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..5).prop_map(Into::into),
            proptest::collection::vec((name.clone(), inner), 0..6).prop_map(|fields| fields
                .into_iter()
                .map(|(name, value)| (name.to_owned(), value))
                .collect::<serde_json::Map<_, _>>()
                .into()),
        ]
    })
}

proptest! {
    #[test]
    fn no_bytes_panic_or_wake(body in proptest::collection::vec(any::<u8>(), 0..300), header in "[ -~]{0,40}") {
        for kind in ALL.into_iter().filter(|kind| *kind != Generic) {
            let one = One::new(kind, "registry.example.com/acme/app");
            let mut headers = headers([("x-signature", &*header), ("x-hub-signature-256", &header), ("authorization", &header)]);
            run(one.send_at(&headers, &body, noon()));
            headers.extend(self::headers([("ce-type", "image"), ("ce-subject", &*header)]));
            run(one.send_at(&headers, &body, noon()));
            prop_assert_eq!(one.woken(), 0, "{:?}", kind);
        }
    }

    #[test]
    fn no_json_panics(body in json()) {
        let body = serde_json::to_vec(&body).unwrap();
        for kind in ALL {
            let _ = parse(kind, &HeaderMap::new(), &body);
            let _ = parse(kind, &headers([("ce-type", "harbor.artifact.pushed")]), &body);
        }
    }
}
