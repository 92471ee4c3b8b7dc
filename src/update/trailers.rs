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

/// The trailers of a message, wherever people and hosts have moved them: a squash appends whole messages, a merge request's text
/// stands above or below, `git merge --squash` indents, GitHub puts a bullet before each commit, an editor makes line ends CRLF.
/// A trailer must be whole on its line; one that was wrapped, cut, or quoted (`> `) is none.
///
/// A message that takes something back says nothing of its own, even if it quotes what it takes back: that is one whose first
/// line is Git's or a host's for a revert (`Revert "…"`, or `Reapply "…"` for the revert of a revert), or that says `This
/// reverts commit` above the first trailer. In a squash the revert comes below the trailers that it takes back: those count,
/// as the value that they name was written and is no longer there. A cherry-pick writes the same values again, so it counts.
pub fn read(message: &str) -> Vec<Recorded> {
    let mut found = Vec::new();
    for (at, line) in message.trim_start().lines().enumerate() {
        if let Some(recorded) = read_line(line) {
            found.push(recorded);
        } else if found.is_empty() && takes_back(at, line) {
            return Vec::new();
        }
    }
    found
}

/// Every trailer of a text, also of one that takes something back.
pub fn lines(text: &str) -> Vec<Recorded> {
    text.lines().filter_map(read_line).collect()
}

fn takes_back(at: usize, line: &str) -> bool {
    let line = unadorned(line);
    (at == 0 && ["Revert \"", "Reapply \""].iter().any(|words| line.starts_with(words)))
        || ["This reverts commit ", "This reverts merge request "].iter().any(|words| line.starts_with(words))
}

/// One trailer: its key, a colon, a JSON array of exactly our six values.
fn read_line(line: &str) -> Option<Recorded> {
    let value = unadorned(line).strip_prefix(KEY)?.strip_prefix(':')?;
    let (policy, file, line, field, old, new) = serde_json::from_str(value).ok()?;
    Some(Recorded { policy, file, line, field, old, new })
}

/// A line without what a squash puts before it: blanks, and one bullet.
fn unadorned(line: &str) -> &str {
    let line = line.trim();
    ["* ", "- "].iter().find_map(|bullet| line.strip_prefix(bullet)).map_or(line, str::trim_start)
}

#[cfg(test)]
mod tests;
