//! Things that many share and nobody owns. In: a key and how to make its value. Out: the one living value of that key.
//! A value goes when its last user drops it; must never keep one alive.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

/// Values by key, each as long as somebody uses it.
#[derive(Debug)]
pub(super) struct Pool<K, V>(Mutex<HashMap<K, Weak<V>>>);

impl<K, V> Default for Pool<K, V> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Eq + Hash, V> Pool<K, V> {
    /// The living value of this key, else a new one.
    pub(super) fn get(&self, key: K, make: impl FnOnce() -> V) -> Arc<V> {
        let mut values = locked(&self.0);
        if let Some(value) = values.get(&key).and_then(Weak::upgrade) {
            return value;
        }
        let value = Arc::new(make());
        values.retain(|_, value| value.strong_count() > 0);
        values.insert(key, Arc::downgrade(&value));
        value
    }
}

/// Locks for a moment. What a panicking thread left behind is still whole, as every holder writes a value at once.
pub(super) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
