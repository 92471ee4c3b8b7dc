//! Notifications of the distribution registry, and the CloudEvents that Zot sends in their place.
//! (distribution/distribution, docs "Notifications"; project-zot, events extension)

use axum::http::HeaderMap;
use serde::Deserialize;

use super::shape::{Many, Text, Time, is_untagged};
use super::{Event, Malformed, Named, cloud_events};

#[derive(Deserialize)]
struct Envelope {
    #[serde(default)]
    events: Many<Entry>,
}

#[derive(Deserialize)]
struct Entry {
    #[serde(default)]
    id: Text,
    #[serde(default)]
    timestamp: Time,
    #[serde(default)]
    action: Text,
    target: Option<Target>,
}

#[derive(Deserialize)]
struct Target {
    #[serde(default)]
    repository: Text,
    #[serde(default)]
    tag: Text,
}

pub fn events(headers: &HeaderMap, body: &[u8]) -> Result<Vec<Event>, Malformed> {
    if cloud_events::is_one(headers) {
        return cloud_events::events(headers, body);
    }
    let envelope: Envelope = serde_json::from_slice(body)?;
    Ok(envelope.events.0.iter().filter_map(event).collect())
}

fn event(entry: &Entry) -> Option<Event> {
    let target = entry.target.as_ref()?;
    let counts = match entry.action.get()? {
        // Layers are pushed too, and so are the parts of an index: neither has a tag.
        "push" => !is_untagged(target.tag.get()),
        "delete" => true,
        _ => false,
    };
    // `request.host` is what the pusher calls the registry; a cluster may well know it by another name.
    let named = Named::anywhere(target.repository.get()?);
    counts.then(|| Event::of(named).marked(entry.id.get(), entry.timestamp.0))
}
