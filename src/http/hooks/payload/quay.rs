//! Quay's notification "push to repository" (Quay documentation, "Repository Notifications").

use serde::Deserialize;

use super::shape::{Many, Text, repository};
use super::{Event, Malformed, Named};

#[derive(Deserialize)]
struct Payload {
    #[serde(default)]
    docker_url: Text,
    #[serde(default)]
    repository: Text,
    #[serde(default)]
    updated_tags: Many<Text>,
}

pub fn events(body: &[u8]) -> Result<Vec<Event>, Malformed> {
    let payload: Payload = serde_json::from_slice(body)?;
    // Builds and vulnerability reports name the repository too, but have no tags that moved.
    if payload.updated_tags.0.is_empty() {
        return Ok(Vec::new());
    }
    let named = payload.docker_url.get().map(repository);
    let named = named.or_else(|| payload.repository.get().map(Named::anywhere));
    Ok(named.map(Event::of).into_iter().collect())
}
