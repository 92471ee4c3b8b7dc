//! Reads YAML the way `kubectl apply` does (YAML 1.1 scalars as go-yaml v2 resolves them), from bytes to JSON values.
//! Each document stands for itself: a broken one is a problem with its line, the others are still read.

use std::collections::HashMap;

use granit_parser::{Event, Parser, ScalarStyle, Span};
use serde_json::{Map, Value};

use crate::failure::printable;
use crate::object::Problem;

mod scalar;

/// What aliases may copy in one file: one for each node and one for each 64 bytes of text. It bounds memory at about 100 MB.
const ALIAS_BUDGET: usize = 1_000_000;
/// How deep values may nest, aliases included; the parser itself stops at 255.
const DEPTH: usize = 256;

/// One document of a file.
#[derive(Debug, Clone, PartialEq)]
pub struct Document {
    /// The line of its first node, from 1.
    pub line: u32,
    /// What it holds; never null.
    pub value: Value,
}

/// Reads every document of a YAML or JSON file; empty ones are left out. `file` only names the place in problems.
pub fn documents(file: &str, bytes: &[u8]) -> (Vec<Document>, Vec<Problem>) {
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text.strip_prefix('\u{feff}').unwrap_or(text),
        Err(error) => {
            let before = bytes.get(..error.valid_up_to()).unwrap_or_default();
            let line = 1 + before.iter().filter(|byte| **byte == b'\n').count();
            return (Vec::new(), vec![problem(file, line, "is not UTF-8; save the file as UTF-8")]);
        }
    };
    let options = granit_parser::options! { emit_comments: false };
    let mut parser = Parser::new_from_str_with_options(text, options);
    let mut loader = Loader { budget: ALIAS_BUDGET, ..Loader::default() };
    let (mut documents, mut problems) = (Vec::new(), Vec::new());
    loop {
        match parser.next_event() {
            None => break,
            Some(Ok((event, span))) => match loader.event(event, &span) {
                Ok(None) => {}
                Ok(Some(document)) => documents.push(document),
                Err(reason) => {
                    problems.push(problem(file, span.start.line(), &reason));
                    loader.skip();
                }
            },
            Some(Err(error)) => {
                if !loader.is_skipping {
                    let reason = format!("can't be read as YAML: {}", error.info());
                    problems.push(problem(file, error.marker().line(), &reason));
                }
                loader.skip();
                if !matches!(parser.proceed_next_document(), Ok(true)) {
                    break;
                }
            }
        }
    }
    (documents, problems)
}

fn problem(file: &str, line: usize, reason: &str) -> Problem {
    let line = u32::try_from(line).unwrap_or(u32::MAX);
    Problem { file: file.to_owned(), line, reason: printable(reason, 300) }
}

/// A finished node, what a copy of it costs, and how deep it is.
#[derive(Debug, Clone)]
struct Node {
    value: Value,
    cost: usize,
    depth: usize,
    /// A plain `<<` that asks for a merge when it is a key.
    is_merge: bool,
}

/// A collection that is still open.
#[derive(Debug)]
struct Open {
    anchor: usize,
    collection: Collection,
    cost: usize,
    depth: usize,
}

#[derive(Debug)]
enum Collection {
    List(Vec<Value>),
    Map(Map<String, Value>, Option<Key>),
}

/// A key that waits for its value.
#[derive(Debug)]
enum Key {
    Text(String),
    Merge,
}

/// What is known within one document; the budget is the whole file's.
#[derive(Debug, Default)]
struct Loader {
    open: Vec<Open>,
    root: Option<Value>,
    line: usize,
    anchors: HashMap<usize, Node>,
    budget: usize,
    is_skipping: bool,
}

impl Loader {
    /// Leaves out the rest of a broken document.
    fn skip(&mut self) {
        self.reset();
        self.is_skipping = true;
    }

    fn reset(&mut self) {
        self.open.clear();
        self.root = None;
        self.line = 0;
        self.anchors.clear();
        self.is_skipping = false;
    }

    /// Takes the next event; the end of a document may hand it out.
    fn event(&mut self, event: Event<'_>, span: &Span) -> Result<Option<Document>, String> {
        match event {
            Event::DocumentStart(..) => {
                self.reset();
                return Ok(None);
            }
            Event::DocumentEnd => {
                let line = u32::try_from(self.line).unwrap_or(u32::MAX);
                let root = self.root.take().filter(|root| !root.is_null());
                self.reset();
                return Ok(root.map(|value| Document { line, value }));
            }
            _ if self.is_skipping => return Ok(None),
            _ => {}
        }
        let is_node = matches!(event, Event::Scalar(..) | Event::SequenceStart(..) | Event::MappingStart(..));
        if is_node && self.line == 0 {
            self.line = span.start.line();
        }
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let text = if span.is_empty() && style == ScalarStyle::Plain { "" } else { text.as_ref() };
                let value = scalar::resolve(text, style == ScalarStyle::Plain, tag.as_deref())?;
                let is_merge = text == "<<" && style == ScalarStyle::Plain && tag.is_none();
                let node = Node { value, cost: 1 + text.len() / 64, depth: 0, is_merge };
                self.finish(anchor, node)?;
            }
            Event::SequenceStart(_, anchor, _) => self.start(anchor, Collection::List(Vec::new())),
            Event::MappingStart(_, anchor, _) => self.start(anchor, Collection::Map(Map::new(), None)),
            Event::SequenceEnd | Event::MappingEnd => self.close()?,
            Event::Alias(anchor) => {
                let node = self.anchors.get(&anchor).ok_or("an anchor's value contains itself")?;
                self.budget = spend(self.budget, node.cost)?;
                let node = node.clone();
                self.add(node)?;
            }
            _ => {}
        }
        Ok(None)
    }

    fn start(&mut self, anchor: usize, collection: Collection) {
        self.open.push(Open { anchor, collection, cost: 1, depth: 0 });
    }

    fn close(&mut self) -> Result<(), String> {
        let Some(Open { anchor, collection, cost, depth }) = self.open.pop() else { return Ok(()) };
        let value = match collection {
            Collection::List(items) => Value::Array(items),
            Collection::Map(entries, _) => Value::Object(entries),
        };
        self.finish(anchor, Node { value, cost, depth: depth + 1, is_merge: false })
    }

    /// A whole node: remembered under its anchor, and added to what is open.
    fn finish(&mut self, anchor: usize, node: Node) -> Result<(), String> {
        if anchor != 0 {
            // Nested anchors would otherwise copy the same text many times.
            self.budget = spend(self.budget, node.cost)?;
            self.anchors.insert(anchor, node.clone());
        }
        self.add(node)
    }

    fn add(&mut self, node: Node) -> Result<(), String> {
        if self.open.len() + node.depth > DEPTH {
            return Err(format!("values nest deeper than {DEPTH} levels"));
        }
        let Some(parent) = self.open.last_mut() else {
            self.root = Some(node.value);
            return Ok(());
        };
        parent.cost += node.cost;
        parent.depth = parent.depth.max(node.depth);
        match &mut parent.collection {
            Collection::List(items) => items.push(node.value),
            Collection::Map(entries, waiting) => match waiting.take() {
                None => *waiting = Some(if node.is_merge { Key::Merge } else { Key::Text(key(node.value)?) }),
                // The last of two equal keys wins.
                Some(Key::Text(key)) => drop(entries.insert(key, node.value)),
                Some(Key::Merge) => merge(entries, node.value)?,
            },
        }
        Ok(())
    }
}

fn spend(budget: usize, cost: usize) -> Result<usize, String> {
    budget.checked_sub(cost).ok_or_else(|| "aliases make the file too large; write the values out".to_owned())
}

/// A key as text; go-yaml's words for the kinds that it can be.
fn key(value: Value) -> Result<String, String> {
    match value {
        Value::String(text) => Ok(text),
        Value::Bool(value) => Ok(value.to_string()),
        Value::Number(number) => Ok(number.to_string()),
        Value::Null => Err("a key is null; quote it".to_owned()),
        Value::Array(_) | Value::Object(_) => Err("a key is a list or a mapping; only text can be a key".to_owned()),
    }
}

/// A merge overrides the keys before it, as go-yaml v2 does; of a list of mappings the first one wins.
fn merge(into: &mut Map<String, Value>, from: Value) -> Result<(), String> {
    match from {
        Value::Object(entries) => {
            into.extend(entries);
            Ok(())
        }
        Value::Array(list) if list.iter().all(Value::is_object) => {
            list.into_iter()
                .rev()
                .filter_map(|item| if let Value::Object(entries) = item { Some(entries) } else { None })
                .for_each(|entries| into.extend(entries));
            Ok(())
        }
        _ => Err("`<<` needs a mapping or a list of mappings".to_owned()),
    }
}

#[cfg(test)]
mod tests;
