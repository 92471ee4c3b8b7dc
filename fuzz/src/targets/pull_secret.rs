//! Pull secrets. Input: a repository, then the bytes of `.dockerconfigjson`.

use serde_json::Value;
use tagboat::image::Repository;
use tagboat::registry::credential;

use super::first_line;

pub fn run(input: &[u8]) {
    let (repository, json) = first_line(input);
    let Ok(repository) = repository.parse::<Repository>() else { return };
    // What another reader of JSON refuses (texts that are no UTF-8, where nobody looks) has no entries to compare with.
    let Ok(entries) = serde_json::from_slice::<Value>(json) else { return drop(credential(json, &repository)) };
    let keys: Vec<&String> = entries["auths"].as_object().into_iter().flat_map(|auths| auths.keys()).collect();
    match credential(json, &repository) {
        Ok(Some(_)) => assert!(keys.iter().any(|key| leads(key, repository.host())), "an entry of another host"),
        Ok(None) => {}
        Err(reason) => is_silent(&reason, &entries),
    }
    // A host that no entry can name.
    let stranger: Repository = "stranger-9f2c.invalid/acme/app".parse().expect("a constant");
    if !keys.iter().any(|key| key.contains(['*', '?']) || key.to_ascii_lowercase().contains("stranger-9f2c")) {
        assert!(!matches!(credential(json, &stranger), Ok(Some(_))), "a secret for a stranger");
    }
}

/// Whether a key may lead to this host: it has wildcards, or names it.
fn leads(key: &str, host: &str) -> bool {
    let key = key.to_ascii_lowercase();
    let is_hub = host.ends_with("docker.io") && key.contains("docker.io");
    is_hub || key.contains(['*', '?']) || key.contains(&host.to_ascii_lowercase())
}

/// A message holds none of the secret's values, unless a key holds it too.
fn is_silent(reason: &str, entries: &Value) {
    let Some(auths) = entries["auths"].as_object() else { return };
    let values = auths.values().filter_map(Value::as_object).flat_map(|entry| entry.values()).filter_map(Value::as_str);
    for value in values.filter(|value| value.len() > 16 && !value.contains(' ')) {
        let is_key = auths.keys().any(|key| key.contains(value));
        assert!(is_key || !reason.contains(value), "{reason}");
    }
}
