//! Bitbucket Data Center. In: a repository, what is wanted. Out: calls and what they answer. It has no labels. Each change names the
//! version that it changes, so the request is read before. Facts: developer.atlassian.com, its REST API, version 8.15 and later.

use chrono::{DateTime, Utc};
use reqwest::Method;
use serde::Deserialize;
use serde_json::{Value, json};

use super::error::Error;
use super::text::Limits;
use super::{Forge, MergeMethod, REQUESTS, Request, State, Wanted};

/// As the host checks them.
const LIMITS: Limits = Limits { title: 255, body: 32_768 };
/// The most pages of requests that are read: the host's own filters leave next to nothing that is not ours.
const PAGES: usize = 10;
const CHANGE: &str = "change the pull request";
const CLOSE: &str = "close the pull request";
const MERGE: &str = "merge the pull request by itself";

#[derive(Deserialize)]
struct Page<T> {
    values: Vec<T>,
    #[serde(rename = "isLastPage", default)]
    is_last: bool,
    #[serde(rename = "nextPageStart")]
    next: Option<u64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Pull {
    id: u64,
    version: u64,
    title: String,
    description: Option<String>,
    state: String,
    from_ref: End,
    to_ref: End,
    links: Links,
    /// Milliseconds since 1970.
    closed_date: Option<i64>,
    #[serde(default)]
    reviewers: Vec<Participant>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct End {
    id: String,
    latest_commit: Option<String>,
    repository: Repo,
}

#[derive(Deserialize)]
struct Repo {
    id: u64,
}

#[derive(Deserialize)]
struct Links {
    #[serde(rename = "self")]
    pages: Vec<Link>,
}

#[derive(Deserialize)]
struct Link {
    href: String,
}

#[derive(Deserialize)]
struct Participant {
    user: User,
}

#[derive(Deserialize)]
struct User {
    name: String,
}

#[derive(Deserialize)]
struct Activity {
    action: String,
    user: Option<User>,
}

impl Pull {
    fn joins(&self, source: &str, target: &str) -> bool {
        self.from_ref.id == source
            && self.to_ref.id == target
            && self.from_ref.repository.id == self.to_ref.repository.id
    }

    fn request(self) -> Request {
        let state = match self.state.as_str() {
            "OPEN" => State::Open,
            "MERGED" => State::Merged,
            _ => State::Closed { by: None, at: self.closed_date.and_then(DateTime::<Utc>::from_timestamp_millis) },
        };
        Request {
            number: self.id,
            url: self.links.pages.into_iter().next().map(|link| link.href).unwrap_or_default(),
            state,
            title: self.title,
            body: self.description.unwrap_or_default(),
            labels: Vec::new(),
            head: self.from_ref.latest_commit.and_then(|commit| commit.parse().ok()),
            auto_merge: false, // told elsewhere
            handle: String::new(),
        }
    }
}

fn branch(name: &str) -> String {
    format!("refs/heads/{name}")
}

fn path(forge: &Forge) -> [&str; 5] {
    ["projects", &forge.repository.owner, "repos", &forge.repository.name, "pull-requests"]
}

/// The path of one request, and what lies below.
fn below<'a>(forge: &'a Forge, number: &'a str, last: &[&'a str]) -> Vec<&'a str> {
    [&path(forge)[..], &[number], last].concat()
}

pub(super) async fn requests(forge: &Forge, source: &str, target: &str, most: usize) -> Result<Vec<Request>, Error> {
    const DOING: &str = "list the pull requests";
    let (source, target) = (branch(source), branch(target));
    let (mut found, mut start): (Vec<Request>, u64) = (Vec::new(), 0);
    for _ in 0..PAGES {
        let start_text = start.to_string();
        let query = [
            ("direction", "OUTGOING"),
            ("at", &source),
            ("state", "ALL"),
            ("order", "NEWEST"),
            ("limit", "25"),
            ("start", &start_text),
        ];
        let page: Page<Pull> = forge.wire.ask(Method::GET, DOING, &path(forge)).query(&query).send().await?.read()?;
        found.extend(page.values.into_iter().filter(|pull| pull.joins(&source, &target)).map(Pull::request));
        match page.next {
            Some(next) if !page.is_last && found.len() < most => start = next,
            _ => break,
        }
    }
    found.truncate(most);
    // Only the history, newest first, says who it was.
    if let Some(Request { number, state: State::Closed { by, .. }, .. }) = found.first_mut() {
        let number = number.to_string();
        let ask = forge.wire.ask(Method::GET, DOING, &below(forge, &number, &["activities"]));
        if let Some(answer) = super::if_allowed(ask.query(&[("limit", "25")]).send().await)? {
            let history: Page<Activity> = answer.read()?;
            let closed = history.values.into_iter().find(|activity| activity.action == "DECLINED");
            *by = closed.and_then(|activity| activity.user).map(|user| user.name);
        }
    }
    Ok(found)
}

pub(super) async fn open(forge: &Forge, wanted: &Wanted<'_>) -> Result<Request, Error> {
    let repository = json!({"slug": forge.repository.name, "project": {"key": forge.repository.owner}});
    let body = json!({
        "title": LIMITS.title(wanted),
        "description": LIMITS.body(wanted),
        "fromRef": {"id": branch(wanted.source), "repository": repository},
        "toRef": {"id": branch(wanted.target), "repository": repository},
    });
    match forge.wire.ask(Method::POST, "open a pull request", &path(forge)).json(body).send().await {
        Ok(answer) => Ok(answer.read::<Pull>()?.request()),
        Err(error) if error.is_refused_as(&[409]) => {
            super::found_open(requests(forge, wanted.source, wanted.target, REQUESTS).await?, error)
        }
        Err(error) => Err(error),
    }
}

/// As it is now.
async fn read(forge: &Forge, number: &str, doing: &'static str) -> Result<Pull, Error> {
    forge.wire.ask(Method::GET, doing, &below(forge, number, &[])).send().await?.read()
}

pub(super) async fn update(forge: &Forge, request: &Request, wanted: &Wanted<'_>) -> Result<(), Error> {
    let number = request.number.to_string();
    if !LIMITS.changes(request, wanted, "description").is_empty() {
        let now = read(forge, &number, CHANGE).await?;
        // What a PUT leaves out is lost, so that the reviewers are said again.
        let reviewers = now.reviewers.iter().map(|reviewer| json!({"user": {"name": reviewer.user.name}}));
        let body = json!({
            "version": now.version,
            "title": LIMITS.title(wanted),
            "description": LIMITS.body(wanted),
            "reviewers": reviewers.collect::<Vec<Value>>(),
        });
        let ask = forge.wire.ask(Method::PUT, CHANGE, &below(forge, &number, &[]));
        ask.json(body).send().await.map_err(|error| error.passing(&[409]))?;
    }
    if let Some(method) = wanted.auto_merge {
        auto_merge(forge, &number, method).await?;
    }
    if wanted.labels.is_empty() { Ok(()) } else { Err(Error::unsupported("bitbucket data center", "labels")) }
}

async fn auto_merge(forge: &Forge, number: &str, method: MergeMethod) -> Result<(), Error> {
    let strategy = match method {
        MergeMethod::Merge => "no-ff",
        MergeMethod::Squash => "squash",
        MergeMethod::Rebase => "rebase-ff-only",
    };
    // Whether somebody asked for it already; 404 when nobody did.
    match forge.wire.ask(Method::GET, MERGE, &below(forge, number, &["auto-merge"])).send().await {
        Ok(answer) if !answer.is_empty() => return Ok(()),
        Err(error) if !error.is_refused_as(&[404]) => return Err(error),
        _ => {}
    }
    let version = read(forge, number, MERGE).await?.version.to_string();
    let ask = forge.wire.ask(Method::POST, MERGE, &below(forge, number, &["merge"])).query(&[("version", &version)]);
    let body = json!({"autoMerge": true, "strategyId": strategy});
    // 403 when the repository does not allow it; 409 when somebody changed the request, or commits conflict.
    ask.json(body).send().await.map(drop).map_err(|error| error.passing(&[409]))
}

pub(super) async fn close(forge: &Forge, request: &Request, comment: &str) -> Result<(), Error> {
    let number = request.number.to_string();
    let ask = forge.wire.ask(Method::POST, CLOSE, &below(forge, &number, &["comments"]));
    ask.json(json!({ "text": comment })).send().await?;
    let version = read(forge, &number, CLOSE).await?.version.to_string();
    let ask = forge.wire.ask(Method::POST, CLOSE, &below(forge, &number, &["decline"])).query(&[("version", &version)]);
    ask.json(json!({})).send().await.map(drop).map_err(|error| error.passing(&[409]))
}
