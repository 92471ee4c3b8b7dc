//! Edits of marked files. Input: a file; the policies are those of [`choices`], all of namespace `apps`.

use serde_yaml::Value;
use tagboat::update::edit::{Change, Choices, Edited, Known, edit};

/// What the policies chose: values that read as something else than text are among them.
pub fn choices() -> Choices {
    let pinned = format!("ghcr.io/acme/pinned:2.0.0@sha256:{}", "a1".repeat(32));
    let chosen = [
        ("web", "x.io/acme/web:1.5.0"),
        ("pinned", pinned.as_str()),
        ("ten", "acme/ten:1.10"),
        ("word", "acme/word:on"),
        ("sixty", "1:30"),
    ];
    let image = |image: &str| Known::Chosen(image.parse().expect("it is an image"));
    let mut choices: Choices = chosen.iter().map(|(name, text)| (format!("apps:{name}"), image(text))).collect();
    choices.insert("apps:waiting".into(), Known::Undecided);
    choices
}

pub fn run(input: &[u8]) {
    let edited = edit("f.yaml", input, &choices(), Some("apps"));
    let bytes = check(input, &edited);
    let again = edit("f.yaml", bytes, &choices(), Some("apps"));
    assert_eq!(again, Edited { bytes: None, changes: Vec::new(), ..edited }, "a second run rests");
}

/// The new bytes, in which another YAML reader finds nothing changed but what the changes say.
fn check<'a>(before: &'a [u8], edited: &'a Edited) -> &'a [u8] {
    assert_eq!(edited.bytes.is_some(), !edited.changes.is_empty(), "every change is told");
    let Some(after) = &edited.bytes else { return before };
    if let Some(old) = documents(before) {
        let new = documents(after).expect("it is YAML as before");
        assert_eq!(old.len(), new.len(), "as many documents");
        let changed: usize = old.iter().zip(&new).map(|(old, new)| differences(old, new, &edited.changes)).sum();
        assert!(changed >= 1, "the other reader sees the change too");
    }
    after
}

/// What another reader makes of a text; nothing when it doesn't take it.
fn documents(bytes: &[u8]) -> Option<Vec<Value>> {
    use serde::Deserialize;
    let documents = serde_yaml::Deserializer::from_str(std::str::from_utf8(bytes).ok()?);
    documents.map(|document| Value::deserialize(document).ok()).collect()
}

fn differences(old: &Value, new: &Value, changes: &[Change]) -> usize {
    match (old, new) {
        (Value::Sequence(old), Value::Sequence(new)) => {
            assert_eq!(old.len(), new.len(), "no item comes or goes");
            old.iter().zip(new).map(|(old, new)| differences(old, new, changes)).sum()
        }
        (Value::Mapping(old), Value::Mapping(new)) => {
            assert!(old.keys().eq(new.keys()), "no key comes or goes");
            old.values().zip(new.values()).map(|(old, new)| differences(old, new, changes)).sum()
        }
        (Value::Tagged(old), Value::Tagged(new)) => {
            assert_eq!(old.tag, new.tag, "tags stay");
            differences(&old.value, &new.value, changes)
        }
        _ if old == new => 0,
        (_, Value::String(text)) => {
            assert!(changes.iter().any(|change| change.new == *text), "{text} is no change");
            1
        }
        _ => panic!("{new:?} instead of {old:?}"),
    }
}
