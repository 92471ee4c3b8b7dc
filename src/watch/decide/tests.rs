//! Lists of tags, the choice from each, and what must hold of every choice.

use std::sync::LazyLock;

use proptest::prelude::*;

use super::*;

fn policy(yaml: &str) -> Policy {
    Policy::parse(&serde_yaml::from_str(&format!("{{image: app, {yaml}}}")).unwrap()).unwrap()
}

fn tags(text: &str) -> TagList {
    text.split_whitespace().map(|tag| tag.parse().unwrap()).collect()
}

const SEMVER: &str = "policy: {semver: {range: '>=1.0.0 <2.0.0'}}";
const BUILDS: &str =
    "filterTags: {pattern: '^main-(?P<ts>[0-9]+)-[0-9a-f]+$', extract: '$ts'}, policy: {numerical: {order: asc}}";

#[track_caller]
fn check(yaml: &str, current: &str, listed: &str, chosen: &str) -> Decision {
    let (policy, current, listed): (_, Option<Tag>, _) = (policy(yaml), current.parse().ok(), tags(listed));
    let decision = decide(&policy, current.as_ref(), &listed, &[]);
    assert_eq!(decision.chosen.as_ref().map_or("", |tag| tag.as_str()), chosen, "{yaml}");
    let choice = choose(&policy, current.as_ref(), &listed);
    assert_eq!(
        choice,
        Choice { chosen: decision.chosen.clone(), held: decision.held.clone() },
        "fast and explained choice differ"
    );
    decision
}

#[test]
fn the_newest_that_fits() {
    for (rule, yaml, listed, chosen) in [
        ("the greatest version in the range", SEMVER, "1.2.0 1.10.0 1.9.0 2.0.0 0.9.0", "1.10.0"),
        ("what is no version is skipped", SEMVER, "latest 1.0.0 main-abc sha256-99", "1.0.0"),
        ("prereleases are out unless the range names one", SEMVER, "1.0.0 1.1.0-rc.1", "1.0.0"),
        ("prereleases", "policy: {semver: {range: '>=1.0.0-0'}}", "1.0.0 1.1.0-rc.9 1.1.0-rc.10", "1.1.0-rc.10"),
        ("nothing fits", SEMVER, "2.0.0 latest", ""),
        ("an empty list", SEMVER, "", ""),
        ("numbers by value", "policy: {numerical: {}}", "9 10 007 latest", "10"),
        ("numbers, the smallest", "policy: {numerical: {order: desc}}", "9 10 007 latest", "007"),
        (
            "adjacent timestamps",
            "policy: {numerical: {}}",
            "20240101123045788 20240101123045789 20240101123045787",
            "20240101123045789",
        ),
        ("a float's words are no numbers", "policy: {numerical: {}}", "nan inf 1e9 7", "7"),
        ("text by bytes", "policy: {alphabetical: {}}", "a B b Z", "b"),
        ("text, the smallest", "policy: {alphabetical: {order: desc}}", "a B b Z", "B"),
        ("the extracted number", BUILDS, "main-100-abc main-99-abd dev-500-abc", "main-100-abc"),
        (
            "the extracted version",
            "filterTags: {pattern: '^(?P<v>.*)-alpine$', extract: $v}, policy: {semver: {range: '*'}}",
            "1.2-alpine 1.10-alpine 2.0",
            "1.10-alpine",
        ),
        (
            "a template of several pieces",
            "filterTags: {pattern: '^([0-9]+)_([0-9]+)$', extract: '$1.${2}.0'}, policy: {semver: {range: '*'}}",
            "1_9 1_10 1_2",
            "1_10",
        ),
    ] {
        let decision = check(yaml, "", listed, chosen);
        assert_eq!(decision.held, None, "{rule}");
    }
}

#[test]
fn equal_keys_keep_the_current_tag_else_take_the_lexically_greatest() {
    check(SEMVER, "", "1.2.3 v1.2.3 1.02.3", "v1.2.3");
    check(SEMVER, "1.02.3", "1.2.3 v1.2.3 1.02.3", "1.02.3");
    check(SEMVER, "1.02.3", "1.2.3 v1.2.3 1.02.3 1.2.4", "1.2.4");
    check(SEMVER, "v1.2.3", "1.2.3 1.02.3", "1.2.3");
    check(BUILDS, "", "main-7-aaa main-7-bbb main-007-ccc", "main-7-bbb");
    check(BUILDS, "main-7-aaa", "main-7-aaa main-7-bbb main-007-ccc", "main-7-aaa");
    check("policy: {numerical: {order: desc}}", "", "1 1.0 01", "1.0");
}

#[test]
fn never_an_older_tag_while_the_current_one_fits() {
    let decision = check(SEMVER, "1.3.0", "1.2.0 1.1.0", "1.3.0");
    assert_eq!(
        decision.held.map(|held| held.reason).as_deref(),
        Some("1.2.0 is older than 1.3.0, which was chosen before and is no longer listed: a downgrade is refused")
    );
    let decision = check(SEMVER, "1.3.0", "latest", "1.3.0");
    assert_eq!(
        decision.held.map(|held| held.reason).as_deref(),
        Some("1.3.0 was chosen before and is no longer listed; it stays, as no listed tag fits")
    );
    for (rule, yaml, current, listed, chosen) in [
        ("an empty list", SEMVER, "1.3.0", "", "1.3.0"),
        ("still listed", SEMVER, "1.3.0", "1.3.0 1.2.0", "1.3.0"),
        ("something newer", SEMVER, "1.3.0", "1.4.0 1.3.0", "1.4.0"),
        ("gone, but something newer", SEMVER, "1.3.0", "1.4.0", "1.4.0"),
        ("the range moved below it", SEMVER, "2.3.0", "2.3.0 1.4.0", "1.4.0"),
        ("it is no version", SEMVER, "latest", "latest 1.4.0", "1.4.0"),
        ("it is out and nothing fits", SEMVER, "2.3.0", "2.3.0", ""),
        ("the filter leaves it out", BUILDS, "dev-500-abc", "dev-500-abc main-7-abc", "main-7-abc"),
        ("the filter lets it in", BUILDS, "main-500-abc", "main-7-abc", "main-500-abc"),
        ("the smallest is the newest", "policy: {numerical: {order: desc}}", "3", "4 5", "3"),
        ("text", "policy: {alphabetical: {}}", "b", "a", "b"),
    ] {
        let decision = check(yaml, current, listed, chosen);
        let is_listed = tags(listed).contains(chosen);
        assert_eq!(decision.held.is_some(), !chosen.is_empty() && !is_listed, "{rule}");
    }
}

/// A line for each verdict: tag, verdict, rule, reason.
fn lines(decision: &Decision) -> Vec<String> {
    let lines = decision.verdicts.iter().map(|v| format!("{} | {:?} | {:?} | {}", v.tag, v.verdict, v.rule, v.reason));
    lines.collect()
}

#[test]
fn every_tag_has_its_reason() {
    let decision =
        check(SEMVER, "", "latest 1.2.0 2.0.0 1.3.0 v1.3.0 1.4.0-rc.1 99999999999999999999.0.0 0.1.0 1.2.0", "v1.3.0");
    assert_eq!(
        lines(&decision),
        [
            "v1.3.0 | Chosen | Semver | v1.3.0 is the newest of 3 tags that fit",
            "1.3.0 | Older | Semver | 1.3.0 is the same version as v1.3.0; of equals the lexically greatest tag is chosen",
            "1.2.0 | Older | Semver | 1.2.0 is older than v1.3.0",
            "2.0.0 | Refused | Semver | 2.0.0 is outside of >=1.0.0 <2.0.0",
            "1.4.0-rc.1 | Refused | Semver | 1.4.0-rc.1 is a prerelease, and no comparator of the range names one",
            "0.1.0 | Refused | Semver | 0.1.0 is outside of >=1.0.0 <2.0.0",
            "latest | Refused | Semver | \"latest\" is no version",
            "99999999999999999999.0.0 | Refused | Semver | \"99999999999999999999.0.0\" is no version: a number is larger than 18446744073709551615",
        ]
    );
    let decision = check(BUILDS, "main-7-aaa", "main-7-aaa main-7-bbb main-6-aaa latest", "main-7-aaa");
    assert_eq!(
        lines(&decision),
        [
            "main-7-aaa | Chosen | Numerical | main-7-aaa is the newest of 3 tags that fit",
            "main-7-bbb | Older | Numerical | main-7-bbb is the same number as main-7-aaa, which is the current tag",
            "main-6-aaa | Older | Numerical | main-6-aaa is older than main-7-aaa",
            "latest | Refused | Filter | latest does not match the pattern ^main-(?P<ts>[0-9]+)-[0-9a-f]+$",
        ]
    );
    let decision = check(SEMVER, "1.3.0", "1.2.0 1.1.0", "1.3.0");
    assert_eq!(
        lines(&decision),
        [
            "1.2.0 | Older | Downgrade | 1.2.0 is older than 1.3.0, which was chosen before: a downgrade is refused",
            "1.1.0 | Older | Downgrade | 1.1.0 is older than 1.3.0, which was chosen before: a downgrade is refused",
        ]
    );
    let decision =
        check("filterTags: {pattern: '^x-(.*)', extract: $1}, policy: {numerical: {}}", "", "x-1e3 x-2", "x-2");
    assert_eq!(
        lines(&decision),
        [
            "x-2 | Chosen | Numerical | x-2 is the only tag that fits",
            "x-1e3 | Refused | Numerical | \"1e3\" is no number: exponents are not read (extracted from x-1e3)",
        ]
    );
}

#[test]
fn an_explanation_has_the_documented_json() {
    let print = |current: &str, listed: &str, chosen: &str| {
        let explanation = Explanation::new("web", "app", check(SEMVER, current, listed, chosen), Vec::new());
        serde_json::to_string(&explanation).unwrap()
    };
    assert_eq!(
        print("", "1.2.0 1.3.0 latest", "1.3.0"),
        concat!(
            r#"{"policy":{"namespace":"web","name":"app"},"chosen":{"tag":"1.3.0"},"tags":["#,
            r#"{"tag":"1.3.0","verdict":"chosen","reason":"1.3.0 is the newest of 2 tags that fit","rule":"semver"},"#,
            r#"{"tag":"1.2.0","verdict":"older","reason":"1.2.0 is older than 1.3.0","rule":"semver"},"#,
            r#"{"tag":"latest","verdict":"refused","reason":"\"latest\" is no version","rule":"semver"}]}"#
        )
    );
    assert_eq!(print("", "", ""), r#"{"policy":{"namespace":"web","name":"app"},"chosen":null,"tags":[]}"#);
    let held = print("1.3.0", "1.2.0", "1.3.0");
    assert!(
        held.contains(r#""rule":"downgrade"}],"held":{"kept":"1.3.0","insteadOf":"1.2.0","reason":"1.2.0 is older"#),
        "{held}"
    );
}

/// Every filter with every ranking, compiled once.
fn any_policy() -> impl Strategy<Value = &'static Policy> {
    static POLICIES: LazyLock<Vec<Policy>> = LazyLock::new(|| {
        let rankings = [
            "semver: {range: '>=1.0.0 <2.0.0'}",
            "semver: {range: '*-0'}",
            "semver: {range: '^1.1 || ~2.1-0 !=2.1.1'}",
            "numerical: {order: asc}",
            "numerical: {order: desc}",
            "alphabetical: {order: asc}",
            "alphabetical: {order: desc}",
        ];
        let filters = [
            "",
            "filterTags: {pattern: '^[v0-9.]+$'}, ",
            "filterTags: {pattern: '^v?(?P<n>[0-9.]+)', extract: '$n'}, ",
            "filterTags: {pattern: '^v?([0-9]+)[.]([0-9]+)', extract: '${2}.$1'}, ",
            "filterTags: {pattern: '^(v)?([0-9])', extract: '$1'}, ",
        ];
        let pairs = filters.iter().flat_map(|filter| rankings.iter().map(move |ranking| (filter, ranking)));
        pairs.map(|(filter, ranking)| policy(&format!("{filter}policy: {{{ranking}}}"))).collect()
    });
    (0..POLICIES.len()).prop_map(|index| &POLICIES[index])
}

/// Tags of few different versions, so that equal keys are common.
fn any_tag() -> impl Strategy<Value = Tag> {
    prop_oneof!["v?0?[0-3](\\.0?[0-2]){0,3}(-(0|rc\\.1|rc\\.10))?", "[a-c]{1,2}", "-?[0-3]"]
        .prop_filter_map("starts with a dash", |text| text.parse().ok())
}

fn any_tags() -> impl Strategy<Value = TagList> {
    proptest::collection::vec(any_tag(), 0..24).prop_map(TagList::from_iter)
}

fn candidate<'t>(policy: &Policy, tag: &'t str, text: &'t str) -> Option<Candidate<'t, 't>> {
    Some(Candidate { tag, key: policy.ranking.key(text)? })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn the_explained_choice_is_the_fast_choice(policy in any_policy(), current in proptest::option::of(any_tag()), tags in any_tags()) {
        let decision = decide(policy, current.as_ref(), &tags, &[]);
        let choice = choose(policy, current.as_ref(), &tags);
        prop_assert_eq!(&choice, &Choice { chosen: decision.chosen.clone(), held: decision.held.clone() });
        let chosen: Vec<_> = decision.verdicts.iter().filter(|v| v.verdict == Outcome::Chosen).map(|v| v.tag.as_str()).collect();
        let expected: Vec<_> = decision.chosen.iter().filter(|_| decision.held.is_none()).map(Tag::as_str).collect();
        prop_assert_eq!(chosen, expected, "exactly the chosen tag is marked, unless it is held and not listed");
        let mut judged: Vec<_> = decision.verdicts.iter().map(|v| v.tag.as_str()).collect();
        judged.sort_unstable();
        prop_assert_eq!(judged, tags.iter().collect::<Vec<_>>(), "each tag is judged once");
        prop_assert!(decision.verdicts.is_sorted_by_key(|v| v.verdict as u8), "chosen, older, refused");
        prop_assert!(decision.verdicts.iter().all(|v| !v.reason.is_empty()));
    }

    #[test]
    fn the_best_few_are_the_first_of_all_that_fit(
        policy in any_policy(), current in proptest::option::of(any_tag()), tags in any_tags(), limit in 0_usize..8
    ) {
        let fitting: Vec<&str> = tags.iter().filter(|tag| compare(policy, None, tag, tag).is_some()).collect();
        let best = ranked(policy, current.as_ref(), &tags, limit);
        prop_assert_eq!(best.len(), fitting.len().min(limit));
        let mut sorted = fitting;
        sorted.sort_by(|a, b| compare(policy, current.as_ref(), b, a).unwrap());
        prop_assert_eq!(&best[..], &sorted[..best.len()]);
    }

    #[test]
    fn choosing_again_changes_nothing(policy in any_policy(), current in proptest::option::of(any_tag()), tags in any_tags()) {
        let first = choose(policy, current.as_ref(), &tags).chosen;
        prop_assert_eq!(&choose(policy, first.as_ref(), &tags).chosen, &first);
    }

    #[test]
    fn the_order_is_total(policy in any_policy(), current in any_tag(), tags in proptest::collection::vec(any_tag(), 3)) {
        let candidates: Vec<_> = tags.iter().filter_map(|tag| candidate(policy, tag.as_str(), tag.as_str())).collect();
        let compare = |a: &Candidate<'_, '_>, b: &Candidate<'_, '_>| order(&policy.ranking, Some(&current), a, b);
        for a in &candidates {
            for b in &candidates {
                prop_assert_eq!(compare(a, b), compare(b, a).reverse());
                prop_assert_eq!(compare(a, b).is_eq(), a.tag == b.tag, "no two tags tie");
                for c in &candidates {
                    prop_assert!(compare(a, b).is_gt() || compare(b, c).is_gt() || compare(a, c).is_le(), "transitive");
                }
            }
        }
    }

    #[test]
    fn an_older_tag_never_changes_the_choice(policy in any_policy(), current in proptest::option::of(any_tag()), tags in any_tags(), new in any_tag()) {
        let before = choose(policy, current.as_ref(), &tags).chosen;
        let key = |tag: &Tag| policy.compared(tag.as_str()).map(Cow::into_owned);
        let (before_text, new_text) = (before.as_ref().and_then(key), key(&new));
        let read = |text: &Option<String>| text.clone().filter(|text| policy.ranking.key(text).is_some());
        let is_older = match (read(&before_text), read(&new_text)) {
            (_, None) => true,
            (None, Some(_)) => false,
            (Some(old), Some(new)) => policy.ranking.key(&new).zip(policy.ranking.key(&old)).is_some_and(|(new, old)| policy.ranking.compare(&new, &old).is_lt()),
        };
        let tags: TagList = tags.iter().map(|tag| tag.parse().unwrap()).chain([new]).collect();
        if is_older {
            prop_assert_eq!(choose(policy, current.as_ref(), &tags).chosen, before);
        }
    }

    #[test]
    fn the_choice_is_never_older_than_a_current_that_fits(policy in any_policy(), current in any_tag(), tags in any_tags()) {
        let Some(current_text) = policy.compared(current.as_str()) else { return Ok(()) };
        let Some(current_key) = policy.ranking.key(&current_text) else { return Ok(()) };
        let chosen = choose(policy, Some(&current), &tags).chosen.unwrap();
        let chosen_text = policy.compared(chosen.as_str()).unwrap();
        prop_assert!(policy.ranking.compare(&policy.ranking.key(&chosen_text).unwrap(), &current_key).is_ge());
    }
}
