//! Which commits changed a file, newest first. In: a head, paths, and a visitor that says which parent to go on with. Out: each
//! change to the visitor, once; a merge that dropped a change is one too. Decides nothing; remembers long stretches without a
//! change, so that they are walked once.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use git2::{Oid, Repository, Tree};

use super::mirror::{commit_id, locked, oid};
use super::tree::{find, find_commit, parts};
use super::{Error, Mirror, ObjectId, Person};
use crate::revision::CommitId;

mod skips;
mod step;

pub(super) use skips::Skips;
use step::{Asked, Commit, Merge};

/// The mirror is locked for so many commits at a time, so that others can read in between.
const AT_ONCE: usize = 128;
/// The merge bases of so many merges are looked for in one walk; what further ones dropped is not seen.
const BASES: usize = 500;

/// Where the walk for a path ends at the latest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Depth {
    /// Commits below the head.
    pub commits: usize,
    /// Changes of the path.
    pub changes: usize,
}

impl Default for Depth {
    fn default() -> Self {
        Self { commits: 200_000, changes: 2_000 }
    }
}

/// A commit whose file is none of its parents', or a merge that kept one parent's file although another one had changed it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version {
    /// The commit.
    pub commit: CommitId,
    /// Who wrote it.
    pub author: Person,
    /// When it was committed, in seconds since 1970.
    pub time: i64,
    /// The whole message, trailers included.
    pub message: Arc<str>,
    /// The file's content after it; nothing where no file stands.
    pub after: Option<ObjectId>,
    /// The content at each parent, the branch's own first; nothing alone for a commit without parents.
    pub before: Vec<Option<ObjectId>>,
    /// Of a merge of two, the content at each merge base; empty for others, and where there is no base.
    pub bases: Vec<Option<ObjectId>>,
}

/// Is shown a change of a path (by its index); names the parent to go on with.
pub type Visit<'v> = dyn FnMut(usize, &Version) -> Result<Option<usize>, Error> + 'v;

impl Mirror {
    /// Walks from `head` to older commits and shows `visit` those that changed a path, newest first for each path (by its index;
    /// a path may be given twice). `visit` names the parent to go on with, or nothing when it has seen enough of this path. A
    /// merge that has the same file as one of its parents, the first such, is no change: only that parent is followed
    /// (git-log, "History Simplification"). It is one when the other parent's file is that of no merge base, as `git merge` would
    /// have taken that change in, and somebody dropped it (`-s ours`, a conflict). Contents count, not modes; a renamed file is a
    /// new one; links and folders are no file.
    ///
    /// Returns the paths (by index, sorted) whose walk was cut off by `depth`.
    ///
    /// # Errors
    /// Those of `visit`; [`Error::CommitGone`] when the mirror lacks the head; [`Error::NoHistory`].
    pub fn history(
        &self,
        head: &CommitId,
        paths: &[&str],
        depth: Depth,
        visit: &mut Visit<'_>,
    ) -> Result<Vec<usize>, Error> {
        self.check_history()?;
        let mut walk = Walk::new(paths, depth)?;
        self.with(|repository| walk.start(repository, oid(head)?))?;
        while !walk.is_over() {
            let found = self.with(|repository| walk.go_on(repository, &mut locked(&self.inner.skips)))?;
            for (cursor, version) in found {
                if let Some(next) = visit(cursor.index, &version)? {
                    walk.follow(cursor, &version, next);
                }
            }
        }
        walk.cut.sort_unstable();
        Ok(walk.cut)
    }

    /// Whether `commit` is `head` or lies below it; one that the mirror lacks does not.
    ///
    /// # Errors
    /// The mirror lacks the head, or is damaged; [`Error::NoHistory`].
    pub fn is_ancestor(&self, commit: &CommitId, head: &CommitId) -> Result<bool, Error> {
        self.check_history()?;
        self.with(|repository| {
            let (commit, head) = (oid(commit)?, find_commit(repository, head)?.id());
            if commit == head {
                return Ok(true);
            }
            if repository.find_commit(commit).is_err() {
                return Ok(false);
            }
            repository.graph_descendant_of(head, commit).map_err(Error::storage)
        })
    }
}

/// One path on its way down.
#[derive(Debug, Clone)]
struct Cursor {
    index: usize,
    /// Its content here.
    content: Option<Oid>,
    /// Commits above.
    depth: usize,
    changes: usize,
    /// Where the stretch without a change began, and how deep.
    start: (Oid, usize),
}

/// The state of a walk: which paths stand at which commit, the newest commit last. A commit that a wrong clock made look older
/// than its parent is only looked at twice.
struct Walk<'p> {
    paths: &'p [&'p str],
    parts: Vec<Vec<&'p str>>,
    /// Each path's place among all.
    rank: Vec<usize>,
    limit: Depth,
    open: BTreeMap<(i64, Oid), Vec<Cursor>>,
    /// Paths to be put at a commit before anything else.
    moved: Vec<(Cursor, Oid)>,
    /// The parents of the commit at which something changed last.
    parents: Vec<Oid>,
    cut: Vec<usize>,
    /// How many merges' bases may still be looked for.
    bases_left: usize,
}

impl<'p> Walk<'p> {
    fn new(paths: &'p [&'p str], limit: Depth) -> Result<Self, Error> {
        let parts: Vec<Vec<&str>> = paths.iter().map(|path| parts(path)).collect::<Result<_, _>>()?;
        let mut order: Vec<usize> = (0..paths.len()).collect();
        order.sort_by_key(|index| &parts[*index]);
        let mut rank = vec![0; paths.len()];
        order.into_iter().enumerate().for_each(|(place, index)| rank[index] = place);
        let (open, moved, parents, cut) = (BTreeMap::new(), Vec::new(), Vec::new(), Vec::new());
        Ok(Self { paths, parts, rank, limit, open, moved, parents, cut, bases_left: BASES })
    }

    fn start(&mut self, repository: &Repository, head: Oid) -> Result<(), Error> {
        let commit = find_commit(repository, &commit_id(head))?;
        let mut cursors = Vec::new();
        for (index, parts) in self.parts.iter().enumerate() {
            let content = find(repository, &commit, parts)?.and_then(|entry| step::content(&entry));
            cursors.push(Cursor { index, content, depth: 0, changes: 0, start: (head, 0) });
        }
        self.put(repository, cursors, head)
    }

    fn is_over(&self) -> bool {
        self.open.is_empty() && self.moved.is_empty()
    }

    /// Walks until paths changed, at most some commits.
    fn go_on(&mut self, repository: &Repository, skips: &mut Skips) -> Result<Vec<(Cursor, Version)>, Error> {
        let mut trees = HashMap::new();
        for (cursor, at) in std::mem::take(&mut self.moved) {
            self.put(repository, vec![cursor], at)?;
        }
        for _ in 0..AT_ONCE {
            let Some(((_, id), cursors)) = self.open.pop_last() else { break };
            let cursors = self.skip(repository, skips, id, cursors)?;
            let found = self.step(repository, &mut trees, id, cursors, skips)?;
            if !found.is_empty() {
                return Ok(found);
            }
        }
        Ok(Vec::new())
    }

    /// Lets those go that can jump or have gone far enough; returns the others.
    fn skip(
        &mut self,
        repository: &Repository,
        skips: &mut Skips,
        id: Oid,
        cursors: Vec<Cursor>,
    ) -> Result<Vec<Cursor>, Error> {
        if !skips.begin_at(id) && cursors.iter().all(|cursor| cursor.depth < self.limit.commits) {
            return Ok(cursors);
        }
        let mut staying = Vec::with_capacity(cursors.len());
        for mut cursor in cursors {
            if let Some((to, commits)) = skips.take(self.paths[cursor.index], id) {
                cursor.depth += commits;
                self.put(repository, vec![cursor], to)?;
            } else if cursor.depth >= self.limit.commits {
                self.end(&cursor, id, skips);
                self.cut.push(cursor.index);
            } else {
                staying.push(cursor);
            }
        }
        Ok(staying)
    }

    /// One commit: paths that are the same at a parent move on, the others are handed out.
    fn step<'r>(
        &mut self,
        repository: &'r Repository,
        trees: &mut HashMap<Oid, Tree<'r>>,
        id: Oid,
        mut cursors: Vec<Cursor>,
        skips: &mut Skips,
    ) -> Result<Vec<(Cursor, Version)>, Error> {
        if cursors.is_empty() {
            return Ok(Vec::new());
        }
        cursors.sort_by_key(|cursor| self.rank[cursor.index]);
        let commit = Commit::read(repository, id)?;
        let asked: Vec<Asked<'_>> =
            cursors.iter().map(|cursor| (self.parts[cursor.index].as_slice(), cursor.content)).collect();
        let mut at_parents = Vec::new();
        for parent in &commit.parents {
            match commit.contents_at(repository, trees, *parent, &asked)? {
                Some(contents) => at_parents.push(contents),
                None if commit.parents.len() == 1 => {
                    cursors.iter_mut().for_each(|cursor| cursor.depth += 1);
                    self.put(repository, cursors, *parent)?;
                    return Ok(Vec::new());
                }
                None => at_parents.push(asked.iter().map(|(_, content)| *content).collect()),
            }
        }
        let mut found: Vec<(Cursor, Version)> = Vec::new();
        let mut going: Vec<Vec<Cursor>> = vec![Vec::new(); commit.parents.len()];
        let mut merge = Merge { commit: &commit, bases: None };
        for (place, mut cursor) in cursors.into_iter().enumerate() {
            let before: Vec<_> = at_parents.iter().map(|contents| contents[place]).collect();
            let bases = merge.bases(repository, &self.parts[cursor.index], &before, &mut self.bases_left)?;
            let is_dropped = !bases.is_empty() && before.iter().any(|b| *b != cursor.content && !bases.contains(b));
            match before.iter().position(|content| *content == cursor.content) {
                Some(parent) if !is_dropped => {
                    cursor.depth += 1;
                    going[parent].push(cursor);
                }
                // No file, and no parent that could have one.
                None if commit.parents.is_empty() && cursor.content.is_none() => self.end(&cursor, id, skips),
                _ => {
                    self.end(&cursor, id, skips);
                    let before = if before.is_empty() { vec![None] } else { before };
                    let version = match found.first() {
                        Some((_, other)) => Version { after: cursor.content, before, bases, ..other.clone() },
                        None => commit.version(repository, cursor.content, before, bases)?,
                    };
                    found.push((cursor, version));
                }
            }
        }
        for (cursors, parent) in going.into_iter().zip(&commit.parents) {
            self.put(repository, cursors, *parent)?;
        }
        self.parents = commit.parents;
        Ok(found)
    }

    /// A stretch without a change ends here.
    fn end(&self, cursor: &Cursor, id: Oid, skips: &mut Skips) {
        let (start, depth) = cursor.start;
        skips.put(self.paths[cursor.index], start, (id, cursor.depth - depth));
    }

    /// Goes on below a change.
    fn follow(&mut self, mut cursor: Cursor, version: &Version, next: usize) {
        let (Some(parent), Some(content)) = (self.parents.get(next), version.before.get(next)) else { return };
        cursor.changes += 1;
        cursor.depth += 1;
        if cursor.changes >= self.limit.changes {
            self.cut.push(cursor.index);
            return;
        }
        cursor.start = (*parent, cursor.depth);
        cursor.content = *content;
        self.moved.push((cursor, *parent));
    }

    fn put(&mut self, repository: &Repository, cursors: Vec<Cursor>, at: Oid) -> Result<(), Error> {
        if !cursors.is_empty() {
            let time = repository.find_commit(at).map_err(Error::storage)?.time().seconds();
            match self.open.entry((time, at)) {
                Entry::Vacant(free) => drop(free.insert(cursors)),
                Entry::Occupied(mut there) => there.get_mut().extend(cursors),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
