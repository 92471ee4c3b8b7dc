//! The language of expressions, the types of fields, and what is never shown.

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::sync::render::{self, Rendered};

fn variables(is_strict: bool) -> Variables {
    let mut variables = Variables::new(is_strict, false);
    let texts = [
        ("name", "web"),
        ("empty", ""),
        ("port", "8080"),
        ("yes", "yes"),
        ("path", "a/b/c.tar.gz"),
        ("umlaut", "äöü"),
        ("lines", "one\ntwo\n"),
        ("list", "[a, b]"),
        ("comment", "a #b"),
        ("colon", "a: b"),
        ("quote", "\""),
        ("quoted", "\"8080\""),
        ("_x1", "X"),
    ];
    let texts = texts.map(|(name, value)| (name.to_owned(), value.to_owned()));
    variables.add_inline("spec.postBuild.substitute", &BTreeMap::from(texts)).unwrap();
    let secret = [("password", &b"hunter22"[..]), ("binary", &b"\xff\xfe"[..]), ("no-name.crt", &b"x"[..])];
    let secret = secret.map(|(name, value)| (name.to_owned(), value.to_vec()));
    variables.add("Secret keys", true, &BTreeMap::from(secret));
    variables
}

#[track_caller]
fn check(cases: &[(&str, &str)]) {
    let variables = variables(true);
    for (from, to) in cases {
        assert_eq!(text(from, &variables).map(|(text, _)| text).as_deref(), Ok(*to), "{from}");
    }
}

#[track_caller]
fn check_error(from: &str, words: &[&str]) {
    let said = text(from, &variables(true)).unwrap_err();
    assert!(words.iter().all(|word| said.contains(word)), "{from}: {said}");
}

#[test]
fn values_and_escapes() {
    check(&[
        ("", ""),
        ("no variable", "no variable"),
        ("${name}", "web"),
        ("${name}-${port}", "web-8080"),
        ("a${_x1}b", "aXb"),
        ("$name $ $1 $(x) 5$", "$name $ $1 $(x) 5$"),
        ("$${name}", "${name}"),
        ("$$${name}", "$web"),
        ("$$$${name}", "$${name}"),
        ("kill $$", "kill $"),
        ("${lines}", "onetwo"),
        ("${empty}", ""),
        ("ä${name}ö", "äwebö"),
    ]);
}

#[test]
fn defaults() {
    check(&[
        ("${name:-other}", "web"),
        ("${none:-other}", "other"),
        ("${none:=other}", "other"),
        ("${none=other}", "other"),
        ("${none-other}", "other"),
        ("${empty:-other}", "other"),
        ("${empty=other}", "other"),
        ("${empty-other}", ""),
        ("${none:-}", ""),
        ("${none:-${name}}", "web"),
        ("${none:-a ${also_none:=b${port}} c}", "a b8080 c"),
        ("${none:-https://example.com:80/x?y#z}", "https://example.com:80/x?y#z"),
        ("${none:-$x $$ y}", "$x $$ y"),
    ]);
}

#[test]
fn lengths_cases_and_slices() {
    check(&[
        ("${#name}", "3"),
        ("${#umlaut}", "6"),
        ("${name^}", "Web"),
        ("${name^^}", "WEB"),
        ("${_x1,}", "x"),
        ("${_x1,,}", "x"),
        ("${umlaut^}", "Äöü"),
        ("${empty^^}", ""),
        ("${port:1}", "080"),
        ("${port:1:2}", "08"),
        ("${port: -2}", "80"),
        ("${port:0:-1}", "808"),
        ("${port:9}", ""),
        ("${port:2:99}", "80"),
        ("${port:3:-3}", ""),
        ("${port:${empty:-2}}", "80"),
        ("${umlaut:2:2}", "ö"),
    ]);
    check_error("${umlaut:1}", &["umlaut", "several bytes"]);
    check_error("${port:x}", &["port", "whole numbers"]);
    check_error("${port:}", &["port", "whole numbers"]);
}

#[test]
fn patterns() {
    check(&[
        ("${path#*/}", "b/c.tar.gz"),
        ("${path##*/}", "c.tar.gz"),
        ("${path%.*}", "a/b/c.tar"),
        ("${path%%.*}", "a/b/c"),
        ("${path%/*}", "a/b"),
        ("${path%%/*}", "a"),
        ("${path#x}", "a/b/c.tar.gz"),
        ("${path#?}", "/b/c.tar.gz"),
        ("${path#[a-c]/}", "b/c.tar.gz"),
        ("${path#[!a]}", "a/b/c.tar.gz"),
        ("${path#[^b]}", "/b/c.tar.gz"),
        ("${path%[]z]}", "a/b/c.tar.g"),
        ("${path#[}", "a/b/c.tar.gz"),
        ("${path%.gz}", "a/b/c.tar"),
        ("${path%\\.gz}", "a/b/c.tar"),
        ("${path%*}", "a/b/c.tar.gz"),
        ("${path%%*}", ""),
        ("${path%${none:-.gz}}", "a/b/c.tar"),
        ("${path#a.b}", "a/b/c.tar.gz"),
    ]);
    check_error("${path#}", &["path", "pattern"]);
}

#[test]
fn replacements() {
    check(&[
        ("${path/./-}", "a/b/c-tar.gz"),
        ("${path//./-}", "a/b/c-tar-gz"),
        ("${path//\\//-}", "a-b-c.tar.gz"),
        ("${path/#a/x}", "x/b/c.tar.gz"),
        ("${path/#b/x}", "a/b/c.tar.gz"),
        ("${path/%gz/xz}", "a/b/c.tar.xz"),
        ("${path/%tar/xz}", "a/b/c.tar.gz"),
        ("${path/.tar/}", "a/b/c.gz"),
        ("${path//b/${name}}", "a/web/c.tar.gz"),
        ("${path/*/x}", "a/b/c.tar.gz"),
        ("${path/a/$$}", "$/b/c.tar.gz"),
    ]);
    check_error("${path/a}", &["path", "slash"]);
}

#[test]
fn what_is_wrong_is_said() {
    check_error("${none}", &["none is not defined", "$${none}"]);
    for reads in ["${#none}", "${none^^}", "${none:1}", "${none%x}", "${none/a/b}", "${none:-${none}}"] {
        check_error(reads, &["none is not defined"]);
    }
    check_error("${", &["names no variable", "$${"]);
    check_error("${}", &["names no variable"]);
    check_error("${1}", &["${1…}", "names no variable"]);
    check_error("${{ github.sha }}", &["names no variable", "$${"]);
    check_error("${name", &["name", "closing brace"]);
    check_error("${name:-x", &["name", "closing brace"]);
    check_error("${name.x}", &["name", "closing brace"]);
    check_error("${name[0]}", &["name", "closing brace"]);
    check_error("${name^,}", &["name", "closing brace"]);
    check_error("${name:+x}", &["name", "another to Flux"]);
    check_error("${name:?x}", &["name", "another to Flux"]);
    check_error("${binary}", &["binary (Secret keys) is not UTF-8"]);
    check_error(&format!("{}x{}", "${a:-".repeat(20), "}".repeat(20)), &["16 deep"]);
    check_error(&format!("${{none:-{}}}", "x".repeat(TEXT_BYTES + 1)), &["longer than 2 MiB"]);
}

#[test]
fn without_strictness_what_is_missing_is_empty() {
    let lax = variables(false);
    for (from, to) in [("a${none}b", "ab"), ("${none^^}", ""), ("${#none}", "0"), ("${none:-x}", "x")] {
        assert_eq!(text(from, &lax).unwrap().0, to, "{from}");
    }
    assert!(text("${none", &lax).is_err());
}

#[test]
fn names_are_names() {
    let inline = |name: &str| {
        Variables::new(true, false)
            .add_inline("spec.postBuild.substitute", &BTreeMap::from([(name.into(), "x".into())]))
    };
    assert_eq!(inline("_a1"), Ok(()));
    for name in ["", "1a", "a-b", "a.b", "ä"] {
        let said = inline(name).unwrap_err();
        assert!(said.contains("spec.postBuild.substitute") && said.contains(&format!("{name:?}")), "{said}");
    }
    assert!(!variables(true).values.contains_key("no-name.crt"));
}

#[test]
fn every_change_of_a_variable_is_told() {
    let print = |name: &str, value: &str, is_strict: bool, is_secret: bool| {
        let mut variables = Variables::new(is_strict, false);
        variables.add("x", is_secret, &BTreeMap::from([(name.to_owned(), value.as_bytes().to_vec())]));
        variables.fingerprint()
    };
    let first = print("a", "b", true, false);
    assert_eq!(first, print("a", "b", true, false));
    for other in [
        print("a", "c", true, false),
        print("b", "b", true, false),
        print("a", "b", false, false),
        print("a", "b", true, true),
        print("ab", "", true, false),
    ] {
        assert_ne!(first, other);
    }
}

fn rendered(yaml: &str) -> Rendered {
    let rendered = render::plain(&[("apps/a.yaml".to_owned(), yaml.as_bytes().to_vec())]);
    assert_eq!(rendered.problems, []);
    rendered
}

fn body(data: &str) -> Result<Value, String> {
    let yaml = format!("apiVersion: v1\nkind: Thing\nmetadata: {{name: a}}\n{data}");
    let Rendered { manifests, problems } = objects(rendered(&yaml), &variables(true));
    match problems.first() {
        Some(problem) => Err(problem.to_string()),
        None => Ok(manifests[0].body["v"].clone()),
    }
}

/// As Flux has it: what YAML prints without quotes is read again.
#[test]
fn values_of_fields_get_their_types() {
    for (from, to) in [
        ("v: ${port}", json!(8080)),
        ("v: '${port}'", json!(8080)),
        ("v: '\"${port}\"'", json!("\"8080\"")),
        ("v: ${quoted}", json!("8080")),
        ("v: x${quoted}", json!("x\"8080\"")),
        ("v: ${quote}${port}${quote}", json!("8080")),
        ("v: port ${port}", json!("port 8080")),
        ("v: ${yes}", json!(true)),
        ("v: ${none:=true}", json!(true)),
        ("v: ${none:-}", json!(null)),
        ("v: ${list}", json!(["a", "b"])),
        ("v: 'x: ${port}'", json!("x: 8080")),
        ("v: '{${port}}'", json!("{8080}")),
        ("v: '- ${port}'", json!("- 8080")),
        ("v: -${port}", json!(-8080)),
        ("v: |-\n  ${port}\n  x", json!("8080\nx")),
        ("v: |\n  ${port}\n", json!("8080\n")),
        ("v: {a: [{b: '${name}'}]}", json!({"a": [{"b": "web"}]})),
        ("v: {'${name}': 1}", json!({"web": 1})),
        ("v: {'${port}': 1}", json!({"8080": 1})),
        ("v: $${port}", json!("${port}")),
        ("v: 12", json!(12)),
    ] {
        assert_eq!(body(from), Ok(to), "{from}");
    }
}

#[test]
fn a_field_that_can_not_be_read_is_named() {
    for (from, words) in [
        ("v: {a: [x, '${none}']}", "apps/a.yaml:1: Thing/a: v.a[1]: the variable none is not defined"),
        ("v: {b: '${comment}'}", "apps/a.yaml:1: Thing/a: v.b: with the variables put in (comment)"),
        ("v: ${colon}", "apps/a.yaml:1: Thing/a: v: with the variables put in (colon)"),
        ("v: {'${none}': 1}", "apps/a.yaml:1: Thing/a: v: key ${none}: the variable none is not defined"),
        (
            "v: {'${name}': 1, web: 2}",
            "apps/a.yaml:1: Thing/a: v: key web: with its variables put in, the key is there twice",
        ),
    ] {
        let said = body(from).unwrap_err();
        assert!(said.starts_with(words), "{from}: {said}");
    }
}

#[test]
fn an_object_may_get_another_name_and_may_be_left_alone() {
    let map = |meta: &str| format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{{meta}}}\ndata: {{a: '${{name}}'}}\n");
    let done = |meta: &str| objects(rendered(&map(meta)), &variables(true));
    let named = done("name: 'my-${name}', namespace: '${name}'");
    assert_eq!(named.manifests[0].key.to_string(), "ConfigMap/web/my-web");
    for field in ["labels", "annotations"] {
        for key in ["tagboat.dev/substitute", "kustomize.toolkit.fluxcd.io/substitute"] {
            let left = done(&format!("name: '$${{x}}', {field}: {{{key}: disabled}}"));
            assert_eq!(left.manifests[0].body["data"]["a"], "${name}");
            let taken = done(&format!("name: x, {field}: {{{key}: enabled}}"));
            assert_eq!(taken.manifests[0].body["data"]["a"], "web");
        }
    }
    let broken = done("name: '${port}'").problems;
    assert!(broken[0].reason.starts_with("ConfigMap/${port}: with its variables put in"), "{broken:?}");
    let labels = done("name: x, labels: {port: '${port}'}").problems;
    assert!(labels[0].reason.contains("labels") && labels[0].reason.contains("needs quotes"), "{labels:?}");
    // Without variables nothing is looked at.
    let idle = Variables::new(true, false);
    assert_eq!(objects(rendered(&map("name: x")), &idle).manifests[0].body["data"]["a"], "${name}");
    let always = Variables::new(true, true);
    assert_eq!(objects(rendered(&map("name: x")), &always).problems.len(), 1);
}

#[test]
fn secrets_are_not_shown() {
    let variables = variables(true);
    let mask = variables.mask();
    assert_eq!(mask.hide("Invalid value: \"hunter22\" (hunter22)"), "Invalid value: \"***\" (***)");
    assert_eq!(mask.hide("it is hunte…"), "it is ***…");
    assert_eq!(mask.hide("web"), "web");
    assert_eq!(format!("{mask:?}"), "Mask");
    assert!(mask.touches(&json!({"a": ["x hunter22 y"]})) && !mask.touches(&json!({"a": ["hunter"]})));
    let said = format!(
        "{:?}",
        objects(rendered("apiVersion: v1\nkind: A\nmetadata: {name: a}\nv: {'${password}': '${none}'}\n"), &variables)
            .problems
    );
    assert!(said.contains("none is not defined") && !said.contains("hunter22"), "{said}");
}

proptest! {
    #[test]
    fn text_without_a_dollar_stays(from in "[^$]*") {
        prop_assert_eq!(text(&from, &variables(true)).unwrap().0, from);
    }

    #[test]
    fn escaped_text_comes_back(from in any::<String>()) {
        prop_assert_eq!(text(&from.replace('$', "$$"), &variables(true)).unwrap().0, from);
    }

    #[test]
    fn nothing_panics(from in r"([$]?[{]|[}]|name|path|umlaut|none|[-:=+?^,#%/*\[\]!0-9 ä\\]|[$])*") {
        let strict = text(&from, &variables(true));
        let lax = text(&from, &variables(false));
        if let Ok(strict) = strict {
            prop_assert_eq!(lax.unwrap().0, strict.0);
        }
    }

    #[test]
    fn trims_leave_a_part(value in "[ab/.]{0,12}", pattern in r"[ab/.*?\[\]]{1,6}") {
        let mut variables = Variables::new(true, false);
        variables.add_inline("x", &BTreeMap::from([("v".to_owned(), value.clone())])).unwrap();
        let trimmed = |op: &str| text(&format!("${{v{op}{pattern}}}"), &variables).unwrap().0;
        let (short, long) = (trimmed("#_").len(), trimmed("##_").len());
        prop_assert_eq!((short, long), (value.len(), value.len()), "no underscore in it");
        prop_assert!(pattern.starts_with('#') || value.ends_with(&trimmed("#")) && trimmed("#").ends_with(&trimmed("##")));
        prop_assert!(value.starts_with(&trimmed("%")) && trimmed("%").starts_with(&trimmed("%%")));
    }
}
