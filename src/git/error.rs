//! What can go wrong between us and a Git host, told apart by who has to act. Never holds a secret; words of others are
//! bounded and printable.

use std::time::Duration;

use crate::failure::printable;

/// The longest text of somebody else that an error repeats, in characters.
const WORDS_LIMIT: usize = 500;

/// A failed Git operation.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The URL is none that we speak.
    #[error("the repository's url cannot be used: {reason}")]
    UnsupportedUrl {
        /// Why not.
        reason: &'static str,
    },
    /// A branch, path, author or message that Git does not allow.
    #[error("{what} {value:?} cannot be used: {reason}")]
    Invalid {
        /// What it is.
        what: &'static str,
        /// Its text, bounded.
        value: String,
        /// Why not.
        reason: &'static str,
    },
    /// The host does not know us, or does not let us do this (401, 403).
    #[error("the git host refused the credentials (http {status}); check the secret and its rights to the repository")]
    Authentication {
        /// The HTTP status.
        status: u16,
    },
    /// GitHub gives the app no token.
    #[error(
        "github refused the app (http {status}: {message}); check {check} of the secret, and that the app is installed"
    )]
    AppRefused {
        /// The HTTP status.
        status: u16,
        /// Its words.
        message: String,
        /// Keys of the Secret.
        check: &'static str,
    },
    /// The host does not know the key that we logged in with.
    #[error(
        "the git host does not take the ssh key {key} of user {user:?}; add its public key there, as a deploy key that may write"
    )]
    KeyRefused {
        /// The key's kind and fingerprint.
        key: String,
        /// The user.
        user: String,
    },
    /// The host's own key is not one that `known_hosts` vouches for. Nothing was said to it.
    #[error("the ssh host cannot be trusted: {reason}")]
    HostKey {
        /// What it showed, what was expected, what to do.
        reason: String,
    },
    /// The host took the key, and then did not let us do this.
    #[error("the git host refused the ssh session: {message}; check the url and the key's rights to the repository")]
    SessionRefused {
        /// The host's own words.
        message: String,
    },
    /// The host knows no such repository, or hides it from us (404).
    #[error("the git host knows no such repository (http 404); check the url and the credentials")]
    RepositoryNotFound,
    /// The repository has no such branch.
    #[error("the repository has no branch {branch:?}")]
    BranchNotFound {
        /// The branch's short name.
        branch: String,
    },
    /// The repository has no such tag, ref or commit.
    #[error("the repository has no {what}")]
    RefNotFound {
        /// What it lacks, bounded, and maybe what to do.
        what: String,
    },
    /// The commit is not in the mirror; after a fetch that means that the branch was rewritten.
    #[error("commit {commit} is neither in the mirror nor on the branch any more")]
    CommitGone {
        /// The commit.
        commit: String,
    },
    /// Any other refusal by HTTP.
    #[error("the git host answered http {status}{}", words(message))]
    Http {
        /// The HTTP status.
        status: u16,
        /// How long the host asked to wait.
        retry_after: Option<Duration>,
        /// The start of its answer.
        message: String,
    },
    /// No connection, or one that broke.
    #[error("the git host cannot be reached: {message}")]
    Unreachable {
        /// The chain of causes.
        message: String,
    },
    /// The operation took longer than the remote's timeout.
    #[error("the git host did not answer in {} s", limit.as_secs_f32())]
    Timeout {
        /// The limit that was used up.
        limit: Duration,
    },
    /// The host received the push and refused it: a hook, a protected branch.
    #[error("the git host rejected the push: {message}")]
    Rejected {
        /// The host's own words.
        message: String,
    },
    /// An answer that is no Git protocol, or an error in its terms.
    #[error("the git host answered something unexpected: {message}")]
    Protocol {
        /// What was wrong with it.
        message: String,
    },
    /// The signing key cannot be used for this commit.
    #[error("the commit cannot be signed: {reason}")]
    Signing {
        /// Why not.
        reason: String,
    },
    /// More than one of our limits allows.
    #[error("{what} is larger than the limit of {limit}")]
    TooLarge {
        /// What it is.
        what: String,
        /// The limit, in the unit of `what`.
        limit: u64,
    },
    /// Somebody asks what came before a commit of which only the files were fetched.
    #[error("the mirror holds heads only, their history is yet to be fetched")]
    NoHistory,
    /// The mirror on our disk failed.
    #[error("the local mirror failed: {message}")]
    Storage {
        /// libgit2's words.
        message: String,
        /// Whether objects are damaged or missing; the next fetch then builds the mirror anew.
        damaged: bool,
    },
    /// The caller gave up.
    #[error("the git operation was cancelled")]
    Cancelled,
}

fn words(message: &str) -> String {
    if message.is_empty() { String::new() } else { format!(": {message}") }
}

impl Error {
    /// Whether only a person can help: the URL, the secret, the branch, the host's rules.
    pub fn needs_user(&self) -> bool {
        matches!(
            self,
            Self::UnsupportedUrl { .. }
                | Self::Invalid { .. }
                | Self::Authentication { .. }
                | Self::AppRefused { .. }
                | Self::KeyRefused { .. }
                | Self::HostKey { .. }
                | Self::SessionRefused { .. }
                | Self::RepositoryNotFound
                | Self::BranchNotFound { .. }
                | Self::RefNotFound { .. }
                | Self::Rejected { .. }
                | Self::TooLarge { .. }
                | Self::Signing { .. }
        )
    }

    /// Whether another secret might help: the host, or we, did not accept the other side.
    pub fn is_refusal(&self) -> bool {
        matches!(
            self,
            Self::Authentication { .. }
                | Self::AppRefused { .. }
                | Self::KeyRefused { .. }
                | Self::HostKey { .. }
                | Self::SessionRefused { .. }
                | Self::RepositoryNotFound
        )
    }

    /// The wait that the host asked for.
    pub fn retry_after(&self) -> Option<Duration> {
        if let Self::Http { retry_after, .. } = self { *retry_after } else { None }
    }

    /// Whether the request may have had its effect although no answer came.
    pub(super) fn lost_reply(&self) -> bool {
        matches!(self, Self::Unreachable { .. } | Self::Timeout { .. } | Self::Protocol { .. })
            || matches!(self, Self::Http { status: 500..=599, .. })
    }

    /// Whether a host that wants `GET info/refs` first would answer so: a redirect or another refusal than for lack of rights.
    pub(super) fn wants_get_first(&self) -> bool {
        match self {
            Self::RepositoryNotFound => true,
            Self::Http { status, .. } => {
                matches!(status, 300..=399 | 500 | 501) || matches!(status, 400..=499 if !matches!(status, 413 | 429))
            }
            _ => false,
        }
    }

    pub(super) fn storage(error: git2::Error) -> Self {
        use git2::ErrorClass::{Config, Object, Odb, Reference, Repository, Zlib};
        // A full disk (class `Os`) or a bug is no damage.
        let damaged = matches!(error.class(), Odb | Object | Zlib | Reference | Repository | Config);
        Self::Storage { message: printable(error.message(), WORDS_LIMIT), damaged }
    }

    pub(super) fn protocol(message: &str) -> Self {
        Self::Protocol { message: printable(message, WORDS_LIMIT) }
    }

    pub(super) fn rejected(message: &str) -> Self {
        Self::Rejected { message: printable(message, WORDS_LIMIT) }
    }

    pub(super) fn invalid(what: &'static str, value: &str, reason: &'static str) -> Self {
        Self::Invalid { what, value: printable(value, 200), reason }
    }

    pub(super) fn http(status: u16, retry_after: Option<Duration>, body: &[u8]) -> Self {
        match status {
            401 => Self::Authentication { status },
            // Some hosts say 403 when they mean 429.
            403 if retry_after.is_none() => Self::Authentication { status },
            404 => Self::RepositoryNotFound,
            _ => {
                let text = String::from_utf8_lossy(body);
                // A page for a browser tells a person less than the status does.
                let text = if text.trim_start().starts_with('<') { "" } else { text.as_ref() };
                Self::Http { status, retry_after, message: printable(text, 200) }
            }
        }
    }
}
