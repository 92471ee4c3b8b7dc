//! Noun: what every error answers. Status, event, requeue and metric come from this one answer.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use crate::api::condition::Reason;

/// Who has to act before it can work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// Trying again later may help; the other side may have said how long to wait.
    Retry {
        /// The wait that the other side asked for.
        after: Option<Duration>,
    },
    /// Only a change of the object, of what it refers to, or of the repository helps.
    WaitForUser,
    /// Our own mistake; retried slowly, since the input may change.
    Bug,
}

/// A failure on its way to a person: who acts, a stable reason, and one sentence that names object, field, file or line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    /// Who has to act.
    pub answer: Answer,
    /// The condition's reason, from a closed list.
    pub reason: Reason,
    /// What happened and what to do, without secrets.
    pub message: String,
}

impl Failure {
    /// A failure that a later try may cure.
    pub fn retry(reason: Reason, message: impl Into<String>) -> Self {
        Self { answer: Answer::Retry { after: None }, reason, message: message.into() }
    }

    /// A failure that waits for a person.
    pub fn user(reason: Reason, message: impl Into<String>) -> Self {
        Self { answer: Answer::WaitForUser, reason, message: message.into() }
    }

    /// Our own mistake: where it was, and what it says if that is no secret.
    pub fn bug(at: &str) -> Self {
        let message = format!("a bug of tagboat, please report it: panicked at {at}");
        Self { answer: Answer::Bug, reason: Reason::InternalError, message }
    }

    /// When to try again after `failures` failures in a row of the object `whose` (its uid): 1 s doubling up to five minutes, or what
    /// the other side asked for; and up to a quarter more, another part for each object, so that they don't all come at once.
    /// A failure that waits for a person is still retried, slowly, as what it waits for may lie outside of what is watched.
    pub fn retry_after(&self, failures: u32, whose: Option<&str>) -> Duration {
        let backoff = backoff(failures);
        let wait = match self.answer {
            Answer::Retry { after: Some(asked) } => asked.clamp(Duration::from_secs(1), Duration::from_secs(3600)),
            Answer::Retry { after: None } => backoff,
            Answer::WaitForUser | Answer::Bug => backoff.max(Duration::from_secs(30)),
        };
        let mut hash = DefaultHasher::new();
        (whose, failures).hash(&mut hash);
        wait + wait / 4 * u32::from(hash.finish().to_le_bytes()[0]) / 255
    }
}

/// 1 s, doubled by each further failure in a row, up to five minutes.
pub fn backoff(failures: u32) -> Duration {
    Duration::from_secs(1 << failures.saturating_sub(1).min(9)).min(Duration::from_secs(300))
}

/// The whole chain of an error's causes in one line, each said once.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}

/// Text from outside made fit for a status, event or log line: control and direction characters as escapes, cut at `limit` characters.
pub fn printable(text: &str, limit: usize) -> String {
    let mut out = String::new();
    for (count, c) in text.trim().chars().enumerate() {
        if count == limit {
            out.push('…');
            break;
        }
        match c {
            '\n' => out.push(' '),
            c if c.is_control()
                || matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}') =>
            {
                out.extend(c.escape_unicode());
            }
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retries_double_up_to_five_minutes() {
        let failure = Failure::retry(Reason::ScanFailed, "x");
        for (failures, seconds) in [(0, 1), (1, 1), (2, 2), (3, 4), (9, 256), (10, 300), (40, 300)] {
            let seconds = Duration::from_secs(seconds);
            let waits: Vec<Duration> =
                ["a", "b", "c", "d"].map(|uid| failure.retry_after(failures, Some(uid))).to_vec();
            assert!(waits.iter().all(|wait| (seconds..=seconds * 5 / 4).contains(wait)), "{failures}: {waits:?}");
            assert!(waits.iter().any(|wait| *wait != waits[0]), "each has its own: {waits:?}");
            assert_eq!(failure.retry_after(failures, Some("a")), waits[0]);
        }
        assert!(Failure::user(Reason::InvalidSpec, "x").retry_after(1, None) >= Duration::from_secs(30));
    }

    #[test]
    fn text_from_outside_is_escaped_and_cut() {
        assert_eq!(printable("a\u{1b}[31mb\u{202e}c\nd", 100), "a\\u{1b}[31mb\\u{202e}c d");
        assert_eq!(printable("abcdef", 3), "abc…");
    }
}
