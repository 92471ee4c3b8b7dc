//! Each line of `kinds.yaml` by the objects of `cases.yaml`, and the rules that a GitSync brings.

use std::collections::{BTreeMap, BTreeSet};

use super::super::exprs::Rules;
use super::super::kinds;
use super::super::rule::VARIABLES;
use super::*;
use crate::api::git_sync::HealthCheckExpr;
use crate::sync::cel::Expression;
use crate::sync::cel::pool::Pool;

fn said(health: Health) -> String {
    match health {
        Healthy => "healthy".to_owned(),
        Health::Progressing(text) => text,
        Failed(text) => format!("failed: {text}"),
    }
}

/// `Ready=False/Reason: message` as a condition, wherever it stands.
fn expand(value: &mut Value) {
    match value {
        Value::Array(items) => {
            items.iter_mut().for_each(|item| match item.as_str().and_then(|text| text.split_once('=')) {
                Some((kind, rest)) => {
                    let (state, message) = rest.split_once(": ").unwrap_or((rest, ""));
                    let (status, reason) = state.split_once('/').unwrap_or((state, ""));
                    *item = serde_json::json!({"type": kind, "status": status, "reason": reason, "message": message});
                }
                None => expand(item),
            })
        }
        Value::Object(fields) => fields.values_mut().for_each(expand),
        _ => {}
    }
}

#[test]
fn each_line_of_the_table() {
    let cases: Vec<(String, String, Value)> = serde_yaml::from_str(include_str!("../cases.yaml")).unwrap();
    let mut seen: BTreeMap<String, BTreeSet<&str>> = BTreeMap::new();
    let mut wrong = Vec::new();
    for (kind, expected, mut object) in cases {
        expand(&mut object);
        let (group, name) = kind.split_once('/').unwrap();
        object["apiVersion"] = Value::String(format!("{group}/v1").trim_start_matches('/').to_owned());
        object["kind"] = Value::String(name.to_owned());
        let fares = said(assess(&object, None));
        if fares != expected {
            wrong.push(format!("{kind} {object}: {fares}, not {expected}"));
        }
        let verdict = match expected.split(':').next() {
            Some("healthy") => "healthy",
            Some("failed") => "failed",
            _ => "progressing",
        };
        seen.entry(kind).or_default().insert(verdict);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let mut kinds = BTreeSet::new();
    for entry in kinds::read().unwrap() {
        let verdicts: BTreeSet<&str> =
            entry.kinds.iter().filter_map(|kind| seen.get(kind)).flatten().copied().collect();
        let mut expected = BTreeSet::from(["healthy"]);
        if entry.failed.is_some() {
            expected.insert("failed");
        }
        if entry.in_progress.is_some() || entry.current != "true" {
            expected.insert("progressing");
        }
        assert_eq!(verdicts, expected, "cases of {:?}", entry.kinds);
        for text in [entry.in_progress.as_ref(), entry.failed.as_ref(), Some(&entry.current)].into_iter().flatten() {
            Expression::compile(text, &VARIABLES).unwrap_or_else(|mistake| panic!("{:?}: {mistake}", entry.kinds));
        }
        for kind in entry.kinds {
            assert!(kinds.insert(kind.clone()), "{kind} twice");
        }
    }
    for kind in seen.keys() {
        assert!(kinds.contains(kind), "{kind} is not in the table");
    }
}

fn expr(api_version: &str, kind: &str, [in_progress, failed, current]: [&str; 3]) -> HealthCheckExpr {
    let optional = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    HealthCheckExpr {
        api_version: api_version.to_owned(),
        kind: kind.to_owned(),
        current: current.to_owned(),
        in_progress: optional(in_progress),
        failed: optional(failed),
    }
}

#[test]
fn rules_of_a_git_sync_come_first() {
    let rules = Rules::read(
        &[
            expr("example.com/v1", "", ["", "", "status.phase == 'Fine'"]),
            expr(
                "example.com/v1beta1",
                "Widget",
                ["status.busy", "status.phase == 'Broken'", "status.phase == 'Fine'"],
            ),
            expr("apps/v1", "Deployment", ["", "", "true"]),
            expr("v1", "ConfigMap", ["", "", "data.ready == 'yes'"]),
            expr("x.io/v1", "Odd", ["", "status.n > 'x'", "object.status.n == 1"]),
        ],
        &Pool::default(),
    );
    let rules = rules.unwrap().unwrap();
    let check = |yaml: &str, expected: &str| {
        assert_eq!(said(assess(&serde_yaml::from_str(yaml).unwrap(), Some(&rules))), expected, "{yaml}");
    };
    check("{apiVersion: example.com/v2, kind: Widget, status: {phase: Fine}}", "healthy");
    check("{apiVersion: example.com/v2, kind: Widget, status: {phase: Fine, busy: true}}", "is Fine");
    check("{apiVersion: example.com/v2, kind: Widget, status: {phase: Broken}}", "failed: is Broken");
    check("{apiVersion: example.com/v2, kind: Widget}", "has no phase yet");
    check("{apiVersion: example.com/v2, kind: Other, status: {phase: Fine}}", "healthy");
    check("{apiVersion: example.com/v2, kind: Other, status: {phase: No, message: not now}}", "not now");
    check("{apiVersion: apps/v1, kind: Deployment}", "healthy");
    check("{apiVersion: v1, kind: ConfigMap, data: {ready: 'yes'}}", "healthy");
    check("{apiVersion: v1, kind: ConfigMap, data: {}}", "has no ready yet");
    check("{apiVersion: v1, kind: Secret}", "healthy");
    check(
        "{apiVersion: x.io/v1, kind: Odd, status: {n: 1}}",
        "failed: spec.healthCheckExprs[4].failed: found no matching overload for '_>_' applied to '(int, string)'",
    );
    let older = "{apiVersion: example.com/v2, kind: Widget, metadata: {generation: 2}, status: {phase: Fine, observedGeneration: 1}}";
    check(older, "its newest generation was not observed yet");
    assert_ne!(rules.id("example.com", "Any"), 0);
    assert_eq!(rules.id("apps", "StatefulSet"), 0);
}

#[test]
fn a_rule_that_can_not_be_read_is_named() {
    let read = |exprs: [&str; 3]| {
        let list = [expr("a.io/v1", "A", ["", "", "true"]), expr("b.io/v1", "B", exprs)];
        Rules::read(&list, &Pool::default()).unwrap_err().message
    };
    let known = "apiVersion, kind, metadata, spec, status, data, object";
    assert_eq!(
        read(["", "", "stat.phase == 'x'"]),
        format!("spec.healthCheckExprs[1].current, line 1, column 1: stat is not known here; there are {known}")
    );
    assert!(read(["", "status.phase ==", "true"]).starts_with("spec.healthCheckExprs[1].failed, line 1, column"));
    assert!(
        read(["now()", "", "true"])
            .starts_with("spec.healthCheckExprs[1].inProgress, line 1, column 1: there is no function now")
    );
    assert!(Rules::read(&[], &Pool::default()).unwrap().is_none());
}
