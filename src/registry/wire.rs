//! One request to a server: a few at a time, none while the server asked us to wait, every answer read to its end within
//! limits. In: a request. Out: an answer or an error. Must never let one caller wait for another's throttling.

#![expect(clippy::disallowed_methods, reason = "the present time, for dates in headers")]

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use chrono::Utc;
use reqwest::header::{CONTENT_LENGTH, HeaderMap, RETRY_AFTER};
use reqwest::{Method, Request, Response, StatusCode, Url};

use super::caller::{Caller, Clients};
use super::error::{Error, Place};
use super::pool::{Pool, locked};
use super::redirect;
use super::throttle::{Lane, Origin, Outcome};
use super::{Limits, rate_limit, retry_after};
use crate::failure::chain;
use crate::image::Repository;

/// How many redirects are followed.
const REDIRECTS: usize = 5;
/// How much of an answer that is no success is read, in bytes.
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

/// The connections of one caller to the servers of one registry.
#[derive(Debug)]
pub(super) struct Wire {
    clients: Clients,
    world: Arc<World>,
    registry: Url,
    caller: Caller,
    /// What is known about these servers lives as long as the wire.
    lanes: Mutex<HashMap<String, Arc<Lane>>>,
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
    /// How long the server asked us to wait.
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

    fn lane(&self, origin: &str, caller: &Caller) -> Arc<Lane> {
        let cap = self.limits.requests_per_host;
        let of = self.origins.get(origin.to_owned(), || Origin::new(cap));
        self.lanes.get((origin.to_owned(), caller.clone()), || Lane::new(of))
    }
}

impl Wire {
    /// Connections to the registry at this address.
    pub(super) fn new(world: &Arc<World>, registry: &Url, caller: &Caller) -> Result<Self, String> {
        let clients = Clients::new(caller, registry, &world.user_agent, &world.limits)?;
        let lanes = Mutex::default();
        Ok(Self { clients, world: world.clone(), registry: registry.clone(), caller: caller.clone(), lanes })
    }

    pub(super) fn limits(&self) -> &Limits {
        &self.world.limits
    }

    /// Sends a request, follows where it may, and reads the answer, whatever its status is, except 429.
    pub(super) async fn send(&self, request: Request, take: Take, repository: &Repository) -> Result<Answer, Error> {
        let place = Place { host: authority(request.url()), repository: repository.clone() };
        let mut next = Some(request);
        for _ in 0..=REDIRECTS {
            let Some(request) = next.take() else { break };
            let again = request.try_clone();
            let at = Place { host: authority(request.url()), repository: repository.clone() };
            let answer = self.once(request, take.limit, &at).await?;
            if !redirect::is_redirect(answer.status) {
                return Ok(answer);
            }
            let follow = |request| redirect::follow(request, &answer, take.leaves, &self.registry);
            next = again.map(follow).transpose().map_err(|reason| at.malformed(reason))?;
        }
        Err(place.malformed(format!("it redirects more than {REDIRECTS} times")))
    }

    async fn once(&self, request: Request, limit: usize, place: &Place) -> Result<Answer, Error> {
        let lane = self.lane(request.url());
        if let Some(wait) = lane.wait() {
            return Err(place.rate_limited(Some(wait)));
        }
        let slot = lane.enter().await;
        if let Some(wait) = lane.wait() {
            slot.end(Outcome::Unclear);
            return Err(place.rate_limited(Some(wait)));
        }
        self.world.requests.fetch_add(1, Ordering::Relaxed);
        let answer = self.exchange(request, limit, place).await;
        slot.end(outcome(&answer));
        let mut answer = answer?;
        let spent = rate_limit::spent(&answer.headers, Utc::now());
        if answer.status == StatusCode::TOO_MANY_REQUESTS {
            answer.retry_after = answer.retry_after.or(spent);
            lane.pause(answer.retry_after.unwrap_or(PAUSE));
            return Err(place.refused(429, answer.retry_after, &answer.body));
        }
        if let Some(wait) = spent {
            lane.pause(wait);
        }
        Ok(answer)
    }

    fn lane(&self, url: &Url) -> Arc<Lane> {
        let origin = url.origin().ascii_serialization();
        let lanes = &mut *locked(&self.lanes);
        if let Some(lane) = lanes.get(&origin) {
            return lane.clone();
        }
        if lanes.len() > LANES {
            let own = self.registry.origin().ascii_serialization();
            lanes.retain(|origin, _| *origin == own); // so many storage hosts: start again
        }
        let lane = self.world.lane(&origin, &self.caller);
        lanes.insert(origin, lane.clone());
        lane
    }

    async fn exchange(&self, request: Request, limit: usize, place: &Place) -> Result<Answer, Error> {
        let has_body = request.method() != Method::HEAD;
        let mut response = self.clients.execute(request).await.map_err(|error| broken(error, place))?;
        let status = response.status();
        let body = if has_body { body(&mut response, limit, place).await? } else { Vec::new() };
        let headers = std::mem::take(response.headers_mut());
        let header = headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok());
        let retry_after = retry_after::wait(header, if status.is_success() { b"" } else { &body }, Utc::now());
        Ok(Answer { url: response.url().clone(), status, headers, body, retry_after })
    }
}

async fn body(response: &mut Response, limit: usize, place: &Place) -> Result<Vec<u8>, Error> {
    let is_wanted = response.status().is_success();
    let limit = if is_wanted { limit } else { COMPLAINT_BYTES };
    let too_long = || place.malformed(format!("its answer is longer than {limit} bytes"));
    let announced = response.headers().get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    if is_wanted && announced.is_some_and(|length: usize| length > limit) {
        return Err(too_long());
    }
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| broken(error, place))? {
        if body.len() + chunk.len() > limit {
            if is_wanted {
                return Err(too_long());
            }
            break; // of a complaint the beginning is enough
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
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
fn broken(error: reqwest::Error, place: &Place) -> Error {
    if error.is_timeout() {
        return place.timeout();
    }
    place.unreachable(chain(&error.without_url()))
}
