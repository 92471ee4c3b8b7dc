//! A JSON text and a path → the one string there, in bytes; and whether a new text differs only in such strings.

use std::ops::Range;

use serde_json::Value;

use super::key_path::{KeyPath, Step};
use super::sheet::Refusal;
use crate::update::edit::Field;
use crate::update::edit::claims::{Claim, Slot, Want};
use crate::update::edit::places::Lines;
use crate::update::edit::splice::{Fill, Meant, Splice};

/// A string of a JSON text.
#[derive(Debug)]
pub(super) struct Text {
    range: Range<usize>,
    old: String,
    steps: Vec<Value>,
    /// Its line, from 1.
    pub line: u32,
}

impl Text {
    /// Adds the wish that it be `new`.
    pub(super) fn claim(self, claim: &mut Claim, field: Field, new: String) {
        claim.wants.push(Want { slot: Slot::At(self.range.start), line: self.line, value: new.clone() });
        if self.old != new {
            let fill = Fill { policy: claim.policy.clone(), field, old: self.old, new: new.clone(), at: 0 };
            let source = Value::from(new.as_str()).to_string();
            let meant = Meant::Json(self.steps, new);
            claim.splices.push(Splice { range: self.range, source, meant, fills: vec![fill] });
        }
    }
}

/// The text without a byte order mark, and how long that is.
fn body(text: &str) -> (&str, usize) {
    let body = text.strip_prefix('\u{feff}').unwrap_or(text);
    (body, text.len() - body.len())
}

/// The string at a path.
///
/// # Errors
/// When the text is no JSON, when the path leads nowhere or to another type, and when a key on it stands twice.
pub(super) fn find(text: &str, path: &KeyPath) -> Result<Text, Refusal> {
    let (body, mark) = body(text);
    if let Err(error) = serde_json::from_str::<Value>(body) {
        let reason = error.to_string();
        let reason = reason.split(" at line ").next().unwrap_or_default();
        return Err((u32::try_from(error.line()).unwrap_or(0), format!("the file is no JSON: {reason}")));
    }
    let lines = Lines::new(text);
    let mut scan = Scan { bytes: body.as_bytes(), at: 0 };
    scan.blank();
    for step in path.steps() {
        let line = lines.line(mark + scan.at);
        scan.enter(step).map_err(|reason| (line, reason))?;
    }
    let line = lines.line(mark + scan.at);
    let start = scan.at;
    let kind = scan.bytes.get(start);
    if kind != Some(&b'"') {
        let what = match kind {
            Some(b'{') => "an object: name one value in it",
            Some(b'[') => "a list: name one value in it",
            _ => "no string: write it in quotes",
        };
        return Err((line, format!("it is {what}")));
    }
    scan.skip();
    let old = serde_json::from_str(&body[start..scan.at]).map_err(|_| (line, "it is no string".to_owned()))?;
    let steps = path.steps().iter().map(|step| match step {
        Step::Key(key) => Value::from(key.as_str()),
        Step::Item(item) => Value::from(*item),
    });
    Ok(Text { range: mark + start..mark + scan.at, old, steps: steps.collect(), line })
}

/// Whether a text reads as before but for the strings that were meant to change.
pub(in crate::update) fn is_only(before: &str, after: &str, splices: &[Splice]) -> bool {
    let read = |text: &str| serde_json::from_str::<Value>(body(text).0).ok();
    let (Some(mut wanted), Some(after)) = (read(before), read(after)) else { return false };
    for splice in splices {
        let Meant::Json(steps, new) = &splice.meant else { return false };
        let place = steps.iter().try_fold(&mut wanted, |here, step| match step {
            Value::String(key) => here.get_mut(key),
            step => here.get_mut(usize::try_from(step.as_u64()?).ok()?),
        });
        let Some(place) = place else { return false };
        *place = Value::from(new.as_str());
    }
    wanted == after
}

/// A way through bytes that are valid JSON.
struct Scan<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Scan<'_> {
    fn blank(&mut self) {
        while self.bytes.get(self.at).is_some_and(|b| b.is_ascii_whitespace()) {
            self.at += 1;
        }
    }

    /// Goes over a byte and the blanks after it.
    fn over(&mut self) {
        self.at += 1;
        self.blank();
    }

    /// Goes to the value of a step in the value that begins here.
    fn enter(&mut self, step: &Step) -> Result<(), String> {
        let open = self.bytes.get(self.at).copied();
        match (step, open) {
            (Step::Key(key), Some(b'{')) => self.member(key),
            (Step::Item(item), Some(b'[')) => self.item(*item),
            (Step::Key(key), Some(b'[')) => Err(format!("{key} is asked of a list: write an item, as in [0]")),
            (Step::Item(item), Some(b'{')) => Err(format!("[{item}] is asked of an object: write a key")),
            (Step::Key(key), _) => Err(format!("there is no key {key} here, only one value")),
            (Step::Item(item), _) => Err(format!("there is no item [{item}] here, only one value")),
        }
    }

    fn member(&mut self, key: &str) -> Result<(), String> {
        let mut found = None;
        self.over();
        while self.bytes.get(self.at) == Some(&b'"') {
            let start = self.at;
            self.skip();
            let name: Option<String> = serde_json::from_slice(&self.bytes[start..self.at]).ok();
            self.blank();
            self.over();
            if name.as_deref() == Some(key) && found.replace(self.at).is_some() {
                return Err(format!("the key {key} stands twice in one object"));
            }
            self.skip();
            self.blank();
            if self.bytes.get(self.at) == Some(&b',') {
                self.over();
            }
        }
        self.at = found.ok_or_else(|| format!("there is no key {key} here"))?;
        Ok(())
    }

    fn item(&mut self, item: usize) -> Result<(), String> {
        let mut count = 0;
        self.over();
        while self.bytes.get(self.at).is_some_and(|b| *b != b']') {
            if count == item {
                return Ok(());
            }
            count += 1;
            self.skip();
            self.blank();
            if self.bytes.get(self.at) == Some(&b',') {
                self.over();
            }
        }
        Err(format!("there is no item [{item}]: the list has {count}"))
    }

    /// Goes to the end of the value that begins here.
    fn skip(&mut self) {
        let mut depth = 0usize;
        while let Some(byte) = self.bytes.get(self.at) {
            match byte {
                b'"' => self.string(),
                b'{' | b'[' => depth += 1,
                b'}' | b']' if depth == 0 => return,
                b'}' | b']' => depth -= 1,
                b',' if depth == 0 => return,
                b if b.is_ascii_whitespace() && depth == 0 => return,
                _ => {}
            }
            self.at += 1;
            if depth == 0 && matches!(self.bytes[self.at - 1], b'"' | b'}' | b']') {
                return;
            }
        }
    }

    /// Goes to the closing quote of the string that begins here.
    fn string(&mut self) {
        self.at += 1;
        while let Some(byte) = self.bytes.get(self.at).filter(|byte| **byte != b'"') {
            self.at += if *byte == b'\\' { 2 } else { 1 };
        }
    }
}
