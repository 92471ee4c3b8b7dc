//! Which objects must be there before others, and in which order they go again.

use crate::object::{Gvk, ObjectKey};

/// Definitions and namespaces: nothing of what follows is accepted without them.
pub const DEFINITIONS: usize = 0;
/// What others refer to: classes, roles, accounts, quotas, configuration.
pub const REFERENCES: usize = 1;
/// Everything else.
pub const OBJECTS: usize = 2;
/// What the API server asks about other objects: answered only once its server runs, so it comes last.
pub const ADMISSION: usize = 3;

/// Kinds in the order in which Flux applies them; what is not listed comes after these and before the admission webhooks.
const FIRST: [&str; 23] = [
    "CustomResourceDefinition",
    "Namespace",
    "ClusterRole",
    "ClusterClass",
    "RuntimeClass",
    "PriorityClass",
    "StorageClass",
    "VolumeSnapshotClass",
    "IngressClass",
    "GatewayClass",
    "ClusterRoleBinding",
    "ResourceQuota",
    "ServiceAccount",
    "Role",
    "RoleBinding",
    "ConfigMap",
    "Secret",
    "Service",
    "LimitRange",
    "Deployment",
    "StatefulSet",
    "CronJob",
    "PodDisruptionBudget",
];
const LAST: [&str; 2] = ["MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"];

/// The stage in which an object of a kind is applied; a stage starts when the one before it is done.
///
/// Roles stand a stage ahead of their bindings, since the API server looks a role up when a service account binds it.
pub fn stage(gvk: &Gvk) -> usize {
    match gvk.kind.as_str() {
        "CustomResourceDefinition" | "Namespace" => DEFINITIONS,
        "ClusterRole" | "Role" | "ServiceAccount" | "ResourceQuota" | "LimitRange" | "ConfigMap" | "Secret" => {
            REFERENCES
        }
        "MutatingWebhookConfiguration" | "ValidatingWebhookConfiguration" => ADMISSION,
        kind if kind.ends_with("Class") => REFERENCES,
        _ => OBJECTS,
    }
}

/// The place of an object among all: definitions and namespaces first, whatever their wave, then wave by wave, and in each by stage.
pub fn place(gvk: &Gvk, wave: i32) -> (i64, usize) {
    match stage(gvk) {
        DEFINITIONS => (i64::MIN, DEFINITIONS),
        stage => (i64::from(wave), stage),
    }
}

/// The order in which objects are deleted: the reverse of Flux's order of applying, so admission webhooks go first and
/// namespaces and definitions last.
pub fn prune_order(mut keys: Vec<ObjectKey>) -> Vec<ObjectKey> {
    keys.sort_by(|a, b| (rank(b), b).cmp(&(rank(a), a)));
    keys
}

fn rank(key: &ObjectKey) -> usize {
    if let Some(place) = FIRST.iter().position(|kind| *kind == key.kind) {
        return place;
    }
    LAST.iter().position(|kind| *kind == key.kind).map_or(FIRST.len(), |place| FIRST.len() + 1 + place)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(kind: &str, name: &str) -> ObjectKey {
        ObjectKey { group: String::new(), kind: kind.into(), namespace: String::new(), name: name.into() }
    }

    #[test]
    fn each_kind_has_its_stage() {
        let cases = [
            ("CustomResourceDefinition", DEFINITIONS),
            ("Namespace", DEFINITIONS),
            ("PriorityClass", REFERENCES),
            ("GatewayClass", REFERENCES),
            ("Role", REFERENCES),
            ("RoleBinding", OBJECTS),
            ("Deployment", OBJECTS),
            ("Widget", OBJECTS),
            ("ValidatingWebhookConfiguration", ADMISSION),
        ];
        for (kind, expected) in cases {
            assert_eq!(stage(&Gvk::new("x/v1", kind)), expected, "{kind}");
        }
    }

    #[test]
    fn waves_order_what_is_no_definition() {
        let mut places = vec![
            place(&Gvk::new("v1", "ConfigMap"), 1),
            place(&Gvk::new("v1", "Namespace"), 9),
            place(&Gvk::new("apps/v1", "Deployment"), -1),
            place(&Gvk::new("v1", "ConfigMap"), -1),
        ];
        places.sort_unstable();
        assert_eq!(places, [(i64::MIN, DEFINITIONS), (-1, REFERENCES), (-1, OBJECTS), (1, REFERENCES)]);
    }

    #[test]
    fn pruning_reverses_applying() {
        let order = [
            "MutatingWebhookConfiguration",
            "Widget",
            "Deployment",
            "Service",
            "Secret",
            "Role",
            "Namespace",
            "CustomResourceDefinition",
        ];
        let keys: Vec<ObjectKey> = order.iter().map(|kind| key(kind, "a")).collect();
        let mut shuffled = keys.clone();
        shuffled.sort();
        assert_eq!(prune_order(shuffled), keys);
    }
}
