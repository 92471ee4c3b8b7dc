//! What callers share (one scan, the last list, a host's pause) and what they never share (another credential's view).

use std::sync::Arc;

use futures::future::{join, join_all};
use tokio::sync::Semaphore;

use super::*;
use crate::registry::scans::Scans;

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
        let script = |asked: &Asked| match asked.authorization.as_deref() {
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
            let other = Access { repository: format!("{}/other", busy.host).parse().unwrap(), ..access(&busy, None) };
            for access in [access(&busy, None), other, access(&busy, Some(Credential::password("a", "b")))] {
                let error = registry.tags(&access, FRESH, LONG).await.unwrap_err();
                assert!(error.retry_after().is_some_and(|wait| wait <= Duration::from_secs(3600)), "{error:?}");
                assert!(matches!(error, Error::RateLimited { .. }));
            }
            assert_eq!(busy.asked().len(), 1);
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
        let world = super::super::wire::World::new("tagboat-test".to_owned(), Limits::default());
        let scans = Scans::new(Arc::new(world));
        for user in ["a", "b"] {
            let access = access(&server, Some(Credential::password(user, "x")));
            scans.tags(&access, LONG, LONG).await.unwrap();
        }
        assert_eq!(scans.after(Duration::from_secs(3000)), 2);
        assert_eq!(scans.after(Duration::from_secs(4000)), 0);
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
