//! Azure: from a federated token to a login at a registry. In: the registry's host and a subject. Out: the registry's refresh
//! token. Must never show an Entra token to a host that is not a registry of Azure's.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, TimeDelta, Utc};
use reqwest::Method;
use serde::Deserialize;

use super::cache::Login;
use super::call::{Answer, Call};
use super::{Error, Flight, local};
use crate::registry::Credential;

/// The audience of federated tokens (Entra ID, "Workload identity federation").
pub(super) const AUDIENCE: &str = "api://AzureADTokenExchange";
/// The annotation that names a ServiceAccount's application.
pub(super) const CLIENT: &str = "azure.workload.identity/client-id";
/// The annotation that names its tenant, when it is not the controller's.
pub(super) const TENANT: &str = "azure.workload.identity/tenant-id";
/// For messages.
pub(super) const HOSTS: &str = "<name>.azurecr.io, .azurecr.cn and .azurecr.us";
/// What an Entra token must be for, in every cloud of Azure's.
const RESOURCE: &str = "https://containerregistry.azure.net";
/// For how long a refresh token is used that does not say when it ends, in minutes; they live for three hours.
const REFRESH_MINUTES: i64 = 30;

/// A registry, and where its identities are managed.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// Its host.
    pub registry: String,
    authority: &'static str,
}

impl Place {
    pub(super) fn of(host: &str) -> Option<Self> {
        const CLOUDS: [(&str, &str); 3] = [
            (".azurecr.io", "https://login.microsoftonline.com"),
            (".azurecr.cn", "https://login.partner.microsoftonline.cn"),
            (".azurecr.us", "https://login.microsoftonline.us"),
        ];
        let (name, authority) =
            CLOUDS.iter().find_map(|(suffix, authority)| Some((host.strip_suffix(suffix)?, authority)))?;
        let is_label = |label: &str| {
            !label.is_empty() && label.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        };
        (host.len() <= 253 && name.split('.').all(is_label)).then(|| Self { registry: host.to_owned(), authority })
    }
}

/// An application and its tenant.
struct Identity<'a> {
    client: &'a str,
    tenant: &'a str,
}

/// From nothing to a login: an Entra token, exchanged for the registry's refresh token (ACR, "Integration with Azure Active
/// Directory").
pub(super) async fn login<F: Future<Output = Result<String, String>>>(
    flight: &Flight<'_>,
    place: &Place,
    token: impl FnOnce(String) -> F,
) -> Result<Login, Error> {
    let environment = flight.environment();
    let (access, tenant) = if flight.subject.is_controller() {
        match environment.get("AZURE_FEDERATED_TOKEN_FILE") {
            Some(path) => {
                let variable = |name| {
                    let missing =
                        || Error::Configuration(format!("AZURE_FEDERATED_TOKEN_FILE is set and {name} is not"));
                    checked(environment.get(name).ok_or_else(missing)?, name)
                };
                let identity = Identity { client: variable("AZURE_CLIENT_ID")?, tenant: variable("AZURE_TENANT_ID")? };
                let assertion = local::file("AZURE_FEDERATED_TOKEN_FILE", path)?;
                (federated(flight, place, &identity, &assertion).await?, Some(identity.tenant))
            }
            None => (of_node(flight).await?, environment.get("AZURE_TENANT_ID")),
        }
    } else {
        let identity = identity(flight)?;
        let assertion = flight.token(token, AUDIENCE.to_owned()).await?;
        (federated(flight, place, &identity, &assertion).await?, Some(identity.tenant))
    };
    exchange(flight, place, &access, tenant).await
}

/// Who a ServiceAccount is in Entra ID.
fn identity<'a>(flight: &'a Flight<'_>) -> Result<Identity<'a>, Error> {
    let key = &flight.subject.key;
    let lacks = |name| Error::Configuration(format!("serviceaccount {key} lacks the annotation {name}"));
    let client = flight.subject.annotation(CLIENT).ok_or_else(|| lacks(CLIENT))?;
    let tenant = flight.subject.annotation(TENANT).or_else(|| flight.environment().get("AZURE_TENANT_ID"));
    let tenant = tenant.ok_or_else(|| lacks(TENANT))?;
    Ok(Identity {
        client: checked(client, &format!("the annotation {CLIENT} of serviceaccount {key}"))?,
        tenant: checked(tenant, &format!("the annotation {TENANT} of serviceaccount {key}"))?,
    })
}

/// An id or a domain; it becomes a part of an address.
fn checked<'a>(id: &'a str, what: &str) -> Result<&'a str, Error> {
    let is_id = id.len() <= 128
        && id.starts_with(|c: char| c.is_ascii_alphanumeric())
        && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'.');
    if is_id { Ok(id) } else { Err(Error::Configuration(format!("{what} is no id"))) }
}

#[derive(Deserialize)]
struct Access {
    access_token: String,
}

/// The client credentials grant with a federated token as the assertion (Microsoft identity platform).
async fn federated(
    flight: &Flight<'_>,
    place: &Place,
    identity: &Identity<'_>,
    assertion: &str,
) -> Result<String, Error> {
    let path = format!("/{}/oauth2/v2.0/token", identity.tenant);
    let url = flight.environment().endpoint("AZURE_AUTHORITY_HOST", place.authority, &path)?;
    let scope = format!("{RESOURCE}/.default");
    let form = [
        ("grant_type", "client_credentials"),
        ("client_id", identity.client),
        ("scope", &scope),
        ("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"),
        ("client_assertion", assertion),
    ];
    let answer = flight.send(Call::form(url, "the token of the federated identity", &form).hide(assertion)).await?;
    access(&answer)
}

/// The managed identity of the node (Azure instance metadata service).
async fn of_node(flight: &Flight<'_>) -> Result<String, Error> {
    let environment = flight.environment();
    let path = "/metadata/identity/oauth2/token";
    let mut url = environment.endpoint("AZURE_POD_IDENTITY_AUTHORITY_HOST", "http://169.254.169.254", path)?;
    url.query_pairs_mut().append_pair("api-version", "2018-02-01").append_pair("resource", RESOURCE);
    if let Some(client) = environment.get("AZURE_CLIENT_ID") {
        url.query_pairs_mut().append_pair("client_id", client);
    }
    let call = Call::new(Method::GET, url, "the token of the managed identity").header("metadata", "true");
    access(&flight.send(call).await?)
}

fn access(answer: &Answer) -> Result<String, Error> {
    let body: Access = answer.json("an access_token")?;
    answer.token("the access_token", &body.access_token)
}

/// An Entra token becomes a refresh token of the registry.
async fn exchange(flight: &Flight<'_>, place: &Place, access: &str, tenant: Option<&str>) -> Result<Login, Error> {
    let registry = format!("https://{}", place.registry);
    let url = flight.environment().endpoint("TAGBOAT_ACR_ENDPOINT", &registry, "/oauth2/exchange")?;
    let mut form = vec![("grant_type", "access_token"), ("service", place.registry.as_str())];
    form.extend(tenant.map(|tenant| ("tenant", tenant)));
    form.push(("access_token", access));
    let now = local::now().wall;
    let answer = flight.send(Call::form(url, "the registry's token", &form).hide(access)).await?;

    #[derive(Deserialize)]
    struct Body {
        refresh_token: String,
    }
    let body: Body = answer.json("a refresh_token")?;
    let refresh = answer.token("the refresh_token", &body.refresh_token)?;
    let ends = ends(&refresh).unwrap_or(now + TimeDelta::minutes(REFRESH_MINUTES));
    Ok(Login { credential: Credential::identity(refresh), ends, step: answer.step })
}

/// When a JWT says that it ends. Nothing else in it is believed, and it is only used to keep it for less long.
fn ends(token: &str) -> Option<DateTime<Utc>> {
    #[derive(Deserialize)]
    struct Claims {
        exp: i64,
    }
    let claims = token.split('.').nth(1)?;
    let claims = URL_SAFE_NO_PAD.decode(claims.trim_end_matches('=')).ok()?;
    let claims: Claims = serde_json::from_slice(&claims).ok()?;
    DateTime::from_timestamp(claims.exp, 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(host: &str, authority: Option<&str>) {
        assert_eq!(Place::of(host).map(|place| place.authority), authority, "{host}");
    }

    #[test]
    fn the_registry_names_its_cloud() {
        check("acme.azurecr.io", Some("https://login.microsoftonline.com"));
        check("acme-a1b2.azurecr.io", Some("https://login.microsoftonline.com"));
        check("acme.westeurope.geo.azurecr.io", Some("https://login.microsoftonline.com"));
        check("acme.azurecr.cn", Some("https://login.partner.microsoftonline.cn"));
        check("acme.azurecr.us", Some("https://login.microsoftonline.us"));
    }

    #[test]
    fn what_only_looks_like_a_registry() {
        for host in [
            "azurecr.io",
            ".azurecr.io",
            "a..azurecr.io",
            "acme.azurecr.io.example.com",
            "acme.azurecr.io:8443",
            "acmeazurecr.io",
            "mcr.microsoft.com",
        ] {
            check(host, None);
        }
    }

    #[test]
    fn a_token_says_when_it_ends() {
        let token = |claims: &str| format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(claims));
        assert_eq!(ends(&token(r#"{"exp":1700000000}"#)), DateTime::from_timestamp(1_700_000_000, 0));
        for other in [token("{}"), token(r#"{"exp":"soon"}"#), "opaque".to_owned(), "a.!.b".to_owned(), String::new()] {
            assert_eq!(ends(&other), None, "{other}");
        }
    }
}
