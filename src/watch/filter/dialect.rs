//! Rewrites a pattern from RE2, as Go spells it, into the Rust engine's spelling. Text comes in, text and group names go out.
//!
//! The two differ in what the same text means: `\d` and `\b` are ASCII in Go; `[a&&b]`, `[[a]` and `{,5}` are plain text there;
//! `\Q…\E`, octal escapes and group names with a leading digit exist only there, `(?x)`, `\<` and more only in Rust. So every
//! token is read by Go's rules and written in a form that means one thing. Tags are ASCII, and Unicode classes are cut to it.

use std::fmt::Write as _;

/// Go's limit on a counted repetition.
const MOST_REPEATED: u32 = 1000;

/// A rewritten pattern.
#[derive(Debug)]
pub struct Pattern {
    /// The text for the Rust engine, with Unicode off.
    pub text: String,
    /// The names of its groups; the first is group 1. Several may share a name.
    pub groups: Vec<Option<String>>,
}

/// Rewrites a pattern.
///
/// # Errors
/// What Go would refuse, and at which character, counted from 1.
pub fn translate(pattern: &str) -> Result<Pattern, String> {
    let mut reader = Reader {
        chars: pattern.chars().collect(),
        at: 0,
        out: String::new(),
        groups: Vec::new(),
        open: 0,
        last: Last::Start,
    };
    while reader.at < reader.chars.len() {
        reader.token()?;
    }
    if reader.open > 0 {
        return Err("a parenthesis is not closed".to_owned());
    }
    Ok(Pattern { text: reader.out, groups: reader.groups })
}

/// What a repetition would apply to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Last {
    /// Nothing: the start of an alternative.
    Start,
    Atom,
    Repetition,
}

struct Reader {
    chars: Vec<char>,
    at: usize,
    out: String,
    groups: Vec<Option<String>>,
    open: usize,
    last: Last,
}

impl Reader {
    fn token(&mut self) -> Result<(), String> {
        let start = self.at;
        self.at += 1;
        let last = std::mem::replace(&mut self.last, Last::Atom);
        match self.chars[start] {
            '(' => return self.group(),
            ')' if self.open == 0 => return Err(wrong(start, "a parenthesis is closed that was not opened")),
            ')' => {
                self.open -= 1;
                self.out.push(')');
            }
            '|' => {
                self.out.push('|');
                self.last = Last::Start;
            }
            c @ ('.' | '^' | '$') => self.out.push(c),
            '[' => self.class(start)?,
            '\\' => {
                self.last = last;
                self.escape(start)?;
            }
            c @ ('*' | '+' | '?') => {
                self.out.push(c);
                return self.repetition(start, last);
            }
            '{' => match self.counts() {
                Some((least, most)) => {
                    if least > MOST_REPEATED || most.flatten().is_some_and(|most| most > MOST_REPEATED || most < least)
                    {
                        return Err(wrong(start, "a repetition needs counts up to 1000, the smaller first"));
                    }
                    let _ = match most {
                        None => write!(self.out, "{{{least}}}"),
                        Some(None) => write!(self.out, "{{{least},}}"),
                        Some(Some(most)) => write!(self.out, "{{{least},{most}}}"),
                    };
                    return self.repetition(start, last);
                }
                None => self.literal('{'),
            },
            c => self.literal(c),
        }
        Ok(())
    }

    /// After `*`, `+`, `?` or counts: what they apply to, and whether they are lazy.
    fn repetition(&mut self, start: usize, last: Last) -> Result<(), String> {
        match last {
            Last::Start => return Err(wrong(start, "there is nothing to repeat")),
            Last::Repetition => return Err(wrong(start, "a repetition is repeated; put a group around it")),
            Last::Atom => self.last = Last::Repetition,
        }
        if self.eat('?') {
            self.out.push('?');
        }
        Ok(())
    }

    /// Counts up to a closing brace: `{2}` is (2, None), `{2,}` is (2, Some(None)). Anything else is plain text in Go.
    fn counts(&mut self) -> Option<(u32, Option<Option<u32>>)> {
        let length = self.chars[self.at..].iter().position(|c| *c == '}')?;
        let body: String = self.chars[self.at..self.at + length].iter().collect();
        let number = |text: &str| {
            let is_plain =
                !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
            is_plain.then(|| text.parse().unwrap_or(u32::MAX))
        };
        let counts = match body.split_once(',') {
            None => (number(&body)?, None),
            Some((least, "")) => (number(least)?, Some(None)),
            Some((least, most)) => (number(least)?, Some(Some(number(most)?))),
        };
        self.at += length + 1;
        Some(counts)
    }

    /// After an opening parenthesis: a group, with a name or flags, or flags alone.
    fn group(&mut self) -> Result<(), String> {
        let start = self.at - 1;
        self.last = Last::Start;
        if !self.eat('?') {
            self.groups.push(None);
            self.open += 1;
            self.out.push('(');
            return Ok(());
        }
        if self.eat_all("P<") || (!matches!(self.chars.get(self.at + 1), Some('=' | '!')) && self.eat('<')) {
            return self.named_group(start);
        }
        if matches!(self.chars[self.at..], ['=' | '!', ..] | ['<', '=' | '!', ..]) {
            return Err(wrong(start, "look-around does not exist in RE2"));
        }
        let rest = &self.chars[self.at..];
        let length = rest.iter().position(|c| matches!(c, ':' | ')'));
        let flags: String = rest[..length.unwrap_or(rest.len())].iter().collect();
        let (on, off) = flags.split_once('-').unwrap_or((&flags, "i"));
        let is_known = |flags: &str| flags.chars().all(|c| matches!(c, 'i' | 'm' | 's' | 'U'));
        let (true, true, false, Some(length)) = (is_known(on), is_known(off), off.is_empty(), length) else {
            return Err(wrong(
                start,
                "a group starts with '(', '(?:', '(?P<name>', '(?<name>' or flags of i, m, s and U",
            ));
        };
        let is_group = rest[length] == ':';
        self.at += length + 1;
        if is_group {
            self.open += 1;
            let _ = write!(self.out, "(?{flags}:");
        } else if !flags.is_empty() {
            let _ = write!(self.out, "(?{flags})");
        }
        Ok(())
    }

    /// Names stay with us: the Rust engine doesn't take all of Go's.
    fn named_group(&mut self, start: usize) -> Result<(), String> {
        let length = self.chars[self.at..].iter().position(|c| *c == '>');
        let name: String = self.chars[self.at..self.at + length.unwrap_or(0)].iter().collect();
        if name.is_empty() || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
            return Err(wrong(start, "a group's name needs letters, digits and '_' between '<' and '>'"));
        }
        self.at += name.len() + 1;
        self.groups.push(Some(name));
        self.open += 1;
        self.out.push('(');
        Ok(())
    }

    /// After a backslash outside of a class.
    fn escape(&mut self, start: usize) -> Result<(), String> {
        if self.eat('Q') {
            while self.at < self.chars.len() && !self.eat_all("\\E") {
                self.literal(self.chars[self.at]);
                self.at += 1;
                self.last = Last::Atom;
            }
            return Ok(());
        }
        self.last = Last::Atom;
        match self.chars.get(self.at) {
            Some(c @ ('A' | 'b' | 'B' | 'z')) => {
                let _ = write!(self.out, "\\{c}");
                self.at += 1;
            }
            Some('C') => return Err(wrong(start, "\\C is not supported: a pattern matches characters, not bytes")),
            Some('Z') => return Err(wrong(start, "\\Z does not exist in RE2; the end of the tag is \\z or $")),
            Some('1'..='9') if !matches!(self.chars.get(self.at + 1), Some('0'..='7')) => {
                return Err(wrong(start, "back-references do not exist in RE2"));
            }
            _ => match self.shared_escape(start)? {
                Escape::Char(c) => self.literal(c),
                Escape::Set(set, false) => {
                    let _ = write!(self.out, "[{set}]");
                }
                Escape::Set(set, true) => {
                    let _ = write!(self.out, "(?u:[{set}&&[\\x00-\\x7f]])");
                }
            },
        }
        Ok(())
    }

    /// After a backslash: what means the same inside and outside of a class.
    fn shared_escape(&mut self, start: usize) -> Result<Escape, String> {
        let unknown = || wrong(start, "the escape is unknown");
        let Some(&c) = self.chars.get(self.at) else {
            return Err(wrong(start, "the pattern ends with a backslash"));
        };
        self.at += 1;
        Ok(match c {
            'd' => Escape::Set("0-9".to_owned(), false),
            'D' => Escape::Set("[^0-9]".to_owned(), false),
            'w' => Escape::Set("0-9A-Za-z_".to_owned(), false),
            'W' => Escape::Set("[^0-9A-Za-z_]".to_owned(), false),
            's' => Escape::Set(r"\t\n\f\r\x20".to_owned(), false),
            'S' => Escape::Set(r"[^\t\n\f\r\x20]".to_owned(), false),
            'p' | 'P' => Escape::Set(self.property(start, c == 'P')?, true),
            'a' => Escape::Char('\u{7}'),
            'f' => Escape::Char('\u{c}'),
            'n' => Escape::Char('\n'),
            'r' => Escape::Char('\r'),
            't' => Escape::Char('\t'),
            'v' => Escape::Char('\u{b}'),
            'x' => Escape::Char(self.hexadecimal().ok_or_else(unknown)?),
            '0'..='7' => {
                let more = self.chars[self.at..].iter().take(2).take_while(|c| c.is_digit(8)).count();
                if c != '0' && more == 0 {
                    return Err(unknown());
                }
                let digits: String = self.chars[self.at - 1..self.at + more].iter().collect();
                self.at += more;
                Escape::Char(u32::from_str_radix(&digits, 8).ok().and_then(char::from_u32).ok_or_else(unknown)?)
            }
            c if c.is_ascii() && !c.is_ascii_alphanumeric() => Escape::Char(c),
            _ => return Err(unknown()),
        })
    }

    /// After `\x`: two digits, or any number of them in braces.
    fn hexadecimal(&mut self) -> Option<char> {
        let digits: String = if self.eat('{') {
            let length = self.chars[self.at..].iter().position(|c| *c == '}')?;
            let digits = self.chars[self.at..self.at + length].iter().collect();
            self.at += length + 1;
            digits
        } else {
            let digits = self.chars.get(self.at..self.at + 2)?.iter().collect();
            self.at += 2;
            digits
        };
        let is_hexadecimal = digits.bytes().all(|b| b.is_ascii_hexdigit());
        is_hexadecimal.then(|| u32::from_str_radix(&digits, 16).ok().and_then(char::from_u32)).flatten()
    }

    /// After `\p` or `\P`: one letter, or a name in braces with an optional `^`.
    fn property(&mut self, start: usize, is_negated: bool) -> Result<String, String> {
        let unknown = || wrong(start, "a class of characters is named as in \\pL or \\p{Greek}");
        let name: String = if self.eat('{') {
            let length = self.chars[self.at..].iter().position(|c| *c == '}').ok_or_else(unknown)?;
            let name = self.chars[self.at..self.at + length].iter().collect();
            self.at += length + 1;
            name
        } else {
            let letter = self.chars.get(self.at).ok_or_else(unknown)?;
            self.at += 1;
            letter.to_string()
        };
        let (is_negated, name) = name.strip_prefix('^').map_or((is_negated, name.as_str()), |name| (!is_negated, name));
        if name.is_empty() || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
            return Err(unknown());
        }
        Ok(format!("\\{}{{{name}}}", if is_negated { 'P' } else { 'p' }))
    }

    /// After an opening bracket: items up to the closing one, which is an item when it comes first.
    fn class(&mut self, start: usize) -> Result<(), String> {
        let caret = if self.eat('^') { "^" } else { "" };
        let (mut items, mut is_unicode) = (String::new(), false);
        let first = self.at;
        while self.at == first || self.chars.get(self.at) != Some(&']') {
            if let Some(named) = self.posix_class()? {
                items.push_str(&named);
                continue;
            }
            let low = match self.class_item(start)? {
                Escape::Set(set, needs_unicode) => {
                    is_unicode |= needs_unicode;
                    items.push_str(&set);
                    continue;
                }
                Escape::Char(low) => low,
            };
            let is_range =
                self.chars.get(self.at) == Some(&'-') && self.chars.get(self.at + 1).is_some_and(|c| *c != ']');
            let high = if is_range {
                self.at += 1;
                match self.class_item(start)? {
                    Escape::Char(high) if low <= high => high,
                    _ => {
                        return Err(wrong(
                            start,
                            "a range in the brackets does not run from a lower to a higher character",
                        ));
                    }
                }
            } else {
                low
            };
            is_unicode |= !high.is_ascii();
            let _ = write!(items, "\\x{{{:x}}}-\\x{{{:x}}}", u32::from(low), u32::from(high));
        }
        self.at += 1;
        let _ = match is_unicode {
            true => write!(self.out, "(?u:[[{caret}{items}]&&[\\x00-\\x7f]])"),
            false => write!(self.out, "[{caret}{items}]"),
        };
        Ok(())
    }

    fn class_item(&mut self, start: usize) -> Result<Escape, String> {
        let Some(&c) = self.chars.get(self.at) else {
            return Err(wrong(start, "a bracket is not closed"));
        };
        self.at += 1;
        if c == '\\' { self.shared_escape(self.at - 1) } else { Ok(Escape::Char(c)) }
    }

    /// `[:alpha:]` and its like, which mean the same in both engines.
    fn posix_class(&mut self) -> Result<Option<String>, String> {
        const NAMES: [&str; 14] = [
            "alnum", "alpha", "ascii", "blank", "cntrl", "digit", "graph", "lower", "print", "punct", "space", "upper",
            "word", "xdigit",
        ];
        if !matches!(self.chars[self.at..], ['[', ':', ..]) {
            return Ok(None);
        }
        let body = &self.chars[self.at + 2..];
        let Some(length) = body.windows(2).position(|pair| pair == [':', ']']) else {
            return Ok(None);
        };
        let name: String = body[..length].iter().collect();
        if !NAMES.contains(&name.strip_prefix('^').unwrap_or(&name)) {
            return Err(wrong(self.at, &format!("there is no class [:{name}:]")));
        }
        self.at += length + 4;
        Ok(Some(format!("[:{name}:]")))
    }

    /// Plain text, in a form that is never syntax.
    fn literal(&mut self, c: char) {
        let _ = match c {
            c if c.is_ascii_alphanumeric() => write!(self.out, "{c}"),
            c if c.is_ascii() => write!(self.out, "\\x{:02x}", u32::from(c)),
            c => write!(self.out, "(?u:\\x{{{:x}}})", u32::from(c)),
        };
    }

    fn eat(&mut self, wanted: char) -> bool {
        let is_there = self.chars.get(self.at) == Some(&wanted);
        self.at += usize::from(is_there);
        is_there
    }

    fn eat_all(&mut self, wanted: &str) -> bool {
        let is_there = wanted.chars().enumerate().all(|(index, c)| self.chars.get(self.at + index) == Some(&c));
        self.at += if is_there { wanted.len() } else { 0 };
        is_there
    }
}

/// What an escape stands for: a character, or a set in a class's spelling that may need Unicode on.
enum Escape {
    Char(char),
    Set(String, bool),
}

fn wrong(start: usize, what: &str) -> String {
    format!("at character {}: {what}", start + 1)
}
