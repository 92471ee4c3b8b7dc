//! Service accounts of tenants: the pull secrets that they bring, and tokens that prove to a cloud who they are.

use std::collections::BTreeMap;

use k8s_openapi::api::authentication::v1::{TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::ServiceAccount;
use kube::Api;
use kube::api::PostParams;

use super::{Cluster, Error};

/// How long a token for a cloud lives, in seconds: the shortest that the API server gives out. It is traded at once.
const TOKEN_SECONDS: i64 = 600;

/// What of a service account matters to a registry.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Account {
    /// Names of the pull secrets, in their order.
    pub pull_secrets: Vec<String>,
    /// Annotations: they name the identity in the cloud.
    pub annotations: BTreeMap<String, String>,
}

impl Cluster {
    /// Reads a service account.
    ///
    /// # Errors
    /// [`Error::NotFound`] when it is missing; else as every read.
    pub async fn account(&self, namespace: &str, name: &str) -> Result<Account, Error> {
        let api: Api<ServiceAccount> = Api::namespaced(self.client.clone(), namespace);
        let found = self.within(&format!("ServiceAccount {namespace}/{name}"), api.get(name)).await?;
        Ok(Account {
            pull_secrets: found.image_pull_secrets.unwrap_or_default().into_iter().map(|secret| secret.name).collect(),
            annotations: found.metadata.annotations.unwrap_or_default(),
        })
    }

    /// A token of a service account for one audience.
    ///
    /// # Errors
    /// When the account is missing, or the controller may not create tokens for it.
    pub async fn account_token(&self, namespace: &str, name: &str, audience: &str) -> Result<String, Error> {
        let api: Api<ServiceAccount> = Api::namespaced(self.client.clone(), namespace);
        let spec = TokenRequestSpec {
            audiences: Some(vec![audience.to_owned()]),
            expiration_seconds: Some(TOKEN_SECONDS),
            ..TokenRequestSpec::default()
        };
        let request = TokenRequest { spec: Some(spec), ..TokenRequest::default() };
        let what = format!("ServiceAccount {namespace}/{name}");
        let granted = self.within(&what, api.create_token_request(name, &PostParams::default(), &request)).await?;
        let token = granted.status.and_then(|status| status.token).filter(|token| !token.is_empty());
        token.ok_or_else(|| Error::Unavailable(format!("{what}: the API server gave no token")))
    }
}
