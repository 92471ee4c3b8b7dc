//! A manifest × the live object → which of its fields others changed, to what, and who did. Values of Secrets never come out.

use std::fmt;

use serde_json::{Map, Value};

use super::{entries, is_apply_of, owned, path, text};

/// The most differences that are told of one object.
pub const DIFFERENCES: usize = 20;
/// The longest value in a message, in characters.
const SHOWN: usize = 80;
/// What stands for a Secret's value.
const MASK: &str = "***";

/// A field that is no longer as it was applied.
#[derive(Debug, Clone, PartialEq)]
pub struct FieldDrift {
    /// Where, such as `spec.template.spec.containers[name=app].image`.
    pub path: String,
    /// What Git holds.
    pub want: Value,
    /// What the cluster holds; none when it is gone.
    pub have: Option<Value>,
    /// The field manager that owns it now.
    pub manager: Option<String>,
    /// When that last wrote to the object.
    pub at: Option<String>,
}

impl FieldDrift {
    /// What was changed to what by whom, without the time.
    pub fn change(&self) -> String {
        FieldDrift { at: None, ..self.clone() }.to_string()
    }
}

impl FieldDrift {
    /// Shows neither value from now on.
    pub fn hide(&mut self) {
        self.want = MASK.into();
        self.have = self.have.take().map(|_| MASK.into());
    }
}

impl fmt::Display for FieldDrift {
    /// `spec.replicas is 5, Git has 3 (set by kubectl-scale)`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let have = self.have.as_ref().map_or_else(|| "missing".to_owned(), shown);
        write!(f, "{} is {have}, Git has {}", self.path, shown(&self.want))?;
        match (&self.manager, &self.at) {
            (Some(manager), Some(at)) => write!(f, " (set by {manager} at {at})"),
            (Some(manager), None) => write!(f, " (set by {manager})"),
            (None, _) => Ok(()),
        }
    }
}

fn shown(value: &Value) -> String {
    let text = value.to_string();
    if text.chars().count() <= SHOWN { text } else { text.chars().take(SHOWN).chain(['…']).collect() }
}

/// What others changed of a manifest's fields; at most [`DIFFERENCES`].
///
/// A field that the manager still owns was not changed, however differently the server writes its value (`1000m` is `1`): a
/// change takes the ownership away (Kubernetes: Server-Side Apply, conflicts).
pub fn differences(rendered: &Value, live: &Value, manager: &str) -> Vec<FieldDrift> {
    let others = entries(live).filter(|entry| !is_apply_of(entry, manager));
    let mut others: Vec<(Who<'_>, &Value)> = others
        .filter_map(|entry| Some(((text(entry, "manager"), text(entry, "time")), entry.get("fieldsV1")?)))
        .collect();
    // The one that wrote last is named first.
    others.reverse();
    let is_secret = text(rendered, "kind") == "Secret" && text(rendered, "apiVersion") == "v1";
    let mut walk = Walk { is_secret, found: Vec::new() };
    for (key, want) in
        rendered.as_object().into_iter().flatten().filter(|(key, _)| !matches!(key.as_str(), "apiVersion" | "kind"))
    {
        let place = Place { path: key.clone(), live: Some(live), set: owned(live, manager), others: others.clone() };
        walk.at(want, place.field(key));
    }
    walk.found
}

/// A field manager, and when it last wrote.
type Who<'a> = (&'a str, &'a str);

/// One place in the manifest, with what is there in the live object and in the field sets.
struct Place<'a> {
    path: String,
    live: Option<&'a Value>,
    set: Option<&'a Value>,
    others: Vec<(Who<'a>, &'a Value)>,
}

impl<'a> Place<'a> {
    /// The same path, with everything moved down to a field.
    fn field(self, name: &str) -> Self {
        let element = format!("f:{name}");
        Place {
            live: self.live.and_then(|live| live.get(name)),
            set: self.set.and_then(|set| set.get(&element)),
            others: self.others.iter().filter_map(|(manager, set)| Some((*manager, set.get(&element)?))).collect(),
            path: self.path,
        }
    }

    fn below(&self, path: String) -> Self {
        Place { path, live: self.live, set: self.set, others: self.others.clone() }
    }

    /// Moved down to an item of a list whose items have keys.
    fn item(&self, want: &Value, keys: &Map<String, Value>) -> Self {
        let named: Vec<String> = keys.iter().map(|(key, value)| format!("{key}={}", plain(value))).collect();
        let down = |set: &'a Value| path::element_of(set, want).map(|(_, child)| child);
        Place {
            path: format!("{}[{}]", self.path, named.join(",")),
            live: self.live.and_then(Value::as_array).and_then(|items| path::item(items, keys)),
            set: self.set.and_then(down),
            others: self.others.iter().filter_map(|(manager, set)| Some((*manager, down(set)?))).collect(),
        }
    }

    /// The keys of an item of the list that stands here, as the field sets know them; none when its items have none.
    fn keys_of(&self, item: &Value) -> Option<Map<String, Value>> {
        let sets = self.set.into_iter().chain(self.others.iter().map(|(_, set)| *set));
        let known = sets.flat_map(path::children).find_map(|(element, _)| path::keys(element))?;
        let keys = known.into_iter().filter_map(|(key, _)| {
            // The one key of the built-in kinds that has a default.
            let value = item.get(&key).cloned().or_else(|| (key == "protocol").then(|| Value::from("TCP")))?;
            Some((key, value))
        });
        Some(keys.collect()).filter(|keys: &Map<String, Value>| !keys.is_empty())
    }
}

struct Walk {
    is_secret: bool,
    found: Vec<FieldDrift>,
}

impl Walk {
    fn at(&mut self, want: &Value, place: Place<'_>) {
        // What is owned as a whole was not touched.
        if self.found.len() >= DIFFERENCES || place.set.is_some_and(|set| path::children(set).is_empty()) {
            return;
        }
        match want {
            Value::Object(map) if !map.is_empty() && place.live.is_none_or(Value::is_object) => {
                for (key, want) in map {
                    let is_identity = place.path == "metadata" && matches!(key.as_str(), "name" | "namespace");
                    if !is_identity {
                        self.at(want, place.below(join(&place.path, key)).field(key));
                    }
                }
            }
            Value::Array(items) if items.iter().any(|item| place.keys_of(item).is_some()) => {
                for item in items {
                    if let Some(keys) = place.keys_of(item) {
                        self.at(item, place.item(item, &keys));
                    }
                }
            }
            Value::Array(items) if place.is_value_list() => {
                for item in items {
                    let is_there = place.live.and_then(Value::as_array).is_some_and(|live| live.contains(item));
                    if !is_there {
                        self.note(&place, item, None);
                    }
                }
            }
            want => {
                if place.live != Some(want) {
                    self.note(&place, want, place.live);
                }
            }
        }
    }

    fn note(&mut self, place: &Place<'_>, want: &Value, have: Option<&Value>) {
        let top = place.path.split(['.', '[']).next();
        let is_hidden = self.is_secret && matches!(top, Some("data" | "stringData"));
        let show = |value: &Value| if is_hidden { Value::String(MASK.to_owned()) } else { value.clone() };
        if self.found.len() < DIFFERENCES {
            let who = place.others.first().map(|(who, _)| *who).filter(|_| have.is_some());
            let manager = who.map(|(manager, _)| manager.to_owned());
            let at = who.map(|(_, at)| at.to_owned()).filter(|at| !at.is_empty());
            let (want, have) = (show(want), have.map(show));
            self.found.push(FieldDrift { path: place.path.clone(), want, have, manager, at });
        }
    }
}

impl Place<'_> {
    /// Whether the list that stands here is a set of values.
    fn is_value_list(&self) -> bool {
        let sets = self.set.into_iter().chain(self.others.iter().map(|(_, set)| *set));
        sets.flat_map(path::children).any(|(element, _)| element.starts_with("v:"))
    }
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// `a.b`, or `a[b.c/d]` for a key that would not read as one step.
fn join(path: &str, key: &str) -> String {
    if key.contains(['.', '/', '[', ']']) { format!("{path}[{key}]") } else { format!("{path}.{key}") }
}
