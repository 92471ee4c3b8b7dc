//! Desired × observed × owned → a plan: what to apply in which stage, what to prune, what to leave, each with its reason.

use std::collections::BTreeMap;

use super::inventory::Inventory;
use super::manner::{self, Kept, Manner, Mode};
use super::order;
use crate::object::{Manifest, ObjectKey};

mod prune;

pub use prune::{LIMIT as PRUNE_LIMIT, confirms};

/// One live object, as far as a plan needs it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Observed {
    /// Which incarnation.
    pub uid: String,
    /// Namespace and name of the GitSync that its labels name.
    pub owner: Option<(String, String)>,
    /// The GitSync's uid that its labels name, when that is of another cluster.
    pub owner_uid: Option<String>,
    /// The hash of the fields that we own; none when we own none.
    pub projection: Option<String>,
    /// What its annotations say about being left alone.
    pub kept: Kept,
    /// It is being deleted already.
    pub deleting: bool,
    /// An autoscaler sets its replicas.
    pub autoscaled: bool,
    /// Of a hook: what it was started for.
    pub hook_run: Option<String>,
}

impl Observed {
    /// Whether its labels name this GitSync, with this uid when the object is in another cluster than the GitSync.
    pub fn is_of(&self, owner: &(String, String), uid: Option<&str>) -> bool {
        self.owner.as_ref() == Some(owner) && self.owner_uid.as_deref() == uid
    }
}

/// What the user wants of plans.
#[derive(Debug, Clone)]
pub struct Options {
    /// Delete what left Git.
    pub prune: bool,
    /// Undo changes of others.
    pub self_heal: bool,
    /// Namespace and name of the GitSync.
    pub owner: (String, String),
    /// The share of what is owned, in percent, of which more goes only when it is confirmed.
    pub prune_limit: u8,
    /// A person confirmed what goes at this revision.
    pub is_prune_confirmed: bool,
}

/// Why an object is applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// It is not in the cluster, and was not applied before.
    New,
    /// It is another one in Git than when it was applied last.
    Changed,
    /// Others changed or deleted it.
    Drifted,
    /// Nothing is recorded of its last apply.
    Unrecorded,
}

/// One thing to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Action {
    /// The object.
    pub key: ObjectKey,
    /// Why, in one word.
    pub cause: Cause,
    /// Why, in a sentence.
    pub reason: &'static str,
    /// How the object asks to be treated.
    pub manner: Manner,
}

impl Action {
    /// Whether others can't be accepted before it is there.
    pub fn is_definition(&self) -> bool {
        matches!(self.key.kind.as_str(), "CustomResourceDefinition" | "Namespace")
    }
}

/// Everything to do.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    /// What to apply, by waves and stages, in their order.
    pub apply: Vec<Vec<Action>>,
    /// What to delete, in this order.
    pub prune: Vec<Action>,
    /// What would be deleted if it were not so much: a person must confirm it first.
    pub unconfirmed: Vec<Action>,
    /// Owned objects that are not there any more, or not ours any more: to be struck from the inventory.
    pub forgotten: Vec<ObjectKey>,
    /// Changes of others that are left (`selfHeal: false`).
    pub drifted: Vec<ObjectKey>,
    /// Objects that ask to be left alone.
    pub left: Vec<ObjectKey>,
    /// What is not done now, as no window is open ([`Plan::hold`]).
    pub held: Vec<Action>,
    /// Nothing may be changed now.
    pub is_held: bool,
    /// How many objects are as they should be.
    pub unchanged: usize,
    /// What can't be done, in sentences.
    pub problems: Vec<String>,
    /// Hooks that must not run, each with the reason.
    pub refused_hooks: BTreeMap<ObjectKey, String>,
}

impl Plan {
    /// Leaves everything as it is for now: what would be applied or deleted is held, and changes of others are only told of.
    pub fn hold(&mut self) {
        let all = std::mem::take(&mut self.apply).into_iter().flatten();
        let (drifted, changed): (Vec<_>, Vec<_>) = all.partition(|action| action.cause == Cause::Drifted);
        self.drifted.extend(drifted.into_iter().map(|action| action.key));
        self.held.extend(changed);
        self.held.append(&mut self.prune);
        self.held.append(&mut self.unconfirmed);
        self.is_held = true;
    }

    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.apply.iter().all(Vec::is_empty) && self.prune.is_empty() && self.forgotten.is_empty()
    }
}

/// Makes the plan. `hashes` holds the hash of each desired object.
pub fn plan(
    desired: &[Manifest],
    hashes: &BTreeMap<ObjectKey, String>,
    observed: &BTreeMap<ObjectKey, Observed>,
    owned: &Inventory,
    options: &Options,
) -> Plan {
    let mut plan = Plan::default();
    let mut stages: BTreeMap<(i64, usize), Vec<Action>> = BTreeMap::new();
    for manifest in desired {
        let key = &manifest.key;
        let live = observed.get(key);
        let manner = match manner::read(&manifest.body) {
            Ok(manner) => manner,
            Err(reason) => {
                plan.problems.push(format!("{key}: {reason}"));
                continue;
            }
        };
        if manner.mode == Mode::Never || live.is_some_and(|live| live.kept.always) {
            plan.left.push(key.clone());
            continue;
        }
        if let Some(other) = live.and_then(|live| live.owner.as_ref()).filter(|other| **other != options.owner) {
            let reason = format!("belongs to GitSync {}/{}; remove it from one of the two", other.0, other.1);
            match manner.hook {
                Some(_) => drop(plan.refused_hooks.insert(key.clone(), format!("it {reason}"))),
                None => plan.problems.push(format!("{key} {reason}")),
            }
            continue;
        }
        // It runs when it is its turn.
        if manner.hook.is_some() {
            continue;
        }
        let rendered = hashes.get(key);
        let why = match manner.mode {
            Mode::Once => cause_once(live, owned.is_left(key), cause(rendered, live, owned.applied(key))),
            _ => cause(rendered, live, owned.applied(key)),
        };
        match why {
            None => plan.unchanged += 1,
            Some((Cause::Drifted, _)) if !options.self_heal => plan.drifted.push(key.clone()),
            Some((cause, reason)) => {
                let place = order::place(&manifest.gvk, manner.wave);
                stages.entry(place).or_default().push(Action { key: key.clone(), cause, reason, manner });
            }
        }
    }
    plan.apply = stages.into_values().collect();
    prune::plan(&mut plan, desired, observed, owned, options);
    plan
}

fn cause(
    rendered: Option<&String>,
    live: Option<&Observed>,
    applied: Option<&(String, String)>,
) -> Option<(Cause, &'static str)> {
    match (live, applied) {
        (None, None) => Some((Cause::New, "it is new in Git")),
        (Some(_), None) => Some((Cause::Unrecorded, "nothing is recorded of its last apply")),
        (_, Some((last, _))) if Some(last) != rendered => Some((Cause::Changed, "it changed in Git")),
        (None, Some(_)) => Some((Cause::Drifted, "it was deleted")),
        // The server deletes it as soon as its finalizers are gone; then it is missing, and made anew.
        (Some(live), Some(_)) if live.deleting => None,
        (Some(live), Some((_, projection))) if live.projection.as_deref().unwrap_or_default() != projection => {
            Some((Cause::Drifted, "others changed it"))
        }
        (Some(_), Some(_)) => None,
    }
}

/// Of an object that is only made when it is missing: one that is there is as it should be, whoever made it.
fn cause_once(
    live: Option<&Observed>,
    is_left: bool,
    cause: Option<(Cause, &'static str)>,
) -> Option<(Cause, &'static str)> {
    cause.filter(|_| live.is_none() && !is_left)
}

#[cfg(test)]
mod tests;
