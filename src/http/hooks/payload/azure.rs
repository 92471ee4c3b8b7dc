//! Azure Container Registry's webhook (Azure documentation, "Azure Container Registry webhook reference").

use serde::Deserialize;

use super::shape::{Text, Time, is_untagged};
use super::{Event, Malformed, Named};

#[derive(Deserialize)]
struct Payload {
    #[serde(default)]
    id: Text,
    #[serde(default)]
    timestamp: Time,
    #[serde(default)]
    action: Text,
    target: Option<Target>,
    request: Option<Request>,
}

#[derive(Deserialize)]
struct Target {
    #[serde(default)]
    repository: Text,
    #[serde(default)]
    tag: Text,
}

#[derive(Deserialize)]
struct Request {
    #[serde(default)]
    host: Text,
}

pub fn events(body: &[u8]) -> Result<Vec<Event>, Malformed> {
    let payload: Payload = serde_json::from_slice(body)?;
    Ok(event(&payload).into_iter().collect())
}

fn event(payload: &Payload) -> Option<Event> {
    let target = payload.target.as_ref()?;
    let counts = match payload.action.get()? {
        "push" => !is_untagged(target.tag.get()),
        "delete" => true,
        _ => false,
    };
    let path = target.repository.get()?;
    let host = payload.request.as_ref().and_then(|request| request.host.get());
    let named = host.map_or_else(|| Named::anywhere(path), |host| Named::at(host, path));
    counts.then(|| Event::of(named).marked(payload.id.get(), payload.timestamp.0))
}
