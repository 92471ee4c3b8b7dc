//! Smart HTTP (gitprotocol-http) on the one HTTP client: a request in, a checked answer of bounded size out. Credentials go
//! to the remote's own origin only; redirects are followed on `info/refs` only, and only within that origin.

use std::time::Duration;

use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, DATE, HeaderMap, HeaderValue, LOCATION, RETRY_AFTER};
use reqwest::{Client, RequestBuilder, Response, StatusCode, Url};

use super::{App, Auth, Error, Remote};
use crate::failure::{chain, printable};
use crate::reach::{CONNECT_TIMEOUT, Clients, READ_TIMEOUT, Way};

/// The largest list of refs that we read, in bytes.
pub const REFS_LIMIT: usize = 64 << 20;
/// The largest report of a push that we read, in bytes.
pub const REPORT_LIMIT: usize = 1 << 20;
/// What of a refusal's body is kept, in bytes.
const REFUSAL_LIMIT: usize = 4 << 10;
const REDIRECTS_LIMIT: usize = 5;
/// Some hosts serve Git only to clients that call themselves so.
static CLIENTS: Clients = Clients::new(concat!("git/2.0 (tagboat ", env!("CARGO_PKG_VERSION"), ")"));
/// The two services of smart HTTP.
#[derive(Debug, Clone, Copy)]
pub enum Service {
    /// For heads and fetches.
    UploadPack,
    /// For pushes.
    ReceivePack,
}

impl Service {
    /// The program that the service is, by which its URLs are named too.
    pub fn name(self) -> &'static str {
        match self {
            Self::UploadPack => "git-upload-pack",
            Self::ReceivePack => "git-receive-pack",
        }
    }
}

/// How requests are signed.
#[derive(Clone)]
enum Signs {
    With(Option<HeaderValue>),
    As(App),
}

/// The token of an app, for a repository whose own requests pass in the open or not.
pub async fn app_token(app: &App, way: &Way, is_plain: bool) -> Result<String, Error> {
    app.fits(is_plain)?;
    app.token(&CLIENTS.get(way).map_err(unreachable)?).await
}

/// A host and who we are there. In the functions below `base` is the repository's URL, without a slash at its end.
#[derive(Clone)]
pub struct Host {
    client: Client,
    signs: Signs,
    origin: Url,
}

impl Host {
    /// The host of a remote.
    ///
    /// # Errors
    /// The URL or the secret cannot be used.
    pub fn of(remote: &Remote, origin: Url) -> Result<Self, Error> {
        let client = CLIENTS.get(&remote.way).map_err(unreachable)?;
        let signs = match &remote.auth {
            Auth::App(app) => {
                app.fits(origin.scheme() == "http")?;
                Signs::As(app.clone())
            }
            auth => Signs::With(authorization(auth)?),
        };
        Ok(Self { client, signs, origin })
    }

    /// The request for the list of a service's refs.
    pub fn get(&self, base: &str, service: Service) -> RequestBuilder {
        self.client.get(format!("{base}/info/refs?service={}", service.name()))
    }

    /// The request that talks to a service.
    pub fn post(&self, base: &str, service: Service, body: Vec<u8>) -> RequestBuilder {
        let name = service.name();
        self.client
            .post(format!("{base}/{name}"))
            .header(CONTENT_TYPE, format!("application/x-{name}-request"))
            .header(ACCEPT, format!("application/x-{name}-result"))
            .body(body)
    }

    /// Sends. An answer that is no success, or no Git, becomes an error.
    pub async fn send(&self, request: RequestBuilder) -> Result<Response, Error> {
        let answer = self.send_any(request).await?;
        if answer.status().is_success() {
            check_type(&answer)?;
            return Ok(answer);
        }
        let (status, wait) = (answer.status().as_u16(), retry_after(answer.headers()));
        let body = read(answer, REFUSAL_LIMIT).await.unwrap_or_default();
        Err(Error::http(status, wait, &body))
    }

    async fn send_any(&self, request: RequestBuilder) -> Result<Response, Error> {
        let value = match &self.signs {
            Signs::With(value) => value.clone(),
            Signs::As(app) => Some(basic("x-access-token", &app.token(&self.client).await?)?),
        };
        let request = match value {
            Some(value) => request.header(AUTHORIZATION, value),
            None => request,
        };
        let answer = request.send().await.map_err(unreachable)?;
        if let (Signs::As(app), StatusCode::UNAUTHORIZED) = (&self.signs, answer.status()) {
            app.forget().await;
        }
        Ok(answer)
    }

    /// `GET info/refs`, through redirects: where the repository really is, and the answer's bytes.
    pub async fn advertisement(&self, base: &str, service: Service) -> Result<(String, Vec<u8>), Error> {
        let mut request = self.get(base, service);
        let suffix = format!("/info/refs?service={}", service.name());
        let mut base = base.to_owned();
        for _ in 0..REDIRECTS_LIMIT {
            // Asking for v2 costs nothing and shortens the answer of a host that speaks it.
            let request_now = if matches!(service, Service::UploadPack) { v2(request) } else { request };
            let answer = self.send_any(request_now).await?;
            if !answer.status().is_redirection() {
                if answer.status().is_success() {
                    check_type(&answer)?;
                }
                let (status, wait, success) =
                    (answer.status().as_u16(), retry_after(answer.headers()), answer.status().is_success());
                let body = read(answer, if success { REFS_LIMIT } else { REFUSAL_LIMIT }).await?;
                return if success { Ok((base, body)) } else { Err(Error::http(status, wait, &body)) };
            }
            let location = answer.headers().get(LOCATION).and_then(|value| value.to_str().ok()).unwrap_or_default();
            let next = answer.url().join(location).map_err(|_| Error::protocol("a redirect without a target"))?;
            if next.origin() != self.origin.origin() {
                return Err(Error::UnsupportedUrl {
                    reason: "the host redirects it to another host; if that is right, use that url",
                });
            }
            let Some(moved) = next.as_str().strip_suffix(&suffix) else {
                return Err(Error::protocol("a redirect to something else than a repository (a login page?)"));
            };
            base = moved.to_owned();
            request = self.client.get(next);
        }
        Err(Error::protocol("too many redirects"))
    }
}

/// Asks for protocol v2.
pub fn v2(request: RequestBuilder) -> RequestBuilder {
    request.header("Git-Protocol", "version=2")
}

/// A page for a browser, or a host that serves files only, is told by its content type (gitprotocol-http).
fn check_type(answer: &Response) -> Result<(), Error> {
    let kind = answer.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if kind.starts_with("application/x-git-") {
        return Ok(());
    }
    Err(Error::protocol(&format!("content of type {kind:?}; is the url that of a git repository?")))
}

/// The whole body, or the first `limit` bytes and an error.
///
/// # Errors
/// The connection breaks, or the body is larger than `limit`.
pub async fn read(mut answer: Response, limit: usize) -> Result<Vec<u8>, Error> {
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(unreachable)? {
        if body.len() + chunk.len() > limit {
            return Err(Error::TooLarge { what: "the git host's answer, in bytes,".into(), limit: limit as u64 });
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// A failed exchange, with its whole chain of causes: the first line never names the TLS problem.
pub fn unreachable(error: reqwest::Error) -> Error {
    if error.is_timeout() {
        return Error::Timeout { limit: if error.is_connect() { CONNECT_TIMEOUT } else { READ_TIMEOUT } };
    }
    Error::Unreachable { message: printable(&chain(&error.without_url()), 500) }
}

fn authorization(auth: &Auth) -> Result<Option<HeaderValue>, Error> {
    match auth {
        Auth::None => Ok(None),
        Auth::Bearer(token) => secret_value(format!("Bearer {token}"), "bearerToken").map(Some),
        Auth::Basic { username, password } => basic(username, password).map(Some),
        Auth::App(_) | Auth::Ssh(_) => {
            Err(Error::UnsupportedUrl { reason: "the secret holds an ssh key, and this is no url of ssh" })
        }
    }
}

fn basic(username: &str, password: &str) -> Result<HeaderValue, Error> {
    use base64::Engine;
    let both = base64::engine::general_purpose::STANDARD.encode(format!("{username}:{password}"));
    secret_value(format!("Basic {both}"), "password")
}

/// A header's value that no log shows.
pub fn secret_value(text: String, key: &'static str) -> Result<HeaderValue, Error> {
    let mut value = HeaderValue::try_from(text)
        .map_err(|_| Error::invalid("the secret's", key, "it holds characters that no http header may hold"))?;
    value.set_sensitive(true);
    Ok(value)
}

/// Seconds, or a date (RFC 9110 10.2.3) that is read against the host's own clock.
pub fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok()).map(str::trim);
    let wait = text(RETRY_AFTER)?;
    if let Ok(seconds) = wait.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = |text: &str| chrono::DateTime::parse_from_rfc2822(text).ok();
    (date(wait)? - date(text(DATE)?)?).to_std().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(wait: &str, seconds: Option<u64>) {
        let mut headers = HeaderMap::new();
        headers.insert(RETRY_AFTER, wait.parse().unwrap());
        headers.insert(DATE, "Tue, 24 Nov 2026 10:00:00 GMT".parse().unwrap());
        assert_eq!(retry_after(&headers), seconds.map(Duration::from_secs), "{wait:?}");
    }

    #[test]
    fn how_long_a_host_asks_to_wait() {
        check("120", Some(120));
        check("Tue, 24 Nov 2026 10:01:30 GMT", Some(90));
        check("Tue, 24 Nov 2026 09:00:00 GMT", None);
        check("soon", None);
        assert_eq!(retry_after(&HeaderMap::new()), None);
    }

    #[test]
    fn a_secret_that_fits_no_header_is_not_printed() {
        let error = authorization(&Auth::Bearer("s3cret\n".into())).unwrap_err();
        assert!(!error.to_string().contains("s3cret"), "{error}");
    }
}
