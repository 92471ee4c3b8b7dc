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
fn versionish() -> impl Strategy<Value = String> {
    prop_oneof!["v?[0-9]{1,3}(\\.[0-9]{1,2}){0,3}(-[0-9a-z.-]{0,6})?(\\+[0-9a-z.]{0,4})?", "\\PC{0,12}"]
}

/// Numbers of every size, so that ranks have room for them, or have not.
fn any_version() -> impl Strategy<Value = String> {
    let number =
        || prop_oneof![0..4_u64, 0..200_u64, 20_240_101..20_240_104_u64, any::<u64>(), (u64::MAX - 2)..=u64::MAX];
    let pre = prop_oneof![Just(""), Just("-0"), Just("-rc.1"), Just("+b")];
    (proptest::bool::ANY, number(), number(), number(), pre)
        .prop_map(|(has_v, a, b, c, pre)| format!("{}{a}.{b}.{c}{pre}", if has_v { "v" } else { "" }))
}

#[test]
fn ranks_tell_apart_what_people_release() {
    let ascending = [
        "0.0.1-rc1",
        "0.0.1",
        "0.1.20240101",
        "0.1.20240102",
        "1.0.0-rc.1",
        "1.0.0",
        "1.0.1",
        "1.2",
        "1.10",
        "v2.0.0",
        "v2.0.170",
        "17.0.20240115103000",
        "2024.01.15",
        "2024.1.16",
        "20240116.1.2",
    ];
    for pair in ascending.windows(2) {
        assert!(rank(pair[0]) < rank(pair[1]), "{pair:?}");
    }
    for text in
        ["", "v", "latest", "1.2.3.4", "1.2.3x", "1.", "1..2", "12.34.56.7", "99999999999999999999.0.0", "sha-1"]
    {
        assert_eq!(rank(text), 0, "{text}");
    }
    assert!(rank("0.0.0-0") > 0);
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

    #[test]
    fn ranks_never_contradict_the_order(
        a in prop_oneof![any_version(), versionish()], b in prop_oneof![any_version(), versionish()]
    ) {
        for text in [&a, &b] {
            prop_assert!(read(text).is_err() || rank(text) > 0, "{} is a version", text);
            prop_assert!(rank(text) % 2 == 1 || !read(text).is_ok_and(|version| version.pre.is_empty()), "{} is odd", text);
        }
        if let (Ok(left), Ok(right)) = (read(&a), read(&b)) {
            match left.cmp(&right) {
                Ordering::Less => prop_assert!(rank(&a) <= rank(&b)),
                Ordering::Equal => prop_assert_eq!(rank(&a), rank(&b)),
                Ordering::Greater => prop_assert!(rank(&a) >= rank(&b)),
            }
        }
    }

    #[test]
    fn ranks_with_room_are_those_without(a in 0..70_000_u64, b in 0..70_000_u64, c in 0..70_000_u64, is_prerelease: bool) {
        prop_assert_eq!(rank_of([a, b, c], is_prerelease), cut_rank_of([a + 1, b + 1, c + 1], is_prerelease));
    }
}
