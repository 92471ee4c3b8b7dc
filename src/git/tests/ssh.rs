//! The shell over SSH, against the real Git programs behind a small SSH server that can misbehave on demand. Real hosts are in
//! `tests/it`.

#![expect(clippy::disallowed_methods, reason = "tests start servers")]

use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use russh::keys::ssh_key::LineEnding;
use russh::keys::{Algorithm, EcdsaCurve, HashAlg, PrivateKey};
use russh::server::{Auth as Answer, ChannelOpenHandle, Config, Handler, Msg, Session, VerifiedPublicKey};
use russh::{Channel, ChannelId};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::server::{Server, git};
use super::{bump, id, open};
use crate::git::{Auth, Error, Mirror, Pushed, Reach, Remote, Ssh};
use crate::reach::Way;

/// How the host misbehaves, and what it saw.
#[derive(Default, Clone)]
struct Host {
    /// Variables are not taken, so that only protocol v0 is spoken.
    no_v2: bool,
    /// Says this to people and runs nothing.
    says: Option<&'static str>,
    /// Ends the command after so many bytes of its output.
    cuts_at: Option<usize>,
    /// Never answers after the login.
    hangs: bool,
}

#[derive(Default)]
struct Shared {
    host: Mutex<Host>,
    /// Commands, and how many bytes each said.
    seen: Mutex<Vec<(String, usize)>>,
}

impl Shared {
    fn saw(&self, command: String) -> usize {
        let mut seen = self.seen.lock().unwrap();
        seen.push((command, 0));
        seen.len() - 1
    }

    /// How many bytes the last commands said, oldest first.
    fn said(&self, last: usize) -> Vec<usize> {
        let seen = self.seen.lock().unwrap();
        seen[seen.len() - last..].iter().map(|(_, said)| *said).collect()
    }
}

struct Guest {
    shared: Arc<Shared>,
    root: std::path::PathBuf,
    user: russh::keys::PublicKey,
    channel: Option<Channel<Msg>>,
    v2: bool,
}

impl Handler for Guest {
    type Error = russh::Error;

    async fn auth_publickey(&mut self, user: &str, key: VerifiedPublicKey<'_>) -> Result<Answer, russh::Error> {
        let is_known = user == "git" && key.public_key.key_data() == self.user.key_data();
        Ok(if is_known { Answer::Accept } else { Answer::reject() })
    }

    async fn channel_open_session(
        &mut self,
        channel: Channel<Msg>,
        reply: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), russh::Error> {
        self.channel = Some(channel);
        reply.accept().await;
        Ok(())
    }

    async fn env_request(
        &mut self,
        _: ChannelId,
        name: &str,
        value: &str,
        _: &mut Session,
    ) -> Result<(), russh::Error> {
        self.v2 = name == "GIT_PROTOCOL" && value == "version=2" && !self.shared.host.lock().unwrap().no_v2;
        Ok(())
    }

    async fn exec_request(&mut self, id: ChannelId, command: &[u8], session: &mut Session) -> Result<(), russh::Error> {
        let host = self.shared.host.lock().unwrap().clone();
        let command = String::from_utf8(command.to_vec()).unwrap();
        let (handle, channel) = (session.handle(), self.channel.take().unwrap());
        let (root, v2, shared) = (self.root.clone(), self.v2, self.shared.clone());
        session.channel_success(id)?;
        tokio::spawn(async move {
            if host.hangs {
                std::future::pending::<()>().await;
            }
            if let Some(words) = host.says {
                let _ = handle.data(id, "\n").await; // as Gitea does
                let _ = handle.extended_data(id, 1, words.as_bytes().to_vec()).await;
                let _ = handle.exit_status_request(id, 1).await;
                let _ = handle.close(id).await;
                return;
            }
            let mut child = tokio::process::Command::new("sh");
            child.args(["-c", &format!("exec git {}", command.trim_start_matches("git-"))]).current_dir(&root);
            child.env("HOME", &root).env("GIT_CONFIG_NOSYSTEM", "1").stdin(Stdio::piped()).stdout(Stdio::piped());
            if v2 {
                child.env("GIT_PROTOCOL", "version=2");
            }
            let mut child = child.stderr(Stdio::piped()).kill_on_drop(true).spawn().unwrap();
            let (mut input, mut output) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
            let (mut from, mut to) = tokio::io::split(channel.into_stream());
            let feeds = tokio::spawn(async move { tokio::io::copy(&mut from, &mut input).await });
            let (mut said, mut piece) = (0, vec![0; 4096]);
            let at = shared.saw(command);
            while let Ok(length @ 1..) = output.read(&mut piece).await {
                let length = length.min(host.cuts_at.unwrap_or(usize::MAX) - said);
                said += length;
                shared.seen.lock().unwrap()[at].1 = said;
                // What follows may never come, as the program waits for us.
                if to.write_all(&piece[..length]).await.is_err() || host.cuts_at == Some(said) {
                    break;
                }
            }
            let _ = to.flush().await;
            drop(output);
            feeds.abort();
            let result = child.wait_with_output().await.unwrap();
            let _ = handle.extended_data(id, 1, result.stderr).await;
            let _ = handle.exit_status_request(id, result.status.code().unwrap_or(1) as u32).await;
            let _ = handle.close(id).await;
        });
        Ok(())
    }
}

fn key(algorithm: Algorithm) -> PrivateKey {
    PrivateKey::random(&mut russh::keys::key::safe_rng(), algorithm).unwrap()
}

/// A host on a free port; its port and its key.
async fn host(server: &Server, user: &PrivateKey, keys: Vec<PrivateKey>) -> (u16, Arc<Shared>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let config = Config { keys, auth_rejection_time: Duration::ZERO, ..Config::default() };
    let (config, shared) = (Arc::new(config), Arc::new(Shared::default()));
    let (root, user, all) = (server.bare().parent().unwrap().to_owned(), user.public_key().clone(), shared.clone());
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (shared, root, user) = (all.clone(), root.clone(), user.clone());
            let guest = Guest { shared, root, user, channel: None, v2: false };
            tokio::spawn(russh::server::run_stream(config.clone(), stream, guest));
        }
    });
    (port, shared)
}

async fn remote(server: &Server, port: u16, user: &PrivateKey, known: &str) -> Remote {
    let identity = user.to_openssh(LineEnding::LF).unwrap().as_bytes().to_vec();
    let login = Ssh::new(identity, None, known.as_bytes().to_vec()).await.unwrap();
    Remote {
        url: format!("ssh://git@127.0.0.1:{port}{}", server.bare().display()),
        auth: Auth::Ssh(login),
        way: Way::default(),
        timeout: Duration::from_secs(20),
    }
}

fn known(port: u16, key: &PrivateKey) -> String {
    format!("[127.0.0.1]:{port} {}\n", key.public_key().to_openssh().unwrap())
}

/// A server, a host in front of it, and how to reach it.
async fn world() -> (Server, Arc<Shared>, Remote) {
    let server = Server::start(&[("a.yaml", "x")]).await;
    let (user, own) = (key(Algorithm::Ed25519), key(Algorithm::Ed25519));
    let (port, shared) = host(&server, &user, vec![own.clone()]).await;
    let remote = remote(&server, port, &user, &known(port, &own)).await;
    (server, shared, remote)
}

#[tokio::test(flavor = "multi_thread")]
async fn head_fetch_and_push() {
    for no_v2 in [false, true] {
        let (server, shared, remote) = world().await;
        shared.host.lock().unwrap().no_v2 = no_v2;
        let mirror = open(&server);
        let head = mirror.head(&remote, "main").await.unwrap();
        mirror.fetch(&remote, "main", &head, Reach::History).await.unwrap();
        let refs: String = (0..3000).map(|n| format!("{head} refs/heads/topic/{n}\n")).collect();
        super::write(&server.bare().join("packed-refs"), refs.as_bytes());
        let next = id(&server.commit(&[("a.yaml", "y")]));
        assert_eq!(mirror.head(&remote, "main").await.unwrap(), next);
        mirror.fetch(&remote, "main", &next, Reach::History).await.unwrap();
        let said = shared.said(2);
        assert!(no_v2 || said[0] < 600 && said[1] < 1500, "{said:?}");
        // Heads alone, and then all before them.
        let heads = Mirror::open(server.folder.path(), "heads").unwrap();
        for commit in [&head, &next] {
            heads.fetch(&remote, "main", commit, Reach::Head).await.unwrap_or_else(|e| assert!(no_v2, "{e}"));
        }
        assert!(heads.find(&next, "a.yaml").unwrap().is_some());
        assert_eq!(heads.is_ancestor(&head, &next), Err(Error::NoHistory));
        git(&heads.inner.path, &["fsck", "--strict"]);
        heads.fetch(&remote, "main", &next, Reach::History).await.unwrap();
        assert_eq!(heads.is_ancestor(&head, &next), Ok(true));
        let new = mirror.commit(bump(&next, "a.yaml", "z")).unwrap();
        let other = mirror.commit(bump(&next, "a.yaml", "w")).unwrap();
        assert_eq!(mirror.push(&remote, "main", Some(&next), &new).await, Ok(Pushed::Done));
        assert_eq!(mirror.push(&remote, "main", Some(&next), &new).await, Ok(Pushed::Done), "a replay");
        assert_eq!(mirror.push(&remote, "main", Some(&next), &other).await, Ok(Pushed::Moved));
        assert_eq!(mirror.push(&remote, "bot", None, &other).await, Ok(Pushed::Done));
        git(&server.bare(), &["fsck", "--strict"]);
        assert_eq!(mirror.head(&remote, "no").await, Err(Error::BranchNotFound { branch: "no".into() }));
        server.hook("echo 'no deploys on Friday' >&2; exit 1");
        let refused = mirror.push(&remote, "main", Some(&new), &other).await.unwrap_err();
        assert_eq!(refused, Error::Rejected { message: "no deploys on Friday: pre-receive hook declined".into() });
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_host_does_wrong_is_told_apart() {
    let (server, shared, remote) = world().await;
    let mirror = open(&server);
    let head = mirror.head(&remote, "main").await.unwrap();
    let set = |host: Host| *shared.host.lock().unwrap() = host;
    set(Host { says: Some("ERROR: Permission to acme/fleet denied\u{1b}[0m"), ..Host::default() });
    let denied = mirror.head(&remote, "main").await.unwrap_err();
    assert!(denied.needs_user() && denied.is_refusal(), "{denied}");
    assert!(denied.to_string().contains("ERROR: Permission to acme/fleet denied\\u{1b}[0m; check the url"), "{denied}");
    set(Host { cuts_at: Some(300), ..Host::default() });
    let cut = mirror.fetch(&remote, "main", &head, Reach::History).await.unwrap_err();
    assert!(cut.lost_reply() && cut.to_string().contains("in the middle of an answer"), "{cut}");
    set(Host { hangs: true, ..Host::default() });
    let limit = Duration::from_millis(1500);
    let slow = Remote { timeout: limit, ..remote.clone() };
    assert_eq!(mirror.head(&slow, "main").await, Err(Error::Timeout { limit }));
    assert_eq!(mirror.fetch(&slow, "main", &head, Reach::History).await, Err(Error::Timeout { limit }));
    set(Host::default());
    mirror.fetch(&remote, "main", &head, Reach::History).await.unwrap();
    let lost = id(&server.commit(&[("a.yaml", "y")]));
    git(&server.bare(), &["update-ref", "refs/heads/main", head.as_str()]);
    git(&server.bare(), &["gc", "-q", "--prune=now"]);
    let gone = Error::CommitGone { commit: lost.to_string() };
    assert_eq!(mirror.fetch(&remote, "main", &lost, Reach::History).await, Err(gone));
    let none = Remote { url: format!("{}-none", remote.url), ..remote.clone() };
    assert!(matches!(mirror.head(&none, "main").await, Err(Error::SessionRefused { .. })));
    let anonymous = Remote { auth: Auth::None, ..remote.clone() };
    assert!(matches!(mirror.head(&anonymous, "main").await, Err(Error::UnsupportedUrl { .. })));
    let web = Remote { url: server.url.clone(), ..remote.clone() };
    assert!(matches!(mirror.head(&web, "main").await, Err(Error::UnsupportedUrl { .. })));
    let closed = Remote { url: "ssh://git@127.0.0.1:1/x".into(), ..remote.clone() };
    assert!(matches!(mirror.head(&closed, "main").await, Err(Error::HostKey { .. })), "not even a connection");
    assert!(!format!("{remote:?}").contains("PRIVATE"), "{remote:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_known_key_of_the_host_will_do() {
    let server = Server::start(&[("a.yaml", "x")]).await;
    let curve = EcdsaCurve::NistP256;
    let (user, stranger) = (key(Algorithm::Ed25519), key(Algorithm::Ecdsa { curve }));
    let (first, second) = (key(Algorithm::Ed25519), key(Algorithm::Ecdsa { curve }));
    let (port, shared) = host(&server, &user, vec![first.clone(), second.clone()]).await;
    let mirror = open(&server);
    for own in [&first, &second] {
        let remote = remote(&server, port, &user, &known(port, own)).await;
        assert!(mirror.head(&remote, "main").await.is_ok(), "the host is asked for the kind that is known");
    }
    let before = shared.seen.lock().unwrap().len();
    let other = key(Algorithm::Ed25519);
    let wrong = remote(&server, port, &user, &known(port, &other)).await;
    let refused = mirror.head(&wrong, "main").await.unwrap_err().to_string();
    for key in [&first, &other] {
        assert!(refused.contains(&key.fingerprint(HashAlg::Sha256).to_string()), "{refused}");
    }
    let kind = remote(&server, port, &user, &known(port, &key(Algorithm::Ecdsa { curve: EcdsaCurve::NistP384 }))).await;
    let refused = mirror.head(&kind, "main").await.unwrap_err().to_string();
    assert!(refused.contains("has only ecdsa-sha2-nistp384") && refused.contains("ssh-ed25519"), "{refused}");
    let unknown = remote(&server, port, &stranger, &known(port, &first)).await;
    let refused = mirror.head(&unknown, "main").await.unwrap_err();
    let print = stranger.fingerprint(HashAlg::Sha256).to_string();
    assert!(matches!(&refused, Error::KeyRefused { key, .. } if key.contains(&print)), "{refused}");
    assert_eq!(shared.seen.lock().unwrap().len(), before, "nothing ran");
}
