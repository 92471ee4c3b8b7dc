//! Files that SOPS encrypted → what they hold, in memory only. In: a file's path and bytes, and the keys of a Secret. Out: the decrypted
//! bytes and what of them must not be shown. A file whose MAC does not match is refused. The format is SOPS 3's.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::Value;

use crate::object::{Manifest, Problem};
use crate::sync::yaml;

mod dotenv;
mod keys;
mod metadata;
mod scalar;
mod tree;
mod value;

pub use keys::Keys;

use keys::OpenKeys;
use metadata::Metadata;
use tree::{Node, Walk};

/// The beginning of every encrypted value.
const ENCRYPTED: &str = "ENC[AES256_GCM,";
/// Annotations that leave an object as it is, ours and Flux's.
const LEFT_ALONE: [&str; 2] = ["tagboat.dev/decrypt", "kustomize.toolkit.fluxcd.io/decrypt"];
/// The field that SOPS adds.
const SOPS: &str = "sops";

/// What a file holds.
pub struct Opened {
    /// Its bytes as they were before it was encrypted, or YAML that means the same.
    pub bytes: Vec<u8>,
    /// The values that were encrypted.
    pub secrets: Vec<String>,
}

impl fmt::Debug for Opened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Opened(hidden)")
    }
}

/// Decrypts files one after the other. The keys are opened when the first file needs them.
pub struct Opener<'a> {
    keys: &'a Keys,
    open: Option<Result<OpenKeys, String>>,
    /// Whether any file was encrypted.
    pub has_opened: bool,
    /// What must not be shown.
    pub secrets: Vec<String>,
    /// What is wrong.
    pub problems: Vec<Problem>,
}

impl<'a> Opener<'a> {
    /// With the keys of a GitSync.
    pub fn new(keys: &'a Keys) -> Self {
        Self { keys, open: None, has_opened: false, secrets: Vec::new(), problems: Vec::new() }
    }

    /// Puts what a file holds in its place; one that is not encrypted stays.
    pub fn open(&mut self, path: &str, bytes: &mut Vec<u8>) {
        match self.opened(path, bytes) {
            Ok(None) => {}
            Ok(Some(opened)) => {
                *bytes = opened.bytes;
                self.has_opened = true;
                self.secrets.extend(opened.secrets);
            }
            Err(reason) => self.problems.push(Problem { file: path.to_owned(), line: 0, reason }),
        }
    }

    fn opened(&mut self, path: &str, bytes: &[u8]) -> Result<Option<Opened>, String> {
        let Some(file) = File::read(path, bytes)? else { return Ok(None) };
        let open = self.open.get_or_insert_with(|| self.keys.open());
        let keys = open.as_ref().map_err(Clone::clone)?;
        let data_key = keys.data_key(&file.metadata)?;
        file.open(&data_key).map(Some)
    }

    /// Decrypts what the entries of Secrets hold: a generator may have put an encrypted file into one.
    pub fn open_inside(&mut self, manifests: &mut [Manifest]) {
        for manifest in manifests.iter_mut().filter(|manifest| is_secret(manifest) && !is_left_alone(&manifest.body)) {
            let place = manifest.key.to_string();
            for field in ["data", "stringData"] {
                let Some(Value::Object(entries)) = manifest.body.get_mut(field) else { continue };
                for (name, value) in entries.iter_mut() {
                    let Some(text) = value.as_str() else { continue };
                    let held = if field == "data" { decoded(text) } else { Some(text.as_bytes().to_vec()) };
                    let Some(held) = held else { continue };
                    match self.opened(name, &held) {
                        Ok(None) => {}
                        Ok(Some(opened)) => {
                            self.secrets.extend(opened.secrets);
                            *value = Value::from(match field {
                                "data" => BASE64.encode(opened.bytes),
                                _ => String::from_utf8_lossy(&opened.bytes).into_owned(),
                            });
                        }
                        Err(reason) => {
                            let reason = format!("{place}: {field}[{name:?}]: {reason}");
                            self.problems.push(Problem { file: manifest.file.clone(), line: manifest.line, reason });
                        }
                    }
                }
            }
        }
    }
}

/// Secrets that are encrypted still: no cluster can use them.
pub fn still_encrypted(manifests: &[Manifest], has_keys: bool) -> Vec<Problem> {
    let left = manifests.iter().filter(|manifest| is_secret(manifest) && !is_left_alone(&manifest.body));
    let advice = if has_keys { "encrypt it with sops again" } else { "say in spec.decryption which keys decrypt it" };
    let encrypted = left.filter(|manifest| {
        let has_one = |field: &&str| {
            let entries = manifest.body.get(*field).and_then(Value::as_object).into_iter().flatten();
            entries.into_iter().any(|(name, value)| {
                let text = value.as_str().unwrap_or_default();
                let held = if *field == "data" { decoded(text).unwrap_or_default() } else { text.into() };
                held.starts_with(ENCRYPTED.as_bytes()) || !matches!(File::read(name, &held), Ok(None))
            })
        };
        manifest.body.pointer("/sops/mac").is_some() || ["data", "stringData"].iter().any(has_one)
    });
    let problem = |manifest: &Manifest| Problem {
        file: manifest.file.clone(),
        line: manifest.line,
        reason: format!("{} is encrypted by SOPS; {advice}", manifest.key),
    };
    encrypted.map(problem).collect()
}

/// Base64 as Secrets have it: kustomize breaks it into lines, and the API server takes them.
fn decoded(text: &str) -> Option<Vec<u8>> {
    BASE64.decode(text.split_ascii_whitespace().collect::<String>()).ok()
}

fn is_secret(manifest: &Manifest) -> bool {
    manifest.gvk.group.is_empty() && manifest.gvk.kind == "Secret"
}

fn is_left_alone(body: &Value) -> bool {
    let annotations = body.pointer("/metadata/annotations");
    let says = |name: &str| annotations.and_then(|all| all.get(name)).and_then(Value::as_str);
    LEFT_ALONE.iter().any(|name| says(name).is_some_and(|word| word.eq_ignore_ascii_case("disabled")))
}

/// How an encrypted file is written.
enum Content {
    Yaml(Vec<Node>),
    Json(Node),
    Dotenv(Vec<dotenv::Line>),
    /// A whole file in one value.
    Binary(String),
}

/// An encrypted file.
struct File {
    content: Content,
    metadata: Metadata,
}

impl File {
    /// Reads a file; none when it is not encrypted. The name decides between formats that look alike, as in SOPS.
    ///
    /// # Errors
    /// When it is encrypted, but broken or of a format that we don't read.
    fn read(path: &str, bytes: &[u8]) -> Result<Option<Self>, String> {
        let Ok(text) = std::str::from_utf8(bytes) else { return Ok(None) };
        if !text.contains(ENCRYPTED) || !text.contains(SOPS) {
            return Ok(None);
        }
        if text.lines().any(|line| line.starts_with("sops_mac=")) {
            let (lines, metadata) = dotenv::read(text)?;
            return Ok(Some(Self { content: Content::Dotenv(lines), metadata }));
        }
        if text.lines().any(|line| line.trim_end() == "[sops]") {
            let instead = "`sops encrypt --input-type binary` makes one that any file may be";
            return Err(format!("is an INI file encrypted by SOPS, which is not read; {instead}"));
        }
        if text.trim_start().starts_with('{')
            && let Ok(value) = serde_json::from_str::<Value>(text)
        {
            return Self::of_json(path, &value);
        }
        let documents = match tree::read(text) {
            Ok(documents) => documents,
            // Whatever it is, it is none of ours.
            Err(_) if !text.contains("\nsops:") => return Ok(None),
            Err(reason) => return Err(reason),
        };
        let Some(metadata) = documents.iter().find_map(|document| document.get(SOPS)).filter(|sops| sops.has("mac"))
        else {
            return Ok(None);
        };
        let metadata = Metadata::of(metadata)?;
        let (values, _) = yaml::documents(path, bytes);
        let is_left = values.iter().any(|document| is_left_alone(&document.value));
        Ok(Some(Self { content: Content::Yaml(documents), metadata }).filter(|_| !is_left))
    }

    fn of_json(path: &str, value: &Value) -> Result<Option<Self>, String> {
        if value.pointer("/sops/mac").is_none() || is_left_alone(value) {
            return Ok(None);
        }
        let node = Node::of_json(value);
        let metadata = Metadata::of(node.get(SOPS).unwrap_or(&Node::Null))?;
        let is_named = [".json", ".yaml", ".yml"].iter().any(|end| path.ends_with(end));
        let whole = value.get("data").and_then(Value::as_str).filter(|_| !is_named);
        let is_whole = value.as_object().is_some_and(|fields| fields.len() == 2);
        let content = match whole.filter(|_| is_whole) {
            Some(data) => Content::Binary(data.to_owned()),
            None => Content::Json(node),
        };
        Ok(Some(Self { content, metadata }))
    }

    /// Decrypts it and checks its MAC.
    fn open(self, data_key: &[u8]) -> Result<Opened, String> {
        let mut walk = Walk::new(data_key, self.metadata.is_mac_of_encrypted)?;
        let bytes = match self.content {
            Content::Yaml(documents) => {
                let values = documents.into_iter().map(|document| walk.document(document));
                as_yaml(&values.collect::<Result<Vec<_>, _>>()?)
            }
            Content::Json(node) => serde_json::to_vec_pretty(&walk.document(node)?).unwrap_or_default(),
            Content::Dotenv(lines) => dotenv::open(lines, &mut walk)?,
            Content::Binary(data) => walk.leaf("data", "data:", &data)?.bytes,
        };
        walk.check(&self.metadata)?;
        Ok(Opened { bytes, secrets: walk.secrets })
    }
}

/// YAML as people write it, unless that would be read as something else: then JSON, which is YAML too.
fn as_yaml(values: &[Value]) -> Vec<u8> {
    let mut text = String::new();
    for value in values {
        if values.len() > 1 {
            text.push_str("---\n");
        }
        let pretty = serde_yaml::to_string(value).unwrap_or_default();
        let (read, problems) = yaml::documents("", pretty.as_bytes());
        if problems.is_empty() && read.len() == 1 && read.iter().all(|document| document.value == *value) {
            text.push_str(&pretty);
        } else {
            text.push_str(&value.to_string());
            text.push('\n');
        }
    }
    text.into_bytes()
}

/// Opens a file as the fuzzer does: whatever it holds, nothing may break.
#[cfg(feature = "fuzzing")]
pub fn probe(path: &str, bytes: &[u8], data_key: &[u8; 32]) {
    if let Ok(Some(file)) = File::read(path, bytes) {
        let _ = file.open(data_key);
    }
}

#[cfg(test)]
mod tests;
