//! The ways to a Git host: SSH to a real Gitea with keys of every kind, HTTPS with an own authority, a client certificate and a
//! proxy; and what a poll of a large repository costs, and a head without its history.

pub mod https;
mod shallow;

use std::collections::BTreeMap;
use std::io::Write;
use std::process::Stdio;

use libtest_mimic::Trial;
use serde_json::{Value, json};
use tagboat::api::condition::Reason;
use tagboat::api::{ConfigRepo, ImageUpdate};

use crate::setup::*;
use crate::support::git::{Repo, git};
use crate::support::gitea::{Gitea, HOST_KEYS};
use crate::support::ssh_key::SshKey;
use crate::support::wait::wait_for;
use crate::support::world::World;
use crate::support::{gitea_host, trial};

pub fn trials() -> Vec<Trial> {
    vec![
        trial("transports: a bump over ssh, and races that it loses", a_bump_over_ssh),
        trial("transports: ssh keys of every kind", keys_of_every_kind),
        trial("transports: an ssh host that is another one", a_host_that_is_another_one),
        trial("transports: an ssh key without rights", a_key_without_rights),
        trial("transports: an own authority, a client certificate and a proxy", https::by_certificate_and_proxy),
        trial("transports: history comes when somebody writes", shallow::read_or_written),
        trial("transports: a poll of 50,000 refs", a_poll_of_many_refs),
    ]
}

/// Names in Gitea have no two dashes in a row.
fn name(world: &World) -> String {
    world.namespace.replace("--", "-")
}

async fn secret(world: &World, name: &str, key: &SshKey, known_hosts: &str, more: Value) {
    let mut content = json!({"identity": key.private, "identity.pub": key.public, "known_hosts": known_hosts});
    content.as_object_mut().unwrap().extend(more.as_object().cloned().unwrap_or_default());
    world.secret(name, "Opaque", content).await;
}

async fn repo_at(world: &World, name: &str, url: &str, secret: &str) {
    apply(world, "ConfigRepo", name, &format!("{{url: '{url}', interval: 1s, secretRef: {{name: {secret}}}}}")).await;
}

/// Waits until `Ready` is false and says this.
async fn says<K: Product>(world: &World, name: &str, words: &str) -> String {
    let what = format!("{} {name} says {words}", K::kind(&()));
    wait_for(&world.api::<K>(), name, &what, SOON, |object| {
        let object = object?;
        let ready = object.conditions().iter().find(|condition| condition.kind == "Ready")?;
        (ready.status == "False" && ready.message.contains(words)).then(|| ready.message.clone())
    })
    .await
}

async fn a_bump_over_ssh(world: World) {
    const BUMPS: usize = 4;
    const PERSON: usize = 10;
    let gitea = gitea_host().await;
    world.push("app", &["1.0.0"]).await;
    let repo = gitea.repo(&name(&world), &[("apps/app.yaml", &marked(&world, "app", "1.0.0"))]).await;
    let key = SshKey::new("ed25519", "");
    gitea.user_key(&key).await;
    secret(&world, "git", &key, &gitea.known_host("ed25519"), json!({})).await;
    repo_at(&world, "fleet", &repo.url, "git").await;
    image_policy(&world, "app", "app", NEWEST).await;
    image_update(&world, "batchWindow: 10ms").await;
    let tagboat = world.tagboat().await;
    ready::<ImageUpdate>(&world, "fleet", "True", Reason::Succeeded).await;
    for n in 1..=BUMPS {
        let tag = format!("1.{n}.0");
        world.push("app", &[&tag]).await;
        // A person writes faster than a push gets through, then lets it.
        for m in 0..PERSON {
            repo.commit(&[("notes.txt", &format!("{n} {m}"))], "by hand");
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
        in_git(&repo, "apps/app.yaml", &format!(":{tag} ")).await;
    }
    let log = repo.log();
    let mut written: BTreeMap<String, usize> = BTreeMap::new();
    bumps(&log).into_iter().for_each(|bump| *written.entry(bump.new).or_default() += 1);
    let all = (1..=BUMPS).map(|n| (format!("{}:1.{n}.0", world.image("app")), 1));
    assert_eq!(written, all.collect(), "each once");
    assert!(log.iter().rev().skip(1).all(|commit| commit.parents.len() == 1), "linear");
    assert_eq!(log.len(), 1 + BUMPS + BUMPS * PERSON, "none lost");
    no_secret(&key, &tagboat.log());
}

fn no_secret(key: &SshKey, log: &str) {
    assert!(key.private.lines().all(|line| !log.contains(line)), "no private key in the log");
}

async fn keys_of_every_kind(world: World) {
    let gitea = gitea_host().await;
    let repo = gitea.repo(&name(&world), &[("a.yaml", "a: 1")]).await;
    let short = repo.url.replace("ssh://git@", "ssh://");
    let mut keys = Vec::new();
    for (n, (kind, passphrase)) in
        [("ed25519", ""), ("ecdsa", ""), ("rsa", ""), ("ed25519", "open up"), ("rsa", "open up")]
            .into_iter()
            .enumerate()
    {
        let key = SshKey::new(kind, passphrase);
        gitea.user_key(&key).await;
        // Each of the host's own keys is asked for when it is the one that is known.
        let known = gitea.known_host(HOST_KEYS[n % HOST_KEYS.len()]);
        let more = if passphrase.is_empty() { json!({}) } else { json!({"password": passphrase}) };
        secret(&world, &format!("key-{n}"), &key, &known, more).await;
        repo_at(&world, &format!("repo-{n}"), if n == 0 { &short } else { &repo.url }, &format!("key-{n}")).await;
        keys.push(key);
    }
    secret(&world, "locked", &keys[3], &gitea.known_host("rsa"), json!({})).await;
    repo_at(&world, "locked", &repo.url, "locked").await;
    secret(&world, "wrong", &keys[4], &gitea.known_host("rsa"), json!({"password": "sesame"})).await;
    repo_at(&world, "wrong", &repo.url, "wrong").await;
    world.secret("half", "Opaque", json!({"identity": keys[0].private})).await;
    repo_at(&world, "half", &repo.url, "half").await;
    apply(&world, "ConfigRepo", "none", &format!("{{url: '{}'}}", repo.url)).await;
    let tagboat = world.tagboat().await;
    for n in 0..keys.len() {
        let read: ConfigRepo = ready(&world, &format!("repo-{n}"), "True", Reason::Succeeded).await;
        assert!(message(&read).contains(&repo.head()), "{}", message(&read));
    }
    for (name, reason, words) in [
        (
            "locked",
            Reason::InvalidSecret,
            "Secret locked: identity is encrypted: put its passphrase under the key password",
        ),
        ("wrong", Reason::InvalidSecret, "Secret wrong: identity is encrypted, and password does not open it"),
        ("half", Reason::InvalidSecret, "Secret half: it lacks the key known_hosts"),
        ("none", Reason::InvalidSpec, "spec.secretRef: ssh needs a Secret"),
    ] {
        let found: ConfigRepo = ready(&world, name, "False", reason).await;
        assert!(message(&found).contains(words), "{}", message(&found));
    }
    keys.iter().for_each(|key| no_secret(key, &tagboat.log()));
    assert!(!tagboat.log().contains("open up") && !tagboat.log().contains("sesame"));
}

async fn a_host_that_is_another_one(world: World) {
    let gitea = gitea_host().await;
    let repo = gitea.repo(&name(&world), &[("a.yaml", "a: 1")]).await;
    let (key, other) = (SshKey::new("ed25519", ""), SshKey::new("ed25519", ""));
    gitea.user_key(&key).await;
    let known = gitea.known_host("ed25519");
    let (host, of_host) = known.split_once(' ').unwrap();
    secret(&world, "git", &key, &format!("{host} {}\n", other.public), json!({})).await;
    repo_at(&world, "fleet", &repo.url, "git").await;
    let _tagboat = world.tagboat().await;
    let found = says::<ConfigRepo>(&world, "fleet", "cannot be trusted").await;
    for public in [of_host, &other.public] {
        let print = russh::keys::PublicKey::from_openssh(public.trim()).unwrap();
        let print = print.fingerprint(russh::keys::HashAlg::Sha256).to_string();
        assert!(found.contains(&print), "{found} lacks {print}");
    }
    secret(&world, "git", &key, "git.example.com ssh-ed25519 AAAA\n", json!({})).await;
    request::<ConfigRepo>(&world, "fleet", "again").await;
    says::<ConfigRepo>(&world, "fleet", "known_hosts has no line for [127.0.0.1]").await;
    secret(&world, "git", &key, &format!("@revoked {known}{known}"), json!({})).await;
    request::<ConfigRepo>(&world, "fleet", "and again").await;
    says::<ConfigRepo>(&world, "fleet", "is @revoked in known_hosts").await;
    secret(&world, "git", &key, &known, json!({})).await;
    request::<ConfigRepo>(&world, "fleet", "and now").await;
    ready::<ConfigRepo>(&world, "fleet", "True", Reason::Succeeded).await;
}

async fn a_key_without_rights(world: World) {
    let gitea: &Gitea = gitea_host().await;
    world.push("app", &["1.0.0", "1.1.0"]).await;
    let repo: Repo = gitea.repo(&name(&world), &[("app.yaml", &marked(&world, "app", "1.0.0"))]).await;
    let (reader, stranger) = (SshKey::new("ed25519", ""), SshKey::new("ed25519", ""));
    gitea.read_only_key(&repo, &reader).await;
    secret(&world, "reader", &reader, &gitea.known_host("ed25519"), json!({})).await;
    secret(&world, "stranger", &stranger, &gitea.known_host("ed25519"), json!({})).await;
    repo_at(&world, "fleet", &repo.url, "reader").await;
    repo_at(&world, "strange", &repo.url, "stranger").await;
    let elsewhere = repo.url.replace(&repo.name, "nowhere");
    repo_at(&world, "nowhere", &elsewhere, "reader").await;
    image_policy(&world, "app", "app", NEWEST).await;
    image_update(&world, "batchWindow: 10ms").await;
    let _tagboat = world.tagboat().await;
    ready::<ConfigRepo>(&world, "fleet", "True", Reason::Succeeded).await;
    let refused = says::<ImageUpdate>(&world, "fleet", "the git host refused the ssh session").await;
    assert!(refused.contains("the key's rights"), "{refused}");
    let unknown = says::<ConfigRepo>(&world, "strange", "does not take the ssh key").await;
    assert!(unknown.contains("SHA256:") && unknown.contains("\"git\""), "{unknown}");
    says::<ConfigRepo>(&world, "nowhere", "the git host refused the ssh session").await;
    assert_eq!(repo.log().len(), 1, "nothing was written");
}

async fn a_poll_of_many_refs(world: World) {
    const REFS: usize = 50_000;
    let repo = world.repo("large", &[("a.yaml", "a: 1")]);
    let head = repo.head();
    let mut command = git();
    command.arg("--git-dir").arg(&repo.folder).args(["update-ref", "--stdin"]).stdin(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let lines: String = (0..REFS).map(|n| format!("create refs/heads/topic/{n} {head}\n")).collect();
    child.stdin.take().unwrap().write_all(lines.as_bytes()).unwrap();
    assert!(child.wait().unwrap().success());
    config_repo(&world, &repo).await;
    let _tagboat = world.tagboat().await;
    ready::<ConfigRepo>(&world, "fleet", "True", Reason::Succeeded).await;
    let before = (repo.requests().len(), repo.answered());
    asked("the head", before.0 + 4, || repo.requests().len()).await;
    let polls = repo.requests().len() - before.0;
    // The last request may not be answered yet, the one before the first may be counted in.
    let bytes = (repo.answered() - before.1) as usize / (polls - 1);
    assert!(bytes < 1000, "{bytes} bytes a poll");
    println!("a poll of {REFS} refs: {bytes} bytes");
}
