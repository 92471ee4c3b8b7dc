//! What a GitSync owns: every object with its API version, the hash of what was applied and of what the cluster made of it.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use crate::api::git_sync;
use crate::object::ObjectKey;

mod pack;

/// From how many bytes of entries on they are packed: some two thousand objects. etcd takes 1.5 MiB by default.
const PACKED_FROM: usize = 256 << 10;

/// What is recorded of one object.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Record {
    /// The API version within its group.
    pub version: String,
    /// Hashes of the last apply: of the rendered object, and of the live one projected onto our fields.
    pub applied: Option<(String, String)>,
}

/// Stands for the hash of a live object that is left as it is.
const LEFT: &str = "left";

/// Everything that a GitSync owns.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Inventory {
    records: BTreeMap<ObjectKey, Record>,
    /// Stands for the cluster that they are in; none for the GitSync's own.
    cluster: Option<String>,
}

impl Inventory {
    /// Reads a status; an entry that can't be read is left out, as it names nothing.
    pub fn decode(status: &git_sync::Inventory) -> Self {
        let unpacked = status.packed.as_deref().map(|packed| pack::unpack(packed, pack::UNPACKED).unwrap_or_default());
        let records = unpacked.as_ref().unwrap_or(&status.entries).iter().filter_map(|entry| {
            let applied = entry.h.as_ref().and_then(|hashes| hashes.split_once(':'));
            let applied = applied.map(|(rendered, live)| (rendered.to_owned(), live.to_owned()));
            Some((ObjectKey::from_inventory_id(&entry.id)?, Record { version: entry.v.clone(), applied }))
        });
        Self { records: records.collect(), cluster: status.cluster.clone() }
    }

    /// Nothing in this cluster.
    pub fn of(cluster: Option<&str>) -> Self {
        Self { records: BTreeMap::new(), cluster: cluster.map(str::to_owned) }
    }

    /// The cluster that the objects are in; none for the GitSync's own.
    pub fn cluster(&self) -> Option<&str> {
        self.cluster.as_deref()
    }

    /// As the status holds it.
    pub fn encode(&self) -> git_sync::Inventory {
        let entries = self.records.iter().map(|(key, record)| git_sync::InventoryEntry {
            id: key.inventory_id(),
            v: record.version.clone(),
            h: record.applied.as_ref().map(|(rendered, live)| format!("{rendered}:{live}")),
        });
        let entries: Vec<git_sync::InventoryEntry> = entries.collect();
        let text =
            |entry: &git_sync::InventoryEntry| entry.id.len() + entry.v.len() + entry.h.as_ref().map_or(0, String::len);
        let size: usize = entries.iter().map(|entry| text(entry) + 24).sum();
        match (size > PACKED_FROM).then(|| pack::pack(&entries)).flatten() {
            Some(packed) => {
                git_sync::Inventory { entries: Vec::new(), packed: Some(packed), cluster: self.cluster.clone() }
            }
            None => git_sync::Inventory { entries, packed: None, cluster: self.cluster.clone() },
        }
    }

    /// What tells apart two inventories of this process; it costs far less than to write one.
    pub fn digest(&self) -> u64 {
        let mut hash = DefaultHasher::new();
        (&self.records, &self.cluster).hash(&mut hash);
        hash.finish()
    }

    /// Owned objects with their versions.
    pub fn objects(&self) -> impl Iterator<Item = (&ObjectKey, &str)> {
        self.records.iter().map(|(key, record)| (key, record.version.as_str()))
    }

    /// Whether an object is owned.
    pub fn contains(&self, key: &ObjectKey) -> bool {
        self.records.contains_key(key)
    }

    /// The hashes of an object's last apply.
    pub fn applied(&self, key: &ObjectKey) -> Option<&(String, String)> {
        self.records.get(key)?.applied.as_ref()
    }

    /// Owns an object from now on; what is recorded of it stays.
    pub fn add(&mut self, key: ObjectKey, version: &str) {
        self.records.entry(key).or_insert_with(|| Record { version: version.to_owned(), applied: None });
    }

    /// Records an apply.
    pub fn set(&mut self, key: ObjectKey, version: &str, rendered: &str, live: &str) {
        let applied = Some((rendered.to_owned(), live.to_owned()));
        self.records.insert(key, Record { version: version.to_owned(), applied });
    }

    /// Records that an object is left as it is from now on, and stays when it leaves Git: others made it, or it asks for that.
    pub fn leave(&mut self, key: ObjectKey, version: &str) {
        self.set(key, version, "-", LEFT);
    }

    /// Whether an object is left as it is.
    pub fn is_left(&self, key: &ObjectKey) -> bool {
        self.applied(key).is_some_and(|(_, live)| live == LEFT)
    }

    /// Owns an object no longer.
    pub fn remove(&mut self, key: &ObjectKey) {
        self.records.remove(key);
    }
}

#[cfg(test)]
mod tests;
