//! Which values need quotes, and which scalars can hold an image.

use granit_parser::{Event, Parser};

use super::*;

#[test]
fn values_that_read_as_text() {
    for value in [
        "v1",
        "1.2.3",
        "1.25.3-alpine",
        "latest",
        "sha-1e3",
        "1e",
        "0x",
        "0xg",
        "0b12",
        "0o8",
        "e3",
        "2024-01-31-1",
        "2024-01-31T10",
        "20240131T1030",
        "nginx:1.10",
        "a:30",
        "1:90",
        "yes-1",
        "onn",
        "_1",
        "_",
        "1.2.3.4",
        "nan",
        "inf",
        "1-2",
        "main-123",
        "12e4a",
        "00a",
    ] {
        assert!(reads_as_text(value), "{value}");
    }
}

#[test]
fn values_that_read_as_something_else() {
    for value in [
        "",
        "~",
        "null",
        "Null",
        "NULL",
        "true",
        "False",
        "yes",
        "No",
        "ON",
        "off",
        "y",
        "N",
        "1",
        "0",
        "42",
        "0123",
        "089",
        "0o17",
        "0x1f",
        "0XFF",
        "0b101",
        "1_000",
        "12_",
        "0x_f",
        "1.10",
        "1.",
        ".5",
        "1e3",
        "1E3",
        "1.5e-3",
        "1e+3",
        "12e4567",
        "1_0.5",
        "+1",
        "-1",
        "-.inf",
        ".inf",
        ".NaN",
        "1:30",
        "190:20:30",
        "1:30.5",
        "2024-01-31",
        "2024-1-2",
        "2024-01-31T10:00:00Z",
        "2024-01-31 10:00:00",
        "<<",
        "=",
    ] {
        assert!(!reads_as_text(value), "{value}");
    }
}

/// The new source of the scalar in `text` when `value` is written there.
#[track_caller]
fn check(text: &str, value: &str, expected: Result<&str, &str>) {
    let events = Parser::new_from_str(text).map(|event| event.unwrap().0);
    let scalar = events.into_iter().find_map(|event| match event {
        Event::Scalar(_, style, _, tag) => Some((style, tag)),
        _ => None,
    });
    let (style, tag) = scalar.unwrap();
    let rendered = render(value, style, tag.as_deref(), Quotes::Double);
    assert_eq!(rendered.as_deref().map_err(String::as_str), expected, "{text:?} ← {value}");
}

#[test]
fn the_style_is_kept() {
    for (text, value, expected) in [
        ("x", "v2", "v2"),
        ("'x'", "v2", "'v2'"),
        ("\"x\"", "v2", "\"v2\""),
        ("'x'", "1.10", "'1.10'"),
        ("x", "1.10", "\"1.10\""),
        ("x", "[::1]:5000/app:1", "\"[::1]:5000/app:1\""),
        ("x", "localhost:5000/a_b/c:v1@sha256:00", "localhost:5000/a_b/c:v1@sha256:00"),
        ("!!str x", "1.10", "1.10"),
        ("!!str 'x'", "1.10", "'1.10'"),
        ("!own x", "v2", "v2"),
        ("!own x", "1.10", "\"1.10\""),
        ("!!int 1", "2", "2"),
        ("!!float 1.1", "1.2", "1.2"),
    ] {
        check(text, value, Ok(expected));
    }
}

#[test]
fn scalars_that_hold_no_image() {
    check("|\n  x", "v2", Err("the value is a block of text: write it on one line"));
    check(">-\n  x", "v2", Err("the value is a block of text: write it on one line"));
    check("!!int 1", "v2", Err("the value is tagged !!int, which v2 is not: remove the tag"));
    check("!!bool true", "v2", Err("the value is tagged !!bool, which v2 is not: remove the tag"));
}
