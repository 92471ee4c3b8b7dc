//! Reads a tag, or what was extracted from it, as a decimal number and compares exactly, at any length.
//!
//! Signs and decimals are read as Go's `ParseFloat` reads them for Flux, without what no tag means: exponents, hexadecimal,
//! underscores, infinity and not-a-number. A float would lose the last digits of a 17-digit timestamp.

use std::cmp::Ordering;

/// A decimal number that borrows its digits. Every number has one spelling here, so that equal means equal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Number<'a> {
    /// Never for zero.
    is_negative: bool,
    /// Digits before the point, without leading zeros.
    whole: &'a str,
    /// Digits after the point, without trailing zeros.
    fraction: &'a str,
}

impl<'a> Number<'a> {
    /// Reads a number such as `7`, `-007`, `+1.50`, `.5` or `1.`.
    ///
    /// # Errors
    /// One sentence that names the text and, for what Go would read as a number, why it is none here.
    pub fn parse(text: &'a str) -> Result<Self, String> {
        Self::read(text).ok_or_else(|| match hint(text) {
            Some(hint) => format!("{text:?} is no number: {hint}"),
            None => format!("{text:?} is no number"),
        })
    }

    /// Reads a number without saying why it is none.
    pub fn read(text: &'a str) -> Option<Self> {
        let (is_negative, digits) = match text.as_bytes().first()? {
            b'-' => (true, &text[1..]),
            b'+' => (false, &text[1..]),
            _ => (false, text),
        };
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        let has_digits = !(whole.is_empty() && fraction.is_empty());
        if !has_digits || !is_digits(whole) || !is_digits(fraction) {
            return None;
        }
        let (whole, fraction) = (whole.trim_start_matches('0'), fraction.trim_end_matches('0'));
        let is_zero = whole.is_empty() && fraction.is_empty();
        Some(Self { is_negative: is_negative && !is_zero, whole, fraction })
    }

    fn compare_size(&self, other: &Self) -> Ordering {
        let whole = self.whole.len().cmp(&other.whole.len()).then_with(|| self.whole.cmp(other.whole));
        whole.then_with(|| self.fraction.cmp(other.fraction))
    }
}

/// A number for a text's place among numbers: of two of them the smaller has no higher one. Cheap to read, as it looks at what is
/// before the point only: equal ranks say nothing. 0 is for what is surely no number, though other texts may be none either.
pub fn rank(text: &str) -> u64 {
    /// The rank of zero, and of what lies less than one beside it.
    const ZERO: u64 = 1 << 63;
    let (is_negative, digits) = match text.as_bytes() {
        [b'-', digits @ ..] => (true, digits),
        [b'+', digits @ ..] => (false, digits),
        digits => (false, digits),
    };
    let mut whole: u64 = 0;
    for (index, byte) in digits.iter().enumerate() {
        match byte {
            // So many always fit.
            b'0'..=b'9' if index < 18 => whole = whole * 10 + u64::from(byte - b'0'),
            b'0'..=b'9' => whole = whole.saturating_mul(10).saturating_add(u64::from(byte - b'0')),
            b'.' => break,
            _ => return 0,
        }
    }
    // Neither 0 nor its complement, which is the rank of zero in the other direction.
    let whole = whole.min(ZERO - 2);
    match (digits, is_negative) {
        ([], _) => 0,
        (_, false) => ZERO + whole,
        (_, true) => ZERO - whole,
    }
}

fn is_digits(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_digit())
}

/// What is odd about a text that Go's `ParseFloat` may read.
fn hint(text: &str) -> Option<&'static str> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text).to_ascii_lowercase();
    if matches!(digits.as_str(), "inf" | "infinity" | "nan") {
        return Some("infinity and not-a-number have no place in an order");
    }
    let starts_with_digit = digits.starts_with(|c: char| c.is_ascii_digit());
    if digits.starts_with("0x") {
        Some("hexadecimal is not read")
    } else if starts_with_digit && digits.contains('_') && is_digits(&digits.replace('_', "")) {
        Some("underscores are not read")
    } else if starts_with_digit
        && digits.split_once('e').is_some_and(|(n, e)| Number::read(n).is_some() && Number::read(e).is_some())
    {
        Some("exponents are not read")
    } else {
        None
    }
}

impl Ord for Number<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        match (self.is_negative, other.is_negative) {
            (false, false) => self.compare_size(other),
            (true, true) => other.compare_size(self),
            (is_negative, is_other_negative) => is_other_negative.cmp(&is_negative),
        }
    }
}

impl PartialOrd for Number<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

#[cfg(test)]
mod tests;
