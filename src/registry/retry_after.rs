//! How long a server asks us to wait. In: the Retry-After header, an error's body, and the present time. Out: a duration.
//! Pure; must never trust it beyond [`LONGEST`].

use std::time::Duration;

use chrono::{DateTime, Utc};
use reqwest::header::{HeaderMap, RETRY_AFTER};

use super::error::Complaint;

/// The longest wait that we grant; a server that asks for more is asked again after this.
pub(super) const LONGEST: Duration = Duration::from_secs(3600);

/// The wait that the header's value (seconds, a date, or a text like `53.1ms`) or, without one, the message in the body asks for.
/// GitHub's registry uses the third form in both places; RFC 9110 knows the first two.
pub(super) fn wait(headers: &HeaderMap, body: &[u8], now: DateTime<Utc>) -> Option<Duration> {
    let header = headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok());
    let asked = header.map(str::trim).and_then(|text| seconds(text).or_else(|| date(text, now)).or_else(|| span(text)));
    asked.or_else(|| in_message(&Complaint::read(body).message)).map(|wait| wait.min(LONGEST))
}

fn seconds(text: &str) -> Option<Duration> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    digits.then(|| Duration::from_secs(text.parse().unwrap_or(u64::MAX)))
}

fn date(text: &str, now: DateTime<Utc>) -> Option<Duration> {
    let until = DateTime::parse_from_rfc2822(text).ok()?;
    Some(until.signed_duration_since(now).to_std().unwrap_or(Duration::ZERO))
}

/// `retry-after: 1.2ms, allowed: 44000/minute` inside a message.
fn in_message(message: &str) -> Option<Duration> {
    const KEY: &str = "retry-after:";
    let start = message.to_ascii_lowercase().find(KEY)? + KEY.len();
    let text = message[start..].trim_start();
    let end = text.find(|c: char| !c.is_ascii_alphanumeric() && !matches!(c, '.' | 'µ')).unwrap_or(text.len());
    let text = text[..end].trim_end_matches('.');
    seconds(text).or_else(|| span(text))
}

/// A sequence of decimal numbers with units, as Go prints durations: `53.112ms`, `1m0.5s`.
fn span(text: &str) -> Option<Duration> {
    let mut rest = text;
    let mut total = 0.0;
    while !rest.is_empty() {
        let number_end = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, tail) = rest.split_at(number_end);
        let unit_end = tail.find(|c: char| c.is_ascii_digit()).unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(unit_end);
        total += number.parse::<f64>().ok()? * unit_seconds(unit)?;
        rest = tail;
    }
    (!text.is_empty()).then(|| Duration::try_from_secs_f64(total).unwrap_or(LONGEST))
}

fn unit_seconds(unit: &str) -> Option<f64> {
    match unit.trim() {
        "ns" => Some(1e-9),
        "us" | "µs" => Some(1e-6),
        "ms" => Some(1e-3),
        "s" => Some(1.0),
        "m" => Some(60.0),
        "h" => Some(3600.0),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(header: Option<&str>, message: &str, expected: Option<f64>) {
        let headers = header.map(|value| (RETRY_AFTER, value.parse().unwrap())).into_iter().collect();
        let now = "2026-11-24T12:00:00Z".parse().unwrap();
        let body = format!(r#"{{"errors":[{{"code":"TOOMANYREQUESTS","message":"{message}"}}]}}"#);
        assert_eq!(
            wait(&headers, body.as_bytes(), now),
            expected.map(Duration::from_secs_f64),
            "{header:?} {message:?}"
        );
    }

    #[test]
    fn every_form_is_read() {
        check(Some("7"), "", Some(7.0));
        check(Some(" 0 "), "", Some(0.0));
        check(Some("Tue, 24 Nov 2026 12:01:30 GMT"), "", Some(90.0));
        check(Some("Tue, 24 Nov 2026 11:00:00 GMT"), "", Some(0.0));
        check(Some("53.112ms"), "", Some(0.053112));
        check(Some("1m0.5s"), "", Some(60.5));
        check(None, "retry-after: 186.5ms, allowed: 44000/minute", Some(0.1865));
        check(None, "slow down. Retry-After: 3.", Some(3.0));
    }

    #[test]
    fn nonsense_is_no_wait_and_eternity_is_cut() {
        for nonsense in ["", "soon", "-5", "1.2.3s", "5 parsecs", "NaNs", "infs", "1e9s"] {
            check(Some(nonsense), "", None);
        }
        check(None, "retry-after:", None);
        check(None, "", None);
        check(Some("99999999999999999999999999"), "", Some(3600.0));
        check(Some("9999999999999999999999999999h"), "", Some(3600.0));
        check(Some("Tue, 24 Nov 2099 12:00:00 GMT"), "", Some(3600.0));
    }

    proptest::proptest! {
        #[test]
        fn any_text_gives_at_most_the_longest_wait(header in "[ -~]{0,40}", message: String) {
            let headers = HeaderMap::from_iter([(RETRY_AFTER, header.parse().unwrap())]);
            let body = serde_json::json!({"errors": [{"message": format!("retry-after: {message}")}]}).to_string();
            let found = wait(&headers, body.as_bytes(), DateTime::UNIX_EPOCH);
            proptest::prop_assert!(found.is_none_or(|wait| wait <= LONGEST));
        }
    }
}
