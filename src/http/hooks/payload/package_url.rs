//! Package URLs of container images, `pkg:oci/…` and `pkg:docker/…` (package-url/purl-spec, types "oci" and "docker").

use super::Named;
use super::shape::{repository, unescaped};

/// The names that the repository of a package URL may have; empty when it is no image's.
///
/// Type `oci`: `repository_url` is the whole repository; some writers leave the name out of it.
/// Type `docker`: the namespace is in the path, and `repository_url` is the host, by default Docker Hub's.
pub fn names(url: &str) -> Vec<Named> {
    let Some(rest) = url.strip_prefix("pkg:") else { return Vec::new() };
    let rest = rest.split('#').next().unwrap_or_default();
    let (path, qualifiers) = rest.split_once('?').unwrap_or((rest, ""));
    let Some((kind, path)) = path.trim_start_matches('/').split_once('/') else { return Vec::new() };
    // The version follows the last `@` that is not escaped.
    let Some(name) = text(path.rsplit_once('@').map_or(path, |(name, _)| name)) else { return Vec::new() };
    let at = qualifiers.split('&').find_map(|qualifier| qualifier.strip_prefix("repository_url=")).and_then(text);
    let at = at.as_deref().map(|at| at.split_once("://").map_or(at, |(_, rest)| rest).trim_end_matches('/'));
    match (kind.to_ascii_lowercase().as_str(), at) {
        ("oci", Some(at)) => vec![repository(at), repository(&format!("{at}/{name}"))],
        ("oci", None) => vec![Named::anywhere(&name)],
        ("docker", Some(at)) => vec![repository(&format!("{at}/{name}"))],
        ("docker", None) if name.contains('/') => vec![Named::at("docker.io", &name)],
        ("docker", None) => vec![Named::at("docker.io", &format!("library/{name}"))],
        _ => Vec::new(),
    }
}

fn text(escaped: &str) -> Option<String> {
    String::from_utf8(unescaped(escaped.as_bytes(), false)).ok().filter(|text| !text.is_empty())
}
