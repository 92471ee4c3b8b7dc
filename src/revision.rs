//! Noun: a commit and what led to it, printed the way Flux's users know it: `main@sha1:<commit>`.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// A commit's object id in lower-case hexadecimal, 40 digits (SHA-1) or 64 (SHA-256).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct CommitId(Box<str>);

impl CommitId {
    /// All hexadecimal digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The first eight digits, for people.
    pub fn short(&self) -> &str {
        &self.0[..8]
    }
}

impl FromStr for CommitId {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let is_hex = text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        if matches!(text.len(), 40 | 64) && is_hex {
            Ok(Self(text.into()))
        } else {
            Err(format!("{:?} is no commit id", text.chars().take(80).collect::<String>()))
        }
    }
}

impl TryFrom<String> for CommitId {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<CommitId> for String {
    fn from(id: CommitId) -> Self {
        id.0.into()
    }
}

impl fmt::Display for CommitId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What is followed, and the commit that it led to when it was read.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Revision {
    /// The short name of a branch or tag, or the full name of a ref; empty for a commit that is followed alone.
    pub name: String,
    /// The commit.
    pub commit: CommitId,
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let algorithm = if self.commit.0.len() == 64 { "sha256" } else { "sha1" };
        if !self.name.is_empty() {
            write!(f, "{}@", self.name)?;
        }
        write!(f, "{algorithm}:{}", self.commit)
    }
}

impl FromStr for Revision {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, commit) = match text.rsplit_once('@') {
            Some((name, commit)) => (name, commit.split_once(':').map_or(commit, |(_, commit)| commit)),
            None => ("", text.split_once(':').ok_or_else(|| format!("{text:?} is no revision"))?.1),
        };
        Ok(Self { name: name.to_owned(), commit: commit.parse()? })
    }
}

impl TryFrom<String> for Revision {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Revision> for String {
    fn from(revision: Revision) -> Self {
        revision.to_string()
    }
}

/// The schemas say what can be read, so that the API server lets no status in that would hide all objects of its kind.
macro_rules! text_schema {
    ($($noun:ident: $pattern:literal),*) => {$(
        impl JsonSchema for $noun {
            fn schema_name() -> Cow<'static, str> {
                stringify!($noun).into()
            }

            fn inline_schema() -> bool {
                true
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({ "type": "string", "pattern": $pattern })
            }
        }
    )*};
}
text_schema!(CommitId: "^([0-9a-f]{40}|[0-9a-f]{64})$", Revision: "^(.+@)?(sha1:[0-9a-f]{40}|sha256:[0-9a-f]{64})$");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_revision_reads_back_what_it_prints() {
        let text = format!("release@2/x@sha1:{}", "a1".repeat(20));
        let revision: Revision = text.parse().unwrap();
        assert_eq!((revision.name.as_str(), revision.commit.short()), ("release@2/x", "a1a1a1a1"));
        assert_eq!(revision.to_string(), text);
        let alone = format!("sha1:{}", "a1".repeat(20));
        let revision: Revision = alone.parse().unwrap();
        assert_eq!((revision.name.as_str(), revision.to_string()), ("", alone));
    }

    #[test]
    fn what_is_no_commit() {
        for bad in ["main@sha1:xyz", "main", "a1a1a1a1", &"a1".repeat(20), &format!("main@sha1:{}", "A1".repeat(20))] {
            assert!(bad.parse::<Revision>().is_err(), "{bad:?}");
        }
    }
}
