//! Nouns of a container image: the repository a user names, a tag, a digest, and the reference they make together.
//! Everything is checked on the way in, so that nothing else can reach a file, a URL or a log line.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

mod platform;
mod tag_list;

pub use platform::Platform;
pub use tag_list::{TagList, TagListBuilder};

/// A text that is no image name, tag or digest, with the reason.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no {what}: {reason}")]
pub struct Invalid {
    what: &'static str,
    text: String,
    reason: &'static str,
}

fn invalid(what: &'static str, text: &str, reason: &'static str) -> Invalid {
    Invalid { what, text: text.chars().take(160).collect(), reason }
}

/// A tag, 1 to 128 characters of `[A-Za-z0-9_.-]`, not starting with `.` or `-` (OCI distribution specification).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Tag(Box<str>);

impl std::borrow::Borrow<str> for Tag {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl Tag {
    /// The tag's text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Tag {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        check_tag(text)?;
        Ok(Self(text.into()))
    }
}

fn check_tag(text: &str) -> Result<(), Invalid> {
    let bytes = text.as_bytes();
    if bytes.is_empty() || bytes.len() > 128 {
        return Err(invalid("tag", text, "it needs 1 to 128 characters"));
    }
    if matches!(bytes[0], b'.' | b'-') {
        return Err(invalid("tag", text, "it starts with a dot or a dash"));
    }
    if !bytes.iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-')) {
        return Err(invalid("tag", text, "only letters, digits, '_', '.' and '-' are allowed"));
    }
    Ok(())
}

/// A content digest such as `sha256:` and 64 hexadecimal digits (OCI image specification; sha256 and sha512).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Digest(Box<str>);

impl Digest {
    /// Algorithm and hexadecimal text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Digest {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let length = match text.split_once(':') {
            Some(("sha256", hex)) => (hex, 64),
            Some(("sha512", hex)) => (hex, 128),
            _ => return Err(invalid("digest", text, "it must start with sha256: or sha512:")),
        };
        let (hex, wanted) = length;
        if hex.len() != wanted || !hex.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
            return Err(invalid("digest", text, "the part after the colon is not the hash in lower-case hexadecimal"));
        }
        Ok(Self(text.into()))
    }
}

/// An image's repository as the user typed it, without tag: `registry.example.com/acme/app`, `nginx`.
///
/// Docker Hub's short names keep their spelling, since that is what goes into files; [`host`](Self::host) and
/// [`path`](Self::path) give what to ask for (`docker.io`, `library/nginx`), as Docker's reference grammar has it.
/// Clones share their memory.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Repository(Arc<Names>);

/// What a repository is called, by the user and by its registry.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Names {
    typed: Box<str>,
    host: Box<str>,
    path: Box<str>,
}

impl Repository {
    /// The name as the user typed it.
    pub fn as_str(&self) -> &str {
        &self.0.typed
    }

    /// The registry's host, with its port if it has one.
    pub fn host(&self) -> &str {
        &self.0.host
    }

    /// The path below `/v2/`.
    pub fn path(&self) -> &str {
        &self.0.path
    }
}

impl FromStr for Repository {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        const WHAT: &str = "image name";
        if text.contains("://") {
            return Err(invalid(WHAT, text, "leave out the scheme"));
        }
        if text.len() > 255 || text.is_empty() {
            return Err(invalid(WHAT, text, "it needs 1 to 255 characters"));
        }
        let last = text.rsplit('/').next().unwrap_or(text);
        if last.contains(':') || text.contains('@') {
            return Err(invalid(WHAT, text, "leave out the tag and the digest"));
        }
        let (host, path) = host_and_path(text);
        if !is_host(host) {
            return Err(invalid(WHAT, text, "the registry's host name or port is malformed"));
        }
        if !path.split('/').all(is_path_part) {
            let reason = "a path is lower-case letters, digits and single separators '.', '_', '-'";
            return Err(invalid(WHAT, text, reason));
        }
        let (host, path) = (host.into(), path.into());
        Ok(Self(Arc::new(Names { typed: text.into(), host, path })))
    }
}

/// Whom to ask for what (Docker's reference grammar): the first part is a host when it looks like one, else all of it is on Docker Hub,
/// and there what has one part is of `library`.
fn host_and_path(text: &str) -> (&str, Cow<'_, str>) {
    const HUB: &str = "docker.io";
    let is_like_host = |part: &str| part == "localhost" || part.contains(['.', ':']);
    let (host, path) = text.split_once('/').filter(|(first, _)| is_like_host(first)).unwrap_or((HUB, text));
    match host {
        HUB | "index.docker.io" if !path.contains('/') => (HUB, format!("library/{path}").into()),
        "index.docker.io" => (HUB, path.into()),
        _ => (host, path.into()),
    }
}

fn is_host(host: &str) -> bool {
    let (name, port) = match host.rsplit_once(':') {
        Some((name, port)) if !port.is_empty() => (name, port.parse::<u16>().is_ok()),
        Some(_) => return false,
        None => (host, true),
    };
    let is_label = |label: &str| {
        !label.is_empty()
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    port && name.split('.').all(is_label)
}

/// One part of a repository's path: `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*` (OCI distribution specification).
fn is_path_part(part: &str) -> bool {
    let is_alphanumeric = |b: &u8| matches!(b, b'a'..=b'z' | b'0'..=b'9');
    let bytes = part.as_bytes();
    let ends_well = bytes.first().is_some_and(is_alphanumeric) && bytes.last().is_some_and(is_alphanumeric);
    ends_well
        && bytes
            .split(is_alphanumeric)
            .all(|gap| matches!(gap, b"" | b"." | b"_" | b"__") || gap.iter().all(|b| *b == b'-'))
}

/// A whole reference: `name:tag`, `name@digest` or `name:tag@digest`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Image {
    /// The repository, as typed.
    pub name: Repository,
    /// The tag.
    pub tag: Tag,
    /// The digest that pins it.
    pub digest: Option<Digest>,
}

impl fmt::Display for Image {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.name, self.tag)?;
        self.digest.as_ref().map_or(Ok(()), |digest| write!(f, "@{digest}"))
    }
}

impl FromStr for Image {
    type Err = Invalid;

    /// Reads `name:tag[@digest]`; a reference without a tag is refused.
    fn from_str(text: &str) -> Result<Self, Invalid> {
        let (rest, digest) = match text.split_once('@') {
            Some((rest, digest)) => (rest, Some(digest.parse()?)),
            None => (text, None),
        };
        match rest.rsplit_once(':') {
            Some((name, tag)) if !tag.contains('/') => Ok(Self { name: name.parse()?, tag: tag.parse()?, digest }),
            _ => Err(invalid("image reference", text, "it has no tag")),
        }
    }
}

macro_rules! text_noun {
    ($($noun:ident),*) => {$(
        impl fmt::Display for $noun {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl TryFrom<String> for $noun {
            type Error = Invalid;

            fn try_from(text: String) -> Result<Self, Invalid> {
                text.parse()
            }
        }

        impl From<$noun> for String {
            fn from(noun: $noun) -> Self {
                noun.as_str().to_owned()
            }
        }
    )*};
}
text_noun!(Tag, Digest, Repository);

impl JsonSchema for Digest {
    fn schema_name() -> Cow<'static, str> {
        "Digest".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": "^(sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128})$" })
    }
}

impl JsonSchema for Tag {
    fn schema_name() -> Cow<'static, str> {
        "Tag".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": "^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$" })
    }
}

#[cfg(test)]
mod tests;
