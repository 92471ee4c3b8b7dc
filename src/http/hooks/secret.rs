//! What a hook and its sender share. In: a Secret's data. Out: values that are fit for use. Must never show them.

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};

use crate::api::webhook::{Sender, WebhookType};

/// The shortest token: its path must not be guessed.
const SHORTEST_TOKEN: usize = 16;

/// The data of a webhook's Secret, checked for its type. Has no `Debug`, so that it reaches no log.
///
/// `token` makes the path and is the key of signatures, or what GitLab sends as it is. `authorization`: the whole value that the header `Authorization` must
/// have; `api-key`: that of `X-Api-Key` (ECR). `email` and `audience`: what Google's token must say (GAR).
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(BTreeMap<String, Vec<u8>>);

/// A Secret that lacks what its webhook needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Incomplete {
    /// The token is absent or can be guessed.
    #[error("the webhook's secret needs `token`, at least {SHORTEST_TOKEN} random bytes")]
    Token,
    /// A token of Google's that is bound to nobody would let every customer of Google in (CVE-2026-40109).
    #[error("the webhook's secret needs `{0}`: without it, anybody's token of Google would be accepted")]
    Google(&'static str),
    /// A header that must be equal to nothing.
    #[error("`{0}` in the webhook's secret is empty; set it or leave it out")]
    Empty(&'static str),
}

impl Secret {
    /// Takes a Secret's data.
    ///
    /// # Errors
    /// When it is not enough to know the sender by.
    pub fn new(sender: impl Into<Sender>, data: BTreeMap<String, Vec<u8>>) -> Result<Self, Incomplete> {
        let (secret, sender) = (Self(data), sender.into());
        if secret.key().len() < SHORTEST_TOKEN {
            return Err(Incomplete::Token);
        }
        for key in ["authorization", "api-key"] {
            if secret.get(key).is_some_and(<[u8]>::is_empty) {
                return Err(Incomplete::Empty(key));
            }
        }
        for key in ["email", "audience"] {
            if sender == Sender::Registry(WebhookType::Gar) && secret.get(key).unwrap_or_default().is_empty() {
                return Err(Incomplete::Google(key));
            }
        }
        Ok(secret)
    }

    /// What the path is made of, byte by byte as Flux takes it.
    pub fn token(&self) -> &[u8] {
        self.0.get("token").map(Vec::as_slice).unwrap_or_default()
    }

    /// The token as its sender knows it, the key of signatures: nobody types the end of the line that a file has.
    pub fn key(&self) -> &[u8] {
        self.token().trim_ascii()
    }

    /// Another value. White space around it is the editor's: no header has it.
    pub fn get(&self, key: &str) -> Option<&[u8]> {
        self.0.get(key).map(|value| value.trim_ascii())
    }
}

/// The path of a hook, `/hook/` and the hexadecimal SHA-256 of token, name and namespace, as Flux' receivers have it:
/// who doesn't know the token can't guess it, and it changes with the token.
pub fn path(token: &[u8], namespace: &str, name: &str) -> String {
    let hash = Sha256::new().chain_update(token).chain_update(name).chain_update(namespace).finalize();
    format!("/hook/{}", hex::encode(hash))
}
