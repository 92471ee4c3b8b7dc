//! What an unencrypted scalar is to SOPS, which reads YAML as go-yaml v3 does, and which bytes of it go into the MAC.

use serde_json::{Number, Value};

/// A scalar as SOPS has it.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Scalar {
    Text(String),
    Int(i64),
    Float(f64),
    Bool(bool),
    /// A point in time, as RFC 3339 writes it.
    Time(String),
}

impl Scalar {
    /// A plain scalar; none is null.
    pub(super) fn plain(text: &str) -> Option<Self> {
        match text {
            "" | "~" | "null" | "Null" | "NULL" => return None,
            "true" | "True" | "TRUE" => return Some(Self::Bool(true)),
            "false" | "False" | "FALSE" => return Some(Self::Bool(false)),
            _ => {}
        }
        let is_numeric = text.starts_with(|c: char| c.is_ascii_digit() || "+-.".contains(c));
        if !is_numeric {
            return Some(Self::Text(text.to_owned()));
        }
        let bare = text.replace('_', "");
        if let Some(number) = int(&bare) {
            return Some(Self::Int(number));
        }
        if let Some(number) = float(&bare) {
            return Some(Self::Float(number));
        }
        Some(time(text).map_or_else(|| Self::Text(text.to_owned()), Self::Time))
    }

    /// What goes into the MAC (SOPS: `ToBytes`).
    pub(super) fn mac(&self) -> String {
        match self {
            Self::Text(text) | Self::Time(text) => text.clone(),
            Self::Int(number) => number.to_string(),
            // As Go's 'f' with the fewest digits.
            Self::Float(number) => number.to_string(),
            Self::Bool(true) => "True".to_owned(),
            Self::Bool(false) => "False".to_owned(),
        }
    }

    /// As JSON has it.
    pub(super) fn value(self) -> Value {
        match self {
            Self::Text(text) | Self::Time(text) => Value::String(text),
            Self::Int(number) => Value::from(number),
            // A whole number prints without a point, as SOPS does it.
            Self::Float(number) if number.fract() == 0.0 && number.abs() < 1e15 => Value::from(number as i64),
            Self::Float(number) => Number::from_f64(number).map_or(Value::Null, Value::Number),
            Self::Bool(is_true) => Value::Bool(is_true),
        }
    }
}

/// Go's `strconv.ParseInt(text, 0, 64)`.
fn int(text: &str) -> Option<i64> {
    let (is_negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let based = [("0x", 16), ("0X", 16), ("0o", 8), ("0O", 8), ("0b", 2), ("0B", 2)];
    let based = based.into_iter().find_map(|(start, base)| Some((digits.strip_prefix(start)?, base)));
    let (digits, base) = based.unwrap_or_else(|| match digits.strip_prefix('0') {
        Some(rest) if !rest.is_empty() => (rest, 8),
        _ => (digits, 10),
    });
    if digits.starts_with(['+', '-']) {
        return None;
    }
    let number = i128::from_str_radix(digits, base).ok()?;
    i64::try_from(if is_negative { -number } else { number }).ok()
}

/// A float as YAML 1.2 writes it (go-yaml: `yamlStyleFloat`).
fn float(text: &str) -> Option<f64> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    let (mantissa, exponent) = digits.split_once(['e', 'E']).unwrap_or((digits, "0"));
    let are_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let exponent = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
    let (whole, part) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let has_digits = !whole.is_empty() || !part.is_empty();
    let is_float = has_digits && are_digits(whole) && are_digits(part) && !exponent.is_empty() && are_digits(exponent);
    is_float.then(|| text.parse().ok())?.filter(|number: &f64| number.is_finite())
}

/// A timestamp as go-yaml takes it: a date, or one with a time.
fn time(text: &str) -> Option<String> {
    let date = chrono::NaiveDate::parse_from_str(text, "%Y-%m-%d").ok().filter(|_| text.len() == 10);
    if let Some(date) = date {
        return Some(format!("{date}T00:00:00Z"));
    }
    let at = chrono::DateTime::parse_from_rfc3339(text).ok()?;
    Some(at.to_rfc3339_opts(chrono::SecondsFormat::Secs, true))
}
