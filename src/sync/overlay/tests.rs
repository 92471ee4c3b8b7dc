//! When plain files are built, and what a kustomization becomes.

use super::*;
use crate::sync::render;

fn overlay(spec: &str) -> Overlay {
    let spec: GitSyncSpec = serde_yaml::from_str(&format!("{{configRepoRef: {{name: fleet}}, {spec}}}")).unwrap();
    Overlay::of(&spec)
}

fn manifests(text: &str) -> Vec<Manifest> {
    render::plain(&[("a.yaml".to_owned(), text.as_bytes().to_vec())]).manifests
}

#[test]
fn plain_files_are_built_when_they_must_be() {
    let map = manifests("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n");
    for (spec, is_needed) in [
        ("", false),
        ("targetNamespace: web", false),
        ("commonMetadata: {labels: {a: b}}", false),
        ("namePrefix: a-", true),
        ("nameSuffix: -a", true),
        ("images: [{name: a, newTag: b}]", true),
        ("patches: [{patch: x}]", true),
        ("components: [../c]", true),
    ] {
        assert_eq!(overlay(spec).is_needed(&map), is_needed, "{spec}");
    }
    let target = overlay("targetNamespace: web");
    for (object, is_needed) in [
        ("apiVersion: v1\nkind: Namespace\nmetadata: {name: web}\n", false),
        ("apiVersion: v1\nkind: Namespace\nmetadata: {name: other}\n", true),
        ("apiVersion: rbac.authorization.k8s.io/v1\nkind: RoleBinding\nmetadata: {name: a}\n", true),
        ("apiVersion: apiregistration.k8s.io/v1\nkind: APIService\nmetadata: {name: a}\n", true),
        ("apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata: {name: a}\n", false),
    ] {
        assert_eq!(target.is_needed(&manifests(object)), is_needed, "{object}");
    }
}

#[test]
fn a_kustomization_that_is_none_is_named() {
    let said = |text: &str| {
        overlay("images: [{name: a}]").put_into("k.yaml", text.as_bytes(), &[]).unwrap_err()[0].to_string()
    };
    assert_eq!(said("[a]"), "k.yaml:1: is no kustomization");
    assert_eq!(said("images: {}"), "k.yaml:1: images is no list");
    assert!(said("a: [").starts_with("k.yaml:"));
}

#[test]
fn outermost_folders() {
    let files = [
        "a.yaml",
        "b/kustomization.yaml",
        "b/c/Kustomization",
        "bc/kustomization.yml",
        "d/e/kustomization.yaml",
        "d/x.yaml",
    ];
    let found: Vec<String> = kustomized(files.into_iter()).into_iter().collect();
    assert_eq!(found, ["b", "bc", "d/e"]);
}

#[test]
fn what_yaml_can_not_hold_is_escaped() {
    assert_eq!(safe(&json!({"a": "\u{85}\u{2028}ä"})), r#"{"a":"\u0085\u2028ä"}"#);
}
