//! OpenPGP (RFC 9580): detached signatures by trusted keys or their subkeys. In: armoured public keys; then bytes and a signature.
//! Out: the key's fingerprint and whose it is. What is weak, revoked, expired or not meant for signing is refused by name.

use pgp::composed::{Deserializable, DetachedSignature, SignedPublicKey, SignedPublicSubKey};
use pgp::crypto::hash::HashAlgorithm;
use pgp::packet::{Signature, SignatureType};
use pgp::types::{KeyDetails, VerifyingKey};

use super::{date, named};
use crate::git::signing::validity;

const BEGIN: &str = "-----BEGIN PGP";
const PUBLIC: &str = "-----BEGIN PGP PUBLIC KEY BLOCK-----";
const END: &str = "-----END PGP";

/// Trusted keys.
#[derive(Default)]
pub struct Keys(Vec<SignedPublicKey>);

impl Keys {
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Adds the keys of all blocks in a text.
    pub fn read(&mut self, text: &str) -> Result<(), String> {
        let starts: Vec<usize> = text.match_indices(BEGIN).map(|(at, _)| at).collect();
        for (index, start) in starts.iter().enumerate() {
            let block = &text[*start..starts.get(index + 1).copied().unwrap_or(text.len())];
            if !block.starts_with(PUBLIC) || !block.contains(END) {
                return Err("a block in it is no whole armoured OpenPGP public key (gpg --armor --export)".to_owned());
            }
            let unread = || "it cannot be read as an armoured OpenPGP public key".to_owned();
            let (keys, _) = SignedPublicKey::from_armor_many(block.as_bytes()).map_err(|_| unread())?;
            for key in keys {
                self.0.push(key.map_err(|_| unread())?);
            }
        }
        Ok(())
    }

    pub fn signer(&self, payload: &[u8], text: &str, now: i64) -> Result<String, String> {
        let signature = single(text)?;
        check_kind(&signature)?;
        // The same key may be there twice, once as it was before it was prolonged.
        let mut flaw = None;
        for key in &self.0 {
            let name = name(key);
            let mut all = Vec::new();
            if is_by(&key.primary_key, &signature) {
                all.push(by_primary(key, &signature, payload, now));
            }
            let subkeys = key.public_subkeys.iter().filter(|subkey| is_by(&subkey.key, &signature));
            all.extend(subkeys.map(|subkey| by_subkey(key, subkey, &signature, payload, now)));
            for made in all {
                match made {
                    Ok(()) => return Ok(name),
                    Err(reason) => flaw = Some(format!("it is signed by {name}, {reason}")),
                }
            }
        }
        if let Some(flaw) = flaw {
            return Err(flaw);
        }
        let issuer = signature.issuer_fingerprint().first().map(|print| print.to_string());
        let issuer = issuer.or_else(|| signature.issuer_key_id().first().map(|id| id.to_string()));
        Err(match issuer {
            Some(issuer) => format!(
                "it is signed by the OpenPGP key {}, which is not among the trusted ones",
                issuer.to_uppercase()
            ),
            None => "its signature names no key".to_owned(),
        })
    }
}

/// A signature names its key by fingerprint, or by id (RFC 9580 5.2.3.12, 5.2.3.35).
fn is_by(key: &impl KeyDetails, signature: &Signature) -> bool {
    let prints = signature.issuer_fingerprint();
    if prints.is_empty() {
        let id = key.legacy_key_id();
        return signature.issuer_key_id().into_iter().any(|of| *of == id);
    }
    let own = key.fingerprint();
    prints.into_iter().any(|print| *print == own)
}

/// Exactly one signature: of more, some would be looked at by nobody.
fn single(text: &str) -> Result<Signature, String> {
    let unread = || "its signature cannot be read as one of OpenPGP".to_owned();
    let (mut all, _) = DetachedSignature::from_armor_many(text.as_bytes()).map_err(|_| unread())?;
    let first = all.next().ok_or_else(unread)?.map_err(|_| unread())?;
    if all.next().is_some() {
        return Err("it has more than one signature".to_owned());
    }
    Ok(first.signature)
}

fn check_kind(signature: &Signature) -> Result<(), String> {
    if !matches!(signature.typ(), Some(SignatureType::Binary | SignatureType::Text)) {
        return Err("its signature is none of a document".to_owned());
    }
    let is_strong = matches!(
        signature.hash_alg(),
        Some(
            HashAlgorithm::Sha256
                | HashAlgorithm::Sha384
                | HashAlgorithm::Sha512
                | HashAlgorithm::Sha3_256
                | HashAlgorithm::Sha3_512
        )
    );
    if is_strong {
        Ok(())
    } else {
        Err("its signature is over a hash that is too weak (gpg: digest-algo SHA512)".to_owned())
    }
}

fn by_primary(key: &SignedPublicKey, signature: &Signature, payload: &[u8], now: i64) -> Result<(), String> {
    holds(&key.primary_key, signature, payload)?;
    let (valid, may_sign) = whole(key)?;
    if !may_sign {
        return Err("a key that is not meant for signing".to_owned());
    }
    in_time(valid, signature, now)
}

fn by_subkey(
    key: &SignedPublicKey,
    subkey: &SignedPublicSubKey,
    signature: &Signature,
    payload: &[u8],
    now: i64,
) -> Result<(), String> {
    holds(&subkey.key, signature, payload)?;
    let (valid, _) = whole(key)?;
    let own = validity::of_subkey(&key.primary_key, &subkey.key, subkey.key.created_at(), &subkey.signatures);
    let own = own.ok_or("by a subkey that is revoked or not meant for signing")?;
    if !validity::is_mutual(&key.primary_key, &subkey.key, &subkey.signatures) {
        return Err("by a subkey that does not say that it is its own".to_owned());
    }
    in_time(own.within(valid), signature, now)
}

fn holds(key: &impl VerifyingKey, signature: &Signature, payload: &[u8]) -> Result<(), String> {
    signature.verify(key, payload).map_err(|_| "but it is not what was signed: it was changed afterwards".to_owned())
}

fn whole(key: &SignedPublicKey) -> Result<(validity::Validity, bool), String> {
    if validity::is_revoked(&key.primary_key, &key.details) {
        return Err("a key that its owner revoked".to_owned());
    }
    Ok(validity::of_primary(&key.primary_key, key.primary_key.created_at(), &key.details))
}

fn in_time(valid: validity::Validity, signature: &Signature, now: i64) -> Result<(), String> {
    let made = signature.created().ok_or("at no time that it says")?.as_secs();
    if let Some(until) = valid.until.filter(|_| valid.has_ended(now)) {
        return Err(format!("a key that expired on {}: prolong it and put it into the Secret anew", date(until)));
    }
    if made < valid.from {
        return Err("at a time before the key was made".to_owned());
    }
    let lasts =
        signature.signature_expiration_time().map(|lasts| u64::from(lasts.as_secs())).filter(|lasts| *lasts > 0);
    match lasts.map(|lasts| u64::from(made) + lasts) {
        Some(until) if u64::try_from(now).is_ok_and(|now| now >= until) => {
            Err(format!("and that signature expired on {}", date(until)))
        }
        _ => Ok(()),
    }
}

fn name(key: &SignedPublicKey) -> String {
    let user = key.details.users.iter().find(|user| user.is_primary()).or_else(|| key.details.users.first());
    let user = user.map(|user| String::from_utf8_lossy(user.id.id()).into_owned()).unwrap_or_default();
    named(&format!("OpenPGP key {}", key.fingerprint().to_string().to_uppercase()), &user)
}
