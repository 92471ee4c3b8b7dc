//! The guard against a list that lost its tags. The list that was believed before and the new one come in; the new one is
//! believed, or not until later scans have confirmed it.
//!
//! A registry that loses its storage, a proxy that answers for it, or a mirror that is filled anew look like a repository whose
//! tags were deleted. Nobody deletes a fifth of all tags at once as often as that happens.

use std::time::{Duration, Instant};

use crate::image::TagList;

/// This many later scans must show the same loss before it is believed.
const CONFIRMATIONS: u32 = 3;
/// More than this part of the tags gone at once is no clean-up, in percent.
const PERCENT: usize = 20;
/// One tag that goes alone was deleted.
const FEWEST: usize = 2;

/// The list that was believed last, and what happened since.
#[derive(Debug, Clone, Default)]
pub struct Believed {
    list: Option<TagList>,
    /// How many later scans showed the loss, and when the last one that counts was made.
    shown: Option<(u32, Instant)>,
}

impl Believed {
    /// Believes a list, or says why not. `known` is how many tags the list before it had, for when that list is no longer at hand
    /// after a restart. Scans that are closer together than `interval` count as one, unless a person asked for this one.
    ///
    /// # Errors
    /// When too many tags are gone, in words for people.
    pub fn check(
        &mut self,
        list: &TagList,
        known: Option<u32>,
        (now, interval): (Instant, Duration),
        is_asked_for: bool,
    ) -> Result<(), String> {
        let loss = match (&self.list, known) {
            (Some(before), _) => large_loss(before.len(), before.gone(list)),
            (None, Some(before)) => large_loss(before as usize, (before as usize).saturating_sub(list.len())),
            (None, None) => None,
        };
        if let Some(reason) = loss {
            let (shown, last) = match self.shown {
                None => (0, now),
                // Timers are not exact to the millisecond.
                Some((shown, last))
                    if is_asked_for || now.saturating_duration_since(last) >= interval - interval / 8 =>
                {
                    (shown + 1, now)
                }
                Some(same) => same,
            };
            self.shown = Some((shown, last));
            if shown < CONFIRMATIONS {
                return Err(reason);
            }
        }
        *self = Self { list: Some(list.clone()), shown: None };
        Ok(())
    }
}

/// What was lost, in words, if it is too much to be believed at once.
fn large_loss(before: usize, gone: usize) -> Option<String> {
    if gone < FEWEST || gone.saturating_mul(100) <= before.saturating_mul(PERCENT) {
        return None;
    }
    let what = if gone == before { format!("all {before} tags") } else { format!("{gone} of {before} tags") };
    Some(format!(
        "{what} are gone at once, which is taken for a fault of the registry: the choice stands until {CONFIRMATIONS} later scans have shown the same"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    const INTERVAL: Duration = Duration::from_secs(60);

    fn list(numbers: std::ops::Range<u32>) -> TagList {
        numbers.map(|number| format!("t{number}").parse().unwrap()).collect()
    }

    #[test]
    fn more_than_a_fifth_at_once_is_a_loss() {
        for (before, gone, is_large) in [
            (100, 20, false),
            (100, 21, true),
            (100, 100, true),
            (10, 2, false),
            (10, 3, true),
            (2, 2, true),
            (3, 1, false), // one alone was deleted
            (1, 1, false),
            (0, 0, false),
        ] {
            assert_eq!(large_loss(before, gone).is_some(), is_large, "{gone} of {before}");
        }
    }

    /// What became of scans: minutes since the start, tags, and whether the list was believed.
    #[track_caller]
    fn check(known: Option<u32>, scans: &[(f64, std::ops::Range<u32>, bool)]) {
        let (start, mut believed) = (crate::clock::now().steady, Believed::default());
        for (minutes, tags, expected) in scans.iter().cloned() {
            let now = start + INTERVAL.mul_f64(minutes);
            let found = believed.check(&list(tags.clone()), known, (now, INTERVAL), false);
            assert_eq!(found.is_ok(), expected, "{tags:?} after {minutes} minutes: {found:?}");
        }
    }

    #[test]
    fn a_loss_is_believed_after_three_later_scans() {
        check(
            None,
            &[
                (0.0, 0..10, true),
                (1.0, 0..5, false),
                (2.0, 0..5, false),
                (3.0, 0..5, false),
                (4.0, 0..5, true),
                (5.0, 0..5, true),
            ],
        );
    }

    #[test]
    fn a_flood_of_scans_confirms_nothing() {
        check(
            None,
            &[(0.0, 0..10, true), (1.0, 0..5, false), (1.01, 0..5, false), (1.02, 0..5, false), (1.03, 0..5, false)],
        );
    }

    #[test]
    fn a_list_that_comes_back_is_believed_and_a_new_loss_counts_anew() {
        check(
            None,
            &[(0.0, 0..10, true), (1.0, 0..0, false), (2.0, 0..11, true), (3.0, 0..0, false), (4.0, 0..0, false)],
        );
    }

    #[test]
    fn tags_that_were_exchanged_are_gone_too() {
        check(None, &[(0.0, 0..10, true), (1.0, 5..15, false)]);
    }

    #[test]
    fn after_a_restart_the_number_counts() {
        check(Some(10), &[(0.0, 0..5, false), (1.0, 0..10, true)]);
        check(None, &[(0.0, 0..5, true)]);
    }

    #[test]
    fn a_person_who_asks_confirms() {
        let (now, mut believed) = (crate::clock::now().steady, Believed::default());
        let mut ask = |tags| believed.check(&list(tags), None, (now, INTERVAL), true).is_ok();
        assert_eq!([ask(0..10), ask(0..5), ask(0..5), ask(0..5), ask(0..5)], [true, false, false, false, true]);
    }
}
