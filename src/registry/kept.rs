//! Things that are worth keeping for a while. In: a key and a value. Out: the value, as long as somebody asks for it now and
//! then. What nobody asked for in an hour goes; must never hold more than it was told.

#![expect(clippy::disallowed_methods, reason = "when a value was used last")]

use std::collections::HashMap;
use std::hash::Hash;
use std::time::{Duration, Instant};

/// What nobody asked for in this time is forgotten.
const IDLE: Duration = Duration::from_secs(3600);
/// How often we look for what to forget.
const SWEEP: Duration = Duration::from_secs(300);

/// Values by key, each with the time of its last use.
#[derive(Debug)]
pub(super) struct Kept<K, V> {
    values: HashMap<K, (V, Instant)>,
    most: usize,
    swept: Instant,
}

impl<K: Eq + Hash, V: Clone> Kept<K, V> {
    /// Room for so many values.
    pub(super) fn new(most: usize) -> Self {
        Self { values: HashMap::new(), most, swept: Instant::now() }
    }

    pub(super) fn get(&mut self, key: &K) -> Option<V> {
        let now = Instant::now();
        if now.saturating_duration_since(self.swept) >= SWEEP {
            self.sweep(now);
        }
        let (value, used) = self.values.get_mut(key)?;
        *used = now;
        Some(value.clone())
    }

    /// The value of this key, else a new one, which is kept.
    pub(super) fn get_or_default(&mut self, key: K) -> V
    where
        V: Default,
    {
        self.get(&key).unwrap_or_else(|| {
            let value = V::default();
            self.put(key, value.clone());
            value
        })
    }

    /// Keeps a value. When there is no room, the half goes that was used longest ago.
    pub(super) fn put(&mut self, key: K, value: V) {
        if self.values.len() >= self.most && !self.values.contains_key(&key) {
            let mut times: Vec<Instant> = self.values.values().map(|(_, used)| *used).collect();
            let middle = times.len() / 2;
            let middle = *times.select_nth_unstable(middle).1;
            self.values.retain(|_, (_, used)| *used > middle);
        }
        self.values.insert(key, (value, Instant::now()));
    }

    pub(super) fn remove(&mut self, key: &K) {
        self.values.remove(key);
    }

    fn sweep(&mut self, now: Instant) {
        self.swept = now;
        self.values.retain(|_, (_, used)| now.saturating_duration_since(*used) < IDLE);
    }

    /// As if nobody had asked for this long; returns how many values are left.
    #[cfg(test)]
    pub(super) fn after(&mut self, idle: Duration) -> usize {
        self.sweep(Instant::now() + idle);
        self.values.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_never_more_than_the_room_for_it() {
        let mut kept = Kept::new(10);
        for n in 0..100 {
            kept.put(n, n);
            assert!(kept.values.len() <= 10);
            assert_eq!(kept.get(&n), Some(n));
        }
        assert_eq!(kept.get(&1), None);
        assert!(kept.after(Duration::from_secs(3500)) > 0);
        assert_eq!(kept.after(Duration::from_secs(3700)), 0);
    }
}
