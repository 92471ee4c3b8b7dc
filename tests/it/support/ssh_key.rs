//! Keys for SSH, made by the real `ssh-keygen`.

use std::path::Path;
use std::process::Command;

use super::{guard, next_number};

/// A pair of keys.
pub struct SshKey {
    /// The private one, as the file holds it.
    pub private: String,
    /// The public one, one line.
    pub public: String,
}

impl SshKey {
    /// A new pair of this kind (`ed25519`, `ecdsa`, `rsa`), opened by this passphrase unless that is empty.
    pub fn new(kind: &str, passphrase: &str) -> Self {
        let file = guard::folder().join(format!("key-{}", next_number()));
        generate(&file, kind, passphrase);
        let read = |path: &Path| std::fs::read_to_string(path).unwrap();
        let public = read(&file.with_extension("pub")).trim().to_owned();
        Self { private: read(&file), public }
    }
}

/// Writes a new pair into this file and the one beside it that ends in `.pub`.
pub fn generate(file: &Path, kind: &str, passphrase: &str) {
    let mut command = Command::new("ssh-keygen");
    command.args(["-q", "-t", kind, "-a", "16", "-C", "", "-N", passphrase, "-f"]).arg(file);
    let output = command.output().expect("ssh-keygen, which comes with the ssh client");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
