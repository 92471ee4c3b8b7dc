//! One bare repository on our disk for each repository elsewhere: what was fetched stays, so that the next fetch is small.
//! In: a folder and a key. Out: a handle whose reads need no network. A broken mirror is thrown away and fetched anew.

#![expect(clippy::disallowed_methods, reason = "this is the Git shell's disk")]

use std::collections::HashMap;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use git2::{Oid, Reference, Repository, RepositoryInitOptions};
use sha2::{Digest, Sha256};

use super::grep::Memo;
use super::history::Skips;
use super::{Error, Remote};
use crate::revision::CommitId;

/// After so many fetches their packs are merged into one: each lookup asks every pack.
const PACKS_LIMIT: usize = 50;
/// Where the mirror keeps the heads that the host is known to have.
const HEADS: &str = "refs/tagboat/";

/// One repository's mirror. Clones share it; open one for each key in a process.
#[derive(Clone)]
pub struct Mirror {
    pub(super) inner: Arc<Inner>,
}

/// What the clones of a mirror share.
pub(super) struct Inner {
    pub(super) path: PathBuf,
    repository: Mutex<Repository>,
    broken: AtomicBool,
    /// One fetch or push at a time; moves into the blocking work, so that it outlives a caller who gave up.
    pub(super) network: Arc<tokio::sync::Mutex<()>>,
    routes: Mutex<HashMap<String, Route>>,
    pub(super) memo: Mutex<Memo>,
    pub(super) skips: Mutex<Skips>,
}

/// What was learned about a remote: where it really is, and whether it speaks protocol v2.
#[derive(Debug, Clone)]
pub(super) struct Route {
    pub base: String,
    pub v2: Option<bool>,
}

impl Mirror {
    /// Opens the mirror of `key` (say, the repository's URL) below `data_dir`, or creates an empty one; what a crash or a bad
    /// disk left unusable is removed first.
    ///
    /// # Errors
    /// The folder cannot be written.
    pub fn open(data_dir: &Path, key: &str) -> Result<Self, Error> {
        let path = data_dir.join(format!("{}.git", hex::encode(&Sha256::digest(key)[..16])));
        std::fs::create_dir_all(data_dir).map_err(|e| disk(data_dir, &e))?;
        let repository = match healthy(&path) {
            Some(repository) => repository,
            None => create(&path)?,
        };
        let inner = Inner {
            path,
            repository: Mutex::new(repository),
            broken: AtomicBool::new(false),
            network: Arc::default(),
            routes: Mutex::default(),
            memo: Mutex::default(),
            skips: Mutex::default(),
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Runs a read or write on the objects. Damage marks the mirror as broken.
    pub(super) fn with<T>(&self, work: impl FnOnce(&Repository) -> Result<T, Error>) -> Result<T, Error> {
        self.guarded(|| work(&locked(&self.inner.repository)))
    }

    /// The same with a handle of its own.
    pub(super) fn guarded<T>(&self, work: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
        // The bindings panic on objects that say nonsense about themselves.
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work))
            .unwrap_or_else(|_| Err(Error::Storage { message: "an object in it is no object".into(), damaged: true }));
        self.note_damage(&result);
        result
    }

    pub(super) fn note_damage<T>(&self, result: &Result<T, Error>) {
        if matches!(result, Err(Error::Storage { damaged: true, .. })) {
            self.inner.broken.store(true, Ordering::Relaxed);
        }
    }

    /// Whether the commit is here and usable, which a broken mirror never says.
    pub(super) fn holds(&self, commit: &CommitId) -> Result<bool, Error> {
        let id = oid(commit)?;
        Ok(!self.inner.broken.load(Ordering::Relaxed) && locked(&self.inner.repository).find_commit(id).is_ok())
    }

    /// A handle of its own for long work, so that reads go on.
    pub(super) fn second_handle(&self) -> Result<Repository, Error> {
        if self.inner.broken.load(Ordering::Relaxed) {
            let mut repository = locked(&self.inner.repository);
            *repository = create(&self.inner.path)?;
            self.inner.broken.store(false, Ordering::Relaxed);
        }
        Repository::open_bare(&self.inner.path).map_err(Error::storage)
    }

    pub(super) fn route(&self, remote: &Remote) -> Route {
        let fresh = || Route { base: remote.url.trim_end_matches('/').to_owned(), v2: None };
        locked(&self.inner.routes).get(&remote.url).cloned().unwrap_or_else(fresh)
    }

    pub(super) fn remember(&self, remote: &Remote, route: Route) {
        locked(&self.inner.routes).insert(remote.url.clone(), route);
    }

    /// Notes that the host has this commit: the next fetch and push leave out what it can reach.
    pub(super) fn note_head(&self, branch: &str, commit: Oid) -> Result<(), Error> {
        self.with(|repository| {
            repository.reference(&head_ref(branch), commit, true, "").map(drop).map_err(Error::storage)
        })
    }

    /// Notes that the host may have lost what only this branch had.
    pub(super) fn forget_head(&self, branch: &str) -> Result<(), Error> {
        self.with(|repository| match repository.find_reference(&head_ref(branch)) {
            Ok(mut reference) => reference.delete().map_err(Error::storage),
            Err(_) => Ok(()),
        })
    }

    /// Merges many small packs into one. Objects that no head reaches stay only when they are loose.
    pub(super) fn tidy(&self) -> Result<(), Error> {
        let folder = self.inner.path.join("objects/pack");
        let old: Vec<PathBuf> =
            entries(&folder).filter(|path| path.extension().is_some_and(|e| e == "pack" || e == "idx")).collect();
        if old.len() / 2 <= PACKS_LIMIT {
            return Ok(());
        }
        let repository = self.second_handle()?;
        let mut walk = repository.revwalk().map_err(Error::storage)?;
        walk.push_glob(&format!("{HEADS}*")).map_err(Error::storage)?;
        let mut pack = repository.packbuilder().map_err(Error::storage)?;
        pack.insert_walk(&mut walk).map_err(Error::storage)?;
        pack.write(&folder, 0o444).map_err(Error::storage)?;
        let name = pack.name().map_err(Error::storage)?.unwrap_or_default().to_owned();
        let mut shared = locked(&self.inner.repository);
        for path in old.iter().filter(|path| !path.to_string_lossy().contains(&name)) {
            std::fs::remove_file(path).map_err(|e| disk(path, &e))?;
        }
        *shared = Repository::open_bare(&self.inner.path).map_err(Error::storage)?;
        Ok(())
    }
}

/// A mirror that opens, whose heads can be read, and in which no killed process left a lock or half a pack.
fn healthy(path: &Path) -> Option<Repository> {
    let leftover = |path: PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        name.ends_with(".lock") || name.starts_with("pack_git2_") || name.starts_with("tmp_")
    };
    let folders = [path.to_owned(), path.join(HEADS), path.join("objects/pack")];
    if folders.iter().flat_map(|folder| entries(folder)).any(leftover) {
        return None;
    }
    let repository = Repository::open_bare(path).ok()?;
    let readable = |reference: Result<Reference<'_>, git2::Error>| {
        let tree = reference.and_then(|reference| reference.peel_to_commit()?.tree());
        tree.is_ok()
    };
    let all = repository.references().ok()?.all(readable);
    all.then_some(repository)
}

fn create(path: &Path) -> Result<Repository, Error> {
    if std::fs::symlink_metadata(path).is_ok() {
        std::fs::remove_dir_all(path).map_err(|e| disk(path, &e))?;
    }
    let mut options = RepositoryInitOptions::new();
    options.bare(true).mkpath(true).no_reinit(true).external_template(false);
    Repository::init_opts(path, &options).map_err(Error::storage)
}

fn entries(folder: &Path) -> impl Iterator<Item = PathBuf> {
    std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path())
}

fn disk(path: &Path, error: &std::io::Error) -> Error {
    Error::Storage { message: format!("{}: {error}", path.display()), damaged: false }
}

/// A lock that a panic elsewhere does not make unusable: what it guards is replaced whole.
pub(super) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(super) fn oid(commit: &CommitId) -> Result<Oid, Error> {
    match commit.as_str().len() {
        40 => Oid::from_str(commit.as_str()).map_err(Error::storage),
        _ => Err(Error::protocol("its commit ids are sha256; tagboat reads sha1 repositories only")),
    }
}

pub(super) fn commit_id(id: Oid) -> CommitId {
    id.to_string().parse().expect("an object id prints as hexadecimal digits")
}

/// The full name of a branch, after Git's rules for names (git-check-ref-format).
pub(super) fn branch_ref(branch: &str) -> Result<String, Error> {
    let name = format!("refs/heads/{branch}");
    if branch.len() > 255 || !Reference::is_valid_name(&name) {
        return Err(Error::invalid("the branch", branch, "git does not allow this name"));
    }
    Ok(name)
}

/// Checks the full name of a ref, after the same rules.
pub(super) fn full_ref(name: &str) -> Result<(), Error> {
    if name.len() > 1024 || !name.starts_with("refs/") || !Reference::is_valid_name(name) {
        return Err(Error::invalid("the ref", name, "git does not allow this name"));
    }
    Ok(())
}

/// The ref in the mirror for a branch. Flat, so that branches `a` and `a/b`, one after the other, never stand in each other's way.
pub(super) fn head_ref(branch: &str) -> String {
    format!("{HEADS}{}", branch.replace('%', "%25").replace('/', "%2F"))
}

/// All of the heads that the host is known to have.
pub(super) fn known_heads() -> String {
    format!("{HEADS}*")
}

/// Ends `work` after `limit`.
pub(super) async fn limited<T>(limit: Duration, work: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    tokio::time::timeout(limit, work).await.unwrap_or(Err(Error::Timeout { limit }))
}

/// Runs libgit2 away from the runtime's workers.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|_| Err(Error::Storage { message: "git work panicked".into(), damaged: false }))
}
