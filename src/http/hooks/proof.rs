//! Whether a webhook comes from who knows its secret. In: type, secret, headers, the raw body. Out: yes or no.
//! Compares in constant time and reads nothing of the body. Must never take an absent proof for a proof.

use axum::http::HeaderMap;
use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::secret::Secret;
use crate::api::webhook::{GitWebhookType, Sender, WebhookType};

/// What says that a request is genuine.
pub enum Proof {
    /// It is, or it isn't.
    Known(bool),
    /// This token of Google's must be checked.
    Google(String),
}

/// What senders prove, over and above that they know the path.
pub fn of(sender: Sender, secret: &Secret, headers: &HeaderMap, body: &[u8]) -> Proof {
    match sender {
        Sender::Registry(kind) => of_registry(kind, secret, headers, body),
        Sender::Git(kind) => Proof::Known(is_of_git_host(kind, secret, headers, body)),
    }
}

fn is_of_git_host(kind: GitWebhookType, secret: &Secret, headers: &HeaderMap, body: &[u8]) -> bool {
    let token = secret.key();
    let signed = |names: &[&str]| names.iter().any(|name| is_sha256(token, headers, name, body));
    match kind {
        GitWebhookType::Github => signed(&["x-hub-signature-256"]),
        GitWebhookType::Gitea => {
            signed(&["x-gitea-signature", "x-forgejo-signature", "x-gogs-signature", "x-hub-signature-256"])
        }
        GitWebhookType::Bitbucket | GitWebhookType::BitbucketDatacenter => signed(&["x-hub-signature"]),
        GitWebhookType::Gitlab => is_equal(one(headers, "x-gitlab-token"), token),
        GitWebhookType::AzureDevops | GitWebhookType::Generic => {
            has_header(secret, "authorization", headers, "authorization")
        }
        GitWebhookType::GenericHmac => signed(&["x-signature"]),
    }
}

fn of_registry(kind: WebhookType, secret: &Secret, headers: &HeaderMap, body: &[u8]) -> Proof {
    let token = secret.key();
    let signed = |names: &[&str]| names.iter().any(|name| is_sha256(token, headers, name, body));
    Proof::Known(match kind {
        WebhookType::Ghcr => signed(&["x-hub-signature-256"]),
        WebhookType::Gitea => signed(&["x-gitea-signature", "x-forgejo-signature", "x-hub-signature-256"]),
        WebhookType::GenericHmac => signed(&["x-signature"]),
        // With payload signing it is a signature; without, it is the secret itself.
        WebhookType::Artifactory => {
            signed(&["x-jfrog-event-auth"]) || is_equal(one(headers, "x-jfrog-event-auth"), token)
        }
        WebhookType::Nexus => is_sha1(token, headers, body),
        WebhookType::Gar => return bearer(headers).map_or(Proof::Known(false), Proof::Google),
        WebhookType::Ecr => {
            has_header(secret, "authorization", headers, "authorization")
                && has_header(secret, "api-key", headers, "x-api-key")
        }
        WebhookType::Distribution
        | WebhookType::Harbor
        | WebhookType::Acr
        | WebhookType::Cdevents
        | WebhookType::Generic => has_header(secret, "authorization", headers, "authorization"),
        // Their senders can do no more than know the path.
        WebhookType::Dockerhub | WebhookType::Quay => true,
    })
}

/// A header that is there exactly once.
fn one<'a>(headers: &'a HeaderMap, name: &str) -> &'a [u8] {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (Some(value), None) => value.as_bytes(),
        _ => &[],
    }
}

/// Whether a header has the Secret's value; a key that the Secret leaves out asks for nothing.
fn has_header(secret: &Secret, key: &str, headers: &HeaderMap, name: &str) -> bool {
    secret.get(key).is_none_or(|value| is_equal(one(headers, name), value))
}

/// Equal and not empty, in a time that says nothing of the text, not even its length.
fn is_equal(given: &[u8], expected: &[u8]) -> bool {
    let equal: bool = Sha256::digest(given).ct_eq(&Sha256::digest(expected)).into();
    equal && !expected.is_empty()
}

fn is_sha256(key: &[u8], headers: &HeaderMap, name: &str, body: &[u8]) -> bool {
    let given = one(headers, name);
    let Ok(given) = hex::decode(given.strip_prefix(b"sha256=").unwrap_or(given)) else { return false };
    let Ok(mac) = Hmac::<Sha256>::new_from_slice(key) else { return false };
    !key.is_empty() && mac.chain_update(body).verify_slice(&given).is_ok()
}

/// Nexus signs with SHA-1, and not what it sends but the same JSON without white space.
fn is_sha1(key: &[u8], headers: &HeaderMap, body: &[u8]) -> bool {
    let given = one(headers, "x-nexus-webhook-signature");
    let Ok(given) = hex::decode(given.strip_prefix(b"sha1=").unwrap_or(given)) else { return false };
    let Ok(mac) = Hmac::<Sha1>::new_from_slice(key) else { return false };
    let raw = mac.clone().chain_update(body).verify_slice(&given).is_ok();
    let compact = mac.chain_update(without_space(body)).verify_slice(&given).is_ok();
    !key.is_empty() && (raw || compact)
}

/// JSON without the white space between its parts. Knows of strings and nothing else.
pub fn without_space(json: &[u8]) -> Vec<u8> {
    let (mut is_string, mut is_escape) = (false, false);
    let mut is_kept = |byte: &u8| {
        let kept = is_string || !byte.is_ascii_whitespace();
        if *byte == b'"' && !is_escape {
            is_string = !is_string;
        }
        is_escape = is_string && *byte == b'\\' && !is_escape;
        kept
    };
    json.iter().copied().filter(|byte| is_kept(byte)).collect()
}

fn bearer(headers: &HeaderMap) -> Option<String> {
    let value = std::str::from_utf8(one(headers, "authorization")).ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim().to_owned())
}
