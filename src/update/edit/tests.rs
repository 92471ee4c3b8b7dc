//! Tables over the folder of cases, and properties on generated files.
#![expect(clippy::disallowed_methods, reason = "the cases are files")]

use std::path::PathBuf;

use proptest::prelude::*;

use super::*;

/// The policies that the cases name, all of namespace `apps`.
fn choices() -> Choices {
    let digest = format!("sha256:{}", "a1".repeat(32));
    let pinned = format!("ghcr.io/acme/pinned:2.0.0@{digest}");
    let chosen = [
        ("web", "registry.example.com/acme/web:1.5.0"),
        ("pinned", pinned.as_str()),
        ("ten", "acme/ten:1.10"),
        ("build", "acme/build:20240131"),
        ("octal", "acme/octal:0123"),
        ("exponent", "acme/exponent:1e3"),
        ("hex", "acme/hex:0x1f"),
        ("date", "acme/date:2024-01-31"),
        ("word", "acme/word:on"),
        ("sixty", "1:30"),
    ];
    let mut choices: Choices = chosen
        .into_iter()
        .map(|(name, image)| (format!("apps:{name}"), Known::Chosen(image.parse().unwrap())))
        .collect();
    choices.insert("apps:waiting".into(), Known::Undecided);
    choices.insert("apps:aside".into(), Known::NotSelected);
    choices.insert("other:web".into(), Known::Chosen("other/web:9".parse().unwrap()));
    choices
}

fn cases() -> Vec<PathBuf> {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/edit");
    let mut cases: Vec<_> = std::fs::read_dir(root).unwrap().map(|entry| entry.unwrap().path()).collect();
    cases.sort();
    cases
}

/// Every folder: `before.yaml` becomes `after.yaml` and says what `problems.txt` says; a second run changes nothing.
#[test]
fn cases_of_the_folder() {
    let choices = choices();
    let mut wrong = Vec::new();
    for case in cases() {
        let read = |name: &str| std::fs::read(case.join(name));
        let (before, after) = (read("before.yaml").unwrap(), read("after.yaml").unwrap());
        let expected = read("problems.txt").map(|text| String::from_utf8(text).unwrap()).unwrap_or_default();
        let edited = edit("f.yaml", &before, &choices, Some("apps"));
        let problems: String = edited.problems.iter().map(|p| format!("{}: {}\n", p.line, p.reason)).collect();
        let bytes = edited.bytes.clone().unwrap_or_else(|| before.clone());
        if bytes != after || problems != expected || edited.bytes.is_some() == edited.changes.is_empty() {
            let text = String::from_utf8_lossy(&bytes);
            wrong.push(format!("{}\n{text}{problems}{:?}\n", case.display(), edited.changes));
        }
        let again = edit("f.yaml", &bytes, &choices, Some("apps"));
        if again != (Edited { bytes: None, changes: Vec::new(), ..edited }) {
            wrong.push(format!("{}: not at rest after one edit: {again:?}", case.display()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(cases().len() >= 40);
}

#[track_caller]
fn check(before: &str, after: &str) {
    let edited = edit("f.yaml", before.as_bytes(), &choices(), None);
    let text = edited.bytes.map_or_else(|| before.to_owned(), |bytes| String::from_utf8(bytes).unwrap());
    assert_eq!((text.as_str(), edited.problems), (after, Vec::new()));
}

#[test]
fn without_a_namespace_all_policies_write() {
    check("a: x # {\"$imagepolicy\": \"other:web\"}\n", "a: other/web:9 # {\"$imagepolicy\": \"other:web\"}\n");
}

#[test]
fn changes_say_where_what_and_from_whom() {
    let text = "# c\na: \"acme/ten:1.9\" # {\"$imagepolicy\": \"apps:ten\"}\nb: 1.9 # {\"$imagepolicy\": \"apps:ten:tag\"}\n\
                c: x # {\"$imagepolicy\": \"apps:ten:name\"}\nd: 1.10 # {\"$imagepolicy\": \"apps:ten:tag\"}\n";
    let edited = edit("apps/f.yaml", text.as_bytes(), &choices(), Some("apps"));
    let change = |line, field, old: &str, new: &str| Change {
        file: "apps/f.yaml".into(),
        line,
        policy: "apps:ten".into(),
        field,
        old: old.into(),
        new: new.into(),
    };
    let expected = [
        change(2, Field::Image, "acme/ten:1.9", "acme/ten:1.10"),
        change(3, Field::Tag, "1.9", "1.10"),
        change(4, Field::Name, "x", "acme/ten"),
    ];
    assert_eq!(edited.changes, expected);
    assert_eq!((edited.markers, edited.problems), (4, Vec::new()));
    let json = serde_json::to_string(&expected[1]).unwrap();
    let shown = r#"{"file":"apps/f.yaml","line":3,"policy":"apps:ten","field":"tag","old":"1.9","new":"1.10"}"#;
    assert_eq!(json, shown);
}

#[test]
fn files_that_are_no_text_or_too_large() {
    let marker = b"a: x # {\"$imagepolicy\": \"apps:web\"}\n";
    let latin = [marker.as_slice(), b"b: \xe9\n"].concat();
    let large = [marker.as_slice(), &b"# long\n".repeat(300_000)].concat();
    for (bytes, line) in [(latin, 2), (large, 0)] {
        let edited = edit("f.yaml", &bytes, &choices(), None);
        assert_eq!((edited.bytes, edited.markers), (None, 0));
        assert_eq!(edited.problems.iter().map(|problem| problem.line).collect::<Vec<_>>(), [line]);
    }
    assert_eq!(edit("f.yaml", b"b: \xe9 {{ x\n", &choices(), None), Edited::default());
}

#[test]
fn names_of_marked_files() {
    for (name, is_marked) in [
        ("a.yaml", true),
        ("a.yml", true),
        ("Kustomization", true),
        (".hidden.yaml", true),
        (".yaml", false),
        ("a.yaml.bak", false),
        ("a.json", false),
        ("kustomization", false),
        ("values.YAML", false),
        ("", false),
    ] {
        assert_eq!(is_marked_file_name(name), is_marked, "{name}");
    }
}

#[test]
fn ten_thousand_markers_in_one_file() {
    let line = "- x # {\"$imagepolicy\": \"apps:web\"}\n";
    let edited = edit("f.yaml", line.repeat(10_000).as_bytes(), &choices(), None);
    assert_eq!((edited.changes.len(), edited.markers, edited.problems), (10_000, 10_000, Vec::new()));
}

/// One line or more of a generated file: text before the scalar, the scalar, text after it; marked or not.
#[derive(Debug, Clone)]
struct Part {
    before: String,
    scalar: String,
    after: String,
    policy: Option<&'static str>,
}

fn parts() -> impl Strategy<Value = Vec<Part>> {
    let scalar = prop_oneof![
        "[a-z][a-z0-9./-]{0,12}(:[a-z0-9._-]{0,6}[a-z0-9])?",
        "[0-9]{1,3}(\\.[0-9]{1,3})?",
        "'([a-zA-Z0-9 :#,{}\\[\\]é]|''){0,12}'",
        "\"([a-zA-Z0-9 :#,{}\\[\\]😀]|\\\\n|\\\\\"){0,12}\"",
    ];
    let around = prop_oneof![
        Just((": ", "")),
        Just((":   ", "   ")),
        Just((": &anchor ", "")),
        Just((": !!str ", "")),
        Just((": [", "]")),
        Just((": { k: ", ", }")),
        Just((":\n    ", "")),
    ];
    let policy = prop_oneof![
        Just(None),
        Just(Some("web")),
        Just(Some("ten:tag")),
        Just(Some("pinned:digest")),
        Just(Some("word:tag")),
        Just(Some("sixty")),
    ];
    let noise = prop_oneof![
        Just(""),
        Just("\n"),
        Just("# comment\n"),
        Just("block: |\n  text # no\n\n"),
        Just("list:\n    - a\n    -   'b'\n"),
        Just("---\n"),
        Just("--- # next\n"),
        Just("odd: >-\n   folded\n   text\n\n\n"),
    ];
    let part = (noise, around, scalar, policy).prop_map(|(noise, (open, close), scalar, policy)| {
        let marker = policy.map_or(String::new(), |policy| format!(" # {{\"$imagepolicy\": \"apps:{policy}\"}}"));
        Part { before: format!("{noise}key{open}"), scalar, after: format!("{close}{marker}\n"), policy }
    });
    proptest::collection::vec(part, 1..12)
}

/// The value that a policy's marker asks for.
fn wanted(policy: &str) -> String {
    let (name, field) = policy.split_once(':').unwrap_or((policy, "image"));
    let Some(Known::Chosen(image)) = choices().remove(&format!("apps:{name}")) else { return String::new() };
    match field {
        "tag" => image.tag.to_string(),
        "digest" => image.digest.map(|digest| digest.to_string()).unwrap_or_default(),
        _ => image.to_string(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    /// Bytes outside the marked scalars are the same, each marked value is the policy's, a second run rests.
    #[test]
    fn only_marked_scalars_change(parts in parts(), crlf: bool, bom: bool) {
        let ends = |text: &str| if crlf { text.replace('\n', "\r\n") } else { text.to_owned() };
        let mut text = String::from(if bom { "\u{feff}" } else { "" });
        for part in &parts {
            text += &ends(&format!("{}{}{}", part.before, part.scalar, part.after));
        }
        let read = reading::read(&text);
        prop_assume!(read.failures.is_empty());
        let edited = edit("f.yaml", text.as_bytes(), &choices(), Some("apps"));
        prop_assert_eq!(&edited.problems, &Vec::new());
        prop_assert_eq!(edited.markers as usize, parts.iter().filter(|part| part.policy.is_some()).count());
        let new = edited.bytes.clone().map_or(text.clone(), |bytes| String::from_utf8(bytes).unwrap());
        // Walk through the new text: what stands between the scalars must be there, byte for byte.
        let mut rest = new.strip_prefix('\u{feff}').unwrap_or(&new);
        for part in &parts {
            let before = ends(&part.before);
            rest = rest.strip_prefix(before.as_str()).expect("the text before a scalar");
            let wanted = part.policy.map(wanted);
            let candidates = match &wanted {
                None => vec![part.scalar.clone()],
                Some(value) => vec![part.scalar.clone(), value.clone(), format!("'{value}'"), format!("\"{value}\"")],
            };
            let after = ends(&part.after);
            let found = candidates.iter().find_map(|candidate| {
                rest.strip_prefix(candidate.as_str())?.strip_prefix(after.as_str()).map(|rest| (candidate, rest))
            });
            let (scalar, after_it) = found.expect("the scalar, then the text after it");
            if let Some(value) = &wanted {
                let quoted = [format!("'{value}'"), format!("\"{value}\""), value.clone()];
                prop_assert!(quoted.contains(scalar), "{} is not {}", scalar, value);
                let unquoted = scalar == value && !scalar::reads_as_text(value);
                prop_assert!(!unquoted || part.scalar == *value || part.before.contains("!!str"), "{} is no text", scalar);
            }
            rest = after_it;
        }
        prop_assert_eq!(rest, "");
        let again = edit("f.yaml", new.as_bytes(), &choices(), Some("apps"));
        prop_assert_eq!(again, Edited { bytes: None, changes: Vec::new(), ..edited });
    }

    /// Whatever the bytes: no panic, and what comes out differs from what went in only if a change says so.
    #[test]
    fn any_text_is_survived(text in "([\\-?:,\\[\\]{}#&*!|>'\"%@` \n\r\ta-c]|---\n|\\.\\.\\.\n|: |# \\{\"\\$imagepolicy\": \"apps:web\"\\}\n?|\u{feff}|é){0,60}") {
        let edited = edit("f.yaml", text.as_bytes(), &choices(), Some("apps"));
        prop_assert_eq!(edited.bytes.is_some(), !edited.changes.is_empty());
        prop_assert!(edited.problems.iter().all(|problem| problem.line > 0), "{:?}", edited.problems);
        if let Some(bytes) = edited.bytes {
            prop_assert_eq!(edit("f.yaml", &bytes, &choices(), Some("apps")).changes, Vec::new());
        }
    }
}
