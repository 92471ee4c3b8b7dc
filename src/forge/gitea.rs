//! Gitea and Forgejo. In: a repository, what is wanted. Out: calls and what they answer. Their lists filter by no source branch, so
//! pages are read up to a limit. Facts: the OpenAPI page that each instance serves, and Gitea 1.26 itself.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use reqwest::Method;
use serde::Deserialize;
use serde_json::{Value, json};

use super::error::Error;
use super::text::{Limits, missing_labels};
use super::{Forge, MergeMethod, REQUESTS, Request, State, Wanted};

/// A title is a column of 255 characters; a description has no end, so ours.
const LIMITS: Limits = Limits { title: 255, body: 65_536 };
/// The most pages that are read, of 50 requests or labels each unless the host gives fewer.
const PAGES: usize = 10;
/// The color of a label that we create; the host wants one.
const COLOR: &str = "#1d76db";
const LIST: &str = "list the pull requests";

#[derive(Deserialize)]
struct Pull {
    number: u64,
    html_url: String,
    state: String,
    title: String,
    #[serde(default)]
    body: String,
    labels: Option<Vec<Label>>,
    head: Branch,
    base: Branch,
    #[serde(default)]
    merged: bool,
    closed_at: Option<DateTime<Utc>>,
}

#[derive(Deserialize)]
struct Label {
    id: u64,
    name: String,
}

#[derive(Deserialize)]
struct Branch {
    /// The branch's name, also when it is gone.
    label: String,
    /// The branch's name, or one below `refs/pull/` when it is gone.
    #[serde(rename = "ref")]
    name: String,
    sha: String,
    /// -1 when the fork is gone.
    repo_id: i64,
}

/// An entry of a request's history.
#[derive(Deserialize)]
struct Event {
    #[serde(rename = "type")]
    kind: String,
    user: Option<User>,
}

#[derive(Deserialize)]
struct User {
    login: String,
}

impl Pull {
    fn joins(&self, source: &str, target: &str) -> bool {
        (self.head.name == source || self.head.label == source)
            && (self.base.name == target || self.base.label == target)
            && self.head.repo_id == self.base.repo_id
    }

    fn request(self) -> Request {
        let state = match (self.merged, self.state.as_str()) {
            (true, _) => State::Merged,
            (false, "open") => State::Open,
            (false, _) => State::Closed { by: None, at: self.closed_at },
        };
        Request {
            number: self.number,
            url: self.html_url,
            state,
            title: self.title,
            body: self.body,
            labels: self.labels.unwrap_or_default().into_iter().map(|label| label.name).collect(),
            head: self.head.sha.parse().ok(),
            auto_merge: false, // the host does not tell
            handle: String::new(),
        }
    }
}

pub(super) async fn requests(forge: &Forge, source: &str, target: &str, most: usize) -> Result<Vec<Request>, Error> {
    let mut found =
        list(forge, (source, target), |found| found.len() >= most || (most <= REQUESTS && !found.is_empty())).await?;
    found.truncate(most);
    // Only the history says who it was.
    if let Some(Request { number, state: State::Closed { by, at }, .. }) = found.first_mut() {
        let (owner, name) = (forge.repository.owner.as_str(), forge.repository.name.as_str());
        let path = ["repos", owner, name, "issues", &number.to_string(), "timeline"];
        let mut ask = forge.wire.ask(Method::GET, LIST, &path);
        if let Some(at) = at {
            ask = ask.query(&[("since", &at.to_rfc3339_opts(chrono::SecondsFormat::Secs, true))]);
        }
        if let Some(answer) = super::if_allowed(ask.send().await)? {
            let history = answer.read::<Option<Vec<Event>>>()?.unwrap_or_default();
            let closed = history.into_iter().rfind(|event| event.kind == "close");
            *by = closed.and_then(|event| event.user).map(|user| user.login);
        }
    }
    Ok(found)
}

/// Page by page, until it is enough.
async fn list(
    forge: &Forge,
    (source, target): (&str, &str),
    is_enough: impl Fn(&[Request]) -> bool,
) -> Result<Vec<Request>, Error> {
    let path = ["repos", forge.repository.owner.as_str(), &forge.repository.name, "pulls"];
    // Hosts before 1.25 do not know `base_branch` and ignore it. Without `sort` the newest come first.
    let query = [("state", "all"), ("base_branch", target), ("limit", "50")];
    let mut found: Vec<Request> = Vec::new();
    let take = |page: Vec<Pull>| {
        found.extend(page.into_iter().filter(|pull| pull.joins(source, target)).map(Pull::request));
        !is_enough(&found)
    };
    forge.wire.pages(LIST, &path, &query, PAGES, take).await?;
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
        Err(error) if error.is_refused_as(&[409, 422]) => {
            let is_open = |request: &Request| request.state == State::Open;
            // One that was opened again may be older than others.
            let found = list(forge, (wanted.source, wanted.target), |found| found.iter().any(is_open)).await?;
            super::found_open(found, error)
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
        ask.json(Value::Object(changes)).send().await.map_err(|error| error.passing(&[409]))?;
    }
    let labels = missing_labels(request, wanted);
    if !labels.is_empty() {
        let ids = label_ids(forge, &labels).await?;
        let path = ["repos", owner, name, "issues", number, "labels"];
        let ask = forge.wire.ask(Method::POST, "label the pull request", &path);
        ask.json(json!({ "labels": ids })).send().await?;
    }
    match wanted.auto_merge {
        Some(method) => auto_merge(forge, request, method).await,
        None => Ok(()),
    }
}

/// The numbers of labels of these names, in the repository or its organization; those that are nowhere are created.
async fn label_ids(forge: &Forge, names: &[&str]) -> Result<Vec<u64>, Error> {
    const DOING: &str = "label the pull request";
    let (owner, repository) = (forge.repository.owner.as_str(), forge.repository.name.as_str());
    let mut known: BTreeMap<String, u64> = BTreeMap::new();
    let is_known = |known: &BTreeMap<String, u64>| names.iter().all(|name| known.contains_key(&name.to_lowercase()));
    for path in [&["repos", owner, repository, "labels"][..], &["orgs", owner, "labels"]] {
        let take = |page: Vec<Label>| {
            for label in page {
                known.entry(label.name.to_lowercase()).or_insert(label.id);
            }
            !is_known(&known)
        };
        match forge.wire.pages(DOING, path, &[("limit", "50")], PAGES, take).await {
            // The owner is a user, or the token may not look into the organization.
            Err(error) if path[0] == "orgs" && error.is_refused_as(&[401, 403, 404]) => {}
            done => done?,
        }
        if is_known(&known) {
            break;
        }
    }
    let mut ids = Vec::new();
    for name in names {
        let id = match known.get(&name.to_lowercase()) {
            Some(id) => *id,
            None => {
                let ask = forge.wire.ask(Method::POST, DOING, &["repos", owner, repository, "labels"]);
                ask.json(json!({"name": name, "color": COLOR})).send().await?.read::<Label>()?.id
            }
        };
        ids.push(id);
    }
    Ok(ids)
}

async fn auto_merge(forge: &Forge, request: &Request, method: MergeMethod) -> Result<(), Error> {
    let path =
        ["repos", &forge.repository.owner, &forge.repository.name, "pulls", &request.number.to_string(), "merge"];
    let method = match method {
        MergeMethod::Merge => "merge",
        MergeMethod::Squash => "squash",
        MergeMethod::Rebase => "rebase",
    };
    let mut body = json!({"Do": method, "merge_when_checks_succeed": true});
    if let Some(head) = &request.head {
        body["head_commit_id"] = head.as_str().into();
    }
    // 201: it will; 200: it did, as nothing stood in the way.
    match forge.wire.ask(Method::POST, "merge the pull request by itself", &path).json(body).send().await {
        Err(Error::Refused { status: 409, words, .. }) if words.contains("already scheduled") => Ok(()),
        // Between two looks of ours.
        Err(Error::Refused { status: 405, words, .. }) if words.contains("already merged") => Ok(()),
        // Just pushed: whether it can be merged is being found out.
        Err(Error::Refused { status, doing, words }) if status == 405 && words.contains("try again later") => {
            Err(Error::Http { status, doing, after: None, words })
        }
        answer => answer.map(drop).map_err(|error| error.passing(&[409])),
    }
}

pub(super) async fn close(forge: &Forge, request: &Request, comment: &str) -> Result<(), Error> {
    const DOING: &str = "close the pull request";
    let (owner, name, number) = (&*forge.repository.owner, &*forge.repository.name, &*request.number.to_string());
    let path = ["repos", owner, name, "issues", number, "comments"];
    forge.wire.ask(Method::POST, DOING, &path).json(json!({ "body": comment })).send().await?;
    let path = ["repos", owner, name, "pulls", number];
    forge.wire.ask(Method::PATCH, DOING, &path).json(json!({ "state": "closed" })).send().await.map(drop)
}
