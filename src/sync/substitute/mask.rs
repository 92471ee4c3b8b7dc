//! Keeps the values of Secrets out of messages that quote an object.

use std::fmt;

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
