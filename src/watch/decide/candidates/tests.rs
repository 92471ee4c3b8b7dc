//! Lists, the choice of before, and which tags may replace it.

use super::*;

fn policy(yaml: &str) -> Policy {
    Policy::parse(&serde_yaml::from_str(&format!("{{image: app, {yaml}}}")).unwrap()).unwrap()
}

const SEMVER: &str = "policy: {semver: {range: '1.x'}}";

#[track_caller]
fn check(yaml: &str, current: &str, listed: &str, newer: &str, current_stands: bool) -> Candidates {
    let current: Option<Tag> = current.parse().ok();
    let tags: TagList = listed.split_whitespace().map(|tag| tag.parse().unwrap()).collect();
    let found = candidates(&policy(yaml), current.as_ref(), &tags);
    let names: Vec<&str> = found.newer.iter().map(Tag::as_str).collect();
    assert_eq!((names.join(" ").as_str(), found.current_stands), (newer, current_stands), "{yaml}");
    found
}

#[test]
fn what_is_newer_comes_newest_first_and_ends_at_the_choice_of_before() {
    check(SEMVER, "1.1", "1.0 1.1 1.2 1.10 2.0", "1.10 1.2", true);
    check(SEMVER, "", "1.0 1.1 latest", "1.1 1.0", false);
    check(SEMVER, "1.1", "1.0 1.1", "", true);
}

#[test]
fn a_choice_that_left_the_list_is_replaced_by_newer_ones_unless_a_downgrade_is_allowed() {
    assert!(check(SEMVER, "1.5", "1.0 1.1", "", true).held.is_some());
    check(SEMVER, "1.5", "1.0 1.6", "1.6", true);
    check(&format!("{SEMVER}, allowDowngrade: true"), "1.5", "1.0 1.1", "1.1 1.0", true);
    check(&format!("{SEMVER}, allowDowngrade: true"), "1.1", "1.0 1.1", "", true);
    check(&format!("{SEMVER}, allowDowngrade: true"), "1.5", "", "", true);
}

#[test]
fn a_choice_that_the_policy_no_longer_wants_is_replaced_by_any_or_given_up() {
    check(SEMVER, "2.0", "1.0 1.1 2.0", "1.1 1.0", true);
    check(SEMVER, "2.0", "2.0 3.0", "", false);
    check(&format!("{SEMVER}, exclusionList: ['^1\\.1$']"), "1.1", "1.0 1.1", "1.0", true);
}
