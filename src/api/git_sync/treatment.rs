//! How a GitSync treats what is in the cluster already: differences that it leaves, and what goes when it goes.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What happens to the objects when their GitSync is deleted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum DeletionPolicy {
    /// They are deleted if `prune` is set.
    #[default]
    MirrorPrune,
    /// They are deleted.
    Delete,
    /// They are deleted, and the GitSync stays until they are gone, at most for `timeout`.
    WaitForTermination,
    /// They stay.
    Orphan,
}

/// One object that others changed, and that is left so.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ObjectDrift {
    /// `Kind/namespace/name`.
    pub object: String,
    /// Each field, what it is and was in Git, who set it and when; at most 10. Values of Secrets are masked.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<String>,
}

/// Fields that are left as others set them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct IgnoreDifference {
    /// Of which objects; all when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<IgnoreTarget>,
    /// Fields as JSON pointers (RFC 6901), such as `/spec/replicas`; Git sets them only when the object is made.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 50), inner(length(min = 2, max = 500), pattern("^/")))]
    pub paths: Vec<String>,
    /// Field managers; whatever they own is theirs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 20), inner(length(min = 1, max = 128)))]
    pub managed_fields_managers: Vec<String>,
}

/// Which objects; all that is said must hold. `*` stands for any text.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct IgnoreTarget {
    /// The API group; empty for the core group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// The kind.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// The name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// A label selector, such as `tier=web,!canary`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label_selector: Option<String>,
}
