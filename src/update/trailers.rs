//! What a commit says about itself for machines: one trailer for each changed value (Git: interpret-trailers), which stays
//! readable when a person edits the text above it.

use super::edit::Change;

/// The trailers' key. Its value is a JSON array: policy, file, line, field, old value, new value.
pub const KEY: &str = "Tagboat-Update";

/// One trailer, read back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recorded {
    /// `namespace:name`.
    pub policy: String,
    /// The file, from the repository's root.
    pub file: String,
    /// The value's line.
    pub line: u32,
    /// Which part of the reference.
    pub field: String,
    /// The value before.
    pub old: String,
    /// The value that was written.
    pub new: String,
}

/// The trailers of a commit, one a line.
pub fn write(changes: &[Change]) -> String {
    let mut text = String::new();
    for change in changes {
        let Change { file, line, policy, field, old, new } = change;
        // JSON escapes line breaks, so that no file name can end its trailer and start another one.
        let value = serde_json::json!([policy, file, line, field.to_string(), old, new]);
        text.push_str(&format!("{KEY}: {value}\n"));
    }
    text
}

/// The trailers of a message; lines of another form are no trailers of ours.
pub fn read(message: &str) -> Vec<Recorded> {
    let last = message.trim_end().rsplit("\n\n").next().unwrap_or_default();
    let values = last.lines().filter_map(|line| line.strip_prefix(KEY)?.strip_prefix(": "));
    let read = |value: &str| -> Option<Recorded> {
        let (policy, file, line, field, old, new) = serde_json::from_str(value).ok()?;
        Some(Recorded { policy, file, line, field, old, new })
    };
    values.filter_map(read).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::update::edit::Field;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn any_change_reads_back(file in "\\PC{1,20}|[a-z\\n\\r:#]{1,10}", old in "\\PC{0,20}", new in "[a-z0-9.:]{1,20}") {
            let change = Change { file: file.clone(), line: 7, policy: "web:app".into(), field: Field::Tag, old: old.clone(), new: new.clone() };
            let message = format!("update app\n\nwhy\n\n{}", write(&[change.clone(), change]));
            let recorded = Recorded { policy: "web:app".into(), file, line: 7, field: "tag".into(), old, new };
            prop_assert_eq!(read(&message), vec![recorded.clone(), recorded]);
        }
    }

    #[test]
    fn other_lines_are_not_ours() {
        assert_eq!(read("update\n\nTagboat-Update: [1]\nSigned-off-by: x\nTagboat-Update: nonsense"), []);
        assert_eq!(read(""), []);
    }
}
