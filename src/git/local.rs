//! `file://` remotes: the repository is opened in place. In: its URL. Out: a branch's head; a compare-and-swap of it.

use git2::{ErrorCode, Oid, Repository};
use reqwest::Url;

use super::mirror::commit_id;
use super::{Error, Listed, Pushed};
use crate::revision::CommitId;

fn open(url: &Url) -> Result<Repository, Error> {
    let path = url
        .to_file_path()
        .map_err(|()| Error::UnsupportedUrl { reason: "a file url needs an absolute path and no host" })?;
    Repository::open(path).map_err(|error| match error.code() {
        ErrorCode::NotFound => Error::RepositoryNotFound,
        _ => Error::storage(error),
    })
}

/// The refs of this name, or those below it when it ends with a slash.
pub fn refs(url: &Url, name: &str) -> Result<Vec<Listed>, Error> {
    let repository = open(url)?;
    let names = if name.ends_with('/') {
        let all = repository.references_glob(&format!("{name}*")).map_err(Error::storage)?;
        all.filter_map(|reference| Some(reference.ok()?.name().ok()?.to_owned())).collect()
    } else {
        vec![name.to_owned()]
    };
    let mut found = Vec::new();
    for name in names {
        let Some(object) = read_head(&repository, &name)? else { continue };
        let commit = repository.find_reference(&name).and_then(|reference| reference.peel_to_commit());
        let commit = commit.map_or_else(|_| object.clone(), |commit| commit_id(commit.id()));
        found.push(Listed { name, object, commit });
    }
    Ok(found)
}

/// A commit, with all that it can reach, as a pack; nothing when it is not there.
pub fn pack(url: &Url, commit: Oid) -> Result<Option<Vec<u8>>, Error> {
    let repository = open(url)?;
    if repository.find_commit(commit).is_err() {
        return Ok(None);
    }
    let (mut walk, mut pack) = (repository.revwalk().map_err(Error::storage)?, Vec::new());
    walk.push(commit).map_err(Error::storage)?;
    let mut builder = repository.packbuilder().map_err(Error::storage)?;
    builder.insert_walk(&mut walk).map_err(Error::storage)?;
    let keep = |piece: &[u8]| {
        pack.extend_from_slice(piece);
        true
    };
    builder.foreach(keep).map_err(Error::storage)?;
    Ok(Some(pack))
}

fn read_head(repository: &Repository, name: &str) -> Result<Option<CommitId>, Error> {
    match repository.refname_to_id(name) {
        Ok(id) => Ok(Some(commit_id(id))),
        Err(error) if error.code() == ErrorCode::NotFound => Ok(None),
        Err(error) => Err(Error::storage(error)),
    }
}

/// Deletes the ref if it is at `old`, under Git's own lock. No hooks run.
pub fn delete(url: &Url, name: &str, old: Oid) -> Result<Pushed, Error> {
    let repository = open(url)?;
    if !repository.is_bare() && repository.head().is_ok_and(|head| head.name() == Ok(name)) {
        return Err(Error::rejected("the branch is checked out there"));
    }
    let mut reference = match repository.find_reference(name) {
        Ok(reference) if reference.target() == Some(old) => reference,
        Ok(_) => return Ok(Pushed::Moved),
        Err(error) if error.code() == ErrorCode::NotFound => return Ok(Pushed::Done),
        Err(error) => return Err(Error::storage(error)),
    };
    match reference.delete() {
        Ok(()) => Ok(Pushed::Done),
        Err(error) if matches!(error.code(), ErrorCode::Modified | ErrorCode::Locked) => Ok(Pushed::Moved),
        Err(error) => Err(Error::storage(error)),
    }
}

/// Stores the pack there and moves the ref from `old` (nothing: it must not exist) to `new`, under Git's own lock. No hooks run.
pub fn push(url: &Url, name: &str, old: Option<Oid>, new: Oid, pack: &[u8]) -> Result<Pushed, Error> {
    use std::io::Write;
    let repository = open(url)?;
    if !repository.is_bare() && repository.head().is_ok_and(|head| head.name() == Ok(name)) {
        return Err(Error::rejected("the branch is checked out there"));
    }
    let odb = repository.odb().map_err(Error::storage)?;
    let mut writer = odb.packwriter().map_err(Error::storage)?;
    writer.write_all(pack).map_err(|error| Error::Storage { message: error.to_string(), damaged: false })?;
    writer.commit().map_err(Error::storage)?;
    let log = "push by tagboat";
    let moved = match old {
        Some(old) => repository.reference_matching(name, new, true, old, log),
        None => repository.reference(name, new, false, log),
    };
    match moved {
        Ok(_) => Ok(Pushed::Done),
        Err(error)
            if matches!(
                error.code(),
                ErrorCode::Modified | ErrorCode::Exists | ErrorCode::NotFound | ErrorCode::Locked
            ) =>
        {
            let is_there = read_head(&repository, name)? == Some(commit_id(new));
            Ok(if is_there { Pushed::Done } else { Pushed::Moved })
        }
        Err(error) => Err(Error::storage(error)),
    }
}
