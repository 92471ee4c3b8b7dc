//! What became of the requests, in numbers.

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
