//! What an object waits for before it is applied: the definition of its kind, and all objects of lower waves.

use std::collections::BTreeMap;

use super::manner::{self, Mode};
use super::order;
use super::plan::{Action, Cause};
use crate::object::{Manifest, ObjectKey};

/// The objects of a rendering as far as others wait for them.
#[derive(Debug, Default)]
pub struct Waves<'a> {
    /// The definitions of the rendering, by the group and kind that they define.
    definitions: BTreeMap<(&'a str, &'a str), &'a ObjectKey>,
    /// All others that are applied, by their waves; empty when all are of one wave.
    waves: BTreeMap<i32, Vec<&'a ObjectKey>>,
}

impl<'a> Waves<'a> {
    /// Reads the waves of a rendering. What can't be read is a problem elsewhere, and nobody waits for it here.
    pub fn of(manifests: &'a [Manifest]) -> Self {
        let mut all = Self::default();
        for manifest in manifests {
            if manifest.key.kind == "CustomResourceDefinition" {
                let text = |pointer| manifest.body.pointer(pointer).and_then(|text| text.as_str()).unwrap_or_default();
                all.definitions.insert((text("/spec/group"), text("/spec/names/kind")), &manifest.key);
            }
            let Ok(manner) = manner::read(&manifest.body) else { continue };
            let is_part = manner.hook.is_none() && manner.mode != Mode::Never;
            if is_part && order::stage(&manifest.gvk) != order::DEFINITIONS {
                all.waves.entry(manner.wave).or_default().push(&manifest.key);
            }
        }
        if all.waves.len() < 2 {
            all.waves.clear();
        }
        all
    }

    /// What an action waits for; nothing holds back the correction of an object that was applied before.
    pub fn waits_for(&self, action: &Action, is_ready: &dyn Fn(&ObjectKey) -> bool) -> Option<&'a ObjectKey> {
        if action.cause == Cause::Drifted {
            return None;
        }
        let definition = self.definitions.get(&(action.key.group.as_str(), action.key.kind.as_str())).copied();
        if let Some(definition) = definition.filter(|definition| !is_ready(definition)) {
            return Some(definition);
        }
        if action.is_definition() {
            return None;
        }
        let lower = self.waves.range(..action.manner.wave).flat_map(|(_, keys)| keys);
        lower.copied().find(|key| !is_ready(key))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::object::Gvk;
    use crate::sync::manner::Manner;
    use serde_json::json;

    fn manifest(kind: &str, name: &str, wave: i32) -> Manifest {
        let group = if kind == "Widget" { "example.com/v1" } else { "v1" };
        let gvk = Gvk::new(group, kind);
        let key = ObjectKey { group: gvk.group.clone(), kind: kind.into(), namespace: "web".into(), name: name.into() };
        let body = json!({
            "metadata": {"annotations": {"tagboat.dev/wave": wave.to_string()}},
            "spec": {"group": "example.com", "names": {"kind": "Widget"}}
        });
        Manifest { gvk, key, body, file: String::new(), line: 0 }
    }

    /// What the last of some objects waits for, when those named are ready.
    #[track_caller]
    fn check(manifests: &[Manifest], cause: Cause, ready: &[&str], expected: Option<&str>) {
        let last = manifests.last().unwrap();
        let manner = manner::read(&last.body).unwrap();
        let action = Action { key: last.key.clone(), cause, reason: "", manner };
        let waves = Waves::of(manifests);
        let waits = waves.waits_for(&action, &|key| ready.contains(&key.name.as_str()));
        assert_eq!(waits.map(|key| key.name.as_str()), expected);
    }

    #[test]
    fn who_waits_for_what() {
        let waves = [manifest("ConfigMap", "a", 0), manifest("Secret", "b", 1), manifest("ConfigMap", "c", 2)];
        check(&waves, Cause::New, &[], Some("a"));
        check(&waves, Cause::New, &["a"], Some("b"));
        check(&waves, Cause::Changed, &["a", "b"], None);
        check(&waves, Cause::Drifted, &[], None);
        check(&[manifest("ConfigMap", "a", 0), manifest("ConfigMap", "b", 0)], Cause::New, &[], None);
        check(&[manifest("ConfigMap", "a", 0), manifest("Namespace", "b", 7)], Cause::New, &[], None);
        let defined = [manifest("CustomResourceDefinition", "crd", 3), manifest("Widget", "w", 0)];
        check(&defined, Cause::New, &[], Some("crd"));
        check(&defined, Cause::New, &["crd"], None);
        check(&[manifest("CustomResourceDefinition", "crd", 3), manifest("Gadget", "g", 0)], Cause::New, &[], None);
    }

    #[test]
    fn a_plain_object_waits_for_nothing() {
        let action =
            Action { key: manifest("ConfigMap", "a", 0).key, cause: Cause::New, reason: "", manner: Manner::default() };
        assert_eq!(Waves::of(&[]).waits_for(&action, &|_| false), None);
    }
}
