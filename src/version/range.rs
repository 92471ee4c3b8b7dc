//! A range of versions. Its text comes in, whether a version lies inside goes out.
//!
//! The dialect is that of Masterminds/semver v3 (3.4 and later), which Flux and Helm users know: groups joined by `||`,
//! in each group comparators joined by comma or space. Its oddities are kept, as policies rely on them.

use std::cmp::Ordering;

use crate::version::{self, Parts};

/// Longest text that is read, in bytes; the kind's schema has the same limit.
const LONGEST: usize = 1024;

/// A parsed range.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Range {
    groups: Vec<Group>,
}

/// How a version relates to a range.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fit {
    /// It lies inside.
    Inside,
    /// Only that it is a prerelease, and no comparator of the range names one, keeps it out.
    Prerelease,
    /// As before, but a comparator of another group does name one.
    PrereleaseOfGroup,
    /// It lies outside.
    Outside,
}

/// Comparators that must all hold.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Group {
    tests: Vec<Test>,
    /// One of its comparators names a prerelease, so that all of them look at prereleases.
    takes_prereleases: bool,
    /// The ranks between which everything lies that holds.
    ranks: (u64, u64),
}

/// What a comparator asks of a version. A block is all versions that share the first numbers, such as 1.2.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Test {
    Equal(Bound),
    NotEqual(Bound),
    Above(Bound),
    AtLeast(Bound),
    Below(Bound),
    AtMost(Bound),
    /// At least the bound, and in the block of its first numbers.
    Inside(Bound, usize),
    OutsideBlock(Bound, usize),
    AboveBlock(Bound, usize),
    UpToBlock(Bound, usize),
}

/// A version as a comparator names it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Bound {
    numbers: [u64; 3],
    pre: Box<str>,
}

/// A comparator's version: missing and wildcard parts are 0, and `given` counts the parts before the first of them.
struct Partial {
    bound: Bound,
    given: usize,
}

impl Range {
    /// Reads a range such as `>=1.0.0 <2.0.0 || ~3.1`.
    ///
    /// # Errors
    /// What is wrong, and at which character, counted from 1.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.len() > LONGEST {
            return Err(format!("it is longer than {LONGEST} bytes"));
        }
        let mut cursor = Cursor { text, at: 0 };
        let mut groups = vec![cursor.group()?];
        while cursor.eat("||") {
            groups.push(cursor.group()?);
        }
        groups.iter_mut().for_each(Group::bound_ranks);
        Ok(Self { groups })
    }

    /// Whether a version of this [`rank`](version::rank) may lie inside: `false` is certain.
    pub fn may_contain(&self, rank: u64) -> bool {
        let is_release = rank % 2 == 1;
        self.groups
            .iter()
            .any(|group| (is_release || group.takes_prereleases) && group.ranks.0 <= rank && rank <= group.ranks.1)
    }

    /// Whether a version lies inside.
    pub fn matches(&self, version: &semver::Version) -> bool {
        self.contains(&Parts::from(version))
    }

    /// Whether a version lies inside, for one that was read without allocating.
    pub fn contains(&self, version: &Parts<'_>) -> bool {
        self.groups.iter().any(|group| (version.pre.is_empty() || group.takes_prereleases) && group.holds(version))
    }

    /// Whether a version lies inside, and if not, whether only its being a prerelease keeps it out.
    pub fn fit(&self, version: &Parts<'_>) -> Fit {
        if self.contains(version) {
            Fit::Inside
        } else if !version.pre.is_empty() && self.groups.iter().any(|group| group.holds(version)) {
            let is_named = self.groups.iter().any(|group| group.takes_prereleases);
            if is_named { Fit::PrereleaseOfGroup } else { Fit::Prerelease }
        } else {
            Fit::Outside
        }
    }
}

impl Group {
    fn holds(&self, version: &Parts<'_>) -> bool {
        self.tests.iter().all(|test| test.holds(version))
    }

    fn bound_ranks(&mut self) {
        for (lowest, highest) in self.tests.iter().map(Test::ranks) {
            self.ranks = (self.ranks.0.max(lowest), self.ranks.1.min(highest));
        }
    }
}

impl Test {
    /// The rule that an operator stands for, by how many parts of its version are given.
    fn new(operator: &str, Partial { bound, given }: Partial) -> Self {
        let is_zero = bound.numbers == [0, 0, 0];
        match (operator, given) {
            ("" | "=", 3) => Self::Equal(bound),
            // Without a major, and for ~0.0.0, tilde has no upper end.
            ("" | "=" | "~" | "~>", 0) => Self::AtLeast(bound),
            ("~" | "~>", 3) if is_zero => Self::AtLeast(bound),
            ("" | "=" | "~" | "~>", _) => Self::Inside(bound, given.min(2)),
            ("^", 1) => Self::Inside(bound, 1),
            // Up to the first number that isn't zero; ^0.0 ends at 0.1.0, and ^* takes only 0.0.0 and its prereleases.
            ("^", _) => {
                let first = bound.numbers.iter().position(|n| *n > 0).map_or(3, |index| index + 1);
                Self::Inside(bound, if given == 2 { first.min(2) } else { first })
            }
            ("!=", 1 | 2) => Self::OutsideBlock(bound, given),
            ("!=", _) => Self::NotEqual(bound),
            (">", 1 | 2) => Self::AboveBlock(bound, given),
            (">", _) => Self::Above(bound),
            ("<=" | "=<", 3) => Self::AtMost(bound),
            ("<=" | "=<", 1) => Self::UpToBlock(bound, 1),
            // Without a major it is the block 0.0.
            ("<=" | "=<", _) => Self::UpToBlock(bound, 2),
            ("<", _) => Self::Below(bound),
            // The cursor knows no other operator than `>=` and `=>`.
            (_, _) => Self::AtLeast(bound),
        }
    }

    /// The lowest and the highest rank of a version for which it may hold.
    fn ranks(&self) -> (u64, u64) {
        match self {
            Self::NotEqual(_) | Self::OutsideBlock(..) => (1, u64::MAX),
            Self::Equal(bound) => (bound.rank(), bound.rank()),
            Self::Above(bound) | Self::AtLeast(bound) => (bound.rank(), u64::MAX),
            Self::Below(bound) | Self::AtMost(bound) => (1, bound.rank()),
            Self::Inside(bound, parts) => (bound.rank(), bound.block_end_rank(*parts)),
            Self::AboveBlock(bound, parts) => (bound.block_end_rank(*parts), u64::MAX),
            Self::UpToBlock(bound, parts) => (1, bound.block_end_rank(*parts)),
        }
    }

    fn holds(&self, version: &Parts<'_>) -> bool {
        match self {
            Self::Equal(bound) => bound.order_of(version).is_eq(),
            Self::NotEqual(bound) => bound.order_of(version).is_ne(),
            Self::Above(bound) => bound.order_of(version).is_gt(),
            Self::AtLeast(bound) => bound.order_of(version).is_ge(),
            Self::Below(bound) => bound.order_of(version).is_lt(),
            Self::AtMost(bound) => bound.order_of(version).is_le(),
            Self::Inside(bound, parts) => {
                bound.block_order_of(version, *parts).is_eq() && bound.order_of(version).is_ge()
            }
            // `!=4.1-alpha` leaves out the prereleases `alpha` of all 4.1.*, and nothing else.
            Self::OutsideBlock(bound, parts) => {
                let differs_in_pre = *parts == 2 && *bound.pre != *version.pre;
                bound.block_order_of(version, *parts).is_ne() || differs_in_pre
            }
            Self::AboveBlock(bound, parts) => bound.block_order_of(version, *parts).is_gt(),
            Self::UpToBlock(bound, parts) => bound.block_order_of(version, *parts).is_le(),
        }
    }
}

impl Bound {
    /// Where a version lies, seen from the bound.
    fn order_of(&self, version: &Parts<'_>) -> Ordering {
        version.cmp(&Parts { numbers: self.numbers, pre: &self.pre, build: "" })
    }

    fn rank(&self) -> u64 {
        version::rank_of(self.numbers, !self.pre.is_empty())
    }

    /// The rank of the newest version of the block that the bound's first `parts` numbers make.
    fn block_end_rank(&self, parts: usize) -> u64 {
        let mut numbers = [u64::MAX; 3];
        numbers[..parts].copy_from_slice(&self.numbers[..parts]);
        version::rank_of(numbers, false)
    }

    /// Where a version lies, seen from the block that the bound's first `parts` numbers make.
    fn block_order_of(&self, version: &Parts<'_>, parts: usize) -> Ordering {
        version.numbers[..parts].cmp(&self.numbers[..parts])
    }
}

/// A place in a range's text. Every method reads on from there.
struct Cursor<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Cursor<'a> {
    /// Comparators and hyphen ranges up to `||` or the end.
    fn group(&mut self) -> Result<Group, String> {
        let mut group = Group { tests: Vec::new(), takes_prereleases: false, ranks: (1, u64::MAX) };
        loop {
            self.skip_space();
            self.comparator(&mut group)?;
            let has_space = self.skip_space();
            if self.rest().is_empty() || self.rest().starts_with("||") {
                return Ok(group);
            }
            if !self.eat(",") && !has_space {
                return Err(self.wrong(&format!("unexpected {}", self.found())));
            }
        }
    }

    fn comparator(&mut self, group: &mut Group) -> Result<(), String> {
        // Longer ones before those they start with.
        const OPERATORS: [&str; 11] = ["!=", ">=", "=>", "<=", "=<", "~>", "=", ">", "<", "~", "^"];
        let operator = OPERATORS.into_iter().find(|operator| self.eat(operator)).unwrap_or("");
        if !operator.is_empty() {
            self.skip_space();
        }
        let version = self.version()?;
        let upper = if operator.is_empty() && self.eat_hyphen() { Some(self.version()?) } else { None };
        group.takes_prereleases |=
            [Some(&version), upper.as_ref()].into_iter().flatten().any(|v| !v.bound.pre.is_empty());
        match upper {
            Some(upper) => group.tests.extend([Test::new(">=", version), Test::new("<=", upper)]),
            None => group.tests.push(Test::new(operator, version)),
        }
        Ok(())
    }

    /// A hyphen with space on both sides. Without space it starts a prerelease.
    fn eat_hyphen(&mut self) -> bool {
        let start = self.at;
        let is_hyphen = self.skip_space() && self.eat("-") && self.skip_space();
        if !is_hyphen {
            self.at = start;
        }
        is_hyphen
    }

    fn version(&mut self) -> Result<Partial, String> {
        let is_part = |b: u8| b.is_ascii_digit() || matches!(b, b'x' | b'X' | b'*');
        let is_identifier = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.');
        let start = self.at;
        self.eat("v");
        let (mut numbers, mut given, mut has_wildcard) = ([0; 3], 0, false);
        for (index, number) in numbers.iter_mut().enumerate() {
            if index > 0 && !self.eat(".") {
                break;
            }
            let start = self.at;
            match self.take(is_part) {
                "" if index == 0 => return Err(self.wrong(&format!("a version is missing before {}", self.found()))),
                "" => return Err(self.wrong(&format!("a number is missing before {}", self.found()))),
                // What follows a wildcard says nothing.
                _ if has_wildcard => {}
                "x" | "X" | "*" => has_wildcard = true,
                digits => {
                    *number = self.number(start, digits)?;
                    given = index + 1;
                }
            }
        }
        if self.rest().starts_with('.') {
            return Err(self.wrong("a version has at most three numbers"));
        }
        let pre = if self.eat("-") { Some(self.take(is_identifier)) } else { None };
        let build = if self.eat("+") { Some(self.take(is_identifier)) } else { None };
        let checked =
            pre.map_or(Ok(()), version::check_prerelease).and_then(|()| build.map_or(Ok(()), version::check_build));
        checked.map_err(|flaw| {
            format!("at character {}: {:?} is no version: {flaw}", start + 1, &self.text[start..self.at])
        })?;
        Ok(Partial { bound: Bound { numbers, pre: pre.unwrap_or_default().into() }, given })
    }

    fn number(&self, start: usize, digits: &str) -> Result<u64, String> {
        if !digits.bytes().all(|b| b.is_ascii_digit()) {
            return Err(format!("at character {}: {digits:?} is neither a number nor a wildcard", start + 1));
        }
        digits.parse().map_err(|_| format!("at character {}: {digits} is larger than {}", start + 1, u64::MAX))
    }

    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn eat(&mut self, token: &str) -> bool {
        let is_there = self.rest().starts_with(token);
        if is_there {
            self.at += token.len();
        }
        is_there
    }

    fn take(&mut self, is_wanted: impl Fn(u8) -> bool) -> &'a str {
        let rest = self.rest();
        let length = rest.bytes().position(|b| !is_wanted(b)).unwrap_or(rest.len());
        self.at += length;
        &rest[..length]
    }

    /// Skips what Go's `\s` matches, and says whether there was any.
    fn skip_space(&mut self) -> bool {
        !self.take(|b| matches!(b, b' ' | b'\t' | b'\n' | b'\r' | 0x0c)).is_empty()
    }

    fn found(&self) -> String {
        self.rest().chars().next().map_or_else(|| "the end".to_owned(), |c| format!("{c:?}"))
    }

    /// Everything before the cursor is ASCII, so that bytes are characters.
    fn wrong(&self, what: &str) -> String {
        format!("at character {}: {what}", self.at + 1)
    }
}

#[cfg(test)]
mod tests;
