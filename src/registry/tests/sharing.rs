//! What callers share (one scan, the last list, a host's pause) and what they never share (another credential's view).

use std::sync::Arc;

use futures::future::{join, join_all};
use tokio::sync::Semaphore;

use super::*;
use crate::registry::scans::Scans;
use crate::registry::sessions::Sessions;
use crate::registry::wire::World;

#[test]
fn an_unchanged_list_costs_one_request_and_no_parsing() {
    run(async {
        let body = |asked: &Asked| match asked.number {
            0 | 1 => r#"{"name":"acme/app","tags":["a","b"]}"#,
            2 => r#"{"name": "acme/app", "tags": ["b","a"]}"#,
            _ => r#"{"name":"acme/app","tags":["a","b","c"]}"#,
        };
        let server = Server::start(move |asked| reply(200, &[], body(asked))).await;
        let (registry, access) = (registry(), access(&server, None));
        let first = registry.tags(&access, FRESH, LONG).await.unwrap();
        assert!(!first.unchanged);
        let same = registry.tags(&access, FRESH, LONG).await.unwrap();
        assert!(same.unchanged && first.tags.is_clone_of(&same.tags));
        assert_eq!(registry.requests(), 2);
        let reordered = registry.tags(&access, FRESH, LONG).await.unwrap();
        assert!(reordered.unchanged && first.tags.is_clone_of(&reordered.tags));
        let grown = registry.tags(&access, FRESH, LONG).await.unwrap();
        assert!(!grown.unchanged && grown.fingerprint != first.fingerprint);
        assert_eq!(names(&grown), ["a", "b", "c"]);
        let reused = registry.tags(&access, LONG, LONG).await.unwrap();
        assert!(grown.tags.is_clone_of(&reused.tags));
        assert_eq!(server.asked().len(), 4, "a young list is reused");
    });
}

/// A page that is held back until somebody opens the gate.
fn gated(gate: &Arc<Semaphore>, status: u16) -> Response {
    let gate = gate.clone();
    let body = async move {
        gate.acquire().await.map(tokio::sync::SemaphorePermit::forget).map_err(std::io::Error::other)?;
        Ok::<_, std::io::Error>(Bytes::from_static(br#"{"name":"acme/app","tags":["a"]}"#))
    };
    reply(status, &[], Body::from_stream(futures::stream::once(body)))
}

/// Twenty callers at once, the gate opens when all wait: how many requests, how many lists.
#[track_caller]
fn check_twenty(within: Duration, status: u16, expected: (usize, usize)) {
    let found = run(async {
        let gate = Arc::new(Semaphore::new(0));
        let opener = gate.clone();
        let server =
            Server::start(move |asked| if asked.number == 0 { gated(&gate, status) } else { page(&["a"]) }).await;
        let (registry, access) = (registry(), access(&server, None));
        let callers = join_all((0..20).map(|_| registry.tags(&access, within, LONG)));
        let (found, ()) = join(callers, async { opener.add_permits(1) }).await;
        (server.asked().len(), found.iter().filter(|found| found.is_ok()).count())
    });
    assert_eq!(found, expected, "requests, lists");
}

#[test]
fn twenty_callers_share_a_flight() {
    check_twenty(LONG, 200, (1, 20));
    // Who wants a list begun after the call can't use one that was under way; the nineteen share the next one.
    check_twenty(FRESH, 200, (2, 20));
    // A failure is everybody's who waited for it.
    check_twenty(FRESH, 500, (1, 0));
}

#[test]
fn a_caller_that_gives_up_leaves_the_flight_to_the_next() {
    run(async {
        let server = Server::start(|asked| if asked.number == 0 { stuck() } else { page(&["a"]) }).await;
        let (registry, access) = (registry(), access(&server, None));
        let hasty = registry.tags(&access, LONG, Duration::from_millis(50));
        let (hasty, patient) = join(hasty, registry.tags(&access, LONG, LONG)).await;
        assert!(matches!(hasty, Err(Error::Timeout { .. })));
        assert_eq!(names(&patient.unwrap()), ["a"]);
    });
}

#[test]
fn credentials_never_share_an_answer() {
    run(async {
        let script = |asked: &Asked| match asked.authorization() {
            None => reply(401, &[("www-authenticate", "Basic realm=\"x\"")], ""),
            Some("Basic YWxpY2U6YQ==") => page(&["alice"]),
            Some("Basic Ym9iOmI=") => page(&["bob"]),
            Some(_) => reply(401, &[("www-authenticate", "Basic realm=\"x\"")], ""),
        };
        let server = Server::start(script).await;
        let registry = registry();
        for _ in 0..2 {
            for (user, password, expected) in
                [("alice", "a", Some("alice")), ("bob", "b", Some("bob")), ("alice", "b", None)]
            {
                let access = access(&server, Some(Credential::password(user, password)));
                let found = registry.tags(&access, LONG, LONG).await;
                assert_eq!(
                    found.ok().as_ref().map(|tags| names(tags)),
                    expected.map(|name| vec![name]),
                    "{user}:{password}"
                );
            }
            assert!(registry.tags(&access(&server, None), LONG, LONG).await.is_err(), "nobody sees nothing");
        }
    });
}

#[test]
fn a_host_that_limits_the_rate_is_left_alone() {
    let ms = r#"{"errors":[{"code":"TOOMANYREQUESTS","message":"retry-after: 59000.5ms, allowed: 44000/minute"}]}"#;
    let cases =
        [(Some("60"), ""), (Some("Fri, 31 Dec 2100 00:00:00 GMT"), ""), (Some("59s"), ""), (None, ms), (None, "")];
    for (header, body) in cases {
        run(async {
            let headers: Vec<(&'static str, &'static str)> =
                header.map(|value| ("retry-after", value)).into_iter().collect();
            let busy = Server::start(move |_| reply(429, &headers, body)).await;
            let idle = Server::start(|_| page(&["a"])).await;
            let registry = registry();
            let first = registry.tags(&access(&busy, None), FRESH, LONG).await.unwrap_err();
            assert_eq!(first.retry_after().is_some(), header.is_some() || !body.is_empty(), "{first}");
            let repository = format!("{}/other", busy.host).parse().unwrap();
            let other = Access { repository, ..access(&busy, None) };
            for access in [access(&busy, None), other] {
                let error = registry.tags(&access, FRESH, LONG).await.unwrap_err();
                assert!(error.retry_after().is_some_and(|wait| wait <= Duration::from_secs(3600)), "{error:?}");
                assert!(matches!(error, Error::RateLimited { .. }));
            }
            assert_eq!(busy.asked().len(), 1);
            let tenant = access(&busy, Some(Credential::password("a", "b")));
            assert!(registry.tags(&tenant, FRESH, LONG).await.is_err());
            assert_eq!(busy.asked().len(), 2, "another caller is asked for itself");
            assert!(registry.tags(&access(&idle, None), FRESH, LONG).await.is_ok(), "other hosts go on");
        });
    }
    run(async {
        let script =
            |asked: &Asked| if asked.number == 0 { reply(429, &[("retry-after", "0")], "") } else { page(&["a"]) };
        let server = Server::start(script).await;
        let (registry, access) = (registry(), access(&server, None));
        assert!(registry.tags(&access, FRESH, LONG).await.is_err());
        assert!(registry.tags(&access, FRESH, LONG).await.is_ok(), "the pause is over");
    });
}

#[test]
fn what_nobody_asks_for_is_forgotten() {
    run(async {
        let server = Server::start(|_| page(&["a"])).await;
        let world = World::new("tagboat-test".to_owned(), Limits::default());
        let sessions = Arc::new(Sessions::new(Arc::new(world)));
        let scans = Scans::new(sessions.clone());
        for user in ["a", "b"] {
            let access = access(&server, Some(Credential::password(user, "x")));
            scans.tags(&access, LONG, LONG).await.unwrap();
        }
        for (idle, left) in [(3000, 2), (4000, 0)] {
            let idle = Duration::from_secs(idle);
            assert_eq!((scans.after(idle), sessions.after(idle)), (left, left));
        }
    });
}

#[test]
fn a_host_gets_few_requests_at_a_time() {
    run(async {
        let gate = Arc::new(Semaphore::new(0));
        let opener = gate.clone();
        let server = Server::start(move |asked| if asked.number < 2 { gated(&gate, 200) } else { page(&["a"]) }).await;
        let registry = small(|limits| limits.requests_per_host = 2);
        let users: Vec<Access> =
            (0..6).map(|n| access(&server, Some(Credential::password(n.to_string(), "x")))).collect();
        let callers = join_all(users.iter().map(|access| registry.tags(access, FRESH, LONG)));
        let bystander = access(&server, None);
        let server = &server;
        let watcher = async {
            while server.asked().len() < 2 {
                tokio::task::yield_now().await;
            }
            super::registry().tags(&bystander, FRESH, LONG).await.unwrap(); // time enough for a third to arrive
            assert_eq!(server.asked().len(), 3);
            opener.add_permits(2);
        };
        let (found, ()) = join(callers, watcher).await;
        assert!(found.iter().all(Result::is_ok));
        assert_eq!(server.asked().len(), 7);
    });
}

/// One listing that tells of the budget: does the next one reach the server?
#[track_caller]
fn check_budget(headers: &'static [(&'static str, &'static str)], expected: bool) {
    let found = run(async {
        let server = Server::start(move |_| {
            let mut page = page(&["a"]);
            for (name, value) in headers {
                page.headers_mut().insert(*name, value.parse().unwrap());
            }
            page
        });
        let server = server.await;
        let (registry, access) = (registry(), access(&server, None));
        registry.tags(&access, FRESH, LONG).await.unwrap();
        let second = registry.tags(&access, FRESH, LONG).await;
        assert!(second.is_ok() || second.is_err_and(|error| error.retry_after() > Some(Duration::from_secs(29))));
        server.asked().len() == 2
    });
    assert_eq!(found, expected, "{headers:?}");
}

#[test]
fn a_spent_budget_is_waited_for() {
    check_budget(&[("ratelimit-remaining", "76;w=21600"), ("ratelimit-limit", "100;w=21600")], true);
    check_budget(&[("ratelimit-remaining", "0;w=21600")], false);
    check_budget(&[("ratelimit-remaining", "0"), ("ratelimit-reset", "30")], false);
    check_budget(&[("ratelimit-remaining", "0"), ("ratelimit-reset", "0")], true);
}

#[test]
fn callers_by_other_ways_never_share_an_answer() {
    run(async {
        let server = Server::start(|asked| page(&[&format!("n{}", asked.number)])).await;
        let registry = registry();
        let plain = access(&server, None);
        let proxy = |user| Some(Proxy::new(&format!("http://{}", server.host), Some(user), Some("x")).unwrap());
        let tls = |ca: &[u8]| Some(Tls::new(Some(ca), None).unwrap());
        let ways = [
            plain.clone(),
            Access { proxy: proxy("a"), ..plain.clone() },
            Access { proxy: proxy("b"), ..plain.clone() },
            Access { tls: tls(tls::CA), ..plain.clone() },
            Access { tls: tls(tls::OTHER_CA), ..plain },
        ];
        for _ in 0..2 {
            for (n, access) in ways.iter().enumerate() {
                assert_eq!(names(&registry.tags(access, LONG, LONG).await.unwrap()), [format!("n{n}")]);
            }
        }
    });
}
