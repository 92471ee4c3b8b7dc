//! Objects that the API server refused, and how long each waits for its next try: what wakes their GitSync meanwhile is often its own
//! other objects, and no reason to ask again.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::{Duration, Instant};

use crate::api::condition::Reason;
use crate::failure::backoff;
use crate::object::ObjectKey;

/// Why an object could not be applied or deleted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failed {
    /// A stable word.
    pub reason: Reason,
    /// The object, and the server's words.
    pub text: String,
    /// Whether it may work later without anybody's doing.
    pub is_transient: bool,
}

/// All that were refused.
#[derive(Debug, Clone, Default)]
pub struct Refusals {
    objects: BTreeMap<ObjectKey, Refusal>,
}

#[derive(Debug, Clone)]
struct Refusal {
    /// What was tried, and on what occasion: anything else is tried at once.
    tried: String,
    times: u32,
    until: Instant,
    failed: Failed,
    /// Something happened since, which may be the cure.
    is_woken: bool,
}

impl Refusals {
    /// The refusal that still counts for an object.
    pub fn holds(&mut self, key: &ObjectKey, tried: &str, now: Instant) -> Option<&Failed> {
        let refusal = self.objects.get_mut(key).filter(|refusal| refusal.tried == tried && now < refusal.until)?;
        refusal.is_woken = true;
        Some(&refusal.failed)
    }

    /// An object was refused: it waits a second, then two, up to five minutes, and a part of that more, each its own.
    pub fn refused(&mut self, key: &ObjectKey, tried: String, failed: Failed, now: Instant) {
        let before = self.objects.get(key).filter(|refusal| refusal.tried == tried);
        let times = before.map_or(0, |refusal| refusal.times).saturating_add(1);
        let mut hash = DefaultHasher::new();
        (key, times).hash(&mut hash);
        let wait = backoff(times);
        let until = now + wait + wait / 4 * u32::from(hash.finish().to_le_bytes()[0]) / 255;
        self.objects.insert(key.clone(), Refusal { tried, times, until, failed, is_woken: false });
    }

    /// An object was taken.
    pub fn taken(&mut self, key: &ObjectKey) {
        self.objects.remove(key);
    }

    /// Forgets the objects that are no more rendered.
    pub fn keep(&mut self, is_rendered: impl Fn(&ObjectKey) -> bool) {
        self.objects.retain(|key, _| is_rendered(key));
    }

    /// When the next try is due of what may work by itself, or by what has happened since.
    pub fn next(&self, now: Instant) -> Option<Duration> {
        let hopeful = self.objects.values().filter(|refusal| refusal.failed.is_transient || refusal.is_woken);
        let next = hopeful.map(|refusal| refusal.until).min()?;
        Some(next.saturating_duration_since(now).max(Duration::from_millis(100)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_refused_waits_and_anything_new_does_not() {
        #[expect(clippy::disallowed_methods, reason = "a time to count from")]
        let now = Instant::now();
        let at = |seconds: f64| now + Duration::from_secs_f64(seconds);
        let key = |name: &str| ObjectKey {
            group: String::new(),
            kind: "ConfigMap".into(),
            namespace: "web".into(),
            name: name.into(),
        };
        let failed = |is_transient| Failed { reason: Reason::ApplyFailed, text: "x".into(), is_transient };
        let mut refusals = Refusals::default();
        let mut begin = 0.0;
        for seconds in [1.0, 2.0, 4.0] {
            refusals.refused(&key("a"), "one".into(), failed(true), at(begin));
            assert!(refusals.holds(&key("a"), "one", at(begin + seconds * 0.99)).is_some(), "{seconds}");
            assert!(refusals.holds(&key("a"), "one", at(begin + seconds * 1.26)).is_none(), "{seconds}");
            begin += seconds * 2.0;
        }
        let last = begin - 8.0;
        assert!(refusals.holds(&key("a"), "two", at(last)).is_none(), "another object, commit or request");
        assert!(refusals.holds(&key("b"), "one", at(last)).is_none());
        let next = refusals.next(at(last)).unwrap();
        assert!((4.0..=5.0).contains(&next.as_secs_f64()), "{next:?}");
        refusals.refused(&key("b"), "one".into(), failed(false), at(last));
        assert_eq!(refusals.next(at(last)), Some(next), "what waits for a person is not asked for by itself");
        assert!(refusals.holds(&key("b"), "one", at(last)).is_some());
        assert!(refusals.next(at(last)).unwrap() < Duration::from_secs(2), "something happened");

        refusals.refused(&key("a"), "two".into(), failed(true), at(last));
        assert!(refusals.holds(&key("a"), "two", at(last + 1.3)).is_none(), "it begins anew");
        refusals.taken(&key("a"));
        refusals.refused(&key("b"), "two".into(), failed(false), at(last));
        assert_eq!(refusals.next(at(last)), None);
        refusals.keep(|_| false);
        assert!(refusals.holds(&key("b"), "two", at(last)).is_none());
    }
}
