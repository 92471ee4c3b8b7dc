//! ImagePolicy: an image, which of its tags may run, which of them is newer, and what must hold before a newer one is taken.

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::duration::Span;
use super::reference::LocalRef;
use super::webhook::Webhook;
use crate::image::Tag;

pub mod gates;
pub mod status;

pub use gates::{Cosign, Gates, MatchOidcIdentity, Verify, Window};
pub use status::{ImagePolicyStatus, ImageRef, LastScan, TagVerdict};

/// An image, which of its tags may run, in which order they are newer, and what must hold first.
#[derive(CustomResource, Debug, Clone, PartialEq, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "tagboat.dev",
    version = "v1alpha1",
    kind = "ImagePolicy",
    plural = "imagepolicies",
    shortname = "imgpol",
    category = "tagboat",
    namespaced,
    status = "ImagePolicyStatus",
    derive = "PartialEq",
    printcolumn = r#"{"name":"Image","type":"string","jsonPath":".spec.image"}"#,
    printcolumn = r#"{"name":"Tag","type":"string","jsonPath":".status.latestRef.tag"}"#,
    printcolumn = r#"{"name":"Digest","type":"string","priority":1,"jsonPath":".status.latestRef.digest"}"#,
    printcolumn = r#"{"name":"Chosen","type":"date","jsonPath":".status.chosenAt"}"#,
    printcolumn = r#"{"name":"Tags","type":"integer","priority":1,"jsonPath":".status.lastScan.tags"}"#,
    printcolumn = r#"{"name":"Previous","type":"string","priority":1,"jsonPath":".status.observedPreviousRef.tag"}"#,
    printcolumn = r#"{"name":"Age","type":"date","jsonPath":".metadata.creationTimestamp"}"#,
    printcolumn = r#"{"name":"Ready","type":"string","jsonPath":".status.conditions[?(@.type==\"Ready\")].status"}"#,
    printcolumn = r#"{"name":"Message","type":"string","jsonPath":".status.conditions[?(@.type==\"Ready\")].message"}"#
)]
#[x_kube(validation = ("!has(self.gates) || !has(self.gates.verify) || !has(self.digestReflectionPolicy) || self.digestReflectionPolicy != 'Never'", "gates.verify needs the digest to be written: leave digestReflectionPolicy out or set IfNotPresent or Always"))]
#[x_kube(validation = ("!has(self.policy.digestOf) || !has(self.digestReflectionPolicy) || self.digestReflectionPolicy == 'Always'", "policy.digestOf follows the digest: leave digestReflectionPolicy out or set Always"))]
#[x_kube(validation = ("!has(self.provider) || self.provider == 'generic' || !has(self.secretRef)", "with a cloud as provider the login comes from there: leave secretRef out"))]
#[serde(rename_all = "camelCase")]
pub struct ImagePolicySpec {
    /// The image's name without tag, such as `registry.example.com/acme/app`.
    #[x_kube(validation = ("!self.contains('://') && !self.contains('@')", "write the image's name without scheme, tag and digest"))]
    #[schemars(length(min = 1, max = 255))]
    pub image: String,
    /// How often the registry is asked; at least one second.
    #[serde(default = "default_interval")]
    pub interval: Span,
    /// A Secret of type `kubernetes.io/dockerconfigjson`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<LocalRef>,
    /// A ServiceAccount of the namespace: its image pull secrets come after `secretRef`; with a cloud as `provider` it is who
    /// logs in there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub service_account_name: Option<String>,
    /// A Secret with `ca.crt` (trusted beside the system's), and `tls.crt` with `tls.key` for a registry that wants a client
    /// certificate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cert_secret_ref: Option<LocalRef>,
    /// A Secret with `address`, and `username` with `password` when the proxy wants them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proxy_secret_ref: Option<LocalRef>,
    /// Where the login comes from: Secrets, or a cloud's workload identity.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider: Option<Provider>,
    /// Speaks plain HTTP with the registry.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub insecure: bool,
    /// Regular expressions (RE2) of tags that never count. When absent, what signing tools leave: `.sig`, `.att`, `.sbom` and
    /// `sha256-…`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 25), inner(length(min = 1, max = 1024)))]
    pub exclusion_list: Option<Vec<String>>,
    /// Which tags count, and what of them is compared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filter_tags: Option<FilterTags>,
    /// How tags are ordered; exactly one kind.
    pub policy: PolicyChoice,
    /// Whether the digest is written beside the tag, and when it is looked up. `Never` unless `gates.verify` or
    /// `policy.digestOf` need it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest_reflection_policy: Option<DigestReflectionPolicy>,
    /// A tag may run only when its image has all of these, such as `linux/arm64` or `linux/arm/v7`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), inner(length(min = 3, max = 64)))]
    pub platforms: Vec<String>,
    /// What must hold before a newer choice is taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gates: Option<Gates>,
    /// Takes an older tag when the chosen one is no longer listed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub allow_downgrade: bool,
    /// What becomes of a value that a person took back in Git.
    #[serde(default, skip_serializing_if = "OnRevert::is_default")]
    pub on_revert: OnRevert,
    /// Lets the registry say when there is something new.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub webhook: Option<Webhook>,
    /// Stops asking the registry; the choice stays in use.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub suspend: bool,
}

fn default_interval() -> Span {
    Span(std::time::Duration::from_secs(300))
}

/// What becomes of a value that a person took back in Git.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum OnRevert {
    /// It is not written there again; a newer choice is.
    #[default]
    SkipTag,
    /// Nothing is written there until a person releases it.
    Hold,
    /// It is written again.
    Ignore,
}

impl OnRevert {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// Which tags count, and what of them is compared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FilterTags {
    /// A regular expression (RE2) that a tag must match somewhere.
    #[schemars(length(min = 1, max = 1024))]
    pub pattern: String,
    /// What of the match is compared, such as `$ts` or `${1}`; the whole tag when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub extract: Option<String>,
}

/// How tags are ordered. Exactly one.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[x_kube(validation = ("[has(self.semver), has(self.numerical), has(self.alphabetical), has(self.newestBuild), has(self.digestOf)].exists_one(x, x)", "set exactly one of semver, numerical, alphabetical, newestBuild, digestOf"))]
#[serde(rename_all = "camelCase")]
pub struct PolicyChoice {
    /// By semantic version, within a range.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub semver: Option<SemverPolicy>,
    /// As numbers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub numerical: Option<OrderPolicy>,
    /// As text, byte by byte.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alphabetical: Option<OrderPolicy>,
    /// By the time at which the image was built, as its publisher says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub newest_build: Option<NewestBuildPolicy>,
    /// Follows the digest of one tag that moves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest_of: Option<DigestOfPolicy>,
}

/// By semantic version, within a range.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SemverPolicy {
    /// A range in the dialect of Masterminds/semver v3, such as `>=1.0.0 <2.0.0`. Of tags that are the same version, such as `1.2`,
    /// `1.2.0` and `v1.2.0`, the one that was chosen before stays, else the lexically greatest is taken.
    #[schemars(length(min = 1, max = 1024))]
    pub range: String,
}

/// Which end of the order is the newest.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OrderPolicy {
    /// `asc`: the last in ascending order is the newest.
    #[serde(default)]
    pub order: Order,
}

/// Which end of an order is the newest.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Order {
    /// The greatest is the newest.
    #[default]
    Asc,
    /// The smallest is the newest.
    Desc,
}

/// By the time at which the image was built: the annotation `org.opencontainers.image.created` of its manifest, else `created`
/// of its configuration. The publisher controls both, so versions are the better choice where there are any.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NewestBuildPolicy {}

/// Follows the digest of one tag that moves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DigestOfPolicy {
    /// The tag, such as `stable`.
    pub tag: Tag,
}

/// Whether the digest is written beside the tag, and when it is looked up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum DigestReflectionPolicy {
    /// The tag alone is written.
    Never,
    /// Looked up when the tag is chosen, and kept as long as it stays chosen.
    IfNotPresent,
    /// Looked up at every interval: a tag that moved is a new choice.
    Always,
}

/// Where the login to a registry comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Provider {
    /// From Secrets.
    Generic,
    /// From Amazon, for ECR.
    Aws,
    /// From Microsoft, for ACR.
    Azure,
    /// From Google, for Artifact Registry.
    Gcp,
}
