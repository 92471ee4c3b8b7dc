//! Who looks at the same repository with the same credential shares one scan. In: callers. Out: one listing for all of them.
//! What nobody asked for in a while is forgotten; must never show a caller what another credential saw.

#![expect(clippy::disallowed_methods, reason = "the age of a listing")]

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::sync::Mutex as Turn;

use super::credential::Credential;
use super::error::{Error, Place};
use super::listing::{self, Memory};
use super::pool::{Pool, locked};
use super::session::Session;
use super::wire::World;
use super::{Access, Tags};

/// What nobody asked for in this time is forgotten, with its connections and tokens.
const IDLE: Duration = Duration::from_secs(3600);
/// How often we look for what to forget.
const SWEEP: Duration = Duration::from_secs(300);

/// All scans, and the sessions that they need.
pub(super) struct Scans {
    world: Arc<World>,
    sessions: Pool<(String, Option<Credential>), Session>,
    known: Mutex<Known>,
}

struct Known {
    scans: HashMap<Key, (Arc<Scan>, Instant)>,
    swept: Instant,
}

/// What makes two callers share: the registry's address, the repository's path, the credential.
type Key = (String, String, Option<Credential>);

/// The scan of one repository with one credential.
struct Scan {
    session: Arc<Session>,
    turn: Turn<State>,
    /// How many flights have ended.
    ended: AtomicU64,
}

#[derive(Default)]
struct State {
    memory: Memory,
    /// The last good listing, and when it was begun.
    good: Option<(Instant, Tags)>,
    /// Why the last flight failed, if it did.
    failed: Option<Error>,
}

impl Scans {
    pub(super) fn new(world: Arc<World>) -> Self {
        let known = Known { scans: HashMap::new(), swept: Instant::now() };
        Self { world, sessions: Pool::default(), known: Mutex::new(known) }
    }

    /// A listing that was begun less than `within` ago or after this call; at the latest after `timeout` an error.
    pub(super) async fn tags(&self, access: &Access, within: Duration, timeout: Duration) -> Result<Tags, Error> {
        let scan = self.scan(access, Instant::now())?;
        let flown = tokio::time::timeout(timeout, scan.fly(access, within)).await;
        flown.unwrap_or_else(|_| Err(scan.session.place(&access.repository).timeout()))
    }

    fn scan(&self, access: &Access, now: Instant) -> Result<Arc<Scan>, Error> {
        let repository = &access.repository;
        let place = Place { host: repository.host(), repository: repository.clone() };
        let base = Session::base(repository, access.insecure).map_err(|reason| place.malformed(reason))?;
        let key = (base.to_string(), repository.path(), access.credential.clone());
        let known = &mut *locked(&self.known);
        if now.saturating_duration_since(known.swept) >= SWEEP {
            known.swept = now;
            known
                .scans
                .retain(|_, (scan, used)| Arc::strong_count(scan) > 1 || now.saturating_duration_since(*used) < IDLE);
        }
        if let Some((scan, used)) = known.scans.get_mut(&key) {
            *used = now;
            return Ok(scan.clone());
        }
        let make = || Session::new(&self.world, base, access.credential.clone());
        let session = self.sessions.get((key.0.clone(), access.credential.clone()), make);
        let session = session.map_err(|reason| place.unreachable(reason))?;
        let scan = Arc::new(Scan { session, turn: Turn::default(), ended: AtomicU64::new(0) });
        known.scans.insert(key, (scan.clone(), now));
        Ok(scan)
    }
}

impl Scan {
    /// Waits for its turn. When somebody's flight ended meanwhile, its failure is ours too, and so is its listing if that is
    /// young enough. A flight that is dropped half-way has not ended: the next in line flies.
    async fn fly(&self, access: &Access, within: Duration) -> Result<Tags, Error> {
        let arrived = Instant::now();
        let ended = self.ended.load(Ordering::Acquire);
        let state = &mut *self.turn.lock().await;
        if let Some((begun, tags)) = &state.good
            && (*begun >= arrived || begun.elapsed() < within)
        {
            return Ok(tags.clone());
        }
        if let Some(error) = &state.failed
            && self.ended.load(Ordering::Acquire) != ended
        {
            return Err(error.clone());
        }
        let begun = Instant::now();
        let listed = listing::list(&self.session, &access.repository, &mut state.memory).await;
        state.failed = listed.as_ref().err().cloned();
        if let Ok(tags) = &listed {
            state.good = Some((begun, tags.clone()));
        }
        self.ended.fetch_add(1, Ordering::Release);
        listed
    }
}

#[cfg(test)]
impl Scans {
    /// As if nobody had called for this long; returns how many sessions are left.
    pub(super) fn after(&self, idle: Duration) -> usize {
        let now = Instant::now() + idle;
        let known = &mut *locked(&self.known);
        known
            .scans
            .retain(|_, (scan, used)| Arc::strong_count(scan) > 1 || now.saturating_duration_since(*used) < IDLE);
        self.sessions.living()
    }
}
