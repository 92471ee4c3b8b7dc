//! What must hold before an ImagePolicy takes a newer choice.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::api::duration::Span;
use crate::api::reference::LocalRef;

/// What must hold before a newer choice is taken. A tag that a gate stops passes the choice on to the next best one.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Gates {
    /// How long ago tagboat must have seen this tag with this digest for the first time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_age: Option<Span>,
    /// Who must have signed it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verify: Option<Verify>,
    /// When a choice may change; at any time when empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub windows: Vec<Window>,
}

/// Who must have signed a tag's image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Verify {
    /// Signatures made by cosign.
    pub cosign: Cosign,
}

/// Signatures made by cosign: by one of the keys, or by one of the identities.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[x_kube(validation = ("has(self.secretRef) || has(self.matchOIDCIdentity)", "set secretRef, matchOIDCIdentity or both"))]
#[serde(rename_all = "camelCase")]
pub struct Cosign {
    /// A Secret whose keys that end in `.pub` hold public keys in PEM.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<LocalRef>,
    /// Identities whose keyless signatures are trusted.
    #[serde(default, rename = "matchOIDCIdentity", skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub match_oidc_identity: Vec<MatchOidcIdentity>,
    /// A Secret whose key `trusted_root.json` names the authorities behind keyless signatures; Sigstore's public ones when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trusted_root_secret_ref: Option<LocalRef>,
}

/// An identity whose keyless signatures are trusted. Both regular expressions must match the whole text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MatchOidcIdentity {
    /// A regular expression for who vouched for the signer, such as `^https://token\\.actions\\.githubusercontent\\.com$`.
    #[schemars(length(min = 1, max = 1024))]
    pub issuer: String,
    /// A regular expression for the signer.
    #[schemars(length(min = 1, max = 1024))]
    pub subject: String,
}

/// A time in which a choice may change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Window {
    /// When it opens, as cron has it: minute, hour, day of month, month, day of week.
    #[schemars(length(min = 1, max = 256))]
    pub schedule: String,
    /// For how long it stays open.
    pub duration: Span,
    /// The time zone of the schedule, such as `Europe/Berlin`; UTC when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64))]
    pub timezone: Option<String>,
}
