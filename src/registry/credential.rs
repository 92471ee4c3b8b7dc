//! What proves to a registry who asks. In: secrets. Out: the header for a challenge. Its identity is a fingerprint, so that
//! it can be a key; must never show a secret in a log, a message or a debug print.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};

/// A registry's user and password, or one of the two kinds of token that `docker login` can leave in a pull secret.
#[derive(Clone)]
pub struct Credential(Arc<Parts>);

struct Parts {
    secret: Secret,
    fingerprint: [u8; 32],
}

enum Secret {
    Password { username: String, password: String },
    Identity { token: String },
    Registry { token: String },
}

impl Credential {
    /// A user name and a password.
    pub fn password(username: impl Into<String>, password: impl Into<String>) -> Self {
        Self::new(Secret::Password { username: username.into(), password: password.into() })
    }

    /// An OAuth2 refresh token, traded at the token server for a short-lived one (`identitytoken`).
    pub fn identity(token: impl Into<String>) -> Self {
        Self::new(Secret::Identity { token: token.into() })
    }

    /// A bearer token for the registry itself (`registrytoken`).
    pub fn registry(token: impl Into<String>) -> Self {
        Self::new(Secret::Registry { token: token.into() })
    }

    fn new(secret: Secret) -> Self {
        let (kind, parts) = match &secret {
            Secret::Password { username, password } => (b'p', [username.as_str(), password.as_str()]),
            Secret::Identity { token } => (b'i', [token.as_str(), ""]),
            Secret::Registry { token } => (b'r', [token.as_str(), ""]),
        };
        let fingerprint = fingerprint(kind, &parts.map(str::as_bytes));
        Self(Arc::new(Parts { secret, fingerprint }))
    }

    /// The value of an `Authorization: Basic` header; `None` for the two tokens.
    pub(super) fn basic(&self) -> Option<String> {
        match &self.0.secret {
            Secret::Password { username, password } => {
                Some(format!("Basic {}", STANDARD.encode(format!("{username}:{password}"))))
            }
            _ => None,
        }
    }

    /// The refresh token, if it is one.
    pub(super) fn identity_token(&self) -> Option<&str> {
        if let Secret::Identity { token } = &self.0.secret { Some(token) } else { None }
    }

    /// The registry's own bearer token, if it is one.
    pub(super) fn registry_token(&self) -> Option<&str> {
        if let Secret::Registry { token } = &self.0.secret { Some(token) } else { None }
    }

    /// A text from outside, in which the secret is hidden.
    pub(super) fn hidden_in(&self, text: &str) -> String {
        let basic = self.basic();
        let both = basic.as_deref().and_then(|basic| basic.strip_prefix("Basic "));
        let (Secret::Password { password: secret, .. }
        | Secret::Identity { token: secret }
        | Secret::Registry { token: secret }) = &self.0.secret;
        hidden(text, both.into_iter().chain([secret.as_str()]))
    }
}

/// A text from outside in which these secrets are hidden. What is shorter than four characters is a word, not a secret.
pub(super) fn hidden<'s>(text: &str, secrets: impl IntoIterator<Item = &'s str>) -> String {
    let secrets = secrets.into_iter().filter(|secret| secret.len() >= 4);
    secrets.fold(text.to_owned(), |text, secret| text.replace(secret, "(hidden)"))
}

/// A hash of secrets in which no two lists of them look the same.
pub(super) fn fingerprint(kind: u8, parts: &[&[u8]]) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update([kind]);
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    hash.finalize().into()
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credential(hidden)")
    }
}

impl PartialEq for Credential {
    fn eq(&self, other: &Self) -> bool {
        self.0.fingerprint == other.0.fingerprint
    }
}

impl Eq for Credential {}

impl Hash for Credential {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.fingerprint.hash(state);
    }
}
