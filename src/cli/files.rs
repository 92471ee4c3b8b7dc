//! Files of the person's machine, for the offline commands: objects to read, a checkout to walk and to write.
#![expect(clippy::disallowed_methods, reason = "the offline commands work on files")]

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use serde::de::DeserializeOwned;

use crate::sync::yaml;

/// Reads a file, or standard input for `-`.
pub(super) fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    if path == Path::new("-") {
        let mut bytes = Vec::new();
        std::io::stdin().lock().read_to_end(&mut bytes).context("read standard input")?;
        return Ok(bytes);
    }
    std::fs::read(path).with_context(|| format!("read {}", path.display()))
}

/// Writes a file, keeping its permissions: into a new file beside it that then takes its place.
pub(super) fn write(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    let context = || format!("write {}", path.display());
    let folder = path.parent().unwrap_or(Path::new("."));
    let mut new = tempfile::NamedTempFile::new_in(folder).with_context(context)?;
    std::io::Write::write_all(&mut new, bytes).with_context(context)?;
    if let Ok(metadata) = std::fs::metadata(path) {
        std::fs::set_permissions(new.path(), metadata.permissions()).with_context(context)?;
    }
    new.persist(path).with_context(context)?;
    Ok(())
}

/// Creates a folder and those above it.
pub(super) fn create_folder(path: &Path) -> anyhow::Result<()> {
    std::fs::create_dir_all(path).with_context(|| format!("create {}", path.display()))
}

/// The objects of one kind in a multi-document YAML file.
pub(super) fn objects<K: DeserializeOwned>(path: &Path, kind: &str) -> anyhow::Result<Vec<K>> {
    let bytes = read(path)?;
    let (documents, problems) = yaml::documents(&path.display().to_string(), &bytes);
    if let Some(problem) = problems.first() {
        bail!("{problem}");
    }
    let wanted = documents.into_iter().filter(|document| is_ours(&document.value, kind));
    wanted
        .map(|document| {
            let line = document.line;
            serde_json::from_value(document.value).with_context(|| format!("{}:{line}: {kind}", path.display()))
        })
        .collect()
}

/// The documents of one kind in a YAML file that may hold anything else, patches too.
pub(super) fn documents(bytes: &[u8], kind: &str) -> Vec<yaml::Document> {
    let (documents, _) = yaml::documents("", bytes);
    documents.into_iter().filter(|document| is_ours(&document.value, kind)).collect()
}

fn is_ours(value: &serde_json::Value, kind: &str) -> bool {
    value.get("kind").and_then(|k| k.as_str()) == Some(kind)
        && value.get("apiVersion").and_then(|v| v.as_str()) == Some(crate::api::API_VERSION)
}

/// Every file below a folder, by its path from `root` with `/`; `.git` and symbolic links are left out. Sorted.
pub(super) fn walk(root: &Path, below: &str) -> anyhow::Result<Vec<String>> {
    let mut found = Vec::new();
    let start = root.join(below);
    let metadata = std::fs::symlink_metadata(&start).with_context(|| format!("read {}", start.display()))?;
    if metadata.is_file() {
        return Ok(vec![clean(below)]);
    }
    let mut folders = vec![clean(below)];
    while let Some(folder) = folders.pop() {
        let path = root.join(&folder);
        for entry in std::fs::read_dir(&path).with_context(|| format!("read {}", path.display()))? {
            let entry = entry.with_context(|| format!("read {}", path.display()))?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let relative = if folder.is_empty() { name.clone() } else { format!("{folder}/{name}") };
            match entry.file_type()? {
                kind if kind.is_dir() && name != ".git" => folders.push(relative),
                kind if kind.is_file() => found.push(relative),
                _ => {}
            }
        }
    }
    found.sort();
    Ok(found)
}

/// A relative path without `.` parts and slashes at its ends.
pub(super) fn clean(path: &str) -> String {
    path.split('/').filter(|part| !part.is_empty() && *part != ".").collect::<Vec<_>>().join("/")
}

/// The names in a folder with whether each is a folder; none when there is no such folder.
pub(super) fn names(path: &Path) -> Option<BTreeMap<String, bool>> {
    let entries = std::fs::read_dir(path).ok()?.flatten();
    let known = entries.filter_map(|entry| Some((entry.file_name().to_str()?.to_owned(), entry.file_type().ok()?)));
    Some(known.filter(|(_, kind)| !kind.is_symlink()).map(|(name, kind)| (name, kind.is_dir())).collect())
}

/// A file's bytes; none when there is no such file, or when a symbolic link stands there.
pub(super) fn read_plain(path: &Path) -> Option<Vec<u8>> {
    std::fs::symlink_metadata(path).ok().filter(std::fs::Metadata::is_file)?;
    std::fs::read(path).ok()
}

/// The bytes of the file at a path below a folder, no part of which is a symbolic link; or why there is none.
pub(super) fn below(root: &Path, path: &str) -> anyhow::Result<Result<Vec<u8>, &'static str>> {
    let mut here = root.to_owned();
    let mut is_file = false;
    for part in path.split('/') {
        here.push(part);
        match std::fs::symlink_metadata(&here) {
            Ok(found) if found.is_symlink() => {
                return Ok(Err("a symbolic link stands there: name the file that it leads to"));
            }
            Ok(found) => is_file = found.is_file(),
            Err(_) => return Ok(Err("there is no such file")),
        }
    }
    if is_file { read(&here).map(Ok) } else { Ok(Err("it is a folder")) }
}

/// A folder's path from the root, without symbolic links.
pub(super) fn full(folder: &Path) -> anyhow::Result<PathBuf> {
    folder.canonicalize().with_context(|| format!("read {}", folder.display()))
}

/// The nearest folder above with `.git`.
pub(super) fn repository(folder: &Path) -> Option<PathBuf> {
    let full = full(folder).ok()?;
    full.ancestors().find(|above| above.join(".git").exists()).map(Path::to_owned)
}

/// The checkout that a folder belongs to: the nearest folder above it with `.git`, else the current folder when it is below
/// that, else the whole disk, since its bases may stand anywhere. With it, the folder's path inside.
pub(super) fn checkout(folder: &Path) -> anyhow::Result<(PathBuf, String)> {
    let full = full(folder)?;
    let here = std::env::current_dir().and_then(|here| here.canonicalize()).unwrap_or_else(|_| full.clone());
    let with_git = full.ancestors().find(|above| above.join(".git").exists());
    let root = with_git.unwrap_or(if full.starts_with(&here) && full != here { &here } else { Path::new("/") });
    let inside = full.strip_prefix(root).context("a folder is below its checkout")?;
    Ok((root.to_owned(), inside.to_string_lossy().replace('\\', "/")))
}
