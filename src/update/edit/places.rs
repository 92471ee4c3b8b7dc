//! A file's bytes → its markers, each with the one scalar it stands beside; or why it stands beside none.
//! Nothing is passed over in silence: whatever looks like a marker is placed or is a problem.

use std::ops::Range;

use granit_parser::{Event, ScalarStyle};

use super::reading::{self, Node, Piece, Reading};
use crate::update::marker::{self, Marker};

/// The largest file that is edited, in bytes.
pub(in crate::update) const MAX_FILE: usize = 2 << 20;

/// A marker and its scalar.
pub(in crate::update) struct Place {
    /// The marker.
    pub marker: Marker,
    /// Line of both, from 1.
    pub line: u32,
    /// The scalar's piece.
    pub(in crate::update) piece: usize,
}

/// What a file holds.
#[derive(Default)]
pub(in crate::update) struct Places<'a> {
    /// The markers that stand right, in the order of the file.
    pub places: Vec<Place>,
    /// Line (0 = whole file) and reason of all that doesn't.
    pub problems: Vec<(u32, String)>,
    pub(in crate::update) text: &'a str,
    pub(in crate::update) reading: Reading<'a>,
}

/// Looks for the markers of a file that holds at least one.
pub(in crate::update) fn find(bytes: &[u8]) -> Places<'_> {
    let failed = |line, reason: &str| Places { problems: vec![(line, reason.to_owned())], ..Places::default() };
    if bytes.len() > MAX_FILE {
        return failed(0, "the file has a marker but is larger than 2 MiB: split it");
    }
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => {
            let lines = bytes[..error.valid_up_to()].iter().filter(|b| **b == b'\n').count();
            return failed(number(lines), "the file has a marker but is not UTF-8 here: its markers do nothing");
        }
    };
    let reading = reading::read(text);
    let nodes = reading::nodes(text, &reading.pieces);
    let lines = Lines::new(text);
    let mut found = Places { text, reading, ..Places::default() };
    for (line, reason) in &found.reading.failures {
        let reason = format!("does not parse: {reason}; the markers of this document do nothing");
        found.problems.push((*line, reason));
    }
    let comments = comments(&found.reading.pieces);
    let mut at = 0;
    while let Some(offset) = text[at..].find(marker::KEY) {
        let (start, end) = lines.around(at + offset);
        let row = Row { text, start, end, key: at + offset };
        match row.place(&found.reading, &nodes, &comments) {
            Ok(Some((marker, node))) => {
                let place = Place { marker, line: lines.line(start), piece: node.piece };
                found.places.push(place);
            }
            Ok(None) => {}
            Err(reason) => found.problems.push((lines.line(start), reason)),
        }
        at = end;
    }
    found.problems.sort();
    found
}

/// Reads a file whose markers don't count, for its targets. What can't be read is left to them.
pub(in crate::update) fn unmarked(bytes: &[u8]) -> Places<'_> {
    let text = if bytes.len() > MAX_FILE { "" } else { std::str::from_utf8(bytes).unwrap_or_default() };
    Places { text, reading: reading::read(text), ..Places::default() }
}

fn comments(pieces: &[Piece<'_>]) -> Vec<Range<usize>> {
    let mut comments: Vec<_> = pieces
        .iter()
        .filter(|(event, _)| matches!(event, Event::Comment(..)))
        .map(|(_, range)| range.clone())
        .collect();
    comments.sort_by_key(|range| range.start);
    comments
}

/// A line that names [`marker::KEY`].
struct Row<'a> {
    text: &'a str,
    start: usize,
    end: usize,
    key: usize,
}

impl Row<'_> {
    /// The marker of this line and its scalar; nothing where the line only talks about markers.
    fn place<'n>(
        &self,
        reading: &Reading<'_>,
        nodes: &'n [Node],
        comments: &[Range<usize>],
    ) -> Result<Option<(Marker, &'n Node)>, String> {
        if reading.broken.iter().any(|range| range.contains(&self.key)) {
            return Ok(None);
        }
        let index = comments.partition_point(|range| range.end <= self.key);
        let Some(comment) = comments.get(index).filter(|range| range.start <= self.key) else {
            return self.outside_comments(reading, nodes).map_or(Ok(None), Err);
        };
        let said = &self.text[comment.start + 1..comment.end];
        if is_blank(&self.text[self.start..comment.start]) {
            // Prose about markers and lines that were commented out are no markers.
            let is_marker = marker::json_of(said).starts_with('{');
            return if is_marker { Err(alone(nodes, reading, comment)) } else { Ok(None) };
        }
        let node = self.beside(comment, reading, nodes)?;
        marker::parse(said).map(|marker| Some((marker, node)))
    }

    /// The one value on the line, if it is one that can be edited.
    fn beside<'n>(&self, comment: &Range<usize>, reading: &Reading<'_>, nodes: &'n [Node]) -> Result<&'n Node, String> {
        let before = nodes.partition_point(|node| node.range.start < comment.start);
        let on_line: Vec<&Node> = nodes[..before].iter().rev().take_while(|node| node.range.end > self.start).collect();
        let values: Vec<&Node> = on_line.iter().copied().filter(|node| !node.is_key).collect();
        let node = match values[..] {
            [node] => node,
            [] if is_block(nodes.get(before), reading) => {
                return Err(
                    "the marker stands on the header of a block of text: write the value on one line".to_owned()
                );
            }
            [] if on_line.is_empty() => return Err("no value stands on the marker's line".to_owned()),
            [] => return Err("the marker stands beside a key: put the value on the marker's line".to_owned()),
            _ => return Err("more than one value on the marker's line: give the marked one its own".to_owned()),
        };
        match &reading.pieces[node.piece].0 {
            Event::Scalar(_, ScalarStyle::Literal | ScalarStyle::Folded, ..) => {
                return Err("the value is a block of text: write it on one line".to_owned());
            }
            Event::Scalar(..) => {}
            _ => return Err("the value is an alias: mark the value at its anchor".to_owned()),
        }
        if node.range.start < self.start {
            return Err("the value runs over more than one line: write it on one line".to_owned());
        }
        let between = self.text.get(node.range.end..comment.start).unwrap_or_default();
        if !between.chars().all(|c| matches!(c, ' ' | '\t' | ',' | ']' | '}')) {
            return Err(
                "something stands between the value and its marker: give the marked value its own line".to_owned()
            );
        }
        Ok(node)
    }

    /// What is wrong with a marker that the parser doesn't take for a comment; nothing if it is only text.
    fn outside_comments(&self, reading: &Reading<'_>, nodes: &[Node]) -> Option<String> {
        let index = nodes.partition_point(|node| node.range.end <= self.key);
        let node = nodes.get(index).filter(|node| node.range.start <= self.key)?;
        let line = &self.text[self.start..self.end];
        let (front, said) = line.split_once('#')?;
        match &reading.pieces[node.piece].0 {
            Event::Scalar(_, ScalarStyle::Plain, ..) => {
                Some("the marker is part of the value: put a blank before the #".to_owned())
            }
            Event::Scalar(_, ScalarStyle::Literal | ScalarStyle::Folded, ..) => {
                let is_marker = !is_blank(front) && said.contains(marker::KEY) && marker::parse(said).is_ok();
                is_marker.then(|| "the marker stands inside a block of text, where nothing is edited".to_owned())
            }
            _ => None,
        }
    }
}

/// What to say about a marker on a line of its own.
fn alone(nodes: &[Node], reading: &Reading<'_>, comment: &Range<usize>) -> String {
    let next = nodes.get(nodes.partition_point(|node| node.range.start < comment.start));
    if next.is_some_and(|node| is_block(Some(node), reading) && !node.is_key) {
        return "the marker stands beside a block of text: write the value on one line".to_owned();
    }
    "the marker stands on a line of its own: put it after the value, on the value's line".to_owned()
}

fn is_block(node: Option<&Node>, reading: &Reading<'_>) -> bool {
    let event = node.map(|node| &reading.pieces[node.piece].0);
    matches!(event, Some(Event::Scalar(_, ScalarStyle::Literal | ScalarStyle::Folded, ..)))
}

fn is_blank(text: &str) -> bool {
    text.chars().all(|c| c.is_whitespace() || c == '\u{feff}')
}

/// Where each line starts; `\n`, `\r\n` and `\r` end one, as in YAML.
pub(in crate::update) struct Lines {
    starts: Vec<usize>,
    len: usize,
}

impl Lines {
    /// Counts them.
    pub(in crate::update) fn new(text: &str) -> Self {
        let bytes = text.as_bytes();
        let is_end = |at: usize| bytes[at] == b'\n' || (bytes[at] == b'\r' && bytes.get(at + 1) != Some(&b'\n'));
        let starts = (0..bytes.len()).filter(|at| is_end(*at)).map(|at| at + 1);
        Self { starts: std::iter::once(0).chain(starts).collect(), len: bytes.len() }
    }

    /// The line's number, from 1.
    pub(in crate::update) fn line(&self, at: usize) -> u32 {
        number(self.starts.partition_point(|start| *start <= at) - 1)
    }

    /// Start of the line of a byte, and of the next.
    fn around(&self, at: usize) -> (usize, usize) {
        let next = self.starts.partition_point(|start| *start <= at);
        (self.starts[next - 1], self.starts.get(next).copied().unwrap_or(self.len))
    }
}

/// A line's number from its index.
pub(in crate::update) fn number(index: usize) -> u32 {
    u32::try_from(index + 1).unwrap_or(u32::MAX)
}
