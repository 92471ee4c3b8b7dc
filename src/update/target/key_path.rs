//! `a.b[2]."c.d"` → the steps to a value, and back to text.

use std::fmt;
use std::str::FromStr;

/// How many steps a path may have.
const STEPS: usize = 64;

/// The steps to a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyPath(Vec<Step>);

/// One step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Into a mapping.
    Key(String),
    /// Into a list, from 0.
    Item(usize),
}

impl KeyPath {
    /// The steps, at least one.
    pub fn steps(&self) -> &[Step] {
        &self.0
    }
}

impl FromStr for KeyPath {
    type Err = String;

    /// Keys with dots between them; `[n]` for list items; quotes, single or double, around keys that hold other than letters,
    /// digits and `_-/@:+$%*~`. In double quotes `\"` and `\\` stand for `"` and `\`; in single ones nothing is special.
    fn from_str(text: &str) -> Result<Self, String> {
        let mut steps = Vec::new();
        let mut rest = text;
        while !rest.is_empty() {
            if let Some(inner) = rest.strip_prefix('[') {
                let (number, after) = inner.split_once(']').ok_or("a [ has no ]")?;
                let is_number = !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit());
                let item = number.parse().ok().filter(|_| is_number);
                steps.push(Step::Item(item.ok_or_else(|| format!("[{number}] is no list item: write [0], [1] …"))?));
                rest = after;
            } else {
                if !steps.is_empty() {
                    rest = rest.strip_prefix('.').ok_or_else(|| format!("a dot is missing before {rest:?}"))?;
                }
                let (key, after) = key(rest)?;
                steps.push(Step::Key(key));
                rest = after;
            }
        }
        match steps.len() {
            0 => Err("the path is empty".to_owned()),
            n if n > STEPS => Err(format!("the path has more than {STEPS} steps")),
            _ => Ok(Self(steps)),
        }
    }
}

fn key(text: &str) -> Result<(String, &str), String> {
    if let Some(inner) = text.strip_prefix('\'') {
        let (key, after) = inner.split_once('\'').ok_or("a ' is not closed")?;
        return Ok((key.to_owned(), after));
    }
    if let Some(inner) = text.strip_prefix('"') {
        let mut key = String::new();
        let mut chars = inner.char_indices();
        while let Some((at, c)) = chars.next() {
            match c {
                '"' => return Ok((key, &inner[at + 1..])),
                '\\' => match chars.next() {
                    Some((_, c @ ('"' | '\\'))) => key.push(c),
                    _ => return Err("only \\\" and \\\\ may follow a backslash".to_owned()),
                },
                c => key.push(c),
            }
        }
        return Err("a \" is not closed".to_owned());
    }
    let end = text.find(|c: char| !is_plain(c)).unwrap_or(text.len());
    match (end, text[end..].chars().next()) {
        (_, Some(c)) if !matches!(c, '.' | '[') => Err(format!("write a key that holds {c:?} in quotes")),
        (0, _) => Err("a key is missing".to_owned()),
        _ => Ok((text[..end].to_owned(), &text[end..])),
    }
}

fn is_plain(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | '-' | '/' | '@' | ':' | '+' | '$' | '%' | '*' | '~')
}

impl fmt::Display for KeyPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, step) in self.0.iter().enumerate() {
            match step {
                Step::Item(item) => write!(f, "[{item}]")?,
                Step::Key(key) => {
                    let dot = if index > 0 { "." } else { "" };
                    if !key.is_empty() && key.chars().all(is_plain) {
                        write!(f, "{dot}{key}")?;
                    } else {
                        write!(f, "{dot}\"{}\"", key.replace('\\', "\\\\").replace('"', "\\\""))?;
                    }
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Result<&str, &str>) {
        let read: Result<KeyPath, String> = text.parse();
        let shown = read.map(|path| path.to_string());
        assert_eq!(shown.as_deref().map_err(String::as_str), expected, "{text}");
    }

    #[test]
    fn paths() {
        check("image", Ok("image"));
        check("a.b[2].\"c.d\"", Ok("a.b[2].\"c.d\""));
        check("[0].image", Ok("[0].image"));
        check("a[0][1]", Ok("a[0][1]"));
        check("a.'x y'.b", Ok("a.\"x y\".b"));
        check("'plain'", Ok("plain"));
        check("\"a\\\"b\\\\\"", Ok("\"a\\\"b\\\\\""));
        check("app.kubernetes.io/name", Ok("app.kubernetes.io/name"));
        check("\"\"", Ok("\"\""));
        check("größe.0", Ok("größe.0"));
    }

    #[test]
    fn what_is_no_path() {
        check("", Err("the path is empty"));
        check(".a", Err("a key is missing"));
        check("a.", Err("a key is missing"));
        check("a..b", Err("a key is missing"));
        check("a[b]", Err("[b] is no list item: write [0], [1] …"));
        check("a[-1]", Err("[-1] is no list item: write [0], [1] …"));
        check("a[99999999999999999999999]", Err("[99999999999999999999999] is no list item: write [0], [1] …"));
        check("a[0", Err("a [ has no ]"));
        check("a[0]b", Err("a dot is missing before \"b\""));
        check("a b", Err("write a key that holds ' ' in quotes"));
        check("a\"b\"", Err("write a key that holds '\"' in quotes"));
        check("\"a", Err("a \" is not closed"));
        check("'a", Err("a ' is not closed"));
        check("\"a\\n\"", Err("only \\\" and \\\\ may follow a backslash"));
        check(&format!("a{}", ".a".repeat(64)), Err("the path has more than 64 steps"));
    }

    proptest! {
        #[test]
        fn a_shown_path_reads_back(steps in prop::collection::vec(prop_oneof!["\\PC{0,8}".prop_map(Step::Key), (0..9usize).prop_map(Step::Item)], 1..9)) {
            let path = KeyPath(steps);
            prop_assert_eq!(path.to_string().parse(), Ok(path));
        }

        #[test]
        fn any_text_is_survived(text in "[a-c.\\[\\]\"'\\\\0-9 ]{0,20}") {
            let _ = text.parse::<KeyPath>();
        }
    }
}
