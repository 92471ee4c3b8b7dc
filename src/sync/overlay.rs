//! What a GitSync's spec adds to what its path holds → a kustomization for the real kustomize: the path's own with the additions put
//! in (as Flux does it), or a new one around plain files. It is made in memory; nothing in the repository changes.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use crate::api::GitSyncSpec;
use crate::api::git_sync::{ImageOverride, SyncPatch};
use crate::object::{Manifest, Problem};
use crate::sync::kustomize::{self, Entry, Kind, Reference, is_kustomization, join};
use crate::sync::yaml;

/// The file that holds the objects of plain files; one of the repository would have to have this very name to be in its way.
const OBJECTS: &str = ".tagboat-objects.json";
/// The kustomization that is made for a folder that has none.
const MADE: &str = "kustomization.yaml";

/// What a spec adds.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Overlay {
    target_namespace: Option<String>,
    name_prefix: Option<String>,
    name_suffix: Option<String>,
    images: Vec<ImageOverride>,
    patches: Vec<SyncPatch>,
    components: Vec<String>,
    ignore_missing_components: bool,
}

impl Overlay {
    /// What a GitSync adds.
    pub fn of(spec: &GitSyncSpec) -> Self {
        Self {
            target_namespace: spec.target_namespace.clone(),
            name_prefix: spec.name_prefix.clone(),
            name_suffix: spec.name_suffix.clone(),
            images: spec.images.clone(),
            patches: spec.patches.clone(),
            components: spec.components.clone(),
            ignore_missing_components: spec.ignore_missing_components,
        }
    }

    /// Checks what can be checked without the repository.
    ///
    /// # Errors
    /// Patches that are no YAML, with their place in the spec.
    pub fn check(&self) -> Result<(), Vec<Problem>> {
        let broken = |(at, patch): (usize, &SyncPatch)| {
            let (documents, problems) = yaml::documents("", patch.patch.as_bytes());
            let field = format!("spec.patches[{at}].patch");
            let problem = |reason: String| Problem { file: String::new(), line: 0, reason };
            match problems.first() {
                Some(first) => Some(problem(format!("{field}: line {}: {}", first.line, first.reason))),
                None if documents.is_empty() => Some(problem(format!("{field} is empty"))),
                None => None,
            }
        };
        let problems: Vec<Problem> = self.patches.iter().enumerate().filter_map(broken).collect();
        if problems.is_empty() { Ok(()) } else { Err(problems) }
    }

    /// The components that are there, as the spec writes them, with what a build has to read of them.
    ///
    /// # Errors
    /// A component that is missing or leads out of the repository.
    pub fn components(
        &self,
        root: &str,
        read: &mut dyn FnMut(&str) -> Entry,
    ) -> Result<Vec<(String, Reference)>, Vec<Problem>> {
        let mut found = Vec::new();
        for (at, component) in self.components.iter().enumerate() {
            let field = format!("spec.components[{at}]");
            let path = kustomize::within(root, component).map_err(|reason| {
                vec![Problem { file: String::new(), line: 0, reason: format!("{field}: {reason}") }]
            })?;
            if self.ignore_missing_components && (read)(&path) == Entry::Missing {
                continue;
            }
            let reference = Reference { path, kind: Kind::Folder, field, file: String::new(), line: 0 };
            found.push((component.clone(), reference));
        }
        Ok(found)
    }

    /// Whether plain files need a build: for what only kustomize does, and for references to a namespace that gets another name.
    pub fn is_needed(&self, manifests: &[Manifest]) -> bool {
        let adds = self.name_prefix.is_some()
            || self.name_suffix.is_some()
            || !self.images.is_empty()
            || !self.patches.is_empty()
            || !self.components.is_empty();
        adds || self.target_namespace.as_ref().is_some_and(|target| manifests.iter().any(|m| names_one(m, target)))
    }

    /// A kustomization with the additions: names and namespace replace its own, images those of the same name, the rest is
    /// added at the end. One without any additions stays as it is, byte for byte.
    ///
    /// # Errors
    /// When it is no mapping, or a list in it is none.
    pub fn put_into(&self, file: &str, bytes: &[u8], components: &[String]) -> Result<Vec<u8>, Vec<Problem>> {
        let without = Self { ignore_missing_components: false, components: Vec::new(), ..self.clone() };
        if without == Self::default() && components.is_empty() {
            return Ok(bytes.to_vec());
        }
        let (mut documents, problems) = yaml::documents(file, bytes);
        if !problems.is_empty() {
            return Err(problems);
        }
        let mut fields = match documents.pop().map(|document| document.value) {
            None => Map::new(),
            Some(Value::Object(fields)) => fields,
            Some(_) => return Err(vec![no_kustomization(file, "is no kustomization")]),
        };
        self.add_to(&mut fields, components).map_err(|reason| vec![no_kustomization(file, &reason)])?;
        Ok(Value::Object(fields).to_string().into_bytes())
    }

    fn add_to(&self, fields: &mut Map<String, Value>, components: &[String]) -> Result<(), String> {
        let texts = [
            ("namespace", &self.target_namespace),
            ("namePrefix", &self.name_prefix),
            ("nameSuffix", &self.name_suffix),
        ];
        for (field, value) in texts {
            if let Some(value) = value {
                fields.insert(field.to_owned(), json!(value));
            }
        }
        for image in &self.images {
            let images = list(fields, "images")?;
            let entry = json!(image);
            match images.iter_mut().find(|other| other.get("name") == entry.get("name")) {
                Some(other) => *other = entry,
                None => images.push(entry),
            }
        }
        if !self.patches.is_empty() {
            list(fields, "patches")?.extend(self.patches.iter().map(|patch| json!(patch)));
        }
        if !components.is_empty() {
            list(fields, "components")?.extend(components.iter().map(|component| json!(component)));
        }
        Ok(())
    }

    /// A kustomization around plain objects and the kustomizations below them: its files, by path. `folders` are relative to `root`.
    ///
    /// # Errors
    /// As [`put_into`](Self::put_into).
    pub fn around(
        &self,
        root: &str,
        manifests: &[Manifest],
        folders: &BTreeSet<String>,
        components: &[String],
    ) -> Result<BTreeMap<String, Vec<u8>>, Vec<Problem>> {
        let objects = if manifests.is_empty() { None } else { Some(OBJECTS.to_owned()) };
        let resources: Vec<String> =
            objects.iter().cloned().chain(folders.iter().map(|folder| format!("./{folder}"))).collect();
        let made = json!({ "resources": resources }).to_string();
        let path = |name: &str| join(root, name).unwrap_or_default();
        let mut files = BTreeMap::from([(path(MADE), self.put_into(&path(MADE), made.as_bytes(), components)?)]);
        if let Some(name) = objects {
            let text: String = manifests.iter().map(|manifest| format!("---\n{}\n", safe(&manifest.body))).collect();
            files.insert(path(&name), text.into_bytes());
        }
        Ok(files)
    }
}

/// The folders below a root whose kustomizations are built instead of their files being read: the outermost ones. `files` are
/// relative to the root.
pub fn kustomized<'a>(files: impl Iterator<Item = &'a str>) -> BTreeSet<String> {
    let folders: BTreeSet<&str> = files
        .filter_map(|file| file.rsplit_once('/'))
        .filter(|(_, name)| is_kustomization(name))
        .map(|(folder, _)| folder)
        .collect();
    let is_outermost = |folder: &&&str| !folders.iter().any(|other| is_below(folder, other));
    folders.iter().filter(is_outermost).map(|folder| (*folder).to_owned()).collect()
}

/// Whether a path leads into a folder.
pub fn is_below(path: &str, folder: &str) -> bool {
    path.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/'))
}

/// What starts a walk over the kustomizations below a root.
pub fn starts(root: &str, folders: &BTreeSet<String>) -> Vec<Reference> {
    let start = |folder: &String| Reference {
        path: kustomize::join(root, folder).unwrap_or_default(),
        kind: Kind::Folder,
        field: "spec.path".to_owned(),
        file: String::new(),
        line: 0,
    };
    folders.iter().map(start).collect()
}

fn list<'a>(fields: &'a mut Map<String, Value>, field: &str) -> Result<&'a mut Vec<Value>, String> {
    let entry = fields.entry(field).or_insert(Value::Null);
    if entry.is_null() {
        *entry = json!([]);
    }
    entry.as_array_mut().ok_or_else(|| format!("{field} is no list"))
}

fn no_kustomization(file: &str, reason: &str) -> Problem {
    Problem { file: file.to_owned(), line: 1, reason: reason.to_owned() }
}

/// Whether an object names a namespace outside of its metadata, as kustomize's namespace transformer knows it.
fn names_one(manifest: &Manifest, target: &str) -> bool {
    match (manifest.gvk.group.as_str(), manifest.gvk.kind.as_str()) {
        ("", "Namespace") => manifest.key.name != target,
        ("rbac.authorization.k8s.io", "RoleBinding" | "ClusterRoleBinding")
        | ("admissionregistration.k8s.io", "MutatingWebhookConfiguration" | "ValidatingWebhookConfiguration")
        | ("apiregistration.k8s.io", "APIService") => true,
        ("apiextensions.k8s.io", "CustomResourceDefinition") => {
            manifest.body.pointer("/spec/conversion/webhook").is_some()
        }
        _ => false,
    }
}

/// JSON that is YAML too: what YAML has no characters for is escaped.
fn safe(body: &Value) -> String {
    let is_special =
        |c: char| matches!(c, '\u{7f}'..='\u{9f}' | '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}');
    let text = body.to_string();
    if !text.contains(is_special) {
        return text;
    }
    text.chars().map(|c| if is_special(c) { format!("\\u{:04x}", u32::from(c)) } else { c.to_string() }).collect()
}

#[cfg(test)]
mod tests;
