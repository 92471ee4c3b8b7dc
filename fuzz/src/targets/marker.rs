//! Markers. Input: a comment, without its first `#`.

use tagboat::update::marker::{Field, KEY, parse};

pub fn run(input: &[u8]) {
    let comment = String::from_utf8_lossy(input);
    let Ok(marker) = parse(&comment) else { return };
    let suffix = match marker.field {
        Field::Image => String::new(),
        field => format!(":{field}"),
    };
    let plain = format!("{{\"{KEY}\": \"{}{suffix}\"}}", marker.policy());
    assert_eq!(parse(&plain).as_ref(), Ok(&marker), "what was read can be written");
    assert_eq!(parse(&format!(" # {plain}\t")).as_ref(), Ok(&marker), "blanks around it don't matter");
    assert!(parse(&format!("{plain} x")).is_err() && parse(&format!("x {plain}")).is_err(), "words around it do");
    assert!(comment.matches(KEY).count() <= 1, "one comment, one policy");
}
