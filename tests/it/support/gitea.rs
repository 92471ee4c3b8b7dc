//! Gitea with its image registry, behind the same proxy as the other registries. Images belong to an owner: those of [`OPEN`] are
//! everybody's, those of [`PRIVATE`] are for members, such as the user of `registry::LOGIN`. And Gitea as a Git host with an SSH
//! server of its own.

use std::path::{Path, PathBuf};
use std::process::Command;

use reqwest::Method;
use serde_json::{Value, json};

use super::git::{BRANCH, Repo};
use super::parts::{files, program};
use super::process::Process;
use super::registry::{Key, LOGIN, Registry};
use super::ssh_key::{self, SshKey};
use super::{free_ports, guard};

/// Whose images everybody may see.
pub const OPEN: &str = "harbour";
/// Whose images only members may see.
pub const PRIVATE: &str = "vault";

/// The most that its API lists at once, so that few are several pages.
pub const PAGE: usize = 10;

/// Gitea: a registry and a Git host.
pub struct Gitea {
    /// Its images.
    pub registry: Registry,
    /// Where its SSH server listens, on 127.0.0.1.
    pub ssh_port: u16,
    folder: PathBuf,
}

/// Starts it, with a folder of its own, its administrator and both owners.
pub async fn start(name: &str) -> Result<Gitea, String> {
    let [port, ssh_port] = free_ports();
    let folder = guard::folder().join(name);
    std::fs::create_dir_all(&folder).unwrap();
    let mut registry = Registry::in_front_of(port).await;
    let config = folder.join("app.ini");
    for kind in HOST_KEYS {
        ssh_key::generate(&folder.join(format!("host_{kind}")), kind, "");
    }
    std::fs::write(&config, settings(&folder, [port, ssh_port], &registry.host, &files("gitea-files")?)).unwrap();

    let mut web = command(&config)?;
    web.arg("web");
    registry.run(Process::start(name, &mut web)?, "/api/healthz").await?;
    administrator(&config).await?;
    registry.sign(Key::Basic(LOGIN.0, LOGIN.1));
    for (owner, visibility) in [(OPEN, "public"), (PRIVATE, "private")] {
        let owner = json!({"username": owner, "visibility": visibility});
        registry.send(registry.request(Method::POST, "/api/v1/orgs").json(&owner)).await;
    }
    // Each password check is slow on purpose, so that the many requests of a push sign with a token, good for a day and for all.
    let token = registry.send(registry.request(Method::GET, "/v2/token?service=container_registry&scope=*")).await;
    let token: Value = token.json().await.unwrap();
    registry.sign(Key::Bearer(token["token"].as_str().expect("a token").to_owned()));
    Ok(Gitea { registry, ssh_port, folder })
}

/// The kinds of its host keys.
pub const HOST_KEYS: [&str; 3] = ["ed25519", "ecdsa", "rsa"];

impl Gitea {
    /// A private repository of the administrator's with a first commit of these files; its URL is that of SSH.
    pub async fn repo(&self, name: &str, files: &[(&str, &str)]) -> Repo {
        self.api(Method::POST, "user/repos", json!({"name": name, "private": true, "default_branch": BRANCH})).await;
        let owner = LOGIN.0;
        let repo = Repo::at(
            name,
            &self.ssh_url(name),
            &self.folder.join("repositories").join(owner).join(format!("{name}.git")),
        );
        repo.commit(files, "first commit");
        repo
    }

    /// The URL by SSH of a repository of the administrator's.
    pub fn ssh_url(&self, name: &str) -> String {
        format!("ssh://git@127.0.0.1:{}/{}/{name}.git", self.ssh_port, LOGIN.0)
    }

    /// A repository's URL by HTTP, for the user of `registry::LOGIN`.
    pub fn url(&self, repo: &Repo) -> String {
        format!("http://{}/{}/{}.git", self.registry.host, LOGIN.0, repo.name)
    }

    /// From now on it tells this address of pushes and pull requests, signed with the key.
    pub async fn announce(&self, repo: &Repo, url: &str, key: &str) {
        let config = json!({"url": url, "content_type": "json", "secret": key});
        let events = ["create", "delete", "push", "pull_request"];
        let hook = json!({"type": "gitea", "active": true, "config": config, "events": events});
        self.api(Method::POST, &format!("repos/{}/{}/hooks", LOGIN.0, repo.name), hook).await;
    }

    /// From now on nobody may push to the branch.
    pub async fn protect(&self, repo: &Repo) {
        let path = format!("repos/{}/{}/branch_protections", LOGIN.0, repo.name);
        self.api(Method::POST, &path, json!({"rule_name": BRANCH, "enable_push": false})).await;
    }

    /// Makes a key of this kind known as one of the administrator's.
    pub async fn user_key(&self, key: &SshKey) {
        self.api(Method::POST, "user/keys", json!({"title": key.public, "key": key.public})).await;
    }

    /// Makes a key known that may only read this repository.
    pub async fn read_only_key(&self, repo: &Repo, key: &SshKey) {
        let path = format!("repos/{}/{}/keys", LOGIN.0, repo.name);
        self.api(Method::POST, &path, json!({"title": "reader", "key": key.public, "read_only": true})).await;
    }

    /// A line of `known_hosts` for its host key of this kind.
    pub fn known_host(&self, kind: &str) -> String {
        let public = std::fs::read_to_string(self.folder.join(format!("host_{kind}.pub"))).unwrap();
        format!("[127.0.0.1]:{} {public}", self.ssh_port)
    }

    /// A token of the administrator's for Git and the API, with these rights (`all`).
    pub async fn token(&self, name: &str, scopes: &[&str]) -> String {
        let path = format!("/api/v1/users/{}/tokens", LOGIN.0);
        let asked = self.registry.request(Method::POST, &path).basic_auth(LOGIN.0, Some(LOGIN.1));
        let answer = asked.json(&json!({"name": name, "scopes": scopes})).send().await.unwrap();
        let answer: Value = answer.json().await.unwrap();
        answer["sha1"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned()
    }

    /// An empty private repository of the administrator's, for which this person may write too; where it is on disk.
    pub async fn empty_repo(&self, name: &str, (person, password): (&str, &str)) -> PathBuf {
        self.api(Method::POST, "user/repos", json!({"name": name, "private": true, "default_branch": BRANCH})).await;
        let email = format!("{person}@example.com");
        let user = json!({"username": person, "email": email, "password": password, "must_change_password": false});
        let made = self.signed(Method::POST, "admin/users").json(&user).send().await.unwrap().status();
        assert!(made.is_success() || made == 422, "{made}: made, or there already");
        let path = format!("repos/{}/{name}/collaborators/{person}", LOGIN.0);
        self.api(Method::PUT, &path, json!({"permission": "write"})).await;
        self.folder.join("repositories").join(LOGIN.0).join(format!("{name}.git"))
    }

    /// A call of the API by this person, past the proxy.
    pub fn call(&self, method: Method, path: &str, (person, password): (&str, &str)) -> reqwest::RequestBuilder {
        self.registry.request(method, &format!("/api/v1/{path}")).basic_auth(person, Some(password))
    }

    fn signed(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        self.call(method, path, LOGIN)
    }

    async fn api(&self, method: Method, path: &str, body: Value) {
        let request = self.registry.request(method, &format!("/api/v1/{path}"));
        let answer = request.basic_auth(LOGIN.0, Some(LOGIN.1)).json(&body).send().await.unwrap();
        let status = answer.status();
        assert!(status.is_success(), "{path} {status}: {}", answer.text().await.unwrap_or_default());
    }
}

/// Addresses of its answers lead through the proxy.
fn settings(folder: &Path, [port, ssh_port]: [u16; 2], host: &str, files: &Path) -> String {
    let (folder, files) = (folder.display(), files.display());
    format!(
        "
APP_NAME = harbour
RUN_MODE = prod
WORK_PATH = {folder}
I_AM_BEING_UNSAFE_RUNNING_AS_ROOT = true
[server]
PROTOCOL = http
HTTP_ADDR = 127.0.0.1
HTTP_PORT = {port}
ROOT_URL = http://{host}/
STATIC_ROOT_PATH = {files}
APP_DATA_PATH = {folder}/data
OFFLINE_MODE = true
START_SSH_SERVER = true
BUILTIN_SSH_SERVER_USER = git
SSH_DOMAIN = 127.0.0.1
SSH_PORT = {ssh_port}
SSH_LISTEN_HOST = 127.0.0.1
SSH_LISTEN_PORT = {ssh_port}
SSH_ROOT_PATH = {folder}/ssh
SSH_SERVER_HOST_KEYS = {folder}/host_ed25519, {folder}/host_ecdsa, {folder}/host_rsa
[database]
DB_TYPE = sqlite3
PATH = {folder}/gitea.db
SQLITE_JOURNAL_MODE = WAL
SQLITE_TIMEOUT = 20000
[repository]
ROOT = {folder}/repositories
[security]
INSTALL_LOCK = true
SECRET_KEY = of-no-use-to-anyone
PASSWORD_HASH_ALGO = pbkdf2_v1
[api]
MAX_RESPONSE_ITEMS = {PAGE}
[service]
DISABLE_REGISTRATION = true
[webhook]
ALLOWED_HOST_LIST = loopback
[cron]
ENABLED = false
[cron.update_checker]
ENABLED = false
[log]
MODE = console
LEVEL = Warn
"
    )
}

fn command(config: &Path) -> Result<Command, String> {
    let mut command = Command::new(program("gitea")?);
    command.arg("--config").arg(config);
    Ok(command)
}

async fn administrator(config: &Path) -> Result<(), String> {
    let mut create = command(config)?;
    create.args([
        "admin",
        "user",
        "create",
        "--admin",
        "--must-change-password=false",
        "--email",
        "tagboat@example.com",
    ]);
    create.args(["--username", LOGIN.0, "--password", LOGIN.1]);
    let output = tokio::process::Command::from(create).kill_on_drop(true).output().await.unwrap();
    let words = String::from_utf8_lossy(&output.stderr) + String::from_utf8_lossy(&output.stdout);
    if output.status.success() { Ok(()) } else { Err(format!("gitea admin user create: {words}")) }
}
