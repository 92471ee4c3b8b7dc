//! SHELL to container registries (OCI distribution specification). In: a repository and a credential. Out: all of its tags, or
//! an error. It decides nothing and knows no step; must never return a part of a list, nor show one credential's answer to another.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::image::{Repository, TagList};

mod auth;
mod credential;
mod error;
mod listing;
mod page;
mod pool;
mod pull_secret;
mod retry_after;
mod scans;
mod session;
mod wire;

pub use credential::Credential;
pub use error::Error;
pub use pull_secret::credential;

/// Whose view of which repository: the identity of a scan.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Access {
    /// The repository, without tag.
    pub repository: Repository,
    /// Plain HTTP instead of HTTPS.
    pub insecure: bool,
    /// What to show when the registry asks for it; `None` is anonymous.
    pub credential: Option<Credential>,
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
    /// Requests in flight to one host.
    pub requests_per_host: usize,
    /// From the first packet to an open connection, TLS included.
    pub connect: Duration,
    /// Until an answer's headers, and between two reads of its body.
    pub read: Duration,
}

/// Requests in flight to one host.
const REQUESTS_PER_HOST: usize = 8;

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
    scans: Arc<scans::Scans>,
}

impl Registry {
    /// No connection is made before the first call. The process must have a rustls provider by then.
    pub fn new(user_agent: impl Into<String>, limits: Limits) -> Self {
        let world = Arc::new(wire::World::new(user_agent.into(), limits));
        Self { scans: Arc::new(scans::Scans::new(world.clone())), world }
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

    /// How many requests were sent since the start, to registries and token servers.
    pub fn requests(&self) -> u64 {
        self.world.requests()
    }
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registry").field("requests", &self.requests()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
