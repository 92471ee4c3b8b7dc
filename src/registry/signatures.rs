//! What cosign left beside an image. In: a session and the image's digest. Out: signatures and bundles as they are, unchecked.
//! Must never take more of them than a few, nor call an image unsigned when the registry only failed to answer.

use std::collections::HashSet;

use reqwest::{Method, Url};

use super::content;
use super::error::Error;
use super::manifest::{ACCEPT_INDEX, Descriptor, Manifest};
use super::page;
use super::session::{Ask, Purpose, Session};
use super::wire::Take;
use crate::image::{Digest, Repository, Tag};

/// How many signatures and bundles of an image are read.
const SIGNATURES: usize = 32;
/// The longest of them, in bytes.
const SIGNATURE_BYTES: usize = 1 << 20;
/// The longest list of what refers to an image, in bytes.
const INDEX_BYTES: usize = 4 << 20;
/// How many pages of that list are read.
const PAGES: usize = 10;

/// Layer of a signature (cosign's signature specification).
const SIMPLE_SIGNING: &str = "application/vnd.dev.cosign.simplesigning.v1+json";
/// How the artifact type of a bundle begins; a version follows (sigstore's bundle specification).
const BUNDLE: &str = "application/vnd.dev.sigstore.bundle";

/// One signature, unchecked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Signed {
    /// A signature over a payload that names the image (cosign's `simplesigning`).
    Simple {
        /// What was signed: JSON that names the image's digest.
        payload: Vec<u8>,
        /// In base64.
        signature: String,
        /// Of a keyless signature: whose it is, in PEM.
        certificate: Option<String>,
        /// Of a keyless signature: who issued the certificate, in PEM.
        chain: Option<String>,
        /// What the transparency log said, in JSON.
        bundle: Option<String>,
    },
    /// A sigstore bundle, in JSON: signature, certificate and log entry in one.
    Bundle(Vec<u8>),
}

/// All that there is, at most [`SIGNATURES`].
pub(super) async fn all(session: &Session, repository: &Repository, digest: &Digest) -> Result<Vec<Signed>, Error> {
    let mut found = Vec::new();
    if let Some(manifest) = beside(session, repository, digest, ".sig").await? {
        for layer in manifest.layers.iter().filter(|layer| layer.media_type == SIMPLE_SIGNING).take(SIGNATURES) {
            found.extend(if_whole(simple(session, repository, layer).await)?.flatten());
        }
    }
    let (entries, doubt) = match referrers(session, repository, digest).await {
        Ok(entries) => (entries, None),
        Err(error) if is_unsupported(&error) => {
            let index = beside(session, repository, digest, "").await?;
            (index.and_then(|index| index.manifests).unwrap_or_default(), Some(error))
        }
        Err(error) => return Err(error),
    };
    let is_bundle = |entry: &&Descriptor| entry.artifact_type().starts_with(BUNDLE);
    for entry in entries.iter().filter(is_bundle).take(SIGNATURES - found.len()) {
        found.extend(if_whole(bundle(session, repository, entry).await)?.flatten());
    }
    match doubt {
        Some(error) if found.is_empty() && entries.is_empty() && !is_plain_no(&error) => Err(error),
        _ => Ok(found),
    }
}

/// One that is not whole is no signature, and hides none of the others.
fn if_whole<T>(read: Result<T, Error>) -> Result<Option<T>, Error> {
    match read {
        Err(Error::Missing { .. } | Error::Malformed { .. }) => Ok(None),
        read => read.map(Some),
    }
}

async fn bundle(session: &Session, repository: &Repository, entry: &Descriptor) -> Result<Option<Signed>, Error> {
    let manifest = content::manifest(session, repository, &entry.digest).await?;
    let Some(layer) = manifest.layers.first() else { return Ok(None) };
    content::blob(session, repository, &layer.digest, SIGNATURE_BYTES).await.map(|body| Some(Signed::Bundle(body)))
}

async fn simple(session: &Session, repository: &Repository, layer: &Descriptor) -> Result<Option<Signed>, Error> {
    let text = |key: &str| layer.annotations.get(key).filter(|text| !text.is_empty()).map(str::to_owned);
    let Some(signature) = text("dev.cosignproject.cosign/signature") else { return Ok(None) };
    let payload = content::blob(session, repository, &layer.digest, SIGNATURE_BYTES).await?;
    let certificate = text("dev.sigstore.cosign/certificate");
    let (chain, bundle) = (text("dev.sigstore.cosign/chain"), text("dev.sigstore.cosign/bundle"));
    Ok(Some(Signed::Simple { payload, signature, certificate, chain, bundle }))
}

/// What lies at the tag that is made of an image's digest and this ending (cosign's signatures; the referrers of a registry
/// that has no list of them, OCI distribution specification, "Referrers Tag Schema").
async fn beside(
    session: &Session,
    repository: &Repository,
    digest: &Digest,
    ending: &str,
) -> Result<Option<Manifest>, Error> {
    let Ok(tag) = format!("{}{ending}", digest.as_str().replace(':', "-")).parse::<Tag>() else { return Ok(None) };
    match content::by_tag(session, repository, &tag).await {
        Ok((_, manifest)) => Ok(Some(manifest)),
        Err(error) if error.is_missing_manifest() => Ok(None),
        Err(error) => Err(error),
    }
}

/// The registry's own list of what refers to an image, all pages of it.
async fn referrers(session: &Session, repository: &Repository, digest: &Digest) -> Result<Vec<Descriptor>, Error> {
    let place = session.place(repository);
    let mut url = session.url(&format!("{}/referrers/{digest}", repository.path()));
    let (mut found, mut seen) = (Vec::new(), HashSet::<Url>::new());
    for _ in 0..PAGES {
        let (accept, take) = (ACCEPT_INDEX, Take::own(INDEX_BYTES));
        let ask = Ask { method: Method::GET, url: url.clone(), accept, purpose: Purpose::Pull, take };
        let answer = session.ask(&ask, repository).await?;
        if !answer.status.is_success() {
            return Err(place.refused(answer.status.as_u16(), answer.retry_after, &answer.body));
        }
        page::is_json(&answer.headers).map_err(|reason| place.malformed(reason))?;
        let index = Manifest::read(&answer.body).map_err(|reason| place.malformed(reason))?;
        found.extend(index.manifests.ok_or_else(|| place.malformed("its list of referrers is no index"))?);
        match page::next(&answer.headers, &answer.url).map_err(|reason| place.malformed(reason))? {
            Some(next) if seen.insert(next.clone()) => url = next,
            _ => break,
        }
    }
    Ok(found)
}

/// The registry has no list of referrers: it may say so in its own way.
fn is_unsupported(error: &Error) -> bool {
    match error {
        Error::NotFound { .. } | Error::Authentication { .. } | Error::Malformed { .. } => true,
        Error::Http { status, .. } => (400..500).contains(status) || *status == 501,
        _ => false,
    }
}

/// It says so in the specification's way, or nearly.
fn is_plain_no(error: &Error) -> bool {
    match error {
        Error::NotFound { .. } => true,
        Error::Http { status, .. } => matches!(status, 400 | 405 | 501),
        _ => false,
    }
}
