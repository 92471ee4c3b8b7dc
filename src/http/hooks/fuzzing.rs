//! What webhooks go through before anything believes them, for the fuzz targets and nobody else.

use axum::http::HeaderMap;

use super::payload::Target;
use super::proof::{self, Proof};
use super::{Event, Secret, token};
use crate::api::webhook::WebhookType;
use crate::image::Repository;

/// Whether an event is about this repository.
pub fn is_of(repository: &Repository, event: &Event) -> bool {
    Target::new(repository).is_of(event)
}

/// Whether a request is proved without a token of Google's.
pub fn is_proved(kind: WebhookType, secret: &Secret, headers: &HeaderMap, body: &[u8]) -> bool {
    match proof::of(kind, secret, headers, body) {
        Proof::Known(genuine) => genuine,
        Proof::Google(token) => {
            let _ = token::key_name(&token);
            false
        }
    }
}
