//! The webhooks of Git hosts for pushes and pull requests, by the documentation of each ("Webhook events", "Event payloads",
//! "Service hooks events"). In: a body. Out: the repository, and the ref that moved.

use axum::http::HeaderMap;
use serde::Deserialize;

use super::shape::{Many, Text, json, unescaped};
use super::{Event, Malformed, Named};
use crate::api::webhook::GitWebhookType;

pub fn events(kind: GitWebhookType, headers: &HeaderMap, body: &[u8]) -> Result<Vec<Event>, Malformed> {
    let body = json(headers, body);
    Ok(match kind {
        GitWebhookType::Github | GitWebhookType::Gitea => serde_json::from_slice::<Hub>(&body)?.events(),
        GitWebhookType::Gitlab => serde_json::from_slice::<Lab>(&body)?.events(),
        GitWebhookType::Bitbucket => serde_json::from_slice::<Bucket>(&body)?.events(),
        GitWebhookType::BitbucketDatacenter => serde_json::from_slice::<DataCenter>(&body)?.events(),
        GitWebhookType::AzureDevops => serde_json::from_slice::<Azure>(&body)?.events(),
        GitWebhookType::Generic | GitWebhookType::GenericHmac => vec![Event::default()],
    })
}

/// An event for each ref, or one for something else than a push. Nothing when no repository is named.
fn told(name: Option<String>, refs: Vec<Option<String>>) -> Vec<Event> {
    let Some(name) = name else { return Vec::new() };
    let event = |reference| Event { reference, ..Event::of(Named::anywhere(&name)) };
    refs.into_iter().map(event).collect()
}

/// A ref by its short name and its kind, whole.
fn whole(kind: &Text, name: &Text) -> Option<String> {
    let folder = match kind.get()? {
        "branch" | "named_branch" => "heads",
        "tag" | "annotated_tag" => "tags",
        _ => return None,
    };
    Some(format!("refs/{folder}/{}", name.get()?))
}

/// GitHub's and Gitea's: `push`, `create`, `delete`, `pull_request`.
#[derive(Deserialize)]
struct Hub {
    #[serde(default, rename = "ref")]
    reference: Text,
    /// With it, the ref's name is a short one.
    #[serde(default)]
    ref_type: Text,
    pull_request: Option<Anything>,
    repository: Option<HubRepository>,
}

#[derive(Deserialize)]
struct HubRepository {
    #[serde(default)]
    full_name: Text,
}

/// Something that only counts for being there.
#[derive(Deserialize)]
struct Anything {}

impl Hub {
    fn events(self) -> Vec<Event> {
        let name = self.repository.and_then(|repository| repository.full_name.get().map(str::to_owned));
        let moved = match self.ref_type.get() {
            Some(_) => whole(&self.ref_type, &self.reference),
            None => self.reference.get().map(str::to_owned),
        };
        match (self.pull_request, moved) {
            (Some(_), _) => told(name, vec![None]),
            (None, Some(moved)) => told(name, vec![Some(moved)]),
            // A ping, a star, an issue.
            (None, None) => Vec::new(),
        }
    }
}

/// GitLab's: push, tag push and merge request events, of projects, groups and the whole system.
#[derive(Deserialize)]
struct Lab {
    #[serde(default)]
    object_kind: Text,
    #[serde(default)]
    event_name: Text,
    #[serde(default, rename = "ref")]
    reference: Text,
    project: Option<LabProject>,
}

#[derive(Deserialize)]
struct LabProject {
    #[serde(default)]
    path_with_namespace: Text,
}

impl Lab {
    fn events(self) -> Vec<Event> {
        let name = self.project.and_then(|project| project.path_with_namespace.get().map(str::to_owned));
        match self.object_kind.get().or(self.event_name.get()) {
            Some("push" | "tag_push") => told(name, vec![self.reference.get().map(str::to_owned)]),
            Some("merge_request") => told(name, vec![None]),
            _ => Vec::new(),
        }
    }
}

/// Bitbucket Cloud's: `repo:push`, `pullrequest:…`.
#[derive(Deserialize)]
struct Bucket {
    push: Option<BucketPush>,
    pullrequest: Option<Anything>,
    repository: Option<HubRepository>,
}

#[derive(Deserialize)]
struct BucketPush {
    #[serde(default)]
    changes: Many<BucketChange>,
}

/// A branch that is new has no `old`, one that was deleted no `new`.
#[derive(Deserialize)]
struct BucketChange {
    new: Option<BucketRef>,
    old: Option<BucketRef>,
}

#[derive(Deserialize)]
struct BucketRef {
    #[serde(default)]
    r#type: Text,
    #[serde(default)]
    name: Text,
}

impl Bucket {
    fn events(self) -> Vec<Event> {
        let name = self.repository.and_then(|repository| repository.full_name.get().map(str::to_owned));
        let moved = self.push.into_iter().flat_map(|push| push.changes.0).map(|change| {
            let end = change.new.or(change.old)?;
            whole(&end.r#type, &end.name)
        });
        told(name, moved.chain(self.pullrequest.map(|_| None)).collect())
    }
}

/// Bitbucket Data Center's: `repo:refs_changed`, `pr:…`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct DataCenter {
    repository: Option<DataCenterRepository>,
    #[serde(default)]
    changes: Many<DataCenterChange>,
    pull_request: Option<DataCenterRequest>,
}

#[derive(Deserialize)]
struct DataCenterRepository {
    #[serde(default)]
    slug: Text,
    project: Option<DataCenterProject>,
}

#[derive(Deserialize)]
struct DataCenterProject {
    #[serde(default)]
    key: Text,
}

#[derive(Deserialize)]
struct DataCenterChange {
    r#ref: Option<DataCenterRef>,
}

#[derive(Deserialize)]
struct DataCenterRef {
    #[serde(default)]
    id: Text,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct DataCenterRequest {
    to_ref: Option<DataCenterEnd>,
}

#[derive(Deserialize)]
struct DataCenterEnd {
    repository: Option<DataCenterRepository>,
}

impl DataCenter {
    fn events(self) -> Vec<Event> {
        let name = |of: Option<DataCenterRepository>| {
            let of = of?;
            Some(format!("{}/{}", of.project?.key.get()?, of.slug.get()?))
        };
        if let Some(request) = self.pull_request {
            return told(name(request.to_ref.and_then(|end| end.repository)), vec![None]);
        }
        let moved = self.changes.0.into_iter().map(|change| Some(change.r#ref?.id.get()?.to_owned()));
        told(name(self.repository), moved.collect())
    }
}

/// Azure DevOps': `git.push`, `git.pullrequest.…`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Azure {
    #[serde(default)]
    event_type: Text,
    resource: Option<AzureResource>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct AzureResource {
    #[serde(default)]
    ref_updates: Many<AzureUpdate>,
    repository: Option<AzureRepository>,
}

#[derive(Deserialize)]
struct AzureUpdate {
    #[serde(default)]
    name: Text,
}

#[derive(Deserialize)]
struct AzureRepository {
    #[serde(default)]
    name: Text,
    project: Option<AzureProject>,
}

#[derive(Deserialize)]
struct AzureProject {
    #[serde(default)]
    name: Text,
}

impl Azure {
    fn events(self) -> Vec<Event> {
        let Some(AzureResource { ref_updates, repository: Some(repository) }) = self.resource else {
            return Vec::new();
        };
        let project = repository.project.as_ref().and_then(|project| project.name.get());
        let name = repository.name.get().map(|name| match project {
            // The URL of a project's first repository names it once.
            Some(project) if project != name => format!("{project}/{name}"),
            _ => name.to_owned(),
        });
        match self.event_type.get() {
            Some("git.push") => {
                told(name, ref_updates.0.iter().map(|update| update.name.get().map(str::to_owned)).collect())
            }
            Some(kind) if kind.starts_with("git.pullrequest.") => told(name, vec![None]),
            _ => Vec::new(),
        }
    }
}

/// The path of a repository at its host, as payloads have it: owner and name, maybe below other folders.
pub fn path_of(url: &str) -> String {
    let path = match url.split_once("://") {
        Some((_, rest)) => rest.split_once('/').map_or("", |(_, path)| path),
        // `user@host:path`
        None => url.rsplit_once(':').map_or(url, |(_, path)| path),
    };
    let path = path.trim_matches('/');
    let path = path.strip_suffix(".git").unwrap_or(path);
    // What Azure DevOps has in its paths beside names.
    let parts = path.strip_prefix("v3/").unwrap_or(path).split('/').filter(|part| *part != "_git");
    let parts: Vec<_> =
        parts.map(|part| String::from_utf8_lossy(&unescaped(part.as_bytes(), false)).into_owned()).collect();
    parts.join("/")
}
