//! A duration as users write it: `1m30s`, `250ms`, `1.5h` (Flux's pattern).

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// Longer spans are taken as this one.
const LONGEST: Duration = Duration::from_secs(100 * 365 * 24 * 3600);

/// A span of time, written as numbers with the units `ms`, `s`, `m`, `h`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Span(pub Duration);

impl FromStr for Span {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let malformed = || format!("{text:?} is no duration such as 1m30s, 10s or 250ms");
        let mut rest = text;
        let mut seconds = 0.0;
        while !rest.is_empty() {
            let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or_else(malformed)?;
            let number: f64 = rest[..digits].parse().map_err(|_| malformed())?;
            rest = &rest[digits..];
            let (unit, scale) = [("ms", 0.001), ("s", 1.0), ("m", 60.0), ("h", 3600.0)]
                .into_iter()
                .find(|(unit, _)| rest.starts_with(unit))
                .ok_or_else(malformed)?;
            rest = &rest[unit.len()..];
            seconds += number * scale;
        }
        if text.is_empty() {
            return Err(malformed());
        }
        // What the schema's pattern lets through must be readable, or one object would hide all others of its kind.
        let seconds = Duration::try_from_secs_f64(seconds).unwrap_or(LONGEST).min(LONGEST);
        // Whole milliseconds, as they are printed: the sum of a long span and a short one is not exact. What isn't 0 stays so.
        let millis = (seconds + Duration::from_micros(500)).as_millis().max(u128::from(!seconds.is_zero()));
        Ok(Self(Duration::from_millis(u64::try_from(millis).unwrap_or(u64::MAX))))
    }
}

impl TryFrom<String> for Span {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = self.0.as_millis();
        let (hours, minutes, seconds, rest) =
            (millis / 3_600_000, millis / 60_000 % 60, millis / 1000 % 60, millis % 1000);
        let mut is_empty = true;
        for (number, unit) in [(hours, "h"), (minutes, "m"), (seconds, "s"), (rest, "ms")] {
            if number > 0 {
                write!(f, "{number}{unit}")?;
                is_empty = false;
            }
        }
        if is_empty { f.write_str("0s") } else { Ok(()) }
    }
}

impl From<Span> for String {
    fn from(span: Span) -> Self {
        span.to_string()
    }
}

impl JsonSchema for Span {
    fn schema_name() -> Cow<'static, str> {
        "Span".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": "^([0-9]+(\\.[0-9]+)?(ms|s|m|h))+$" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_and_print() {
        for (text, millis, printed) in [
            ("1m30s", 90_000, "1m30s"),
            ("250ms", 250, "250ms"),
            ("1.5h", 5_400_000, "1h30m"),
            ("90s", 90_000, "1m30s"),
            ("0s", 0, "0s"),
            ("222209m8ms", 13_332_540_008, "3703h29m8ms"),
            ("0.1ms", 1, "1ms"),
            ("1.4996s", 1500, "1s500ms"),
        ] {
            let span: Span = text.parse().unwrap();
            assert_eq!((span.0.as_millis(), span.to_string().as_str()), (millis, printed));
        }
        for bad in ["", "5", "m", "1d", "-1s", "1 m", "1..5s"] {
            assert!(bad.parse::<Span>().is_err(), "{bad:?}");
        }
    }
}
