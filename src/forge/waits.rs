//! How long a host asks us to wait. In: an answer's headers. Out: a duration by the host's own clock. Pure; must never trust it
//! beyond [`LONGEST`].

use std::time::Duration;

use chrono::{DateTime, Utc};
use reqwest::header::{DATE, HeaderMap, RETRY_AFTER};

/// The longest wait that a host is granted.
const LONGEST: Duration = Duration::from_secs(3600);

/// Whether the calls of this hour are used up, as GitHub tells it.
pub(super) fn is_used_up(headers: &HeaderMap) -> bool {
    text(headers, "x-ratelimit-remaining") == Some("0")
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim)
}

/// `Retry-After`: seconds, or a date (RFC 9110 10.2.3). Else the second at which GitHub or GitLab count anew, once nothing is left.
/// Both by the host's own clock.
pub(super) fn wait(headers: &HeaderMap) -> Option<Duration> {
    let now = text(headers, DATE.as_str()).and_then(date);
    let until = |then: DateTime<Utc>| (then - now?).to_std().ok();
    let asked = match text(headers, RETRY_AFTER.as_str()) {
        Some(wait) => wait.parse().ok().map(Duration::from_secs).or_else(|| until(date(wait)?)),
        None => ["x-ratelimit-", "ratelimit-"].into_iter().find_map(|prefix| {
            let value = |name| text(headers, &format!("{prefix}{name}"));
            let reset = value("reset").filter(|_| value("remaining") == Some("0"))?;
            until(DateTime::from_timestamp(reset.parse().ok()?, 0)?)
        }),
    };
    asked.map(|asked| asked.min(LONGEST))
}

fn date(text: &str) -> Option<DateTime<Utc>> {
    DateTime::parse_from_rfc2822(text).ok().map(|date| date.to_utc())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(pairs: &[(&'static str, &str)], seconds: Option<u64>) {
        let mut headers: HeaderMap = [(DATE, "Tue, 24 Nov 2026 10:00:00 GMT".parse().unwrap())].into_iter().collect();
        headers.extend(pairs.iter().map(|(name, value)| (Some(name.parse().unwrap()), value.parse().unwrap())));
        assert_eq!(wait(&headers), seconds.map(Duration::from_secs), "{pairs:?}");
    }

    #[test]
    fn every_form_is_read() {
        check(&[("retry-after", "120")], Some(120));
        check(&[("retry-after", "Tue, 24 Nov 2026 10:01:30 GMT")], Some(90));
        check(&[("retry-after", "86400")], Some(3600));
        check(&[("retry-after", "soon")], None);
        check(&[("retry-after", "-1")], None);
        // 10:05:00
        check(&[("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "1795514700")], Some(300));
        check(&[("ratelimit-remaining", "0"), ("ratelimit-reset", "1795514700")], Some(300));
        check(&[("x-ratelimit-remaining", "12"), ("x-ratelimit-reset", "1795514700")], None);
        check(&[("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "1795510000")], None);
        check(&[], None);
    }
}
