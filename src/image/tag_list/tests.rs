//! Lists against a sorted set of tags, and what they cost.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

fn list(text: &str) -> TagList {
    text.split_whitespace().map(|tag| tag.parse::<Tag>().unwrap()).collect()
}

#[track_caller]
fn check(listed: &str, expected: &str) {
    let mut builder = TagListBuilder::default();
    listed.split_whitespace().for_each(|tag| builder.push(tag).unwrap());
    let built = builder.build();
    let expected: Vec<&str> = expected.split_whitespace().collect();
    assert_eq!(built.iter().collect::<Vec<_>>(), expected, "{listed}");
    assert_eq!(built, list(listed));
    assert_eq!((built.len(), built.is_empty()), (expected.len(), expected.is_empty()));
}

#[test]
fn a_list_is_in_the_order_of_bytes_and_has_each_tag_once() {
    check("", "");
    check("a", "a");
    check("b a", "a b");
    check("1.0 1.0.1 1.0-rc 1", "1 1.0 1.0-rc 1.0.1");
    check("v1 v1 V1 v1", "V1 v1");
    check("main-12345678-b main-12345678-a main-12345678", "main-12345678 main-12345678-a main-12345678-b");
    check("aa a aaaaaaaaa aaaaaaaa", "a aa aaaaaaaa aaaaaaaaa");
}

#[test]
fn what_is_no_tag_is_not_taken() {
    let mut builder = TagListBuilder::default();
    for text in ["", ".a", "-a", "a b", "a\n", "é", "a/b", "a:b", &"x".repeat(129)] {
        assert_eq!(builder.push(text).unwrap_err(), text.parse::<Tag>().unwrap_err());
    }
    assert!(builder.is_empty());
    builder.push(&"x".repeat(128)).unwrap();
    assert_eq!(builder.build().len(), 1);
}

#[test]
fn pages_add_up() {
    let (mut all, mut page) = (TagListBuilder::default(), TagListBuilder::default());
    all.push("b").unwrap();
    page.push("a").unwrap();
    page.push("b").unwrap();
    all.append(&page).unwrap();
    assert_eq!(all.len(), 3);
    assert_eq!(all.build(), list("a b"));
}

#[test]
fn what_left_a_list_is_counted() {
    for (before, after, gone) in [
        ("", "", 0),
        ("a b c", "a b c", 0),
        ("a b c", "", 3),
        ("", "a b", 0),
        ("a b c", "b", 2),
        ("a b c", "a0 b c d", 1),
        ("b", "a c", 1),
    ] {
        assert_eq!(list(before).gone(&list(after)), gone, "{before} -> {after}");
    }
}

/// Counted, as a clock would tell of the machine: 12 bytes of text, 4 of place, 8 of key.
#[test]
fn a_tag_costs_no_more_than_32_bytes_with_its_key() {
    const COUNT: usize = 10_000;
    let tags: TagList = (0..COUNT).map(|n| format!("v1.{:03}.{n:05}", n % 700).parse::<Tag>().unwrap()).collect();
    assert_eq!(tags.len(), COUNT);
    let bare = tags.bytes();
    tags.keys(|text| text.len() as u64);
    let shared = tags.clone();
    assert!(shared.keys(|_| 0).iter().all(|key| *key == 12), "keys are made once and shared");
    assert_eq!(tags.bytes() - bare, 8 * COUNT);
    assert!(tags.bytes() <= 24 * COUNT + 100, "{} bytes", tags.bytes());
}

proptest! {
    #[test]
    fn a_list_is_a_sorted_set(
        texts in proptest::collection::vec("[a-b0-1][a-b.]{0,11}", 0..40),
        others in proptest::collection::vec("[a-b0-1][a-b.]{0,11}", 0..40),
    ) {
        let (set, other_set): (BTreeSet<_>, BTreeSet<_>) = (texts.iter().collect(), others.iter().collect());
        let [tags, other] = [&texts, &others].map(|texts| list(&texts.join(" ")));
        prop_assert_eq!(tags.iter().collect::<Vec<_>>(), set.iter().map(|text| text.as_str()).collect::<Vec<_>>());
        prop_assert!(tags.iter().rev().eq(set.iter().rev().map(|text| text.as_str())));
        for text in texts.iter().chain(&others) {
            prop_assert_eq!(tags.contains(text), set.contains(text));
        }
        prop_assert_eq!(tags.gone(&other), set.difference(&other_set).count());
        prop_assert_eq!(tags == other, set == other_set);
    }
}
