//! Webhooks. In: what hooks there are, and requests from anywhere. Out: wakes, each meaning "look now" and nothing more.
//! What a payload says of tags and digests never leaves; what is not genuine is not read.

mod door;
mod keys;
mod now;
mod payload;
mod proof;
mod replay;
mod secret;
mod token;

use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::http::HeaderMap;
use chrono::{DateTime, Utc};
use ring::rand::{SecureRandom, SystemRandom};
use sha2::{Digest, Sha256};
use tokio::sync::Semaphore;

use crate::api::webhook::WebhookType;
use crate::image::Repository;
use keys::Keys;
use payload::Target;
use proof::Proof;
use replay::{Heard, WINDOW};

pub use door::{LARGEST_BODY, PATIENCE, knock};
pub use payload::{Event, Malformed, Named, parse};
pub use secret::{Incomplete, Secret, path};

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
    pub kind: WebhookType,
    /// What the sender knows.
    pub secret: Secret,
    /// What a webhook must name.
    pub repository: Repository,
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
    counts: Counters,
}

#[derive(Default)]
struct Table {
    owners: HashMap<String, Owned>,
    /// By the salted hash of the path, so that no comparison is one of paths. Two kinds of objects may share a path.
    paths: HashMap<Hashed, BTreeSet<String>>,
}

type Hashed = [u8; 32];

struct Owned {
    path: Hashed,
    known: Arc<Known>,
    /// How many webhooks brought news.
    rung: u64,
    /// Whether `wake` was called and not seen yet.
    is_awake: bool,
    heard: Heard,
}

struct Known {
    kind: WebhookType,
    secret: Secret,
    target: Target,
    wake: Arc<dyn Fn() + Send + Sync>,
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

#[derive(Default)]
struct Counters {
    genuine: AtomicU64,
    unknown: AtomicU64,
    malformed: AtomicU64,
    old: AtomicU64,
    repeated: AtomicU64,
    unread: AtomicU64,
    busy: AtomicU64,
    wakes: AtomicU64,
}

/// How many requests there were since the start, by what became of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Proved.
    pub genuine: u64,
    /// Of no known path, or not proved.
    pub unknown: u64,
    /// Proved, but not what their type sends.
    pub malformed: u64,
    /// Proved, but what they told was too long ago.
    pub old: u64,
    /// Proved, but told before.
    pub repeated: u64,
    /// Too large, too slow, or broken off.
    pub unread: u64,
    /// Turned away, as too many were being read.
    pub busy: u64,
    /// Wakes; many webhooks between two scans make one.
    pub wakes: u64,
}

impl Hooks {
    /// No hooks yet. `google_keys` is where the keys of Google's tokens are, usually [`GOOGLE_KEYS`].
    pub fn new(google_keys: impl Into<String>) -> Self {
        Self::with_patience(google_keys, PATIENCE)
    }

    fn with_patience(google_keys: impl Into<String>, patience: Duration) -> Self {
        let mut salt = [0; 32];
        SystemRandom::new().fill(&mut salt).expect("the system has random bytes: TLS needs them too");
        Self(Arc::new(Inner {
            salt,
            table: Mutex::default(),
            keys: Keys::new(google_keys.into()),
            bodies: Semaphore::new(MOST_BODIES),
            strangers: Semaphore::new(MOST_STRANGERS),
            patience,
            counts: Counters::default(),
        }))
    }

    /// Sets or replaces the hook of an owner (its uid). What rang before, and what was heard, stays known.
    pub fn set(&self, owner: &str, hook: Hook) {
        let path = self.hashed(&hook.path);
        let target = Target::new(&hook.repository);
        let known = Arc::new(Known { kind: hook.kind, secret: hook.secret, target, wake: hook.wake });
        let mut table = self.table();
        table.leave(owner);
        match table.owners.get_mut(owner) {
            Some(owned) => (owned.path, owned.known) = (path, known),
            None => {
                let owned = Owned { path, known, rung: 0, is_awake: false, heard: Heard::default() };
                table.owners.insert(owner.to_owned(), owned);
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

    /// How many webhooks brought news for this owner since the start.
    pub fn rung(&self, owner: &str) -> u64 {
        self.table().owners.get(owner).map(|owned| owned.rung).unwrap_or_default()
    }

    /// To be called when a scan STARTS: what rings from now on wakes again. Gives the same as [`Hooks::rung`]; if that is another
    /// number when the scan has ended, something came meanwhile that the scan may have missed.
    pub fn seen(&self, owner: &str) -> u64 {
        self.table().owners.get_mut(owner).map(|owned| (owned.is_awake = false, owned.rung).1).unwrap_or_default()
    }

    /// What became of the requests.
    pub fn counts(&self) -> Counts {
        let counts = &self.0.counts;
        let of = |count: &AtomicU64| count.load(Ordering::Relaxed);
        Counts {
            genuine: of(&counts.genuine),
            unknown: of(&counts.unknown),
            malformed: of(&counts.malformed),
            old: of(&counts.old),
            repeated: of(&counts.repeated),
            unread: of(&counts.unread),
            busy: of(&counts.busy),
            wakes: of(&counts.wakes),
        }
    }

    /// Takes a whole request to `path`: proves it, and only then reads the body and rings for whom it names.
    pub async fn receive(&self, path: &str, headers: &HeaderMap, body: &[u8], now: DateTime<Utc>) -> Verdict {
        let mut verdict = Verdict::Unknown;
        let owners = self.table().at(&self.hashed(path));
        for (owner, known) in owners {
            if !self.is_genuine(&known, headers, body, now).await {
                continue;
            }
            match parse(known.kind, headers, body) {
                Ok(events) => {
                    verdict = Verdict::Genuine;
                    self.ring(&owner, &known, &events, body, now);
                }
                Err(error) => {
                    tracing::debug!(kind = ?known.kind, "{error}");
                    verdict = if verdict == Verdict::Genuine { verdict } else { Verdict::Malformed };
                }
            }
        }
        self.count(|counts| match verdict {
            Verdict::Unknown => &counts.unknown,
            Verdict::Malformed => &counts.malformed,
            Verdict::Genuine => &counts.genuine,
        });
        verdict
    }

    async fn is_genuine(&self, known: &Known, headers: &HeaderMap, body: &[u8], now: DateTime<Utc>) -> bool {
        match proof::of(known.kind, &known.secret, headers, body) {
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

    /// Wakes the owner if one of the events is news for it.
    fn ring(&self, owner: &str, known: &Arc<Known>, events: &[Event], body: &[u8], now: DateTime<Utc>) {
        let ours: Vec<&Event> = events.iter().filter(|event| known.target.is_of(event)).collect();
        let (recent, old): (Vec<&Event>, Vec<&Event>) =
            ours.into_iter().partition(|event| event.at.is_none_or(|at| now - at <= WINDOW));
        if recent.is_empty() {
            if !old.is_empty() {
                self.count(|counts| &counts.old);
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
                self.count(|counts| &counts.repeated);
                return;
            }
            owned.rung += 1;
            !std::mem::replace(&mut owned.is_awake, true)
        };
        // Outside of the lock: whoever is woken may ask us something.
        if wakes {
            self.count(|counts| &counts.wakes);
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

    fn count(&self, of: impl FnOnce(&Counters) -> &AtomicU64) {
        of(&self.0.counts).fetch_add(1, Ordering::Relaxed);
    }

    fn hashed(&self, path: &str) -> Hashed {
        Sha256::new().chain_update(self.0.salt).chain_update(path).finalize().into()
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.0.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    /// Takes an owner off its path.
    fn leave(&mut self, owner: &str) {
        let Some(path) = self.owners.get(owner).map(|owned| owned.path) else { return };
        if let Some(owners) = self.paths.get_mut(&path) {
            owners.remove(owner);
            if owners.is_empty() {
                self.paths.remove(&path);
            }
        }
    }

    fn at(&self, path: &Hashed) -> Vec<(String, Arc<Known>)> {
        let owners = self.paths.get(path).into_iter().flatten();
        owners.filter_map(|owner| Some((owner.clone(), self.owners.get(owner)?.known.clone()))).collect()
    }
}

impl Owned {
    /// Whether one of the events was not told before; from now on they all were.
    fn is_news(&mut self, events: &[&Event], body: &[u8], now: DateTime<Utc>) -> bool {
        // A delivery's id stands in a header that nobody signs, but these bodies say when they were made: the same body is the same event.
        let is_dated = matches!(self.known.kind, WebhookType::Ghcr | WebhookType::Gitea | WebhookType::Nexus);
        let body = is_dated.then(|| Sha256::digest(body));
        if body.as_ref().is_some_and(|body| self.heard.has(body, now)) {
            return false;
        }
        let mut is_news = false;
        for event in events {
            is_news |= event.id.as_ref().is_none_or(|id| !self.heard.has(id.as_bytes(), now));
        }
        let ids = events.iter().filter_map(|event| event.id.as_ref().map(String::as_bytes));
        for id in ids.chain(body.as_ref().map(|body| body.as_slice())) {
            self.heard.remember(id, now);
        }
        is_news
    }
}

#[cfg(test)]
mod tests;
