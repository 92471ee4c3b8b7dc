//! Hooks of a rendering × what is recorded of them × how they fare → what runs next.
//! A hook runs once for each rendering and phase; the record in the inventory says for which, so a restart runs none twice.

use std::collections::BTreeMap;

use serde_json::Value;

use super::hash;
use super::health::Health;
use super::manner::{self, Hook, Phase};
use crate::object::{Manifest, ObjectKey};

/// Recorded in the place of the live hash: it runs.
pub const RUNNING: &str = "running";
/// It succeeded.
pub const DONE: &str = "done";
/// It failed.
pub const FAILED: &str = "failed";

/// One hook.
#[derive(Debug, Clone)]
pub struct Hooked<'a> {
    /// Its object.
    pub manifest: &'a Manifest,
    /// When it runs, and when its object goes.
    pub hook: Hook,
    /// The next wave of hooks runs when the one before is done.
    pub wave: i32,
}

/// How a hook stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// It did not run for this rendering and phase yet.
    Due,
    /// It runs.
    Running,
    /// It is done.
    Done,
    /// It failed.
    Failed(String),
}

/// What to do next for a phase.
#[derive(Debug)]
pub enum Step<'a, 'b> {
    /// All hooks are done.
    Done,
    /// These are to be started.
    Start(Vec<&'b Hooked<'a>>),
    /// This one runs still.
    Wait(ObjectKey),
    /// This one failed.
    Failed(ObjectKey, String),
}

/// The hooks of a rendering.
pub fn of(manifests: &[Manifest]) -> Vec<Hooked<'_>> {
    manifests.iter().filter_map(hooked).collect()
}

fn hooked(manifest: &Manifest) -> Option<Hooked<'_>> {
    let manner = manner::read(&manifest.body).ok()?;
    let hook = manner.hook.filter(|hook| !hook.phases.is_empty())?;
    Some(Hooked { manifest, hook, wave: manner.wave })
}

/// What tells one rendering from another.
pub fn rendering(hashes: &BTreeMap<ObjectKey, String>) -> String {
    let all = hashes.iter().map(|(key, hash)| Value::from(format!("{}={hash}", key.inventory_id())));
    hash::of(&Value::Array(all.collect()))
}

/// What is recorded of a hook that runs for a rendering in a phase.
pub fn run(rendering: &str, phase: Phase) -> String {
    format!("{rendering}-{}", phase.as_str())
}

/// How a hook stands: `recorded` is what the inventory holds of it.
pub fn state(recorded: Option<&(String, String)>, live: Option<&Health>, run: &str) -> State {
    let Some((_, how)) = recorded.filter(|(recorded, _)| recorded == run) else { return State::Due };
    match (how.as_str(), live) {
        (DONE, _) => State::Done,
        (FAILED, _) => State::Failed("failed before".to_owned()),
        // A Job that was done may have been swept up already.
        (_, None | Some(Health::Healthy)) => State::Done,
        (_, Some(Health::Failed(why))) => State::Failed(why.clone()),
        (_, Some(Health::Progressing(_))) => State::Running,
    }
}

/// What to do next for a phase.
pub fn next<'a, 'b>(hooks: &'b [Hooked<'a>], phase: Phase, state: &dyn Fn(&ObjectKey) -> State) -> Step<'a, 'b> {
    let mut waves: BTreeMap<i32, Vec<&Hooked<'a>>> = BTreeMap::new();
    for hooked in hooks.iter().filter(|hooked| hooked.hook.phases.contains(&phase)) {
        waves.entry(hooked.wave).or_default().push(hooked);
    }
    for wave in waves.into_values() {
        let states: Vec<State> = wave.iter().map(|hooked| state(&hooked.manifest.key)).collect();
        let of = |wanted: fn(&State) -> bool| {
            wave.iter().zip(&states).filter(move |(_, state)| wanted(state)).map(|(hooked, _)| *hooked)
        };
        for (hooked, state) in wave.iter().zip(&states) {
            if let State::Failed(why) = state {
                return Step::Failed(hooked.manifest.key.clone(), why.clone());
            }
        }
        let due: Vec<&Hooked<'a>> = of(|state| *state == State::Due).collect();
        if !due.is_empty() {
            return Step::Start(due);
        }
        if let Some(running) = of(|state| *state == State::Running).next() {
            return Step::Wait(running.manifest.key.clone());
        }
    }
    Step::Done
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::object::Gvk;
    use serde_json::json;

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
        let state = |key: &ObjectKey| states[jobs.iter().position(|(name, ..)| *name == key.name).unwrap()].clone();
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

    #[test]
    fn how_a_hook_stands() {
        let record = |run: &str, how: &str| Some((run.to_owned(), how.to_owned()));
        let progressing = Health::Progressing(String::new());
        let cases = [
            (None, None, State::Due),
            (record("old-before", DONE), Some(&Health::Healthy), State::Due),
            (record("new-before", RUNNING), Some(&progressing), State::Running),
            (record("new-before", RUNNING), Some(&Health::Healthy), State::Done),
            (record("new-before", RUNNING), None, State::Done),
            (record("new-before", DONE), Some(&progressing), State::Done),
            (record("new-before", FAILED), None, State::Failed("failed before".into())),
        ];
        for (recorded, live, expected) in cases {
            assert_eq!(state(recorded.as_ref(), live, &run("new", Phase::Before)), expected, "{recorded:?}");
        }
    }
}
