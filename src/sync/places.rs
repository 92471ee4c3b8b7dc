//! Where a GitSync applies: kinds and namespaces. What carries its labels there is its own, so to know the places is to know the objects,
//! also when the controller died before it could record one of them.

use std::collections::BTreeSet;

use super::inventory::Inventory;
use crate::object::{Gvk, Manifest};

/// A kind and a namespace; an empty one stands for objects without.
pub type Place = (Gvk, String);

/// How long a list may be that goes into an annotation; all annotations of an object have 256 KiB.
const LIMIT: usize = 16 << 10;

/// The places of what is rendered.
pub fn rendered(manifests: &[Manifest]) -> impl Iterator<Item = Place> {
    manifests.iter().map(|manifest| (manifest.gvk.clone(), manifest.key.namespace.clone()))
}

/// The places of what is owned.
pub fn owned(inventory: &Inventory) -> impl Iterator<Item = Place> {
    inventory.objects().map(|(key, version)| {
        let gvk = Gvk { group: key.group.clone(), version: version.to_owned(), kind: key.kind.clone() };
        (gvk, key.namespace.clone())
    })
}

/// Whether everything that is owned is in a known place; an object is the same in each version of its kind.
pub fn are_within(now: &Inventory, known: &BTreeSet<Place>) -> bool {
    let known: BTreeSet<_> = known.iter().map(|(gvk, namespace)| (&*gvk.group, &*gvk.kind, &**namespace)).collect();
    now.objects().all(|(key, _)| known.contains(&(&*key.group, &*key.kind, &*key.namespace)))
}

/// As an annotation holds them: `apps/v1/Deployment@web`, parted by blanks. None when they are too many for one.
pub fn write(places: &BTreeSet<Place>) -> Option<String> {
    let one = |(gvk, namespace): &Place| format!("{}/{}/{}@{namespace}", gvk.group, gvk.version, gvk.kind);
    let text = places.iter().map(one).collect::<Vec<_>>().join(" ");
    (text.len() <= LIMIT).then_some(text)
}

/// Reads an annotation; a word that names no place is left out.
pub fn read(text: &str) -> BTreeSet<Place> {
    let one = |word: &str| {
        let (kind, namespace) = word.split_once('@')?;
        let mut parts = kind.splitn(3, '/');
        let (group, version, kind) = (parts.next()?, parts.next()?, parts.next().filter(|kind| !kind.is_empty())?);
        Some((Gvk { group: group.into(), version: version.into(), kind: kind.into() }, namespace.to_owned()))
    };
    text.split_ascii_whitespace().filter_map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::object::ObjectKey;

    fn place(version: &str, kind: &str, namespace: &str) -> Place {
        (Gvk::new(version, kind), namespace.to_owned())
    }

    fn inventory(objects: &[(&str, &str, &str)]) -> Inventory {
        let mut inventory = Inventory::default();
        for (kind, namespace, name) in objects {
            let (group, kind) = (String::new(), (*kind).to_owned());
            inventory.add(ObjectKey { group, kind, namespace: (*namespace).into(), name: (*name).into() }, "v1");
        }
        inventory
    }

    #[test]
    fn places_survive_an_annotation() {
        let all = BTreeSet::from([
            place("v1", "ConfigMap", "web"),
            place("apps/v1", "Deployment", "web"),
            place("v1", "Namespace", ""),
        ]);
        let text = write(&all).unwrap();
        assert_eq!(text, "/v1/ConfigMap@web /v1/Namespace@ apps/v1/Deployment@web");
        assert_eq!(read(&text), all);
        assert_eq!(read("nonsense  a/b@c /v1/@x /v1/Pod@web"), BTreeSet::from([place("v1", "Pod", "web")]));
        let many = (0..1000).map(|n| place("v1", "ConfigMap", &format!("namespace-{n}"))).collect();
        assert_eq!(write(&many), None);
    }

    #[test]
    fn another_object_of_a_known_place_is_found_by_its_labels() {
        let recorded = owned(&inventory(&[("ConfigMap", "web", "a"), ("Secret", "web", "b")])).collect();
        assert!(are_within(&inventory(&[("ConfigMap", "web", "new")]), &recorded));
        assert!(!are_within(&inventory(&[("ConfigMap", "api", "a")]), &recorded), "another namespace");
        assert!(!are_within(&inventory(&[("Service", "web", "a")]), &recorded), "another kind");
        assert!(!are_within(&inventory(&[("ConfigMap", "web", "a")]), &BTreeSet::new()));
    }
}
