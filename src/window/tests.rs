//! Windows as users write them, and what the clock does to them.

use super::*;
use proptest::prelude::*;

fn window(schedule: &str, duration: &str, timezone: Option<&str>) -> Window {
    Window::parse(schedule, duration.parse().unwrap(), timezone).unwrap()
}

fn at(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

/// At `now` it is open, or it opens at `opens`.
#[track_caller]
fn check(window: &Window, now: &str, expected: Option<&str>) {
    let found = opens(std::slice::from_ref(window), at(now));
    assert_eq!(found, expected.map(at), "{window} at {now}");
}

#[test]
fn a_window_opens_closes_and_says_when_it_opens_next() {
    let office = window("0 9 * * 1-5", "8h", Some("Europe/Berlin"));
    check(&office, "2026-11-24T07:59:59Z", Some("2026-11-24T08:00:00Z")); // a Tuesday in winter: 08:59:59 in Berlin
    check(&office, "2026-11-24T08:00:00Z", None);
    check(&office, "2026-11-24T15:59:59Z", None);
    check(&office, "2026-11-24T16:00:00Z", Some("2026-11-25T08:00:00Z"));
    check(&office, "2026-11-27T16:00:00Z", Some("2026-11-30T08:00:00Z")); // over the weekend
    check(&office, "2026-07-01T07:00:00Z", None); // in summer 9:00 in Berlin is 7:00 UTC
    let nights = window("0 22 * * *", "8h", None);
    check(&nights, "2026-11-24T03:00:00Z", None); // across midnight
    check(&nights, "2026-11-24T06:00:00Z", Some("2026-11-24T22:00:00Z"));
    let always = window("* * * * *", "2m", None);
    check(&always, "2026-11-24T03:00:30Z", None);
}

#[test]
fn clocks_that_are_put_forward_or_back_lose_and_double_nothing() {
    let early = window("30 2 * * *", "1h", Some("Europe/Berlin"));
    // Sunday 29 March 2026: 02:00 becomes 03:00 (01:00 UTC). The start falls into the gap and comes right after it.
    check(&early, "2026-03-29T00:59:59Z", Some("2026-03-29T01:00:00Z"));
    check(&early, "2026-03-29T01:00:00Z", None);
    check(&early, "2026-03-29T01:59:59Z", None);
    check(&early, "2026-03-29T02:00:00Z", Some("2026-03-30T00:30:00Z"));
    // Sunday 25 October 2026: 03:00 becomes 02:00 (01:00 UTC); a window that is open then stays open for its real length.
    let long = window("0 1 * * *", "3h", Some("Europe/Berlin"));
    check(&long, "2026-10-24T23:00:00Z", None);
    check(&long, "2026-10-25T01:59:59Z", None);
    check(&long, "2026-10-25T02:00:00Z", Some("2026-10-26T00:00:00Z"));
}

#[test]
fn the_first_of_several_windows_counts() {
    let windows = [window("0 9 * * *", "1h", None), window("0 15 * * *", "1h", None)];
    assert_eq!(opens(&windows, at("2026-11-24T12:00:00Z")), Some(at("2026-11-24T15:00:00Z")));
    assert_eq!(opens(&windows, at("2026-11-24T15:30:00Z")), None);
    assert_eq!(opens(&[], at("2026-11-24T15:30:00Z")), None);
}

#[test]
fn an_open_window_says_when_it_closes() {
    #[track_caller]
    fn check(window: &Window, now: &str, expected: Option<&str>) {
        assert_eq!(window.end(at(now)), expected.map(at), "{window} at {now}");
    }
    let office = window("0 9 * * 1-5", "8h", Some("Europe/Berlin"));
    check(&office, "2026-11-24T07:59:59Z", None);
    check(&office, "2026-11-24T08:00:00Z", Some("2026-11-24T16:00:00Z"));
    check(&office, "2026-11-24T15:59:59Z", Some("2026-11-24T16:00:00Z"));
    check(&office, "2026-11-24T16:00:00Z", None);
    // Starts while it is open keep it open, and one at its end as well.
    check(&window("0,30 9 * * *", "45m", None), "2026-11-24T09:10:00Z", Some("2026-11-24T10:15:00Z"));
    check(&window("0 9,10 * * *", "1h", None), "2026-11-24T09:10:00Z", Some("2026-11-24T11:00:00Z"));
    check(&window("0 9 * * *", "1500ms", None), "2026-11-24T09:00:01Z", Some("2026-11-24T09:00:02Z"));
    // Where clocks are put back, a window that is open then closes after its real length.
    check(&window("0 1 * * *", "3h", Some("Europe/Berlin")), "2026-10-25T01:59:59Z", Some("2026-10-25T02:00:00Z"));
    // One that never closes is followed for a day.
    let always = window("* * * * *", "2m", None);
    let end = always.end(at("2026-11-24T03:00:30Z")).unwrap();
    assert!(end >= at("2026-11-25T03:00:30Z") && always.is_open(end - chrono::Duration::seconds(1)), "{end}");
}

#[test]
fn what_it_says_of_itself_is_true_around_every_change_of_clocks() {
    let schedules = [
        "30 2 * * *",
        "0 1 * * *",
        "0 3 * * *",
        "30 1 * * *",
        "0 * * * *",
        "*/30 * * * *",
        "15 1-3 * * *",
        "0 0 * * 0",
    ];
    let nights = [
        ("Europe/Berlin", "2026-03-28T21:00:00Z"),
        ("Europe/Berlin", "2026-10-24T21:00:00Z"),
        ("Australia/Lord_Howe", "2026-04-04T11:00:00Z"),
        ("Australia/Lord_Howe", "2026-10-03T11:00:00Z"),
    ];
    for (zone, from) in nights {
        for window in schedules.iter().flat_map(|s| ["20m", "1h"].map(|length| window(s, length, Some(zone)))) {
            // At each time it is what it said it would be the last time.
            let mut said: Option<(bool, DateTime<Utc>)> = None;
            for minute in (0..360).step_by(10) {
                let now = at(from) + chrono::Duration::minutes(minute);
                let (is_open, end) = (window.is_open(now), window.end(now));
                assert_eq!(is_open, end.is_some(), "{window} at {now}");
                if let Some((was_open, until)) = said {
                    assert_eq!(is_open, was_open == (now < until), "{window} at {now}, said until {until}");
                }
                let until = end.or_else(|| window.start_after(now)).unwrap();
                assert!(until > now, "{window} at {now}: {until}");
                said = Some((is_open, until));
            }
        }
    }
}

#[test]
fn what_is_no_window_is_said() {
    let check = |schedule: &str, duration: &str, timezone: Option<&str>, field: &str| {
        let flaw = Window::parse(schedule, duration.parse().unwrap(), timezone).unwrap_err();
        assert_eq!(flaw.field, field, "{}", flaw.reason);
    };
    check("0 25 * * *", "1h", None, "schedule");
    check("* * * *", "1h", None, "schedule");
    check("0 0 9 * * 1", "1h", None, "schedule"); // six fields: seconds
    check("0 0 31 2 *", "1h", None, "schedule");
    check("nine o'clock", "1h", None, "schedule");
    check("0 9 * * *", "0s", None, "duration");
    check("0 9 * * *", "9000h", None, "duration");
    check("0 9 * * *", "1h", Some("Berlin"), "timezone");
}

proptest! {
    #[test]
    fn a_closed_window_is_open_when_it_says_so(second in 0_i64..4_000_000_000, minute in 0..60, hour in 0..24, hours in 1..48) {
        let window = window(&format!("{minute} {hour} * * *"), &format!("{hours}h"), Some("America/New_York"));
        let now = DateTime::from_timestamp(second, 0).unwrap();
        if let Some(opens) = opens(std::slice::from_ref(&window), now) {
            prop_assert!(opens > now);
            prop_assert!(window.is_open(opens));
            prop_assert!(!window.is_open(opens - chrono::Duration::seconds(1)));
        } else {
            prop_assert!(window.is_open(now));
        }
    }

    #[test]
    fn any_text_is_a_schedule_or_a_reason(text in "[ 0-9*,/@LW#A-Z?-]{0,40}") {
        let _ = Window::parse(&text, "1h".parse().unwrap(), None);
    }
}
