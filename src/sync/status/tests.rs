//! What a run did → what is told.

use super::*;

fn applied(health: &[(&str, &str)], waited: usize, waits: Waits) -> Outcome {
    let object = |(object, status): &(&str, &str)| ObjectHealth {
        object: (*object).to_owned(),
        status: (*status).to_owned(),
        message: "is late".to_owned(),
    };
    Outcome::Applied {
        revision: format!("main@sha1:{}", "a".repeat(40)).parse().unwrap(),
        inventory: Inventory::default(),
        health: health.iter().map(object).collect(),
        waited,
        objects: 3,
        waits,
        drifted: Vec::new(),
    }
}

#[track_caller]
fn check(outcome: &Result<Outcome, Broken>, ready: (&str, &str), summary: &str, history: RevisionOutcome) {
    let now = DateTime::from_timestamp(0, 0).unwrap();
    let status = next(&GitSyncStatus::default(), outcome, Some(1), None, now);
    let said = &status.conditions[0];
    let message = said.message.replace(&format!("main@sha1:{}", "a".repeat(40)), "HEAD");
    assert_eq!((said.status.as_str(), message.as_str()), ready);
    assert_eq!(status.health.unwrap().summary, summary);
    assert_eq!(super::history(&GitSyncStatus::default(), outcome, None, now)[0].outcome, history);
}

#[test]
fn what_is_waited_for_is_told() {
    use RevisionOutcome::{Applied, Failed, Healthy, Progressing};
    let two = [("a", "Progressing"), ("b", "Progressing")];
    check(&Ok(applied(&[], 0, Waits::No)), ("True", "applied HEAD: 3 objects"), "3/3", Healthy);
    check(&Ok(applied(&two, 0, Waits::No)), ("True", "applied HEAD: 3 objects"), "1/3", Applied);
    check(&Ok(applied(&two, 1, Waits::ForHealth)), ("Unknown", "applied HEAD; waiting for a"), "1/3", Progressing);
    let late = "applied HEAD; a: not healthy in time: is late";
    check(&Ok(applied(&two, 1, Waits::InVain)), ("False", late), "1/3", Failed);
    let failed = [("a", "Progressing"), ("b", "Failed")];
    check(&Ok(applied(&failed, 2, Waits::InVain)), ("False", "applied HEAD; b: is late"), "1/3", Failed);
}

fn drift(count: usize) -> Vec<ObjectDrift> {
    (0..count).map(|n| ObjectDrift { object: format!("o{n}"), changes: vec!["x".to_owned()] }).collect()
}

/// What a status says of drift after an outcome, when it told of three objects before.
#[track_caller]
fn check_drift(outcome: &Result<Outcome, Broken>, expected: usize) {
    let before = GitSyncStatus { drift: drift(3), ..GitSyncStatus::default() };
    let now = DateTime::from_timestamp(0, 0).unwrap();
    assert_eq!(next(&before, outcome, Some(1), None, now).drift.len(), expected, "{outcome:?}");
}

#[test]
fn drift_is_told_as_far_as_it_is_known() {
    let seen = |count| match applied(&[], 0, Waits::No) {
        Outcome::Applied { revision, inventory, health, waited, objects, waits, .. } => {
            Outcome::Applied { revision, inventory, health, waited, objects, waits, drifted: drift(count) }
        }
        other => other,
    };
    let broken = |drifted| Broken { drifted, ..Failure::user(Reason::ApplyFailed, "x").into() };
    check_drift(&Ok(seen(0)), 0);
    check_drift(&Ok(seen(2)), 2);
    check_drift(&Ok(seen(100)), DRIFTED);
    check_drift(&Err(broken(Some(drift(1)))), 1);
    check_drift(&Err(broken(Some(drift(100)))), DRIFTED);
    check_drift(&Err(broken(None)), 3);
    check_drift(&Ok(Outcome::Suspended), 0);
    check_drift(&Ok(Outcome::Waiting), 3);
}

#[test]
fn what_waits_for_a_window_is_told_and_what_fails_meanwhile_first() {
    let held = |waits| {
        let Outcome::Applied { revision, inventory, health, objects, .. } = applied(&[("a", "Failed")], 1, waits)
        else {
            unreachable!("it is made so")
        };
        let (waiting, drifted) = ("HEAD waits".to_owned(), drift(1));
        Ok(Outcome::Held { revision, inventory, health, waited: 1, objects, waits, waiting, drifted })
    };
    let check = |waits, expected: [&str; 3]| {
        let before = GitSyncStatus {
            last_applied_revision: Some(format!("main@sha1:{}", "b".repeat(40)).parse().unwrap()),
            ..GitSyncStatus::default()
        };
        let now = DateTime::from_timestamp(0, 0).unwrap();
        let status = next(&before, &held(waits), Some(1), None, now);
        let said = &status.conditions[0];
        assert_eq!([&*said.status, &*said.reason, &*said.message], expected);
        assert_eq!(status.last_applied_revision, before.last_applied_revision, "it was not applied");
        assert_eq!((status.health.unwrap().summary.as_str(), status.drift.len()), ("2/3", 1));
        assert_eq!(super::history(&before, &held(waits), None, now), []);
    };
    check(Waits::No, ["Unknown", "WaitingForWindow", "HEAD waits"]);
    check(Waits::ForHealth, ["Unknown", "WaitingForWindow", "HEAD waits"]);
    check(Waits::InVain, ["False", "HealthCheckFailed", "a: is late; HEAD waits"]);
}
