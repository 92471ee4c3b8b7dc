//! cosign's signatures. Input: how it is wrapped, then the rest. `signed`: the payload, which the trusted key signs here;
//! `statement`: the type of the envelope's content and the content, signed too; `bundle`: a whole bundle; `simple`: signature,
//! certificate, chain and log entry, separated by `\0`, and the payload.

use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, Utc};
use ring::signature::{Ed25519KeyPair, KeyPair};
use serde_json::{Value, json};
use tagboat::image::Digest;
use tagboat::watch::signature::{Identity, Key, Keyless, Match, Signature, Trust, TrustedRoot, verify};

use super::first_line;

/// A key for this program alone: it protects nothing.
static OURS: LazyLock<Ed25519KeyPair> =
    LazyLock::new(|| Ed25519KeyPair::from_seed_unchecked(&[7; 32]).expect("any seed makes a key"));
static TRUST: LazyLock<Trust> = LazyLock::new(|| {
    // Ed25519's SubjectPublicKeyInfo is a constant and the key (RFC 8410).
    let mut der = vec![0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];
    der.extend_from_slice(OURS.public_key().as_ref());
    let pem = format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", STANDARD.encode(der));
    let identity = Identity { issuer: Match::Exact("i".to_owned()), subject: Match::Exact("s".to_owned()) };
    Trust {
        keys: vec![Key::parse("ours.pub", pem.as_bytes()).expect("it is a key")],
        keyless: Some(Keyless { identities: vec![identity], root: TrustedRoot::public().expect("the library's own") }),
    }
});
static DIGEST: LazyLock<Digest> =
    LazyLock::new(|| format!("sha256:{}", "c".repeat(64)).parse().expect("it is a digest"));

pub fn run(input: &[u8]) {
    let (how, rest) = first_line(input);
    match how {
        "signed" => {
            let signature = STANDARD.encode(OURS.sign(rest));
            let is_good = is_verified(&simple(rest, &signature));
            // What another reader refuses (texts that are no UTF-8, where nobody looks) can't be compared.
            if let Ok(value) = serde_json::from_slice::<Value>(rest) {
                let is_named = names_image(&value);
                assert!(!is_good || is_named, "a signature of something else");
                // Without fields that are there twice, which we refuse, it must count.
                let plain = value.to_string();
                let signature = STANDARD.encode(OURS.sign(plain.as_bytes()));
                assert_eq!(is_verified(&simple(plain.as_bytes(), &signature)), is_named, "{plain}");
            }
            // The same signature under anything else.
            let other = [rest, b" "].concat();
            assert!(!is_verified(&simple(&other, &signature)), "a signature of another payload");
        }
        "statement" => {
            let (kind, statement) = first_line(rest);
            let bundle = bundle(kind, statement, &OURS);
            let is_good = is_verified(&Signature::Bundle(bundle.as_bytes()));
            assert!(!is_good || is_statement(kind, statement), "a statement about another image");
            let stranger = Ed25519KeyPair::from_seed_unchecked(&[8; 32]).expect("any seed makes a key");
            let forged = self::bundle(kind, statement, &stranger);
            assert!(!is_verified(&Signature::Bundle(forged.as_bytes())), "another key's signature");
        }
        // Nobody can sign here, so nothing may count.
        "bundle" => assert!(!is_verified(&Signature::Bundle(rest)), "a forged bundle"),
        "simple" => {
            let mut parts = rest.splitn(5, |b| *b == 0);
            let mut text = || std::str::from_utf8(parts.next().unwrap_or_default()).unwrap_or_default();
            let (signature, certificate, chain, bundle) = (text(), text(), text(), text());
            let payload = parts.next().unwrap_or_default();
            let given = |text| Some(text).filter(|text: &&str| !text.is_empty());
            let (certificate, chain, bundle) = (given(certificate), given(chain), given(bundle));
            let forged = Signature::Simple { payload, signature, certificate, chain, bundle };
            assert!(!is_verified(&forged), "a forged signature");
        }
        _ => {}
    }
}

fn simple<'a>(payload: &'a [u8], signature: &'a str) -> Signature<'a> {
    Signature::Simple { payload, signature, certificate: None, chain: None, bundle: None }
}

fn is_verified(signature: &Signature<'_>) -> bool {
    let now: DateTime<Utc> = DateTime::from_timestamp(2_000_000_000, 0).expect("a time");
    match verify(&TRUST, &DIGEST, "registry.example.com/acme/app", &[*signature], now) {
        Ok(by) => {
            assert_eq!(by, "key ours.pub");
            true
        }
        Err(reason) => {
            assert!(reason.chars().count() < 1024 && !reason.chars().any(char::is_control), "a reason is one sentence");
            false
        }
    }
}

/// Whether this is cosign's type and this digest. Of a field that is there twice the last is left here.
fn names_image(payload: &Value) -> bool {
    let critical = &payload["critical"];
    critical["type"] == "cosign container image signature"
        && critical["image"]["docker-manifest-digest"] == DIGEST.as_str()
}

fn bundle(kind: &str, statement: &[u8], key: &Ed25519KeyPair) -> String {
    // DSSE's encoding before authentication.
    let mut signed = format!("DSSEv1 {} {kind} {} ", kind.len(), statement.len()).into_bytes();
    signed.extend_from_slice(statement);
    json!({
        "mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json",
        "verificationMaterial": {"publicKey": {"hint": "ours"}, "tlogEntries": []},
        "dsseEnvelope": {
            "payload": STANDARD.encode(statement),
            "payloadType": kind,
            "signatures": [{"sig": STANDARD.encode(key.sign(&signed)), "keyid": ""}],
        },
    })
    .to_string()
}

fn is_statement(kind: &str, statement: &[u8]) -> bool {
    // As above: what another reader refuses can't be compared.
    let Ok(value) = serde_json::from_slice::<Value>(statement) else { return true };
    let subjects = value["subject"].as_array().map(Vec::as_slice).unwrap_or_default();
    kind == "application/vnd.in-toto+json"
        && value["_type"] == "https://in-toto.io/Statement/v1"
        && value["predicateType"] == "https://sigstore.dev/cosign/sign/v1"
        && matches!(subjects, [one] if one["digest"]["sha256"] == *DIGEST.as_str().trim_start_matches("sha256:"))
}
