//! YAML and JSON as SOPS sees them: maps in their order, lists, leaves; and the walk that decrypts the leaves and sums them up in a MAC.

use granit_parser::{Event, Parser, ScalarStyle};
use serde_json::{Map, Value};
use sha2::{Digest, Sha512};

use super::metadata::Metadata;
use super::scalar::Scalar;
use super::value::{self, Kind, Plain};
use super::{ENCRYPTED, SOPS};

/// Begins a MAC of encrypted values alone, so that it is never one of all values (SOPS: `MACOnlyEncryptedInitialization`).
const OF_ENCRYPTED: [u8; 32] = [
    0x8a, 0x3f, 0xd2, 0xad, 0x54, 0xce, 0x66, 0x52, 0x7b, 0x10, 0x34, 0xf3, 0xd1, 0x47, 0xbe, 0x0b, 0x0b, 0x97, 0x5b,
    0x3b, 0xf4, 0x4f, 0x72, 0xc6, 0xfd, 0xad, 0xec, 0x81, 0x76, 0xf2, 0x7d, 0x69,
];
/// How deep values may nest.
const DEPTH: usize = 128;

/// A node.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Node {
    Null,
    Leaf(Scalar),
    Map(Vec<(String, Node)>),
    List(Vec<Node>),
}

impl Node {
    /// The value of a key.
    pub(super) fn get(&self, key: &str) -> Option<&Self> {
        let Self::Map(entries) = self else { return None };
        entries.iter().find(|(name, _)| name == key).map(|(_, value)| value)
    }

    /// Whether it has a key.
    pub(super) fn has(&self, key: &str) -> bool {
        self.get(key).is_some()
    }

    /// A key's value as text; empty when it has none.
    pub(super) fn text(&self, key: &str) -> String {
        match self.get(key) {
            Some(Self::Leaf(Scalar::Bool(is_true))) => is_true.to_string(),
            Some(Self::Leaf(scalar)) => scalar.mac(),
            _ => String::new(),
        }
    }

    /// The items of a list.
    pub(super) fn items(&self) -> &[Self] {
        if let Self::List(items) = self { items } else { &[] }
    }

    /// Of JSON.
    pub(super) fn of_json(value: &Value) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Bool(is_true) => Self::Leaf(Scalar::Bool(*is_true)),
            Value::Number(number) => Self::Leaf(match number.as_i64() {
                Some(number) => Scalar::Int(number),
                None => Scalar::Float(number.as_f64().unwrap_or_default()),
            }),
            Value::String(text) => Self::Leaf(Scalar::Text(text.clone())),
            Value::Array(items) => Self::List(items.iter().map(Self::of_json).collect()),
            Value::Object(fields) => {
                Self::Map(fields.iter().map(|(key, value)| (key.clone(), Self::of_json(value))).collect())
            }
        }
    }
}

/// A collection that is still open.
enum Open {
    Map(Vec<(String, Node)>, Option<String>),
    List(Vec<Node>),
}

/// Reads the documents of a YAML file.
///
/// # Errors
/// When it is no YAML, or has what SOPS never writes: aliases, keys that are no text, keys twice.
pub(super) fn read(text: &str) -> Result<Vec<Node>, String> {
    let options = granit_parser::options! { emit_comments: false };
    let mut parser = Parser::new_from_str_with_options(text, options);
    let (mut documents, mut open, mut root) = (Vec::new(), Vec::new(), None);
    while let Some(event) = parser.next_event() {
        let (event, span) = event.map_err(|error| format!("can't be read as YAML: {}", error.info()))?;
        let at = |reason: &str| format!("line {}: {reason}", span.start.line());
        let done = match event {
            Event::DocumentStart(..) => {
                root = None;
                continue;
            }
            Event::DocumentEnd => {
                documents.extend(root.take());
                continue;
            }
            Event::Scalar(text, style, _, _) => {
                let is_plain = style == ScalarStyle::Plain;
                let text = if span.is_empty() && is_plain { "" } else { text.as_ref() };
                let is_key = matches!(open.last(), Some(Open::Map(_, None)));
                let scalar =
                    if is_plain && !is_key { Scalar::plain(text) } else { Some(Scalar::Text(text.to_owned())) };
                scalar.map_or(Node::Null, Node::Leaf)
            }
            Event::MappingStart(..) | Event::SequenceStart(..) if open.len() >= DEPTH => {
                return Err(at(&format!("values nest deeper than {DEPTH} levels")));
            }
            Event::MappingStart(..) => {
                open.push(Open::Map(Vec::new(), None));
                continue;
            }
            Event::SequenceStart(..) => {
                open.push(Open::List(Vec::new()));
                continue;
            }
            Event::MappingEnd | Event::SequenceEnd => match open.pop() {
                Some(Open::Map(entries, _)) => Node::Map(entries),
                Some(Open::List(items)) => Node::List(items),
                None => continue,
            },
            Event::Alias(..) => return Err(at("an alias, which SOPS never writes")),
            _ => continue,
        };
        match open.last_mut() {
            None => root = Some(done),
            Some(Open::List(items)) => items.push(done),
            Some(Open::Map(entries, key)) => match key.take() {
                Some(key) => entries.push((key, done)),
                None => match done {
                    Node::Leaf(Scalar::Text(name)) if entries.iter().any(|(other, _)| *other == name) => {
                        return Err(at("a key that is there twice"));
                    }
                    Node::Leaf(Scalar::Text(name)) => *key = Some(name),
                    _ => return Err(at("a key that is no text")),
                },
            },
        }
    }
    Ok(documents)
}

/// Decrypts leaf after leaf.
pub(super) struct Walk<'a> {
    data_key: &'a [u8],
    is_mac_of_encrypted: bool,
    mac: Sha512,
    /// What must not be shown.
    pub secrets: Vec<String>,
}

impl<'a> Walk<'a> {
    pub(super) fn new(data_key: &'a [u8], is_mac_of_encrypted: bool) -> Result<Self, String> {
        let mut mac = Sha512::new();
        if is_mac_of_encrypted {
            mac.update(OF_ENCRYPTED);
        }
        Ok(Self { data_key, is_mac_of_encrypted, mac, secrets: Vec::new() })
    }

    /// A whole document, without what SOPS added.
    pub(super) fn document(&mut self, node: Node) -> Result<Value, String> {
        let node = match node {
            Node::Map(entries) => Node::Map(entries.into_iter().filter(|(key, _)| key != SOPS).collect()),
            other => other,
        };
        self.node(node, &mut Vec::new())
    }

    fn node(&mut self, node: Node, path: &mut Vec<String>) -> Result<Value, String> {
        match node {
            Node::Null => Ok(Value::Null),
            // Items of a list have their list's place.
            Node::List(items) => items.into_iter().map(|item| self.node(item, path)).collect(),
            Node::Map(entries) => {
                let mut fields = Map::new();
                for (key, value) in entries {
                    path.push(key.clone());
                    fields.insert(key, self.node(value, path)?);
                    path.pop();
                }
                Ok(Value::Object(fields))
            }
            Node::Leaf(Scalar::Text(text)) if text.starts_with(ENCRYPTED) => {
                let (shown, place) = (path.join("."), format!("{}:", path.join(":")));
                let is_name = matches!(path.first().map(String::as_str), Some("apiVersion" | "kind" | "metadata"));
                let known = self.secrets.len();
                let plain = self.leaf(&shown, &place, &text)?;
                if is_name {
                    // What an object is called is in every message.
                    self.secrets.truncate(known);
                }
                typed(plain).map(Scalar::value).map_err(|reason| at(&shown, reason))
            }
            Node::Leaf(scalar) => {
                self.pass(&scalar.mac());
                Ok(scalar.value())
            }
        }
    }

    /// A value that was not encrypted.
    pub(super) fn pass(&mut self, text: &str) {
        if !self.is_mac_of_encrypted {
            self.mac.update(text);
        }
    }

    /// One encrypted value.
    pub(super) fn leaf(&mut self, shown: &str, place: &str, text: &str) -> Result<Plain, String> {
        let plain = value::open(text, self.data_key, place).map_err(|reason| at(shown, reason))?;
        if plain.kind != Kind::Comment {
            self.mac.update(&plain.bytes);
        }
        if !matches!(plain.kind, Kind::Bool | Kind::Comment) {
            self.secrets.extend(String::from_utf8(plain.bytes.clone()));
        }
        Ok(plain)
    }

    /// Compares the sum of all leaves with the one that was written.
    pub(super) fn check(&mut self, metadata: &Metadata) -> Result<(), String> {
        const BROKEN: &str = "its MAC does not match: something was added, removed or changed after it was encrypted; change it with `sops edit`";
        let written = value::open(&metadata.mac, self.data_key, &metadata.last_modified).map_err(|_| BROKEN)?;
        let sum = hex::encode_upper(std::mem::take(&mut self.mac).finalize());
        if sum.as_bytes() == written.bytes { Ok(()) } else { Err(BROKEN.to_owned()) }
    }
}

fn at(shown: &str, reason: &str) -> String {
    format!("the value at {shown} {reason}")
}

/// What a decrypted value is.
fn typed(plain: Plain) -> Result<Scalar, &'static str> {
    let text = String::from_utf8(plain.bytes)
        .map_err(|_| "is no text; encrypt the file as a whole (`--input-type binary`)")?;
    let unfit = "is not of the type that it says";
    Ok(match plain.kind {
        Kind::Text | Kind::Bytes | Kind::Comment => Scalar::Text(text),
        Kind::Time => Scalar::Time(text),
        Kind::Int => Scalar::Int(text.parse().map_err(|_| unfit)?),
        Kind::Float => Scalar::Float(text.parse().map_err(|_| unfit)?),
        Kind::Bool => Scalar::Bool(text.eq_ignore_ascii_case("true")),
    })
}
