//! What a manifest says (OCI image specification; Docker's schema 2 is the same in all that is read here). In: a body. Out: its
//! parts, as far as they are well formed. Pure; must never take a text for a digest that is none.

use std::collections::HashMap;

use serde::Deserialize;
use sha2::{Digest as _, Sha256, Sha512};

use crate::image::{Digest, Platform};

/// Manifests and indexes of OCI and Docker.
pub(super) const ACCEPT: &str = "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, \
    application/vnd.docker.distribution.manifest.list.v2+json, application/vnd.docker.distribution.manifest.v2+json";
/// Only indexes.
pub(super) const ACCEPT_INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// When the image was built (OCI image specification, "Pre-Defined Annotation Keys").
pub(super) const CREATED: &str = "org.opencontainers.image.created";

/// A manifest, or an index of manifests.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Manifest {
    /// Of an index; of a manifest there is none.
    pub manifests: Option<Vec<Descriptor>>,
    pub config: Option<Descriptor>,
    #[serde(default)]
    pub layers: Vec<Descriptor>,
    #[serde(default)]
    pub annotations: Annotations,
}

/// A pointer to a manifest or blob.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Descriptor {
    #[serde(default)]
    pub media_type: String,
    pub digest: Digest,
    artifact_type: Option<String>,
    platform: Option<Words>,
    #[serde(default)]
    pub annotations: Annotations,
}

/// Notes of whoever made it; absent or null is none.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Annotations(Option<HashMap<String, Option<String>>>);

/// A platform as the JSON has it, in a descriptor or an image's config.
#[derive(Debug, Deserialize)]
pub(super) struct Words {
    os: Option<String>,
    architecture: Option<String>,
    variant: Option<String>,
}

impl Manifest {
    pub(super) fn read(body: &[u8]) -> Result<Self, String> {
        serde_json::from_slice(body).map_err(|error| format!("its manifest can't be read: {error}"))
    }
}

impl Annotations {
    pub(super) fn get(&self, key: &str) -> Option<&str> {
        self.0.as_ref()?.get(key)?.as_deref()
    }
}

impl Descriptor {
    /// What the manifest behind it is for; empty when nothing is said.
    pub(super) fn artifact_type(&self) -> &str {
        self.artifact_type.as_deref().unwrap_or_default()
    }

    /// An entry of an index that is no image: what a build tool says about the images beside it.
    pub(super) fn is_attestation(&self) -> bool {
        let is_unknown = |word: &Option<String>| word.as_deref() == Some("unknown");
        self.annotations.get("vnd.docker.reference.type") == Some("attestation-manifest")
            || self.platform.as_ref().is_some_and(|words| is_unknown(&words.os) && is_unknown(&words.architecture))
    }

    /// The platform of an entry of an index, if it is said and well formed.
    pub(super) fn platform(&self) -> Option<Platform> {
        self.platform.as_ref()?.platform()
    }

    /// Whether the blob behind it is an image's config, not that of some other artifact.
    pub(super) fn is_image_config(&self) -> bool {
        matches!(
            &*self.media_type,
            "application/vnd.oci.image.config.v1+json" | "application/vnd.docker.container.image.v1+json"
        )
    }
}

impl Words {
    pub(super) fn platform(&self) -> Option<Platform> {
        Platform::new(self.os.as_deref()?, self.architecture.as_deref()?, self.variant.as_deref()).ok()
    }
}

/// Whether this is the digest of the body.
pub(super) fn is_digest_of(digest: &Digest, body: &[u8]) -> bool {
    let hash = match digest.as_str().split_once(':') {
        Some(("sha512", _)) => format!("sha512:{}", hex::encode(Sha512::digest(body))),
        _ => sha256(body),
    };
    hash == digest.as_str()
}

/// The usual digest of a body, as text.
pub(super) fn sha256(body: &[u8]) -> String {
    format!("sha256:{}", hex::encode(Sha256::digest(body)))
}
