//! A server on loopback in the place of a registry or a cloud, for what no real one does on demand. In: a function from request
//! to response. Out: its address and what it was asked. Must never be used where the real registry can answer.

#![expect(clippy::disallowed_methods, reason = "a server of its own on loopback")]

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, PoisonError};

use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::http::StatusCode;
use axum::response::Response;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// A request as the script sees it.
#[derive(Debug, Clone, Default)]
pub struct Asked {
    /// How many requests came before it.
    pub number: usize,
    pub method: String,
    /// Path and query; the whole address when it is asked as a proxy.
    pub target: String,
    pub headers: BTreeMap<String, String>,
    pub body: String,
}

impl Asked {
    /// Empty when there is no such header.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map(String::as_str).unwrap_or_default()
    }

    pub fn authorization(&self) -> Option<&str> {
        self.headers.get("authorization").map(String::as_str)
    }

    /// The fields of a form in the body.
    pub fn form(&self) -> BTreeMap<String, String> {
        assert_eq!(self.header("content-type"), "application/x-www-form-urlencoded");
        let url = reqwest::Url::parse(&format!("form:?{}", self.body)).unwrap();
        url.query_pairs().into_owned().collect()
    }

    /// Method and target.
    pub fn line(&self) -> String {
        format!("{} {}", self.method, self.target)
    }
}

pub struct Server {
    /// `127.0.0.1:port`
    pub host: String,
    asked: Arc<Mutex<Vec<Asked>>>,
    task: JoinHandle<()>,
}

impl Server {
    pub async fn start(script: impl Fn(&Asked) -> Response + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let host = listener.local_addr().unwrap().to_string();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (log, script) = (asked.clone(), Arc::new(script));
        let app = axum::Router::new().fallback(move |request: Request| {
            let (log, script) = (log.clone(), script.clone());
            async move {
                let (head, body) = request.into_parts();
                let body = to_bytes(body, 1 << 16).await.unwrap();
                let headers = head.headers.iter();
                let headers = headers.map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()));
                let mut log = log.lock().unwrap_or_else(PoisonError::into_inner);
                let asked = Asked {
                    number: log.len(),
                    method: head.method.to_string(),
                    target: head.uri.to_string(),
                    headers: headers.collect(),
                    body: String::from_utf8(body.to_vec()).unwrap(),
                };
                log.push(asked.clone());
                script(&asked)
            }
        });
        let task = tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        Self { host, asked, task }
    }

    /// `http://127.0.0.1:port`
    pub fn url(&self) -> String {
        format!("http://{}", self.host)
    }

    /// Everything that it was asked so far.
    pub fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Method and target of each request.
    pub fn lines(&self) -> Vec<String> {
        self.asked().iter().map(Asked::line).collect()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A response of this status, these headers and this body.
pub fn reply(status: u16, headers: &[(&str, &str)], body: impl Into<Body>) -> Response {
    let mut response = Response::new(body.into());
    *response.status_mut() = StatusCode::from_u16(status).unwrap();
    for (name, value) in headers {
        let name: axum::http::HeaderName = name.parse().unwrap();
        response.headers_mut().append(name, value.parse().unwrap());
    }
    response
}

/// A page of a list of tags.
pub fn page(tags: &[&str]) -> Response {
    page_then(tags, None)
}

/// A page of a list of tags, and the Link to the one after it.
pub fn page_then(tags: &[&str], next: Option<&str>) -> Response {
    let body = serde_json::json!({"name": "acme/app", "tags": tags}).to_string();
    let mut response = reply(200, &[("content-type", "application/json")], body);
    if let Some(next) = next {
        response.headers_mut().insert("link", format!("<{next}>; rel=\"next\"").parse().unwrap());
    }
    response
}
