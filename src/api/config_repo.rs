//! ConfigRepo: a Git repository and branch, and how to reach it.

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::condition::Condition;
use super::duration::Span;
use super::reference::LocalRef;
use super::webhook::GitWebhook;
use crate::revision::Revision;

/// A Git repository and branch, how to reach it.
#[derive(CustomResource, Debug, Clone, PartialEq, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "tagboat.dev",
    version = "v1alpha1",
    kind = "ConfigRepo",
    plural = "configrepos",
    shortname = "cfgrepo",
    category = "tagboat",
    namespaced,
    status = "ConfigRepoStatus",
    derive = "PartialEq",
    printcolumn = r#"{"name":"URL","type":"string","jsonPath":".spec.url"}"#,
    printcolumn = r#"{"name":"Revision","type":"string","jsonPath":".status.revision"}"#,
    printcolumn = r#"{"name":"Age","type":"date","jsonPath":".metadata.creationTimestamp"}"#,
    printcolumn = r#"{"name":"Ready","type":"string","jsonPath":".status.conditions[?(@.type==\"Ready\")].status"}"#,
    printcolumn = r#"{"name":"Message","type":"string","jsonPath":".status.conditions[?(@.type==\"Ready\")].message"}"#
)]
#[serde(rename_all = "camelCase")]
pub struct ConfigRepoSpec {
    /// Where the repository is: `https://`, `http://`, `ssh://user@host/path` or `user@host:path`, or `file://` when the controller
    /// allows it. Without password, and without user but for SSH.
    #[x_kube(validation = (
        "self.matches('^(https?|file)://[^@]+$') || self.matches('^ssh://([^@:/]+@)?[^@]+$') || self.matches('^[^@:/]+@([^@:/]+|[[][0-9A-Fa-f:.]+[]]):[^@]+$')",
        "write it as https://, ssh://user@host/path, user@host:path, http:// or file://, without password"
    ))]
    pub url: String,
    /// What to follow; the branch `main` when absent.
    #[serde(default, rename = "ref")]
    pub reference: GitRef,
    /// How often the branch's head is asked for.
    #[serde(default = "default_interval")]
    pub interval: Span,
    /// How long one operation with the Git host may take.
    #[serde(default = "default_timeout")]
    pub timeout: Span,
    /// A Secret that says who we are. For HTTPS: `username` and `password`; or `bearerToken`; or `githubAppID`, `githubAppPrivateKey`
    /// and `githubAppInstallationID` or `githubAppInstallationOwner` (`githubAppBaseURL` where the API is not at github.com); beside
    /// them or alone, `ca.crt` with more authorities to trust, and `tls.crt` with `tls.key` to show to the host. For SSH: `identity`,
    /// a private key, its passphrase `password`, and `known_hosts`, without which no host is trusted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<LocalRef>,
    /// A Secret with the `address` of a proxy for HTTP and HTTPS, and maybe its `username` and `password`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proxy_secret_ref: Option<LocalRef>,
    /// Lets the Git host say when something was pushed or a pull request was answered: it is looked at at once. See `status.webhookPath`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub webhook: Option<GitWebhook>,
    /// Stops asking; what was read stays in use.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub suspend: bool,
}

fn default_interval() -> Span {
    Span(std::time::Duration::from_secs(60))
}

fn default_timeout() -> Span {
    Span(std::time::Duration::from_secs(60))
}

/// What of a repository to follow.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct GitRef {
    /// The branch's short name.
    #[serde(default = "default_branch")]
    #[schemars(length(min = 1, max = 255))]
    pub branch: String,
}

impl Default for GitRef {
    fn default() -> Self {
        Self { branch: default_branch() }
    }
}

fn default_branch() -> String {
    "main".to_owned()
}

/// What is known of the repository.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ConfigRepoStatus {
    /// Ready, Reconciling, Stalled.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
    /// The generation that the conditions speak of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// The last value of the annotation `tagboat.dev/requestedAt` that was acted on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_handled_reconcile_at: Option<String>,
    /// The branch and its head, as `main@sha1:<commit>`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<Revision>,
    /// Where the Git host's webhooks go, below the controller's address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub webhook_path: Option<String>,
}
