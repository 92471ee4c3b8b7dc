//! Events: what a person would want to know of one of tagboat's objects, for `kubectl describe`.

use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::api::events::v1::Event;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::api::{ObjectMeta, PostParams};
use kube::{Api, Resource, ResourceExt};
use sha2::{Digest, Sha256};

use super::{Cluster, Error};
use crate::api::FIELD_MANAGER;
use crate::api::condition::Reason;

/// The longest note of an event that the API accepts.
const NOTE_BYTES: usize = 1000;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// For the record.
    Normal,
    /// Somebody should look.
    Warning,
}

impl Cluster {
    /// Publishes one event. Its name follows from its words and second, so that saying the same twice makes one event.
    /// (kube's recorder would fold events that differ only in their words.)
    ///
    /// # Errors
    /// When the server can't be asked or refuses; nothing depends on an event, so callers go on.
    pub async fn publish<K: Resource<DynamicType = ()>>(
        &self,
        object: &K,
        severity: Severity,
        reason: Reason,
        note: &str,
        at: chrono::DateTime<chrono::Utc>,
    ) -> Result<(), Error> {
        let namespace = object.namespace().unwrap_or_else(|| "default".to_owned());
        let hash =
            Sha256::digest(format!("{}{}{note}{}", object.uid().unwrap_or_default(), reason.as_str(), at.timestamp()));
        let time = k8s_openapi::jiff::Timestamp::from_second(at.timestamp())
            .unwrap_or(k8s_openapi::jiff::Timestamp::UNIX_EPOCH);
        let end = (0..=NOTE_BYTES.min(note.len())).rev().find(|end| note.is_char_boundary(*end)).unwrap_or(0);
        let event = Event {
            metadata: ObjectMeta {
                name: Some(format!("{}.{}", object.name_any(), hex::encode(&hash[..8]))),
                namespace: Some(namespace.clone()),
                ..ObjectMeta::default()
            },
            action: Some(reason.as_str().to_owned()),
            reason: Some(reason.as_str().to_owned()),
            note: Some(note[..end].to_owned()),
            type_: Some(match severity {
                Severity::Normal => "Normal".to_owned(),
                Severity::Warning => "Warning".to_owned(),
            }),
            event_time: Some(MicroTime(time)),
            reporting_controller: Some(FIELD_MANAGER.to_owned()),
            reporting_instance: Some(FIELD_MANAGER.to_owned()),
            regarding: Some(ObjectReference {
                api_version: Some(K::api_version(&()).into_owned()),
                kind: Some(K::kind(&()).into_owned()),
                name: Some(object.name_any()),
                namespace: object.namespace(),
                uid: object.uid(),
                ..ObjectReference::default()
            }),
            ..Event::default()
        };
        let api: Api<Event> = Api::namespaced(self.client.clone(), &namespace);
        match self.within("the event", api.create(&PostParams::default(), &event)).await {
            Err(Error::Refused { code: 409, .. }) | Ok(_) => Ok(()),
            Err(error) => Err(error),
        }
    }
}
