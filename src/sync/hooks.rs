//! Hooks of a rendering × what is recorded of them × how they fare → what runs next.
//! A hook runs once for each rendering and phase: the inventory says how that ended, and until it does, the hook's object says for
//! which rendering and phase it was started. So neither a restart nor a crash runs one twice.

use std::collections::BTreeMap;

use serde_json::Value;

use super::hash;
use super::health::Health;
use super::manner::{self, Hook, Mode, Phase};
use crate::api::HOOK_RUN;
use crate::object::{Manifest, ObjectKey};

/// What is recorded of a hook in a phase.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    /// It runs.
    Running,
    /// It succeeded.
    Done,
    /// It failed.
    Failed,
    /// It failed, and a person asked for another try.
    Again,
}

const HOWS: [(How, &str); 4] =
    [(How::Running, "running"), (How::Done, "done"), (How::Failed, "failed"), (How::Again, "again")];

/// Why a hook failed whose object is gone.
pub const BEFORE: &str = "it failed before";

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

/// A hook's object in the cluster.
#[derive(Debug, Clone, Copy)]
pub struct Live<'a> {
    /// How it fares.
    pub health: &'a Health,
    /// For which rendering and phase it was started, as [`run`] writes it.
    pub run: Option<&'a str>,
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
    let manner = manner::read(&manifest.body).ok().filter(|manner| manner.mode != Mode::Never)?;
    let hook = manner.hook.filter(|hook| !hook.phases.is_empty())?;
    Some(Hooked { manifest, hook, wave: manner.wave })
}

impl Hooked<'_> {
    /// Whether its object is work: it does nothing again unless it is made anew.
    pub fn is_work(&self) -> bool {
        let key = &self.manifest.key;
        matches!((key.group.as_str(), key.kind.as_str()), ("batch", "Job") | ("", "Pod"))
    }

    /// The object as it is started for a rendering and phase.
    pub fn started(&self, run: &str) -> Manifest {
        let mut manifest = self.manifest.clone();
        manifest.body["metadata"]["annotations"][HOOK_RUN] = run.into();
        manifest
    }

    /// How it stands; `record` is what the inventory holds of it.
    pub fn state(
        &self,
        record: Option<&(String, String)>,
        live: Option<Live<'_>>,
        rendering: &str,
        phase: Phase,
    ) -> State {
        let started = live.and_then(|live| phase_of(live.run?, rendering));
        let as_it_fares = |live: Live<'_>| match live.health {
            Health::Healthy => State::Done,
            Health::Failed(why) => State::Failed(why.clone()),
            Health::Progressing(_) => State::Running,
        };
        let is_after_it = phase == Phase::Before && started == Some(Phase::After);
        match (how(record, rendering, phase), live) {
            (Some(How::Done), _) => State::Done,
            (Some(How::Again), _) => State::Due,
            (Some(How::Failed), Some(Live { health: Health::Failed(why), .. })) if started == Some(phase) => {
                State::Failed(why.clone())
            }
            (Some(How::Failed), _) => State::Failed(BEFORE.to_owned()),
            (Some(How::Running) | None, Some(_)) if is_after_it => State::Done,
            (Some(How::Running), Some(_)) if started.is_some_and(|started| started != phase) => {
                State::Failed("it was started for another phase before its end was seen".to_owned())
            }
            (Some(How::Running), Some(live)) => as_it_fares(live),
            // A Job that was done may have been swept up already.
            (Some(How::Running), None) if self.manifest.body.pointer("/spec/ttlSecondsAfterFinished").is_some() => {
                State::Done
            }
            (Some(How::Running), None) => State::Failed("it was deleted before it was done".to_owned()),
            (None, Some(live)) if started == Some(phase) => as_it_fares(live),
            (None, _) => State::Due,
        }
    }
}

/// What tells one rendering from another.
pub fn rendering(hashes: &BTreeMap<ObjectKey, String>) -> String {
    let all = hashes.iter().map(|(key, hash)| Value::from(format!("{}={hash}", key.inventory_id())));
    hash::of(&Value::Array(all.collect()))
}

/// What the object of a hook says that was started for a rendering in a phase.
pub fn run(rendering: &str, phase: Phase) -> String {
    format!("{rendering}-{}", phase.as_str())
}

fn phase_of(run: &str, rendering: &str) -> Option<Phase> {
    let phase = run.strip_prefix(rendering)?.strip_prefix('-')?;
    [Phase::Before, Phase::After, Phase::OnFailure].into_iter().find(|known| known.as_str() == phase)
}

/// What is recorded of a hook for a rendering in a phase.
pub fn how(record: Option<&(String, String)>, rendering: &str, phase: Phase) -> Option<How> {
    let (_, all) = record.filter(|(of, _)| of == rendering)?;
    let word = all.split(',').filter_map(|one| one.split_once('=')).find(|(of, _)| *of == phase.as_str())?.1;
    HOWS.iter().find(|(_, known)| *known == word).map(|(how, _)| *how)
}

/// The record of a hook with one phase said anew; what it holds of other renderings goes.
pub fn record(record: Option<&(String, String)>, rendering: &str, phase: Phase, how: How) -> String {
    let others = record.filter(|(of, _)| of == rendering).into_iter().flat_map(|(_, all)| all.split(','));
    let others = others.filter(|one| one.split_once('=').is_some_and(|(of, _)| of != phase.as_str()));
    let word = HOWS.iter().find(|(known, _)| *known == how).map_or("", |(_, word)| word);
    let mut all: Vec<String> = others.map(str::to_owned).collect();
    all.push(format!("{}={word}", phase.as_str()));
    all.join(",")
}

/// What to do next for a phase.
pub fn next<'a, 'b>(hooks: &'b [Hooked<'a>], phase: Phase, state: &dyn Fn(&Hooked<'_>) -> State) -> Step<'a, 'b> {
    let mut waves: BTreeMap<i32, Vec<&Hooked<'a>>> = BTreeMap::new();
    for hooked in hooks.iter().filter(|hooked| hooked.hook.phases.contains(&phase)) {
        waves.entry(hooked.wave).or_default().push(hooked);
    }
    for wave in waves.into_values() {
        let states: Vec<State> = wave.iter().map(|hooked| state(hooked)).collect();
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
mod tests;
