//! What can go wrong between us and a registry. In: a status, headers and a body from outside. Out: one error that names
//! host and repository and never holds a secret. Must never decide what happens next.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use serde::Deserialize;

use super::credential::Credential;
use crate::failure::printable;
use crate::image::Repository;

/// The longest text that we repeat from a registry's answer, in characters.
const QUOTED: usize = 200;

/// Why a question failed. A listing is whole or it is an error; there is no partial one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The registry or its token server wants other credentials, or these may not see the repository.
    #[error("{host} refused access to {repository}: {reason}")]
    Authentication {
        /// The server that refused.
        host: String,
        /// The repository that was asked for.
        repository: Repository,
        /// What it said, or what is missing.
        reason: String,
    },
    /// The registry knows no such repository.
    #[error("{host} has no repository {repository}: check the image's name")]
    NotFound {
        /// The server that was asked.
        host: String,
        /// The repository that was asked for.
        repository: Repository,
    },
    /// The repository is there, but not this manifest or this part of it: deleted, or never whole.
    #[error("{host} has no {what} in {repository}")]
    Missing {
        /// The server that was asked.
        host: String,
        /// The repository that was asked for.
        repository: Repository,
        /// What is missing: a manifest or blob, by tag or digest.
        what: String,
    },
    /// The host asked us to slow down (429); until the time has passed, this caller sends nothing to it.
    #[error("{host} limits the rate of requests, {repository} has to wait{}", waiting(*retry_after))]
    RateLimited {
        /// The server that asked.
        host: String,
        /// The repository that was asked for.
        repository: Repository,
        /// How long to wait, if it said so or the host is paused already.
        retry_after: Option<Duration>,
    },
    /// Any other status than success.
    #[error("{host} answered {status} for {repository}{}", said(detail))]
    Http {
        /// The server that answered.
        host: String,
        /// The repository that was asked for.
        repository: Repository,
        /// The HTTP status code.
        status: u16,
        /// How long it asked us to wait.
        retry_after: Option<Duration>,
        /// What the answer's body said, made printable; may be empty.
        detail: String,
    },
    /// No connection, a failed TLS handshake, or a connection that broke in the middle of an answer.
    #[error("{host} can't be reached for {repository}: {reason}")]
    Unreachable {
        /// The server that was asked.
        host: String,
        /// The repository that was asked for.
        repository: Repository,
        /// The whole chain of causes.
        reason: String,
    },
    /// It did not answer in time.
    #[error("{host} did not answer in time for {repository}")]
    Timeout {
        /// The server that was asked.
        host: String,
        /// The repository that was asked for.
        repository: Repository,
    },
    /// An answer that a registry must not give; nothing of it is used.
    #[error("{host} gave an answer for {repository} that is not used: {reason}")]
    Malformed {
        /// The server that answered.
        host: String,
        /// The repository that was asked for.
        repository: Repository,
        /// What is wrong with it.
        reason: String,
    },
}

impl Error {
    /// How long the other side asked us to wait, if it did.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::RateLimited { retry_after, .. } | Self::Http { retry_after, .. } => *retry_after,
            _ => None,
        }
    }

    /// The image that was asked for is missing or not whole, while the repository is there: another tag may do.
    pub fn is_missing_manifest(&self) -> bool {
        matches!(self, Self::Missing { .. })
    }
}

fn waiting(retry_after: Option<Duration>) -> String {
    retry_after.map(|wait| format!(" {:.1} s", wait.as_secs_f64())).unwrap_or_default()
}

fn said(detail: &str) -> String {
    if detail.is_empty() { String::new() } else { format!(": {detail}") }
}

/// Whom an error is about: the server that was asked, and the repository it was asked for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place<'p> {
    /// Host, with its port if it has one.
    pub host: &'p str,
    /// The repository, as the user typed it.
    pub repository: &'p Repository,
    /// What no text about it may repeat.
    pub credential: Option<&'p Credential>,
}

impl Place<'_> {
    pub(super) fn authentication(&self, reason: impl Into<String>) -> Error {
        Error::Authentication { host: self.host.to_owned(), repository: self.repository.clone(), reason: reason.into() }
    }

    pub(super) fn malformed(&self, reason: impl Into<String>) -> Error {
        Error::Malformed { host: self.host.to_owned(), repository: self.repository.clone(), reason: reason.into() }
    }

    pub(super) fn unreachable(&self, reason: impl Into<String>) -> Error {
        Error::Unreachable { host: self.host.to_owned(), repository: self.repository.clone(), reason: reason.into() }
    }

    pub(super) fn timeout(&self) -> Error {
        Error::Timeout { host: self.host.to_owned(), repository: self.repository.clone() }
    }

    pub(super) fn rate_limited(&self, retry_after: Option<Duration>) -> Error {
        Error::RateLimited { host: self.host.to_owned(), repository: self.repository.clone(), retry_after }
    }

    /// The error behind a status that is no success, where a manifest or blob was asked for.
    pub(super) fn lacks(
        &self,
        what: impl fmt::Display,
        status: u16,
        retry_after: Option<Duration>,
        body: &[u8],
    ) -> Error {
        let code = Complaint::read(body).code;
        let is_missing =
            (status == 404 && code != "NAME_UNKNOWN") || matches!(&*code, "MANIFEST_UNKNOWN" | "BLOB_UNKNOWN");
        if !is_missing {
            return self.refused(status, retry_after, body);
        }
        Error::Missing { host: self.host.to_owned(), repository: self.repository.clone(), what: what.to_string() }
    }

    /// The error behind a status that is no success.
    pub(super) fn refused(&self, status: u16, retry_after: Option<Duration>, body: &[u8]) -> Error {
        let complaint = Complaint::read(body);
        let says = |code| complaint.code == code;
        match status {
            _ if status == 429 || says("TOOMANYREQUESTS") => self.rate_limited(retry_after),
            _ if status == 404 || says("NAME_UNKNOWN") => {
                Error::NotFound { host: self.host.to_owned(), repository: self.repository.clone() }
            }
            401 | 403 => {
                self.authentication(self.quoted(&complaint, "check the pull secret, and that the repository exists"))
            }
            _ if says("UNAUTHORIZED") || says("DENIED") => {
                self.authentication(self.quoted(&complaint, "check the pull secret"))
            }
            _ => Error::Http {
                host: self.host.to_owned(),
                repository: self.repository.clone(),
                status,
                retry_after,
                detail: self.quoted(&complaint, ""),
            },
        }
    }

    /// Message and code of a complaint, printable and without a secret; another text when there is neither.
    fn quoted(&self, complaint: &Complaint, otherwise: &str) -> String {
        let clean = |text: &str| {
            let hidden = self.credential.map(|credential| Cow::Owned(credential.hidden_in(text)));
            printable(&hidden.unwrap_or(Cow::Borrowed(text)), QUOTED)
        };
        let (message, code) = (clean(&complaint.message), clean(&complaint.code));
        match (message.is_empty(), code.is_empty()) {
            (true, true) => otherwise.to_owned(),
            (false, false) => format!("{message} ({code})"),
            _ => format!("{message}{code}"),
        }
    }
}

/// The first entry of an error body (OCI distribution specification, "Error codes"), as it came.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Complaint {
    /// Such as `NAME_UNKNOWN`; empty when the body is something else.
    pub code: String,
    /// For people.
    pub message: String,
}

impl Complaint {
    pub(super) fn read(body: &[u8]) -> Self {
        #[derive(Deserialize)]
        struct Body {
            errors: Vec<Entry>,
        }
        #[derive(Deserialize)]
        struct Entry {
            code: Option<String>,
            message: Option<String>,
        }
        let first = serde_json::from_slice::<Body>(body).ok().and_then(|body| body.errors.into_iter().next());
        first.map_or_else(Self::default, |entry| Self {
            code: entry.code.unwrap_or_default(),
            message: entry.message.unwrap_or_default(),
        })
    }
}
