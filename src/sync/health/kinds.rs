//! The kinds that `kinds.yaml` knows → their rules. The table is read when the first object of a kind that we don't know by heart
//! shows up, and each kind's expressions when its own first object does.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, OnceLock};

use serde::Deserialize;
use serde_json::Value;

use super::Health;
use super::rule::{Rule, VARIABLES};
use crate::sync::cel::Expression;

/// One entry of the table.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Entry {
    pub kinds: Vec<String>,
    pub in_progress: Option<String>,
    pub failed: Option<String>,
    pub current: String,
    #[serde(skip)]
    rule: OnceLock<Option<Rule>>,
}

static KINDS: LazyLock<HashMap<String, Arc<Entry>>> = LazyLock::new(|| {
    let entries = read().unwrap_or_default().into_iter().map(Arc::new);
    entries.flat_map(|entry| entry.kinds.clone().into_iter().map(move |kind| (kind, entry.clone()))).collect()
});

/// The whole table. That it reads, and each of its lines, is tested.
pub(super) fn read() -> Result<Vec<Entry>, serde_yaml::Error> {
    serde_yaml::from_str(include_str!("kinds.yaml"))
}

/// The verdict on an object whose kind the table knows.
pub(super) fn judge(group: &str, kind: &str, object: &Value) -> Option<Health> {
    let entry = KINDS.get(&format!("{group}/{kind}"))?;
    Some(entry.rule.get_or_init(|| entry.compile(group, kind)).as_ref()?.judge(object))
}

impl Entry {
    fn compile(&self, group: &str, kind: &str) -> Option<Rule> {
        let compile = |text: &String| Expression::compile(text, &VARIABLES).ok().map(Arc::new);
        Some(Rule {
            place: format!("the rule for {group}/{kind}"),
            in_progress: self.in_progress.as_ref().and_then(compile),
            failed: self.failed.as_ref().and_then(compile),
            current: compile(&self.current)?,
        })
    }
}
