//! The keys in a Secret, as Flux lays them out (`*.agekey`, `*.asc`) → the data key of an encrypted file. Nothing of a key is ever shown.

use std::collections::BTreeMap;
use std::fmt;
use std::io::Read;

use pgp::composed::{Deserializable, Message, SignedSecretKey};
use pgp::types::{KeyDetails, Password};
use sha2::{Digest, Sha256};

use super::metadata::Metadata;
use crate::sync::hash::short;

/// SOPS's data keys: AES-256.
const DATA_KEY: usize = 32;
/// The most keys of a Secret.
const KEYS: usize = 100;

/// What a Secret holds. `Debug` shows nothing of it.
#[derive(Clone)]
pub struct Keys {
    origin: String,
    entries: BTreeMap<String, Vec<u8>>,
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Keys(hidden)")
    }
}

/// Keys that can be used.
pub(super) struct OpenKeys {
    origin: String,
    age: Vec<age::x25519::Identity>,
    pgp: Vec<SignedSecretKey>,
}

impl Keys {
    /// The entries of a Secret; `origin` names it in messages.
    pub fn new(origin: &str, entries: BTreeMap<String, Vec<u8>>) -> Self {
        Self { origin: origin.to_owned(), entries }
    }

    /// Tells one set of keys from another.
    pub fn fingerprint(&self) -> String {
        let mut hasher = Sha256::new();
        for (name, entry) in &self.entries {
            for part in [name.as_bytes(), entry] {
                hasher.update(part.len().to_be_bytes());
                hasher.update(part);
            }
        }
        short(hasher)
    }

    /// Reads the keys.
    ///
    /// # Errors
    /// Which entry can't be read, or that there is none.
    pub(super) fn open(&self) -> Result<OpenKeys, String> {
        let mut open = OpenKeys { origin: self.origin.clone(), age: Vec::new(), pgp: Vec::new() };
        for (name, entry) in &self.entries {
            let at = |reason: String| format!("{}: {name}: {reason}", self.origin);
            let text = || std::str::from_utf8(entry).map_err(|_| at("is no text".to_owned()));
            if name.ends_with(".agekey") {
                open.age.extend(identities(text()?).map_err(at)?);
            } else if name.ends_with(".asc") {
                open.pgp.extend(private_keys(text()?).map_err(at)?);
            }
        }
        match open.age.len() + open.pgp.len() {
            0 => {
                Err(format!("{} has no entry NAME.agekey (age) or NAME.asc (OpenPGP) with a private key", self.origin))
            }
            count if count > KEYS => Err(format!("{} has more than {KEYS} keys", self.origin)),
            _ => Ok(open),
        }
    }
}

/// A file of age identities: one a line, `#` begins a comment.
fn identities(text: &str) -> Result<Vec<age::x25519::Identity>, String> {
    let lines = (1..).zip(text.lines()).map(|(number, line)| (number, line.trim()));
    let lines = lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
    lines
        .map(|(number, line)| {
            line.parse().map_err(|_| {
                let kind = match line {
                    line if line.starts_with("AGE-SECRET-KEY-PQ-") => "a post-quantum identity, which is not read",
                    line if line.starts_with("AGE-PLUGIN-") => "an identity of a plugin, and none is ever run",
                    _ => "no identity of age",
                };
                format!("line {number} is {kind}; AGE-SECRET-KEY-1… is wanted")
            })
        })
        .collect()
}

/// OpenPGP private keys in their armour.
fn private_keys(text: &str) -> Result<Vec<SignedSecretKey>, String> {
    let (keys, _) = SignedSecretKey::from_armor_many(text.as_bytes())
        .map_err(|error| format!("is no armoured private key of OpenPGP: {error}"))?;
    let keys = keys.take(KEYS).collect::<Result<Vec<_>, _>>();
    let keys = keys.map_err(|error| format!("is no private key of OpenPGP: {error}"))?;
    let is_locked = |key: &SignedSecretKey| {
        key.primary_key.secret_params().is_encrypted()
            || key.secret_subkeys.iter().any(|subkey| subkey.key.secret_params().is_encrypted())
    };
    match keys.iter().find(|key| is_locked(key)) {
        Some(key) => Err(format!("the key {:X} is locked; export it without a passphrase", key.fingerprint())),
        None => Ok(keys),
    }
}

impl OpenKeys {
    /// The key of a file's values.
    ///
    /// # Errors
    /// When none of the keys is one of the file's, with those that are.
    pub(super) fn data_key(&self, metadata: &Metadata) -> Result<Vec<u8>, String> {
        let by_age = metadata.age.iter().flat_map(|entry| self.age.iter().filter_map(|key| by_age(&entry.enc, key)));
        let mut by_pgp = metadata.pgp.iter().filter_map(|entry| self.by_pgp(&entry.enc));
        if let Some(key) = by_age.into_iter().next().or_else(|| by_pgp.next()) {
            return Ok(key);
        }
        let age = metadata.age.iter().map(|entry| format!("age {}", entry.name));
        let pgp = metadata.pgp.iter().map(|entry| format!("OpenPGP {}", entry.name));
        let wanted: Vec<String> = age.chain(pgp).chain(metadata.others.iter().map(|name| (*name).to_owned())).collect();
        if metadata.age.is_empty() && metadata.pgp.is_empty() {
            let only = if wanted.is_empty() { "nobody".to_owned() } else { wanted.join(", ") };
            return Err(format!("is encrypted for {only} only; add a key of age or OpenPGP with `sops updatekeys`"));
        }
        Err(format!("no key of {} decrypts it; it is encrypted for {}", self.origin, wanted.join(", ")))
    }

    fn by_pgp(&self, armoured: &str) -> Option<Vec<u8>> {
        let (message, _) = Message::from_armor(armoured.as_bytes()).ok()?;
        let message = message.decrypt_with_keys(vec![&Password::empty()], self.pgp.iter().collect()).ok()?;
        let message = if message.is_compressed() { message.decompress().ok()? } else { message };
        exactly(message)
    }
}

fn by_age(armoured: &str, identity: &age::x25519::Identity) -> Option<Vec<u8>> {
    let decryptor = age::Decryptor::new(age::armor::ArmoredReader::new(armoured.trim_start().as_bytes())).ok()?;
    exactly(decryptor.decrypt(std::iter::once(identity as &dyn age::Identity)).ok()?)
}

/// A data key and not a byte more.
fn exactly(from: impl Read) -> Option<Vec<u8>> {
    let mut key = Vec::with_capacity(DATA_KEY);
    from.take(DATA_KEY as u64 + 1).read_to_end(&mut key).ok()?;
    Some(key).filter(|key| key.len() == DATA_KEY)
}
