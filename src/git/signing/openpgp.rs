//! OpenPGP (RFC 9580): a detached signature in version 4, as every GnuPG reads it. In: an armoured private key. Out: signatures
//! by its newest subkey that may sign, else by the key itself. No salts and no clock, so that a signature can be made again.

use pgp::composed::{ArmorOptions, Deserializable, DetachedSignature, SignedSecretKey};
use pgp::crypto::hash::HashAlgorithm;
use pgp::packet::{SecretKey, SecretSubkey, SignatureConfig, SignatureType, Subpacket, SubpacketData};
use pgp::types::{KeyDetails, KeyVersion, Password, S2kParams, SecretParams, SigningKey, StringToKey, Timestamp};

use super::validity::{self, Validity};

/// The largest memory that opening a key may take: 2 to this power KiB.
const ARGON2_MEMORY: u8 = 16;
const ARGON2_PASSES: u8 = 10;

/// The keys of one entity that may sign, all opened: the best one first.
pub struct Key {
    may_sign: Vec<Candidate>,
}

struct Candidate {
    secret: Secret,
    valid: Validity,
}

enum Secret {
    Primary(SecretKey),
    Sub(SecretSubkey),
}

impl Key {
    /// Reads the first private key of an armoured text.
    ///
    /// # Errors
    /// It is none, is locked by another passphrase, or may not sign. The parser's own words are left out, as they may quote it.
    pub fn read(text: &str, passphrase: Option<&[u8]>) -> Result<Self, String> {
        if text.starts_with("-----BEGIN PGP PUBLIC KEY BLOCK-----") {
            return Err("it is a public key: export the private one (gpg --export-secret-keys --armor)".to_owned());
        }
        let read = SignedSecretKey::from_armor_single(text.as_bytes());
        let (entity, _) = read.map_err(|_| "it cannot be read as an armoured OpenPGP private key".to_owned())?;
        if entity.primary_key.version() != KeyVersion::V4 {
            return Err("only OpenPGP keys of version 4 can sign: GnuPG knows no others".to_owned());
        }
        if validity::is_revoked(entity.primary_key.public_key(), &entity.details) {
            return Err("the key is revoked".to_owned());
        }
        let mut found = candidates(entity);
        found.retain(|candidate| !candidate.secret.is_stub());
        if found.is_empty() {
            return Err("it holds no private key or subkey that may sign".to_owned());
        }
        for candidate in &mut found {
            candidate.secret.open(passphrase)?;
        }
        Ok(Self { may_sign: found })
    }

    /// The armoured signature; without a time, whether or not the key has ended.
    pub fn sign(&self, bytes: &[u8], time: Option<i64>) -> Result<String, String> {
        let at = |candidate: &Candidate| match time {
            None => Some(candidate.valid.from),
            // A signature from before its key would not be valid. A commit can be: it is as old as its choice.
            Some(time) => u32::try_from(time).ok().map(|time| time.max(candidate.valid.from)),
        };
        let fits = |candidate: &Candidate| {
            at(candidate)
                .filter(|at| time.is_none() || candidate.valid.until.is_none_or(|until| u64::from(*at) < until))
        };
        let found = self.may_sign.iter().find_map(|candidate| Some((&candidate.secret, fits(candidate)?)));
        let (secret, at) = found.ok_or("the OpenPGP key had expired at the commit's time")?;
        let signed = match secret {
            Secret::Primary(key) => sign(key, bytes, at),
            Secret::Sub(key) => sign(key, bytes, at),
        };
        signed.map_err(|_| "the OpenPGP key is of a kind that tagboat cannot sign with".to_owned())
    }
}

fn sign(key: &impl SigningKey, bytes: &[u8], at: u32) -> pgp::errors::Result<String> {
    let mut config = SignatureConfig::v4(SignatureType::Binary, key.algorithm(), HashAlgorithm::Sha512);
    config.hashed_subpackets = vec![
        Subpacket::regular(SubpacketData::IssuerFingerprint(key.fingerprint()))?,
        Subpacket::critical(SubpacketData::SignatureCreationTime(Timestamp::from_secs(at)))?,
    ];
    config.unhashed_subpackets = vec![Subpacket::regular(SubpacketData::IssuerKeyId(key.legacy_key_id()))?];
    let signature = config.sign(key, &Password::empty(), bytes)?;
    DetachedSignature::new(signature).to_armored_string(ArmorOptions::default())
}

/// What may sign: subkeys, newest first, then the primary key.
fn candidates(entity: SignedSecretKey) -> Vec<Candidate> {
    let SignedSecretKey { primary_key, details, secret_subkeys, .. } = entity;
    let public = primary_key.public_key();
    let (whole, may_sign) = validity::of_primary(public, primary_key.created_at(), &details);
    let mut found: Vec<Candidate> = secret_subkeys
        .into_iter()
        .filter_map(|subkey| {
            let created = subkey.key.created_at();
            let own = validity::of_subkey(public, subkey.key.public_key(), created, &subkey.signatures)?;
            Some(Candidate { secret: Secret::Sub(subkey.key), valid: own.within(whole) })
        })
        .collect();
    found.sort_by_key(|candidate| std::cmp::Reverse(candidate.valid.from));
    if may_sign {
        found.push(Candidate { secret: Secret::Primary(primary_key), valid: whole });
    }
    found
}

impl Secret {
    fn params(&self) -> &SecretParams {
        match self {
            Self::Primary(key) => key.secret_params(),
            Self::Sub(key) => key.secret_params(),
        }
    }

    /// How the passphrase becomes the key that opens this one, if it is locked.
    fn lock(&self) -> Option<&StringToKey> {
        match self.params() {
            SecretParams::Plain(_) => None,
            SecretParams::Encrypted(params) => match params.string_to_key_params() {
                S2kParams::Aead { s2k, .. } | S2kParams::Cfb { s2k, .. } | S2kParams::MalleableCfb { s2k, .. } => {
                    Some(s2k)
                }
                S2kParams::Unprotected | S2kParams::LegacyCfb { .. } => None,
            },
        }
    }

    /// Whether only its public part is here (GnuPG: `gnu-dummy`, or the key is on a card).
    fn is_stub(&self) -> bool {
        matches!(
            self.lock(),
            Some(StringToKey::Private { .. } | StringToKey::Reserved { .. } | StringToKey::Other { .. })
        )
    }

    fn open(&mut self, passphrase: Option<&[u8]>) -> Result<(), String> {
        if !self.params().is_encrypted() {
            return Ok(());
        }
        let passphrase = passphrase.ok_or("it is locked, and the Secret has no key passphrase")?;
        if let Some(StringToKey::Argon2 { t, m_enc, .. }) = self.lock()
            && (*t > ARGON2_PASSES || *m_enc > ARGON2_MEMORY)
        {
            return Err(format!("opening it takes more than {ARGON2_PASSES} passes over 64 MiB"));
        }
        let passphrase = Password::from(passphrase);
        let opened = match self {
            Self::Primary(key) => key.remove_password(&passphrase),
            Self::Sub(key) => key.remove_password(&passphrase),
        };
        opened.map_err(|_| "the Secret's passphrase does not open it".to_owned())
    }
}
