//! `ImageUpdate.spec.pullRequest` and what its status says: the request by which a proposal branch asks to be merged.

use std::fmt;

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::api::reference::LocalRef;

/// The one request by which what is pushed to `push.branch` asks to come onto the ConfigRepo's branch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct PullRequestSpec {
    /// Whose API the Git host speaks.
    pub provider: PullRequestProvider,
    /// The Secret of the namespace that says who we are to that API; the ConfigRepo's own when absent. `username` and `password`
    /// (or a token in its place); or `token` or `bearerToken`; or a GitHub App, as a ConfigRepo has it; beside them, `ca.crt`,
    /// `tls.crt` and `tls.key`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<LocalRef>,
    /// Where the API is; at its usual place on the ConfigRepo's host when absent.
    #[serde(default, rename = "apiURL", skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 2048))]
    #[x_kube(validation = ("self.matches('^https?://[^[:space:]]+$')", "write the address of the host's api, as in https://git.example.com/api/v1"))]
    pub api_url: Option<String>,
    /// The title, as a template with the names of `commit.messageTemplate`; the commit's usual subject when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub title_template: Option<String>,
    /// The description, as such a template; a list of the changes in Markdown when absent. What tagboat reads again is added below it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 8192))]
    pub body_template: Option<String>,
    /// Labels that it gets; those that people give it stay.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 20), inner(length(min = 1, max = 100)))]
    pub labels: Vec<String>,
    /// Asks the host to merge it as soon as its own rules allow, and in which way. It waits for people when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auto_merge: Option<AutoMerge>,
}

/// A Git host's API for pull requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum PullRequestProvider {
    /// GitHub, also Enterprise.
    Github,
    /// GitLab: a merge request.
    Gitlab,
    /// Gitea and Forgejo.
    Gitea,
    /// Bitbucket Cloud, and Bitbucket Data Center on any other host than bitbucket.org.
    Bitbucket,
    /// Azure DevOps.
    Azure,
}

/// How the host is to merge a request by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum AutoMerge {
    /// By a merge commit.
    Merge,
    /// As one new commit.
    Squash,
    /// By moving its commit onto the branch's head.
    Rebase,
}

/// The request as the host last showed it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PullRequestStatus {
    /// Its number.
    pub number: u64,
    /// Its page.
    pub url: String,
    /// What became of it.
    pub state: PullRequestState,
}

/// A branch with a proposal, and how the request from it is reached, as the spec said it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProposalStatus {
    /// The branch.
    pub branch: String,
    /// The branch that it is to come onto.
    pub base: String,
    /// Whose API the host speaks; none when no request was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider: Option<PullRequestProvider>,
    /// The Secret for that API, if it is not the ConfigRepo's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<LocalRef>,
    /// Where that API is, if not at its usual place.
    #[serde(default, rename = "apiURL", skip_serializing_if = "Option::is_none")]
    pub api_url: Option<String>,
}

/// What became of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum PullRequestState {
    /// It waits.
    Open,
    /// It is merged.
    Merged,
    /// It was closed without being merged.
    Closed,
}

impl fmt::Display for PullRequestStatus {
    /// `pull request 7 (its page)`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "pull request {} ({})", self.number, self.url)
    }
}
