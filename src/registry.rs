//! SHELL to container registries (OCI distribution specification). In: a repository and how to reach it. Out: its tags, what a
//! tag points at, what an image is, who signed it, or an error. It decides nothing and knows no step; must never return a part
//! of a list, nor show one caller's answer to another.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use self::session::Session;
use self::sessions::Sessions;
use crate::image::{Digest, Repository, Tag, TagList};

mod auth;
mod build;
mod caller;
pub mod cloud;
mod content;
mod credential;
mod error;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod kept;
mod listing;
mod manifest;
mod page;
mod pool;
mod proxy;
mod pull_secret;
mod rate_limit;
mod redirect;
mod retry_after;
mod scans;
mod session;
mod sessions;
mod signatures;
mod throttle;
mod tls;
mod wire;

pub use build::Build;
pub use credential::Credential;
pub use error::Error;
pub use proxy::Proxy;
pub use pull_secret::credential;
pub use signatures::Signed;
pub use tls::Tls;

/// Whose view of which repository: the identity of a scan.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Access {
    /// The repository, without tag.
    pub repository: Repository,
    /// Plain HTTP instead of HTTPS.
    pub insecure: bool,
    /// What to show when the registry asks for it; `None` is anonymous.
    pub credential: Option<Credential>,
    /// More certificate authorities than the system's, a client certificate.
    pub tls: Option<Tls>,
    /// The way to the registry; `None` is what the environment says.
    pub proxy: Option<Proxy>,
}

impl Access {
    /// Anyone's view, over HTTPS.
    pub fn new(repository: Repository) -> Self {
        Self { repository, insecure: false, credential: None, tls: None, proxy: None }
    }
}

/// The whole list of a repository's tags.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tags {
    /// In the order of their bytes, each once.
    pub tags: TagList,
    /// SHA-256 of the tags: two lists are the same exactly when their fingerprints are.
    pub fingerprint: [u8; 32],
    /// It is the same as the listing before it, whoever asked for that one. To know whether your own view is outdated, compare
    /// fingerprints.
    pub unchanged: bool,
    /// How many names were no valid tags and left out.
    pub skipped: u32,
    /// When the listing was begun.
    pub begun: Instant,
}

/// What we take from a registry at most, and for how long we wait.
#[derive(Debug, Clone)]
pub struct Limits {
    /// One answer, in bytes after decompression.
    pub page_bytes: usize,
    /// All pages of a list, in bytes.
    pub list_bytes: usize,
    /// Pages of a list.
    pub pages: usize,
    /// Tags of a list.
    pub tags: usize,
    /// Requests in flight to one host, of all callers together; each caller's own share adapts to how the host bears it.
    pub requests_per_host: usize,
    /// From the first packet to an open connection, TLS included.
    pub connect: Duration,
    /// Until an answer's headers, and between two reads of its body.
    pub read: Duration,
}

/// Requests in flight to one host.
const REQUESTS_PER_HOST: usize = 32;

impl Default for Limits {
    fn default() -> Self {
        Self {
            page_bytes: 64 << 20,
            list_bytes: 128 << 20, // a million tags of the longest kind
            pages: 10_000,
            tags: 1_000_000,
            requests_per_host: REQUESTS_PER_HOST,
            connect: Duration::from_secs(10),
            read: Duration::from_secs(20),
        }
    }
}

/// All registries. Clones share connections, tokens and scans.
#[derive(Clone)]
pub struct Registry {
    world: Arc<wire::World>,
    sessions: Arc<Sessions>,
    scans: Arc<scans::Scans>,
}

impl Registry {
    /// No connection is made before the first call. The process must have a rustls provider by then.
    pub fn new(user_agent: impl Into<String>, limits: Limits) -> Self {
        let world = Arc::new(wire::World::new(user_agent.into(), limits));
        let sessions = Arc::new(Sessions::new(world.clone()));
        Self { scans: Arc::new(scans::Scans::new(sessions.clone())), sessions, world }
    }

    /// All tags of a repository. Callers with the same access share a scan: a list that was begun less than `within` ago is
    /// returned as it is; with `within` zero, it was begun after this call. Costs one request when nothing changed and
    /// the list has one page.
    ///
    /// # Errors
    /// See [`Error`]; after `timeout`, [`Error::Timeout`]. The last good list is kept for callers whose `within` covers it.
    pub async fn tags(&self, access: &Access, within: Duration, timeout: Duration) -> Result<Tags, Error> {
        self.scans.tags(access, within, timeout).await
    }

    /// The digest of the manifest or index that a tag points at. Costs a HEAD, which Docker Hub doesn't count as a pull.
    ///
    /// # Errors
    /// See [`Error`]; [`Error::is_missing_manifest`] when the tag is gone.
    pub async fn digest(&self, access: &Access, tag: &Tag, timeout: Duration) -> Result<Digest, Error> {
        let (_, session) = self.sessions.get(access)?;
        in_time(timeout, &session, access, content::digest(&session, &access.repository, tag)).await
    }

    /// For which platforms an image was built and when its maker says so. Costs nothing when this caller asked before, as a
    /// digest's build never changes; else one to four requests.
    ///
    /// # Errors
    /// See [`Error`]; [`Error::is_missing_manifest`] when the image is gone or not whole.
    pub async fn build(&self, access: &Access, digest: &Digest, timeout: Duration) -> Result<Arc<Build>, Error> {
        let (_, session) = self.sessions.get(access)?;
        in_time(timeout, &session, access, build::get(&session, &access.repository, digest)).await
    }

    /// What cosign left beside an image, unchecked: signatures at a tag of their own, then bundles that refer to it. Empty
    /// when there is nothing.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn signatures(&self, access: &Access, digest: &Digest, timeout: Duration) -> Result<Vec<Signed>, Error> {
        let (_, session) = self.sessions.get(access)?;
        in_time(timeout, &session, access, signatures::all(&session, &access.repository, digest)).await
    }

    /// How many requests were sent since the start, to registries and token servers.
    pub fn requests(&self) -> u64 {
        self.world.requests()
    }
}

async fn in_time<T>(
    timeout: Duration,
    session: &Session,
    access: &Access,
    asked: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    let found = tokio::time::timeout(timeout, asked).await;
    found.unwrap_or_else(|_| Err(session.place(&access.repository).timeout()))
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registry").field("requests", &self.requests()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
