//! CloudEvents in structured, batched and binary mode (CloudEvents 1.0, HTTP protocol binding), and CDEvents within them or bare.

use axum::http::HeaderMap;
use serde::Deserialize;

use super::shape::{Either, Many, Text, Time, is_untagged, repository};
use super::{Event, Malformed, Named, amazon, package_url};

/// What an event says of itself.
#[derive(Default)]
pub struct Head {
    /// Its id.
    pub id: Text,
    /// Its type.
    pub kind: Text,
    /// When it happened.
    pub time: Time,
    source: Text,
    subject: Text,
}

#[derive(Deserialize)]
struct Envelope {
    #[serde(default)]
    id: Text,
    #[serde(default)]
    r#type: Text,
    #[serde(default)]
    time: Time,
    #[serde(default)]
    source: Text,
    subject: Option<Either<Subject>>,
    data: Option<Data>,
    context: Option<Context>,
}

/// What the event types that we know have in their data.
#[derive(Deserialize, Default)]
struct Data {
    // ECR, as EventBridge's input transformer is usually set
    #[serde(default, rename = "repositoryName")]
    repository_name: Text,
    #[serde(default, rename = "registryId")]
    registry_id: Text,
    // Zot
    #[serde(default)]
    name: Text,
    #[serde(default)]
    reference: Text,
    // CDEvents
    context: Option<Context>,
    subject: Option<Either<Subject>>,
}

#[derive(Deserialize)]
struct Context {
    #[serde(default)]
    id: Text,
    #[serde(default)]
    r#type: Text,
    #[serde(default)]
    timestamp: Time,
}

#[derive(Deserialize)]
struct Subject {
    #[serde(default)]
    id: Text,
}

/// What the headers of the binary mode say.
pub fn head(headers: &HeaderMap) -> Option<Head> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let of = |name: &str| text(name).map(Text::from).unwrap_or_default();
    text("ce-type")?;
    let time = text("ce-time").map(Time::read).unwrap_or_default();
    Some(Head { id: of("ce-id"), kind: of("ce-type"), time, source: of("ce-source"), subject: of("ce-subject") })
}

/// Whether a request carries a CloudEvent, by its headers.
pub fn is_one(headers: &HeaderMap) -> bool {
    let kind = headers.get("content-type").and_then(|value| value.to_str().ok()).unwrap_or_default();
    headers.contains_key("ce-type") || kind.starts_with("application/cloudevents")
}

pub fn events(headers: &HeaderMap, body: &[u8]) -> Result<Vec<Event>, Malformed> {
    if let Some(head) = head(headers) {
        let data: Data = serde_json::from_slice(body)?;
        return Ok(event(&head, &data).into_iter().collect());
    }
    let is_batch = body.trim_ascii_start().first() == Some(&b'[');
    let envelopes = if is_batch { serde_json::from_slice(body)? } else { Many(vec![serde_json::from_slice(body)?]) };
    Ok(envelopes.0.into_iter().filter_map(of_envelope).collect())
}

fn of_envelope(envelope: Envelope) -> Option<Event> {
    let mut data = envelope.data.unwrap_or_default();
    let mut head = Head {
        id: envelope.id,
        kind: envelope.r#type,
        time: envelope.time,
        source: envelope.source,
        subject: Text::default(),
    };
    match envelope.subject {
        Some(Either::Text(subject)) => head.subject = Text::from(subject.as_str()),
        // A CDEvent without an envelope around it.
        bare => (data.context, data.subject) = (data.context.or(envelope.context), data.subject.or(bare)),
    }
    event(&head, &data)
}

fn event(head: &Head, data: &Data) -> Option<Event> {
    let context = data.context.as_ref();
    let kind = context.and_then(|context| context.r#type.get()).or(head.kind.get())?;
    let id = head.id.get().or(context.and_then(|context| context.id.get()));
    let at = head.time.0.or(context.and_then(|context| context.timestamp.0));
    let names = if let Some(predicate) = kind.strip_prefix("dev.cdevents.artifact.") {
        of_artifact(predicate, head, data)
    } else if kind.starts_with("com.amazon.ecr.") {
        of_ecr(head, data)
    } else if matches!(kind, "zotregistry.image.updated" | "zotregistry.image.deleted") {
        let counts = kind.ends_with("deleted") || !is_untagged(data.reference.get());
        data.name.get().filter(|_| counts).map(Named::anywhere).into_iter().collect()
    } else if is_of_images(kind) {
        data.repository_name.get().or(head.subject.get()).map(repository).into_iter().collect()
    } else {
        Vec::new()
    };
    (!names.is_empty()).then(|| Event { names: Some(names), ..Event::default() }.marked(id, at))
}

/// Types that say no more than that an image changed; their subject is `repository:tag`.
fn is_of_images(kind: &str) -> bool {
    let is_known = ["zotregistry.", "harbor.", "dev.cdevents."].iter().any(|prefix| kind.starts_with(prefix));
    let is_idle = ["pull", "scan", "download"].iter().any(|word| kind.contains(word));
    !is_known && !is_idle && (kind.contains("image") || kind.contains("container"))
}

/// A signature counts too: a choice may be waiting for it.
fn of_artifact(predicate: &str, head: &Head, data: &Data) -> Vec<Named> {
    let word = predicate.split('.').next().unwrap_or_default();
    if !matches!(word, "packaged" | "published" | "signed" | "deleted") {
        return Vec::new();
    }
    let subject = match &data.subject {
        Some(Either::Object(subject)) => subject.id.get(),
        Some(Either::Text(id)) => Some(id.as_str()),
        None => head.subject.get(),
    };
    subject.map(package_url::names).unwrap_or_default()
}

fn of_ecr(head: &Head, data: &Data) -> Vec<Named> {
    let of_subject = || head.subject.get().and_then(|subject| subject.split(':').next());
    let host = head.source.get().and_then(|source| amazon::host_of_source(source, data.registry_id.get()));
    let path = data.repository_name.get().or_else(of_subject);
    path.map(|path| Named { host, ..Named::anywhere(path) }).into_iter().collect()
}
