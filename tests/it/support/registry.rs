//! A real registry behind a thin proxy of ours, which counts what is asked for each repository and makes faults. Pushes of the
//! tests go past the proxy, so that they are not counted.

use std::net::SocketAddr;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::TRANSFER_ENCODING;
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use reqwest::Url;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::parts::program;
use super::process::Process;
use super::traffic::{Fault, Traffic, serve, spoil};
use super::{free_ports, guard};

mod images;

pub use images::Build;

/// User and password of the registry that wants them.
pub const LOGIN: (&str, &str) = ("tagboat", "harbour-7");
/// The same as an htpasswd line.
const HTPASSWD: &str = "tagboat:$2b$05$abcdefghijklmnopqrstuuR07RlR285iLCBzmo4fVVsLe2GLsC6SO\n";

/// See the module.
pub struct Registry {
    /// `127.0.0.1:PORT`, as image names begin.
    pub host: String,
    backend: Url,
    key: Option<Key>,
    client: reqwest::Client,
    traffic: Arc<Traffic>,
    process: Option<Process>,
}

/// How the tests' own requests sign.
pub(super) enum Key {
    /// User and password with every request.
    Basic(&'static str, &'static str),
    /// A token that they were exchanged for.
    Bearer(String),
}

impl Registry {
    /// Starts distribution 3, with a folder of its own for its data.
    pub async fn start(name: &str, login: Option<(&'static str, &'static str)>) -> Result<Self, String> {
        Self::distribution("registry", name, login, |_| {}).await
    }

    /// Starts distribution 2.8, the release line that most private registries ran for years.
    pub async fn start_2(name: &str, login: Option<(&'static str, &'static str)>) -> Result<Self, String> {
        Self::distribution("registry2", name, login, |_| {}).await
    }

    /// Starts distribution 3 with a configuration of the test's own.
    pub async fn start_with(name: &str, change: impl FnOnce(&mut Value)) -> Result<Self, String> {
        Self::distribution("registry", name, None, change).await
    }

    /// Both release lines read this configuration.
    async fn distribution(
        which: &str,
        name: &str,
        login: Option<(&'static str, &'static str)>,
        change: impl FnOnce(&mut Value),
    ) -> Result<Self, String> {
        let [port] = free_ports();
        let folder = guard::folder().join(name);
        std::fs::create_dir_all(&folder).unwrap();
        let mut config = json!({
            "version": 0.1,
            "log": {"level": "warn", "accesslog": {"disabled": true}},
            "storage": {
                "inmemory": {}, // ten thousand tags take 10 s, three times as long on disk
                "delete": {"enabled": true},
                "maintenance": {"uploadpurging": {"enabled": false}},
            },
            "http": {"addr": format!("127.0.0.1:{port}"), "secret": "of no use to anyone"},
        });
        if login.is_some() {
            std::fs::write(folder.join("htpasswd"), HTPASSWD).unwrap();
            config["auth"] = json!({"htpasswd": {"realm": "harbour", "path": folder.join("htpasswd")}});
        }
        change(&mut config);
        std::fs::write(folder.join("config.yaml"), serde_yaml::to_string(&config).unwrap()).unwrap();
        let mut command = Command::new(program(which)?);
        command.arg("serve").arg(folder.join("config.yaml")).env("OTEL_TRACES_EXPORTER", "none");
        let mut registry = Self::in_front_of(port).await;
        registry.run(Process::start(name, &mut command)?, "/v2/").await?;
        registry.key = login.map(|(user, password)| Key::Basic(user, password));
        Ok(registry)
    }

    /// Opens the proxy before a server that will listen on this port.
    pub(super) async fn in_front_of(port: u16) -> Self {
        let backend: Url = format!("http://127.0.0.1:{port}/").parse().unwrap();
        let (client, traffic) = (plain_client(), Arc::new(Traffic::default()));
        let proxy = Arc::new(Proxy { backend: backend.clone(), client: client.clone(), traffic: traffic.clone() });
        let port = serve(Router::new().fallback(forward).with_state(proxy)).await;
        let host = SocketAddr::from(([127, 0, 0, 1], port)).to_string();
        Self { host, backend, key: None, client, traffic, process: None }
    }

    /// Takes the server over; waits until it answers at this path.
    pub(super) async fn run(&mut self, process: Process, path: &str) -> Result<(), String> {
        let url = self.backend.join(path).unwrap();
        process.ready(Duration::from_secs(60), || self.client.get(url.clone()).send()).await?;
        self.process = Some(process);
        Ok(())
    }

    /// From now on the tests' own requests sign like this.
    pub(super) fn sign(&mut self, key: Key) {
        self.key = Some(key);
    }

    /// A request of the tests' own.
    pub(super) fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        self.client.request(method, self.backend.join(path).unwrap())
    }

    /// The requests for a repository so far; the tests' own pushes do not count.
    pub fn requests(&self, repository: &str) -> usize {
        self.traffic.requests(repository).len()
    }

    /// Those of them that asked for tags; the others ask for one image.
    pub fn lists(&self, repository: &str) -> usize {
        self.traffic.requests(repository).iter().filter(|request| request.path.contains("/tags/list")).count()
    }

    /// `127.0.0.1:PORT` of the registry itself, past the proxy.
    pub fn direct(&self) -> String {
        self.backend.authority().to_owned()
    }

    /// Counts, faults and delays of its repositories.
    pub fn traffic(&self) -> &Traffic {
        &self.traffic
    }

    /// Whether the registry is down for one repository.
    pub fn down(&self, repository: &str, is_down: bool) {
        self.traffic.fault(repository, is_down.then_some(Fault::Status(503)));
    }

    /// Removes a tag, its image stays; or an image by its digest, with its tags. Distribution 2.8 takes digests only.
    pub async fn delete(&self, repository: &str, reference: &str) {
        self.send(self.request(Method::DELETE, &format!("/v2/{repository}/manifests/{reference}"))).await;
    }

    /// The repository's tags, asked past the proxy.
    pub async fn tags(&self, repository: &str) -> Vec<String> {
        self.page(repository, "?n=1000").await.0
    }

    /// One page of the repository's tags and its `Link`, asked past the proxy.
    pub async fn page(&self, repository: &str, query: &str) -> (Vec<String>, Option<String>) {
        let answer = self.send(self.request(Method::GET, &format!("/v2/{repository}/tags/list{query}"))).await;
        let link = answer.headers().get("link").map(|link| link.to_str().unwrap().to_owned());
        let answer: Value = answer.json().await.unwrap();
        (serde_json::from_value(answer["tags"].clone()).unwrap(), link)
    }

    /// Sends one, signed.
    pub(super) async fn send(&self, request: reqwest::RequestBuilder) -> reqwest::Response {
        let request = match &self.key {
            Some(Key::Basic(user, password)) => request.basic_auth(user, Some(password)),
            Some(Key::Bearer(token)) => request.bearer_auth(token),
            None => request,
        };
        let answer = request.send().await.unwrap();
        let status = answer.status();
        if !status.is_success() {
            panic!("{} {status}: {}", answer.url().path().to_owned(), answer.text().await.unwrap_or_default());
        }
        answer
    }
}

/// `sha256:…` of some content.
pub fn digest(content: &[u8]) -> String {
    format!("sha256:{}", hex::encode(Sha256::digest(content)))
}

/// Content of a `kubernetes.io/dockerconfigjson` Secret.
pub fn docker_config(host: &str, (user, password): (&str, &str)) -> String {
    let auth = base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}"));
    json!({"auths": {host: {"auth": auth}}}).to_string()
}

fn plain_client() -> reqwest::Client {
    reqwest::Client::builder().no_gzip().no_proxy().redirect(reqwest::redirect::Policy::none()).build().unwrap()
}

struct Proxy {
    backend: Url,
    client: reqwest::Client,
    traffic: Arc<Traffic>,
}

async fn forward(State(proxy): State<Arc<Proxy>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let path = parts.uri.path_and_query().map_or("/", |path| path.as_str()).to_owned();
    let fault = match proxy.traffic.pass(repository_of(parts.uri.path()), &parts.method, &path).await {
        Ok(fault) => fault,
        Err(answer) => return answer,
    };
    let url = format!("{}{path}", proxy.backend.as_str().trim_end_matches('/'));
    // `Host` passes too: the registry builds its links from it
    let mut asked = proxy.client.request(parts.method.clone(), url).headers(parts.headers);
    if !matches!(parts.method, Method::GET | Method::HEAD) {
        asked = asked.body(reqwest::Body::wrap_stream(body.into_data_stream()));
    }
    let answer = match asked.send().await {
        Ok(answer) => answer,
        Err(error) => return (StatusCode::BAD_GATEWAY, error.to_string()).into_response(),
    };
    let mut response = Response::new(Body::empty());
    *response.status_mut() = answer.status();
    *response.headers_mut() = answer.headers().clone();
    response.headers_mut().remove(TRANSFER_ENCODING);
    *response.body_mut() = Body::from_stream(answer.bytes_stream());
    spoil(fault, response).await
}

/// `acme/app` of `/v2/acme/app/tags/list`, and of `/api/v1/repos/acme/app/pulls`.
fn repository_of(path: &str) -> &str {
    if let Some(rest) = path.strip_prefix("/api/v1/repos/") {
        return rest.match_indices('/').nth(1).map_or(rest, |(end, _)| &rest[..end]);
    }
    let rest = path.strip_prefix("/v2/").unwrap_or_default();
    ["/tags/", "/manifests/", "/blobs/", "/referrers/"]
        .iter()
        .find_map(|part| rest.split_once(part))
        .map_or("", |(name, _)| name)
}
