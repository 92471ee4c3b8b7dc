//! The least that a commit on a Git host takes: one POST of a command and a pack that was made before.

use git2::build::TreeUpdateBuilder;
use git2::{FileMode, ObjectType, Oid, PackBuilder, Repository, Signature, Time};

use crate::support::git::{BRANCH, GitServer, Repo, git};
use crate::support::{guard, next_number};

/// Pushes that follow each other, ready to be sent.
pub struct Bare {
    client: reqwest::Client,
    url: String,
    login: (&'static str, &'static str),
    bodies: std::vec::IntoIter<Vec<u8>>,
}

impl Bare {
    /// One push for each content of one file, each on top of the one before. `url` is the repository's, by whatever way.
    pub fn prepare(server: &GitServer, repo: &Repo, url: &str, path: &str, contents: &[String]) -> Self {
        let folder = guard::folder().join(format!("bare-{}", next_number()));
        let output = git().args(["clone", "--quiet", "--bare"]).arg(&repo.folder).arg(&folder).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let repository = Repository::open_bare(&folder).unwrap();
        let mut head = repository.refname_to_id(&format!("refs/heads/{BRANCH}")).unwrap();
        let mut bodies = Vec::new();
        for (number, content) in contents.iter().enumerate() {
            let new = commit(&repository, head, path, content, 1_700_000_000 + i64::try_from(number).unwrap());
            bodies.push(body(&repository, head, new, path));
            head = new;
        }
        let client = reqwest::Client::builder().no_gzip().no_proxy().build().unwrap();
        let login = (server.username, server.password);
        Self { client, url: url.to_owned(), login, bodies: bodies.into_iter() }
    }

    /// Sends the next one; its bytes.
    pub async fn push(&mut self) -> usize {
        let body = self.bodies.next().expect("enough were prepared");
        let length = body.len();
        let post = self.client.post(format!("{}/git-receive-pack", self.url)).body(body);
        let post = post.header("content-type", "application/x-git-receive-pack-request");
        let answer = post.basic_auth(self.login.0, Some(self.login.1)).send().await.unwrap();
        let text = answer.error_for_status().unwrap().text().await.unwrap();
        assert!(text.contains("ok refs/heads/"), "{text}");
        length
    }
}

fn commit(repository: &Repository, parent: Oid, path: &str, content: &str, time: i64) -> Oid {
    let parent = repository.find_commit(parent).unwrap();
    let blob = repository.blob(content.as_bytes()).unwrap();
    let tree =
        TreeUpdateBuilder::new().upsert(path, blob, FileMode::Blob).create_updated(repository, &parent.tree().unwrap());
    let tree = repository.find_tree(tree.unwrap()).unwrap();
    let who = Signature::new("bench", "bench@example.com", &Time::new(time, 0)).unwrap();
    repository.commit(None, &who, &who, "bump\n", &tree, &[&parent]).unwrap()
}

/// As gitprotocol-pack says: command, flush, pack with the commit, the trees on the way, the file.
fn body(repository: &Repository, old: Oid, new: Oid, path: &str) -> Vec<u8> {
    let line = format!("{old} {new} refs/heads/{BRANCH}\0 report-status\n");
    let mut body = format!("{:04x}{line}0000", line.len() + 4).into_bytes();
    body.extend_from_slice(&pack(repository, new, path));
    body
}

fn pack(repository: &Repository, new: Oid, path: &str) -> Vec<u8> {
    let mut builder: PackBuilder<'_> = repository.packbuilder().unwrap();
    builder.set_threads(1);
    let commit = repository.find_commit(new).unwrap();
    builder.insert_object(new, None).unwrap();
    let mut tree = commit.tree().unwrap();
    builder.insert_object(tree.id(), None).unwrap();
    for part in path.split('/') {
        let entry = tree.get_name(part).unwrap();
        let (id, is_tree) = (entry.id(), entry.kind() == Some(ObjectType::Tree));
        builder.insert_object(id, None).unwrap();
        drop(entry);
        if is_tree {
            tree = repository.find_tree(id).unwrap();
        }
    }
    let mut pack = git2::Buf::new();
    builder.write_buf(&mut pack).unwrap();
    pack.to_vec()
}
