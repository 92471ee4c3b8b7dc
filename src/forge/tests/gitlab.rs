//! GitLab's API v4.

use serde_json::{Value, json};

use super::server::{Call, call};
use super::*;

const GITLAB: Host = Host {
    provider: Provider::Gitlab,
    url: "/acme/team/fleet.git",
    base: None,
    headers: &[("accept", "application/json"), ("authorization", "Bearer t0ken-of-the-b0t")],
};
const LIST: &str = "GET /api/v4/projects/acme%2Fteam%2Ffleet/merge_requests?state=all&source_branch=tagboat%2Ffleet\
                    &target_branch=main&order_by=created_at&sort=desc&per_page=20&page=1";
const ONE: &str = "/api/v4/projects/acme%2Fteam%2Ffleet/merge_requests/7";

fn merge_request(iid: u64, state: &str, change: Value) -> Value {
    let mut request = json!({
        "id": 1000 + iid, "iid": iid, "project_id": 42, "title": "Bump app to v2", "description": "- app: v1 -> v2",
        "state": state, "created_at": "2026-11-20T08:00:00.000Z", "merged_at": null, "closed_by": null, "closed_at": null,
        "target_branch": "main", "source_branch": "tagboat/fleet", "source_project_id": 42, "target_project_id": 42,
        "labels": [], "draft": false, "merge_when_pipeline_succeeds": false, "detailed_merge_status": "checking",
        "sha": HEAD, "web_url": format!("https://gitlab.com/acme/team/fleet/-/merge_requests/{iid}"),
    });
    for (key, value) in change.as_object().unwrap() {
        request[key] = value.clone();
    }
    request
}

fn opening() -> Call {
    call("POST /api/v4/projects/acme%2Fteam%2Ffleet/merge_requests").sends(json!({
        "title": "Bump app to v2", "description": "- app: v1 -> v2", "source_branch": "tagboat/fleet", "target_branch": "main",
    }))
}

#[test]
fn a_list_holds_what_is_ours() {
    let closed_by = json!({"closed_by": {"id": 3, "username": "ann"}, "closed_at": "2026-11-18T08:00:00.123Z"});
    let first = json!([
        merge_request(9, "opened", json!({"labels": ["images"], "merge_when_pipeline_succeeds": true})),
        merge_request(8, "opened", json!({"source_project_id": 43})),
        merge_request(7, "locked", json!({"description": null})),
    ]);
    let second = json!([merge_request(6, "closed", closed_by), merge_request(5, "merged", json!({"sha": null}))]);
    let next = "<{origin}/api/v4/projects/42/merge_requests?page=2>; rel=\"next\", <{origin}/x>; rel=\"first\"";
    let calls = vec![
        call(LIST).answers(200, first).header("link", next),
        call(&LIST.replace("&page=1", "&page=2")).answers(200, second),
    ];
    let found = lists(GITLAB, calls).unwrap();
    assert_eq!(outline(&found), [(9, "open"), (7, "open"), (6, "closed"), (5, "merged")]);
    assert_eq!((found[0].labels.as_slice(), found[0].auto_merge), (&["images".to_owned()][..], true));
    assert_eq!(found[0].url, "https://gitlab.com/acme/team/fleet/-/merge_requests/9");
    assert_eq!(found[0].head.as_ref().map(|head| head.as_str()), Some(HEAD));
    assert_eq!((&*found[1].body, found[3].head.as_ref()), ("", None));
    assert_eq!(closed(&found[2]), (Some("ann"), Some("2026-11-18T08:00:00.123+00:00".to_owned())));
}

#[test]
fn pages_are_read_until_enough_is_found() {
    let page = |page: u64| {
        let all = (0..20).map(|n| merge_request(400 - 20 * page - n, "closed", json!({})));
        let next = format!("<{{origin}}/api/v4/projects/42/merge_requests?page={}>; rel=\"next\"", page + 1);
        call(&LIST.replace("&page=1", &format!("&page={page}"))).answers(200, all.collect()).header("link", &next)
    };
    assert_eq!(lists(GITLAB, vec![page(1)]).unwrap().len(), 20);
    let found = lists_all(GITLAB, (1..=10).map(page).collect()).unwrap();
    assert_eq!((found.len(), found[0].number, found[199].number), (200, 380, 181));
}

#[test]
fn a_request_is_opened_once() {
    assert_eq!(opens(GITLAB, vec![opening().answers(201, merge_request(7, "opened", json!({})))]).unwrap().number, 7);
    let exists = json!({"message": ["Another open merge request already exists for this source branch: !6"]});
    let calls = vec![
        opening().answers(409, exists.clone()),
        call(LIST).answers(200, json!([merge_request(6, "opened", json!({}))])),
    ];
    assert_eq!(opens(GITLAB, calls).unwrap().number, 6);
    let calls =
        vec![opening().answers(409, exists), call(LIST).answers(200, json!([merge_request(6, "closed", json!({}))]))];
    let error = opens(GITLAB, calls).unwrap_err();
    assert!(error.to_string().contains("already exists for this source branch: !6"), "{error}");
}

#[test]
fn only_differences_are_sent() {
    updates(GITLAB, &as_wanted(), &wanted(), vec![]).unwrap();
    let labels = ["images".to_owned(), "bot".to_owned(), "fleet".to_owned()];
    let had = Request { body: "Old".into(), labels: vec!["images".into()], ..as_wanted() };
    let change = json!({"description": "- app: v1 -> v2", "add_labels": "bot,fleet"});
    let calls = vec![call(&format!("PUT {ONE}")).sends(change).answers(200, json!({}))];
    updates(GITLAB, &had, &Wanted { labels: &labels, ..wanted() }, calls).unwrap();
}

#[test]
fn it_merges_by_itself() {
    let check = |method: MergeMethod, squash: bool, status: u16, expected: Result<(), bool>| {
        let body = json!({"auto_merge": true, "merge_when_pipeline_succeeds": true, "squash": squash, "sha": HEAD});
        let merge = call(&format!("PUT {ONE}/merge")).sends(body).answers(status, json!({"message": "as it is"}));
        let found = updates(GITLAB, &as_wanted(), &Wanted { auto_merge: Some(method), ..wanted() }, vec![merge]);
        assert_eq!(found.map_err(|error| error.needs_user()), expected, "{status}");
    };
    check(MergeMethod::Squash, true, 200, Ok(()));
    check(MergeMethod::Merge, false, 200, Ok(()));
    check(MergeMethod::Rebase, false, 200, Ok(()));
    check(MergeMethod::Merge, false, 401, Err(true));
    for passing in [405, 406, 409, 422] {
        check(MergeMethod::Merge, false, passing, Err(false));
    }
    let had = Request { auto_merge: true, ..as_wanted() };
    updates(GITLAB, &had, &Wanted { auto_merge: Some(MergeMethod::Squash), ..wanted() }, vec![]).unwrap();
}

#[test]
fn it_is_closed_with_a_reason() {
    let calls = vec![
        call(&format!("POST {ONE}/notes")).sends(json!({"body": "Nothing left to do."})).answers(201, json!({})),
        call(&format!("PUT {ONE}")).sends(json!({"state_event": "close"})).answers(200, json!({})),
    ];
    closes(GITLAB, calls).unwrap();
}
