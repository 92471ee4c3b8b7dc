//! Annotations as tables.

use proptest::prelude::*;
use serde_json::json;

use super::*;

fn object(annotations: &[(&str, &str)]) -> Value {
    let annotations: Map<String, Value> =
        annotations.iter().map(|(key, value)| ((*key).to_owned(), json!(value))).collect();
    json!({"metadata": {"name": "a", "annotations": annotations}})
}

/// What an object with these annotations asks for, in words.
fn said(annotations: &[(&str, &str)]) -> String {
    let manner = match read(&object(annotations)) {
        Ok(manner) => manner,
        Err(reason) => return format!("problem: {reason}"),
    };
    let mut words = vec![format!("{:?}", manner.mode).to_lowercase()];
    let flags = [
        (manner.keep_when_pruned, "kept when pruned"),
        (manner.keep_when_deleted, "kept when deleted"),
        (manner.recreate, "recreated"),
    ];
    words.extend(flags.into_iter().filter(|(is_set, _)| *is_set).map(|(_, word)| word.to_owned()));
    if manner.wave != 0 {
        words.push(format!("wave {}", manner.wave));
    }
    if let Some(hook) = manner.hook {
        let phases: Vec<&str> = hook.phases.iter().map(|phase| phase.as_str()).collect();
        words.push(format!("hook [{}] {:?}", phases.join(" "), hook.delete));
    }
    words.join(", ")
}

#[track_caller]
fn check(annotations: &[(&str, &str)], expected: &str) {
    assert_eq!(said(annotations), expected, "{annotations:?}");
}

#[test]
fn what_flux_and_we_say_alike() {
    check(&[], "equal");
    check(&[("unrelated", "x")], "equal");
    for prefix in ["tagboat.dev", "kustomize.toolkit.fluxcd.io"] {
        let one = |name: &str, value: &str, expected: &str| check(&[(&format!("{prefix}/{name}"), value)], expected);
        one("ssa", "Override", "equal");
        one("ssa", "merge", "merge");
        one("ssa", "IfNotPresent", "once");
        one("ssa", "Ignore", "never, kept when pruned, kept when deleted");
        one("reconcile", "disabled", "never, kept when pruned, kept when deleted");
        one("reconcile", "enabled", "equal");
        one("prune", "Disabled", "equal, kept when pruned, kept when deleted");
        one("force", "Enabled", "equal, recreated");
        one(
            "ssa",
            "Sometimes",
            &format!(
                "problem: annotation {prefix}/ssa is \"Sometimes\"; write Override, Merge, IfNotPresent or Ignore"
            ),
        );
        one("prune", "no", &format!("problem: annotation {prefix}/prune is \"no\"; write enabled or disabled"));
    }
    check(&[("tagboat.dev/prune", "enabled"), ("kustomize.toolkit.fluxcd.io/prune", "disabled")], "equal");
}

#[test]
fn what_argo_and_helm_say() {
    let options = |value: &str, expected: &str| check(&[("argocd.argoproj.io/sync-options", value)], expected);
    options("Prune=false", "equal, kept when pruned");
    options("Prune=false, Delete=false", "equal, kept when pruned, kept when deleted");
    options("Force=true,Replace=true", "equal, recreated");
    options("SkipDryRunOnMissingResource=true,ServerSideApply=true,Validate=false", "equal");
    options(
        "Plume=false",
        "problem: annotation argocd.argoproj.io/sync-options is \"Plume=false\"; write an option of Argo CD's",
    );
    check(&[("argocd.argoproj.io/compare-options", "IgnoreExtraneous")], "equal");
    check(&[("helm.sh/resource-policy", "keep")], "equal, kept when pruned, kept when deleted");
}

#[test]
fn waves() {
    check(&[("argocd.argoproj.io/sync-wave", "-5")], "equal, wave -5");
    check(&[("argocd.argoproj.io/sync-wave", "1"), ("tagboat.dev/wave", "2")], "equal, wave 2");
    check(&[("tagboat.dev/wave", "two")], "problem: annotation tagboat.dev/wave is \"two\"; write a whole number");
}

#[test]
fn hooks() {
    check(&[("tagboat.dev/hook", "before")], "equal, hook [before] [BeforeCreation]");
    check(
        &[("argocd.argoproj.io/hook", "PostSync,SyncFail"), ("argocd.argoproj.io/hook-delete-policy", "HookSucceeded")],
        "equal, hook [after onFailure] [Succeeded]",
    );
    check(
        &[
            ("helm.sh/hook", "pre-install, pre-upgrade"),
            ("helm.sh/hook-weight", "-2"),
            ("helm.sh/hook-delete-policy", "before-hook-creation,hook-failed"),
        ],
        "equal, wave -2, hook [before] [BeforeCreation, Failed]",
    );
    let never = "never, kept when pruned, kept when deleted, hook [] [BeforeCreation]";
    check(&[("helm.sh/hook", "test")], never);
    check(&[("argocd.argoproj.io/hook", "Skip")], never);
    check(&[("helm.sh/hook", "crd-install")], "equal");
    check(
        &[("argocd.argoproj.io/hook", "Sync")],
        "problem: annotation argocd.argoproj.io/hook is \"Sync\"; write PreSync, PostSync or SyncFail",
    );
}

proptest! {
    /// Whatever stands there: no panic, and what can't be read keeps a live object.
    #[test]
    fn any_word_is_read_or_keeps_the_object(name in "(tagboat.dev|kustomize.toolkit.fluxcd.io)/(ssa|prune|reconcile|force|wave|hook)", value in ".{0,12}") {
        let object = object(&[(&name, &value)]);
        if read(&object).is_err() {
            prop_assert!(kept(&object).when_pruned && kept(&object).when_deleted);
        }
    }
}
