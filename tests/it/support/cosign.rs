//! Signs images with cosign, by key pairs of the tests' own. Nothing is told to a public log.

use std::path::PathBuf;

use super::parts::program;
use super::registry::{LOGIN, Registry};
use super::{guard, next_number};

/// How cosign leaves a signature in a registry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// As an image with the tag `sha256-….sig`: all releases until 2, and 3 when asked to.
    Tag,
    /// As a Sigstore bundle that refers to the image: what 3 does by itself.
    Bundle,
}

/// Who signs.
pub struct Signer {
    folder: PathBuf,
}

impl Signer {
    /// Makes a key pair.
    pub async fn new() -> Self {
        let folder = guard::folder().join(format!("signer-{}", next_number()));
        std::fs::create_dir_all(&folder).unwrap();
        let signer = Self { folder };
        signer.cosign(&["generate-key-pair"]).await;
        signer
    }

    /// The public key, as PEM.
    pub fn public_key(&self) -> String {
        std::fs::read_to_string(self.folder.join("cosign.pub")).unwrap()
    }

    /// Signs an image.
    pub async fn sign(&self, registry: &Registry, repository: &str, digest: &str, form: Form) {
        let image = format!("{}/{repository}@{digest}", registry.host);
        let bundle = format!("--new-bundle-format={}", form == Form::Bundle);
        let login = ["--registry-username", LOGIN.0, "--registry-password", LOGIN.1];
        let offline = ["--tlog-upload=false", "--use-signing-config=false"];
        let sign = ["sign", "--key", "cosign.key", "--yes", "--allow-http-registry", &bundle];
        self.cosign(&[&sign[..], &offline, &login, &[&image]].concat()).await;
    }

    async fn cosign(&self, args: &[&str]) {
        let mut command = tokio::process::Command::new(program("cosign").unwrap_or_else(|reason| panic!("{reason}")));
        command.args(args).current_dir(&self.folder).env("COSIGN_PASSWORD", "").env("HOME", &self.folder);
        let output = command.kill_on_drop(true).output().await.unwrap();
        assert!(output.status.success(), "cosign {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
}
