//! How a registry or a Git host says that there is something new.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::reference::LocalRef;

/// Lets a registry say when there is something new. It only makes tagboat look at once: what it says is never believed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Webhook {
    /// Who sends it, and so in which form.
    #[serde(rename = "type")]
    pub kind: WebhookType,
    /// A Secret with `token`: it makes the path unguessable, and is the key of signatures where the sender signs.
    pub secret_ref: LocalRef,
}

/// Who sends a webhook.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum WebhookType {
    /// The CNCF distribution registry's notifications, and who sends the same (Zot, GitLab's own registry).
    Distribution,
    /// Docker Hub.
    Dockerhub,
    /// GitHub Packages.
    Ghcr,
    /// Quay.
    Quay,
    /// Harbor.
    Harbor,
    /// Azure Container Registry.
    Acr,
    /// Amazon ECR, through EventBridge.
    Ecr,
    /// Google Artifact Registry, through Pub/Sub.
    Gar,
    /// Sonatype Nexus.
    Nexus,
    /// JFrog Artifactory.
    Artifactory,
    /// Gitea and Forgejo.
    Gitea,
    /// CDEvents.
    Cdevents,
    /// Anything, known by the path alone.
    Generic,
    /// Anything, signed with HMAC-SHA256 in `X-Signature`.
    GenericHmac,
}

/// Lets a Git host say when there is something new. It only makes tagboat look at once: what it says is never believed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GitWebhook {
    /// Who sends it, and so in which form.
    #[serde(rename = "type")]
    pub kind: GitWebhookType,
    /// A Secret with `token`: it makes the path unguessable, and is the key of signatures where the host signs. With
    /// `authorization`, the header `Authorization` must have that value where the host can't sign (Azure DevOps, generic).
    pub secret_ref: LocalRef,
}

/// Which Git host sends a webhook.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum GitWebhookType {
    /// GitHub.
    Github,
    /// GitLab; the token is its secret token.
    Gitlab,
    /// Gitea, Forgejo and Gogs.
    Gitea,
    /// Bitbucket Cloud.
    Bitbucket,
    /// Bitbucket Data Center.
    BitbucketDatacenter,
    /// Azure DevOps' service hooks.
    AzureDevops,
    /// Anything, known by the path alone.
    Generic,
    /// Anything, signed with HMAC-SHA256 in `X-Signature`.
    GenericHmac,
}

/// Who sends a webhook.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Sender {
    /// A registry.
    Registry(WebhookType),
    /// A Git host.
    Git(GitWebhookType),
}

impl From<WebhookType> for Sender {
    fn from(kind: WebhookType) -> Self {
        Self::Registry(kind)
    }
}

impl From<GitWebhookType> for Sender {
    fn from(kind: GitWebhookType) -> Self {
        Self::Git(kind)
    }
}
