//! What AWS STS answers. Input: the document.

pub fn run(input: &[u8]) {
    let Ok(document) = std::str::from_utf8(input) else { return };
    let path = ["Credentials", "SecretAccessKey"];
    if let Ok(Some(text)) = tagboat::registry::fuzzing::element(document, &path) {
        assert!(text.len() <= document.len(), "nothing is expanded");
        assert!(document.contains("Credentials") && document.contains("SecretAccessKey"), "a name that nobody wrote");
    }
    // Any text comes back as it was written.
    let text = document.trim();
    let escaped = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    let whole = format!("<R><Credentials><SecretAccessKey>{escaped}</SecretAccessKey></Credentials></R>");
    assert_eq!(tagboat::registry::fuzzing::element(&whole, &path), Ok(Some(text.to_owned())));
}
