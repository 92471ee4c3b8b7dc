//! Noun: a pull request (GitLab: merge request) as its host has it.

use chrono::{DateTime, Utc};

use crate::revision::CommitId;

/// What became of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// It waits.
    Open,
    /// It is on the target.
    Merged,
    /// Somebody closed it unmerged.
    Closed {
        /// Who, where the host says it and the login may read it; some say it of the newest request only.
        by: Option<String>,
        /// When, where the host says it.
        at: Option<DateTime<Utc>>,
    },
}

/// A request as the host has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PullRequest {
    /// Its number in the repository (GitLab: `iid`).
    pub number: u64,
    /// Its page for a browser.
    pub url: String,
    /// What became of it.
    pub state: State,
    /// Its title.
    pub title: String,
    /// Its description.
    pub body: String,
    /// The names of its labels; empty where the host has none.
    pub labels: Vec<String>,
    /// The last commit of its source, where the host says it in full.
    pub head: Option<CommitId>,
    /// Whether the host is told to merge it by itself, as far as it tells us.
    pub auto_merge: bool,
    /// What its host needs beside the number: GitHub's node id, a version for a later change.
    pub handle: String,
}
