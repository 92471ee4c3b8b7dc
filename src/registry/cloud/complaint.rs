//! What a cloud says when it refuses. In: the body of an answer that is no success, and the secrets that were sent. Out: its
//! code and message in one short printable line. Must never repeat one of the secrets.

use serde_json::Value;

use super::xml;
use crate::failure::printable;
use crate::registry::credential::hidden;

/// The longest text that we repeat, in characters.
const QUOTED: usize = 300;

/// Knows the XML of AWS STS, the JSON of AWS (`__type`), of OAuth2 (RFC 6749 §5.2), of Google and of a registry; anything else,
/// such as a proxy's page, is not repeated.
pub(super) fn complaint(body: &[u8], secrets: &[String]) -> String {
    let text = match std::str::from_utf8(body) {
        Ok(text) => text.trim_start(),
        Err(_) => return String::new(),
    };
    let said = if text.starts_with('<') { from_xml(text) } else { from_json(text) };
    let Some((code, message)) = said else { return String::new() };
    let said = match (code.is_empty(), message.is_empty()) {
        (false, false) => format!("{message} ({code})"),
        _ => format!("{message}{code}"),
    };
    printable(&hidden(&said, secrets.iter().map(String::as_str)), QUOTED)
}

fn from_xml(text: &str) -> Option<(String, String)> {
    let part = |name| xml::text(text, &["Error", name]).ok().flatten().unwrap_or_default();
    let (code, message) = (part("Code"), part("Message"));
    (!code.is_empty() || !message.is_empty()).then_some((code, message))
}

fn from_json(text: &str) -> Option<(String, String)> {
    let body: Value = serde_json::from_str(text).ok()?;
    let entry = match (body.get("errors"), body.get("error")) {
        (Some(errors), _) => errors.get(0)?,
        (None, Some(error)) if error.is_object() => error,
        _ => &body,
    };
    let first = |names: &[&str]| {
        let found = names.iter().find_map(|name| entry.get(name)).and_then(Value::as_str);
        found.unwrap_or_default().to_owned()
    };
    let code = first(&["__type", "status", "code", "error", "Code"]);
    Some((code, first(&["message", "Message", "error_description"])))
}
