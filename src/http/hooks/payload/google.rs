//! Artifact Registry's and Container Registry's notifications, as Pub/Sub pushes them: wrapped, or the bare message.
//! (Google documentation, "Configure Pub/Sub notifications" and "Push subscriptions")

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

use super::shape::{Text, Time, repository};
use super::{Event, Malformed};

#[derive(Deserialize)]
struct Envelope {
    message: Option<Message>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Message {
    #[serde(default)]
    data: Text,
    #[serde(default)]
    message_id: Text,
    #[serde(default)]
    publish_time: Time,
}

#[derive(Deserialize)]
struct Notice {
    #[serde(default)]
    action: Text,
    #[serde(default)]
    digest: Text,
    #[serde(default)]
    tag: Text,
}

pub fn events(body: &[u8]) -> Result<Vec<Event>, Malformed> {
    let envelope: Envelope = serde_json::from_slice(body)?;
    let Some(message) = envelope.message else {
        // A subscription that unwraps sends the message's data alone.
        return Ok(event(&serde_json::from_slice(body)?).into_iter().collect());
    };
    let Ok(data) = STANDARD.decode(message.data.get().unwrap_or_default()) else {
        return Err(Malformed { line: 0, column: 0 });
    };
    let notice: Notice = serde_json::from_slice(&data)?;
    let event = event(&notice).map(|event| event.marked(message.message_id.get(), message.publish_time.0));
    Ok(event.into_iter().collect())
}

fn event(notice: &Notice) -> Option<Event> {
    let named = match notice.action.get()? {
        // What was pushed without a tag has a digest only.
        "INSERT" => notice.tag.get()?,
        "DELETE" => notice.tag.get().or(notice.digest.get())?,
        _ => return None,
    };
    Some(Event::of(repository(named)))
}
