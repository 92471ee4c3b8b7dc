//! SHELL: Git. Goes in: a remote, a branch, files to change. Comes out: commit ids, trees, bytes, the fate of a push.
//! Works on a bare mirror; there is never a checkout, a child process or a decision here, and no secret in any text.

use std::fmt;
use std::time::Duration;

use reqwest::Url;

mod along;
mod client;
mod commit;
mod error;
mod fetch;
mod grep;
mod history;
mod local;
mod lsrefs;
mod mirror;
mod pktline;
mod push;
mod report;
mod signing;
mod transport;
mod tree;

#[cfg(test)]
mod tests;

pub use along::{Along, Second};
pub use commit::NewCommit;
pub use error::Error;
pub use grep::Found;
pub use history::{Depth, Version, Visit};
pub use mirror::Mirror;
pub use push::Pushed;
pub use signing::SigningKey;
pub use tree::{BLOB_LIMIT, CommitInfo, Entry, Kind, Person};

/// The id of a tree or a blob: equal ids mean equal bytes.
pub use git2::Oid as ObjectId;

/// How to prove who we are. `Debug` prints no secret.
#[derive(Clone, Default, PartialEq, Eq)]
pub enum Auth {
    /// Anonymous.
    #[default]
    None,
    /// HTTP Basic; the password is often a token.
    Basic {
        /// The user's name.
        username: String,
        /// The password or token.
        password: String,
    },
    /// HTTP Bearer.
    Bearer(String),
}

impl fmt::Debug for Auth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if *self == Self::None { "Auth::None" } else { "Auth(hidden)" })
    }
}

/// A repository somewhere else and how long one operation with it may take.
#[derive(Clone)]
pub struct Remote {
    /// `https://`, `http://` or `file://`, without user and password. Whether `file://` may be used is the caller's decision.
    pub url: String,
    /// Sent to the URL's own scheme, host and port, and nowhere else.
    pub auth: Auth,
    /// The limit of one operation, whatever number of requests it takes. A push may ask for the head afterwards, which has
    /// the same limit once more.
    pub timeout: Duration,
}

impl fmt::Debug for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let url = self.parsed().map_or_else(|_| "(hidden)".to_owned(), |url| url.to_string());
        f.debug_struct("Remote").field("url", &url).field("auth", &self.auth).field("timeout", &self.timeout).finish()
    }
}

impl Remote {
    /// The URL, when it is one that we can talk to. Everything else is refused here, as libgit2 would hand an unknown scheme
    /// or an scp form to an `ssh` of its own.
    fn parsed(&self) -> Result<Url, Error> {
        let refuse = |reason| Err(Error::UnsupportedUrl { reason });
        let Ok(url) = Url::parse(&self.url) else { return refuse("it is no absolute URL") };
        if !matches!(url.scheme(), "http" | "https" | "file") {
            return refuse("its scheme is none of https, http, file");
        }
        if !url.username().is_empty() || url.password().is_some() {
            return refuse("it holds a user or password: put them into the secret");
        }
        if url.query().is_some() || url.fragment().is_some() {
            return refuse("it holds a query or a fragment");
        }
        Ok(url)
    }
}

/// Makes libgit2 speak HTTP through our own client, ignore every configuration file of the machine, and keep its cache small.
/// Call once at the start of the process, before any [`Mirror`]; the process needs a TLS provider (`rustls`, ring) too.
///
/// # Errors
/// When libgit2 refuses, which means that it was called twice.
#[expect(unsafe_code, reason = "libgit2 keeps transports and options in process-wide state that it does not lock")]
pub fn register_transports() -> Result<(), Error> {
    const OBJECT_CACHE_BYTES: isize = 16 << 20;
    let levels = [git2::ConfigLevel::System, git2::ConfigLevel::Global, git2::ConfigLevel::XDG];
    // SAFETY: the caller calls this once, before another thread uses libgit2.
    unsafe {
        git2::transport::register("http", transport::make).map_err(Error::storage)?;
        git2::transport::register("https", transport::make).map_err(Error::storage)?;
        git2::opts::set_cache_max_size(OBJECT_CACHE_BYTES).map_err(Error::storage)?;
        for level in levels {
            git2::opts::set_search_path(level, "").map_err(Error::storage)?;
        }
    }
    Ok(())
}
