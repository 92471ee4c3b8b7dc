//! Part of LOOP 1a: finds out what a judgement needs. In: needs. Out: facts, from the registry and from what was found before.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::{DateTime, Utc};
use futures::{StreamExt, TryStreamExt, stream};

use crate::authenticating::Login;
use crate::image::{Digest, Tag};
use crate::registry::{self, Registry, Signed};
use crate::watch::judge::{Facts, Need};
use crate::watch::signature::{self, Signature};

/// How long one fact may take.
const TIMEOUT: Duration = Duration::from_secs(60);
/// How many facts are asked for at once; the registry's own limits count besides.
const AT_ONCE: usize = 8;
/// How many signers are remembered for a policy.
const SIGNERS: usize = 256;

/// Who signed what, as far as it was found out: a digest's signatures stay good as long as the keys are the same.
pub type Signers = BTreeMap<Digest, String>;

enum Fact {
    Digest(Tag, Option<Digest>),
    Platforms(Digest, Vec<crate::image::Platform>),
    Signer(Digest, Result<String, String>),
}

/// Adds what is needed to the facts.
///
/// # Errors
/// When the registry can't be asked or refuses; a missing manifest or signature is a fact, not an error.
pub async fn find_out(
    needs: Vec<Need>,
    facts: &mut Facts,
    login: &Login,
    signers: &mut Signers,
    registry: &Registry,
    now: DateTime<Utc>,
) -> Result<(), registry::Error> {
    let known = &*signers;
    let found = stream::iter(needs).map(|need| fact(need, login, known, registry, now)).buffer_unordered(AT_ONCE);
    for fact in found.try_collect::<Vec<Fact>>().await? {
        match fact {
            Fact::Digest(tag, digest) => drop(facts.digests.insert(tag, digest)),
            Fact::Platforms(digest, platforms) => drop(facts.platforms.insert(digest, platforms)),
            Fact::Signer(digest, signer) => {
                if let Ok(signer) = &signer {
                    if signers.len() >= SIGNERS {
                        signers.clear();
                    }
                    signers.insert(digest.clone(), signer.clone());
                }
                facts.signers.insert(digest, signer);
            }
        }
    }
    Ok(())
}

async fn fact(
    need: Need,
    login: &Login,
    known: &Signers,
    registry: &Registry,
    now: DateTime<Utc>,
) -> Result<Fact, registry::Error> {
    let access = &login.access;
    match need {
        Need::Digest(tag) => {
            let found = digest(&tag, login, registry).await?;
            Ok(Fact::Digest(tag, found))
        }
        Need::Platforms(digest) => {
            let build = registry.build(access, &digest, TIMEOUT).await?;
            Ok(Fact::Platforms(digest, build.platforms.clone()))
        }
        Need::Signer(digest) => {
            if let Some(signer) = known.get(&digest) {
                return Ok(Fact::Signer(digest, Ok(signer.clone())));
            }
            let Some(trust) = &login.trust else {
                return Ok(Fact::Signer(digest, Err("no key or identity is trusted".to_owned())));
            };
            let signed = registry.signatures(access, &digest, TIMEOUT).await?;
            let signatures: Vec<Signature<'_>> = signed.iter().map(borrowed).collect();
            let signer = signature::verify(trust, &digest, access.repository.as_str(), &signatures, now);
            Ok(Fact::Signer(digest, signer))
        }
    }
}

async fn digest(tag: &Tag, login: &Login, registry: &Registry) -> Result<Option<Digest>, registry::Error> {
    match registry.digest(&login.access, tag, TIMEOUT).await {
        Ok(digest) => Ok(Some(digest)),
        Err(error) if error.is_missing_manifest() => Ok(None),
        Err(error) => Err(error),
    }
}

/// When the images behind these tags were built; a tag whose image does not say so, or is gone, is left out.
///
/// # Errors
/// When the registry can't be asked or refuses.
pub async fn builds(
    tags: Vec<Tag>,
    login: &Login,
    registry: &Registry,
) -> Result<BTreeMap<Tag, DateTime<Utc>>, registry::Error> {
    let built = async |tag: Tag| {
        let Some(digest) = digest(&tag, login, registry).await? else { return Ok(None) };
        let build = registry.build(&login.access, &digest, TIMEOUT).await?;
        Ok(build.created.map(|created| (tag, created)))
    };
    stream::iter(tags).map(built).buffer_unordered(AT_ONCE).try_filter_map(async |found| Ok(found)).try_collect().await
}

fn borrowed(signed: &Signed) -> Signature<'_> {
    match signed {
        Signed::Simple { payload, signature, certificate, chain, bundle } => Signature::Simple {
            payload,
            signature,
            certificate: certificate.as_deref(),
            chain: chain.as_deref(),
            bundle: bundle.as_deref(),
        },
        Signed::Bundle(bytes) => Signature::Bundle(bytes),
    }
}
