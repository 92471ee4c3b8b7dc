//! `spec.verify`: only what trusted keys signed is applied. The signatures are made by `git commit -S` and `git tag -s` with the real
//! `gpg` and `ssh-keygen`, and by the product itself.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;

use libtest_mimic::Trial;
use serde_json::json;
use tagboat::api::condition::Reason;
use tagboat::api::{ConfigRepo, ImageUpdate};

use crate::objects::config_map;
use crate::refs::{at, follow, says};
use crate::setup::*;
use crate::support::git::{Repo, git};
use crate::support::world::World;
use crate::support::{gitea_host, trial};

pub fn trials() -> Vec<Trial> {
    vec![
        trial("verifying: a head that must be signed", a_signed_head),
        trial("verifying: a key that is taken out", a_key_that_is_taken_out),
        trial("verifying: every commit since the last", every_commit),
        trial("verifying: signed tags of a range, at Gitea", signed_tags),
        trial("verifying: our own commits", our_own),
        trial("verifying: turned on too late", turned_on),
    ]
}

/// A person with a clone of the repository and a key of either kind.
struct Person {
    home: tempfile::TempDir,
    key: String,
    format: &'static str,
}

fn run(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

impl Person {
    fn with_ssh() -> Self {
        let home = tempfile::tempdir().unwrap();
        let file = home.path().join("id");
        run(Command::new("ssh-keygen")
            .args(["-q", "-t", "ed25519", "-C", "ann@example.com", "-N", "", "-f"])
            .arg(&file));
        Self { key: file.display().to_string(), home, format: "ssh" }
    }

    fn with_gpg() -> Self {
        let home = tempfile::tempdir().unwrap();
        std::fs::set_permissions(home.path(), std::fs::Permissions::from_mode(0o700)).unwrap();
        let mut person = Self { home, key: String::new(), format: "openpgp" };
        person.gpg(&["--quick-gen-key", "Ann <ann@example.com>", "ed25519", "sign", "never"]);
        let listed = person.gpg(&["--with-colons", "-K"]);
        person.key = listed.lines().find_map(|line| line.strip_prefix("fpr:")).unwrap().trim_matches(':').to_owned();
        person
    }

    fn gpg(&self, args: &[&str]) -> String {
        let mut command = Command::new("gpg");
        command.env("GNUPGHOME", self.home.path()).args(["--batch", "--no-tty", "-q", "--pinentry-mode", "loopback"]);
        run(command.args(["--passphrase", ""]).args(args))
    }

    fn public(&self) -> String {
        match self.format {
            "ssh" => std::fs::read_to_string(self.home.path().join("id.pub")).unwrap(),
            _ => self.gpg(&["--armor", "--export"]),
        }
    }

    fn work(&self) -> PathBuf {
        self.home.path().join("work")
    }

    fn git(&self, args: &[&str]) -> String {
        let mut command = git();
        command.env("GNUPGHOME", self.home.path()).env("HOME", self.home.path()).current_dir(self.home.path());
        command.args(["-c", "user.name=Ann", "-c", "user.email=ann@example.com"]);
        command.args(["-c", &format!("gpg.format={}", self.format), "-c", &format!("user.signingKey={}", self.key)]);
        run(command.args(args))
    }

    fn in_work(&self, args: &[&str]) -> String {
        self.git(&[&["-C", self.work().to_str().unwrap()], args].concat())
    }

    /// Takes a ref over into the repository, past all hooks.
    fn hand_in(&self, repo: &Repo, refspec: &str) {
        git_says(repo, &["fetch", "-q", self.work().to_str().unwrap(), refspec]);
    }

    /// Makes a commit with this greeting, signed or not, and hands it in; its id.
    fn say(&self, repo: &Repo, greeting: &str, sign: &str) -> String {
        let folder = repo.folder.to_str().unwrap();
        if !self.work().exists() {
            self.git(&["clone", "-q", folder, self.work().to_str().unwrap()]);
        }
        self.in_work(&["fetch", "-q", "origin", "main"]);
        self.in_work(&["reset", "-q", "--hard", "FETCH_HEAD"]);
        std::fs::write(self.work().join("map.yaml"), config_map("map", greeting)).unwrap();
        self.in_work(&["add", "."]);
        self.in_work(&["commit", "-q", sign, "-m", greeting]);
        self.hand_in(repo, "HEAD:refs/heads/main");
        repo.head()
    }
}

impl Drop for Person {
    fn drop(&mut self) {
        let _ = Command::new("gpgconf").env("GNUPGHOME", self.home.path()).args(["--kill", "all"]).output();
    }
}

const SIGNED: &str = "-S";
const UNSIGNED: &str = "--no-gpg-sign";

async fn refused(world: &World, words: &[&str]) -> ConfigRepo {
    let what = format!("refused with {words:?}");
    crate::support::wait::wait_for(&world.api::<ConfigRepo>(), "fleet", &what, SOON, |repo| {
        let ready = repo?.conditions().iter().find(|condition| condition.kind == "Ready")?;
        let is_it = ready.reason == Reason::VerificationFailed.as_str()
            && words.iter().all(|words| ready.message.contains(words));
        is_it.then(|| repo.cloned())?
    })
    .await
}

fn signer(repo: &ConfigRepo) -> String {
    repo.status.as_ref().unwrap().verification.as_ref().unwrap().key.clone().unwrap()
}

async fn keys(world: &World, people: &[&Person]) {
    let keys = people.iter().enumerate().map(|(index, person)| (format!("key{index}"), json!(person.public())));
    world.secret("keys", "Opaque", serde_json::Value::Object(keys.collect())).await;
}

async fn greeting(world: &World, first: &str) -> Repo {
    let repo = world.repo("fleet", &[("map.yaml", &config_map("map", first))]);
    world.git_secret("git").await;
    git_sync(world, "path: ., prune: true").await;
    repo
}

async fn a_key_that_is_taken_out(world: World) {
    let repo = greeting(&world, "zero").await;
    let (ann, bob) = (Person::with_ssh(), Person::with_ssh());
    keys(&world, &[&ann, &bob]).await;
    let commit = ann.say(&repo, "one", SIGNED);
    follow(&world, &repo.url, "verify: {secretRef: {name: keys}}").await;
    let _tagboat = world.tagboat().await;
    at(&world, &format!("main@sha1:{commit}")).await;
    says(&world, "one").await;
    world.api::<k8s_openapi::api::core::v1::Secret>().delete("keys", &Default::default()).await.unwrap();
    keys(&world, &[&bob]).await;
    refused(&world, &[&commit, "which is not among the trusted ones", "nothing is in use"]).await;
    says(&world, "one").await;
    keys(&world, &[&bob, &ann]).await;
    at(&world, &format!("main@sha1:{commit}")).await;
}

async fn a_signed_head(world: World) {
    let repo = greeting(&world, "zero").await;
    let (ann, bob, eve) = (Person::with_ssh(), Person::with_gpg(), Person::with_ssh());
    follow(&world, &repo.url, "verify: {secretRef: {name: keys}}").await;
    let tagboat = world.tagboat().await;
    let missing: ConfigRepo = ready(&world, "fleet", "False", Reason::InvalidSecret).await;
    assert!(message(&missing).contains("keys"), "{}", message(&missing));
    keys(&world, &[&ann, &bob]).await;
    request::<ConfigRepo>(&world, "fleet", "keys").await;
    refused(&world, &[&repo.head(), "A Person", "it is not signed", "nothing is in use"]).await;
    let first = ann.say(&repo, "one", SIGNED);
    let good = at(&world, &format!("main@sha1:{first}")).await;
    assert!(
        signer(&good).starts_with("SSH key SHA256:") && message(&good).contains(&signer(&good)),
        "{}",
        message(&good)
    );
    says(&world, "one").await;
    let second = bob.say(&repo, "two", SIGNED);
    let good = at(&world, &format!("main@sha1:{second}")).await;
    assert_eq!(signer(&good), format!("OpenPGP key {} (Ann <ann@example.com>)", bob.key));
    says(&world, "two").await;
    let third = eve.say(&repo, "three", SIGNED);
    let stays = format!("main@sha1:{second} stays in use");
    refused(&world, &[&third, "which is not among the trusted ones", "Secret keys", &stays]).await;
    let fourth = ann.say(&repo, "four", UNSIGNED);
    refused(&world, &[&fourth, "it is not signed", "git commit -S", &stays]).await;
    // Another controller on another disk refuses it too, and keeps what was.
    drop(tagboat);
    let tagboat = world.tagboat().await;
    let map = world.api::<k8s_openapi::api::core::v1::ConfigMap>();
    map.delete("map", &kube::api::DeleteParams::default()).await.unwrap();
    says(&world, "two").await;
    refused(&world, &[&fourth, &stays]).await;
    let fifth = ann.say(&repo, "five", SIGNED);
    at(&world, &format!("main@sha1:{fifth}")).await;
    says(&world, "five").await;
    let log = std::fs::read_to_string(tagboat.log_file()).unwrap();
    assert!(!log.contains("PRIVATE KEY"), "{log}");
}

async fn every_commit(world: World) {
    let repo = greeting(&world, "zero").await;
    let ann = Person::with_gpg();
    keys(&world, &[&ann]).await;
    let mode = |mode: &str| format!("verify: {{mode: {mode}, secretRef: {{name: keys}}}}");
    let first = ann.say(&repo, "one", SIGNED);
    follow(&world, &repo.url, &mode("EveryCommit")).await;
    let tagboat = world.tagboat().await;
    at(&world, &format!("main@sha1:{first}")).await;
    ann.say(&repo, "two", SIGNED);
    let third = ann.say(&repo, "three", SIGNED);
    at(&world, &format!("main@sha1:{third}")).await;
    says(&world, "three").await;
    // Off until both are there, so that no head of its own is seen between.
    repo.down(true);
    let unsigned = ann.say(&repo, "four", UNSIGNED);
    let fifth = ann.say(&repo, "five", SIGNED);
    repo.down(false);
    request::<ConfigRepo>(&world, "fleet", "both").await;
    let words =
        [&unsigned, "it is not signed", &format!("every commit after {}", &third[..8]), "spec.verify.mode to HEAD"];
    refused(&world, &words).await;
    drop(tagboat);
    let _tagboat = world.tagboat().await;
    request::<ConfigRepo>(&world, "fleet", "after a restart").await;
    ready::<ConfigRepo>(&world, "fleet", "False", Reason::VerificationFailed).await;
    refused(&world, &words).await;
    says(&world, "three").await;
    follow(&world, &repo.url, &mode("HEAD")).await;
    at(&world, &format!("main@sha1:{fifth}")).await;
    follow(&world, &repo.url, &mode("EveryCommit")).await;
    at(&world, &format!("main@sha1:{fifth}")).await;
    let sixth = ann.say(&repo, "six", SIGNED);
    at(&world, &format!("main@sha1:{sixth}")).await;
    says(&world, "six").await;
}

async fn signed_tags(world: World) {
    let gitea = gitea_host().await;
    let repo = gitea.repo(&world.namespace.replace("--", "-"), &[("map.yaml", &config_map("map", "zero"))]).await;
    let (user, password) = crate::support::registry::LOGIN;
    world.secret("git", "Opaque", json!({"username": user, "password": password})).await;
    git_sync(&world, "path: ., prune: true").await;
    let url = gitea.url(&repo);
    let ann = Person::with_ssh();
    keys(&world, &[&ann]).await;
    let tag = |name: &str, args: &[&str]| {
        ann.in_work(&[&["tag"], args, &[name]].concat());
        ann.hand_in(&repo, &format!("refs/tags/{name}:refs/tags/{name}"));
    };
    let first = ann.say(&repo, "one", UNSIGNED);
    tag("v1.0.0", &["-s", "-m", "one"]);
    follow(&world, &url, "ref: {semver: '*'}, verify: {mode: Tag, secretRef: {name: keys}}").await;
    let _tagboat = world.tagboat().await;
    let good = at(&world, &format!("v1.0.0@sha1:{first}")).await;
    let verified = good.status.unwrap().verification.unwrap();
    assert!(verified.key.is_none() && verified.tag_key.unwrap().contains("(ann@example.com)"));
    says(&world, "one").await;
    let second = ann.say(&repo, "two", SIGNED);
    tag("v1.1.0", &[]);
    let stays = format!("v1.0.0@sha1:{first} stays in use");
    refused(&world, &["tag v1.1.0", "it is not annotated", &stays]).await;
    tag("v1.2.0", &["-a", "-m", "two"]);
    refused(&world, &["tag v1.2.0", "it is not signed", "git tag -s", &stays]).await;
    // An old signature under a new name.
    let old = ann.in_work(&["rev-parse", "v1.0.0"]);
    git_says(&repo, &["update-ref", "refs/tags/v1.3.0", &old]);
    refused(&world, &["tag v1.3.0", "made under another name, \"v1.0.0\"", &stays]).await;
    tag("v1.4.0", &["-s", "-m", "two"]);
    at(&world, &format!("v1.4.0@sha1:{second}")).await;
    says(&world, "two").await;
    follow(&world, &url, "ref: {tag: v1.0.0}, verify: {mode: TagAndHEAD, secretRef: {name: keys}}").await;
    refused(&world, &[&first, "it is not signed"]).await;
    follow(&world, &url, "ref: {tag: v1.4.0}, verify: {mode: TagAndHEAD, secretRef: {name: keys}}").await;
    let good = at(&world, &format!("v1.4.0@sha1:{second}")).await;
    let verified = good.status.unwrap().verification.unwrap();
    assert_eq!(verified.key, verified.tag_key);
}

async fn our_own(world: World) {
    world.push("app", &["1.0.0", "1.1.0"]).await;
    let (ann, robot) = (Person::with_gpg(), Person::with_ssh());
    let app = ("app.yaml", &*marked(&world, "app", "1.0.0"));
    let repo = world.repo("fleet", &[("map.yaml", &config_map("map", "zero")), app]);
    world.git_secret("git").await;
    keys(&world, &[&ann]).await;
    let first = ann.say(&repo, "one", SIGNED);
    follow(&world, &repo.url, "verify: {mode: EveryCommit, secretRef: {name: keys}}").await;
    image_policy(&world, "app", "app", NEWEST).await;
    image_update(&world, "batchWindow: 10ms").await;
    let _tagboat = world.tagboat().await;
    let refused: ImageUpdate = ready(&world, "fleet", "False", Reason::VerificationFailed).await;
    for words in ["spec.commit.signingKey: ", "Secret keys", "nothing was pushed", "it is not signed"] {
        assert!(message(&refused).contains(words), "{}", message(&refused));
    }
    let identity = std::fs::read_to_string(robot.home.path().join("id")).unwrap();
    world.secret("signing", "Opaque", json!({"identity": identity})).await;
    image_update(&world, "batchWindow: 10ms, commit: {signingKey: {type: ssh, secretRef: {name: signing}}}").await;
    let refused: ImageUpdate = ready(&world, "fleet", "False", Reason::VerificationFailed).await;
    assert!(message(&refused).contains("which is not among the trusted ones"), "{}", message(&refused));
    assert_eq!(repo.head(), first, "nothing is pushed that we would refuse");
    keys(&world, &[&ann, &robot]).await;
    request::<ImageUpdate>(&world, "fleet", "right").await;
    in_git(&repo, "app.yaml", ":1.1.0 ").await;
    ready::<ImageUpdate>(&world, "fleet", "True", Reason::Succeeded).await;
    let good = at(&world, &format!("main@sha1:{}", repo.head())).await;
    assert!(signer(&good).starts_with("SSH key "), "{}", signer(&good));
    // On a head that is refused, nothing is built.
    ann.say(&repo, "eve", UNSIGNED);
    world.push("app", &["1.2.0"]).await;
    let refused: ImageUpdate = ready(&world, "fleet", "False", Reason::VerificationFailed).await;
    assert!(message(&refused).contains("it is not signed"), "{}", message(&refused));
    ann.say(&repo, "not again", SIGNED);
    ready::<ConfigRepo>(&world, "fleet", "False", Reason::VerificationFailed).await;
}

/// What was applied before it was asked for stays in the cluster; nobody goes on from there, and nothing is pruned.
async fn turned_on(world: World) {
    let repo = greeting(&world, "zero").await;
    let ann = Person::with_ssh();
    follow(&world, &repo.url, "timeout: 50s").await;
    let _tagboat = world.tagboat().await;
    says(&world, "zero").await;
    keys(&world, &[&ann]).await;
    follow(&world, &repo.url, "verify: {secretRef: {name: keys}}").await;
    refused(&world, &["it is not signed", "nothing is in use"]).await;
    apply(
        &world,
        "GitSync",
        "late",
        "{configRepoRef: {name: fleet}, path: ., prune: true, targetNamespace: elsewhere}",
    )
    .await;
    crate::objects::fails(&world, "late", Reason::DependencyNotReady, &["is not trusted"]).await;
    says(&world, "zero").await;
    let first = ann.say(&repo, "one", SIGNED);
    at(&world, &format!("main@sha1:{first}")).await;
    says(&world, "one").await;
    // A key that is taken out of the Secret is asked for again.
    keys(&world, &[&Person::with_ssh()]).await;
    request::<ConfigRepo>(&world, "fleet", "another key").await;
    refused(&world, &[&first, "which is not among the trusted ones", "nothing is in use"]).await;
    says(&world, "one").await;
    follow(&world, &repo.url, "timeout: 40s").await;
    let free = at(&world, &format!("main@sha1:{first}")).await;
    assert_eq!(free.status.unwrap().verification, None);
}
