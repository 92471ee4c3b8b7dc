//! Lines as `ssh-keyscan` and `ssh-keygen -H` write them, and what they vouch for.

use hmac::KeyInit as _;
use proptest::prelude::*;
use russh::keys::{EcdsaCurve, PrivateKey, key::safe_rng};

use super::*;

fn key(algorithm: Algorithm) -> PublicKey {
    PrivateKey::random(&mut safe_rng(), algorithm).unwrap().public_key().clone()
}

fn ed25519() -> PublicKey {
    key(Algorithm::Ed25519)
}

fn text(key: &PublicKey) -> String {
    key.to_openssh().unwrap()
}

fn hashed(name: &str) -> String {
    let salt = b"01234567890123456789";
    let mut mac = Hmac::<Sha1>::new_from_slice(salt).unwrap();
    mac.update(name.as_bytes());
    format!("|1|{}|{}", STANDARD.encode(salt), STANDARD.encode(mac.finalize().into_bytes()))
}

/// Whether a line for `hosts` vouches for a host and port.
#[track_caller]
fn check(hosts: &str, host: &str, port: u16, expected: bool) {
    let key = ed25519();
    let known = KnownHosts::parse(&format!("# a comment\n\n{hosts} {} and words\r\n", text(&key)));
    assert_eq!(known.check(host, port, &key).is_ok(), expected, "{hosts} for {host} {port}");
    assert_eq!(known.algorithms(host, port).is_ok(), expected, "{hosts} for {host} {port}");
}

#[test]
fn for_which_hosts_a_line_is() {
    for (hosts, host, port, expected) in [
        ("git.example.com", "git.example.com", 22, true),
        ("Git.Example.COM", "git.example.com", 22, true),
        ("git.example.com", "git.example.org", 22, false),
        ("git.example.com", "xgit.example.com", 22, false),
        ("a.example.com,git.example.com,10.0.0.1", "git.example.com", 22, true),
        ("a.example.com,git.example.com,10.0.0.1", "10.0.0.1", 22, true),
        ("[git.example.com]:2222", "git.example.com", 2222, true),
        ("[git.example.com]:2222", "git.example.com", 22, false),
        ("[git.example.com]:2222", "git.example.com", 2223, false),
        ("git.example.com", "git.example.com", 2222, true),
        ("[::1]:2222", "::1", 2222, true),
        ("::1", "::1", 22, true),
        ("*.example.com", "git.example.com", 22, true),
        ("*.example.com", "example.com", 22, false),
        ("git?.example.com", "git1.example.com", 22, true),
        ("git?.example.com", "git12.example.com", 22, false),
        ("*.example.com,!bad.example.com", "bad.example.com", 22, false),
        ("!bad.example.com,*.example.com", "good.example.com", 22, true),
        ("[*.example.com]:*", "git.example.com", 2222, true),
        ("*", "anything", 22, true),
    ] {
        check(hosts, host, port, expected);
    }
    check(&hashed("git.example.com"), "git.example.com", 22, true);
    check(&hashed("git.example.com"), "git.example.org", 22, false);
    check(&hashed("[git.example.com]:2222"), "git.example.com", 2222, true);
    check("|1|!!|!!", "git.example.com", 22, false);
    check("|1|", "git.example.com", 22, false);
}

#[test]
fn a_key_of_another_port_does_not_hide_behind_the_plain_name() {
    let (own, plain) = (ed25519(), ed25519());
    let known = KnownHosts::parse(&format!("[h]:2222 {}\nh {}\n", text(&own), text(&plain)));
    assert!(known.check("h", 2222, &own).is_ok());
    assert!(known.check("h", 2222, &plain).is_err());
}

#[test]
fn both_fingerprints_are_shown() {
    let (listed, shown) = (ed25519(), ed25519());
    let known = KnownHosts::parse(&format!("h {}", text(&listed)));
    let reason = known.check("h", 22, &shown).unwrap_err();
    for key in [listed, shown] {
        assert!(reason.contains(&key.fingerprint(HashAlg::Sha256).to_string()), "{reason}");
    }
    assert!(reason.contains("put its new line into known_hosts"), "{reason}");
}

#[test]
fn what_is_asked_of_the_host() {
    let curve = EcdsaCurve::NistP256;
    let (first, second) = (ed25519(), key(Algorithm::Ecdsa { curve }));
    let known = KnownHosts::parse(&format!("h {}\nh {}\nother {}\n", text(&second), text(&first), text(&first)));
    assert_eq!(known.algorithms("h", 22), Ok(vec![Algorithm::Ed25519, Algorithm::Ecdsa { curve }]));
    assert!(known.check("h", 22, &first).is_ok() && known.check("h", 22, &second).is_ok());
    // A key of RSA proves itself with SHA-2 only.
    let rsa = include_str!("../identity/keys/rsa.pub").trim();
    let known = KnownHosts::parse(&format!("h {rsa}\n"));
    let sha2 = [HashAlg::Sha512, HashAlg::Sha256].map(|hash| Algorithm::Rsa { hash: Some(hash) });
    assert_eq!(known.algorithms("h", 22), Ok(sha2.to_vec()));
}

#[test]
fn what_is_not_trusted() {
    let key = ed25519();
    let check = |file: String, words: &str| {
        let known = KnownHosts::parse(&file);
        let reason = known.algorithms("h", 22).map(drop).and_then(|()| known.check("h", 22, &key)).unwrap_err();
        assert!(reason.contains(words), "{reason}");
    };
    check(format!("@revoked h {0}\nh {0}", text(&key)), "is @revoked");
    check(format!("@revoked * {0}\nh {0}", text(&key)), "is @revoked");
    check(format!("@cert-authority h {}", text(&key)), "its @cert-authority line is not used");
    check(format!("@other h {}", text(&key)), "line 1 of it cannot be read");
    check(format!("\nh {}", &text(&key)[..40]), "line 2 of it cannot be read");
    check("h ssh-dss AAAA".to_owned(), "no line for h; line 1");
    check("h".to_owned(), "no line for h; line 1");
    check(String::new(), "no line for h: add the one");
}

proptest! {
    #[test]
    fn any_text_ends(file in "[ -~\n|@!*]{0,200}", host in "[a-z.:]{0,20}") {
        let known = KnownHosts::parse(&file);
        prop_assert!(known.algorithms(&host, 22).is_err());
    }

    #[test]
    fn stars_are_cheap(stars in 1..40usize) {
        let pattern = "*a".repeat(stars) + "b";
        prop_assert!(!glob(pattern.as_bytes(), "a".repeat(1000).as_bytes()));
    }
}
