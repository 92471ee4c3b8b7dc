//! One commit next to its parents. In: paths with their content here. Out: their content at each parent. Folders that are the
//! same on both sides are not opened.

use std::cmp::Ordering;
use std::collections::{BTreeMap, HashMap};
use std::ops::Range;

use git2::{Oid, Repository, Tree, TreeEntry};

use super::Version;
use crate::git::mirror::commit_id;
use crate::git::{Entry, Error, Kind, Person, tree};

/// So many folders are kept open.
const OPEN: usize = 64;
/// Looking a name up costs as much as passing by so many entries.
const LOOKUP: usize = 16;

/// What of a commit a walk needs.
#[derive(Debug)]
pub(super) struct Commit {
    id: Oid,
    tree: Oid,
    pub(super) parents: Vec<Oid>,
}

/// The content of a file; nothing for a link, a folder or a submodule.
pub(super) fn content(entry: &Entry) -> Option<Oid> {
    file(Some((entry.id, entry.kind)))
}

/// A path, as its parts, and its content here.
pub(super) type Asked<'a> = (&'a [&'a str], Option<Oid>);

impl Commit {
    pub(super) fn read(repository: &Repository, id: Oid) -> Result<Self, Error> {
        let commit = repository.find_commit(id).map_err(Error::storage)?;
        Ok(Self { id, tree: commit.tree_id(), parents: commit.parent_ids().collect() })
    }

    /// The paths' contents at a parent; nothing when none of them differs. `asked` is sorted by path.
    pub(super) fn contents_at<'r>(
        &self,
        repository: &'r Repository,
        trees: &mut HashMap<Oid, Tree<'r>>,
        parent: Oid,
        asked: &[Asked<'_>],
    ) -> Result<Option<Vec<Option<Oid>>>, Error> {
        let there = repository.find_commit(parent).map_err(Error::storage)?.tree_id();
        let mut compare = Compare { repository, trees, asked, differing: Vec::new() };
        compare.folder(Some(self.tree), Some(there), 0, 0..asked.len())?;
        if compare.differing.is_empty() {
            return Ok(None);
        }
        let mut contents: Vec<Option<Oid>> = asked.iter().map(|(_, content)| *content).collect();
        compare.differing.into_iter().for_each(|(index, content)| contents[index] = content);
        Ok(Some(contents))
    }

    pub(super) fn version(
        &self,
        repository: &Repository,
        after: Option<Oid>,
        before: Vec<Option<Oid>>,
        bases: Vec<Option<Oid>>,
    ) -> Result<Version, Error> {
        let commit = repository.find_commit(self.id).map_err(Error::storage)?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let author = commit.author();
        Ok(Version {
            commit: commit_id(self.id),
            author: Person { name: text(author.name_bytes()), email: text(author.email_bytes()) },
            time: commit.time().seconds(),
            message: text(commit.message_bytes()).into(),
            after,
            before,
            bases,
        })
    }
}

/// A commit's merge bases, looked for when they are needed.
pub(super) struct Merge<'c> {
    pub(super) commit: &'c Commit,
    pub(super) bases: Option<Vec<Oid>>,
}

impl Merge<'_> {
    /// A path's contents at the bases, if it is not the same at both parents (`before`); nothing once none are `left`.
    pub(super) fn bases(
        &mut self,
        repository: &Repository,
        parts: &[&str],
        before: &[Option<Oid>],
        left: &mut usize,
    ) -> Result<Vec<Option<Oid>>, Error> {
        let [one, other] = self.commit.parents[..] else { return Ok(Vec::new()) };
        if matches!(before, [one, other] if one == other) {
            return Ok(Vec::new());
        }
        if self.bases.is_none() {
            let Some(rest) = left.checked_sub(1) else { return Ok(Vec::new()) };
            *left = rest;
            self.bases = Some(match repository.merge_bases(one, other) {
                Ok(bases) => bases.to_vec(),
                Err(error) if error.code() == git2::ErrorCode::NotFound => Vec::new(),
                Err(error) => return Err(Error::storage(error)),
            });
        }
        let content_at = |base: &Oid| {
            let base = repository.find_commit(*base).map_err(Error::storage)?;
            Ok(tree::find(repository, &base, parts)?.and_then(|entry| content(&entry)))
        };
        self.bases.iter().flatten().map(content_at).collect()
    }
}

/// What stands under a name.
type Found = Option<(Oid, Kind)>;

fn file(found: Found) -> Option<Oid> {
    found.and_then(|(id, kind)| matches!(kind, Kind::File | Kind::Executable).then_some(id))
}

fn folder(found: Found) -> Option<Oid> {
    found.and_then(|(id, kind)| (kind == Kind::Folder).then_some(id))
}

/// Two trees side by side.
struct Compare<'c, 'r, 'a> {
    repository: &'r Repository,
    trees: &'c mut HashMap<Oid, Tree<'r>>,
    asked: &'c [Asked<'a>],
    /// Paths by their index, and their content in the second tree.
    differing: Vec<(usize, Option<Oid>)>,
}

impl Compare<'_, '_, '_> {
    /// Compares a folder; all paths of `range` go through it.
    fn folder(
        &mut self,
        here: Option<Oid>,
        there: Option<Oid>,
        depth: usize,
        range: Range<usize>,
    ) -> Result<(), Error> {
        if here == there || range.is_empty() {
            return Ok(());
        }
        // The shortest come first: the folder's own path is no file on either side.
        let asked = self.asked;
        let mut at = range.start + asked[range.clone()].partition_point(|(parts, _)| parts.len() <= depth);
        let entries = here.map_or(Ok(0), |id| self.open(id).map(Tree::len))?;
        if range.len() * LOOKUP > entries {
            for (name, (left, right)) in self.changed(here, there)? {
                let rest = &asked[at..range.end];
                let start = rest.partition_point(|(parts, _)| parts[depth].as_bytes() < name.as_slice());
                let end = rest.partition_point(|(parts, _)| parts[depth].as_bytes() <= name.as_slice());
                self.entry(left, right, depth, at + start..at + end)?;
            }
            return Ok(());
        }
        while at < range.end {
            let name = asked[at].0[depth];
            let end = at + asked[at..range.end].partition_point(|(parts, _)| parts[depth] == name);
            let (left, right) = (self.find(here, name)?, self.find(there, name)?);
            self.entry(left, right, depth, at..end)?;
            at = end;
        }
        Ok(())
    }

    /// Compares what stands under one name; all paths of `range` are it or go through it.
    fn entry(&mut self, left: Found, right: Found, depth: usize, range: Range<usize>) -> Result<(), Error> {
        if left == right || range.is_empty() {
            return Ok(());
        }
        let asked = self.asked;
        let leaves = range.start + asked[range.clone()].partition_point(|(parts, _)| parts.len() == depth + 1);
        let differing = (range.start..leaves).filter(|index| asked[*index].1 != file(right));
        self.differing.extend(differing.map(|index| (index, file(right))));
        self.folder(folder(left), folder(right), depth + 1, leaves..range.end)
    }

    fn find(&mut self, tree: Option<Oid>, name: &str) -> Result<Found, Error> {
        let Some(id) = tree else { return Ok(None) };
        Ok(self.open(id)?.get_name(name).map(|entry| (entry.id(), tree::kind(&entry))))
    }

    fn open(&mut self, id: Oid) -> Result<&Tree<'_>, Error> {
        if self.trees.len() >= OPEN && !self.trees.contains_key(&id) {
            self.trees.clear();
        }
        match self.trees.entry(id) {
            std::collections::hash_map::Entry::Occupied(open) => Ok(open.into_mut()),
            std::collections::hash_map::Entry::Vacant(new) => {
                Ok(new.insert(self.repository.find_tree(id).map_err(Error::storage)?))
            }
        }
    }

    /// The entries that differ, found by passing by all of both sides once.
    fn changed(&mut self, here: Option<Oid>, there: Option<Oid>) -> Result<BTreeMap<Vec<u8>, (Found, Found)>, Error> {
        let mut changed: BTreeMap<Vec<u8>, (Found, Found)> = BTreeMap::new();
        // Two at once, so not through the cache's `open`, which lends one at a time.
        for id in [here, there].into_iter().flatten() {
            self.open(id)?;
        }
        let trees = &*self.trees;
        let entries = |id: Option<Oid>| id.and_then(|id| trees.get(&id)).into_iter().flat_map(|tree| tree.iter());
        let (mut left, mut right) = (entries(here).peekable(), entries(there).peekable());
        loop {
            let order = match (left.peek(), right.peek()) {
                (None, None) => return Ok(changed),
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (Some(left), Some(right)) => by_name(left, right),
            };
            let one = if order.is_le() { left.next() } else { None };
            let other = if order.is_ge() { right.next() } else { None };
            let of = |entry: &TreeEntry<'_>| (entry.id(), tree::kind(entry));
            let (found, there) = (one.as_ref().map(of), other.as_ref().map(of));
            if found != there
                && let Some(entry) = one.as_ref().or(other.as_ref())
            {
                // A file that became a folder stands at two places.
                let both = changed.entry(entry.name_bytes().to_vec()).or_default();
                *both = (found.or(both.0), there.or(both.1));
            }
        }
    }
}

/// Git's order of entries: a folder's name as if a slash followed it.
fn by_name(left: &TreeEntry<'_>, right: &TreeEntry<'_>) -> Ordering {
    let slash = |entry: &TreeEntry<'_>| (entry.filemode() == 0o040_000).then_some(b'/');
    let (left_slash, right_slash) = (slash(left), slash(right));
    let (left, right) = (left.name_bytes().iter().copied(), right.name_bytes().iter().copied());
    left.chain(left_slash).cmp(right.chain(right_slash))
}
