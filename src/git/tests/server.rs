//! Test only: real repositories made with the `git` program, served by the real `git http-backend` behind a small CGI server
//! that asks for a password, counts what passes, and can misbehave on demand.

#![expect(clippy::disallowed_methods, reason = "tests start servers and write repositories")]

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::{Response, StatusCode};
use axum::serve::ListenerExt as _;
use base64::Engine;
use tokio::io::AsyncWriteExt;

use super::super::{Auth, Remote};
use crate::reach::Way;

pub const PASSWORD: &str = "s3cret-pass";

/// How the server misbehaves.
#[derive(Default, Clone)]
pub struct Faults {
    /// Does not pass the wish for protocol v2 on.
    pub no_v2: bool,
    /// Says nothing of leaving history out, and knows no such wish.
    pub no_shallow: bool,
    /// Answers every POST before a GET of the same service with 400.
    pub get_first: bool,
    /// Never answers.
    pub hang: bool,
    /// Does the work of the next push, then breaks the connection.
    pub lose_push_reply: bool,
    /// Answers with this status.
    pub status: Option<u16>,
    /// Redirects `/old/…` on `info/refs` to this base, and refuses POSTs there.
    pub moved_to: Option<String>,
}

/// One request that passed: method, path with query, bytes of the answer.
pub type Seen = (String, String, usize);

struct Shared {
    root: PathBuf,
    faults: Mutex<Faults>,
    seen: Mutex<Vec<Seen>>,
    connections: AtomicUsize,
}

pub struct Server {
    pub folder: tempfile::TempDir,
    shared: Arc<Shared>,
    pub url: String,
}

impl Server {
    /// A server with one repository, `fleet.git`, whose branch `main` holds one commit of `files`.
    pub async fn start(files: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().to_owned();
        git(&root, &["init", "-q", "--bare", "-b", "main", "fleet.git"]);
        git(&root.join("fleet.git"), &["config", "http.receivepack", "true"]);
        git(&root, &["init", "-q", "-b", "main", "work"]);
        let (faults, seen, connections) = (Mutex::default(), Mutex::default(), AtomicUsize::new(0));
        let shared = Arc::new(Shared { root, faults, seen, connections });
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/fleet.git", listener.local_addr().unwrap());
        let router = axum::Router::new().fallback(serve).with_state(Arc::clone(&shared));
        let counting = Arc::clone(&shared);
        let listener = listener.tap_io(move |_| {
            counting.connections.fetch_add(1, Ordering::Relaxed);
        });
        tokio::spawn(async move { axum::serve(listener, router).await });
        let server = Self { folder, shared, url };
        server.commit(files);
        server
    }

    pub fn remote(&self) -> Remote {
        let auth = Auth::Basic { username: "bot".into(), password: PASSWORD.into() };
        Remote { url: self.url.clone(), auth, way: Way::default(), timeout: Duration::from_secs(20) }
    }

    /// Connections so far.
    pub fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::Relaxed)
    }

    pub fn bare(&self) -> PathBuf {
        self.shared.root.join("fleet.git")
    }

    pub fn work(&self) -> PathBuf {
        self.shared.root.join("work")
    }

    /// Another person's commit to `main`, made with the `git` program. Returns its id.
    pub fn commit(&self, files: &[(&str, &str)]) -> String {
        let commit = self.commit_only(files);
        git(&self.work(), &["push", "-q", "--force", "../fleet.git", "HEAD:main"]);
        commit
    }

    /// The same, not pushed.
    pub fn commit_only(&self, files: &[(&str, &str)]) -> String {
        files.iter().for_each(|(path, text)| write(&self.work().join(path), text.as_bytes()));
        git(&self.work(), &["add", "-A"]);
        git(&self.work(), &["commit", "-q", "-m", "by hand"]);
        git(&self.work(), &["rev-parse", "HEAD"])
    }

    /// Commits and pushes what was changed in the index alone: modes, submodules.
    pub fn commit_index(&self) {
        git(&self.work(), &["commit", "-q", "-m", "by hand"]);
        git(&self.work(), &["push", "-q", "../fleet.git", "HEAD:main"]);
    }

    pub fn hook(&self, script: &str) {
        use std::os::unix::fs::PermissionsExt;
        let path = self.bare().join("hooks/pre-receive");
        write(&path, format!("#!/bin/sh\n{script}\n").as_bytes());
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    }

    pub fn fault(&self, faults: Faults) {
        *self.shared.faults.lock().unwrap() = faults;
    }

    /// What passed since the last call.
    pub fn seen(&self) -> Vec<Seen> {
        std::mem::take(&mut self.shared.seen.lock().unwrap())
    }
}

/// Runs the `git` program without any configuration of this machine.
#[track_caller]
pub fn git(folder: &Path, args: &[&str]) -> String {
    let mut command = std::process::Command::new("git");
    command.current_dir(folder).args(args).env("HOME", folder).env("GIT_CONFIG_NOSYSTEM", "1");
    for who in ["AUTHOR", "COMMITTER"] {
        command.env(format!("GIT_{who}_NAME"), "Ann").env(format!("GIT_{who}_EMAIL"), "ann@example.com");
        command.env(format!("GIT_{who}_DATE"), "1700000000 +0100");
    }
    let output = command.output().unwrap();
    assert!(output.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim_end().to_owned()
}

async fn serve(State(shared): State<Arc<Shared>>, request: Request) -> Response<Body> {
    let (method, uri) = (request.method().to_string(), request.uri().to_string());
    let mut answer = respond(&shared, request).await;
    let bytes = to_bytes(std::mem::take(answer.body_mut()), usize::MAX).await.unwrap();
    shared.seen.lock().unwrap().push((method, uri.clone(), bytes.len()));
    let lost = uri.ends_with("/git-receive-pack") && std::mem::take(&mut shared.faults.lock().unwrap().lose_push_reply);
    *answer.body_mut() = match lost {
        true => Body::from_stream(futures::stream::iter([Err::<Vec<u8>, _>(std::io::Error::other("lost"))])),
        false => bytes.into(),
    };
    answer
}

async fn respond(shared: &Shared, request: Request) -> Response<Body> {
    let faults = shared.faults.lock().unwrap().clone();
    let plain =
        |status: StatusCode, text: &str| Response::builder().status(status).body(text.to_owned().into()).unwrap();
    let (head, body) = request.into_parts();
    let header = |name: &str| head.headers.get(name).and_then(|v| v.to_str().ok()).unwrap_or_default().to_owned();
    let (path, query) = (head.uri.path().to_owned(), head.uri.query().unwrap_or_default().to_owned());
    let is_post = head.method == "POST";
    if faults.hang {
        std::future::pending::<()>().await;
    }
    if header("authorization")
        != format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(format!("bot:{PASSWORD}")))
    {
        return plain(StatusCode::UNAUTHORIZED, "who are you");
    }
    if let Some(status) = faults.status {
        let mut answer = plain(StatusCode::from_u16(status).unwrap(), "busy\u{1b}[0m");
        answer.headers_mut().insert("retry-after", "7".parse().unwrap());
        return answer;
    }
    if let (Some(base), Some(rest)) = (&faults.moved_to, path.strip_prefix("/old")) {
        let mut answer = plain(if is_post { StatusCode::NOT_FOUND } else { StatusCode::MOVED_PERMANENTLY }, "");
        answer.headers_mut().insert("location", format!("{base}{rest}?{query}").parse().unwrap());
        return answer;
    }
    let service = path.rsplit('/').next().unwrap_or_default().to_owned();
    let asked =
        shared.seen.lock().unwrap().iter().any(|(_, uri, _)| uri.ends_with(&format!("info/refs?service={service}")));
    if faults.get_first && is_post && !asked {
        return plain(StatusCode::BAD_REQUEST, "<html>");
    }
    let mut command = tokio::process::Command::new("git");
    command
        .arg("http-backend")
        .env("GIT_PROJECT_ROOT", &shared.root)
        .env("GIT_HTTP_EXPORT_ALL", "1")
        .env("HOME", &shared.root);
    command
        .env("REMOTE_USER", "bot")
        .env("REQUEST_METHOD", head.method.as_str())
        .env("PATH_INFO", path)
        .env("QUERY_STRING", query);
    command.env("CONTENT_TYPE", header("content-type"));
    if !faults.no_v2 {
        command.env("GIT_PROTOCOL", header("git-protocol"));
    }
    let body = to_bytes(body, usize::MAX).await.unwrap();
    if faults.no_shallow && body.windows(7).any(|window| window == b"deepen ") {
        return plain(StatusCode::BAD_REQUEST, "deepen?");
    }
    command
        .env("CONTENT_LENGTH", body.len().to_string())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    let mut child = command.kill_on_drop(true).spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    let writes = async move { input.write_all(&body).await };
    let (_, output) = tokio::join!(writes, child.wait_with_output());
    let output = output.unwrap().stdout;
    let end = output.windows(4).position(|window| window == b"\r\n\r\n").unwrap();
    let mut content = output[end + 4..].to_vec();
    hide_shallow(&mut content, faults.no_shallow && !is_post);
    let mut answer = Response::builder();
    for (name, value) in std::str::from_utf8(&output[..end]).unwrap().lines().filter_map(|line| line.split_once(": ")) {
        answer = if name == "Status" { answer.status(&value[..3]) } else { answer.header(name, value) };
    }
    answer.body(content.into()).unwrap()
}

/// By a word of the same length, so that the packets stay whole.
fn hide_shallow(content: &mut [u8], is_hidden: bool) {
    while is_hidden && let Some(at) = content.windows(7).position(|window| window == b"shallow") {
        content[at..at + 7].copy_from_slice(b"history");
    }
}

pub fn write(path: &Path, bytes: &[u8]) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, bytes).unwrap();
}

pub fn remove(folder: &Path) {
    std::fs::remove_dir_all(folder).unwrap();
}

pub fn link(target: &str, path: &Path) {
    std::os::unix::fs::symlink(target, path).unwrap();
}

pub fn files_in(folder: &Path) -> usize {
    std::fs::read_dir(folder).unwrap().count()
}
