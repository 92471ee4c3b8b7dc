//! Gitea's and Forgejo's API v1.

use serde_json::{Value, json};

use super::server::{Call, call};
use super::*;

const GITEA: Host = Host {
    provider: Provider::Gitea,
    url: "/acme/fleet.git",
    base: None,
    headers: &[("accept", "application/json"), ("authorization", "token t0ken-of-the-b0t")],
};
const LIST: &str = "GET /api/v1/repos/acme/fleet/pulls?state=all&base_branch=main&limit=50&page=1";
const NEXT: &str = "<{origin}/api/v1/repos/acme/fleet/x?page=2>; rel=\"next\",<{origin}/x>; rel=\"last\"";

fn pull(number: u64, state: &str, change: Value) -> Value {
    let mut pull = json!({
        "id": 1000 + number, "url": "https://git.example.com/acme/fleet/pulls/7", "number": number, "user": {"login": "tagboat"},
        "title": "Bump app to v2", "body": "- app: v1 -> v2", "labels": [], "milestone": null, "state": state,
        "html_url": format!("https://git.example.com/acme/fleet/pulls/{number}"), "merged": false, "merged_at": null,
        "base": {"label": "main", "ref": "main", "sha": HEAD, "repo_id": 42},
        "head": {"label": "tagboat/fleet", "ref": "tagboat/fleet", "sha": HEAD, "repo_id": 42},
        "closed_at": null,
    });
    for (key, value) in change.as_object().unwrap() {
        pull[key] = value.clone();
    }
    pull
}

fn opening() -> Call {
    call("POST /api/v1/repos/acme/fleet/pulls").sends(json!({
        "title": "Bump app to v2", "body": "- app: v1 -> v2", "head": "tagboat/fleet", "base": "main",
    }))
}

fn message(text: &str) -> Value {
    json!({"message": text, "url": "https://git.example.com/api/swagger"})
}

#[test]
fn a_list_holds_what_is_ours() {
    let head = |label: &str, name: &str, repo: i64| json!({"head": {"label": label, "ref": name, "sha": HEAD, "repo_id": repo}});
    let first = json!([
        pull(12, "open", head("other", "other", 42)),
        pull(11, "open", head("tagboat/fleet", "tagboat/fleet", 43)),
        pull(10, "open", json!({"base": {"label": "next", "ref": "next", "sha": HEAD, "repo_id": 42}})),
    ]);
    let second = json!([
        pull(9, "open", json!({"labels": [{"id": 3, "name": "images", "color": "ededed"}]})),
        pull(6, "closed", head("tagboat/fleet", "refs/pull/6/head", 42)),
        pull(5, "closed", json!({"merged": true, "merged_at": "2026-11-19T08:00:00Z"})),
    ]);
    // A third page could only hold older ones.
    let calls = vec![
        call(LIST).answers(200, first).header("link", NEXT),
        call(&LIST.replace("&page=1", "&page=2")).answers(200, second).header("link", NEXT),
    ];
    let found = lists(GITEA, calls).unwrap();
    assert_eq!(outline(&found), [(9, "open"), (6, "closed"), (5, "merged")]);
    let calls = vec![
        call(LIST).answers(200, json!([pull(9, "open", json!({}))])).header("link", NEXT),
        call(&LIST.replace("&page=1", "&page=2")).answers(200, json!([pull(5, "open", json!({}))])),
    ];
    assert_eq!(outline(&lists_all(GITEA, calls).unwrap()), [(9, "open"), (5, "open")], "all that there are");
    assert_eq!(found[0].labels, ["images"]);
    assert_eq!(found[0].head.as_ref().map(|head| head.as_str()), Some(HEAD));
}

#[test]
fn who_closed_the_newest_is_asked() {
    let page = json!([pull(9, "closed", json!({"closed_at": "2026-11-18T09:00:00+01:00"}))]);
    let history = json!([
        {"id": 1, "type": "comment", "user": {"login": "bob"}, "body": "no"},
        {"id": 2, "type": "close", "user": {"login": "ann"}, "body": ""},
    ]);
    let calls = vec![
        call(LIST).answers(200, page),
        call("GET /api/v1/repos/acme/fleet/issues/9/timeline?since=2026-11-18T08%3A00%3A00Z").answers(200, history),
    ];
    assert_eq!(closed(&lists(GITEA, calls).unwrap()[0]), (Some("ann"), Some("2026-11-18T08:00:00+00:00".to_owned())));
}

#[test]
fn a_token_that_may_not_read_who_it_was() {
    let scope = message("token does not have at least one of required scope(s): [read:issue]");
    let calls = vec![
        call(LIST).answers(200, json!([pull(9, "closed", json!({}))])),
        call("GET /api/v1/repos/acme/fleet/issues/9/timeline").answers(403, scope),
    ];
    assert_eq!(closed(&lists(GITEA, calls).unwrap()[0]), (None, None));
}

#[test]
fn a_request_is_opened_once() {
    let found = opens(GITEA, vec![opening().answers(201, pull(7, "open", json!({"labels": null})))]).unwrap();
    assert_eq!(found.number, 7);
    let exists = message("pull request already exists for these targets [id: 3, issue_id: 6]");
    // The one that somebody opened again.
    let calls = vec![
        opening().answers(409, exists),
        call(LIST).answers(200, json!([pull(8, "closed", json!({}))])).header("link", NEXT),
        call(&LIST.replace("&page=1", "&page=2"))
            .answers(200, json!([pull(6, "open", json!({}))]))
            .header("link", NEXT),
    ];
    assert_eq!(opens(GITEA, calls).unwrap().number, 6);
}

#[test]
fn labels_are_numbers_here() {
    let labels = ["images".to_owned(), "fleet".to_owned(), "new".to_owned()];
    let wanted = Wanted { labels: &labels, ..wanted() };
    let label = |id: u64, name: &str| json!({"id": id, "name": name, "color": "ededed", "exclusive": false});
    let calls = |organization: Call| {
        vec![
            call("GET /api/v1/repos/acme/fleet/labels?limit=50&page=1")
                .answers(200, json!([label(1, "x")]))
                .header("link", NEXT),
            call("GET /api/v1/repos/acme/fleet/labels?limit=50&page=2")
                .answers(200, json!([label(2, "Images"), label(4, "fleet")])),
            organization,
            call("POST /api/v1/repos/acme/fleet/labels")
                .sends(json!({"name": "new", "color": "#1d76db"}))
                .answers(201, label(5, "new")),
            call("POST /api/v1/repos/acme/fleet/issues/7/labels")
                .sends(json!({"labels": [2, 4, 5]}))
                .answers(200, json!([])),
        ]
    };
    let organization = || call("GET /api/v1/orgs/acme/labels?limit=50&page=1");
    updates(GITEA, &as_wanted(), &wanted, calls(organization().answers(404, message("not found")))).unwrap();
    updates(GITEA, &as_wanted(), &wanted, calls(organization().answers(200, json!([label(9, "team")])))).unwrap();
    // All are known after the first page.
    let first = json!([label(1, "images"), label(2, "fleet"), label(3, "new")]);
    let calls = vec![
        call("GET /api/v1/repos/acme/fleet/labels?limit=50&page=1").answers(200, first).header("link", NEXT),
        call("POST /api/v1/repos/acme/fleet/issues/7/labels")
            .sends(json!({"labels": [1, 2, 3]}))
            .answers(200, json!([])),
    ];
    updates(GITEA, &as_wanted(), &wanted, calls).unwrap();
}

#[test]
fn only_differences_are_sent() {
    updates(GITEA, &as_wanted(), &wanted(), vec![]).unwrap();
    let had = Request { body: "Old".into(), ..as_wanted() };
    let patch = || call("PATCH /api/v1/repos/acme/fleet/pulls/7").sends(json!({"body": "- app: v1 -> v2"}));
    updates(GITEA, &had, &wanted(), vec![patch().answers(201, json!({}))]).unwrap();
    let error = updates(GITEA, &had, &wanted(), vec![patch().answers(409, message("already changed"))]).unwrap_err();
    assert!(!error.needs_user(), "{error}");
}

#[test]
fn it_merges_by_itself() {
    let check = |status: u16, text: &str, expected: Result<(), bool>| {
        let wanted = Wanted { auto_merge: Some(MergeMethod::Rebase), ..wanted() };
        let merge = call("POST /api/v1/repos/acme/fleet/pulls/7/merge")
            .sends(json!({"Do": "rebase", "merge_when_checks_succeed": true, "head_commit_id": HEAD}))
            .answers(status, message(text));
        let found = updates(GITEA, &as_wanted(), &wanted, vec![merge]);
        assert_eq!(found.map_err(|error| error.needs_user()), expected, "{text}");
    };
    check(201, "", Ok(()));
    check(200, "", Ok(()));
    check(409, "pull request is already scheduled to auto merge when checks succeed [pull_id: 7]", Ok(()));
    check(405, "Please try again later", Err(false));
    check(405, "The PR is already merged", Ok(()));
    check(405, "User not allowed to merge PR", Err(true));
    check(409, "head out of date", Err(false));
}

#[test]
fn it_is_closed_with_a_reason() {
    let calls = vec![
        call("POST /api/v1/repos/acme/fleet/issues/7/comments")
            .sends(json!({"body": "Nothing left to do."}))
            .answers(201, json!({})),
        call("PATCH /api/v1/repos/acme/fleet/pulls/7").sends(json!({"state": "closed"})).answers(201, json!({})),
    ];
    closes(GITEA, calls).unwrap();
}
