//! The public keys that are trusted. In: a Secret's data; then signed bytes, their signature and the time. Out: which key signed them,
//! or why none of these did. No network: a key that its owner took back is known as such only when the Secret's copy says so.

use std::collections::BTreeMap;
use std::fmt;

mod openpgp;
mod ssh;

use crate::failure::printable;

/// How many keys of each kind are read.
const KEYS_LIMIT: usize = 1000;
/// The longest name of a key that is shown, in characters.
const NAME_LIMIT: usize = 120;

/// Keys that are trusted.
pub struct Keyring {
    openpgp: openpgp::Keys,
    ssh: ssh::Keys,
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Keyring({} OpenPGP, {} SSH)", self.openpgp.len(), self.ssh.len())
    }
}

impl Keyring {
    /// The keys in all values of a Secret: armoured OpenPGP public keys, or lines as in `authorized_keys` or `allowed_signers`.
    ///
    /// # Errors
    /// Which value cannot be read, and why. Nothing of its content is repeated.
    pub fn read(data: &BTreeMap<String, Vec<u8>>) -> Result<Self, String> {
        let mut ring = Self { openpgp: openpgp::Keys::default(), ssh: ssh::Keys::default() };
        for (name, value) in data {
            let text = std::str::from_utf8(value).map_err(|_| format!("{name} is not text"))?;
            if text.contains("PRIVATE KEY") {
                return Err(format!(
                    "{name} holds a private key: put the public one there, and take that one out of use"
                ));
            }
            let read = if text.contains("-----BEGIN PGP") { ring.openpgp.read(text) } else { ring.ssh.read(text) };
            read.map_err(|reason| format!("{name}: {reason}"))?;
        }
        if ring.openpgp.len() + ring.ssh.len() == 0 {
            return Err("it holds no keys: armoured OpenPGP public keys, or lines of SSH keys".to_owned());
        }
        if ring.openpgp.len() > KEYS_LIMIT || ring.ssh.len() > KEYS_LIMIT {
            return Err(format!("it holds more than {KEYS_LIMIT} keys"));
        }
        Ok(ring)
    }

    /// Which key made this signature of these bytes. `now` is in seconds since 1970: a key must be valid now, as the time in a
    /// signature is whatever its maker says.
    ///
    /// # Errors
    /// Why it is not trusted, about an "it" that was signed.
    pub fn signer(&self, payload: &[u8], signature: &str, now: i64) -> Result<String, String> {
        if signature.starts_with("-----BEGIN SSH SIGNATURE-----") {
            self.ssh.signer(payload, signature, now)
        } else if signature.starts_with("-----BEGIN PGP ") {
            self.openpgp.signer(payload, signature, now)
        } else {
            Err("its signature is neither one of OpenPGP nor of SSH".to_owned())
        }
    }
}

fn named(key: &str, whose: &str) -> String {
    let whose = printable(whose, NAME_LIMIT);
    if whose.is_empty() { key.to_owned() } else { format!("{key} ({whose})") }
}

fn date(seconds: u64) -> String {
    let time = i64::try_from(seconds).ok().and_then(|seconds| chrono::DateTime::from_timestamp(seconds, 0));
    time.map_or_else(|| "a time that is none".to_owned(), |time| time.format("%Y-%m-%d").to_string())
}

#[cfg(test)]
mod tests;
