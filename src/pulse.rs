//! Whether the controller still moves. A loop that has nothing to do, waits for the lead, or finds nobody who answers is given time now
//! and then, as every wait has an end; one that is stuck is not, and only a new start helps.

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::clock;

/// How long something may be without a turn beside what a Git host is given (`spec.timeout`): longer than any other single wait, and
/// longer than reading a very large repository takes.
pub const STUCK: Duration = Duration::from_secs(15 * 60);

/// What runs now, and when each had its last turn.
#[derive(Default)]
pub struct Pulse {
    runs: Mutex<Runs>,
}

#[derive(Default)]
struct Runs {
    next: u64,
    running: BTreeMap<u64, Run>,
}

struct Run {
    kind: &'static str,
    name: String,
    moved: Instant,
}

/// Takes a run out when it ends, however it ends.
struct Seat<'a>(&'a Pulse, u64);

impl Drop for Seat<'_> {
    fn drop(&mut self) {
        self.0.lock().running.remove(&self.1);
    }
}

impl Pulse {
    /// Does the work, and notes each turn that it gets.
    pub async fn follow<T>(&self, kind: &'static str, name: String, work: impl Future<Output = T>) -> T {
        let seat = self.begin(kind, name, clock::now().steady);
        let mut work = pin!(work);
        std::future::poll_fn(|turn| {
            self.moved(&seat, clock::now().steady);
            work.as_mut().poll(turn)
        })
        .await
    }

    fn begin(&self, kind: &'static str, name: String, now: Instant) -> Seat<'_> {
        let mut runs = self.lock();
        runs.next += 1;
        let number = runs.next;
        runs.running.insert(number, Run { kind, name, moved: now });
        Seat(self, number)
    }

    fn moved(&self, seat: &Seat<'_>, now: Instant) {
        if let Some(run) = self.lock().running.get_mut(&seat.1) {
            run.moved = now;
        }
    }

    /// What had no turn for longer than `patience`, and for how long; the one that has waited most.
    pub fn stuck(&self, now: Instant, patience: Duration) -> Option<String> {
        let runs = self.lock();
        let run = runs.running.values().min_by_key(|run| run.moved)?;
        let still = now.saturating_duration_since(run.moved);
        (still > patience).then(|| format!("{} {} has not moved for {} s", run.kind, run.name, still.as_secs()))
    }

    fn lock(&self) -> MutexGuard<'_, Runs> {
        self.runs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_runs_and_gets_no_turn_is_stuck() {
        let (begin, minute) = (clock::now().steady, Duration::from_secs(60));
        let at = |minutes: u32| begin + minute * minutes;
        let pulse = Pulse::default();
        assert_eq!(pulse.stuck(at(10_000), STUCK), None, "idle for a week");

        let seat = pulse.begin("GitSync", "web/apps".to_owned(), at(0));
        let other = pulse.begin("ImagePolicy", "web/app".to_owned(), at(5));
        assert_eq!(pulse.stuck(at(15), STUCK), None, "as long as a wait may last");
        assert_eq!(pulse.stuck(at(16), STUCK).unwrap(), "GitSync web/apps has not moved for 960 s");
        assert_eq!(pulse.stuck(at(16), STUCK + minute), None, "a Git host that is given more time");
        pulse.moved(&seat, at(16));
        assert_eq!(pulse.stuck(at(16), STUCK), None, "a run of many steps takes as long as it takes");
        assert_eq!(pulse.stuck(at(21), STUCK).unwrap(), "ImagePolicy web/app has not moved for 960 s");
        drop(other);
        assert_eq!(pulse.stuck(at(31), STUCK), None);
        drop(seat);
        assert_eq!(pulse.stuck(at(10_000), STUCK), None);
    }

    #[test]
    fn each_turn_is_noted_and_the_end_too() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let pulse = Pulse::default();
        let before = clock::now().steady;
        let seen = runtime.block_on(pulse.follow("GitSync", "web/apps".to_owned(), async {
            tokio::task::yield_now().await;
            let runs = pulse.lock();
            runs.running.values().map(|run| run.moved >= before).collect::<Vec<_>>()
        }));
        assert_eq!(seen, [true]);
        assert!(pulse.lock().running.is_empty());

        let broken = pulse.follow("GitSync", "web/apps".to_owned(), async { panic!("a bug") });
        assert!(runtime.block_on(crate::quarantine::caught::<()>(broken)).is_err());
        assert!(pulse.lock().running.is_empty(), "a panic ends it as well");
    }
}
