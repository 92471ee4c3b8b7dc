//! Stretches of history in which a path does not change. Goes in: where one begins and ends. Comes out: the same, later.
//! Commits never change, so what is remembered stays right; all of it can be lost.

use std::collections::HashMap;

use git2::Oid;

/// A shorter stretch is not worth remembering.
const SHORTEST: usize = 2;
/// The most stretches of one path.
const OF_A_PATH: usize = 64;
/// The most paths.
const PATHS: usize = 10_000;

/// Where stretches begin, for each path, and where they end, so many commits below.
#[derive(Default)]
pub struct Skips {
    paths: HashMap<String, HashMap<Oid, (Oid, usize)>>,
}

impl Skips {
    /// The end of the stretch that begins here. It is forgotten, as a longer one that holds it will be put.
    pub(super) fn take(&mut self, path: &str, start: Oid) -> Option<(Oid, usize)> {
        self.paths.get_mut(path)?.remove(&start)
    }

    pub(super) fn put(&mut self, path: &str, start: Oid, end: (Oid, usize)) {
        if end.1 < SHORTEST {
            return;
        }
        if !self.paths.contains_key(path) && self.paths.len() >= PATHS {
            self.paths.clear();
        }
        let of_path = self.paths.entry(path.to_owned()).or_default();
        if of_path.len() >= OF_A_PATH {
            of_path.clear();
        }
        of_path.insert(start, end);
    }
}
