//! A value and the style of the scalar it goes into → the scalar's new source text.
//! The style is kept; quotes come only where a plain value would not read as text in YAML 1.1 or 1.2.

use std::sync::LazyLock;

use granit_parser::{ScalarStyle, Tag};
use regex::Regex;

/// Which quotes a scalar gets that needs some.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Quotes {
    /// `'…'`
    Single,
    /// `"…"`
    Double,
}

/// The source text of `value` in a scalar of this style and tag; `quotes` is what the file uses most.
///
/// # Errors
/// Styles and tags in which an image cannot stand: blocks of text, `!!int` and its like unless the value is one.
pub fn render(value: &str, style: ScalarStyle, tag: Option<&Tag>, quotes: Quotes) -> Result<String, String> {
    let core = tag.filter(|tag| tag.handle() == "tag:yaml.org,2002:").map(Tag::suffix);
    let is_right = match core {
        None | Some("str") => true,
        Some("int") => value.bytes().all(|b| b.is_ascii_digit()) && !value.starts_with('0'),
        Some("float") => FLOAT.is_match(value),
        Some(_) => false,
    };
    if let (false, Some(core)) = (is_right, core) {
        return Err(format!("the value is tagged !!{core}, which {value} is not: remove the tag"));
    }
    match style {
        ScalarStyle::SingleQuoted => Ok(quote(value, Quotes::Single)),
        ScalarStyle::DoubleQuoted => Ok(quote(value, Quotes::Double)),
        // A tag decides the type, so the text's look doesn't matter.
        ScalarStyle::Plain if is_plain(value) && (core.is_some() || reads_as_text(value)) => Ok(value.to_owned()),
        ScalarStyle::Plain => Ok(quote(value, quotes)),
        ScalarStyle::Literal | ScalarStyle::Folded => {
            Err("the value is a block of text: write it on one line".to_owned())
        }
    }
}

fn quote(value: &str, quotes: Quotes) -> String {
    match quotes {
        Quotes::Single => format!("'{}'", value.replace('\'', "''")),
        Quotes::Double => format!("\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\"")),
    }
}

/// Whether a value may stand without quotes in block and in flow context, whatever type it then has.
fn is_plain(value: &str) -> bool {
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-' | '/' | ':' | '@' | '+');
    value.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_')
        && !value.ends_with(':')
        && value.chars().all(is_allowed)
}

/// Whether a plain scalar of this text is a string for every reader of YAML 1.1 and 1.2 (the types of yaml.org/type,
/// the core schema, and go-yaml, which drops underscores before it looks for a number).
pub fn reads_as_text(value: &str) -> bool {
    const WORDS: [&str; 13] = ["", "~", "null", "true", "false", "yes", "no", "on", "off", "y", "n", "<<", "="];
    let lower = value.to_ascii_lowercase();
    // An underscore in front of everything is no number for anyone.
    let digits = if lower.starts_with('_') { lower.clone() } else { lower.replace('_', "") };
    !WORDS.contains(&lower.as_str())
        && ![&*INTEGER, &*FLOAT, &*SEXAGESIMAL].iter().any(|number| number.is_match(&digits))
        && !DATE.is_match(&lower)
}

fn pattern(pattern: &str) -> Regex {
    Regex::new(pattern).expect("the pattern is a constant that the tests use")
}

static INTEGER: LazyLock<Regex> = LazyLock::new(|| pattern(r"^[-+]?([0-9]+|0b[01]+|0o[0-7]+|0x[0-9a-f]+)$"));
static FLOAT: LazyLock<Regex> =
    LazyLock::new(|| pattern(r"^[-+]?((\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|\.inf)$|^\.nan$"));
/// Base 60, as in `1:30` (YAML 1.1).
static SEXAGESIMAL: LazyLock<Regex> = LazyLock::new(|| pattern(r"^[-+]?[0-9]+(:[0-5]?[0-9])+(\.[0-9]*)?$"));
static DATE: LazyLock<Regex> = LazyLock::new(|| pattern(r"^[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}((t|[ \t]+)[0-9]{1,2}:.*)?$"));

#[cfg(test)]
mod tests;
