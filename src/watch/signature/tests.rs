//! The verdict as a whole; the formats and the noise have files of their own.

use chrono::{DateTime, TimeZone, Utc};
use serde_json::{Value, json};

use self::authority::{Authority, Said, Secret};
use super::*;

mod authority;
mod keyed;
mod keyless;
mod noise;

const DIGEST: &str = "sha256:8b3b4c9d8c6b6f2a1e5d7f90a1b2c3d4e5f60718293a4b5c6d7e8f9012345678";
const OTHER: &str = "sha256:0000000000000000000000000000000000000000000000000000000000000001";

/// What a verdict must begin with (`ok: `) or contain.
#[track_caller]
fn check(case: &str, verdict: Result<String, String>, wanted: &str) {
    let got = match verdict {
        Ok(by) => format!("ok: {by}"),
        Err(reason) => reason,
    };
    assert!(got.contains(wanted), "{case}: {got}");
}

fn digest(text: &str) -> Digest {
    text.parse().unwrap()
}

fn now() -> DateTime<Utc> {
    Utc.with_ymd_and_hms(2025, 2, 1, 0, 0, 0).unwrap()
}

fn payload(digest: &str) -> Vec<u8> {
    let critical = json!({
        "identity": {"docker-reference": "registry.example.com/acme/app"},
        "image": {"docker-manifest-digest": digest},
        "type": "cosign container image signature",
    });
    json!({"critical": critical, "optional": null}).to_string().into_bytes()
}

fn statement(digest: &str) -> Vec<u8> {
    statement_of(digest, "https://sigstore.dev/cosign/sign/v1")
}

fn statement_of(digest: &str, predicate: &str) -> Vec<u8> {
    let (algorithm, hash) = digest.split_once(':').unwrap();
    json!({
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"digest": {algorithm: hash}}],
        "predicateType": predicate,
        "predicate": {},
    })
    .to_string()
    .into_bytes()
}

fn by_keys(keys: Vec<Key>) -> Trust {
    Trust { keys, keyless: None }
}

fn simple<'a>(payload: &'a [u8], signature: &'a str) -> Signature<'a> {
    Signature::Simple { payload, signature, certificate: None, chain: None, bundle: None }
}

/// A verdict about a policy, a digest and signatures, at the tests' time.
fn judged(trust: &Trust, digest: &str, signatures: &[Signature<'_>]) -> Result<String, String> {
    verify(trust, &self::digest(digest), "registry.example.com/acme/app", signatures, now())
}

#[test]
fn without_anything_to_trust_or_to_check_nothing_counts() {
    let nobody = Trust::default();
    check("no keys", judged(&nobody, DIGEST, &[]), "nothing is trusted");
    let root = TrustedRoot::parse(Authority::new().root("2030-01-01T00:00:00Z").to_string().as_bytes()).unwrap();
    let nobody = Trust { keys: Vec::new(), keyless: Some(Keyless { identities: Vec::new(), root }) };
    check("no identities", judged(&nobody, DIGEST, &[]), "nothing is trusted");
    let key = Key::parse("cosign.pub", Secret::new().pem().as_bytes()).unwrap();
    let unsigned = "registry.example.com/acme/app@sha256:8b3b4c9d8c6b6f2a1e5d7f90a1b2c3d4e5f60718293a4b5c6d7e8f9012345678 has no signature";
    check("no signatures", judged(&by_keys(vec![key]), DIGEST, &[]), unsigned);
}

#[test]
fn one_good_signature_among_bad_ones_is_enough() {
    let (secret, payload) = (Secret::new(), payload(DIGEST));
    let good = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, secret.sign(&payload));
    let trust = by_keys(vec![Key::parse("cosign.pub", secret.pem().as_bytes()).unwrap()]);
    let signatures = [simple(b"{}", "AAAA"), Signature::Bundle(b"?"), simple(&payload, &good)];
    check("the last", judged(&trust, DIGEST, &signatures), "ok: key cosign.pub");
}

#[test]
fn a_verdict_is_one_bounded_line_whatever_the_signatures_hold() {
    let trust = by_keys(vec![Key::parse("cosign.pub", Secret::new().pem().as_bytes()).unwrap()]);
    let bundles: Vec<String> =
        (0..100).map(|n| format!("{{\"mediaType\":\"\n\u{1b}[31m\u{202e}{n}{}\"}}", "x".repeat(9_000))).collect();
    let signatures: Vec<_> = bundles.iter().map(|bundle| Signature::Bundle(bundle.as_bytes())).collect();
    let reason = judged(&trust, DIGEST, &signatures).unwrap_err();
    assert!(reason.chars().count() < 1200, "{} characters", reason.chars().count());
    assert!(!reason.contains(|c: char| c.is_control() || c == '\u{202e}'), "{reason}");
    check("many", Err(reason.clone()), "none of the 100 signatures of registry.example.com/acme/app@sha256:8b");
    check("many", Err(reason), "only the first 64 were looked at");
}
