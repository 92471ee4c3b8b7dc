//! Loop two's second half: a plan → ownership recorded → applied by stages → pruned. Joins the pure plan and the cluster.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures::FutureExt;
use kube::ResourceExt;

use crate::api::condition::Reason;
use crate::api::git_sync::ObjectDrift;
use crate::api::{FIELD_MANAGER, GitSync};
use crate::clock::Now;
use crate::cluster::events::Severity;
use crate::cluster::{Cluster, Error};
use crate::context::Context;
use crate::failure::{Answer, Failure};
use crate::object::{Gvk, Manifest, ObjectKey};
use crate::observing::{Keys, reason, view};
use crate::rendering::Rendering;
use crate::sync::fights::Fights;
use crate::sync::health::Health;
use crate::sync::ignore::Ignored;
use crate::sync::inventory::Inventory;
use crate::sync::manner::{self, Mode};
use crate::sync::plan::{Action, Cause, Plan};
use crate::sync::refusals::{Failed, Refusals};
use crate::sync::substitute::Mask;
use crate::sync::waves::Waves;
use crate::sync::{fields, status};

mod ahead;
mod drifted;
mod hooks;
mod ignoring;
mod recreate;

pub(crate) use ahead::{Announced, announced};
pub(crate) use hooks::{Hooks, Swept, sweep};
pub(crate) use ignoring::Others;

/// One plan, being carried out.
pub struct Applying<'a> {
    /// What the flows share.
    pub context: &'a Context,
    /// Whose plan it is.
    pub sync: &'a GitSync,
    /// The cluster, with the rights of the GitSync.
    pub cluster: Cluster,
    /// The watches.
    pub keys: &'a Keys,
    /// What is left to others of which objects.
    pub ignored: &'a BTreeMap<ObjectKey, Ignored>,
    /// The hash of each object as it is applied.
    pub hashes: &'a BTreeMap<ObjectKey, String>,
    /// What must not be told.
    pub mask: &'a Mask,
    /// The clock's reading of this run.
    pub now: Now,
    /// What people last did: the commit, the spec, the request for a run.
    pub occasion: String,
}

/// What is known before a plan is carried out.
pub struct Before {
    /// What is owned.
    pub owned: Inventory,
    /// What was corrected lately.
    pub fights: Fights,
    /// What was refused lately.
    pub refusals: Refusals,
    /// A hook that everything but corrections waits for.
    pub held: Option<ObjectKey>,
}

/// What came of it.
pub struct Applied {
    /// What is owned now.
    pub owned: Inventory,
    /// Why some objects failed; the others are done.
    pub failure: Option<Failure>,
    /// Other GitSyncs that render what this one gave up.
    pub heirs: Vec<Arc<GitSync>>,
    /// What was not applied yet, and for which object it waits.
    pub waiting: BTreeMap<ObjectKey, ObjectKey>,
    /// Whether anything was written.
    pub is_news: bool,
    /// Changes of others that are left.
    pub left: BTreeMap<ObjectKey, ObjectDrift>,
    /// What was corrected lately.
    pub fights: Fights,
    /// What was refused lately.
    pub refusals: Refusals,
}

/// What was done so far.
#[derive(Default)]
struct Done {
    owned: Inventory,
    failed: Vec<Failed>,
    /// The objects that failed.
    broken: BTreeSet<ObjectKey>,
    waiting: BTreeMap<ObjectKey, ObjectKey>,
    is_news: bool,
    left: BTreeMap<ObjectKey, ObjectDrift>,
    fights: Fights,
    refusals: Refusals,
}

fn failed(key: &ObjectKey, reason: Reason, error: &Error) -> Failed {
    Failed { reason, text: format!("{key}: {error}"), is_transient: error.is_transient() }
}

/// The server quotes what it refuses.
fn refused(manifest: &Manifest, error: &Error) -> Failed {
    let text = format!("{}: {}", manifest.key, Mask::of(&manifest.body).hide(&error.to_string()));
    Failed { text, ..failed(&manifest.key, reason(error), error) }
}

impl Applying<'_> {
    /// Applies wave by wave and stage by stage, then prunes, if everything was applied and `may_prune`. One object's failure stops
    /// only what waits for it. What must wait for the cluster is left for the next run, which its watch will start.
    pub async fn carry_out(&self, rendering: &Rendering, before: Before, plan: &Plan, may_prune: bool) -> Applied {
        let refused = |text: &String| Failed { reason: Reason::ApplyFailed, text: text.clone(), is_transient: false };
        let mut done = Done {
            owned: before.owned,
            fights: before.fights,
            refusals: before.refusals,
            failed: plan.problems.iter().map(refused).collect(),
            ..Done::default()
        };
        let manifests: BTreeMap<&ObjectKey, &Manifest> = rendering.manifests.iter().map(|m| (&m.key, m)).collect();
        done.refusals.keep(|key| manifests.contains_key(key));
        let waves = Waves::of(&rendering.manifests);
        let held = before.held.as_ref();
        done.waiting.extend(held.map(|hook| (hook.clone(), hook.clone())));
        for stage in &plan.apply {
            let (held, free): (Vec<_>, Vec<_>) = stage
                .iter()
                .map(|action| {
                    // A hook may live in a namespace that comes with it.
                    let hook = held.filter(|_| action.cause != Cause::Drifted && !action.is_definition());
                    let lower = || waves.waits_for(action, &|key| self.is_ready(key, &manifests, &done));
                    (action, hook.or_else(lower))
                })
                .partition(|(_, waits_for)| waits_for.is_some());
            done.waiting.extend(held.into_iter().filter_map(|(action, key)| Some((action.key.clone(), key?.clone()))));
            let free: Vec<&Action> = free.into_iter().map(|(action, _)| action).collect();
            self.apply_stage(&free, &manifests, &mut done).await;
        }
        self.leave(plan, &manifests, &mut done).await;
        let mut heirs_of_all = Vec::new();
        if done.failed.is_empty() && done.waiting.is_empty() && may_prune {
            for action in &plan.prune {
                let heirs = self.context.heirs(self.sync, &self.cluster, &action.key);
                let given_up = if heirs.is_empty() { self.prune(action).await } else { Ok(()) };
                heirs_of_all.extend(heirs);
                match given_up {
                    Ok(()) => done.owned.remove(&action.key),
                    Err(error) => done.failed.push(failed(&action.key, Reason::PruneFailed, &error)),
                }
            }
            plan.forgotten.iter().for_each(|key| done.owned.remove(key));
        }
        let left: Vec<ObjectKey> = done.left.keys().cloned().collect();
        done.fights.keep(&left, self.now.steady, self.sync.spec.interval.0);
        Applied {
            owned: done.owned,
            failure: sum_up(&done.failed),
            heirs: heirs_of_all,
            waiting: done.waiting,
            is_news: done.is_news,
            left: done.left,
            fights: done.fights,
            refusals: done.refusals,
        }
    }

    /// What is not touched: objects that ask for it, and changes of others that are only told of.
    async fn leave(&self, plan: &Plan, manifests: &BTreeMap<&ObjectKey, &Manifest>, done: &mut Done) {
        for key in plan.left.iter().filter(|key| done.owned.contains(key)).cloned().collect::<Vec<_>>() {
            done.owned.leave(key.clone(), &manifests[&key].gvk.version);
        }
        if plan.drifted.is_empty() {
            return;
        }
        let (left, nothing) = self.look_at(&plan.drifted, manifests, &mut done.fights).await;
        done.left.extend(left);
        if plan.is_held {
            return;
        }
        // Others took what is theirs by the rules: our share is recorded anew, and that is all.
        let reason = "others took what is left to them";
        let manner = |key: &ObjectKey| manner::read(&manifests[key].body).unwrap_or_default();
        let actions: Vec<Action> = nothing
            .into_iter()
            .map(|key| Action { manner: manner(&key), key, cause: Cause::Drifted, reason })
            .collect();
        self.apply_stage(&actions.iter().collect::<Vec<_>>(), manifests, done).await;
    }

    /// Applies objects that wait for nothing, at once.
    async fn apply_stage(&self, stage: &[&Action], manifests: &BTreeMap<&ObjectKey, &Manifest>, done: &mut Done) {
        let mut due: Vec<&Action> = Vec::new();
        for action in stage {
            match done.refusals.holds(&action.key, &self.tried(&action.key), self.now.steady) {
                Some(failed) => {
                    done.failed.push(failed.clone());
                    done.broken.insert(action.key.clone());
                }
                None => due.push(action),
            }
        }
        let stage = &due;
        let drifted = stage.iter().filter(|action| action.cause == Cause::Drifted);
        let drifts = drifted.map(|action| self.drift(manifests[&action.key]).map(|drift| (&action.key, drift)));
        let drifts: BTreeMap<_, _> = futures::future::join_all(drifts).await.into_iter().collect();
        for (key, drift) in &drifts {
            if let Some(left) = self.yields(key, drift, &mut done.fights).await {
                done.left.insert((*key).clone(), left);
            }
        }
        let stage: Vec<&Action> = stage.iter().filter(|action| !done.left.contains_key(&action.key)).copied().collect();
        let applied = stage.iter().map(|action| self.apply(manifests[&action.key], action));
        let applied = futures::future::join_all(applied).await;
        for (action, result) in stage.iter().zip(applied) {
            let manifest = manifests[&action.key];
            match result {
                Ok(Some(live)) => {
                    done.refusals.taken(&action.key);
                    if let Some(drift) = drifts.get(&action.key).filter(|drift| !drift.is_nothing) {
                        self.tell_correction(&action.key, drift, &mut done.fights).await;
                    }
                    done.is_news = true;
                    done.owned.set(action.key.clone(), &manifest.gvk.version, &self.hashes[&action.key], &live);
                    self.learn(manifest);
                }
                Ok(None) => done.owned.leave(action.key.clone(), &manifest.gvk.version),
                Err(error) => {
                    let failed = refused(manifest, &error);
                    done.refusals.refused(&action.key, self.tried(&action.key), failed.clone(), self.now.steady);
                    done.broken.insert(action.key.clone());
                    done.failed.push(failed);
                }
            }
        }
    }

    /// What is tried of an object, and on what occasion.
    fn tried(&self, key: &ObjectKey) -> String {
        format!("{} {}", self.hashes[key], self.occasion)
    }

    /// Whether those who wait for an object may go on.
    fn is_ready(&self, key: &ObjectKey, manifests: &BTreeMap<&ObjectKey, &Manifest>, done: &Done) -> bool {
        if done.owned.is_left(key) {
            return true;
        }
        let is_applied = done.owned.applied(key).is_some() && !done.broken.contains(key);
        let watch = self.keys.get(&(manifests[key].gvk.clone(), key.namespace.clone()));
        let entry = watch.and_then(|watch| self.context.table.get(&view(watch), key));
        is_applied && !done.waiting.contains_key(key) && entry.is_some_and(|entry| entry.health == Health::Healthy)
    }

    /// What an applied definition defines is another thing than it was.
    fn learn(&self, manifest: &Manifest) {
        if manifest.key.kind == "CustomResourceDefinition" {
            let group = manifest.body.pointer("/spec/group").and_then(|group| group.as_str()).unwrap_or_default();
            self.cluster.kinds().forget(group);
        }
    }

    /// Applies one object, takes over what other tools set before, and puts the answer into the table, as the watch will.
    /// Returns the hash of our fields; none for one that others made and that is only to be made when it is missing.
    async fn apply(&self, manifest: &Manifest, action: &Action) -> Result<Option<String>, Error> {
        let manner = &action.manner;
        let (mut live, applied) = match manner.mode {
            Mode::Once => match self.cluster.create(manifest).await? {
                Some(live) => (live, Cow::Borrowed(manifest)),
                None => return Ok(None),
            },
            _ if self.ignored.contains_key(&manifest.key) => self.apply_ignoring(manifest, action).await?,
            _ => (self.apply_or_instead(manifest, manner).await?, Cow::Borrowed(manifest)),
        };
        if manner.mode == Mode::Equal
            && let Some(fields) = fields::migrated_managed_fields(&live)
        {
            let fields = self.but_left(manifest, &live, fields);
            self.cluster.set_managed_fields(manifest, &live, fields).await?;
            live = self.cluster.apply(&applied).await?;
        }
        self.context.metrics.applied();
        if let Some(key) = self.keys.get(&(manifest.gvk.clone(), manifest.key.namespace.clone())) {
            self.context.table.see(&view(key), &live);
        }
        Ok(Some(fields::projection_hash(&live, FIELD_MANAGER).unwrap_or_default()))
    }

    async fn prune(&self, action: &Action) -> Result<(), Error> {
        let key = &action.key;
        let is_its =
            |gvk: &Gvk, namespace: &str| gvk.group == key.group && gvk.kind == key.kind && namespace == key.namespace;
        let Some(((gvk, _), watch)) = self.keys.iter().find(|((gvk, namespace), _)| is_its(gvk, namespace)) else {
            return Ok(());
        };
        let Some(entry) = self.context.table.get(&view(watch), key) else { return Ok(()) };
        self.cluster.delete(gvk, key, &entry.observed.uid).await?;
        self.context.table.leaves(key, &entry.observed.uid);
        self.context.metrics.pruned();
        let note = format!("pruned {key}: {}", action.reason);
        tracing::info!(namespace = self.sync.namespace(), name = self.sync.name_any(), "{note}");
        let _ = self.context.cluster.publish(self.sync, Severity::Normal, Reason::Pruned, &note, self.now.wall).await;
        Ok(())
    }
}

/// One failure for all that failed: it is tried again when that may help any of them.
fn sum_up(failed: &[Failed]) -> Option<Failure> {
    let first = failed.first()?;
    let texts: Vec<String> = failed.iter().map(|failed| failed.text.clone()).collect();
    let is_transient = failed.iter().any(|failed| failed.is_transient);
    let answer = if is_transient { Answer::Retry { after: None } } else { Answer::WaitForUser };
    Some(Failure { answer, reason: first.reason, message: status::few(&texts) })
}
