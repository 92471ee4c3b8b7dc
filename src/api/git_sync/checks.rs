//! What a GitSync waits for: other GitSyncs, objects beside its own, and what healthy means for kinds that only their users know.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A GitSync that must be ready first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Dependency {
    /// Its name.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// Its namespace, when it is another one; its `accessFrom` must name ours.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub namespace: Option<String>,
    /// When it is ready, as CEL over `self` (this GitSync) and `dep` (that one); replaces the check of its conditions and revision.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 2048))]
    pub ready_expr: Option<String>,
}

/// Who in other namespaces may refer to an object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AccessFrom {
    /// Namespaces by name; `*` is all.
    #[schemars(length(min = 1, max = 100))]
    pub namespaces: Vec<String>,
}

impl AccessFrom {
    /// Whether it grants a namespace.
    pub fn grants(&self, namespace: &str) -> bool {
        self.namespaces.iter().any(|granted| granted == "*" || granted == namespace)
    }
}

/// What healthy means for a kind, as CEL over `apiVersion`, `kind`, `metadata`, `spec`, `status`, `data` and `object` (the whole).
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HealthCheckExpr {
    /// The kind's API version; the group counts, the version does not.
    #[schemars(length(min = 1, max = 253))]
    pub api_version: String,
    /// The kind; empty for all kinds of the group.
    #[schemars(length(max = 63))]
    pub kind: String,
    /// It is healthy.
    #[schemars(length(min = 1, max = 2048))]
    pub current: String,
    /// It is on its way, whatever the others say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 2048))]
    pub in_progress: Option<String>,
    /// It will not get there by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 2048))]
    pub failed: Option<String>,
}

/// An object that must be healthy, though this GitSync does not apply it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HealthCheck {
    /// Its API version.
    #[schemars(length(min = 1, max = 253))]
    pub api_version: String,
    /// Its kind.
    #[schemars(length(min = 1, max = 63))]
    pub kind: String,
    /// Its name.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// Its namespace; that of the GitSync when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub namespace: Option<String>,
}
