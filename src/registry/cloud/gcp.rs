//! Google: from a ServiceAccount's token, or from the node, to an access token for all of its registries. In: a subject.
//! Out: user and password for an hour. Must never use an answer that does not come from Google's metadata server.

use chrono::{DateTime, TimeDelta, Utc};
use reqwest::{Method, Url};
use serde::Deserialize;

use super::cache::Login;
use super::call::{Answer, Call};
use super::{Error, Flight, address, local};
use crate::registry::Credential;

/// The annotation that names the account to act as; optional (GKE).
pub(super) const SERVICE_ACCOUNT: &str = "iam.gke.io/gcp-service-account";
/// The annotation that names the provider in a workload identity pool, outside of Google's clusters (Flux).
pub(super) const IDENTITY_PROVIDER: &str = "gcp.auth.fluxcd.io/workload-identity-provider";
/// For messages.
pub(super) const HOSTS: &str = "gcr.io, <name>.gcr.io and <location>-docker.pkg.dev";
const SCOPE: &str = "https://www.googleapis.com/auth/cloud-platform";
const STS: &str = "https://sts.googleapis.com";
const IAM: &str = "https://iamcredentials.googleapis.com";
/// For how long a token is valid that does not say so, in seconds.
const TOKEN_SECONDS: i64 = 600;

/// A cluster of Google's that we run in.
#[derive(Debug)]
pub(super) struct Cluster {
    project: String,
    location: String,
    name: String,
}

impl Cluster {
    /// The pool of all its ServiceAccounts: the audience of their tokens.
    fn pool(&self) -> String {
        format!("{}.svc.id.goog", self.project)
    }

    /// What STS is asked for: pool and provider (GKE).
    fn audience(&self) -> String {
        let Self { project, location, name } = self;
        let provider =
            format!("https://container.googleapis.com/v1/projects/{project}/locations/{location}/clusters/{name}");
        format!("identitynamespace:{}:{provider}", self.pool())
    }
}

pub(super) fn is_registry(host: &str) -> bool {
    let is_name = |name: &str| {
        !name.is_empty() && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
    };
    host == "gcr.io" || [".gcr.io", "-docker.pkg.dev"].iter().any(|end| host.strip_suffix(end).is_some_and(is_name))
}

/// From nothing to an access token.
pub(super) async fn login<F: Future<Output = Result<String, String>>>(
    flight: &Flight<'_>,
    token: impl FnOnce(String) -> F,
) -> Result<Login, Error> {
    if flight.subject.is_controller() {
        return match flight.environment().get("GOOGLE_APPLICATION_CREDENTIALS") {
            Some(path) => of_file(flight, path).await,
            None => of_node(flight).await,
        };
    }
    let key = &flight.subject.key;
    let account = flight.subject.annotation(SERVICE_ACCOUNT);
    let account = account.map(|email| checked_email(email, key)).transpose()?;
    let provider = flight.subject.annotation(IDENTITY_PROVIDER);
    let (sts_audience, token_audience) = match provider.map(|provider| checked_provider(provider, key)).transpose()? {
        Some(provider) => {
            let audience = format!("//iam.googleapis.com/{provider}");
            (audience.clone(), audience)
        }
        None => {
            let cluster = cluster(flight).await?;
            (cluster.audience(), cluster.pool())
        }
    };
    let token = flight.token(token, token_audience).await?;
    let sts = flight.environment().endpoint("TAGBOAT_GCP_STS_ENDPOINT", STS, "/v1/token")?;
    let login = trade(flight, sts, &sts_audience, "urn:ietf:params:oauth:token-type:jwt", &token).await?;
    match account {
        None => Ok(login.into()),
        Some(email) => {
            let path = format!("/v1/projects/-/serviceAccounts/{email}:generateAccessToken");
            let iam = flight.environment().endpoint("TAGBOAT_GCP_IAM_ENDPOINT", IAM, &path)?;
            Ok(act_as(flight, iam, &login.token).await?.into())
        }
    }
}

/// An access token on its way.
struct Access {
    token: String,
    ends: DateTime<Utc>,
    step: String,
}

impl From<Access> for Login {
    fn from(access: Access) -> Self {
        Self {
            credential: Credential::password("oauth2accesstoken", access.token),
            ends: access.ends,
            step: access.step,
        }
    }
}

fn checked_email<'a>(email: &'a str, key: &str) -> Result<&'a str, Error> {
    let is_name = |name: &str| {
        !name.is_empty()
            && name.len() <= 100
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'.')
    };
    let parts = email.strip_suffix(".gserviceaccount.com").and_then(|email| email.split_once('@'));
    if parts.is_some_and(|(name, project)| is_name(name) && is_name(project)) {
        return Ok(email);
    }
    let what = format!("the annotation {SERVICE_ACCOUNT} of serviceaccount {key}");
    Err(Error::Configuration(format!("{what} is no account: write <name>@<project>.iam.gserviceaccount.com")))
}

fn checked_provider<'a>(provider: &'a str, key: &str) -> Result<&'a str, Error> {
    let is_id = |id: &str| {
        !id.is_empty()
            && id.len() <= 100
            && id.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
    };
    let parts: Vec<&str> = provider.split('/').collect();
    if let ["projects", number, "locations", "global", "workloadIdentityPools", pool, "providers", id] = parts[..]
        && [number, pool, id].into_iter().all(is_id)
    {
        return Ok(provider);
    }
    let form = "projects/<number>/locations/global/workloadIdentityPools/<pool>/providers/<provider>";
    Err(Error::Configuration(format!(
        "the annotation {IDENTITY_PROVIDER} of serviceaccount {key} is no provider: write {form}"
    )))
}

#[derive(Deserialize)]
struct Granted {
    access_token: String,
    expires_in: Option<i64>,
}

fn granted(answer: Answer, asked: DateTime<Utc>) -> Result<Access, Error> {
    let body: Granted = answer.json("an access_token")?;
    let token = answer.token("the access_token", &body.access_token)?;
    let life = TimeDelta::try_seconds(body.expires_in.unwrap_or(TOKEN_SECONDS));
    let ends = life.and_then(|life| asked.checked_add_signed(life));
    let ends = ends.ok_or_else(|| answer.malformed("its expires_in is no time"))?;
    Ok(Access { token, ends, step: answer.step })
}

/// The token exchange of RFC 8693.
async fn trade(flight: &Flight<'_>, url: Url, audience: &str, token_type: &str, token: &str) -> Result<Access, Error> {
    let form = [
        ("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange"),
        ("audience", audience),
        ("scope", SCOPE),
        ("requested_token_type", "urn:ietf:params:oauth:token-type:access_token"),
        ("subject_token_type", token_type),
        ("subject_token", token),
    ];
    let asked = local::now().wall;
    granted(flight.send(Call::form(url, "the token exchange", &form).hide(token)).await?, asked)
}

/// The access token of another account (IAM Service Account Credentials API).
async fn act_as(flight: &Flight<'_>, url: Url, token: &str) -> Result<Access, Error> {
    let body = serde_json::json!({"scope": [SCOPE]}).to_string();
    let call = Call::new(Method::POST, url, "generateAccessToken").body("application/json", body).bearer(token)?;
    let answer = flight.send(call).await?;

    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Body {
        access_token: String,
        expire_time: DateTime<Utc>,
    }
    let body: Body = answer.json("accessToken and expireTime")?;
    let token = answer.token("the accessToken", &body.access_token)?;
    Ok(Access { token, ends: body.expire_time, step: answer.step })
}

/// A configuration of type `external_account`, as `gcloud iam workload-identity-pools create-cred-config` writes it.
async fn of_file(flight: &Flight<'_>, path: &str) -> Result<Login, Error> {
    const NAME: &str = "GOOGLE_APPLICATION_CREDENTIALS";
    #[derive(Deserialize)]
    struct Config {
        r#type: String,
        audience: String,
        subject_token_type: String,
        token_url: String,
        service_account_impersonation_url: Option<String>,
        credential_source: Source,
    }
    #[derive(Deserialize)]
    struct Source {
        file: String,
    }
    let text = local::file(NAME, path)?;
    let unfit = || Error::Configuration(format!("the file {path} of {NAME} is no external_account with a token file"));
    let config: Config = serde_json::from_str(&text).map_err(|_| unfit())?;
    if config.r#type != "external_account" {
        return Err(unfit());
    }
    let token = local::file("credential_source.file", &config.credential_source.file)?;
    let url = address("token_url", &config.token_url)?;
    let access = trade(flight, url, &config.audience, &config.subject_token_type, &token).await?;
    match config.service_account_impersonation_url {
        None => Ok(access.into()),
        Some(url) => {
            Ok(act_as(flight, address("service_account_impersonation_url", &url)?, &access.token).await?.into())
        }
    }
}

/// The controller's account, or the node's.
async fn of_node(flight: &Flight<'_>) -> Result<Login, Error> {
    let asked = local::now().wall;
    let answer =
        metadata(flight, "instance/service-accounts/default/token", "the token of the default account").await?;
    Ok(granted(answer, asked)?.into())
}

/// Which cluster this is; asked once, as it never changes.
async fn cluster<'a>(flight: &'a Flight<'_>) -> Result<&'a Cluster, Error> {
    let ask = async || {
        let part = async |path, action| {
            let answer = metadata(flight, path, action).await?;
            let text = answer.text()?.trim();
            let fit = |b: u8| b.is_ascii_alphanumeric() || b"-_.:".contains(&b);
            if text.is_empty() || text.len() > 100 || !text.bytes().all(fit) {
                return Err(answer.malformed("it is no name"));
            }
            Ok(text.to_owned())
        };
        Ok(Cluster {
            project: part("project/project-id", "the cluster's project").await?,
            location: part("instance/attributes/cluster-location", "the cluster's location").await?,
            name: part("instance/attributes/cluster-name", "the cluster's name").await?,
        })
    };
    flight.world.cluster.get_or_try_init(ask).await
}

async fn metadata(flight: &Flight<'_>, path: &str, action: &'static str) -> Result<Answer, Error> {
    let host = flight.environment().get("GCE_METADATA_HOST").unwrap_or("metadata.google.internal");
    let url = address("GCE_METADATA_HOST", &format!("http://{host}/computeMetadata/v1/{path}"))?;
    let answer = flight.send(Call::new(Method::GET, url, action).header("metadata-flavor", "Google")).await?;
    if answer.headers.get("metadata-flavor").is_none_or(|flavor| flavor != "Google") {
        return Err(answer.malformed("it does not come from Google's metadata server"));
    }
    Ok(answer)
}
