//! How many requests a server gets at a time. In: what became of the requests. Out: a place in the line, or how long to wait.
//! It grows while all goes well and halves when the server is overloaded (AIMD), apart for each credential, so that one's
//! trouble is not another's; must never let more through to one origin than its cap.

#![expect(clippy::disallowed_methods, reason = "how long a server is to be left alone")]

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::sync::{Semaphore, SemaphorePermit};

use super::pool::locked;

/// In flight at the beginning, by one credential to one origin.
const START: usize = 4;
/// In flight at most, by one credential to one origin.
const MOST: usize = 16;

/// One origin: scheme, host and port, whoever asks.
#[derive(Debug)]
pub(super) struct Origin(Semaphore);

impl Origin {
    pub(super) fn new(cap: usize) -> Self {
        Self(Semaphore::new(cap))
    }
}

/// The requests of one caller to one origin.
#[derive(Debug)]
pub(super) struct Lane {
    origin: Arc<Origin>,
    slots: Semaphore,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    limit: usize,
    /// Slots that are to go as soon as they come back.
    debt: usize,
    /// Good answers since the limit changed.
    good: usize,
    /// Requests from before tell of the same overload.
    halved: Option<Instant>,
    paused_until: Option<Instant>,
}

/// What became of a request, as far as the server's load goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// Answered in time.
    Good,
    /// Refused for load, or not answered in time.
    Overloaded,
    /// Says nothing about load.
    Unclear,
}

/// A request in flight. Dropped without an outcome, its caller ran out of time.
#[derive(Debug)]
pub(super) struct Slot<'a> {
    lane: &'a Lane,
    own: Option<SemaphorePermit<'a>>,
    _origin: Option<SemaphorePermit<'a>>,
    begun: Instant,
    /// It took the last free slot: more would have been of use.
    was_full: bool,
    outcome: Outcome,
}

impl Lane {
    pub(super) fn new(origin: Arc<Origin>) -> Self {
        let state = State { limit: START, debt: 0, good: 0, halved: None, paused_until: None };
        Self { origin, slots: Semaphore::new(START), state: Mutex::new(state) }
    }

    /// Waits for a slot; a caller that waits for its own takes nothing from the others.
    pub(super) async fn enter(&self) -> Slot<'_> {
        // Neither is ever closed.
        let own = self.slots.acquire().await.ok();
        let was_full = self.slots.available_permits() == 0;
        let origin = self.origin.0.acquire().await.ok();
        Slot { lane: self, own, _origin: origin, begun: Instant::now(), was_full, outcome: Outcome::Overloaded }
    }

    /// How long nothing may be sent, if so.
    pub(super) fn wait(&self) -> Option<Duration> {
        let until = locked(&self.state).paused_until;
        until.and_then(|until| until.checked_duration_since(Instant::now())).filter(|wait| !wait.is_zero())
    }

    /// Nothing may be sent for this long.
    pub(super) fn pause(&self, wait: Duration) {
        let until = &mut locked(&self.state).paused_until;
        *until = (*until).max(Some(Instant::now() + wait));
    }

    /// How many may be in flight at present.
    #[cfg(test)]
    pub(super) fn limit(&self) -> usize {
        locked(&self.state).limit
    }
}

impl Slot<'_> {
    /// The request has ended.
    pub(super) fn end(mut self, outcome: Outcome) {
        self.outcome = outcome;
    }
}

impl Drop for Slot<'_> {
    fn drop(&mut self) {
        let state = &mut *locked(&self.lane.state);
        match self.outcome {
            Outcome::Good if self.was_full && state.limit < MOST => {
                state.good += 1;
                if state.good >= state.limit {
                    (state.good, state.limit) = (0, state.limit + 1);
                    match state.debt.checked_sub(1) {
                        Some(less) => state.debt = less,
                        None => self.lane.slots.add_permits(1),
                    }
                }
            }
            Outcome::Overloaded if state.halved.is_none_or(|halved| self.begun > halved) => {
                let cut = state.limit - (state.limit / 2).max(1);
                state.limit -= cut;
                state.debt += cut - self.lane.slots.forget_permits(cut);
                (state.good, state.halved) = (0, Some(Instant::now()));
            }
            _ => {}
        }
        if let Some(less) = state.debt.checked_sub(1)
            && let Some(own) = self.own.take()
        {
            own.forget();
            state.debt = less;
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;

    fn lane(cap: usize) -> Lane {
        Lane::new(Arc::new(Origin::new(cap)))
    }

    /// As many as get in without waiting.
    fn fill(lane: &Lane) -> Vec<Slot<'_>> {
        std::iter::from_fn(|| lane.enter().now_or_never()).collect()
    }

    fn end_all(slots: Vec<Slot<'_>>, outcome: Outcome) {
        slots.into_iter().for_each(|slot| slot.end(outcome));
    }

    /// One slot that is entered when all others are taken.
    fn full_round(lane: &Lane, outcome: Outcome) {
        let mut slots = fill(lane);
        let last = slots.pop().unwrap();
        end_all(slots, Outcome::Unclear);
        last.end(outcome);
    }

    #[test]
    fn it_grows_by_one_after_a_window_of_good_answers_up_to_its_most() {
        let lane = lane(100);
        assert_eq!(fill(&lane).len(), 4);
        let lane = self::lane(100);
        for limit in 4..16 {
            assert_eq!(lane.limit(), limit);
            (0..limit).for_each(|_| full_round(&lane, Outcome::Good));
        }
        (0..100).for_each(|_| full_round(&lane, Outcome::Good));
        assert_eq!((lane.limit(), fill(&lane).len()), (16, 16));
    }

    #[test]
    fn one_at_a_time_proves_nothing_about_more() {
        let lane = lane(100);
        for _ in 0..100 {
            lane.enter().now_or_never().unwrap().end(Outcome::Good);
        }
        assert_eq!(lane.limit(), 4);
    }

    #[test]
    fn an_overload_halves_once_however_many_tell_of_it() {
        let lane = lane(100);
        end_all(fill(&lane), Outcome::Overloaded);
        assert_eq!(lane.limit(), 2);
        let held = fill(&lane);
        assert_eq!(held.len(), 2);
        drop(held); // their callers ran out of time
        assert_eq!((lane.limit(), fill(&lane).len()), (1, 1));
        end_all(fill(&lane), Outcome::Overloaded);
        assert_eq!(lane.limit(), 1, "one always gets through");
        full_round(&lane, Outcome::Good);
        assert_eq!(lane.limit(), 2);
        end_all(fill(&lane), Outcome::Unclear);
        assert_eq!(lane.limit(), 2);
    }

    #[test]
    fn slots_that_are_out_when_the_limit_falls_do_not_come_back() {
        let lane = lane(100);
        let mut held = fill(&lane);
        held.pop().unwrap().end(Outcome::Overloaded);
        assert!(lane.enter().now_or_never().is_none(), "three are out, two are allowed");
        held.pop().unwrap().end(Outcome::Unclear);
        assert!(lane.enter().now_or_never().is_none(), "two are out");
        held.pop().unwrap().end(Outcome::Unclear);
        assert_eq!(fill(&lane).len(), 1);
    }

    #[test]
    fn an_origin_has_a_cap_of_its_own() {
        let origin = Arc::new(Origin::new(6));
        let (one, two) = (Lane::new(origin.clone()), Lane::new(origin));
        let held = fill(&one);
        assert_eq!((held.len(), fill(&two).len()), (4, 2));
        one.pause(Duration::from_secs(60));
        assert!(one.wait().is_some() && two.wait().is_none(), "a pause is one's own");
    }
}
