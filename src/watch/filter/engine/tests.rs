//! All engines against the general one: the same matches, the same groups.

use proptest::prelude::*;

use super::*;

fn name(engine: &Engine) -> &'static str {
    match engine {
        Engine::Row(_) => "row",
        Engine::OnePass(_) => "one pass",
        Engine::General(_) => "general",
    }
}

/// Every engine that can run the pattern gives for every tag what the general one gives.
#[track_caller]
fn check(pattern: &str, tags: &[&str]) -> &'static str {
    let general = Engine::general(pattern).unwrap();
    let Engine::General(regex) = &general else { unreachable!() };
    let last = regex.captures_len() - 1;
    let row = Engine::program(pattern).and_then(|program| Row::read(&program));
    let all =
        [row.map(|row| Engine::Row(Arc::new(row))), Engine::one_pass(pattern).map(|d| Engine::OnePass(Arc::new(d)))];
    for engine in all.iter().flatten() {
        let (mut memory, mut wanted) = (engine.memory(last), general.memory(last));
        for tag in tags {
            let is_match = general.find(&mut wanted, tag);
            assert_eq!(engine.matches(&mut memory, tag), is_match, "{} {pattern} {tag}", name(engine));
            assert_eq!(engine.find(&mut memory, tag), is_match, "{} {pattern} {tag}", name(engine));
            for group in (0..=last).filter(|_| is_match) {
                assert_eq!(memory.group(group), wanted.group(group), "{} {pattern} {tag} {group}", name(engine));
            }
        }
    }
    name(&Engine::compile(pattern).unwrap())
}

#[test]
fn each_pattern_gets_the_fastest_engine_that_can_run_it() {
    const TAGS: [&str; 16] = [
        "",
        "1",
        "12",
        "v1.2.3",
        "1.2.3",
        "1.2.3-rc.1",
        "main-0a1b2c3-1700000000",
        "main-0a1b2c3-",
        "main-0a1b2c3-17x",
        "pr-7",
        "2024.01.15",
        "a",
        "ab",
        "aab",
        "1.2.3-alpine",
        "\u{661}1",
    ];
    for (pattern, engine) in [
        ("^main-[0-9a-f]{7}-([0-9]+)$", "row"),
        ("^main-[0-9a-f]+-([0-9]+)", "row"),
        (r"^v?([0-9]+)\.([0-9]{1,3})\.([0-9]*)$", "row"),
        (r"^[0-9]{4}\.[0-9]{2,}\.", "row"),
        (r"^([0-9]+\.[0-9]+)\.[0-9]+-alpine$", "row"),
        ("^", "row"),
        ("^$", "row"),
        ("^(main|dev)-([0-9]+)$", "one pass"),
        (r"^v?[0-9]+(\.[0-9]+)?$", "one pass"),
        ("^a+?b", "one pass"),
        ("^([ab]+)b$", "general"),
        ("^(.*)-alpine$", "general"),
        ("^a|b", "general"),
        ("(?m)^a", "general"),
        ("[0-9]+", "general"),
        ("", "general"),
        ("b$", "general"),
        (r"^\b1", "one pass"),
    ] {
        assert_eq!(check(pattern, &TAGS), engine, "{pattern}");
    }
}

fn any_pattern() -> impl Strategy<Value = String> {
    let atom = prop_oneof![
        "[ab1.-]".prop_map(|c| c.replace('.', r"\x2e")),
        Just("[ab]".to_owned()),
        Just("[0-9]".to_owned()),
        Just(".".to_owned())
    ];
    const MANY: &[&str] = &["", "", "?", "*", "+", "{2}", "{1,2}", "{0,2}", "{2,}", "+?", "*?", "??"];
    let repeated = (atom, proptest::sample::select(MANY)).prop_map(|(atom, many)| format!("{atom}{many}"));
    let row = proptest::collection::vec(repeated, 0..4).prop_map(|parts| parts.concat());
    let grouped = (row.clone(), row.clone(), row, 0..6_u8, proptest::sample::select(&MANY[..9])).prop_map(
        |(before, inside, after, kind, many)| match kind {
            0 => format!("{before}({inside})({after})"),
            1 => format!("{before}({inside}){many}{after}"),
            2 => format!("{before}(?:{inside}|{after})"),
            3 => format!("({before}|({inside})){many}{after}"),
            4 => format!("{before}{inside}|{after}"),
            _ => format!("({before}{inside}){after}"),
        },
    );
    (grouped, any::<bool>(), any::<bool>()).prop_map(|(pattern, start, end)| {
        format!("{}{pattern}{}", if start { "^" } else { "" }, if end { "$" } else { "" })
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn which_engine_runs_never_shows(pattern in any_pattern(), tags in proptest::collection::vec("[ab1.-]{0,7}", 8)) {
        let tags: Vec<&str> = tags.iter().map(String::as_str).collect();
        check(&pattern, &tags);
    }
}
