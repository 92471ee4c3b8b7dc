//! Bitbucket Cloud's API 2.0.

use serde_json::{Value, json};

use super::server::{Call, call};
use super::*;

const CLOUD: Host = Host {
    provider: Provider::Bitbucket,
    url: "http://bitbucket.org/acme/fleet.git",
    base: Some("/2.0"),
    headers: &[("accept", "application/json"), ("authorization", "Bearer t0ken-of-the-b0t")],
};
const LIST: &str = "GET /2.0/repositories/acme/fleet/pullrequests\
                    ?q=source.branch.name%3D%22tagboat%2Ffleet%22+AND+destination.branch.name%3D%22main%22\
                    &sort=-created_on&pagelen=20&state=OPEN&state=MERGED&state=DECLINED&state=SUPERSEDED";
const ONE: &str = "/2.0/repositories/acme/fleet/pullrequests/7";

fn pull(id: u64, state: &str, change: Value) -> Value {
    let repository = json!({"type": "repository", "full_name": "acme/fleet", "uuid": "{42}"});
    let mut pull = json!({
        "type": "pullrequest", "id": id, "title": "Bump app to v2", "description": "- app: v1 -> v2", "state": state,
        "source": {"branch": {"name": "tagboat/fleet"}, "commit": {"hash": "1f7a7a472abf"}, "repository": repository},
        "destination": {"branch": {"name": "main"}, "commit": {"hash": "1f7a7a472abf"}, "repository": repository},
        "links": {"html": {"href": format!("https://bitbucket.org/acme/fleet/pull-requests/{id}")}},
        "closed_by": null, "created_on": "2026-11-20T08:00:00.000000+00:00", "updated_on": "2026-11-21T08:00:00.000000+00:00",
    });
    for (key, value) in change.as_object().unwrap() {
        pull[key] = value.clone();
    }
    pull
}

fn opening() -> Call {
    call("POST /2.0/repositories/acme/fleet/pullrequests").sends(json!({
        "title": "Bump app to v2", "description": "- app: v1 -> v2",
        "source": {"branch": {"name": "tagboat/fleet"}}, "destination": {"branch": {"name": "main"}},
    }))
}

#[test]
fn a_list_holds_what_is_ours() {
    let source = |repository: Value| json!({"source": {"branch": {"name": "tagboat/fleet"}, "commit": null, "repository": repository}});
    let ann = json!({"closed_by": {"uuid": "{3}", "nickname": "ann", "display_name": "Ann Other"}});
    let first = json!({"values": [
        pull(9, "OPEN", json!({"description": null})), pull(8, "OPEN", source(json!({"full_name": "ann/fleet", "uuid": "{43}"}))),
        pull(7, "OPEN", source(json!(null))),
    ], "page": 1, "pagelen": 20, "next": "{origin}/2.0/repositories/acme/fleet/pullrequests?page=2&ctx=x"});
    let second =
        json!({"values": [pull(6, "MERGED", json!({})), pull(5, "DECLINED", ann), pull(4, "SUPERSEDED", json!({}))]});
    let calls = vec![
        call(LIST).answers(200, first),
        call("GET /2.0/repositories/acme/fleet/pullrequests?page=2&ctx=x").answers(200, second),
    ];
    let found = lists(CLOUD, calls).unwrap();
    assert_eq!(outline(&found), [(9, "open"), (6, "merged"), (5, "closed"), (4, "closed")]);
    assert_eq!((&*found[0].url, found[0].head.as_ref()), ("https://bitbucket.org/acme/fleet/pull-requests/9", None));
    assert_eq!(closed(&found[2]), (Some("Ann Other"), Some("2026-11-21T08:00:00+00:00".to_owned())));
}

#[test]
fn pages_are_read_until_enough_is_found() {
    let next = |page: u64| format!("/2.0/repositories/acme/fleet/pullrequests?page={page}&ctx=x");
    let page = |page: u64| {
        let all: Vec<_> = (0..20).map(|n| pull(400 - 20 * page - n, "DECLINED", json!({}))).collect();
        let line = if page == 1 { LIST.to_owned() } else { format!("GET {}", next(page)) };
        call(&line).answers(200, json!({"values": all, "next": format!("{{origin}}{}", next(page + 1))}))
    };
    assert_eq!(lists(CLOUD, vec![page(1)]).unwrap().len(), 20);
    let found = lists_all(CLOUD, (1..=10).map(page).collect()).unwrap();
    assert_eq!((found.len(), found[0].number, found[199].number), (200, 380, 181));
}

#[test]
fn a_next_page_elsewhere_is_not_read() {
    let calls = vec![call(LIST).answers(200, json!({"values": [], "next": "http://127.0.0.1:9/2.0/x"}))];
    let error = lists(CLOUD, calls).unwrap_err();
    assert!(matches!(&error, Error::Redirected { to } if to == "http://127.0.0.1:9"), "{error}");
}

#[test]
fn a_request_is_opened_once() {
    assert_eq!(opens(CLOUD, vec![opening().answers(201, pull(7, "OPEN", json!({})))]).unwrap().number, 7);
    let exists =
        json!({"type": "error", "error": {"message": "There is already an open pull request for these branches"}});
    let calls =
        vec![opening().answers(409, exists), call(LIST).answers(200, json!({"values": [pull(6, "OPEN", json!({}))]}))];
    assert_eq!(opens(CLOUD, calls).unwrap().number, 6);
    let nothing = json!({"type": "error", "error": {"message": "There are no changes to be pulled"}});
    let calls = vec![opening().answers(400, nothing), call(LIST).answers(200, json!({"values": []}))];
    let error = opens(CLOUD, calls).unwrap_err();
    assert!(error.to_string().contains("(http 400: There are no changes to be pulled)"), "{error}");
}

#[test]
fn a_change_keeps_the_reviewers() {
    updates(CLOUD, &as_wanted(), &wanted(), vec![]).unwrap();
    let had = Request { title: "Old".into(), ..as_wanted() };
    let now =
        pull(7, "OPEN", json!({"reviewers": [{"uuid": "{3}", "display_name": "Ann"}], "close_source_branch": true}));
    let change = json!({
        "title": "Bump app to v2", "description": "- app: v1 -> v2", "reviewers": [{"uuid": "{3}"}], "close_source_branch": true,
    });
    let calls = || {
        vec![
            call(&format!("GET {ONE}")).answers(200, now.clone()),
            call(&format!("PUT {ONE}")).sends(change.clone()).answers(200, json!({})),
        ]
    };
    updates(CLOUD, &had, &wanted(), calls()).unwrap();
    // What there is not is said after all else is done.
    let labels = ["images".to_owned()];
    let error = updates(CLOUD, &had, &Wanted { labels: &labels, ..wanted() }, calls()).unwrap_err();
    assert_eq!(error, Error::Unsupported { provider: "bitbucket cloud", what: "labels" });
    let merge = Wanted { auto_merge: Some(MergeMethod::Merge), ..wanted() };
    let error = updates(CLOUD, &had, &merge, calls()).unwrap_err();
    assert_eq!(error.to_string(), "bitbucket cloud has no auto-merge in its api, leave it out");
    assert!(error.needs_user());
}

#[test]
fn it_is_closed_with_a_reason() {
    let calls = vec![
        call(&format!("POST {ONE}/comments"))
            .sends(json!({"content": {"raw": "Nothing left to do."}}))
            .answers(201, json!({})),
        call(&format!("POST {ONE}/decline")).answers(200, json!({})),
    ];
    closes(CLOUD, calls).unwrap();
}
