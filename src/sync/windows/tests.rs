//! Windows as users write them × the clock → whether changes are allowed, and until when.

use super::*;
use proptest::prelude::*;

fn read(specs: &str) -> Result<Option<Windows>, Failure> {
    let specs: Vec<SyncWindow> = serde_yaml::from_str(specs).unwrap();
    Windows::read(&specs)
}

fn at(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

#[track_caller]
fn check(specs: &str, now: &str, is_open: bool, until: Option<&str>) {
    let standing = read(specs).unwrap().unwrap().standing(at(now));
    assert_eq!(standing, Standing { is_open, until: until.map(at) }, "{specs} at {now}");
}

const OFFICE: &str = "[{schedule: '0 9 * * 1-5', duration: 8h, timezone: Europe/Berlin}]";

#[test]
fn changes_need_a_window_that_allows() {
    check(OFFICE, "2026-11-24T07:59:59Z", false, Some("2026-11-24T08:00:00Z"));
    check(OFFICE, "2026-11-24T08:00:00Z", true, Some("2026-11-24T16:00:00Z"));
    check(OFFICE, "2026-11-27T16:00:00Z", false, Some("2026-11-30T08:00:00Z")); // over the weekend
    // One after the other they are one.
    let both = "[{schedule: '0 9 * * *', duration: 1h}, {schedule: '0 10 * * *', duration: 1h}]";
    check(both, "2026-11-24T09:30:00Z", true, Some("2026-11-24T11:00:00Z"));
    let once = "[{from: '2026-12-01T00:00:00+01:00', to: '2026-12-02T00:00:00+01:00'}]";
    check(once, "2026-11-30T22:59:59Z", false, Some("2026-11-30T23:00:00Z"));
    check(once, "2026-11-30T23:00:00Z", true, Some("2026-12-01T23:00:00Z"));
    check(once, "2026-12-01T23:00:00Z", false, None);
}

#[test]
fn deny_wins() {
    let lunch = "[{schedule: '0 9 * * *', duration: 8h}, {kind: Deny, schedule: '0 12 * * *', duration: 1h}]";
    check(lunch, "2026-11-24T11:00:00Z", true, Some("2026-11-24T12:00:00Z"));
    check(lunch, "2026-11-24T12:00:00Z", false, Some("2026-11-24T13:00:00Z"));
    check(lunch, "2026-11-24T13:00:00Z", true, Some("2026-11-24T17:00:00Z"));
    // Without one that allows, all but what is denied is allowed.
    let freeze = "[{kind: Deny, from: '2026-12-20T00:00:00Z', to: '2027-01-03T00:00:00Z'}]";
    check(freeze, "2026-12-19T23:59:59Z", true, Some("2026-12-20T00:00:00Z"));
    check(freeze, "2026-12-20T00:00:00Z", false, Some("2027-01-03T00:00:00Z"));
    check(freeze, "2027-01-03T00:00:00Z", true, None);
    // Windows that allow within a freeze open nothing: the next change is after it.
    let all = "[{schedule: '0 9 * * *', duration: 1h}, {kind: Deny, from: '2026-12-20T00:00:00Z', to: '2027-01-03T00:00:00Z'}]";
    check(all, "2026-12-20T12:00:00Z", false, Some("2027-01-03T09:00:00Z"));
    // Both at once.
    let same = "[{schedule: '0 9 * * *', duration: 1h}, {kind: Deny, schedule: '0 9 * * *', duration: 1h}]";
    assert!(!read(same).unwrap().unwrap().standing(at("2026-11-24T09:00:00Z")).is_open);
}

#[test]
fn clocks_that_are_put_forward_or_back() {
    // Sunday 29 March 2026: 02:00 becomes 03:00 (01:00 UTC). A start in the gap comes right after it.
    let early = "[{schedule: '30 2 * * *', duration: 1h, timezone: Europe/Berlin}]";
    check(early, "2026-03-29T00:30:00Z", false, Some("2026-03-29T01:00:00Z"));
    check(early, "2026-03-29T01:00:00Z", true, Some("2026-03-29T02:00:00Z"));
    let denied = "[{kind: Deny, schedule: '30 2 * * *', duration: 1h, timezone: Europe/Berlin}]";
    check(denied, "2026-03-29T01:59:59Z", false, Some("2026-03-29T02:00:00Z"));
    // Sunday 25 October 2026: 03:00 becomes 02:00 (01:00 UTC), so 02:30 is read twice, at 00:30 and 01:30 UTC. The first counts.
    check(early, "2026-10-25T00:30:00Z", true, Some("2026-10-25T01:30:00Z"));
    check(early, "2026-10-25T01:30:00Z", false, Some("2026-10-26T01:30:00Z"));
    // The office opens an hour earlier by UTC in summer.
    check(OFFICE, "2026-03-27T16:00:00Z", false, Some("2026-03-30T07:00:00Z"));
}

#[test]
fn a_window_that_cannot_be_read_allows_nothing() {
    #[track_caller]
    fn check(specs: &str, expected: &str) {
        let failure = read(specs).err().expect("it can't be read");
        assert!(failure.message.starts_with(expected), "{}", failure.message);
        assert_eq!(failure.reason, Reason::InvalidSpec);
    }
    check("[{schedule: '0 9 * *', duration: 1h}]", "spec.windows[0].schedule: ");
    check(
        "[{schedule: '0 9 * * *', duration: 1h}, {schedule: '0 9 * * *', duration: 0s}]",
        "spec.windows[1].duration: ",
    );
    check("[{schedule: '0 9 * * *', duration: 1h, timezone: Berlin}]", "spec.windows[0].timezone: ");
    check("[{schedule: '0 9 * * *'}]", "spec.windows[0]: set schedule and duration");
    check("[{}]", "spec.windows[0]: set schedule and duration");
    check("[{from: '2026-12-02T00:00:00Z', to: '2026-12-01T00:00:00Z'}]", "spec.windows[0]: to must be later");
    assert!(read("[]").unwrap().is_none());
}

#[test]
fn a_person_lets_one_revision_through() {
    let revision: Revision = format!("main@sha1:{}", "a1b2c3d4".repeat(5)).parse().unwrap();
    let check = |is_open, written, expected: WindowState| {
        let status = Standing { is_open, until: None }.status(written, Some(&revision));
        assert_eq!(status.state, expected, "{written:?}");
        assert_eq!(status.overridden_for.is_some(), expected == WindowState::Overridden);
    };
    check(false, None, WindowState::Closed);
    check(false, Some("a1b2c3d4"), WindowState::Overridden);
    check(false, Some("a1b2c3e4"), WindowState::Closed);
    check(false, Some("true"), WindowState::Closed);
    check(true, Some("a1b2c3d4"), WindowState::Open);
    assert_eq!(Standing { is_open: false, until: None }.status(Some("a1b2c3d4"), None).state, WindowState::Closed);
}

fn any_window() -> impl Strategy<Value = SyncWindow> {
    let zones = prop::sample::select(vec!["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe"]);
    let often = (0..60, 0..24, prop::sample::select(vec!["*", "1-5", "0"]), 1_u64..3000, zones).prop_map(
        |(minute, hour, days, minutes, zone)| SyncWindow {
            schedule: Some(format!("{minute} {hour} * * {days}")),
            duration: Some(crate::api::duration::Span(std::time::Duration::from_secs(minutes * 60))),
            timezone: Some(zone.to_owned()),
            ..SyncWindow::default()
        },
    );
    let once = (1_700_000_000_i64..1_900_000_000, 1_i64..10_000_000).prop_map(|(from, length)| SyncWindow {
        from: DateTime::from_timestamp(from, 0),
        to: DateTime::from_timestamp(from + length, 0),
        ..SyncWindow::default()
    });
    let kind = prop::sample::select(vec![WindowKind::Allow, WindowKind::Deny]);
    (prop_oneof![often, once], kind).prop_map(|(window, kind)| SyncWindow { kind, ..window })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn the_next_change_is_a_change_and_after_now(
        specs in prop::collection::vec(any_window(), 1..5),
        second in 1_700_000_000_i64..1_900_000_000,
        part in 0.0..1.0,
    ) {
        let windows = Windows::read(&specs).unwrap().unwrap();
        let now = DateTime::from_timestamp(second, 0).unwrap();
        let standing = windows.standing(now);
        prop_assert_eq!(windows.allows(now), standing.is_open);
        let is_denied = windows.deny.iter().any(|times| times.is_open(now));
        prop_assert!(!(is_denied && standing.is_open), "deny wins");
        let Some(until) = standing.until else { return Ok(()) };
        prop_assert!(until > now);
        // Until then it stays as it is, also the second before.
        let seconds = (until - now).num_seconds();
        let between = now + chrono::Duration::seconds(((seconds - 1) as f64 * part) as i64);
        prop_assert_eq!(windows.allows(between), standing.is_open, "at {}", between);
        prop_assert_eq!(windows.allows(until - chrono::Duration::seconds(1)), standing.is_open);
    }
}
