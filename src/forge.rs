//! SHELL: the APIs by which Git hosts speak of pull requests (GitLab: merge requests). Goes in: a repository's URL, a login, what a
//! request should be. Comes out: the requests that there are, and how each is. Decides nothing; no secret in any text.

use std::fmt;
use std::time::Duration;

mod address;
mod azure;
mod bitbucket;
mod data_center;
mod error;
mod gitea;
mod github;
mod gitlab;
mod login;
mod text;
mod waits;
mod wire;
mod words;

#[cfg(test)]
mod tests;

pub use crate::api::image_update::{AutoMerge as MergeMethod, PullRequestProvider as Provider};
pub use crate::pull_request::{PullRequest as Request, State};
pub use error::Error;
pub use login::Login;

use self::address::{Api, Repository};
use self::wire::Wire;
use crate::reach::Way;

/// So many requests of one pair of branches are one call at most hosts.
pub const REQUESTS: usize = 20;
/// The most that are listed.
pub const ALL_REQUESTS: usize = 200;

/// What a request should be.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'a> {
    /// The branch with the commits, by its short name.
    pub source: &'a str,
    /// The branch that they should come to, by its short name.
    pub target: &'a str,
    /// One line; cut where it is longer than the host allows.
    pub title: &'a str,
    /// The description; cut where it is longer than the host allows.
    pub body: &'a str,
    /// Labels to have. Others that people gave stay.
    pub labels: &'a [String],
    /// Merge as soon as the host's rules allow it. `None` leaves what a person may have set.
    pub auto_merge: Option<MergeMethod>,
}

/// A repository at a host's API. Cheap to clone.
#[derive(Clone)]
pub struct Forge {
    provider: Provider,
    repository: Repository,
    wire: Wire,
    timeout: Duration,
}

impl fmt::Debug for Forge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let repository = &self.repository;
        f.debug_struct("Forge")
            .field("provider", &self.provider)
            .field("repository", repository)
            .finish_non_exhaustive()
    }
}

impl Forge {
    /// `url` is the repository's for Git (`https://`, `http://`, `ssh://`, `user@host:path`); `base` the API's address where it
    /// is not at the host's usual place. `timeout` is the limit of one operation, whatever number of calls it takes.
    ///
    /// # Errors
    /// The URL is none of this provider, `base` is no address or lets the login pass in the open although `url` does not, or
    /// the login fits no header.
    pub fn new(
        provider: Provider,
        url: &str,
        base: Option<&str>,
        login: Login,
        way: &Way,
        timeout: Duration,
    ) -> Result<Self, Error> {
        let repository = Repository::find(provider, url, base)?;
        let wire = Wire::new(&repository, &login, way)?;
        Ok(Self { provider, repository, wire, timeout })
    }

    /// Requests from branch `source` to branch `target` of this repository itself (never from a fork), newest first, `most` of them
    /// ([`REQUESTS`], [`ALL_REQUESTS`]): open, merged and closed ones. Gitea can't look for a branch, so there the newest 500 are
    /// looked through, and for [`REQUESTS`] no further than the page that holds the first.
    ///
    /// # Errors
    /// The host refuses, can't be reached, or answers something else than its API.
    pub async fn requests(&self, source: &str, target: &str, most: usize) -> Result<Vec<Request>, Error> {
        self.limited(async {
            match self.repository.api {
                Api::Github => github::requests(self, source, target, most).await,
                Api::Gitea => gitea::requests(self, source, target, most).await,
                Api::Gitlab => gitlab::requests(self, source, target, most).await,
                Api::BitbucketCloud => bitbucket::requests(self, source, target, most).await,
                Api::BitbucketDataCenter => data_center::requests(self, source, target, most).await,
                Api::Azure => azure::requests(self, source, target, most).await,
            }
        })
        .await
    }

    /// Opens a request with its title and body, or finds the one that is open already. Labels and auto-merge come by
    /// [`Forge::update`] with what this returned, so that their failure loses nothing. Never called again by itself.
    ///
    /// # Errors
    /// The host refuses, can't be reached (the request may be there then: list again), or answers something else than its API.
    pub async fn open(&self, wanted: &Wanted<'_>) -> Result<Request, Error> {
        self.limited(async {
            match self.repository.api {
                Api::Github => github::open(self, wanted).await,
                Api::Gitea => gitea::open(self, wanted).await,
                Api::Gitlab => gitlab::open(self, wanted).await,
                Api::BitbucketCloud => bitbucket::open(self, wanted).await,
                Api::BitbucketDataCenter => data_center::open(self, wanted).await,
                Api::Azure => azure::open(self, wanted).await,
            }
        })
        .await
    }

    /// Brings title, body, labels and auto-merge of an open request to what is wanted, with no call for what is so already.
    /// Auto-merge that the host finds pointless, as nothing stands in the way, merges at once.
    ///
    /// # Errors
    /// As for the others. All that can be done is done; then [`Error::Unsupported`] says what this host does not have.
    pub async fn update(&self, request: &Request, wanted: &Wanted<'_>) -> Result<(), Error> {
        self.limited(async {
            match self.repository.api {
                Api::Github => github::update(self, request, wanted).await,
                Api::Gitea => gitea::update(self, request, wanted).await,
                Api::Gitlab => gitlab::update(self, request, wanted).await,
                Api::BitbucketCloud => bitbucket::update(self, request, wanted).await,
                Api::BitbucketDataCenter => data_center::update(self, request, wanted).await,
                Api::Azure => azure::update(self, request, wanted).await,
            }
        })
        .await
    }

    /// Says why in a comment, then closes the request unmerged.
    ///
    /// # Errors
    /// As for the others.
    pub async fn close(&self, request: &Request, comment: &str) -> Result<(), Error> {
        self.limited(async {
            match self.repository.api {
                Api::Github => github::close(self, request, comment).await,
                Api::Gitea => gitea::close(self, request, comment).await,
                Api::Gitlab => gitlab::close(self, request, comment).await,
                Api::BitbucketCloud => bitbucket::close(self, request, comment).await,
                Api::BitbucketDataCenter => data_center::close(self, request, comment).await,
                Api::Azure => azure::close(self, request, comment).await,
            }
        })
        .await
    }

    async fn limited<T>(&self, operation: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        let limit = self.timeout;
        tokio::time::timeout(limit, operation).await.unwrap_or(Err(Error::Timeout { limit }))
    }
}

/// The open one of these, when a host refused to open another; else it meant something else.
fn found_open(requests: Vec<Request>, refusal: Error) -> Result<Request, Error> {
    requests.into_iter().find(|request| request.state == State::Open).ok_or(refusal)
}

/// What is good to know only: nothing when the login may not read it.
fn if_allowed<T>(answer: Result<T, Error>) -> Result<Option<T>, Error> {
    match answer {
        Err(error) if error.is_refused_as(&[401, 403, 404]) => Ok(None),
        answer => answer.map(Some),
    }
}
