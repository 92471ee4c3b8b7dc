//! Keys, an entry or the whole list of `images` that are missing → where they go and how they are written: indentation, line
//! ends, quotes, block or flow as their neighbours have it. What has no clear neighbour is refused.

use super::kustomize_image::Wish;
use super::sheet::{Refusal, Sheet};
use super::style::Style;
use super::tree::{Id, Kind};
use crate::update::edit::splice::{Fill, Made, Meant, Splice};

/// Makes the splices of one entry.
pub(super) struct Maker<'a> {
    pub sheet: &'a Sheet<'a>,
    pub style: Style,
    pub policy: &'a str,
    /// The entry's name.
    pub name: &'a str,
}

/// Source text in the making, with the values that it holds.
#[derive(Default)]
struct Source {
    text: String,
    made: Vec<Made>,
    fills: Vec<Fill>,
}

const ODD: &str = "is written in a way that nothing can be added to: add the keys by hand";

impl Maker<'_> {
    /// The missing keys of an entry, each after its neighbour in kustomize's order.
    pub(super) fn keys(&self, entry: Id, wishes: &[Wish]) -> Result<Vec<Splice>, Refusal> {
        let order = ["name", "newName", "newTag", "digest"];
        let mut splices = Vec::new();
        for wish in wishes {
            let before = order.iter().take_while(|key| **key != wish.key);
            let mut neighbour = None;
            for key in before {
                neighbour = self.sheet.pair(entry, key)?.or(neighbour);
            }
            let (_, value) = neighbour.ok_or_else(|| self.odd(entry, "the entry"))?;
            self.sheet.replaceable(value).map_err(|(line, _)| (line, format!("the entry {ODD}")))?;
            splices.push(match self.is_flow(entry) {
                true => self.key_in_flow(entry, value, wish)?,
                false => self.key_in_block(entry, value, wish)?,
            });
        }
        Ok(splices)
    }

    fn key_in_block(&self, entry: Id, value: Id, wish: &Wish) -> Result<Splice, Refusal> {
        let sheet = self.sheet;
        let indent = self.indent(entry, &[' ', '-'])?;
        let at = sheet.line_end(sheet.end(value));
        let mut source = Source::from(format!("{}{indent}", sheet.eol(at)));
        self.pair(&mut source, wish, ": ");
        Ok(source.splice(at, self.after(value)))
    }

    fn key_in_flow(&self, entry: Id, value: Id, wish: &Wish) -> Result<Splice, Refusal> {
        let sheet = self.sheet;
        let at = sheet.end(value);
        let mut source = Source::from(self.comma(entry, value));
        self.pair(&mut source, wish, self.colon());
        Ok(source.splice(at, self.after(value)))
    }

    /// A new entry at the end of a list that is there.
    pub(super) fn item(&self, images: Id, wishes: &[Wish]) -> Result<Splice, Refusal> {
        let sheet = self.sheet;
        let Kind::List(items) = &sheet.tree.node(images).kind else { return Err(self.odd(images, "images")) };
        let last_piece = sheet.tree.node(images).last;
        let Some(last) = items.last().copied() else {
            // `[]`
            let mut source = Source::default();
            self.flow_item(&mut source, "{", wishes);
            return Ok(source.splice(sheet.start(images) + 1, last_piece));
        };
        if self.is_flow(images) {
            let mut source = Source::from(self.comma(images, last));
            self.flow_item(&mut source, self.opening(last), wishes);
            return Ok(source.splice(sheet.end(last), last_piece));
        }
        let dash = self.dash(last)?;
        let indent = self.blank(dash, &[' '], "images")?;
        let at = self.end_of_item(last, indent.len());
        let eol = sheet.eol(at);
        let gap = if self.is_spaced(items) { eol } else { "" };
        let mut source = Source::from(format!("{eol}{gap}{indent}-"));
        if self.is_flow(last) {
            source.text.push(' ');
            self.flow_item(&mut source, self.opening(last), wishes);
        } else {
            let width = sheet.before(sheet.start(last)).chars().count().checked_sub(indent.len() + 1);
            let after_dash = " ".repeat(width.filter(|width| *width > 0).unwrap_or(1));
            self.block_item(&mut source, &after_dash, (&format!("{indent} {after_dash}"), eol), wishes);
        }
        Ok(source.splice(at, last_piece))
    }

    /// The list itself with one entry: below a key without a value, else at the end of the mapping.
    pub(super) fn list(&self, root: Id, images: Option<Id>, wishes: &[Wish]) -> Result<Splice, Refusal> {
        let sheet = self.sheet;
        let Kind::Map(pairs) = &sheet.tree.node(root).kind else { return Err(self.odd(root, "the file")) };
        if self.is_flow(root) {
            return self.list_in_flow(root, images, wishes);
        }
        let indent = self.indent(root, &[' '])?;
        let item_indent = format!("{indent}{}", " ".repeat(self.list_indent(root, indent.len())));
        let key = pairs.iter().find(|(_, value)| Some(*value) == images).map(|(key, _)| *key);
        let (at, piece) = match (key, images) {
            (Some(key), Some(images)) => (sheet.line_end(sheet.end(key)), sheet.tree.node(images).first),
            _ => (self.end_of_document(root), sheet.tree.node(root).last),
        };
        let eol = sheet.eol(at);
        let mut source = Source::default();
        if images.is_none() {
            source.text = format!("{eol}{indent}");
            source.text.push_str(&self.style.key("images"));
            source.text.push(':');
            source.made.push(Made::Text("images".to_owned()));
        }
        source.made.push(Made::List);
        source.text.push_str(&format!("{eol}{item_indent}-"));
        self.block_item(&mut source, " ", (&format!("{item_indent}  "), eol), wishes);
        source.made.push(Made::ListEnd);
        let mut splice = source.splice(at, piece);
        if images.is_some()
            && let Meant::Nodes(_, is_replacing, _) = &mut splice.meant
        {
            *is_replacing = true;
        }
        Ok(splice)
    }

    fn list_in_flow(&self, root: Id, images: Option<Id>, wishes: &[Wish]) -> Result<Splice, Refusal> {
        let sheet = self.sheet;
        let Kind::Map(pairs) = &sheet.tree.node(root).kind else { return Err(self.odd(root, "the file")) };
        if let Some(images) = images {
            return Err((sheet.line(images), "images has no value: write images: []".to_owned()));
        }
        let mut maker = Maker { sheet, style: self.style, policy: self.policy, name: self.name };
        let mut source = Source::default();
        let at = match pairs.last() {
            Some((key, value)) => {
                maker.style = maker.style.with_keys_like(sheet, *key);
                source.text = self.comma(root, *value);
                sheet.end(*value).max(sheet.end(*key))
            }
            None => sheet.start(root) + 1,
        };
        source.text.push_str(&maker.style.key("images"));
        source.text.push_str(maker.colon());
        source.text.push('[');
        source.made.extend([Made::Text("images".to_owned()), Made::List]);
        maker.flow_item(&mut source, "{", wishes);
        source.text.push(']');
        source.made.push(Made::ListEnd);
        Ok(source.splice(at, sheet.tree.node(root).last))
    }

    fn block_item(&self, source: &mut Source, after_dash: &str, (indent, eol): (&str, &str), wishes: &[Wish]) {
        source.made.push(Made::Map);
        source.text.push_str(after_dash);
        self.name(source, ": ");
        for wish in wishes {
            source.text.push_str(eol);
            source.text.push_str(indent);
            self.pair(source, wish, ": ");
        }
        source.made.push(Made::MapEnd);
    }

    fn flow_item(&self, source: &mut Source, opening: &str, wishes: &[Wish]) {
        source.made.push(Made::Map);
        source.text.push_str(opening);
        self.name(source, self.colon());
        for wish in wishes {
            source.text.push_str(if self.colon() == ":" { "," } else { ", " });
            self.pair(source, wish, self.colon());
        }
        source.text.push_str(if opening.len() > 1 { " }" } else { "}" });
        source.made.push(Made::MapEnd);
    }

    fn name(&self, source: &mut Source, colon: &str) {
        source.text.push_str(&self.style.key("name"));
        source.text.push_str(colon);
        source.text.push_str(&self.style.name(self.name));
        source.made.extend([Made::Text("name".to_owned()), Made::Text(self.name.to_owned())]);
    }

    fn pair(&self, source: &mut Source, wish: &Wish, colon: &str) {
        source.text.push_str(&self.style.key(wish.key));
        source.text.push_str(colon);
        source.fills.push(Fill {
            policy: self.policy.to_owned(),
            field: wish.field,
            old: String::new(),
            new: wish.value.clone(),
            at: source.text.len(),
        });
        source.text.push_str(&self.style.value(&wish.value));
        source.made.extend([Made::Text(wish.key.to_owned()), Made::Text(wish.value.clone())]);
    }

    /// The piece after a node.
    fn after(&self, id: Id) -> usize {
        self.sheet.tree.node(id).last + 1
    }

    fn is_flow(&self, id: Id) -> bool {
        let node = self.sheet.tree.node(id);
        !matches!(node.kind, Kind::Scalar | Kind::Alias) && !self.sheet.reading.pieces[node.first].1.is_empty()
    }

    /// Between key and value in flow style: JSON's compact form stays compact.
    fn colon(&self) -> &'static str {
        let is_compact = self.style.has_quoted_keys() && self.sheet.text.contains("\":\"");
        if is_compact { ":" } else { ": " }
    }

    /// `{` with the blank after it that a neighbour has.
    fn opening(&self, neighbour: Id) -> &'static str {
        let is_wide = self.is_flow(neighbour) && self.sheet.text[self.sheet.start(neighbour)..].starts_with("{ ");
        if is_wide { "{ " } else { "{" }
    }

    /// Between a node in flow style and what comes after it: on a new line where each one has its own.
    fn comma(&self, parent: Id, last: Id) -> String {
        let sheet = self.sheet;
        let first = match &sheet.tree.node(parent).kind {
            Kind::Map(pairs) => pairs.iter().find(|(_, value)| *value == last).map_or(last, |(key, _)| *key),
            _ => last,
        };
        let (before, end) = (sheet.before(sheet.start(first)), sheet.end(last));
        let has_own_line =
            before.trim().is_empty() && sheet.line_start(sheet.start(parent)) != sheet.line_start(sheet.start(first));
        // A comment beside the value must not move away from it.
        let is_last = sheet.text[end..sheet.line_end(end)].trim_matches([',', ' ', '\t']).is_empty();
        if has_own_line && is_last && !sheet.text[end..].is_empty() {
            return format!(",{}{before}", sheet.eol(end));
        }
        (if self.colon() == ":" { "," } else { ", " }).to_owned()
    }

    /// The blanks in front of a mapping's keys, for a line of its own.
    fn indent(&self, map: Id, allowed: &[char]) -> Result<String, Refusal> {
        let Kind::Map(pairs) = &self.sheet.tree.node(map).kind else { return Err(self.odd(map, "the entry")) };
        let first = pairs.first().map_or(map, |(key, _)| *key);
        self.blank(self.sheet.start(first), allowed, "the mapping")
            .map_err(|(_, reason)| (self.sheet.line(map), reason))
    }

    /// As many blanks as stand before a byte on its line, if only these characters do.
    fn blank(&self, at: usize, allowed: &[char], what: &str) -> Result<String, Refusal> {
        let before = self.sheet.before(at);
        if before.chars().all(|c| allowed.contains(&c)) {
            return Ok(" ".repeat(before.len()));
        }
        let line = self.sheet.text[..at].matches('\n').count() + 1;
        Err((u32::try_from(line).unwrap_or(0), format!("{what} {ODD}")))
    }

    /// The dash of an item in block style.
    fn dash(&self, item: Id) -> Result<usize, Refusal> {
        let sheet = self.sheet;
        let start = sheet.line_start(sheet.start(item));
        let at = start + sheet.text[start..sheet.start(item)].find(|c| c != ' ').unwrap_or(0);
        let is_dash = sheet.text[at..].starts_with("- ");
        if is_dash { Ok(at) } else { Err(self.odd(item, "images")) }
    }

    /// The end of an item's last line, comments that belong to it included.
    fn end_of_item(&self, item: Id, dash: usize) -> usize {
        let sheet = self.sheet;
        let mut end = sheet.line_end(sheet.end(item));
        loop {
            let next = end + if sheet.text[end..].starts_with("\r\n") { 2 } else { 1 };
            let Some(line) = sheet.text.get(next..).map(|rest| &rest[..sheet.line_end(next) - next]) else {
                return end;
            };
            let indent = line.len() - line.trim_start_matches(' ').len();
            if indent <= dash || !line[indent..].starts_with('#') {
                return end;
            }
            end = next + line.len();
        }
    }

    /// Whether a blank line stands between the last items.
    fn is_spaced(&self, items: &[Id]) -> bool {
        let [.., one, two] = items else { return false };
        let between = &self.sheet.text[self.sheet.end(*one)..self.sheet.start(*two)];
        between.lines().filter(|line| line.trim().is_empty()).count() > usize::from(between.starts_with(['\n', '\r']))
    }

    /// How much deeper than their key the lists of a mapping begin; kustomize itself writes them at the same depth.
    fn list_indent(&self, root: Id, depth: usize) -> usize {
        let Kind::Map(pairs) = &self.sheet.tree.node(root).kind else { return 0 };
        let dash = pairs.iter().find_map(|(_, value)| match &self.sheet.tree.node(*value).kind {
            Kind::List(items) if !self.is_flow(*value) => self.dash(*items.first()?).ok(),
            _ => None,
        });
        dash.map_or(0, |dash| self.sheet.before(dash).len().saturating_sub(depth))
    }

    /// The end of a document's last line that is not blank.
    fn end_of_document(&self, root: Id) -> usize {
        let pieces = &self.sheet.reading.pieces[self.sheet.tree.node(root).last..];
        let is_end = |event: &granit_parser::Event<'_>| matches!(event, granit_parser::Event::DocumentEnd);
        let end =
            pieces.iter().find(|(event, range)| is_end(event) && self.sheet.text[range.clone()].starts_with("..."));
        let end = end.map_or(self.sheet.text.len(), |(_, range)| range.start);
        self.sheet.text[..end].trim_end_matches([' ', '\t', '\n', '\r']).len()
    }

    fn odd(&self, id: Id, what: &str) -> Refusal {
        (self.sheet.line(id), format!("{what} {ODD}"))
    }
}

impl Source {
    fn splice(self, at: usize, piece: usize) -> Splice {
        Splice { range: at..at, source: self.text, meant: Meant::Nodes(piece, false, self.made), fills: self.fills }
    }
}

impl From<String> for Source {
    fn from(text: String) -> Self {
        Self { text, ..Self::default() }
    }
}
