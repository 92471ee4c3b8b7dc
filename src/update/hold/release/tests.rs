//! What a person says about holds, and what becomes of them.

use super::*;
use OnRevert::{Hold, SkipTag};

fn hold(policy: &str, value: &str) -> HoldStatus {
    HoldStatus {
        file: "app.yaml".into(),
        line: 1,
        policy: policy.into(),
        field: "image".into(),
        value: value.into(),
        by: "Ann".into(),
        at: chrono::DateTime::UNIX_EPOCH,
        commit: "0".repeat(40).parse().unwrap(),
        reason: "why".into(),
        request: None,
    }
}

fn released(policy: &str, value: &str) -> ReleasedStatus {
    ReleasedStatus { policy: policy.into(), value: value.into(), request: None }
}

#[test]
fn an_annotation_names_policies_and_values() {
    let held = hold("web:app", "x.io/app:1.2@sha256:5994471abb01112afcc18159f6cc74b4f511b99806da59b3caf5a9c173cacfc5");
    for (text, expected) in [
        ("app", true),
        ("web:app", true),
        ("*", true),
        ("app 2026-01-01T00:00:00Z", true),
        ("app@1.2", true),
        ("*@1.2 again", true),
        ("app@1.2@sha256:5994471abb01112afcc18159f6cc74b4f511b99806da59b3caf5a9c173cacfc5", true),
        ("app@x.io/app:1.2@sha256:5994471abb01112afcc18159f6cc74b4f511b99806da59b3caf5a9c173cacfc5", true),
        ("app@", true),
        ("app@1.3", false),
        ("other", false),
        ("other:app", false),
    ] {
        assert_eq!(Release::read(text).unwrap().is_of(&held), expected, "{text}");
    }
    assert_eq!((Release::read(""), Release::read(" ")), (None, None));
    assert!(Release::read("app@1.2").unwrap().is_of(&hold("web:app", "1.2")));
}

#[test]
fn a_release_lasts_until_it_is_used_up() {
    let (app, db) = (hold("web:app", "1.2"), hold("web:db", "7"));
    let holds = [(app.clone(), SkipTag), (db.clone(), SkipTag)];
    let none = |_: &str| false;
    let ask = Release::read("app");
    let settled = settle(&holds, &[], &[], ask.as_ref(), &none);
    assert_eq!((&*settled.stands, &*settled.used), ([false, true].as_slice(), [released("web:app", "1.2")].as_slice()));
    // Remembered, it needs no asking.
    assert_eq!(settle(&holds, &[], &settled.used, None, &none), settled);
    // Nothing to release any more, or another value: forgotten.
    assert_eq!(
        settle(&holds[1..], &[], &settled.used, None, &none),
        Settled { stands: vec![true], ..Settled::default() }
    );
    let next = [(hold("web:app", "1.3"), SkipTag)];
    assert_eq!(settle(&next, &[], &settled.used, None, &none).stands, [true]);
    // Under Hold the choice may move on meanwhile.
    let next = [(hold("web:app", "1.3"), Hold)];
    assert_eq!(settle(&next, &[], &settled.used, None, &none).stands, [false]);
    // A policy without a choice keeps its release, also one of a hold that is only told of.
    let settled = settle(&[], &[app, db], &[], ask.as_ref(), &|policy| policy == "web:app");
    assert_eq!(settled, Settled { waiting: vec![released("web:app", "1.2")], ..Settled::default() });
}

#[test]
fn who_closes_the_next_request_decides_anew() {
    let by_request =
        |number: u32| HoldStatus { request: Some(format!("https://x/{number}")), ..hold("web:app", "x:2") };
    let release = Release::read("app").unwrap();
    let first = settle(&[(by_request(1), SkipTag)], &[], &[], Some(&release), &|_| false);
    assert_eq!((first.stands, first.used[0].request.as_deref()), (vec![false], Some("https://x/1")));
    let again = settle(&[(by_request(2), SkipTag)], &[], &first.used, None, &|_| false);
    assert_eq!((again.stands, again.used), (vec![true], vec![]));
    // A revert in Git and a closed request are two decisions, released together.
    let both = [(hold("web:app", "x:2"), SkipTag), (by_request(1), SkipTag)];
    let released = settle(&both, &[], &[], Some(&release), &|_| false);
    assert_eq!((released.stands, released.used.len()), (vec![false, false], 2));
    let again = [(hold("web:app", "x:2"), SkipTag), (by_request(2), SkipTag)];
    assert_eq!(settle(&again, &[], &released.used, None, &|_| false).stands, [false, true]);
}
