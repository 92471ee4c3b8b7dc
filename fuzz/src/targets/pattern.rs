//! `filterTags`. Input: a pattern, a template, then tags.

use std::borrow::Cow;

use regex::bytes::RegexBuilder;
use tagboat::api::image_policy::FilterTags;
use tagboat::watch::filter::Filter;

use super::lines;

pub fn run(input: &[u8]) {
    let mut lines = lines(input);
    let pattern = lines.next().unwrap_or_default().to_owned();
    let extract = lines.next().filter(|text| !text.is_empty()).map(str::to_owned);
    let bare = plain(&pattern);
    let limits = pattern.len() > 1024 || extract.as_ref().is_some_and(|text| text.len() > 1024);
    let filter = Filter::parse(&FilterTags { pattern: pattern.clone(), extract: extract.clone() });
    assert!(!limits || filter.is_err(), "longer than the limit");
    let Ok(filter) = filter else { return };
    assert_eq!(filter.has_template(), extract.is_some());
    let mut extractor = filter.extractor();
    for tag in lines.take(16) {
        let found = extractor.apply(tag).map(Cow::into_owned);
        assert_eq!(found.is_some(), extractor.matches(tag), "both ways to ask say the same");
        assert_eq!(found, filter.apply(tag).map(Cow::into_owned), "nothing is left over from the tag before");
        // The memory of an extractor that looked at other tags before.
        assert_eq!(found, filter.extractor().apply(tag).map(Cow::into_owned));
        if let Some(found) = &found {
            let longest = extract.as_ref().map_or(tag.len(), |text| text.len() * (1 + tag.len()));
            assert!(found.len() <= longest, "longer than its parts");
        }
        if let Some(bare) = &bare {
            check_plain(bare, extract.as_deref(), tag, found.as_deref());
        }
    }
}

/// The pattern for the general engine, if it holds nothing that dialects read differently. The code under test runs anchored and
/// simple ones by engines of its own.
fn plain(pattern: &str) -> Option<regex::bytes::Regex> {
    let is_common = |c: char| c.is_ascii_alphanumeric() || "-_.()|*+?^$[]\\<>:{},".contains(c);
    let is_followed_by = |start: &str, by: &[&str]| {
        pattern.match_indices(start).all(|(at, _)| by.iter().any(|next| pattern[at + start.len()..].starts_with(next)))
    };
    let is_plain = pattern.len() <= 200
        && pattern.chars().all(is_common)
        && is_followed_by("(?", &[":", "P<"])
        && is_followed_by("\\", &["d", "w", ".", "-"])
        && is_followed_by("[", &["a-", "A-", "0-", "^a-", "^0-"])
        && !["--", "-]", "&&", "~~", "{,"].iter().any(|odd| pattern.contains(odd));
    if is_plain { RegexBuilder::new(pattern).unicode(false).build().ok() } else { None }
}

/// What the general engine finds, expanded as it does.
fn check_plain(bare: &regex::bytes::Regex, extract: Option<&str>, tag: &str, found: Option<&str>) {
    let captures = bare.captures(tag.as_bytes());
    assert_eq!(captures.is_some(), found.is_some(), "{bare} {tag:?}");
    let (Some(captures), Some(found)) = (captures, found) else { return };
    let Some(extract) = extract else { return assert_eq!(found, tag) };
    if tag.is_ascii() && is_common_template(extract) {
        let mut expected = Vec::new();
        captures.expand(extract.as_bytes(), &mut expected);
        assert_eq!(found.as_bytes(), expected, "{bare} {extract:?} {tag:?}");
    }
}

/// Whether dialects read a template alike: others know names in ASCII only, read `$01` as a number and take any text in braces for a
/// name.
fn is_common_template(extract: &str) -> bool {
    let is_word = |name: &str| !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    let mut braced = extract.split("${").skip(1).filter_map(|after| after.split_once('}'));
    extract.is_ascii() && !extract.contains("$0") && !extract.contains("${0") && braced.all(|(name, _)| is_word(name))
}
