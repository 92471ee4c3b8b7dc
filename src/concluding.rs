//! Loop two's end of a run: what was applied → how its objects fare, the hooks that come then, and the outcome.

use std::collections::{BTreeMap, BTreeSet};

use kube::runtime::reflector::ObjectRef;

use crate::api::condition::{Reason, ready};
use crate::api::git_sync::{self, ObjectHealth};
use crate::applying::{Applied, Applying, Hooks, Others};
use crate::awaiting;
use crate::cluster::Cluster;
use crate::context::requested_at;
use crate::failure::{Answer, Failure};
use crate::object::{Gvk, Manifest, ObjectKey};
use crate::observing::{self, Keys};
use crate::rendering::Rendering;
use crate::revision::Revision;
use crate::sync::Run;
use crate::sync::inventory::Inventory;
use crate::sync::manner::Phase;
use crate::sync::plan::Plan;
use crate::sync::status::{self, Broken, Outcome, Waits};
use crate::sync::{hooks, places, windows};

/// What a run carried out.
pub(crate) struct Scene<'s> {
    pub applying: Applying<'s>,
    pub rendering: &'s Rendering,
    pub plan: &'s Plan,
    pub hooks: &'s Hooks<'s>,
    /// Hooks that would run if a window were open.
    pub due: Vec<ObjectKey>,
    pub revision: Revision,
}

impl Run<'_> {
    /// What was done → how it ended, with the hooks that come then.
    pub(crate) async fn conclude(
        &mut self,
        scene: &Scene<'_>,
        mut applied: Applied,
        failure: Option<Failure>,
    ) -> Result<Outcome, Broken> {
        if applied.is_news {
            (self.memory.unhealthy.since, self.memory.unhealthy.waited_since) = (None, None);
        }
        self.memory.fights = std::mem::take(&mut applied.fights);
        self.memory.refusals = std::mem::take(&mut applied.refusals);
        self.remember(&applied.owned);
        for heir in &applied.heirs {
            let _ = self.context.wakes.git_syncs.send(ObjectRef::from_obj(&**heir));
        }
        if let Some(failure) = failure {
            return Err(self.failed(scene, applied, failure).await);
        }
        let (mut health, others) = self.health(scene, &applied).await?;
        let is_staged = !applied.waiting.is_empty();
        let is_all = self.sync.spec.wait || is_staged;
        let is_waited_for = |object: &ObjectHealth| is_all || others.named.contains(&object.object);
        health.sort_by_key(|object| !is_waited_for(object));
        let waited = health.partition_point(is_waited_for);
        let waits = self.waits(&health[..waited]);
        if waits == Waits::InVain {
            // What is wrong stands in the status; this is only for the hooks.
            let failure = Failure::user(Reason::HealthCheckFailed, "objects are not healthy");
            applied.owned = self.after_failure(scene, applied.owned, &failure).await;
        }
        if health.is_empty() && !is_staged {
            match scene.applying.run_hooks(scene.hooks, Phase::After, &mut applied.owned).await {
                Ok(running) => applied.waiting.extend(running.map(|hook| (hook.clone(), hook))),
                Err(failure) => return Err(self.failed(scene, applied, failure).await),
            }
        }
        self.remember(&applied.owned);
        let (revision, inventory) = (scene.revision.clone(), self.encode(&applied.owned));
        let hooks = scene.rendering.manifests.iter().filter(|manifest| scene.hooks.contains(&manifest.key)).count();
        let objects = scene.rendering.manifests.len() - hooks + others.count;
        let drifted = applied.left.into_values().collect();
        if !scene.plan.held.is_empty() || !scene.due.is_empty() {
            let held = status::held(&scene.plan.held, &scene.due);
            let waiting = windows::waits(&revision, self.memory.window.as_ref(), &held);
            return Ok(Outcome::Held { revision, inventory, health, waited, objects, waits, waiting, drifted });
        }
        if !applied.waiting.is_empty() {
            let waits = if waits == Waits::No { Waits::ForHealth } else { waits };
            let waiting = status::waiting(&applied.waiting);
            return Ok(Outcome::Staged { revision, inventory, health, objects, waits, waiting, drifted });
        }
        Ok(Outcome::Applied { revision, inventory, health, waited, objects, waits, drifted })
    }

    /// All that is not healthy: what others make first, then its own.
    async fn health(
        &mut self,
        scene: &Scene<'_>,
        applied: &Applied,
    ) -> Result<(Vec<ObjectHealth>, awaiting::Others), Broken> {
        let all = &scene.rendering.manifests;
        let revision = &scene.revision;
        let broken = |failure: Failure| Broken::early(failure, revision);
        // Kinds that this very run defined can be watched from now on.
        let keys = if scene.applying.keys.len() < places::owned(&applied.owned).collect::<BTreeSet<_>>().len() {
            &self.watches(&scene.applying.cluster, all, &applied.owned).await.map_err(broken)?.keys
        } else {
            scene.applying.keys
        };
        // What is left as others made it is not waited for, and what waits itself is not there yet.
        let held: BTreeSet<&ObjectKey> = scene.plan.held.iter().map(|action| &action.key).collect();
        let is_waited = |key: &ObjectKey| {
            let is_left = applied.left.contains_key(key) || scene.plan.left.contains(key) || applied.owned.is_left(key);
            !is_left && !applied.waiting.contains_key(key) && !scene.hooks.contains(key) && !held.contains(key)
        };
        let waited: Vec<&Manifest> = all.iter().filter(|manifest| is_waited(&manifest.key)).collect();
        Ok(self.look(&scene.applying.cluster, all, &waited, keys).await)
    }

    async fn look(
        &mut self,
        cluster: &Cluster,
        all: &[Manifest],
        waited: &[&Manifest],
        keys: &Keys,
    ) -> (Vec<ObjectHealth>, awaiting::Others) {
        let generation = self.sync.metadata.generation;
        let whose = (self.sync, cluster);
        if self.memory.judged != generation && awaiting::judge_anew(self.context, whose, all, keys).await {
            self.memory.judged = generation;
        }
        let memory = &mut self.memory.unhealthy;
        let others = awaiting::others(self.context, whose, all, memory).await;
        let mut health = others.unhealthy.clone();
        health.extend(observing::health(self.context, whose, waited, keys, memory, self.now).await);
        memory.since = if health.is_empty() { None } else { memory.since.or(Some(self.now.steady)) };
        (health, others)
    }

    /// Whether it waits for these.
    fn waits(&mut self, unhealthy: &[ObjectHealth]) -> Waits {
        let since = &mut self.memory.unhealthy.waited_since;
        *since = if unhealthy.is_empty() { None } else { since.or(Some(self.now.steady)) };
        let is_late = since.is_some() && self.now.until(*since, self.sync.spec.timeout.0).is_zero();
        if unhealthy.is_empty() {
            Waits::No
        } else if is_late || unhealthy.iter().any(|object| object.status == "Failed") {
            Waits::InVain
        } else {
            Waits::ForHealth
        }
    }

    fn remember(&mut self, owned: &Inventory) {
        self.memory.inventory = Some(owned.clone());
        self.context.syncs.put(self.sync, self.memory.clone());
    }

    fn encode(&mut self, owned: &Inventory) -> git_sync::Inventory {
        let digest = self.memory.packed.as_ref().map(|_| owned.digest());
        if let Some((_, packed)) = self.memory.packed.as_ref().filter(|(known, _)| Some(*known) == digest) {
            return packed.clone();
        }
        let encoded = owned.encode();
        self.memory.packed = encoded.packed.is_some().then(|| (owned.digest(), encoded.clone()));
        encoded
    }

    /// A failure of a run, after the hooks that it starts.
    async fn failed(&mut self, scene: &Scene<'_>, applied: Applied, failure: Failure) -> Broken {
        let owned = self.after_failure(scene, applied.owned, &failure).await;
        self.remember(&owned);
        let drifted = applied.left.into_values().collect();
        let inventory = Some(self.encode(&owned));
        Broken { failure, attempted: Some(scene.revision.clone()), inventory, drifted: Some(drifted) }
    }

    /// Starts the hooks for failures, unless what failed may work by itself in a moment, or asks a person.
    async fn after_failure(&self, scene: &Scene<'_>, mut owned: Inventory, failure: &Failure) -> Inventory {
        let is_for_hooks = [Reason::ApplyFailed, Reason::HookFailed, Reason::HealthCheckFailed];
        if failure.answer == Answer::WaitForUser && is_for_hooks.contains(&failure.reason) {
            let ran = scene.applying.run_hooks(scene.hooks, Phase::OnFailure, &mut owned).await;
            if let Err(failure) = ran {
                let (namespace, name) = (&self.sync.metadata.namespace, &self.sync.metadata.name);
                let text = scene.rendering.mask.hide(&failure.to_string());
                tracing::warn!(kind = "GitSync", namespace, name, "{text}");
            }
        }
        owned
    }

    /// The hooks of a rendering. Those of kinds that can't be seen don't run, and neither do those that the plan refuses.
    pub(crate) fn hooks<'r>(
        &self,
        rendering: &'r Rendering,
        others: &Others<'_>,
        (plan, denied): (&Plan, &BTreeMap<(Gvk, String), Failure>),
        may_start: bool,
    ) -> Hooks<'r> {
        let all = hooks::of(&rendering.manifests);
        let retry = requested_at(self.sync) != self.before.last_handled_reconcile_at;
        let mut refused = plan.refused_hooks.clone();
        refused.extend(all.iter().filter_map(|hooked| {
            let place = (hooked.manifest.gvk.clone(), hooked.manifest.key.namespace.clone());
            Some((hooked.manifest.key.clone(), denied.get(&place)?.message.clone()))
        }));
        let rendering = if all.is_empty() { String::new() } else { hooks::rendering(&others.hashes) };
        let told = ready(&self.before.conditions).filter(|ready| ready.reason == Reason::HookFailed.as_str());
        let told = told.map(|ready| ready.message.clone());
        Hooks { all, rendering, retry, refused, told, may_start }
    }
}
