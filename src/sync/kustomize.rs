//! Which files a `kustomize build` of a folder reads, so that it is given only those and its output can be kept while they are
//! unchanged; and what its refusal means. Reads through the caller's closure, never runs anything.

use std::collections::{BTreeMap, BTreeSet};

use crate::object::Problem;

mod failed;
mod references;

pub use failed::{broken_files, build_problem};
pub use references::{Kind, Reference, references, within};

/// The largest file of a build, in bytes; bundles of definitions reach 5 MiB.
pub const FILE_BYTES: usize = 16 << 20;
/// How many kustomizations may lead to each other.
const DEPTH: usize = 64;
/// The most files of one build.
pub const FILES: usize = 10_000;
/// The most bytes of one build, all files together.
pub const BYTES: usize = 64 << 20;

/// What is at a path of the repository.
#[derive(Debug, Clone, PartialEq)]
pub enum Entry {
    /// A file's bytes.
    File(Vec<u8>),
    /// The names in a folder.
    Dir(Vec<String>),
    /// Nothing that may be read; symbolic links are not followed.
    Missing,
}

/// Everything that a build reads.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ReadSet {
    /// The files, by their path from the repository's root.
    pub files: BTreeMap<String, Vec<u8>>,
    /// Paths that a configuration of a plugin seems to name and that are not there; kustomize decides whether it needs them.
    pub missing: BTreeSet<String>,
}

/// Whether a file of this name makes its folder a kustomization.
pub fn is_kustomization(name: &str) -> bool {
    matches!(name, "kustomization.yaml" | "kustomization.yml" | "Kustomization")
}

/// A path from the repository's root without `.`, `..` and doubled slashes; empty for the root. A slash at its start is the root.
///
/// # Errors
/// When it leads out of the repository.
pub fn normalise(path: &str) -> Result<String, Problem> {
    join("", path).ok_or_else(|| Problem {
        file: String::new(),
        line: 0,
        reason: format!("path {path} leads out of the repository"),
    })
}

/// `path` as seen from `folder`; none when it leads out of the repository.
pub fn join(folder: &str, path: &str) -> Option<String> {
    let mut parts: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

/// Reads everything that a build of `root` reads.
///
/// # Errors
/// Every reference that leads nowhere, out of the repository, to the network or back to itself, with its file and line.
pub fn walk(root: &str, read: &mut dyn FnMut(&str) -> Entry) -> Result<ReadSet, Vec<Problem>> {
    let from = Reference {
        path: root.to_owned(),
        kind: Kind::Folder,
        field: "spec.path".to_owned(),
        file: String::new(),
        line: 0,
    };
    walk_all(&[from], read)
}

/// Reads everything that a build reads which begins at several places.
///
/// # Errors
/// As [`walk`].
pub fn walk_all(starts: &[Reference], read: &mut dyn FnMut(&str) -> Entry) -> Result<ReadSet, Vec<Problem>> {
    let mut walk = Walk {
        read,
        set: ReadSet::default(),
        bytes: 0,
        problems: Vec::new(),
        trail: Vec::new(),
        done: BTreeSet::new(),
    };
    starts.iter().for_each(|from| walk.folder(from));
    if walk.problems.is_empty() { Ok(walk.set) } else { Err(walk.problems) }
}

struct Walk<'a> {
    read: &'a mut dyn FnMut(&str) -> Entry,
    set: ReadSet,
    bytes: usize,
    problems: Vec<Problem>,
    /// The folders that led here.
    trail: Vec<String>,
    done: BTreeSet<String>,
}

impl Walk<'_> {
    fn problem(&mut self, from: &Reference, reason: &str) {
        let name = if from.path.is_empty() { "the repository's root" } else { &from.path };
        let reason = format!("{}: {name} {reason}", from.field);
        self.problems.push(Problem { file: from.file.clone(), line: from.line, reason });
    }

    fn follow(&mut self, from: &Reference) {
        if self.set.files.contains_key(&from.path) {
            return;
        }
        match from.kind {
            Kind::Folder => self.folder(from),
            _ => match (self.read)(&from.path) {
                Entry::File(bytes) => self.file(from, bytes),
                Entry::Dir(_) if matches!(from.kind, Kind::Either | Kind::Plugin) => self.folder(from),
                Entry::Dir(_) => self.problem(from, "is a folder; name a file"),
                Entry::Missing if from.kind == Kind::Guess => {
                    self.set.missing.insert(from.path.clone());
                }
                Entry::Missing => self.problem(from, "is not in the repository (symbolic links are not followed)"),
            },
        }
    }

    fn file(&mut self, from: &Reference, bytes: Vec<u8>) {
        self.bytes += bytes.len();
        let has_room = self.set.files.len() < FILES && self.bytes <= BYTES;
        if bytes.len() > FILE_BYTES {
            self.problem(from, &format!("is larger than {} MiB", FILE_BYTES >> 20));
        } else if has_room {
            let found =
                if from.kind == Kind::Plugin { references::of_plugins(&from.path, &bytes) } else { Ok(Vec::new()) };
            self.set.files.insert(from.path.clone(), bytes);
            self.follow_all(found);
        } else {
            self.problem(
                from,
                &format!("is one file too many: a build may read {FILES} files and {} MiB", BYTES >> 20),
            );
        }
    }

    fn folder(&mut self, from: &Reference) {
        let folder = &from.path;
        if let Some(start) = self.trail.iter().position(|above| above == folder) {
            let circle = self.trail[start..].iter().chain([folder]).map(String::as_str).collect::<Vec<_>>().join(" → ");
            return self.problem(from, &format!("goes in a circle: {circle}"));
        }
        if self.trail.len() >= DEPTH {
            return self.problem(from, &format!("is more than {DEPTH} kustomizations deep"));
        }
        if !self.done.insert(folder.clone()) {
            return;
        }
        let names = match (self.read)(folder) {
            Entry::Dir(names) => names,
            Entry::File(_) => return self.problem(from, "is a file; name the folder of a kustomization"),
            Entry::Missing => return self.problem(from, "is not in the repository (symbolic links are not followed)"),
        };
        let mut names: Vec<String> = names.into_iter().filter(|name| is_kustomization(name)).collect();
        names.sort();
        let path = match names.as_slice() {
            [] => return self.problem(from, "has no kustomization.yaml"),
            [name] => join(folder, name).unwrap_or_default(),
            several => {
                return self.problem(from, &format!("has several kustomizations: {}; keep one", several.join(", ")));
            }
        };
        let Entry::File(bytes) = (self.read)(&path) else {
            return self.problem(from, "has a kustomization that is no file");
        };
        let found = references(&path, &bytes);
        let own = Reference { path, kind: Kind::File, ..from.clone() };
        self.file(&own, bytes);
        self.trail.push(folder.clone());
        self.follow_all(found);
        self.trail.pop();
    }

    fn follow_all(&mut self, found: Result<Vec<Reference>, Vec<Problem>>) {
        match found {
            Ok(references) => references.iter().for_each(|reference| self.follow(reference)),
            Err(problems) => self.problems.extend(problems),
        }
    }
}

#[cfg(test)]
mod tests;
