//! What an image is: for which platforms, and since when. In: a session and a digest. Out: what its index, manifests and
//! config say. Asked for once per digest; must never take the word of a body that is not the digest's own.

use std::sync::{Arc, Mutex};

use chrono::{DateTime, Utc};
use serde::Deserialize;
use tokio::sync::OnceCell;

use super::content;
use super::error::Error;
use super::kept::Kept;
use super::manifest::{CREATED, Descriptor, Manifest, Words};
use super::pool::locked;
use super::session::Session;
use crate::image::{Digest, Platform, Repository};

/// The longest config of an image, in bytes.
const CONFIG_BYTES: usize = 8 << 20;
/// How many builds a session remembers.
const BUILDS: usize = 10_000;
/// How deep indexes may lie in one another.
const DEPTH: usize = 3;
/// How many platforms of an image are read.
const PLATFORMS: usize = 256;

/// What an image says about itself. Its maker can write anything there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Build {
    /// Each once, in the order of the index; empty when it is no image that runs, such as a chart.
    pub platforms: Vec<Platform>,
    /// From the annotation `org.opencontainers.image.created`, else from the config of the first image. Go's zero time is none.
    pub created: Option<DateTime<Utc>>,
}

impl Build {
    fn is_whole(&self) -> bool {
        self.created.is_some() && !self.platforms.is_empty()
    }
}

/// The builds that a session asked for. Many who ask for the same one at a time share the requests.
pub(super) struct Builds(Mutex<Kept<(String, Digest), Cell>>);

type Cell = Arc<OnceCell<Arc<Build>>>;

impl Default for Builds {
    fn default() -> Self {
        Self(Mutex::new(Kept::new(BUILDS)))
    }
}

impl Builds {
    fn cell(&self, repository: &Repository, digest: &Digest) -> Cell {
        let key = (repository.path().to_owned(), digest.clone());
        locked(&self.0).get_or_default(key)
    }
}

/// The build of an image in a repository.
pub(super) async fn get(session: &Session, repository: &Repository, digest: &Digest) -> Result<Arc<Build>, Error> {
    let cell = session.builds.cell(repository, digest);
    cell.get_or_try_init(|| async { read(session, repository, digest).await.map(Arc::new) }).await.cloned()
}

async fn read(session: &Session, repository: &Repository, digest: &Digest) -> Result<Build, Error> {
    let mut manifest = content::manifest(session, repository, digest).await?;
    let mut build = Build { platforms: Vec::new(), created: None };
    for _ in 0..DEPTH {
        build.created = build.created.or_else(|| manifest.annotations.get(CREATED).and_then(time));
        let Some(entries) = manifest.manifests.take() else {
            complete(session, repository, &manifest, &mut build).await?;
            return Ok(build);
        };
        let images: Vec<&Descriptor> = entries.iter().filter(|entry| !entry.is_attestation()).collect();
        for platform in images.iter().filter_map(|entry| entry.platform()).take(PLATFORMS) {
            if !build.platforms.contains(&platform) {
                build.platforms.push(platform);
            }
        }
        let Some(first) = images.first().filter(|_| !build.is_whole()) else {
            return Ok(build);
        };
        manifest = content::manifest(session, repository, &first.digest).await?;
    }
    Err(session.place(repository).malformed(format!("{digest} is an index of indexes, deeper than {DEPTH}")))
}

/// Takes from the config what is still missing.
async fn complete(
    session: &Session,
    repository: &Repository,
    manifest: &Manifest,
    build: &mut Build,
) -> Result<(), Error> {
    let config = manifest.config.as_ref().filter(|config| config.is_image_config());
    let Some(config) = config.filter(|_| !build.is_whole()) else { return Ok(()) };
    let body = content::blob(session, repository, &config.digest, CONFIG_BYTES).await?;
    let read: Config = serde_json::from_slice(&body).map_err(|error| {
        session.place(repository).malformed(format!("config {} can't be read: {error}", config.digest))
    })?;
    build.created = build.created.or_else(|| read.created.as_deref().and_then(time));
    if build.platforms.is_empty() {
        build.platforms.extend(read.platform.platform());
    }
    Ok(())
}

#[derive(Deserialize)]
struct Config {
    created: Option<String>,
    #[serde(flatten)]
    platform: Words,
}

fn time(text: &str) -> Option<DateTime<Utc>> {
    let zero = "0001-01-01T00:00:00Z";
    DateTime::parse_from_rfc3339(text.trim()).ok().map(|time| time.to_utc()).filter(|_| text.trim() != zero)
}
