//! Every caller's sessions. In: an access. Out: the one session that all who share its key use. What nobody uses is forgotten,
//! with its connections and tokens; must never give one caller another's.

use std::sync::{Arc, Mutex};

use super::Access;
use super::caller::Caller;
use super::error::{Error, Place};
use super::kept::Kept;
use super::pool::locked;
use super::session::Session;
use super::wire::World;

/// How many sessions are kept at most.
const SESSIONS: usize = 10_000;

/// What makes two callers share: the registry's host and how it is spoken to, and all that is the caller's own.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) struct Key {
    host: String,
    insecure: bool,
    caller: Caller,
}

/// All sessions.
pub(super) struct Sessions {
    world: Arc<World>,
    known: Mutex<Kept<Key, Arc<Session>>>,
}

impl Sessions {
    pub(super) fn new(world: Arc<World>) -> Self {
        Self { world, known: Mutex::new(Kept::new(SESSIONS)) }
    }

    /// The session of an access, and its key.
    pub(super) fn get(&self, access: &Access) -> Result<(Key, Arc<Session>), Error> {
        let repository = &access.repository;
        let caller = Caller::of(access);
        let key = Key { host: repository.host().to_owned(), insecure: access.insecure, caller };
        if let Some(session) = locked(&self.known).get(&key) {
            return Ok((key, session));
        }
        let place = Place { host: repository.host(), repository, credential: access.credential.as_ref() };
        let base = Session::base(repository, access.insecure).map_err(|reason| place.malformed(reason))?;
        // Reading the system's authorities takes its time: nobody waits for it but this caller.
        let made = Session::new(self.world.clone(), base, key.caller.clone());
        let made = made.map_err(|reason| place.unreachable(reason))?;
        let known = &mut *locked(&self.known);
        let session = known.get(&key).unwrap_or_else(|| Arc::new(made));
        known.put(key.clone(), session.clone());
        Ok((key, session))
    }

    /// As if nobody had called for this long; returns how many sessions are left.
    #[cfg(test)]
    pub(super) fn after(&self, idle: std::time::Duration) -> usize {
        locked(&self.known).after(idle)
    }
}
