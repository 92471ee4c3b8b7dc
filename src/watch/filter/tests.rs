//! Go's patterns and templates, and what they make of tags.

use proptest::prelude::*;

use super::*;

fn filter(pattern: &str, extract: Option<&str>) -> Result<Filter, String> {
    Filter::parse(&FilterTags { pattern: pattern.to_owned(), extract: extract.map(str::to_owned) })
        .map_err(|flaw| flaw.to_string())
}

#[track_caller]
fn check(pattern: &str, extract: &str, tag: &str, expected: Option<&str>) {
    assert_eq!(filter(pattern, Some(extract)).unwrap().apply(tag).as_deref(), expected, "{pattern} {extract} {tag}");
}

/// Source: Flux's `filterTags`: unanchored, the whole tag without `extract`.
#[test]
fn a_pattern_matches_anywhere_and_without_template_the_whole_tag_counts() {
    for (pattern, tag, is_match) in [
        ("rc", "1.0.0-rc.1", true),
        ("^rc", "1.0.0-rc.1", false),
        ("^main-[a-f0-9]+-(?P<ts>[0-9]+)$", "main-abc123-1700", true),
        ("^main-[a-f0-9]+-(?P<ts>[0-9]+)$", "main-xyz-1700", false),
        ("(?i)^MAIN$", "main", true),
    ] {
        check(pattern, "", tag, is_match.then_some(tag));
        assert_eq!(filter(pattern, None).unwrap().apply(tag).is_some(), is_match, "{pattern} {tag}");
    }
}

/// Source: Go's package regexp, `Regexp.Expand`.
#[test]
fn templates_expand_as_in_go() {
    const PATTERN: &str = r"^(?P<branch>[a-z]+)-(?P<ts>\d+)(-x)?$";
    for (extract, expected) in [
        ("$ts", "17"),
        ("${ts}", "17"),
        ("$2", "17"),
        ("${2}", "17"),
        ("$0", "main-17"),
        ("${2}x", "17x"),
        ("$ts.$branch", "17.main"),
        ("v${ts}-${branch}", "v17-main"),
        ("$$ts", "$ts"),
        ("$3", ""),
        ("<${3}>", "<>"),
        ("plain", "plain"),
        ("$", "$"),
        ("$-${ts", "$-${ts"),
    ] {
        check(PATTERN, extract, "main-17", Some(expected));
    }
    check(PATTERN, "$ts", "main", None);
    check(r"(?P<1x>a)", "$1x", "a", Some("a"));
    check(r"^v(?P<n>\d+)$|^r(?P<n>\d+)$", "$n", "r7", Some("7"));
}

#[test]
fn a_template_may_name_only_groups_of_the_pattern() {
    for (extract, reason) in [
        ("$3", "extract: the pattern has no group 3; it has 2"),
        ("$99999999999999999999", "extract: the pattern has no group 99999999999999999999; it has 2"),
        ("$nope", "extract: the pattern has no group named \"nope\""),
        ("$ts_x", "extract: the pattern has no group named \"ts_x\""),
        ("$1x", "extract: the pattern has no group named \"1x\"; write ${1}x for group 1 and \"x\" after it"),
        ("${01}", "extract: the pattern has no group named \"01\""),
    ] {
        assert_eq!(filter("^(a)-(?P<ts>b)$", Some(extract)).map(|_| ()), Err(reason.to_owned()), "{extract}");
    }
}

/// Source: Go's package regexp/syntax, its table of the syntax.
#[test]
fn go_spellings_mean_what_they_mean_in_go() {
    for (rule, pattern, matching, other) in [
        ("quoted text", r"^\Qa.b+\E$", "a.b+", "axbb"),
        ("quoted text to the end", r"^\Q1.0", "1.0", "1x0"),
        ("a repetition repeats the last quoted character", r"^\Qab\E+$", "abb", "abab"),
        ("digits are ASCII", r"^\d$", "1", "\u{661}"),
        ("word characters are ASCII", r"^\w$", "_", "é"),
        ("word boundary", r"\b1\b", "a-1", "a1"),
        ("no word boundary", r"\B1", "a1", "a-1"),
        ("end of text", r"1\z", "a1", "1a"),
        ("both ways to name a group", "(?P<a>x)(?<b>y)", "xy", "x"),
        ("octal", r"^\055\101$", "-A", "A"),
        ("hexadecimal", r"^\x2d\x{41}$", "-A", "A"),
        ("an escaped underscore and angle brackets are text", r"^\_\<\>$", "_<>", "_"),
        ("braces that hold no counts are text", "^a{,2}{b}$", "a{,2}{b}", "aa"),
        ("counts", "^a{2}b{1,}c{0,1}$", "aabb", "abb"),
        ("a bracket in a class is text", "^[[a]$", "[", "b"),
        ("a bracket first in a class is text", "^[]a]$", "]", "b"),
        ("ampersands in a class are text", "^[a&&b]$", "&", "c"),
        ("dashes in a class are text at its ends", "^[-a.-]$", "-", "b"),
        ("two dashes make a range", "^[+--]$", ",", "."),
        ("a range from an escape", r"^[\x61-c]$", "b", "d"),
        ("a class of ASCII names", "^[[:alpha:][:^digit:]]$", "a", "1"),
        ("a negated class", "^[^a-c]$", "d", "b"),
        ("escapes in a class", r"^[\d\]\-]$", "]", "a"),
        ("Unicode class", r"^\pL\p{Lu}\PN\p{^L}$", "aBc1", "aBcc"),
        ("Unicode class in a class", r"^[\pN.]+$", "1.2", "a"),
        ("other letters never match", "^[^é]$", "a", "é"),
        ("flags for the rest", "(?i)^A(?-i)b$", "ab", "aB"),
        ("flags for a group", "^(?i:A)b$", "ab", "aB"),
        ("flags that set nothing", "^(?)a$", "a", "b"),
        ("space and hash are text", "^a #$", "a #", "a"),
    ] {
        let filter = filter(pattern, None).unwrap();
        assert_eq!(
            (filter.apply(matching).is_some(), filter.apply(other).is_some()),
            (true, false),
            "{rule}: {pattern}"
        );
    }
    check("(?U)^(a+)", "$1", "aaa", Some("a"));
    check("^(a+?)(a*)$", "$2", "aaa", Some("aa"));
}

/// Source: Go's package regexp/syntax: what RE2 leaves out, and `ErrorCode`.
#[test]
fn what_is_no_pattern() {
    for (pattern, reason) in [
        ("(", "a parenthesis is not closed"),
        ("a)", "at character 2: a parenthesis is closed that was not opened"),
        ("a|*", "at character 3: there is nothing to repeat"),
        ("a**", "at character 3: a repetition is repeated; put a group around it"),
        ("a{2}{3}", "at character 5: a repetition is repeated; put a group around it"),
        ("a{1001}", "at character 2: a repetition needs counts up to 1000, the smaller first"),
        ("a{2,1}", "at character 2: a repetition needs counts up to 1000, the smaller first"),
        ("[a", "at character 1: a bracket is not closed"),
        ("[]", "at character 1: a bracket is not closed"),
        ("[z-a]", "at character 1: a range in the brackets does not run from a lower to a higher character"),
        ("[a-\\d]", "at character 1: a range in the brackets does not run from a lower to a higher character"),
        ("[[:foo:]]", "at character 2: there is no class [:foo:]"),
        (r"a\", "at character 2: the pattern ends with a backslash"),
        (r"a\C", "at character 2: \\C is not supported: a pattern matches characters, not bytes"),
        (r"a\Z", "at character 2: \\Z does not exist in RE2; the end of the tag is \\z or $"),
        (r"(a)\1", "at character 4: back-references do not exist in RE2"),
        (r"\y", "at character 1: the escape is unknown"),
        (r"[\b]", "at character 2: the escape is unknown"),
        (r"\x{110000}", "at character 1: the escape is unknown"),
        ("a(?=b)", "at character 2: look-around does not exist in RE2"),
        ("a(?<!b)", "at character 2: look-around does not exist in RE2"),
        ("(?x)a", "at character 1: a group starts with '(', '(?:', '(?P<name>', '(?<name>' or flags of i, m, s and U"),
        ("(?P=a)", "at character 1: a group starts with '(', '(?:', '(?P<name>', '(?<name>' or flags of i, m, s and U"),
        ("(?P<a-b>x)", "at character 1: a group's name needs letters, digits and '_' between '<' and '>'"),
        ("(?P<a", "at character 1: a group's name needs letters, digits and '_' between '<' and '>'"),
        (r"\p{Foo}", "Unicode property not found"),
        (r"\p{a=b}", "at character 1: a class of characters is named as in \\pL or \\p{Greek}"),
        ("((a{500}){500}){500}", "compiled it is larger than 1048576 bytes: use smaller repetitions"),
        (
            &"(".repeat(200).chars().chain(")".repeat(200).chars()).collect::<String>(),
            "exceed the maximum number of nested parentheses/brackets (100)",
        ),
        (&"a".repeat(1025), "it is longer than 1024 bytes"),
    ] {
        assert_eq!(filter(pattern, None).map(|_| ()), Err(format!("pattern: {reason}")), "{pattern}");
    }
}

fn soup() -> impl Strategy<Value = String> {
    let token = prop_oneof![
        "[a-c1.{}|^$?*+()\\[\\]&~<>:-]",
        Just("\\d".to_owned()),
        Just("\\Q".to_owned()),
        Just("\\E".to_owned()),
        Just("(?P<a>".to_owned()),
        Just("(?i:".to_owned()),
        Just("\\pL".to_owned()),
        Just("[^".to_owned()),
        Just("[[:alpha:]".to_owned()),
        Just("\\x{2d}".to_owned()),
        Just("{1,2}".to_owned()),
        Just("é".to_owned()),
        Just("\\".to_owned()),
    ];
    proptest::collection::vec(token, 0..12).prop_map(|tokens| tokens.concat())
}

proptest! {
    #[test]
    fn no_pattern_and_no_template_panics(pattern in soup(), extract in "[$a{}1x0_-]{0,6}", tag in "\\PC{0,8}") {
        if let Ok(filter) = filter(&pattern, Some(&extract)) {
            filter.apply(&tag);
        }
    }

    #[test]
    fn what_passes_our_reader_the_engine_takes(pattern in soup()) {
        if let Err(reason) = filter(&pattern, None) {
            let ours = reason.contains("at character") || reason.contains("not closed");
            prop_assert!(ours, "{pattern:?}: {reason}");
        }
    }

    #[test]
    fn quoted_text_is_plain(text in "[a-z.*+?()\\[\\]{}|^$-]{1,10}", other in "[a-z.*+?-]{1,10}") {
        let filter = filter(&format!("^\\Q{text}\\E$"), None).unwrap();
        prop_assert!(filter.apply(&text).is_some());
        prop_assert_eq!(filter.apply(&other).is_some(), text == other);
    }
}
