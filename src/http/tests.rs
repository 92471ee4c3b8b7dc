//! The server on loopback: what is too large, too slow, unknown or too much.
#![expect(clippy::disallowed_methods, reason = "clients and a server on loopback")]

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

use super::hooks::{Hook, LARGEST_BODY, Secret, Subject, path};
use super::*;
use crate::api::webhook::WebhookType;

const TOKEN: &str = "0123456789abcdef0123456789abcdef";
/// Longer than anything that must happen here.
const LONG: Duration = Duration::from_secs(20);

struct Server {
    address: SocketAddr,
    hooks: Hooks,
    path: String,
    woken: Arc<AtomicU64>,
}

fn run<T>(test: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(test)
}

/// A server with one hook of this type, and these patiences for connections and bodies.
async fn server(kind: WebhookType, connection: Duration, body: Duration) -> Server {
    let listener = bind((Ipv4Addr::LOCALHOST, 0).into()).await.unwrap();
    let address = listener.local_addr().unwrap();
    let (hooks, woken) = (Hooks::with_patience("http://127.0.0.1:9/", body), Arc::new(AtomicU64::new(0)));
    let (counter, path) = (woken.clone(), path(TOKEN.as_bytes(), "apps", "app"));
    let wake = Arc::new(move || {
        counter.fetch_add(1, Ordering::Relaxed);
    });
    let secret =
        Secret::new(kind, [("token".to_owned(), TOKEN.into())].into()).unwrap_or_else(|error| panic!("{error}"));
    let (subject, audience) = (Subject::Image("acme/app".parse().unwrap()), "app".to_owned());
    hooks.set("uid", Hook { path: path.clone(), sender: kind.into(), secret, subject, audience, wake });
    let readiness = Readiness::default();
    readiness.works();
    let routes = routes(pages(readiness, None), hooks.clone());
    let listener = listen::Impatient::new(listener, connection);
    tokio::spawn(async move { axum::serve(listener, routes).await.unwrap() });
    Server { address, hooks, path, woken }
}

fn pages(readiness: Readiness, stuck: Option<&'static str>) -> Pages {
    Pages { readiness, stuck: Arc::new(move || stuck.map(str::to_owned)), metrics: Arc::new(|| "metrics\n".to_owned()) }
}

impl Server {
    async fn usual(kind: WebhookType) -> Self {
        server(kind, listen::PATIENCE, hooks::PATIENCE).await
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// Sends bytes on a connection of their own, and reads until it ends; without the date.
    async fn say(&self, bytes: &[u8]) -> String {
        let mut stream = self.connect().await;
        stream.write_all(bytes).await.unwrap();
        rest(stream).await
    }

    async fn post(&self, path: &str, headers: &str, body: &str) -> String {
        let length = body.len();
        let request = format!(
            "POST {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {length}\r\n{headers}\r\n{body}"
        );
        self.say(request.as_bytes()).await
    }
}

async fn rest(mut stream: TcpStream) -> String {
    let mut answer = Vec::new();
    // What was sent and not read may end the connection with a reset.
    let _ = timeout(LONG, stream.read_to_end(&mut answer)).await.expect("the server ends the connection");
    let answer = String::from_utf8(answer).unwrap();
    answer.split_inclusive("\r\n").filter(|line| !line.starts_with("date: ")).collect()
}

#[track_caller]
fn check_status(answer: &str, status: u16) {
    assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{answer:?}, not {status}");
}

#[test]
fn a_genuine_webhook_wakes() {
    run(async {
        let server = Server::usual(WebhookType::Generic).await;
        check_status(&server.post(&server.path, "", "x").await, 200);
        assert_eq!((server.woken.load(Ordering::Relaxed), server.hooks.rung("app")), (1, 1));
        check_status(&server.say(b"GET /livez HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await, 200);
    });
}

#[test]
fn an_unknown_path_and_a_bad_signature_get_the_same_answer() {
    run(async {
        let server = Server::usual(WebhookType::GenericHmac).await;
        let signature = format!("x-signature: sha256={}\r\n", "0".repeat(64));
        let forged = server.post(&server.path, &signature, "x").await;
        check_status(&forged, 404);
        let longer = format!("{}0", server.path);
        for unknown in ["/hook/0", &server.path.replace("/hook/", "/hook/0"), &longer, "/hook/%2e%2e", "/hook/%00"] {
            assert_eq!(server.post(unknown, &signature, "x").await, forged, "{unknown}");
            assert_eq!(server.post(unknown, "", "").await, forged, "{unknown}");
        }
        let get = |path: &str| format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
        let known = server.say(get(&server.path).as_bytes()).await;
        assert_eq!(server.say(get("/hook/0").as_bytes()).await, known);
        check_status(&known, 405);
        assert_eq!(server.woken.load(Ordering::Relaxed), 0);
    });
}

#[test]
fn too_large_a_body_is_not_read() {
    run(async {
        let server = Server::usual(WebhookType::Generic).await;
        for path in [server.path.as_str(), "/hook/unknown"] {
            // Announced: not a byte of it has to be sent.
            let head = format!("POST {path} HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n", LARGEST_BODY + 1);
            check_status(&server.say(head.as_bytes()).await, 413);
            // In chunks.
            let mut chunks = format!(
                "POST {path} HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n{:x}\r\n",
                LARGEST_BODY + 1
            );
            chunks.push_str(&"x".repeat(LARGEST_BODY + 1));
            check_status(&server.say(chunks.as_bytes()).await, 413);
        }
        assert_eq!(server.woken.load(Ordering::Relaxed), 0);
        check_status(&server.post(&server.path, "", &"x".repeat(LARGEST_BODY)).await, 200);
    });
}

#[test]
fn a_flood_wakes_once_and_none_is_lost() {
    run(async {
        let server = Server::usual(WebhookType::Generic).await;
        let one = format!("POST {} HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n", server.path);
        let client = async || {
            let mut stream = server.connect().await;
            for _ in 0..100 {
                stream.write_all(one.as_bytes()).await.unwrap();
                let mut answer = [0; 1024];
                let length = stream.read(&mut answer).await.unwrap();
                check_status(std::str::from_utf8(&answer[..length]).unwrap(), 200);
            }
        };
        timeout(LONG, futures::future::join_all((0..20).map(|_| client()))).await.unwrap();
        assert_eq!((server.woken.load(Ordering::Relaxed), server.hooks.rung("app")), (1, 2000));
        assert_eq!(server.hooks.seen("app"), 2000);
        check_status(&server.post(&server.path, "", "").await, 200);
        assert_eq!((server.woken.load(Ordering::Relaxed), server.hooks.rung("app")), (2, 2001));
    });
}

#[test]
fn who_sends_too_slowly_is_cut_off() {
    run(async {
        let short = Duration::from_millis(300);
        // The body.
        let slow = server(WebhookType::Generic, LONG, short).await;
        let head = format!("POST {} HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\nx", slow.path);
        check_status(&slow.say(head.as_bytes()).await, 408);
        assert_eq!(slow.woken.load(Ordering::Relaxed), 0);
        // The head, byte by byte.
        let slow = server(WebhookType::Generic, short, LONG).await;
        let (start, mut stream) = (Instant::now(), slow.connect().await);
        while stream.write_all(b"P").await.is_ok() {
            let mut end = [0];
            if timeout(Duration::from_millis(20), stream.read(&mut end)).await.is_ok() {
                break;
            }
            assert!(start.elapsed() < LONG, "still connected");
        }
        // Nothing at all.
        assert_eq!(rest(slow.connect().await).await, "");
        // Who asks again in time may stay longer than that.
        let mut stream = slow.connect().await;
        let start = Instant::now();
        while start.elapsed() < 2 * short {
            stream.write_all(b"GET /livez HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
            let mut answer = [0; 1024];
            let length = timeout(LONG, stream.read(&mut answer)).await.unwrap().unwrap();
            check_status(std::str::from_utf8(&answer[..length]).unwrap(), 200);
        }
    });
}

#[test]
fn strangers_do_not_keep_out_who_knows_a_path() {
    run(async {
        let server = Server::usual(WebhookType::Generic).await;
        let hold = async |path: &str, count: usize| {
            let head = format!("POST {path} HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: 9\r\n\r\n");
            let mut held = Vec::new();
            for _ in 0..count {
                let mut stream = server.connect().await;
                stream.write_all(head.as_bytes()).await.unwrap();
                // "100 Continue": it is being read.
                let mut answer = [0; 256];
                let length = timeout(LONG, stream.read(&mut answer)).await.unwrap().unwrap();
                check_status(std::str::from_utf8(&answer[..length]).unwrap(), 100);
                held.push(stream);
            }
            held
        };
        let _strangers = hold("/hook/unknown", 16).await;
        let turned_away = server.post("/hook/unknown", "", "").await;
        check_status(&turned_away, 503);
        assert!(turned_away.contains("retry-after: 1\r\n"), "{turned_away}");
        check_status(&server.post(&server.path, "", "").await, 200);
        let held = hold(&server.path, 64).await;
        check_status(&server.post(&server.path, "", "").await, 503);
        assert_eq!(server.hooks.rung("app"), 1);
        // What was being read is heard.
        for mut stream in held {
            stream.write_all(b"123456789").await.unwrap();
            let mut answer = [0; 256];
            let length = timeout(LONG, stream.read(&mut answer)).await.unwrap().unwrap();
            check_status(std::str::from_utf8(&answer[..length]).unwrap(), 200);
        }
        assert_eq!(server.hooks.rung("app"), 65);
    });
}

#[test]
fn liveness_tells_what_stands_still_from_what_waits() {
    run(async {
        for (stuck, code) in [(None, 200), (Some("GitSync web/apps has not moved for 960 s"), 503)] {
            let listener = bind((Ipv4Addr::LOCALHOST, 0).into()).await.unwrap();
            let address = listener.local_addr().unwrap();
            let hooks = Hooks::with_patience("http://127.0.0.1:9/", hooks::PATIENCE);
            // Neither ready nor leading: that is no reason to start anew.
            tokio::spawn(serve(listener, pages(Readiness::default(), stuck), hooks));
            let mut stream = TcpStream::connect(address).await.unwrap();
            stream.write_all(b"GET /livez HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await.unwrap();
            let answer = rest(stream).await;
            check_status(&answer, code);
            assert!(!answer.contains("web/apps"), "{answer}");
        }
    });
}
