//! Smart HTTP as hosts speak it: `git http-backend` as a CGI program, after a check of user and password.

use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::header::{AUTHORIZATION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, WWW_AUTHENTICATE};
use axum::http::request::Parts;
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use futures::StreamExt;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdout};

use crate::support::traffic::{Traffic, spoil};

pub(super) struct Host {
    pub(super) folder: PathBuf,
    pub(super) username: &'static str,
    pub(super) password: &'static str,
    pub(super) traffic: Arc<Traffic>,
}

pub(super) fn router(host: Host) -> Router {
    Router::new().fallback(answer).with_state(Arc::new(host))
}

async fn answer(State(host): State<Arc<Host>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let repository =
        parts.uri.path().trim_start_matches('/').split_once(".git").map_or("", |(name, _)| name).to_owned();
    let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
    let fault = match host.traffic.pass(&repository, &parts.method, path).await {
        Ok(fault) => fault,
        Err(answer) => return answer,
    };
    if !is_allowed(&host, &parts) {
        return (StatusCode::UNAUTHORIZED, [(WWW_AUTHENTICATE, "Basic realm=\"git\"")], "who are you?\n")
            .into_response();
    }
    match run(&host, &parts, body).await {
        Ok(response) => {
            let (parts, body) = spoil(fault, response).await.into_parts();
            let counted = body.into_data_stream().inspect(move |piece| {
                if let Ok(piece) = piece {
                    host.traffic.count(&repository, piece.len());
                }
            });
            Response::from_parts(parts, Body::from_stream(counted))
        }
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

fn is_allowed(host: &Host, parts: &Parts) -> bool {
    let wanted = base64::engine::general_purpose::STANDARD.encode(format!("{}:{}", host.username, host.password));
    parts.headers.get(AUTHORIZATION).is_some_and(|given| given.as_bytes() == format!("Basic {wanted}").as_bytes())
}

async fn run(host: &Host, parts: &Parts, body: Body) -> std::io::Result<Response> {
    let header =
        |name: HeaderName| parts.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
    let mut command = tokio::process::Command::from(super::git_program("git-http-backend"));
    command
        .env("GIT_PROJECT_ROOT", &host.folder)
        .env("GIT_HTTP_EXPORT_ALL", "1")
        .env("REQUEST_METHOD", parts.method.as_str())
        .env("PATH_INFO", parts.uri.path())
        .env("QUERY_STRING", parts.uri.query().unwrap_or_default())
        .env("CONTENT_TYPE", header(CONTENT_TYPE))
        .env("HTTP_CONTENT_ENCODING", header(CONTENT_ENCODING))
        .env("GIT_PROTOCOL", header(HeaderName::from_static("git-protocol")))
        .env("REMOTE_USER", host.username)
        .env("REMOTE_ADDR", "127.0.0.1");
    if parts.headers.contains_key(CONTENT_LENGTH) {
        command.env("CONTENT_LENGTH", header(CONTENT_LENGTH));
    }
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(true).spawn()?;
    let mut input = child.stdin.take().expect("it is piped");
    let mut body = body.into_data_stream();
    let (tell, told) = tokio::sync::oneshot::channel();
    tokio::spawn(async move {
        while let Some(piece) = body.next().await {
            let Ok(piece) = piece else {
                let _ = tell.send(());
                return;
            };
            if input.write_all(&piece).await.is_err() {
                break; // the program has read enough
            }
        }
    });
    // The program would wait for the rest for ever.
    let mut breaks = std::pin::pin!(async {
        if told.await.is_err() {
            std::future::pending::<()>().await;
        }
    });
    let mut output = BufReader::new(child.stdout.take().expect("it is piped"));
    let mut response = Response::new(Body::empty());
    loop {
        let mut line = String::new();
        tokio::select! {
            read = output.read_line(&mut line) => read?,
            () = &mut breaks => return Err(std::io::Error::other("the request broke off")),
        };
        match line.trim_end().split_once(": ") {
            Some(("Status", status)) => *response.status_mut() = status_of(status),
            Some((name, value)) => {
                let name = HeaderName::from_bytes(name.as_bytes()).map_err(std::io::Error::other)?;
                response.headers_mut().insert(name, HeaderValue::from_str(value).map_err(std::io::Error::other)?);
            }
            None => break,
        }
    }
    *response.body_mut() = Body::from_stream(futures::stream::unfold((child, output), next_piece));
    Ok(response)
}

async fn next_piece(
    (child, mut output): (Child, BufReader<ChildStdout>),
) -> Option<(std::io::Result<Bytes>, (Child, BufReader<ChildStdout>))> {
    let mut piece = vec![0; 64 * 1024];
    match output.read(&mut piece).await {
        Ok(0) => None,
        Ok(length) => {
            piece.truncate(length);
            Some((Ok(piece.into()), (child, output)))
        }
        Err(error) => Some((Err(error), (child, output))),
    }
}

fn status_of(text: &str) -> StatusCode {
    text.split(' ').next().and_then(|code| code.parse().ok()).unwrap_or(StatusCode::OK)
}
