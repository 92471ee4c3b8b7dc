//! GitHub's webhooks `package` and `registry_package` (GitHub documentation, "Webhook events and payloads").

use axum::http::HeaderMap;
use serde::Deserialize;

use super::shape::{Text, is_untagged, json, repository};
use super::{Event, Malformed, Named};

#[derive(Deserialize)]
struct Payload {
    package: Option<Package>,
    // A GitHub App gets this one.
    registry_package: Option<Package>,
}

#[derive(Deserialize)]
struct Package {
    #[serde(default)]
    name: Text,
    #[serde(default)]
    package_type: Text,
    owner: Option<Owner>,
    package_version: Option<Version>,
}

#[derive(Deserialize)]
struct Owner {
    #[serde(default)]
    login: Text,
}

#[derive(Deserialize)]
struct Version {
    #[serde(default)]
    package_url: Text,
    container_metadata: Option<Metadata>,
}

#[derive(Deserialize)]
struct Metadata {
    tag: Option<Tag>,
}

#[derive(Deserialize)]
struct Tag {
    #[serde(default)]
    name: Text,
}

pub fn events(headers: &HeaderMap, body: &[u8]) -> Result<Vec<Event>, Malformed> {
    let payload: Payload = serde_json::from_slice(&json(headers, body))?;
    let packages = [payload.package, payload.registry_package].into_iter().flatten();
    Ok(packages.filter_map(|package| event(&package)).collect())
}

fn event(package: &Package) -> Option<Event> {
    let kind = package.package_type.get()?;
    if !kind.eq_ignore_ascii_case("container") && !kind.eq_ignore_ascii_case("docker") {
        return None;
    }
    let version = package.package_version.as_ref();
    let metadata = version.and_then(|version| version.container_metadata.as_ref());
    // Each platform's image of an index is pushed without a tag before the index itself.
    if metadata.is_some_and(|metadata| is_untagged(metadata.tag.as_ref().and_then(|tag| tag.name.get()))) {
        return None;
    }
    let by_url = version.and_then(|version| version.package_url.get()).map(repository);
    let host = by_url.as_ref().and_then(|named| named.host.clone());
    let owner = package.owner.as_ref().and_then(|owner| owner.login.get());
    let by_name = owner
        .zip(package.name.get())
        .map(|(owner, name)| Named { host, ..Named::anywhere(&format!("{owner}/{name}")) });
    let names: Vec<Named> = by_url.into_iter().chain(by_name).filter(|named| !named.path.is_empty()).collect();
    (!names.is_empty()).then(|| Event { names: Some(names), ..Event::default() })
}
