//! Sonatype Nexus' repository webhooks for assets and components (Sonatype documentation, "Working With Webhooks").

use serde::Deserialize;

use super::shape::{Text, Time, is_untagged};
use super::{Event, Malformed, Named};

#[derive(Deserialize)]
struct Payload {
    #[serde(default)]
    timestamp: Time,
    asset: Option<Part>,
    component: Option<Part>,
}

#[derive(Deserialize)]
struct Part {
    #[serde(default)]
    format: Text,
    #[serde(default)]
    name: Text,
    #[serde(default)]
    version: Text,
}

pub fn events(body: &[u8]) -> Result<Vec<Event>, Malformed> {
    let payload: Payload = serde_json::from_slice(body)?;
    let asset = payload.asset.as_ref().and_then(of_asset);
    let component = payload.component.as_ref().and_then(of_component);
    // A group repository serves it below another name, and so does routing by path.
    let named = [asset, component].into_iter().flatten().map(|path| Named { below: true, ..Named::anywhere(path) });
    Ok(named.map(|named| Event::of(named).marked(None, payload.timestamp.0)).collect())
}

/// `v2/acme/app/manifests/1.0`; layers are assets too, and so are manifests by digest.
fn of_asset(asset: &Part) -> Option<&str> {
    let (path, tag) = asset.name.get()?.trim_start_matches('/').strip_prefix("v2/")?.rsplit_once("/manifests/")?;
    (is_docker(asset) && !is_untagged(Some(tag))).then_some(path)
}

fn of_component(component: &Part) -> Option<&str> {
    let name = component.name.get()?;
    (is_docker(component) && !is_untagged(component.version.get())).then_some(name)
}

fn is_docker(part: &Part) -> bool {
    part.format.is_any(&["docker", "oci"])
}
