//! What SOPS writes beside the values: for whom the data key is encrypted, and the MAC.

use super::tree::Node;

/// The most entries that are tried: each costs an operation with a private key.
const ENTRIES: usize = 100;

/// The data key, encrypted for somebody.
#[derive(Debug, PartialEq)]
pub(super) struct Entry {
    /// The recipient or the fingerprint.
    pub name: String,
    /// The message, in its armour.
    pub enc: String,
}

/// The field `sops`.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Metadata {
    pub age: Vec<Entry>,
    pub pgp: Vec<Entry>,
    /// Services that could decrypt it, and that we don't ask.
    pub others: Vec<&'static str>,
    pub mac: String,
    /// What binds the MAC.
    pub last_modified: String,
    /// The MAC is of the encrypted values alone.
    pub is_mac_of_encrypted: bool,
}

/// Other ways to a data key, by the field's name.
const OTHERS: [(&str, &str); 7] = [
    ("kms", "AWS KMS"),
    ("gcp_kms", "Google Cloud KMS"),
    ("azure_kv", "Azure Key Vault"),
    ("hc_vault", "HashiCorp Vault"),
    ("hckms", "Huawei Cloud KMS"),
    ("barbican", "OpenStack Barbican"),
    ("acs_kms", "Alibaba Cloud KMS"),
];

impl Metadata {
    /// Reads the field of a YAML or JSON file.
    ///
    /// # Errors
    /// When the key is split among groups, or a part is missing.
    pub(super) fn of(sops: &Node) -> Result<Self, String> {
        let groups = sops.get("key_groups").map(Node::items).unwrap_or_default();
        let (from, groups) = match groups {
            [] => (sops, 0),
            [one] => (one, 1),
            several => (sops, several.len()),
        };
        if groups > 1 {
            return Err(split(groups));
        }
        let entries = |field: &str, name: &str| {
            let all = from.get(field).map(Node::items).unwrap_or_default();
            let entry = |entry: &Node| Entry { name: entry.text(name), enc: entry.text("enc") };
            all.iter().take(ENTRIES).map(entry).collect::<Vec<_>>()
        };
        let is_used = |field: &str| from.get(field).is_some_and(|entries| !entries.items().is_empty());
        Self {
            age: entries("age", "recipient"),
            pgp: entries("pgp", "fp"),
            others: OTHERS.iter().filter(|(field, _)| is_used(field)).map(|(_, name)| *name).collect(),
            mac: sops.text("mac"),
            last_modified: sops.text("lastmodified"),
            is_mac_of_encrypted: sops.text("mac_only_encrypted") == "true",
        }
        .whole()
    }

    /// Reads the lines `sops_…` of a dotenv file, by their names without that start.
    ///
    /// # Errors
    /// As [`of`](Self::of).
    pub(super) fn of_lines(get: &dyn Fn(&str) -> Option<String>) -> Result<Self, String> {
        if get("key_groups__list_1__map_age__list_0__map_enc").or_else(|| get("shamir_threshold")).is_some() {
            return Err(split(2));
        }
        let entries = |field: &str, name: &str| {
            let entry = |at: usize| {
                let part = |part: &str| get(&format!("{field}__list_{at}__map_{part}"));
                Some(Entry { name: part(name).unwrap_or_default(), enc: part("enc")? })
            };
            (0..ENTRIES).map_while(entry).collect::<Vec<_>>()
        };
        let is_used = |field: &str| get(&format!("{field}__list_0__map_enc")).is_some();
        Self {
            age: entries("age", "recipient"),
            pgp: entries("pgp", "fp"),
            others: OTHERS.iter().filter(|(field, _)| is_used(field)).map(|(_, name)| *name).collect(),
            mac: get("mac").unwrap_or_default(),
            last_modified: get("lastmodified").unwrap_or_default(),
            is_mac_of_encrypted: get("mac_only_encrypted").as_deref() == Some("true"),
        }
        .whole()
    }

    fn whole(self) -> Result<Self, String> {
        match self.mac.is_empty() || self.last_modified.is_empty() {
            true => Err("its field sops lacks mac or lastmodified, so it is not whole".to_owned()),
            false => Ok(self),
        }
    }
}

fn split(groups: usize) -> String {
    format!(
        "its data key is split among {groups} key groups (Shamir's secret sharing), which is not supported; encrypt it for one group"
    )
}
