//! Stretches of history in which a path does not change. Goes in: where one begins and ends. Comes out: the same, later.
//! Commits never change, so what is remembered stays right; all of it can be lost.

use std::collections::HashMap;

use git2::Oid;

/// A shorter stretch is not worth remembering.
const SHORTEST: usize = 2;
/// The most stretches, of about 200 bytes each.
const STRETCHES: usize = 50_000;

/// Where stretches begin, and for each path where they end, so many commits below.
#[derive(Default)]
pub struct Skips {
    starts: HashMap<Oid, HashMap<String, (Oid, usize)>>,
    count: usize,
}

impl Skips {
    /// Whether a stretch of any path begins here.
    pub(super) fn begin_at(&self, start: Oid) -> bool {
        self.starts.contains_key(&start)
    }

    /// The end of the stretch that begins here. It is forgotten, as a longer one that holds it will be put.
    pub(super) fn take(&mut self, path: &str, start: Oid) -> Option<(Oid, usize)> {
        let here = self.starts.get_mut(&start)?;
        let end = here.remove(path)?;
        if here.is_empty() {
            self.starts.remove(&start);
        }
        self.count -= 1;
        Some(end)
    }

    pub(super) fn put(&mut self, path: &str, start: Oid, end: (Oid, usize)) {
        if end.1 < SHORTEST {
            return;
        }
        if self.count >= STRETCHES {
            *self = Self::default();
        }
        let before = self.starts.entry(start).or_default().insert(path.to_owned(), end);
        self.count += usize::from(before.is_none());
    }
}
