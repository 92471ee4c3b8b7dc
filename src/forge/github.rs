//! GitHub: REST for all but auto-merge, which only GraphQL has. In: a repository, what is wanted. Out: calls and what they answer.
//! Facts: docs.github.com, "REST API endpoints for pull requests" and "issues", version 2022-11-28; GraphQL reference.

use chrono::{DateTime, Utc};
use reqwest::{Method, Url};
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::{Value, json};

use super::error::Error;
use super::text::{Limits, missing_labels};
use super::{Forge, MergeMethod, REQUESTS, Request, State, Wanted};

/// What GitHub's database holds of each.
const LIMITS: Limits = Limits { title: 256, body: 65_536 };
/// The most pages of requests that are read: the host's own filters leave next to nothing that is not ours.
const PAGES: usize = 10;

#[derive(Deserialize)]
struct Pull {
    number: u64,
    node_id: String,
    html_url: String,
    state: String,
    title: String,
    body: Option<String>,
    #[serde(default)]
    labels: Vec<Label>,
    head: Branch,
    base: Branch,
    merged_at: Option<DateTime<Utc>>,
    closed_at: Option<DateTime<Utc>>,
    auto_merge: Option<IgnoredAny>,
}

#[derive(Deserialize)]
struct Label {
    name: String,
}

#[derive(Deserialize)]
struct Branch {
    #[serde(rename = "ref")]
    name: String,
    sha: String,
    /// Absent when the fork is gone.
    repo: Option<Repo>,
}

#[derive(Deserialize)]
struct Repo {
    id: u64,
}

#[derive(Deserialize)]
struct Issue {
    closed_by: Option<User>,
}

#[derive(Deserialize)]
struct User {
    login: String,
}

#[derive(Deserialize)]
struct Graph {
    #[serde(default)]
    errors: Vec<GraphError>,
}

#[derive(Deserialize)]
struct GraphError {
    #[serde(rename = "type")]
    kind: Option<String>,
    #[serde(default)]
    message: String,
}

impl Pull {
    fn joins(&self, source: &str, target: &str) -> bool {
        let repository = |branch: &Branch| branch.repo.as_ref().map(|repo| repo.id);
        self.head.name == source
            && self.base.name == target
            && repository(&self.head).is_some_and(|id| repository(&self.base) == Some(id))
    }

    fn request(self) -> Request {
        let state = match (self.merged_at, self.state.as_str()) {
            (Some(_), _) => State::Merged,
            (None, "open") => State::Open,
            (None, _) => State::Closed { by: None, at: self.closed_at },
        };
        Request {
            number: self.number,
            url: self.html_url,
            state,
            title: self.title,
            body: self.body.unwrap_or_default(),
            labels: self.labels.into_iter().map(|label| label.name).collect(),
            head: self.head.sha.parse().ok(),
            auto_merge: self.auto_merge.is_some(),
            handle: self.node_id,
        }
    }
}

pub(super) async fn requests(forge: &Forge, source: &str, target: &str, most: usize) -> Result<Vec<Request>, Error> {
    const DOING: &str = "list the pull requests";
    let (owner, name) = (forge.repository.owner.as_str(), forge.repository.name.as_str());
    let head = format!("{owner}:{source}");
    let query = [
        ("state", "all"),
        ("head", &head),
        ("base", target),
        ("sort", "created"),
        ("direction", "desc"),
        ("per_page", "20"),
    ];
    let mut found: Vec<Request> = Vec::new();
    let take = |page: Vec<Pull>| {
        found.extend(page.into_iter().filter(|pull| pull.joins(source, target)).map(Pull::request));
        found.len() < most
    };
    forge.wire.pages(DOING, &["repos", owner, name, "pulls"], &query, PAGES, take).await?;
    found.truncate(most);
    // Only the issue says who it was.
    if let Some(Request { number, state: State::Closed { by, .. }, .. }) = found.first_mut() {
        let path = ["repos", owner, name, "issues", &number.to_string()];
        if let Some(answer) = super::if_allowed(forge.wire.ask(Method::GET, DOING, &path).send().await)? {
            *by = answer.read::<Issue>()?.closed_by.map(|user| user.login);
        }
    }
    Ok(found)
}

pub(super) async fn open(forge: &Forge, wanted: &Wanted<'_>) -> Result<Request, Error> {
    let path = ["repos", forge.repository.owner.as_str(), &forge.repository.name, "pulls"];
    let body = json!({
        "title": LIMITS.title(wanted),
        "body": LIMITS.body(wanted),
        "head": wanted.source,
        "base": wanted.target,
    });
    match forge.wire.ask(Method::POST, "open a pull request", &path).json(body).send().await {
        Ok(answer) => Ok(answer.read::<Pull>()?.request()),
        Err(error) if error.is_refused_as(&[422]) => {
            super::found_open(requests(forge, wanted.source, wanted.target, REQUESTS).await?, error)
        }
        Err(error) => Err(error),
    }
}

pub(super) async fn update(forge: &Forge, request: &Request, wanted: &Wanted<'_>) -> Result<(), Error> {
    let (owner, name, number) = (&*forge.repository.owner, &*forge.repository.name, &*request.number.to_string());
    let changes = LIMITS.changes(request, wanted, "body");
    if !changes.is_empty() {
        let path = ["repos", owner, name, "pulls", number];
        let ask = forge.wire.ask(Method::PATCH, "change the pull request", &path);
        ask.json(Value::Object(changes)).send().await?;
    }
    let labels = missing_labels(request, wanted);
    if !labels.is_empty() {
        // Creates those that the repository does not have yet.
        let path = ["repos", owner, name, "issues", number, "labels"];
        let ask = forge.wire.ask(Method::POST, "label the pull request", &path);
        ask.json(json!({ "labels": labels })).send().await?;
    }
    match wanted.auto_merge {
        Some(method) if !request.auto_merge => auto_merge(forge, request, method).await,
        _ => Ok(()),
    }
}

async fn auto_merge(forge: &Forge, request: &Request, method: MergeMethod) -> Result<(), Error> {
    const DOING: &str = "merge the pull request by itself";
    const MUTATION: &str = "mutation($id: ID!, $method: PullRequestMergeMethod!) { \
        enablePullRequestAutoMerge(input: {pullRequestId: $id, mergeMethod: $method}) { clientMutationId } }";
    let (graph_method, rest_method) = match method {
        MergeMethod::Merge => ("MERGE", "merge"),
        MergeMethod::Squash => ("SQUASH", "squash"),
        MergeMethod::Rebase => ("REBASE", "rebase"),
    };
    let body = json!({"query": MUTATION, "variables": {"id": request.handle, "method": graph_method}});
    let ask = forge.wire.ask(Method::POST, DOING, &[]).at(graphql(&forge.repository.base))?;
    let answer: Graph = ask.json(body).send().await?.read()?;
    let Some(first) = answer.errors.first() else { return Ok(()) };
    if !answer.errors.iter().any(|error| error.message.contains("clean status")) {
        let words = answer.errors.iter().map(|error| error.message.as_str()).collect::<Vec<_>>().join("; ");
        let words = forge.wire.printable(&words);
        return Err(match first.kind.as_deref() {
            Some("RATE_LIMITED") => Error::RateLimited { status: 200, after: None, words },
            Some("FORBIDDEN") => Error::Refused { status: 403, doing: DOING, words },
            // The checks of a new commit are not known yet, or one that may fail did.
            _ if words.contains("unstable status") || words.contains("unknown status") => {
                Error::Http { status: 200, doing: DOING, after: None, words }
            }
            _ => Error::Refused { status: 422, doing: DOING, words },
        });
    }
    // Nothing to wait for.
    let path =
        ["repos", &forge.repository.owner, &forge.repository.name, "pulls", &request.number.to_string(), "merge"];
    let mut body = json!({ "merge_method": rest_method });
    if let Some(head) = &request.head {
        body["sha"] = head.as_str().into();
    }
    let merged = forge.wire.ask(Method::PUT, DOING, &path).json(body).send().await;
    merged.map(drop).map_err(|error| error.passing(&[405, 409]))
}

/// `https://host/api/v3` and `https://host/api/graphql` stand side by side; on github.com it is `https://api.github.com/graphql`.
fn graphql(base: &Url) -> Url {
    let mut url = base.clone();
    if let Ok(mut path) = url.path_segments_mut() {
        path.pop_if_empty();
    }
    let path = url.path().trim_end_matches('/').to_owned();
    url.set_path(&format!("{}/graphql", path.strip_suffix("/v3").unwrap_or(&path)));
    url
}

pub(super) async fn close(forge: &Forge, request: &Request, comment: &str) -> Result<(), Error> {
    const DOING: &str = "close the pull request";
    let (owner, name, number) = (&*forge.repository.owner, &*forge.repository.name, &*request.number.to_string());
    let path = ["repos", owner, name, "issues", number, "comments"];
    forge.wire.ask(Method::POST, DOING, &path).json(json!({ "body": comment })).send().await?;
    let path = ["repos", owner, name, "pulls", number];
    forge.wire.ask(Method::PATCH, DOING, &path).json(json!({ "state": "closed" })).send().await.map(drop)
}
