//! Bitbucket Cloud. In: a repository, what is wanted. Out: calls and what they answer. It has neither labels nor a way to have a
//! request merged by itself. Facts: developer.atlassian.com, "The Bitbucket Cloud REST API", group Pullrequests.

use chrono::{DateTime, Utc};
use reqwest::{Method, Url};
use serde::Deserialize;
use serde_json::{Value, json};

use super::error::Error;
use super::text::Limits;
use super::{Forge, REQUESTS, Request, State, Wanted};

/// As the host checks them.
const LIMITS: Limits = Limits { title: 255, body: 32_768 };
/// The most pages of requests that are read: the host's own filters leave next to nothing that is not ours.
const PAGES: usize = 10;

#[derive(Deserialize)]
struct Page {
    #[serde(default)]
    values: Vec<Pull>,
    next: Option<String>,
}

#[derive(Deserialize)]
struct Pull {
    id: u64,
    title: String,
    description: Option<String>,
    state: String,
    source: End,
    destination: End,
    links: Links,
    closed_by: Option<User>,
    updated_on: Option<DateTime<Utc>>,
    /// Not in lists.
    #[serde(default)]
    reviewers: Vec<User>,
    close_source_branch: Option<bool>,
}

#[derive(Deserialize)]
struct End {
    branch: Named,
    commit: Option<Commit>,
    /// Absent when the fork is gone.
    repository: Option<Repo>,
}

#[derive(Deserialize)]
struct Named {
    name: String,
}

#[derive(Deserialize)]
struct Commit {
    hash: String,
}

#[derive(Deserialize)]
struct Repo {
    uuid: Option<String>,
    full_name: String,
}

#[derive(Deserialize)]
struct Links {
    html: Link,
}

#[derive(Deserialize)]
struct Link {
    href: String,
}

#[derive(Deserialize)]
struct User {
    uuid: Option<String>,
    nickname: Option<String>,
    display_name: Option<String>,
}

impl Pull {
    fn joins(&self, source: &str, target: &str) -> bool {
        let repository = |end: &End| end.repository.as_ref().map(|repo| (repo.uuid.clone(), repo.full_name.clone()));
        self.source.branch.name == source
            && self.destination.branch.name == target
            && repository(&self.source).is_some_and(|one| repository(&self.destination) == Some(one))
    }

    fn request(self) -> Request {
        let state = match self.state.as_str() {
            "OPEN" => State::Open,
            "MERGED" => State::Merged,
            // declined, or superseded by another
            _ => State::Closed {
                by: self.closed_by.and_then(|user| user.display_name.or(user.nickname)),
                at: self.updated_on,
            },
        };
        Request {
            number: self.id,
            url: self.links.html.href,
            state,
            title: self.title,
            body: self.description.unwrap_or_default(),
            labels: Vec::new(),
            // An abbreviation in most answers, which is none of ours.
            head: self.source.commit.and_then(|commit| commit.hash.parse().ok()),
            auto_merge: false,
            handle: String::new(),
        }
    }
}

fn path(forge: &Forge) -> [&str; 4] {
    ["repositories", &forge.repository.owner, &forge.repository.name, "pullrequests"]
}

pub(super) async fn requests(forge: &Forge, source: &str, target: &str, most: usize) -> Result<Vec<Request>, Error> {
    const DOING: &str = "list the pull requests";
    let quoted = |name: &str| format!("\"{}\"", name.replace('\\', "\\\\").replace('"', "\\\""));
    let filter = format!("source.branch.name={} AND destination.branch.name={}", quoted(source), quoted(target));
    let states = ["OPEN", "MERGED", "DECLINED", "SUPERSEDED"].map(|state| ("state", state));
    let mut ask = forge.wire.ask(Method::GET, DOING, &path(forge));
    ask = ask.query(&[("q", &filter), ("sort", "-created_on"), ("pagelen", "20")]).query(&states);
    let mut found: Vec<Request> = Vec::new();
    for _ in 0..PAGES {
        let page: Page = ask.send().await?.read()?;
        found.extend(page.values.into_iter().filter(|pull| pull.joins(source, target)).map(Pull::request));
        let Some(next) = page.next.filter(|_| found.len() < most) else { break };
        let next = Url::parse(&next).map_err(|_| Error::protocol(DOING, "a next page without an address"))?;
        ask = forge.wire.ask(Method::GET, DOING, &[]).at(next)?;
    }
    found.truncate(most);
    Ok(found)
}

pub(super) async fn open(forge: &Forge, wanted: &Wanted<'_>) -> Result<Request, Error> {
    let body = json!({
        "title": LIMITS.title(wanted),
        "description": LIMITS.body(wanted),
        "source": {"branch": {"name": wanted.source}},
        "destination": {"branch": {"name": wanted.target}},
    });
    match forge.wire.ask(Method::POST, "open a pull request", &path(forge)).json(body).send().await {
        Ok(answer) => Ok(answer.read::<Pull>()?.request()),
        Err(error) if error.is_refused_as(&[400, 409]) => {
            super::found_open(requests(forge, wanted.source, wanted.target, REQUESTS).await?, error)
        }
        Err(error) => Err(error),
    }
}

pub(super) async fn update(forge: &Forge, request: &Request, wanted: &Wanted<'_>) -> Result<(), Error> {
    const DOING: &str = "change the pull request";
    let changes = LIMITS.changes(request, wanted, "description");
    if !changes.is_empty() {
        let number = request.number.to_string();
        let path = [&path(forge)[..], &[number.as_str()]].concat();
        // What a PUT leaves out is lost, so that the reviewers are said again.
        let now: Pull = forge.wire.ask(Method::GET, DOING, &path).send().await?.read()?;
        let reviewers = now.reviewers.into_iter().filter_map(|user| user.uuid);
        let mut body = json!({
            "title": LIMITS.title(wanted),
            "description": LIMITS.body(wanted),
            "reviewers": reviewers.map(|uuid| json!({ "uuid": uuid })).collect::<Vec<Value>>(),
        });
        if let Some(closes) = now.close_source_branch {
            body["close_source_branch"] = closes.into();
        }
        forge.wire.ask(Method::PUT, DOING, &path).json(body).send().await?;
    }
    match wanted {
        Wanted { auto_merge: Some(_), .. } => Err(Error::unsupported("bitbucket cloud", "auto-merge")),
        Wanted { labels: [_, ..], .. } => Err(Error::unsupported("bitbucket cloud", "labels")),
        _ => Ok(()),
    }
}

pub(super) async fn close(forge: &Forge, request: &Request, comment: &str) -> Result<(), Error> {
    const DOING: &str = "close the pull request";
    let number = request.number.to_string();
    let below = |last| [&path(forge)[..], &[number.as_str(), last]].concat();
    let ask = forge.wire.ask(Method::POST, DOING, &below("comments"));
    ask.json(json!({ "content": {"raw": comment} })).send().await?;
    forge.wire.ask(Method::POST, DOING, &below("decline")).send().await.map(drop)
}
