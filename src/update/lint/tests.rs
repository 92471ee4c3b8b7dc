//! What is reported without knowing any choice.

use super::*;

#[track_caller]
fn check(text: &str, known: Option<&[&str]>, expected: &[(u32, &str)]) {
    let known = known.map(|known| known.iter().map(|policy| (*policy).to_owned()).collect());
    let found = lint("f.yaml", text.as_bytes(), known.as_ref());
    assert!(found.iter().all(|problem| problem.file == "f.yaml"));
    assert_eq!(found.len(), expected.len(), "{text}: {found:?}");
    for (problem, (line, part)) in found.iter().zip(expected) {
        assert!(problem.line == *line && problem.reason.contains(part), "{text}: {problem}");
    }
}

#[test]
fn form_and_place_are_checked() {
    check("a: x # {\"$imagepolicy\": \"apps:web:digest\"}\n", None, &[]);
    check(
        "# {\"$imagepolicy\": \"apps:web\"}\na: x # {\"$imagepolicy\": \"apps:web:no\"}\n",
        None,
        &[(1, "line of its own"), (2, "suffix")],
    );
}

#[test]
fn policies_are_checked_when_they_are_known() {
    let text = "a: x # {\"$imagepolicy\": \"apps:web\"}\nb: x # {\"$imagepolicy\": \"apps:db\"}\n";
    check(text, None, &[]);
    check(text, Some(&["apps:web"]), &[(2, "policy apps:db does not exist")]);
}

#[test]
fn only_files_with_a_marker_must_parse() {
    check("{{- if .x }}\na: [\n", None, &[]);
    check("a: [\n---\nb: x # {\"$imagepolicy\": \"apps:web\"}\n", None, &[(1, "does not parse")]);
}
