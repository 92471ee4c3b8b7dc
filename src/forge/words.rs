//! A host's own words in an answer that refuses. In: its body. Out: the sentences in it, whichever host it is. Pure.

use serde_json::Value;

/// How many sentences are kept.
const SENTENCES: usize = 5;

/// The sentences in a refusal, joined; nothing of a page for a browser.
pub fn words(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    let text = text.trim();
    match serde_json::from_str::<Value>(text) {
        Ok(value) => {
            let mut found = Vec::new();
            gather(&value, 0, &mut found);
            found.dedup();
            found.truncate(SENTENCES);
            found.join("; ")
        }
        Err(_) if text.starts_with('<') => String::new(),
        Err(_) => text.to_owned(),
    }
}

/// `message` and `error` are where hosts speak; `errors`, and objects in either, where they say more.
fn gather(value: &Value, depth: usize, found: &mut Vec<String>) {
    if depth > 4 {
        return;
    }
    match value {
        Value::String(text) if !text.trim().is_empty() => found.push(text.trim().to_owned()),
        Value::Array(items) => items.iter().for_each(|item| gather(item, depth + 1, found)),
        Value::Object(fields) => {
            let before = found.len();
            for key in ["message", "error", "error_description", "detail", "errors", "fields"] {
                match fields.get(key) {
                    // By field: {"title": ["is too long"]}
                    Some(Value::Object(by_field)) if matches!(key, "message" | "fields" | "errors") => {
                        for (field, texts) in by_field {
                            let mut inner = Vec::new();
                            gather(texts, depth + 1, &mut inner);
                            found.extend(inner.into_iter().map(|text| format!("{field} {text}")));
                        }
                    }
                    Some(inner) => gather(inner, depth + 1, found),
                    None => {}
                }
            }
            // GitHub's form of an error about a field.
            if let (true, Some(field), Some(code)) = (
                found.len() == before,
                fields.get("field").and_then(Value::as_str),
                fields.get("code").and_then(Value::as_str),
            ) {
                found.push(format!("{field} {code}"));
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(body: &str, expected: &str) {
        assert_eq!(words(body.as_bytes()), expected, "{body}");
    }

    #[test]
    fn each_host_is_understood() {
        check(r#"{"message":"Bad credentials","documentation_url":"https://docs"}"#, "Bad credentials");
        check(
            r#"{"message":"Validation Failed","errors":[{"resource":"PullRequest","code":"custom","message":"A pull request already exists for acme:bot."}]}"#,
            "Validation Failed; A pull request already exists for acme:bot.",
        );
        check(
            r#"{"message":"Validation Failed","errors":[{"resource":"PullRequest","field":"base","code":"invalid"}]}"#,
            "Validation Failed; base invalid",
        );
        check(
            r#"{"message":["Another open merge request already exists"]}"#,
            "Another open merge request already exists",
        );
        check(r#"{"message":{"title":["is too long"]}}"#, "title is too long");
        check(r#"{"error":"invalid_token","error_description":"expired"}"#, "invalid_token; expired");
        check(r#"{"type":"error","error":{"message":"no","detail":"why"}}"#, "no; why");
        check(
            r#"{"type":"error","error":{"fields":{"source":["branch not found"]},"message":"Bad request"}}"#,
            "Bad request; source branch not found",
        );
        check(r#"{"errors":[{"context":null,"message":"only one","exceptionName":"x"}]}"#, "only one");
        check(r#"{"$id":"1","message":"TF401179: exists","typeKey":"k","errorCode":0}"#, "TF401179: exists");
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_read(text in "[\\[\\]{}:,\"a-z0-9 ]{0,80}") {
            words(text.as_bytes());
            words(format!(r#"{{"message": {text}}}"#).as_bytes());
        }
    }

    #[test]
    fn what_is_no_json() {
        check("<html>login</html>", "");
        check("Forbidden\n", "Forbidden");
        check("", "");
        check("[1, null, {}]", "");
    }
}
