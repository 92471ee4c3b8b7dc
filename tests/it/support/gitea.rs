//! Gitea with its image registry, behind the same proxy as the other registries. Images belong to an owner: those of [`OPEN`] are
//! everybody's, those of [`PRIVATE`] are for members, such as the user of `registry::LOGIN`.

use std::path::Path;
use std::process::Command;

use reqwest::Method;
use serde_json::{Value, json};

use super::parts::{files, program};
use super::process::Process;
use super::registry::{Key, LOGIN, Registry};
use super::{free_ports, guard};

/// Whose images everybody may see.
pub const OPEN: &str = "harbour";
/// Whose images only members may see.
pub const PRIVATE: &str = "vault";

/// Starts it, with a folder of its own, its administrator and both owners.
pub async fn start(name: &str) -> Result<Registry, String> {
    let [port] = free_ports();
    let folder = guard::folder().join(name);
    std::fs::create_dir_all(&folder).unwrap();
    let mut registry = Registry::in_front_of(port).await;
    let config = folder.join("app.ini");
    std::fs::write(&config, settings(&folder, port, &registry.host, &files("gitea-files")?)).unwrap();

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
    Ok(registry)
}

/// Addresses of its answers lead through the proxy.
fn settings(folder: &Path, port: u16, host: &str, files: &Path) -> String {
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
DISABLE_SSH = true
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
[service]
DISABLE_REGISTRATION = true
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
