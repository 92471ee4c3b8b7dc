//! Servers that keep us waiting or never stop talking: each is ended by a limit, and none holds up the others.

#![expect(clippy::disallowed_methods, reason = "a server of its own on loopback")]

use std::net::Ipv4Addr;

use futures::future::join;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::*;

/// Says its greeting at once and then this byte, every few milliseconds, for ever.
async fn dripping(greeting: &'static str, byte: &'static [u8]) -> (String, tokio::task::JoinHandle<()>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let host = listener.local_addr().unwrap().to_string();
    let task = tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let _ = stream.read(&mut [0; 4096]).await;
                let mut drop = greeting.as_bytes();
                let mut drip = tokio::time::interval(Duration::from_millis(5));
                while stream.write_all(drop).await.is_ok() {
                    drop = byte;
                    drip.tick().await;
                }
            });
        }
    });
    (host, task)
}

fn at(host: &str) -> Access {
    Access { insecure: true, ..Access::new(format!("{host}/acme/app").parse().unwrap()) }
}

#[test]
fn headers_that_never_end_and_bodies_that_drip_are_ended() {
    const HEAD: &str = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 1000000\r\n\r\n{";
    // Between two drops no time runs out: only the whole takes too long.
    for (greeting, byte) in
        [("HTTP/1.1 200 OK\r\nx: ", &b"x"[..]), (HEAD, b" "), ("HTTP/1.1 103 Early Hints\r\n\r\n", b"\r\n")]
    {
        run(async {
            let (host, task) = dripping(greeting, byte).await;
            let access = at(&host);
            let registry = small(|limits| limits.read = LONG);
            let timeout = Duration::from_millis(100);
            let error = registry.tags(&access, FRESH, timeout).await.unwrap_err();
            assert!(matches!(error, Error::Timeout { .. } | Error::Unreachable { .. }), "{error}");
            let error = registry.digest(&access, &"v1".parse().unwrap(), timeout).await;
            assert!(error.is_err() || greeting == HEAD, "a HEAD has no body to wait for");
            task.abort();
        });
    }
    run(async {
        let (host, task) = dripping("HTTP/1.1 200 OK\r\nx: ", b"x").await;
        let registry = small(|limits| limits.read = Duration::from_millis(50));
        let error = registry.tags(&at(&host), FRESH, LONG).await.unwrap_err();
        assert!(matches!(error, Error::Timeout { .. }), "{error}");
        task.abort();
    });
}

#[test]
fn a_slow_server_holds_up_no_other() {
    run(async {
        let (slow, task) = dripping("HTTP/1.1 200 OK\r\nx: ", b"x").await;
        let server = Server::start(|_| page(&["a"])).await;
        let registry = registry();
        let many: Vec<Access> =
            (0..50).map(|n| Access { repository: format!("{slow}/app{n}").parse().unwrap(), ..at(&slow) }).collect();
        let waiting = futures::future::join_all(
            many.iter().map(|access| registry.tags(access, FRESH, Duration::from_millis(500))),
        );
        let healthy = async {
            let access = access(&server, None);
            for _ in 0..20 {
                registry.tags(&access, FRESH, Duration::from_millis(400)).await.unwrap();
            }
        };
        let (waited, ()) = join(waiting, healthy).await;
        assert!(waited.iter().all(|found| matches!(found, Err(Error::Timeout { .. }))));
        task.abort();
    });
}

/// A body without an end, in chunks of 64 KiB.
fn endless() -> Response {
    let chunk = Bytes::from(vec![b' '; 64 << 10]);
    reply(200, &[], Body::from_stream(futures::stream::repeat_with(move || Ok::<_, std::io::Error>(chunk.clone()))))
}

#[test]
fn bodies_of_a_hundred_megabytes_are_not_read() {
    const MANY: u64 = 100 << 20;
    let announced = |_: &Asked| {
        use futures::StreamExt as _;
        let pending = futures::stream::pending::<Result<Bytes, std::io::Error>>().boxed();
        reply(200, &[("content-length", &MANY.to_string())], Body::from_stream(pending))
    };
    check(announced, Err("longer than 67108864 bytes"));
    check_with(small(|limits| limits.page_bytes = 1 << 20), |_| endless(), Err("longer than 1048576 bytes"));
    run(async {
        let server = Server::start(|_| endless()).await;
        let access = access(&server, None);
        let digest = format!("sha256:{}", "0".repeat(64)).parse().unwrap();
        let error = registry().build(&access, &digest, LONG).await.unwrap_err();
        assert!(error.to_string().contains("longer than 4194304 bytes"), "{error}");
        // Of a complaint the beginning is enough.
        let server = Server::start(|_| {
            let mut answer = endless();
            *answer.status_mut() = axum::http::StatusCode::INTERNAL_SERVER_ERROR;
            answer
        });
        let server = server.await;
        let error = registry().tags(&self::access(&server, None), FRESH, LONG).await.unwrap_err();
        assert!(matches!(error, Error::Http { status: 500, .. }), "{error}");
    });
}
