//! A public key in PEM comes in, whether it made a signature goes out. Never holds or prints anything private.

use ring::signature::{self, UnparsedPublicKey, VerificationAlgorithm};
use sigstore_verify::crypto::{KeyAlgorithm, VerificationKey, validate_raw_public_key};
use sigstore_verify::types::DerPublicKey;

/// Longest PEM text, in bytes; an RSA key of 8192 bits takes 1500.
const LONGEST_PEM: usize = 8 * 1024;

/// A public key that a policy trusts.
#[derive(Debug, Clone)]
pub struct Key {
    name: String,
    bytes: Vec<u8>,
    algorithms: Vec<&'static dyn VerificationAlgorithm>,
}

impl Key {
    /// Reads a PEM block `PUBLIC KEY` (RFC 5280's SubjectPublicKeyInfo): ECDSA P-256 or P-384, RSA of 2048 to 8192 bits, Ed25519.
    /// `name` is what reports call it.
    ///
    /// # Errors
    /// When there is not exactly one such key. What was given is never part of the message.
    pub fn parse(name: &str, pem: &[u8]) -> Result<Self, String> {
        let wrong =
            |reason: &str| format!("{name}: {reason}; a public key in PEM is needed, as cosign writes to cosign.pub");
        if pem.len() > LONGEST_PEM {
            return Err(wrong("too large for a public key"));
        }
        let text = std::str::from_utf8(pem).map_err(|_| wrong("not a text"))?;
        if text.matches("-----BEGIN ").count() != 1 {
            return Err(wrong("it must hold exactly one PEM block"));
        }
        if text.contains("PRIVATE KEY-----") {
            return Err(wrong("this is a private key"));
        }
        let der = DerPublicKey::from_pem(text).map_err(|_| wrong("not a PEM block of the type PUBLIC KEY"))?;
        let unknown = || wrong("not a key of a known kind (ECDSA P-256, ECDSA P-384, RSA, Ed25519)");
        let key = VerificationKey::from_spki(&der).map_err(|_| unknown())?;
        let algorithms = algorithms(key.scheme().key_algorithm());
        if algorithms.is_empty() {
            return Err(unknown());
        }
        validate_raw_public_key(key.scheme(), key.as_bytes())
            .map_err(|_| wrong("an RSA key must have 2048 to 8192 bits, an ECDSA key an uncompressed point"))?;
        Ok(Self { name: name.to_owned(), bytes: key.as_bytes().to_vec(), algorithms })
    }

    /// What reports call it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether this key signed exactly these bytes.
    pub fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        let made_by = |how: &&'static dyn VerificationAlgorithm| {
            UnparsedPublicKey::new(*how, &self.bytes).verify(message, signature).is_ok()
        };
        self.algorithms.iter().any(made_by)
    }
}

/// How cosign signs with such a key: with SHA-256 whatever the curve in older versions, with the curve's own hash since. Ed25519 is what
/// cosign verifies, not the Ed25519ph that it signs with (as of 3.1.3) and does not verify.
fn algorithms(kind: KeyAlgorithm) -> Vec<&'static dyn VerificationAlgorithm> {
    match kind {
        KeyAlgorithm::EcdsaP256 => vec![&signature::ECDSA_P256_SHA256_ASN1],
        KeyAlgorithm::EcdsaP384 => vec![&signature::ECDSA_P384_SHA384_ASN1, &signature::ECDSA_P384_SHA256_ASN1],
        KeyAlgorithm::Rsa => vec![&signature::RSA_PKCS1_2048_8192_SHA256],
        KeyAlgorithm::Ed25519 => vec![&signature::ED25519],
        _ => Vec::new(),
    }
}
