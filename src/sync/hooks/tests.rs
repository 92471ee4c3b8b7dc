//! Hooks as tables.

use serde_json::json;

use super::*;
use crate::object::Gvk;

fn job(name: &str, phases: &str, wave: &str) -> Manifest {
    let key = ObjectKey { group: "batch".into(), kind: "Job".into(), namespace: "web".into(), name: name.into() };
    let annotations = json!({"tagboat.dev/hook": phases, "tagboat.dev/wave": wave});
    let body = json!({"metadata": {"annotations": annotations}});
    Manifest { gvk: Gvk::new("batch/v1", "Job"), key, body, file: String::new(), line: 0 }
}

/// Hooks by name, phases and wave; how each stands → what comes next in a phase.
#[track_caller]
fn check(jobs: &[(&str, &str, &str)], states: &[State], phase: Phase, expected: &str) {
    let manifests: Vec<Manifest> = jobs.iter().map(|(name, phases, wave)| job(name, phases, wave)).collect();
    let hooks = of(&manifests);
    let state = |hooked: &Hooked<'_>| {
        states[jobs.iter().position(|(name, ..)| *name == hooked.manifest.key.name).unwrap()].clone()
    };
    let said = match next(&hooks, phase, &state) {
        Step::Done => "done".to_owned(),
        Step::Start(hooks) => {
            let names: Vec<&str> = hooks.iter().map(|hooked| hooked.manifest.key.name.as_str()).collect();
            format!("start {}", names.join(" "))
        }
        Step::Wait(key) => format!("wait {}", key.name),
        Step::Failed(key, why) => format!("failed {}: {why}", key.name),
    };
    assert_eq!(said, expected);
}

#[test]
fn what_runs_next() {
    use State::{Done, Due, Failed, Running};
    let jobs = [("a", "before", "0"), ("b", "before", "0"), ("c", "before", "1"), ("d", "after,onFailure", "0")];
    let before = |states: [State; 4], expected| check(&jobs, &states, Phase::Before, expected);
    before([Due, Due, Due, Due], "start a b");
    before([Running, Due, Due, Due], "start b");
    before([Running, Done, Due, Due], "wait a");
    before([Done, Done, Due, Due], "start c");
    before([Done, Done, Done, Due], "done");
    before([Done, Failed("x".into()), Due, Due], "failed b: x");
    check(&jobs, &[Due, Due, Due, Due], Phase::After, "start d");
    check(&jobs, &[Due, Due, Due, Done], Phase::OnFailure, "done");
    check(&[], &[], Phase::Before, "done");
}

/// The record, and the object with the run that it was started for → how the hook stands before, after and on failure of `r`.
#[track_caller]
fn stands(record: Option<(&str, &str)>, live: Option<(Health, &str)>, expected: [&str; 3]) {
    let manifest = job("a", "before,after,onFailure", "0");
    let hooks = of(std::slice::from_ref(&manifest));
    let record = record.map(|(rendering, how)| (rendering.to_owned(), how.to_owned()));
    let live =
        live.as_ref().map(|(health, run)| Live { health, run: Some(run).filter(|run| !run.is_empty()).copied() });
    let said = [Phase::Before, Phase::After, Phase::OnFailure].map(|phase| {
        match hooks[0].state(record.as_ref(), live, "r", phase) {
            State::Failed(why) => format!("failed: {why}"),
            state => format!("{state:?}").to_lowercase(),
        }
    });
    assert_eq!(said, expected);
}

#[test]
fn how_a_hook_stands() {
    use Health::{Failed, Healthy, Progressing};
    let runs = || Progressing(String::new());
    let why = || Failed("x".to_owned());
    stands(None, None, ["due", "due", "due"]);
    stands(Some(("old", "before=done,after=done")), Some((Healthy, "old-after")), ["due", "due", "due"]);
    stands(Some(("r", "before=running")), Some((runs(), "r-before")), ["running", "due", "due"]);
    stands(Some(("r", "before=running")), Some((Healthy, "r-before")), ["done", "due", "due"]);
    stands(Some(("r", "before=running")), Some((why(), "r-before")), ["failed: x", "due", "due"]);
    stands(Some(("r", "before=running")), None, ["failed: it was deleted before it was done", "due", "due"]);
    stands(Some(("r", "before=done")), None, ["done", "due", "due"]);
    stands(Some(("r", "before=failed")), None, ["failed: it failed before", "due", "due"]);
    stands(Some(("r", "before=failed")), Some((why(), "r-before")), ["failed: x", "due", "due"]);
    stands(Some(("r", "before=again")), Some((why(), "r-before")), ["due", "due", "due"]);
    // One object for two phases: the later run says nothing against the earlier one.
    stands(Some(("r", "before=done,after=done")), Some((Healthy, "r-after")), ["done", "done", "due"]);
    stands(Some(("r", "before=done,after=running")), Some((runs(), "r-after")), ["done", "running", "due"]);
}

#[test]
fn a_crash_before_the_status_is_written_runs_none_twice() {
    use Health::{Healthy, Progressing};
    let runs = || Progressing(String::new());
    stands(None, Some((runs(), "r-before")), ["running", "due", "due"]);
    stands(Some(("old", "before=done")), Some((Healthy, "r-before")), ["done", "due", "due"]);
    stands(None, Some((runs(), "old-before")), ["due", "due", "due"]);
    stands(None, Some((runs(), "")), ["due", "due", "due"]);
    // It runs after, so it ran before.
    stands(Some(("r", "before=running")), Some((runs(), "r-after")), ["done", "running", "due"]);
    let odd = "failed: it was started for another phase before its end was seen";
    stands(Some(("r", "before=running")), Some((runs(), "r-onFailure")), [odd, "due", "running"]);
}

#[test]
fn a_swept_job_was_done() {
    let mut manifest = job("a", "before", "0");
    manifest.body["spec"] = json!({"ttlSecondsAfterFinished": 0});
    let hooks = of(std::slice::from_ref(&manifest));
    let record = ("r".to_owned(), "before=running".to_owned());
    assert_eq!(hooks[0].state(Some(&record), None, "r", Phase::Before), State::Done);
}

#[test]
fn what_is_recorded() {
    let first = record(None, "r", Phase::Before, How::Running);
    assert_eq!(first, "before=running");
    let known = ("r".to_owned(), "before=done".to_owned());
    assert_eq!(record(Some(&known), "r", Phase::After, How::Failed), "before=done,after=failed");
    assert_eq!(record(Some(&known), "r", Phase::Before, How::Again), "before=again");
    assert_eq!(record(Some(&known), "new", Phase::After, How::Done), "after=done");
    assert_eq!(how(Some(&known), "r", Phase::Before), Some(How::Done));
    assert_eq!(how(Some(&known), "r", Phase::After), None);
    assert_eq!(how(Some(&known), "new", Phase::Before), None);
}

#[test]
fn who_is_no_hook() {
    let mut left = job("a", "before", "0");
    left.body["metadata"]["annotations"]["tagboat.dev/reconcile"] = "disabled".into();
    assert!(of(&[left]).is_empty(), "it asks to be left alone");
}
