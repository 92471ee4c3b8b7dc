//! What webhooks go through before anything believes them, for the fuzz targets and nobody else.

use axum::http::HeaderMap;

use super::proof::{self, Proof};
use super::{Event, Secret, Subject, token};
use crate::api::webhook::Sender;
use crate::image::Repository;

/// Whether an event is about this repository.
pub fn is_of(repository: &Repository, event: &Event) -> bool {
    Subject::Image(repository.clone()).is_of(event)
}

/// Whether a request is proved without a token of Google's.
pub fn is_proved(sender: Sender, secret: &Secret, headers: &HeaderMap, body: &[u8]) -> bool {
    match proof::of(sender, secret, headers, body) {
        Proof::Known(genuine) => genuine,
        Proof::Google(token) => {
            let _ = token::key_name(&token);
            false
        }
    }
}
