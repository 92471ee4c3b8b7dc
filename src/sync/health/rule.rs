//! What makes objects of a kind healthy, as expressions → a verdict on one object, with a sentence taken from the object.

use std::sync::Arc;

use serde_json::Value;

use super::{Health, condition, message, printable, progressing, status, text};
use crate::sync::cel::{Expression, Trouble};

/// What an expression may speak of: the parts that every kind has, and the whole.
pub const VARIABLES: [&str; 7] = ["apiVersion", "kind", "metadata", "spec", "status", "data", "object"];

/// What makes objects of a kind healthy.
#[derive(Debug, Clone)]
pub struct Rule {
    /// Where it stands, for what can't be told: such as `spec.healthCheckExprs[0]`.
    pub place: String,
    /// On its way, whatever the rest says.
    pub in_progress: Option<Arc<Expression>>,
    /// It will not get there by itself.
    pub failed: Option<Arc<Expression>>,
    /// Healthy.
    pub current: Arc<Expression>,
}

impl Rule {
    /// Judges an object whose newest generation was observed and that is not being deleted.
    pub fn judge(&self, object: &Value) -> Health {
        let part = |name| Some((name, object.get(name)?));
        let mut scope: Vec<(&str, &Value)> = VARIABLES.iter().filter_map(|name| part(*name)).collect();
        scope.push(("object", object));
        let ask = |name: &str, expression: Option<&Arc<Expression>>| match expression.map(|e| e.holds(&scope)) {
            None | Some(Ok(false)) => Ok(Err(None)),
            Some(Ok(true)) => Ok(Ok(())),
            Some(Err(Trouble::Missing(name))) => Ok(Err(Some(name))),
            Some(Err(Trouble::Wrong(why))) => Err(Health::Failed(format!("{}.{name}: {why}", self.place))),
        };
        let said = || said(object);
        let verdict = || -> Result<Health, Health> {
            if ask("inProgress", self.in_progress.as_ref())?.is_ok() {
                return Ok(progressing(said().unwrap_or_else(|| "is on its way".to_owned())));
            }
            if ask("failed", self.failed.as_ref())?.is_ok() {
                return Ok(Health::Failed(said().unwrap_or_else(|| "has failed".to_owned())));
            }
            Ok(match ask("current", Some(&self.current))? {
                Ok(()) => Health::Healthy,
                Err(missing) => progressing(said().unwrap_or_else(|| match missing {
                    Some(name) => format!("has no {name} yet"),
                    None => "is not healthy yet".to_owned(),
                })),
            })
        };
        verdict().unwrap_or_else(|failed| failed)
    }
}

/// What an object says of its state: a condition that tells of trouble, one that is not true yet, its message, its phase.
pub(super) fn said(object: &Value) -> Option<String> {
    const TROUBLE: [&str; 13] = [
        "Stalled",
        "Failed",
        "Degraded",
        "NotReady",
        "Denied",
        "InvalidRequest",
        "ErrorOccurred",
        "SpecError",
        "SubmissionError",
        "InstallPlanFailed",
        "ResolutionFailed",
        "Reconciling",
        "Issuing",
    ];
    const GOOD: [&str; 12] = [
        "Ready",
        "Available",
        "Programmed",
        "Accepted",
        "Synced",
        "Healthy",
        "Installed",
        "Established",
        "Offered",
        "Reconciled",
        "AbleToScale",
        "ScalingActive",
    ];
    let trouble = TROUBLE.iter().filter_map(|kind| condition(object, kind)).find(|found| status(found) == "True");
    let good = || GOOD.iter().filter_map(|kind| condition(object, kind)).find(|found| status(found) != "True");
    let any = || {
        let all = object.pointer("/status/conditions")?.as_array()?;
        all.iter().find(|found| status(found) == "False" && !TROUBLE.contains(&text(found, "/type")))
    };
    let of_a_parent = || {
        let parents = object.pointer("/status/parents")?.as_array()?;
        let mut all = parents.iter().filter_map(|parent| parent.get("conditions")?.as_array()).flatten();
        all.find(|found| status(found) == "False")
    };
    let told = trouble.or_else(good).or_else(any).or_else(of_a_parent).map(message);
    let messages =
        ["/status/message", "/status/error/message", "/status/error", "/status/errorMessage", "/status/reason"];
    let phases = [
        "/status/phase",
        "/status/state",
        "/status/health",
        "/status/currentState",
        "/status/updateStatus",
        "/status/lifecycleState",
    ];
    let first = |places: &[&str]| {
        places
            .iter()
            .map(|place| text(object, place))
            .find(|found| !found.is_empty())
            .map(|found| printable(found, 300))
    };
    let told = told.filter(|told| !told.is_empty());
    told.or_else(|| first(&messages)).or_else(|| first(&phases).map(|phase| format!("is {phase}")))
}
