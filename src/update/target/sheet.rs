//! A YAML text with its tree → where a path leads, and where nodes and lines begin and end.

use granit_parser::{Event, ScalarStyle};

use super::key_path::{KeyPath, Step};
use super::tree::{Id, Kind, Tree};
use crate::update::edit::places::Lines;
use crate::update::edit::reading::{self, Reading};
use crate::update::edit::scalar_of;

/// A text and what was read in it.
pub(super) struct Sheet<'a> {
    pub text: &'a str,
    pub reading: &'a Reading<'a>,
    pub tree: Tree,
    lines: Lines,
}

/// Line and reason.
pub(super) type Refusal = (u32, String);

/// Where a path ends in one document.
enum Way {
    /// At a node.
    There(Id),
    /// Before its end: after so many steps, for this reason.
    Lost(usize, Refusal),
    /// At something that can't be looked into.
    Barred(Refusal),
}

impl<'a> Sheet<'a> {
    pub(super) fn new(text: &'a str, reading: &'a Reading<'a>) -> Self {
        Self { text, reading, tree: Tree::new(&reading.pieces), lines: Lines::new(text) }
    }

    /// The byte at which a node begins.
    pub(super) fn start(&self, id: Id) -> usize {
        self.reading.pieces[self.tree.node(id).first].1.start
    }

    /// The byte after a node's last one.
    pub(super) fn end(&self, id: Id) -> usize {
        let node = self.tree.node(id);
        let pieces = self.reading.pieces[node.first..=node.last].iter().rev();
        let written = |(event, range): &&reading::Piece<'_>| !matches!(event, Event::Comment(..)) && !range.is_empty();
        let last = pieces.filter(|piece| written(piece)).map(|(e, range)| range.start + self.length(e, range)).next();
        last.unwrap_or_else(|| self.start(id))
    }

    fn length(&self, event: &Event<'_>, range: &std::ops::Range<usize>) -> usize {
        reading::end(self.text, event, range) - range.start
    }

    /// A node's line, from 1.
    pub(super) fn line(&self, id: Id) -> u32 {
        self.lines.line(self.start(id))
    }

    /// A scalar's text and style; nothing for other nodes and for values that aren't written.
    pub(super) fn scalar(&self, id: Id) -> Option<(&str, ScalarStyle)> {
        let (event, range) = &self.reading.pieces[self.tree.node(id).first];
        let (text, style, _) = scalar_of(event)?;
        (!range.is_empty()).then_some((text, style))
    }

    /// Whether a node is a value that isn't written.
    pub(super) fn is_empty(&self, id: Id) -> bool {
        matches!(self.tree.node(id).kind, Kind::Scalar) && self.scalar(id).is_none()
    }

    /// Key and value of the pair with this key.
    ///
    /// # Errors
    /// When the key stands twice.
    pub(super) fn pair(&self, map: Id, key: &str) -> Result<Option<(Id, Id)>, Refusal> {
        let Kind::Map(pairs) = &self.tree.node(map).kind else { return Ok(None) };
        let mut found = pairs.iter().filter(|(name, _)| self.scalar(*name).is_some_and(|(text, _)| text == key));
        match (found.next(), found.next()) {
            (_, Some((again, _))) => Err((self.line(*again), format!("the key {key} stands twice in one mapping"))),
            (pair, None) => Ok(pair.copied()),
        }
    }

    /// Whether a mapping takes keys from another one.
    pub(super) fn is_merging(&self, map: Id) -> bool {
        let Kind::Map(pairs) = &self.tree.node(map).kind else { return false };
        pairs.iter().any(|(key, _)| self.scalar(*key) == Some(("<<", ScalarStyle::Plain)))
    }

    /// The one scalar at a path: its piece and its line.
    ///
    /// # Errors
    /// When there is none or more than one, or when it can't be replaced.
    pub(super) fn value_at(&self, path: &KeyPath) -> Result<(usize, u32), Refusal> {
        let ways: Vec<Way> = self.tree.roots.iter().map(|root| self.walk(*root, path)).collect();
        let mut met = ways.iter().filter(|way| !matches!(way, Way::Lost(..)));
        let id = match (met.next(), met.next()) {
            (Some(_), Some(second)) => {
                let line = match second {
                    Way::There(id) => self.line(*id),
                    Way::Lost(_, (line, _)) | Way::Barred((line, _)) => *line,
                };
                return Err((line, "more than one document of the file has it".to_owned()));
            }
            (Some(Way::There(id)), None) => *id,
            (Some(Way::Barred(refusal)), None) => return Err(refusal.clone()),
            _ => return Err(self.lost(&ways)),
        };
        self.replaceable(id).map(|()| (self.tree.node(id).first, self.line(id)))
    }

    /// Whether a node is a scalar on one line.
    pub(super) fn replaceable(&self, id: Id) -> Result<(), Refusal> {
        let refused = |reason: &str| Err((self.line(id), reason.to_owned()));
        match self.tree.node(id).kind {
            Kind::Map(_) => return refused("it is a mapping: name one value in it"),
            Kind::List(_) => return refused("it is a list: name one value in it"),
            Kind::Alias => return refused("the value is an alias: name the value at its anchor"),
            Kind::Scalar => {}
        }
        let style = self.scalar(id).map(|(_, style)| style);
        if style.is_none() {
            return refused("nothing is written there to replace: write a value, if only \"\"");
        }
        if matches!(style, Some(ScalarStyle::Literal | ScalarStyle::Folded)) {
            return refused("the value is a block of text: write it on one line");
        }
        if self.text[self.start(id)..self.end(id)].contains(['\n', '\r']) {
            return refused("the value runs over more than one line: write it on one line");
        }
        Ok(())
    }

    fn lost(&self, ways: &[Way]) -> Refusal {
        if let Some((line, reason)) = self.reading.failures.first() {
            return (*line, format!("the file does not parse: {reason}"));
        }
        let furthest = ways.iter().rev().filter_map(|way| match way {
            Way::Lost(steps, refusal) => Some((steps, refusal)),
            _ => None,
        });
        let furthest = furthest.max_by_key(|(steps, _)| **steps);
        furthest.map_or((0, "the file holds nothing".to_owned()), |(_, refusal)| refusal.clone())
    }

    fn walk(&self, root: Id, path: &KeyPath) -> Way {
        let mut here = root;
        for (index, step) in path.steps().iter().enumerate() {
            let lost = |reason: String| Way::Lost(index, (self.line(here), reason));
            here = match (&self.tree.node(here).kind, step) {
                (Kind::Map(_), Step::Key(key)) => match self.pair(here, key) {
                    Ok(Some((_, value))) => value,
                    Ok(None) if self.is_merging(here) => {
                        return lost(format!(
                            "there is no key {key} here; one that comes by << is named at its anchor"
                        ));
                    }
                    Ok(None) => return lost(format!("there is no key {key} here")),
                    Err(refusal) => return Way::Barred(refusal),
                },
                (Kind::List(items), Step::Item(item)) => match items.get(*item) {
                    Some(value) => *value,
                    None => return lost(format!("there is no item [{item}]: the list has {}", items.len())),
                },
                (Kind::Alias, _) => {
                    return Way::Barred((
                        self.line(here),
                        "an alias stands on the way: name the value at its anchor".into(),
                    ));
                }
                (Kind::List(_), Step::Key(key)) => {
                    return lost(format!("{key} is asked of a list: write an item, as in [0]"));
                }
                (Kind::Map(_), Step::Item(item)) => {
                    return lost(format!("[{item}] is asked of a mapping: write a key"));
                }
                (Kind::Scalar, Step::Key(key)) => return lost(format!("there is no key {key} here, only one value")),
                (Kind::Scalar, Step::Item(item)) => {
                    return lost(format!("there is no item [{item}] here, only one value"));
                }
            };
        }
        Way::There(here)
    }

    /// The byte at which the line of a byte begins.
    pub(super) fn line_start(&self, at: usize) -> usize {
        self.text[..at].rfind(['\n', '\r']).map_or(0, |end| end + 1)
    }

    /// The byte at which the line of a byte ends, before its line end.
    pub(super) fn line_end(&self, at: usize) -> usize {
        self.text[at..].find(['\n', '\r']).map_or(self.text.len(), |end| at + end)
    }

    /// The line end at a line's end; at the end of the file the first one of the file.
    pub(super) fn eol(&self, at: usize) -> &'a str {
        let rest = if at < self.text.len() { &self.text[at..] } else { self.text };
        let rest = &rest[rest.find(['\n', '\r']).unwrap_or(rest.len())..];
        match rest.as_bytes() {
            [b'\r', b'\n', ..] => "\r\n",
            [b'\r', ..] => "\r",
            _ => "\n",
        }
    }

    /// What stands before a byte on its line, without a byte order mark.
    pub(super) fn before(&self, at: usize) -> &'a str {
        self.text[self.line_start(at)..at].trim_start_matches('\u{feff}')
    }
}
