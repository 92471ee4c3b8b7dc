//! One call of a host's API. In: method, path, query, JSON. Out: a successful answer of bounded size, or an error in the host's own
//! words. The login goes to the API's own origin only; redirects are followed within it only; no secret is in any error.

use std::sync::Arc;

use reqwest::header::{ACCEPT, AUTHORIZATION, HeaderMap, HeaderName, HeaderValue, LINK, LOCATION};
use reqwest::{Client, Method, Response, Url};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::Login;
use super::address::{Api, Repository};
use super::error::Error;
use super::login::authorization;
use super::waits::{is_used_up, wait};
use super::words::words;
use crate::failure::{chain, printable};
use crate::reach::{CONNECT_TIMEOUT, Clients, READ_TIMEOUT, Way};

/// The largest answer that is read, in bytes: a page of requests, each with a description of up to a megabyte.
const ANSWER_LIMIT: usize = 32 << 20;
/// What of a refusal is read, in bytes.
const REFUSAL_LIMIT: usize = 64 << 10;
/// The longest text of somebody else that an error repeats, in characters.
const WORDS_LIMIT: usize = 300;
const REDIRECTS_LIMIT: usize = 3;
/// GitHub answers nobody without a name.
static CLIENTS: Clients = Clients::new(concat!("tagboat/", env!("CARGO_PKG_VERSION")));

/// An API and who we are there.
#[derive(Clone)]
pub struct Wire {
    client: Client,
    base: Url,
    api: Api,
    authorization: Option<HeaderValue>,
    /// What no error may repeat.
    secrets: Arc<[String]>,
}

/// A call in the making.
pub struct Ask<'a> {
    wire: &'a Wire,
    method: Method,
    url: Url,
    body: Option<Value>,
    doing: &'static str,
}

/// A successful answer.
pub struct Answer {
    headers: HeaderMap,
    body: Vec<u8>,
    doing: &'static str,
}

impl Wire {
    /// The API of a repository.
    ///
    /// # Errors
    /// The login fits no header, or the certificates can't be used together.
    pub fn new(repository: &Repository, login: &Login, way: &Way) -> Result<Self, Error> {
        let client = CLIENTS.get(way).map_err(unreachable)?;
        let text = authorization(repository.api, login);
        let mut value = text.as_ref().map(HeaderValue::try_from).transpose().map_err(|_| Error::Login)?;
        if let Some(value) = &mut value {
            value.set_sensitive(true);
        }
        let mut secrets: Vec<String> =
            text.iter().filter_map(|text| Some(text.split_once(' ')?.1.to_owned())).collect();
        match login {
            Login::Token(secret) | Login::Basic { password: secret, .. } => secrets.push(secret.clone()),
            Login::None => {}
        }
        secrets.retain(|secret| !secret.is_empty());
        let base = repository.base.clone();
        Ok(Self { client, base, api: repository.api, authorization: value, secrets: secrets.into() })
    }

    /// A call of what lies at `path` below the API's address; each part is one step of the path, whatever it holds.
    pub fn ask(&self, method: Method, doing: &'static str, path: &[&str]) -> Ask<'_> {
        let mut url = self.base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(path);
        }
        Ask { wire: self, method, url, body: None, doing }
    }

    /// Reads pages by number until `take` wants no more, the host has no more, or `limit` of them are read.
    ///
    /// # Errors
    /// As for [`Ask::send`].
    pub async fn pages<T: DeserializeOwned>(
        &self,
        doing: &'static str,
        path: &[&str],
        query: &[(&str, &str)],
        limit: usize,
        mut take: impl FnMut(Vec<T>) -> bool,
    ) -> Result<(), Error> {
        for page in 1..=limit {
            let ask = self.ask(Method::GET, doing, path).query(query).query(&[("page", &page.to_string())]);
            let answer = ask.send().await?;
            if !take(answer.read()?) || !answer.has_next() {
                break;
            }
        }
        Ok(())
    }

    /// The words of others without our secrets, fit for an error.
    pub fn printable(&self, text: &str) -> String {
        let hidden =
            self.secrets.iter().fold(text.to_owned(), |text, secret| text.replace(secret.as_str(), "(hidden)"));
        printable(&hidden, WORDS_LIMIT)
    }
}

impl Ask<'_> {
    /// Adds to the query.
    pub fn query(mut self, pairs: &[(&str, &str)]) -> Self {
        self.url.query_pairs_mut().extend_pairs(pairs);
        self
    }

    /// Where it goes.
    pub fn address(self) -> String {
        self.url.into()
    }

    /// Sends this along.
    pub fn json(mut self, body: Value) -> Self {
        self.body = Some(body);
        self
    }

    /// Asks another address of the same API: GitHub's GraphQL, Bitbucket's next page.
    pub fn at(mut self, url: Url) -> Result<Self, Error> {
        if url.origin() != self.wire.base.origin() {
            return Err(Error::Redirected { to: printable(&url.origin().ascii_serialization(), WORDS_LIMIT) });
        }
        self.url = url;
        Ok(self)
    }

    /// Sends once. An answer that is no success becomes an error.
    ///
    /// # Errors
    /// Refused, unreachable, or no answer of this API.
    pub async fn send(self) -> Result<Answer, Error> {
        let Self { wire, method, mut url, body, doing } = self;
        for _ in 0..=REDIRECTS_LIMIT {
            let answer = wire.send(&method, &url, body.as_ref()).await?;
            let status = answer.status().as_u16();
            if !answer.status().is_redirection() {
                return wire.judge(answer, doing).await;
            }
            let location = answer.headers().get(LOCATION).and_then(|value| value.to_str().ok());
            let next = location.and_then(|location| answer.url().join(location).ok());
            if wire.api == Api::Azure && status == 302 {
                // To its login page.
                return Err(Error::Refused { status: 401, doing, words: String::new() });
            }
            let may_follow = method == Method::GET || matches!(status, 307 | 308);
            let Some(next) = next.filter(|_| may_follow) else {
                return Err(Error::Protocol { doing, message: format!("a redirect (http {status})") });
            };
            if next.origin() != wire.base.origin() {
                return Err(Error::Redirected { to: printable(&next.origin().ascii_serialization(), WORDS_LIMIT) });
            }
            url = next;
        }
        Err(Error::Protocol { doing, message: "too many redirects".to_owned() })
    }
}

impl Wire {
    async fn send(&self, method: &Method, url: &Url, body: Option<&Value>) -> Result<Response, Error> {
        let mut request = self.client.request(method.clone(), url.clone());
        request = match self.api {
            Api::Github => {
                let version = HeaderName::from_static("x-github-api-version");
                request.header(ACCEPT, "application/vnd.github+json").header(version, "2022-11-28")
            }
            _ => request.header(ACCEPT, "application/json"),
        };
        if let Some(value) = &self.authorization {
            request = request.header(AUTHORIZATION, value);
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        request.send().await.map_err(unreachable)
    }

    async fn judge(&self, answer: Response, doing: &'static str) -> Result<Answer, Error> {
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        // Azure DevOps shows a login page by this status to whoever it does not know.
        let is_login_page = self.api == Api::Azure && status == 203;
        if answer.status().is_success() && !is_login_page {
            let body = read(answer, ANSWER_LIMIT, doing).await?;
            return Ok(Answer { headers, body, doing });
        }
        let body = read(answer, REFUSAL_LIMIT, doing).await.unwrap_or_default();
        let words = self.printable(&words(&body));
        let after = wait(&headers);
        let is_limit = after.is_some() || is_used_up(&headers);
        Err(match status {
            203 => Error::Refused { status: 401, doing, words: String::new() },
            429 => Error::RateLimited { status, after, words },
            // GitHub says 403 when it means 429.
            403 if is_limit || words.to_ascii_lowercase().contains("rate limit") => {
                Error::RateLimited { status, after, words }
            }
            400 | 401 | 403..=406 | 409..=417 | 422 => Error::Refused { status, doing, words },
            _ => Error::Http { status, doing, after, words },
        })
    }
}

impl Answer {
    /// Whether it says nothing.
    pub fn is_empty(&self) -> bool {
        self.body.trim_ascii().is_empty()
    }

    /// Whether a page follows (RFC 8288).
    fn has_next(&self) -> bool {
        let links = self.headers.get_all(LINK).iter().filter_map(|value| value.to_str().ok());
        links.flat_map(|value| value.split(',')).any(|link| link.contains("rel=\"next\"") || link.contains("rel=next"))
    }

    /// The answer as JSON.
    ///
    /// # Errors
    /// [`Error::Protocol`]
    pub fn read<T: DeserializeOwned>(&self) -> Result<T, Error> {
        serde_json::from_slice(&self.body).map_err(|error| {
            let is_page = self.body.trim_ascii_start().starts_with(b"<");
            let message = if is_page { "a page for a browser".to_owned() } else { printable(&error.to_string(), 200) };
            Error::Protocol { doing: self.doing, message }
        })
    }
}

async fn read(mut answer: Response, limit: usize, doing: &'static str) -> Result<Vec<u8>, Error> {
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(unreachable)? {
        if body.len() + chunk.len() > limit {
            return Err(Error::Protocol { doing, message: format!("more than {limit} bytes") });
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// A failed exchange, with its whole chain of causes.
fn unreachable(error: reqwest::Error) -> Error {
    if error.is_timeout() {
        return Error::Timeout { limit: if error.is_connect() { CONNECT_TIMEOUT } else { READ_TIMEOUT } };
    }
    Error::Unreachable { message: printable(&chain(&error.without_url()), 500) }
}
