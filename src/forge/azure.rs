//! Azure DevOps. In: a repository, what is wanted. Out: calls and what they answer. Its lists cut descriptions, so an open request is
//! read by itself. Facts: learn.microsoft.com, "Azure DevOps Services REST API", Git, version 7.1.

use chrono::{DateTime, Utc};
use reqwest::Method;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::{Value, json};

use super::error::Error;
use super::text::{Limits, missing_labels};
use super::wire::Ask;
use super::{Forge, MergeMethod, REQUESTS, Request, State, Wanted};

/// As the host documents the second and checks the first.
const LIMITS: Limits = Limits { title: 400, body: 4000 };
/// The most pages of requests that are read: the host's own filters leave next to nothing that is not ours.
const PAGES: usize = 10;
/// How many requests a page has.
const PAGE: usize = 20;
const VERSION: (&str, &str) = ("api-version", "7.1");

#[derive(Deserialize)]
struct List {
    value: Vec<Pull>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Pull {
    pull_request_id: u64,
    status: String,
    title: String,
    description: Option<String>,
    source_ref_name: String,
    target_ref_name: String,
    /// Only when the source is in a fork.
    fork_source: Option<IgnoredAny>,
    closed_by: Option<Identity>,
    closed_date: Option<DateTime<Utc>>,
    last_merge_source_commit: Option<Commit>,
    auto_complete_set_by: Option<IgnoredAny>,
    labels: Option<Vec<Label>>,
    repository: Option<Repo>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Identity {
    display_name: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Commit {
    commit_id: String,
}

#[derive(Deserialize)]
struct Label {
    name: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Repo {
    web_url: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Connection {
    authenticated_user: Authenticated,
}

#[derive(Deserialize)]
struct Authenticated {
    id: String,
}

impl Pull {
    fn joins(&self, source: &str, target: &str) -> bool {
        self.source_ref_name == source && self.target_ref_name == target && self.fork_source.is_none()
    }

    fn request(self, forge: &Forge) -> Request {
        let state = match self.status.as_str() {
            "completed" => State::Merged,
            "abandoned" => {
                State::Closed { by: self.closed_by.and_then(|user| user.display_name), at: self.closed_date }
            }
            _ => State::Open,
        };
        let page = self.repository.and_then(|repository| repository.web_url).unwrap_or_else(|| {
            let (owner, name) = (&*forge.repository.owner, &*forge.repository.name);
            forge.wire.ask(Method::GET, "", &[owner, "_git", name]).address()
        });
        Request {
            number: self.pull_request_id,
            url: format!("{page}/pullrequest/{}", self.pull_request_id),
            state,
            title: self.title,
            body: self.description.unwrap_or_default(),
            labels: self.labels.unwrap_or_default().into_iter().map(|label| label.name).collect(),
            head: self.last_merge_source_commit.and_then(|commit| commit.commit_id.parse().ok()),
            auto_merge: self.auto_complete_set_by.is_some(),
            handle: String::new(),
        }
    }
}

fn branch(name: &str) -> String {
    format!("refs/heads/{name}")
}

/// A call of what lies below the repository's requests.
fn ask<'a>(forge: &'a Forge, method: Method, doing: &'static str, below: &[&str]) -> Ask<'a> {
    let (project, name) = (&*forge.repository.owner, &*forge.repository.name);
    let path = [&[project, "_apis", "git", "repositories", name, "pullrequests"], below].concat();
    forge.wire.ask(method, doing, &path).query(&[VERSION])
}

pub(super) async fn requests(forge: &Forge, source: &str, target: &str, most: usize) -> Result<Vec<Request>, Error> {
    const DOING: &str = "list the pull requests";
    let (source, target) = (branch(source), branch(target));
    let mut found: Vec<Request> = Vec::new();
    for page in 0..PAGES {
        let (top, skip) = (PAGE.to_string(), (page * PAGE).to_string());
        let query = [
            ("searchCriteria.sourceRefName", source.as_str()),
            ("searchCriteria.targetRefName", &target),
            ("searchCriteria.status", "all"),
            ("$top", &top),
            ("$skip", &skip),
        ];
        let list: List = ask(forge, Method::GET, DOING, &[]).query(&query).send().await?.read()?;
        let is_last = list.value.len() < PAGE;
        let ours = list.value.into_iter().filter(|pull| pull.joins(&source, &target));
        found.extend(ours.map(|pull| pull.request(forge)));
        if is_last || found.len() >= most {
            break;
        }
    }
    found.sort_by_key(|request| std::cmp::Reverse(request.number));
    found.truncate(most);
    // At most one is open.
    if let Some(open) = found.iter_mut().find(|request| request.state == State::Open) {
        let whole: Pull = ask(forge, Method::GET, DOING, &[&open.number.to_string()]).send().await?.read()?;
        *open = whole.request(forge);
    }
    Ok(found)
}

pub(super) async fn open(forge: &Forge, wanted: &Wanted<'_>) -> Result<Request, Error> {
    let body = json!({
        "title": LIMITS.title(wanted),
        "description": LIMITS.body(wanted),
        "sourceRefName": branch(wanted.source),
        "targetRefName": branch(wanted.target),
    });
    match ask(forge, Method::POST, "open a pull request", &[]).json(body).send().await {
        Ok(answer) => Ok(answer.read::<Pull>()?.request(forge)),
        Err(error) if error.is_refused_as(&[400, 409]) => {
            super::found_open(requests(forge, wanted.source, wanted.target, REQUESTS).await?, error)
        }
        Err(error) => Err(error),
    }
}

pub(super) async fn update(forge: &Forge, request: &Request, wanted: &Wanted<'_>) -> Result<(), Error> {
    let number = request.number.to_string();
    let changes = LIMITS.changes(request, wanted, "description");
    if !changes.is_empty() {
        let ask = ask(forge, Method::PATCH, "change the pull request", &[&number]);
        ask.json(Value::Object(changes)).send().await?;
    }
    // One by one; each is created when the project does not have it yet.
    for label in missing_labels(request, wanted) {
        let ask = ask(forge, Method::POST, "label the pull request", &[&number, "labels"]);
        ask.json(json!({ "name": label })).send().await?;
    }
    match wanted.auto_merge {
        Some(method) if !request.auto_merge => auto_merge(forge, &number, method).await,
        _ => Ok(()),
    }
}

async fn auto_merge(forge: &Forge, number: &str, method: MergeMethod) -> Result<(), Error> {
    const DOING: &str = "merge the pull request by itself";
    let strategy = match method {
        MergeMethod::Merge => "noFastForward",
        MergeMethod::Squash => "squash",
        MergeMethod::Rebase => "rebase",
    };
    // It is set in somebody's name: ours. Who that is, the host says.
    let us = forge.wire.ask(Method::GET, DOING, &["_apis", "connectionData"]).query(&[("api-version", "7.1-preview")]);
    let us: Connection = us.send().await?.read()?;
    let body = json!({
        "autoCompleteSetBy": {"id": us.authenticated_user.id},
        "completionOptions": {"mergeStrategy": strategy},
    });
    ask(forge, Method::PATCH, DOING, &[number]).json(body).send().await.map(drop)
}

pub(super) async fn close(forge: &Forge, request: &Request, comment: &str) -> Result<(), Error> {
    const DOING: &str = "close the pull request";
    let number = request.number.to_string();
    // A thread that asks nobody for an answer.
    let thread = json!({
        "comments": [{"parentCommentId": 0, "content": comment, "commentType": "text"}],
        "status": "closed",
    });
    ask(forge, Method::POST, DOING, &[&number, "threads"]).json(thread).send().await?;
    ask(forge, Method::PATCH, DOING, &[&number]).json(json!({ "status": "abandoned" })).send().await.map(drop)
}
