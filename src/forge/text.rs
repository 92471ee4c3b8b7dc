//! What of a request's texts differs from what is wanted. In: the request, what is wanted, the host's limits. Out: what to send,
//! cut to the limits. Pure.

use serde_json::{Map, Value};

use super::{Request, Wanted};

/// The most that a host takes, in UTF-16 units, which no host counts more of than it has characters.
pub(super) struct Limits {
    /// Of a title.
    pub title: usize,
    /// Of a description.
    pub body: usize,
}

impl Limits {
    /// The title as this host takes it.
    pub(super) fn title(&self, wanted: &Wanted<'_>) -> String {
        let line = wanted.title.split_whitespace().collect::<Vec<_>>().join(" ");
        cut(&line, self.title)
    }

    /// The description as this host takes it.
    pub(super) fn body(&self, wanted: &Wanted<'_>) -> String {
        cut(wanted.body.trim_end(), self.body)
    }

    /// The fields to send; `body` is the name of the description's.
    pub(super) fn changes(&self, request: &Request, wanted: &Wanted<'_>, body: &str) -> Map<String, Value> {
        let mut changes = Map::new();
        let title = self.title(wanted);
        if !same(&request.title, &title) {
            changes.insert("title".to_owned(), title.into());
        }
        let text = self.body(wanted);
        if !same(&request.body, &text) {
            changes.insert(body.to_owned(), text.into());
        }
        changes
    }
}

/// Labels that the request lacks, each once. Hosts know no difference by case, or make none that helps.
pub(super) fn missing_labels<'a>(request: &Request, wanted: &Wanted<'a>) -> Vec<&'a str> {
    let mut missing: Vec<&str> = Vec::new();
    for label in wanted.labels.iter().map(|label| label.trim()).filter(|label| !label.is_empty()) {
        let is_same = |other: &str| other.to_lowercase() == label.to_lowercase();
        if !request.labels.iter().any(|other| is_same(other)) && !missing.iter().any(|other| is_same(other)) {
            missing.push(label);
        }
    }
    missing
}

/// Hosts store texts with other line ends, and without blanks at their end.
fn same(one: &str, other: &str) -> bool {
    let lines = |text: &str| text.replace("\r\n", "\n").trim().to_owned();
    lines(one) == lines(other)
}

fn cut(text: &str, limit: usize) -> String {
    if text.encode_utf16().count() <= limit {
        return text.to_owned();
    }
    let mut kept = String::new();
    let mut length = 1; // the sign that something is missing
    for c in text.chars() {
        length += c.len_utf16();
        if length > limit {
            break;
        }
        kept.push(c);
    }
    kept.truncate(kept.trim_end().len());
    kept.push('…');
    kept
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::forge::State;

    fn request(title: &str, body: &str, labels: &[&str]) -> Request {
        Request {
            number: 1,
            url: String::new(),
            state: State::Open,
            title: title.to_owned(),
            body: body.to_owned(),
            labels: labels.iter().map(|label| (*label).to_owned()).collect(),
            head: None,
            auto_merge: false,
            handle: String::new(),
        }
    }

    #[track_caller]
    fn check(had: (&str, &str), wanted: (&str, &str), expected: serde_json::Value) {
        let limits = Limits { title: 10, body: 20 };
        let wanted =
            Wanted { source: "bot", target: "main", title: wanted.0, body: wanted.1, labels: &[], auto_merge: None };
        assert_eq!(Value::Object(limits.changes(&request(had.0, had.1, &[]), &wanted, "body")), expected);
    }

    #[test]
    fn only_what_differs_is_sent() {
        check(("a", "b"), ("a", "b"), serde_json::json!({}));
        check(("a", "b\r\nc"), (" a ", "b\nc\n\n"), serde_json::json!({}));
        check(("a", "b"), ("x", "b"), serde_json::json!({"title": "x"}));
        check(("a", "b"), ("a", "y"), serde_json::json!({"body": "y"}));
        check(("a", "b"), ("a", ""), serde_json::json!({"body": ""}));
        check(("a b", "b"), ("a\n b", "b"), serde_json::json!({}));
    }

    #[test]
    fn texts_are_cut_to_the_limit_and_then_stay() {
        check(("", ""), ("0123456789", ""), serde_json::json!({"title": "0123456789"}));
        check(("", ""), ("0123456789x", ""), serde_json::json!({"title": "012345678…"}));
        check(("012345678…", ""), ("0123456789x", ""), serde_json::json!({}));
        check(("", ""), ("01234567 9x", ""), serde_json::json!({"title": "01234567…"}));
        check(("", ""), ("01234567🚢x", ""), serde_json::json!({"title": "01234567…"}));
    }

    #[test]
    fn labels_that_are_there_are_not_sent_again() {
        let labels = ["Images", "bot", " bot", "", "new"].map(str::to_owned);
        let wanted = Wanted { source: "", target: "", title: "", body: "", labels: &labels, auto_merge: None };
        assert_eq!(missing_labels(&request("", "", &["images", "mine"]), &wanted), ["bot", "new"]);
    }

    proptest::proptest! {
        #[test]
        fn a_cut_text_fits(text in "\\PC{0,40}", limit in 2usize..30) {
            let once = cut(&text, limit);
            proptest::prop_assert!(once.encode_utf16().count() <= limit);
            proptest::prop_assert_eq!(cut(&once, limit), once.clone());
        }
    }
}
