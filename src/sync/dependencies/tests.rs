//! Who waits for whom, and what each is told.

use serde_json::json;

use super::*;
use crate::api::git_sync::AccessFrom;

fn revision(digit: &str) -> Revision {
    format!("main@sha1:{}", digit.repeat(40)).parse().unwrap()
}

/// `name` or `namespace/name`; without one it is in `web`.
fn name(text: &str) -> Name {
    let (namespace, name) = text.split_once('/').unwrap_or(("web", text));
    (namespace.to_owned(), name.to_owned())
}

fn node(text: &str, depends_on: &[&str], is_ready: bool) -> Node {
    let depends_on = depends_on.iter().map(|text| Wish { name: name(text), ready: None }).collect();
    let (repo, applied) = ("fleet".to_owned(), Some(revision("a")));
    Node { name: name(text), repo, depends_on, grants: None, is_ready, applied, object: None }
}

fn granting(mut node: Node, namespaces: &[&str]) -> Node {
    node.grants = Some(AccessFrom { namespaces: namespaces.iter().map(|name| (*name).to_owned()).collect() });
    node
}

#[track_caller]
fn check_message(nodes: &[Node], expected: Option<&str>) {
    let message = check(&name("app"), &revision("a"), nodes).err().map(|failure| failure.message);
    assert_eq!(message.as_deref(), expected);
}

#[test]
fn who_waits_for_whom() {
    check_message(&[node("app", &["infra"], false), node("infra", &[], true)], None);
    check_message(&[node("app", &["infra"], false), node("infra", &[], false)], Some("GitSync infra is not ready"));
    check_message(&[node("app", &["infra"], false)], Some("GitSync infra does not exist"));
    let nodes = [node("app", &["infra"], true), node("infra", &["base"], true), node("base", &["app"], true)];
    check_message(&nodes, Some("spec.dependsOn goes in a circle: app → infra → base → app"));
    check_message(&[node("app", &["app"], true)], Some("spec.dependsOn goes in a circle: app → app"));
    let mut behind = [node("app", &["infra"], false), node("infra", &[], true)];
    behind[1].applied = Some(revision("b"));
    check_message(&behind, Some(&format!("GitSync infra has not applied {} yet", revision("a"))));
    // Who waits beside a circle is not in it.
    let nodes = [node("app", &["a"], true), node("a", &["b"], false), node("b", &["a"], false)];
    check_message(&nodes, Some("GitSync a is not ready"));
}

#[test]
fn who_lets_other_namespaces_look() {
    let denied = "GitSync base/infra does not exist, or its spec.accessFrom does not name web";
    let app = || node("app", &["base/infra"], false);
    let infra = || node("base/infra", &[], true);
    check_message(&[app(), infra()], Some(denied));
    check_message(&[app()], Some(denied));
    check_message(&[app(), granting(infra(), &["shop"])], Some(denied));
    check_message(&[app(), granting(infra(), &["shop", "web"])], None);
    check_message(&[app(), granting(infra(), &["*"])], None);
    check_message(
        &[app(), granting(node("base/infra", &[], false), &["web"])],
        Some("GitSync base/infra is not ready"),
    );
    let mut other = granting(infra(), &["web"]);
    other.applied = Some(revision("b"));
    check_message(&[app(), other], None); // Its ConfigRepo is another one.
    let circle = [granting(app(), &["base"]), granting(node("base/infra", &["web/app"], true), &["web"])];
    check_message(&circle, Some("spec.dependsOn goes in a circle: app → base/infra → app"));
}

#[test]
fn what_expressions_say() {
    let check = |text: &str, expected: Option<&str>| {
        let mut nodes = [node("app", &["infra"], false), node("infra", &[], false)];
        nodes[0].depends_on[0].ready = Some(Arc::new(Expression::compile(text, &VARIABLES).unwrap()));
        nodes[0].object = Some(json!({"metadata": {"labels": {"version": "2"}}}));
        nodes[1].object =
            Some(json!({"metadata": {"labels": {"version": "2"}}, "status": {"health": {"summary": "1/2"}}}));
        check_message(&nodes, expected);
    };
    check("dep.metadata.labels['version'] == self.metadata.labels['version']", None);
    check("dep.status.health.summary == '2/2'", Some("GitSync infra is not ready: its readyExpr does not hold"));
    check(
        "dep.status.lastAppliedRevision == ''",
        Some("GitSync infra is not ready: its readyExpr reads lastAppliedRevision, which is not there"),
    );
    check(
        "dep.status.health.summary",
        Some("spec.dependsOn[0].readyExpr: it gives a text where true or false is needed"),
    );
}
