//! A GitHub App as a Git user. In: its id, private key and installation. Out: a token that lives an hour, kept until shortly before
//! its end. Key and token go to the app's own API and the Git host, and never into a text.

#![expect(clippy::disallowed_methods, reason = "tokens have an end by the clock")]

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use reqwest::header::{ACCEPT, AUTHORIZATION, DATE, HeaderMap};
use reqwest::{Client, Method, Url};
use ring::rand::SystemRandom;
use ring::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject as _;
use serde::Deserialize;
use serde_json::json;

use super::Error;
use super::client::{read, retry_after, secret_value, unreachable};
use crate::failure::printable;
use crate::reach::fingerprint;

/// The API of github.com.
const API: &str = "https://api.github.com";
/// How long before its end a token is not used any more: a push may take its time.
const MARGIN: Duration = Duration::from_secs(300);
/// How far our clock may be before GitHub's.
const SKEW: u64 = 60;
/// How long the app's own signature is good for; GitHub allows 600 s.
const SIGNATURE_LIFE: u64 = 540;
/// The largest answer that is read, in bytes.
const ANSWER_LIMIT: usize = 256 << 10;

/// Which installation of the app.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Installation {
    /// The one with this number.
    Id(u64),
    /// The one of this organization or user.
    Owner(String),
}

impl Installation {
    /// The number when there is one, else the owner.
    ///
    /// # Errors
    /// Neither is given, or it can't be one.
    pub fn new(id: Option<&str>, owner: Option<&str>) -> Result<Self, String> {
        if let Some(id) = id {
            let id = id.trim().parse().map_err(|_| "githubAppInstallationID is no number")?;
            return Ok(Self::Id(id));
        }
        let owner = owner.unwrap_or_default().trim();
        if owner.is_empty() || !owner.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.')) {
            return Err("githubAppInstallationOwner is no name of an organization or user".to_owned());
        }
        Ok(Self::Owner(owner.to_owned()))
    }
}

/// An app, and the token that it has now.
#[derive(Clone)]
pub struct App(Arc<Parts>);

struct Parts {
    id: String,
    installation: Installation,
    key: RsaKeyPair,
    api: Url,
    fingerprint: [u8; 32],
    /// Held while a token is asked for, so that many who need one make one request.
    kept: tokio::sync::Mutex<Option<Kept>>,
}

struct Kept {
    token: String,
    until: Instant,
}

impl App {
    /// `key` is the PEM file that GitHub gave; `api` as `https://github.example.com/api/v3`, github.com's when absent.
    ///
    /// # Errors
    /// What is wrong with which key of the Secret; never a part of it.
    pub fn new(id: &str, installation: Installation, key: &[u8], api: Option<&str>) -> Result<Self, String> {
        let text = id.trim();
        if text.is_empty() || !text.chars().all(|c| c.is_ascii_alphanumeric() || c == '.') {
            return Err("githubAppID is neither an app's number nor its client id".to_owned());
        }
        let (api_text, owner) = (api.unwrap_or(API).trim().trim_end_matches('/'), format!("{installation:?}"));
        let api = Url::parse(api_text).ok().filter(|url| {
            matches!(url.scheme(), "https" | "http")
                && url.username().is_empty()
                && url.password().is_none()
                && url.query().is_none()
                && url.fragment().is_none()
        });
        let api = api.ok_or("githubAppBaseURL is no address such as https://github.example.com/api/v3")?;
        let fingerprint = fingerprint(b'a', &[text.as_bytes(), owner.as_bytes(), key, api_text.as_bytes()]);
        let parts =
            Parts { id: text.to_owned(), installation, key: rsa(key)?, api, fingerprint, kept: Default::default() };
        Ok(Self(Arc::new(parts)))
    }

    /// Whether the app may be used for a repository there: its key is not to pass in the open when the repository does not.
    pub(super) fn fits(&self, is_plain: bool) -> Result<(), Error> {
        if self.0.api.scheme() == "http" && !is_plain {
            return Err(Error::UnsupportedUrl {
                reason: "githubAppBaseURL of the secret is plain http, write it as https",
            });
        }
        Ok(())
    }

    /// A token that is good for a while.
    pub(super) async fn token(&self, client: &Client) -> Result<String, Error> {
        let mut kept = self.0.kept.lock().await;
        if let Some(kept) = kept.as_ref().filter(|kept| kept.until > Instant::now()) {
            return Ok(kept.token.clone());
        }
        let got = self.ask(client).await?;
        let token = got.token.clone();
        *kept = Some(got);
        Ok(token)
    }

    /// Forgets the token, after the Git host refused it.
    pub(super) async fn forget(&self) {
        *self.0.kept.lock().await = None;
    }

    async fn ask(&self, client: &Client) -> Result<Kept, Error> {
        let number = match &self.0.installation {
            Installation::Id(number) => *number,
            Installation::Owner(owner) => self.find(client, owner).await?,
        };
        let path = format!("app/installations/{number}/access_tokens");
        let (headers, body) = self.send(client, Method::POST, &path, "githubAppInstallationID").await?;
        let granted: Granted = serde_json::from_slice(&body).map_err(|_| Error::protocol("no token for the app"))?;
        let life = life(&granted.expires_at, &headers).unwrap_or_default();
        // A token of a short life is used for half of it.
        let until = Instant::now() + life.saturating_sub(MARGIN).max(life / 2);
        Ok(Kept { token: granted.token, until })
    }

    /// The installation of an organization, else of a user.
    async fn find(&self, client: &Client, owner: &str) -> Result<u64, Error> {
        let check = "githubAppInstallationOwner";
        let mut found = self.send(client, Method::GET, &format!("orgs/{owner}/installation"), check).await;
        if matches!(found, Err(Error::AppRefused { status: 404, .. })) {
            found = self.send(client, Method::GET, &format!("users/{owner}/installation"), check).await;
        }
        let installed: Installed =
            serde_json::from_slice(&found?.1).map_err(|_| Error::protocol("no installation of the app"))?;
        Ok(installed.id)
    }

    async fn send(
        &self,
        client: &Client,
        method: Method,
        path: &str,
        check: &'static str,
    ) -> Result<(HeaderMap, Vec<u8>), Error> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let signature = secret_value(format!("Bearer {}", self.signature(now)?), "githubAppID")?;
        let request = client
            .request(method, format!("{}/{path}", self.0.api.as_str().trim_end_matches('/')))
            .header(AUTHORIZATION, signature)
            .header(ACCEPT, "application/vnd.github+json")
            .header("X-GitHub-Api-Version", "2022-11-28");
        let answer = request.send().await.map_err(unreachable)?;
        let (status, headers) = (answer.status(), answer.headers().clone());
        let body = read(answer, ANSWER_LIMIT).await?;
        if status.is_success() {
            return Ok((headers, body));
        }
        let wait = retry_after(&headers);
        match status.as_u16() {
            code @ (401 | 403 | 404 | 422) if wait.is_none() => {
                let said: Said = serde_json::from_slice(&body).unwrap_or_default();
                let check = if code == 401 { "githubAppID and githubAppPrivateKey" } else { check };
                Err(Error::AppRefused { status: code, message: printable(&said.message, 200), check })
            }
            code => Err(Error::http(code, wait, &body)),
        }
    }

    /// The app's word that it is itself (a JWT by RS256), good for some minutes.
    fn signature(&self, now: u64) -> Result<String, Error> {
        let part = |value: serde_json::Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let claims = json!({"iat": now.saturating_sub(SKEW), "exp": now + SIGNATURE_LIFE, "iss": self.0.id});
        let text = format!("{}.{}", part(json!({"alg": "RS256", "typ": "JWT"})), part(claims));
        let mut signature = vec![0; self.0.key.public().modulus_len()];
        self.0
            .key
            .sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), text.as_bytes(), &mut signature)
            .map_err(|_| Error::invalid("the secret's", "githubAppPrivateKey", "it cannot sign"))?;
        Ok(format!("{text}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }
}

#[derive(Deserialize)]
struct Granted {
    token: String,
    expires_at: String,
}

#[derive(Deserialize)]
struct Installed {
    id: u64,
}

#[derive(Deserialize, Default)]
struct Said {
    #[serde(default)]
    message: String,
}

/// By GitHub's clock, so that ours may be wrong.
fn life(expires_at: &str, headers: &HeaderMap) -> Option<Duration> {
    let end = chrono::DateTime::parse_from_rfc3339(expires_at).ok()?;
    let now = headers.get(DATE).and_then(|date| chrono::DateTime::parse_from_rfc2822(date.to_str().ok()?).ok());
    let now = now.map_or_else(|| chrono::DateTime::from(SystemTime::now()), |now| now.to_utc());
    (end.to_utc() - now).to_std().ok()
}

fn rsa(pem: &[u8]) -> Result<RsaKeyPair, String> {
    let unfit = "githubAppPrivateKey is no RSA key in PEM, as GitHub gives it";
    let key = match PrivateKeyDer::from_pem_slice(pem).map_err(|_| unfit)? {
        PrivateKeyDer::Pkcs1(key) => RsaKeyPair::from_der(key.secret_pkcs1_der()),
        PrivateKeyDer::Pkcs8(key) => RsaKeyPair::from_pkcs8(key.secret_pkcs8_der()),
        _ => return Err(unfit.to_owned()),
    };
    key.map_err(|_| unfit.to_owned())
}

impl fmt::Debug for App {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("App(hidden)")
    }
}

impl PartialEq for App {
    fn eq(&self, other: &Self) -> bool {
        self.0.fingerprint == other.0.fingerprint
    }
}

impl Eq for App {}

#[cfg(test)]
mod tests;
