//! Noun: a window that opens again and again. Schedule, length and zone come in; at a given time it is open, and it says when it
//! opens or closes next.
//!
//! Schedules are cron's five fields on the clock of a time zone. Where that clock is put forward, a start that falls into the
//! gap comes right after it; where it is put back, a start at one time of the day comes at its first reading. A window's length is real time, not clock time.

use std::fmt;

use chrono::{DateTime, Utc};
use croner::Cron;
use croner::parser::{CronParser, Seconds, Year};
use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};

use crate::api::duration::Span;

/// The longest window: one that is longer is none.
const LONGEST: std::time::Duration = std::time::Duration::from_secs(366 * 24 * 3600);

/// How far the starts of an open window are followed to see when it closes.
const FOLLOWED: jiff::SignedDuration = jiff::SignedDuration::from_hours(24);

/// A window that can be asked.
#[derive(Debug, Clone)]
pub struct Window {
    cron: Cron,
    zone: TimeZone,
    duration: jiff::SignedDuration,
    text: Box<str>,
}

/// What is wrong with a window.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flaw {
    /// `schedule`, `duration` or `timezone`.
    pub field: &'static str,
    /// What is wrong with it.
    pub reason: String,
}

impl Window {
    /// Reads a window: when it opens as cron's five fields, for how long it stays open, and the schedule's time zone (UTC when
    /// absent).
    ///
    /// # Errors
    /// When a field can't be read, or when the schedule never comes true.
    pub fn parse(schedule: &str, length: Span, timezone: Option<&str>) -> Result<Self, Flaw> {
        let flaw = |field, reason: String| Flaw { field, reason };
        let parser = CronParser::builder().seconds(Seconds::Disallowed).year(Year::Disallowed).build();
        let cron = parser
            .parse(schedule)
            .map_err(|error| flaw("schedule", format!("{schedule:?} is no schedule of cron: {error}")))?;
        if length.0.is_zero() || length.0 > LONGEST {
            return Err(flaw("duration", format!("{length} is not between 1ms and 366 days")));
        }
        let name = timezone.unwrap_or("UTC");
        let zone = TimeZone::get(name)
            .map_err(|_| flaw("timezone", format!("{name:?} is no time zone such as Europe/Berlin")))?;
        let duration = jiff::SignedDuration::try_from(length.0).map_err(|error| flaw("duration", error.to_string()))?;
        let window = Self { cron, zone, duration, text: format!("{schedule} for {length} ({name})").into() };
        // Any time will do: a schedule such as 31 February never comes.
        match window.start_after(DateTime::UNIX_EPOCH) {
            Some(_) => Ok(window),
            None => Err(flaw("schedule", format!("{schedule:?} never comes"))),
        }
    }

    /// Whether it is open at this time: it opened before or just now, and has not closed yet.
    pub fn is_open(&self, now: DateTime<Utc>) -> bool {
        let Some(now) = self.zoned(now) else { return false };
        let last = self.cron.find_previous_occurrence(&now, true);
        last.is_ok_and(|start| now.timestamp().duration_since(start.timestamp()) < self.duration)
    }

    /// When it opens next, after this time.
    pub fn start_after(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let next = self.cron.find_next_occurrence(&self.zoned(now)?, false).ok()?;
        DateTime::from_timestamp(next.timestamp().as_second(), 0)
    }

    /// When it closes, if it is open at this time; starts in between keep it open. Of one that stays open for more than a
    /// day, a time at which it is open still.
    pub fn end(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let now = self.zoned(now)?;
        let mut start = self.cron.find_previous_occurrence(&now, true).ok()?;
        if now.timestamp().duration_since(start.timestamp()) >= self.duration {
            return None;
        }
        while start.timestamp().duration_since(now.timestamp()) < FOLLOWED {
            let next = self.cron.find_next_occurrence(&start, false).ok();
            match next.filter(|next| next.timestamp().duration_since(start.timestamp()) <= self.duration) {
                Some(next) => start = next,
                None => break,
            }
        }
        // Times are whole seconds.
        let length = self.duration.as_secs() + i64::from(self.duration.subsec_nanos() > 0);
        DateTime::from_timestamp(start.timestamp().as_second() + length, 0)
    }

    fn zoned(&self, time: DateTime<Utc>) -> Option<Zoned> {
        Some(Timestamp::from_second(time.timestamp()).ok()?.to_zoned(self.zone.clone()))
    }
}

impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// When the first of these windows opens; nothing when one is open already, or when there is none at all.
pub fn opens(windows: &[Window], now: DateTime<Utc>) -> Option<DateTime<Utc>> {
    if windows.iter().any(|window| window.is_open(now)) {
        return None;
    }
    windows.iter().filter_map(|window| window.start_after(now)).min()
}

#[cfg(test)]
mod tests;
