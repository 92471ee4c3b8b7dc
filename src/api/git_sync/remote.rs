//! The cluster that a GitSync keeps equal to Git, when it is another one.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How another cluster is reached.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct KubeConfig {
    /// A Secret with a kubeconfig. It is read and watched as the service account, in the cluster of the GitSync.
    pub secret_ref: KubeConfigSecret,
}

/// A Secret with a kubeconfig.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct KubeConfigSecret {
    /// The Secret's name.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// The key that holds the kubeconfig; `value` or `value.yaml` when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub key: Option<String>,
}
