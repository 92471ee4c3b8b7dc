//! JFrog Artifactory's webhook of the domain `docker` (JFrog documentation, "Webhook Event Types").

use serde::Deserialize;

use super::shape::Text;
use super::{Event, Malformed, Named};

#[derive(Deserialize)]
struct Payload {
    data: Option<Data>,
}

#[derive(Deserialize)]
struct Data {
    #[serde(default)]
    path: Text,
    #[serde(default)]
    image_name: Text,
    #[serde(default)]
    tag: Text,
}

pub fn events(body: &[u8]) -> Result<Vec<Event>, Malformed> {
    let payload: Payload = serde_json::from_slice(body)?;
    Ok(payload.data.as_ref().and_then(event).into_iter().collect())
}

fn event(data: &Data) -> Option<Event> {
    // Parts of an index are stored under a tag that is their digest.
    if data.tag.get().is_some_and(|tag| tag.starts_with("sha256:") || tag.starts_with("sha256__")) {
        return None;
    }
    let path = data.image_name.get().or_else(|| data.path.get().and_then(image_of))?;
    // The sender knows its local repository, but images are pulled through a virtual one, or through a host of its own.
    Some(Event::of(Named { below: true, ..Named::anywhere(path) }))
}

/// `acme/app/1.0/manifest.json` without its last two parts.
fn image_of(path: &str) -> Option<&str> {
    let (image_and_tag, file) = path.rsplit_once('/')?;
    let (image, _) = image_and_tag.rsplit_once('/')?;
    matches!(file, "manifest.json" | "list.manifest.json").then_some(image)
}
