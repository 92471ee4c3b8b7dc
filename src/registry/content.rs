//! Manifests and blobs. In: a session and a tag or digest. Out: the bytes behind it. What is asked for by digest is compared
//! with it; must never pass on a byte that is not what was asked for.

use std::fmt;

use reqwest::Method;
use reqwest::header::CONTENT_TYPE;

use super::error::Error;
use super::manifest::{ACCEPT, Manifest, is_digest_of, sha256};
use super::page;
use super::session::{Ask, Purpose, Session};
use super::wire::{Answer, Take};
use crate::failure::printable;
use crate::image::{Digest, Repository, Tag};

/// The longest manifest, in bytes (OCI distribution specification: registries should take 4 MiB).
const MANIFEST_BYTES: usize = 4 << 20;
/// The header with the digest of what an answer holds.
const DIGEST: &str = "docker-content-digest";

/// The digest of what a tag points at: by HEAD; by GET where that says too little.
pub(super) async fn digest(session: &Session, repository: &Repository, tag: &Tag) -> Result<Digest, Error> {
    let head = session.ask(&ask(session, repository, Method::HEAD, tag.as_str()), repository).await?;
    match head.status.as_u16() {
        200..=299 => {
            if let Some(digest) = named(session, repository, &head)? {
                return Ok(digest);
            }
        }
        // Only a body tells a missing tag from a missing repository; some registries don't know HEAD.
        400 | 404 | 405 | 501 => {}
        status => return Err(session.place(repository).refused(status, head.retry_after, b"")),
    }
    Ok(by_tag(session, repository, tag).await?.0)
}

/// What a tag points at: its digest and the manifest.
pub(super) async fn by_tag(session: &Session, repository: &Repository, tag: &Tag) -> Result<(Digest, Manifest), Error> {
    let place = session.place(repository);
    let answer = session.ask(&ask(session, repository, Method::GET, tag.as_str()), repository).await?;
    if !answer.status.is_success() {
        return Err(place.lacks(
            format_args!("manifest {tag}"),
            answer.status.as_u16(),
            answer.retry_after,
            &answer.body,
        ));
    }
    let media_type = answer.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if media_type.contains("distribution.manifest.v1+") {
        return Err(place.malformed(format!("manifest {tag} is in Docker's old schema 1, push the image anew")));
    }
    page::is_json(&answer.headers).map_err(|reason| place.malformed(format!("manifest {tag}: {reason}")))?;
    let digest = match named(session, repository, &answer)? {
        Some(digest) if !is_digest_of(&digest, &answer.body) => {
            return Err(place.malformed(format!("manifest {tag} is not what its digest {digest} says")));
        }
        Some(digest) => digest,
        None => sha256(&answer.body).parse().map_err(|_| place.malformed("its manifest has no digest"))?,
    };
    let manifest = Manifest::read(&answer.body).map_err(|reason| place.malformed(reason))?;
    Ok((digest, manifest))
}

/// The manifest with this digest.
pub(super) async fn manifest(session: &Session, repository: &Repository, digest: &Digest) -> Result<Manifest, Error> {
    let answer = session.ask(&ask(session, repository, Method::GET, digest.as_str()), repository).await?;
    let body = checked(session, repository, answer, format_args!("manifest {digest}"), digest)?;
    Manifest::read(&body).map_err(|reason| session.place(repository).malformed(reason))
}

/// The blob with this digest, from wherever the registry keeps it.
pub(super) async fn blob(
    session: &Session,
    repository: &Repository,
    digest: &Digest,
    limit: usize,
) -> Result<Vec<u8>, Error> {
    let ask = Ask {
        method: Method::GET,
        url: session.url(&format!("{}/blobs/{digest}", repository.path())),
        accept: "*/*",
        purpose: Purpose::Pull,
        take: Take::anywhere(limit),
    };
    let answer = session.ask(&ask, repository).await?;
    checked(session, repository, answer, format_args!("blob {digest}"), digest)
}

fn ask(session: &Session, repository: &Repository, method: Method, reference: &str) -> Ask {
    Ask {
        method,
        url: session.url(&format!("{}/manifests/{reference}", repository.path())),
        accept: ACCEPT,
        purpose: Purpose::Pull,
        take: Take::own(MANIFEST_BYTES),
    }
}

fn checked(
    session: &Session,
    repository: &Repository,
    answer: Answer,
    what: fmt::Arguments<'_>,
    digest: &Digest,
) -> Result<Vec<u8>, Error> {
    let place = session.place(repository);
    if !answer.status.is_success() {
        return Err(place.lacks(what, answer.status.as_u16(), answer.retry_after, &answer.body));
    }
    if !is_digest_of(digest, &answer.body) {
        return Err(place.malformed(format!("{what} is not what its digest says")));
    }
    Ok(answer.body)
}

/// The digest that an answer's header names.
fn named(session: &Session, repository: &Repository, answer: &Answer) -> Result<Option<Digest>, Error> {
    let Some(value) = answer.headers.get(DIGEST) else { return Ok(None) };
    let text = String::from_utf8_lossy(value.as_bytes());
    let malformed = || {
        let text = printable(&text, 80);
        session.place(repository).malformed(format!("its header Docker-Content-Digest holds no digest: {text:?}"))
    };
    text.parse().map(Some).map_err(|_| malformed())
}
