//! What a server says about how much it will still answer. In: the headers of an answer and the present time. Out: for how long
//! nothing more may be asked. Pure; must never trust it beyond an hour.

use std::time::Duration;

use chrono::{DateTime, Utc};
use reqwest::header::HeaderMap;

use super::retry_after::LONGEST;

/// A budget that is spent is tried again after this when nothing says when it is filled.
const UNTOLD: Duration = Duration::from_secs(60);
/// A reset above this is no number of seconds but a time (seconds since 1970), as GitHub has it.
const ERA: u64 = 1_000_000_000;
/// What is left of a budget, and when it is filled.
const HEADERS: [(&str, &str); 2] =
    [("ratelimit-remaining", "ratelimit-reset"), ("x-ratelimit-remaining", "x-ratelimit-reset")];

/// How long to wait, if the budget is spent: `RateLimit-Remaining: 0` with `RateLimit-Reset` (IETF draft
/// ratelimit-headers), with `X-` in front, or with a window behind (`0;w=21600`, Docker Hub).
pub(super) fn spent(headers: &HeaderMap, now: DateTime<Utc>) -> Option<Duration> {
    let number = |name: &str| headers.get(name).and_then(|value| first(value.to_str().ok()?));
    HEADERS.into_iter().find_map(|(remaining, reset)| {
        if number(remaining)? > 0 {
            return None;
        }
        let wait = match number(reset) {
            Some(time) if time > ERA => {
                let until = i64::try_from(time).ok().and_then(|time| DateTime::from_timestamp(time, 0))?;
                until.signed_duration_since(now).to_std().unwrap_or(Duration::ZERO)
            }
            Some(seconds) => Duration::from_secs(seconds),
            None => UNTOLD,
        };
        Some(wait.min(LONGEST))
    })
}

/// The number before the first parameter or item.
fn first(value: &str) -> Option<u64> {
    value.split([';', ',']).next()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(headers: &[(&'static str, &str)], expected: Option<u64>) {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.insert(*name, value.parse().unwrap());
        }
        let now = "2026-11-24T12:00:00Z".parse().unwrap();
        assert_eq!(spent(&map, now), expected.map(Duration::from_secs), "{headers:?}");
    }

    #[test]
    fn a_spent_budget_is_seen_in_every_spelling() {
        check(&[("ratelimit-remaining", "0"), ("ratelimit-reset", "30")], Some(30));
        check(&[("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "1795521690")], Some(90));
        check(&[("ratelimit-remaining", "0;w=21600"), ("ratelimit-limit", "100;w=21600")], Some(60));
        check(&[("ratelimit-remaining", " 0 , 7")], Some(60));
        check(&[("ratelimit-remaining", "0"), ("ratelimit-reset", "soon")], Some(60));
        check(&[("ratelimit-remaining", "0"), ("ratelimit-reset", "999999")], Some(3600));
        check(&[("ratelimit-remaining", "0"), ("ratelimit-reset", "1500000000")], Some(0));
    }

    #[test]
    fn what_is_left_or_unreadable_is_no_reason_to_wait() {
        check(&[], None);
        check(&[("ratelimit-remaining", "76;w=21600")], None);
        check(&[("ratelimit-remaining", "1"), ("ratelimit-reset", "30")], None);
        check(&[("ratelimit-remaining", "-1")], None);
        check(&[("ratelimit-remaining", "none")], None);
        check(&[("ratelimit-reset", "30")], None);
    }
}
