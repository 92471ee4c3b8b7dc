//! One request to one service of a cloud. In: an address that the environment or this program chose, and the secrets that the
//! request holds. Out: a successful answer within limits, or an error without these secrets. Must never follow a redirect.

#![expect(clippy::disallowed_methods, reason = "the shell's HTTP clients")]

use std::sync::OnceLock;
use std::time::{Duration, Instant};

use chrono::Utc;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use reqwest::redirect::Policy;
use reqwest::{Client, Method, Request, Response, Url};
use serde::de::DeserializeOwned;

use super::Error;
use super::complaint::complaint;
use crate::failure::chain;
use crate::registry::auth::{FORM, form, secret_value};
use crate::registry::retry_after;
use crate::registry::wire::{authority, read};

/// One answer, in bytes after decompression.
const ANSWER_BYTES: usize = 256 << 10;
/// The longest token or key that we accept, in bytes.
const TOKEN_BYTES: usize = 32 << 10;
/// To an open connection to a cloud's public services.
const CONNECT: Duration = Duration::from_secs(10);
/// To an open connection to a service of the node. Where there is none, packets vanish without an answer.
const CONNECT_NEAR: Duration = Duration::from_secs(2);
/// Until an answer's headers, and between two reads of its body.
const READ: Duration = Duration::from_secs(20);

/// The clients, made at the first call.
pub(super) struct Caller {
    user_agent: String,
    clients: OnceLock<Result<Clients, String>>,
}

struct Clients {
    /// HTTPS only, through the proxy that the process is told to use.
    far: Client,
    /// Plain HTTP: a metadata service of the node, or an address from the environment. Never through a proxy.
    near: Client,
}

/// A request, what it asks for, and what must not appear in an error about it.
pub(super) struct Call {
    request: Request,
    action: &'static str,
    secrets: Vec<String>,
}

/// A successful answer.
pub(super) struct Answer {
    /// For errors about its content.
    pub step: String,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

impl Call {
    pub(super) fn new(method: Method, url: Url, action: &'static str) -> Self {
        Self { request: Request::new(method, url), action, secrets: Vec::new() }
    }

    /// A form in the body. Name its secret values with [`Call::hide`].
    pub(super) fn form(url: Url, action: &'static str, fields: &[(&str, &str)]) -> Self {
        Self::new(Method::POST, url, action).body(FORM, form(fields.iter().copied()))
    }

    pub(super) fn body(mut self, content_type: &'static str, body: String) -> Self {
        self.request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        *self.request.body_mut() = Some(body.into());
        self
    }

    /// A header whose value this program made: printable ASCII.
    pub(super) fn header(mut self, name: &'static str, value: &str) -> Self {
        let value = HeaderValue::from_str(value).expect("the caller's own text");
        self.request.headers_mut().insert(HeaderName::from_static(name), value);
        self
    }

    /// A header whose value is hidden. A value that is no text for a header is a mistake of whoever gave it.
    pub(super) fn secret_header(mut self, name: &'static str, value: &str) -> Result<Self, Error> {
        let unfit =
            || Error::Configuration(format!("{}: the secret for {name} can't be put into a header", self.step()));
        let header = secret_value(value).ok_or_else(unfit)?;
        self.request.headers_mut().insert(HeaderName::from_static(name), header);
        Ok(self.hide(value))
    }

    /// `Authorization: Bearer`.
    pub(super) fn bearer(self, token: &str) -> Result<Self, Error> {
        Ok(self.secret_header(AUTHORIZATION.as_str(), &format!("Bearer {token}"))?.hide(token))
    }

    /// Something inside that no error may repeat.
    pub(super) fn hide(mut self, secret: &str) -> Self {
        self.secrets.push(secret.to_owned());
        self
    }

    fn step(&self) -> String {
        format!("{}: {}", authority(self.request.url()), self.action)
    }
}

impl Caller {
    pub(super) fn new(user_agent: String) -> Self {
        Self { user_agent, clients: OnceLock::new() }
    }

    fn clients(&self) -> &Result<Clients, String> {
        self.clients.get_or_init(|| {
            let base = || {
                Client::builder()
                    .user_agent(&self.user_agent)
                    .redirect(Policy::none())
                    .referer(false)
                    .read_timeout(READ)
                    .pool_max_idle_per_host(1)
            };
            let far = base().https_only(true).connect_timeout(CONNECT).build().map_err(|error| chain(&error))?;
            let near = base().no_proxy().connect_timeout(CONNECT_NEAR).build().map_err(|error| chain(&error))?;
            Ok(Clients { far, near })
        })
    }

    /// Sends it; anything but a success is an error, also when it comes after `deadline`.
    pub(super) async fn send(&self, call: Call, deadline: Instant) -> Result<Answer, Error> {
        let step = call.step();
        let unreachable = |reason: String| Error::Unreachable { step: step.clone(), reason };
        let clients = self.clients().as_ref().map_err(|reason| unreachable(reason.clone()))?;
        let client = if call.request.url().scheme() == "https" { &clients.far } else { &clients.near };
        let exchange = async {
            let response = client.execute(call.request).await.map_err(|error| unreachable(broken(error)))?;
            receive(response, &step, &call.secrets).await
        };
        tokio::time::timeout_at(deadline.into(), exchange)
            .await
            .unwrap_or_else(|_| Err(unreachable("no answer in time".to_owned())))
    }
}

async fn receive(mut response: Response, step: &str, secrets: &[String]) -> Result<Answer, Error> {
    let status = response.status();
    let body = read(&mut response, ANSWER_BYTES).await;
    let body = body.map_err(|error| Error::Unreachable { step: step.to_owned(), reason: broken(error) })?;
    let headers = std::mem::take(response.headers_mut());
    if !status.is_success() {
        return Err(Error::Refused {
            step: step.to_owned(),
            status: status.as_u16(),
            message: complaint(&body.unwrap_or_default(), secrets),
            retry_after: retry_after::wait(&headers, &[], Utc::now()),
        });
    }
    let body = body.ok_or_else(|| {
        let reason = format!("it is longer than {ANSWER_BYTES} bytes");
        Error::Malformed { step: step.to_owned(), reason }
    })?;
    Ok(Answer { step: step.to_owned(), headers, body })
}

/// An address can hold a secret; the step says enough.
fn broken(error: reqwest::Error) -> String {
    if error.is_timeout() { "no answer in time".to_owned() } else { chain(&error.without_url()) }
}

impl Answer {
    pub(super) fn malformed(&self, reason: impl Into<String>) -> Error {
        Error::Malformed { step: self.step.clone(), reason: reason.into() }
    }

    /// The body as this type. The parser's own message could repeat a part of the body, so it is dropped.
    pub(super) fn json<T: DeserializeOwned>(&self, what: &str) -> Result<T, Error> {
        serde_json::from_slice(&self.body).map_err(|_| self.malformed(format!("it is no JSON with {what}")))
    }

    pub(super) fn text(&self) -> Result<&str, Error> {
        std::str::from_utf8(&self.body).map_err(|_| self.malformed("it is no text"))
    }

    /// A token or a key out of this answer: printable ASCII, neither empty nor endless.
    pub(super) fn token(&self, what: &str, text: &str) -> Result<String, Error> {
        if text.is_empty() || text.len() > TOKEN_BYTES || !text.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(self.malformed(format!("{what} is no printable text of 1 to {TOKEN_BYTES} bytes")));
        }
        Ok(text.to_owned())
    }
}
