//! tagboat's own objects: statuses, finalizers, and the Secrets that they refer to.

use std::collections::BTreeMap;

use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Patch, PatchParams};
use kube::core::PartialObjectMeta;
use kube::{Api, Resource};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::{Cluster, Error};
use crate::api::FIELD_MANAGER;
use crate::api::condition::Condition;

/// An object's version, of which a later one is greater (Kubernetes' API concepts, "Resource versions").
pub fn version<K: Resource>(object: &K) -> Option<u64> {
    object.meta().resource_version.as_ref()?.parse().ok()
}

impl Cluster {
    /// Writes what differs between two statuses; nothing when they are equal. Returns the object's version after it was written.
    ///
    /// # Errors
    /// When the server can't be asked, refuses, or the object is gone.
    pub async fn write_status<K, S>(&self, object: &K, old: &S, new: &S) -> Result<Option<u64>, Error>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()> + Clone + std::fmt::Debug + DeserializeOwned,
        S: Serialize + PartialEq,
    {
        if old == new {
            return Ok(None);
        }
        let to_value = |status: &S| serde_json::to_value(status).unwrap_or(Value::Null);
        let Some(difference) = merge_patch(&to_value(old), &to_value(new)) else { return Ok(None) };
        let patch = serde_json::json!({ "status": difference });
        let (api, name) = self.own_api(object);
        let params = PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
        let written = self.within(&name, api.patch_status(&name, &params, &Patch::Merge(&patch))).await?;
        Ok(version(&written))
    }

    /// Replaces the conditions of an object that itself can't be read.
    ///
    /// # Errors
    /// When the server can't be asked or refuses.
    pub async fn write_conditions<K>(
        &self,
        (namespace, name): (&str, &str),
        conditions: &[Condition],
    ) -> Result<(), Error>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()> + 'static,
    {
        let api: Api<PartialObjectMeta<K>> = Api::namespaced(self.client.clone(), namespace);
        let patch = serde_json::json!({ "status": { "conditions": conditions } });
        let params = PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
        self.within(name, api.patch_status(name, &params, &Patch::Merge(&patch))).await.map(|_| ())
    }

    /// Replaces the object's finalizers, and sets one annotation beside them; not on another object that has its name by now.
    ///
    /// # Errors
    /// When the server can't be asked or refuses.
    pub async fn write_finalizers<K>(
        &self,
        object: &K,
        finalizers: &[String],
        annotation: Option<(&str, &str)>,
    ) -> Result<(), Error>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()> + Clone + std::fmt::Debug + DeserializeOwned,
    {
        let (api, name) = self.own_api(object);
        let mut patch = serde_json::json!({ "metadata": { "finalizers": finalizers, "uid": object.meta().uid } });
        if let Some((key, value)) = annotation {
            patch["metadata"]["annotations"] = serde_json::json!({ key: value });
        }
        let params = PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
        match self.within(&name, api.patch(&name, &params, &Patch::Merge(&patch))).await {
            Ok(_) | Err(Error::NotFound(_) | Error::Unserved) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// The data of a Secret, decoded.
    ///
    /// # Errors
    /// [`Error::NotFound`] when it is missing; else as every read.
    pub async fn secret(&self, namespace: &str, name: &str) -> Result<BTreeMap<String, Vec<u8>>, Error> {
        let api: Api<Secret> = Api::namespaced(self.client.clone(), namespace);
        let secret = self.within(&format!("Secret {namespace}/{name}"), api.get(name)).await?;
        Ok(secret.data.unwrap_or_default().into_iter().map(|(key, value)| (key, value.0)).collect())
    }

    fn own_api<K>(&self, object: &K) -> (Api<K>, String)
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>,
    {
        let namespace = object.meta().namespace.as_deref().unwrap_or_default();
        (Api::namespaced(self.client.clone(), namespace), object.meta().name.clone().unwrap_or_default())
    }
}

/// The JSON merge patch (RFC 7386) that turns `old` into `new`; none when they are equal.
fn merge_patch(old: &Value, new: &Value) -> Option<Value> {
    match (old, new) {
        _ if old == new => None,
        (Value::Object(old), Value::Object(new)) => {
            let removed = old.keys().filter(|key| !new.contains_key(*key)).map(|key| (key.clone(), Value::Null));
            let changed = new.iter().filter_map(|(key, value)| {
                merge_patch(old.get(key).unwrap_or(&Value::Null), value).map(|patch| (key.clone(), patch))
            });
            Some(Value::Object(removed.chain(changed).collect::<Map<_, _>>()))
        }
        _ => Some(new.clone()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_patch_holds_what_differs() {
        let old = json!({"a": 1, "b": {"c": [1], "d": 2}, "gone": true});
        let new = json!({"a": 1, "b": {"c": [1, 2], "d": 2}});
        assert_eq!(merge_patch(&old, &new), Some(json!({"gone": null, "b": {"c": [1, 2]}})));
        assert_eq!(merge_patch(&new, &new), None);
    }
}
