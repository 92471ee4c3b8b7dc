//! Commit messages, and what is read back of our trailers. Input: a message.

use tagboat::update::edit::{Change, Field};
use tagboat::update::trailers::{Recorded, read, write};

pub fn run(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    let found = read(&text);
    for recorded in &found {
        assert_eq!(read(&again(recorded)), std::slice::from_ref(recorded), "what was read can be written");
    }
    assert_eq!(read(&format!("{text}\n\nSigned-off-by: Ann <ann@example.com>\n")), found, "words below change nothing");
    if !text.contains('\r') {
        assert_eq!(read(&text.replace('\n', "\r\n")), found, "line ends don't matter");
    }
    let quoted: String = text.lines().map(|line| format!("> {line}\n")).collect();
    assert_eq!(read(&quoted), [], "a quotation is nobody's write");
    assert_eq!(read(&format!("Revert \"{text}")), [], "nor is a revert");
    // Behind other commits of a squash, unless it is one that takes something back.
    let ours = again(&Recorded {
        policy: "web:app".into(),
        file: "a.yaml".into(),
        line: 1,
        field: "tag".into(),
        old: "1".into(),
        new: "2".into(),
    });
    assert!(read(&format!("squashed\n\n{ours}\n\n{text}")).len() > found.len());
}

/// The trailer that says the same.
fn again(recorded: &Recorded) -> String {
    let Recorded { policy, file, line, field, old, new } = recorded;
    let change = Change {
        file: file.clone(),
        line: *line,
        policy: policy.clone(),
        field: Field::Tag,
        old: old.clone(),
        new: new.clone(),
    };
    let field = serde_json::Value::from(field.as_str()).to_string();
    let text = write(&[change]);
    // The field is a text of our own, which no reader depends on.
    let at = text.find(&format!(",{line},\"tag\",")).expect("it was just written") + format!(",{line},").len();
    format!("{}{field}{}", &text[..at], &text[at + "\"tag\"".len()..])
}
