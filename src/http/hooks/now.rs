//! The webhooks' clock.
#![expect(clippy::disallowed_methods, reason = "a request from outside has no other")]

use chrono::{DateTime, Utc};

/// Reads the clock.
pub fn now() -> DateTime<Utc> {
    Utc::now()
}
