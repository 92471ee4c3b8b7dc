//! For how long a login is used, and who shares what.

use std::sync::atomic::AtomicUsize;

use chrono::TimeDelta;

use super::*;
use crate::registry::tests::run;

fn key(subject: &str) -> Key {
    Key { provider: Provider::Gcp, place: String::new(), subject: subject.to_owned(), identity: String::new() }
}

fn login(name: &str, seconds: i64) -> Login {
    let ends = local::now().wall + TimeDelta::seconds(seconds);
    Login { credential: Credential::registry(name), ends, step: "cloud: token".to_owned() }
}

fn refused() -> Error {
    Error::Refused { step: "cloud: token".to_owned(), status: 403, message: String::new(), retry_after: None }
}

#[test]
fn a_login_is_used_for_80_percent_of_its_life_and_never_in_its_last_minute() {
    let seconds = |life| usable(Duration::from_secs(life)).as_secs();
    let hour = 3600;
    let cases = [(1, 0), (60, 0), (61, 1), (100, 40), (300, 240), (600, 480), (hour, 2880), (12 * hour, 34_560)];
    for (life, expected) in cases {
        assert_eq!(seconds(life), expected, "{life}");
    }
    assert_eq!(seconds(100 * 24 * hour), 12 * hour);
}

#[track_caller]
fn check(flights: &[Result<i64, Error>], expected_flights: usize) {
    run(async {
        let logins = Logins::default();
        let flown = AtomicUsize::new(0);
        for flight in flights {
            let _ = logins
                .get(key("a/b"), async {
                    let number = flown.fetch_add(1, Ordering::Relaxed);
                    flight.clone().map(|life| login(&number.to_string(), life))
                })
                .await;
        }
        assert_eq!(flown.into_inner(), expected_flights);
    });
}

#[test]
fn what_is_kept_and_what_is_not() {
    check(&[Ok(3600), Ok(3600), Ok(3600)], 1);
    check(&[Ok(59), Ok(59)], 2);
    check(&[Err(refused()), Err(refused()), Ok(3600), Ok(3600)], 3);
    check(&[Ok(-5), Ok(3600)], 2);
}

#[test]
fn what_has_already_ended_is_an_error_that_names_the_clock() {
    let error = run(Logins::default().get(key("a/b"), async { Ok(login("x", -1)) })).unwrap_err();
    assert!(error.to_string().contains("check the clock"), "{error}");
}

/// Ten callers at once: one flight, and its outcome for all of them.
#[track_caller]
fn check_shared(outcome: impl Fn() -> Result<Login, Error>) -> Vec<Result<Credential, Error>> {
    run(async {
        let (logins, flown) = (Logins::default(), AtomicUsize::new(0));
        let call = || {
            logins.get(key("a/b"), async {
                flown.fetch_add(1, Ordering::Relaxed);
                tokio::task::yield_now().await;
                outcome()
            })
        };
        let found = futures::future::join_all((0..10).map(|_| call())).await;
        assert_eq!(flown.load(Ordering::Relaxed), 1);
        found
    })
}

#[test]
fn callers_share_a_flight() {
    let found = check_shared(|| Ok(login("x", 3600)));
    assert!(found.iter().all(|found| *found == Ok(Credential::registry("x"))));
    let found = check_shared(|| Err(refused()));
    assert!(found.iter().all(|found| *found == Err(refused())));
    let found = check_shared(|| Ok(login("short", 30)));
    assert!(found.iter().all(|found| *found == Ok(Credential::registry("short"))));
}

#[test]
fn a_caller_that_gives_up_leaves_the_flight_to_the_next() {
    run(async {
        let logins = Logins::default();
        let lost = logins.get(key("a/b"), std::future::pending());
        assert!(futures::FutureExt::now_or_never(lost).is_none());
        let found = logins.get(key("a/b"), async { Ok(login("x", 3600)) }).await;
        assert_eq!(found, Ok(Credential::registry("x")));
    });
}

#[test]
fn every_part_of_the_key_counts() {
    run(async {
        let logins = Logins::default();
        let base = Key { provider: Provider::Aws, place: "p".into(), subject: "s".into(), identity: "i".into() };
        let keys = [
            base.clone(),
            Key { provider: Provider::Gcp, ..base.clone() },
            Key { place: "q".into(), ..base.clone() },
            Key { subject: "t".into(), ..base.clone() },
            Key { identity: "j".into(), ..base },
        ];
        for round in 0..2 {
            for (number, key) in keys.iter().enumerate() {
                let name = format!("{number} of round {round}");
                let found = logins.get(key.clone(), async { Ok(login(&name, 3600)) }).await;
                assert_eq!(found, Ok(Credential::registry(format!("{number} of round 0"))));
            }
        }
    });
}

#[test]
fn a_forgotten_login_is_obtained_anew_even_when_one_is_on_its_way() {
    run(async {
        let logins = Logins::default();
        let (send, receive) = tokio::sync::oneshot::channel::<()>();
        let early = logins.get(key("a/b"), async {
            receive.await.unwrap();
            Ok(login("old", 3600))
        });
        let late = async {
            logins.forget(&key("a/b"));
            let found = logins.get(key("a/b"), async { Ok(login("new", 3600)) }).await;
            send.send(()).unwrap();
            found
        };
        let (early, late) = futures::join!(early, late);
        assert_eq!((early, late), (Ok(Credential::registry("old")), Ok(Credential::registry("new"))));
        let found = logins.get(key("a/b"), async { Ok(login("newest", 3600)) }).await;
        assert_eq!(found, Ok(Credential::registry("new")));
    });
}
