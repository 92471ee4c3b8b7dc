//! Hooks: started when it is their turn, looked at by the watches, deleted as they ask.

use crate::api::condition::Reason;
use crate::cluster::Error;
use crate::failure::Failure;
use crate::object::{Manifest, ObjectKey};
use crate::observing::{cluster_failure, view};
use crate::sync::hooks::{self, Hooked, State, Step};
use crate::sync::inventory::Inventory;
use crate::sync::manner::{HookDelete, Phase};
use crate::sync::observed::Entry;

use super::Applying;

/// The hooks of one rendering.
pub struct Hooks<'a> {
    /// All of them.
    pub all: Vec<Hooked<'a>>,
    /// What tells the rendering from others.
    pub rendering: String,
    /// What failed is tried again, as a person asked for it.
    pub retry: bool,
}

impl Hooks<'_> {
    /// Whether an object is a hook.
    pub fn contains(&self, key: &ObjectKey) -> bool {
        self.all.iter().any(|hooked| hooked.manifest.key == *key)
    }

    /// The first hook of a phase.
    pub fn first(&self, phase: Phase) -> Option<ObjectKey> {
        let mut of_phase = self.all.iter().filter(|hooked| hooked.hook.phases.contains(&phase));
        of_phase.next().map(|hooked| hooked.manifest.key.clone())
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
        if !hooks.all.iter().any(|hooked| hooked.hook.phases.contains(&phase)) {
            return Ok(None);
        }
        let run = hooks::run(&hooks.rendering, phase);
        self.settle(hooks, phase, &run, owned).await?;
        loop {
            let state = |key: &ObjectKey| self.hook_state(key, owned, &run);
            match hooks::next(&hooks.all, phase, &state) {
                Step::Done => return Ok(None),
                Step::Wait(key) => return Ok(Some(key)),
                Step::Failed(key, why) => {
                    let message = format!(
                        "hook {key} failed: {why}; it runs again with the next change in Git, or when \
                         tagboat.dev/requestedAt asks for it"
                    );
                    return Err(Failure::user(Reason::HookFailed, message));
                }
                Step::Start(due) => {
                    for hooked in due {
                        let key = &hooked.manifest.key;
                        let started = self.start_hook(hooked).await;
                        match started.map_err(|error| hook_failure(key, &error))? {
                            true => owned.set(key.clone(), &hooked.manifest.gvk.version, &run, hooks::RUNNING),
                            // The one of before is still on its way out; its watch says when it is gone.
                            false => return Ok(Some(key.clone())),
                        }
                    }
                }
            }
        }
    }

    /// Records what became of hooks that ran, and deletes those that ask for it.
    async fn settle(&self, hooks: &Hooks<'_>, phase: Phase, run: &str, owned: &mut Inventory) -> Result<(), Failure> {
        for hooked in hooks.all.iter().filter(|hooked| hooked.hook.phases.contains(&phase)) {
            let (key, version) = (&hooked.manifest.key, &hooked.manifest.gvk.version);
            let (how, policy) = match self.hook_state(key, owned, run) {
                State::Due | State::Running => continue,
                State::Done => (hooks::DONE, HookDelete::Succeeded),
                State::Failed(_) if hooks.retry => {
                    owned.set(key.clone(), version, "-", hooks::FAILED);
                    continue;
                }
                State::Failed(_) => (hooks::FAILED, HookDelete::Failed),
            };
            let is_news = owned.applied(key).is_some_and(|(_, recorded)| recorded != how);
            if is_news && hooked.hook.delete.contains(&policy) {
                self.delete_hook(hooked.manifest).await.map_err(|error| cluster_failure(&error))?;
            }
            // The words of a failure are read from its object for as long as that is there.
            if how == hooks::DONE || hooked.hook.delete.contains(&policy) {
                owned.set(key.clone(), version, run, how);
            }
        }
        Ok(())
    }

    fn hook_state(&self, key: &ObjectKey, owned: &Inventory, run: &str) -> State {
        hooks::state(owned.applied(key), self.seen(key).map(|entry| entry.health).as_ref(), run)
    }

    /// Starts a hook; false when the object of its last run is not gone yet.
    async fn start_hook(&self, hooked: &Hooked<'_>) -> Result<bool, Error> {
        let manifest = hooked.manifest;
        if hooked.hook.delete.contains(&HookDelete::BeforeCreation) && self.seen(&manifest.key).is_some() {
            self.delete_hook(manifest).await?;
            if self.cluster.get(&manifest.gvk, &manifest.key).await?.is_some() {
                return Ok(false);
            }
        }
        let live = self.cluster.apply(manifest).await?;
        self.context.metrics.applied();
        if let Some(watch) = self.keys.get(&(manifest.gvk.clone(), manifest.key.namespace.clone())) {
            self.context.table.see(&view(watch), &live);
        }
        Ok(true)
    }

    async fn delete_hook(&self, manifest: &Manifest) -> Result<(), Error> {
        match self.seen(&manifest.key) {
            Some(entry) => self.cluster.delete(&manifest.gvk, &manifest.key, &entry.observed.uid).await,
            None => Ok(()),
        }
    }

    /// What the watches know of an object.
    pub(super) fn seen(&self, key: &ObjectKey) -> Option<Entry> {
        let mut watches = self.keys.iter().filter(|((gvk, namespace), _)| {
            gvk.group == key.group && gvk.kind == key.kind && *namespace == key.namespace
        });
        watches.find_map(|(_, watch)| self.context.table.get(&view(watch), key))
    }
}

fn hook_failure(key: &ObjectKey, error: &Error) -> Failure {
    let failure = cluster_failure(error);
    Failure { message: format!("hook {key} could not be started: {}", failure.message), ..failure }
}
