//! What of a repository is followed, and where that was found. Plain data, shared by what asks the host and what fetches.

use super::Error;
use super::mirror::{branch_ref, full_ref, head_ref};
use crate::revision::CommitId;

/// Where the mirror keeps what is followed when that is no branch. No branch is kept by this name: a `%` in theirs is written `%25`.
const FOLLOWED: &str = "refs/tagboat/%";

/// What of a repository is followed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// A branch, by its short name.
    Branch(String),
    /// Any other ref.
    Ref {
        /// Its full name.
        name: String,
        /// The object that it points to itself: an annotated tag's own. It is fetched too.
        object: CommitId,
    },
    /// A commit, by its id alone.
    Commit,
}

impl From<&str> for Target {
    fn from(branch: &str) -> Self {
        Self::Branch(branch.to_owned())
    }
}

impl From<&String> for Target {
    fn from(branch: &String) -> Self {
        Self::Branch(branch.clone())
    }
}

impl From<&Self> for Target {
    fn from(target: &Self) -> Self {
        target.clone()
    }
}

impl Target {
    /// Its full name, checked; none for a commit.
    pub(super) fn name(&self) -> Result<Option<String>, Error> {
        match self {
            Self::Branch(branch) => branch_ref(branch).map(Some),
            Self::Ref { name, .. } => full_ref(name).map(|()| Some(name.clone())),
            Self::Commit => Ok(None),
        }
    }

    /// The ref of the mirror for it.
    pub(super) fn kept(&self) -> String {
        match self {
            Self::Branch(branch) => head_ref(branch),
            Self::Ref { .. } | Self::Commit => FOLLOWED.to_owned(),
        }
    }

    /// The object to ask for, when its commit is this one.
    pub(super) fn object<'t>(&'t self, commit: &'t CommitId) -> &'t CommitId {
        if let Self::Ref { object, .. } = self { object } else { commit }
    }
}

/// A ref as the host lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Its full name.
    pub name: String,
    /// The object that it points to.
    pub object: CommitId,
    /// What that leads to: the same, unless it is an annotated tag.
    pub commit: CommitId,
}
