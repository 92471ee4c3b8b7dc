//! What became of the last revisions: the list before × what this run came to → the next list, equal when nothing new happened.

use chrono::{DateTime, Utc};

use crate::api::git_sync::{HISTORY, RevisionOutcome, RevisionRecord};
use crate::failure::printable;
use crate::revision::Revision;

/// How long a message may be, in characters.
const MESSAGE: usize = 300;

/// What a run came to.
#[derive(Debug, Clone, Copy)]
pub struct Step<'a> {
    /// The revision that it tried.
    pub revision: &'a Revision,
    /// How far it got.
    pub outcome: RevisionOutcome,
    /// When the revision was committed, if the list needs it and it could be read.
    pub committed_at: Option<DateTime<Utc>>,
    /// Why it failed.
    pub message: Option<&'a str>,
}

/// The list, the newest first. What was once healthy has succeeded, whatever becomes of its objects later.
pub fn next(before: &[RevisionRecord], step: Step<'_>, now: DateTime<Utc>) -> Vec<RevisionRecord> {
    let mut list = before.to_vec();
    let known = list.first().filter(|first| first.revision == *step.revision).cloned();
    let committed_at = known.as_ref().map_or(step.committed_at, |known| known.committed_at);
    let is_healthy = step.outcome == RevisionOutcome::Healthy;
    let record = RevisionRecord {
        revision: step.revision.clone(),
        outcome: step.outcome,
        at: now,
        committed_at,
        lead_time: committed_at.filter(|_| is_healthy).map(|committed| lead_time(now - committed)),
        message: step.message.map(|message| printable(message, MESSAGE)),
    };
    match known {
        Some(known) if known.outcome == step.outcome || known.outcome == RevisionOutcome::Healthy => {}
        // It only came to be retried.
        Some(known) if known.outcome == RevisionOutcome::Failed && step.outcome == RevisionOutcome::Progressing => {}
        Some(_) => list[0] = record,
        None => {
            if let Some(last) = list.first_mut().filter(|last| last.outcome == RevisionOutcome::Progressing) {
                last.outcome = RevisionOutcome::Superseded;
                last.at = now;
            }
            list.insert(0, record);
            list.truncate(HISTORY);
        }
    }
    list
}

/// As durations are written in specs, in seconds, without parts that are zero. A commit of the future took no time.
fn lead_time(time: chrono::Duration) -> String {
    let seconds = time.num_seconds().max(0);
    let parts = [(seconds / 3600, 'h'), (seconds / 60 % 60, 'm'), (seconds % 60, 's')];
    let text: String =
        parts.iter().filter(|(count, _)| *count > 0).map(|(count, unit)| format!("{count}{unit}")).collect();
    if text.is_empty() { "0s".to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;
    use RevisionOutcome::{Applied, Failed, Healthy, Progressing, Superseded};

    fn at(second: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(second, 0).unwrap()
    }

    fn run(steps: &[(char, RevisionOutcome)]) -> Vec<RevisionRecord> {
        let mut list = Vec::new();
        for (second, (digit, outcome)) in steps.iter().enumerate() {
            let revision: Revision = format!("main@sha1:{}", digit.to_string().repeat(40)).parse().unwrap();
            let message = (*outcome == Failed).then_some("no way");
            let step = Step { revision: &revision, outcome: *outcome, committed_at: Some(at(-65)), message };
            list = next(&list, step, at(i64::try_from(second).unwrap()));
        }
        list
    }

    #[track_caller]
    fn check(steps: &[(char, RevisionOutcome)], expected: &[(char, RevisionOutcome, i64, Option<&str>)]) {
        let list = run(steps);
        let seen: Vec<_> = list
            .iter()
            .map(|r| {
                (
                    r.revision.commit.to_string().chars().next().unwrap(),
                    r.outcome,
                    r.at.timestamp(),
                    r.lead_time.as_deref(),
                )
            })
            .collect();
        assert_eq!(seen, expected);
        assert!(list.iter().all(|record| record.message.is_some() == (record.outcome == Failed)));
    }

    #[test]
    fn what_becomes_of_revisions() {
        check(&[('a', Healthy), ('a', Healthy)], &[('a', Healthy, 0, Some("1m5s"))]);
        check(&[('a', Progressing), ('a', Healthy), ('a', Failed)], &[('a', Healthy, 1, Some("1m6s"))]);
        check(&[('a', Failed), ('a', Progressing), ('a', Failed)], &[('a', Failed, 0, None)]);
        check(&[('a', Failed), ('a', Healthy)], &[('a', Healthy, 1, Some("1m6s"))]);
        check(
            &[('a', Progressing), ('b', Applied), ('b', Healthy)],
            &[('b', Healthy, 2, Some("1m7s")), ('a', Superseded, 1, None)],
        );
        check(
            &[('a', Healthy), ('b', Failed), ('a', Progressing)],
            &[('a', Progressing, 2, None), ('b', Failed, 1, None), ('a', Healthy, 0, Some("1m5s"))],
        );
        let many: Vec<_> = "0123456789abcdef".chars().map(|digit| (digit, Healthy)).collect();
        assert_eq!(run(&many).len(), 10);
    }

    #[test]
    fn lead_times_read_as_durations() {
        let read = [(-5, "0s"), (0, "0s"), (59, "59s"), (60, "1m"), (3600, "1h"), (3661, "1h1m1s"), (90_000, "25h")];
        for (seconds, text) in read {
            assert_eq!(lead_time(chrono::Duration::seconds(seconds)), text);
        }
    }
}
