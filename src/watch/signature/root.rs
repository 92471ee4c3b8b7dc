//! Sigstore's trusted root comes in; what a bundle proves by its certificate authorities and logs goes out: who signed it, when.
//!
//! sigstore-verify checks the chain, the certificate's and the log's promises and that the log's entry is this signature's own; it
//! refuses times in the future by the system's clock too, beside the `now` that is given.

use std::fmt;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use sigstore_verify::types::{Artifact, Bundle};
use sigstore_verify::{VerificationPolicy, VerificationResult, Verifier};

use super::{Keyless, ring_provider};

/// Largest trusted root, in bytes; the public one has 7000.
const LARGEST: usize = 1024 * 1024;

/// The certificate authorities, certificate logs, signature logs and time stampers that are believed.
#[derive(Clone)]
pub struct TrustedRoot {
    verifier: Arc<Verifier>,
    /// A private authority may have no certificate log; where the root names some, a certificate must be in one.
    has_certificate_logs: bool,
}

impl fmt::Debug for TrustedRoot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TrustedRoot").finish_non_exhaustive()
    }
}

impl TrustedRoot {
    /// The authorities behind Sigstore's public services, as the library had them when it was released.
    ///
    /// # Errors
    /// When the library's copy can't be read, which would be our bug.
    pub fn public() -> Result<Self, String> {
        Self::parse(sigstore_verify::trust_root::SIGSTORE_PRODUCTION_TRUSTED_ROOT.as_bytes())
    }

    /// Reads a `trusted_root.json` (Sigstore's protobuf-specs in JSON).
    ///
    /// # Errors
    /// When it isn't one, when a key or certificate in it is malformed, and when it trusts no certificate authority or no log.
    pub fn parse(json: &[u8]) -> Result<Self, String> {
        ring_provider::install();
        let wrong = |reason: String| format!("not a trusted root of Sigstore: {}", super::plain(&reason, 240));
        if json.len() > LARGEST {
            return Err(wrong(format!("larger than {LARGEST} bytes")));
        }
        let root: sigstore_verify::trust_root::TrustedRoot =
            serde_json::from_slice(json).map_err(|error| wrong(error.to_string()))?;
        if !root.media_type.starts_with("application/vnd.dev.sigstore.trustedroot") {
            return Err(wrong(format!("its mediaType is {:?}", root.media_type)));
        }
        if root.certificate_authorities.is_empty() {
            return Err(wrong("it has no certificateAuthorities".to_owned()));
        }
        if root.tlogs.is_empty() {
            return Err(wrong("it has no tlogs".to_owned()));
        }
        let verifier = Verifier::new(&root).map_err(|error| wrong(error.to_string()))?;
        Ok(Self { verifier: Arc::new(verifier), has_certificate_logs: !root.ctlogs.is_empty() })
    }
}

/// Who signed the artifact by this bundle, if it is one of the policy's identities.
pub fn signer<'a>(
    keyless: &Keyless,
    bundle: &Bundle,
    artifact: impl Into<Artifact<'a>>,
    now: DateTime<Utc>,
) -> Result<String, String> {
    // Names are compared below, as they may be patterns.
    let policy = VerificationPolicy::any_identity();
    let policy = if keyless.root.has_certificate_logs { policy } else { policy.skip_sct() };
    let result = keyless.root.verifier.verify(artifact, bundle, &policy).map_err(|error| error.to_string())?;
    check(&result, now)?;
    let issuer = result.issuer().unwrap_or_default();
    let subject = result.identity().map(|subject| subject.as_str()).unwrap_or_default();
    if !keyless.identities.iter().any(|identity| identity.is(issuer, subject)) {
        return Err(format!("issuer {issuer} subject {subject} made it, whom the policy does not trust"));
    }
    Ok(format!("issuer {issuer} subject {subject}"))
}

/// That everything was checked, and that nothing was signed after `now`.
fn check(result: &VerificationResult, now: DateTime<Utc>) -> Result<(), String> {
    if !(result.certificate_verified() && result.tlog_verified()) || result.verified_timestamps().is_empty() {
        return Err("its certificate or its log entry could not be checked".to_owned());
    }
    match result.verified_timestamps().iter().find(|time| time.as_second() > now.timestamp()) {
        Some(time) => Err(format!("it was made at {time}, which is in the future")),
        None => Ok(()),
    }
}
