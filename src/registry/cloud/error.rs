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
    /// Only a person's change can help. Being busy is no refusal; AWS calls it throttling, under 400.
    pub fn needs_user(&self) -> bool {
        match self {
            Self::Configuration(_) => true,
            Self::Refused { status, message, .. } => {
                (300..500).contains(status) && !matches!(status, 408 | 429) && !message.contains("Throttling")
            }
            _ => false,
        }
    }

    /// How long the other side asked us to wait, if it did.
    pub fn retry_after(&self) -> Option<Duration> {
        if let Self::Refused { retry_after, .. } = self { *retry_after } else { None }
    }
}

fn said(message: &str) -> String {
    if message.is_empty() { String::new() } else { format!(": {message}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(status: u16, message: &str, expected: bool) {
        let (step, message) = ("cloud: token".to_owned(), message.to_owned());
        let error = Error::Refused { step, status, message, retry_after: None };
        assert_eq!(error.needs_user(), expected, "{error}");
    }

    #[test]
    fn a_cloud_that_is_busy_needs_no_user() {
        check(400, "No matching federated identity record found. (invalid_client)", true);
        check(403, "Not authorized (AccessDenied)", true);
        check(302, "", true);
        check(400, "Rate exceeded (ThrottlingException)", false);
        check(400, "Rate exceeded (Throttling)", false);
        check(408, "", false);
        check(429, "", false);
        check(500, "", false);
        check(503, "", false);
    }
}
