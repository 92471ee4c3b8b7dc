//! The API of a real Gitea: the whole life of a pull request, more than a page of them, a fork that has the same branch, a person who
//! closes one, and one that Gitea merges as soon as its check is good.

use std::time::Duration;

use libtest_mimic::Trial;
use reqwest::Method;
use serde_json::{Value, json};
use tagboat::forge::{ALL_REQUESTS, Error, Forge, Login, MergeMethod, Provider, REQUESTS, Request, State, Wanted};
use tagboat::reach::Way;

use crate::support::git::BRANCH;
use crate::support::gitea::{Gitea, PAGE};
use crate::support::registry::LOGIN;
use crate::support::wait::eventually;
use crate::support::{bare_trial, gitea_host};

const LIMIT: Duration = Duration::from_secs(30);

pub fn trials() -> Vec<Trial> {
    vec![
        bare_trial("forges: the life of a pull request", the_life_of_a_request),
        bare_trial("forges: page after page", page_after_page),
        bare_trial("forges: a fork and a person", a_fork_and_a_person),
        bare_trial("forges: merged by itself", merged_by_itself),
        bare_trial("forges: refusals in Gitea's words", refusals),
    ]
}

/// Calls Gitea's API as the administrator.
async fn api(gitea: &Gitea, method: Method, path: &str, body: Value) -> Value {
    call_as(gitea, LOGIN, method, path, body).await
}

async fn call_as(gitea: &Gitea, (user, password): (&str, &str), method: Method, path: &str, body: Value) -> Value {
    let request = reqwest::Client::new().request(method, format!("{}/api/v1/{path}", base(gitea)));
    let answer = request.basic_auth(user, Some(password)).json(&body).send().await.unwrap();
    let (status, text) = (answer.status(), answer.text().await.unwrap());
    assert!(status.is_success(), "{path} {status}: {text}");
    serde_json::from_str(&text).unwrap_or_default()
}

/// An organization's repository with one commit, whose branch `bump` is one commit ahead.
async fn repository(gitea: &Gitea, owner: &str) -> String {
    api(gitea, Method::POST, "orgs", json!({"username": owner})).await;
    let repository = json!({"name": "fleet", "auto_init": true, "default_branch": BRANCH});
    api(gitea, Method::POST, &format!("orgs/{owner}/repos"), repository).await;
    ahead(gitea, owner, LOGIN, "new_branch").await;
    format!("{}/{owner}/fleet.git", base(gitea))
}

async fn ahead(gitea: &Gitea, owner: &str, login: (&str, &str), branch: &str) {
    let body = json!({branch: "bump", "content": "eA==", "message": "bump"});
    call_as(gitea, login, Method::POST, &format!("repos/{owner}/fleet/contents/{}.txt", login.0), body).await;
}

/// Past the proxy that counts what registries are asked.
fn base(gitea: &Gitea) -> String {
    format!("http://{}", gitea.registry.direct())
}

/// The repository with a token that may do no more than it must.
async fn forge(gitea: &Gitea, url: &str, name: &str) -> Forge {
    let token = json!({"name": name, "scopes": ["write:repository", "write:issue", "read:organization"]});
    let token = api(gitea, Method::POST, &format!("users/{}/tokens", LOGIN.0), token).await;
    forge_with(url, Login::Token(token["sha1"].as_str().unwrap().to_owned()))
}

fn forge_with(url: &str, login: Login) -> Forge {
    Forge::new(Provider::Gitea, url, None, login, &Way::default(), LIMIT).unwrap()
}

fn wanted(labels: &[String]) -> Wanted<'_> {
    Wanted { source: "bump", target: BRANCH, title: "Bump app", body: "- app: v1\n- web: v2", labels, auto_merge: None }
}

async fn list(forge: &Forge) -> Vec<Request> {
    forge.requests("bump", BRANCH, REQUESTS).await.unwrap()
}

async fn the_life_of_a_request() {
    let gitea = gitea_host().await;
    let url = repository(gitea, "forge-life").await;
    let label = json!({"name": "team", "color": "#00aabb"});
    api(gitea, Method::POST, "orgs/forge-life/labels", label).await;
    let forge = forge(gitea, &url, "life").await;
    assert_eq!(list(&forge).await, []);

    let opened = forge.open(&wanted(&[])).await.unwrap();
    assert_eq!((&opened.state, &*opened.title, &*opened.body), (&State::Open, "Bump app", "- app: v1\n- web: v2"));
    assert_eq!(opened.url, format!("{}/forge-life/fleet/pulls/1", base(gitea)));
    assert_eq!(forge.open(&wanted(&[])).await.unwrap().number, opened.number, "never a second one");

    let labels = ["images", "team"].map(str::to_owned);
    let changed = Wanted { title: "Bump web", ..wanted(&labels) };
    forge.update(&opened, &changed).await.unwrap();
    let [now] = list(&forge).await.try_into().unwrap();
    assert_eq!((&*now.title, &now.body, &*now.labels), ("Bump web", &opened.body, &labels[..]));
    // The organization's label was found, and no second one made.
    let own = api(gitea, Method::GET, "repos/forge-life/fleet/labels", json!(null)).await;
    assert_eq!(own.as_array().unwrap().iter().map(|label| &label["name"]).collect::<Vec<_>>(), ["images"]);

    forge.close(&now, "Nothing left to do.").await.unwrap();
    let [now] = list(&forge).await.try_into().unwrap();
    assert!(matches!(&now.state, State::Closed { by: Some(by), at: Some(_) } if by == LOGIN.0), "{now:?}");
    let comments = api(gitea, Method::GET, "repos/forge-life/fleet/issues/1/comments", json!(null)).await;
    assert_eq!(comments[0]["body"], "Nothing left to do.");

    let again = forge.open(&wanted(&[])).await.unwrap();
    assert_eq!(list(&forge).await.iter().map(|request| request.number).collect::<Vec<_>>(), [again.number, 1]);
}

async fn page_after_page() {
    let gitea = gitea_host().await;
    let url = repository(gitea, "forge-pages").await;
    let forge = forge(gitea, &url, "pages").await;
    for _ in 0..PAGE + 2 {
        let opened = forge.open(&wanted(&[])).await.unwrap();
        forge.close(&opened, "no").await.unwrap();
    }
    let numbers = async |most: usize| {
        let found = forge.requests("bump", BRANCH, most).await.unwrap();
        found.iter().map(|request| request.number).collect::<Vec<_>>()
    };
    assert_eq!(numbers(REQUESTS).await, (3..=12).rev().collect::<Vec<_>>(), "one page will do");
    assert_eq!(numbers(ALL_REQUESTS).await, (1..=12).rev().collect::<Vec<_>>());
}

async fn a_fork_and_a_person() {
    const ANN: (&str, &str) = ("forge-ann", "anchor-11");
    let gitea = gitea_host().await;
    let url = repository(gitea, "forge-fork").await;
    let forge = forge(gitea, &url, "fork").await;
    let user =
        json!({"username": ANN.0, "password": ANN.1, "email": "forge-ann@example.com", "must_change_password": false});
    api(gitea, Method::POST, "admin/users", user).await;
    call_as(gitea, ANN, Method::POST, "repos/forge-fork/fleet/forks", json!({})).await;
    ahead(gitea, ANN.0, ANN, "branch").await;
    let foreign = json!({"head": "forge-ann:bump", "base": BRANCH, "title": "mine"});
    call_as(gitea, ANN, Method::POST, "repos/forge-fork/fleet/pulls", foreign).await;
    assert_eq!(list(&forge).await, [], "that of a fork is none of ours");

    let opened = forge.open(&wanted(&[])).await.unwrap();
    assert_eq!(opened.number, 2);
    let rights = json!({"permission": "write"});
    api(gitea, Method::PUT, "repos/forge-fork/fleet/collaborators/forge-ann", rights).await;
    call_as(gitea, ANN, Method::PATCH, "repos/forge-fork/fleet/pulls/2", json!({"state": "closed"})).await;
    let [now] = list(&forge).await.try_into().unwrap();
    assert!(matches!(&now.state, State::Closed { by: Some(by), at: Some(_) } if by == ANN.0), "{now:?}");
    // Its branch is gone, and it is still known.
    api(gitea, Method::DELETE, "repos/forge-fork/fleet/branches/bump", json!(null)).await;
    assert_eq!(list(&forge).await[0].number, 2);
}

async fn merged_by_itself() {
    let gitea = gitea_host().await;
    let url = repository(gitea, "forge-merge").await;
    let protection = json!({"rule_name": BRANCH, "enable_status_check": true, "status_check_contexts": ["ci"]});
    api(gitea, Method::POST, "repos/forge-merge/fleet/branch_protections", protection).await;
    let forge = forge(gitea, &url, "merge").await;
    let wanted = Wanted { auto_merge: Some(MergeMethod::Squash), ..wanted(&[]) };
    let opened = forge.open(&wanted).await.unwrap();
    // Gitea looks first whether it can be merged at all.
    let plan =
        async || forge.update(&opened, &wanted).await.inspect_err(|error| assert!(!error.needs_user(), "{error}"));
    eventually("the merge is planned", LIMIT, plan).await;
    forge.update(&opened, &wanted).await.unwrap();
    assert_eq!(list(&forge).await[0].state, State::Open);
    let head = opened.head.unwrap();
    let good = json!({"context": "ci", "state": "success"});
    api(gitea, Method::POST, &format!("repos/forge-merge/fleet/statuses/{head}"), good).await;
    let merged = async || match &list(&forge).await[0].state {
        State::Merged => Ok(()),
        other => Err(format!("{other:?}")),
    };
    eventually("it is merged", LIMIT, merged).await;
}

async fn refusals() {
    let gitea = gitea_host().await;
    let url = repository(gitea, "forge-words").await;
    let none =
        forge_with(&url.replace("fleet", "none"), Login::Basic { username: LOGIN.0.into(), password: LOGIN.1.into() });
    let error = none.requests("bump", BRANCH, REQUESTS).await.unwrap_err();
    assert!(matches!(error, Error::Refused { status: 404, .. }) && error.needs_user(), "{error}");
    let stranger = forge_with(&url, Login::Token("of-nobody".into()));
    let listed = stranger.requests("bump", BRANCH, REQUESTS).await.unwrap_err();
    for error in [listed, stranger.open(&wanted(&[])).await.unwrap_err()] {
        assert!(matches!(error, Error::Refused { status: 401, .. }) && error.needs_user(), "{error}");
        assert!(!error.to_string().contains("of-nobody"), "{error}");
    }
    let known = forge(gitea, &url, "words").await;
    let error = known.open(&Wanted { source: "nowhere", ..wanted(&[]) }).await.unwrap_err();
    assert!(matches!(error, Error::Refused { .. }) && error.needs_user(), "{error}");
}
