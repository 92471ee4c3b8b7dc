//! Kubeconfigs that are taken, and what is said of the others.

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Value, json};

use super::*;

const CA: &[u8] = include_bytes!("../../registry/tests/certs/ca.crt");
const CERTIFICATE: &[u8] = include_bytes!("../../registry/tests/certs/client.crt");
const KEY: &[u8] = include_bytes!("../../registry/tests/certs/client.key");

fn config(cluster: &Value, user: &Value) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "prod",
        "clusters": [{"name": "a", "cluster": cluster}],
        "users": [{"name": "u", "user": user}],
        "contexts": [{"name": "prod", "context": {"cluster": "a", "user": "u"}}],
    })
}

fn read(config: &Value) -> Result<Kubeconfig, String> {
    Kubeconfig::read(serde_yaml::to_string(config).unwrap().as_bytes())
}

fn with(base: &Value, more: Value) -> Value {
    let mut all = base.clone();
    let Value::Object(more) = more else { panic!("an object") };
    all.as_object_mut().unwrap().extend(more);
    all
}

fn cluster() -> Value {
    json!({"server": "https://10.0.0.1:6443/", "certificate-authority-data": BASE64.encode(CA)})
}

fn user() -> Value {
    json!({"token": "canary-token"})
}

#[test]
fn what_is_needed_is_taken() {
    let taken = read(&config(&cluster(), &user())).unwrap();
    assert_eq!(taken.server, "https://10.0.0.1:6443");
    assert_eq!(taken.authorities.as_ref().map(Vec::len), Some(1));
    assert!(matches!(&taken.login, Login::Token(token) if token == "canary-token"));
    assert_eq!(format!("{taken:?}"), "Kubeconfig(hidden)");

    let more =
        json!({"proxy-url": "http://u:p@proxy:3128", "tls-server-name": "kubernetes", "disable-compression": true});
    let taken = read(&config(&with(&cluster(), more), &user())).unwrap();
    assert_eq!(taken.proxy.as_deref(), Some("http://u:p@proxy:3128"));
    assert_eq!((taken.server_name.as_deref(), taken.is_uncompressed), (Some("kubernetes"), true));

    let pair = json!({"client-certificate-data": BASE64.encode(CERTIFICATE), "client-key-data": BASE64.encode(KEY)});
    // As kubectl has it, what stands in the file wins over paths to other files.
    let pair = with(&pair, json!({"client-certificate": "/x.crt", "client-key": "/x.key"}));
    assert!(matches!(read(&config(&cluster(), &pair)).unwrap().login, Login::Certificate(..)));
    let password = json!({"username": "u", "password": "p"});
    assert!(matches!(read(&config(&json!({"server": "https://x"}), &password)).unwrap().login, Login::Password(..)));
}

#[test]
fn a_single_context_needs_no_choice() {
    let mut one = config(&cluster(), &user());
    one.as_object_mut().unwrap().remove("current-context");
    assert!(read(&one).is_ok());
}

#[test]
fn another_token_is_another_way_to_the_same_cluster() {
    let (a, b) =
        (read(&config(&cluster(), &user())).unwrap(), read(&config(&cluster(), &json!({"token": "other"}))).unwrap());
    assert_ne!(a.id(), b.id());
    assert_eq!(a.cluster(), b.cluster());
    let elsewhere = read(&config(&with(&cluster(), json!({"server": "https://10.0.0.2:6443"})), &user())).unwrap();
    assert_ne!(a.cluster(), elsewhere.cluster());
}

#[track_caller]
fn refused(config: &Value, expected: &[&str]) {
    let reason = read(config).expect_err("it is refused");
    for part in expected {
        assert!(reason.contains(part), "{reason:?} lacks {part:?}");
    }
    assert!(!reason.contains("canary"), "{reason}");
}

#[test]
fn what_could_start_programs_or_read_files_is_refused() {
    let exec = json!({"exec": {"apiVersion": "client.authentication.k8s.io/v1", "command": "canary"}});
    refused(&config(&cluster(), &with(&user(), exec)), &["user \"u\": exec", "token of a service account into token"]);
    let helper = json!({"auth-provider": {"name": "canary"}});
    refused(&config(&cluster(), &with(&user(), helper)), &["user \"u\": auth-provider", "into token"]);
    let cases = [
        (json!({"tokenFile": "/canary"}), ["user \"u\": tokenFile", "the token itself into token"]),
        (json!({"client-certificate": "/canary"}), ["client-certificate:", "into client-certificate-data"]),
        (json!({"client-key": "/canary", "token": "x"}), ["client-key:", "into client-key-data"]),
        (json!({"token": "x", "as": "canary"}), ["as:", "spec.serviceAccountName"]),
        (json!({"token": "x", "as-groups": ["canary"]}), ["as-groups:", "spec.serviceAccountName"]),
    ];
    for (user, expected) in cases {
        refused(&config(&cluster(), &user), &expected);
    }
    let path = json!({"server": "https://x", "certificate-authority": "/canary"});
    refused(&config(&path, &user()), &["cluster \"a\": certificate-authority", "into certificate-authority-data"]);
}

#[test]
fn what_is_not_safe_or_not_there_is_refused() {
    let clusters = [
        (
            json!({"insecure-skip-tls-verify": true}),
            vec!["insecure-skip-tls-verify", "into certificate-authority-data"],
        ),
        (json!({"insecure-skip-tls-verify": "true"}), vec!["insecure-skip-tls-verify"]),
        (json!({"server": null}), vec!["has no server", "https://10.0.0.1:6443"]),
        (json!({"server": 7}), vec!["server is no text"]),
        (json!({"server": "canary"}), vec!["server is no address"]),
        (json!({"server": "http://canary"}), vec!["does not start with https://"]),
        (json!({"server": "https://canary:canary@x"}), vec!["leave out user"]),
        (json!({"proxy-url": "socks5://canary"}), vec!["proxy-url", "http://proxy.example.com:3128"]),
        (json!({"proxy-url": "http://canary/path"}), vec!["proxy-url", "has a path"]),
        (json!({"certificate-authority-data": "c"}), vec!["certificate-authority-data is no Base64"]),
        (json!({"certificate-authority-data": "Y2FuYXJ5"}), vec!["certificate-authority-data: the CA bundle"]),
    ];
    for (more, expected) in clusters {
        refused(&config(&with(&cluster(), more), &user()), &expected);
    }
    let users = [
        (json!({}), vec!["user \"u\": it has no credentials", "into token"]),
        (json!({"token": "canary token"}), vec!["token is no token"]),
        (json!({"username": "canary"}), vec!["it has no credentials"]),
        (json!({"client-key-data": "Y2FuYXJ5"}), vec!["belong together"]),
        (
            json!({"client-key-data": "Y2FuYXJ5", "client-certificate-data": "Y2FuYXJ5"}),
            vec!["holds no certificate in PEM"],
        ),
    ];
    for (user, expected) in users {
        refused(&config(&cluster(), &user), &expected);
    }
}

#[test]
fn what_leads_nowhere_is_refused() {
    let whole = config(&cluster(), &user());
    let context =
        |name: &str, cluster: &str, user: &str| json!({"name": name, "context": {"cluster": cluster, "user": user}});
    let cases = [
        (json!({"current-context": "x"}), vec!["contexts holds no \"x\""]),
        (json!({"contexts": []}), vec!["contexts holds no \"prod\""]),
        (json!({"contexts": [], "current-context": ""}), vec!["it has no context"]),
        (
            json!({"contexts": [context("a", "a", "u"), context("b", "a", "u")], "current-context": null}),
            vec!["2 contexts and no current-context"],
        ),
        (json!({"contexts": [context("prod", "x", "u")]}), vec!["clusters holds no \"x\""]),
        (json!({"contexts": [context("prod", "a", "x")]}), vec!["users holds no \"x\""]),
        (json!({"contexts": [{"name": "prod", "context": {"cluster": "a"}}]}), vec!["names no user"]),
    ];
    for (more, expected) in cases {
        refused(&with(&whole, more), &expected);
    }
    for text in ["", "canary", "[]", "a: [", "\u{0}"] {
        assert!(Kubeconfig::read(text.as_bytes()).expect_err(text).contains("it is no kubeconfig"), "{text:?}");
    }
    assert!(Kubeconfig::read(&[0xff, 0xfe]).is_err());
    assert!(Kubeconfig::read(&vec![b'#'; BYTES + 1]).expect_err("long").contains("longer than"));
}
