//! A server on loopback in the place of a host's API. In: the calls that it expects, in order, and what it answers to each. Out: what
//! differed. A call that is not exactly the expected one is answered by a refusal and remembered.

#![expect(clippy::disallowed_methods, reason = "a server of its own on loopback")]

use std::collections::VecDeque;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, PoisonError};

use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// A call and its answer. `{origin}` in the answer is the server's own address.
#[derive(Debug, Clone)]
pub struct Call {
    line: String,
    body: Option<Value>,
    status: u16,
    headers: Vec<(&'static str, String)>,
    answer: String,
}

/// Method, path and query of a call without a body; answered by 200 and nothing.
pub fn call(line: &str) -> Call {
    Call { line: line.to_owned(), body: None, status: 200, headers: Vec::new(), answer: String::new() }
}

impl Call {
    /// The JSON that must come with it.
    pub fn sends(mut self, body: Value) -> Self {
        self.body = Some(body);
        self
    }

    pub fn answers(mut self, status: u16, body: Value) -> Self {
        self.headers.push(("content-type", "application/json".to_owned()));
        self.text(status, &body.to_string())
    }

    pub fn text(mut self, status: u16, body: &str) -> Self {
        (self.status, self.answer) = (status, body.to_owned());
        self
    }

    pub fn header(mut self, name: &'static str, value: &str) -> Self {
        self.headers.push((name, value.to_owned()));
        self
    }
}

#[derive(Default)]
struct State {
    expected: VecDeque<Call>,
    wrong: Vec<String>,
}

pub struct Server {
    /// `http://127.0.0.1:port`
    pub origin: String,
    state: Arc<Mutex<State>>,
    task: JoinHandle<()>,
}

impl Server {
    /// Every call must have these headers.
    pub async fn start(calls: Vec<Call>, headers: Vec<(&'static str, String)>) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let origin = format!("http://{}", listener.local_addr().unwrap());
        let state = Arc::new(Mutex::new(State { expected: calls.into(), wrong: Vec::new() }));
        let (shared, own) = (state.clone(), origin.clone());
        let app = axum::Router::new().fallback(move |request: Request| {
            let (state, headers, origin) = (shared.clone(), headers.clone(), own.clone());
            async move {
                let (head, body) = request.into_parts();
                let body = to_bytes(body, 1 << 20).await.unwrap();
                let header = |name: &str| head.headers.get(name).map(|value| value.to_str().unwrap().to_owned());
                let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
                let line = format!("{} {}", head.method, head.uri);
                let sent: Option<Value> = (!body.is_empty()).then(|| serde_json::from_slice(&body).unwrap());
                for (name, value) in &headers {
                    if header(name).as_ref() != Some(value) {
                        state.wrong.push(format!("{line}: {name} is {:?}, expected {value:?}", header(name)));
                    }
                }
                let kind = sent.is_some().then(|| "application/json".to_owned());
                if header("content-type") != kind {
                    state.wrong.push(format!("{line}: content-type is {:?}", header("content-type")));
                }
                match state.expected.pop_front() {
                    Some(call) if call.line == line && call.body == sent => reply(&call, &origin),
                    other => {
                        state.wrong.push(format!("got {line} {sent:?}, expected {other:?}"));
                        let mut refusal = Response::new(Body::from("not expected"));
                        *refusal.status_mut() = StatusCode::IM_A_TEAPOT;
                        refusal
                    }
                }
            }
        });
        let task = tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        Self { origin, state, task }
    }

    /// All calls came, and nothing else did.
    #[track_caller]
    pub fn done(&self) {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        assert!(state.wrong.is_empty(), "{}", state.wrong.join("\n"));
        assert!(state.expected.is_empty(), "never asked: {:#?}", state.expected);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn reply(call: &Call, origin: &str) -> Response {
    let mut response = Response::new(Body::from(call.answer.replace("{origin}", origin)));
    *response.status_mut() = StatusCode::from_u16(call.status).unwrap();
    for (name, value) in &call.headers {
        response.headers_mut().append(*name, value.replace("{origin}", origin).parse().unwrap());
    }
    response
}
