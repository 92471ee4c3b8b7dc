//! Building a commit from changed files, without a checkout: new blobs and the trees above them, all else by reference.
//! In: parent, files, text, a time. Out: an id that depends on nothing else, so that the same input is the same commit.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::sync::{Arc, MutexGuard, PoisonError};

use git2::build::TreeUpdateBuilder;
use git2::{Commit, FileMode, Oid, Repository, Signature, Time};

use super::mirror::{commit_id, oid};
use super::push::{Known, pack};
use super::tree::{find, find_commit, parts};
use super::{Error, Kind, Mirror, Person, SigningKey};
use crate::revision::CommitId;

/// From so many files on a commit is written as one pack.
const MANY: usize = 32;
/// Before the backends that write to the disk (libgit2's own are 1 and 2).
const FIRST: i32 = 1000;

/// A commit's new objects as one pack.
pub(super) struct Fresh {
    pub parent: Oid,
    pub commit: Oid,
    pub pack: Arc<[u8]>,
}

/// A commit to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewCommit<'a> {
    /// The head that was read.
    pub parent: &'a CommitId,
    /// Paths and whole new contents. A file keeps its mode; one that is not there yet becomes an ordinary file.
    pub files: Vec<(String, Vec<u8>)>,
    /// The whole message; a line feed is added at its end when it lacks one.
    pub message: String,
    /// Author and committer.
    pub author: Person,
    /// Author's and committer's time, in seconds since 1970, from recorded facts; written in UTC.
    pub time: i64,
}

impl Mirror {
    /// Makes the commit in the mirror; nobody else sees it before a push.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a path that is a link, a folder or a submodule, or lies below a link, and for an author without
    /// a name; [`Error::CommitGone`] when the mirror lacks the parent.
    pub fn commit(&self, new: NewCommit<'_>) -> Result<CommitId, Error> {
        self.commit_signed(new, None)
    }

    /// The same, with the signature of a key in the commit's header.
    ///
    /// # Errors
    /// Those of [`Mirror::commit`], and [`Error::Signing`]; nothing is ever left unsigned then.
    pub fn commit_signed(&self, new: NewCommit<'_>, key: Option<&SigningKey>) -> Result<CommitId, Error> {
        if new.files.len() < MANY {
            return self.with(|repository| make(repository, new, key).map(commit_id));
        }
        // So many files of their own are slow to write, and to read again by the next commit.
        let parent = oid(new.parent)?;
        let (made, pack) = self.guarded(|| {
            let apart = self.second_handle()?;
            let objects = apart.odb().map_err(Error::storage)?;
            objects.add_new_mempack_backend(FIRST).map_err(Error::storage)?;
            let made = make(&apart, new, key)?;
            Ok((made, pack(&apart, Some(parent), made, Known::OldOnly).map_err(Error::storage)?))
        })?;
        self.with(|repository| {
            let objects = repository.odb().map_err(Error::storage)?;
            let mut writer = objects.packwriter().map_err(Error::storage)?;
            writer.write_all(&pack).map_err(|error| Error::Storage { message: error.to_string(), damaged: false })?;
            writer.commit().map_err(Error::storage)?;
            Ok(())
        })?;
        *self.fresh() = Some(Fresh { parent, commit: made, pack: pack.into() });
        Ok(commit_id(made))
    }

    pub(super) fn fresh(&self) -> MutexGuard<'_, Option<Fresh>> {
        self.inner.fresh.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn make(repository: &Repository, new: NewCommit<'_>, key: Option<&SigningKey>) -> Result<Oid, Error> {
    let parent = find_commit(repository, new.parent)?;
    let tree = write_tree(repository, &parent, &new.files)?;
    let tree = repository.find_tree(tree).map_err(Error::storage)?;
    let who = Signature::new(&new.author.name, &new.author.email, &Time::new(new.time, 0)).map_err(|_| {
        Error::invalid("the author", &new.author.name, "name and email must not be empty or hold <, > or line feeds")
    })?;
    if new.message.contains('\0') {
        return Err(Error::invalid("the commit message", &new.message, "it holds a zero byte"));
    }
    let mut message = new.message;
    if !message.ends_with('\n') {
        message.push('\n');
    }
    let made = match key {
        None => repository.commit(None, &who, &who, &message, &tree, &[&parent]),
        Some(key) => {
            let bytes = repository.commit_create_buffer(&who, &who, &message, &tree, &[&parent]);
            let bytes = bytes.map_err(Error::storage)?;
            let text = std::str::from_utf8(&bytes).map_err(|_| Error::protocol("a commit that is not text"))?;
            repository.commit_signed(text, &key.sign(&bytes, new.time)?, Some("gpgsig"))
        }
    };
    made.map_err(Error::storage)
}

fn write_tree(repository: &Repository, parent: &Commit<'_>, files: &[(String, Vec<u8>)]) -> Result<Oid, Error> {
    let base = parent.tree().map_err(Error::storage)?;
    let mut updates = BTreeMap::new();
    for (path, bytes) in files {
        let parts = parts(path)?;
        let mode = mode_at(repository, parent, path, &parts)?;
        updates.insert(parts.join("/"), (bytes, mode));
    }
    if updates.is_empty() {
        return Ok(base.id());
    }
    let mut builder = TreeUpdateBuilder::new();
    for (path, (bytes, mode)) in &updates {
        builder.upsert(path.as_str(), repository.blob(bytes).map_err(Error::storage)?, *mode);
    }
    builder.create_updated(repository, &base).map_err(|error| match error.class() {
        // A name such as `.git`, or a file and a folder of one name.
        git2::ErrorClass::Tree => Error::invalid("a path", error.message(), "git does not allow it"),
        _ => Error::storage(error),
    })
}

/// The mode that the file at `path` has and keeps.
fn mode_at(repository: &Repository, parent: &Commit<'_>, path: &str, parts: &[&str]) -> Result<FileMode, Error> {
    for depth in 1..parts.len() {
        let above = find(repository, parent, &parts[..depth])?;
        if above.is_some_and(|entry| entry.kind != Kind::Folder) {
            return Err(Error::invalid(
                "the path",
                path,
                "it lies below something that is no folder, such as a symbolic link",
            ));
        }
    }
    let kind =
        if parts.is_empty() { Some(Kind::Folder) } else { find(repository, parent, parts)?.map(|entry| entry.kind) };
    match kind {
        None | Some(Kind::File) => Ok(FileMode::Blob),
        Some(Kind::Executable) => Ok(FileMode::BlobExecutable),
        Some(Kind::Symlink) => {
            Err(Error::invalid("the path", path, "it is a symbolic link, and those are never replaced"))
        }
        Some(Kind::Folder | Kind::Submodule) => Err(Error::invalid("the path", path, "it is a folder or a submodule")),
    }
}
