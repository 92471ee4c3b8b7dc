//! `kustomize build`: files and a folder among them → the objects as YAML.

use std::path::Path;

use super::run::{Call, run};
use super::{Error, Given};

/// Builds `root` (a path among the files) and returns the objects as YAML.
///
/// kustomize gets no environment but a path, no network program to call, its plugins stay off, and it may not read outside of
/// the folder.
///
/// # Errors
/// When the build fails, takes too long, or can't be started.
pub async fn build(program: &Path, root: &str, given: Given<'_>) -> Result<Vec<u8>, Error> {
    // The repository is the bound: a base beside the root is fine, and nothing else is in the folder.
    let arguments = ["build", "--load-restrictor", "LoadRestrictionsNone"].map(str::to_owned).to_vec();
    let root = if root.is_empty() { "." } else { root };
    let call = Call { name: "kustomize", program, work: "the build", arguments, path: root, environment: &[], given };
    run(call).await
}
