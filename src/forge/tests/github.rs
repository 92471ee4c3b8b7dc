//! GitHub's REST API (version 2022-11-28) and the one mutation of its GraphQL API.

use serde_json::{Value, json};

use super::server::{Call, call};
use super::*;

const ENTERPRISE: Host = Host {
    provider: Provider::Github,
    url: "/acme/fleet.git",
    base: None,
    headers: &[
        ("accept", "application/vnd.github+json"),
        ("x-github-api-version", "2022-11-28"),
        ("authorization", "Bearer t0ken-of-the-b0t"),
    ],
};
const LIST: &str = "GET /api/v3/repos/acme/fleet/pulls?state=all&head=acme%3Atagboat%2Ffleet&base=main&sort=created\
                    &direction=desc&per_page=20&page=1";

fn pull(number: u64, state: &str, change: Value) -> Value {
    let mut pull = json!({
        "url": "https://api.github.com/repos/acme/fleet/pulls/7", "id": 1001, "node_id": format!("PR_{number}"),
        "html_url": format!("https://github.com/acme/fleet/pull/{number}"), "number": number, "state": state,
        "locked": false, "title": "Bump app to v2", "user": {"login": "tagboat[bot]", "id": 5},
        "body": "- app: v1 -> v2", "labels": [], "created_at": "2026-11-20T08:00:00Z",
        "closed_at": null, "merged_at": null, "merge_commit_sha": null, "draft": false, "auto_merge": null,
        "head": {"label": "acme:tagboat/fleet", "ref": "tagboat/fleet", "sha": HEAD, "repo": {"id": 42, "full_name": "acme/fleet"}},
        "base": {"label": "acme:main", "ref": "main", "sha": HEAD, "repo": {"id": 42, "full_name": "acme/fleet"}},
    });
    for (key, value) in change.as_object().unwrap() {
        pull[key] = value.clone();
    }
    pull
}

fn opening() -> Call {
    call("POST /api/v3/repos/acme/fleet/pulls").sends(json!({
        "title": "Bump app to v2", "body": "- app: v1 -> v2", "head": "tagboat/fleet", "base": "main",
    }))
}

fn exists() -> Value {
    json!({
        "message": "Validation Failed",
        "errors": [{"resource": "PullRequest", "code": "custom", "message": "A pull request already exists for acme:tagboat/fleet."}],
        "documentation_url": "https://docs.github.com/rest/pulls/pulls#create-a-pull-request", "status": "422",
    })
}

#[test]
fn a_list_holds_what_is_ours() {
    let fork = json!({"head": {"ref": "tagboat/fleet", "sha": HEAD, "repo": {"id": 43}}});
    let gone = json!({"head": {"ref": "tagboat/fleet", "sha": HEAD, "repo": null}});
    let labelled = json!({
        "labels": [{"id": 1, "name": "images", "color": "ededed"}], "body": null,
        "auto_merge": {"enabled_by": {"login": "ann"}, "merge_method": "squash"},
    });
    let merged = json!({"merged_at": "2026-11-19T08:00:00Z", "closed_at": "2026-11-19T08:00:00Z"});
    let page = json!([
        pull(9, "open", labelled),
        pull(8, "open", fork),
        pull(6, "open", gone),
        pull(5, "closed", merged),
        pull(4, "closed", json!({"closed_at": "2026-11-18T08:00:00Z"})),
    ]);
    let found = lists(ENTERPRISE, vec![call(LIST).answers(200, page)]).unwrap();
    assert_eq!(outline(&found), [(9, "open"), (5, "merged"), (4, "closed")]);
    let first = &found[0];
    assert_eq!(
        (&*first.url, &*first.title, &*first.body),
        ("https://github.com/acme/fleet/pull/9", "Bump app to v2", "")
    );
    assert_eq!((first.labels.as_slice(), first.auto_merge), (&["images".to_owned()][..], true));
    assert_eq!(first.head.as_ref().map(|head| head.as_str()), Some(HEAD));
    assert_eq!(closed(&found[2]), (None, Some("2026-11-18T08:00:00+00:00".to_owned())));
}

#[test]
fn who_closed_the_newest_is_asked() {
    let page = json!([pull(9, "closed", json!({"closed_at": "2026-11-18T08:00:00Z"}))]);
    let issue = json!({"number": 9, "state": "closed", "closed_by": {"login": "ann", "id": 3}});
    let calls = vec![call(LIST).answers(200, page), call("GET /api/v3/repos/acme/fleet/issues/9").answers(200, issue)];
    let found = lists(ENTERPRISE, calls).unwrap();
    assert_eq!(closed(&found[0]), (Some("ann"), Some("2026-11-18T08:00:00+00:00".to_owned())));
}

#[test]
fn a_token_that_may_not_read_who_it_was() {
    let calls = vec![
        call(LIST).answers(200, json!([pull(9, "closed", json!({}))])),
        call("GET /api/v3/repos/acme/fleet/issues/9")
            .answers(403, json!({"message": "Resource not accessible by personal access token"})),
    ];
    assert_eq!(closed(&lists(ENTERPRISE, calls).unwrap()[0]), (None, None));
}

#[test]
fn pages_are_read_until_enough_is_found() {
    let next = |page: u32| {
        format!("<{{origin}}/api/v3/repositories/42/pulls?page={page}>; rel=\"next\", <{{origin}}/x>; rel=\"last\"")
    };
    let some = |from: u64| Value::Array((from..from + 12).map(|number| pull(number, "open", json!({}))).collect());
    let second = LIST.replace("&page=1", "&page=2");
    let calls = vec![
        call(LIST).answers(200, some(20)).header("link", &next(2)),
        call(&second).answers(200, some(40)).header("link", &next(3)),
    ];
    assert_eq!(lists(ENTERPRISE, calls).unwrap().len(), 20);
    let calls = vec![
        call(LIST).answers(200, some(20)).header("link", &next(2)),
        call(&second).answers(200, some(40)).header("link", &next(3)),
        call(&LIST.replace("&page=1", "&page=3")).answers(200, some(60)),
    ];
    assert_eq!(lists_all(ENTERPRISE, calls).unwrap().len(), 36);
    let none = |page: u32| {
        call(&LIST.replace("&page=1", &format!("&page={page}"))).answers(200, json!([])).header("link", &next(page + 1))
    };
    assert_eq!(lists(ENTERPRISE, (1..=10).map(none).collect()).unwrap(), []);
}

#[test]
fn a_renamed_repository_is_followed_within_its_host() {
    let calls = vec![
        call(LIST).text(301, "").header("location", "{origin}/api/v3/repositories/42/pulls?state=all"),
        call("GET /api/v3/repositories/42/pulls?state=all").answers(200, json!([pull(9, "open", json!({}))])),
    ];
    assert_eq!(outline(&lists(ENTERPRISE, calls).unwrap()), [(9, "open")]);
    let calls = vec![
        opening().text(307, "").header("location", "/api/v3/repositories/42/pulls"),
        call("POST /api/v3/repositories/42/pulls")
            .sends(
                json!({"title": "Bump app to v2", "body": "- app: v1 -> v2", "head": "tagboat/fleet", "base": "main"}),
            )
            .answers(201, pull(10, "open", json!({}))),
    ];
    assert_eq!(opens(ENTERPRISE, calls).unwrap().number, 10);
}

#[test]
fn a_request_is_opened_once() {
    let found = opens(ENTERPRISE, vec![opening().answers(201, pull(7, "open", json!({})))]).unwrap();
    assert_eq!((found.number, &found.state, &*found.handle), (7, &State::Open, "PR_7"));
    let calls = vec![opening().answers(422, exists()), call(LIST).answers(200, json!([pull(6, "open", json!({}))]))];
    assert_eq!(opens(ENTERPRISE, calls).unwrap().number, 6);
    let calls = vec![opening().answers(422, exists()), call(LIST).answers(200, json!([]))];
    let error = opens(ENTERPRISE, calls).unwrap_err();
    assert!(error.to_string().contains("A pull request already exists for acme:tagboat/fleet."), "{error}");
    assert!(error.needs_user());
    // A reply that is lost is not asked for again.
    let error = opens(ENTERPRISE, vec![opening().text(502, "<html>bad gateway</html>")]).unwrap_err();
    assert!(error.lost_reply() && !error.needs_user(), "{error}");
    assert!(!error.to_string().contains("html"), "{error}");
}

#[test]
fn only_differences_are_sent() {
    updates(ENTERPRISE, &as_wanted(), &wanted(), vec![]).unwrap();
    let labels = ["images".to_owned(), "bot".to_owned()];
    let had = Request { title: "Old".into(), labels: vec!["Images".into(), "mine".into()], ..as_wanted() };
    let calls = vec![
        call("PATCH /api/v3/repos/acme/fleet/pulls/7").sends(json!({"title": "Bump app to v2"})),
        call("POST /api/v3/repos/acme/fleet/issues/7/labels").sends(json!({"labels": ["bot"]})).answers(200, json!([])),
    ];
    updates(ENTERPRISE, &had, &Wanted { labels: &labels, ..wanted() }, calls).unwrap();
}

fn mutation(answer: Value) -> Call {
    let query = "mutation($id: ID!, $method: PullRequestMergeMethod!) { \
                 enablePullRequestAutoMerge(input: {pullRequestId: $id, mergeMethod: $method}) { clientMutationId } }";
    call("POST /api/graphql")
        .sends(json!({"query": query, "variables": {"id": "PR_7", "method": "SQUASH"}}))
        .answers(200, answer)
}

fn refused(kind: &str, message: &str) -> Value {
    json!({
        "data": {"enablePullRequestAutoMerge": null},
        "errors": [{"type": kind, "path": ["enablePullRequestAutoMerge"], "message": message}],
    })
}

#[test]
fn it_merges_by_itself() {
    let squash = Wanted { auto_merge: Some(MergeMethod::Squash), ..wanted() };
    let done = json!({"data": {"enablePullRequestAutoMerge": {"clientMutationId": null}}});
    updates(ENTERPRISE, &as_wanted(), &squash, vec![mutation(done)]).unwrap();
    updates(ENTERPRISE, &Request { auto_merge: true, ..as_wanted() }, &squash, vec![]).unwrap();
    // Nothing stands in the way.
    let clean = || mutation(refused("UNPROCESSABLE", "Pull request Pull request is in clean status"));
    let merge =
        || call("PUT /api/v3/repos/acme/fleet/pulls/7/merge").sends(json!({"merge_method": "squash", "sha": HEAD}));
    let merged = json!({"sha": HEAD, "merged": true, "message": "Pull Request successfully merged"});
    updates(ENTERPRISE, &as_wanted(), &squash, vec![clean(), merge().answers(200, merged)]).unwrap();
    let moved = json!({"message": "Head branch was modified. Review and try the merge again."});
    let error = updates(ENTERPRISE, &as_wanted(), &squash, vec![clean(), merge().answers(409, moved)]).unwrap_err();
    assert!(!error.needs_user() && error.to_string().contains("Head branch was modified"), "{error}");
}

#[test]
fn why_it_does_not_merge_by_itself() {
    let check = |kind: &str, message: &str, needs_user: bool| {
        let squash = Wanted { auto_merge: Some(MergeMethod::Squash), ..wanted() };
        let error = updates(ENTERPRISE, &as_wanted(), &squash, vec![mutation(refused(kind, message))]).unwrap_err();
        assert!(error.to_string().contains(message), "{error}");
        assert_eq!(error.needs_user(), needs_user, "{error}");
    };
    check("UNPROCESSABLE", "Pull request Auto merge is not allowed for this repository", true);
    check("UNPROCESSABLE", "Pull request Pull request is in unstable status", false);
    check("FORBIDDEN", "Resource not accessible by integration", true);
    check("RATE_LIMITED", "API rate limit exceeded", false);
}

#[test]
fn it_is_closed_with_a_reason() {
    let calls = vec![
        call("POST /api/v3/repos/acme/fleet/issues/7/comments")
            .sends(json!({"body": "Nothing left to do."}))
            .answers(201, json!({})),
        call("PATCH /api/v3/repos/acme/fleet/pulls/7").sends(json!({"state": "closed"})).answers(200, json!({})),
    ];
    closes(ENTERPRISE, calls).unwrap();
}
