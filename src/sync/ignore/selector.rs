//! A label selector as kubectl writes it: `a=b`, `a==b`, `a!=b`, `a`, `!a`, `a in (b,c)`, `a notin (b,c)`, all of which must hold.

use serde_json::Value;

/// One condition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Term {
    /// The label has one of the values.
    In(String, Vec<String>),
    /// The label has none of the values, or is missing.
    NotIn(String, Vec<String>),
    /// The label is there.
    Exists(String),
    /// The label is missing.
    Missing(String),
}

/// Reads a selector; an empty one holds for all.
pub(super) fn parse(text: &str) -> Result<Vec<Term>, String> {
    let mut terms = Vec::new();
    for part in split(text) {
        let part = part.trim();
        if part.is_empty() {
            continue;
        }
        let bad = || format!("{part:?} is no condition of a label selector; write such as tier=web or !canary");
        let term = if let Some(key) = part.strip_prefix('!').filter(|key| !key.contains(['=', '('])) {
            Term::Missing(key.trim().to_owned())
        } else if let Some((key, values)) = part.strip_suffix(')').and_then(|part| part.split_once('(')) {
            let values = values.split(',').map(|value| value.trim().to_owned()).collect();
            let mut words = key.split_whitespace();
            match (words.next(), words.next(), words.next()) {
                (Some(key), Some("in"), None) => Term::In(key.to_owned(), values),
                (Some(key), Some("notin"), None) => Term::NotIn(key.to_owned(), values),
                _ => return Err(bad()),
            }
        } else if let Some((key, value)) = part.split_once("!=") {
            Term::NotIn(key.trim().to_owned(), vec![value.trim().to_owned()])
        } else if let Some((key, value)) = part.split_once("==").or_else(|| part.split_once('=')) {
            Term::In(key.trim().to_owned(), vec![value.trim().to_owned()])
        } else {
            Term::Exists(part.to_owned())
        };
        let (Term::In(key, _) | Term::NotIn(key, _) | Term::Exists(key) | Term::Missing(key)) = &term;
        if key.is_empty() || key.contains(|c: char| c.is_whitespace() || "=!(),".contains(c)) {
            return Err(bad());
        }
        terms.push(term);
    }
    Ok(terms)
}

/// Splits at the commas that are not within parentheses.
fn split(text: &str) -> Vec<String> {
    let (mut parts, mut depth) = (vec![String::new()], 0_u32);
    for c in text.chars() {
        match c {
            ',' if depth == 0 => parts.push(String::new()),
            _ => {
                depth = match c {
                    '(' => depth + 1,
                    ')' => depth.saturating_sub(1),
                    _ => depth,
                };
                if let Some(last) = parts.last_mut() {
                    last.push(c);
                }
            }
        }
    }
    parts
}

/// Whether all conditions hold for an object's labels.
pub(super) fn matches(terms: &[Term], object: &Value) -> bool {
    let labels = object.pointer("/metadata/labels");
    let label = |key: &String| labels.and_then(|labels| labels.get(key)).and_then(Value::as_str);
    terms.iter().all(|term| match term {
        Term::In(key, values) => label(key).is_some_and(|value| values.iter().any(|other| other == value)),
        Term::NotIn(key, values) => label(key).is_none_or(|value| values.iter().all(|other| other != value)),
        Term::Exists(key) => label(key).is_some(),
        Term::Missing(key) => label(key).is_none(),
    })
}
