//! cosign's second format, a Sigstore bundle with a signed statement: the JSON comes in, what it says of a digest and who says it go out.

use chrono::{DateTime, Utc};
use serde::Deserialize;
use sigstore_verify::types::{ArtifactDigest, Bundle, DsseEnvelope, HashAlgorithm};

use super::{Keyless, root};
use crate::image::Digest;

/// Largest bundle, in bytes; cosign's have 2000 to 10000.
const LARGEST: usize = 1024 * 1024;
/// The type of what a statement's envelope holds.
const STATEMENT_IN_ENVELOPE: &str = "application/vnd.in-toto+json";
/// The type of a statement (in-toto's specification, version 1).
const STATEMENT: &str = "https://in-toto.io/Statement/v1";
/// What a signature by cosign says that it is. Bills of materials, scans and provenance are statements about an image too.
const SIGNATURE: &str = "https://sigstore.dev/cosign/sign/v1";

/// Fields that are read. serde refuses a field that is there twice.
#[derive(Deserialize)]
struct Statement {
    #[serde(rename = "_type")]
    kind: String,
    #[serde(rename = "predicateType")]
    predicate: String,
    subject: Vec<Subject>,
}

#[derive(Deserialize)]
struct Subject {
    digest: Digests,
}

#[derive(Deserialize)]
struct Digests {
    sha256: Option<String>,
    sha512: Option<String>,
}

/// Reads a bundle.
pub fn parse(json: &[u8]) -> Result<Bundle, String> {
    if json.len() > LARGEST {
        return Err(format!("its bundle is larger than {LARGEST} bytes"));
    }
    let text = std::str::from_utf8(json).map_err(|_| "its bundle is not a text")?;
    Bundle::from_json(text).map_err(|error| format!("its bundle can't be read: {error}"))
}

/// That the envelope holds cosign's signature of exactly this image.
pub fn names(envelope: &DsseEnvelope, digest: &Digest) -> Result<(), String> {
    if envelope.payload_type != STATEMENT_IN_ENVELOPE {
        return Err(format!("it holds {:?} and not a statement of in-toto", envelope.payload_type));
    }
    let statement: Statement = serde_json::from_slice(envelope.payload.as_bytes())
        .map_err(|error| format!("its statement can't be read: {error}"))?;
    if statement.kind != STATEMENT || statement.predicate != SIGNATURE {
        return Err(format!("it is no signature of the image but a statement of the type {:?}", statement.predicate));
    }
    let [Subject { digest: subject }] = statement.subject.as_slice() else {
        return Err(format!("it is for {} images and not for one", statement.subject.len()));
    };
    let (algorithm, hash) = digest.as_str().split_once(':').unwrap_or_default();
    let named = match algorithm {
        "sha256" => subject.sha256.as_deref(),
        "sha512" => subject.sha512.as_deref(),
        _ => None,
    };
    match named {
        Some(named) if named == hash => Ok(()),
        Some(named) => Err(format!("it is for another image, {algorithm}:{named}")),
        None => Err(format!("it names no {algorithm} digest")),
    }
}

/// Who signed this digest by this bundle, if it is one of the policy's identities.
pub fn keyless(bundle: &Bundle, digest: &Digest, keyless: &Keyless, now: DateTime<Utc>) -> Result<String, String> {
    let (algorithm, hash) = digest.as_str().split_once(':').unwrap_or_default();
    let algorithm = match algorithm {
        "sha256" => HashAlgorithm::Sha2256,
        "sha512" => HashAlgorithm::Sha2512,
        _ => return Err("the image's digest is of an unknown kind".to_owned()),
    };
    let hash = hex::decode(hash).map_err(|_| "the image's digest is not hexadecimal")?;
    let artifact = ArtifactDigest::new(algorithm, hash).map_err(|error| error.to_string())?;
    root::signer(keyless, bundle, artifact, now)
}
