//! Files → the objects that a GitSync applies: read, normalised, labelled, in the order of their keys.
//! Every problem comes with its file and line; nothing is dropped in silence.

use serde_json::{Map, Value};

use crate::api::git_sync::CommonMetadata;
use crate::api::{GitSync, OWNER_NAME, OWNER_NAMESPACE, OWNER_UID};
use crate::object::{Gvk, Manifest, ObjectKey, Problem};
use crate::sync::yaml;

mod normal;
mod scope;

pub use scope::{Scope, builtin_scope};

/// The most objects of one GitSync; the inventory of more would not fit into a status.
pub const OBJECTS: usize = 10_000;
/// How deep lists of lists are read.
const LISTS: u32 = 8;
/// The longest value of a label, as the API server has it.
const LABEL_VALUE: usize = 63;

/// What was read, and what is wrong with it. With any problem, nothing may be applied.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Rendered {
    /// The objects.
    pub manifests: Vec<Manifest>,
    /// What is wrong.
    pub problems: Vec<Problem>,
}

/// Whose objects they are, and where they go.
#[derive(Debug, Clone)]
pub struct Options {
    /// Namespace and name of the GitSync.
    pub owner: (String, String),
    /// Its uid, when they go into another cluster.
    pub uid: Option<String>,
    /// The namespace of all namespaced objects, whatever the files say.
    pub target_namespace: Option<String>,
    /// Labels and annotations of all objects.
    pub common_metadata: CommonMetadata,
}

impl Options {
    /// What a GitSync says; without a namespace it is taken as one of `default`.
    pub fn of(sync: &GitSync) -> Self {
        let namespace = sync.metadata.namespace.clone().unwrap_or_else(|| "default".to_owned());
        Self {
            owner: (namespace, sync.metadata.name.clone().unwrap_or_default()),
            uid: remote_uid(sync),
            target_namespace: sync.spec.target_namespace.clone(),
            common_metadata: sync.spec.common_metadata.clone().unwrap_or_default(),
        }
    }
}

/// What tells the objects of a GitSync in another cluster from those of its namesakes: its uid.
pub fn remote_uid(sync: &GitSync) -> Option<String> {
    sync.spec.kube_config.as_ref().and(sync.metadata.uid.clone())
}

/// Whether a file in a folder without a kustomization is read (as `kubectl apply -f FOLDER` chooses).
pub fn is_manifest_file_name(name: &str) -> bool {
    [".yaml", ".yml", ".json"].iter().any(|end| name.len() > end.len() && name.ends_with(end))
}

/// Reads plain files, given by path from the repository's root and content.
pub fn plain(files: &[(String, Vec<u8>)]) -> Rendered {
    let mut rendered = Rendered::default();
    for (file, bytes) in files {
        rendered.read(file, bytes);
    }
    rendered
}

/// Reads the output of a kustomize build. Its objects have no file.
pub fn from_build(output: &[u8]) -> Rendered {
    let mut rendered = Rendered::default();
    rendered.read("", output);
    for manifest in &mut rendered.manifests {
        manifest.line = 0;
    }
    rendered
}

/// Reads the output of a chart. Lines are those of the output.
pub(super) fn from_chart(output: &[u8]) -> Rendered {
    let mut rendered = Rendered::default();
    rendered.read("", output);
    rendered
}

impl Rendered {
    fn read(&mut self, file: &str, bytes: &[u8]) {
        let (documents, problems) = yaml::documents(file, bytes);
        self.problems.extend(problems);
        for document in documents {
            self.add(document.value, file, document.line, LISTS);
        }
    }

    /// Adds one object, or the items of a list.
    fn add(&mut self, value: Value, file: &str, line: u32, lists: u32) {
        match items(value) {
            Ok(Found::Object(body)) => match manifest(body, file, line) {
                Ok(manifest) => self.manifests.push(manifest),
                Err(reason) => self.problems.push(Problem { file: file.to_owned(), line, reason }),
            },
            Ok(Found::List(items)) if lists > 0 => {
                for item in items {
                    self.add(item, file, line, lists - 1);
                }
            }
            Ok(Found::List(_)) => {
                let reason = format!("lists nest deeper than {LISTS} levels");
                self.problems.push(Problem { file: file.to_owned(), line, reason });
            }
            Err(reason) => self.problems.push(Problem { file: file.to_owned(), line, reason }),
        }
    }
}

enum Found {
    Object(Value),
    List(Vec<Value>),
}

/// `List`, and every `…List` with items (as kubectl has it), stands for its items; those may leave out their kind when the
/// list's own name says it.
fn items(mut value: Value) -> Result<Found, String> {
    let kind = value.get("kind").and_then(Value::as_str).unwrap_or_default();
    let Some(item_kind) = kind.strip_suffix("List").map(str::to_owned) else { return Ok(Found::Object(value)) };
    let api_version = value.get("apiVersion").cloned();
    match value.get_mut("items").map(Value::take) {
        Some(Value::Array(mut items)) => {
            for item in items.iter_mut().filter_map(Value::as_object_mut).filter(|_| !item_kind.is_empty()) {
                item.entry("kind").or_insert_with(|| Value::String(item_kind.clone()));
                if let Some(api_version) = &api_version {
                    item.entry("apiVersion").or_insert_with(|| api_version.clone());
                }
            }
            Ok(Found::List(items))
        }
        Some(Value::Null) => Ok(Found::List(Vec::new())),
        None if item_kind.is_empty() => Ok(Found::List(Vec::new())),
        None => Ok(Found::Object(value)),
        Some(_) => Err(format!("items of kind {item_kind}List is no list")),
    }
}

/// One object with its identity; the namespace is what the file says.
fn manifest(body: Value, file: &str, line: u32) -> Result<Manifest, String> {
    let Value::Object(object) = &body else {
        return Err(format!("a Kubernetes object is a mapping, but here is {}", kind_of(&body)));
    };
    let api_version = text(object, "apiVersion")?;
    let kind = text(object, "kind")?;
    let at = |reason: String| format!("{kind}: {reason}");
    let metadata = match object.get("metadata") {
        Some(Value::Object(metadata)) => metadata,
        Some(Value::Null) | None => return Err(at("metadata.name is missing".to_owned())),
        Some(other) => return Err(at(format!("metadata is {}, not a mapping", kind_of(other)))),
    };
    if !metadata.contains_key("name") && metadata.contains_key("generateName") {
        return Err(at("metadata.generateName makes a new object with every apply; set metadata.name".to_owned()));
    }
    let name = text(metadata, "name").map_err(|reason| at(format!("metadata.{reason}")))?;
    let namespace = match metadata.get("namespace") {
        None | Some(Value::Null) => "",
        Some(Value::String(namespace)) => namespace,
        Some(other) => return Err(at(format!("metadata.namespace is {}; quote it", kind_of(other)))),
    };
    // With a variable in it, it is looked at again when that has its value.
    misnamed(name, namespace, |text| !text.contains("${")).map_err(at)?;
    for field in ["labels", "annotations"] {
        text_values(metadata.get(field)).map_err(|reason| at(format!("metadata.{field}{reason}")))?;
    }
    let gvk = Gvk::new(api_version, kind);
    let key = ObjectKey {
        group: gvk.group.clone(),
        kind: gvk.kind.clone(),
        namespace: namespace.to_owned(),
        name: name.to_owned(),
    };
    Ok(Manifest { gvk, key, body, file: file.to_owned(), line })
}

/// An object that was changed after it was read, with the identity that it has now.
///
/// # Errors
/// When it is no object any more; the reason may quote it.
pub(super) fn identified(body: Value, file: &str, line: u32) -> Result<Manifest, String> {
    manifest(body, file, line)
}

/// A field that has to be text; YAML makes something else of `name: 12` and `name: on`.
fn text<'a>(object: &'a Map<String, Value>, field: &str) -> Result<&'a str, String> {
    match object.get(field) {
        Some(Value::String(text)) if !text.is_empty() => Ok(text),
        None | Some(Value::Null | Value::String(_)) => Err(format!("{field} is missing")),
        Some(other) => Err(format!("{field} is {}; quote it", kind_of(other))),
    }
}

/// Labels and annotations: a mapping of texts.
fn text_values(field: Option<&Value>) -> Result<(), String> {
    match field {
        None | Some(Value::Null) => Ok(()),
        Some(Value::Object(entries)) => match entries.iter().find(|(_, value)| !value.is_string()) {
            Some((key, value)) => Err(format!("[{key:?}] is {}; quote it", kind_of(value))),
            None => Ok(()),
        },
        Some(other) => Err(format!(" is {}, not a mapping", kind_of(other))),
    }
}

fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a bool",
        Value::Number(_) => "a number",
        Value::String(_) => "text",
        Value::Array(_) => "a list",
        Value::Object(_) => "a mapping",
    }
}

/// What is wrong with those of name and namespace that are `chosen`.
fn misnamed(name: &str, namespace: &str, chosen: impl Fn(&str) -> bool) -> Result<(), String> {
    if let Some(reason) = malformed(name).filter(|_| chosen(name)) {
        return Err(format!("metadata.name {name:?} {reason}"));
    }
    if !namespace.is_empty() && !is_namespace(namespace) && chosen(namespace) {
        return Err(format!("metadata.namespace {namespace:?} is no name of a namespace"));
    }
    Ok(())
}

/// What no name may be in a path of the API, whatever the kind.
fn malformed(name: &str) -> Option<&'static str> {
    if name.len() > 253 {
        return Some("is longer than 253 characters");
    }
    let is_path = name == "." || name == ".." || name.contains(['/', '%']) || name.chars().any(char::is_control);
    is_path.then_some("is no name of an object")
}

/// A DNS label (RFC 1123).
fn is_namespace(name: &str) -> bool {
    let is_edge = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    name.len() <= 63
        && name.bytes().all(|byte| is_edge(byte) || byte == b'-')
        && name.bytes().next().is_some_and(is_edge)
        && name.bytes().next_back().is_some_and(is_edge)
}

/// Makes the objects ready to apply: namespaces, owner labels, the normal form of each, sorted by key; and checks them as a
/// whole. `scope` says which kinds live in namespaces.
pub fn finish(rendered: Rendered, options: &Options, scope: &dyn Fn(&Gvk) -> Scope) -> Rendered {
    let Rendered { mut manifests, mut problems } = rendered;
    let (namespace, name) = &options.owner;
    for (label, value) in [(OWNER_NAME, name), (OWNER_NAMESPACE, namespace)] {
        if value.len() > LABEL_VALUE {
            let reason = format!(
                "{value:?} is longer than {LABEL_VALUE} characters, so it can't be the value of the label {label}; \
                 give the GitSync a shorter name"
            );
            problems.push(Problem { file: String::new(), line: 0, reason });
        }
    }
    if manifests.len() > OBJECTS {
        let reason =
            format!("{} objects are more than the {OBJECTS} that one GitSync may have; split it", manifests.len());
        problems.push(Problem { file: String::new(), line: 0, reason });
    }
    for manifest in &mut manifests {
        let named = misnamed(&manifest.key.name, &manifest.key.namespace, |text| text.contains("${"));
        if let Err(reason) = named {
            let reason = format!("{}: {reason}", manifest.gvk.kind);
            problems.push(Problem { file: manifest.file.clone(), line: manifest.line, reason });
        }
        let own = std::mem::take(&mut manifest.key.namespace);
        if scope(&manifest.gvk) == Scope::Namespaced {
            let own = Some(own).filter(|own| !own.is_empty());
            manifest.key.namespace = options.target_namespace.clone().or(own).unwrap_or_else(|| namespace.clone());
        }
        let body = std::mem::take(&mut manifest.body);
        match normal::form(body, &manifest.gvk) {
            Ok(body) => manifest.body = body,
            Err(reason) => {
                let reason = format!("{}: {reason}", manifest.key);
                problems.push(Problem { file: manifest.file.clone(), line: manifest.line, reason });
            }
        }
        place(&mut manifest.body, &manifest.key.namespace);
        let CommonMetadata { labels, annotations } = &options.common_metadata;
        mark(&mut manifest.body, "annotations", annotations.iter().map(|(key, value)| (key.as_str(), value)));
        let labels = labels.iter().map(|(key, value)| (key.as_str(), value));
        let owner = [(OWNER_NAME, name), (OWNER_NAMESPACE, namespace)].into_iter();
        let owner = owner.chain(options.uid.iter().map(|uid| (OWNER_UID, uid)));
        mark(&mut manifest.body, "labels", labels.chain(owner));
        if options.uid.is_none()
            && let Some(Value::Object(labels)) = manifest.body.pointer_mut("/metadata/labels")
        {
            labels.shift_remove(OWNER_UID);
        }
    }
    // Stable, so that of equal objects the earlier file is the first.
    manifests.sort_by(|a, b| a.key.cmp(&b.key));
    problems.extend(duplicates(&manifests));
    Rendered { manifests, problems }
}

/// Sets the namespace.
fn place(body: &mut Value, namespace: &str) {
    let Some(Value::Object(metadata)) = body.get_mut("metadata") else { return };
    if namespace.is_empty() {
        metadata.shift_remove("namespace");
    } else {
        metadata.insert("namespace".to_owned(), Value::String(namespace.to_owned()));
    }
}

/// Sets labels or annotations.
fn mark<'a>(body: &mut Value, field: &str, entries: impl Iterator<Item = (&'a str, &'a String)>) {
    let Some(Value::Object(metadata)) = body.get_mut("metadata") else { return };
    for (key, value) in entries {
        let entry = metadata.entry(field).or_insert(Value::Null);
        if !entry.is_object() {
            *entry = Value::Object(Map::new());
        }
        entry[key] = Value::String(value.clone());
    }
}

/// Objects that are there twice; the manifests are sorted by key.
fn duplicates(manifests: &[Manifest]) -> Vec<Problem> {
    let pairs = manifests.windows(2).filter_map(|pair| if let [a, b] = pair { Some((a, b)) } else { None });
    let twice = pairs.filter(|(first, second)| first.key == second.key);
    twice
        .map(|(first, second)| {
            let place = if first.file.is_empty() {
                "the same build".to_owned()
            } else {
                format!("{}:{}", first.file, first.line)
            };
            let reason = format!("{} is also in {place}; keep one of them", second.key);
            Problem { file: second.file.clone(), line: second.line, reason }
        })
        .collect()
}

#[cfg(test)]
mod tests;
