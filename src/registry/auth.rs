//! How a registry wants to be asked. In: its challenge (RFC 9110 section 11, OCI distribution token protocol) and a
//! credential. Out: the header for the next request. Must never send a secret to a place that may not see it.

#![expect(clippy::disallowed_methods, reason = "a token's age")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, DATE, HeaderMap, HeaderValue, WWW_AUTHENTICATE};
use reqwest::{Method, Request, Url};
use serde::Deserialize;

use super::credential::Credential;
use super::error::{Error, Place};
use super::redirect;
use super::wire::{Answer, Take, Wire, authority};
use crate::image::Repository;

/// A token that says nothing lives this long (distribution's token specification).
const TOKEN_LIFE: u64 = 60;
/// No token is believed longer than this.
const TOKEN_LIFE_LONGEST: u64 = 3600;
/// The longest answer of a token server, in bytes.
const ANSWER_BYTES: usize = 1 << 20;
/// The longest token that is put into a header, in bytes.
const TOKEN_BYTES: usize = 64 << 10;

/// The media type of a form.
pub(super) const FORM: &str = "application/x-www-form-urlencoded";

/// What a registry's challenge asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Challenge {
    /// User and password with each request.
    Basic,
    /// A token from a token server.
    Bearer(Grant),
}

/// What a token is good for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Grant {
    /// The token server's address.
    pub realm: String,
    /// The name that the registry goes by there; may be empty.
    pub service: String,
    /// The repository and what to do with it.
    pub scope: String,
}

/// The token of one grant, fetched by one caller at a time.
pub(super) struct Token {
    grant: Grant,
    server: Url,
    kept: tokio::sync::Mutex<Option<(HeaderValue, Instant)>>,
}

/// How to sign requests, learned from the last challenge.
#[derive(Clone)]
pub(super) enum Auth {
    /// The same header each time.
    Fixed(HeaderValue),
    /// A token that is renewed.
    Bearer(Arc<Token>),
}

impl Auth {
    /// The header for the next request, not the one that the registry just refused if there is another.
    pub(super) async fn header(
        &self,
        wire: &Wire,
        refused: Option<&HeaderValue>,
        repository: &Repository,
    ) -> Result<HeaderValue, Error> {
        match self {
            Self::Fixed(value) => Ok(value.clone()),
            Self::Bearer(token) => token.value(wire, refused, repository).await,
        }
    }
}

impl PartialEq for Auth {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Fixed(one), Self::Fixed(two)) => one == two,
            (Self::Bearer(one), Self::Bearer(two)) => Arc::ptr_eq(one, two),
            _ => false,
        }
    }
}

/// The challenge in an answer; Bearer is preferred. `None` when there is none that we know.
pub(super) fn challenge(headers: &HeaderMap, repository: &Repository) -> Option<Challenge> {
    let mut basic = None;
    for value in headers.get_all(WWW_AUTHENTICATE) {
        for offered in value.to_str().ok().and_then(|text| http_auth::parse_challenges(text).ok()).unwrap_or_default() {
            let param = |name: &str| {
                let found = offered.params.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
                found.map(|(_, value)| value.to_unescaped()).filter(|text| !text.is_empty())
            };
            if offered.scheme.eq_ignore_ascii_case("basic") {
                basic = Some(Challenge::Basic);
            } else if offered.scheme.eq_ignore_ascii_case("bearer")
                && let Some(realm) = param("realm")
            {
                let scope = param("scope").unwrap_or_else(|| format!("repository:{}:pull", repository.path()));
                return Some(Challenge::Bearer(Grant { realm, service: param("service").unwrap_or_default(), scope }));
            }
        }
    }
    basic
}

/// The address of a token server, if it may be asked on behalf of this registry.
pub(super) fn realm(text: &str, registry: &Url) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|_| "the token server's address in its challenge is no URL")?;
    let name = url.origin().ascii_serialization();
    redirect::fits(&url, registry).map_err(|reason| format!("its token server is {name}, {reason}"))?;
    Ok(url)
}

/// A header value that no debug print shows.
pub(super) fn secret_value(text: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(text).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// A form's body.
pub(super) fn form<'f>(fields: impl IntoIterator<Item = (&'f str, &'f str)>) -> String {
    let mut form = Url::parse("form:").expect("a constant");
    form.query_pairs_mut().extend_pairs(fields);
    form.query().unwrap_or_default().to_owned()
}

impl Token {
    /// None yet; `server` is the grant's realm, which may be asked.
    pub(super) fn new(grant: Grant, server: Url) -> Self {
        Self { grant, server, kept: tokio::sync::Mutex::default() }
    }

    async fn value(
        &self,
        wire: &Wire,
        refused: Option<&HeaderValue>,
        repository: &Repository,
    ) -> Result<HeaderValue, Error> {
        let mut kept = self.kept.lock().await;
        if let Some((value, until)) = &*kept
            && *until > Instant::now()
            && Some(value) != refused
        {
            return Ok(value.clone());
        }
        *kept = None;
        let asked = Instant::now();
        let (value, life) = self.fetch(wire, repository).await?;
        *kept = Some((value.clone(), asked + life));
        Ok(value)
    }

    /// Asks the token server: an identity token by POST (OAuth2), a password or nothing by GET.
    /// Returns the header and for how long to use it: a tenth of its life is left for the clocks and the way.
    async fn fetch(&self, wire: &Wire, repository: &Repository) -> Result<(HeaderValue, Duration), Error> {
        let host = authority(&self.server);
        let place = Place { host: &host, ..wire.place(repository) };
        let unfit = || place.authentication("the credential can't be put into a header");
        let basic = wire.credential().and_then(Credential::basic);
        let basic = basic.map(|basic| secret_value(&basic).ok_or_else(unfit)).transpose()?;
        let request = || match wire.credential().and_then(Credential::identity_token) {
            Some(token) => self.exchange(token),
            None => self.question(basic.clone()),
        };
        let answer = wire.send(request, Take::own(ANSWER_BYTES), repository).await?;
        if !answer.status.is_success() {
            return Err(place.refused(answer.status.as_u16(), answer.retry_after, &answer.body));
        }
        read(&answer).map_err(|reason| place.malformed(reason))
    }

    fn question(&self, basic: Option<HeaderValue>) -> Request {
        let mut url = self.server.clone();
        url.query_pairs_mut().extend_pairs(named(&self.grant));
        let mut request = Request::new(Method::GET, url);
        request.headers_mut().extend(basic.map(|basic| (AUTHORIZATION, basic)));
        request
    }

    /// The refresh token goes into the body, never into a URL.
    fn exchange(&self, token: &str) -> Request {
        let oauth = [("grant_type", "refresh_token"), ("client_id", "tagboat"), ("refresh_token", token)];
        let mut request = Request::new(Method::POST, self.server.clone());
        request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(FORM));
        *request.body_mut() = Some(form(named(&self.grant).chain(oauth)).into());
        request
    }
}

fn named(grant: &Grant) -> impl Iterator<Item = (&str, &str)> {
    let service = (!grant.service.is_empty()).then_some(("service", grant.service.as_str()));
    service.into_iter().chain([("scope", grant.scope.as_str())])
}

fn read(answer: &Answer) -> Result<(HeaderValue, Duration), &'static str> {
    #[derive(Deserialize)]
    struct Body {
        token: Option<String>,
        access_token: Option<String>,
        expires_in: Option<u64>,
        issued_at: Option<DateTime<Utc>>,
    }
    let body: Body =
        serde_json::from_slice(&answer.body).map_err(|_| "the token server's answer is no JSON with a token")?;
    let token = [body.token, body.access_token].into_iter().flatten().find(|token| !token.is_empty());
    let token = token.ok_or("the token server's answer holds no token")?;
    if token.len() > TOKEN_BYTES {
        return Err("the token server's token is too long");
    }
    let value = secret_value(&format!("Bearer {token}")).ok_or("the token server's token is no text for a header")?;
    let life = Duration::from_secs(body.expires_in.unwrap_or(TOKEN_LIFE).min(TOKEN_LIFE_LONGEST));
    // By the server's own clock: a token that it kept is older than its answer.
    let date = answer.headers.get(DATE).and_then(|date| DateTime::parse_from_rfc2822(date.to_str().ok()?).ok());
    let issued = body.issued_at.filter(|issued| *issued > DateTime::UNIX_EPOCH); // Go's zero time says nothing
    let age = date.zip(issued).and_then(|(date, issued)| date.signed_duration_since(issued).to_std().ok());
    let life = life.saturating_sub(age.unwrap_or_default());
    Ok((value, life - life / 10))
}
