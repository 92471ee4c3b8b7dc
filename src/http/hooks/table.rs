//! Which hooks there are, what each has heard, and what rang for whom.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use chrono::{DateTime, Utc};
use sha2::{Digest, Sha256};

use super::payload::Event;
use super::proof::without_space;
use super::replay::Heard;
use super::secret::Secret;
use super::subject::Subject;
use crate::api::webhook::{GitWebhookType, Sender, WebhookType};

/// The hooks, by owner and by path.
#[derive(Default)]
pub struct Table {
    /// By the owner's uid.
    pub owners: HashMap<String, Owned>,
    /// By the salted hash of the path, so that no comparison is one of paths. Two kinds of objects may share a path.
    pub paths: HashMap<Hashed, BTreeSet<String>>,
    /// What has rung for whom. Outlives the hooks, as those of an audience compare numbers.
    pub audiences: HashMap<String, Audience>,
    /// How many webhooks brought news, to whomever: a number that never comes again.
    rings: u64,
}

/// What has rung for an audience.
#[derive(Default)]
pub struct Audience {
    /// The number of the last webhook that brought news.
    pub rung: u64,
    /// Whether `wake` was called and not seen yet.
    pub is_awake: bool,
}

/// A path, salted and hashed.
pub type Hashed = [u8; 32];

/// A hook, and what it heard.
pub struct Owned {
    /// Where it is.
    pub path: Hashed,
    /// How it is now.
    pub known: Arc<Known>,
    heard: Heard,
}

/// What a hook is, until it is replaced.
pub struct Known {
    /// Who sends.
    pub sender: Sender,
    /// What the sender knows.
    pub secret: Secret,
    /// What a webhook must name.
    pub subject: Subject,
    /// Who hears it.
    pub audience: String,
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

    /// Counts a webhook that brought news. Says whether the audience must be woken: it is not if it was and has not seen that yet.
    pub fn ring(&mut self, audience: &str) -> bool {
        self.rings += 1;
        let audience = self.audiences.entry(audience.to_owned()).or_default();
        audience.rung = self.rings;
        !std::mem::replace(&mut audience.is_awake, true)
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
        Self { path, known, heard: Heard::default() }
    }

    /// Whether one of the events was not told before; from now on they all were.
    pub fn is_news(&mut self, events: &[&Event], body: &[u8], now: DateTime<Utc>) -> bool {
        // A delivery's id stands in a header that nobody signs, but these bodies say when they were made: the same body is the same
        // event, whatever white space is in it, which Nexus does not sign.
        let is_dated = matches!(
            self.known.sender,
            Sender::Registry(WebhookType::Ghcr | WebhookType::Gitea | WebhookType::Nexus)
                | Sender::Git(GitWebhookType::Github | GitWebhookType::Gitea)
        );
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
