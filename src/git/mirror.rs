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

use super::commit::Fresh;
use super::grep::Memo;
use super::history::Skips;
use super::{Error, Reach, Remote};
use crate::revision::CommitId;

/// After so many fetches their packs are merged into one: each lookup asks every pack.
const PACKS_LIMIT: usize = 50;
/// Where Git notes which commits are here without those before them (gitrepository-layout).
const SHALLOW: &str = "shallow";
const PACKS: &str = "objects/pack";
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
    /// How far all that was fetched reaches; nothing when nothing was. Never falls back, so that who saw history may rely on it.
    reach: Mutex<Option<Reach>>,
    /// One fetch or push at a time; moves into the blocking work, so that it outlives a caller who gave up.
    pub(super) network: Arc<tokio::sync::Mutex<()>>,
    routes: Mutex<HashMap<String, Route>>,
    pub(super) memo: Mutex<Memo>,
    pub(super) skips: Mutex<Skips>,
    /// The last big commit as it went into the mirror; the push that follows sends the same bytes.
    pub(super) fresh: Mutex<Option<Fresh>>,
}

/// What was learned about a remote: where it really is, and what it can do.
#[derive(Debug, Clone)]
pub(super) struct Route {
    pub base: String,
    pub v2: Option<bool>,
    /// Whether it can leave history out, which all can that speak v2.
    pub shallow: bool,
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
            reach: Mutex::new(reach(&path, &repository)),
            path,
            repository: Mutex::new(repository),
            broken: AtomicBool::new(false),
            network: Arc::default(),
            routes: Mutex::default(),
            memo: Mutex::default(),
            skips: Mutex::default(),
            fresh: Mutex::default(),
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

    /// Whether the object is here, of whatever kind.
    pub(super) fn has_object(&self, id: &CommitId) -> Result<bool, Error> {
        let id = oid(id)?;
        self.with(|repository| Ok(repository.odb().map_err(Error::storage)?.exists(id)))
    }

    /// Whether a fetch that reaches so far would bring nothing new.
    pub(super) fn reaches(&self, commit: &CommitId, reach: Reach) -> Result<bool, Error> {
        let here = *locked(&self.inner.reach);
        Ok(here.is_some_and(|here| here == Reach::History || here == reach) && self.holds(commit)?)
    }

    pub(super) fn has_history(&self) -> bool {
        *locked(&self.inner.reach) == Some(Reach::History)
    }

    pub(super) fn is_shallow(&self) -> bool {
        *locked(&self.inner.reach) == Some(Reach::Head)
    }

    /// Whether what comes before a commit is here too; walks, comparisons and pushes are wrong without it.
    ///
    /// # Errors
    /// [`Error::NoHistory`]: fetch with [`Reach::History`] first.
    pub fn check_history(&self) -> Result<(), Error> {
        if self.is_shallow() { Err(Error::NoHistory) } else { Ok(()) }
    }

    /// Notes what a fetch brought, in a pack of this name. Nothing when the commit is not in it.
    pub(super) fn note_fetched(
        &self,
        repository: &Repository,
        (head, commit): (&str, &CommitId),
        reach: Reach,
        pack: Option<&str>,
    ) -> Result<(), Error> {
        let id = oid(commit)?;
        if repository.find_commit(id).is_err() {
            return Ok(());
        }
        if reach == Reach::Head {
            // Before the head: one that stands alone says that all before it is here.
            let cuts: String = heads(repository)?.into_iter().chain([id]).map(|id| format!("{id}\n")).collect();
            let (path, new) = (self.inner.path.join(SHALLOW), self.inner.path.join("shallow.lock"));
            std::fs::write(&new, cuts).and_then(|()| std::fs::rename(&new, &path)).map_err(|e| disk(&path, &e))?;
        }
        repository.reference(head, id, true, "").map_err(Error::storage)?;
        if reach == Reach::History && self.is_shallow() {
            let pack = pack.ok_or(Error::NoHistory)?;
            // Of what was fetched before, nothing may stay that lacks what comes before it.
            for name in repository.references_glob(&known_heads()).map_err(Error::storage)?.names() {
                let name = name.map_err(Error::storage)?;
                if name != head {
                    repository.find_reference(name).and_then(|mut other| other.delete()).map_err(Error::storage)?;
                }
            }
            self.keep_only(pack, reach)?;
        }
        *locked(&self.inner.reach) = Some(reach);
        Ok(())
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
        let fresh = || Route { base: remote.url.trim_end_matches('/').to_owned(), v2: None, shallow: true };
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
        let folder = self.inner.path.join(PACKS);
        if packs(&folder).count() / 2 <= PACKS_LIMIT {
            return Ok(());
        }
        let repository = self.second_handle()?;
        let mut pack = repository.packbuilder().map_err(Error::storage)?;
        if self.is_shallow() {
            heads(&repository)?.into_iter().try_for_each(|id| pack.insert_commit(id)).map_err(Error::storage)?;
        } else {
            let mut walk = repository.revwalk().map_err(Error::storage)?;
            walk.push_glob(&known_heads()).map_err(Error::storage)?;
            pack.insert_walk(&mut walk).map_err(Error::storage)?;
        }
        pack.write(&folder, 0o444).map_err(Error::storage)?;
        let name = pack.name().map_err(Error::storage)?.unwrap_or_default().to_owned();
        self.keep_only(&name, if self.is_shallow() { Reach::Head } else { Reach::History })
    }

    /// Throws all packs away but this one, which reaches so far.
    fn keep_only(&self, name: &str, reach: Reach) -> Result<(), Error> {
        let mut shared = locked(&self.inner.repository);
        for path in packs(&self.inner.path.join(PACKS)).filter(|path| !path.to_string_lossy().contains(name)) {
            std::fs::remove_file(&path).map_err(|e| disk(&path, &e))?;
        }
        let shallow = self.inner.path.join(SHALLOW);
        if reach == Reach::History && shallow.exists() {
            std::fs::remove_file(&shallow).map_err(|e| disk(&shallow, &e))?;
        }
        *shared = Repository::open_bare(&self.inner.path).map_err(Error::storage)?;
        Ok(())
    }
}

/// The heads that the host is known to have.
pub(super) fn heads(repository: &Repository) -> Result<Vec<Oid>, Error> {
    let heads = repository.references_glob(&known_heads()).map_err(Error::storage)?;
    Ok(heads.filter_map(|head| head.ok()?.target()).collect())
}

/// How far what a mirror holds reaches.
fn reach(path: &Path, repository: &Repository) -> Option<Reach> {
    match std::fs::metadata(path.join(SHALLOW)) {
        Ok(_) => Some(Reach::Head),
        Err(_) => heads(repository).ok().filter(|heads| !heads.is_empty()).map(|_| Reach::History),
    }
}

/// The files of all packs.
fn packs(folder: &Path) -> impl Iterator<Item = PathBuf> {
    entries(folder).filter(|path| path.extension().is_some_and(|end| end == "pack" || end == "idx"))
}

/// A mirror that opens, whose heads can be read and are cut off all or none, and in which no killed process left a lock or half a pack.
fn healthy(path: &Path) -> Option<Repository> {
    let leftover = |path: PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        name.ends_with(".lock") || name.starts_with("pack_git2_") || name.starts_with("tmp_")
    };
    let folders = [path.to_owned(), path.join(HEADS), path.join(PACKS)];
    if folders.iter().flat_map(|folder| entries(folder)).any(leftover) {
        return None;
    }
    let repository = Repository::open_bare(path).ok()?;
    let readable = |reference: Result<Reference<'_>, git2::Error>| {
        let tree = reference.and_then(|reference| reference.peel_to_commit()?.tree());
        tree.is_ok()
    };
    let all = repository.references().ok()?.all(readable);
    let are_cut = match std::fs::read_to_string(path.join(SHALLOW)) {
        Ok(cuts) => heads(&repository).ok()?.iter().all(|head| cuts.lines().any(|cut| cut == head.to_string())),
        Err(error) => error.kind() == std::io::ErrorKind::NotFound,
    };
    (all && are_cut).then_some(repository)
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
