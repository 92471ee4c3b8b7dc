//! Reading what a commit holds, from the mirror alone. In: a commit, a path. Out: entries and bytes, each with a limit.
//! Symbolic links are entries, never followed; submodules are named, never entered.

use git2::{Commit, ErrorCode, ObjectType, Repository};

use super::mirror::{commit_id, oid};
use super::{Error, Mirror, ObjectId};
use crate::revision::CommitId;

/// The largest file that is read whole, in bytes.
pub const BLOB_LIMIT: usize = 2 << 20;
/// How deep folders may nest.
pub(super) const DEPTH_LIMIT: usize = 64;
/// The most entries that one walk looks at.
pub(super) const ENTRIES_LIMIT: usize = 1_000_000;

/// What an entry of a folder is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A file.
    File,
    /// A file that may be executed.
    Executable,
    /// A folder.
    Folder,
    /// A symbolic link; its blob is the target.
    Symlink,
    /// A commit of another repository.
    Submodule,
}

/// An entry of a folder, or a place in a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The name within its folder, or the path within the folder that was walked.
    pub name: String,
    /// What it is.
    pub kind: Kind,
    /// Its blob or tree.
    pub id: ObjectId,
}

/// A name and an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Person {
    /// The name.
    pub name: String,
    /// The e-mail address.
    pub email: String,
}

/// What a commit says about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommitInfo {
    /// Its parents, the branch's own first.
    pub parents: Vec<CommitId>,
    /// When it was committed, in seconds since 1970.
    pub time: i64,
    /// Who wrote it.
    pub author: Person,
    /// Who put it where it is.
    pub committer: Person,
    /// The whole message, trailers included.
    pub message: String,
    /// Its tree.
    pub tree: ObjectId,
}

impl Mirror {
    /// What the commit says about itself.
    ///
    /// # Errors
    /// [`Error::CommitGone`] when the mirror lacks it: fetch first.
    pub fn commit_info(&self, commit: &CommitId) -> Result<CommitInfo, Error> {
        self.with(|repository| {
            let commit = find_commit(repository, commit)?;
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            let (author, committer) = (commit.author(), commit.committer());
            Ok(CommitInfo {
                parents: commit.parent_ids().map(commit_id).collect(),
                time: commit.time().seconds(),
                author: Person { name: text(author.name_bytes()), email: text(author.email_bytes()) },
                committer: Person { name: text(committer.name_bytes()), email: text(committer.email_bytes()) },
                message: text(commit.message_bytes()),
                tree: commit.tree_id(),
            })
        })
    }

    /// The bytes of a commit or an annotated tag, as they are signed.
    ///
    /// # Errors
    /// [`Error::CommitGone`] when the mirror lacks it; [`Error::TooLarge`] above [`BLOB_LIMIT`].
    pub fn raw(&self, id: &CommitId) -> Result<Vec<u8>, Error> {
        self.with(|repository| {
            let odb = repository.odb().map_err(Error::storage)?;
            let gone = || Error::CommitGone { commit: id.to_string() };
            let of = oid(id)?;
            let (size, kind) = odb.read_header(of).map_err(|_| gone())?;
            if !matches!(kind, ObjectType::Commit | ObjectType::Tag) {
                return Err(Error::Invalid {
                    what: "the object",
                    value: id.to_string(),
                    reason: "it is no commit or tag",
                });
            }
            if size > BLOB_LIMIT {
                return Err(Error::TooLarge { what: "a commit or tag, in bytes,".into(), limit: BLOB_LIMIT as u64 });
            }
            odb.read(of).map(|object| object.data().to_vec()).map_err(Error::storage)
        })
    }

    /// The commits that `head` can reach and `last` can't, oldest first; all when the mirror lacks `last`.
    ///
    /// # Errors
    /// [`Error::NoHistory`]; [`Error::TooLarge`] when there are more than `limit`.
    pub fn since(&self, head: &CommitId, last: &CommitId, limit: usize) -> Result<Vec<CommitId>, Error> {
        self.check_history()?;
        self.with(|repository| {
            let mut walk = repository.revwalk().map_err(Error::storage)?;
            walk.push(oid(head)?).map_err(Error::storage)?;
            if repository.find_commit(oid(last)?).is_ok() {
                walk.hide(oid(last)?).map_err(Error::storage)?;
            }
            let all: Result<Vec<_>, _> = walk.take(limit + 1).collect();
            let mut all: Vec<CommitId> = all.map_err(Error::storage)?.into_iter().map(commit_id).collect();
            if all.len() > limit {
                let what = format!("the number of commits since {}", last.short());
                return Err(Error::TooLarge { what, limit: limit as u64 });
            }
            all.reverse();
            Ok(all)
        })
    }

    /// What stands at `path` in the commit; nothing when nothing does. The root is `""`, `"."` or `"/"`.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a path that leaves the repository; [`Error::CommitGone`].
    pub fn find(&self, commit: &CommitId, path: &str) -> Result<Option<Entry>, Error> {
        let parts = parts(path)?;
        self.with(|repository| find(repository, &find_commit(repository, commit)?, &parts))
    }

    /// The entries of a folder, in Git's order.
    ///
    /// # Errors
    /// The mirror lacks the tree.
    pub fn list(&self, tree: ObjectId) -> Result<Vec<Entry>, Error> {
        self.with(|repository| entries(repository, tree))
    }

    /// All files, links and submodules below a folder, each with its path within it, sorted by path.
    ///
    /// # Errors
    /// [`Error::TooLarge`] when there are too many or they nest too deep.
    pub fn files(&self, tree: ObjectId) -> Result<Vec<Entry>, Error> {
        let mut files = Vec::new();
        let mut open = vec![(String::new(), tree, 0)];
        while let Some((prefix, tree, depth)) = open.pop() {
            check_limits(files.len() + open.len(), depth)?;
            for mut entry in self.list(tree)? {
                entry.name.insert_str(0, &prefix);
                if entry.kind == Kind::Folder {
                    open.push((entry.name + "/", entry.id, depth + 1));
                } else {
                    files.push(entry);
                }
            }
        }
        files.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(files)
    }

    /// A file's bytes.
    ///
    /// # Errors
    /// [`Error::TooLarge`] above [`BLOB_LIMIT`].
    pub fn blob(&self, id: ObjectId) -> Result<Vec<u8>, Error> {
        self.with(|repository| match read_blob(repository, id, BLOB_LIMIT)? {
            Some(bytes) => Ok(bytes),
            None => Err(Error::TooLarge { what: "a file, in bytes,".into(), limit: BLOB_LIMIT as u64 }),
        })
    }
}

pub(super) fn find_commit<'a>(repository: &'a Repository, commit: &CommitId) -> Result<Commit<'a>, Error> {
    repository.find_commit(oid(commit)?).map_err(|error| match error.code() {
        ErrorCode::NotFound => Error::CommitGone { commit: commit.to_string() },
        _ => Error::storage(error),
    })
}

/// The bytes of a blob; nothing when it is larger than `limit`, which is known before it is unpacked.
pub(super) fn read_blob(repository: &Repository, id: ObjectId, limit: usize) -> Result<Option<Vec<u8>>, Error> {
    let odb = repository.odb().map_err(Error::storage)?;
    let (size, kind) = odb.read_header(id).map_err(Error::storage)?;
    if kind != ObjectType::Blob {
        return Err(Error::Invalid { what: "the object", value: id.to_string(), reason: "it is no file" });
    }
    if size > limit {
        return Ok(None);
    }
    odb.read(id).map(|object| Some(object.data().to_vec())).map_err(Error::storage)
}

pub(super) fn entries(repository: &Repository, tree: ObjectId) -> Result<Vec<Entry>, Error> {
    let tree = repository.find_tree(tree).map_err(Error::storage)?;
    Ok(tree
        .iter()
        .map(|entry| Entry {
            name: String::from_utf8_lossy(entry.name_bytes()).into_owned(),
            kind: kind(&entry),
            id: entry.id(),
        })
        .collect())
}

pub(super) fn kind(entry: &git2::TreeEntry<'_>) -> Kind {
    match entry.filemode() {
        0o040000 => Kind::Folder,
        0o120000 => Kind::Symlink,
        0o160000 => Kind::Submodule,
        0o100755 => Kind::Executable,
        _ => Kind::File,
    }
}

pub(super) fn find(repository: &Repository, commit: &Commit<'_>, parts: &[&str]) -> Result<Option<Entry>, Error> {
    let mut here = Entry { name: String::new(), kind: Kind::Folder, id: commit.tree_id() };
    for part in parts {
        if here.kind != Kind::Folder {
            return Ok(None);
        }
        let tree = repository.find_tree(here.id).map_err(Error::storage)?;
        let Some(entry) = tree.get_name(part) else { return Ok(None) };
        here = Entry { name: (*part).to_owned(), kind: kind(&entry), id: entry.id() };
    }
    Ok(Some(here))
}

/// The names of a path that stays inside of the repository. Slashes too many and `.` mean nothing.
pub(super) fn parts(path: &str) -> Result<Vec<&str>, Error> {
    let parts: Vec<&str> = path.split('/').filter(|part| !matches!(*part, "" | ".")).collect();
    if parts.iter().any(|part| *part == ".." || part.contains('\0')) {
        return Err(Error::invalid("the path", path, "it leaves the repository"));
    }
    check_limits(0, parts.len())?;
    Ok(parts)
}

pub(super) fn check_limits(entries: usize, depth: usize) -> Result<(), Error> {
    if depth > DEPTH_LIMIT {
        return Err(Error::TooLarge { what: "the depth of folders".into(), limit: DEPTH_LIMIT as u64 });
    }
    if entries > ENTRIES_LIMIT {
        return Err(Error::TooLarge { what: "the number of files".into(), limit: ENTRIES_LIMIT as u64 });
    }
    Ok(())
}
