//! Noun: the Lease by which replicas agree on a leader, and whose turn it is. In: a Lease as it was read, and when. Out: what to
//! write, or to wait. Must never believe another machine's clock: a leader is gone when its Lease did not change for its whole
//! duration by our own steady clock, as in Kubernetes' own leader election (client-go).

use std::time::{Duration, Instant};

/// How long a leader that stopped keeps the others waiting.
pub const DURATION: Duration = Duration::from_secs(15);
/// After this time without a renewal a leader gives up: before anybody else may begin, with room for what it still has in hand.
pub const DEADLINE: Duration = Duration::from_secs(9);
/// How often a Lease is looked at, or renewed.
pub const PERIOD: Duration = Duration::from_secs(2);

/// What a Lease says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// Who leads; nobody when empty.
    pub holder: String,
    /// How long that holds without a renewal.
    pub duration: Duration,
    /// How often the holder changed.
    pub transitions: i32,
}

/// A Lease as it was read: the version of the object changes with every write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// What it says.
    pub claim: Claim,
    /// The object's `resourceVersion`.
    pub version: String,
}

/// What to do next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Write this, only if the Lease is still as it was read.
    Write(Claim),
    /// Somebody else leads.
    Wait {
        /// Who.
        holder: String,
    },
}

/// One candidate, by a name that no other process has.
#[derive(Debug)]
pub struct Candidate {
    name: String,
    seen: Option<(Found, Instant)>,
}

impl Candidate {
    /// A candidate who has seen nothing yet.
    pub fn new(name: String) -> Self {
        Self { name, seen: None }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What to do about a Lease that was just read.
    pub fn step(&mut self, found: Option<Found>, now: Instant) -> Step {
        let Some(found) = found else {
            self.seen = None;
            return Step::Write(self.claim(0));
        };
        let since = match &self.seen {
            Some((seen, since)) if *seen == found => *since,
            _ => now,
        };
        self.seen = Some((found.clone(), since));
        let claim = found.claim;
        if claim.holder == self.name {
            return Step::Write(self.claim(claim.transitions));
        }
        if claim.holder.is_empty() || now.saturating_duration_since(since) >= claim.duration {
            return Step::Write(self.claim(claim.transitions.saturating_add(1)));
        }
        Step::Wait { holder: claim.holder }
    }

    fn claim(&self, transitions: i32) -> Claim {
        Claim { holder: self.name.clone(), duration: DURATION, transitions }
    }
}

impl Claim {
    /// What a leader leaves when it goes of its own will: the next one need not wait.
    pub fn released(&self) -> Self {
        Self { holder: String::new(), duration: Duration::from_secs(1), transitions: self.transitions }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn found(holder: &str, version: &str) -> Found {
        let claim = Claim { holder: holder.into(), duration: DURATION, transitions: 3 };
        Found { claim, version: version.into() }
    }

    #[test]
    fn the_first_creates_and_then_renews() {
        let mut candidate = Candidate::new("a".into());
        let now = crate::clock::now().steady;
        let claim = Claim { holder: "a".into(), duration: DURATION, transitions: 0 };
        assert_eq!(candidate.step(None, now), Step::Write(claim.clone()));
        assert_eq!(candidate.step(Some(found("a", "7")), now), Step::Write(Claim { transitions: 3, ..claim }));
    }

    #[test]
    fn a_lease_that_changes_is_alive_whatever_time_it_names() {
        let mut candidate = Candidate::new("b".into());
        let mut now = crate::clock::now().steady;
        for version in 0..20 {
            assert_eq!(candidate.step(Some(found("a", &version.to_string())), now), Step::Wait { holder: "a".into() });
            now += DURATION - Duration::from_secs(1);
        }
        let last = found("a", "19");
        let step = candidate.step(Some(last), now + Duration::from_secs(1));
        assert!(matches!(step, Step::Write(_)), "it did not change for its duration");
    }

    #[test]
    fn what_was_released_is_taken_at_once() {
        let mut candidate = Candidate::new("b".into());
        let claim = found("a", "7").claim.released();
        let step = candidate.step(Some(Found { claim, version: "8".into() }), crate::clock::now().steady);
        assert_eq!(step, Step::Write(Claim { holder: "b".into(), duration: DURATION, transitions: 4 }));
    }

    #[test]
    fn a_leader_gives_up_before_anybody_may_follow() {
        let in_hand = Duration::from_secs(5);
        assert!(DEADLINE + in_hand < DURATION && PERIOD * 3 < DEADLINE);
    }

    proptest! {
        /// However two candidates look at one Lease: nobody takes it from a leader who renewed within the duration.
        #[test]
        fn nobody_takes_a_living_lease(looks in prop::collection::vec((0..2_usize, 0..20_u64), 1..100)) {
            let mut candidates = [Candidate::new("a".into()), Candidate::new("b".into())];
            let (mut lease, mut renewed, mut now): (Option<Found>, _, _) = (None, crate::clock::now().steady, crate::clock::now().steady);
            let mut version = 0;
            for (who, seconds) in looks {
                now += Duration::from_secs(seconds);
                match candidates[who].step(lease.clone(), now) {
                    Step::Write(claim) => {
                        if let Some(before) = &lease {
                            let is_dead = now - renewed >= DURATION;
                            prop_assert!(before.claim.holder == claim.holder || is_dead);
                        }
                        version += 1;
                        lease = Some(Found { claim, version: version.to_string() });
                        renewed = now;
                    }
                    Step::Wait { holder } => prop_assert_ne!(&holder, candidates[who].name()),
                }
            }
        }
    }
}
