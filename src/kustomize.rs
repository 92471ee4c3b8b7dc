//! SHELL: runs the real `kustomize build` on a folder that holds only the files that it needs, and removes the folder again.
#![expect(clippy::disallowed_methods, reason = "the one program that we start, and the folder that it may read")]

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;

/// How long one build may take.
const BUILD_TIMEOUT: Duration = Duration::from_secs(60);
/// The longest output of a build: about 10,000 objects.
const OUTPUT_BYTES: usize = 64 << 20;

/// Why there is no output.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// kustomize refused the input; its words, without the folder's name.
    #[error("{0}")]
    Refused(String),
    /// It could not be run.
    #[error("kustomize can't be run ({program}): {reason}")]
    NotRun {
        /// The program.
        program: PathBuf,
        /// Why.
        reason: String,
    },
}

/// A program that is given by its bare name, in our own search path: the one of the build is empty.
fn found(program: &Path) -> PathBuf {
    let is_bare = program.components().count() == 1 && program.file_name().is_some();
    let paths = std::env::var_os("PATH").filter(|_| is_bare).unwrap_or_default();
    let found = std::env::split_paths(&paths).map(|folder| folder.join(program)).find(|path| path.is_file());
    found.unwrap_or_else(|| program.to_owned())
}

/// Builds `root` (a path among `files`) and returns the objects as YAML.
///
/// kustomize gets no environment but a path, no network program to call, its plugins stay off, and it may not read outside of
/// the folder.
///
/// # Errors
/// When the build fails, takes too long, or can't be started.
pub async fn build(program: &Path, root: &str, files: &BTreeMap<String, Vec<u8>>) -> Result<Vec<u8>, Error> {
    let not_run = |reason: String| Error::NotRun { program: program.to_owned(), reason };
    let folder =
        tempfile::Builder::new().prefix("tagboat-build-").tempdir().map_err(|error| not_run(error.to_string()))?;
    for (path, bytes) in files {
        let relative = Path::new(path);
        if !relative.components().all(|part| matches!(part, Component::Normal(_))) {
            return Err(Error::Refused(format!("{path} leads out of the repository")));
        }
        let target = folder.path().join(relative);
        let parent = target.parent().unwrap_or(folder.path()).to_owned();
        std::fs::create_dir_all(parent)
            .and_then(|()| std::fs::write(&target, bytes))
            .map_err(|error| not_run(error.to_string()))?;
    }
    let mut command = Command::new(found(program));
    // The repository is the bound: a base beside the root is fine, and nothing else is in the folder.
    command.args(["build", "--load-restrictor", "LoadRestrictionsNone"]).arg(folder.path().join(root));
    command.env_clear().env("PATH", "").env("HOME", folder.path()).current_dir(folder.path());
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let output = match tokio::time::timeout(BUILD_TIMEOUT, command.output()).await {
        Ok(output) => output.map_err(|error| not_run(error.to_string()))?,
        Err(_) => return Err(Error::Refused(format!("the build took longer than {} s", BUILD_TIMEOUT.as_secs()))),
    };
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr).replace(&folder.path().to_string_lossy().into_owned(), "");
        return Err(Error::Refused(said));
    }
    if output.stdout.len() > OUTPUT_BYTES {
        return Err(Error::Refused(format!("the build's output is larger than {} MiB", OUTPUT_BYTES >> 20)));
    }
    Ok(output.stdout)
}
