//! One page of a listing (OCI distribution specification, "Listing tags"). In: a body, or a Link header. Out: its tags, or the
//! next page's address. Pure; must never let a name pass that is no valid tag, nor an address of another origin.

use std::fmt;

use reqwest::Url;
use reqwest::header::{CONTENT_TYPE, HeaderMap, LINK};
use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, SeqAccess, Visitor};

use crate::failure::printable;
use crate::image::TagListBuilder;

/// The longest address of a next page, in bytes.
const LINK_BYTES: usize = 4 << 10;

/// The tags of a page in the server's order, and how many names were no valid tags.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Names {
    pub tags: TagListBuilder,
    pub skipped: u32,
}

/// Reads a page that answers for the repository with this path.
pub(super) fn read(body: &[u8], path: &str) -> Result<Names, String> {
    #[derive(Deserialize)]
    struct Page {
        name: Option<String>,
        /// Outer: is the key there; inner: is it null.
        #[serde(default, deserialize_with = "present")]
        tags: Option<Option<Names>>,
    }
    fn present<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Option<Names>>, D::Error> {
        Deserialize::deserialize(from).map(Some)
    }
    let page: Page = serde_json::from_slice(body)
        .map_err(|error| format!("it is no list of tags in JSON (line {}, column {})", error.line(), error.column()))?;
    match (&page.name, &page.tags) {
        (None, None) => return Err("it is JSON, but has neither name nor tags".to_owned()),
        (Some(name), _) if !answers(name, path) => {
            return Err(format!("it is another repository's answer: {:?}", printable(name, 120)));
        }
        _ => {}
    }
    Ok(page.tags.flatten().unwrap_or_default())
}

/// Artifactory leaves out the leading parts of a path that choose one of its own repositories.
fn answers(name: &str, path: &str) -> bool {
    path == name || (!name.is_empty() && path.strip_suffix(name).is_some_and(|rest| rest.ends_with('/')))
}

/// A media type that can't be JSON tells of a login page or a proxy; some registries call it plain text.
pub(super) fn is_json(headers: &HeaderMap) -> Result<(), String> {
    let Some(value) = headers.get(CONTENT_TYPE) else { return Ok(()) };
    let value = String::from_utf8_lossy(value.as_bytes());
    let essence = value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let fits = essence.ends_with("/json")
        || essence.ends_with("+json")
        || matches!(&*essence, "" | "text/plain" | "application/octet-stream");
    if fits {
        Ok(())
    } else {
        Err(format!("it is {:?}, not JSON: is there a login page or proxy?", printable(&essence, 80)))
    }
}

/// The address of the next page, joined onto this page's (RFC 8288), if there is one.
pub(super) fn next(headers: &HeaderMap, current: &Url) -> Result<Option<Url>, String> {
    for value in headers.get_all(LINK) {
        let value = value.to_str().map_err(|_| "its Link header is no text")?;
        let Some(target) = next_target(value) else { continue };
        if target.len() > LINK_BYTES {
            return Err(format!("its Link to the next page is longer than {LINK_BYTES} bytes"));
        }
        let url = current.join(target).map_err(|_| "its Link to the next page is no address")?;
        if url.origin() != current.origin() || !url.username().is_empty() || url.password().is_some() {
            let (there, here) = (url.origin().ascii_serialization(), current.origin().ascii_serialization());
            return Err(format!("its Link to the next page leads to {there}, only {here} is followed"));
        }
        return Ok(Some(url));
    }
    Ok(None)
}

/// The target of the first link with the relation `next` in a Link header's value.
fn next_target(value: &str) -> Option<&str> {
    let mut rest = value;
    loop {
        let (target, tail) = rest.split_once('<')?.1.split_once('>')?;
        let (mut parameters, others) = tail.split_at(unquoted(tail, ','));
        while !parameters.is_empty() {
            let end = unquoted(parameters, ';');
            if is_next(&parameters[..end]) {
                return Some(target.trim());
            }
            parameters = parameters.get(end + 1..).unwrap_or_default();
        }
        rest = others;
    }
}

/// Where this ASCII character stands first outside of quotes, else the text's length.
fn unquoted(text: &str, wanted: char) -> usize {
    let mut quoted = false;
    let mut found = text.char_indices().filter(|(_, c)| {
        quoted ^= *c == '"';
        *c == wanted && !quoted
    });
    found.next().map_or(text.len(), |(at, _)| at)
}

fn is_next(parameter: &str) -> bool {
    let Some((name, value)) = parameter.split_once('=') else { return false };
    let relations = value.trim().trim_matches('"');
    name.trim().eq_ignore_ascii_case("rel")
        && relations.split_ascii_whitespace().any(|rel| rel.eq_ignore_ascii_case("next"))
}

impl<'de> Deserialize<'de> for Names {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_seq(NamesVisitor)
    }
}

struct NamesVisitor;

impl<'de> Visitor<'de> for NamesVisitor {
    type Value = Names;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of tags")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut from: A) -> Result<Names, A::Error> {
        let mut names = Names::default();
        while from.next_element_seed(Name(&mut names))?.is_some() {}
        Ok(names)
    }
}

/// A name, straight from the parser's buffer into the list.
struct Name<'n>(&'n mut Names);

impl<'de> DeserializeSeed<'de> for Name<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        from.deserialize_str(self)
    }
}

impl Visitor<'_> for Name<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a tag's name")
    }

    fn visit_str<E>(self, text: &str) -> Result<(), E> {
        if self.0.tags.push(text).is_err() {
            self.0.skipped += 1;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
