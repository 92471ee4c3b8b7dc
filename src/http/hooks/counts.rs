//! What became of the requests, in numbers.

use std::sync::atomic::{AtomicU64, Ordering};

/// The numbers as they are counted; [`Counts`] says what they mean.
#[derive(Default)]
pub struct Counters {
    pub genuine: AtomicU64,
    pub unknown: AtomicU64,
    pub malformed: AtomicU64,
    pub old: AtomicU64,
    pub repeated: AtomicU64,
    pub unread: AtomicU64,
    pub busy: AtomicU64,
    pub wakes: AtomicU64,
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

impl Counters {
    /// The numbers by now.
    pub fn read(&self) -> Counts {
        let of = |count: &AtomicU64| count.load(Ordering::Relaxed);
        Counts {
            genuine: of(&self.genuine),
            unknown: of(&self.unknown),
            malformed: of(&self.malformed),
            old: of(&self.old),
            repeated: of(&self.repeated),
            unread: of(&self.unread),
            busy: of(&self.busy),
            wakes: of(&self.wakes),
        }
    }
}
