//! What a webhook names. In: the sender's type, headers and body. Out: repositories and refs, with the event's id and time.
//! Tags and digests are only looked at to tell whether a list of tags can have changed; they never leave this folder.

mod amazon;
mod artifactory;
mod azure;
mod cloud_events;
mod distribution;
mod docker_hub;
mod git;
mod gitea;
mod github;
mod google;
mod harbor;
mod nexus;
mod package_url;
mod quay;
mod shape;

use axum::http::HeaderMap;
use chrono::{DateTime, Utc};

use crate::api::webhook::{Sender, WebhookType};

pub use git::path_of as git_path;

/// A repository as a sender names it. Only ever compared: it must never reach a request, a pattern or a template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    /// The registry's host; none when the sender doesn't know under which name it is reached.
    pub host: Option<String>,
    /// The path below `/v2/`.
    pub path: String,
    /// The registry may serve it below one more part, whose name the sender doesn't know (virtual and group repositories).
    pub below: bool,
}

impl Named {
    fn at(host: &str, path: &str) -> Self {
        Self { host: Some(host.to_owned()), ..Self::anywhere(path) }
    }

    fn anywhere(path: &str) -> Self {
        Self { host: None, path: path.trim_matches('/').to_owned(), below: false }
    }
}

/// One event of a webhook.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Event {
    /// The names that the one repository may have; none when the sender doesn't say which it is.
    pub names: Option<Vec<Named>>,
    /// The sender's id of it.
    pub id: Option<String>,
    /// When it happened.
    pub at: Option<DateTime<Utc>>,
    /// The ref that moved, whole (`refs/heads/main`); none when the sender doesn't say, or something else happened than a push.
    pub reference: Option<String>,
}

impl Event {
    fn of(named: Named) -> Self {
        Self { names: Some(vec![named]), ..Self::default() }
    }

    fn marked(mut self, id: Option<&str>, at: Option<DateTime<Utc>>) -> Self {
        (self.id, self.at) = (id.map(str::to_owned), at);
        self
    }
}

/// A body that its sender's type never has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the webhook's body is malformed at line {line}, column {column}")]
pub struct Malformed {
    line: usize,
    column: usize,
}

impl From<serde_json::Error> for Malformed {
    // The place only: serde's text repeats the body's.
    fn from(error: serde_json::Error) -> Self {
        Self { line: error.line(), column: error.column() }
    }
}

/// Reads a body: all entries of all its lists. An event that changes no list of tags (a pull, a ping, a scan) gives nothing.
///
/// # Errors
/// When the body is not what this type sends.
pub fn parse(sender: impl Into<Sender>, headers: &HeaderMap, body: &[u8]) -> Result<Vec<Event>, Malformed> {
    let kind = match sender.into() {
        Sender::Registry(kind) => kind,
        Sender::Git(kind) => return git::events(kind, headers, body),
    };
    match kind {
        WebhookType::Distribution => distribution::events(headers, body),
        WebhookType::Dockerhub => docker_hub::events(body),
        WebhookType::Ghcr => github::events(headers, body),
        WebhookType::Quay => quay::events(body),
        WebhookType::Harbor => harbor::events(headers, body),
        WebhookType::Acr => azure::events(body),
        WebhookType::Ecr => amazon::events(headers, body),
        WebhookType::Gar => google::events(body),
        WebhookType::Nexus => nexus::events(body),
        WebhookType::Artifactory => artifactory::events(body),
        WebhookType::Gitea => gitea::events(headers, body),
        WebhookType::Cdevents => cloud_events::events(headers, body),
        WebhookType::Generic | WebhookType::GenericHmac => Ok(vec![Event::default()]),
    }
}

/// One name for the hosts that are the same registry: Docker Hub's, and those of one account and region of ECR.
pub fn one_name(host: &str) -> String {
    let host = host.to_ascii_lowercase();
    let host = host.strip_suffix(":443").unwrap_or(&host);
    match host {
        "index.docker.io" | "registry-1.docker.io" | "registry.hub.docker.com" | "hub.docker.com" => {
            return "docker.io".to_owned();
        }
        _ => {}
    }
    amazon::account_and_region(host).map_or_else(|| host.to_owned(), |(account, region)| amazon::host(account, region))
}
