//! dotenv files: one `NAME=value` a line; SOPS's own lines begin with `sops_`.

use std::collections::BTreeMap;

use super::ENCRYPTED;
use super::metadata::Metadata;
use super::tree::Walk;

/// A line of the file.
pub(super) enum Line {
    Comment(String),
    Entry(String, String),
}

/// Reads the lines, and SOPS's own among them.
///
/// # Errors
/// A line that is neither, and broken metadata.
pub(super) fn read(text: &str) -> Result<(Vec<Line>, Metadata), String> {
    let (mut lines, mut own) = (Vec::new(), BTreeMap::new());
    for (number, line) in (1..).zip(text.lines()) {
        if let Some(comment) = line.strip_prefix('#') {
            lines.push(Line::Comment(comment.to_owned()));
        } else if let Some((name, value)) = line.split_once('=') {
            // A line end in a value is written as two characters.
            let value = value.replace("\\n", "\n");
            match name.strip_prefix("sops_") {
                Some(field) => drop(own.insert(field.to_owned(), value)),
                None => lines.push(Line::Entry(name.to_owned(), value)),
            }
        } else if !line.trim().is_empty() {
            return Err(format!("line {number} is no NAME=value"));
        }
    }
    let metadata = Metadata::of_lines(&|field| own.get(field).cloned())?;
    Ok((lines, metadata))
}

/// The file as it was.
pub(super) fn open(lines: Vec<Line>, walk: &mut Walk<'_>) -> Result<Vec<u8>, String> {
    let mut text = Vec::new();
    for line in lines {
        match line {
            Line::Comment(comment) if comment.starts_with(ENCRYPTED) => {
                text.push(b'#');
                text.extend(walk.leaf("a comment", ":", &comment)?.bytes);
            }
            Line::Comment(comment) => text.extend(format!("#{comment}").into_bytes()),
            Line::Entry(name, value) => {
                let value = if value.starts_with(ENCRYPTED) {
                    walk.leaf(&name, &format!("{name}:"), &value)?.bytes
                } else {
                    walk.pass(&value);
                    value.into_bytes()
                };
                text.extend(format!("{name}=").into_bytes());
                text.extend(value.split(|byte| *byte == b'\n').collect::<Vec<_>>().join(&b"\\n"[..]));
            }
        }
        text.push(b'\n');
    }
    Ok(text)
}
