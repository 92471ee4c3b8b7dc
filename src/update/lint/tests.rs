//! What is reported without knowing any choice.

use super::*;

#[track_caller]
fn check(text: &str, known: Option<&[&str]>, expected: &[(u32, &str)]) {
    let is_known = |marker: &Marker| known.is_none_or(|known| known.contains(&marker.policy().as_str()));
    let mut judge = |marker: &Marker| (!is_known(marker)).then(|| edit::missing(&marker.policy()));
    let found = lint("f.yaml", text.as_bytes(), &mut judge);
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

#[test]
fn targets_are_checked_without_a_choice() {
    let check = |spec: serde_json::Value, expected: Option<&str>| {
        let spec: ImageTarget = serde_json::from_value(spec).unwrap();
        let mut look = |path: &str| {
            Ok::<_, std::convert::Infallible>(match path {
                "apps/values.yaml" => Ok(b"image: {tag: 1}\n".to_vec()),
                "apps/values.json" => Ok(b"{\"tag\": \"1\"}".to_vec()),
                _ => Err("there is no such file"),
            })
        };
        let Ok(problem) = target(&spec, &mut look);
        assert_eq!(problem.map(|problem| problem.to_string()).as_deref(), expected);
    };
    let of = |file: &str, key: &str| serde_json::json!({"file": file, "policy": "app", "key": key});
    check(of("apps/values.yaml", "image.tag"), None);
    check(of("./apps//values.json", "tag"), None);
    check(of("apps/values.yaml", "tag"), Some("apps/values.yaml:1: target key tag: there is no key tag here"));
    check(of("apps/values.json", "x"), Some("apps/values.json:1: target key x: there is no key x here"));
    check(of("apps/none.yaml", "tag"), Some("apps/none.yaml: target key tag: there is no such file"));
    check(of("apps/values.yaml", "a["), Some("apps/values.yaml: target key a[: a [ has no ]"));
    check(of("../x.yaml", "a"), Some("../x.yaml: target: \"../x.yaml\" is no file below the repository's root"));
    check(of("/x.yaml", "a"), Some("/x.yaml: target: \"/x.yaml\" is no file below the repository's root"));
    let both = serde_json::json!({"file": "a.json", "policy": "app", "kustomizeImage": "app"});
    check(both, Some("a.json: target: kustomizeImage is for YAML: use key in a JSON file"));
    let none = serde_json::json!({"file": "a.yaml", "policy": "app"});
    check(none, Some("a.yaml: target: set exactly one of kustomizeImage and key"));
    let field = serde_json::json!({"file": "a.yaml", "policy": "app", "kustomizeImage": "app", "field": "tag"});
    check(field, Some("a.yaml: target: field goes with key, not with kustomizeImage"));
    let name = serde_json::json!({"file": "apps/values.yaml", "policy": "app", "kustomizeImage": "a b"});
    check(name, Some("apps/values.yaml: target: kustomizeImage \"a b\" is no name of an image"));
}

#[test]
fn one_value_follows_one_policy() {
    let target = |key: &str, policy: &str| {
        let spec = serde_json::json!({"file": "f.yaml", "policy": policy, "key": key, "field": "tag"});
        Target::read(&serde_json::from_value(spec).unwrap(), "web").unwrap()
    };
    let text = "a: x # {\"$imagepolicy\": \"web:app:tag\"}\nb: y\n";
    let policies = BTreeSet::from(["web:app".to_owned()]);
    let found = |targets: &[Target]| {
        let found = rivals("f.yaml", text.as_bytes(), &policies, targets);
        found.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
    };
    assert_eq!(found(&[]), "");
    assert_eq!(found(&[target("a", "app"), target("b", "db")]), "");
    assert_eq!(
        found(&[target("a", "db")]),
        "f.yaml:1: one value, two policies: target key a of policy web:db; the marker of policy web:app"
    );
    assert_eq!(
        found(&[target("b", "db"), target("b", "app")]),
        "f.yaml:2: one value, two policies: target key b of policy web:app; target key b of policy web:db"
    );
}
