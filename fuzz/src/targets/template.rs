//! Templates of commit messages. Input: a template.

use std::time::{Duration, Instant};

use tagboat::update::edit::{Change, Field};
use tagboat::update::message::{Occasion, check_template, message};
use tagboat::update::trailers::{read, write};

const OCCASION: Occasion<'_> = Occasion {
    object: ("web", "fleet"),
    url: "https://github.com/acme/fleet.git",
    branch: "main",
    parent: "5f0c2a91d3",
};

pub fn run(input: &[u8]) {
    let template = String::from_utf8_lossy(input);
    let changes = [change(Field::Image, "x.io/app:1.0.0", "x.io/app:1.1.0"), change(Field::Tag, "", "1.1.0")];
    let begin = Instant::now();
    let made = message(Some(&template), &OCCASION, &changes);
    assert!(begin.elapsed() < Duration::from_secs(5), "it ends");
    assert_eq!(made, message(Some(&template), &OCCASION, &changes), "the same commit again");
    let Ok(text) = made else { return };
    assert_eq!(check_template(&template), Ok(()));
    assert!(text.len() < 40 << 10);
    assert!(text.chars().all(|c| c == '\n' || c == '\t' || !c.is_control()));
    assert!(text.ends_with(&format!("\n\n{}", write(&changes))) && !text.starts_with('\n'));
    let found = read(&text);
    assert!(found.is_empty() || found.ends_with(&read(&write(&changes))), "trailers are read in whatever stands above");
}

fn change(field: Field, old: &str, new: &str) -> Change {
    let (file, policy) = ("apps/app.yaml".to_owned(), "web:app".to_owned());
    Change { file, line: 7, policy, field, old: old.to_owned(), new: new.to_owned() }
}
