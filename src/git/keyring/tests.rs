//! Signatures made by `gpg`, `ssh-keygen`, `git` and ourselves, judged by our keyring.

#![expect(clippy::disallowed_methods, reason = "tests start programs and write keys")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::*;
use crate::api::image_update::SigningType;
use crate::git::SigningKey;
use crate::source::signed;

const PAYLOAD: &[u8] = b"tree x\n\nwords\n";
const DAY: i64 = 86_400;

fn now() -> i64 {
    crate::clock::now().wall.timestamp()
}

fn run(command: &mut Command, input: &[u8]) -> Vec<u8> {
    use std::io::Write;
    let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut child = child.unwrap();
    child.stdin.take().unwrap().write_all(input).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

/// GnuPG with a folder of its own. Its agent is stopped at the end.
struct Gpg {
    home: tempfile::TempDir,
}

impl Gpg {
    /// With a key of this name, valid for this long.
    fn new(name: &str, usage: &str, lasts: &str) -> Self {
        use std::os::unix::fs::PermissionsExt;
        let home = tempfile::tempdir().unwrap();
        std::fs::set_permissions(home.path(), std::fs::Permissions::from_mode(0o700)).unwrap();
        let gpg = Self { home };
        gpg.run(&["--quick-gen-key", name, "ed25519", usage, lasts], b"");
        gpg
    }

    fn command(&self) -> Command {
        let mut command = Command::new("gpg");
        command.env("GNUPGHOME", self.home.path());
        command.args(["--batch", "--no-tty", "-q", "--yes", "--pinentry-mode", "loopback", "--passphrase", ""]);
        command
    }

    fn run(&self, args: &[&str], input: &[u8]) -> String {
        String::from_utf8(run(self.command().args(args), input)).unwrap()
    }

    fn id(&self) -> String {
        let listed = self.run(&["--with-colons", "-K"], b"");
        listed.lines().find_map(|line| line.strip_prefix("fpr:")).unwrap().trim_matches(':').to_owned()
    }

    fn public(&self) -> String {
        self.run(&["--armor", "--export"], b"")
    }

    fn sign(&self, args: &[&str]) -> String {
        self.run(&[args, &["--armor", "--detach-sign"]].concat(), PAYLOAD)
    }

    /// Takes the key back, by the certificate that was made with it.
    fn revoke(&self) {
        let file = self.home.path().join(format!("openpgp-revocs.d/{}.rev", self.id()));
        let text = std::fs::read_to_string(file).unwrap().replace(":-----BEGIN", "-----BEGIN");
        self.run(&["--import"], text.as_bytes());
    }
}

impl Drop for Gpg {
    fn drop(&mut self) {
        let _ = Command::new("gpgconf").env("GNUPGHOME", self.home.path()).args(["--kill", "all"]).output();
    }
}

/// A pair of keys by `ssh-keygen`.
struct Ssh {
    folder: tempfile::TempDir,
}

impl Ssh {
    fn new(args: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut command = Command::new("ssh-keygen");
        run(
            command.args(["-q", "-C", "ann@example.com", "-N", "", "-f"]).arg(folder.path().join("id")).args(args),
            b"",
        );
        Self { folder }
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("id")
    }

    fn public(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("id.pub")).unwrap().trim().to_owned()
    }

    fn sign(&self, namespace: &str) -> String {
        let mut command = Command::new("ssh-keygen");
        let signed = run(command.args(["-q", "-Y", "sign", "-n", namespace, "-f"]).arg(self.file()), PAYLOAD);
        String::from_utf8(signed).unwrap()
    }
}

fn ring(values: &[&str]) -> Result<Keyring, String> {
    let data: BTreeMap<String, Vec<u8>> =
        values.iter().enumerate().map(|(index, value)| (format!("key{index}"), value.as_bytes().to_vec())).collect();
    Keyring::read(&data)
}

/// That a signature of [`PAYLOAD`] is taken as this key's, or refused with these words.
#[track_caller]
fn check(keys: &[&str], signature: &str, at: i64, expected: Result<&str, &str>) {
    let found = ring(keys).unwrap().signer(PAYLOAD, signature.trim_end(), at);
    match (&found, expected) {
        (Ok(name), Ok(words)) | (Err(name), Err(words)) => assert!(name.contains(words), "{name}"),
        _ => panic!("{found:?} instead of {expected:?}"),
    }
    let changed = ring(keys).unwrap().signer(b"tree y\n\nwords\n", signature.trim_end(), at);
    assert!(changed.is_err(), "other words were not signed");
}

#[test]
fn openpgp_signatures() {
    let (now, ann, eve) = (now(), Gpg::new("Ann <ann@example.com>", "sign", "2d"), Gpg::new("Eve", "sign", "never"));
    let (id, key, others) = (ann.id(), ann.public(), eve.public());
    let signature = ann.sign(&[]);
    check(&[&others, &key], &signature, now, Ok(&format!("OpenPGP key {id} (Ann <ann@example.com>)")));
    check(&[&format!("{others}\n{key}")], &signature, now, Ok(&id));
    check(&[&key], &eve.sign(&[]), now, Err(&format!("OpenPGP key {}, which is not among", eve.id())));
    check(&[&key], &signature, now + 3 * DAY, Err("a key that expired on"));
    check(&[&key], &ann.sign(&["--digest-algo", "SHA1"]), now, Err("too weak"));
    check(&[&key], &ann.sign(&["--default-sig-expire", "1d"]), now, Ok(&id));
    check(&[&key], &ann.sign(&["--default-sig-expire", "1d"]), now + DAY + 60, Err("that signature expired on"));
    check(&[&key], &ann.sign(&["--textmode"]), now, Ok(&id));
    check(&[&key], &signature[..signature.len() / 2], now, Err("cannot be read"));
    check(&[&key], "-----BEGIN SIGNED MESSAGE-----", now, Err("neither one of OpenPGP nor of SSH"));

    ann.run(&["--import"], &run(eve.command().args(["--export-secret-keys"]), b""));
    check(&[&key], &ann.sign(&["-u", &id, "-u", &eve.id()]), now, Err("more than one signature"));
    ann.run(&["--quick-set-expire", &id, "9d"], b"");
    let longer = ann.run(&["--armor", "--export", &id], b"");
    check(&[&key, &longer], &signature, now + 3 * DAY, Ok(&id));
    check(&[&longer, &key], &signature, now + 3 * DAY, Ok(&id));
}

#[test]
fn openpgp_keys_that_were_taken_back() {
    let (now, ann) = (now(), Gpg::new("Ann", "sign", "never"));
    let (key, signature) = (ann.public(), ann.sign(&[]));
    ann.revoke();
    check(&[&ann.public()], &signature, now, Err("a key that its owner revoked"));
    check(&[&key], &signature, now, Ok("Ann"));
}

#[test]
fn openpgp_subkeys() {
    let (now, ann) = (now(), Gpg::new("Ann", "cert", "never"));
    let id = ann.id();
    ann.run(&["--quick-add-key", &id, "ed25519", "sign", "2d"], b"");
    let (key, signature) = (ann.public(), ann.sign(&[]));
    check(&[&key], &signature, now, Ok(&id));
    check(&[&key], &signature, now + 3 * DAY, Err("a key that expired on"));
    let mut edit = ann.command();
    edit.args(["--command-fd", "0", "--edit-key", &id]);
    run(&mut edit, b"key 1\nrevkey\ny\n0\n\ny\nsave\n");
    check(&[&ann.public()], &signature, now, Err("a subkey that is revoked"));
}

#[test]
fn ssh_signatures() {
    let (now, eve) = (now(), Ssh::new(&["-t", "ed25519"]));
    for args in [
        &["-t", "ed25519"][..],
        &["-t", "ecdsa", "-b", "256"],
        &["-t", "ecdsa", "-b", "384"],
        &["-t", "rsa", "-b", "2048"],
    ] {
        let ann = Ssh::new(args);
        let signature = ann.sign("git");
        check(&[&eve.public(), &ann.public()], &signature, now, Ok("(ann@example.com)"));
        check(&[&eve.public()], &signature, now, Err("which is not among the trusted ones"));
        check(&[&ann.public()], &ann.sign("file"), now, Err("was made for \"file\" and not for git"));
    }
    let ann = Ssh::new(&["-t", "ed25519"]);
    let (key, signature) = (ann.public(), ann.sign("git"));
    let lines = |start: &str| format!("# people\n\n{start} {key}\n");
    check(&[&lines("ann,\"*@example.com\"")], &signature, now, Ok("(ann,\"*@example.com\")"));
    check(&[&lines("ann namespaces=\"file,g?t\"")], &signature, now, Ok("(ann)"));
    check(&[&lines("restrict,command=\"x y\"")], &signature, now, Ok("(ann@example.com)"));
    check(&[&lines("ann valid-before=\"20200131\"")], &signature, now, Err("valid only before 2020-01-31"));
    check(&[&lines("ann valid-after=\"209901312359Z\"")], &signature, now, Err("valid only after 2099-01-31"));
    let both = format!("ann valid-before=\"20200131\" {key}\nann valid-after=\"20200131\" {key}\n");
    check(&[&both], &signature, now, Ok("(ann)"));
    let others = format!("ann namespaces=\"file\" {key}\nann namespaces=\"*,!git\" {key}\n{}", eve.public());
    check(&[&others], &signature, now, Err("which is not among the trusted ones"));
}

#[track_caller]
fn check_ring(values: &[&str], words: &str) {
    let reason = ring(values).unwrap_err();
    assert!(reason.contains(words) && !reason.contains(" AAAAC3"), "{reason}");
}

#[test]
fn secrets_that_do_not_work() {
    let (ann, short) = (Ssh::new(&["-t", "ed25519"]), Ssh::new(&["-t", "rsa", "-b", "1024"]));
    let key = ann.public();
    check_ring(&[], "it holds no keys");
    check_ring(&["# nothing"], "it holds no keys");
    check_ring(&[&key, &std::fs::read_to_string(ann.file()).unwrap()], "key1 holds a private key");
    check_ring(&["-----BEGIN PGP PRIVATE KEY BLOCK-----"], "key0 holds a private key");
    check_ring(&["-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nAAAA\n"], "key0: a block in it is no whole");
    check_ring(
        &["-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nAAAA\n-----END PGP PUBLIC KEY BLOCK-----"],
        "key0: it cannot be read",
    );
    check_ring(
        &["-----BEGIN PGP SIGNATURE-----\n\nAAAA\n-----END PGP SIGNATURE-----"],
        "key0: a block in it is no whole",
    );
    check_ring(&[&format!("{key}\nann what AAAA\n")], "key0: line 2: it names no kind of SSH key");
    check_ring(&[&format!("ann cert-authority {key}")], "line 1: certificates are not trusted");
    check_ring(&[&format!("cert-authority {key}")], "line 1: certificates are not trusted");
    check_ring(&[&format!("ann valid-before=\"soon\" {key}")], "line 1: a time in it");
    check_ring(&[&format!("\"ann {key}")], "line 1: a quote is not closed");
    check_ring(&["ann ssh-ed25519 AAAA"], "line 1: its key cannot be read");
    check_ring(&[&short.public()], "line 1: an RSA key of 1024 bits is too short");
    let data = BTreeMap::from([("x".to_owned(), vec![0xff])]);
    assert_eq!(Keyring::read(&data).unwrap_err(), "x is not text");
}

#[test]
fn our_own_signatures() {
    let ann = Gpg::new("Ann", "sign", "never");
    let private = ann.run(&["--armor", "--export-secret-keys"], b"");
    let data = BTreeMap::from([("git.asc".to_owned(), private.into_bytes())]);
    let time = 1_750_000_000;
    let signature = SigningKey::new(SigningType::Gpg, &data).unwrap().sign(PAYLOAD, time).unwrap();
    check(&[&ann.public()], &signature, now(), Ok("Ann"));
    for args in [&["-t", "ed25519"][..], &["-t", "ecdsa", "-b", "521"], &["-t", "rsa", "-b", "2048"]] {
        let ann = Ssh::new(args);
        let data = BTreeMap::from([("identity".to_owned(), std::fs::read(ann.file()).unwrap())]);
        let signature = SigningKey::new(SigningType::Ssh, &data).unwrap().sign(PAYLOAD, time).unwrap();
        check(&[&ann.public()], &signature, now(), Ok("ann@example.com"));
    }
}

/// A repository with one commit and one tag that Git signed itself.
fn git_signs(folder: &Path, gpg_home: &Path, format: &str, key: &str) -> (Vec<u8>, Vec<u8>) {
    let git = |args: &[&str]| {
        let mut command = Command::new("git");
        command.current_dir(folder).env("GNUPGHOME", gpg_home).env("HOME", folder);
        command.args(["-c", "user.name=Ann", "-c", "user.email=ann@example.com", "-c", "init.defaultBranch=main"]);
        command.args(["-c", &format!("gpg.format={format}"), "-c", &format!("user.signingKey={key}")]);
        run(command.args(args), b"")
    };
    git(&["init", "-q"]);
    git(&["commit", "-q", "-S", "--allow-empty", "-m", "words\n\n-----BEGIN SSH SIGNATURE-----\nnone\n"]);
    git(&["tag", "-s", "-m", "words\n\n-----BEGIN SSH SIGNATURE-----\nnone\n", "v1"]);
    (git(&["cat-file", "commit", "HEAD"]), git(&["cat-file", "tag", "v1"]))
}

#[test]
fn what_git_signs() {
    let (gpg, ssh) = (Gpg::new("Ann", "sign", "never"), Ssh::new(&["-t", "ed25519"]));
    let (id, file) = (gpg.id(), ssh.file());
    for (format, key, public) in [("openpgp", &*id, gpg.public()), ("ssh", file.to_str().unwrap(), ssh.public())] {
        let folder = tempfile::tempdir().unwrap();
        let (commit, tag) = git_signs(folder.path(), gpg.home.path(), format, key);
        let (commit, tag) = (signed::commit(&commit).unwrap().unwrap(), signed::tag(&tag).unwrap());
        assert_eq!((&*tag.kind, &*tag.name), ("commit", "v1"));
        for signed::Signed { mut payload, signature } in [commit, tag.signed.unwrap()] {
            let ring = ring(&[&public]).unwrap();
            let signer = ring.signer(&payload, &signature, now());
            assert!(signer.as_ref().is_ok_and(|name| name.contains("nn")), "{format}: {signer:?}");
            payload.push(b'x');
            let changed = ring.signer(&payload, &signature, now()).unwrap_err();
            assert!(changed.contains("it was changed afterwards"), "{changed}");
        }
    }
}
