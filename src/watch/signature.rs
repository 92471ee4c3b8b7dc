//! `gates.verify.cosign`: whom a policy trusts, a digest and what cosign left for it come in; who signed it goes out, or why nobody did.
//!
//! Whatever is unknown, unclear or too large is a reason, never a pass. Nothing is asked of a network: a trusted root is given.

use chrono::{DateTime, Utc};
use sigstore_verify::types::{SignatureContent, VerificationMaterialContent};

use crate::image::Digest;

mod bundle;
mod identity;
mod key;
mod ring_provider;
mod root;
mod simple;

pub use identity::{Identity, Match};
pub use key::Key;
pub use root::TrustedRoot;

/// Signatures of one digest that are looked at.
const MOST_SIGNATURES: usize = 64;
/// Reasons that a verdict tells.
const MOST_REASONS: usize = 3;
/// Longest reason, in characters. Parts of it come from a registry.
const LONGEST_REASON: usize = 240;
/// Longest name of who signed, in characters.
const LONGEST_NAME: usize = 512;

/// What a policy trusts. One good signature by any of these is enough.
#[derive(Debug, Clone, Default)]
pub struct Trust {
    /// Public keys.
    pub keys: Vec<Key>,
    /// Identities that a certificate authority vouches for.
    pub keyless: Option<Keyless>,
}

/// Identities, and who may vouch for them.
#[derive(Debug, Clone)]
pub struct Keyless {
    /// One of them must have signed.
    pub identities: Vec<Identity>,
    /// The certificate authorities and logs that are believed.
    pub root: TrustedRoot,
}

/// What cosign left in the registry for a digest.
#[derive(Debug, Clone, Copy)]
pub enum Signature<'a> {
    /// A layer of the image with the tag `sha256-….sig`, with its annotations.
    Simple {
        /// The layer: what was signed, as JSON.
        payload: &'a [u8],
        /// `dev.cosignproject.cosign/signature`: the signature in base64.
        signature: &'a str,
        /// `dev.sigstore.cosign/certificate`: the signer's certificate in PEM.
        certificate: Option<&'a str>,
        /// `dev.sigstore.cosign/chain`: the certificates above it in PEM.
        chain: Option<&'a str>,
        /// `dev.sigstore.cosign/bundle`: Rekor's entry and its promise, as JSON.
        bundle: Option<&'a str>,
    },
    /// A Sigstore bundle, which refers to the digest, as JSON.
    Bundle(&'a [u8]),
}

/// Finds a signature of exactly this digest by somebody whom the policy trusts, and says who: `key cosign.pub` or
/// `issuer https://… subject …`. The repository is for the message: as with cosign, it doesn't matter where the image was when it was
/// signed.
///
/// # Errors
/// One sentence: nothing to trust, no signature, or why each of the first few doesn't count.
pub fn verify(
    trust: &Trust,
    digest: &Digest,
    repository: &str,
    signatures: &[Signature<'_>],
    now: DateTime<Utc>,
) -> Result<String, String> {
    if trust.keys.is_empty() && trust.keyless.as_ref().is_none_or(|keyless| keyless.identities.is_empty()) {
        return Err("nothing is trusted: name at least one public key or one keyless identity".to_owned());
    }
    let image = format!("{repository}@{digest}");
    if signatures.is_empty() {
        return Err(format!("{image} has no signature"));
    }
    let mut reasons = Vec::new();
    for signature in signatures.iter().take(MOST_SIGNATURES) {
        match judge(trust, digest, signature, now) {
            Ok(by) => return Ok(plain(&by, LONGEST_NAME)),
            Err(reason) => reasons.push(plain(&reason, LONGEST_REASON)),
        }
    }
    Err(told(&image, signatures.len(), &reasons))
}

/// Who made this one signature, if it counts.
fn judge(trust: &Trust, digest: &Digest, signature: &Signature<'_>, now: DateTime<Utc>) -> Result<String, String> {
    match *signature {
        Signature::Simple { payload, signature, certificate, chain, bundle } => {
            let signed = simple::Signed::parse(payload, signature)?;
            if let Some(key) = trust.keys.iter().find(|key| key.verifies(signed.payload, &signed.signature)) {
                signed.names(digest)?;
                return Ok(format!("key {}", key.name()));
            }
            match (&trust.keyless, certificate) {
                (None, _) => Err("no trusted key made it".to_owned()),
                (Some(_), None) => Err(match trust.keys.as_slice() {
                    [] => "it has no certificate".to_owned(),
                    _ => "no trusted key made it, and it has no certificate".to_owned(),
                }),
                (Some(keyless), Some(certificate)) => {
                    let entry = simple::Entry { certificate, chain, log: bundle };
                    let by = signed.keyless(&entry, keyless, now)?;
                    signed.names(digest)?;
                    Ok(by)
                }
            }
        }
        Signature::Bundle(json) => {
            let bundle = bundle::parse(json)?;
            let SignatureContent::DsseEnvelope(envelope) = &bundle.content else {
                return Err("its bundle signs a file and not a statement about an image".to_owned());
            };
            match (&bundle.verification_material.content, &trust.keyless) {
                (VerificationMaterialContent::PublicKey(_), _) => {
                    let signature = envelope.signature.sig.as_bytes();
                    let signer = trust.keys.iter().find(|key| key.verifies(&envelope.pae(), signature));
                    let key = signer.ok_or("no trusted key made it")?;
                    bundle::names(envelope, digest)?;
                    Ok(format!("key {}", key.name()))
                }
                (_, None) => Err("a certificate's owner made it, and only keys are trusted".to_owned()),
                (_, Some(keyless)) => {
                    let by = bundle::keyless(&bundle, digest, keyless, now)?;
                    bundle::names(envelope, digest)?;
                    Ok(by)
                }
            }
        }
    }
}

fn told(image: &str, count: usize, reasons: &[String]) -> String {
    let mut different: Vec<&str> = Vec::new();
    for reason in reasons {
        if !different.contains(&reason.as_str()) {
            different.push(reason);
        }
    }
    let more = different.len().saturating_sub(MOST_REASONS);
    different.truncate(MOST_REASONS);
    let mut text = match count {
        1 => format!("the signature of {image} does not count: "),
        _ => format!("none of the {count} signatures of {image} counts: "),
    };
    text.push_str(&different.join("; "));
    if more > 0 {
        text.push_str(&format!("; and {more} more reasons"));
    }
    if count > MOST_SIGNATURES {
        text.push_str(&format!("; only the first {MOST_SIGNATURES} were looked at"));
    }
    text
}

/// Text from outside on one line of bounded length.
fn plain(text: &str, longest: usize) -> String {
    let mut line: String =
        text.chars().take(longest).map(|c| if c.is_control() || is_invisible(c) { '?' } else { c }).collect();
    if text.chars().nth(longest).is_some() {
        line.push('…');
    }
    line
}

/// Characters that turn or hide what a reader sees.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

#[cfg(test)]
mod tests;
