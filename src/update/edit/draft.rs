//! Claims that can all be met → the new text and its changes. Every step is read again before the next one; a step that
//! would change more than it is meant to is left out and said.

use super::claims::Claim;
use super::reading::{self, Reading};
use super::splice::{self, Fill, Splice};
use super::{Change, Edited, Wishes};
use crate::update::target;

/// A text in the making.
pub(super) struct Draft<'a> {
    before: &'a str,
    text: String,
    /// What was written, and at which byte of the text as it now is.
    fills: Vec<(usize, Fill)>,
}

impl<'a> Draft<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self { before: text, text: text.to_owned(), fills: Vec::new() }
    }

    /// Writes all claims, first those that only replace values, then one by one those that put something in. The number of
    /// claims that are met.
    pub(super) fn write(
        &mut self,
        reading: &Reading<'_>,
        claims: &[Claim],
        wishes: &Wishes<'_>,
        problems: &mut Vec<(u32, String)>,
    ) -> u32 {
        let (inserting, replacing): (Vec<_>, Vec<_>) = claims.iter().partition(|claim| claim.inserts.is_some());
        let mut splices: Vec<Splice> = replacing.iter().flat_map(|claim| claim.splices.iter().cloned()).collect();
        splices.sort_by_key(|splice| splice.range.start);
        splices.dedup_by_key(|splice| splice.range.start);
        let mut met = replacing.len();
        if !self.apply(reading, splices) {
            met -= replacing.iter().filter(|claim| !claim.splices.is_empty()).count();
            problems.push((0, "the new values would change more than the marked ones, so none was written".to_owned()));
        }
        for claim in inserting {
            let text = self.text.clone();
            let reading = reading::read(&text);
            let again = claim.inserts.map_or(Ok(Vec::new()), |index| target::insert(&text, &reading, wishes, index));
            match again.map(|splices| self.apply(&reading, splices)) {
                Ok(true) => met += 1,
                Ok(false) => {
                    let line = claim.wants.first().map_or(0, |want| want.line);
                    let reason = "its keys can't be added without changing more: add them by hand";
                    problems.push((line, format!("{}: {reason}", claim.who)));
                }
                Err(problem) => problems.push(problem),
            }
        }
        u32::try_from(met).unwrap_or(u32::MAX)
    }

    /// Does some splices, which are in the text's order, if they change nothing else.
    fn apply(&mut self, reading: &Reading<'_>, splices: Vec<Splice>) -> bool {
        if splices.is_empty() {
            return true;
        }
        let new = splice::apply(&self.text, &splices);
        let is_json = splices.iter().any(|splice| matches!(splice.meant, splice::Meant::Json(..)));
        let is_only = if is_json {
            target::json::is_only(&self.text, &new, &splices)
        } else {
            splice::is_only(reading, &new, &splices)
        };
        if !is_only {
            return false;
        }
        self.text = new;
        for (at, _) in &mut self.fills {
            let before = splices.iter().filter(|splice| splice.range.end <= *at);
            let (came, went) = before.fold((0, 0), |(came, went), s| (came + s.source.len(), went + s.range.len()));
            *at = *at + came - went;
        }
        let mut shift = (0, 0);
        for splice in splices {
            let start = splice.range.start + shift.0 - shift.1;
            shift = (shift.0 + splice.source.len(), shift.1 + splice.range.len());
            self.fills.extend(splice.fills.into_iter().map(|fill| (start + fill.at, fill)));
        }
        true
    }

    /// The new bytes and the changes, in the order of the text.
    pub(super) fn finish(mut self, file: &str) -> Edited {
        if self.fills.is_empty() {
            return Edited::default();
        }
        self.fills.sort_by_key(|(at, _)| *at);
        let lines = super::places::Lines::new(&self.text);
        let change = |(at, fill): (usize, Fill)| {
            let Fill { policy, field, old, new, .. } = fill;
            Change { file: file.to_owned(), line: lines.line(at), policy, field, old, new }
        };
        let changes = self.fills.into_iter().map(change).collect();
        let bytes = (self.text != self.before).then(|| self.text.into_bytes());
        Edited { bytes, changes, ..Edited::default() }
    }
}
