//! What goes wrong, the same for all hosts: who has to act, how long to wait, whose words are told, and where a token never goes.

#![expect(clippy::disallowed_methods, reason = "ports on loopback where nobody answers")]

use serde_json::{Value, json};

use super::server::{Call, call};
use super::*;
use crate::failure::Answer;

const GITLAB: Host = Host { provider: Provider::Gitlab, url: "/acme/fleet", base: None, headers: &[] };
const LIST: &str = "GET /api/v4/projects/acme%2Ffleet/merge_requests?state=all&source_branch=tagboat%2Ffleet\
                    &target_branch=main&order_by=created_at&sort=desc&per_page=20&page=1";
const USER: Answer = Answer::WaitForUser;

fn later(seconds: Option<u64>) -> Answer {
    Answer::Retry { after: seconds.map(Duration::from_secs) }
}

#[track_caller]
fn refused(answer: impl FnOnce(Call) -> Call, expected: Answer, words: &str) -> Error {
    let error = lists(GITLAB, vec![answer(call(LIST))]).unwrap_err();
    assert_eq!(error.answer(), expected, "{error}");
    assert!(error.to_string().contains(words), "{error}");
    error
}

#[test]
fn who_has_to_act() {
    let said = |status: u16| move |call: Call| call.answers(status, json!({"message": format!("as it is {status}")}));
    refused(said(401), USER, "refused to list the merge requests (http 401: as it is 401); check the secret");
    refused(said(403), USER, "(http 403: as it is 403); check the rights of the secret's user or token");
    refused(said(404), USER, "(http 404: as it is 404); check the url and the branches, and the rights");
    refused(said(400), USER, "(http 400: as it is 400)");
    refused(said(422), USER, "(http 422: as it is 422)");
    refused(said(429), later(None), "wants fewer calls to its api (http 429: as it is 429)");
    refused(said(500), later(None), "could not list the merge requests (http 500: as it is 500)");
    refused(said(418), later(None), "(http 418: as it is 418)");
}

#[test]
fn how_long_to_wait() {
    refused(
        |call| call.text(429, "Retry later").header("retry-after", "42"),
        later(Some(42)),
        "(http 429: Retry later)",
    );
    refused(|call| call.text(503, "").header("retry-after", "7"), later(Some(7)), "(http 503)");
    refused(|call| call.text(403, "").header("retry-after", "60"), later(Some(60)), "fewer calls");
    refused(
        |call| {
            let call = call.answers(403, json!({"message": "API rate limit exceeded for installation ID 1."}));
            let call = call.header("x-ratelimit-remaining", "0").header("x-ratelimit-reset", "1795514700");
            call.header("date", "Tue, 24 Nov 2026 10:00:00 GMT")
        },
        later(Some(300)),
        "API rate limit exceeded",
    );
    let secondary = json!({"message": "You have exceeded a secondary rate limit. Please wait a few minutes."});
    refused(|call| call.answers(403, secondary), later(None), "secondary rate limit");
}

#[test]
fn words_of_others_are_bounded_and_harmless() {
    let long = json!({"message": "x".repeat(2000)});
    let error = refused(|call| call.answers(422, long), USER, "xxx…");
    assert!(error.to_string().len() < 500, "{error}");
    let bell = json!({"message": "a\u{7}b\u{202e}c\nd"});
    refused(|call| call.answers(422, bell), USER, "a\\u{7}b\\u{202e}c d");
    let echo = json!({"message": format!("Bearer {TOKEN} is not known, {TOKEN}!")});
    refused(|call| call.answers(401, echo), USER, "Bearer (hidden) is not known, (hidden)!");
    let error = refused(|call| call.text(502, "<html><h1>Bad gateway</h1></html>"), later(None), "(http 502)");
    assert!(!error.to_string().contains("html"), "{error}");
}

#[test]
fn answers_that_are_none() {
    refused(|call| call.text(200, "<!doctype html>"), later(None), "a page for a browser");
    refused(
        |call| call.text(200, "[{\"iid\": \"x\"}]"),
        later(None),
        "unexpected when asked to list the merge requests",
    );
    refused(|call| call.text(200, ""), later(None), "unexpected");
}

#[test]
fn redirects_stay_at_home() {
    let away = refused(
        |call| call.text(301, "").header("location", "https://evil.example.com/api"),
        USER,
        "which is not followed",
    );
    assert_eq!(away, Error::Redirected { to: "https://evil.example.com".to_owned() });
    refused(|call| call.text(301, "").header("location", "https://127.0.0.1/api"), USER, "https://127.0.0.1");
    refused(|call| call.text(301, ""), later(None), "a redirect");
    let round = || call(LIST).text(301, "").header("location", &LIST[4..]);
    let error = lists(GITLAB, vec![round(), round(), round(), round()]).unwrap_err();
    assert!(error.to_string().contains("too many redirects"), "{error}");
    // What changes something is not repeated as something else.
    let body = json!({
        "title": "Bump app to v2", "description": "- app: v1 -> v2", "source_branch": "tagboat/fleet", "target_branch": "main",
    });
    let moved =
        call("POST /api/v4/projects/acme%2Ffleet/merge_requests").sends(body).text(302, "").header("location", "/x");
    let error = opens(GITLAB, vec![moved]).unwrap_err();
    assert!(error.to_string().contains("a redirect (http 302)"), "{error}");
}

#[test]
fn every_host_tells_its_own_words() {
    let check = |host: Host, list: &str, status: u16, body: Value, words: &str| {
        let error = lists(host, vec![call(list).answers(status, body)]).unwrap_err();
        assert!(error.needs_user() && error.to_string().contains(&format!("(http {status}: {words})")), "{error}");
    };
    let host = |provider, url, base| Host { provider, url, base, headers: &[] };
    let github = host(Provider::Github, "/acme/fleet", None);
    let list = "GET /api/v3/repos/acme/fleet/pulls?state=all&head=acme%3Atagboat%2Ffleet&base=main&sort=created\
                &direction=desc&per_page=20&page=1";
    check(github, list, 401, json!({"message": "Bad credentials", "status": "401"}), "Bad credentials");
    let gitea = host(Provider::Gitea, "/acme/fleet", None);
    let list = "GET /api/v1/repos/acme/fleet/pulls?state=all&base_branch=main&limit=50&page=1";
    let scope = "token does not have at least one of required scope(s): [read:repository]";
    check(gitea, list, 403, json!({"message": scope, "url": "https://x/api/swagger"}), scope);
    check(
        GITLAB,
        LIST,
        403,
        json!({"error": "insufficient_scope", "error_description": "needs api"}),
        "insufficient_scope; needs api",
    );
    let cloud = host(Provider::Bitbucket, "http://bitbucket.org/acme/fleet", Some("/2.0"));
    let list = "GET /2.0/repositories/acme/fleet/pullrequests\
                ?q=source.branch.name%3D%22tagboat%2Ffleet%22+AND+destination.branch.name%3D%22main%22\
                &sort=-created_on&pagelen=20&state=OPEN&state=MERGED&state=DECLINED&state=SUPERSEDED";
    let body = json!({"type": "error", "error": {"message": "Repository acme/fleet not found"}});
    check(cloud, list, 404, body, "Repository acme/fleet not found");
    let data_center = host(Provider::Bitbucket, "/scm/SHOP/fleet.git", None);
    let list = "GET /rest/api/latest/projects/SHOP/repos/fleet/pull-requests?direction=OUTGOING\
                &at=refs%2Fheads%2Ftagboat%2Ffleet&state=ALL&order=NEWEST&limit=25&start=0";
    let body = json!({"errors": [{"context": null, "message": "Authentication failed.", "exceptionName": "x.IncorrectPassword"}]});
    check(data_center, list, 401, body, "Authentication failed.");
    let azure = host(Provider::Azure, "/acme/Shop/_git/fleet", None);
    let list = "GET /acme/Shop/_apis/git/repositories/fleet/pullrequests?api-version=7.1\
                &searchCriteria.sourceRefName=refs%2Fheads%2Ftagboat%2Ffleet\
                &searchCriteria.targetRefName=refs%2Fheads%2Fmain&searchCriteria.status=all&%24top=20&%24skip=0";
    let body =
        json!({"$id": "1", "message": "TF401019: The Git repository does not exist.", "typeKey": "x", "errorCode": 0});
    check(azure, list, 404, body, "TF401019: The Git repository does not exist.");
}

fn forge(url: &str, login: Login, timeout: Duration) -> Result<Forge, Error> {
    Forge::new(Provider::Gitea, url, None, login, &Way::default(), timeout)
}

#[test]
fn a_host_that_says_nothing_is_given_up() {
    let error = run(async {
        let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/acme/fleet", silent.local_addr().unwrap());
        let forge = forge(&url, Login::None, Duration::from_millis(50)).unwrap();
        forge.open(&wanted()).await.unwrap_err()
    });
    assert_eq!(error, Error::Timeout { limit: Duration::from_millis(50) });
    assert!(error.lost_reply());
}

#[test]
fn a_host_that_is_not_there() {
    let error = run(async {
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let forge = forge(&format!("http://127.0.0.1:{port}/acme/fleet"), Login::None, LONG).unwrap();
        forge.requests("a", "b", super::super::REQUESTS).await.unwrap_err()
    });
    assert!(matches!(&error, Error::Unreachable { .. }), "{error}");
    assert_eq!(error.answer(), later(None));
}

#[test]
fn secrets_are_in_no_text() {
    run(async {
        let token = || Login::Token(TOKEN.to_owned());
        let forge_of = |login| forge("https://git.example.com/acme/fleet", login, LONG);
        let text = format!("{:?} {:?}", forge_of(token()).unwrap(), token());
        assert!(!text.contains(TOKEN), "{text}");
        let error = forge_of(Login::Token(format!("{TOKEN}\n"))).unwrap_err();
        assert!(!error.to_string().contains(TOKEN) && error.needs_user(), "{error}");
    });
}
