//! A field that can't be changed has to be → may the object be deleted and made anew?

use crate::object::ObjectKey;

/// Built-in kinds that are made anew from Git without losing anything that is not in Git. Custom kinds are not among them, since
/// an operator may delete data with its object, and neither are volumes, claims, namespaces, definitions and StatefulSets, whose
/// claims may go with them.
const HARMLESS: [(&str, &[&str]); 8] = [
    ("", &["ConfigMap", "Secret", "Service", "ServiceAccount", "Pod", "LimitRange", "ResourceQuota", "Endpoints"]),
    ("apps", &["Deployment", "DaemonSet", "ReplicaSet"]),
    ("batch", &["Job", "CronJob"]),
    ("autoscaling", &["HorizontalPodAutoscaler"]),
    ("policy", &["PodDisruptionBudget"]),
    ("networking.k8s.io", &["Ingress", "IngressClass", "NetworkPolicy"]),
    ("rbac.authorization.k8s.io", &["Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding"]),
    ("scheduling.k8s.io", &["PriorityClass"]),
];

/// Whether an object may be made anew: by its own annotation always, by `spec.force` only where no data can be lost.
pub fn is_allowed(key: &ObjectKey, by_annotation: bool, by_force: bool) -> bool {
    let is_harmless =
        || HARMLESS.iter().any(|(group, kinds)| *group == key.group && kinds.contains(&key.kind.as_str()));
    by_annotation || (by_force && is_harmless())
}

/// What to do about a field that can't be changed, for people.
pub fn hint(key: &ObjectKey, by_force: bool) -> &'static str {
    match (by_force, is_allowed(key, false, true)) {
        (false, true) => {
            "it can only be made anew: set spec.force, or the annotation tagboat.dev/force: enabled on the object"
        }
        _ => {
            "it can only be made anew, which may lose data: the annotation tagboat.dev/force: enabled on the object allows it"
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_be_made_anew() {
        let cases = [
            ("batch", "Job", true),
            ("apps", "Deployment", true),
            ("", "Service", true),
            ("", "PersistentVolumeClaim", false),
            ("", "PersistentVolume", false),
            ("", "Namespace", false),
            ("apps", "StatefulSet", false),
            ("apiextensions.k8s.io", "CustomResourceDefinition", false),
            ("postgresql.cnpg.io", "Cluster", false),
            ("example.com", "Deployment", false),
        ];
        for (group, kind, by_force) in cases {
            let key = ObjectKey { group: group.into(), kind: kind.into(), namespace: String::new(), name: "a".into() };
            assert_eq!(is_allowed(&key, false, true), by_force, "{kind}");
            assert!(!is_allowed(&key, false, false) && is_allowed(&key, true, false), "{kind}");
            assert_eq!(hint(&key, false).contains("spec.force"), by_force, "{kind}");
        }
    }
}
