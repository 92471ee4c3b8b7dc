//! What was obtained is used until shortly before it ends, and who asks at the same time shares one flight. In: whose login
//! where, and how to get it. Out: a credential. Keeps no failure; must never give one subject's credential to another.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use tokio::sync::Mutex as Turn;

use super::local::{self, Now};
use super::{Error, Provider};
use crate::registry::Credential;
use crate::registry::kept::Kept;
use crate::registry::pool::locked;

/// How many logins are kept at most.
const LOGINS: usize = 1024;
/// Nothing is used in the last part of its life, as clocks differ and a scan takes time.
const RESERVE: Duration = Duration::from_secs(60);
/// Nothing is kept for longer, whatever was promised: ECR's twelve hours are the longest of all.
const LONGEST: Duration = Duration::from_secs(12 * 3600);

/// Whose login where. Everything that the login depends on is in it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Key {
    pub provider: Provider,
    /// As far as a login reaches: a region, a registry.
    pub place: String,
    /// The subject's key.
    pub subject: String,
    /// What the subject is in the cloud, from its annotations.
    pub identity: String,
}

/// A credential, fresh from the cloud.
#[derive(Debug)]
pub(super) struct Login {
    pub credential: Credential,
    /// When it ends.
    pub ends: DateTime<Utc>,
    /// Which step gave it.
    pub step: String,
}

/// All logins.
pub(super) struct Logins(Mutex<Kept<Key, Arc<Seat>>>);

impl Default for Logins {
    fn default() -> Self {
        Self(Mutex::new(Kept::new(LOGINS)))
    }
}

#[derive(Default)]
struct Seat {
    turn: Turn<Option<Outcome>>,
    /// How many flights have ended.
    ended: AtomicU64,
}

/// What the last flight brought, and until when it is used.
struct Outcome {
    result: Result<Credential, Error>,
    until: Option<Instant>,
}

impl Logins {
    /// A login that is still good, or what `flight` brings. Whoever waited for a flight takes its outcome, also a failure.
    pub(super) async fn get(
        &self,
        key: Key,
        flight: impl Future<Output = Result<Login, Error>>,
    ) -> Result<Credential, Error> {
        let seat = locked(&self.0).get_or_default(key);
        let seen = seat.ended.load(Ordering::Acquire);
        let mut turn = seat.turn.lock().await;
        if let Some(outcome) = &*turn {
            let good = outcome.until.is_some_and(|until| local::now().steady < until);
            if good || seat.ended.load(Ordering::Acquire) != seen {
                return outcome.result.clone();
            }
        }
        *turn = None;
        let outcome = outcome(flight.await, local::now());
        let result = outcome.result.clone();
        *turn = Some(outcome);
        seat.ended.fetch_add(1, Ordering::Release);
        result
    }

    /// The next caller gets a new one, even when one is on its way.
    pub(super) fn forget(&self, key: &Key) {
        locked(&self.0).remove(key);
    }
}

fn outcome(flown: Result<Login, Error>, now: Now) -> Outcome {
    let failed = |error| Outcome { result: Err(error), until: None };
    let login = match flown {
        Ok(login) => login,
        Err(error) => return failed(error),
    };
    match (login.ends - now.wall).to_std() {
        Ok(life) if !life.is_zero() => Outcome { result: Ok(login.credential), until: Some(now.steady + usable(life)) },
        _ => failed(Error::Malformed {
            step: login.step,
            reason: "what it gave has already ended: check the clock of this machine".to_owned(),
        }),
    }
}

/// For how long something is used that lives this long: 80 % of it, as in Flux, and never in its last minute.
fn usable(life: Duration) -> Duration {
    (life * 4 / 5).min(life.saturating_sub(RESERVE)).min(LONGEST)
}

#[cfg(test)]
mod tests;
