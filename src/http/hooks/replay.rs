//! Which events a hook has heard lately. In: ids and times. Out: whether it is news.

use std::collections::{HashSet, VecDeque};

use chrono::{DateTime, TimeDelta, Utc};
use sha2::{Digest, Sha256};

/// Older events are not news: a late retry is as good as lost, and the next scan finds what it announced.
pub const WINDOW: TimeDelta = TimeDelta::minutes(15);
/// How many ids a hook remembers; more within the window push out the oldest.
const MOST_IDS: usize = 1000;

type Short = [u8; 16];

/// The ids that were heard within the window.
#[derive(Default)]
pub struct Heard {
    order: VecDeque<(Short, DateTime<Utc>)>,
    ids: HashSet<Short>,
}

impl Heard {
    /// Whether this id was heard within the window.
    pub fn has(&mut self, id: &[u8], now: DateTime<Utc>) -> bool {
        // An id from the future, of a clock that was set back, goes too.
        while let Some((oldest, _)) = self.order.front().filter(|(_, at)| now - *at > WINDOW || *at > now + WINDOW) {
            self.ids.remove(oldest);
            self.order.pop_front();
        }
        self.ids.contains(&short(id))
    }

    /// Remembers an id.
    pub fn remember(&mut self, id: &[u8], now: DateTime<Utc>) {
        let id = short(id);
        if !self.ids.insert(id) {
            return;
        }
        self.order.push_back((id, now));
        if self.order.len() > MOST_IDS
            && let Some((oldest, _)) = self.order.pop_front()
        {
            self.ids.remove(&oldest);
        }
    }
}

/// Ids are the sender's and may be long.
fn short(id: &[u8]) -> Short {
    let mut short = Short::default();
    short.copy_from_slice(&Sha256::digest(id)[..16]);
    short
}
