//! What can go wrong in a login to a cloud. In: a step and what happened there. Out: one error that names the step.
//! Must never hold a secret: callers hand over texts that are clean and short.

use std::time::Duration;

/// Why there is no credential. A step reads as `host: action`, such as `sts.eu-central-1.amazonaws.com: AssumeRoleWithWebIdentity`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Nothing was sent, and nothing will be until a person changes an object or the controller's environment.
    #[error("{0}")]
    Configuration(String),
    /// The cluster gave no token for the ServiceAccount.
    #[error("no token for serviceaccount {subject}: {reason}")]
    Token {
        /// `namespace/name`.
        subject: String,
        /// What the cluster said.
        reason: String,
    },
    /// The other side answered, and it was no success.
    #[error("{step} answered {status}{}", said(message))]
    Refused {
        /// Whom we asked for what.
        step: String,
        /// The HTTP status code.
        status: u16,
        /// What it said, made printable and cut; may be empty.
        message: String,
        /// How long it asked us to wait.
        retry_after: Option<Duration>,
    },
    /// No connection, or no whole answer in time.
    #[error("{step} can't be reached: {reason}")]
    Unreachable {
        /// Whom we asked for what.
        step: String,
        /// The whole chain of causes.
        reason: String,
    },
    /// A success that is none: its content is not what the protocol promises.
    #[error("{step} gave an answer that is not used: {reason}")]
    Malformed {
        /// Whom we asked for what.
        step: String,
        /// What is wrong with it.
        reason: String,
    },
}

impl Error {
    /// How long the other side asked us to wait, if it did.
    pub fn retry_after(&self) -> Option<Duration> {
        if let Self::Refused { retry_after, .. } = self { *retry_after } else { None }
    }
}

fn said(message: &str) -> String {
    if message.is_empty() { String::new() } else { format!(": {message}") }
}
