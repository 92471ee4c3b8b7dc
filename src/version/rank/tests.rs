//! What ranks promise: never against the order, and the same for a text whatever came before it.

use std::cmp::Ordering;

use proptest::prelude::*;

use super::super::read;
use super::super::tests::versionish;
use super::*;

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
        prop_assert_eq!(rank_of([a, b, c], is_prerelease), cut_rank_of([a, b, c], is_prerelease));
    }
    #[test]
    fn a_rank_does_not_depend_on_the_texts_before(
        mut texts in prop::collection::vec(prop_oneof!["v?[0-2]\\.[0-9]\\.[0-9]{1,2}(\\.1|-a|\\+b|x)?", any_version(), versionish()], 0..40),
        is_sorted: bool,
    ) {
        if is_sorted {
            texts.sort();
        }
        let mut ranks = Ranks::default();
        for text in &texts {
            prop_assert_eq!(ranks.of(text), rank(text), "{}", text);
        }
    }
}
