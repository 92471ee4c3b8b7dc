//! How a registry wants to be asked. Input: the registry's address, then values of `WWW-Authenticate` headers.

use std::net::Ipv4Addr;

use reqwest::Url;
use reqwest::header::{HeaderMap, HeaderValue, WWW_AUTHENTICATE};
use tagboat::image::Repository;
use tagboat::registry::fuzzing::Challenge;

use super::first_line;

pub fn run(input: &[u8]) {
    let (registry, rest) = first_line(input);
    let mut headers = HeaderMap::new();
    for value in rest.split(|b| *b == b'\n').filter_map(|line| HeaderValue::from_bytes(line).ok()) {
        headers.append(WWW_AUTHENTICATE, value);
    }
    let repository: Repository = "registry.example.com/acme/app".parse().expect("a constant");
    let has = |word: &[u8]| rest.windows(word.len()).any(|part| part.eq_ignore_ascii_case(word));
    let (realm, service, scope) = match tagboat::registry::fuzzing::challenge(&headers, &repository) {
        None => return,
        Some(Challenge::Basic) => return assert!(has(b"basic"), "a scheme that nobody named"),
        Some(Challenge::Bearer(realm, service, scope)) => (realm, service, scope),
    };
    assert!(has(b"bearer") && has(b"realm"), "a challenge that nobody made");
    assert!(!realm.is_empty() && !scope.is_empty());
    assert!(realm.len() + service.len() <= rest.len(), "nothing is added");
    assert!(has(b"scope") || scope == "repository:acme/app:pull", "{scope}");
    let Ok(registry) = Url::parse(registry) else { return };
    let Ok(realm) = tagboat::registry::fuzzing::realm(&realm, &registry) else { return };
    assert!(realm.scheme() == "https" || (realm.scheme() == "http" && registry.scheme() == "http"));
    assert!(realm.username().is_empty() && realm.password().is_none(), "no credentials inside");
    assert!(!is_here(&realm) || is_here(&registry), "a token server on this machine");
}

/// Whether an address plainly leads to this machine or link.
fn is_here(url: &Url) -> bool {
    let Some(host) = url.host_str() else { return true };
    let is_address =
        host.parse::<Ipv4Addr>().is_ok_and(|ip| matches!(ip.octets(), [127, ..] | [169, 254, ..] | [0, 0, 0, 0]));
    is_address
        || host.starts_with("[fe80:")
        || ["[::1]", "[::]", "localhost", "localhost."].contains(&host)
        || host.ends_with(".localhost")
}
