//! What expressions say of a small object, what is refused when one is read, and that none takes for ever.

use proptest::prelude::*;
use serde_json::json;

use super::*;

const VARIABLES: [&str; 3] = ["metadata", "spec", "status"];

fn object() -> Value {
    json!({
        "metadata": {"name": "app", "generation": 2, "labels": {"a.b/c": "x"}},
        "spec": {"replicas": 3, "ratio": 0.5, "tags": ["a", "b"]},
        "status": {
            "observedGeneration": 2, "phase": "Ready",
            "conditions": [{"type": "Ready", "status": "True"}, {"type": "Synced", "status": "False", "reason": "Late"}]
        }
    })
}

fn run(text: &str, object: &Value) -> Result<bool, String> {
    let expression = Expression::compile(text, &VARIABLES).map_err(|mistake| mistake.to_string())?;
    let scope: Vec<(&str, &Value)> = VARIABLES.iter().filter_map(|name| Some((*name, object.get(*name)?))).collect();
    expression.holds(&scope).map_err(|trouble| trouble.to_string())
}

#[track_caller]
fn check(text: &str, expected: Result<bool, &str>) {
    let said = run(text, &object());
    assert_eq!(said.as_ref().map(|holds| *holds).map_err(String::as_str), expected, "{text}");
}

#[test]
fn what_holds() {
    for text in [
        "status.conditions.filter(e, e.type == 'Ready').all(e, e.status == 'True')",
        "status.conditions.exists(e, e.type == 'Synced' && e.status == 'False' && e.reason in ['Late', 'Never'])",
        "status.conditions.exists_one(e, e.type == 'Ready')",
        "status.observedGeneration == metadata.generation",
        "status.observedGeneration >= 2 && spec.replicas + 1 == 4 && spec.replicas - 1 == 2",
        "has(status.phase) && !has(status.gone)",
        "!(has(status.gone) && status.gone.deeper == 1)",
        "spec.replicas > 2 ? true : false",
        "size(status.conditions) == 2 && status.conditions.size() == 2",
        "status.phase.startsWith('Re') && status.phase.matches('^R.*y$') && status.phase.lowerAscii() == 'ready'",
        "metadata.labels['a.b/c'] == 'x' && 'a.b/c' in metadata.labels",
        "status.conditions.map(e, e.type).exists(t, t == 'Synced')",
        "status.?gone.orValue('x') == 'x'",
        "spec.ratio == 0.5 && spec.ratio < 1.0",
        "spec.tags.join(',') == 'a,b'",
        "string(metadata.generation) == '2'",
        "spec.tags == ['a', 'b']",
        "status.phase == 'Ready' || status.gone == 1",
    ] {
        check(text, Ok(true));
    }
    check("status.phase == 'Failed'", Ok(false));
}

#[test]
fn what_can_not_be_told() {
    check("status.gone == 1", Err("there is no gone"));
    check("status.conditions[7].type == 'x'", Err("there is no such item in a list"));
    check("status.phase", Err("it gives a text where true or false is needed"));
    check("status.phase > 1", Err("found no matching overload for '_>_' applied to '(string, int)'"));
    check("spec.replicas / 0 == 1", Err("it divides by zero"));
}

#[test]
fn what_is_refused_when_it_is_read() {
    check("statuss.phase == 'x'", Err("line 1, column 1: statuss is not known here; there are metadata, spec, status"));
    check(
        "status.phase == 'x' &&\n  spek.a",
        Err("line 2, column 3: spek is not known here; there are metadata, spec, status"),
    );
    check("status.phase.replace('a', 'b') == 'x'", Err("line 1, column 14: there is no function replace here"));
    check(
        "status.phase.matches(spec.pattern)",
        Err("line 1, column 14: matches needs its pattern as a text in quotes"),
    );
    check(" ", Err("line 1, column 1: the expression is empty"));
    check(
        &format!("'{}' == 'x'", "x".repeat(LENGTH)),
        Err("line 1, column 1: an expression may have 2048 bytes, this one has 2057"),
    );
    for (text, place) in [
        ("status.phase ==", "line 1, column"),
        ("status.", "line 1, column"),
        ("a b", "line 1, column"),
        ("status.phase == 'x", "line 1, column"),
        ("status.conditions.all(e)", "line 1, column"),
        ("status.phase.matches('(')", "line 1, column 14: its pattern:"),
        ("status.phase.matches('(x{1000}){1000}')", "line 1, column 14: its pattern:"),
        (&"(".repeat(500), "line 1, column"),
        (&format!("status{}", ".a".repeat(900)), "line 1, column 1: it nests deeper than 40"),
        (&format!("1{} == 1", "+1".repeat(900)), "line 1, column 1: it nests deeper than 40"),
    ] {
        let said = run(text, &object()).expect_err(text);
        assert!(said.starts_with(place), "{text}: {said}");
    }
}

#[test]
fn loops_over_large_objects_are_refused_before_they_run() {
    let large = json!({"status": {"a": vec![1; 5000]}});
    assert_eq!(run("status.a.all(x, x == 1)", &large), Ok(true));
    let refused = "the object is too large for it: loop over less, or in fewer loops within loops";
    for text in [
        "status.a.all(x, status.a.all(y, x == y))",
        "[status.a + status.a + status.a].map(x, x + x + x).map(x, x + x + x).all(x, x.all(y, y == 1))",
        "status.a.map(x, status.a.map(y, status)).size() == 1",
    ] {
        assert_eq!(run(text, &large), Err(refused.to_owned()), "{text}");
    }
    let small = json!({"status": {"a": vec![1; 40]}});
    assert_eq!(run("status.a.all(x, status.a.all(y, x == y))", &small), Ok(true));
}

#[test]
fn the_deepest_that_is_read_runs_on_a_small_stack() {
    let texts = [
        format!("{}true{}", "(true && ".repeat(18), ")".repeat(18)),
        format!("status{}", ".a".repeat(39)),
        format!("{}true", "!".repeat(38)),
        format!("{}status.phase == ''{}", "[1].all(x, ".repeat(8), ")".repeat(8)),
    ];
    let run_all = move || texts.iter().for_each(|text| drop(run(text, &object())));
    std::thread::Builder::new().stack_size(1 << 20).spawn(run_all).unwrap().join().unwrap();
}

#[test]
fn no_error_shows_a_value() {
    let secret = json!({"spec": {"word": "open-sesame", "words": ["open-sesame"], "map": {"open-sesame": 1}}});
    for text in [
        "spec.word > 1",
        "spec.word.size() > 'x'",
        "spec.words[spec.word] == 1",
        "spec.word + 1 == 2",
        "int(spec.word) == 1",
        "spec.word",
        "spec.map[7] == 1",
        "{spec.words: 1} == {}",
        "spec.word.all(x, x)",
        "-spec.word == 1",
        "spec.words < spec.words",
        "spec.word && true",
        "spec.words.exists(x, x)",
    ] {
        let said = run(text, &secret).err().unwrap_or_default();
        assert!(!said.contains("sesame"), "{text}: {said}");
    }
}

proptest! {
    #[test]
    fn no_text_breaks_it(text in "[a-z0-9 .()\\[\\]{}'\"&|!=<>+*/%?:,-]{0,60}") {
        let _ = run(&text, &object());
    }

    #[test]
    fn no_choice_of_words_breaks_it(words in prop::collection::vec(prop::sample::select(vec![
        "status", "spec", ".", "conditions", "(", ")", "[", "]", "'a'", "1", "2.5", "==", "&&", "||", "!", "+", "-", "/", "%",
        ".all(x, ", ".map(x, ", ".filter(x, ", "x", "has(", "size(", "in", "?", ":", "{", "}", ",", "null", "-9223372036854775808",
        ".matches('a')", ".split('')", ".substring(", "int(", "string(", "type(", ".?", "optional.of(", "0u", "9223372036854775807",
    ]), 0..16)) {
        let _ = run(&words.concat(), &object());
        let _ = run(&words.join(" "), &object());
    }
}
