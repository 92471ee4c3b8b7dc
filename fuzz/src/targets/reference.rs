//! Names of images. Input: one text, read as each of them.

use std::fmt::{Debug, Display};
use std::str::FromStr;

use tagboat::image::{Digest, Image, Platform, Repository, Tag};

pub fn run(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let tag = round_trip::<Tag>(text);
    assert!(tag.is_none_or(|tag| tag.as_str().len() <= 128));
    round_trip::<Digest>(text);
    if let Some(platform) = round_trip::<Platform>(text) {
        assert!(platform.runs_on(&platform), "it is itself");
    }
    if let Some(repository) = round_trip::<Repository>(text) {
        check(&repository);
    }
    if let Some(image) = round_trip::<Image>(text) {
        check(&image.name);
    }
}

/// A text that is accepted is kept as it is: it prints and serializes as what it was read from.
fn round_trip<T>(text: &str) -> Option<T>
where
    T: FromStr + Display + PartialEq + Debug,
    T::Err: Display,
{
    match text.parse::<T>() {
        Ok(read) => {
            assert_eq!(read.to_string(), text);
            Some(read)
        }
        Err(error) => {
            assert!(error.to_string().chars().count() < 4096, "a message is a sentence");
            None
        }
    }
}

/// Host and path are fit for an address, and are the same when they are written out.
fn check(repository: &Repository) {
    let (host, path) = (repository.host(), repository.path());
    let url = reqwest::Url::parse(&format!("https://{host}/v2/{path}/tags/list")).ok();
    if let Some(url) = url {
        assert_eq!(url.path(), format!("/v2/{path}/tags/list"), "nothing in it steers an address");
        assert!(url.query().is_none() && url.fragment().is_none() && url.username().is_empty());
    }
    let whole = format!("{host}/{path}");
    if whole.len() <= 255 {
        let whole: Repository = whole.parse().expect("host and path are a repository");
        assert_eq!((whole.host(), whole.path()), (host, path));
    }
}
