//! `gates.windows`. Input: a schedule, a duration, a time zone (or nothing), a time in seconds since 1970.

use chrono::{DateTime, TimeDelta, Utc};
use tagboat::api::duration::Span;
use tagboat::window::{Window, opens};

use super::lines;

pub fn run(input: &[u8]) {
    let mut lines = lines(input);
    let mut next = || lines.next().unwrap_or_default();
    let (schedule, duration, timezone, now) = (next(), next(), next(), next());
    // The schema's limit.
    if schedule.len() > 256 {
        return;
    }
    let Ok(duration) = duration.parse::<Span>() else { return };
    assert_eq!(duration.to_string().parse::<Span>().map(|again| again.0.as_millis()), Ok(duration.0.as_millis()));
    let timezone = (!timezone.is_empty()).then_some(timezone);
    let Ok(window) = Window::parse(schedule, duration, timezone) else { return };
    let now = now.parse().ok().and_then(|seconds: u32| DateTime::from_timestamp(seconds.into(), 0));
    let Some(now) = now else { return };
    let is_open = window.is_open(now);
    let windows = [window];
    let opens = opens(&windows, now);
    let [window] = windows;
    let start = window.start_after(now);
    assert_eq!(opens, start.filter(|_| !is_open));
    if let Some(start) = start {
        check(&window, now, start, duration);
    }
}

/// Between now and the next start nothing opens; at the start it is open, at least to the end of its first second.
fn check(window: &Window, now: DateTime<Utc>, start: DateTime<Utc>, duration: Span) {
    let second = TimeDelta::seconds(1);
    assert!(start > now, "it opens later");
    assert!(window.is_open(start), "it is open when it opens");
    if !window.is_open(now) && start - now > second {
        assert!(!window.is_open(start - second), "it opened before it opens");
        assert!(!window.is_open(now + (start - now) / 2), "it opened in between");
    }
    assert_eq!(window.start_after(start - second), Some(start), "the same from a second before");
    // Not longer than it lasts: from the end on it is open only where it opened again.
    // It lasts whole seconds.
    let seconds = duration.0.as_millis().div_ceil(1000).try_into().unwrap_or(i64::MAX);
    let Some(end) = TimeDelta::try_seconds(seconds).and_then(|length| start.checked_add_signed(length)) else { return };
    if window.start_after(start).is_none_or(|next| next > end) {
        assert!(!window.is_open(end), "it closes");
    }
}
