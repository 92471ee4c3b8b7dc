//! What specs follow, and the newest tag of a range.

use proptest::prelude::*;

use super::*;

fn spec(text: &str) -> GitRef {
    serde_json::from_str(text).unwrap()
}

const ID: &str = "a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1";

#[track_caller]
fn check(text: &str, expected: Result<(Option<&str>, bool, bool), &str>) {
    let text = text.replace("ID", ID);
    match (Follow::read(&spec(&text)), expected) {
        (Ok(follow), Ok(expected)) => {
            let asks = follow.asks();
            assert_eq!((asks.as_deref(), follow.is_branch(), follow.is_tag()), expected, "{text}");
        }
        (Err(reason), Err(words)) => assert!(reason.contains(words), "{text}: {reason}"),
        (found, _) => panic!("{text}: {found:?}"),
    }
}

#[test]
fn what_a_spec_follows() {
    check("{}", Ok((Some("refs/heads/main"), true, false)));
    check(r#"{"branch": "a/b"}"#, Ok((Some("refs/heads/a/b"), true, false)));
    check(r#"{"tag": "v1"}"#, Ok((Some("refs/tags/v1"), false, true)));
    check(r#"{"semver": "^1.2"}"#, Ok((Some("refs/tags/"), false, true)));
    check(r#"{"name": "refs/pull/1/head"}"#, Ok((Some("refs/pull/1/head"), false, false)));
    check(r#"{"name": "refs/tags/v1"}"#, Ok((Some("refs/tags/v1"), false, true)));
    check(r#"{"name": "refs/heads/x"}"#, Ok((Some("refs/heads/x"), false, false)));
    check(r#"{"commit": "ID"}"#, Ok((None, false, false)));
    check(r#"{"commit": "ID", "branch": "x"}"#, Ok((Some("refs/heads/x"), false, false)));
}

#[test]
fn what_a_spec_cannot_say() {
    check(r#"{"branch": "x", "tag": "y"}"#, Err("spec.ref.branch: it goes alone or with commit, remove it beside tag"));
    check(r#"{"branch": "x", "semver": "*"}"#, Err("remove it beside semver"));
    check(r#"{"tag": "x", "semver": "*"}"#, Err("spec.ref.tag: set only one of semver and tag"));
    check(r#"{"commit": "ID", "name": "refs/x"}"#, Err("set only one of commit and name"));
    check(r#"{"commit": "ID", "tag": "x", "branch": "x"}"#, Err("set only one of commit and tag"));
    check(r#"{"commit": "a1a1"}"#, Err("spec.ref.commit: "));
    check(r#"{"name": "pull/1/head"}"#, Err("spec.ref.name: write the ref's full name"));
    check(r#"{"semver": ">=1 <"}"#, Err("spec.ref.semver: "));
}

#[track_caller]
fn check_label(text: &str, name: &str, expected: &str) {
    let follow = Follow::read(&spec(text)).unwrap();
    assert_eq!(follow.label(name), expected, "{text}");
}

#[test]
fn what_revisions_say() {
    check_label("{}", "refs/heads/main", "main");
    check_label(r#"{"tag": "v1"}"#, "refs/tags/v1", "v1");
    check_label(r#"{"semver": "*"}"#, "refs/tags/a/v1.2.3", "a/v1.2.3");
    check_label(r#"{"name": "refs/heads/x"}"#, "refs/heads/x", "refs/heads/x");
}

#[test]
fn which_revisions_may_be_its_own() {
    let revision = |name: &str| Revision { name: name.into(), commit: ID.parse().unwrap() };
    for (text, name, expected) in [
        ("{}", "main", true),
        ("{}", "x", false),
        (r#"{"semver": "^1"}"#, "v1.5.0", true),
        (r#"{"semver": "^1"}"#, "v2.5.0", false),
        (r#"{"semver": "^1"}"#, "main", false),
        (r#"{"name": "refs/heads/main"}"#, "main", false),
        (&format!(r#"{{"commit": "{ID}"}}"#), "", true),
        (&format!(r#"{{"commit": "{ID}"}}"#), "main", false),
        (&format!(r#"{{"commit": "{ID}", "branch": "main"}}"#), "main", true),
    ] {
        assert_eq!(Follow::read(&spec(text)).unwrap().may_be(&revision(name)), expected, "{text} {name}");
    }
}

#[track_caller]
fn check_newest(range: &str, tags: &[&'static str], current: Option<&str>, expected: Result<&str, Newest<'_>>) {
    let parsed = Range::parse(range).unwrap();
    let found = newest(&parsed, tags.iter().copied(), current);
    let found = if let Newest::Tag(at) = found { Ok(tags[at]) } else { Err(found) };
    assert_eq!(found, expected, "{range} of {tags:?}, {current:?} in use");
}

#[test]
fn the_newest_of_a_range() {
    let all = ["latest", "v1", "v1.9", "v1.2.0", "1.10.0", "v1.3.0-rc.1", "v2.0.0", "v2.1.0-beta.2", "x/v9.0.0"];
    check_newest("*", &all, None, Ok("v2.0.0"));
    check_newest("^1.0.0", &all, None, Ok("1.10.0"));
    check_newest(">=2.0.0-0", &all, None, Ok("v2.1.0-beta.2"));
    check_newest(">=3.0.0", &all, None, Err(Newest::None));
    check_newest("*", &[], Some("v1.0.0"), Err(Newest::None));
    // The one in use is gone.
    check_newest("*", &all, Some("v2.4.0"), Err(Newest::OnlyOlder("v2.0.0")));
    check_newest("*", &all, Some("v1.0.0"), Ok("v2.0.0"));
    // Equal versions.
    check_newest("*", &["v1.0.0+a", "v1.0.0+b", "1.0.0"], None, Ok("v1.0.0+b"));
    check_newest("*", &["v1.0.0+a", "v1.0.0+b", "1.0.0"], Some("1.0.0"), Ok("1.0.0"));
}

proptest! {
    /// The order of the list says nothing, and what is chosen is in the range and not older than any that is.
    #[test]
    fn one_total_order(
        mut tags in proptest::collection::vec("v?[0-2]\\.[0-2](\\.[0-2])?(-(a|b|1)(\\.[0-2])?)?(\\+[a-c])?", 0..12),
        range in prop_oneof!["\\*", "\\^[0-2]\\.[0-2]\\.[0-2]", ">=[0-2]\\.[0-2]\\.0-0", "~[0-2]\\.[0-2]"],
        seed in any::<u64>(),
    ) {
        let parsed = Range::parse(&range).unwrap();
        let choose = |tags: &[String], current: Option<&str>| match newest(&parsed, tags.iter().map(String::as_str), current) {
            Newest::Tag(at) => Some(tags[at].clone()),
            _ => None,
        };
        let chosen = choose(&tags, None);
        let fitting: Vec<&String> = tags.iter().filter(|tag| strict(tag).is_some_and(|version| parsed.contains(&version))).collect();
        prop_assert_eq!(chosen.is_some(), !fitting.is_empty());
        if let Some(chosen) = &chosen {
            prop_assert!(fitting.contains(&chosen));
            prop_assert!(fitting.iter().all(|tag| strict(tag) <= strict(chosen)));
            // What is in use stays in use.
            let again = choose(&tags, Some(chosen));
            prop_assert_eq!(again.as_ref(), Some(chosen));
        }
        let length = tags.len().max(1);
        tags.rotate_left(usize::try_from(seed % length as u64).unwrap());
        tags.reverse();
        prop_assert_eq!(choose(&tags, None), chosen);
    }
}
