//! Nouns of a Kubernetes object: its group, version and kind, its identity in a cluster, and one manifest.

use std::fmt;

use serde_json::Value;

/// Group, version and kind.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Gvk {
    /// The API group; empty for the core group.
    pub group: String,
    /// The version.
    pub version: String,
    /// The kind.
    pub kind: String,
}

impl Gvk {
    /// From `apiVersion` and `kind`.
    pub fn new(api_version: &str, kind: &str) -> Self {
        let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
        Self { group: group.to_owned(), version: version.to_owned(), kind: kind.to_owned() }
    }

    /// `apiVersion`.
    pub fn api_version(&self) -> String {
        if self.group.is_empty() { self.version.clone() } else { format!("{}/{}", self.group, self.version) }
    }
}

/// Which object: without the version, since one object is served under many.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectKey {
    /// The API group; empty for the core group.
    pub group: String,
    /// The kind.
    pub kind: String,
    /// The namespace; empty for objects of the whole cluster.
    pub namespace: String,
    /// The name.
    pub name: String,
}

impl fmt::Display for ObjectKey {
    /// `Kind/namespace/name`, or `Kind/name` without a namespace.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.namespace.is_empty() {
            write!(f, "{}/{}", self.kind, self.name)
        } else {
            write!(f, "{}/{}/{}", self.kind, self.namespace, self.name)
        }
    }
}

impl ObjectKey {
    /// `<namespace>_<name>_<group>_<kind>`, a colon in the name as `__` (Flux's inventory form).
    pub fn inventory_id(&self) -> String {
        format!("{}_{}_{}_{}", self.namespace, self.name.replace(':', "__"), self.group, self.kind)
    }

    /// Reads what [`inventory_id`](Self::inventory_id) printed.
    pub fn from_inventory_id(id: &str) -> Option<Self> {
        let (rest, kind) = id.rsplit_once('_')?;
        let (rest, group) = rest.rsplit_once('_')?;
        let (namespace, name) = rest.split_once('_')?;
        let is_whole = !kind.is_empty() && !name.is_empty();
        is_whole.then(|| Self {
            group: group.to_owned(),
            kind: kind.to_owned(),
            namespace: namespace.to_owned(),
            name: name.replace("__", ":"),
        })
    }
}

/// One object as Git wants it, and the place it comes from.
#[derive(Debug, Clone, PartialEq)]
pub struct Manifest {
    /// Group, version and kind.
    pub gvk: Gvk,
    /// Which object.
    pub key: ObjectKey,
    /// The whole object.
    pub body: Value,
    /// The file, from the repository's root; empty when a kustomize build made it.
    pub file: String,
    /// The line on which its document starts, from 1; 0 when a kustomize build made it.
    pub line: u32,
}

/// Something wrong with a file, with its place.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
pub struct Problem {
    /// The file, from the repository's root.
    pub file: String,
    /// The line, from 1; 0 when it is about the whole file.
    pub line: u32,
    /// What is wrong, and what to do.
    pub reason: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.file.is_empty(), self.line) {
            (true, _) => f.write_str(&self.reason),
            (false, 0) => write!(f, "{}: {}", self.file, self.reason),
            (false, line) => write!(f, "{}:{line}: {}", self.file, self.reason),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_inventory_id_reads_back() {
        for (namespace, name, group, kind) in [
            ("web", "app", "apps", "Deployment"),
            ("", "web", "", "Namespace"),
            ("", "system:node:x", "rbac.authorization.k8s.io", "ClusterRole"),
        ] {
            let key =
                ObjectKey { group: group.into(), kind: kind.into(), namespace: namespace.into(), name: name.into() };
            assert_eq!(ObjectKey::from_inventory_id(&key.inventory_id()), Some(key));
        }
        for bad in ["", "a_b", "a__b_", "___"] {
            assert_eq!(ObjectKey::from_inventory_id(bad), None, "{bad:?}");
        }
    }
}
