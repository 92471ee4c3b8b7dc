//! Hooks: started when it is their turn, looked at by the watches, deleted as they ask.

use std::collections::BTreeMap;

use kube::ResourceExt;

use crate::api::GitSync;
use crate::api::condition::Reason;
use crate::cluster::{Cluster, Error};
use crate::context::Context;
use crate::failure::Failure;
use crate::object::{Gvk, Manifest, ObjectKey};
use crate::observing::{cluster_failure, view};
use crate::sync::hooks::{self, Hooked, How, Live, State, Step};
use crate::sync::inventory::Inventory;
use crate::sync::manner::{HookDelete, Phase};
use crate::sync::observed::Entry;
use crate::sync::substitute::Mask;

use super::Applying;

/// The hooks of one rendering.
pub struct Hooks<'a> {
    /// All of them.
    pub all: Vec<Hooked<'a>>,
    /// What tells the rendering from others.
    pub rendering: String,
    /// What failed is tried again, as a person asked for it.
    pub retry: bool,
    /// Those that must not run, each with the reason.
    pub refused: BTreeMap<ObjectKey, String>,
    /// What was told of a hook that failed in an earlier run.
    pub told: Option<String>,
    /// Whether any may be started: not when no window is open, nor when the head can't be rendered, and this is only the last good state.
    pub may_start: bool,
}

/// The object of a hook that asks to be deleted now: its kind, and which incarnation of it.
pub(crate) type Swept = (Gvk, ObjectKey, String);

impl<'a> Hooks<'a> {
    /// Whether an object is a hook.
    pub fn contains(&self, key: &ObjectKey) -> bool {
        self.all.iter().any(|hooked| hooked.manifest.key == *key)
    }

    /// The first hook of a phase.
    pub fn first(&self, phase: Phase) -> Option<ObjectKey> {
        self.of(phase).next().map(|hooked| hooked.manifest.key.clone())
    }

    fn of(&self, phase: Phase) -> impl Iterator<Item = &Hooked<'a>> {
        self.all.iter().filter(move |hooked| hooked.hook.phases.contains(&phase))
    }
}

impl Applying<'_> {
    /// Runs the hooks of a phase as far as they go now. Returns the one that is waited for, none when all are done.
    ///
    /// # Errors
    /// When one failed, or can't be started.
    pub async fn run_hooks(
        &self,
        hooks: &Hooks<'_>,
        phase: Phase,
        owned: &mut Inventory,
    ) -> Result<Option<ObjectKey>, Failure> {
        let said = self.settle(hooks, phase, owned);
        loop {
            match hooks::next(&hooks.all, phase, &|hooked| self.hook_state(hooks, hooked, phase, owned)) {
                Step::Done => return Ok(None),
                Step::Start(_) if !hooks.may_start => return Ok(None),
                Step::Wait(key) => return Ok(Some(key)),
                Step::Failed(key, why) => {
                    let start = format!("hook {key} failed: ");
                    let why = said.get(&key).unwrap_or(&why);
                    // Its object may be gone by now, and the reason with it.
                    let told = hooks.told.as_ref().filter(|told| why == hooks::BEFORE && told.starts_with(&start));
                    let message = told.cloned().unwrap_or_else(|| {
                        format!(
                            "{start}{why}; it runs again with the next change in Git, or when \
                         tagboat.dev/requestedAt asks for it"
                        )
                    });
                    return Err(Failure::user(Reason::HookFailed, message));
                }
                Step::Start(due) => {
                    for hooked in due {
                        let key = &hooked.manifest.key;
                        let run = hooks::run(&hooks.rendering, phase);
                        let started = self.start_hook(hooked, &run).await;
                        match started.map_err(|error| hook_failure(hooked.manifest, &error))? {
                            true => record(owned, hooks, hooked, phase, How::Running),
                            // The one of before is still on its way out; its watch says when it is gone.
                            false => return Ok(Some(key.clone())),
                        }
                    }
                }
            }
        }
    }

    /// The hooks that would run before or after everything else, and did not yet.
    pub fn due(&self, hooks: &Hooks<'_>, owned: &Inventory) -> Vec<ObjectKey> {
        let is_due = |hooked: &&Hooked<'_>, phase| {
            hooked.hook.phases.contains(&phase) && self.hook_state(hooks, hooked, phase, owned) == State::Due
        };
        let of_any = |hooked: &&Hooked<'_>| is_due(hooked, Phase::Before) || is_due(hooked, Phase::After);
        hooks.all.iter().filter(of_any).map(|hooked| hooked.manifest.key.clone()).collect()
    }

    /// Records what became of hooks that ran. Returns why those failed that did.
    fn settle(&self, hooks: &Hooks<'_>, phase: Phase, owned: &mut Inventory) -> BTreeMap<ObjectKey, String> {
        let mut said = BTreeMap::new();
        for hooked in hooks.of(phase).filter(|hooked| !hooks.refused.contains_key(&hooked.manifest.key)) {
            let how = match self.hook_state(hooks, hooked, phase, owned) {
                State::Due => continue,
                State::Running => How::Running,
                State::Done => How::Done,
                State::Failed(_) if hooks.retry => How::Again,
                State::Failed(why) => {
                    said.insert(hooked.manifest.key.clone(), why);
                    How::Failed
                }
            };
            record(owned, hooks, hooked, phase, how);
        }
        said
    }

    fn hook_state(&self, hooks: &Hooks<'_>, hooked: &Hooked<'_>, phase: Phase, owned: &Inventory) -> State {
        let key = &hooked.manifest.key;
        if let Some(reason) = hooks.refused.get(key) {
            return State::Failed(reason.clone());
        }
        let entry = self.seen(key);
        let live = entry.as_ref().map(|entry| Live { health: &entry.health, run: entry.observed.hook_run.as_deref() });
        hooked.state(owned.applied(key), live, &hooks.rendering, phase)
    }

    /// Starts a hook; false when the object of its last run is not gone yet.
    async fn start_hook(&self, hooked: &Hooked<'_>, run: &str) -> Result<bool, Error> {
        let manifest = hooked.started(run);
        let is_made_anew = hooked.is_work() || hooked.hook.delete.contains(&HookDelete::BeforeCreation);
        if let Some(entry) = self.seen(&manifest.key).filter(|_| is_made_anew) {
            self.cluster.delete(&manifest.gvk, &manifest.key, &entry.observed.uid).await?;
            if self.cluster.get(&manifest.gvk, &manifest.key).await?.is_some() {
                return Ok(false);
            }
        }
        let live = self.cluster.apply(&manifest).await?;
        self.context.metrics.applied();
        if let Some(watch) = self.keys.get(&(manifest.gvk.clone(), manifest.key.namespace.clone())) {
            self.context.table.see(&view(watch), &live);
        }
        Ok(true)
    }

    /// The objects of hooks that ask to be deleted when they ended as they did. They go when the status says how that was: a crash
    /// in between would run them again.
    pub(crate) fn swept(&self, hooks: &Hooks<'_>, owned: &Inventory) -> Vec<Swept> {
        let mut swept = Vec::new();
        for hooked in hooks.all.iter().filter(|hooked| !hooks.refused.contains_key(&hooked.manifest.key)) {
            let (key, gvk) = (&hooked.manifest.key, &hooked.manifest.gvk);
            let Some(live) = self.seen(key).map(|entry| entry.observed).filter(|live| !live.deleting) else { continue };
            let goes = |phase: &Phase| {
                let policy = match hooks::how(owned.applied(key), &hooks.rendering, *phase) {
                    Some(How::Done) => HookDelete::Succeeded,
                    Some(How::Failed) => HookDelete::Failed,
                    _ => return false,
                };
                let is_of_it = live.hook_run.as_deref() == Some(&*hooks::run(&hooks.rendering, *phase));
                is_of_it && hooked.hook.delete.contains(&policy)
            };
            if hooked.hook.phases.iter().any(goes) {
                swept.push((gvk.clone(), key.clone(), live.uid));
            }
        }
        swept
    }

    /// What the watches know of an object.
    pub(super) fn seen(&self, key: &ObjectKey) -> Option<Entry> {
        let mut watches = self.keys.iter().filter(|((gvk, namespace), _)| {
            gvk.group == key.group && gvk.kind == key.kind && *namespace == key.namespace
        });
        watches.find_map(|(_, watch)| self.context.table.get(&view(watch), key))
    }
}

/// Deletes the objects of hooks whose end stands in the status now.
pub(crate) async fn sweep(context: &Context, (sync, cluster): (&GitSync, Option<&Cluster>), swept: &mut Vec<Swept>) {
    let Some(cluster) = cluster.filter(|_| !swept.is_empty()) else { return };
    for (gvk, key, uid) in std::mem::take(swept) {
        match cluster.delete(&gvk, &key, &uid).await {
            Ok(()) => context.table.leaves(&key, &uid),
            Err(error) => {
                tracing::warn!(
                    kind = "GitSync",
                    namespace = sync.namespace(),
                    name = sync.name_any(),
                    "{key}: {error}"
                );
            }
        }
    }
}

fn record(owned: &mut Inventory, hooks: &Hooks<'_>, hooked: &Hooked<'_>, phase: Phase, how: How) {
    let key = &hooked.manifest.key;
    let all = hooks::record(owned.applied(key), &hooks.rendering, phase, how);
    owned.set(key.clone(), &hooked.manifest.gvk.version, &hooks.rendering, &all);
}

fn hook_failure(manifest: &Manifest, error: &Error) -> Failure {
    let failure = cluster_failure(error);
    let why = Mask::of(&manifest.body).hide(&failure.message);
    Failure { message: format!("hook {} could not be started: {why}", manifest.key), ..failure }
}
