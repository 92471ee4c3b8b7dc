//! Hooks: objects that are work to be done before or after an app is applied, or when that failed.

use serde_json::{Map, Value};

use super::{ARGO, OURS, unknown, wave, word};

/// When a hook runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// Before anything is applied.
    Before,
    /// When all is applied and healthy.
    After,
    /// When applying or becoming healthy failed.
    OnFailure,
}

impl Phase {
    /// The word in our annotation and in the status.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Before => "before",
            Self::After => "after",
            Self::OnFailure => "onFailure",
        }
    }
}

/// When a hook's object is deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HookDelete {
    /// Before it runs again; the rule when nothing is said (as in Argo CD and Helm).
    BeforeCreation,
    /// When it succeeded.
    Succeeded,
    /// When it failed.
    Failed,
}

/// What makes an object a hook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hook {
    /// When it runs; never, when it is empty.
    pub phases: Vec<Phase>,
    /// When it is deleted.
    pub delete: Vec<HookDelete>,
    /// Helm's order of hooks.
    pub weight: Option<i32>,
}

/// Reads the annotations of all three dialects; ours wins, then Argo CD's.
pub(super) fn read(annotations: &Map<String, Value>) -> Result<Option<Hook>, String> {
    let dialects = [
        (OURS, "hook", "hook-delete-policy", ours as fn(&str) -> Result<Option<Phase>, ()>),
        (ARGO, "hook", "hook-delete-policy", argo),
        ("helm.sh", "hook", "hook-delete-policy", helm),
    ];
    for (prefix, name, policy, phase_of) in dialects {
        let Some(text) = word(annotations, prefix, name) else { continue };
        let mut hook = Hook { phases: Vec::new(), delete: Vec::new(), weight: None };
        let mut is_part = false;
        for item in text.split(',').map(str::trim) {
            match phase_of(item) {
                Ok(Some(phase)) => hook.phases.push(phase),
                Ok(None) => is_part |= item == "crd-install",
                Err(()) => return Err(unknown(prefix, name, item, choices(prefix))),
            }
        }
        hook.phases.sort();
        hook.phases.dedup();
        for item in word(annotations, prefix, policy).into_iter().flat_map(|text| text.split(',')).map(str::trim) {
            hook.delete.push(match item.to_ascii_lowercase().replace('-', "").as_str() {
                "beforehookcreation" | "beforecreation" => HookDelete::BeforeCreation,
                "hooksucceeded" | "succeeded" => HookDelete::Succeeded,
                "hookfailed" | "failed" => HookDelete::Failed,
                _ => {
                    let choices = "beforeHookCreation, hookSucceeded or hookFailed";
                    return Err(unknown(prefix, policy, item, choices));
                }
            });
        }
        if hook.delete.is_empty() {
            hook.delete.push(HookDelete::BeforeCreation);
        }
        if let Some(number) = word(annotations, "helm.sh", "hook-weight") {
            hook.weight = Some(wave("helm.sh/hook-weight", number)?);
        }
        return Ok(Some(hook).filter(|_| !is_part));
    }
    Ok(None)
}

fn ours(item: &str) -> Result<Option<Phase>, ()> {
    match item {
        "before" => Ok(Some(Phase::Before)),
        "after" => Ok(Some(Phase::After)),
        "onFailure" => Ok(Some(Phase::OnFailure)),
        _ => Err(()),
    }
}

fn argo(item: &str) -> Result<Option<Phase>, ()> {
    match item {
        "PreSync" => Ok(Some(Phase::Before)),
        "PostSync" => Ok(Some(Phase::After)),
        "SyncFail" => Ok(Some(Phase::OnFailure)),
        "Skip" | "PreDelete" | "PostDelete" => Ok(None),
        _ => Err(()),
    }
}

/// What Helm runs at an install or upgrade; rollbacks, deletions and tests are no occasions here.
fn helm(item: &str) -> Result<Option<Phase>, ()> {
    match item {
        "pre-install" | "pre-upgrade" => Ok(Some(Phase::Before)),
        "post-install" | "post-upgrade" => Ok(Some(Phase::After)),
        "pre-delete" | "post-delete" | "pre-rollback" | "post-rollback" | "test" | "test-success" | "test-failure"
        | "crd-install" => Ok(None),
        _ => Err(()),
    }
}

fn choices(prefix: &str) -> &'static str {
    match prefix {
        OURS => "before, after or onFailure",
        ARGO => "PreSync, PostSync or SyncFail",
        _ => "a hook of Helm's",
    }
}
