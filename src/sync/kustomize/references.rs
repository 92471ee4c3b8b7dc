//! A kustomization's text → the paths that a build of it reads. Nothing may lead out of the repository or to the network.

use serde_json::{Map, Value};

use super::join;
use crate::object::Problem;
use crate::sync::yaml;

/// What a path may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A file.
    File,
    /// The folder of a kustomization.
    Folder,
    /// A file, or the folder of a kustomization.
    Either,
    /// The configuration of generators, transformers or validators, or a folder with such.
    Plugin,
    /// Looks like a file in a plugin's configuration.
    Guess,
}

/// A path that a kustomization names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    /// From the repository's root.
    pub path: String,
    /// What it may be.
    pub kind: Kind,
    /// The field that names it.
    pub field: String,
    /// The file that names it.
    pub file: String,
    /// The line that names it, from 1.
    pub line: u32,
}

/// The paths that a kustomization names, in the order of its fields. `file` is its own path from the repository's root.
///
/// # Errors
/// When it can't be read, or names something on the network, outside of the repository, or a Helm chart.
pub fn references(file: &str, text: &[u8]) -> Result<Vec<Reference>, Vec<Problem>> {
    let (documents, problems) = yaml::documents(file, text);
    if !problems.is_empty() {
        return Err(problems);
    }
    let mut reader =
        Reader { file, lines: String::from_utf8_lossy(text).into_owned(), found: Vec::new(), problems: Vec::new() };
    match documents.as_slice() {
        [] => {}
        [document] => match &document.value {
            Value::Object(fields) => reader.kustomization(fields),
            _ => reader.problem(document.line, "is no kustomization".to_owned()),
        },
        [_, second, ..] => reader.problem(second.line, "holds several documents; a kustomization is one".to_owned()),
    }
    reader.end()
}

/// The paths that configurations of kustomize's built-in plugins name.
pub(super) fn of_plugins(file: &str, text: &[u8]) -> Result<Vec<Reference>, Vec<Problem>> {
    let (documents, _) = yaml::documents(file, text);
    let mut reader =
        Reader { file, lines: String::from_utf8_lossy(text).into_owned(), found: Vec::new(), problems: Vec::new() };
    documents.iter().for_each(|document| reader.plugin(&document.value));
    reader.end()
}

struct Reader<'a> {
    file: &'a str,
    lines: String,
    found: Vec<Reference>,
    problems: Vec<Problem>,
}

impl Reader<'_> {
    fn end(self) -> Result<Vec<Reference>, Vec<Problem>> {
        if self.problems.is_empty() { Ok(self.found) } else { Err(self.problems) }
    }

    fn problem(&mut self, line: u32, reason: String) {
        self.problems.push(Problem { file: self.file.to_owned(), line, reason });
    }

    /// The line that names something; the first when it can't be found, as after an alias.
    fn line_of(&self, text: &str) -> u32 {
        let is_it = |line: &str| line.split('#').next().is_some_and(|code| code.contains(text));
        let found =
            self.lines.lines().position(is_it).or_else(|| self.lines.lines().position(|line| line.contains(text)));
        u32::try_from(found.unwrap_or(0) + 1).unwrap_or(u32::MAX)
    }

    fn kustomization(&mut self, fields: &Map<String, Value>) {
        for (field, value) in fields {
            let entries = || value.as_array().into_iter().flatten();
            match field.as_str() {
                "resources" => self.paths(field, Kind::Either, value),
                "bases" | "components" => self.paths(field, Kind::Folder, value),
                "crds" | "configurations" => self.paths(field, Kind::File, value),
                "patches" | "patchesJson6902" | "replacements" => entries().for_each(|entry| self.patch(field, entry)),
                "patchesStrategicMerge" => entries().for_each(|entry| self.patch(field, entry)),
                "configMapGenerator" | "secretGenerator" => {
                    entries().for_each(|entry| self.generator(field, Kind::File, entry))
                }
                "generators" | "transformers" | "validators" => {
                    entries().for_each(|entry| self.inline_or_path(field, entry))
                }
                "openapi" => self.path(field, Kind::File, value.get("path")),
                "helmCharts" | "helmChartInflationGenerator" => {
                    let line = self.line_of(field);
                    self.problem(line, format!("{field} is not supported yet; commit the rendered chart"));
                }
                _ => {}
            }
        }
    }

    fn paths(&mut self, field: &str, kind: Kind, value: &Value) {
        value.as_array().into_iter().flatten().for_each(|entry| self.path(field, kind, Some(entry)));
    }

    /// A patch by its path, or written out.
    fn patch(&mut self, field: &str, entry: &Value) {
        match entry {
            Value::String(text) if is_inline(text) => {}
            Value::String(_) => self.path(field, Kind::File, Some(entry)),
            entry => self.path(field, Kind::File, entry.get("path")),
        }
    }

    /// `files` with an optional `name=` ahead of the path, `envs`, and the older `env`.
    fn generator(&mut self, field: &str, kind: Kind, entry: &Value) {
        for name in ["files", "envs"] {
            for value in entry.get(name).and_then(Value::as_array).into_iter().flatten() {
                let path = value.as_str().map(|text| text.split_once('=').map_or(text, |(_, path)| path));
                self.path(&format!("{field}.{name}"), kind, path.map(Value::from).as_ref());
            }
        }
        self.path(&format!("{field}.env"), kind, entry.get("env"));
    }

    fn inline_or_path(&mut self, field: &str, entry: &Value) {
        match entry.as_str() {
            Some(text) if is_inline(text) => {
                let (documents, _) = yaml::documents(self.file, text.as_bytes());
                documents.iter().for_each(|document| self.plugin(&document.value));
            }
            _ => self.path(field, Kind::Plugin, Some(entry)),
        }
    }

    /// The configuration of a built-in plugin. Others are never run, so what they would read does not matter.
    fn plugin(&mut self, config: &Value) {
        let text = |key: &str| config.get(key).and_then(Value::as_str).unwrap_or_default();
        if text("apiVersion") != "builtin" {
            return;
        }
        let kind = text("kind").to_owned();
        if kind.starts_with("HelmChart") {
            let line = self.line_of(&kind);
            return self.problem(line, format!("{kind} is not supported yet; commit the rendered chart"));
        }
        self.path(&kind, Kind::Guess, config.get("path"));
        for list in ["paths", "replacements"] {
            for entry in config.get(list).and_then(Value::as_array).into_iter().flatten() {
                let path = if entry.is_object() { entry.get("path") } else { Some(entry) };
                self.path(&kind, Kind::Guess, path.filter(|path| !path.as_str().is_some_and(is_inline)));
            }
        }
        self.generator(&kind, Kind::Guess, config);
    }

    fn path(&mut self, field: &str, kind: Kind, value: Option<&Value>) {
        let Some(text) = value.and_then(Value::as_str).filter(|text| !text.is_empty()) else { return };
        let line = self.line_of(text);
        let folder = self.file.rsplit_once('/').map_or("", |(folder, _)| folder);
        match within(folder, text) {
            Ok(path) => {
                self.found.push(Reference { path, kind, field: field.to_owned(), file: self.file.to_owned(), line })
            }
            Err(reason) => self.problem(line, format!("{field}: {reason}")),
        }
    }
}

/// The path from the repository's root of what a kustomization in `folder` names.
///
/// # Errors
/// When it is on the network or outside of the repository; kustomize would go there.
pub fn within(folder: &str, text: &str) -> Result<String, String> {
    if is_remote(text) {
        return Err(format!("{text} is on the network, which a build may not use; copy it into the repository"));
    }
    let inside = join(folder, text).filter(|_| !text.starts_with('/'));
    inside.ok_or_else(|| format!("{text} leads out of the repository"))
}

/// Whether an entry is YAML itself and no path.
fn is_inline(text: &str) -> bool {
    text.contains('\n') || text.contains(": ") || text.trim_start().starts_with(['{', '['])
}

/// Whether kustomize would fetch it: a URL, an scp-like address, or a Git host's path (kustomize: remote targets).
fn is_remote(text: &str) -> bool {
    let has_scheme =
        text.contains("://") || ["git@", "git::", "gh:", "ssh:"].iter().any(|start| text.starts_with(start));
    let is_scp = text.split_once(':').is_some_and(|(host, _)| host.contains('@') && !host.contains('/'));
    let hosts = ["github.com", "gitlab.com", "bitbucket.org", "dev.azure.com"];
    let has_host = hosts.iter().any(|host| text.strip_prefix(host).is_some_and(|rest| rest.starts_with(['/', ':'])));
    let has_ref = ["?ref=", "?version=", "&ref="].iter().any(|query| text.contains(query));
    has_scheme || is_scp || has_host || has_ref
}
