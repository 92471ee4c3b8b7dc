//! GitLab, where pull requests are merge requests. In: a project, what is wanted. Out: calls and what they answer.
//! Facts: docs.gitlab.com, "Merge requests API" and "Notes API".

use chrono::{DateTime, Utc};
use reqwest::Method;
use serde::Deserialize;
use serde_json::{Value, json};

use super::error::Error;
use super::text::{Limits, missing_labels};
use super::{Forge, MergeMethod, REQUESTS, Request, State, Wanted};

/// As the host documents them.
const LIMITS: Limits = Limits { title: 255, body: 1 << 20 };
/// The most pages of requests that are read: the host's own filters leave next to nothing that is not ours.
const PAGES: usize = 10;

#[derive(Deserialize)]
struct MergeRequest {
    iid: u64,
    web_url: String,
    state: String,
    title: String,
    description: Option<String>,
    #[serde(default)]
    labels: Vec<String>,
    source_branch: String,
    target_branch: String,
    /// Absent when the fork is gone.
    source_project_id: Option<u64>,
    target_project_id: u64,
    sha: Option<String>,
    #[serde(default)]
    merge_when_pipeline_succeeds: bool,
    closed_by: Option<User>,
    closed_at: Option<DateTime<Utc>>,
}

#[derive(Deserialize)]
struct User {
    username: String,
}

impl MergeRequest {
    fn joins(&self, source: &str, target: &str) -> bool {
        self.source_branch == source
            && self.target_branch == target
            && self.source_project_id == Some(self.target_project_id)
    }

    fn request(self) -> Request {
        let state = match self.state.as_str() {
            "merged" => State::Merged,
            "closed" => State::Closed { by: self.closed_by.map(|user| user.username), at: self.closed_at },
            // `locked` is one that is being merged.
            _ => State::Open,
        };
        Request {
            number: self.iid,
            url: self.web_url,
            state,
            title: self.title,
            body: self.description.unwrap_or_default(),
            labels: self.labels,
            head: self.sha.and_then(|sha| sha.parse().ok()),
            auto_merge: self.merge_when_pipeline_succeeds,
            handle: String::new(),
        }
    }
}

/// The project's full path, one step of a URL's path.
fn project(forge: &Forge) -> String {
    format!("{}/{}", forge.repository.owner, forge.repository.name)
}

pub(super) async fn requests(forge: &Forge, source: &str, target: &str, most: usize) -> Result<Vec<Request>, Error> {
    let query = [
        ("state", "all"),
        ("source_branch", source),
        ("target_branch", target),
        ("order_by", "created_at"),
        ("sort", "desc"),
        ("per_page", "20"),
    ];
    let mut found: Vec<Request> = Vec::new();
    let take = |page: Vec<MergeRequest>| {
        let ours = page.into_iter().filter(|request| request.joins(source, target));
        found.extend(ours.map(MergeRequest::request));
        found.len() < most
    };
    let project = project(forge);
    let path = ["projects", &project, "merge_requests"];
    forge.wire.pages("list the merge requests", &path, &query, PAGES, take).await?;
    found.truncate(most);
    Ok(found)
}

pub(super) async fn open(forge: &Forge, wanted: &Wanted<'_>) -> Result<Request, Error> {
    let body = json!({
        "title": LIMITS.title(wanted),
        "description": LIMITS.body(wanted),
        "source_branch": wanted.source,
        "target_branch": wanted.target,
    });
    let project = project(forge);
    let ask = forge.wire.ask(Method::POST, "open a merge request", &["projects", &project, "merge_requests"]);
    match ask.json(body).send().await {
        Ok(answer) => Ok(answer.read::<MergeRequest>()?.request()),
        Err(error) if error.is_refused_as(&[409, 422]) => {
            super::found_open(requests(forge, wanted.source, wanted.target, REQUESTS).await?, error)
        }
        Err(error) => Err(error),
    }
}

pub(super) async fn update(forge: &Forge, request: &Request, wanted: &Wanted<'_>) -> Result<(), Error> {
    let (project, number) = (project(forge), request.number.to_string());
    let mut changes = LIMITS.changes(request, wanted, "description");
    let labels = missing_labels(request, wanted);
    if !labels.is_empty() {
        // Creates those that the project does not have yet.
        changes.insert("add_labels".to_owned(), labels.join(",").into());
    }
    if !changes.is_empty() {
        let path = ["projects", &project, "merge_requests", &number];
        let ask = forge.wire.ask(Method::PUT, "change the merge request", &path);
        ask.json(Value::Object(changes)).send().await?;
    }
    match wanted.auto_merge {
        Some(method) if !request.auto_merge => auto_merge(forge, request, method).await,
        _ => Ok(()),
    }
}

/// Whether commits are merged or rebased is a setting of the project; only squashing is one of the request.
async fn auto_merge(forge: &Forge, request: &Request, method: MergeMethod) -> Result<(), Error> {
    let (project, number) = (project(forge), request.number.to_string());
    // The first name is that of hosts since 17.11, the second that of those before.
    let mut body = json!({
        "auto_merge": true,
        "merge_when_pipeline_succeeds": true,
        "squash": method == MergeMethod::Squash,
    });
    if let Some(head) = &request.head {
        body["sha"] = head.as_str().into();
    }
    let path = ["projects", &project, "merge_requests", &number, "merge"];
    let ask = forge.wire.ask(Method::PUT, "merge the merge request by itself", &path);
    // 405 and 422 while the host still looks whether it can be merged, or waits for a pipeline to be made; 409: another head.
    ask.json(body).send().await.map(drop).map_err(|error| error.passing(&[405, 406, 409, 422]))
}

pub(super) async fn close(forge: &Forge, request: &Request, comment: &str) -> Result<(), Error> {
    const DOING: &str = "close the merge request";
    let (project, number) = (project(forge), request.number.to_string());
    let path = ["projects", &project, "merge_requests", &number, "notes"];
    forge.wire.ask(Method::POST, DOING, &path).json(json!({ "body": comment })).send().await?;
    let path = ["projects", &project, "merge_requests", &number];
    forge.wire.ask(Method::PUT, DOING, &path).json(json!({ "state_event": "close" })).send().await.map(drop)
}
