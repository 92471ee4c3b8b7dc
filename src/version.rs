//! Reads a version out of a tag. A text comes in, three numbers with prerelease and build go out, borrowed from it.
//!
//! The dialect is that of `NewVersion` in Masterminds/semver v3, which Flux and Helm users know: an optional `v`, one to
//! three numbers, leading zeros accepted in them, then prerelease and build as in Semantic Versioning 2.0.0.

use std::cmp::Ordering;
use std::fmt;

mod rank;
pub mod range;

pub use rank::rank;
pub(crate) use rank::{Ranks, rank_of};

/// A version that borrows from the text it was read from. Ordered by precedence: the build does not count.
#[derive(Debug, Clone, Copy)]
pub struct Parts<'a> {
    /// Major, minor and patch; a missing one is 0.
    pub numbers: [u64; 3],
    /// Identifiers between `-` and `+`, or nothing.
    pub pre: &'a str,
    /// Identifiers after `+`, or nothing.
    pub build: &'a str,
}

/// Why a text is no version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flaw {
    /// It does not have the shape of one.
    Shape,
    /// A fourth number follows.
    FourNumbers,
    /// A number does not fit into 64 bits.
    TooLarge,
    /// An identifier of prerelease or build is empty or has other characters than `[0-9A-Za-z-]`.
    Identifier,
    /// A number of the prerelease starts with a zero (Semantic Versioning 2.0.0, item 9).
    LeadingZero,
}

impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Shape => "it is not shaped like 1.2.3",
            Self::FourNumbers => "it has more than three numbers",
            Self::TooLarge => "a number is larger than 18446744073709551615",
            Self::Identifier => "prerelease and build need parts of letters, digits and '-' between their dots",
            Self::LeadingZero => "a number in its prerelease has a leading zero",
        })
    }
}

/// Reads a version in the loose dialect.
///
/// # Errors
/// One sentence that names the text: `"latest" is no version`, with the reason where it isn't plain.
pub fn parse(text: &str) -> Result<semver::Version, String> {
    let parts = read(text).map_err(|flaw| match flaw {
        Flaw::Shape => format!("{text:?} is no version"),
        flaw => format!("{text:?} is no version: {flaw}"),
    })?;
    let [major, minor, patch] = parts.numbers;
    let malformed = |error| format!("{text:?} is no version: {error}");
    Ok(semver::Version {
        major,
        minor,
        patch,
        pre: semver::Prerelease::new(parts.pre).map_err(malformed)?,
        build: semver::BuildMetadata::new(parts.build).map_err(malformed)?,
    })
}

/// Reads a version without allocating, for lists of a hundred thousand tags.
///
/// # Errors
/// What keeps the text from being a version.
pub fn read(text: &str) -> Result<Parts<'_>, Flaw> {
    let (numbers, rest) = leading_numbers(text)?;
    let (before_build, build) = match rest.split_once('+') {
        Some((before, build)) => (before, Some(build)),
        None => (rest, None),
    };
    let pre = match before_build.strip_prefix('-') {
        Some(pre) => Some(pre),
        None if before_build.is_empty() => None,
        None if before_build.starts_with('.') => return Err(Flaw::FourNumbers),
        None => return Err(Flaw::Shape),
    };
    pre.map_or(Ok(()), check_prerelease)?;
    build.map_or(Ok(()), check_build)?;
    Ok(Parts { numbers, pre: pre.unwrap_or_default(), build: build.unwrap_or_default() })
}

/// The numbers that a version starts with, and the text after them, which is not checked: enough to see that a tag can't win.
///
/// # Errors
/// When there is no number where one belongs, or one is too large.
pub fn leading_numbers(text: &str) -> Result<([u64; 3], &str), Flaw> {
    let mut rest = text.as_bytes();
    if let [b'v', after @ ..] = rest {
        rest = after;
    }
    let mut numbers = [0_u64; 3];
    for (index, number) in numbers.iter_mut().enumerate() {
        match rest {
            [b'.', after @ ..] if index > 0 => rest = after,
            _ if index > 0 => break,
            _ => {}
        }
        let digits = rest;
        while let [digit @ b'0'..=b'9', after @ ..] = rest {
            *number = number.wrapping_mul(10).wrapping_add((digit - b'0').into());
            rest = after;
        }
        match digits.len() - rest.len() {
            0 => return Err(Flaw::Shape),
            // So many always fit into 64 bits.
            1..=19 => {}
            length => {
                let start = text.len() - digits.len();
                *number = text[start..start + length].parse().map_err(|_| Flaw::TooLarge)?;
            }
        }
    }
    Ok((numbers, &text[text.len() - rest.len()..]))
}

/// Whether a prerelease has the grammar of Semantic Versioning 2.0.0, item 9.
pub(super) fn check_prerelease(pre: &str) -> Result<(), Flaw> {
    check_build(pre)?;
    let is_padded = |part: &str| part.len() > 1 && part.starts_with('0') && is_numeric(part);
    if pre.split('.').any(is_padded) { Err(Flaw::LeadingZero) } else { Ok(()) }
}

/// Whether a build has the grammar of Semantic Versioning 2.0.0, item 10.
pub(super) fn check_build(build: &str) -> Result<(), Flaw> {
    let is_identifier = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    if build.split('.').all(is_identifier) { Ok(()) } else { Err(Flaw::Identifier) }
}

fn is_numeric(part: &str) -> bool {
    part.bytes().all(|b| b.is_ascii_digit())
}

/// Precedence of two prereleases (Semantic Versioning 2.0.0, item 11); none at all is the greatest.
pub(super) fn compare_prereleases(a: &str, b: &str) -> Ordering {
    if a.is_empty() || b.is_empty() {
        return a.is_empty().cmp(&b.is_empty());
    }
    let (mut left, mut right) = (a.split('.'), b.split('.'));
    loop {
        let order = match (left.next(), right.next()) {
            (None, None) => return Ordering::Equal,
            (None, Some(_)) => return Ordering::Less,
            (Some(_), None) => return Ordering::Greater,
            (Some(a), Some(b)) => match (is_numeric(a), is_numeric(b)) {
                // Without leading zeros the longer number is the greater, at any length.
                (true, true) => a.len().cmp(&b.len()).then_with(|| a.cmp(b)),
                (is_number, is_other_number) => is_other_number.cmp(&is_number).then_with(|| a.cmp(b)),
            },
        };
        if order.is_ne() {
            return order;
        }
    }
}

impl<'a> From<&'a semver::Version> for Parts<'a> {
    fn from(version: &'a semver::Version) -> Self {
        Self {
            numbers: [version.major, version.minor, version.patch],
            pre: version.pre.as_str(),
            build: version.build.as_str(),
        }
    }
}

impl Ord for Parts<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.numbers.cmp(&other.numbers).then_with(|| compare_prereleases(self.pre, other.pre))
    }
}

impl PartialOrd for Parts<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Parts<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Parts<'_> {}

#[cfg(test)]
mod tests;
