//! Gitea's and Forgejo's webhook for packages (Gitea documentation, "Webhooks").

use axum::http::HeaderMap;
use serde::Deserialize;

use super::shape::{Text, is_untagged, json};
use super::{Event, Malformed, Named};

#[derive(Deserialize)]
struct Payload {
    #[serde(default)]
    action: Text,
    package: Option<Package>,
}

#[derive(Deserialize)]
struct Package {
    #[serde(default)]
    r#type: Text,
    #[serde(default)]
    name: Text,
    #[serde(default)]
    version: Text,
    owner: Option<Owner>,
}

#[derive(Deserialize)]
struct Owner {
    #[serde(default)]
    login: Text,
    #[serde(default)]
    username: Text,
}

pub fn events(headers: &HeaderMap, body: &[u8]) -> Result<Vec<Event>, Malformed> {
    let payload: Payload = serde_json::from_slice(&json(headers, body))?;
    Ok(event(&payload).into_iter().collect())
}

fn event(payload: &Payload) -> Option<Event> {
    let package = payload.package.as_ref()?;
    let owner = package.owner.as_ref()?;
    let owner = owner.login.get().or(owner.username.get())?;
    let is_container = package.r#type.get()? == "container";
    let counts = payload.action.is_any(&["deleted"]) || !is_untagged(package.version.get());
    let name = package.name.get()?;
    (is_container && counts).then(|| Event::of(Named::anywhere(&format!("{owner}/{name}"))))
}
