//! Which hooks there are, and what each has heard.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use chrono::{DateTime, Utc};
use sha2::{Digest, Sha256};

use super::payload::{Event, Target};
use super::proof::without_space;
use super::replay::Heard;
use super::secret::Secret;
use crate::api::webhook::WebhookType;

/// The hooks, by owner and by path.
#[derive(Default)]
pub struct Table {
    /// By the owner's uid.
    pub owners: HashMap<String, Owned>,
    /// By the salted hash of the path, so that no comparison is one of paths. Two kinds of objects may share a path.
    pub paths: HashMap<Hashed, BTreeSet<String>>,
}

/// A path, salted and hashed.
pub type Hashed = [u8; 32];

/// A hook, and what it heard.
pub struct Owned {
    /// Where it is.
    pub path: Hashed,
    /// How it is now.
    pub known: Arc<Known>,
    /// How many webhooks brought news.
    pub rung: u64,
    /// Whether `wake` was called and not seen yet.
    pub is_awake: bool,
    heard: Heard,
}

/// What a hook is, until it is replaced.
pub struct Known {
    /// Who sends.
    pub kind: WebhookType,
    /// What the sender knows.
    pub secret: Secret,
    /// What a webhook must name.
    pub target: Target,
    /// Called when there is news.
    pub wake: Arc<dyn Fn() + Send + Sync>,
}

impl Table {
    /// Takes an owner off its path.
    pub fn leave(&mut self, owner: &str) {
        let Some(path) = self.owners.get(owner).map(|owned| owned.path) else { return };
        if let Some(owners) = self.paths.get_mut(&path) {
            owners.remove(owner);
            if owners.is_empty() {
                self.paths.remove(&path);
            }
        }
    }

    /// Whose hooks are there.
    pub fn at(&self, path: &Hashed) -> Vec<(String, Arc<Known>)> {
        let owners = self.paths.get(path).into_iter().flatten();
        owners.filter_map(|owner| Some((owner.clone(), self.owners.get(owner)?.known.clone()))).collect()
    }
}

impl Owned {
    /// A hook that heard nothing yet.
    pub fn new(path: Hashed, known: Arc<Known>) -> Self {
        Self { path, known, rung: 0, is_awake: false, heard: Heard::default() }
    }

    /// Whether one of the events was not told before; from now on they all were.
    pub fn is_news(&mut self, events: &[&Event], body: &[u8], now: DateTime<Utc>) -> bool {
        // A delivery's id stands in a header that nobody signs, but these bodies say when they were made: the same body is the same
        // event, whatever white space is in it, which Nexus does not sign.
        let is_dated = matches!(self.known.kind, WebhookType::Ghcr | WebhookType::Gitea | WebhookType::Nexus);
        let whole = is_dated.then(|| Sha256::digest(without_space(body)));
        let ids: Vec<Option<&[u8]>> = match &whole {
            Some(whole) => vec![Some(whole)],
            None => events.iter().map(|event| event.id.as_ref().map(String::as_bytes)).collect(),
        };
        let is_news = ids.iter().any(|id| id.is_none_or(|id| !self.heard.has(id, now)));
        ids.into_iter().flatten().for_each(|id| self.heard.remember(id, now));
        is_news
    }
}
