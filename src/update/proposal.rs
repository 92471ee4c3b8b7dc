//! What the host says of the requests between two branches × what a run would change → what a person said no to, and what to do:
//! open, update, nothing. The host is the only truth: of requests nothing is remembered.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};

use super::edit::Change;
use super::trailers::{self, Recorded};
use crate::api::image_update::{HoldStatus, ProposalStatus, PullRequestProvider, PullRequestState, PullRequestStatus};
use crate::failure::Failure;
use crate::pull_request::{PullRequest, State};
use crate::revision::CommitId;

pub mod left;
pub mod said;
pub mod text;

use said::Said;
use text::Words;

/// Who closed a request, where the host does not say it.
const SOMEBODY: &str = "somebody";

/// What a run knows of its requests, for the status.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Proposal {
    /// The newest request.
    pub request: Option<PullRequestStatus>,
    /// Why the request could not be brought up to date, although what is below it was done.
    pub failure: Option<Failure>,
    /// Where proposals still are or may be, once what was left behind is dealt with.
    pub places: Option<Vec<ProposalStatus>>,
    /// What became of those that were left behind, for events.
    pub notes: Vec<String>,
}

/// A value that a person said no to, by closing the newest request that had it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// The value and its place.
    pub said: Said,
    /// Whether no newer request had any value for this place.
    pub is_latest: bool,
    /// Who.
    pub by: String,
    /// When.
    pub at: DateTime<Utc>,
    /// The last commit of the request, if it is known.
    pub commit: Option<CommitId>,
    /// How, for people.
    pub reason: String,
    /// The request's page.
    pub url: String,
}

impl Refused {
    fn of(request: &PullRequest, said: Said, told: &[HoldStatus]) -> Option<Self> {
        let State::Closed { by, at } = &request.state else { return None };
        // Some hosts say it only for a while.
        let told = told.iter().find(|hold| hold.request.as_ref() == Some(&request.url));
        let by = by.clone().or_else(|| told.map(|hold| hold.by.clone())).unwrap_or_else(|| SOMEBODY.to_owned());
        let at = at.or_else(|| told.map(|hold| hold.at)).unwrap_or_default();
        let by = crate::failure::printable(&by, 100);
        let reason = format!("pull request {} was closed unmerged by {by} ({})", request.number, request.url);
        let (commit, url) = (request.head.clone(), request.url.clone());
        Some(Self { said, is_latest: true, by, at, commit, reason, url })
    }

    fn still(hold: &HoldStatus, said: Said, url: &str) -> Self {
        Self {
            said,
            is_latest: true,
            by: hold.by.clone(),
            at: hold.at,
            commit: Some(hold.commit.clone()),
            reason: hold.reason.clone(),
            url: url.to_owned(),
        }
    }
}

/// What people said no to. `requests` are the newest ones of the branch, the newest first; `told` are the holds that the status
/// tells of, which count where the host lists no further back (`is_cut`). Of each value the newest request that had it decides;
/// one that we closed ourselves says nothing any more.
pub fn refused(requests: &[PullRequest], is_cut: bool, told: &[HoldStatus]) -> Vec<Refused> {
    let mut found: Vec<Refused> = Vec::new();
    let (mut values, mut places): (BTreeSet<String>, BTreeSet<String>) = Default::default();
    for request in requests {
        let all = said::read(&request.body);
        for said in all.iter().filter(|said| !values.contains(&said.value)) {
            let is_latest = !places.contains(&said.place);
            found.extend(Refused::of(request, said.clone(), told).map(|refused| Refused { is_latest, ..refused }));
        }
        for said in all {
            values.insert(said.value);
            places.insert(said.place);
        }
    }
    for hold in told.iter().filter(|_| is_cut) {
        let Some(url) = &hold.request else { continue };
        let said = Said::of(&hold.file, &hold.policy, &hold.field, &hold.value);
        if requests.iter().all(|request| request.url != *url) && values.insert(said.value.clone()) {
            found.push(Refused::still(hold, said, url));
        }
    }
    found
}

/// Adds to the newest requests the older ones that were listed before: those that the list no longer reaches.
pub fn add_older(now: &mut Vec<PullRequest>, before: &[PullRequest]) {
    let Some(oldest) = now.iter().map(|request| request.number).min() else { return };
    now.extend(before.iter().filter(|request| request.number < oldest).cloned());
}

/// The request that waits: the first one, if several do.
pub fn open(requests: &[PullRequest]) -> Option<usize> {
    requests.iter().rposition(|request| request.state == State::Open)
}

/// Others of ours that wait beside it. Gitea opens two when two controllers ask at the same instant.
pub fn doubles(requests: &[PullRequest]) -> impl Iterator<Item = usize> {
    let (first, mark) = (open(requests), |request: &PullRequest| !said::read(&request.body).is_empty());
    let open = requests.iter().enumerate().filter(move |(_, request)| request.state == State::Open && mark(request));
    open.map(|(at, _)| at).filter(move |at| Some(*at) != first)
}

/// Whether what was read of the source is too old for a decision: what the newest request had is merged since.
pub fn is_merged(requests: &[PullRequest]) -> bool {
    requests.first().is_some_and(|request| request.state == State::Merged)
}

/// The request that a status tells of.
pub fn told(requests: &[PullRequest]) -> Option<PullRequestStatus> {
    let request = open(requests).and_then(|at| requests.get(at)).or_else(|| requests.first())?;
    let state = match request.state {
        State::Open => PullRequestState::Open,
        State::Merged => PullRequestState::Merged,
        State::Closed { .. } => PullRequestState::Closed,
    };
    Some(PullRequestStatus { number: request.number, url: request.url.clone(), state })
}

/// What to do about the request of a pushed proposal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// None waits: open one.
    Open,
    /// It lacks something: what it should say.
    Update {
        /// The title.
        title: String,
        /// The description.
        body: String,
    },
    /// It is as it should be.
    Nothing,
}

/// What to do about the request that waits. What people made of title and description stays until there is something new to say.
pub fn step(request: Option<&PullRequest>, words: &Words, labels: &[String], auto_merge: bool) -> Step {
    let Some(request) = request else { return Step::Open };
    let has = |label: &String| request.labels.iter().any(|other| other.eq_ignore_ascii_case(label));
    if !text::has_mark(&request.body, &words.mark) {
        Step::Update { title: words.title.clone(), body: words.body.clone() }
    } else if !labels.iter().all(has) || (auto_merge && !request.auto_merge) {
        Step::Update { title: request.title.clone(), body: request.body.clone() }
    } else {
        Step::Nothing
    }
}

/// How long a description may be at a host, in bytes; a little below what it allows, as hosts count differently.
pub fn room(provider: PullRequestProvider) -> usize {
    match provider {
        PullRequestProvider::Azure => 3_900,
        PullRequestProvider::Bitbucket => 30_000,
        PullRequestProvider::Github | PullRequestProvider::Gitlab | PullRequestProvider::Gitea => 60_000,
    }
}

/// Why a request is closed that says what another one says.
pub const DOUBLE: &str = "Closed by tagboat, since an earlier request proposes the same.";

/// Why a request is closed that has nothing left to propose.
pub fn farewell(source: &str, head: &CommitId, holds: &[HoldStatus]) -> String {
    let why = match holds {
        [] => format!("{source} has what the policies chose (as of {}): nothing is left to merge here.", head.short()),
        [first, ..] => format!("what it proposed is held back: {}.", first.reason),
    };
    format!("Closed by tagboat, since {why} The next choice opens a new request.")
}

/// A commit as far as it tells whose it is.
#[derive(Debug, Clone, Copy)]
pub struct Head<'a> {
    /// Name and address of who wrote it.
    pub author: (&'a str, &'a str),
    /// Name and address of who put it where it is.
    pub committer: (&'a str, &'a str),
    /// How many parents it has.
    pub parents: usize,
    /// Its message.
    pub message: &'a str,
}

/// Whether the head of a proposal branch is a commit of ours for this namespace that nobody has touched: one parent, our trailers,
/// and author and committer alike, which an amended, rebased or picked commit has not.
pub fn is_ours(head: &Head<'_>, namespace: &str) -> bool {
    let recorded = trailers::read(head.message);
    let of_namespace = |recorded: &Recorded| recorded.policy.split_once(':').is_some_and(|(of, _)| of == namespace);
    head.parents == 1 && head.author == head.committer && !recorded.is_empty() && recorded.iter().all(of_namespace)
}

/// How many values a request proposes, for people.
pub fn waiting(changes: &[Change], request: &PullRequestStatus) -> String {
    match changes.len() {
        1 => format!("1 new value waits in {request}"),
        values => format!("{values} new values wait in {request}"),
    }
}

#[cfg(test)]
mod tests;
