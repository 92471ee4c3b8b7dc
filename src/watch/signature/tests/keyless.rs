//! Signatures without keys, by an authority of the tests' own: good ones, and each way to go wrong.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chrono::TimeDelta;

use super::authority::Annotations;
use super::*;

/// A change to what is signed or vouched for, and a part of the reason that must come.
type Case = (&'static str, fn(&mut Scene), &'static str);

/// All that a verdict rests on.
struct Scene {
    authority: Authority,
    root: Value,
    said: Said,
    identity: Identity,
    payload: Vec<u8>,
    statement: Vec<u8>,
    now: DateTime<Utc>,
}

fn scene() -> Scene {
    let (authority, said) = (Authority::new(), Said::default());
    let exactly = |name: &str| Match::Exact(name.to_owned());
    Scene {
        root: authority.root("2030-01-01T00:00:00Z"),
        authority,
        identity: Identity { issuer: exactly(said.issuer), subject: exactly(said.subject) },
        said,
        payload: payload(DIGEST),
        statement: statement(DIGEST),
        now: now(),
    }
}

impl Scene {
    fn trust(&self) -> Trust {
        let root = TrustedRoot::parse(self.root.to_string().as_bytes()).unwrap();
        Trust { keys: Vec::new(), keyless: Some(Keyless { identities: vec![self.identity.clone()], root }) }
    }

    /// One signature in each format.
    fn made(&self) -> (Annotations, Value) {
        (self.authority.simple(&self.said, &self.payload), self.authority.bundle(&self.said, &self.statement))
    }

    fn simple(&self) -> Result<String, String> {
        self.judge_simple(&self.made().0)
    }

    fn bundle(&self) -> Result<String, String> {
        self.judge_bundle(&self.made().1)
    }

    fn judge_simple(&self, made: &Annotations) -> Result<String, String> {
        self.judge_with_chain(made, None)
    }

    fn judge_with_chain(&self, made: &Annotations, chain: Option<&str>) -> Result<String, String> {
        let log = made.log.to_string();
        let signature = Signature::Simple {
            payload: &self.payload,
            signature: &made.signature,
            certificate: Some(&made.certificate),
            chain,
            bundle: (!made.log.is_null()).then_some(log.as_str()),
        };
        verify(&self.trust(), &digest(DIGEST), "acme/app", &[signature], self.now)
    }

    fn judge_bundle(&self, made: &Value) -> Result<String, String> {
        let made = made.to_string();
        verify(&self.trust(), &digest(DIGEST), "acme/app", &[Signature::Bundle(made.as_bytes())], self.now)
    }

    /// The root trusts another authority's part in its place.
    fn other(&mut self, part: &str) {
        self.root[part] = Authority::new().root("2030-01-01T00:00:00Z")[part].clone();
    }
}

fn anything() -> Match {
    Match::parse_pattern(".*").unwrap()
}

#[test]
fn a_signature_without_a_key_counts_in_both_formats() {
    let by = "ok: issuer https://token.example.com subject https://git.example.com/acme/app/build.yaml@refs/heads/main";
    check("simple", scene().simple(), by);
    check("bundle", scene().bundle(), by);
}

#[test]
fn what_the_authority_and_the_log_do_not_vouch_for_does_not_count() {
    let cases: [Case; 15] = [
        ("another image", |s| (s.payload, s.statement) = (payload(OTHER), statement(OTHER)), ""),
        ("another issuer", |s| s.said.issuer = "https://elsewhere.example.com", "whom the policy does not trust"),
        ("another subject", |s| s.said.subject = "https://git.example.com/evil", "whom the policy does not trust"),
        (
            "an issuer that only begins right",
            |s| s.said.issuer = "https://token.example.com.evil.example",
            "does not trust",
        ),
        ("no issuer", |s| (s.said.issuer, s.identity.issuer) = ("", anything()), "does not trust"),
        ("another authority", |s| s.root = Authority::new().root("2030-01-01T00:00:00Z"), ""),
        ("an authority no longer trusted", |s| s.root = s.authority.root("2025-01-01T00:00:00Z"), ""),
        ("an authority of another name", |s| s.other("certificateAuthorities"), "certificate"),
        ("another signature log", |s| s.other("tlogs"), "log"),
        ("another certificate log", |s| s.other("ctlogs"), "SCT"),
        ("no promise of the certificate log", |s| s.said.has_sct = false, "SCT"),
        ("a certificate for servers", |s| s.said.is_for_code = false, "certificate"),
        ("logged after the certificate ended", |s| s.said.logged += TimeDelta::minutes(20), "certificate"),
        ("logged before the certificate began", |s| s.said.logged -= TimeDelta::minutes(5), "certificate"),
        ("not yet made", |s| s.now = s.said.logged - TimeDelta::seconds(1), "in the future"),
    ];
    for (case, change, wanted) in cases {
        let mut scene = scene();
        change(&mut scene);
        for (format, verdict) in [("simple", scene.simple()), ("bundle", scene.bundle())] {
            check(&format!("{case}, {format}"), verdict.clone(), wanted);
            check(&format!("{case}, {format}"), verdict, "does not count: ");
        }
    }
}

/// The log took something, but not this signature (as in CVE-2026-22703, where any entry did).
#[test]
fn an_entry_of_the_log_for_something_else_does_not_count() {
    let mut scene = scene();
    scene.said.logged_message = Some(b"something else");
    check("simple", scene.simple(), "artifact hash mismatch");
    check("bundle", scene.bundle(), "payload hash mismatch");

    // A whole entry, with good promise and proof, of another signature by the same signer's authority.
    let scene = self::scene();
    let (mut simple, mut bundle) = scene.made();
    let (other_simple, other_bundle) = scene.made();
    simple.log = other_simple.log;
    bundle["verificationMaterial"]["tlogEntries"] = other_bundle["verificationMaterial"]["tlogEntries"].clone();
    check("simple", scene.judge_simple(&simple), "certificate in bundle does not match");
    check("bundle", scene.judge_bundle(&bundle), "does not match");

    // Another's certificate, which the authority made as well.
    let (mut simple, mut bundle) = scene.made();
    simple.certificate = other_simple.certificate;
    bundle["verificationMaterial"]["certificate"] = other_bundle["verificationMaterial"]["certificate"].clone();
    check("simple", scene.judge_simple(&simple), "does not count");
    check("bundle", scene.judge_bundle(&bundle), "does not count");
}

/// A place in a signature's JSON, another value for it, and a part of the reason that must come.
type Spoiled = (&'static str, Value, &'static str);

#[test]
fn a_changed_log_entry_does_not_count_in_the_first_format() {
    let cases: [Spoiled; 10] = [
        ("/SignedEntryTimestamp", json!("MEUCIQ=="), "SET"),
        ("/SignedEntryTimestamp", json!("?"), "its log entry has no valid SignedEntryTimestamp"),
        ("/Payload/integratedTime", json!(1_736_942_461), "SET"),
        ("/Payload/integratedTime", json!(0), "does not count"),
        ("/Payload/integratedTime", json!(i64::MAX), "its log entry has no valid integratedTime"),
        ("/Payload/logIndex", json!(8), "SET"),
        ("/Payload/logID", json!("00"), "log ID"),
        ("/Payload/logID", json!("?"), "its log entry has no valid logID"),
        ("/Payload/body", json!("e30="), "its log entry has no valid body"),
        ("/Payload", json!(null), "its log entry can't be read"),
    ];
    let scene = scene();
    for (place, value, wanted) in cases {
        let (mut simple, _) = scene.made();
        *simple.log.pointer_mut(place).unwrap() = value.clone();
        check(&format!("{place} {value}"), scene.judge_simple(&simple), wanted);
    }
    let (mut simple, _) = scene.made();
    simple.log = Value::Null;
    check("no entry", scene.judge_simple(&simple), "no entry of a log");
    let (mut simple, _) = scene.made();
    let body = STANDARD.encode(r#"{"apiVersion":"0.0.1","kind":"rekord","spec":{}}"#);
    simple.log["Payload"]["body"] = json!(body);
    check("another kind", scene.judge_simple(&simple), "of the unknown kind rekord 0.0.1");
}

#[test]
fn a_changed_log_entry_does_not_count_in_the_second_format() {
    let entry = |field: &str| format!("/verificationMaterial/tlogEntries/0/{field}");
    let hash = STANDARD.encode([7; 32]);
    let cases: [(String, Value, &str); 11] = [
        (entry("inclusionPromise/signedEntryTimestamp"), json!("MEUCIQ=="), "SET"),
        (entry("integratedTime"), json!("1736942461"), "SET"),
        (entry("integratedTime"), json!("0"), "does not count"),
        (entry("logIndex"), json!("8"), "SET"),
        (entry("logId/keyId"), json!(hash), "log"),
        (entry("inclusionProof/hashes"), json!([hash]), "inclusion proof"),
        (entry("inclusionProof/rootHash"), json!(hash), "does not count"),
        (entry("inclusionProof/treeSize"), json!("3"), "does not count"),
        (entry("inclusionProof"), json!(null), "inclusion proof"),
        (entry("kindVersion/kind"), json!("hashedrekord"), "does not count"),
        ("/verificationMaterial/tlogEntries".to_owned(), json!([]), "does not count"),
    ];
    let scene = scene();
    for (place, value, wanted) in cases {
        let (_, mut bundle) = scene.made();
        *bundle.pointer_mut(&place).unwrap() = value.clone();
        check(&format!("{place} {value}"), scene.judge_bundle(&bundle), wanted);
    }
    // A checkpoint that the log did not sign.
    let (_, mut bundle) = scene.made();
    let place = entry("inclusionProof/checkpoint/envelope");
    let forged =
        bundle.pointer(&place).unwrap().as_str().unwrap().replace("log.example.com - 1\n2", "log.example.com - 1\n3");
    *bundle.pointer_mut(&place).unwrap() = json!(forged);
    check("checkpoint", scene.judge_bundle(&bundle), "heckpoint");
}

#[test]
fn a_private_authority_may_have_no_certificate_log() {
    let mut scene = scene();
    scene.root["ctlogs"] = json!([]);
    scene.said.has_sct = false;
    check("simple", scene.simple(), "ok: issuer");
    check("bundle", scene.bundle(), "ok: issuer");
}

#[test]
fn a_chain_above_the_certificate_may_be_there_and_is_not_believed() {
    let scene = scene();
    let (made, _) = scene.made();
    let own = authority::pem("CERTIFICATE", &scene.authority.certificate);
    let evil = authority::pem("CERTIFICATE", &Authority::new().certificate);
    let cases = [
        (own.clone(), "ok: issuer"),
        (format!("{evil}{own}"), "ok: issuer"),
        (evil, "ok: issuer"),
        ("-----BEGIN CERTIFICATE-----".to_owned(), "not in PEM"),
    ];
    for (chain, wanted) in cases {
        check(&chain, scene.judge_with_chain(&made, Some(&chain)), wanted);
    }
    // An authority that nobody trusts brings its own certificate along; the logs took it.
    let (mut scene, stranger) = (self::scene(), Authority::new());
    let theirs = stranger.root("2030-01-01T00:00:00Z");
    (scene.root["tlogs"], scene.root["ctlogs"]) = (theirs["tlogs"].clone(), theirs["ctlogs"].clone());
    let made = stranger.simple(&scene.said, &scene.payload);
    let chain = authority::pem("CERTIFICATE", &stranger.certificate);
    check("stranger", scene.judge_with_chain(&made, Some(&chain)), "certificate chain validation failed");
}

#[test]
fn keys_and_identities_are_told_apart() {
    let scene = scene();
    let (made, bundle) = scene.made();
    let (log, bundle) = (made.log.to_string(), bundle.to_string());
    let key = Key::parse("cosign.pub", Secret::new().pem().as_bytes()).unwrap();
    let simple = Signature::Simple {
        payload: &scene.payload,
        signature: &made.signature,
        certificate: Some(&made.certificate),
        chain: None,
        bundle: Some(&log),
    };
    let by_keys = by_keys(vec![key.clone()]);
    check("simple", judged(&by_keys, DIGEST, &[simple]), "no trusted key made it");
    check("bundle", judged(&by_keys, DIGEST, &[Signature::Bundle(bundle.as_bytes())]), "only keys are trusted");
    let both = Trust { keys: vec![key], ..scene.trust() };
    check("simple", judged(&both, DIGEST, &[simple]), "ok: issuer");
    check("bundle", judged(&both, DIGEST, &[Signature::Bundle(bundle.as_bytes())]), "ok: issuer");
}

#[test]
fn patterns_match_whole_names() {
    let subject = Said::default().subject;
    let cases = [
        (r"https://git\.example\.com/acme/[^/]+/build\.yaml@refs/heads/main", "ok: "),
        (r"^https://git\.example\.com/acme/.*$", "ok: "),
        (r"https://git\.example\.com/acme/", "does not trust"),
        (r".*refs/heads/mai", "does not trust"),
        (r"x|https://git", "does not trust"),
        (r"", "does not trust"),
    ];
    for (pattern, wanted) in cases {
        let mut scene = scene();
        scene.identity.subject = Match::parse_pattern(pattern).unwrap();
        check(&format!("{pattern} of {subject}"), scene.simple(), wanted);
    }
    for pattern in ["a)|(b", "(", r"x{1000}{1000}", &"(".repeat(101), &"x".repeat(2000), "(?x)a # b"] {
        assert!(Match::parse_pattern(pattern).is_err(), "{pattern}");
    }
}

#[test]
fn only_whole_trusted_roots_are_taken() {
    let good = Authority::new().root("2030-01-01T00:00:00Z");
    let with = |place: &str, value: Value| {
        let mut changed = good.clone();
        *changed.pointer_mut(place).unwrap() = value;
        changed
    };
    let cases = [
        (with("/tlogs", json!([])), "it has no tlogs"),
        (with("/certificateAuthorities", json!([])), "it has no certificateAuthorities"),
        (with("/mediaType", json!("text/plain")), "its mediaType is"),
        (with("/certificateAuthorities/0/certChain/certificates/0/rawBytes", json!("AAAA")), "not a trusted root"),
        (with("/certificateAuthorities/0/validFor/start", json!("2040-01-01T00:00:00Z")), "not a trusted root"),
        (with("/tlogs/0/publicKey/rawBytes", json!("AAAA")), "not a trusted root"),
        (with("/tlogs/0/logId/keyId", json!("AAAA")), "not a trusted root"),
        (json!({}), "not a trusted root"),
    ];
    for (root, wanted) in cases {
        let error = TrustedRoot::parse(root.to_string().as_bytes()).unwrap_err();
        assert!(error.contains(wanted), "{root}: {error}");
    }
    TrustedRoot::parse(sigstore_verify::trust_root::SIGSTORE_PRODUCTION_TRUSTED_ROOT.as_bytes()).unwrap();
}
