//! What can go wrong between us and a host's API, told apart by who has to act. Never holds a secret; words of others are bounded
//! and printable.

use std::time::Duration;

use crate::failure::Answer;

/// A failed operation on pull requests.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The repository's URL or the API's address is none that this provider has.
    #[error("no pull requests for this repository: {reason}")]
    Address {
        /// Why not, and what is expected.
        reason: String,
    },
    /// The secret fits no header.
    #[error("the secret cannot be used for the host's api: it holds characters that no http header may hold")]
    Login,
    /// The host has no such thing.
    #[error("{provider} has no {what} in its api, leave it out")]
    Unsupported {
        /// The provider's name.
        provider: &'static str,
        /// What was wanted.
        what: &'static str,
    },
    /// The host does not know us (401), does not let us do this (403), knows no such repository or hides it from us (404), or
    /// finds that it can't be done (400, 405, 409, 422).
    #[error("the git host refused to {doing} (http {status}{}){}", colon(words), advice(*status))]
    Refused {
        /// The HTTP status.
        status: u16,
        /// What we wanted to do.
        doing: &'static str,
        /// The host's own words.
        words: String,
    },
    /// We asked too often.
    #[error("the git host wants fewer calls to its api (http {status}{})", colon(words))]
    RateLimited {
        /// The HTTP status.
        status: u16,
        /// How long it asked to wait.
        after: Option<Duration>,
        /// The host's own words.
        words: String,
    },
    /// The host is not well (5xx), or answered a status that its API does not know.
    #[error("the git host could not {doing} (http {status}{})", colon(words))]
    Http {
        /// The HTTP status.
        status: u16,
        /// What we wanted to do.
        doing: &'static str,
        /// How long it asked to wait.
        after: Option<Duration>,
        /// The host's own words.
        words: String,
    },
    /// The API is somewhere else.
    #[error("the git host's api redirects to {to}, which is not followed; if that is right, use that address")]
    Redirected {
        /// The other origin.
        to: String,
    },
    /// No connection, or one that broke.
    #[error("the git host's api cannot be reached: {message}")]
    Unreachable {
        /// The chain of causes.
        message: String,
    },
    /// The operation took too long.
    #[error("the git host's api did not answer in {} s", limit.as_secs_f32())]
    Timeout {
        /// The limit that was used up.
        limit: Duration,
    },
    /// An answer that is not of this API.
    #[error("the git host's api answered something unexpected when asked to {doing}: {message}")]
    Protocol {
        /// What we wanted to do.
        doing: &'static str,
        /// What was wrong with it.
        message: String,
    },
}

fn colon(words: &str) -> String {
    if words.is_empty() { String::new() } else { format!(": {words}") }
}

fn advice(status: u16) -> &'static str {
    match status {
        401 => "; check the secret",
        403 => "; check the rights of the secret's user or token to pull requests",
        404 => "; check the url and the branches, and the rights of the secret's user or token to pull requests",
        _ => "",
    }
}

impl Error {
    /// Who has to act.
    pub fn answer(&self) -> Answer {
        match self {
            Self::Address { .. } | Self::Login | Self::Unsupported { .. } | Self::Refused { .. } => Answer::WaitForUser,
            Self::Redirected { .. } => Answer::WaitForUser,
            Self::RateLimited { after, .. } | Self::Http { after, .. } => Answer::Retry { after: *after },
            Self::Unreachable { .. } | Self::Timeout { .. } | Self::Protocol { .. } => Answer::Retry { after: None },
        }
    }

    /// Whether only a person can help: the URL, the secret, its rights, the host's rules.
    pub fn needs_user(&self) -> bool {
        self.answer() == Answer::WaitForUser
    }

    /// The wait that the host asked for.
    pub fn retry_after(&self) -> Option<Duration> {
        match self.answer() {
            Answer::Retry { after } => after,
            _ => None,
        }
    }

    /// Whether the call may have had its effect although we don't know.
    pub fn lost_reply(&self) -> bool {
        matches!(self, Self::Unreachable { .. } | Self::Timeout { .. } | Self::Protocol { .. })
            || matches!(self, Self::Http { status: 500..=599, .. })
    }

    pub(super) fn unsupported(provider: &'static str, what: &'static str) -> Self {
        Self::Unsupported { provider, what }
    }

    pub(super) fn protocol(doing: &'static str, message: &str) -> Self {
        Self::Protocol { doing, message: message.to_owned() }
    }

    /// Whether the host refused with one of these statuses.
    pub(super) fn is_refused_as(&self, statuses: &[u16]) -> bool {
        matches!(self, Self::Refused { status, .. } if statuses.contains(status))
    }

    /// Of a refusal that passes by itself: the host is still at it, or somebody changed the request meanwhile.
    pub(super) fn passing(self, statuses: &[u16]) -> Self {
        match self {
            Self::Refused { status, doing, words } if statuses.contains(&status) => {
                Self::Http { status, doing, after: None, words }
            }
            other => other,
        }
    }
}
