//! Keys as `ssh-keygen` and `openssl` wrote them; of no use anywhere but here.

use super::*;

macro_rules! key {
    ($name:literal) => {
        include_str!(concat!("keys/", $name))
    };
}

#[track_caller]
fn check(identity: &str, password: Option<&str>, expected: Result<&str, &str>) {
    match (open(identity.as_bytes(), password), expected) {
        (Ok(key), Ok(public)) => assert_eq!(key.public_key().to_openssh().unwrap().trim(), public.trim()),
        (Err(reason), Err(words)) => {
            assert!(reason.contains(words), "{reason}");
            let secret = identity.lines().chain(password).filter(|line| line.len() > 8 && !line.contains('-'));
            secret.for_each(|line| assert!(!reason.contains(line), "{reason}"));
        }
        (found, expected) => panic!("{expected:?}: {:?}", found.map(drop)),
    }
}

#[test]
fn every_form_of_key_opens() {
    check(key!("ed25519"), None, Ok(key!("ed25519.pub")));
    check(key!("ed25519"), Some(""), Ok(key!("ed25519.pub")));
    check(key!("ed25519"), Some("needless"), Ok(key!("ed25519.pub")));
    check(key!("ecdsa"), None, Ok(key!("ecdsa.pub")));
    check(key!("rsa"), None, Ok(key!("rsa.pub")));
    check(key!("rsa-pem"), None, Ok(key!("rsa-pem.pub")));
    check(key!("rsa-pkcs8"), None, Ok(key!("rsa-pkcs8.pub")));
    check(key!("ecdsa-pem"), None, Ok(key!("ecdsa-pem.pub")));
    check(key!("ed25519-encrypted"), Some("open up"), Ok(key!("ed25519-encrypted.pub")));
    check(key!("rsa-pem-encrypted"), Some("open up"), Ok(key!("rsa-pem-encrypted.pub")));
    let indented: String = key!("ed25519").lines().map(|line| format!("  {line}\r\n\n")).collect();
    check(&indented, None, Ok(key!("ed25519.pub")));
}

#[test]
fn what_does_not_open_says_why() {
    check(key!("ed25519-encrypted"), None, Err("put its passphrase under the key password"));
    check(key!("ed25519-encrypted"), Some("sesame please"), Err("password does not open it"));
    check(key!("rsa-pem-encrypted"), None, Err("put its passphrase under the key password"));
    check(key!("rsa-pem-encrypted"), Some("sesame please"), Err("password does not open it"));
    check(key!("many-rounds"), Some("open up"), Err("more than 500 rounds"));
    check(key!("pkcs8-encrypted"), Some("open"), Err("ssh-keygen -p"));
    check("PuTTY-User-Key-File-3: ssh-ed25519", None, Err("ssh-keygen -p"));
    check(key!("ed25519.pub"), None, Err("put the private one there"));
    check("", None, Err("no private key"));
    check("-----BEGIN OPENSSH PRIVATE KEY-----", None, Err("no private key"));
    check(&key!("rsa-pem")[..400], None, Err("no private key"));
    check(&"x".repeat(40_000), None, Err("too long"));
    assert!(open(b"\xff\xfe", None).unwrap_err().contains("not a text"));
}
