//! The pure readers of what registries say, for the fuzz targets and nobody else. In and out: what each of them has.

use reqwest::Url;
use reqwest::header::HeaderMap;

use super::{auth, cloud, page};
use crate::image::{Repository, TagListBuilder};

/// A page's tags as they came, and how many names were none.
///
/// # Errors
/// When it is no page of this repository.
pub fn tags(body: &[u8], path: &str) -> Result<(TagListBuilder, u32), String> {
    page::read(body, path).map(|names| (names.tags, names.skipped))
}

/// The address of the next page.
///
/// # Errors
/// When it may not be followed.
pub fn next(headers: &HeaderMap, current: &Url) -> Result<Option<Url>, String> {
    page::next(headers, current)
}

/// What a challenge asks for.
#[derive(Debug)]
pub enum Challenge {
    /// User and password.
    Basic,
    /// A token: realm, service and scope.
    Bearer(String, String, String),
}

/// The challenge in an answer.
pub fn challenge(headers: &HeaderMap, repository: &Repository) -> Option<Challenge> {
    auth::challenge(headers, repository).map(|challenge| match challenge {
        auth::Challenge::Basic => Challenge::Basic,
        auth::Challenge::Bearer(auth::Grant { realm, service, scope }) => Challenge::Bearer(realm, service, scope),
    })
}

/// The address of a token server.
///
/// # Errors
/// When it may not be asked on behalf of this registry.
pub fn realm(text: &str, registry: &Url) -> Result<Url, String> {
    auth::realm(text, registry)
}

/// The text of one element of an XML document.
///
/// # Errors
/// When the document is unfit.
pub fn element(document: &str, path: &[&str]) -> Result<Option<String>, &'static str> {
    cloud::xml::text(document, path)
}
