//! Corrections of one object, again and again → is another controller setting it back, and do we yield?

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::api::git_sync::ObjectDrift;
use crate::object::ObjectKey;

/// How often the same change is undone in a row before we yield.
pub const ROUNDS: u32 = 10;
/// Within this time a controller answers a correction; a change that comes later starts a new count.
const ANSWER: Duration = Duration::from_secs(10);

/// What was corrected lately, and what is left as others made it. All of it can be lost.
#[derive(Debug, Clone, Default)]
pub struct Fights {
    of: BTreeMap<ObjectKey, Fight>,
    seen: BTreeMap<ObjectKey, (u64, ObjectDrift)>,
}

#[derive(Debug, Clone)]
struct Fight {
    change: String,
    rounds: u32,
    last: Instant,
    is_told: bool,
}

impl Fights {
    /// A change was undone. `change` says what it was, to what, and by whom.
    pub fn corrected(&mut self, key: &ObjectKey, change: &str, now: Instant) {
        let fight = self.of.get(key).filter(|fight| fight.change == change && fight.is_answer(now));
        let rounds = fight.map_or(0, |fight| fight.rounds) + 1;
        self.of.insert(key.clone(), Fight { change: change.to_owned(), rounds, last: now, is_told: false });
    }

    /// Whether a change that came back is left: it was undone too often in a row, and less than `rest` ago.
    pub fn is_lost(&self, key: &ObjectKey, change: &str, now: Instant, rest: Duration) -> bool {
        self.of.get(key).is_some_and(|fight| {
            let is_long_ago = now.saturating_duration_since(fight.last) >= rest;
            fight.change == change && fight.rounds >= ROUNDS && !is_long_ago
        })
    }

    /// Whether it is to be told that a fight is lost; once for each.
    pub fn tells(&mut self, key: &ObjectKey) -> bool {
        self.of.get_mut(key).is_some_and(|fight| !std::mem::replace(&mut fight.is_told, true))
    }

    /// What is known of a change that is left, if all that it follows from is still the same: `stamp` stands for the object, what Git
    /// says of it, and the rules.
    pub fn seen(&self, key: &ObjectKey, stamp: u64) -> Option<ObjectDrift> {
        self.seen.get(key).filter(|(seen, _)| *seen == stamp).map(|(_, drift)| drift.clone())
    }

    /// Remembers a change that is left.
    pub fn see(&mut self, key: &ObjectKey, stamp: u64, drift: ObjectDrift) {
        self.seen.insert(key.clone(), (stamp, drift));
    }

    /// Forgets the changes of all objects but these, which are left.
    pub fn keep(&mut self, left: &[ObjectKey], now: Instant, rest: Duration) {
        self.seen.retain(|key, _| left.contains(key));
        self.of.retain(|_, fight| now.saturating_duration_since(fight.last) < rest.max(ANSWER));
    }
}

impl Fight {
    fn is_answer(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.last) <= ANSWER
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REST: Duration = Duration::from_secs(600);

    fn key() -> ObjectKey {
        ObjectKey { group: String::new(), kind: "ConfigMap".into(), namespace: "web".into(), name: "a".into() }
    }

    /// Changes and the seconds between them → whether the last is left.
    #[track_caller]
    fn check(changes: &[(&str, u64)], last: (&str, u64), expected: bool) {
        let mut now = crate::clock::now().steady;
        let mut fights = Fights::default();
        for (change, seconds) in changes {
            now += Duration::from_secs(*seconds);
            fights.corrected(&key(), change, now);
        }
        now += Duration::from_secs(last.1);
        assert_eq!(fights.is_lost(&key(), last.0, now, REST), expected);
    }

    #[test]
    fn who_yields_when() {
        let same: Vec<(&str, u64)> = (0..ROUNDS).map(|_| ("x", 1)).collect();
        check(&same, ("x", 1), true);
        check(&same[1..], ("x", 1), false);
        check(&same, ("y", 1), false);
        check(&same, ("x", 599), true);
        check(&same, ("x", 600), false);
        let slow: Vec<(&str, u64)> = (0..30).map(|_| ("x", 11)).collect();
        check(&slow, ("x", 1), false);
        let many: Vec<String> = (0..30).map(|n| n.to_string()).collect();
        let different: Vec<(&str, u64)> = many.iter().map(|text| (text.as_str(), 1)).collect();
        check(&different, ("29", 1), false);
    }

    #[test]
    fn a_lost_fight_is_told_once() {
        let now = crate::clock::now().steady;
        let mut fights = Fights::default();
        assert!(!fights.tells(&key()), "there is none");
        fights.corrected(&key(), "x", now);
        assert!(fights.tells(&key()));
        assert!(!fights.tells(&key()));
        fights.corrected(&key(), "x", now);
        assert!(fights.tells(&key()), "it was fought again");
    }

    #[test]
    fn what_was_seen_is_known_as_long_as_nothing_changes() {
        let mut fights = Fights::default();
        let drift = ObjectDrift { object: "ConfigMap/web/a".into(), changes: vec!["x".into()] };
        fights.see(&key(), 7, drift.clone());
        assert_eq!(fights.seen(&key(), 7), Some(drift));
        assert_eq!(fights.seen(&key(), 8), None);
        fights.keep(&[], crate::clock::now().steady, REST);
        assert_eq!(fights.seen(&key(), 7), None);
    }
}
