//! Ranges and versions. Input: a range, then versions.

use std::cmp::Ordering;

use semver::Version;
use tagboat::version;
use tagboat::version::range::{Fit, Range};

use super::lines;

pub fn run(input: &[u8]) {
    let mut lines = lines(input);
    let text = lines.next().unwrap_or_default();
    let range = Range::parse(text);
    let mut before: Option<&str> = None;
    for tag in lines.take(16) {
        let Some(version) = version_of(tag) else { continue };
        if let Some(other) = before.replace(tag) {
            compare(other, tag);
        }
        let Ok(range) = &range else { continue };
        let parts = version::read(tag).expect("it was read above");
        let contains = range.contains(&parts);
        assert_eq!(contains, range.matches(&version));
        assert_eq!(contains, range.fit(&parts) == Fit::Inside);
        assert!(!contains || range.may_contain(version::rank(tag)), "the rank keeps out what lies inside");
        if let Some(expected) = plainly(text, &version) {
            assert_eq!(contains, expected, "{text:?} {tag:?}");
        }
    }
}

/// Both readers of a version agree.
fn version_of(tag: &str) -> Option<Version> {
    let version = version::parse(tag);
    assert_eq!(version.is_ok(), version::read(tag).is_ok(), "{tag:?}");
    let version = version.ok()?;
    assert_eq!(version::parse(&version.to_string()), Ok(version.clone()), "what is printed is read as the same");
    if let Ok(strict) = Version::parse(tag) {
        assert_eq!(strict, version, "a version without any loose spelling");
    }
    assert_ne!(version::rank(tag), 0, "it is a version");
    let numbers = tag.strip_prefix('v').unwrap_or(tag).split(['-', '+']).next().unwrap_or_default();
    let read = [version.major, version.minor, version.patch];
    assert!(numbers.split('.').zip(read).all(|(text, number)| text.parse() == Ok(number)), "{tag:?}");
    Some(version)
}

/// The order is Semantic Versioning's, and ranks never contradict it.
fn compare(a: &str, b: &str) {
    let (Ok(x), Ok(y)) = (version::read(a), version::read(b)) else { return };
    let (Ok(one), Ok(other)) = (version::parse(a), version::parse(b)) else { return };
    let order = x.cmp(&y);
    assert_eq!(order, one.cmp_precedence(&other), "{a:?} {b:?}");
    let ranks = version::rank(a).cmp(&version::rank(b));
    assert!(ranks == Ordering::Equal || ranks == order, "{a:?} {b:?}");
}

/// What a range of whole versions means, evaluated word by word; none for any other.
fn plainly(text: &str, version: &Version) -> Option<bool> {
    let mut is_inside = false;
    for group in text.split("||") {
        let (mut holds, mut takes_prereleases) = (true, version.pre.is_empty());
        for word in group.split([' ', ',']).filter(|word| !word.is_empty()) {
            let start = word.find(|c: char| c.is_ascii_digit())?;
            let (operator, bound) = word.split_at(start);
            let bound = Version::parse(bound).ok()?;
            takes_prereleases |= !bound.pre.is_empty();
            let order = version.cmp_precedence(&bound);
            let same = |count: usize| {
                let numbers = |v: &Version| [v.major, v.minor, v.patch];
                numbers(version)[..count] == numbers(&bound)[..count]
            };
            holds &= match operator {
                "=" => order.is_eq(),
                "!=" => order.is_ne(),
                ">" => order.is_gt(),
                ">=" => order.is_ge(),
                "<" => order.is_lt(),
                "<=" => order.is_le(),
                "~" if (bound.major, bound.minor, bound.patch) != (0, 0, 0) => order.is_ge() && same(2),
                "^" if bound.major > 0 => order.is_ge() && same(1),
                "^" if bound.minor > 0 => order.is_ge() && same(2),
                "^" => order.is_ge() && same(3),
                _ => return None,
            };
        }
        is_inside |= holds && takes_prereleases;
    }
    Some(is_inside)
}
