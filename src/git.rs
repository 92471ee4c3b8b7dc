//! SHELL: Git. Goes in: a remote, a branch, files to change. Comes out: commit ids, trees, bytes, the fate of a push.
//! Works on a bare mirror; there is never a checkout, a child process or a decision here, and no secret in any text.

use std::fmt;
use std::time::Duration;

mod along;
mod app;
mod client;
mod commit;
mod delete;
mod error;
mod fetch;
mod grep;
mod history;
mod keyring;
mod ignore;
mod local;
mod lsrefs;
mod merge;
mod mirror;
mod pktline;
mod place;
mod push;
mod report;
mod signing;
mod ssh;
mod target;
mod tree;

#[cfg(test)]
mod tests;

pub use along::{Along, Second};
pub use app::{App, Installation};
pub use commit::NewCommit;
pub use error::Error;
pub use fetch::Reach;
pub use grep::Found;
pub use history::{Depth, Version, Visit};
pub use ignore::ignored;
pub use keyring::Keyring;
pub use mirror::Mirror;
pub use push::Pushed;
pub use signing::SigningKey;
pub use ssh::Ssh;
pub use target::{Listed, Target};
pub use tree::{BLOB_LIMIT, CommitInfo, Entry, Kind, Person};

use self::place::Place;
use crate::reach::Way;

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
    /// A GitHub App, for HTTP.
    App(App),
    /// A key for SSH, and the host keys to trust.
    Ssh(Ssh),
}

impl fmt::Debug for Auth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if *self == Self::None { "Auth::None" } else { "Auth(hidden)" })
    }
}

/// A repository somewhere else and how long one operation with it may take.
#[derive(Clone)]
pub struct Remote {
    /// `https://`, `http://`, `ssh://`, `user@host:path` or `file://`, without password, and without user but for SSH. Whether
    /// `file://` may be used is the caller's decision.
    pub url: String,
    /// Sent to the URL's own scheme, host and port, and nowhere else.
    pub auth: Auth,
    /// Whom TLS trusts, who we are by certificate, and a proxy; for `https://` and `http://`.
    pub way: Way,
    /// The limit of one operation, whatever number of requests it takes. A push may ask for the head afterwards, which has
    /// the same limit once more.
    pub timeout: Duration,
}

impl fmt::Debug for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let url = self.place().map_or("(hidden)", |_| &self.url);
        f.debug_struct("Remote").field("url", &url).field("auth", &self.auth).field("timeout", &self.timeout).finish()
    }
}

impl Remote {
    fn place(&self) -> Result<Place, Error> {
        Place::parse(&self.url)
    }

    /// The token that a GitHub App has here now, for other uses than Git; none for whom is no app. Asked for when there is none yet.
    ///
    /// # Errors
    /// GitHub gives none.
    pub async fn app_token(&self) -> Result<Option<String>, Error> {
        let Auth::App(app) = &self.auth else { return Ok(None) };
        let is_plain = matches!(self.place()?, Place::Http(url) if url.scheme() == "http");
        let token = mirror::limited(self.timeout, client::app_token(app, &self.way, is_plain));
        token.await.map(Some)
    }

    /// How to log in by SSH.
    fn ssh(&self) -> Result<Ssh, Error> {
        match &self.auth {
            Auth::Ssh(ssh) => Ok(ssh.clone()),
            _ => Err(Error::UnsupportedUrl { reason: "ssh needs a secret with the keys identity and known_hosts" }),
        }
    }
}

/// Whether a repository's URL is one of SSH, in either form.
pub fn is_ssh(url: &str) -> bool {
    matches!(Place::parse(url), Ok(Place::Ssh(_)))
}

/// Makes libgit2 ignore every configuration file of the machine and keep its cache small. Call once at the start of the process,
/// before any [`Mirror`]; the process needs a TLS provider (`rustls`, ring) too.
///
/// # Errors
/// When libgit2 refuses.
#[expect(unsafe_code, reason = "libgit2 keeps its options in process-wide state that it does not lock")]
pub fn prepare() -> Result<(), Error> {
    const OBJECT_CACHE_BYTES: isize = 16 << 20;
    // The default of 4 KiB leaves out what is read most: the tree of a folder with 100 files, a commit that wrote to as many.
    const CACHED_OBJECT_BYTES: usize = 256 << 10;
    let levels = [git2::ConfigLevel::System, git2::ConfigLevel::Global, git2::ConfigLevel::XDG];
    // SAFETY: the caller calls this once, before another thread uses libgit2.
    unsafe {
        git2::opts::set_cache_max_size(OBJECT_CACHE_BYTES).map_err(Error::storage)?;
        for kind in [git2::ObjectType::Commit, git2::ObjectType::Tree] {
            git2::opts::set_cache_object_limit(kind, CACHED_OBJECT_BYTES).map_err(Error::storage)?;
        }
        for level in levels {
            git2::opts::set_search_path(level, "").map_err(Error::storage)?;
        }
    }
    Ok(())
}
