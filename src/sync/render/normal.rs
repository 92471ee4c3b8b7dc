//! One object in the form in which it is applied (the rules of Flux's apply): what the server owns goes, what server-side
//! apply needs to find list items again is there.

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Map, Value, json};

use crate::object::Gvk;

/// Fields of metadata that only the server writes.
const SERVER_FIELDS: [&str; 6] =
    ["creationTimestamp", "managedFields", "resourceVersion", "uid", "generation", "selfLink"];

/// Brings an object to its normal form.
///
/// # Errors
/// When a Secret's stringData holds something else than text; its value is not in the message.
pub(super) fn form(mut body: Value, gvk: &Gvk) -> Result<Value, String> {
    let Some(object) = body.as_object_mut() else { return Ok(body) };
    object.shift_remove("status");
    if let Some(Value::Object(metadata)) = object.get_mut("metadata") {
        for field in SERVER_FIELDS {
            metadata.shift_remove(field);
        }
    }
    match (gvk.group.as_str(), gvk.kind.as_str()) {
        ("", "Secret") => secret(object)?,
        ("", "Service") => ports(object.get_mut("spec")),
        _ => {
            if let Some(path) = pod_spec(gvk) {
                containers(body.pointer_mut(path));
            }
        }
    }
    Ok(body)
}

/// stringData is written over data, as the server does; left alone, the two would have different owners.
fn secret(object: &mut Map<String, Value>) -> Result<(), String> {
    let texts = match object.shift_remove("stringData") {
        None | Some(Value::Null) => return Ok(()),
        Some(Value::Object(texts)) => texts,
        Some(_) => return Err("stringData is no mapping".to_owned()),
    };
    let data = object.entry("data").or_insert(Value::Null);
    if data.is_null() {
        *data = json!({});
    }
    let Some(data) = data.as_object_mut() else { return Err("data is no mapping".to_owned()) };
    for (key, value) in texts {
        let Value::String(text) = value else { return Err(format!("stringData.{key} is no text; quote it")) };
        data.insert(key, Value::String(BASE64.encode(text)));
    }
    Ok(())
}

/// Where a built-in kind keeps its pod's spec.
fn pod_spec(gvk: &Gvk) -> Option<&'static str> {
    match (gvk.group.as_str(), gvk.kind.as_str()) {
        ("", "Pod") => Some("/spec"),
        ("", "PodTemplate") => Some("/template/spec"),
        ("", "ReplicationController") | ("apps", _) | ("batch", "Job") => Some("/spec/template/spec"),
        ("batch", "CronJob") => Some("/spec/jobTemplate/spec/template/spec"),
        _ => None,
    }
}

fn containers(spec: Option<&mut Value>) {
    let Some(Value::Object(spec)) = spec else { return };
    for field in ["initContainers", "containers", "ephemeralContainers"] {
        let containers = spec.get_mut(field).and_then(Value::as_array_mut);
        for container in containers.into_iter().flatten() {
            ports(Some(container));
        }
    }
}

/// The protocol is part of a port's merge key, and its default is TCP; without it, an apply may fail or make a second port.
fn ports(holder: Option<&mut Value>) {
    let ports = holder.and_then(|holder| holder.get_mut("ports")).and_then(Value::as_array_mut);
    for port in ports.into_iter().flatten().filter_map(Value::as_object_mut) {
        let protocol = port.entry("protocol").or_insert(Value::Null);
        if protocol.is_null() || protocol == "" {
            *protocol = Value::String("TCP".to_owned());
        }
    }
}
