//! The address of the next page. Input: this page's address, then values of `Link` headers.

use reqwest::Url;
use reqwest::header::{HeaderMap, HeaderValue, LINK};

use super::first_line;

pub fn run(input: &[u8]) {
    let (current, rest) = first_line(input);
    let Ok(current) = Url::parse(current) else { return };
    if !matches!(current.scheme(), "http" | "https") || !current.username().is_empty() || current.password().is_some() {
        return;
    }
    let mut headers = HeaderMap::new();
    for value in rest.split(|b| *b == b'\n').filter_map(|line| HeaderValue::from_bytes(line).ok()) {
        headers.append(LINK, value);
    }
    let next = match tagboat::registry::fuzzing::next(&headers, &current) {
        Ok(Some(next)) => next,
        Ok(None) => return,
        Err(reason) => return assert!(reason.len() < 1024 + 3 * rest.len(), "a reason is a sentence"),
    };
    assert_eq!(next.scheme(), current.scheme());
    assert_eq!(next.host_str(), current.host_str());
    assert_eq!(next.port_or_known_default(), current.port_or_known_default());
    assert!(next.username().is_empty() && next.password().is_none(), "no credentials inside");
    assert!(rest.windows(4).any(|word| word.eq_ignore_ascii_case(b"next")), "a relation that nobody named");
    // An escape takes three bytes.
    assert!(next.as_str().len() <= current.as_str().len() + 3 * (4 << 10), "longer than the limit");
}
