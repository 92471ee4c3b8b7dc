//! YAML as objects to apply. Input: a file.

use tagboat::sync::yaml::documents;

pub fn run(input: &[u8]) {
    let (found, problems) = documents("f.yaml", input);
    assert!(problems.iter().all(|problem| problem.file == "f.yaml" && !problem.reason.is_empty()));
    for document in found {
        assert!(!document.value.is_null() && document.line > 0, "{document:?}");
        // JSON is YAML, but for characters that YAML wants escaped.
        let json = document.value.to_string();
        if json.chars().all(|c| matches!(c, ' '..='~' | '\u{a0}'..='\u{d7ff}' | '\u{10000}'..='\u{10ffff}')) {
            let (again, problems) = documents("f.yaml", json.as_bytes());
            assert_eq!((again.len(), problems.len()), (1, 0), "{json}");
            assert_eq!(again[0].value, document.value, "what was read reads the same as JSON");
        }
    }
}
