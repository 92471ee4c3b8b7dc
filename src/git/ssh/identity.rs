//! The key that logs us in. In: a private key as `ssh-keygen` or OpenSSL writes it, and its passphrase. Out: the key, opened. How
//! much work the file may ask of us is limited; must never put a part of it into an error. Pure.

use russh::keys::{Algorithm, PrivateKey, decode_secret_key};

/// The longest key that is read, in bytes: RSA with 16,384 bits has 13,000.
const IDENTITY_BYTES: usize = 32 << 10;
/// The most rounds of bcrypt that are done: `ssh-keygen` takes 16 or 24, `-a 1000` some ten seconds.
const ROUNDS: u32 = 500;

/// Opens a private key: ed25519, ecdsa or rsa.
///
/// # Errors
/// What is wrong and what to do, in terms of the Secret's keys `identity` and `password`.
pub fn open(identity: &[u8], password: Option<&str>) -> Result<PrivateKey, String> {
    let text = str::from_utf8(identity).ok().filter(|text| text.len() <= IDENTITY_BYTES);
    let text = text.ok_or("identity is no private key: it is not a text, or too long")?;
    // Indentation, or a line break that an editor added, is no part of a key.
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let head = *lines.first().unwrap_or(&"");
    let password = password.filter(|password| !password.is_empty());
    if head.starts_with("ssh-") || head.starts_with("ecdsa-") {
        return Err("identity holds a public key, put the private one there".to_owned());
    }
    if head == "-----BEGIN ENCRYPTED PRIVATE KEY-----" || head.starts_with("PuTTY") {
        return Err("identity is in a form that is not read: write it anew with ssh-keygen -p -f FILE".to_owned());
    }
    if head == "-----BEGIN OPENSSH PRIVATE KEY-----" {
        return openssh(&(lines.join("\n") + "\n"), password);
    }
    let is_encrypted = lines.iter().any(|line| line.starts_with("DEK-Info:"));
    if is_encrypted && password.is_none() {
        return Err(ENCRYPTED.to_owned());
    }
    let key = decode_secret_key(&lines.join("\n"), password);
    key.map_err(|_| if is_encrypted { WRONG } else { UNREADABLE }.to_owned()).and_then(known_kind)
}

const ENCRYPTED: &str = "identity is encrypted: put its passphrase under the key password";
const WRONG: &str = "identity is encrypted, and password does not open it";
const UNREADABLE: &str = "identity is no private key in the form of OpenSSH or in PEM";

fn openssh(text: &str, password: Option<&str>) -> Result<PrivateKey, String> {
    let key = PrivateKey::from_openssh(text).map_err(|_| UNREADABLE)?;
    if !key.is_encrypted() {
        return known_kind(key);
    }
    let password = password.ok_or(ENCRYPTED)?;
    if matches!(key.kdf(), russh::keys::ssh_key::Kdf::Bcrypt { rounds, .. } if *rounds > ROUNDS) {
        return Err(format!(
            "identity wants more than {ROUNDS} rounds to be opened: encrypt it with fewer (ssh-keygen -a)"
        ));
    }
    key.decrypt(password).map_err(|_| WRONG.to_owned()).and_then(known_kind)
}

fn known_kind(key: PrivateKey) -> Result<PrivateKey, String> {
    let kind = key.algorithm();
    if matches!(kind, Algorithm::Ed25519 | Algorithm::Ecdsa { .. } | Algorithm::Rsa { .. }) {
        return Ok(key);
    }
    Err(format!("identity is a key of the kind {kind}: make one with ssh-keygen -t ed25519"))
}

#[cfg(test)]
mod tests;
