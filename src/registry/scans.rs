//! Who looks at the same repository in the same way shares one scan. In: callers. Out: one listing for all of them.
//! What nobody asked for in a while is forgotten; must never show a caller what another one saw.

#![expect(clippy::disallowed_methods, reason = "the age of a listing")]

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::sync::Mutex as Turn;

use super::error::Error;
use super::kept::Kept;
use super::listing::{self, Memory};
use super::pool::locked;
use super::session::Session;
use super::sessions::{self, Sessions};
use super::{Access, Tags};

/// How many repositories are kept at most, each with its list.
const SCANS: usize = 100_000;

/// All scans, and the sessions that they need.
pub(super) struct Scans {
    sessions: Arc<Sessions>,
    known: Mutex<Kept<Key, Arc<Scan>>>,
}

/// What makes two callers share: the session and the repository's path.
type Key = (sessions::Key, String);

/// The scan of one repository with one credential.
#[derive(Default)]
struct Scan {
    turn: Turn<State>,
    /// How many flights have ended.
    ended: AtomicU64,
}

#[derive(Default)]
struct State {
    memory: Memory,
    /// The last good listing.
    good: Option<Tags>,
    /// Why the last flight failed, if it did.
    failed: Option<Error>,
}

impl Scans {
    pub(super) fn new(sessions: Arc<Sessions>) -> Self {
        Self { sessions, known: Mutex::new(Kept::new(SCANS)) }
    }

    /// A listing that was begun less than `within` ago or after this call; at the latest after `timeout` an error.
    pub(super) async fn tags(&self, access: &Access, within: Duration, timeout: Duration) -> Result<Tags, Error> {
        let (key, session) = self.sessions.get(access)?;
        let scan = locked(&self.known).get_or_default((key, access.repository.path().to_owned()));
        super::in_time(timeout, &session, access, scan.fly(&session, access, within)).await
    }
}

impl Scan {
    /// Waits for its turn. When somebody's flight ended meanwhile, its failure is ours too, and so is its listing if that is
    /// young enough. A flight that is dropped half-way has not ended: the next in line flies.
    async fn fly(&self, session: &Session, access: &Access, within: Duration) -> Result<Tags, Error> {
        let arrived = Instant::now();
        let ended = self.ended.load(Ordering::Acquire);
        let state = &mut *self.turn.lock().await;
        if let Some(tags) = &state.good
            && (tags.begun >= arrived || tags.begun.elapsed() < within)
        {
            return Ok(tags.clone());
        }
        if let Some(error) = &state.failed
            && self.ended.load(Ordering::Acquire) != ended
        {
            return Err(error.clone());
        }
        let listed = listing::list(session, &access.repository, &mut state.memory, Instant::now()).await;
        state.failed = listed.as_ref().err().cloned();
        if let Ok(tags) = &listed {
            state.good = Some(tags.clone());
        }
        self.ended.fetch_add(1, Ordering::Release);
        listed
    }
}

#[cfg(test)]
impl Scans {
    /// As if nobody had called for this long; returns how many scans are left.
    pub(super) fn after(&self, idle: Duration) -> usize {
        locked(&self.known).after(idle)
    }
}
