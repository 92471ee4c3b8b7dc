//! A comment's text → the marker in it: which policy's choice belongs here, and which part of it.
//! Flux's grammar, so that repositories move over untouched; what Flux skips in silence is an error with a reason here.

use std::fmt;

use serde::Serialize;
use serde_json::Value;

/// The JSON key of a marker.
pub const KEY: &str = "$imagepolicy";

/// Which part of the chosen image a marker writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Field {
    /// The whole reference: `name:tag`, with `@digest` if the choice has one.
    Image,
    /// The tag.
    Tag,
    /// The image's name without tag and digest.
    Name,
    /// The digest.
    Digest,
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Image => "image",
            Self::Tag => "tag",
            Self::Name => "name",
            Self::Digest => "digest",
        })
    }
}

/// A marker that is well formed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Marker {
    /// The policy's namespace.
    pub namespace: String,
    /// The policy's name.
    pub name: String,
    /// What it writes.
    pub field: Field,
}

impl Marker {
    /// `namespace:name`.
    pub fn policy(&self) -> String {
        format!("{}:{}", self.namespace, self.name)
    }
}

/// Reads `{"$imagepolicy": "namespace:name[:tag|:name|:digest]"}` from a comment that holds [`KEY`]; `comment` is the
/// text after its first `#`. The JSON must be the whole comment, an object, and all its values must be text.
///
/// # Errors
/// Why it is no marker, and what to write instead.
pub fn parse(comment: &str) -> Result<Marker, String> {
    let json = json_of(comment);
    if !json.starts_with('{') {
        return Err(format!(
            "words before the marker's JSON: write # {{\"{KEY}\": \"namespace:name\"}} and nothing else"
        ));
    }
    if json.matches(KEY).count() > 1 {
        return Err("two markers in one comment: a value can follow only one policy".to_owned());
    }
    let mut values = serde_json::Deserializer::from_str(json).into_iter::<Value>();
    let object = match values.next() {
        Some(Ok(Value::Object(object))) => object,
        Some(Err(error)) => return Err(format!("the marker is no JSON: {}", without_place(&error.to_string()))),
        _ => return Err("the marker is no JSON object".to_owned()),
    };
    if !json[values.byte_offset()..].trim().is_empty() {
        return Err("words after the marker's JSON: the comment must end with its closing brace".to_owned());
    }
    if let Some((key, _)) = object.iter().find(|(_, value)| !value.is_string()) {
        return Err(format!("the marker's {key:?} is no text: put it into quotes"));
    }
    match object.get(KEY).and_then(Value::as_str) {
        Some(target) => parse_target(target),
        None => Err(format!("the marker has no key \"{KEY}\"")),
    }
}

/// The text in which a marker's JSON is looked for: any number of further `#` and blanks before it are fine.
pub(super) fn json_of(comment: &str) -> &str {
    comment.trim_start_matches(|c: char| c == '#' || c.is_whitespace()).trim_end()
}

fn parse_target(target: &str) -> Result<Marker, String> {
    let mut parts = target.splitn(3, ':');
    let (namespace, name) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    if !is_name(namespace) || !is_name(name) {
        return Err(format!("the marker's {target:?} names no policy: write \"namespace:name\""));
    }
    let field = match parts.next() {
        None => Field::Image,
        Some("tag") => Field::Tag,
        Some("name") => Field::Name,
        Some("digest") => Field::Digest,
        Some(other) => return Err(format!("the marker's suffix {other:?} is none of tag, name, digest")),
    };
    Ok(Marker { namespace: namespace.to_owned(), name: name.to_owned(), field })
}

/// Whether Kubernetes could name an object so (RFC 1123 subdomain, loosely).
fn is_name(text: &str) -> bool {
    let is_allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'.');
    !text.is_empty() && text.len() <= 253 && text.bytes().all(is_allowed)
}

/// serde's place counts from the comment's JSON and would mislead beside the file's line.
fn without_place(error: &str) -> &str {
    error.split(" at line ").next().unwrap_or(error)
}

#[cfg(test)]
mod tests;
