//! Azure DevOps's Git API, version 7.1.

use serde_json::{Value, json};

use super::server::{Call, call};
use super::*;

const AZURE: Host = Host {
    provider: Provider::Azure,
    url: "/acme/Web%20Shop/_git/fleet",
    base: None,
    // No user, and the token as the password.
    headers: &[("accept", "application/json"), ("authorization", "Basic OnQwa2VuLW9mLXRoZS1iMHQ=")],
};
const ALL: &str = "/acme/Web%20Shop/_apis/git/repositories/fleet/pullrequests";
const ONE: &str = "/acme/Web%20Shop/_apis/git/repositories/fleet/pullrequests/7";

fn list(skip: usize) -> Call {
    call(&format!(
        "GET {ALL}?api-version=7.1&searchCriteria.sourceRefName=refs%2Fheads%2Ftagboat%2Ffleet\
         &searchCriteria.targetRefName=refs%2Fheads%2Fmain&searchCriteria.status=all&%24top=20&%24skip={skip}"
    ))
}

fn pull(id: u64, status: &str, change: Value) -> Value {
    let mut pull = json!({
        "pullRequestId": id, "codeReviewId": id, "status": status, "title": "Bump app to v2", "description": "- app: v1 -> v2",
        "repository": {"id": "42", "name": "fleet", "project": {"name": "Web Shop"}, "webUrl": "https://dev.azure.com/acme/Web%20Shop/_git/fleet"},
        "createdBy": {"displayName": "tagboat", "id": "5"}, "creationDate": "2026-11-20T08:00:00.1234567Z",
        "sourceRefName": "refs/heads/tagboat/fleet", "targetRefName": "refs/heads/main", "mergeStatus": "succeeded",
        "lastMergeSourceCommit": {"commitId": HEAD, "url": "https://dev.azure.com/x"}, "reviewers": [],
    });
    for (key, value) in change.as_object().unwrap() {
        pull[key] = value.clone();
    }
    pull
}

fn opening() -> Call {
    call(&format!("POST {ALL}?api-version=7.1")).sends(json!({
        "title": "Bump app to v2", "description": "- app: v1 -> v2",
        "sourceRefName": "refs/heads/tagboat/fleet", "targetRefName": "refs/heads/main",
    }))
}

#[test]
fn a_list_holds_what_is_ours_and_the_open_one_whole() {
    let ann =
        json!({"closedBy": {"displayName": "Ann Other", "id": "3"}, "closedDate": "2026-11-18T08:00:00.1234567Z"});
    let values = json!([
        pull(5, "abandoned", ann),
        pull(9, "active", json!({"description": "- app: v1"})),
        pull(8, "active", json!({"forkSource": {"name": "refs/heads/tagboat/fleet", "repository": {"id": "43"}}})),
        pull(6, "completed", json!({})),
    ]);
    let whole = json!({
        "labels": [{"id": "1", "name": "images", "active": true}], "autoCompleteSetBy": {"id": "3"}, "repository": {"id": "42"},
    });
    let calls = vec![
        list(0).answers(200, json!({"value": values, "count": 4})),
        call(&format!("GET {ALL}/9?api-version=7.1")).answers(200, pull(9, "active", whole)),
    ];
    let found = lists(AZURE, calls).unwrap();
    assert_eq!(outline(&found), [(9, "open"), (6, "merged"), (5, "closed")]);
    assert_eq!((&*found[0].body, found[0].labels.as_slice()), ("- app: v1 -> v2", &["images".to_owned()][..]));
    assert!(found[0].auto_merge);
    assert!(found[0].url.ends_with("/acme/Web%20Shop/_git/fleet/pullrequest/9"), "{}", found[0].url);
    assert_eq!(found[1].url, "https://dev.azure.com/acme/Web%20Shop/_git/fleet/pullrequest/6");
    assert_eq!(found[0].head.as_ref().map(|head| head.as_str()), Some(HEAD));
    assert_eq!(closed(&found[2]), (Some("Ann Other"), Some("2026-11-18T08:00:00.123456700+00:00".to_owned())));
}

#[test]
fn pages_are_read_until_enough_is_found() {
    let fork = json!({"forkSource": {"name": "refs/heads/tagboat/fleet"}});
    let forks: Vec<_> = (80..100).map(|id| pull(id, "active", fork.clone())).collect();
    let calls = vec![
        list(0).answers(200, json!({"value": forks, "count": 20})),
        list(20).answers(200, json!({"value": [pull(6, "completed", json!({}))], "count": 1})),
    ];
    assert_eq!(outline(&lists(AZURE, calls).unwrap()), [(6, "merged")]);
    let some = |page: usize| {
        let all: Vec<_> = (0..20).map(|n| pull((400 - 20 * page - n) as u64, "completed", json!({}))).collect();
        list(20 * page).answers(200, json!({"value": all, "count": 20}))
    };
    assert_eq!(lists(AZURE, vec![some(0)]).unwrap().len(), 20);
    let found = lists_all(AZURE, (0..10).map(some).collect()).unwrap();
    assert_eq!((found.len(), found[0].number, found[199].number), (200, 400, 201));
}

#[test]
fn a_request_is_opened_once() {
    assert_eq!(opens(AZURE, vec![opening().answers(201, pull(7, "active", json!({})))]).unwrap().number, 7);
    let exists = json!({
        "$id": "1", "innerException": null, "errorCode": 0, "eventId": 3000, "typeKey": "GitPullRequestExistsException",
        "message": "TF401179: An active pull request for the source and target branch already exists.",
    });
    let calls = vec![
        opening().answers(409, exists),
        list(0).answers(200, json!({"value": [pull(7, "active", json!({}))], "count": 1})),
        call(&format!("GET {ONE}?api-version=7.1")).answers(200, pull(7, "active", json!({}))),
    ];
    assert_eq!(opens(AZURE, calls).unwrap().number, 7);
}

#[test]
fn only_differences_are_sent() {
    updates(AZURE, &as_wanted(), &wanted(), vec![]).unwrap();
    let labels = ["images".to_owned(), "bot".to_owned(), "fleet".to_owned()];
    let had = Request { title: "Old".into(), labels: vec!["images".into()], ..as_wanted() };
    let label = |name: &str| {
        call(&format!("POST {ONE}/labels?api-version=7.1")).sends(json!({"name": name})).answers(200, json!({}))
    };
    let calls = vec![
        call(&format!("PATCH {ONE}?api-version=7.1")).sends(json!({"title": "Bump app to v2"})).answers(200, json!({})),
        label("bot"),
        label("fleet"),
    ];
    updates(AZURE, &had, &Wanted { labels: &labels, ..wanted() }, calls).unwrap();
}

#[test]
fn a_long_description_is_cut() {
    let long = "é".repeat(5000);
    let wanted = Wanted { body: &long, ..wanted() };
    let cut = format!("{}…", "é".repeat(3999));
    let calls =
        vec![call(&format!("PATCH {ONE}?api-version=7.1")).sends(json!({"description": cut})).answers(200, json!({}))];
    updates(AZURE, &as_wanted(), &wanted, calls).unwrap();
    updates(AZURE, &Request { body: cut, ..as_wanted() }, &wanted, vec![]).unwrap();
}

#[test]
fn it_merges_by_itself() {
    let user = json!({"authenticatedUser": {"id": "5", "providerDisplayName": "tagboat"}, "instanceId": "1"});
    for (method, strategy) in
        [(MergeMethod::Merge, "noFastForward"), (MergeMethod::Squash, "squash"), (MergeMethod::Rebase, "rebase")]
    {
        let body = json!({"autoCompleteSetBy": {"id": "5"}, "completionOptions": {"mergeStrategy": strategy}});
        let calls = vec![
            call("GET /acme/_apis/connectionData?api-version=7.1-preview").answers(200, user.clone()),
            call(&format!("PATCH {ONE}?api-version=7.1")).sends(body).answers(200, json!({})),
        ];
        updates(AZURE, &as_wanted(), &Wanted { auto_merge: Some(method), ..wanted() }, calls).unwrap();
    }
    let had = Request { auto_merge: true, ..as_wanted() };
    updates(AZURE, &had, &Wanted { auto_merge: Some(MergeMethod::Squash), ..wanted() }, vec![]).unwrap();
}

#[test]
fn it_is_closed_with_a_reason() {
    let thread = json!({
        "comments": [{"parentCommentId": 0, "content": "Nothing left to do.", "commentType": "text"}], "status": "closed",
    });
    let calls = vec![
        call(&format!("POST {ONE}/threads?api-version=7.1")).sends(thread).answers(200, json!({})),
        call(&format!("PATCH {ONE}?api-version=7.1")).sends(json!({"status": "abandoned"})).answers(200, json!({})),
    ];
    closes(AZURE, calls).unwrap();
}

#[test]
fn a_login_page_is_a_refusal() {
    let page = list(0).text(203, "<html>Sign In</html>").header("content-type", "text/html");
    let redirect = list(0).text(302, "").header("location", "https://login.example.com/_signin");
    for answer in [page, redirect] {
        let error = lists(AZURE, vec![answer]).unwrap_err();
        assert!(error.needs_user() && error.to_string().ends_with("(http 401); check the secret"), "{error}");
    }
}
