//! Hashes of JSON values that don't depend on the order of keys. They are kept in statuses, so they must never change.

use serde_json::Value;
use sha2::{Digest, Sha256};

/// A hash of a value: 16 hex digits.
pub fn of(value: &Value) -> String {
    let mut hasher = Sha256::new();
    hash_value(&mut hasher, value);
    short(hasher)
}

/// The first 16 hex digits of a SHA-256: 64 bits tell apart what one object was and is.
pub(super) fn short(hasher: Sha256) -> String {
    hex::encode(&hasher.finalize()[..8])
}

/// Feeds canonical JSON: keys in order, no blanks, every text quoted.
pub(super) fn hash_value(hasher: &mut Sha256, value: &Value) {
    match value {
        Value::Object(map) => {
            let mut keys: Vec<&String> = map.keys().collect();
            keys.sort_unstable();
            hasher.update(b"{");
            for key in keys {
                hash_text(hasher, key);
                hasher.update(b":");
                hash_value(hasher, &map[key]);
                hasher.update(b",");
            }
            hasher.update(b"}");
        }
        Value::Array(items) => {
            hasher.update(b"[");
            for item in items {
                hash_value(hasher, item);
                hasher.update(b",");
            }
            hasher.update(b"]");
        }
        Value::String(text) => hash_text(hasher, text),
        Value::Null => hasher.update(b"null"),
        Value::Bool(value) => hasher.update(if *value { b"true".as_slice() } else { b"false" }),
        Value::Number(number) => hasher.update(number.to_string()),
    }
}

/// Text with its length ahead, so that no two texts run into each other.
pub(super) fn hash_text(hasher: &mut Sha256, text: &str) {
    hasher.update(b"\"");
    hasher.update((text.len() as u64).to_le_bytes());
    hasher.update(text);
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_order_of_keys_makes_no_difference_and_every_value_does() {
        let value = json!({"a": [1, "x", null, true], "b": {"c": ""}});
        assert_eq!(of(&value), of(&json!({"b": {"c": ""}, "a": [1, "x", null, true]})));
        assert_eq!(of(&value), "2732387095222f89", "the stored form of a hash has changed");
        for other in
            [json!({"a": [1, "x", null, false], "b": {"c": ""}}), json!({"a": [1, "x", null, true], "b": {"c": 0}})]
        {
            assert_ne!(of(&value), of(&other));
        }
    }
}
