//! Inventories of any size read back, and the largest fit into a status.

use proptest::prelude::*;
use sha2::{Digest, Sha256};

use super::*;

fn key(name: &str) -> ObjectKey {
    ObjectKey { group: "apps".into(), kind: "Deployment".into(), namespace: "web".into(), name: name.into() }
}

#[test]
fn a_status_reads_back() {
    let mut inventory = Inventory::default();
    inventory.set(key("a"), "v1", "00112233", "44556677");
    inventory.add(key("b"), "v1");
    inventory.add(key("a"), "v1");
    let status = inventory.encode();
    assert_eq!((status.entries.len(), &status.packed), (2, &None), "an ordinary one can be read by people");
    assert_eq!(Inventory::decode(&status), inventory);
    assert_eq!(inventory.applied(&key("a")).unwrap().1, "44556677");
}

#[test]
fn the_cluster_is_recorded() {
    let status = Inventory::of(Some("c1")).encode();
    assert_eq!((status.cluster.as_deref(), Inventory::decode(&status).cluster()), (Some("c1"), Some("c1")));
    assert_ne!(Inventory::of(Some("c1")).digest(), Inventory::of(None).digest());
}

#[test]
fn ten_thousand_objects_with_long_names_fit_into_one_object_of_etcd() {
    let mut inventory = Inventory::default();
    for index in 0..10_000 {
        let random = hex::encode(Sha256::digest(format!("{index}")));
        let name = format!(
            "{}-{}",
            "a-team-with-a-very-long-name-and-an-application-with-a-longer-one".repeat(2),
            &random[..10]
        );
        let key = ObjectKey {
            group: "apps".into(),
            kind: "Deployment".into(),
            namespace: format!("a-namespace-of-team-{}", index % 40),
            name,
        };
        inventory.set(key, "v1", &random[16..32], &random[32..48]);
    }
    let status = inventory.encode();
    let text = serde_json::to_string(&status).unwrap();
    assert!(text.len() < 800 << 10, "{} bytes", text.len());
    assert!(status.entries.is_empty());
    assert_eq!(Inventory::decode(&status), inventory);
}

#[test]
fn what_is_no_packed_inventory_is_an_empty_one() {
    for packed in ["", "x", "aGVsbG8="] {
        let status = git_sync::Inventory { entries: Vec::new(), packed: Some(packed.to_owned()), cluster: None };
        assert_eq!(Inventory::decode(&status), Inventory::default());
    }
    let entries = vec![git_sync::InventoryEntry { id: key("a").inventory_id(), v: "v1".into(), h: None }; 1000];
    let packed = pack::pack(&entries).unwrap();
    assert!(packed.len() < 1000, "{}", packed.len());
    assert_eq!(pack::unpack(&packed, 10_000), None, "a small text that would become a large one");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn packed_entries_read_back(entries in prop::collection::vec(("[a-z0-9-]{1,60}", "v[0-9]", proptest::option::of("[0-9a-f]{16}:[0-9a-f]{16}")), 0..50)) {
        let entries: Vec<git_sync::InventoryEntry> =
            entries.into_iter().map(|(name, v, h)| git_sync::InventoryEntry { id: key(&name).inventory_id(), v, h }).collect();
        let packed = pack::pack(&entries).unwrap();
        prop_assert_eq!(pack::pack(&entries), Some(packed.clone()), "so that it is not written again");
        prop_assert_eq!(pack::unpack(&packed, pack::UNPACKED), Some(entries));
    }
}
