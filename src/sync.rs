//! LOOP 2: fetch → render → observe → plan → apply → prune → health → status.
//!
//! 1. head (the ground flow fetched it)  2. dependencies  3. render (git, variables, kustomize, helm; kept while what it read is unchanged)
//! 4. watches of every kind (cluster)  5. plan (pure)  6. inventory ahead of the apply (cluster)  7. apply by stages (cluster)
//! 8. prune (cluster)  9. health from the watches (pure)  10. status, events (pure, cluster)

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use kube::ResourceExt;
use kube::runtime::controller::Action as Requeue;

pub mod yaml;
pub mod hash;
pub mod render;
pub mod kustomize;
pub mod overlay;
pub mod input;
pub mod chart;
pub mod order;
pub mod inventory;
pub mod places;
pub mod observed;
pub mod fields;
pub mod plan;
pub mod manner;
pub mod waves;
pub mod recreate;
pub mod ignore;
pub mod fights;
pub mod refusals;
pub mod hooks;
pub mod cel;
pub mod health;
pub mod dependencies;
pub mod status;
pub mod sops;
pub mod substitute;
pub mod referred;
pub mod history;
pub mod windows;

use crate::api::condition::{Reason, ready};
use crate::api::git_sync;
use crate::api::{CONFIRM_PRUNE, GitSync, GitSyncStatus, OVERRIDE_WINDOWS};
use crate::applying::{Announced, Applying, Before, Others, Swept, announced, sweep};
use crate::awaiting;
use crate::clock::{self, Now};
use crate::cluster::Cluster;
use crate::cluster::events::Severity;
use crate::concluding::Scene;
use crate::context::{Context, Grounded, Progress, requested_at};
use crate::failure::Failure;
use crate::finalizing::finalize;
use crate::object::{Manifest, ObjectKey};
use crate::observing::{self, Keys, PODS_AFTER, Unhealthy, Watched, owner, view};
use crate::quarantine::caught;
use crate::referring::{self, References};
use crate::remotes;
use crate::rendering::{self, Rendering};
use crate::revision::Revision;
use fights::Fights;
use inventory::Inventory;
use manner::Phase;
use plan::Plan;
use refusals::Refusals;
use render::remote_uid;
use status::{Broken, Outcome, Waits};

/// How long "on its way" may stay unwritten, so that what becomes healthy at once costs one status.
const SETTLE: Duration = Duration::from_secs(2);
/// How soon to look again at an object of `healthChecks` whose kind the cluster does not know yet.
const BLIND: Duration = Duration::from_secs(5);

/// What is remembered of a GitSync.
#[derive(Clone, Default)]
pub struct Remembered {
    pub(crate) progress: Progress<GitSyncStatus>,
    pub(crate) rendering: Option<Arc<Rendering>>,
    pub(crate) references: References,
    /// The cluster of its objects, with its rights.
    pub(crate) cluster: Option<Cluster>,
    pub(crate) inventory: Option<Inventory>,
    pub(crate) unhealthy: Unhealthy,
    pub(crate) fights: Fights,
    pub(crate) refusals: Refusals,
    /// When everything was last compared from the ground.
    audited: Option<std::time::Instant>,
    announced: Announced,
    /// A large inventory as it was packed last, by its digest: to pack one takes longer than all else that a run does.
    pub(crate) packed: Option<(u64, git_sync::Inventory)>,
    /// The generation whose rules judged the objects.
    pub(crate) judged: Option<i64>,
    /// What the windows of a generation say, and since when.
    standing: Option<(Option<i64>, DateTime<Utc>, Option<windows::Standing>)>,
    /// Whether changes are allowed.
    pub(crate) window: Option<git_sync::WindowStatus>,
    /// Objects of hooks that go when the status is written.
    swept: Vec<Swept>,
    /// Many others of its cluster are worked on.
    is_queued: bool,
}

impl Remembered {
    /// The status that was written last.
    pub(crate) fn written(&self) -> Option<GitSyncStatus> {
        self.progress.status.clone()
    }
}

/// Brings one GitSync's part of the cluster up to date.
pub async fn reconcile(sync: Arc<GitSync>, context: Arc<Context>) -> Requeue {
    let now = clock::now();
    let mut memory = context.syncs.get(&*sync);
    let before = memory.progress.status.clone().or_else(|| sync.status.clone()).unwrap_or_default();
    if sync.metadata.deletion_timestamp.is_some() {
        observing::leave(&context, &sync, &mut memory.unhealthy);
        let again = finalize(&sync, &context, &mut memory, &before).await;
        context.syncs.put(&*sync, memory);
        return again;
    }
    let mut run = Run { sync: &sync, context: &context, memory: &mut memory, before: &before, now };
    let mut outcome = Box::pin(run.keep_equal()).await;
    mask(&mut outcome, &memory);
    // The run may have written ownership ahead.
    let before = memory.progress.status.clone().unwrap_or(before);
    let ended = clock::now();
    let mut status = status::next(&before, &outcome, sync.metadata.generation, requested_at(&*sync), ended.wall);
    status.history = status::history(&before, &outcome, committed_at(&sync, &context, &before, &outcome), ended.wall);
    if !matches!(outcome, Ok(Outcome::Waiting)) {
        status.window = memory.window.clone();
    }
    let mut again = match &outcome {
        Ok(Outcome::Waiting) if memory.is_queued => remotes::LATER,
        Ok(Outcome::Suspended | Outcome::Waiting) => Duration::from_secs(24 * 3600),
        Ok(Outcome::Applied { waits, .. } | Outcome::Staged { waits, .. } | Outcome::Held { waits, .. }) => {
            let audit = now.until(memory.audited, sync.spec.interval.0).max(Duration::from_secs(1));
            let settled = now.until(memory.unhealthy.since, PODS_AFTER);
            let settled = if settled.is_zero() { now.until(memory.unhealthy.waited_since, SETTLE) } else { settled };
            match waits {
                Waits::ForHealth if !settled.is_zero() => settled,
                // A hook has a deadline of its own.
                Waits::ForHealth if memory.unhealthy.waited_since.is_none() => audit,
                Waits::ForHealth => audit.min(now.until(memory.unhealthy.waited_since, sync.spec.timeout.0)),
                _ => audit,
            }
            .min(if memory.unhealthy.is_blind { BLIND } else { audit })
        }
        Err(broken) => {
            tracing::warn!(
                kind = "GitSync",
                namespace = sync.namespace(),
                name = sync.name_any(),
                "{}",
                broken.failure
            );
            next_try(broken, &memory, &sync, ended)
        }
    };
    again = again.min(until_windows_change(&memory, now, ended).unwrap_or(again));
    memory.progress.failures = if outcome.is_err() { memory.progress.failures + 1 } else { 0 };
    context.metrics.reconciled("GitSync", outcome.as_ref().err().map(|broken| broken.failure.reason));
    memory.progress.generation = sync.metadata.generation;
    let is_settling = is_settling(&outcome, &memory) && requested_at(&*sync) == before.last_handled_reconcile_at;
    // What a person asked for is written at once, so that it is done once.
    if is_settling {
        context.syncs.put(&*sync, memory);
        return Requeue::requeue(again);
    }
    match context.cluster.write_status(&*sync, &before, &status).await {
        Ok(_) => {
            tell(&sync, &context, &before, &status).await;
            memory.progress.status = Some(status.clone());
            sweep(&context, (&sync, memory.cluster.as_ref()), &mut memory.swept).await;
        }
        Err(error) => {
            tracing::warn!(kind = "GitSync", name = sync.name_any(), "status not written: {error}");
            again = again.min(Duration::from_secs(2));
        }
    }
    context.syncs.put(&*sync, memory);
    awaiting::wake_dependants(&context, &sync, &before, &status);
    Requeue::requeue(again)
}

/// When a run that failed is tried again, or the first object of it that may be taken then.
fn next_try(broken: &Broken, memory: &Remembered, sync: &GitSync, now: Now) -> Duration {
    let again = broken.failure.retry_after(memory.progress.failures + 1, sync.metadata.uid.as_deref());
    again.min(memory.refusals.next(now.steady).unwrap_or(again))
}

/// How long until the windows say something else, from the end of a run.
fn until_windows_change(memory: &Remembered, began: Now, ended: Now) -> Option<Duration> {
    let until = memory.window.as_ref()?.until?;
    let wait = (until - began.wall).to_std().unwrap_or_default().saturating_sub(ended.steady - began.steady);
    Some(wait.max(Duration::from_millis(100)))
}

/// Whether what is on its way may arrive in a moment, so that the status can wait for that.
fn is_settling(outcome: &Result<Outcome, Broken>, memory: &Remembered) -> bool {
    let is_on_its_way = matches!(
        outcome,
        Ok(Outcome::Applied { waits: Waits::ForHealth, .. } | Outcome::Staged { waits: Waits::ForHealth, .. })
    );
    is_on_its_way && !clock::now().until(memory.unhealthy.waited_since, SETTLE).is_zero()
}

/// What the server and the objects say may quote what came from a Secret.
fn mask(outcome: &mut Result<Outcome, Broken>, memory: &Remembered) {
    let Some(mask) = memory.rendering.as_ref().map(|rendering| &rendering.mask) else { return };
    match outcome {
        Ok(Outcome::Applied { health, .. } | Outcome::Staged { health, .. } | Outcome::Held { health, .. }) => {
            health.iter_mut().for_each(|object| object.message = mask.hide(&object.message));
        }
        Ok(_) => {}
        Err(broken) => broken.failure.message = mask.hide(&broken.failure.message),
    }
}

/// When the commit that was tried was made; read only for one that the history does not have yet.
fn committed_at(
    sync: &GitSync,
    context: &Context,
    before: &GitSyncStatus,
    outcome: &Result<Outcome, Broken>,
) -> Option<DateTime<Utc>> {
    let revision = match outcome {
        Ok(Outcome::Applied { revision, .. } | Outcome::Staged { revision, .. }) => revision,
        Err(broken) => broken.attempted.as_ref()?,
        Ok(_) => return None,
    };
    if before.history.first().is_some_and(|known| known.revision == *revision) {
        return None;
    }
    let grounded = context.ground.head(&sync.namespace().unwrap_or_default(), &sync.spec.config_repo_ref.name)?;
    DateTime::from_timestamp(grounded.mirror.commit_info(&revision.commit).ok()?.time, 0)
}

/// What is recorded as owned.
pub(crate) fn recorded(memory: &Remembered, before: &GitSyncStatus) -> Inventory {
    let kept = memory.inventory.clone();
    kept.unwrap_or_else(|| before.inventory.as_ref().map(Inventory::decode).unwrap_or_default())
}

pub(crate) fn is_ready(status: &GitSyncStatus) -> bool {
    ready(&status.conditions).is_some_and(|ready| ready.status == "True")
}

/// One run over one GitSync.
pub(crate) struct Run<'a> {
    pub(crate) sync: &'a GitSync,
    pub(crate) context: &'a Context,
    pub(crate) memory: &'a mut Remembered,
    pub(crate) before: &'a GitSyncStatus,
    pub(crate) now: Now,
}

impl Run<'_> {
    async fn keep_equal(&mut self) -> Result<Outcome, Broken> {
        self.memory.window = None;
        self.memory.is_queued = false;
        if self.sync.spec.suspend {
            remotes::leave(self.context, self.sync, self.memory);
            return Ok(Outcome::Suspended);
        }
        let standing = self.standing()?;
        let overridden = self.sync.annotations().get(OVERRIDE_WINDOWS).map(String::as_str);
        self.memory.window = standing.map(|standing| standing.status(overridden, None));
        let Some(grounded) = self.context.footing(self.sync, &self.sync.spec.config_repo_ref.name)? else {
            return Ok(Outcome::Waiting);
        };
        awaiting::learn(self.context, self.sync)?;
        let revision = grounded.revision.clone();
        self.memory.window = standing.map(|standing| standing.status(overridden, Some(&revision)));
        let broken = |failure: Failure| Broken::early(failure, &revision);
        let Some(reached) = remotes::reach(self.context, self.sync, self.memory).await.map_err(broken)? else {
            self.memory.is_queued = true;
            return Ok(Outcome::Waiting);
        };
        let cluster = reached.cluster.clone();
        let (rendering, failed) = self.render(&grounded, &cluster).await?;
        awaiting::depend(self.context, self.sync, &revision)?;
        let owned = self.owned(&cluster).await;
        let watched = self.watches(&cluster, &rendering.manifests, &owned).await.map_err(broken)?;
        let (keys, denied) = (watched.keys, watched.denied.values().next().cloned());
        let all = rendering.clone();
        let rendering = rendering.without(&watched.denied);
        // Known to others from now on: what they give up may be ours.
        self.memory.rendering = Some(all.clone());
        self.context.syncs.put(self.sync, self.memory.clone());
        let mut others = Others::of(self.sync, &rendering).map_err(broken)?;
        let (mut owned, plan) = self.plan(&rendering, owned, (&keys, &cluster), &revision, &mut others);
        let (ignored, hashes) = (&others.ignored, &*others.hashes);
        let context = self.context;
        let mask = &rendering.mask;
        let occasion = format!("{revision} {:?} {:?}", self.sync.metadata.generation, requested_at(self.sync));
        let applying =
            Applying { context, sync: self.sync, cluster, keys: &keys, ignored, hashes, mask, now: self.now, occasion };
        let ahead = (self.before, &mut self.memory.announced);
        let written = applying.write_ahead(ahead, &mut owned, &plan, &all).await.map_err(broken)?;
        self.memory.progress.status = written.or_else(|| self.memory.progress.status.take());
        let may_start = failed.is_none() && !plan.is_held;
        let hooks = self.hooks(&all, &others, (&plan, &watched.denied), may_start);
        let (held, hook_failure) = match applying.run_hooks(&hooks, Phase::Before, &mut owned).await {
            Ok(held) => (held, None),
            Err(failure) => (hooks.first(Phase::Before), Some(failure)),
        };
        let due = if plan.is_held { applying.due(&hooks, &owned) } else { Vec::new() };
        let (fights, refusals) = (std::mem::take(&mut self.memory.fights), std::mem::take(&mut self.memory.refusals));
        let known = Before { owned, fights, refusals, held };
        let may_prune = failed.is_none() && denied.is_none();
        let mut applied = applying.carry_out(&rendering, known, &plan, may_prune).await;
        let large = || status::unconfirmed(&plan, &revision).filter(|_| applied.waiting.is_empty());
        let failure = failed.or(hook_failure).or(applied.failure.take()).or(denied).or_else(large);
        let scene =
            Scene { applying, rendering: &rendering, plan: &plan, hooks: &hooks, due, revision: revision.clone() };
        let ended = self.conclude(&scene, applied, failure).await;
        self.memory.swept = match &self.memory.inventory {
            Some(owned) if !plan.is_held => scene.applying.swept(&hooks, owned),
            _ => Vec::new(),
        };
        ended
    }

    /// What the windows say, looked up anew when that changes.
    fn standing(&mut self) -> Result<Option<windows::Standing>, Failure> {
        let (generation, now) = (self.sync.metadata.generation, self.now.wall);
        if let Some((of, since, standing)) = self.memory.standing {
            let is_over = standing.and_then(|standing| standing.until).is_some_and(|until| now >= until);
            if of == generation && since <= now && !is_over {
                return Ok(standing);
            }
        }
        let standing = windows::Windows::read(&self.sync.spec.windows)?.map(|all| all.standing(now));
        self.memory.standing = Some((generation, now, standing));
        Ok(standing)
    }

    /// The rendering of the head; when that fails, of the last good revision, with the failure beside it.
    async fn render(
        &mut self,
        grounded: &Grounded,
        cluster: &Cluster,
    ) -> Result<(Arc<Rendering>, Option<Failure>), Broken> {
        let is_audit = self.now.until(self.memory.audited, self.sync.spec.interval.0).is_zero()
            || requested_at(self.sync) != self.before.last_handled_reconcile_at;
        let kept = self.memory.rendering.clone();
        // One that was made for another spec is no answer to this one, but still the last good state.
        let fresh = kept.clone().filter(|kept| !is_audit && kept.generation == self.sync.metadata.generation);
        let head = &grounded.revision;
        let outside = referring::outside(self.context, self.sync, cluster, &mut self.memory.references).await;
        let rendered = match &outside {
            Ok(outside) => {
                let rendered = rendering::render(self.context, self.sync, grounded, head, fresh, outside);
                caught(rendered).await.and_then(|rendered| rendered)
            }
            Err(failure) => Err(failure.clone()),
        };
        let failure = match rendered {
            Ok(rendering) => {
                if is_audit {
                    self.memory.audited = Some(self.now.steady);
                }
                return Ok((rendering, None));
            }
            Err(failure) => failure,
        };
        let last = match (kept, &self.before.last_applied_revision, &outside) {
            (Some(kept), ..) => Some(kept),
            (None, Some(last), Ok(outside)) => {
                rendering::look_back(last, grounded).await;
                rendering::render(self.context, self.sync, grounded, last, None, outside).await.ok()
            }
            _ => None,
        };
        match last {
            Some(last) => Ok((last, Some(failure))),
            None => Err(Broken::early(failure, &grounded.revision)),
        }
    }

    /// What is owned in this cluster. What is in another one is left there, and told once.
    async fn owned(&mut self, cluster: &Cluster) -> Inventory {
        let owned = recorded(self.memory, self.before);
        let here = cluster.site().cluster();
        if owned.cluster() == here {
            return owned;
        }
        if let Some(note) = remotes::left_behind(&owned) {
            tracing::warn!(namespace = self.sync.namespace(), name = self.sync.name_any(), "{note}");
            let publish = self.context.cluster.publish(
                self.sync,
                Severity::Warning,
                Reason::ClusterChanged,
                &note,
                self.now.wall,
            );
            let _ = publish.await;
        }
        self.memory.inventory = Some(Inventory::of(here));
        self.memory.fights = Fights::default();
        Inventory::of(here)
    }

    /// Watches every kind that is rendered or owned; a kind that the cluster does not know yet is left for after the first stage.
    pub(crate) async fn watches(
        &self,
        cluster: &Cluster,
        manifests: &[Manifest],
        owned: &Inventory,
    ) -> Result<Watched, Failure> {
        let known = places::owned(owned).chain(announced(self.sync, self.before));
        let wanted: BTreeSet<_> = places::rendered(manifests).chain(known).collect();
        observing::start(self.context, cluster, wanted).await
    }

    fn plan(
        &self,
        rendering: &Rendering,
        owned: Inventory,
        (keys, cluster): (&Keys, &Cluster),
        revision: &Revision,
        others: &mut Others<'_>,
    ) -> (Inventory, Plan) {
        let (owner, uid) = (owner(self.sync), remote_uid(self.sync));
        let views: BTreeMap<(String, String, String), String> = keys
            .iter()
            .map(|((gvk, namespace), key)| ((gvk.group.clone(), gvk.kind.clone(), namespace.clone()), view(key)))
            .collect();
        let mut owned = owned;
        // The labels are the record that survives a crash: what carries ours is ours, whatever the status says.
        for ((gvk, _), key) in keys {
            for labelled in self.context.table.owned(&view(key), &owner, uid.as_deref()) {
                owned.add(labelled, &gvk.version);
            }
        }
        let mut observed = BTreeMap::new();
        let known: BTreeSet<ObjectKey> = rendering
            .manifests
            .iter()
            .map(|m| m.key.clone())
            .chain(owned.objects().map(|(key, _)| key.clone()))
            .collect();
        for key in known {
            let view = views.get(&(key.group.clone(), key.kind.clone(), key.namespace.clone()));
            if let Some(entry) = view.and_then(|view| self.context.table.get(view, &key)) {
                let mut seen = entry.observed;
                let is_ours = seen.is_of(&owner, uid.as_deref());
                seen.owner = seen
                    .owner
                    .filter(|other| is_ours || self.context.owns(other, seen.owner_uid.as_deref(), cluster, &key));
                observed.insert(key, seen);
            }
        }
        let spec = &self.sync.spec;
        let confirmed = self.sync.annotations().get(CONFIRM_PRUNE);
        let options = plan::Options {
            prune: spec.prune,
            self_heal: spec.self_heal,
            owner,
            prune_limit: spec.prune_limit,
            is_prune_confirmed: confirmed.is_some_and(|written| plan::confirms(written, revision)),
        };
        others.add_autoscaled(&rendering.manifests, &observed);
        let mut plan = plan::plan(&rendering.manifests, &others.hashes, &observed, &owned, &options);
        if self.memory.window.as_ref().is_some_and(|window| window.state == git_sync::WindowState::Closed) {
            plan.hold();
        }
        (owned, plan)
    }
}

/// Tells people what they would want to know: applied, failed, drift that was left.
async fn tell(sync: &GitSync, context: &Context, before: &GitSyncStatus, status: &GitSyncStatus) {
    let (was, Some(ready)) = (ready(&before.conditions), ready(&status.conditions)) else { return };
    let is_news = was.is_none_or(|was| (&was.status, &was.message) != (&ready.status, &ready.message));
    let (severity, reason) = match ready.status.as_str() {
        "True" if ready.reason == Reason::DriftDetected.as_str() => (Severity::Warning, Reason::DriftDetected),
        "True" if before.last_applied_revision != status.last_applied_revision => (Severity::Normal, Reason::Applied),
        "True" if was.is_none_or(|was| was.status != "True") => (Severity::Normal, Reason::Applied),
        "Unknown" if ready.reason == Reason::WaitingForWindow.as_str() => (Severity::Normal, Reason::WaitingForWindow),
        "False" => (Severity::Warning, Reason::named(&ready.reason).unwrap_or(Reason::ApplyFailed)),
        _ => return,
    };
    if is_news {
        let _ = context.cluster.publish(sync, severity, reason, &ready.message, clock::now().wall).await;
    }
}
