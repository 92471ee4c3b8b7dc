//! The tagboat objects whose manifests a checkout holds × the markers and targets in it → which policies are missing, may not be
//! used where they are named, or are named by nobody. What a checkout does not hold is not judged. Never edits.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::api::image_update::ImageTarget;
use crate::api::reference::LabelSelector;
use crate::object::Problem;
use crate::update::edit;
use crate::update::marker::Marker;
use crate::update::target::Target;

/// The ImagePolicies and ImageUpdates of a checkout.
#[derive(Debug, Default)]
pub struct Manifests {
    policies: Vec<Policy>,
    updates: Vec<Update>,
}

/// An ImagePolicy. The namespace of a manifest may come from elsewhere: then it is any.
#[derive(Debug)]
struct Policy {
    file: String,
    line: u32,
    namespace: Option<String>,
    name: String,
    labels: BTreeMap<String, String>,
}

/// An ImageUpdate.
#[derive(Debug)]
struct Update {
    namespace: Option<String>,
    name: String,
    /// The folder that it edits, with a slash at its end; empty for the whole repository.
    path: String,
    selector: LabelSelector,
    targets: Vec<ImageTarget>,
}

fn text(value: &Value, pointer: &str) -> Option<String> {
    value.pointer(pointer).and_then(Value::as_str).map(str::to_owned)
}

fn may_be(namespace: Option<&str>, wanted: &str) -> bool {
    namespace.is_none_or(|namespace| namespace == wanted)
}

impl Manifests {
    /// Takes an ImagePolicy's manifest in, from this line of a file.
    pub fn add_policy(&mut self, file: &str, line: u32, manifest: &Value) {
        let Some(name) = text(manifest, "/metadata/name") else { return };
        let labels = manifest.pointer("/metadata/labels").cloned().unwrap_or_default();
        let labels = serde_json::from_value(labels).unwrap_or_default();
        let namespace = text(manifest, "/metadata/namespace");
        self.policies.push(Policy { file: file.to_owned(), line, namespace, name, labels });
    }

    /// Takes an ImageUpdate's manifest in. Fields that are no good count as absent: others report them.
    pub fn add_update(&mut self, manifest: &Value) {
        let read = |pointer: &str| manifest.pointer(pointer).cloned().unwrap_or_default();
        let path = text(manifest, "/spec/path").unwrap_or_default();
        let parts: Vec<&str> = path.split('/').filter(|part| !matches!(*part, "" | ".")).collect();
        self.updates.push(Update {
            namespace: text(manifest, "/metadata/namespace"),
            name: text(manifest, "/metadata/name").unwrap_or_default(),
            path: parts.iter().map(|part| format!("{part}/")).collect(),
            selector: serde_json::from_value(read("/spec/policySelector")).unwrap_or_default(),
            targets: serde_json::from_value(read("/spec/targets")).unwrap_or_default(),
        });
    }

    /// Why a marker in a file (by its path from the repository's root) cannot work here, if that can be told.
    pub fn marker(&self, file: &str, marker: &Marker) -> Option<String> {
        let Marker { namespace, name, .. } = marker;
        let policy = marker.policy();
        let mut here = self.policies.iter().filter(|policy| may_be(policy.namespace.as_deref(), namespace)).peekable();
        let declared = here.peek().is_some().then(|| here.find(|policy| policy.name == *name));
        if let Some(None) = declared {
            return Some(edit::missing(&policy));
        }
        let editors: Vec<&Update> = self.updates.iter().filter(|update| file.starts_with(&update.path)).collect();
        let own: Vec<&&Update> =
            editors.iter().filter(|update| may_be(update.namespace.as_deref(), namespace)).collect();
        if own.is_empty() && !editors.is_empty() {
            let names: BTreeSet<&str> = editors.iter().filter_map(|update| update.namespace.as_deref()).collect();
            let names = names.into_iter().collect::<Vec<_>>().join(", ");
            return Some(format!(
                "policy {policy} is of another namespace: only policies of namespace {names} write here"
            ));
        }
        let labels = &declared.flatten()?.labels;
        let is_selected = own.is_empty() || own.iter().any(|update| update.selector.matches(labels));
        let names = || own.iter().map(|update| update.name.as_str()).collect::<Vec<_>>().join(", ");
        (!is_selected).then(|| format!("policy {policy} is not selected by ImageUpdate {}", names()))
    }

    /// The targets in a file, of those ImageUpdates that say which namespace they are of.
    pub fn targets(&self, file: &str) -> Vec<Target> {
        let mut targets = Vec::new();
        for update in &self.updates {
            let Some(namespace) = &update.namespace else { continue };
            let (read, _) = Target::all(&update.targets, namespace);
            targets.extend(read.into_iter().filter(|target| target.file == file));
        }
        targets
    }

    /// The files that targets name.
    pub fn targeted(&self) -> BTreeSet<String> {
        let targets = self.updates.iter().flat_map(|update| Target::all(&update.targets, "").0);
        targets.map(|target| target.file).collect()
    }

    /// The policies that no marker names (`markers`, as `namespace:name`) and no target, though an ImageUpdate that selects them
    /// is here.
    pub fn idle(&self, markers: &BTreeSet<String>) -> Vec<Problem> {
        let is_idle = |policy: &&Policy| {
            let mut users = self.updates.iter().filter(|update| {
                let is_near = update.namespace.is_none()
                    || may_be(policy.namespace.as_deref(), update.namespace.as_deref().unwrap_or_default());
                is_near && update.selector.matches(&policy.labels)
            });
            let is_targeted = |update: &Update| update.targets.iter().any(|target| target.policy == policy.name);
            let is_marked = markers.iter().any(|marker| {
                let (namespace, name) = marker.split_once(':').unwrap_or_default();
                name == policy.name && may_be(policy.namespace.as_deref(), namespace)
            });
            users.next().is_some_and(|first| !is_targeted(first) && !users.any(is_targeted)) && !is_marked
        };
        let idle = self.policies.iter().filter(is_idle);
        let problem = |policy: &Policy| Problem {
            file: policy.file.clone(),
            line: policy.line,
            reason: format!("ImagePolicy {}: no marker and no target names it", policy.name),
        };
        idle.map(problem).collect()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn policy(namespace: Option<&str>, name: &str, team: &str) -> Value {
        json!({"metadata": {"name": name, "namespace": namespace, "labels": {"team": team}}})
    }

    fn update(namespace: Option<&str>, spec: &Value) -> Value {
        json!({"metadata": {"name": "fleet", "namespace": namespace}, "spec": spec})
    }

    fn manifests(policies: &[Value], updates: &[Value]) -> Manifests {
        let mut all = Manifests::default();
        policies.iter().for_each(|policy| all.add_policy("p.yaml", 3, policy));
        updates.iter().for_each(|update| all.add_update(update));
        all
    }

    #[track_caller]
    fn check(all: &Manifests, marker: &str, expected: &str) {
        let marker = crate::update::marker::parse(&format!("{{\"$imagepolicy\": \"{marker}\"}}")).unwrap();
        assert_eq!(all.marker("apps/app.yaml", &marker).unwrap_or_default(), expected, "{}", marker.policy());
    }

    #[test]
    fn a_marker_is_judged_by_what_is_here() {
        check(&manifests(&[], &[]), "web:app", "");
        let all = manifests(&[policy(Some("web"), "app", "a")], &[]);
        check(&all, "web:app", "");
        check(&all, "web:db", "policy web:db does not exist");
        check(&all, "else:db", "");
        check(&manifests(&[policy(None, "app", "a")], &[]), "web:db", "policy web:db does not exist");
        let all = manifests(&[], &[update(Some("web"), &json!({"path": "./apps"}))]);
        check(&all, "web:app", "");
        check(&all, "else:app", "policy else:app is of another namespace: only policies of namespace web write here");
        check(&manifests(&[], &[update(Some("web"), &json!({"path": "./app"}))]), "else:app", "");
        check(&manifests(&[], &[update(None, &json!({}))]), "else:app", "");
        let spec = json!({"policySelector": {"matchLabels": {"team": "b"}}});
        let all = manifests(&[policy(Some("web"), "app", "a")], &[update(Some("web"), &spec)]);
        check(&all, "web:app", "policy web:app is not selected by ImageUpdate fleet");
    }

    #[test]
    fn a_policy_that_nobody_names() {
        let idle = |updates: &[Value], markers: &[&str]| {
            let all = manifests(&[policy(Some("web"), "app", "a")], updates);
            let markers = markers.iter().map(|marker| (*marker).to_owned()).collect();
            all.idle(&markers).iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
        };
        let said = "p.yaml:3: ImagePolicy app: no marker and no target names it";
        assert_eq!(idle(&[update(Some("web"), &json!({}))], &[]), said);
        assert_eq!(idle(&[update(Some("web"), &json!({}))], &["web:app"]), "");
        assert_eq!(idle(&[update(Some("web"), &json!({}))], &["else:app"]), said);
        let target = json!({"targets": [{"file": "a.yaml", "key": "a", "policy": "app"}]});
        assert_eq!(idle(&[update(None, &json!({})), update(Some("web"), &target)], &[]), "");
        // Who uses it is elsewhere.
        assert_eq!(idle(&[], &[]), "");
        assert_eq!(idle(&[update(Some("else"), &json!({}))], &[]), "");
        let selector = json!({"policySelector": {"matchLabels": {"team": "b"}}});
        assert_eq!(idle(&[update(Some("web"), &selector)], &[]), "");
    }
}
