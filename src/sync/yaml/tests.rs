//! The rules of the loader, each with its name; truth is what `kubectl annotate --local -o json` prints.

use proptest::prelude::*;
use serde_json::json;

use super::*;

/// A rule, a text, and the line and value of each document.
type Read<'a> = (&'a str, &'a str, &'a [(u32, Value)]);
/// A rule, bytes, the starts of the problems, and the lines of the documents that are read all the same.
type Broken<'a> = (&'a str, &'a [u8], &'a [&'a str], &'a [u32]);

#[track_caller]
fn check(rule: &str, text: &str, wanted: Value) {
    let (documents, problems) = documents("f.yaml", text.as_bytes());
    assert_eq!(problems, [], "{rule}");
    let values: Vec<Value> = documents.into_iter().map(|document| document.value).collect();
    assert_eq!(values, [wanted], "{rule}");
}

/// The problems as people see them, and the lines of the documents that were read all the same.
#[track_caller]
fn check_broken(rule: &str, bytes: &[u8], starts: &[&str], lines: &[u32]) {
    let (documents, problems) = documents("f.yaml", bytes);
    let texts: Vec<String> = problems.iter().map(ToString::to_string).collect();
    assert_eq!(texts.len(), starts.len(), "{rule}: {texts:?}");
    for (text, start) in texts.iter().zip(starts) {
        assert!(text.starts_with(start), "{rule}: {text}");
    }
    assert_eq!(documents.iter().map(|document| document.line).collect::<Vec<_>>(), lines, "{rule}");
}

#[test]
fn plain_scalars_are_yaml_1_1() {
    let rows = [
        ("true", "[true, True, TRUE, yes, Yes, YES, on, On, ON, y, Y]", json!(vec![true; 11])),
        ("false", "[false, False, FALSE, no, No, NO, off, Off, OFF, n, N]", json!(vec![false; 11])),
        ("null", "[~, null, Null, NULL, ]", json!([null, null, null, null])),
        ("empty value", "a:\nb: 1", json!({"a": null, "b": 1})),
        ("other words are text", "[tRue, yEs, nULL, nil, o]", json!(["tRue", "yEs", "nULL", "nil", "o"])),
        ("decimal", "[0, 12, -3, +4, 1_000, 9223372036854775807]", json!([0, 12, -3, 4, 1000, i64::MAX])),
        ("above i64", "[9223372036854775808, -9223372036854775808]", json!([9223372036854775808_u64, i64::MIN])),
        ("hexadecimal", "[0x1F, -0x10]", json!([31, -16])),
        ("binary", "[0b101, -0b11]", json!([5, -3])),
        ("octal of YAML 1.1", "defaultMode: 0644", json!({"defaultMode": 420})),
        ("octal of YAML 1.2", "[0o644, -0644]", json!([420, -420])),
        ("no octal after all", "[08, 0899]", json!([8, 899])),
        ("float", "[1.5, -.5, 1e-3, 1.25E2, 6.]", json!([1.5, -0.5, 0.001, 125, 6])),
        ("a whole float is an integer", "[1.0, 1e3]", json!([1, 1000])),
        ("a large float", "[1e40]", json!([1e40])),
        ("too large to be a float", "[1e999]", json!(["1e999"])),
        (
            "no numbers",
            "[1.2.3, 1.10-a, 1:30, 12e, 0x, 0xZZ, +, ., '1', -0x-1]",
            json!(["1.2.3", "1.10-a", "1:30", "12e", "0x", "0xZZ", "+", ".", "1", "-0x-1"]),
        ),
        ("a time is text", "2001-01-01", json!("2001-01-01")),
        ("a digest of digits", "[1234e5]", json!([123400000])),
        ("underscores", "[.5_5, 1_0.5, 0_7, +0x1, 0o8, ._]", json!([0.55, 10.5, 7, 1, "0o8", "._"])),
        ("infinity quoted", "['.inf']", json!([".inf"])),
    ];
    for (rule, text, wanted) in rows {
        check(rule, text, wanted);
    }
}

#[test]
fn quotes_blocks_and_tags_make_text() {
    let rows = [
        ("single quotes", "'0644'", json!("0644")),
        ("double quotes", "\"yes\"", json!("yes")),
        ("empty quotes", "a: ''", json!({"a": ""})),
        ("literal block", "a: |\n  1\n  2\n", json!({"a": "1\n2\n"})),
        ("folded block", "a: >-\n  1\n  2\n", json!({"a": "1 2"})),
        ("!!str", "[!!str 12, !!str on, !!str ]", json!(["12", "on", ""])),
        ("!!int", "[!!int '12', !!float 2]", json!([12, 2])),
        ("!!bool", "!!bool 'yes'", json!(true)),
        ("a tag of somebody else's", "!vault 12", json!("12")),
        ("escapes", r#""a\tb\u00e9\"""#, json!("a\tb\u{e9}\"")),
        ("control characters in text stay", "\"a\\u0007\"", json!("a\u{7}")),
    ];
    for (rule, text, wanted) in rows {
        check(rule, text, wanted);
    }
}

#[test]
fn keys_merges_and_aliases() {
    let rows = [
        ("keys become text", "{1: a, true: b, 1.5: c, on: d}", json!({"1": "a", "true": "d", "1.5": "c"})),
        ("the last duplicate wins", "a: 1\nb: 2\na: 3", json!({"a": 3, "b": 2})),
        ("alias", "a: &x [1]\nb: *x", json!({"a": [1], "b": [1]})),
        ("an anchor is set anew", "[&x 1, *x, &x 2, *x]", json!([1, 1, 2, 2])),
        ("anchor on a key", "&k a: 1\nb: *k", json!({"a": 1, "b": "a"})),
        ("a merge fills in", "x: &x {a: 1}\nz: {<<: *x, b: 2}", json!({"x": {"a": 1}, "z": {"a": 1, "b": 2}})),
        ("a merge overrides earlier keys", "x: &x {a: 1}\nz: {a: 2, <<: *x}", json!({"x": {"a": 1}, "z": {"a": 1}})),
        ("later keys override a merge", "x: &x {a: 1}\nz: {<<: *x, a: 2}", json!({"x": {"a": 1}, "z": {"a": 2}})),
        (
            "of merged lists the first wins",
            "- &x {a: 1}\n- &y {a: 2, b: 2}\n- {<<: [*x, *y]}",
            json!([
                {"a": 1}, {"a": 2, "b": 2}, {"a": 1, "b": 2}
            ]),
        ),
        ("quoted, it is a key", "{'<<': 1}", json!({"<<": 1})),
    ];
    for (rule, text, wanted) in rows {
        check(rule, text, wanted);
    }
}

#[test]
fn documents_and_encodings() {
    let rows: [Read; 9] = [
        ("two", "a: 1\n---\nb: 2\n", &[(1, json!({"a": 1})), (3, json!({"b": 2}))]),
        ("empty ones drop", "---\n---\n# only a comment\n---\nnull\n---\na: 1\n", &[(7, json!({"a": 1}))]),
        ("none", "", &[]),
        ("only a comment", "# nothing\n", &[]),
        ("leading comment", "# x\n\na: 1\n", &[(3, json!({"a": 1}))]),
        ("byte order mark", "\u{feff}a: 1\n", &[(1, json!({"a": 1}))]),
        ("CRLF", "a: 1\r\n---\r\nb: |\r\n  x\r\n", &[(1, json!({"a": 1})), (3, json!({"b": "x\n"}))]),
        ("document end", "a: 1\n...\n---\nb: 2\n", &[(1, json!({"a": 1})), (4, json!({"b": 2}))]),
        ("JSON", "{\n\t\"a\": [1, 2.5, null, \"\\ud83d\\ude00\\/\"]\n}\n", &[(1, json!({"a": [1, 2.5, null, "😀/"]}))]),
    ];
    for (rule, text, wanted) in rows {
        let (documents, problems) = documents("f.yaml", text.as_bytes());
        assert_eq!(problems, [], "{rule}");
        let found: Vec<_> = documents.into_iter().map(|document| (document.line, document.value)).collect();
        assert_eq!(found, wanted, "{rule}");
    }
}

#[test]
fn a_broken_document_leaves_the_others() {
    let rows: [Broken; 12] = [
        ("syntax", b"a: 1\n---\nb: [1\n---\nc: 3\n", &["f.yaml:3: can't be read as YAML: unclosed bracket"], &[1, 5]),
        ("only a broken one", b"a: b: c\n", &["f.yaml:1: "], &[]),
        ("Helm template", b"a: 1\n---\n{{ .Values.x }}: {{ if }}\n---\nc: 1\n", &["f.yaml:3: "], &[1, 5]),
        ("infinity", b"a: 1\nb: .inf\n---\nc: 1\n", &["f.yaml:2: .inf is no value"], &[4]),
        ("unknown alias", b"a: 1\nb: *x\n---\nc: 1\n", &["f.yaml:2: "], &[4]),
        ("anchors end with the document", b"a: &x 1\n---\nb: *x\n", &["f.yaml:3: "], &[1]),
        ("an anchor in itself", b"a: &x [*x]\n", &["f.yaml:1: an anchor's value contains itself"], &[]),
        ("null key", b"a: 1\n~: 1\n", &["f.yaml:2: a key is null"], &[]),
        ("list as key", b"? [a]\n: 1\n", &["f.yaml:1: a key is a list"], &[]),
        ("merge of text", b"<<: a\n", &["f.yaml:1: `<<` needs"], &[]),
        ("wrong tag", b"a: !!int x\n", &["f.yaml:1: the tag says int, but \"x\" is none"], &[]),
        ("not UTF-8", b"a: 1\nb: \xff\n", &["f.yaml:2: is not UTF-8"], &[]),
    ];
    for (rule, bytes, starts, lines) in rows {
        check_broken(rule, bytes, starts, lines);
    }
}

#[test]
fn bombs_are_refused() {
    let mut laughs = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n".to_owned();
    for n in 1..12 {
        let aliases = vec![format!("*a{}", n - 1); 9].join(", ");
        laughs.push_str(&format!("a{n}: &a{n} [{aliases}]\n"));
    }
    check_broken("many nodes", laughs.as_bytes(), &["f.yaml:6: aliases make the file too large"], &[]);
    let text = format!("a: &a {}\nb: [{}]\n", "x".repeat(1 << 20), vec!["*a"; 100].join(", "));
    check_broken("much text", text.as_bytes(), &["f.yaml:2: aliases make the file too large"], &[]);
    let open = "[".repeat(10_000);
    check_broken("deep", open.as_bytes(), &["f.yaml:1: "], &[]);
    let mut chain = "- &a0 [x]\n".to_owned();
    for n in 1..400 {
        chain.push_str(&format!("- &a{n} [*a{}]\n", n - 1));
    }
    check_broken("deep by aliases", chain.as_bytes(), &["f.yaml:256: values nest deeper than 256 levels"], &[]);
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let (documents, _) = documents("f", &bytes);
        prop_assert!(documents.iter().all(|document| document.line > 0 && !document.value.is_null()));
    }

    #[test]
    fn any_yaml_like_text_is_read_or_refused(text in "([a-c]: |- |&a |\\*a|<<: |---\n|\\[|\\]|\\{|\\}|, |'|\"|\n|  |[0-9xe.]|!!int |# |\\| |~|\r|\t|\u{feff}){0,40}") {
        let (documents, _) = documents("f", text.as_bytes());
        prop_assert!(documents.iter().all(|document| document.line > 0 && !document.value.is_null()));
    }

    #[test]
    fn json_reads_back(key in "[a-z~<0-9.:_-]{1,8}", text in "\\PC{0,20}", number in any::<i64>()) {
        let value = json!([{key: text, "n": [number, null, true]}]);
        let printed = serde_json::to_string_pretty(&value).unwrap();
        let (documents, problems) = documents("f", printed.as_bytes());
        prop_assert_eq!(problems, []);
        prop_assert_eq!(&documents[0].value, &value);
    }
}
