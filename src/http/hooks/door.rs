//! `POST /hook/…`: caps a request before it is read and answers it. All that is not genuine gets the same answer.

use std::time::Duration;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures::StreamExt;

use super::{Hooks, Verdict, now};

/// The largest body, in bytes.
pub const LARGEST_BODY: usize = 1 << 20;
/// For the whole body.
pub const PATIENCE: Duration = Duration::from_secs(10);

enum Unread {
    TooLarge,
    TooSlow,
    Broken,
}

/// Answers one request.
pub async fn knock(State(hooks): State<Hooks>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    if announced(&head.headers).is_some_and(|length| length > LARGEST_BODY as u64) {
        return refuse(&hooks, &Unread::TooLarge);
    }
    let path = head.uri.path();
    // Who knows no path must not keep out who does, nor fill the memory.
    let is_known = hooks.is_known(path);
    let Ok(_slot) = hooks.slots(is_known).try_acquire() else {
        hooks.count(|counts| &mut counts.busy);
        let wait = [(header::RETRY_AFTER, HeaderValue::from_static("1"))];
        return (StatusCode::SERVICE_UNAVAILABLE, wait, "busy\n").into_response();
    };
    let body = match tokio::time::timeout(hooks.patience(), read(body, is_known)).await {
        Ok(Ok(body)) => body,
        Ok(Err(unread)) => return refuse(&hooks, &unread),
        Err(_) => return refuse(&hooks, &Unread::TooSlow),
    };
    match hooks.receive(path, &head.headers, &body, now::now()).await {
        Verdict::Genuine => (StatusCode::OK, "ok\n").into_response(),
        Verdict::Malformed => (StatusCode::BAD_REQUEST, "malformed\n").into_response(),
        Verdict::Unknown => (StatusCode::NOT_FOUND, "not found\n").into_response(),
    }
}

fn announced(headers: &HeaderMap) -> Option<u64> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// Reads up to the largest body, keeping it only if somebody will look at it.
async fn read(body: Body, is_kept: bool) -> Result<Vec<u8>, Unread> {
    let (mut chunks, mut length, mut kept) = (body.into_data_stream(), 0, Vec::new());
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(|_| Unread::Broken)?;
        length += chunk.len();
        if length > LARGEST_BODY {
            return Err(Unread::TooLarge);
        }
        if is_kept {
            kept.extend_from_slice(&chunk);
        }
    }
    Ok(kept)
}

/// What was not read is not read any more: the connection ends.
fn refuse(hooks: &Hooks, unread: &Unread) -> Response {
    hooks.count(|counts| &mut counts.unread);
    let (status, text) = match unread {
        Unread::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "too large\n"),
        Unread::TooSlow => (StatusCode::REQUEST_TIMEOUT, "too slow\n"),
        Unread::Broken => (StatusCode::BAD_REQUEST, "broken off\n"),
    };
    (status, [(header::CONNECTION, HeaderValue::from_static("close"))], text).into_response()
}
