//! Text → its expressions: the grammar of `${…}` (drone/envsubst as Flux has it). Where that reads on in silence, this says what is wrong.

use super::is_name;

/// How deep expressions may stand in each other.
const DEPTH: usize = 16;

/// A piece of a text.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Part {
    /// As it stands.
    Text(String),
    /// To be replaced.
    Expression(Expression),
}

/// One `${…}`.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Expression {
    pub variable: String,
    pub operation: Operation,
}

/// What is done with a variable's value.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Operation {
    /// `${v}`
    Value,
    /// `${#v}`
    Length,
    /// `${v^}`, `${v^^}`, `${v,}`, `${v,,}`
    Case { is_upper: bool, is_whole: bool },
    /// `${v:-word}`, `${v:=word}`, `${v=word}`: when it is unset or empty; `${v-word}`: when it is unset.
    Default { also_empty: bool, word: Vec<Part> },
    /// `${v:from}`, `${v:from:length}`
    Slice { from: Vec<Part>, length: Option<Vec<Part>> },
    /// `${v#pattern}`, `${v##pattern}`, `${v%pattern}`, `${v%%pattern}`
    Trim { at_end: bool, is_longest: bool, pattern: Vec<Part> },
    /// `${v/text/with}`, `${v//text/with}`, `${v/#text/with}`, `${v/%text/with}`
    Replace { place: Place, text: Vec<Part>, with: Vec<Part> },
}

/// Which finds are replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    First,
    All,
    Start,
    End,
}

/// Reads a whole text. `$$` is a `$`; a `$` with anything but a brace behind it is itself.
///
/// # Errors
/// Names the expression and what is wrong with it.
pub(super) fn parse(text: &str) -> Result<Vec<Part>, String> {
    Reader { rest: text, depth: 0 }.text()
}

struct Reader<'a> {
    rest: &'a str,
    depth: usize,
}

impl<'a> Reader<'a> {
    fn take(&mut self, token: &str) -> bool {
        let rest = self.rest.strip_prefix(token);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    /// The first of these that comes next.
    fn take_one(&mut self, tokens: &[&'static str]) -> Option<&'static str> {
        tokens.iter().find(|token| self.take(token)).copied()
    }

    fn next(&mut self) -> Option<char> {
        let c = self.rest.chars().next()?;
        self.rest = &self.rest[c.len_utf8()..];
        Some(c)
    }

    fn word(&mut self) -> &'a str {
        let end = self.rest.find(|c: char| !(c == '_' || c.is_ascii_alphanumeric())).unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        word
    }

    fn text(&mut self) -> Result<Vec<Part>, String> {
        let (mut parts, mut plain) = (Vec::new(), String::new());
        while !self.rest.is_empty() {
            let end = self.rest.find('$').unwrap_or(self.rest.len());
            plain.push_str(&self.rest[..end]);
            self.rest = &self.rest[end..];
            if self.take("${") {
                push(&mut parts, &mut plain);
                parts.push(Part::Expression(self.expression()?));
            } else if self.take("$$") || self.take("$") {
                plain.push('$');
            }
        }
        push(&mut parts, &mut plain);
        Ok(parts)
    }

    /// What follows `${`, with the closing brace.
    fn expression(&mut self) -> Result<Expression, String> {
        if self.depth == DEPTH {
            return Err(format!("expressions stand in each other more than {DEPTH} deep"));
        }
        self.depth += 1;
        let is_length = self.take("#");
        let variable = self.word().to_owned();
        if !is_name(&variable) {
            return Err(format!(
                "${{{variable}…}} names no variable; if it is not meant for tagboat, write it with a second dollar: $${{{variable}…}}"
            ));
        }
        let at = |reason: &str| format!("${{{variable}…}}: {reason}");
        let operation = if is_length { Operation::Length } else { self.operation().map_err(|reason| at(&reason))? };
        if !self.take("}") {
            let reason = match self.rest {
                "" => "the closing brace is missing",
                _ => "the closing brace is missing, or what stands before it is no operation",
            };
            return Err(at(reason));
        }
        self.depth -= 1;
        Ok(Expression { variable, operation })
    }

    fn operation(&mut self) -> Result<Operation, String> {
        let tokens = [
            ":-", ":=", ":+", ":?", ":", "=", "-", "+", "?", "^^", "^", ",,", ",", "##", "#", "%%", "%", "//", "/#",
            "/%", "/",
        ];
        let Some(token) = self.take_one(&tokens) else { return Ok(Operation::Value) };
        Ok(match token {
            ":-" | ":=" | "=" => Operation::Default { also_empty: true, word: self.until(&[], false)? },
            "-" => Operation::Default { also_empty: false, word: self.until(&[], false)? },
            ":+" | "+" | ":?" | "?" => {
                return Err(format!("{token} means one thing to a shell and another to Flux; write :- for a default"));
            }
            "^" | "^^" | "," | ",," => Operation::Case { is_upper: token.starts_with('^'), is_whole: token.len() == 2 },
            "#" | "##" | "%" | "%%" => {
                let pattern = self.until(&[], false)?;
                if pattern.is_empty() {
                    return Err(format!("a pattern must follow {token}"));
                }
                Operation::Trim { at_end: token.starts_with('%'), is_longest: token.len() == 2, pattern }
            }
            ":" => {
                let from = self.until(&[':'], false)?;
                let length = if self.take(":") { Some(self.until(&[], false)?) } else { None };
                Operation::Slice { from, length }
            }
            _ => {
                let text = self.until(&['/'], true)?;
                if !self.take("/") {
                    return Err("a slash must stand between what is sought and what comes in its place".to_owned());
                }
                // Flux takes any number of them.
                while self.take("/") {}
                let place = match token {
                    "//" => Place::All,
                    "/#" => Place::Start,
                    "/%" => Place::End,
                    _ => Place::First,
                };
                Operation::Replace { place, text, with: self.until(&[], true)? }
            }
        })
    }

    /// An argument: up to the closing brace or one of `ends`, neither of which is taken. `escapes`: `\/` is a slash, `\\` a
    /// backslash and `$$` a dollar.
    fn until(&mut self, ends: &[char], escapes: bool) -> Result<Vec<Part>, String> {
        let (mut parts, mut plain) = (Vec::new(), String::new());
        loop {
            if self.take("${") {
                push(&mut parts, &mut plain);
                parts.push(Part::Expression(self.expression()?));
                continue;
            }
            if let Some(token) = self.take_one(if escapes { &["\\/", "\\\\", "$$"] } else { &[] }) {
                plain.extend(token.chars().nth(1));
                continue;
            }
            match self.rest.chars().next() {
                Some(c) if c != '}' && !ends.contains(&c) => plain.extend(self.next()),
                _ => break,
            }
        }
        push(&mut parts, &mut plain);
        Ok(parts)
    }
}

fn push(parts: &mut Vec<Part>, plain: &mut String) {
    if !plain.is_empty() {
        parts.push(Part::Text(std::mem::take(plain)));
    }
}
