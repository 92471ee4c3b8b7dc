//! One request to a server: at most a few at a time to each host, none while the host asked us to wait, every answer read to
//! its end within limits. In: a request. Out: an answer or an error. Must never follow a redirect to another origin.

#![expect(clippy::disallowed_methods, reason = "the shell's clock, and its one HTTP client")]

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use chrono::Utc;
use reqwest::header::{CONTENT_LENGTH, HeaderMap, LOCATION, RETRY_AFTER};
use reqwest::redirect::{Attempt, Policy};
use reqwest::{Client, Request, Response, StatusCode, Url};
use tokio::sync::Semaphore;

use super::error::{Error, Place};
use super::pool::{Pool, locked};
use super::{Limits, retry_after};
use crate::failure::chain;
use crate::image::Repository;

/// How many redirects within one origin are followed.
const REDIRECTS: usize = 5;
/// How much of an answer that is no success is read, in bytes.
const COMPLAINT_BYTES: usize = 64 << 10;
/// How long a host is left alone that answers 429 without saying for how long.
const PAUSE: Duration = Duration::from_secs(5);
/// How many idle connections are kept to a host.
const IDLE_CONNECTIONS: usize = 2;

/// What all requests share: limits, the state of every host, the count.
#[derive(Debug)]
pub(super) struct World {
    pub limits: Limits,
    user_agent: String,
    hosts: Pool<String, Host>,
    requests: AtomicU64,
}

/// One origin: scheme, host and port.
#[derive(Debug)]
pub(super) struct Host {
    slots: Semaphore,
    paused_until: Mutex<Option<Instant>>,
}

/// The connections of one credential (or of none) to the servers that it is meant for.
#[derive(Debug)]
pub(super) struct Wire {
    client: Client,
    world: Arc<World>,
    /// Keeps what is known about the registry's own host as long as the wire lives.
    _registry: Arc<Host>,
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

impl World {
    pub(super) fn new(user_agent: String, limits: Limits) -> Self {
        Self { limits, user_agent, hosts: Pool::default(), requests: AtomicU64::new(0) }
    }

    /// How many requests were sent.
    pub(super) fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }

    fn host(&self, url: &Url) -> Arc<Host> {
        let make = || Host { slots: Semaphore::new(self.limits.requests_per_host), paused_until: Mutex::default() };
        let made: Result<_, std::convert::Infallible> =
            self.hosts.get(url.origin().ascii_serialization(), || Ok(make()));
        match made {
            Ok(host) => host,
        }
    }
}

impl Host {
    fn wait(&self) -> Option<Duration> {
        let until = *locked(&self.paused_until);
        until.and_then(|until| until.checked_duration_since(Instant::now())).filter(|wait| !wait.is_zero())
    }

    fn pause(&self, wait: Duration) {
        let mut until = locked(&self.paused_until);
        *until = (*until).max(Some(Instant::now() + wait));
    }
}

impl Wire {
    /// Connections to the registry at this address. Unless the address is plain HTTP, nothing on this wire ever is.
    pub(super) fn new(world: &Arc<World>, registry: &Url) -> Result<Self, String> {
        let client = Client::builder()
            .user_agent(&world.user_agent)
            .https_only(registry.scheme() == "https")
            .redirect(Policy::custom(redirect))
            .referer(false)
            .connect_timeout(world.limits.connect)
            .read_timeout(world.limits.read)
            .pool_max_idle_per_host(IDLE_CONNECTIONS)
            .build()
            .map_err(|error| chain(&error))?;
        Ok(Self { client, world: world.clone(), _registry: world.host(registry) })
    }

    pub(super) fn limits(&self) -> &Limits {
        &self.world.limits
    }

    /// Sends a request and reads the answer, whatever its status is, except 429.
    pub(super) async fn send(&self, request: Request, repository: &Repository) -> Result<Answer, Error> {
        let place = Place { host: authority(request.url()), repository: repository.clone() };
        let host = self.world.host(request.url());
        let _slot = host.slots.acquire().await.map_err(|_| place.unreachable("the program is stopping"))?;
        if let Some(wait) = host.wait() {
            return Err(place.rate_limited(Some(wait)));
        }
        self.world.requests.fetch_add(1, Ordering::Relaxed);
        let response = self.client.execute(request).await.map_err(|error| broken(error, &place))?;
        let answer = self.read(response, &place).await?;
        if answer.status == StatusCode::TOO_MANY_REQUESTS {
            host.pause(answer.retry_after.unwrap_or(PAUSE));
            return Err(place.refused(429, answer.retry_after, &answer.body));
        }
        if answer.status.is_redirection() {
            let target = answer.headers.get(LOCATION).and_then(|to| answer.url.join(to.to_str().ok()?).ok());
            let target = target.map_or_else(|| "nowhere".to_owned(), |url| url.origin().ascii_serialization());
            return Err(place.malformed(format!("it redirects to {target}, only its own address is followed")));
        }
        Ok(answer)
    }

    async fn read(&self, mut response: Response, place: &Place) -> Result<Answer, Error> {
        let status = response.status();
        let limit = if status.is_success() { self.world.limits.page_bytes } else { COMPLAINT_BYTES };
        let too_long = || place.malformed(format!("its answer is longer than {limit} bytes"));
        let announced = response.headers().get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
        if status.is_success() && announced.is_some_and(|length: usize| length > limit) {
            return Err(too_long());
        }
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| broken(error, place))? {
            if body.len() + chunk.len() > limit {
                if status.is_success() {
                    return Err(too_long());
                }
                break; // of a complaint the beginning is enough
            }
            body.extend_from_slice(&chunk);
        }
        let headers = std::mem::take(response.headers_mut());
        let header = headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok());
        let retry_after = retry_after::wait(header, if status.is_success() { b"" } else { &body }, Utc::now());
        Ok(Answer { url: response.url().clone(), status, headers, body, retry_after })
    }
}

/// Host, with its port unless it is the scheme's own.
pub(super) fn authority(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

/// The credentials of a request are meant for its origin alone.
fn redirect(attempt: Attempt<'_>) -> reqwest::redirect::Action {
    let same_origin = attempt.previous().iter().all(|url| url.origin() == attempt.url().origin());
    if same_origin && attempt.previous().len() <= REDIRECTS { attempt.follow() } else { attempt.stop() }
}

/// A URL never goes into the text: the place says enough.
fn broken(error: reqwest::Error, place: &Place) -> Error {
    if error.is_timeout() {
        return place.timeout();
    }
    place.unreachable(chain(&error.without_url()))
}
