//! Where an answer may send us. In: an answer that says "elsewhere". Out: the next address. Pure; must never lead from HTTPS to
//! plain HTTP, nor to an address of this machine or link.

use reqwest::header::LOCATION;
use reqwest::{Method, StatusCode, Url};

use super::wire::{Answer, authority};

/// A status that only tells of another address.
pub(super) fn is_redirect(status: StatusCode) -> bool {
    matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308)
}

/// The address that an answer to this method sends us to. Only if it may leave, that is on another origin: blobs lie in storage
/// services, anything else comes from the server that was asked.
pub(super) fn target(method: &Method, answer: &Answer, leaves: bool, registry: &Url) -> Result<Url, String> {
    let location = answer.headers.get(LOCATION).and_then(|to| to.to_str().ok());
    let target = location.and_then(|to| answer.url.join(to).ok()).ok_or("it redirects to nowhere")?;
    if !matches!(*method, Method::GET | Method::HEAD) && !matches!(answer.status.as_u16(), 307 | 308) {
        return Err("it redirects a form that was sent to it".to_owned());
    }
    if !same_origin(&target, &answer.url) {
        let name = target.origin().ascii_serialization();
        if !leaves {
            return Err(format!("it redirects to {name}, only its own address is followed"));
        }
        fits(&target, registry).map_err(|reason| format!("it redirects to {name}, {reason}"))?;
    }
    Ok(target)
}

/// Scheme, host and port are the same.
pub(super) fn same_origin(one: &Url, other: &Url) -> bool {
    one.scheme() == other.scheme()
        && one.host_str() == other.host_str()
        && one.port_or_known_default() == other.port_or_known_default()
}

/// Whether an address that a registry names may be asked: not over plain HTTP when the registry itself is not, no credentials
/// inside, and not on this machine or link unless the registry is there too (a registry must not make us ask a cloud's
/// metadata service).
pub(super) fn fits(url: &Url, registry: &Url) -> Result<(), String> {
    match (url.scheme(), registry.scheme()) {
        ("https", _) | ("http", "http") => {}
        ("http", _) => return Err("which is on plain HTTP".to_owned()),
        _ => return Err("which is neither http nor https".to_owned()),
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("an address that holds credentials".to_owned());
    }
    if is_near(url) && !is_near(registry) {
        return Err(format!("and {} is an address of this machine or link", authority(url)));
    }
    Ok(())
}

fn is_near(url: &Url) -> bool {
    let Some(host) = url.host_str() else { return true };
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<std::net::IpAddr>();
    match address.map(|address| address.to_canonical()) {
        Ok(std::net::IpAddr::V4(ip)) => ip.is_loopback() || ip.is_link_local() || ip.is_unspecified(),
        Ok(std::net::IpAddr::V6(ip)) => {
            // the last one is where EC2 has its metadata
            ip.is_loopback()
                || ip.is_unspecified()
                || ip.is_unicast_link_local()
                || ip.segments()[..2] == [0xfd00, 0xec2]
        }
        Err(_) => {
            let host = host.trim_end_matches('.');
            host == "localhost" || host.ends_with(".localhost")
        }
    }
}
