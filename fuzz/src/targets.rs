//! What is fuzzed. Each target reads its input as lines of text, so that a seed can be written by hand, and panics when a promise
//! of the code under test doesn't hold.

mod challenge;
mod edit;
mod expression;
mod hooks;
mod link;
mod loader;
mod marker;
mod pattern;
mod pull_secret;
mod range;
mod reference;
mod signature;
mod sops;
mod signed;
mod substitute;
mod tags;
mod target;
mod template;
mod trailers;
mod window;
mod xml;

/// Looks at one input.
pub type Target = fn(&[u8]);

/// All targets, by name.
pub const ALL: [(&str, Target); 21] = [
    ("challenge", challenge::run),
    ("edit", edit::run),
    ("expression", expression::run),
    ("hooks", hooks::run),
    ("link", link::run),
    ("loader", loader::run),
    ("marker", marker::run),
    ("pattern", pattern::run),
    ("pull-secret", pull_secret::run),
    ("range", range::run),
    ("reference", reference::run),
    ("signature", signature::run),
    ("sops", sops::run),
    ("signed", signed::run),
    ("substitute", substitute::run),
    ("tags", tags::run),
    ("target", target::run),
    ("template", template::run),
    ("trailers", trailers::run),
    ("window", window::run),
    ("xml", xml::run),
];

/// The first line, and what follows it.
fn first_line(input: &[u8]) -> (&str, &[u8]) {
    let (line, rest) = match input.iter().position(|b| *b == b'\n') {
        Some(end) => (&input[..end], &input[end + 1..]),
        None => (input, &[][..]),
    };
    (std::str::from_utf8(line).unwrap_or_default(), rest)
}

/// The lines, as far as they are text.
fn lines(input: &[u8]) -> impl Iterator<Item = &str> {
    std::str::from_utf8(input).unwrap_or_default().split('\n')
}
