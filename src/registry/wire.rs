//! One request to a server: a few at a time, none while the server asked us to wait, every answer read to its end within
//! limits. In: a request. Out: an answer or an error. Must never let one caller wait for another's throttling.

#![expect(clippy::disallowed_methods, reason = "the present time, for dates in headers")]

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use chrono::Utc;
use reqwest::header::{AUTHORIZATION, CONTENT_LENGTH, HeaderMap};
use reqwest::{Method, Request, Response, StatusCode, Url};

use super::caller::{Caller, Clients};
use super::credential::Credential;
use super::error::{Error, Place};
use super::pool::{Pool, locked};
use super::redirect;
use super::throttle::{Lane, Origin, Outcome};
use super::{Limits, rate_limit, retry_after};
use crate::failure::chain;
use crate::image::Repository;

/// How many redirects are followed.
const REDIRECTS: usize = 5;
/// The longest answer that is no success, in bytes; what a longer one says is ignored.
const COMPLAINT_BYTES: usize = 64 << 10;
/// How long a server is left alone that answers 429 without saying for how long.
const PAUSE: Duration = Duration::from_secs(5);
/// Of how many servers beside the registry a wire remembers the state.
const LANES: usize = 16;

/// What all requests share: limits, the state of every origin, the count.
#[derive(Debug)]
pub(super) struct World {
    pub limits: Limits,
    user_agent: String,
    origins: Pool<String, Origin>,
    lanes: Pool<(String, Caller), Lane>,
    requests: AtomicU64,
}

/// The connections of one caller to the servers of one registry. What is known about these servers lives as long as this.
#[derive(Debug)]
pub(super) struct Wire {
    clients: Clients,
    world: Arc<World>,
    pub registry: Url,
    host: String,
    caller: Caller,
    /// To the registry itself.
    own: Arc<Lane>,
    /// To the servers that it sends us to, by their origins.
    others: Mutex<HashMap<String, Arc<Lane>>>,
}

/// How much of an answer is taken, and from where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Take {
    /// The longest body, in bytes after decompression.
    limit: usize,
    /// It may lie on another origin.
    leaves: bool,
}

/// An answer, read to its end.
pub(super) struct Answer {
    pub url: Url,
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
    /// How long the server asked us to wait; of a success there is none.
    pub retry_after: Option<Duration>,
}

impl Take {
    /// From the server that is asked.
    pub(super) fn own(limit: usize) -> Self {
        Self { limit, leaves: false }
    }

    /// From wherever that server sends us.
    pub(super) fn anywhere(limit: usize) -> Self {
        Self { limit, leaves: true }
    }
}

impl World {
    pub(super) fn new(user_agent: String, limits: Limits) -> Self {
        let (origins, lanes) = (Pool::default(), Pool::default());
        Self { limits, user_agent, origins, lanes, requests: AtomicU64::new(0) }
    }

    /// How many requests were sent.
    pub(super) fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }

    fn lane(&self, origin: String, caller: &Caller) -> Arc<Lane> {
        let shared = self.origins.get(origin.clone(), || Origin::new(self.limits.requests_per_host));
        self.lanes.get((origin, caller.clone()), || Lane::new(shared))
    }
}

impl Wire {
    /// Connections to the registry at this address.
    pub(super) fn new(world: Arc<World>, registry: Url, caller: Caller) -> Result<Self, String> {
        let clients = Clients::new(&caller, &registry, &world.user_agent, &world.limits)?;
        let own = world.lane(registry.origin().ascii_serialization(), &caller);
        let (host, others) = (authority(&registry), Mutex::default());
        Ok(Self { clients, world, registry, host, caller, own, others })
    }

    /// What is shown to the registry when it asks for it.
    pub(super) fn credential(&self) -> Option<&Credential> {
        self.caller.credential.as_ref()
    }

    /// For an error about the registry.
    pub(super) fn place<'p>(&'p self, repository: &'p Repository) -> Place<'p> {
        Place { host: &self.host, repository, credential: self.credential() }
    }

    pub(super) fn limits(&self) -> &Limits {
        &self.world.limits
    }

    /// Sends a request, follows where it may, and reads the answer, whatever its status is, except 429. What `ask` makes is the
    /// same each time; a credential in it goes to its own origin alone.
    pub(super) async fn send(
        &self,
        ask: impl Fn() -> Request,
        take: Take,
        repository: &Repository,
    ) -> Result<Answer, Error> {
        let (mut request, mut is_home) = (ask(), true);
        let mut redirects = 0;
        loop {
            let host = authority(request.url());
            let place = Place { host: &host, ..self.place(repository) };
            let answer = self.once(request, take.limit, place).await?;
            if !redirect::is_redirect(answer.status) {
                return Ok(answer);
            }
            redirects += 1;
            if redirects > REDIRECTS {
                return Err(place.malformed(format!("it redirects more than {REDIRECTS} times")));
            }
            request = ask();
            let target = redirect::target(request.method(), &answer, take.leaves, &self.registry)
                .map_err(|reason| place.malformed(reason))?;
            is_home &= redirect::same_origin(&target, &answer.url);
            if !is_home {
                request.headers_mut().remove(AUTHORIZATION);
            }
            *request.url_mut() = target;
        }
    }

    async fn once(&self, request: Request, limit: usize, place: Place<'_>) -> Result<Answer, Error> {
        let is_own = redirect::same_origin(request.url(), &self.registry);
        let lane = if is_own { self.own.clone() } else { self.other(request.url()) };
        if let Some(wait) = lane.wait() {
            return Err(place.rate_limited(Some(wait)));
        }
        let slot = lane.enter().await;
        if let Some(wait) = lane.wait() {
            slot.end(Outcome::Unclear);
            return Err(place.rate_limited(Some(wait)));
        }
        self.world.requests.fetch_add(1, Ordering::Relaxed);
        let answer = self.exchange(request, is_own, limit, place).await;
        slot.end(outcome(&answer));
        let answer = answer?;
        let spent = rate_limit::spent(&answer.headers, Utc::now());
        if answer.status == StatusCode::TOO_MANY_REQUESTS {
            let asked = answer.retry_after.or(spent);
            lane.pause(asked.unwrap_or(PAUSE));
            return Err(place.rate_limited(asked));
        }
        if let Some(wait) = spent {
            lane.pause(wait);
        }
        Ok(answer)
    }

    fn other(&self, url: &Url) -> Arc<Lane> {
        let origin = url.origin().ascii_serialization();
        let others = &mut *locked(&self.others);
        if others.len() >= LANES && !others.contains_key(&origin) {
            others.clear(); // so many storage hosts: start again
        }
        others.entry(origin.clone()).or_insert_with(|| self.world.lane(origin, &self.caller)).clone()
    }

    async fn exchange(&self, request: Request, is_own: bool, limit: usize, place: Place<'_>) -> Result<Answer, Error> {
        let has_body = request.method() != Method::HEAD;
        let response = self.clients.execute(request, is_own).await;
        let mut response = response.map_err(|error| broken(error, place))?;
        let status = response.status();
        let limit = if status.is_success() { limit } else { COMPLAINT_BYTES };
        let body = if has_body { read(&mut response, limit).await } else { Ok(Some(Vec::new())) };
        let body = match body.map_err(|error| broken(error, place))? {
            Some(body) => body,
            None if status.is_success() => {
                return Err(place.malformed(format!("its answer is longer than {limit} bytes")));
            }
            None => Vec::new(),
        };
        let headers = std::mem::take(response.headers_mut());
        let retry_after = if status.is_success() { None } else { retry_after::wait(&headers, &body, Utc::now()) };
        Ok(Answer { url: response.url().clone(), status, headers, body, retry_after })
    }
}

/// The whole body; `None` when it is longer than this many bytes.
pub(super) async fn read(response: &mut Response, limit: usize) -> Result<Option<Vec<u8>>, reqwest::Error> {
    let announced = response.headers().get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    if announced.is_some_and(|length: usize| length > limit) {
        return Ok(None);
    }
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        if body.len() + chunk.len() > limit {
            return Ok(None);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Some(body))
}

/// What an answer tells of the server's load.
fn outcome(answer: &Result<Answer, Error>) -> Outcome {
    match answer {
        Ok(answer) if matches!(answer.status.as_u16(), 429 | 503) => Outcome::Overloaded,
        Ok(answer) if !answer.status.is_server_error() => Outcome::Good,
        Err(Error::Timeout { .. }) => Outcome::Overloaded,
        _ => Outcome::Unclear,
    }
}

/// Host, with its port unless it is the scheme's own.
pub(super) fn authority(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

/// A URL never goes into the text: the place says enough.
fn broken(error: reqwest::Error, place: Place<'_>) -> Error {
    if error.is_timeout() {
        return place.timeout();
    }
    place.unreachable(chain(&error.without_url()))
}
