//! One YAML scalar → JSON value, by the rules of YAML 1.1 as go-yaml v2 (and so kubectl) has them.

use granit_parser::Tag;
use serde_json::{Number, Value};

/// Resolves a scalar. Only a plain one without a tag, or one with a tag of YAML's own, becomes anything else than text.
///
/// # Errors
/// Infinity and not-a-number, which JSON lacks, and text that does not fit its tag.
pub(super) fn resolve(text: &str, is_plain: bool, tag: Option<&Tag>) -> Result<Value, String> {
    let as_text = || Value::String(text.to_owned());
    let Some(tag) = tag else {
        return if is_plain { plain(text).map(|value| value.unwrap_or_else(as_text)) } else { Ok(as_text()) };
    };
    let wanted = match tag.core_suffix() {
        Some(wanted @ ("null" | "bool" | "int" | "float")) => wanted,
        _ => return Ok(as_text()),
    };
    let value = plain(text)?;
    let fits = match &value {
        Some(Value::Null) => wanted == "null",
        Some(Value::Bool(_)) => wanted == "bool",
        Some(Value::Number(number)) => wanted == "float" || (wanted == "int" && !number.is_f64()),
        _ => false,
    };
    value.filter(|_| fits).ok_or_else(|| format!("the tag says {wanted}, but {text:?} is none"))
}

/// The value of a plain scalar; none when it is text.
fn plain(text: &str) -> Result<Option<Value>, String> {
    Ok(Some(match text {
        "" | "~" | "null" | "Null" | "NULL" => Value::Null,
        "y" | "Y" | "yes" | "Yes" | "YES" | "on" | "On" | "ON" | "true" | "True" | "TRUE" => Value::Bool(true),
        "n" | "N" | "no" | "No" | "NO" | "off" | "Off" | "OFF" | "false" | "False" | "FALSE" => Value::Bool(false),
        ".nan" | ".NaN" | ".NAN" | ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" | "-.inf" | "-.Inf"
        | "-.INF" => {
            return Err(format!("{text} is no value that Kubernetes knows; quote it if it is text"));
        }
        _ => return Ok(number(text).map(Value::Number)),
    }))
}

fn number(text: &str) -> Option<Number> {
    if !text.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '.' | '-' | '+')) {
        return None;
    }
    let digits = text.replace('_', "");
    if let Some(number) = integer(&digits) {
        return Some(number);
    }
    is_decimal(&digits).then(|| digits.parse::<f64>().ok()).flatten().filter(|value| value.is_finite()).and_then(float)
}

/// `420`, `-1`, `0x1f`, `0b11`, `0o644`, `0644`.
fn integer(text: &str) -> Option<Number> {
    let (is_negative, digits) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let lower = digits.to_ascii_lowercase();
    let (radix, digits) = match lower.as_bytes() {
        [b'0', b'x', ..] => (16, &lower[2..]),
        [b'0', b'b', ..] => (2, &lower[2..]),
        [b'0', b'o', ..] => (8, &lower[2..]),
        [b'0', _, ..] => (8, &lower[1..]),
        _ => (10, lower.as_str()),
    };
    if !digits.starts_with(|c: char| c.is_ascii_alphanumeric()) {
        return None;
    }
    let value = u64::from_str_radix(digits, radix).ok()?;
    if is_negative { 0_i64.checked_sub_unsigned(value).map(Number::from) } else { Some(Number::from(value)) }
}

/// `[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?`, the floats of YAML.
fn is_decimal(text: &str) -> bool {
    let is_digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent.strip_prefix(['-', '+']).unwrap_or(exponent))),
        None => (unsigned, None),
    };
    let is_mantissa = match mantissa.split_once('.') {
        None => is_digits(mantissa),
        Some(("", fraction)) => is_digits(fraction),
        Some((whole, fraction)) => is_digits(whole) && (fraction.is_empty() || is_digits(fraction)),
    };
    is_mantissa && exponent.is_none_or(is_digits)
}

/// A float without a fraction is an integer in JSON (`1.0` and `1e3` count replicas).
fn float(value: f64) -> Option<Number> {
    /// Up to 2^53 every whole number is exact.
    const EXACT: f64 = 9_007_199_254_740_992.0;
    if value.fract() == 0.0 && value.abs() <= EXACT {
        return Some(Number::from(value as i64));
    }
    Number::from_f64(value)
}
