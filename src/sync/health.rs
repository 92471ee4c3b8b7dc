//! One live object → healthy, on its way, or failed, with a sentence (the rules of kstatus, kubernetes-sigs/cli-utils).

use serde_json::Value;

use crate::failure::printable;

pub mod exprs;
mod kinds;
mod rule;

use exprs::Rules;

/// How an object fares.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Health {
    /// As it should be.
    Healthy,
    /// On its way.
    Progressing(String),
    /// It will not get there by itself.
    Failed(String),
}

use Health::{Failed, Healthy};

fn progressing(text: impl Into<String>) -> Health {
    Health::Progressing(text.into())
}

/// Judges one live object; `rules` are those of its GitSync, and come before all that we know ourselves.
pub fn assess(object: &Value, rules: Option<&Rules>) -> Health {
    if object.pointer("/metadata/deletionTimestamp").is_some_and(|at| !at.is_null()) {
        return progressing("is being deleted");
    }
    let observed = number(object, "/status/observedGeneration");
    if let (Some(observed), Some(generation)) = (observed, number(object, "/metadata/generation"))
        && observed < generation
    {
        return progressing("its newest generation was not observed yet");
    }
    let group = text(object, "/apiVersion").rsplit_once('/').map_or("", |(group, _)| group);
    let kind = text(object, "/kind");
    if let Some(rule) = rules.and_then(|rules| rules.of(group, kind)) {
        return rule.judge(object);
    }
    match (group, kind) {
        ("", "ConfigMap" | "Secret" | "ServiceAccount") | ("rbac.authorization.k8s.io", _) => Healthy,
        ("apps", "Deployment") => deployment(object),
        ("apps", "StatefulSet") => stateful_set(object),
        ("apps", "DaemonSet") => daemon_set(object),
        ("apps", "ReplicaSet") => replica_set(object),
        ("", "Pod") => pod(object),
        ("batch", "Job") => job(object),
        ("", "PersistentVolumeClaim") => match text(object, "/status/phase") {
            "Bound" => Healthy,
            "Lost" => Failed("has lost its volume".to_owned()),
            phase => progressing(format!("is {}", if phase.is_empty() { "not bound" } else { phase })),
        },
        ("", "Service") => service(object),
        ("", "Namespace") => match text(object, "/status/phase") {
            "Terminating" => progressing("is being deleted"),
            _ => Healthy,
        },
        ("apiextensions.k8s.io", "CustomResourceDefinition") => definition(object),
        ("policy", "PodDisruptionBudget") => match observed {
            None => progressing("was not observed yet"),
            Some(_) => Healthy,
        },
        ("apiregistration.k8s.io", "APIService") => by_condition(object, "Available", true),
        ("batch", "CronJob") => Healthy,
        _ => kinds::judge(group, kind, object).unwrap_or_else(|| by_conditions(object)),
    }
}

/// Objects of kinds that we know nothing about: `Stalled`, `Reconciling`, `Synced` (Crossplane's) and `Ready`, when they have them.
fn by_conditions(object: &Value) -> Health {
    if let Some(stalled) = condition(object, "Stalled").filter(|stalled| status(stalled) == "True") {
        return Failed(message(stalled));
    }
    if let Some(reconciling) = condition(object, "Reconciling").filter(|reconciling| status(reconciling) == "True") {
        return progressing(message(reconciling));
    }
    match by_condition(object, "Synced", false) {
        Healthy => by_condition(object, "Ready", false),
        unsynced => unsynced,
    }
}

fn by_condition(object: &Value, kind: &str, is_required: bool) -> Health {
    match condition(object, kind) {
        Some(found) if status(found) == "True" => Healthy,
        Some(found) => progressing(message(found)),
        None if is_required => progressing(format!("has no condition {kind} yet")),
        None => Healthy,
    }
}

fn deployment(object: &Value) -> Health {
    if let Some(stuck) = condition(object, "Progressing").filter(|c| text(c, "/reason") == "ProgressDeadlineExceeded") {
        return Failed(message(stuck));
    }
    if object.get("status").and_then(|status| status.get("observedGeneration")).is_none() {
        return progressing("was not observed yet");
    }
    let wanted = number(object, "/spec/replicas").unwrap_or(1);
    let [replicas, updated, available] = counts(object, ["replicas", "updatedReplicas", "availableReplicas"]);
    if updated < wanted {
        return progressing(format!("{updated} of {wanted} replicas are updated"));
    }
    if replicas > updated {
        return progressing(format!("{} old replicas are still there", replicas - updated));
    }
    if available < wanted {
        return progressing(format!("{available} of {wanted} replicas are available"));
    }
    match condition(object, "Available") {
        Some(found) if status(found) != "True" => progressing(message(found)),
        _ => Healthy,
    }
}

fn stateful_set(object: &Value) -> Health {
    if object.pointer("/status/observedGeneration").is_none() {
        return progressing("was not observed yet");
    }
    let wanted = number(object, "/spec/replicas").unwrap_or(1);
    let [replicas, ready, updated] = counts(object, ["replicas", "readyReplicas", "updatedReplicas"]);
    if replicas < wanted || ready < wanted {
        return progressing(format!("{ready} of {wanted} replicas are ready"));
    }
    if text(object, "/spec/updateStrategy/type") == "OnDelete" {
        return Healthy;
    }
    let partition = number(object, "/spec/updateStrategy/rollingUpdate/partition").unwrap_or(0);
    let to_update = (wanted - partition).max(0);
    if updated < to_update {
        return progressing(format!("{updated} of {to_update} replicas are updated"));
    }
    let is_moved = text(object, "/status/currentRevision") == text(object, "/status/updateRevision");
    if partition == 0 && !is_moved { progressing("its revision is still changing") } else { Healthy }
}

fn daemon_set(object: &Value) -> Health {
    if object.pointer("/status/observedGeneration").is_none() {
        return progressing("was not observed yet");
    }
    let [wanted, updated, available] =
        counts(object, ["desiredNumberScheduled", "updatedNumberScheduled", "numberAvailable"]);
    let is_on_delete = text(object, "/spec/updateStrategy/type") == "OnDelete";
    if updated < wanted && !is_on_delete {
        progressing(format!("{updated} of {wanted} pods are updated"))
    } else if available < wanted {
        progressing(format!("{available} of {wanted} pods are available"))
    } else {
        Healthy
    }
}

fn replica_set(object: &Value) -> Health {
    let wanted = number(object, "/spec/replicas").unwrap_or(1);
    let [available] = counts(object, ["availableReplicas"]);
    if available < wanted { progressing(format!("{available} of {wanted} replicas are available")) } else { Healthy }
}

fn pod(object: &Value) -> Health {
    if let Some(trouble) = pod_trouble(object) {
        return Failed(trouble);
    }
    match text(object, "/status/phase") {
        "Succeeded" => Healthy,
        _ => match condition(object, "Ready") {
            Some(ready) if status(ready) == "True" => Healthy,
            Some(ready) => progressing(message(ready)),
            None => progressing("is not ready yet"),
        },
    }
}

fn job(object: &Value) -> Health {
    if let Some(failed) = condition(object, "Failed").filter(|failed| status(failed) == "True") {
        return Failed(message(failed));
    }
    let is_done = |kind| condition(object, kind).is_some_and(|found| status(found) == "True");
    if is_done("Complete") || is_done("Suspended") { Healthy } else { progressing("is running") }
}

fn service(object: &Value) -> Health {
    let is_waiting = text(object, "/spec/type") == "LoadBalancer"
        && object.pointer("/status/loadBalancer/ingress").and_then(Value::as_array).is_none_or(Vec::is_empty);
    if is_waiting { progressing("has no load balancer yet") } else { Healthy }
}

fn definition(object: &Value) -> Health {
    if let Some(refused) = condition(object, "NamesAccepted").filter(|names| status(names) == "False") {
        return Failed(message(refused));
    }
    by_condition(object, "Established", true)
}

/// What keeps a pod's containers from running, in a person's words; none when nothing does or the pod is going anyway.
pub fn pod_trouble(pod: &Value) -> Option<String> {
    const WAITING: [&str; 8] = [
        "CrashLoopBackOff",
        "ImagePullBackOff",
        "ErrImagePull",
        "ErrImageNeverPull",
        "InvalidImageName",
        "CreateContainerConfigError",
        "CreateContainerError",
        "RunContainerError",
    ];
    if pod.pointer("/metadata/deletionTimestamp").is_some_and(|at| !at.is_null()) {
        return None;
    }
    let name = text(pod, "/metadata/name");
    let lists = ["/status/initContainerStatuses", "/status/containerStatuses"];
    let mut containers = lists.iter().filter_map(|list| pod.pointer(list)?.as_array()).flatten();
    let stuck = containers.find_map(|container| {
        let waiting = container.pointer("/state/waiting")?;
        let reason = text(waiting, "/reason");
        let detail = text(waiting, "/message");
        let colon = if detail.is_empty() { "" } else { ": " };
        WAITING
            .contains(&reason)
            .then(|| format!("{reason}: pod {name}: container {}{colon}{detail}", text(container, "/name")))
    });
    let failed = || {
        (text(pod, "/status/phase") == "Failed").then(|| {
            let reason = text(pod, "/status/reason");
            format!(
                "{}: pod {name}: {}",
                if reason.is_empty() { "Failed" } else { reason },
                text(pod, "/status/message")
            )
        })
    };
    stuck.or_else(failed).map(|trouble| printable(&trouble, 300))
}

fn condition<'a>(object: &'a Value, kind: &str) -> Option<&'a Value> {
    object.pointer("/status/conditions")?.as_array()?.iter().find(|condition| text(condition, "/type") == kind)
}

fn status(condition: &Value) -> &str {
    text(condition, "/status")
}

fn message(condition: &Value) -> String {
    let (reason, detail) = (text(condition, "/reason"), text(condition, "/message"));
    printable(if detail.is_empty() { reason } else { detail }, 300)
}

fn counts<const N: usize>(object: &Value, names: [&str; N]) -> [i64; N] {
    names.map(|name| object.get("status").and_then(|status| status.get(name)).and_then(Value::as_i64).unwrap_or(0))
}

fn number(object: &Value, pointer: &str) -> Option<i64> {
    object.pointer(pointer).and_then(Value::as_i64)
}

fn text<'a>(object: &'a Value, pointer: &str) -> &'a str {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

#[cfg(test)]
mod tests;
