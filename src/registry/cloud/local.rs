//! What this machine itself tells: the time, and what stands in the token files that a cloud mounts into the pod.
//! Files are small and read anew each time, as they are replaced; must never put a file's content into an error.

#![expect(clippy::disallowed_methods, reason = "the shell's clock, and the token files")]

use std::fs::File;
use std::io::Read as _;
use std::time::Instant;

use chrono::{DateTime, Utc};

use super::Error;

/// The longest file that can be a token or a credential configuration, in bytes.
const FILE_BYTES: u64 = 64 << 10;

/// One reading of the clock.
#[derive(Debug, Clone, Copy)]
pub(super) struct Now {
    /// For signatures and for times that others name.
    pub wall: DateTime<Utc>,
    /// For what we keep.
    pub steady: Instant,
}

/// Reads the clock.
pub(super) fn now() -> Now {
    Now { wall: Utc::now(), steady: Instant::now() }
}

/// A small text file, without the space around it. `name` is the variable that holds the path.
pub(super) fn file(name: &str, path: &str) -> Result<String, Error> {
    let broken = |reason: String| Error::Configuration(format!("the file {path} of {name} {reason}"));
    let mut text = String::new();
    let file = File::open(path).map_err(|error| broken(format!("can't be opened: {error}")))?;
    file.take(FILE_BYTES + 1)
        .read_to_string(&mut text)
        .map_err(|error| broken(format!("can't be read: {}", error.kind())))?;
    if text.len() as u64 > FILE_BYTES {
        return Err(broken(format!("is longer than {FILE_BYTES} bytes")));
    }
    let text = text.trim();
    if text.is_empty() { Err(broken("is empty".to_owned())) } else { Ok(text.to_owned()) }
}
