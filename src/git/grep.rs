//! Which files below a path hold some bytes. In: a commit, a path, a test for names, the bytes. Out: paths and blobs.
//! Remembers each folder, so that the next commit costs only what changed in it; symbolic links are never followed.

use std::collections::HashMap;
use std::sync::Arc;

use super::mirror::locked;
use super::tree::{Kind, check_limits, entries, read_blob};
use super::{Error, Mirror, ObjectId};
use crate::revision::CommitId;

/// The largest file that is searched, in bytes. Larger ones hold no settings that a person wrote.
const SEARCH_LIMIT: usize = 16 << 20;
/// A folder that so many searches did not meet is forgotten; some searches look at other branches or paths.
const ROUNDS_KEPT: u64 = 32;

/// A file that holds the bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Its path in the repository.
    pub path: String,
    /// Its blob.
    pub id: ObjectId,
}

/// What searches remember, for the question asked last.
#[derive(Default)]
pub struct Memo {
    question: (usize, Vec<u8>),
    round: u64,
    folders: HashMap<ObjectId, (u64, Arc<Folder>)>,
}

/// A folder's own matching files, and the folders in it.
struct Folder {
    files: Vec<(String, ObjectId)>,
    folders: Vec<(String, ObjectId)>,
}

impl Mirror {
    /// The files below `path` (or the file at `path`) whose file name passes and whose bytes contain `needle`, sorted by path.
    /// Ten thousand files cost some hundred milliseconds the first time and next to nothing after; ask the same question
    /// (the same function, the same needle) each time. Names that are no UTF-8 and files above 16 MiB never match.
    ///
    /// # Errors
    /// [`Error::TooLarge`] when there are too many files or they nest too deep; [`Error::CommitGone`].
    pub fn grep(
        &self,
        commit: &CommitId,
        path: &str,
        name: fn(&str) -> bool,
        needle: &[u8],
    ) -> Result<Vec<Found>, Error> {
        let Some(start) = self.find(commit, path)? else { return Ok(Vec::new()) };
        let start_path = super::tree::parts(path)?.join("/");
        if matches!(start.kind, Kind::File | Kind::Executable) && name(&start.name) {
            let holds = self.with(|repository| holds(repository, start.id, needle))?;
            return Ok(holds.then_some(Found { path: start_path, id: start.id }).into_iter().collect());
        }
        if start.kind != Kind::Folder {
            return Ok(Vec::new());
        }
        let memo = &mut *locked(&self.inner.memo);
        let question = (name as usize, needle.to_vec());
        if memo.question != question {
            *memo = Memo { question, ..Memo::default() };
        }
        memo.round += 1;
        let mut found = Vec::new();
        let mut seen = 0;
        let mut open = vec![(start_path, start.id, 0)];
        while let Some((prefix, id, depth)) = open.pop() {
            let folder = self.folder(memo, id, name, needle)?;
            seen += folder.files.len() + folder.folders.len();
            check_limits(seen, depth)?;
            let below = |name: &str| if prefix.is_empty() { name.to_owned() } else { format!("{prefix}/{name}") };
            found.extend(folder.files.iter().map(|(name, id)| Found { path: below(name), id: *id }));
            open.extend(folder.folders.iter().map(|(name, id)| (below(name), *id, depth + 1)));
        }
        let round = memo.round;
        memo.folders.retain(|_, (last, _)| *last + ROUNDS_KEPT > round);
        found.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(found)
    }

    fn folder(
        &self,
        memo: &mut Memo,
        id: ObjectId,
        name: fn(&str) -> bool,
        needle: &[u8],
    ) -> Result<Arc<Folder>, Error> {
        if let Some((round, folder)) = memo.folders.get_mut(&id) {
            *round = memo.round;
            return Ok(Arc::clone(folder));
        }
        let mut folder = Folder { files: Vec::new(), folders: Vec::new() };
        // The lock is taken for one folder at a time, so that others can read in between.
        self.with(|repository| {
            for entry in entries(repository, id)? {
                let is_text = !entry.name.contains(char::REPLACEMENT_CHARACTER);
                match entry.kind {
                    Kind::Folder if is_text => folder.folders.push((entry.name, entry.id)),
                    Kind::File | Kind::Executable
                        if is_text && name(&entry.name) && holds(repository, entry.id, needle)? =>
                    {
                        folder.files.push((entry.name, entry.id));
                    }
                    _ => {}
                }
            }
            Ok(())
        })?;
        let folder = Arc::new(folder);
        memo.folders.insert(id, (memo.round, Arc::clone(&folder)));
        Ok(folder)
    }
}

fn holds(repository: &git2::Repository, id: ObjectId, needle: &[u8]) -> Result<bool, Error> {
    Ok(read_blob(repository, id, SEARCH_LIMIT)?.is_some_and(|bytes| contains(&bytes, needle)))
}

fn contains(bytes: &[u8], needle: &[u8]) -> bool {
    let Some(first) = needle.first() else { return true };
    let mut rest = bytes;
    while let Some(at) = rest.iter().position(|byte| byte == first) {
        if rest[at..].starts_with(needle) {
            return true;
        }
        rest = &rest[at + 1..];
    }
    false
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_search_finds_what_std_finds(bytes in "[ab$]{0,40}", needle in "[ab$]{0,4}") {
            prop_assert_eq!(contains(bytes.as_bytes(), needle.as_bytes()), bytes.contains(&needle));
        }
    }
}
