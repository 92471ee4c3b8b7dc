//! Docker Hub's webhook (Docker documentation, "Webhooks"). Its `callback_url` is never called.

use serde::Deserialize;

use super::shape::{Text, Time};
use super::{Event, Malformed, Named};

#[derive(Deserialize)]
struct Payload {
    push_data: Option<PushData>,
    repository: Option<Repository>,
}

#[derive(Deserialize)]
struct PushData {
    #[serde(default)]
    pushed_at: Time,
}

#[derive(Deserialize)]
struct Repository {
    #[serde(default)]
    repo_name: Text,
    #[serde(default)]
    namespace: Text,
    #[serde(default)]
    name: Text,
}

pub fn events(body: &[u8]) -> Result<Vec<Event>, Malformed> {
    let payload: Payload = serde_json::from_slice(body)?;
    let at = payload.push_data.and_then(|push| push.pushed_at.0);
    let path = payload.repository.and_then(|repository| match (repository.repo_name.get(), repository.name.get()) {
        (Some(path), _) if path.contains('/') => Some(path.to_owned()),
        (name, other) => {
            let namespace = repository.namespace.get().unwrap_or("library");
            name.or(other).map(|name| format!("{namespace}/{name}"))
        }
    });
    Ok(path.map(|path| Event::of(Named::at("docker.io", &path)).marked(None, at)).into_iter().collect())
}
