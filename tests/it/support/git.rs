//! A Git host: bare repositories behind `git http-backend` with Basic auth. Tests commit to them directly, as a person elsewhere would.

mod http;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use git2::{ErrorCode, Index, IndexEntry, IndexTime, Oid, Repository, Signature, Tree};

use super::guard;
use super::traffic::{Fault, Request, Traffic, serve};

/// The branch of every repository.
pub const BRANCH: &str = "main";

/// See the module.
pub struct GitServer {
    /// `http://127.0.0.1:PORT`
    pub url: String,
    /// The one user.
    pub username: &'static str,
    /// And the password.
    pub password: &'static str,
    folder: PathBuf,
    traffic: Arc<Traffic>,
}

impl GitServer {
    /// Starts it, without repositories.
    pub async fn start() -> Result<Self, String> {
        let folder = guard::folder().join("git");
        std::fs::create_dir_all(&folder).unwrap();
        let (username, password) = ("tagboat", "anchor-9");
        let traffic = Arc::new(Traffic::default());
        let host = http::Host { folder: folder.clone(), username, password, traffic: traffic.clone() };
        let port = serve(http::router(host)).await;
        let url = format!("http://{}", SocketAddr::from(([127, 0, 0, 1], port)));
        Ok(Self { url, username, password, folder, traffic })
    }

    /// A new repository with a first commit of these files.
    pub fn repo(&self, name: &str, files: &[(&str, &str)]) -> Repo {
        let folder = self.folder.join(format!("{name}.git"));
        let mut options = git2::RepositoryInitOptions::new();
        let repository = Repository::init_opts(&folder, options.bare(true).initial_head(BRANCH)).unwrap();
        let mut config = repository.config().unwrap();
        for key in ["http.receivepack", "uploadpack.allowFilter", "uploadpack.allowAnySHA1InWant"] {
            config.set_bool(key, true).unwrap(); // as hosts do
        }
        let repo = Repo {
            name: name.to_owned(),
            url: format!("{}/{name}.git", self.url),
            folder,
            traffic: self.traffic.clone(),
            repository: Arc::new(Mutex::new(repository)),
        };
        if !files.is_empty() {
            repo.commit(files, "first commit");
        }
        repo
    }
}

/// One repository.
#[derive(Clone)]
pub struct Repo {
    /// Its name, without `.git`.
    pub name: String,
    /// Where to clone it from.
    pub url: String,
    /// The bare repository on disk.
    pub folder: PathBuf,
    traffic: Arc<Traffic>,
    repository: Arc<Mutex<Repository>>,
}

/// A commit of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Commit {
    /// The full id.
    pub id: String,
    /// The whole message.
    pub message: String,
    /// `Name <address>`
    pub author: String,
    /// Full ids of its parents.
    pub parents: Vec<String>,
}

impl Repo {
    /// A repository of another host, at this URL; its bare repository on disk exists.
    pub fn at(name: &str, url: &str, folder: &Path) -> Self {
        let repository = Arc::new(Mutex::new(Repository::open_bare(folder).unwrap()));
        let (name, url, folder) = (name.to_owned(), url.to_owned(), folder.to_owned());
        Self { name, url, folder, traffic: Arc::default(), repository }
    }

    /// Every request's answer so far, their bodies together, in bytes.
    pub fn answered(&self) -> u64 {
        self.traffic.answered(&self.name)
    }

    /// Writes files in one commit on the branch, as a person; the commit's id.
    pub fn commit(&self, files: &[(&str, &str)], message: &str) -> String {
        self.change(message, |repository, index| {
            for (path, content) in files {
                let id = repository.blob(content.as_bytes()).unwrap();
                index.add(&entry(path, id)).unwrap();
            }
        })
    }

    /// Removes files in one commit; the commit's id.
    pub fn remove(&self, paths: &[&str], message: &str) -> String {
        self.change(message, |_, index| paths.iter().for_each(|path| index.remove(path.as_ref(), 0).unwrap()))
    }

    /// `git revert`; the new commit's id.
    pub fn revert(&self, id: &str) -> String {
        let reverted = self.with(|repository| {
            let commit = repository.find_commit(Oid::from_str(id).unwrap()).unwrap();
            format!("Revert {:?}\n\nThis reverts commit {id}.\n", commit.summary().ok().flatten().unwrap_or_default())
        });
        self.change(&reverted, |repository, index| {
            let commit = repository.find_commit(Oid::from_str(id).unwrap()).unwrap();
            let head = head(repository).unwrap();
            *index = repository.revert_commit(&commit, &head, 0, None).unwrap();
        })
    }

    /// The branch's head.
    pub fn head(&self) -> String {
        self.with(|repository| head(repository).unwrap().id().to_string())
    }

    /// The head of another branch.
    pub fn branch(&self, name: &str) -> Option<String> {
        self.with(|repository| repository.refname_to_id(&format!("refs/heads/{name}")).ok().map(|id| id.to_string()))
    }

    /// The branch's commits, newest first.
    pub fn log(&self) -> Vec<Commit> {
        self.with(|repository| {
            let mut walk = repository.revwalk().unwrap();
            walk.push_ref(&format!("refs/heads/{BRANCH}")).unwrap();
            walk.map(|id| read(&repository.find_commit(id.unwrap()).unwrap())).collect()
        })
    }

    /// A file as it is at the branch's head.
    pub fn file_at_head(&self, path: &str) -> Option<String> {
        self.with(|repository| {
            let tree = head(repository)?.tree().unwrap();
            let object = tree.get_path(path.as_ref()).ok()?.to_object(repository).unwrap();
            Some(String::from_utf8_lossy(object.as_blob().unwrap().content()).into_owned())
        })
    }

    /// `git log -p` of one commit.
    pub fn show(&self, id: &str) -> String {
        let mut command = git();
        let output =
            command.arg("--git-dir").arg(&self.folder).args(["log", "-p", "-1", "--no-color", id]).output().unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// The requests for it so far. Commits of the tests are none.
    pub fn requests(&self) -> Vec<Request> {
        self.traffic.requests(&self.name)
    }

    /// Whether the host is down for it.
    pub fn down(&self, is_down: bool) {
        self.fault(is_down.then_some(Fault::Status(503)));
    }

    /// What goes wrong with every request for it.
    pub fn fault(&self, fault: Option<Fault>) {
        self.traffic.fault(&self.name, fault);
    }

    /// Every request for it waits first.
    pub fn slow(&self, delay: Duration) {
        self.traffic.slow(&self.name, delay);
    }

    /// Sets the script that judges pushes (`pre-receive`), or removes it.
    pub fn hook(&self, script: Option<&str>) {
        use std::os::unix::fs::PermissionsExt;
        let path = self.folder.join("hooks/pre-receive");
        match script {
            Some(script) => {
                std::fs::create_dir_all(path.parent().unwrap()).unwrap();
                let new = path.with_extension("new");
                std::fs::write(&new, format!("#!/bin/sh\n{script}\n")).unwrap();
                std::fs::set_permissions(&new, std::fs::Permissions::from_mode(0o755)).unwrap();
                std::fs::rename(new, path).unwrap();
            }
            None => drop(std::fs::remove_file(path)),
        }
    }

    /// A commit on top of the head; again when somebody pushed in between.
    fn change(&self, message: &str, edit: impl Fn(&Repository, &mut Index)) -> String {
        self.with(|repository| {
            loop {
                let parent = head(repository);
                let mut index = Index::new().unwrap();
                if let Some(parent) = &parent {
                    index.read_tree(&parent.tree().unwrap()).unwrap();
                }
                edit(repository, &mut index);
                let tree: Tree<'_> = repository.find_tree(index.write_tree_to(repository).unwrap()).unwrap();
                let person = Signature::now("A Person", "person@example.com").unwrap();
                let parents: Vec<_> = parent.iter().collect();
                let name = format!("refs/heads/{BRANCH}");
                match repository.commit(Some(&name), &person, &person, message, &tree, &parents) {
                    Ok(id) => return id.to_string(),
                    Err(error) if matches!(error.code(), ErrorCode::Modified | ErrorCode::Locked) => {}
                    Err(error) => panic!("{error}"),
                }
            }
        })
    }

    fn with<T>(&self, act: impl FnOnce(&Repository) -> T) -> T {
        act(&self.repository.lock().unwrap())
    }
}

fn head(repository: &Repository) -> Option<git2::Commit<'_>> {
    let id = repository.refname_to_id(&format!("refs/heads/{BRANCH}")).ok()?;
    Some(repository.find_commit(id).unwrap())
}

fn read(commit: &git2::Commit<'_>) -> Commit {
    Commit {
        id: commit.id().to_string(),
        message: String::from_utf8_lossy(commit.message_bytes()).into_owned(),
        author: commit.author().to_string(),
        parents: commit.parent_ids().map(|id| id.to_string()).collect(),
    }
}

fn entry(path: &str, id: Oid) -> IndexEntry {
    let time = IndexTime::new(0, 0);
    IndexEntry {
        ctime: time,
        mtime: time,
        dev: 0,
        ino: 0,
        mode: 0o100_644,
        uid: 0,
        gid: 0,
        file_size: 0,
        id,
        flags: 0,
        flags_extended: 0,
        path: path.as_bytes().to_vec(),
    }
}

/// The `git` command without anybody's configuration, never asking for a password.
pub fn git() -> Command {
    without_configuration(Command::new("git"))
}

/// A program of Git's own, started without `git` between: `git-http-backend` loops for ever on a body that was cut off, and must die
/// with its request.
fn git_program(name: &str) -> Command {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    let folder = FOLDER.get_or_init(|| {
        let output = git().arg("--exec-path").output().unwrap();
        PathBuf::from(String::from_utf8_lossy(&output.stdout).trim_end())
    });
    without_configuration(Command::new(folder.join(name)))
}

fn without_configuration(mut command: Command) -> Command {
    command.env("HOME", guard::folder()).env("GIT_CONFIG_NOSYSTEM", "1").env("GIT_CONFIG_GLOBAL", "/dev/null");
    command.env("GIT_TERMINAL_PROMPT", "0");
    for role in ["AUTHOR", "COMMITTER"] {
        command.env(format!("GIT_{role}_NAME"), "A Person").env(format!("GIT_{role}_EMAIL"), "person@example.com");
    }
    command
}
