//! An `extract` template. A template and the pattern's groups come in, what a match expands to goes out.
//!
//! The grammar is that of Go's `Regexp.Expand`: `$1`, `${1}`, `$name`, `${name}`, `$$`. Without braces a name is as long as
//! letters, digits and underscores go, so that `$1x` names the group `1x`. Go expands an unknown group to nothing; we refuse it.

use std::borrow::Cow;

/// A parsed template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    pieces: Vec<Piece>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Text(String),
    /// The groups that a name means; the first that took part in the match counts, as in Go.
    Groups(Vec<usize>),
}

impl Template {
    /// Reads a template. `groups` are the names of the pattern's groups, the first of them being group 1.
    ///
    /// # Errors
    /// When it names a group that the pattern lacks.
    pub fn parse(text: &str, groups: &[Option<String>]) -> Result<Self, String> {
        let mut template = Self { pieces: Vec::new() };
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('$') {
            template.push_text(before);
            rest = after;
            if let Some(after) = rest.strip_prefix('$') {
                template.push_text("$");
                rest = after;
            } else if let Some((name, after)) = name(rest) {
                template.pieces.push(Piece::Groups(indexes(name, groups)?));
                rest = after;
            } else {
                // Go keeps a dollar that starts no name.
                template.push_text("$");
            }
        }
        template.push_text(rest);
        Ok(template)
    }

    fn push_text(&mut self, text: &str) {
        match self.pieces.last_mut() {
            Some(Piece::Text(last)) => last.push_str(text),
            _ if text.is_empty() => {}
            _ => self.pieces.push(Piece::Text(text.to_owned())),
        }
    }

    /// The highest number of a group that it names.
    pub fn last_group(&self) -> usize {
        let groups = self.pieces.iter().filter_map(|piece| match piece {
            Piece::Text(_) => None,
            Piece::Groups(groups) => groups.iter().max(),
        });
        groups.max().copied().unwrap_or(0)
    }

    /// The template with its groups filled in, nothing for a group that took no part; borrowed when it is one group.
    pub fn expand<'t>(&self, group: impl Fn(usize) -> Option<&'t str>) -> Cow<'t, str> {
        let first = |groups: &[usize]| groups.iter().find_map(|index| group(*index)).unwrap_or_default();
        if let [Piece::Groups(groups)] = self.pieces.as_slice() {
            return Cow::Borrowed(first(groups));
        }
        let expanded = self.pieces.iter().map(|piece| match piece {
            Piece::Text(text) => text.as_str(),
            Piece::Groups(groups) => first(groups),
        });
        Cow::Owned(expanded.collect())
    }
}

/// The name after a dollar, and what follows it.
fn name(text: &str) -> Option<(&str, &str)> {
    let (is_braced, body) = text.strip_prefix('{').map_or((false, text), |body| (true, body));
    let end = body.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(body.len());
    let (name, rest) = body.split_at(end);
    let rest = if is_braced { rest.strip_prefix('}')? } else { rest };
    (!name.is_empty()).then_some((name, rest))
}

/// The groups that a name means. Digits without leading zero are a group's number, and group 0 is the whole match.
fn indexes(name: &str, groups: &[Option<String>]) -> Result<Vec<usize>, String> {
    let is_number = name.bytes().all(|b| b.is_ascii_digit()) && (name == "0" || !name.starts_with('0'));
    if is_number {
        let number = name.parse().ok().filter(|number| *number <= groups.len());
        return number
            .map(|number| vec![number])
            .ok_or_else(|| format!("the pattern has no group {name}; it has {}", groups.len()));
    }
    let is_named = |(index, group): (usize, &Option<String>)| (group.as_deref() == Some(name)).then_some(index + 1);
    let indexes: Vec<usize> = groups.iter().enumerate().filter_map(is_named).collect();
    if !indexes.is_empty() {
        return Ok(indexes);
    }
    let (number, rest) = name.split_at(name.find(|c: char| !c.is_ascii_digit()).unwrap_or(0));
    Err(match number {
        "" => format!("the pattern has no group named {name:?}"),
        number => format!(
            "the pattern has no group named {name:?}; write ${{{number}}}{rest} for group {number} and {rest:?} after it"
        ),
    })
}
