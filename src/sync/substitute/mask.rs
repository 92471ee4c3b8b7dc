//! Keeps the values of Secrets out of messages that quote an object.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::Value;

/// Shorter values would black out half of every message; nobody's password has three letters.
const SHORTEST: usize = 4;
/// What stands for a value.
const MASK: &str = "***";

/// Texts that must not be shown.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Mask {
    secrets: Vec<String>,
}

impl fmt::Debug for Mask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Mask")
    }
}

impl Mask {
    pub(super) fn new(secrets: impl Iterator<Item = String>) -> Self {
        let mut all: Vec<String> = Vec::new();
        for secret in secrets.map(|secret| secret.trim().to_owned()).filter(|secret| secret.len() >= SHORTEST) {
            // As messages of servers quote it.
            let quoted = Value::from(secret.as_str()).to_string();
            all.push(quoted.trim_matches('"').to_owned());
            all.push(secret);
        }
        // The longest first, so that none is left half shown by one that is a part of it.
        all.sort_by(|a, b| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
        all.dedup();
        Self { secrets: all }
    }

    /// With more that must not be shown, also in the Base64 of Secrets.
    pub fn and(&self, secrets: &[String]) -> Self {
        if secrets.is_empty() {
            return self.clone();
        }
        let coded = secrets.iter().flat_map(|secret| {
            let decoded = BASE64.decode(secret.trim()).ok().and_then(|bytes| String::from_utf8(bytes).ok());
            [Some(secret.clone()), Some(BASE64.encode(secret)), decoded].into_iter().flatten()
        });
        Self::new(coded.chain(self.secrets.iter().cloned()))
    }

    /// What must not be shown of one object: the values of a Secret, as they stand there and decoded.
    pub fn of(object: &Value) -> Self {
        let text = |name| object.get(name).and_then(Value::as_str);
        if (text("apiVersion"), text("kind")) != (Some("v1"), Some("Secret")) {
            return Self::default();
        }
        let mut values = Vec::new();
        ["data", "stringData"].iter().filter_map(|place| object.get(place)).for_each(|data| leaves(data, &mut values));
        let decoded = |value: &String| String::from_utf8(BASE64.decode(value).ok()?).ok();
        let plain: Vec<String> = values.iter().filter_map(decoded).collect();
        Self::new(values.into_iter().chain(plain))
    }

    /// The text without secrets. One that was cut at its end shows no part of a secret either.
    pub fn hide(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for secret in &self.secrets {
            if text.contains(secret) {
                text = text.replace(secret, MASK);
            }
            if let Some(cut) = text.strip_suffix('…') {
                let parts = secret.char_indices().map(|(at, _)| at).filter(|at| *at >= SHORTEST);
                let longest = parts.rev().find(|at| cut.ends_with(&secret[..*at]));
                if let Some(at) = longest {
                    text = format!("{}{MASK}…", &cut[..cut.len() - at]);
                }
            }
        }
        text
    }

    /// Whether a value holds a secret.
    pub fn touches(&self, value: &Value) -> bool {
        if self.secrets.is_empty() {
            return false;
        }
        match value {
            Value::String(text) => self.secrets.iter().any(|secret| text.contains(secret)),
            Value::Array(items) => items.iter().any(|item| self.touches(item)),
            Value::Object(fields) => fields.values().any(|value| self.touches(value)),
            Value::Number(number) => self.secrets.contains(&number.to_string()),
            _ => false,
        }
    }
}

/// Every text and number in a value.
fn leaves(value: &Value, into: &mut Vec<String>) {
    match value {
        Value::String(text) => into.push(text.clone()),
        Value::Number(number) => into.push(number.to_string()),
        Value::Array(items) => items.iter().for_each(|item| leaves(item, into)),
        Value::Object(fields) => fields.values().for_each(|value| leaves(value, into)),
        Value::Bool(_) | Value::Null => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_a_secret_holds_is_not_told() {
        let secret = json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "login"},
            "data": {"word": "b3Blbi1zZXNhbWU="}, "stringData": {"pin": 123_456, "list": ["hocus-pocus"], "no": "abc"}
        });
        let mask = Mask::of(&secret);
        let told = "login: open-sesame, b3Blbi1zZXNhbWU=, 123456, \"hocus-pocus\" and abc";
        assert_eq!(mask.hide(told), "login: ***, ***, ***, \"***\" and abc");
        let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "data": {"word": "open-sesame"}});
        assert_eq!(Mask::of(&map).hide("open-sesame"), "open-sesame");
    }
}
