//! Google's identity tokens: what is signed for us wakes, everything else doesn't (CVE-2026-40109).
#![expect(clippy::disallowed_methods, reason = "a server of keys on loopback")]

use std::net::Ipv4Addr;

use axum::Router;
use axum::routing::get;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ring::rsa::{KeyPair, PublicKeyComponents};
use ring::signature::RSA_PKCS1_SHA256;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::*;

const AUDIENCE: &str = "https://hooks.example.com";
const EMAIL: &str = "push@acme.iam.gserviceaccount.com";

/// What a hook's secret needs beside its token.
pub fn more(kind: WebhookType) -> Vec<(&'static str, &'static str)> {
    if kind == Gar { vec![("audience", AUDIENCE), ("email", EMAIL)] } else { Vec::new() }
}

/// A key that signs nothing but these tests.
fn key() -> KeyPair {
    KeyPair::from_pkcs8(include_bytes!("google.p8")).unwrap()
}

fn key_set(name: &str) -> Value {
    let key = PublicKeyComponents::<Vec<u8>>::from(key().public());
    let text = |bytes| URL_SAFE_NO_PAD.encode(bytes);
    json!({ "keys": [{ "kty": "RSA", "alg": "RS256", "use": "sig", "kid": name, "n": text(key.n), "e": text(key.e) }] })
}

/// A server of keys, and how often it was asked.
async fn keys(answer: impl Fn(u64) -> String + Clone + Send + Sync + 'static) -> (String, Arc<AtomicU64>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let url = format!("http://{}/certs", listener.local_addr().unwrap());
    let asked = Arc::new(AtomicU64::new(0));
    let count = asked.clone();
    let routes = Router::new().route(
        "/certs",
        get(move || async move {
            let number = count.fetch_add(1, Ordering::Relaxed);
            ([("cache-control", "public, max-age=3600")], answer(number))
        }),
    );
    tokio::spawn(async move { axum::serve(listener, routes).await.unwrap() });
    (url, asked)
}

fn claims() -> Value {
    json!({
        "iss": "https://accounts.google.com", "aud": AUDIENCE, "email": EMAIL, "email_verified": true, "sub": "113",
        "iat": noon().timestamp() - 10, "exp": noon().timestamp() + 3590,
    })
}

fn token(header: &Value, claims: &Value) -> String {
    let signed = [header, claims].map(|part| URL_SAFE_NO_PAD.encode(part.to_string())).join(".");
    let key = key();
    let mut signature = vec![0; key.public().modulus_len()];
    key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), signed.as_bytes(), &mut signature).unwrap();
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
}

fn header() -> Value {
    json!({ "alg": "RS256", "typ": "JWT", "kid": "one" })
}

fn with(mut object: Value, name: &str, value: Value) -> Value {
    object[name] = value;
    object
}

fn without(mut object: Value, name: &str) -> Value {
    object.as_object_mut().unwrap().shift_remove(name);
    object
}

fn message(id: &str, notice: &Value) -> String {
    let data = STANDARD.encode(notice.to_string());
    json!({ "message": { "data": data, "messageId": id, "publishTime": noon().to_rfc3339() }, "subscription": "projects/acme/subscriptions/x" })
        .to_string()
}

async fn send(one: &One, token: &str, body: &str) -> Verdict {
    one.send_at(&headers([("authorization", &*format!("Bearer {token}"))]), body.as_bytes(), noon()).await
}

fn insert() -> Value {
    json!({ "action": "INSERT", "digest": "europe-docker.pkg.dev/acme/apps/app@sha256:abc", "tag": "europe-docker.pkg.dev/acme/apps/app:1" })
}

const OURS: &str = "europe-docker.pkg.dev/acme/apps/app";

#[test]
fn notices() {
    run(async {
        let (url, asked) = keys(|_| key_set("one").to_string()).await;
        let token = token(&header(), &claims());
        for (notice, expected) in [
            (insert(), 1),
            (with(insert(), "action", "DELETE".into()), 1),
            (without(with(insert(), "action", "DELETE".into()), "tag"), 1),
            (without(insert(), "tag"), 0),
            (with(insert(), "tag", "us-docker.pkg.dev/acme/apps/app:1".into()), 0),
            (with(insert(), "tag", "europe-docker.pkg.dev/acme/apps/app2:1".into()), 0),
        ] {
            let one = One::with(Gar, OURS, Hooks::new(&*url), secret(Gar, &more(Gar)));
            assert_eq!(send(&one, &token, &message("1", &notice)).await, Verdict::Genuine);
            assert_eq!(send(&one, &token, &message("1", &notice)).await, Verdict::Genuine);
            assert_eq!((one.woken(), one.hooks.rung("app")), (expected, expected), "{notice}");
            // Unwrapped by the subscription.
            assert_eq!(send(&one, &token, &notice.to_string()).await, Verdict::Genuine);
            assert_eq!(one.hooks.rung("app"), 2 * expected, "{notice}");
            for garbage in ["", "{", "[]", r#"{"message":{"data":"%%%"}}"#, r#"{"message":{"data":"bm8="}}"#] {
                assert_eq!(send(&one, &token, garbage).await, Verdict::Malformed, "{garbage}");
            }
        }
        assert_eq!(asked.load(Ordering::Relaxed), 6, "once for each set of hooks");
    });
}

#[test]
fn tokens() {
    let now = noon().timestamp();
    let forged = |token: String| {
        let (signed, signature) = token.rsplit_once('.').unwrap();
        let mut signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
        signature[9] ^= 1;
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
    };
    let of = |claims| token(&header(), &claims);
    let cases = [
        ("genuine", of(claims()), true),
        ("other spelling of the issuer", of(with(claims(), "iss", "accounts.google.com".into())), true),
        ("clock a minute behind", of(with(claims(), "iat", (now + 50).into())), true),
        ("clock a minute ahead", of(with(claims(), "exp", (now - 50).into())), true),
        ("expired", of(with(claims(), "exp", (now - 61).into())), false),
        ("not yet", of(with(claims(), "iat", (now + 61).into())), false),
        ("no expiry", of(without(claims(), "exp")), false),
        ("never issued", of(without(claims(), "iat")), false),
        ("expiry out of range", of(with(claims(), "iat", i64::MIN.into())), true),
        ("another issuer", of(with(claims(), "iss", "https://accounts.example.com".into())), false),
        ("another audience", of(with(claims(), "aud", "https://hooks.example.org".into())), false),
        ("no audience", of(without(claims(), "aud")), false),
        ("empty audience", of(with(claims(), "aud", "".into())), false),
        ("another account", of(with(claims(), "email", "evil@else.iam.gserviceaccount.com".into())), false),
        ("no account", of(without(claims(), "email")), false),
        ("unverified", of(with(claims(), "email_verified", false.into())), false),
        ("verified as text", of(with(claims(), "email_verified", "true".into())), false),
        ("forged", forged(of(claims())), false),
        ("no algorithm", token(&with(header(), "alg", "none".into()), &claims()), false),
        ("symmetric", token(&with(header(), "alg", "HS256".into()), &claims()), false),
        ("an extension that we don't know", token(&with(header(), "crit", json!(["b64"])), &claims()), false),
        ("no key", token(&without(header(), "kid"), &claims()), false),
        ("unknown key", token(&with(header(), "kid", "two".into()), &claims()), false),
        ("garbage", "a.b.c".to_owned(), false),
        ("nothing", String::new(), false),
        ("too long", of(with(claims(), "more", "x".repeat(9000).into())), false),
    ];
    run(async {
        let (url, _) = keys(|_| key_set("one").to_string()).await;
        for (name, token, expected) in cases {
            let one = One::with(Gar, OURS, Hooks::new(&*url), secret(Gar, &more(Gar)));
            let verdict = send(&one, &token, &message("1", &insert())).await;
            assert_eq!(verdict, if expected { Verdict::Genuine } else { Verdict::Unknown }, "{name}");
            assert_eq!(one.woken(), u64::from(expected), "{name}");
        }
    });
}

#[test]
fn keys_are_asked_for_once_a_minute_at_most_and_kept_for_an_hour() {
    run(async {
        // The first answer is broken, the second has the first key, later ones the second.
        let answer = |number| match number {
            0 => "<html>".to_owned(),
            1 => key_set("one").to_string(),
            _ => key_set("two").to_string(),
        };
        let (url, asked) = keys(answer).await;
        let one = One::with(Gar, OURS, Hooks::new(&*url), secret(Gar, &more(Gar)));
        let old = token(&header(), &with(claims(), "exp", (noon().timestamp() + 9000).into()));
        let new =
            token(&with(header(), "kid", "two".into()), &with(claims(), "exp", (noon().timestamp() + 9000).into()));
        for (seconds, token, expected, asks) in [
            (0, &old, Verdict::Unknown, 1),
            (59, &old, Verdict::Unknown, 1),
            (60, &old, Verdict::Genuine, 2),
            (61, &new, Verdict::Unknown, 2),
            (120, &new, Verdict::Genuine, 3),
            (3600, &new, Verdict::Genuine, 3),
            (3721, &new, Verdict::Genuine, 4),
        ] {
            let head = headers([("authorization", &*format!("Bearer {token}"))]);
            let verdict =
                one.send_at(&head, message("1", &insert()).as_bytes(), noon() + TimeDelta::seconds(seconds)).await;
            assert_eq!((verdict, asked.load(Ordering::Relaxed)), (expected, asks), "after {seconds} s");
        }
    });
}
