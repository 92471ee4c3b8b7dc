//! Harbor's webhook in both of its forms, "Default" and "CloudEvents" (Harbor documentation, "Configure Webhook Notifications").

use axum::http::HeaderMap;
use serde::Deserialize;

use super::shape::{Many, Text, Time, is_untagged, repository};
use super::{Event, Malformed, Named, cloud_events};

/// The longest name of a repository, in bytes.
const LONGEST_NAME: usize = 255;

#[derive(Deserialize)]
struct Payload {
    #[serde(default)]
    r#type: Text,
    #[serde(default)]
    occur_at: Time,
    event_data: Option<Data>,
    // CloudEvents
    #[serde(default)]
    id: Text,
    #[serde(default)]
    time: Time,
    data: Option<Data>,
}

#[derive(Deserialize)]
struct Data {
    #[serde(default)]
    resources: Many<Resource>,
    repository: Option<Repository>,
}

#[derive(Deserialize)]
struct Resource {
    #[serde(default)]
    tag: Text,
    #[serde(default)]
    resource_url: Text,
}

#[derive(Deserialize)]
struct Repository {
    #[serde(default)]
    repo_full_name: Text,
}

pub fn events(headers: &HeaderMap, body: &[u8]) -> Result<Vec<Event>, Malformed> {
    if let Some(head) = cloud_events::head(headers) {
        let data: Data = serde_json::from_slice(body)?;
        return Ok(named(&head.kind, &data, &head.id, head.time));
    }
    let payload: Payload = serde_json::from_slice(body)?;
    let data = payload.event_data.or(payload.data);
    let at = Time(payload.time.0.or(payload.occur_at.0));
    Ok(data.map(|data| named(&payload.r#type, &data, &payload.id, at)).unwrap_or_default())
}

fn named(kind: &Text, data: &Data, id: &Text, at: Time) -> Vec<Event> {
    let is_push = kind.is_any(&["PUSH_ARTIFACT", "pushImage", "harbor.artifact.pushed"]);
    let is_delete = kind.is_any(&["DELETE_ARTIFACT", "deleteImage", "harbor.artifact.deleted"]);
    if !is_push && !is_delete {
        return Vec::new();
    }
    // No repository's name is longer, and it is copied for each resource.
    let full_name = data.repository.as_ref().and_then(|repository| repository.repo_full_name.get());
    let full_name = full_name.filter(|name| name.len() <= LONGEST_NAME);
    let resources = data.resources.0.iter().filter(|resource| is_delete || !is_untagged(resource.tag.get()));
    let named = resources.filter_map(|resource| match (resource.resource_url.get(), full_name) {
        (Some(url), Some(path)) => Some(Named { path: path.to_owned(), ..repository(url) }),
        (Some(url), None) => Some(repository(url)),
        (None, path) => path.map(Named::anywhere),
    });
    let mut names: Vec<Named> = named.collect();
    names.dedup();
    if names.is_empty() {
        return Vec::new();
    }
    // One event for all of them, as they share the id.
    vec![Event { names: Some(names), ..Event::default() }.marked(id.get(), at.0)]
}
