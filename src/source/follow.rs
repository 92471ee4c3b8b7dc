//! `spec.ref` × the refs of a repository → what is followed, and which ref that is now. A commit goes before a name, a name before a
//! range, a range before a tag, a tag before a branch, as in Flux; but what would be passed over is an error.

use std::cmp::Ordering;

use crate::api::config_repo::GitRef;
use crate::revision::{CommitId, Revision};
use crate::version::range::Range;
use crate::version::{self, Parts};

const TAGS: &str = "refs/tags/";
const BRANCHES: &str = "refs/heads/";

/// What is followed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Follow {
    /// A branch, by its short name.
    Branch(String),
    /// A tag, by its short name.
    Tag(String),
    /// The newest tag of a range.
    Semver {
        /// The range.
        range: Range,
        /// As it was written.
        text: String,
    },
    /// A ref, by its full name.
    Name(String),
    /// A commit, which must be on the branch if there is one.
    Commit {
        /// The commit.
        commit: CommitId,
        /// The branch's short name.
        branch: Option<String>,
    },
}

impl Follow {
    /// Reads the spec.
    ///
    /// # Errors
    /// The field, and what is wrong with it.
    pub fn read(spec: &GitRef) -> Result<Self, String> {
        let GitRef { branch, tag, semver, name, commit } = spec;
        let ways = [("commit", commit), ("name", name), ("semver", semver), ("tag", tag)];
        let given: Vec<&str> = ways.iter().filter(|(_, value)| value.is_some()).map(|(way, _)| *way).collect();
        match given[..] {
            [] | ["commit"] => {}
            [one] if branch.is_some() => {
                return Err(format!("spec.ref.branch: it goes alone or with commit, remove it beside {one}"));
            }
            [_] => {}
            [first, second, ..] => return Err(format!("spec.ref.{second}: set only one of {first} and {second}")),
        }
        Ok(match (commit, name, semver, tag) {
            (Some(commit), ..) => {
                let commit = commit.parse().map_err(|error: String| {
                    format!("spec.ref.commit: {error}, write all of its digits in lower case")
                })?;
                Self::Commit { commit, branch: branch.clone() }
            }
            (_, Some(name), ..) if name.starts_with("refs/") => Self::Name(name.clone()),
            (_, Some(_), ..) => {
                return Err("spec.ref.name: write the ref's full name, as in refs/heads/main".to_owned());
            }
            (_, _, Some(text), _) => {
                let range =
                    Range::parse(text).map_err(|reason| format!("spec.ref.semver: {text:?} is no range: {reason}"))?;
                Self::Semver { range, text: text.clone() }
            }
            (.., Some(tag)) => Self::Tag(tag.clone()),
            _ => Self::Branch(branch.clone().unwrap_or_else(|| "main".to_owned())),
        })
    }

    /// The ref to ask the host for, by its full name, or with a slash at its end the folder of all that may be it; none for a commit.
    pub fn asks(&self) -> Option<String> {
        match self {
            Self::Branch(branch) | Self::Commit { branch: Some(branch), .. } => Some(format!("{BRANCHES}{branch}")),
            Self::Tag(tag) => Some(format!("{TAGS}{tag}")),
            Self::Semver { .. } => Some(TAGS.to_owned()),
            Self::Name(name) => Some(name.clone()),
            Self::Commit { branch: None, .. } => None,
        }
    }

    /// The branch that is read, by whatever name: nobody may delete it.
    pub fn reads_branch(&self) -> Option<&str> {
        match self {
            Self::Branch(branch) | Self::Commit { branch: Some(branch), .. } => Some(branch),
            Self::Name(name) => name.strip_prefix(BRANCHES),
            _ => None,
        }
    }

    /// Whether there is a branch that can be written to.
    pub fn is_branch(&self) -> bool {
        matches!(self, Self::Branch(_))
    }

    /// Whether what it leads to is a tag.
    pub fn is_tag(&self) -> bool {
        match self {
            Self::Tag(_) | Self::Semver { .. } => true,
            Self::Name(name) => name.starts_with(TAGS),
            Self::Branch(_) | Self::Commit { .. } => false,
        }
    }

    /// What a revision calls a ref of this full name: its short name, unless it is followed by its full one (as Flux).
    pub fn label<'n>(&self, name: &'n str) -> &'n str {
        match self {
            Self::Name(_) => name,
            _ => name.strip_prefix(BRANCHES).or_else(|| name.strip_prefix(TAGS)).unwrap_or(name),
        }
    }

    /// Whether it may have led to this revision.
    pub fn may_be(&self, revision: &Revision) -> bool {
        match self {
            Self::Branch(name) | Self::Tag(name) | Self::Name(name) => *name == revision.name,
            Self::Semver { range, .. } => strict(&revision.name).is_some_and(|version| range.contains(&version)),
            Self::Commit { commit, branch } => {
                *commit == revision.commit && branch.as_deref().unwrap_or_default() == revision.name
            }
        }
    }
}

/// Which of the tags a range leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Newest<'t> {
    /// This one, by the place in the list.
    Tag(usize),
    /// None: the one in use is gone, and all that are left are older. Nobody asked to go back.
    OnlyOlder(&'t str),
    /// None is in the range.
    None,
}

/// The newest of the tags (short names) that a range takes. `current` is the one in use, if it is in the range. Of equal versions,
/// which differ in their build only, the one in use stays, else the greatest text wins.
pub fn newest<'t>(range: &Range, tags: impl Iterator<Item = &'t str>, current: Option<&str>) -> Newest<'t> {
    let current = current.and_then(|tag| Some((tag, strict(tag)?)));
    let order = |(a, x): &(&str, Parts<'_>), (b, y): &(&str, Parts<'_>)| -> Ordering {
        let is_current = |tag: &str| current.as_ref().is_some_and(|(current, _)| *current == tag);
        x.cmp(y).then_with(|| is_current(a).cmp(&is_current(b))).then_with(|| a.cmp(b))
    };
    let fits = tags
        .enumerate()
        .filter_map(|(at, tag)| Some((at, (tag, strict(tag).filter(|version| range.contains(version))?))));
    let best = fits.max_by(|(_, a), (_, b)| order(a, b));
    match (best, &current) {
        (None, _) => Newest::None,
        (Some((_, (tag, version))), Some((_, current))) if version < *current => Newest::OnlyOlder(tag),
        (Some((at, _)), _) => Newest::Tag(at),
    }
}

/// A tag as a version, with all of its three numbers and maybe a `v` (as Flux: `v1` often moves along with `v1.2.3`).
fn strict(tag: &str) -> Option<Parts<'_>> {
    let (_, rest) = version::leading_numbers(tag).ok()?;
    let has_three = tag[..tag.len() - rest.len()].split('.').count() == 3;
    version::read(tag).ok().filter(|_| has_three)
}

#[cfg(test)]
mod tests;
