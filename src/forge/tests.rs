//! The whole shell against stand-ins that check each call: method, path, query, headers, JSON. In: a host, an operation, the calls
//! that it should make and what the host documents as answers. Out: what the operation found.

mod azure;
mod bitbucket;
mod data_center;
mod gitea;
mod github;
mod gitlab;
mod refusals;
mod server;

use std::time::Duration;

use super::{ALL_REQUESTS, Error, Forge, Login, MergeMethod, Provider, REQUESTS, Request, State, Wanted};
use crate::reach::Way;
use server::{Call, Server};

const LONG: Duration = Duration::from_secs(30);
const TOKEN: &str = "t0ken-of-the-b0t";
const HEAD: &str = "1f7a7a472abf3dd9643fd615f6da379c4acb3e3a";

/// A host in a test: whose API it speaks, the repository's URL and the API's address on the server, and what each call must carry.
#[derive(Clone, Copy)]
struct Host {
    provider: Provider,
    /// After `http://127.0.0.1:port`, or a whole URL.
    url: &'static str,
    base: Option<&'static str>,
    headers: &'static [(&'static str, &'static str)],
}

/// Runs a test's future; the server's task runs beside it.
fn run<T>(test: impl Future<Output = T>) -> T {
    let _ = rustls::crypto::ring::default_provider().install_default();
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(test)
}

/// Does one operation with a token, which must make just these calls.
#[track_caller]
fn check<T>(host: Host, calls: Vec<Call>, operation: impl AsyncFnOnce(&Forge) -> Result<T, Error>) -> Result<T, Error> {
    let mut headers: Vec<_> = host.headers.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
    headers.push(("user-agent", concat!("tagboat/", env!("CARGO_PKG_VERSION")).to_owned()));
    let (server, found) = run(async {
        let server = Server::start(calls, headers).await;
        let at = |path: &str| if path.contains("://") { path.to_owned() } else { format!("{}{path}", server.origin) };
        let (url, base) = (at(host.url), host.base.map(at));
        let login = Login::Token(TOKEN.to_owned());
        let forge = Forge::new(host.provider, &url, base.as_deref(), login, &Way::default(), LONG).unwrap();
        let found = operation(&forge).await;
        (server, found)
    });
    server.done();
    if let Err(error) = &found {
        let told = format!("{error} {error:?}");
        assert!(!told.contains(TOKEN), "{told}");
    }
    found
}

/// What is wanted in most tests.
fn wanted() -> Wanted<'static> {
    let (title, body) = ("Bump app to v2", "- app: v1 -> v2");
    Wanted { source: "tagboat/fleet", target: "main", title, body, labels: &[], auto_merge: None }
}

/// An open request that is as wanted.
fn as_wanted() -> Request {
    Request {
        number: 7,
        url: "https://git.example.com/7".to_owned(),
        state: State::Open,
        title: wanted().title.to_owned(),
        body: wanted().body.to_owned(),
        labels: Vec::new(),
        head: HEAD.parse().ok(),
        auto_merge: false,
        handle: "PR_7".to_owned(),
    }
}

/// Numbers and states.
fn outline(requests: &[Request]) -> Vec<(u64, &'static str)> {
    let state = |request: &Request| match request.state {
        State::Open => "open",
        State::Merged => "merged",
        State::Closed { .. } => "closed",
    };
    requests.iter().map(|request| (request.number, state(request))).collect()
}

fn closed(request: &Request) -> (Option<&str>, Option<String>) {
    match &request.state {
        State::Closed { by, at } => (by.as_deref(), at.map(|at| at.to_rfc3339())),
        state => panic!("{state:?}"),
    }
}

/// An update that should make just these calls.
#[track_caller]
fn updates(host: Host, request: &Request, wanted: &Wanted<'_>, calls: Vec<Call>) -> Result<(), Error> {
    check(host, calls, async |forge: &Forge| forge.update(request, wanted).await)
}

#[track_caller]
fn opens(host: Host, calls: Vec<Call>) -> Result<Request, Error> {
    check(host, calls, async |forge: &Forge| forge.open(&wanted()).await)
}

#[track_caller]
fn lists(host: Host, calls: Vec<Call>) -> Result<Vec<Request>, Error> {
    check(host, calls, async |forge: &Forge| forge.requests("tagboat/fleet", "main", REQUESTS).await)
}

/// As far back as is ever listed.
#[track_caller]
fn lists_all(host: Host, calls: Vec<Call>) -> Result<Vec<Request>, Error> {
    check(host, calls, async |forge: &Forge| forge.requests("tagboat/fleet", "main", ALL_REQUESTS).await)
}

#[track_caller]
fn closes(host: Host, calls: Vec<Call>) -> Result<(), Error> {
    check(host, calls, async |forge: &Forge| forge.close(&as_wanted(), "Nothing left to do.").await)
}
