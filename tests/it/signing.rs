//! Commits as an ImageUpdate wants them: signed, with words of its own, with options and a second ref in the push.

use std::path::Path;
use std::process::Command;

use libtest_mimic::Trial;
use serde_json::{Value, json};
use tagboat::api::ImageUpdate;
use tagboat::api::condition::Reason;

use crate::setup::*;
use crate::support::git::{Repo, git};
use crate::support::trial;
use crate::support::world::World;

pub fn trials() -> Vec<Trial> {
    vec![
        trial("signing: an SSH key, once it is right", an_ssh_key),
        trial("signing: an OpenPGP key with a passphrase", an_openpgp_key),
        trial("signing: a template that fails holds no bump", a_template_that_fails_holds_no_bump),
        trial("signing: options and a second ref in one push", options_and_a_second_ref),
    ]
}

const PASSWORD: &str = "a long pass phrase";

/// One app at 1.0.0 with 1.1.0 in the registry, and an ImageUpdate of this spec.
async fn one_bump(world: &World, spec: &str) -> Repo {
    world.push("app", &["1.0.0", "1.1.0"]).await;
    let repo = world.repo("fleet", &[("app.yaml", &marked(world, "app", "1.0.0"))]);
    config_repo(world, &repo).await;
    image_policy(world, "app", "app", NEWEST).await;
    image_update(world, &format!("batchWindow: 10ms, {spec}")).await;
    repo
}

fn run(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

/// Waits for a refusal that says this, with nothing pushed; no password is in it.
async fn refused(world: &World, repo: &Repo, secret: Option<Value>, words: &str) {
    let head = repo.head();
    if let Some(secret) = secret {
        world.secret("signing", "Opaque", secret).await;
        request::<ImageUpdate>(world, "fleet", words).await;
    }
    let what = format!("a refusal for {words}");
    let update = crate::support::wait::wait_for(&world.api::<ImageUpdate>(), "fleet", &what, SOON, |update| {
        let ready = update?.conditions().iter().find(|condition| condition.kind == "Ready")?;
        (ready.reason == Reason::InvalidSecret.as_str() && ready.message.contains(words)).then(|| update.cloned())?
    })
    .await;
    assert!(!message(&update).contains(PASSWORD) && !message(&update).contains("PRIVATE"), "{}", message(&update));
    assert_eq!(repo.head(), head, "nothing is pushed unsigned");
}

async fn an_ssh_key(world: World) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("id");
    run(Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-a", "1", "-C", "", "-N", PASSWORD, "-f"]).arg(&file));
    let identity = std::fs::read_to_string(&file).unwrap();
    let repo = one_bump(&world, "commit: {signingKey: {type: ssh, secretRef: {name: signing}}}").await;
    let tagboat = world.tagboat().await;
    refused(&world, &repo, None, "signing").await;
    refused(&world, &repo, Some(json!({"git.asc": "x"})), "lacks the key identity").await;
    refused(&world, &repo, Some(json!({"identity": identity})), "put its passphrase under the key password").await;
    refused(&world, &repo, Some(json!({"identity": identity, "password": "wrong"})), "password does not open it").await;
    world.secret("signing", "Opaque", json!({"identity": identity, "password": PASSWORD})).await;
    request::<ImageUpdate>(&world, "fleet", "right").await;
    in_git(&repo, "app.yaml", ":1.1.0 ").await;
    ready::<ImageUpdate>(&world, "fleet", "True", Reason::Succeeded).await;

    let public = std::fs::read_to_string(file.with_extension("pub")).unwrap();
    let allowed = folder.path().join("allowed");
    std::fs::write(&allowed, format!("tagboat@tagboat.dev namespaces=\"git\" {public}")).unwrap();
    let config = format!("gpg.ssh.allowedSignersFile={}", allowed.display());
    let said = verify(&repo, folder.path(), &["-c", &config]);
    assert!(said.contains("Good \"git\" signature for tagboat@tagboat.dev"), "{said}");
    let log = std::fs::read_to_string(tagboat.log_file()).unwrap();
    assert!(!log.contains(PASSWORD) && !log.contains("OPENSSH PRIVATE KEY"), "{log}");
}

/// Git's own judgement of the head.
fn verify(repo: &Repo, home: &Path, config: &[&str]) -> String {
    let mut command = git();
    command.env("GNUPGHOME", home).args(config).arg("--git-dir").arg(&repo.folder);
    run(command.args(["verify-commit", "--raw", &repo.head()]))
}

async fn an_openpgp_key(world: World) {
    use std::os::unix::fs::PermissionsExt;
    let home = tempfile::tempdir().unwrap();
    std::fs::set_permissions(home.path(), std::fs::Permissions::from_mode(0o700)).unwrap();
    std::fs::write(home.path().join("gpg-agent.conf"), "s2k-count 65536\n").unwrap();
    let gpg = |args: &[&str]| {
        let mut command = Command::new("gpg");
        command.env("GNUPGHOME", home.path()).args(["--batch", "--no-tty", "-q", "--pinentry-mode", "loopback"]);
        run(command.args(["--passphrase", PASSWORD]).args(args))
    };
    gpg(&["--quick-gen-key", "tagboat@tagboat.dev", "ed25519", "sign", "never"]);
    let key = gpg(&["--armor", "--export-secret-keys"]);
    let repo = one_bump(&world, "commit: {signingKey: {secretRef: {name: signing}}}").await;
    world.secret("signing", "Opaque", json!({"git.asc": key, "passphrase": "wrong"})).await;
    let _tagboat = world.tagboat().await;
    refused(&world, &repo, None, "passphrase does not open it").await;
    world.secret("signing", "Opaque", json!({"git.asc": key, "passphrase": PASSWORD})).await;
    request::<ImageUpdate>(&world, "fleet", "right").await;
    in_git(&repo, "app.yaml", ":1.1.0 ").await;
    let said = verify(&repo, home.path(), &[]);
    assert!(said.contains("GOODSIG") && said.contains("VALIDSIG"), "{said}");
    run(Command::new("gpgconf").env("GNUPGHOME", home.path()).args(["--kill", "all"]));
}

async fn a_template_that_fails_holds_no_bump(world: World) {
    let template = "'bump {{ changes[0].newTag }} {{ changes[5].new }}'";
    let repo = one_bump(&world, &format!("commit: {{messageTemplate: {template}}}")).await;
    let _tagboat = world.tagboat().await;
    in_git(&repo, "app.yaml", ":1.1.0 ").await;
    let update: ImageUpdate = ready(&world, "fleet", "False", Reason::UpdateProblems).await;
    let words = "spec.commit.messageTemplate: ";
    assert!(message(&update).starts_with(words), "{}", message(&update));
    event(&world, "fleet", Reason::UpdateProblems, &[words]).await;
    assert!(repo.log()[0].message.starts_with("update "), "{:?}", repo.log()[0]);

    image_update(&world, "batchWindow: 10ms, commit: {messageTemplate: '{{ changes'}").await;
    let update: ImageUpdate = ready(&world, "fleet", "False", Reason::UpdateProblems).await;
    assert!(message(&update).starts_with(words), "known before there is anything to commit: {}", message(&update));
    world.push("app", &["1.2.0"]).await;
    in_git(&repo, "app.yaml", ":1.2.0 ").await;
    let better = "'{{ changes[0].oldTag }} to {{ changes[0].newTag }}'";
    image_update(&world, &format!("batchWindow: 10ms, commit: {{messageTemplate: {better}}}")).await;
    ready::<ImageUpdate>(&world, "fleet", "True", Reason::Succeeded).await;
    world.push("app", &["1.3.0"]).await;
    in_git(&repo, "app.yaml", ":1.3.0 ").await;
    assert!(repo.log()[0].message.starts_with("1.2.0 to 1.3.0\n\n"), "{:?}", repo.log()[0]);
}

async fn options_and_a_second_ref(world: World) {
    let push = |refspec: &str| format!("push: {{refspec: '{refspec}', options: {{topic: bumps, ci.skip: ''}}}}");
    let repo = one_bump(&world, &push("HEAD:refs/heads/main")).await;
    let _tagboat = world.tagboat().await;
    let wrong: ImageUpdate = ready(&world, "fleet", "False", Reason::InvalidSpec).await;
    assert!(message(&wrong).starts_with("spec.push.refspec: "), "{}", message(&wrong));
    image_update(&world, &format!("batchWindow: 10ms, {}", push("HEAD:refs/heads/mirror"))).await;
    let refused: ImageUpdate = ready(&world, "fleet", "False", Reason::PushRejected).await;
    assert!(message(&refused).contains("takes no push options"), "{}", message(&refused));

    git_says(&repo, &["config", "receive.advertisePushOptions", "true"]);
    repo.hook(Some("test \"$GIT_PUSH_OPTION_0 $GIT_PUSH_OPTION_1\" = 'ci.skip topic=bumps'"));
    request::<ImageUpdate>(&world, "fleet", "again").await;
    in_git(&repo, "app.yaml", ":1.1.0 ").await;
    ready::<ImageUpdate>(&world, "fleet", "True", Reason::Succeeded).await;
    assert_eq!(repo.branch("mirror"), Some(repo.head()), "the same commit");
}
