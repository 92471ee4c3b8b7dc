//! Bitbucket Data Center's REST API.

use serde_json::{Value, json};

use super::server::{Call, call};
use super::*;

const DATA_CENTER: Host = Host {
    provider: Provider::Bitbucket,
    url: "/scm/SHOP/fleet.git",
    base: None,
    headers: &[("accept", "application/json"), ("authorization", "Bearer t0ken-of-the-b0t")],
};
const ALL: &str = "/rest/api/latest/projects/SHOP/repos/fleet/pull-requests";
const ONE: &str = "/rest/api/latest/projects/SHOP/repos/fleet/pull-requests/7";

fn list(start: u64) -> Call {
    call(&format!(
        "GET {ALL}?direction=OUTGOING&at=refs%2Fheads%2Ftagboat%2Ffleet&state=ALL&order=NEWEST&limit=25&start={start}"
    ))
}

fn pull(id: u64, state: &str, change: Value) -> Value {
    let repository = json!({"id": 42, "slug": "fleet", "project": {"key": "SHOP", "id": 2}});
    let mut pull = json!({
        "id": id, "version": 3, "title": "Bump app to v2", "description": "- app: v1 -> v2", "state": state,
        "open": state == "OPEN", "closed": state != "OPEN", "createdDate": 1_795_000_000_000_i64,
        "fromRef": {"id": "refs/heads/tagboat/fleet", "displayId": "tagboat/fleet", "latestCommit": HEAD, "repository": repository},
        "toRef": {"id": "refs/heads/main", "displayId": "main", "latestCommit": HEAD, "repository": repository},
        "author": {"user": {"name": "tagboat"}, "role": "AUTHOR"}, "reviewers": [], "participants": [],
        "links": {"self": [{"href": format!("https://git.example.com/projects/SHOP/repos/fleet/pull-requests/{id}")}]},
    });
    for (key, value) in change.as_object().unwrap() {
        pull[key] = value.clone();
    }
    pull
}

fn page(values: Value, next: Option<u64>) -> Value {
    json!({"size": 1, "limit": 25, "isLastPage": next.is_none(), "values": values, "start": 0, "nextPageStart": next})
}

fn opening() -> Call {
    let repository = json!({"slug": "fleet", "project": {"key": "SHOP"}});
    call(&format!("POST {ALL}")).sends(json!({
        "title": "Bump app to v2", "description": "- app: v1 -> v2",
        "fromRef": {"id": "refs/heads/tagboat/fleet", "repository": repository},
        "toRef": {"id": "refs/heads/main", "repository": repository},
    }))
}

fn out_of_date() -> Value {
    json!({"errors": [{
        "context": null, "message": "You are attempting to modify a pull request based on out-of-date information.",
        "exceptionName": "com.atlassian.bitbucket.pull.PullRequestOutOfDateException",
    }]})
}

#[test]
fn a_list_holds_what_is_ours() {
    let to = |branch: &str, repository: u64| json!({"toRef": {"id": branch, "repository": {"id": repository}}});
    let first = json!([
        pull(9, "OPEN", json!({"description": null})),
        pull(8, "OPEN", to("refs/heads/other", 42)),
        pull(7, "OPEN", to("refs/heads/main", 1)),
    ]);
    let second =
        json!([pull(6, "MERGED", json!({})), pull(5, "DECLINED", json!({"closedDate": 1_795_514_400_000_i64}))]);
    let calls = vec![list(0).answers(200, page(first, Some(25))), list(25).answers(200, page(second, None))];
    let found = lists(DATA_CENTER, calls).unwrap();
    assert_eq!(outline(&found), [(9, "open"), (6, "merged"), (5, "closed")]);
    assert_eq!(found[0].url, "https://git.example.com/projects/SHOP/repos/fleet/pull-requests/9");
    assert_eq!(found[0].head.as_ref().map(|head| head.as_str()), Some(HEAD));
    assert_eq!(closed(&found[2]), (None, Some("2026-11-24T10:00:00+00:00".to_owned())));
}

#[test]
fn pages_are_read_until_enough_is_found() {
    let some = |start: u64| {
        let all = (0..25).map(|n| pull(400 - start - n, "MERGED", json!({})));
        list(start).answers(200, page(all.collect(), Some(start + 25)))
    };
    assert_eq!(lists(DATA_CENTER, vec![some(0)]).unwrap().len(), 20);
    let found = lists_all(DATA_CENTER, (0..8).map(|page| some(25 * page)).collect()).unwrap();
    assert_eq!((found.len(), found[0].number, found[199].number), (200, 400, 201));
}

#[test]
fn who_closed_the_newest_is_asked() {
    let history = json!([
        {"id": 12, "action": "COMMENTED", "user": {"name": "bob"}, "comment": {"text": "no"}},
        {"id": 11, "action": "DECLINED", "user": {"name": "ann", "displayName": "Ann Other"}},
    ]);
    let calls = vec![
        list(0).answers(200, page(json!([pull(7, "DECLINED", json!({}))]), None)),
        call(&format!("GET {ONE}/activities?limit=25")).answers(200, page(history, None)),
    ];
    assert_eq!(closed(&lists(DATA_CENTER, calls).unwrap()[0]), (Some("ann"), None));
}

#[test]
fn a_request_is_opened_once() {
    assert_eq!(opens(DATA_CENTER, vec![opening().answers(201, pull(7, "OPEN", json!({})))]).unwrap().number, 7);
    let exists = json!({"errors": [{
        "context": null, "message": "Only one pull request may be open for a given source and target branch",
        "exceptionName": "com.atlassian.bitbucket.pull.DuplicatePullRequestException", "existingPullRequest": {"id": 6},
    }]});
    let calls =
        vec![opening().answers(409, exists), list(0).answers(200, page(json!([pull(6, "OPEN", json!({}))]), None))];
    assert_eq!(opens(DATA_CENTER, calls).unwrap().number, 6);
}

#[test]
fn a_change_keeps_the_reviewers() {
    updates(DATA_CENTER, &as_wanted(), &wanted(), vec![]).unwrap();
    let had = Request { body: "Old".into(), ..as_wanted() };
    let now = pull(7, "OPEN", json!({"reviewers": [{"user": {"name": "ann"}, "role": "REVIEWER"}]}));
    let change = json!({
        "version": 3, "title": "Bump app to v2", "description": "- app: v1 -> v2", "reviewers": [{"user": {"name": "ann"}}],
    });
    let calls = |status: u16, answer: Value| {
        vec![
            call(&format!("GET {ONE}")).answers(200, now.clone()),
            call(&format!("PUT {ONE}")).sends(change.clone()).answers(status, answer),
        ]
    };
    updates(DATA_CENTER, &had, &wanted(), calls(200, json!({}))).unwrap();
    let error = updates(DATA_CENTER, &had, &wanted(), calls(409, out_of_date())).unwrap_err();
    assert!(!error.needs_user() && error.to_string().contains("out-of-date"), "{error}");
    let labels = ["images".to_owned()];
    let error = updates(DATA_CENTER, &as_wanted(), &Wanted { labels: &labels, ..wanted() }, vec![]).unwrap_err();
    assert_eq!(error.to_string(), "bitbucket data center has no labels in its api, leave it out");
}

#[test]
fn it_merges_by_itself() {
    let wanted = |method| Wanted { auto_merge: Some(method), ..wanted() };
    let asked = || call(&format!("GET {ONE}/auto-merge"));
    let missing = || asked().answers(404, json!({"errors": [{"message": "No auto-merge request"}]}));
    let merge = |strategy: &str| {
        call(&format!("POST {ONE}/merge?version=3")).sends(json!({"autoMerge": true, "strategyId": strategy}))
    };
    let read = || call(&format!("GET {ONE}")).answers(200, pull(7, "OPEN", json!({})));
    for (method, strategy) in
        [(MergeMethod::Merge, "no-ff"), (MergeMethod::Squash, "squash"), (MergeMethod::Rebase, "rebase-ff-only")]
    {
        let calls = vec![missing(), read(), merge(strategy).answers(200, json!({}))];
        updates(DATA_CENTER, &as_wanted(), &wanted(method), calls).unwrap();
    }
    let calls = vec![asked().text(204, ""), read(), merge("no-ff").answers(200, json!({}))];
    updates(DATA_CENTER, &as_wanted(), &wanted(MergeMethod::Merge), calls).unwrap();
    let calls = vec![asked().answers(200, json!({"createdDate": 1, "strategyId": "squash"}))];
    updates(DATA_CENTER, &as_wanted(), &wanted(MergeMethod::Merge), calls).unwrap();
    let off = json!({"errors": [{"message": "Auto-merge is not enabled for this repository"}]});
    let calls = vec![missing(), read(), merge("no-ff").answers(403, off)];
    let error = updates(DATA_CENTER, &as_wanted(), &wanted(MergeMethod::Merge), calls).unwrap_err();
    assert!(error.needs_user() && error.to_string().contains("not enabled for this repository"), "{error}");
}

#[test]
fn it_is_closed_with_a_reason() {
    let calls = |status: u16, answer: Value| {
        vec![
            call(&format!("POST {ONE}/comments")).sends(json!({"text": "Nothing left to do."})).answers(201, json!({})),
            call(&format!("GET {ONE}")).answers(200, pull(7, "OPEN", json!({}))),
            call(&format!("POST {ONE}/decline?version=3")).sends(json!({})).answers(status, answer),
        ]
    };
    closes(DATA_CENTER, calls(200, json!({}))).unwrap();
    assert!(!closes(DATA_CENTER, calls(409, out_of_date())).unwrap_err().needs_user());
}
