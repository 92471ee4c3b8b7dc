//! Signed commits, judged by the programs that everybody else uses: `git verify-commit` with `gpg` and with `ssh-keygen`.

#![expect(clippy::disallowed_methods, reason = "tests start programs and write keys")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use super::server::{git, write};
use super::{World, bump, world};
use crate::api::image_update::SigningType;
use crate::git::{Error, Mirror, NewCommit, SigningKey};
use crate::revision::CommitId;

/// 2025-06-15: before the keys are made, which is how a choice relates to a key that was added later.
const TIME: i64 = 1_750_000_000;
const PASSPHRASE: &str = "correct horse";

fn run(command: &mut Command) -> Output {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    output
}

/// A key ring of its own. Its agent is stopped at the end.
struct Ring {
    home: tempfile::TempDir,
}

impl Ring {
    fn new() -> Self {
        use std::os::unix::fs::PermissionsExt;
        let home = tempfile::tempdir().unwrap();
        std::fs::set_permissions(home.path(), std::fs::Permissions::from_mode(0o700)).unwrap();
        // The agent would hash a passphrase as often as takes it a tenth of a second, which our tests' build is slow at.
        write(&home.path().join("gpg-agent.conf"), b"s2k-count 65536\n");
        Self { home }
    }

    fn gpg(&self, args: &[&str]) -> Output {
        let mut command = Command::new("gpg");
        command.env("GNUPGHOME", self.home.path()).args(["--batch", "--no-tty", "-q", "--pinentry-mode", "loopback"]);
        run(command.args(["--passphrase", PASSPHRASE]).args(args))
    }

    /// A key made of such lines, with such subkeys; its armoured private part.
    fn key(&self, primary: &str, subkeys: &[&str], is_locked: bool) -> Vec<u8> {
        let lock = if is_locked { format!("Passphrase: {PASSPHRASE}") } else { "%no-protection".to_owned() };
        let lines = format!(
            "{primary}\nName-Real: Tagboat\nName-Email: tagboat@example.com\nExpire-Date: 0\n{lock}\n%commit\n"
        );
        let file = self.home.path().join("key.txt");
        write(&file, lines.as_bytes());
        self.gpg(&["--gen-key", file.to_str().unwrap()]);
        let id = self.id();
        for subkey in subkeys {
            self.gpg(&[&["--quick-add-key", &id], subkey.split(' ').collect::<Vec<_>>().as_slice()].concat());
        }
        self.export("--export-secret-keys")
    }

    fn export(&self, what: &str) -> Vec<u8> {
        self.gpg(&["--armor", what, "tagboat@example.com"]).stdout
    }

    fn id(&self) -> String {
        let listed = String::from_utf8(self.gpg(&["--with-colons", "-K"]).stdout).unwrap();
        listed.lines().find_map(|line| line.strip_prefix("fpr:")).unwrap().trim_matches(':').to_owned()
    }

    /// What `git verify-commit --raw` says.
    fn verify(&self, mirror: &Mirror, commit: &CommitId) -> String {
        let mut command = Command::new("git");
        command.current_dir(&mirror.inner.path).env("GNUPGHOME", self.home.path()).env("HOME", self.home.path());
        let output = run(command.args(["verify-commit", "--raw", commit.as_str()]));
        String::from_utf8(output.stderr).unwrap()
    }
}

impl Drop for Ring {
    fn drop(&mut self) {
        let _ = Command::new("gpgconf").env("GNUPGHOME", self.home.path()).args(["--kill", "all"]).output();
    }
}

fn secret(entries: &[(&str, &[u8])]) -> BTreeMap<String, Vec<u8>> {
    entries.iter().map(|(key, value)| ((*key).to_owned(), value.to_vec())).collect()
}

fn gpg(text: &[u8]) -> Result<SigningKey, String> {
    SigningKey::new(SigningType::Gpg, &secret(&[("git.asc", text), ("passphrase", PASSPHRASE.as_bytes())]))
}

fn at<'a>(head: &'a CommitId, text: &str) -> NewCommit<'a> {
    NewCommit { time: TIME, ..bump(head, "a.yaml", text) }
}

/// Signs one commit with each of two readings of the Secret: they must be the same commit.
#[track_caller]
fn twice(mirror: &Mirror, head: &CommitId, read: impl Fn() -> SigningKey) -> CommitId {
    let make = || mirror.commit_signed(at(head, "2"), Some(&read())).unwrap();
    let (one, other) = (make(), make());
    assert_eq!(one, other, "the same commit again");
    assert_ne!(one, mirror.commit(at(head, "2")).unwrap(), "it is signed");
    git(&mirror.inner.path, &["fsck", "--strict", "--no-dangling"]);
    one
}

const ED25519: &str = "Key-Type: eddsa\nKey-Curve: ed25519\nKey-Usage: sign";
const CERTIFIES_ONLY: &str = "Key-Type: eddsa\nKey-Curve: ed25519\nKey-Usage: cert";
const RSA: &str = "Key-Type: rsa\nKey-Length: 2048\nKey-Usage: sign";
const P256: &str = "Key-Type: ecdsa\nKey-Curve: nistp256\nKey-Usage: sign";

#[tokio::test(flavor = "multi_thread")]
async fn gnupg_believes_our_openpgp_signatures() {
    let World { server: _server, mirror, head } = world(&[("a.yaml", "1")]).await;
    for (primary, subkeys, is_locked) in [
        (ED25519, &[][..], false),
        (ED25519, &["cv25519 encr"], true),
        (CERTIFIES_ONLY, &["cv25519 encr", "ed25519 sign"], true),
        (RSA, &[], true),
        (P256, &["ed25519 sign"], false),
        (P256, &[], true),
    ] {
        let ring = Ring::new();
        let text = ring.key(primary, subkeys, is_locked);
        let commit = twice(&mirror, &head, || gpg(&text).unwrap());
        let said = ring.verify(&mirror, &commit);
        assert!(said.contains("GOODSIG") && said.contains("VALIDSIG"), "{primary} {subkeys:?}: {said}");
        let primary_id = ring.id();
        let by_subkey = subkeys.iter().any(|subkey| subkey.ends_with("sign"));
        let signer = said.split("VALIDSIG ").nth(1).unwrap().split(' ').next().unwrap();
        assert_eq!(signer != primary_id, by_subkey, "the subkey that may sign goes first: {said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_primary_key_that_stayed_at_home() {
    let World { server: _server, mirror, head } = world(&[("a.yaml", "1")]).await;
    let ring = Ring::new();
    ring.key(ED25519, &["ed25519 sign"], true);
    let text = ring.export("--export-secret-subkeys");
    let commit = twice(&mirror, &head, || gpg(&text).unwrap());
    assert!(ring.verify(&mirror, &commit).contains("GOODSIG"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subkey_that_ended_or_was_revoked_does_not_sign() {
    let World { server: _server, mirror, head } = world(&[("a.yaml", "1")]).await;
    let ring = Ring::new();
    let text = ring.key(ED25519, &["ed25519 sign 1d"], false);
    let key = gpg(&text).unwrap();
    let long_after = NewCommit { time: 4_000_000_000, ..bump(&head, "a.yaml", "2") };
    let commit = mirror.commit_signed(long_after, Some(&key)).unwrap();
    let shown = git(&mirror.inner.path, &["cat-file", "commit", commit.as_str()]);
    assert!(shown.contains("gpgsig -----BEGIN PGP SIGNATURE-----"), "by the primary key: {shown}");

    let ring = Ring::new();
    let text = ring.key(CERTIFIES_ONLY, &["ed25519 sign 1d"], false);
    let late = NewCommit { time: 4_000_000_000, ..bump(&head, "a.yaml", "2") };
    let refused = mirror.commit_signed(late, Some(&gpg(&text).unwrap())).unwrap_err();
    assert!(matches!(&refused, Error::Signing { reason } if reason.contains("expired")), "{refused}");
    assert!(refused.needs_user());
}

#[test]
fn openpgp_secrets_that_do_not_work() {
    let ring = Ring::new();
    let text = ring.key(ED25519, &["cv25519 encr"], true);
    let public = ring.export("--export");
    let certifies = Ring::new().key(CERTIFIES_ONLY, &["cv25519 encr"], false);
    let half = &text[..text.len() / 2];
    let word = PASSPHRASE.as_bytes();
    check(SigningType::Gpg, &[("git.asc", &text), ("passphrase", b"correct horse\r\n")], None);
    check(
        SigningType::Gpg,
        &[("git.asc", &text), ("passphrase", b"wrong")],
        Some("git.asc: the Secret's passphrase does not open it"),
    );
    check(SigningType::Gpg, &[("git.asc", &text)], Some("git.asc: it is locked, and the Secret has no key passphrase"));
    check(SigningType::Gpg, &[], Some("it lacks the key git.asc"));
    check(SigningType::Gpg, &[("identity", b"x")], Some("it lacks the key git.asc (an SSH key"));
    check(SigningType::Gpg, &[("git.asc", &public)], Some("git.asc: it is a public key"));
    check(
        SigningType::Gpg,
        &[("git.asc", &certifies)],
        Some("git.asc: it holds no private key or subkey that may sign"),
    );
    check(SigningType::Gpg, &[("git.asc", half), ("passphrase", word)], Some("git.asc: it cannot be read as"));
    check(SigningType::Gpg, &[("git.asc", b"\xff\xfe")], Some("git.asc is not text"));
    check(SigningType::Gpg, &[("git.asc", b"")], Some("git.asc: it cannot be read as"));
}

/// Whether the Secret works, or the start of what is wrong with it. No message and no `Debug` repeats its content.
#[track_caller]
fn check(kind: SigningType, entries: &[(&str, &[u8])], wrong: Option<&str>) {
    let data = secret(entries);
    let said = match (SigningKey::new(kind, &data), wrong) {
        (Ok(key), None) => format!("{key:?}"),
        (Err(reason), Some(wrong)) => {
            assert!(reason.starts_with(wrong), "{reason}");
            reason
        }
        (got, wrong) => panic!("{got:?} instead of {wrong:?}"),
    };
    for value in data.values().filter(|value| value.len() > 4) {
        let text = String::from_utf8_lossy(value);
        let repeated = text.lines().any(|line| line.len() > 4 && !line.starts_with("-----") && said.contains(line));
        assert!(!repeated, "{said}");
    }
}

/// An SSH key made by `ssh-keygen`: its private part and its file.
fn ssh(folder: &Path, args: &[&str], password: &str) -> (Vec<u8>, PathBuf) {
    let file = folder.join("id");
    let _ = (std::fs::remove_file(&file), std::fs::remove_file(file.with_extension("pub")));
    let command = ["-q", "-C", "", "-a", "1", "-N", password];
    run(Command::new("ssh-keygen").args(command).arg("-f").arg(&file).args(args));
    (std::fs::read(&file).unwrap(), file)
}

fn signs(folder: &Path, mirror: &Mirror, commit: &CommitId, file: &Path) -> String {
    let public = std::fs::read_to_string(file.with_extension("pub")).unwrap();
    write(&folder.join("allowed"), format!("tagboat@example.com namespaces=\"git\" {public}").as_bytes());
    let allowed = format!("gpg.ssh.allowedSignersFile={}", folder.join("allowed").display());
    let mut command = Command::new("git");
    command.current_dir(&mirror.inner.path).env("HOME", folder);
    let output = run(command.args(["-c", &allowed, "verify-commit", commit.as_str()]));
    String::from_utf8(output.stderr).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn ssh_keygen_believes_our_ssh_signatures() {
    let World { server, mirror, head } = world(&[("a.yaml", "1")]).await;
    let folder = server.folder.path();
    for (args, password) in [
        (&["-t", "ed25519"][..], ""),
        (&["-t", "ed25519"], PASSPHRASE),
        (&["-t", "ecdsa", "-b", "256"], ""),
        (&["-t", "ecdsa", "-b", "384"], PASSPHRASE),
        (&["-t", "ecdsa", "-b", "521"], ""),
        (&["-t", "rsa", "-b", "2048"], ""),
        (&["-t", "rsa", "-b", "3072"], PASSPHRASE),
    ] {
        let (text, file) = ssh(folder, args, password);
        let data = secret(&[("identity", &text), ("password", password.as_bytes())]);
        let commit = twice(&mirror, &head, || SigningKey::new(SigningType::Ssh, &data).unwrap());
        let said = signs(folder, &mirror, &commit, &file);
        assert!(said.contains("Good \"git\" signature for tagboat@example.com"), "{args:?}: {said}");
    }
}

/// A locked key that says that its password is hashed so often (PROTOCOL.key: the options of bcrypt are a salt and a number).
fn with_rounds(locked: &[u8], rounds: u32) -> Vec<u8> {
    use base64::Engine;
    let engine = base64::engine::general_purpose::STANDARD;
    let text = String::from_utf8(locked.to_vec()).unwrap();
    let inside: String = text.lines().filter(|line| !line.starts_with('-')).collect();
    let mut bytes = engine.decode(inside).unwrap();
    let at = bytes.windows(6).position(|window| window == b"bcrypt").unwrap() + 6 + 4 + 4 + 16;
    bytes[at..at + 4].copy_from_slice(&rounds.to_be_bytes());
    let lines: Vec<String> =
        engine.encode(bytes).as_bytes().chunks(70).map(|line| String::from_utf8(line.to_vec()).unwrap()).collect();
    let name = "OPENSSH PRIVATE KEY-----";
    format!("-----BEGIN {name}\n{}\n-----END {name}\n", lines.join("\n")).into_bytes()
}

#[test]
fn ssh_secrets_that_do_not_work() {
    let folder = tempfile::tempdir().unwrap();
    let (locked, _) = ssh(folder.path(), &["-t", "ed25519"], PASSPHRASE);
    let (short, _) = ssh(folder.path(), &["-t", "rsa", "-b", "1024"], "");
    let (pem, _) = ssh(folder.path(), &["-t", "rsa", "-b", "2048", "-m", "PEM"], "");
    let slow = with_rounds(&locked, 600);
    let (open, _) = ssh(folder.path(), &["-t", "ed25519"], "");
    let windows = String::from_utf8(open.clone()).unwrap().replace('\n', "\r\n");
    let word = ("password", PASSPHRASE.as_bytes());
    check(SigningType::Ssh, &[("identity", &locked), word], None);
    check(SigningType::Ssh, &[("identity", windows.trim_end().as_bytes()), word], None);
    check(
        SigningType::Ssh,
        &[("identity", &locked)],
        Some("identity is encrypted: put its passphrase under the key password"),
    );
    check(
        SigningType::Ssh,
        &[("identity", &locked), ("password", b"wrong")],
        Some("identity is encrypted, and password does not open it"),
    );
    check(SigningType::Ssh, &[("identity", &short)], Some("identity is an RSA key of 1024 bits"));
    check(SigningType::Ssh, &[("identity", &pem)], None);
    check(SigningType::Ssh, &[("identity", &slow), word], Some("identity wants more than 500 rounds"));
    check(SigningType::Ssh, &[("identity", &open[..open.len() / 2])], Some("identity is no private key"));
    check(SigningType::Ssh, &[("git.asc", b"x")], Some("it lacks the key identity (an OpenPGP key"));
    check(SigningType::Ssh, &[], Some("it lacks the key identity"));
}
