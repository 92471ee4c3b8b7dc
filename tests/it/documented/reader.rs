//! A reader of a page: a checkout, the programs that the page takes for granted, and maybe servers. Blocks go in; what is not as the
//! page says fails.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::json;

use super::page::{self, Block, Command, Form};
use crate::setup::SOON;
use crate::support::git::git;
use crate::support::parts::program;
use crate::support::registry::LOGIN;
use crate::support::tagboat::{BINARY, Tagboat};
use crate::support::world::World;
use crate::support::{gitea_host, guard};

/// What stands for the registry in pages.
pub const REGISTRY: &str = "registry.example.com";
/// For the repository's pages.
pub const PAGES: &str = "https://git.example.com/acme/fleet";
/// For the repository.
pub const GIT: &str = "https://git.example.com/acme/fleet.git";

/// Who reads, for a host that has people.
pub const ANN: (&str, &str) = ("ann", "anchor-9-ann");

/// A reader's machine: a checkout, and the programs that the page takes for granted.
pub struct Reader {
    page: String,
    /// Names of the page and what stands for them here.
    names: Vec<(&'static str, String)>,
    /// The repository's name at Gitea.
    repository: String,
    folder: tempfile::TempDir,
}

/// The servers of a page.
pub struct Live {
    /// Where they are.
    pub world: World,
    /// Runs from the first command about the cluster on.
    pub tagboat: Option<Tagboat>,
    /// The reader's.
    pub kubeconfig: PathBuf,
}

impl Reader {
    /// With a name of the page for messages.
    pub fn new(page: &str, names: Vec<(&'static str, String)>) -> Self {
        let folder = tempfile::tempdir_in(guard::folder()).unwrap();
        for part in ["checkout", "bin", "home"] {
            std::fs::create_dir(folder.path().join(part)).unwrap();
        }
        // As gpg wants it.
        std::fs::set_permissions(folder.path().join("home"), std::fs::Permissions::from_mode(0o700)).unwrap();
        let bin = folder.path().join("bin");
        std::os::unix::fs::symlink(BINARY, bin.join("tagboat")).unwrap();
        for name in ["kubectl", "kustomize", "helm"] {
            if let Ok(found) = program(name) {
                std::os::unix::fs::symlink(found, bin.join(name)).unwrap();
            }
        }
        Self { page: page.to_owned(), names, repository: repository(page), folder }
    }

    fn checkout(&self) -> PathBuf {
        self.folder.path().join("checkout")
    }

    /// Git in the checkout.
    pub fn git(&self) -> std::process::Command {
        let mut command = git();
        command.current_dir(self.checkout());
        command
    }

    /// Makes the checkout a clone of an empty repository, with a first commit.
    pub fn begin(&self, url: &str) {
        std::fs::write(self.checkout().join("README.md"), "the fleet\n").unwrap();
        for args in [
            &["init", "-q", "-b", "main"][..],
            &["remote", "add", "origin", url],
            &["add", "."],
            &["commit", "-q", "-m", "first commit"],
            &["push", "-q", "-u", "origin", "main"],
        ] {
            run(self.git().args(args));
        }
    }

    /// Does what a block says.
    ///
    /// # Panics
    /// When it is not as the page says.
    pub async fn follow(&self, block: &Block, mut live: Option<&mut Live>) {
        let place = format!("docs/{}:{}", self.page, block.line);
        match &block.form {
            Form::File { path, text } => {
                let path = self.checkout().join(path);
                std::fs::create_dir_all(path.parent().unwrap()).unwrap();
                std::fs::write(path, self.here(text)).unwrap();
            }
            Form::After { path, text } => {
                let now = std::fs::read_to_string(self.checkout().join(path)).unwrap();
                assert!(page::is_as_said(&self.there(&now), text), "{place}: {path} is\n{now}");
            }
            Form::Console(commands) => {
                for command in commands {
                    self.command(&place, command, live.as_deref_mut()).await;
                }
            }
            Form::Push { repository, tag } => {
                live.expect("a page with a cluster").world.registry.push(repository, tag).await;
            }
            Form::Close(number) => {
                let path = format!("repos/{}/{}/pulls/{number}", LOGIN.0, self.repository);
                let call = gitea_host().await.call(reqwest::Method::PATCH, &path, ANN);
                call.json(&json!({"state": "closed"})).send().await.unwrap().error_for_status().unwrap();
            }
            Form::Objects(_) | Form::Template => {}
        }
    }

    /// Runs a command until it says what the page says: at once, or soon where it only looks.
    async fn command(&self, place: &str, command: &Command, live: Option<&mut Live>) {
        let Command { words, says } = command;
        let mut shell = tokio::process::Command::new("sh");
        shell.args(["-c", &format!("exec 2>&1; {}", self.here(words))]).current_dir(self.checkout());
        let home = self.folder.path().join("home");
        let path = format!("{}:{}", self.folder.path().join("bin").display(), std::env::var("PATH").unwrap());
        shell.envs(git().get_envs().filter_map(|(name, value)| Some((name, value?))));
        shell.env("PATH", path).env("HOME", &home).env("GNUPGHOME", &home).kill_on_drop(true);
        for role in ["AUTHOR", "COMMITTER"] {
            shell.env(format!("GIT_{role}_NAME"), "Ann").env(format!("GIT_{role}_EMAIL"), "ann@example.com");
        }
        let mut waits = false;
        if let Some(live) = live {
            shell.env("KUBECONFIG", &live.kubeconfig);
            if live.tagboat.is_none() && words.starts_with("kubectl ") {
                live.tagboat = Some(live.world.tagboat().await);
            }
            waits = ["kubectl get ", "tagboat explain ", "git pull "].iter().any(|start| words.starts_with(start))
                || (words.starts_with("tagboat release ") && says.starts_with("held "));
        }
        let end = tokio::time::Instant::now() + if waits { SOON } else { Duration::ZERO };
        loop {
            let output = tokio::time::timeout(Duration::from_secs(60), shell.output()).await;
            let output = output.unwrap_or_else(|_| panic!("{place}: {words} does not end")).unwrap();
            let printed = self.there(&String::from_utf8_lossy(&output.stdout));
            let is_table = words.starts_with("kubectl get ");
            if page::is_as_said(&narrow(&printed, is_table), &narrow(says, is_table)) {
                // What fails must be shown to.
                assert!(output.status.success() || !says.is_empty(), "{place}: {words}: {}", output.status);
                return;
            }
            assert!(tokio::time::Instant::now() < end, "{place}: $ {words}\n{printed}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// A text of the page, for here.
    fn here(&self, text: &str) -> String {
        let mut text = text.to_owned();
        if !self.names.is_empty() {
            let image = format!("  image: {REGISTRY}");
            let lines = text.lines().map(|line| match line.starts_with(&image) {
                true => format!("{line}\n  insecure: true\n"),
                false => format!("{line}\n"),
            });
            text = lines.collect::<String>().trim_end_matches('\n').to_owned()
                + if text.ends_with('\n') { "\n" } else { "" };
            text = text.replace("interval: 1m", "interval: 1s");
        }
        self.names.iter().fold(text, |text, (there, here)| text.replace(there, here))
    }

    /// A text from here, as the page has it.
    fn there(&self, text: &str) -> String {
        self.names.iter().fold(text.to_owned(), |text, (there, here)| text.replace(here.as_str(), there))
    }
}

/// The columns of a table are as wide as its texts, which differ.
fn narrow(text: &str, is_table: bool) -> String {
    if !is_table {
        return text.to_owned();
    }
    let words = |line: &str| line.split("  ").map(str::trim).filter(|w| !w.is_empty()).collect::<Vec<_>>().join("  ");
    text.lines().map(|line| words(line) + "\n").collect()
}

impl Drop for Reader {
    fn drop(&mut self) {
        // Keys of a page are served by an agent that would stay.
        let home = self.folder.path().join("home");
        let _ = std::process::Command::new("gpgconf").args(["--kill", "all"]).env("GNUPGHOME", home).output();
    }
}

/// The name of a page's repository at Gitea.
pub fn repository(page: &str) -> String {
    format!("docs-{}", page.trim_end_matches(".md"))
}

/// Runs a command that must work.
pub fn run(command: &mut std::process::Command) {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}
