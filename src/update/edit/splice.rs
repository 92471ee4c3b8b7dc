//! Replacements of single stretches of a text → the new text, and whether it reads as the old one but for what was meant.

use std::ops::Range;

use granit_parser::{Event, ScalarStyle};

use super::Field;
use super::reading::{self, Reading};
use crate::update::scalar;

/// Bytes that are replaced, or put in where the range is empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::update) struct Splice {
    /// What goes.
    pub range: Range<usize>,
    /// What comes.
    pub source: String,
    /// What a reader finds different then.
    pub meant: Meant,
    /// The values that it writes.
    pub fills: Vec<Fill>,
}

/// The difference that a splice is meant to make for a reader.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::update) enum Meant {
    /// The scalar of this piece reads so.
    Value(usize, String),
    /// These nodes stand before this piece; with `true` in its place.
    Nodes(usize, bool, Vec<Made>),
    /// The JSON text at these steps reads so.
    Json(Vec<serde_json::Value>, String),
}

/// A node, or one end of one, that was not there before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::update) enum Made {
    /// A scalar that reads as this text.
    Text(String),
    /// A mapping begins.
    Map,
    /// A mapping ends.
    MapEnd,
    /// A list begins.
    List,
    /// A list ends.
    ListEnd,
}

/// A value that a splice writes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::update) struct Fill {
    /// Whose choice it is, `namespace:name`.
    pub policy: String,
    /// Which part of it.
    pub field: Field,
    /// The value before; empty when there was none.
    pub old: String,
    /// The value after.
    pub new: String,
    /// Where in the splice's source it stands.
    pub at: usize,
}

/// The text with all splices done; they are in the order of the text and don't overlap.
pub(in crate::update) fn apply(text: &str, splices: &[Splice]) -> String {
    let mut new = String::with_capacity(text.len() + 64 * splices.len());
    let mut at = 0;
    for Splice { range, source, .. } in splices {
        new.push_str(&text[at..range.start]);
        new.push_str(source);
        at = range.end;
    }
    new.push_str(&text[at..]);
    new
}

/// Whether the new text reads as the old one does, but for the values and nodes that were meant to change.
pub(in crate::update) fn is_only(before: &Reading<'_>, new: &str, splices: &[Splice]) -> bool {
    let after = reading::read(new);
    if before.failures != after.failures || !comments(before).eq(comments(&after)) {
        return false;
    }
    let mut now = after.pieces.iter().map(|(event, _)| event).filter(|event| !is_comment(event));
    let mut met = 0;
    let mut by_piece: Vec<&Splice> = splices.iter().collect();
    by_piece.sort_by_key(|splice| piece(splice));
    let mut meant = by_piece.into_iter().peekable();
    for (index, (old, _)) in before.pieces.iter().enumerate() {
        let mut is_replaced = false;
        while let Some(splice) = meant.next_if(|splice| piece(splice) == Some(index)) {
            met += 1;
            let is_right = match &splice.meant {
                Meant::Value(_, value) => now.next().is_some_and(|event| is_value(old, event, value)),
                Meant::Nodes(_, _, made) => {
                    made.iter().all(|made| now.next().is_some_and(|event| is_made(made, event)))
                }
                Meant::Json(..) => false,
            };
            if !is_right {
                return false;
            }
            is_replaced |= !matches!(splice.meant, Meant::Nodes(_, false, _));
        }
        if !is_replaced && !is_comment(old) && now.next() != Some(old) {
            return false;
        }
    }
    met == splices.len() && now.next().is_none()
}

fn piece(splice: &Splice) -> Option<usize> {
    match splice.meant {
        Meant::Value(piece, _) | Meant::Nodes(piece, ..) => Some(piece),
        Meant::Json(..) => None,
    }
}

fn is_comment(event: &Event<'_>) -> bool {
    matches!(event, Event::Comment(..))
}

fn comments<'a>(reading: &'a Reading<'_>) -> impl Iterator<Item = &'a str> {
    reading.pieces.iter().filter_map(|(event, _)| match event {
        Event::Comment(text, _) => Some(text.as_ref()),
        _ => None,
    })
}

fn is_value(old: &Event<'_>, new: &Event<'_>, value: &str) -> bool {
    match (old, new) {
        (Event::Scalar(_, _, anchor, tag), Event::Scalar(text, _, new_anchor, new_tag)) => {
            text == value && anchor == new_anchor && tag == new_tag
        }
        _ => false,
    }
}

fn is_made(made: &Made, event: &Event<'_>) -> bool {
    match (made, event) {
        (Made::Text(made), Event::Scalar(text, style, 0, None)) => {
            text == made && (*style != ScalarStyle::Plain || scalar::reads_as_text(made))
        }
        (Made::Map, Event::MappingStart(_, 0, None)) | (Made::List, Event::SequenceStart(_, 0, None)) => true,
        (Made::MapEnd, Event::MappingEnd) | (Made::ListEnd, Event::SequenceEnd) => true,
        _ => false,
    }
}
