//! Which files of a path a render takes, and how: plain YAML, a kustomization, both under one that is made, or a chart. Reads through
//! the caller's [`Files`], never runs anything.

use std::collections::{BTreeMap, BTreeSet};

use crate::object::Problem;
use crate::sync::chart::{Chart, Release};
use crate::sync::kustomize::{self, Entry, Kind, Reference, is_kustomization};
use crate::sync::overlay::{Overlay, is_below, kustomized, starts};
use crate::sync::render::{Rendered, is_manifest_file_name};

/// The files of one revision, or of a checkout.
pub trait Files {
    /// What is at a path from the repository's root.
    fn look(&mut self, path: &str) -> Entry;
    /// All files below a folder that are not ignored, by their path within it, sorted; no symbolic links.
    fn below(&mut self, folder: &str) -> Vec<String>;
    /// The bytes of one that [`below`](Self::below) named, by its path from the root.
    fn bytes(&mut self, path: &str) -> Vec<u8>;
}

/// Files by their path from the repository's root.
pub type Tree = BTreeMap<String, Vec<u8>>;

/// What a render takes.
#[derive(Debug, Clone, PartialEq)]
pub enum Input {
    /// What a kustomization reads, with the spec's additions in it.
    Kustomization {
        /// Its folder.
        root: String,
        /// The files, by their path from the repository's root.
        files: BTreeMap<String, Vec<u8>>,
    },
    /// Plain files, and what stands below them that is none.
    Plain(Plain),
    /// A chart, and what the spec puts around its objects.
    Chart(Chart, Plain),
}

impl Input {
    /// Goes over all files, by their path from the repository's root.
    pub fn each_file(&mut self, change: &mut dyn FnMut(&str, &mut Vec<u8>)) {
        match self {
            Self::Kustomization { files, .. } => files.iter_mut().for_each(|(path, bytes)| change(path, bytes)),
            Self::Plain(plain) => plain.each_file(change),
            Self::Chart(chart, around) => {
                chart.each_file(change);
                around.each_file(change);
            }
        }
    }
}

/// A folder without a kustomization of its own.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Plain {
    /// The folder.
    pub root: String,
    /// The plain files, by their path from the repository's root.
    pub files: Vec<(String, Vec<u8>)>,
    /// Folders within it that have kustomizations.
    folders: BTreeSet<String>,
    /// The spec's components.
    components: Vec<String>,
    /// What those read.
    walked: BTreeMap<String, Vec<u8>>,
}

/// Chooses the files of a path; `path` is normalised.
///
/// # Errors
/// What is wrong with the path, the kustomizations, or the additions.
pub fn choose(path: &str, overlay: &Overlay, release: &Release, files: &mut dyn Files) -> Result<Input, Vec<Problem>> {
    overlay.check()?;
    let Entry::Dir(names) = files.look(path) else {
        let reason = "the folder is not in the repository".to_owned();
        return Err(vec![Problem { file: path.to_owned(), line: 0, reason }]);
    };
    let found = overlay.components(path, &mut |path| files.look(path))?;
    let (components, references): (Vec<String>, Vec<Reference>) = found.into_iter().unzip();
    if release.is_chart(path, &names)? {
        let walked = walked(&references, files)?;
        let around = Plain { root: path.to_owned(), components, walked, ..Plain::default() };
        return Ok(Input::Chart(release.read(path, files)?, around));
    }
    if names.iter().any(|name| is_kustomization(name)) {
        let own = Reference {
            path: path.to_owned(),
            kind: Kind::Folder,
            field: "spec.path".to_owned(),
            file: String::new(),
            line: 0,
        };
        let starts: Vec<Reference> = std::iter::once(own).chain(references).collect();
        let mut read = kustomize::walk_all(&starts, &mut |path| files.look(path))?.files;
        for name in names.iter().filter(|name| is_kustomization(name)) {
            let file = kustomize::join(path, name).unwrap_or_default();
            if let Some(bytes) = read.get_mut(&file) {
                *bytes = overlay.put_into(&file, bytes, &components)?;
            }
        }
        return Ok(Input::Kustomization { root: path.to_owned(), files: read });
    }
    let all = files.below(path);
    let within = |reference: &Reference| match path {
        "" => Some(reference.path.clone()),
        path => reference.path.strip_prefix(path)?.strip_prefix('/').map(str::to_owned),
    };
    let apart: BTreeSet<String> = references.iter().filter_map(within).collect();
    let is_apart = |file: &str, folders: &BTreeSet<String>| folders.iter().any(|folder| is_below(file, folder));
    let rest = all.iter().map(String::as_str).filter(|file| !is_apart(file, &apart));
    let folders = kustomized(rest.clone());
    let begin: Vec<Reference> = starts(path, &folders).into_iter().chain(references).collect();
    let walked = walked(&begin, files)?;
    let plain = rest.filter(|file| is_manifest_file_name(file) && !is_apart(file, &folders));
    let plain: Vec<String> = plain.filter_map(|file| kustomize::join(path, file)).collect();
    let files = plain.into_iter().map(|file| (file.clone(), files.bytes(&file))).collect();
    Ok(Input::Plain(Plain { root: path.to_owned(), files, folders, components, walked }))
}

/// What builds read that begin at these places.
fn walked(begin: &[Reference], files: &mut dyn Files) -> Result<Tree, Vec<Problem>> {
    match begin {
        [] => Ok(Tree::new()),
        begin => Ok(kustomize::walk_all(begin, &mut |path| files.look(path))?.files),
    }
}

impl Plain {
    fn each_file(&mut self, change: &mut dyn FnMut(&str, &mut Vec<u8>)) {
        self.files.iter_mut().for_each(|(path, bytes)| change(path, bytes));
        self.walked.iter_mut().for_each(|(path, bytes)| change(path, bytes));
    }

    /// The files of the build that the objects of the plain files still need; none when they are as they should be, or are broken.
    ///
    /// # Errors
    /// When an addition can't be made.
    pub fn build(self, overlay: &Overlay, rendered: &Rendered) -> Option<Result<Tree, Vec<Problem>>> {
        let has_objects = !rendered.manifests.is_empty() || !self.folders.is_empty();
        let is_needed = !self.folders.is_empty() || overlay.is_needed(&rendered.manifests);
        if !rendered.problems.is_empty() || !has_objects || !is_needed {
            return None;
        }
        let around = overlay.around(&self.root, &rendered.manifests, &self.folders, &self.components);
        Some(around.map(|made| self.walked.into_iter().chain(made).collect()))
    }
}

#[cfg(test)]
pub(super) mod tests;
