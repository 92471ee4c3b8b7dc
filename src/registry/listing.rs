//! All tags of a repository, page by page. In: a session and what the last listing left. Out: the whole list or an error.
//! A listing that breaks off leaves nothing behind; must never pass on a part of one.

use std::collections::HashSet;
use std::time::Instant;

use reqwest::{Method, Url};
use sha2::{Digest as _, Sha256};

use super::Tags;
use super::error::{Complaint, Error, Place};
use super::page::{self, Names};
use super::session::{Ask, Purpose, Session};
use super::wire::{Answer, Take};
use crate::image::{Repository, TagList};

/// How many tags a page is asked to hold: ECR takes no more than the first, Quay no more than the second, and some want not
/// to be asked at all. A registry may always send fewer.
const PAGE_SIZES: [Option<&str>; 3] = [Some("1000"), Some("100"), None];

/// What one listing leaves for the next one of the same repository and credential.
#[derive(Default)]
pub(super) struct Memory {
    /// Which of the page sizes the registry takes.
    size: usize,
    /// The last whole listing: a hash of its bodies, and what they held.
    last: Option<([u8; 32], Tags)>,
}

/// All pages: their bodies, a hash of them, and which page size the registry took.
struct Pages {
    bodies: Vec<Vec<u8>>,
    hash: [u8; 32],
    size: usize,
}

/// Lists all tags. When every byte is as last time, nothing is parsed and the same list is returned.
pub(super) async fn list(
    session: &Session,
    repository: &Repository,
    memory: &mut Memory,
    begun: Instant,
) -> Result<Tags, Error> {
    let Pages { bodies, hash, size } = pages(session, repository, memory.size).await?;
    memory.size = size;
    if let Some((last, tags)) = &memory.last
        && *last == hash
    {
        return Ok(Tags { unchanged: true, begun, ..tags.clone() });
    }
    let place = session.place(repository);
    let mut tags = whole(bodies, repository, session.limits().tags, begun).map_err(|reason| place.malformed(reason))?;
    if let Some((_, last)) = &memory.last
        && last.fingerprint == tags.fingerprint
        && last.skipped == tags.skipped
    {
        tags = Tags { unchanged: true, begun, ..last.clone() };
    }
    memory.last = Some((hash, tags.clone()));
    Ok(tags)
}

async fn pages(session: &Session, repository: &Repository, mut size: usize) -> Result<Pages, Error> {
    let place = session.place(repository);
    let limits = session.limits();
    let first = |size: usize| {
        let mut url = session.url(&format!("{}/tags/list", repository.path()));
        if let Some(Some(size)) = PAGE_SIZES.get(size) {
            url.query_pairs_mut().append_pair("n", size);
        }
        url
    };
    let mut ask = Ask {
        method: Method::GET,
        url: first(size),
        accept: "application/json",
        purpose: Purpose::List,
        take: Take::own(limits.page_bytes),
    };
    let mut seen = HashSet::new();
    let (mut bodies, mut hash, mut total) = (Vec::new(), Sha256::new(), 0);
    loop {
        let answer = session.ask(&ask, repository).await?;
        if bodies.is_empty() && size + 1 < PAGE_SIZES.len() && refuses_size(&answer) {
            size += 1;
            ask.url = first(size);
            continue;
        }
        total += answer.body.len();
        if total > limits.list_bytes {
            return Err(place.malformed(format!("its list is longer than {} bytes", limits.list_bytes)));
        }
        let next = next(&answer, place)?;
        hash.update((answer.body.len() as u64).to_be_bytes());
        hash.update(&answer.body);
        bodies.push(answer.body);
        let Some(next) = next else { break };
        if bodies.len() >= limits.pages {
            return Err(place.malformed(format!("its list has more than {} pages", limits.pages)));
        }
        seen.insert(std::mem::replace(&mut ask.url, next));
        if seen.contains(&ask.url) {
            return Err(place.malformed("its Links to next pages go in a circle"));
        }
    }
    Ok(Pages { bodies, hash: hash.finalize().into(), size })
}

/// Checks a page's outside; returns the address of the page after it.
fn next(answer: &Answer, place: Place<'_>) -> Result<Option<Url>, Error> {
    if !answer.status.is_success() {
        return Err(place.refused(answer.status.as_u16(), answer.retry_after, &answer.body));
    }
    page::is_json(&answer.headers).map_err(|reason| place.malformed(reason))?;
    page::next(&answer.headers, &answer.url).map_err(|reason| place.malformed(reason))
}

/// `n` too large, or not known at all (distribution's and Quay's codes).
fn refuses_size(answer: &Answer) -> bool {
    let code = || Complaint::read(&answer.body).code;
    matches!(answer.status.as_u16(), 400 | 405 | 414 | 422)
        || (answer.status.is_client_error()
            && (code() == "PAGINATION_NUMBER_INVALID" || code().starts_with("TOO_MANY_TAGS")))
}

/// The tags of all pages, sorted, each once.
fn whole(bodies: Vec<Vec<u8>>, repository: &Repository, limit: usize, begun: Instant) -> Result<Tags, String> {
    let path = repository.path();
    let mut all = Names::default();
    for body in bodies {
        let names = page::read(&body, path)?;
        all.tags.append(&names.tags).map_err(|full| full.to_string())?;
        all.skipped = all.skipped.saturating_add(names.skipped);
        if all.tags.len() > limit {
            return Err(format!("its list has more than {limit} tags"));
        }
    }
    let tags = all.tags.build();
    Ok(Tags { fingerprint: fingerprint(&tags), tags, unchanged: false, skipped: all.skipped, begun })
}

/// A tag holds no line feed, so that two lists never look the same.
fn fingerprint(tags: &TagList) -> [u8; 32] {
    let mut hash = Sha256::new();
    for tag in tags.iter() {
        hash.update(tag.as_bytes());
        hash.update(b"\n");
    }
    hash.finalize().into()
}
