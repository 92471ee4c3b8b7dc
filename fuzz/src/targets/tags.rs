//! One page of a listing. Input: the repository's path, then the body.

use serde_json::Value;
use tagboat::image::Tag;

use super::first_line;

pub fn run(input: &[u8]) {
    let (path, body) = first_line(input);
    let Ok((builder, skipped)) = tagboat::registry::fuzzing::tags(body, path) else { return };
    let taken = builder.len();
    let list = builder.build();
    assert!(list.len() <= taken && taken <= body.len(), "each tag takes a byte at least");
    assert!(list.iter().zip(list.iter().skip(1)).all(|(one, next)| one < next), "ascending, each once");
    assert!(list.iter().all(|tag| tag.parse::<Tag>().is_ok() && list.contains(tag)), "only tags, and each is found");
    // What another reader of JSON sees. It refuses numbers and escapes that nobody looks at here.
    let Ok(Value::Object(page)) = serde_json::from_slice(body) else { return };
    if let Some(Value::String(name)) = page.get("name") {
        assert!(path == name || path.ends_with(&format!("/{name}")), "another repository's answer");
    }
    let names: Vec<&str> = match page.get("tags") {
        Some(Value::Array(names)) => names.iter().map(|name| name.as_str().expect("names are texts")).collect(),
        other => {
            assert!(matches!(other, None | Some(Value::Null)), "tags are a list");
            Vec::new()
        }
    };
    let mut expected: Vec<&str> = names.iter().copied().filter(|name| name.parse::<Tag>().is_ok()).collect();
    assert_eq!((taken, skipped as usize), (expected.len(), names.len() - expected.len()));
    expected.sort_unstable();
    expected.dedup();
    assert!(list.iter().eq(expected), "the list is what the page says");
}
