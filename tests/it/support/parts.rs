//! Where the real programs are: those of `KUBEBUILDER_ASSETS` first, else the cache folder that `make parts` fills.

use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

use super::checkout;

/// A program by its name.
pub fn program(name: &str) -> Result<PathBuf, String> {
    let assets = std::env::var_os("KUBEBUILDER_ASSETS").map(PathBuf::from);
    let candidates = assets.into_iter().chain([folder()]).map(|folder| folder.join(name));
    candidates.into_iter().find(|path| path.is_file()).ok_or_else(|| missing(name))
}

/// A rule of kwok's, by its path below `kustomize/stage`.
pub fn stage(path: &str) -> Result<PathBuf, String> {
    let path = folder().join("stages").join(path);
    if path.is_file() { Ok(path) } else { Err(missing("kwok's stages")) }
}

/// A folder that a program reads when it runs.
pub fn files(name: &str) -> Result<PathBuf, String> {
    let path = folder().join(name);
    if path.is_dir() { Ok(path) } else { Err(missing(name)) }
}

fn missing(what: &str) -> String {
    format!("{what} is not in {}: run `make parts` once", folder().display())
}

fn folder() -> PathBuf {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    let find = || match std::env::var_os("TAGBOAT_PARTS") {
        Some(folder) => folder.into(),
        None => {
            let output = Command::new(checkout("tests/parts/build")).arg("--where").output().unwrap();
            String::from_utf8(output.stdout).unwrap().trim_end().into()
        }
    };
    FOLDER.get_or_init(find).clone()
}
