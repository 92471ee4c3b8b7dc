//! The folder that a program may read: made, filled, and removed when dropped. With secrets in it, it lies in memory or is not made.
#![expect(clippy::disallowed_methods, reason = "the folder that a program may read")]

use std::path::{Component, Path, PathBuf};

use tempfile::TempDir;

use super::Given;

/// Why there is no folder.
pub(super) enum Unmade {
    /// A path that leads out of it.
    Outside(String),
    /// The disk, or no memory.
    Failed(String),
}

/// Makes the folder with its files.
pub(super) fn filled(given: Given<'_>) -> Result<TempDir, Unmade> {
    let mut builder = tempfile::Builder::new();
    builder.prefix("tagboat-build-");
    let made = match given.is_secret {
        false => builder.tempdir(),
        true => builder.tempdir_in(memory().ok_or_else(|| Unmade::Failed(NO_MEMORY.to_owned()))?),
    };
    let folder = made.map_err(|error| Unmade::Failed(error.to_string()))?;
    for (path, bytes) in given.files {
        let relative = Path::new(path);
        if !relative.components().all(|part| matches!(part, Component::Normal(_))) {
            return Err(Unmade::Outside(path.clone()));
        }
        let target = folder.path().join(relative);
        let parent = target.parent().unwrap_or(folder.path()).to_owned();
        std::fs::create_dir_all(parent)
            .and_then(|()| std::fs::write(&target, bytes))
            .map_err(|error| Unmade::Failed(error.to_string()))?;
    }
    Ok(folder)
}

const NO_MEMORY: &str =
    "decrypted files may lie in memory only, but neither the folder for temporary files nor /dev/shm is one (tmpfs)";

/// A folder that never is on a disk.
fn memory() -> Option<PathBuf> {
    [std::env::temp_dir(), PathBuf::from("/dev/shm")].into_iter().find(|folder| is_in_memory(folder))
}

/// By the numbers of tmpfs and ramfs (statfs(2)).
#[cfg(target_os = "linux")]
fn is_in_memory(folder: &Path) -> bool {
    rustix::fs::statfs(folder).is_ok_and(|about| [0x0102_1994, 0x8584_58f6].contains(&(about.f_type as u64)))
}

#[cfg(not(target_os = "linux"))]
fn is_in_memory(_: &Path) -> bool {
    false
}
