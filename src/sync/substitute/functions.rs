//! What expressions make of values: defaults, letters' case, slices, patterns. Lengths and places count bytes, as in Flux.

use std::collections::BTreeSet;

use regex::Regex;

use super::expression::{Expression, Operation, Part, Place};
use super::{TEXT_BYTES, Variables};

/// The text of some parts; notes which variables it took.
///
/// # Errors
/// When a variable is missing, an argument is none, or the text grows too long.
pub(super) fn evaluate(parts: &[Part], variables: &Variables, used: &mut BTreeSet<String>) -> Result<String, String> {
    let mut out = String::new();
    for part in parts {
        match part {
            Part::Text(text) => out.push_str(text),
            Part::Expression(expression) => {
                let text = replaced(expression, variables, used);
                out.push_str(&text?);
            }
        }
        if out.len() > TEXT_BYTES {
            return Err(too_long());
        }
    }
    Ok(out)
}

fn too_long() -> String {
    format!("the text becomes longer than {} MiB", TEXT_BYTES >> 20)
}

fn replaced(expression: &Expression, variables: &Variables, used: &mut BTreeSet<String>) -> Result<String, String> {
    let Expression { variable, operation } = expression;
    used.insert(variable.clone());
    let value = variables.get(variable)?;
    let mut argument = |parts: &[Part]| evaluate(parts, variables, used);
    if let Operation::Default { also_empty, word } = operation {
        return match value {
            Some(value) if !(value.is_empty() && *also_empty) => Ok(value.to_owned()),
            _ => argument(word),
        };
    }
    let value = match value {
        Some(value) => value,
        None if variables.is_strict => {
            return Err(format!(
                "the variable {variable} is not defined; define it, give it a default (${{{variable}:-…}}), or write $${{{variable}}} if it is not meant for tagboat"
            ));
        }
        None => "",
    };
    let at = |reason: String| format!("${{{variable}…}}: {reason}");
    Ok(match operation {
        Operation::Value | Operation::Default { .. } => value.to_owned(),
        Operation::Length => value.len().to_string(),
        Operation::Case { is_upper, is_whole } => case(value, *is_upper, *is_whole),
        Operation::Slice { from, length } => {
            let (from, length) = (argument(from)?, length.as_deref().map(&mut argument).transpose()?);
            slice(value, &from, length.as_deref()).map_err(at)?
        }
        Operation::Trim { at_end, is_longest, pattern } => {
            trim(value, &argument(pattern)?, *at_end, *is_longest).map_err(at)?
        }
        Operation::Replace { place, text, with } => {
            let (text, with) = (argument(text)?, argument(with)?);
            replace(value, *place, &text, &with).map_err(at)?
        }
    })
}

fn case(value: &str, is_upper: bool, is_whole: bool) -> String {
    let change = |text: &str| if is_upper { text.to_uppercase() } else { text.to_lowercase() };
    let first = if is_whole { value.len() } else { value.chars().next().map_or(0, char::len_utf8) };
    let (head, rest) = value.split_at(first);
    change(head) + rest
}

/// A negative place or length counts from the end. What lies outside is empty.
fn slice(value: &str, from: &str, length: Option<&str>) -> Result<String, String> {
    let number = |text: &str| {
        let number: Result<i64, _> = text.trim().parse();
        number.map_err(|_| "where a slice begins and how long it is must be whole numbers".to_owned())
    };
    let whole = i64::try_from(value.len()).unwrap_or(i64::MAX);
    let inside = |place: i64| if place < 0 { place.saturating_add(whole).max(0) } else { place.min(whole) };
    let from = inside(number(from)?);
    let to = match length.map(number).transpose()? {
        None => whole,
        Some(length) if length < 0 => whole.saturating_add(length),
        Some(length) => from.saturating_add(length).min(whole),
    };
    let place = |at: i64| usize::try_from(at).unwrap_or(0);
    let found = if to <= from { Some("") } else { value.get(place(from)..place(to)) };
    found.map(str::to_owned).ok_or_else(|| "the slice would cut a letter of several bytes".to_owned())
}

/// Cuts off what a pattern of a shell matches at the start or the end.
fn trim(value: &str, pattern: &str, at_end: bool, is_longest: bool) -> Result<String, String> {
    let built = |text: String| {
        let limited = regex::RegexBuilder::new(&text).size_limit(1 << 20).build();
        limited.map_err(|_| "the pattern can't be read".to_owned())
    };
    if at_end {
        // The first start is that of the longest match; the most that can stand before it leaves the shortest.
        let (head, lead) = if is_longest { ("", "") } else { ("\\A(.*)", "") };
        let found: Regex = built(format!("(?s){head}{lead}(?:{})\\z", regular(pattern, true)))?;
        let start = match found.captures(value) {
            Some(found) if is_longest => found.get(0).map(|all| all.start()),
            Some(found) => found.get(1).map(|before| before.end()),
            None => None,
        };
        return Ok(value[..start.unwrap_or(value.len())].to_owned());
    }
    let found = built(format!("(?s)\\A(?:{})", regular(pattern, is_longest)))?.find(value);
    Ok(value[found.map_or(0, |found| found.end())..].to_owned())
}

/// A shell's pattern as a regular expression: `*`, `?`, `[…]`, and a backslash before what stands for itself.
fn regular(pattern: &str, is_longest: bool) -> String {
    let mut out = String::new();
    let mut rest = pattern.chars();
    while let Some(c) = rest.next() {
        match c {
            '*' => out.push_str(if is_longest { ".*" } else { ".*?" }),
            '?' => out.push('.'),
            '\\' => out.push_str(&regex::escape(&rest.next().unwrap_or('\\').to_string())),
            '[' => match class(rest.as_str()) {
                Some((class, after)) => {
                    out.push_str(&class);
                    rest = after.chars();
                }
                None => out.push_str("\\["),
            },
            c => out.push_str(&regex::escape(&c.to_string())),
        }
    }
    out
}

/// What follows `[`, as a class, and what follows that; none without a closing bracket.
fn class(text: &str) -> Option<(String, &str)> {
    let (is_negated, body) = match text.strip_prefix(['!', '^']) {
        Some(body) => (true, body),
        None => (false, text),
    };
    // A bracket right at the start is one of the characters.
    let end = body.char_indices().skip(1).find(|(_, c)| *c == ']').map(|(at, _)| at)?;
    let (body, after) = (&body[..end], &body[end + 1..]);
    let escaped = body.chars().map(|c| match c {
        '-' => "-".to_owned(),
        c if c.is_ascii_punctuation() => format!("\\{c}"),
        c => c.to_string(),
    });
    let class = format!("[{}{}]", if is_negated { "^" } else { "" }, escaped.collect::<String>());
    Some((class, after))
}

/// Replaces text, which is no pattern.
fn replace(value: &str, place: Place, text: &str, with: &str) -> Result<String, String> {
    let finds = if place == Place::All { value.matches(text).count() } else { 1 };
    if value.len().saturating_add(finds.saturating_mul(with.len())) > TEXT_BYTES {
        return Err(too_long());
    }
    Ok(match place {
        Place::First => value.replacen(text, with, 1),
        Place::All => value.replace(text, with),
        Place::Start => value.strip_prefix(text).map_or_else(|| value.to_owned(), |rest| format!("{with}{rest}")),
        Place::End => value.strip_suffix(text).map_or_else(|| value.to_owned(), |rest| format!("{rest}{with}")),
    })
}
