//! The range dialect, a row for each rule. The rules are those of Masterminds/semver v3; above each table stands where.

use proptest::prelude::*;

use super::*;

/// What of `versions` lies inside of a range.
fn inside<'v>(range: &str, versions: &[&'v str]) -> Vec<&'v str> {
    let range = Range::parse(range).unwrap();
    versions.iter().copied().filter(|version| range.matches(&version::parse(version).unwrap())).collect()
}

#[track_caller]
fn check(rule: &str, range: &str, accepted: &str, refused: &str) {
    let (accepted, refused): (Vec<_>, Vec<_>) =
        (accepted.split_whitespace().collect(), refused.split_whitespace().collect());
    let all: Vec<_> = accepted.iter().chain(&refused).copied().collect();
    assert_eq!(inside(range, &all), accepted, "{rule}: {range}");
}

/// Source: README, "Basic Comparisons"; `constraintOps` for `=>` and `=<`, which the README leaves out.
#[test]
fn operators_on_whole_versions() {
    for (rule, range, accepted, refused) in [
        ("a bare version is equal", "1.2.3", "1.2.3 v1.02.3 1.2.3+b", "1.2.4 1.2.2 1.2.3-a"),
        ("equal", "=1.2.3", "1.2.3", "1.2.4"),
        ("equal to a prerelease", "1.2.3-rc.1", "1.2.3-rc.1", "1.2.3 1.2.3-rc.2"),
        ("not equal", "!=1.2.3", "1.2.2 1.2.4", "1.2.3 1.2.4-a"),
        ("above", ">1.2.3", "1.2.4 2", "1.2.3 1.2.2"),
        ("at least", ">=1.2.3", "1.2.3 9", "1.2.2"),
        ("at least, letters swapped", "=>1.2.3", "1.2.3 9", "1.2.2"),
        ("below", "<1.2.3", "1.2.2 0", "1.2.3 2"),
        ("at most", "<=1.2.3", "1.2.3 0", "1.2.4"),
        ("at most, letters swapped", "=<1.2.3", "1.2.3 0", "1.2.4"),
        ("v in the range", ">=v1.2.3 <v2", "1.2.3", "2.0.0"),
        ("space after the operator", ">= 1.2.3", "1.2.3", "1.2.2"),
        ("leading zeros", "~2025.07", "2025.7.31", "2025.8.0"),
        ("build in the range does not count", "=1.2.3+b", "1.2.3 1.2.3+c", "1.2.4"),
    ] {
        check(rule, range, accepted, refused);
    }
}

/// Source: README, "Wildcards In Comparisons"; `constraintGreaterThan`, `constraintLessThan` for partial versions.
#[test]
fn partial_versions_and_wildcards_are_blocks() {
    for (rule, range, accepted, refused) in [
        ("a bare partial version is tilde", "1.2", "1.2.0 1.2.9", "1.3.0 1.1.9"),
        ("equal to a partial version is tilde", "=1", "1.0.0 1.9.9", "2.0.0 0.9.9"),
        ("x", "1.x", "1.0.0 1.9.9", "2.0.0"),
        ("X", "1.2.X", "1.2.0 1.2.9", "1.3.0"),
        ("*", "1.*.*", "1.0.0 1.9.9", "2.0.0"),
        ("* alone is every release", "*", "0.0.0 99.0.0", "1.0.0-rc.1"),
        ("x alone is every release", "x", "0.0.0 99.0.0", "1.0.0-rc.1"),
        ("parts after a wildcard say nothing", "1.x.7", "1.0.0 1.9.9", "2.0.7"),
        ("above leaves out the whole block", ">1.1", "1.2.0 2.0.0", "1.1.0 1.1.9 1.0.0"),
        ("above a major", ">11", "12.0.0", "11.1.0 11.0.0 10.0.0"),
        ("at least a block starts at its first", ">=1.1", "1.1.0 2.0.0", "1.0.9"),
        ("below leaves out the whole block", "<1.x", "0.9.9", "1.0.0 1.5.0"),
        ("below two parts", "<1.1", "1.0.9", "1.1.0"),
        ("at most includes the whole block", "<=1.1", "1.1.0 1.1.9 0.0.1", "1.2.0"),
        ("at most a major", "<=1.x", "1.9.9 0.0.1", "2.0.0"),
        ("not equal to a block", "!=1.2", "1.1.9 1.3.0", "1.2.0 1.2.9"),
        ("not equal to a major", "!=1.x", "0.9.0 2.0.0", "1.0.0 1.9.9"),
        ("not equal to every version is not equal to 0.0.0", "!=*", "0.0.1 1.0.0", "0.0.0"),
        ("above every version is above 0.0.0", ">*", "0.0.1 1.0.0", "0.0.0"),
        ("at most every version is at most 0.0", "<=*", "0.0.0 0.0.9", "0.1.0 1.0.0"),
    ] {
        check(rule, range, accepted, refused);
    }
}

/// Source: README, "Tilde Range Comparisons (Patch)" and "Caret Range Comparisons (Major)"; `constraintTilde` for `~0.0.0`.
#[test]
fn tilde_and_caret() {
    for (rule, range, accepted, refused) in [
        ("tilde one part", "~1", "1.0.0 1.9.9", "2.0.0 0.9.9"),
        ("tilde two parts", "~1.2", "1.2.0 1.2.9", "1.3.0 1.1.9"),
        ("tilde three parts", "~1.2.3", "1.2.3 1.2.9", "1.2.2 1.3.0"),
        ("tilde with a wildcard", "~1.2.x", "1.2.0 1.2.9", "1.3.0"),
        ("tilde as in Ruby", "~>1.2.3", "1.2.3 1.2.9", "1.3.0"),
        ("tilde zero", "~0", "0.0.0 0.9.9", "1.0.0"),
        ("tilde zero point zero", "~0.0", "0.0.0 0.0.9", "0.1.0"),
        ("tilde zeros is every version", "~0.0.0", "0.0.0 0.1.0 7.0.0", "1.0.0-a"),
        ("tilde wildcard is every version", "~*", "0.0.0 0.1.0 7.0.0", "1.0.0-a"),
        ("caret", "^1.2.3", "1.2.3 1.9.9", "1.2.2 2.0.0"),
        ("caret two parts", "^1.2", "1.2.0 1.9.9", "1.1.9 2.0.0"),
        ("caret one part", "^1", "1.0.0 1.9.9", "2.0.0 0.9.9"),
        ("caret with a wildcard", "^1.x", "1.0.0 1.9.9", "2.0.0"),
        ("caret below 1", "^0.2.3", "0.2.3 0.2.9", "0.3.0 0.2.2 1.0.0"),
        ("caret two parts below 1", "^0.2", "0.2.0 0.2.9", "0.3.0"),
        ("caret below 0.1", "^0.0.3", "0.0.3", "0.0.4 0.0.2 0.1.0"),
        ("caret two zeros", "^0.0", "0.0.0 0.0.9", "0.1.0"),
        ("caret zero", "^0", "0.0.0 0.9.9", "1.0.0"),
        ("caret zeros", "^0.0.0", "0.0.0", "0.0.1"),
        ("caret wildcard is caret zeros", "^*", "0.0.0", "0.0.1 0.1.0 1.0.0"),
    ] {
        check(rule, range, accepted, refused);
    }
}

/// Source: README, "Checking Version Constraints" (`,`, space and `||`) and "Hyphen Range Comparisons".
#[test]
fn groups() {
    for (rule, range, accepted, refused) in [
        ("and by space", ">=1.0.0 <2.0.0", "1.0.0 1.9.9", "0.9.9 2.0.0"),
        ("and by comma", ">=1.0.0,<2.0.0", "1.0.0 1.9.9", "0.9.9 2.0.0"),
        ("and by comma and space", " >= 1.0.0 , < 2.0.0\t!= 1.5.0\n", "1.0.0 1.9.9", "2.0.0 1.5.0"),
        ("or", "1.x||3.x", "1.0.0 3.9.9", "2.0.0"),
        ("or with spaces, each group with and", ">=1 <1.5 || >=3, <3.5", "1.4.9 3.4.9", "1.5.0 3.5.0 2.0.0"),
        ("hyphen", "1.1 - 2", "1.1.0 2.9.9", "1.0.9 3.0.0"),
        ("hyphen whole versions", "1.1.0 - 2.0.0", "1.1.0 2.0.0", "1.0.9 2.0.1"),
        ("hyphen joined with others", "1 - 2, !=1.5.0 || 4 - 5.1", "1.4.0 2.9.9 5.1.9", "1.5.0 3.0.0 5.2.0"),
        ("hyphen after a comparator and space", "!=1.5.0 1 - 2", "1.4.0", "1.5.0 3.0.0"),
        ("hyphen needs no space around the or", "7||1 - 2", "7.1.0 1.0.0 2.0.0", "3.0.0"),
        ("without spaces a hyphen starts a prerelease", "1.1-2", "1.1.0-2 1.1.0-3 1.1.5", "1.1.0-1 1.5.0 2.0.0"),
    ] {
        check(rule, range, accepted, refused);
    }
}

/// Source: README, "Working With Prerelease Versions"; since v3.4.0 one comparator opens its whole group (pull request 267).
#[test]
fn prereleases() {
    for (rule, range, accepted, refused) in [
        ("left out when no comparator names one", ">=1.0.0", "1.1.0", "1.1.0-rc.1"),
        ("the idiom -0", ">=1.0.0-0", "1.0.0-0 1.0.0-alpha 1.1.0-rc.1 1.1.0", "0.9.9-rc.1"),
        ("one comparator opens its whole group", ">=1.0.0-0 <2.0.0", "1.5.0-rc.1 2.0.0-rc.1", "2.0.0"),
        ("the other comparator opens it too", ">=1.0.0 <2.0.0-0", "1.5.0-rc.1", "1.0.0-rc.1 2.0.0-0"),
        ("it does not open another group", ">=1.0.0 <2.0.0 || >=3.0.0-0", "1.5.0 3.0.0-rc.1", "1.5.0-rc.1"),
        ("wildcard", "*-0", "0.0.0-0 1.0.0-rc.1 1.0.0", ""),
        (
            "tilde stays in its block",
            "~1.2.3-beta.2",
            "1.2.3-beta.2 1.2.3-beta.10 1.2.9-a 1.2.9",
            "1.2.3-beta.1 1.3.0-a",
        ),
        ("caret", "^1.2.0-beta", "1.2.0-beta 1.9.0-a 1.9.0", "1.2.0-alpha 2.0.0-0"),
        ("caret on a partial version", "^0.2-0", "0.2.0-0 0.2.9-a", "0.3.0-0"),
        ("hyphen", "1.0.0-0 - 2.0.0", "1.0.0-rc.1 2.0.0-rc.1 2.0.0", "2.0.1-rc.1"),
        ("above a block leaves out its prereleases", ">1.1-0", "1.2.0-a 2.0.0-a", "1.1.0-a 1.1.1"),
        ("at most a block includes its prereleases", "<=1.1-0", "1.1.9-a 1.1.9", "1.2.0-a"),
        (
            "not equal to a block's prereleases of one name",
            "!=4.1-alpha",
            "4.1.0 4.1.3 4.1.0-beta 4.2.0-alpha",
            "4.1.0-alpha 4.1.7-alpha",
        ),
        ("not equal to a whole prerelease", "!=4.1.0-alpha", "4.1.0 4.1.1-alpha", "4.1.0-alpha"),
        ("not equal to a major leaves out all of it", "!=4-alpha", "5.0.0-alpha 3.0.0", "4.1.0-alpha 4.1.0 4.0.0-beta"),
        ("a prerelease that is a number comes first", ">1.0.0-9", "1.0.0-10 1.0.0-alpha", "1.0.0-8"),
    ] {
        check(rule, range, accepted, refused);
    }
}

#[test]
fn a_prerelease_that_would_fit_is_told_apart() {
    for (range, version, fit) in [
        (">=1.0.0 <2.0.0", "1.5.0-rc.1", Fit::Prerelease),
        (">=1.0.0 <2.0.0", "3.0.0-rc.1", Fit::Outside),
        (">=1.0.0 <2.0.0", "3.0.0", Fit::Outside),
        (">=1.0.0-0 <2.0.0", "1.5.0-rc.1", Fit::Inside),
        ("1.x || >=3-0", "1.5.0-rc.1", Fit::PrereleaseOfGroup),
    ] {
        assert_eq!(Range::parse(range).unwrap().fit(&version::read(version).unwrap()), fit, "{range} {version}");
    }
}

#[test]
fn a_malformed_range_says_what_and_where() {
    for (range, reason) in [
        ("", "at character 1: a version is missing before the end"),
        ("abc", "at character 1: a version is missing before 'a'"),
        (">=", "at character 3: a version is missing before the end"),
        (">=1.0.0 <", "at character 10: a version is missing before the end"),
        (">=1.0.0,", "at character 9: a version is missing before the end"),
        (">=1.0.0,,<2", "at character 9: a version is missing before ','"),
        (">=1<2", "at character 4: unexpected '<'"),
        ("1 || ", "at character 6: a version is missing before the end"),
        ("|| 1", "at character 1: a version is missing before '|'"),
        ("1 | 2", "at character 3: a version is missing before '|'"),
        ("1|2", "at character 2: unexpected '|'"),
        ("1.", "at character 3: a number is missing before the end"),
        ("1.a", "at character 3: a number is missing before 'a'"),
        ("1.2.3.4", "at character 6: a version has at most three numbers"),
        ("1.2x", "at character 3: \"2x\" is neither a number nor a wildcard"),
        ("1.xx", "at character 3: \"xx\" is neither a number nor a wildcard"),
        ("> 18446744073709551616", "at character 3: 18446744073709551616 is larger than 18446744073709551615"),
        ("==1", "at character 2: a version is missing before '='"),
        ("1 - 2 - 3", "at character 7: a version is missing before '-'"),
        (">1 - 2", "at character 4: a version is missing before '-'"),
        ("1.2-01", "at character 1: \"1.2-01\" is no version: a number in its prerelease has a leading zero"),
        (
            "<1.2.3-",
            "at character 2: \"1.2.3-\" is no version: prerelease and build need parts of letters, digits and '-' between their dots",
        ),
        ("1.0.0 é", "at character 7: a version is missing before 'é'"),
        ("1.0.0é", "at character 6: unexpected 'é'"),
        (&">=1 ".repeat(300), "it is longer than 1024 bytes"),
    ] {
        assert_eq!(Range::parse(range), Err(reason.to_owned()), "{range:?}");
    }
}

fn range_text() -> impl Strategy<Value = String> {
    let version = "v?[0-3xX*]{1,2}(\\.[0-3x*]){0,2}(-(0|alpha|rc\\.[12]))?";
    let comparator = ("(|=|!=|>|<|>=|=>|<=|=<|~|~>|\\^)", " ?", version)
        .prop_map(|(operator, space, version)| operator + &space + &version);
    let group = proptest::collection::vec(comparator, 1..4).prop_map(|comparators| comparators.join(", "));
    proptest::collection::vec(group, 1..3).prop_map(|groups| groups.join(" || "))
}

fn version_text() -> impl Strategy<Value = String> {
    "[0-3]\\.[0-3]\\.[0-3](-(0|alpha|rc\\.[12]))?"
}

proptest! {
    #[test]
    fn no_text_panics(range in "\\PC{0,24}|[-v0-3xX*.,|<>=!~^ +a]{0,24}", version in version_text()) {
        if let Ok(range) = Range::parse(&range) {
            range.matches(&version::parse(&version).unwrap());
        }
    }

    #[test]
    fn spelling_does_not_count(range in range_text()) {
        if let Ok(parsed) = Range::parse(&range) {
            let respelled = format!(" {} ", range.replace(", ", "  ").replace(" || ", "||").replace('X', "*"));
            prop_assert_eq!(Ok(parsed), Range::parse(&respelled));
        }
    }

    #[test]
    fn a_group_is_its_comparators_and_a_range_its_groups(a in range_text(), b in range_text(), version in version_text()) {
        let version = version::parse(&version).unwrap();
        if let (Ok(left), Ok(right)) = (Range::parse(&a), Range::parse(&b)) {
            let either = Range::parse(&format!("{a} || {b}")).unwrap();
            prop_assert_eq!(either.matches(&version), left.matches(&version) || right.matches(&version));
        }
    }

    #[test]
    fn opposites_part_the_releases(bound in "[0-3](\\.[0-3]){0,2}", version in "[0-3]\\.[0-3]\\.[0-3]") {
        let version = version::parse(&version).unwrap();
        for (operator, opposite) in [("=", "!="), (">=", "<"), ("<=", ">")] {
            let holds = |operator: &str| Range::parse(&format!("{operator}{bound}")).unwrap().matches(&version);
            prop_assert_ne!(holds(operator), holds(opposite), "{} {}", operator, bound);
        }
    }

    #[test]
    fn ranks_leave_out_nothing_that_lies_inside(range in range_text(), version in version_text()) {
        if let Ok(range) = Range::parse(&range) {
            let parts = version::read(&version).unwrap();
            prop_assert!(!range.contains(&parts) || range.may_contain(version::rank(&version)));
        }
    }
}
