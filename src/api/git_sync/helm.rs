//! How a chart in the repository is rendered.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// How the Helm chart in `path` is rendered. Its objects are applied and pruned like all others; there is no release in the cluster.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HelmChart {
    /// The release's name in the templates; the GitSync's name when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 53), regex(pattern = r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"))]
    pub release_name: Option<String>,
    /// Files with values, a later one over an earlier one: relative to `path`, or with a slash ahead from the repository's root. They may
    /// be encrypted by SOPS.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 50))]
    pub values_files: Vec<String>,
    /// Leaves out values files that are not in the repository.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub ignore_missing_values_files: bool,
    /// Values, over those of the files.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    #[schemars(schema_with = "values")]
    pub values: Map<String, Value>,
    /// Leaves out the definitions in the chart's `crds` folders.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub skip_crds: bool,
    /// The version of Kubernetes in the templates (`.Capabilities.KubeVersion`); the cluster's own when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub kube_version: Option<String>,
    /// API versions in the templates (`.Capabilities.APIVersions`) beside those that the cluster serves, such as
    /// `monitoring.coreos.com/v1/ServiceMonitor`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 500))]
    pub api_versions: Vec<String>,
}

fn values(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "object", "x-kubernetes-preserve-unknown-fields": true})
}
