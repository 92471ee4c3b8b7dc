//! Whether it is time to look at a registry. What happened before and the time come in; the reasons to look now come out, or how
//! long to wait for the next one.
//!
//! All policies of one image with one login keep the same pace, so that one scan serves them; those of different images keep
//! different ones, and after a restart they begin one after the other, so that no registry is asked for everything at once.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};

/// How often a registry is asked at most, however many webhooks come.
const SHORTEST_PAUSE: Duration = Duration::from_secs(1);
/// Over how long the first looks after a restart are spread, at most.
const LONGEST_SPREAD: Duration = Duration::from_secs(5);

/// What happened to a policy so far.
#[derive(Debug, Clone, Copy)]
pub struct Past {
    /// When the controller started.
    pub started: Instant,
    /// When the registry was last asked; not since the start when none.
    pub asked: Option<Instant>,
    /// Failures in a row.
    pub failures: u32,
    /// Whether the object is as it was when it was last looked at, before a restart or after it.
    pub is_same: bool,
    /// Whether a choice was made from it, before a restart or after it.
    pub is_decided: bool,
    /// Whether a person asks.
    pub is_asked_for: bool,
    /// Whether a webhook came since the registry was asked.
    pub is_heard: bool,
    /// When a gate opens.
    pub opens: Option<DateTime<Utc>>,
}

/// The pace of one image and login.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// How often it is asked for: the interval, or up to a tenth less.
    pub interval: Duration,
    /// How long after a restart it is asked for first.
    spread: Duration,
}

impl Pace {
    /// The pace of what has this key.
    pub fn new(interval: Duration, key: impl Hash) -> Self {
        let mut hasher = DefaultHasher::new();
        key.hash(&mut hasher);
        let part = f64::from(u32::try_from(hasher.finish() >> 32).unwrap_or_default()) / f64::from(u32::MAX);
        Self {
            interval: interval - interval.mul_f64(part / 10.0),
            spread: (interval / 10).min(LONGEST_SPREAD).mul_f64(part),
        }
    }

    /// When the interval is over.
    fn due(&self, past: &Past) -> Instant {
        match past.asked {
            Some(asked) => asked + self.interval,
            None if past.is_decided => past.started + self.spread,
            None => past.started,
        }
    }
}

/// Why it is time to look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Occasion {
    /// The interval is over, or the look before failed.
    pub is_due: bool,
    /// A person asks, or a webhook came: what was just announced is in no list that was read before.
    pub is_news: bool,
    /// The object changed, or a gate opened: a list that was read before will do.
    pub is_other: bool,
}

impl Occasion {
    /// The reasons to look now; none when it isn't time.
    pub fn of(past: &Past, pace: &Pace, now: (DateTime<Utc>, Instant)) -> Option<Self> {
        let has_paused = past.asked.is_none_or(|asked| now.1 >= asked + SHORTEST_PAUSE);
        let occasion = Self {
            is_due: past.failures > 0 || now.1 >= pace.due(past),
            is_news: past.is_asked_for || (past.is_heard && has_paused),
            is_other: !past.is_same || past.opens.is_some_and(|opens| opens <= now.0),
        };
        (occasion.is_due || occasion.is_news || occasion.is_other).then_some(occasion)
    }

    /// Whether the registry is asked; else a list that was read before serves, if it is young enough.
    pub fn asks(&self) -> bool {
        self.is_due || self.is_news
    }

    /// How old a list may be that somebody else has read.
    pub fn within(&self, pace: &Pace) -> Duration {
        if self.is_news { Duration::ZERO } else { pace.interval * 3 / 4 }
    }
}

/// How long until there is something to do.
pub fn wait(past: &Past, pace: &Pace, now: (DateTime<Utc>, Instant)) -> Duration {
    let mut wait = pace.due(past).saturating_duration_since(now.1);
    if let Some(opens) = past.opens {
        // The wall clock is read in whole seconds.
        wait = wait.min((opens - now.0).to_std().unwrap_or_default() + Duration::from_millis(20));
    }
    if past.is_heard {
        wait = wait
            .min(past.asked.map_or(Duration::ZERO, |asked| (asked + SHORTEST_PAUSE).saturating_duration_since(now.1)));
    }
    wait.max(Duration::from_millis(20))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn past(started: Instant, asked: Option<Instant>) -> Past {
        Past {
            started,
            asked,
            failures: 0,
            is_same: true,
            is_decided: true,
            is_asked_for: false,
            is_heard: false,
            opens: None,
        }
    }

    #[test]
    fn what_is_alike_keeps_one_pace_and_what_is_not_is_spread() {
        let paces: Vec<Pace> = (0..1000).map(|key| Pace::new(MINUTE, key)).collect();
        assert_eq!(paces[7], Pace::new(MINUTE, 7));
        assert!(paces.iter().all(|pace| (MINUTE * 9 / 10..=MINUTE).contains(&pace.interval)));
        let early = paces.iter().filter(|pace| pace.spread < LONGEST_SPREAD / 2).count();
        assert!((400..600).contains(&early), "{early} of 1000 in the first half");
    }

    #[test]
    fn the_interval_a_person_a_webhook_or_a_gate_is_a_reason_to_look() {
        let (start, wall) = (crate::clock::now().steady, DateTime::from_timestamp(1_800_000_000, 0).unwrap());
        let pace = Pace::new(MINUTE, "app");
        let check = |name: &str, change: &dyn Fn(&mut Past), after: u64, expected: Option<(bool, bool, bool)>| {
            let mut past = past(start, Some(start));
            change(&mut past);
            let now = (wall + chrono::TimeDelta::seconds(after.cast_signed()), start + Duration::from_secs(after));
            let found = Occasion::of(&past, &pace, now).map(|found| (found.is_due, found.is_news, found.is_other));
            assert_eq!(found, expected, "{name}");
            if found.is_none() {
                let later = wait(&past, &pace, now);
                let then = (now.0 + chrono::TimeDelta::from_std(later).unwrap(), now.1 + later);
                assert!(Occasion::of(&past, &pace, then).is_some(), "{name}: {later:?} later");
            }
        };
        check("too early", &|_| {}, 30, None);
        check("the interval", &|_| {}, 60, Some((true, false, false)));
        check("a failure", &|past| past.failures = 1, 1, Some((true, false, false)));
        check("a person", &|past| past.is_asked_for = true, 1, Some((false, true, false)));
        check("a webhook", &|past| past.is_heard = true, 2, Some((false, true, false)));
        check("a webhook in a flood", &|past| past.is_heard = true, 0, None);
        check("a change", &|past| past.is_same = false, 1, Some((false, false, true)));
        check("a gate", &|past| past.opens = Some(wall + chrono::TimeDelta::seconds(5)), 4, None);
        check(
            "an open gate",
            &|past| past.opens = Some(wall + chrono::TimeDelta::seconds(5)),
            5,
            Some((false, false, true)),
        );
    }

    #[test]
    fn after_a_restart_what_is_decided_waits_for_its_turn_and_what_is_not_does_not() {
        let (start, wall) = (crate::clock::now().steady, DateTime::from_timestamp(0, 0).unwrap());
        let late = (0..).map(|key| Pace::new(MINUTE, key)).find(|pace| pace.spread > LONGEST_SPREAD / 2).unwrap();
        let restarted = past(start, None);
        assert_eq!(Occasion::of(&restarted, &late, (wall, start)), None);
        assert!(Occasion::of(&restarted, &late, (wall, start + LONGEST_SPREAD)).is_some());
        assert!(Occasion::of(&Past { is_decided: false, ..restarted }, &late, (wall, start)).is_some());
    }
}
