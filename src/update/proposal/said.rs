//! What a request says that it changes, as keys: one for the place, one for the value there. Read from the same trailers as a
//! commit's; where they are too many for the host, the keys alone stand in their place.

use sha2::{Digest, Sha256};

use super::super::edit::Change;
use super::super::trailers::{self, Recorded};

/// The trailer with the keys alone, separated by blanks.
pub(super) const KEYS: &str = "Tagboat-Values";
/// How many bytes of a hash a key keeps; a request has some hundred keys.
const BYTES: usize = 6;
/// Characters of a key.
const CHARS: usize = BYTES * 2;

/// A value at its place.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Said {
    /// Stands for file, policy and field.
    pub place: String,
    /// Stands for the value too.
    pub value: String,
}

impl Said {
    /// The keys of a value: file, policy (`namespace:name`), field and the value.
    pub fn of(file: &str, policy: &str, field: &str, value: &str) -> Self {
        Self { place: key(&[file, policy, field]), value: key(&[file, policy, field, value]) }
    }

    fn read(word: &str) -> Option<Self> {
        let is_key = word.len() == 2 * CHARS && word.bytes().all(|byte| byte.is_ascii_hexdigit());
        let (place, value) = word.split_at_checked(CHARS).filter(|_| is_key)?;
        Some(Self { place: place.to_owned(), value: value.to_owned() })
    }
}

fn key(parts: &[&str]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    hex::encode(&hash.finalize()[..BYTES])
}

/// All that a description says, once each.
pub fn read(body: &str) -> Vec<Said> {
    let of = |recorded: Recorded| Said::of(&recorded.file, &recorded.policy, &recorded.field, &recorded.new);
    let whole = trailers::lines(body).into_iter().map(of);
    let keys = body.lines().filter_map(|line| line.trim().strip_prefix(KEYS)?.strip_prefix(':'));
    let mut all: Vec<Said> = whole.chain(keys.flat_map(str::split_whitespace).filter_map(Said::read)).collect();
    all.sort();
    all.dedup();
    all
}

/// The lines of a description for these changes, in no more than `room` bytes: whole trailers, or keys, or as many of them as fit.
pub(super) fn write(changes: &[Change], room: usize) -> String {
    let whole = trailers::write(changes);
    if whole.len() <= room {
        return whole;
    }
    let mut text = String::new();
    let keys = changes.iter().map(|change| {
        let Said { place, value } = Said::of(&change.file, &change.policy, &change.field.to_string(), &change.new);
        format!(" {place}{value}")
    });
    // A line for a few keys each, as no host breaks those.
    for keys in keys.collect::<Vec<_>>().chunks(4) {
        let line = format!("{KEYS}:{}\n", keys.concat());
        if text.len() + line.len() > room {
            break;
        }
        text.push_str(&line);
    }
    text
}
