//! What happens on the way to a real server: every request is counted under the site that it is for (an image's or a Git repository),
//! and faults that the real server cannot produce on demand are made here. Per site, so that tests do not meet each other.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::header::RETRY_AFTER;
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use futures::StreamExt;

/// A request as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// The method.
    pub method: Method,
    /// Path and query.
    pub path: String,
}

/// What goes wrong with every request for a site, until it is taken back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// This status instead of an answer.
    Status(u16),
    /// This status, with `Retry-After` in seconds.
    RetryAfter(u16, u64),
    /// This status instead of an answer to what would write. Reads are answered.
    NoWrites(u16),
    /// No answer, ever.
    Hang,
    /// The first half of the real answer's body, then the connection breaks.
    Truncate,
    /// The real server writes what it should (a push), but the connection breaks before the answer's body. Reads are answered.
    LostReply,
}

#[derive(Debug, Default)]
struct Site {
    requests: Vec<Request>,
    answered: u64,
    fault: Option<Fault>,
    delay: Duration,
    /// The end of paths that nothing is at.
    lost: Option<String>,
}

/// All sites of a server.
#[derive(Debug, Default)]
pub struct Traffic(Mutex<HashMap<String, Site>>);

impl Traffic {
    /// The requests for a site so far.
    pub fn requests(&self, site: &str) -> Vec<Request> {
        self.with(site, |site| site.requests.clone())
    }

    /// How many bytes of bodies were answered for a site.
    pub fn answered(&self, site: &str) -> u64 {
        self.with(site, |site| site.answered)
    }

    /// Counts bytes of an answer's body.
    pub fn count(&self, site: &str, bytes: usize) {
        self.with(site, |site| site.answered += bytes as u64);
    }

    /// From now on every request for the site goes wrong like this; `None`: no more.
    pub fn fault(&self, site: &str, fault: Option<Fault>) {
        self.with(site, |site| site.fault = fault);
    }

    /// Every request for the site waits first.
    pub fn slow(&self, site: &str, delay: Duration) {
        self.with(site, |site| site.delay = delay);
    }

    /// Nothing is there any more for the site at paths that end like this, such as `/manifests/1.0.0`; `None`: all is there again.
    pub fn lose(&self, site: &str, end: Option<&str>) {
        self.with(site, |site| site.lost = end.map(str::to_owned));
    }

    /// Counts a request and lets it wait; the answer to give instead of asking the real server, or the fault to spoil its answer with.
    pub async fn pass(&self, site: &str, method: &Method, path: &str) -> Result<Option<Fault>, Response> {
        let request = Request { method: method.clone(), path: path.to_owned() };
        let (fault, delay, is_lost) = self.with(site, |site| {
            site.requests.push(request);
            (site.fault, site.delay, site.lost.as_ref().is_some_and(|end| path.ends_with(end)))
        });
        tokio::time::sleep(delay).await;
        match fault {
            None if is_lost => Err(StatusCode::NOT_FOUND.into_response()),
            Some(Fault::Status(code)) => Err(StatusCode::from_u16(code).unwrap().into_response()),
            Some(Fault::RetryAfter(code, seconds)) => {
                Err((StatusCode::from_u16(code).unwrap(), [(RETRY_AFTER, seconds)]).into_response())
            }
            Some(Fault::Hang) => std::future::pending().await,
            Some(Fault::LostReply | Fault::NoWrites(_)) if is_read(method, path) => Ok(None),
            Some(Fault::NoWrites(code)) => Err(StatusCode::from_u16(code).unwrap().into_response()),
            Some(Fault::Truncate | Fault::LostReply) | None => Ok(fault),
        }
    }

    fn with<T>(&self, site: &str, act: impl FnOnce(&mut Site) -> T) -> T {
        act(self.0.lock().unwrap().entry(site.to_owned()).or_default())
    }
}

fn is_read(method: &Method, path: &str) -> bool {
    matches!(*method, Method::GET | Method::HEAD) || path.ends_with("/git-upload-pack")
}

/// Breaks the connection in the middle of an answer, or before it.
pub async fn spoil(fault: Option<Fault>, response: Response) -> Response {
    let Some(fault) = fault else { return response };
    let (mut parts, body) = response.into_parts();
    let whole = axum::body::to_bytes(body, usize::MAX).await.unwrap_or_default();
    let kept = if fault == Fault::Truncate { whole.slice(..whole.len() / 2) } else { Bytes::new() };
    parts.headers.remove("transfer-encoding");
    parts.headers.insert("content-length", (whole.len() + 1).into());
    let cut = async move {
        if fault == Fault::Truncate {
            tokio::time::sleep(Duration::from_millis(50)).await; // lets what was kept leave before the connection breaks
        }
        Err(std::io::Error::other("cut off by the test"))
    };
    let pieces = futures::stream::iter([Ok(kept)]).chain(futures::stream::once(cut));
    Response::from_parts(parts, Body::from_stream(pieces))
}

/// Serves on a free loopback port until the run ends; the port.
pub async fn serve(router: axum::Router) -> u16 {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move { axum::serve(listener, router).await });
    port
}
