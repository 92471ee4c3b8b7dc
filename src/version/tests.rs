//! Loose versions, a row for each rule.

use proptest::prelude::*;

use super::*;

#[track_caller]
fn check(text: &str, expected: Result<&str, &str>) {
    let found = parse(text).map(|version| version.to_string());
    assert_eq!(found.as_deref().map_err(String::as_str), expected, "{text:?}");
}

#[test]
fn versions_of_the_loose_dialect() {
    for (rule, text, version) in [
        ("three numbers", "1.2.3", "1.2.3"),
        ("a leading v", "v1.2.3", "1.2.3"),
        ("one number", "7", "7.0.0"),
        ("two numbers", "v1.2", "1.2.0"),
        ("leading zeros", "v2025.07.03", "2025.7.3"),
        ("many leading zeros", "0000000000000000000000001.0.0", "1.0.0"),
        ("prerelease", "1.2.3-rc.1", "1.2.3-rc.1"),
        ("prerelease after two numbers", "1.2-rc1", "1.2.0-rc1"),
        ("prerelease after one number", "1-5", "1.0.0-5"),
        ("prerelease that starts with a dash", "1.2.3--x-", "1.2.3--x-"),
        ("build", "1.2.3+20240101.7", "1.2.3+20240101.7"),
        ("build may have leading zeros", "1.2.3-a+007", "1.2.3-a+007"),
        ("build after one number", "1+a-b", "1.0.0+a-b"),
        ("a prerelease with leading zero that is no number", "1.0.0-0a", "1.0.0-0a"),
        ("the largest number", "18446744073709551615.0.0", "18446744073709551615.0.0"),
        ("a long number in the prerelease", "1.0.0-99999999999999999999999", "1.0.0-99999999999999999999999"),
    ] {
        assert_eq!(parse(text).map(|v| v.to_string()).as_deref(), Ok(version), "{rule}");
    }
}

#[test]
fn what_is_no_version() {
    for text in [
        "", "v", "latest", "V1.0.0", "vv1", "1.", ".1", "1.2.", "1..2", "1.2.3_a", "1.2.3a", " 1.2.3", "1.2.3 ",
        "-1.2.3", "١.0.0",
    ] {
        check(text, Err(&format!("{text:?} is no version")));
    }
    check("1.2.3.4", Err("\"1.2.3.4\" is no version: it has more than three numbers"));
    check("1.0.0-01", Err("\"1.0.0-01\" is no version: a number in its prerelease has a leading zero"));
    check(
        "18446744073709551616",
        Err("\"18446744073709551616\" is no version: a number is larger than 18446744073709551615"),
    );
    for text in ["1.0.0-", "1.0.0-a..b", "1.0.0-a.", "1.0.0+", "1.0.0+a+b", "1.0.0-a_b", "1.0.0-é"] {
        let reason = "prerelease and build need parts of letters, digits and '-' between their dots";
        check(text, Err(&format!("{text:?} is no version: {reason}")));
    }
}

#[test]
fn precedence_is_that_of_semantic_versioning() {
    let ascending = [
        "0.9.9",
        "1.0.0-0",
        "1.0.0-9",
        "1.0.0-10",
        "1.0.0-alpha",
        "1.0.0-alpha.1",
        "1.0.0-alpha.beta",
        "1.0.0-beta.2",
        "1.0.0-beta.11",
        "1.0.0-rc10",
        "1.0.0-rc9",
        "1.0.0",
        "1.0.1",
        "1.2",
        "1.10",
        "2-a",
    ];
    for pair in ascending.windows(2) {
        let (older, newer) = (read(pair[0]).unwrap(), read(pair[1]).unwrap());
        assert_eq!((older.cmp(&newer), newer.cmp(&older)), (Ordering::Less, Ordering::Greater), "{pair:?}");
    }
    assert_eq!(read("v01.2").unwrap(), read("1.2.0+build").unwrap(), "the build does not count");
}

/// Texts that are versions or nearly so.
pub(super) fn versionish() -> impl Strategy<Value = String> {
    prop_oneof!["v?[0-9]{1,3}(\\.[0-9]{1,2}){0,3}(-[0-9a-z.-]{0,6})?(\\+[0-9a-z.]{0,4})?", "\\PC{0,12}"]
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused(text in versionish()) {
        prop_assert_eq!(parse(&text).is_ok(), read(&text).is_ok());
    }

    #[test]
    fn strict_versions_read_as_the_crate_reads_them(
        text in "[0-9]{1,2}\\.[0-9]{1,2}\\.[0-9]{1,2}(-[0-9a-c]{1,2}(\\.[0-9a-c]{1,2}){0,2})?(\\+[0-9a-z]{1,3})?"
    ) {
        if let Ok(version) = semver::Version::parse(&text) {
            prop_assert_eq!(parse(&text), Ok(version));
        }
    }

    #[test]
    fn the_order_is_the_crates_precedence(a in versionish(), b in versionish()) {
        if let (Ok(a), Ok(b)) = (parse(&a), parse(&b)) {
            prop_assert_eq!(Parts::from(&a).cmp(&Parts::from(&b)), a.cmp_precedence(&b));
        }
    }

    #[test]
    fn prereleases_order_as_the_crate_orders_them(a in "[0-9a-b-]{1,2}(\\.[0-9a-b]{1,2}){0,2}", b in "[0-9a-b-]{1,2}(\\.[0-9a-b]{1,2}){0,2}") {
        if let (Ok(left), Ok(right)) = (semver::Prerelease::new(&a), semver::Prerelease::new(&b)) {
            prop_assert_eq!(compare_prereleases(&a, &b), left.cmp(&right));
        }
    }
}
