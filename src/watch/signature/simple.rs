//! cosign's first format, a layer and its annotations: the payload and what vouches for it come in, what they prove goes out.
//!
//! The payload is RedHat's "simple signing" JSON with cosign's type; see cosign's specs/SIGNATURE_SPEC.md.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, Utc};
use serde::Deserialize;
use sigstore_verify::types::{
    Bundle, CanonicalizedBody, DerCertificate, InclusionPromise, KindVersion, LogId, LogIndex, LogKeyId, MediaType,
    MessageSignature, SignatureBytes, SignatureContent, SignedTimestamp, TransparencyLogEntry, VerificationMaterial,
    VerificationMaterialContent, X509Certificate,
};

use super::{Keyless, ring_provider, root};
use crate::image::Digest;

/// Largest payload, in bytes; cosign's has 250 and the signer's annotations.
const LARGEST_PAYLOAD: usize = 64 * 1024;
/// Largest signature, in base64's bytes; one by an RSA key of 8192 bits takes 1368.
const LARGEST_SIGNATURE: usize = 4 * 1024;
/// Largest annotation with a certificate, a chain or a log entry, in bytes.
const LARGEST_ANNOTATION: usize = 64 * 1024;
/// Certificates in a chain.
const MOST_CERTIFICATES: usize = 8;
/// What a signature by cosign says that it is.
const TYPE: &str = "cosign container image signature";

/// A payload and its signature.
pub struct Signed<'a> {
    /// What was signed.
    pub payload: &'a [u8],
    /// The signature itself.
    pub signature: Vec<u8>,
}

/// The annotations of a signature without a key.
pub struct Entry<'a> {
    pub certificate: &'a str,
    pub chain: Option<&'a str>,
    pub log: Option<&'a str>,
}

/// Fields that are read. serde refuses a field that is there twice.
#[derive(Deserialize)]
struct Payload {
    critical: Critical,
}

#[derive(Deserialize)]
struct Critical {
    image: Image,
    #[serde(rename = "type")]
    kind: String,
}

#[derive(Deserialize)]
struct Image {
    #[serde(rename = "docker-manifest-digest")]
    digest: String,
}

/// Rekor's answer as cosign keeps it.
#[derive(Deserialize)]
struct Log {
    #[serde(rename = "SignedEntryTimestamp")]
    promise: String,
    #[serde(rename = "Payload")]
    entry: LogEntry,
}

#[derive(Deserialize)]
struct LogEntry {
    body: String,
    #[serde(rename = "integratedTime")]
    time: i64,
    #[serde(rename = "logIndex")]
    index: u64,
    #[serde(rename = "logID")]
    log: String,
}

/// The kind of a log's entry.
#[derive(Deserialize)]
struct Kind {
    kind: String,
    #[serde(rename = "apiVersion")]
    version: String,
}

impl<'a> Signed<'a> {
    /// Takes the two apart; the payload stays unread until its signature is known to be good.
    pub fn parse(payload: &'a [u8], signature: &str) -> Result<Self, String> {
        if payload.len() > LARGEST_PAYLOAD {
            return Err(format!("its payload is larger than {LARGEST_PAYLOAD} bytes"));
        }
        if signature.len() > LARGEST_SIGNATURE {
            return Err(format!("it is larger than {LARGEST_SIGNATURE} bytes"));
        }
        let signature = STANDARD.decode(signature.trim()).map_err(|_| "it is not base64")?;
        Ok(Self { payload, signature })
    }

    /// That the payload is a signature of exactly this image.
    pub fn names(&self, digest: &Digest) -> Result<(), String> {
        let payload: Payload = serde_json::from_slice(self.payload)
            .map_err(|error| format!("its payload can't be read as cosign's: {error}"))?;
        if payload.critical.kind != TYPE {
            return Err(format!("its type is {:?} and not {TYPE:?}", payload.critical.kind));
        }
        if payload.critical.image.digest != digest.as_str() {
            return Err(format!("it is for another image, {}", payload.critical.image.digest));
        }
        Ok(())
    }

    /// Who signed the payload by this certificate, if it is one of the policy's identities.
    ///
    /// The annotations become a bundle of the version that proves its time by the log's promise, as cosign does for this format.
    pub fn keyless(&self, entry: &Entry<'_>, keyless: &Keyless, now: DateTime<Utc>) -> Result<String, String> {
        let log =
            entry.log.ok_or("it has a certificate but no entry of a log, so that nothing proves when it was made")?;
        let material = VerificationMaterial::new(VerificationMaterialContent::X509CertificateChain {
            certificates: certificates(entry.certificate, entry.chain)?,
        })
        .with_tlog_entries(vec![log_entry(log)?]);
        let content = MessageSignature::new(SignatureBytes::new(self.signature.clone()));
        let bundle = Bundle::new(MediaType::Bundle0_1, material, SignatureContent::MessageSignature(content));
        ring_provider::with_message(self.payload, || root::signer(keyless, &bundle, self.payload, now))
    }
}

/// The signer's certificate and those above it.
fn certificates(leaf: &str, chain: Option<&str>) -> Result<Vec<X509Certificate>, String> {
    let chain = chain.unwrap_or_default();
    if leaf.len().max(chain.len()) > LARGEST_ANNOTATION {
        return Err(format!("its certificates are larger than {LARGEST_ANNOTATION} bytes"));
    }
    const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
    if leaf.matches(BEGIN).count() != 1 {
        return Err("its certificate is not one certificate in PEM".to_owned());
    }
    let above = chain.match_indices(BEGIN).map(|(at, _)| &chain[at..]);
    std::iter::once(leaf)
        .chain(above)
        .take(MOST_CERTIFICATES)
        .map(|pem| DerCertificate::from_pem(pem).map(X509Certificate::new))
        .collect::<Result<_, _>>()
        .map_err(|_| "its certificates are not in PEM".to_owned())
}

/// The log's entry with its promise. That it is this signature's own is checked with the rest.
fn log_entry(json: &str) -> Result<TransparencyLogEntry, String> {
    if json.len() > LARGEST_ANNOTATION {
        return Err(format!("its log entry is larger than {LARGEST_ANNOTATION} bytes"));
    }
    let log: Log = serde_json::from_str(json).map_err(|error| format!("its log entry can't be read: {error}"))?;
    let wrong = |what: &str| format!("its log entry has no valid {what}");
    let body = CanonicalizedBody::from_base64(&log.entry.body).map_err(|_| wrong("body"))?;
    let kind: Kind = serde_json::from_slice(body.as_bytes()).map_err(|_| wrong("body"))?;
    if (kind.kind.as_str(), kind.version.as_str()) != ("hashedrekord", "0.0.1") {
        return Err(format!("its log entry is of the unknown kind {} {}", kind.kind, kind.version));
    }
    let id = hex::decode(&log.entry.log).map_err(|_| wrong("logID"))?;
    let time = jiff::Timestamp::from_second(log.entry.time).map_err(|_| wrong("integratedTime"))?;
    let promise = SignedTimestamp::from_base64(&log.promise).map_err(|_| wrong("SignedEntryTimestamp"))?;
    let index = LogIndex::new(log.entry.index).map_err(|_| wrong("logIndex"))?;
    Ok(TransparencyLogEntry::new(index, LogId::new(LogKeyId::new(id)), KindVersion::HashedRekordV001, body)
        .with_integrated_time(time)
        .with_inclusion_promise(InclusionPromise::new(promise)))
}
