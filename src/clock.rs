//! The clock. Flows read it once a run and pass `now` on; nothing else asks what time it is.
#![expect(clippy::disallowed_methods, reason = "this is the one place that reads the clock")]

use std::time::{Duration, Instant};

use chrono::{DateTime, SubsecRound, Utc};

/// One reading of the clock.
#[derive(Debug, Clone, Copy)]
pub struct Now {
    /// For people and statuses, in whole seconds, as Kubernetes writes times.
    pub wall: DateTime<Utc>,
    /// For intervals: never jumps.
    pub steady: Instant,
}

/// Reads the clock.
pub fn now() -> Now {
    Now { wall: Utc::now().trunc_subsecs(0), steady: Instant::now() }
}

impl Now {
    /// How long until `interval` has passed since `then`; zero when it has, or when there was no `then`.
    pub fn until(&self, then: Option<Instant>, interval: Duration) -> Duration {
        then.map_or(Duration::ZERO, |then| interval.saturating_sub(self.steady.saturating_duration_since(then)))
    }
}

/// Waits, where there is nothing to be woken by.
pub async fn pause(duration: Duration) {
    tokio::time::sleep(duration).await;
}
