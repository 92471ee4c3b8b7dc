//! What the operator says about clouds. In: the variables of the process. Out: values and addresses, checked. An object in the
//! cluster never adds to it; must never show a value in a debug print, as some are secrets.

use std::collections::BTreeMap;
use std::fmt;

use reqwest::Url;

use super::Error;

/// What the process's environment says about clouds.
///
/// | Variable | Meaning |
/// |---|---|
/// | `AWS_REGION` | where to ask STS, when it is in the registry's partition; else the registry's region |
/// | `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`, `AWS_SESSION_TOKEN` | the controller's keys, first choice |
/// | `AWS_ROLE_ARN`, `AWS_WEB_IDENTITY_TOKEN_FILE`, `AWS_ROLE_SESSION_NAME` | its role (IRSA), second choice |
/// | `AWS_CONTAINER_CREDENTIALS_FULL_URI`, `AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE` | its EKS Pod Identity, third choice |
/// | `AWS_EC2_METADATA_DISABLED`, `AWS_EC2_METADATA_SERVICE_ENDPOINT` | the node's role, last choice: `true` forbids it |
/// | `AWS_ENDPOINT_URL_STS`, `AWS_ENDPOINT_URL_ECR`, `AWS_ENDPOINT_URL_ECR_PUBLIC` | other addresses of these services |
/// | `AZURE_CLIENT_ID`, `AZURE_TENANT_ID`, `AZURE_FEDERATED_TOKEN_FILE` | the controller's workload identity; the tenant is also that of ServiceAccounts without one |
/// | `AZURE_AUTHORITY_HOST` | another address of Entra ID |
/// | `AZURE_POD_IDENTITY_AUTHORITY_HOST` | another address of the node's identity service |
/// | `TAGBOAT_ACR_ENDPOINT` | where to exchange tokens instead of at the registry itself |
/// | `GOOGLE_APPLICATION_CREDENTIALS` | a file of type `external_account`: the controller's identity outside of Google's clusters |
/// | `GCE_METADATA_HOST` | another host (and port) of the metadata server |
/// | `TAGBOAT_GCP_STS_ENDPOINT`, `TAGBOAT_GCP_IAM_ENDPOINT` | other addresses of Google's STS and IAM Credentials |
#[derive(Clone, Default)]
pub struct Environment {
    /// Those of [`Environment::NAMES`] that are set.
    pub variables: BTreeMap<String, String>,
}

impl Environment {
    /// All variables that are looked at.
    pub const NAMES: &[&str] = &[
        "AWS_REGION",
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_SESSION_TOKEN",
        "AWS_ROLE_ARN",
        "AWS_WEB_IDENTITY_TOKEN_FILE",
        "AWS_ROLE_SESSION_NAME",
        "AWS_CONTAINER_CREDENTIALS_FULL_URI",
        "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
        "AWS_EC2_METADATA_DISABLED",
        "AWS_EC2_METADATA_SERVICE_ENDPOINT",
        "AWS_ENDPOINT_URL_STS",
        "AWS_ENDPOINT_URL_ECR",
        "AWS_ENDPOINT_URL_ECR_PUBLIC",
        "AZURE_CLIENT_ID",
        "AZURE_TENANT_ID",
        "AZURE_FEDERATED_TOKEN_FILE",
        "AZURE_AUTHORITY_HOST",
        "AZURE_POD_IDENTITY_AUTHORITY_HOST",
        "TAGBOAT_ACR_ENDPOINT",
        "GOOGLE_APPLICATION_CREDENTIALS",
        "GCE_METADATA_HOST",
        "TAGBOAT_GCP_STS_ENDPOINT",
        "TAGBOAT_GCP_IAM_ENDPOINT",
    ];

    pub(super) fn get(&self, name: &str) -> Option<&str> {
        debug_assert!(Self::NAMES.contains(&name), "{name} is not in the list that is read");
        self.variables.get(name).map(|value| value.trim()).filter(|value| !value.is_empty())
    }

    /// The address in this variable, else the other one, with a path below it.
    pub(super) fn endpoint(&self, name: &str, otherwise: &str, path: &str) -> Result<Url, Error> {
        address(name, &format!("{}{path}", self.get(name).unwrap_or(otherwise).trim_end_matches('/')))
    }
}

impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.variables.keys()).finish()
    }
}

/// An address that the operator gave, or that is built from checked parts.
pub(super) fn address(name: &str, text: &str) -> Result<Url, Error> {
    let unfit = |reason| Error::Configuration(format!("the address of {name} {reason}"));
    let url = Url::parse(text).map_err(|_| unfit("is no URL"))?;
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
        return Err(unfit("is neither http nor https"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(unfit("holds a user or a password"));
    }
    Ok(url)
}
