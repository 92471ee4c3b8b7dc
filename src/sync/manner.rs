//! The annotations of an object → how it asks to be treated: applied, pruned, deleted, made anew, in which wave, as which hook.
//! Ours, and those of Flux, Argo CD and Helm that mean the same. A word that nobody knows is a problem of this object alone.

use serde_json::{Map, Value};

mod hook;

pub use hook::{Hook, HookDelete, Phase};

const OURS: &str = "tagboat.dev";
const FLUX: &str = "kustomize.toolkit.fluxcd.io";
const ARGO: &str = "argocd.argoproj.io";

/// How an object is applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mode {
    /// Kept equal to Git; what `kubectl apply` and other tools set before is taken over (Flux: `ssa: Override`).
    #[default]
    Equal,
    /// Kept equal; what other tools set stays theirs (`Merge`).
    Merge,
    /// Made when it is missing, and never changed (`IfNotPresent`).
    Once,
    /// Never touched (`Ignore`, `reconcile: disabled`).
    Never,
}

/// How one object asks to be treated.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Manner {
    /// How it is applied.
    pub mode: Mode,
    /// It stays when it leaves Git.
    pub keep_when_pruned: bool,
    /// It stays when its GitSync is deleted.
    pub keep_when_deleted: bool,
    /// It may be deleted and made anew when a field that can't change has to.
    pub recreate: bool,
    /// It is applied when all objects of lower waves are healthy.
    pub wave: i32,
    /// It is no part of the app, but work that goes with applying it.
    pub hook: Option<Hook>,
}

/// What the live object says about being left alone, which counts even when Git does not say it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Kept {
    /// It stays when it leaves Git.
    pub when_pruned: bool,
    /// It stays when its GitSync is deleted.
    pub when_deleted: bool,
    /// Nothing is done to it at all.
    pub always: bool,
    /// Its wave: the highest goes first.
    pub wave: i32,
}

/// Reads the annotations of an object from Git.
///
/// # Errors
/// Names the annotation, its value, and what it may be.
pub fn read(object: &Value) -> Result<Manner, String> {
    let Some(annotations) = object.pointer("/metadata/annotations").and_then(Value::as_object) else {
        return Ok(Manner::default());
    };
    let mut manner = Manner::default();
    let mut wave = None;
    // Ours is read last, so it wins.
    for prefix in [FLUX, OURS] {
        manner.read_ours(annotations, prefix)?;
    }
    manner.read_argo(annotations, &mut wave)?;
    if let Some(policy) = word(annotations, "helm.sh", "resource-policy")
        && policy.split(',').any(|policy| policy.trim() == "keep")
    {
        (manner.keep_when_pruned, manner.keep_when_deleted) = (true, true);
    }
    if let Some(number) = word(annotations, OURS, "wave") {
        wave = Some(self::wave(&format!("{OURS}/wave"), number)?);
    }
    manner.hook = hook::read(annotations)?;
    if let Some(hook) = &manner.hook {
        wave = wave.or(hook.weight);
        // All that it stands for are occasions that never come here.
        if hook.phases.is_empty() {
            manner.mode = Mode::Never;
        }
    }
    manner.wave = wave.unwrap_or_default();
    if manner.mode == Mode::Never {
        (manner.keep_when_pruned, manner.keep_when_deleted) = (true, true);
    }
    Ok(manner)
}

/// Reads what a live object says; one that says it in words that nobody knows is kept, as losing it can't be undone.
pub fn kept(live: &Value) -> Kept {
    match read(live) {
        Ok(manner) => Kept {
            when_pruned: manner.keep_when_pruned,
            when_deleted: manner.keep_when_deleted,
            always: manner.mode == Mode::Never && manner.hook.is_none(),
            wave: manner.wave,
        },
        Err(_) => Kept { when_pruned: true, when_deleted: true, ..Kept::default() },
    }
}

impl Manner {
    /// `ssa`, `reconcile`, `prune`, `force`, which Flux and we spell alike.
    fn read_ours(&mut self, annotations: &Map<String, Value>, prefix: &str) -> Result<(), String> {
        if let Some(value) = word(annotations, prefix, "ssa") {
            self.mode = match value.to_ascii_lowercase().as_str() {
                "override" => Mode::Equal,
                "merge" => Mode::Merge,
                "ifnotpresent" => Mode::Once,
                "ignore" => Mode::Never,
                _ => return Err(unknown(prefix, "ssa", value, "Override, Merge, IfNotPresent or Ignore")),
            };
        }
        if switch(annotations, prefix, "reconcile")? == Some(false) {
            self.mode = Mode::Never;
        }
        if let Some(is_pruned) = switch(annotations, prefix, "prune")? {
            (self.keep_when_pruned, self.keep_when_deleted) = (!is_pruned, !is_pruned);
        }
        if let Some(is_forced) = switch(annotations, prefix, "force")? {
            self.recreate = is_forced;
        }
        Ok(())
    }

    /// `sync-options`, `compare-options` and `sync-wave`.
    fn read_argo(&mut self, annotations: &Map<String, Value>, wave: &mut Option<i32>) -> Result<(), String> {
        let options = |key| word(annotations, ARGO, key).into_iter().flat_map(|value| value.split(','));
        for option in options("sync-options").map(str::trim).filter(|option| !option.is_empty()) {
            match option {
                // `confirm` asks a person there; here nobody can be asked about one object, so it stays.
                "Prune=false" | "Prune=confirm" => self.keep_when_pruned = true,
                "Delete=false" | "Delete=confirm" => self.keep_when_deleted = true,
                "Force=true" => self.recreate = true,
                _ if EMPTY_OPTIONS.contains(&option.split_once('=').map_or(option, |(name, _)| name)) => {}
                _ => return Err(unknown(ARGO, "sync-options", option, "an option of Argo CD's")),
            }
        }
        for option in options("compare-options").map(str::trim).filter(|option| !option.is_empty()) {
            let name = option.split_once('=').map_or(option, |(name, _)| name);
            if !["IgnoreExtraneous", "ServerSideDiff", "IncludeMutationWebhook"].contains(&name) {
                return Err(unknown(ARGO, "compare-options", option, "an option of Argo CD's"));
            }
        }
        if let Some(number) = word(annotations, ARGO, "sync-wave") {
            *wave = Some(self::wave(&format!("{ARGO}/sync-wave"), number)?);
        }
        Ok(())
    }
}

/// Options that say what we do anyway, or turn off what we don't do.
const EMPTY_OPTIONS: [&str; 14] = [
    "Prune",
    "Delete",
    "Force",
    "Replace",
    "Validate",
    "SkipDryRunOnMissingResource",
    "ServerSideApply",
    "ClientSideApplyMigration",
    "PruneLast",
    "PrunePropagationPolicy",
    "ApplyOutOfSyncOnly",
    "RespectIgnoreDifferences",
    "FailOnSharedResource",
    "CreateNamespace",
];

fn word<'a>(annotations: &'a Map<String, Value>, prefix: &str, name: &str) -> Option<&'a str> {
    annotations.get(&format!("{prefix}/{name}")).and_then(Value::as_str).map(str::trim)
}

fn switch(annotations: &Map<String, Value>, prefix: &str, name: &str) -> Result<Option<bool>, String> {
    match word(annotations, prefix, name) {
        None => Ok(None),
        Some(value) if value.eq_ignore_ascii_case("enabled") => Ok(Some(true)),
        Some(value) if value.eq_ignore_ascii_case("disabled") => Ok(Some(false)),
        Some(value) => Err(unknown(prefix, name, value, "enabled or disabled")),
    }
}

fn wave(annotation: &str, value: &str) -> Result<i32, String> {
    value.parse().map_err(|_| format!("annotation {annotation} is {value:?}; write a whole number"))
}

fn unknown(prefix: &str, name: &str, value: &str, choices: &str) -> String {
    format!("annotation {prefix}/{name} is {value:?}; write {choices}")
}

#[cfg(test)]
mod tests;
