//! Signatures by keys: cosign's own output for every kind of key, then each way to go wrong.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::rand::SystemRandom;
use ring::signature::{Ed25519KeyPair, KeyPair};

use super::*;

/// A digest that the program cosign signed with three keys in both formats, and a bill of materials that it attested with the first.
fn cosign() -> Value {
    serde_json::from_str(include_str!("cosign.json")).unwrap()
}

fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value[field].as_str().unwrap()
}

fn key(made: &Value) -> Key {
    Key::parse(text(made, "name"), text(made, "pem").as_bytes()).unwrap()
}

#[test]
fn what_cosign_signs_counts_in_both_formats() {
    let cosign = cosign();
    let (digest, payload) = (text(&cosign, "digest"), text(&cosign, "payload").as_bytes());
    let keys = cosign["keys"].as_array().unwrap();
    assert_eq!(keys.len(), 3);
    for (at, made) in keys.iter().enumerate() {
        let (name, by) = (text(made, "name"), format!("ok: key {}", text(made, "name")));
        let simple = simple(payload, text(made, "signature"));
        let bundle = Signature::Bundle(text(made, "bundle").as_bytes());
        let all = by_keys(keys.iter().map(key).collect());
        let others =
            by_keys(keys.iter().enumerate().filter(|(other, _)| *other != at).map(|(_, made)| key(made)).collect());
        for signature in [simple, bundle] {
            check(name, judged(&all, digest, &[signature]), &by);
            check(name, judged(&others, digest, &[signature]), "no trusted key made it");
            check(name, judged(&all, OTHER, &[signature]), &format!("it is for another image, {digest}"));
        }
    }
}

#[test]
fn a_changed_byte_anywhere_makes_cosigns_output_worthless() {
    let cosign = cosign();
    let (digest, made) = (text(&cosign, "digest"), &cosign["keys"][0]);
    let trust = by_keys(vec![key(made)]);
    let payload = text(&cosign, "payload").as_bytes();
    for at in 0..payload.len() {
        let mut changed = payload.to_vec();
        changed[at] ^= 1;
        check(
            "payload",
            judged(&trust, digest, &[simple(&changed, text(made, "signature"))]),
            "no trusted key made it",
        );
    }
    let signature = STANDARD.decode(text(made, "signature")).unwrap();
    for at in 0..signature.len() {
        let mut changed = signature.clone();
        changed[at] ^= 1;
        let changed = STANDARD.encode(changed);
        check("signature", judged(&trust, digest, &[simple(payload, &changed)]), "no trusted key made it");
    }
    let bundle = text(made, "bundle");
    for end in 0..bundle.len() {
        let verdict = judged(&trust, digest, &[Signature::Bundle(&bundle.as_bytes()[..end])]);
        check("truncated", verdict, "its bundle can't be read");
    }
}

#[test]
fn other_statements_about_an_image_are_no_signature_of_it() {
    let cosign = cosign();
    let trust = by_keys(vec![key(&cosign["keys"][0])]);
    let verdict =
        judged(&trust, text(&cosign, "digest"), &[Signature::Bundle(text(&cosign, "billOfMaterials").as_bytes())]);
    check(
        "bill of materials",
        verdict,
        "it is no signature of the image but a statement of the type \"https://spdx.dev/Document\"",
    );
}

/// cosign signs with Ed25519ph by such a key, and can't verify that itself; what it verifies is Ed25519.
#[test]
fn an_ed25519_key_counts_as_cosign_verifies_it() {
    let pkcs8 = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
    let secret = Ed25519KeyPair::from_pkcs8(pkcs8.as_ref()).unwrap();
    // RFC 8410's prefix of a SubjectPublicKeyInfo.
    let public = [&hex::decode("302a300506032b6570032100").unwrap(), secret.public_key().as_ref()].concat();
    let trust = by_keys(vec![Key::parse("ed25519.pub", authority::pem("PUBLIC KEY", &public).as_bytes()).unwrap()]);
    let payload = payload(DIGEST);
    let signature = STANDARD.encode(secret.sign(&payload));
    check("simple", judged(&trust, DIGEST, &[simple(&payload, &signature)]), "ok: key ed25519.pub");
    check("another image", judged(&trust, OTHER, &[simple(&payload, &signature)]), "it is for another image");
}

/// Payloads that a trusted key did sign.
#[test]
fn a_good_signature_of_something_else_does_not_count() {
    let secret = Secret::new();
    let trust = by_keys(vec![Key::parse("cosign.pub", secret.pem().as_bytes()).unwrap()]);
    let good = String::from_utf8(payload(DIGEST)).unwrap();
    let image = |digest: &str| format!("\"image\":{{\"docker-manifest-digest\":\"{digest}\"}}");
    let cases = [
        (good.clone(), "ok: key cosign.pub"),
        (good.replace("registry.example.com", "elsewhere.example.com"), "ok: key cosign.pub"),
        (good.replace(DIGEST, OTHER), "it is for another image"),
        (good.replace(DIGEST, &DIGEST[..70]), "it is for another image"),
        (good.replace(DIGEST, &DIGEST.to_uppercase()), "it is for another image"),
        (good.replace("cosign container", "atomic container"), "its type is \"atomic container image signature\""),
        (good.replace("cosign container image signature", "atomic container signature"), "its type is"),
        (good.replace("\"type\":", "\"kind\":"), "missing field `type`"),
        (good.replace("docker-manifest-digest", "docker-digest"), "missing field `docker-manifest-digest`"),
        // Twice: a reader that takes the other one would see another image.
        (good.replacen(&image(DIGEST), &format!("{},{}", image(OTHER), image(DIGEST)), 1), "duplicate field `image`"),
        (good.replacen('{', "{\"critical\":{},", 1), "missing field"),
        (good.replacen(",\"optional\"", ",\"\\u0063ritical\":{},\"optional\"", 1), "duplicate field `critical`"),
        (format!("{good}{good}"), "trailing characters"),
        (good[..good.len() - 1].to_owned(), "can't be read as cosign's"),
        ("null".to_owned(), "can't be read as cosign's"),
        (String::new(), "can't be read as cosign's"),
        ("[".repeat(60_000), "can't be read as cosign's"),
        (" ".repeat(70_000), "its payload is larger than 65536 bytes"),
    ];
    for (payload, wanted) in cases {
        let signature = STANDARD.encode(secret.sign(payload.as_bytes()));
        let case = &payload[..payload.len().min(300)];
        check(case, judged(&trust, DIGEST, &[simple(payload.as_bytes(), &signature)]), wanted);
    }
}

/// Statements that a trusted key did sign.
#[test]
fn a_good_signature_of_another_statement_does_not_count() {
    let secret = Secret::new();
    let trust = by_keys(vec![Key::parse("cosign.pub", secret.pem().as_bytes()).unwrap()]);
    let good = String::from_utf8(statement(DIGEST)).unwrap();
    let hash = &DIGEST[7..];
    let cases = [
        (good.clone(), "ok: key cosign.pub"),
        (good.replace(hash, &OTHER[7..]), "it is for another image, sha256:0000"),
        (good.replace("sha256", "sha512"), "it names no sha256 digest"),
        (good.replace("cosign/sign/v1", "cosign/sign/v2"), "it is no signature of the image"),
        (good.replace("Statement/v1", "Statement/v0.1"), "it is no signature of the image"),
        (good.replace("[{", "[{\"digest\":{}},{"), "it is for 2 images"),
        (good.replace("[{", "[],\"subjects\":[{"), "it is for 0 images"),
        (good.replace("{\"sha256\"", "{\"sha256\":\"00\",\"sha256\""), "duplicate field `sha256`"),
        (good[..good.len() - 1].to_owned(), "its statement can't be read"),
    ];
    for (statement, wanted) in cases {
        let signature = STANDARD.encode(secret.sign(&authority::in_envelope(statement.as_bytes())));
        let bundle = keyed_bundle(statement.as_bytes(), "application/vnd.in-toto+json", &signature);
        check(&statement, judged(&trust, DIGEST, &[Signature::Bundle(bundle.to_string().as_bytes())]), wanted);
    }
}

fn keyed_bundle(statement: &[u8], kind: &str, signature: &str) -> Value {
    json!({
        "mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json",
        "verificationMaterial": {"publicKey": {"hint": "any"}},
        "dsseEnvelope": {
            "payload": STANDARD.encode(statement),
            "payloadType": kind,
            "signatures": [{"sig": signature}],
        },
    })
}

#[test]
fn a_bundle_of_an_unknown_shape_does_not_count() {
    let secret = Secret::new();
    let trust = by_keys(vec![Key::parse("cosign.pub", secret.pem().as_bytes()).unwrap()]);
    let statement = statement(DIGEST);
    let signature = STANDARD.encode(secret.sign(&authority::in_envelope(&statement)));
    let bundle = keyed_bundle(&statement, "application/vnd.in-toto+json", &signature);
    let with = |pointer: &str, value: Value| {
        let mut changed = bundle.clone();
        *changed.pointer_mut(pointer).unwrap() = value;
        changed
    };
    let mut of_a_file = bundle.clone();
    of_a_file.as_object_mut().unwrap().remove("dsseEnvelope");
    let hash = json!({"algorithm": "SHA2_256", "digest": STANDARD.encode(hex::decode(&DIGEST[7..]).unwrap())});
    of_a_file["messageSignature"] = json!({"messageDigest": hash, "signature": signature});
    let mut twice = bundle.clone();
    twice["dsseEnvelope"]["signatures"] = json!([{"sig": "AAAA"}, {"sig": signature}]);
    let cases = [
        (bundle.clone(), "ok: key cosign.pub"),
        (with("/mediaType", json!("application/vnd.dev.sigstore.bundle.v9+json")), "its bundle can't be read"),
        (with("/dsseEnvelope/payloadType", json!("text/plain")), "no trusted key made it"),
        (with("/dsseEnvelope/payload", json!("AAAA")), "no trusted key made it"),
        (with("/dsseEnvelope/signatures", json!([])), "its bundle can't be read"),
        (with("/verificationMaterial", json!({})), "its bundle can't be read"),
        (with("/verificationMaterial", json!({"certificate": {"rawBytes": "AAAA"}})), "only keys are trusted"),
        (twice, "its bundle can't be read"),
        (of_a_file, "its bundle signs a file"),
        (json!({"critical": {}}), "its bundle can't be read"),
    ];
    for (bundle, wanted) in cases {
        check(&bundle.to_string(), judged(&trust, DIGEST, &[Signature::Bundle(bundle.to_string().as_bytes())]), wanted);
    }
}

#[test]
fn only_public_keys_of_known_kinds_are_taken() {
    let good = Secret::new().pem();
    let cases = [
        (String::new(), "it must hold exactly one PEM block"),
        (format!("{good}{good}"), "it must hold exactly one PEM block"),
        (good.replace("PUBLIC KEY", "ENCRYPTED SIGSTORE PRIVATE KEY"), "this is a private key"),
        (good.replace("PUBLIC KEY", "EC PRIVATE KEY"), "this is a private key"),
        (good.replace("PUBLIC KEY", "CERTIFICATE"), "not a PEM block of the type PUBLIC KEY"),
        (good.replace("MFkw", "AAAA"), "not a key of a known kind"),
        (authority::pem("PUBLIC KEY", b"0"), "not a key of a known kind"),
        ("x".repeat(9_000), "too large for a public key"),
    ];
    for (pem, wanted) in cases {
        let error = Key::parse("cosign.pub", pem.as_bytes()).unwrap_err();
        assert!(error.starts_with("cosign.pub: ") && error.contains(wanted), "{error}");
        assert!(!error.contains(&good[30..60]), "{error} shows the key");
    }
    assert!(Key::parse("cosign.pub", &[0xff, 0xfe]).unwrap_err().contains("not a text"));
}
