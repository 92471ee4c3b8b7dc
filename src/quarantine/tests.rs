//! What a panic says, how long an object waits after one, and what ends that at once.

use std::time::Duration;

use super::*;

/// As `note_panics` does it, beside what the test runner prints.
fn note() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        let printing = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            telemetry::note(panic);
            printing(panic);
        }));
    });
}

#[test]
fn a_panic_is_told_by_its_place_and_never_by_values() {
    note();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let word = "sesäme".to_owned();
    let (cut, missing) = (word.clone(), word.clone());
    let fails = move || -> Result<(), String> { Err(missing) };
    let told = [
        runtime.block_on(caught(async { panic!("written into the program") })).unwrap_err(),
        runtime.block_on(caught(async { panic!("it holds {word}") })).unwrap_err(),
        runtime.block_on(caught_aside(move || cut[..4].len())).unwrap_err(),
        runtime.block_on(caught_aside(move || fails().unwrap())).unwrap_err(),
    ];
    for failure in &told {
        assert_eq!(failure.reason, Reason::InternalError);
        assert!(failure.message.contains(".rs:"), "{failure}");
        assert!(!failure.message.contains("ses"), "{failure}");
    }
    assert!(told[1].message.contains("src/quarantine/tests.rs:"), "{}", told[1]);
    assert!(told[0].message.ends_with(": written into the program"), "{}", told[0]);
    assert_eq!(runtime.block_on(caught_aside(|| 7)), Ok(7));
}

#[test]
fn an_object_that_panics_waits_ever_longer() {
    let now = clock::now();
    let at = |seconds: u64| Now { steady: now.steady + Duration::from_secs(seconds), ..now };
    let asked = (Some(1), None, false);
    let mut held = Held::default();
    assert_eq!(held.until(&asked, now), None);
    for (panics, seconds) in [(1, 1), (2, 2), (3, 4), (4, 8), (9, 256), (10, 300), (100, 300)] {
        while held.panics < panics {
            held = held.longer(asked.clone(), now);
        }
        assert!(held.until(&asked, at(seconds - 1)).is_some(), "{panics}");
        assert_eq!(held.until(&asked, at(seconds)), None, "{panics}");
    }
    for changed in [(Some(2), None, false), (Some(1), Some("now".to_owned()), false), (Some(1), None, true)] {
        assert_eq!(held.until(&changed, now), None, "{changed:?}");
    }
}
