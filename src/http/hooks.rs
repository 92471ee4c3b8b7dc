//! Webhooks. In: what hooks there are, and requests from anywhere. Out: wakes, each meaning "look now" and nothing more.
//! What a payload says of tags and digests never leaves; what is not genuine is not read.

mod counts;
mod door;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod keys;
mod now;
mod payload;
mod proof;
mod replay;
mod secret;
mod subject;
mod table;
mod token;

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::http::HeaderMap;
use chrono::{DateTime, Utc};
use ring::rand::{SecureRandom, SystemRandom};
use sha2::{Digest, Sha256};
use tokio::sync::Semaphore;

use crate::api::webhook::Sender;
use keys::Keys;
use proof::Proof;
use replay::WINDOW;
use table::{Hashed, Known, Owned, Table};

pub use counts::Counts;
pub use door::{LARGEST_BODY, PATIENCE, knock};
pub use payload::{Event, Malformed, Named, parse};
pub use secret::{Incomplete, Secret, path};
pub use subject::Subject;

/// Where Google publishes the keys that sign its identity tokens.
pub const GOOGLE_KEYS: &str = "https://www.googleapis.com/oauth2/v3/certs";

/// Bodies of known paths that are read at once; each takes up to [`LARGEST_BODY`].
const MOST_BODIES: usize = 64;
/// Bodies of unknown paths that are read, and forgotten, at once.
const MOST_STRANGERS: usize = 16;

/// A hook of one object.
pub struct Hook {
    /// What [`path`] gives.
    pub path: String,
    /// Who sends.
    pub sender: Sender,
    /// What the sender knows.
    pub secret: Secret,
    /// What a webhook must name.
    pub subject: Subject,
    /// Who hears it; hooks may share an audience, and those of it need no hook of their own.
    pub audience: String,
    /// Called when there is news; must not block.
    pub wake: Arc<dyn Fn() + Send + Sync>,
}

/// All hooks. A clone is the same hooks.
#[derive(Clone)]
pub struct Hooks(Arc<Inner>);

struct Inner {
    salt: [u8; 32],
    table: Mutex<Table>,
    keys: Keys,
    bodies: Semaphore,
    strangers: Semaphore,
    patience: Duration,
    counts: Mutex<Counts>,
}

/// What a request was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// No such path, or not proved.
    Unknown,
    /// Proved, but not what this type sends.
    Malformed,
    /// Proved, whatever it names.
    Genuine,
}

impl Hooks {
    /// No hooks yet. `google_keys` is where the keys of Google's tokens are, usually [`GOOGLE_KEYS`].
    pub fn new(google_keys: impl Into<String>) -> Self {
        Self::with_patience(google_keys, PATIENCE)
    }

    pub(super) fn with_patience(google_keys: impl Into<String>, patience: Duration) -> Self {
        let mut salt = [0; 32];
        SystemRandom::new().fill(&mut salt).expect("the system has random bytes: TLS needs them too");
        Self(Arc::new(Inner {
            salt,
            table: Mutex::default(),
            keys: Keys::new(google_keys.into()),
            bodies: Semaphore::new(MOST_BODIES),
            strangers: Semaphore::new(MOST_STRANGERS),
            patience,
            counts: Mutex::default(),
        }))
    }

    /// Sets or replaces the hook of an owner (its uid). What was heard stays known.
    pub fn set(&self, owner: &str, hook: Hook) {
        let path = self.hashed(&hook.path);
        let Hook { sender, secret, subject, audience, wake, .. } = hook;
        let known = Arc::new(Known { sender, secret, subject, audience, wake });
        let mut table = self.table();
        table.leave(owner);
        match table.owners.get_mut(owner) {
            Some(owned) => (owned.path, owned.known) = (path, known),
            None => {
                table.owners.insert(owner.to_owned(), Owned::new(path, known));
            }
        }
        table.paths.entry(path).or_default().insert(owner.to_owned());
    }

    /// Forgets an owner.
    pub fn remove(&self, owner: &str) {
        let mut table = self.table();
        table.leave(owner);
        table.owners.remove(owner);
    }

    /// Forgets the owners that are not among the living, and the audiences that no hook has any more.
    pub fn retain(&self, living: &HashSet<String>) {
        let gone: Vec<String> = self.table().owners.keys().filter(|owner| !living.contains(*owner)).cloned().collect();
        gone.iter().for_each(|owner| self.remove(owner));
        let Table { owners, audiences, .. } = &mut *self.table();
        let named: HashSet<&String> = owners.values().map(|owned| &owned.known.audience).collect();
        audiences.retain(|audience, _| named.contains(audience));
    }

    /// The number of the last webhook that brought news for this audience, of all that brought news since the start; 0 for none.
    pub fn rung(&self, audience: &str) -> u64 {
        self.table().audiences.get(audience).map(|audience| audience.rung).unwrap_or_default()
    }

    /// To be called when one of the audience STARTS a scan: what rings from now on wakes again. Gives the same as [`Hooks::rung`]; if
    /// that is a greater number when the scan has ended, something came meanwhile that the scan may have missed.
    pub fn seen(&self, audience: &str) -> u64 {
        let mut table = self.table();
        let Some(audience) = table.audiences.get_mut(audience) else { return 0 };
        audience.is_awake = false;
        audience.rung
    }

    /// What became of the requests.
    pub fn counts(&self) -> Counts {
        *lock(&self.0.counts)
    }

    /// Takes a whole request to `path`: proves it, and only then reads the body and rings for whom it names.
    pub async fn receive(&self, path: &str, headers: &HeaderMap, body: &[u8], now: DateTime<Utc>) -> Verdict {
        let mut verdict = Verdict::Unknown;
        let owners = self.table().at(&self.hashed(path));
        for (owner, known) in owners {
            if !self.is_genuine(&known, headers, body, now).await {
                continue;
            }
            match parse(known.sender, headers, body) {
                Ok(events) => {
                    verdict = Verdict::Genuine;
                    self.ring(&owner, &known, &events, body, now);
                }
                Err(error) => {
                    tracing::debug!(sender = ?known.sender, "{error}");
                    verdict = if verdict == Verdict::Genuine { verdict } else { Verdict::Malformed };
                }
            }
        }
        self.count(|counts| match verdict {
            Verdict::Unknown => &mut counts.unknown,
            Verdict::Malformed => &mut counts.malformed,
            Verdict::Genuine => &mut counts.genuine,
        });
        verdict
    }

    async fn is_genuine(&self, known: &Known, headers: &HeaderMap, body: &[u8], now: DateTime<Utc>) -> bool {
        match proof::of(known.sender, &known.secret, headers, body) {
            Proof::Known(genuine) => genuine,
            Proof::Google(token) => {
                let (Some(audience), Some(email)) = (known.secret.get("audience"), known.secret.get("email")) else {
                    return false;
                };
                let Some(name) = token::key_name(&token) else { return false };
                let key = self.0.keys.find(&name, now).await;
                key.is_some_and(|key| token::is_genuine(&token, &key, audience, email, now))
            }
        }
    }

    /// Wakes the audience if one of the events is news for the owner.
    fn ring(&self, owner: &str, known: &Arc<Known>, events: &[Event], body: &[u8], now: DateTime<Utc>) {
        let ours: Vec<&Event> = events.iter().filter(|event| known.subject.is_of(event)).collect();
        let (recent, old): (Vec<&Event>, Vec<&Event>) =
            ours.into_iter().partition(|event| event.at.is_none_or(|at| now - at <= WINDOW));
        if recent.is_empty() {
            if !old.is_empty() {
                self.count(|counts| &mut counts.old);
            }
            return;
        }
        let wakes = {
            let mut table = self.table();
            // It may have been replaced while we waited for keys; then it was for one that is no more.
            let Some(owned) = table.owners.get_mut(owner).filter(|owned| Arc::ptr_eq(&owned.known, known)) else {
                return;
            };
            if !owned.is_news(&recent, body, now) {
                self.count(|counts| &mut counts.repeated);
                return;
            }
            table.ring(&known.audience)
        };
        // Outside of the lock: whoever is woken may ask us something.
        if wakes {
            self.count(|counts| &mut counts.wakes);
            (known.wake)();
        }
    }

    fn is_known(&self, path: &str) -> bool {
        self.table().paths.contains_key(&self.hashed(path))
    }

    fn slots(&self, is_known: bool) -> &Semaphore {
        if is_known { &self.0.bodies } else { &self.0.strangers }
    }

    fn patience(&self) -> Duration {
        self.0.patience
    }

    fn count(&self, of: impl FnOnce(&mut Counts) -> &mut u64) {
        *of(&mut lock(&self.0.counts)) += 1;
    }

    fn hashed(&self, path: &str) -> Hashed {
        Sha256::new().chain_update(self.0.salt).chain_update(path).finalize().into()
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        lock(&self.0.table)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
