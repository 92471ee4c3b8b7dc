//! The whole shell against a server of faults: in a script of answers, out what the caller sees and what was asked.

pub(super) mod server;
mod content;
mod hosted;
mod signatures;
mod signing;
mod sharing;
mod stalling;
mod tls;

use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::response::Response;

use super::{Access, Build, Credential, Error, Limits, Proxy, Registry, Signed, Tags, Tls};
use server::{Asked, Server, page, page_then, reply};

pub(super) const LONG: Duration = Duration::from_secs(30);
const FRESH: Duration = Duration::ZERO;

/// Runs a test's future; the server's task runs beside it.
pub(super) fn run<T>(test: impl Future<Output = T>) -> T {
    let _ = rustls::crypto::ring::default_provider().install_default();
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(test)
}

fn registry() -> Registry {
    small(|_| {})
}

fn small(change: impl FnOnce(&mut Limits)) -> Registry {
    let mut limits = Limits::default();
    change(&mut limits);
    Registry::new("tagboat-test", limits)
}

fn access(server: &Server, credential: Option<Credential>) -> Access {
    Access { insecure: true, credential, ..Access::new(format!("{}/acme/app", server.host).parse().unwrap()) }
}

fn names(tags: &Tags) -> Vec<&str> {
    tags.tags.iter().collect()
}

/// One anonymous listing: the tags, or a part of the error.
#[track_caller]
fn check(script: impl Fn(&Asked) -> Response + Send + Sync + 'static, expected: Result<&[&str], &str>) {
    check_with(registry(), script, expected);
}

#[track_caller]
fn check_with(
    registry: Registry,
    script: impl Fn(&Asked) -> Response + Send + Sync + 'static,
    expected: Result<&[&str], &str>,
) {
    let found = run(async {
        let server = Server::start(script).await;
        registry.tags(&access(&server, None), FRESH, LONG).await
    });
    match (found, expected) {
        (Ok(tags), Ok(expected)) => assert_eq!(names(&tags), expected),
        (Err(error), Err(part)) => assert!(error.to_string().contains(part), "{error} lacks {part}"),
        (found, _) => panic!("{found:?}, expected {expected:?}"),
    }
}

fn json(body: &'static str) -> impl Fn(&Asked) -> Response {
    move |_| reply(200, &[("content-type", "application/json; charset=utf-8")], body)
}

#[test]
fn a_page_is_read_sorted_and_cleaned() {
    check(|_| page(&["v2", "v10", "v1", "v2"]), Ok(&["v1", "v10", "v2"]));
    check(json(r#"{"name":"acme/app","tags":null}"#), Ok(&[]));
    check(json(r#"{"name":"acme/app"}"#), Ok(&[]));
    check(json(r#"{"tags":["a"]}"#), Ok(&["a"]));
    check(json(r#"{"name":"app","tags":["a"]}"#), Ok(&["a"])); // Artifactory
    run(async {
        let hostile = [
            "ok",
            "",
            ".dot",
            "-dash",
            "a b",
            "a\nb",
            "\u{202e}cod",
            "a/b",
            "ü",
            "$(x)",
            std::str::from_utf8(&[b'x'; 129]).unwrap(),
        ];
        let server = Server::start(move |_| page(&hostile)).await;
        let tags = registry().tags(&access(&server, None), FRESH, LONG).await.unwrap();
        assert_eq!((names(&tags), tags.skipped), (vec!["ok"], 10));
        assert_eq!(server.asked()[0].target, "/v2/acme/app/tags/list?n=1000");
    });
}

#[test]
fn pages_are_followed_by_relative_and_absolute_links() {
    run(async {
        let server = Server::start(|asked| match &*asked.target {
            "/v2/acme/app/tags/list?n=1000" => page_then(&["c"], Some("/v2/acme/app/tags/list?last=c&n=1")),
            "/v2/acme/app/tags/list?last=c&n=1" => page_then(&["b"], Some("list?cursor=opaque%2F")),
            "/v2/acme/app/tags/list?cursor=opaque%2F" => page_then(&[], Some("?end")),
            _ => page(&["a"]),
        });
        let server = server.await;
        let tags = registry().tags(&access(&server, None), FRESH, LONG).await.unwrap();
        assert_eq!(names(&tags), ["a", "b", "c"]);
        assert_eq!(server.asked().len(), 4);
    });
    run(async {
        let server = Server::start(|asked| match asked.number {
            0 => page_then(&["a"], Some(&format!("http://{}/v2/acme/app/tags/list?page=2", asked.header("host")))),
            _ => page(&["b"]),
        });
        let server = server.await;
        let tags = registry().tags(&access(&server, None), FRESH, LONG).await.unwrap();
        assert_eq!(names(&tags), ["a", "b"]);
    });
}

#[test]
fn links_that_lead_astray_are_refused() {
    check(|_| page_then(&["a"], Some("/v2/acme/app/tags/list?n=1000")), Err("in a circle"));
    check(|asked| page_then(&["a"], Some(if asked.number % 2 == 0 { "?x=1" } else { "?x=2" })), Err("in a circle"));
    check(|_| page_then(&["a"], Some("http://203.0.113.9/v2/acme/app/tags/list")), Err("leads to http://203.0.113.9,"));
    check(|_| page_then(&["a"], Some("//127.0.0.1:1/x")), Err("leads to http://127.0.0.1:1,"));
    check(|_| page_then(&["a"], Some(&format!("?{}", "x".repeat(5000)))), Err("longer than 4096 bytes"));
    let endless = |asked: &Asked| page_then(&["a"], Some(&format!("?page={}", asked.number)));
    check_with(small(|limits| limits.pages = 20), endless, Err("more than 20 pages"));
    check_with(small(|limits| limits.tags = 2), |_| page(&["a", "b", "c"]), Err("more than 2 tags"));
}

#[test]
fn an_answer_that_is_no_list_is_an_error() {
    let html = |_: &Asked| reply(200, &[("content-type", "text/html")], r#"{"name":"acme/app","tags":["a"]}"#);
    check(html, Err("is there a login page or proxy?"));
    check(json(r#"{"name":"acme/other","tags":["a"]}"#), Err("another repository's answer: \"acme/other\""));
    check(json(r#"{"name":"pp","tags":["a"]}"#), Err("another repository's answer"));
    check(json(r#"{"name":"","tags":["a"]}"#), Err("another repository's answer"));
    check(json(r#"{"name":"acme/app","tags":["a","#), Err("no list of tags in JSON"));
    check(json(r#"{"name":"acme/app","tags":[1]}"#), Err("no list of tags in JSON"));
    check(json(r#"{"name":"acme/app","tags":"a"}"#), Err("no list of tags in JSON"));
    check(json(r#"{"errors":[]}"#), Err("neither name nor tags"));
    check(json("[]"), Err("no list of tags in JSON"));
    check(json(""), Err("no list of tags in JSON"));
    check(|_| reply(204, &[], ""), Err("no list of tags in JSON"));
}

/// Half of a body, then the connection breaks.
fn broken() -> Response {
    let parts = [Ok(Bytes::from_static(br#"{"name":"acme/app","tags":["a","#)), Err(std::io::Error::other("broken"))];
    reply(200, &[], Body::from_stream(futures::stream::iter(parts)))
}

/// The beginning of a body, and nothing more for ever.
fn stuck() -> Response {
    use futures::StreamExt as _;
    let start = futures::stream::iter([Ok::<_, std::io::Error>(Bytes::from_static(b"{"))]);
    reply(200, &[], Body::from_stream(start.chain(futures::stream::pending())))
}

#[test]
fn bodies_that_break_off_stall_or_swell_are_errors() {
    check(|_| broken(), Err("can't be reached"));
    check_with(small(|limits| limits.read = Duration::from_millis(50)), |_| stuck(), Err("did not answer in time"));
    check_with(small(|limits| limits.page_bytes = 10), |_| page(&["a"]), Err("longer than 10 bytes"));
    check_with(small(|limits| limits.list_bytes = 60), two_pages, Err("list is longer than 60 bytes"));
    // 64 KiB of zeros in 96 bytes: what comes out counts
    let zipped = format!(
        "1f8b0800000000000203edc10101000000{}6aeb8e97d700000100",
        "8090feafee080a".to_owned() + &"00".repeat(63)
    );
    let zipped = hex::decode(zipped).unwrap();
    let headers = [("content-encoding", "gzip"), ("content-type", "application/json")];
    let bomb = move |_: &Asked| reply(200, &headers, zipped.clone());
    check_with(small(|limits| limits.page_bytes = 60_000), bomb, Err("longer than 60000 bytes"));
    run(async {
        let server = Server::start(|_| stuck()).await;
        let error = registry().tags(&access(&server, None), FRESH, Duration::from_millis(50)).await.unwrap_err();
        assert!(matches!(error, Error::Timeout { .. }), "{error}");
    });
}

fn two_pages(asked: &Asked) -> Response {
    if asked.number == 0 { page_then(&["a"], Some("?2")) } else { page(&["b"]) }
}

#[test]
fn a_page_that_fails_leaves_nothing_of_the_listing() {
    run(async {
        let server = Server::start(|asked| match asked.number {
            0 | 4 => page_then(&["new"], Some("?2")),
            1 | 5 => page(&["old"]),
            2 => page_then(&["new", "newer"], Some("?2")),
            _ => reply(500, &[], "oops"),
        });
        let server = server.await;
        let (registry, access) = (registry(), access(&server, None));
        let first = registry.tags(&access, FRESH, LONG).await.unwrap();
        let error = registry.tags(&access, FRESH, LONG).await.unwrap_err();
        assert!(matches!(error, Error::Http { status: 500, .. }), "{error}");
        assert_eq!(registry.tags(&access, LONG, LONG).await.unwrap(), first, "the last good list is still young");
        let third = registry.tags(&access, FRESH, LONG).await.unwrap();
        assert!(third.unchanged && third.tags == first.tags);
    });
}

#[test]
fn a_registry_that_refuses_the_size_is_asked_for_less_and_then_without() {
    const BODY: &str = r#"{"errors":[{"code":"TOO_MANY_TAGS_REQUESTED","message":"at most 100"}]}"#;
    run(async {
        for (refused, requests) in [("n=1000", 2), ("n=", 3)] {
            let script =
                move |asked: &Asked| if asked.target.contains(refused) { reply(400, &[], BODY) } else { page(&["a"]) };
            let server = Server::start(script).await;
            let (registry, access) = (registry(), access(&server, None));
            registry.tags(&access, FRESH, LONG).await.unwrap();
            assert_eq!(registry.requests(), requests);
            assert!(registry.tags(&access, FRESH, LONG).await.unwrap().unchanged);
            assert_eq!(registry.requests(), requests + 1, "it is remembered");
        }
    });
    check(|_| reply(400, &[], BODY), Err("answered 400"));
    run(async {
        let script = |asked: &Asked| if asked.number < 3 { reply(400, &[], "") } else { page(&["a"]) };
        let server = Server::start(script).await;
        let (registry, access) = (registry(), access(&server, None));
        assert!(registry.tags(&access, FRESH, LONG).await.is_err());
        registry.tags(&access, FRESH, LONG).await.unwrap();
        assert!(server.asked()[3].target.ends_with("?n=1000"), "a bad moment is not remembered");
    });
}

#[test]
fn every_status_has_its_error() {
    const UNKNOWN: &str = r#"{"errors":[{"code":"NAME_UNKNOWN","message":"repository name not known to registry"}]}"#;
    check(|_| reply(404, &[], UNKNOWN), Err("has no repository"));
    check(|_| reply(400, &[], UNKNOWN), Err("has no repository"));
    check(|_| reply(404, &[], "<html>"), Err("has no repository"));
    check(|_| reply(401, &[], ""), Err("refused access"));
    check(
        |_| reply(403, &[], r#"{"errors":[{"code":"DENIED","message":"\u001b[31mno"}]}"#),
        Err(r"\u{1b}[31mno (DENIED)"),
    );
    check(|_| reply(503, &[], vec![b'x'; 1 << 17]), Err("answered 503"));
    run(async {
        let server = Server::start(|_| reply(503, &[("retry-after", "7")], "")).await;
        let error = registry().tags(&access(&server, None), FRESH, LONG).await.unwrap_err();
        assert_eq!(error.retry_after(), Some(Duration::from_secs(7)));
        let nobody = Access { insecure: true, ..Access::new("127.0.0.1:1/acme/app".parse().unwrap()) };
        let error = registry().tags(&nobody, FRESH, LONG).await.unwrap_err().to_string();
        assert!(error.contains("127.0.0.1:1 can't be reached") && error.contains("refused"), "{error}");
        let plain = Access { insecure: false, ..access(&server, None) };
        let error = registry().tags(&plain, FRESH, LONG).await.unwrap_err();
        assert!(matches!(error, Error::Unreachable { .. }), "no fallback to plain HTTP: {error}");
        assert_eq!(server.asked().len(), 1);
    });
}
