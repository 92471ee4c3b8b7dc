//! ImagePolicy: an image, which of its tags may run, and which of them is newer.

use chrono::{DateTime, Utc};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::condition::Condition;
use super::duration::Span;
use super::reference::LocalRef;
use crate::image::Tag;

/// An image, which of its tags may run, and in which order they are newer.
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
    printcolumn = r#"{"name":"Chosen","type":"date","jsonPath":".status.chosenAt"}"#,
    printcolumn = r#"{"name":"Tags","type":"integer","priority":1,"jsonPath":".status.tagsSeen"}"#,
    printcolumn = r#"{"name":"Previous","type":"string","priority":1,"jsonPath":".status.observedPreviousRef.tag"}"#,
    printcolumn = r#"{"name":"Age","type":"date","jsonPath":".metadata.creationTimestamp"}"#,
    printcolumn = r#"{"name":"Ready","type":"string","jsonPath":".status.conditions[?(@.type==\"Ready\")].status"}"#,
    printcolumn = r#"{"name":"Message","type":"string","jsonPath":".status.conditions[?(@.type==\"Ready\")].message"}"#
)]
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
    /// Speaks plain HTTP with the registry.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub insecure: bool,
    /// Which tags count, and what of them is compared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filter_tags: Option<FilterTags>,
    /// How tags are ordered; exactly one kind.
    pub policy: PolicyChoice,
    /// Stops asking the registry; the choice stays in use.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub suspend: bool,
}

fn default_interval() -> Span {
    Span(std::time::Duration::from_secs(300))
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
#[x_kube(validation = ("[has(self.semver), has(self.numerical), has(self.alphabetical)].exists_one(x, x)", "set exactly one of semver, numerical, alphabetical"))]
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
}

/// By semantic version, within a range.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SemverPolicy {
    /// A range in the dialect of Masterminds/semver v3, such as `>=1.0.0 <2.0.0`.
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

/// An image and the tag chosen for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ImageRef {
    /// The image's name, as the user typed it.
    pub name: String,
    /// The tag.
    pub tag: Tag,
}

/// What was chosen, and from what.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ImagePolicyStatus {
    /// Ready, Reconciling, Stalled.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
    /// The generation that the conditions speak of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// The last value of the annotation `tagboat.dev/requestedAt` that was acted on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_handled_reconcile_at: Option<String>,
    /// The choice.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latest_ref: Option<ImageRef>,
    /// When it was chosen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chosen_at: Option<DateTime<Utc>>,
    /// The choice before it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_previous_ref: Option<ImageRef>,
    /// How many tags the last whole list had.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tags_seen: Option<u32>,
}
