//! Objects of any kind: get, server-side apply, delete.

use kube::Api;
use kube::api::{
    DeleteParams, DynamicObject, ListParams, Patch, PatchParams, PostParams, Preconditions, PropagationPolicy,
};
use serde_json::Value;

use super::kinds::Kind;
use super::{Cluster, Error};
use crate::api::FIELD_MANAGER;
use crate::object::{Gvk, Manifest, ObjectKey};

/// How much of an object's name is kept when it is tried under another one.
const TRIED_NAME: usize = 40;
/// The most objects of a list.
const LISTED: u32 = 500;

impl Cluster {
    fn api(&self, kind: &Kind, namespace: &str) -> Api<DynamicObject> {
        if kind.is_namespaced {
            Api::namespaced_with(self.client.clone(), namespace, &kind.resource)
        } else {
            Api::all_with(self.client.clone(), &kind.resource)
        }
    }

    /// The live object, or none.
    ///
    /// # Errors
    /// When the server can't be asked, refuses, or does not know the kind.
    pub async fn get(&self, gvk: &Gvk, key: &ObjectKey) -> Result<Option<Value>, Error> {
        let kind = self.shared.kinds.resolve(gvk).await?;
        let api = self.api(&kind, &key.namespace);
        let live = self.within(&key.to_string(), api.get_opt(&key.name)).await?;
        Ok(live.and_then(|object| serde_json::to_value(object).ok()))
    }

    /// The live objects of a kind in a namespace, at most [`LISTED`].
    ///
    /// # Errors
    /// When the server can't be asked, refuses, or does not know the kind.
    pub async fn list(&self, gvk: &Gvk, namespace: &str) -> Result<Vec<Value>, Error> {
        let kind = self.shared.kinds.resolve(gvk).await?;
        let api = self.api(&kind, namespace);
        let params = ListParams::default().limit(LISTED);
        let listed = self.within(&gvk.kind, api.list(&params)).await?;
        Ok(listed.items.into_iter().filter_map(|object| serde_json::to_value(object).ok()).collect())
    }

    /// Applies one manifest server-side as field manager `tagboat`, taking over fields that others own
    /// (Kubernetes: Server-Side Apply, `force`). Returns the object as the server now has it.
    ///
    /// # Errors
    /// When the server can't be asked, refuses, or does not know the kind.
    pub async fn apply(&self, manifest: &Manifest) -> Result<Value, Error> {
        let kind = self.shared.kinds.resolve(&manifest.gvk).await?;
        let api = self.api(&kind, &manifest.key.namespace);
        let _permit = self.shared.writes.acquire().await;
        let params = PatchParams::apply(FIELD_MANAGER).force();
        let what = manifest.key.to_string();
        let live = self.within(&what, api.patch(&manifest.key.name, &params, &Patch::Apply(&manifest.body))).await;
        let live = live.map_err(|error| missing_namespace(self.unserved(error, &manifest.gvk), &kind, manifest))?;
        serde_json::to_value(live).map_err(|error| Error::Unavailable(error.to_string()))
    }

    /// Creates one object; none when there is one of its name already.
    ///
    /// # Errors
    /// When the server can't be asked, refuses, or does not know the kind.
    pub async fn create(&self, manifest: &Manifest) -> Result<Option<Value>, Error> {
        let kind = self.shared.kinds.resolve(&manifest.gvk).await?;
        let api = self.api(&kind, &manifest.key.namespace);
        let object: DynamicObject = serde_json::from_value(manifest.body.clone())
            .map_err(|error| Error::Refused { code: 400, message: error.to_string() })?;
        let _permit = self.shared.writes.acquire().await;
        let params = PostParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PostParams::default() };
        let what = manifest.key.to_string();
        match self.within(&what, api.create(&params, &object)).await {
            Ok(live) => serde_json::to_value(live).map(Some).map_err(|error| Error::Unavailable(error.to_string())),
            Err(Error::Refused { code: 409, message }) if message.contains("already exists") => Ok(None),
            Err(error) => Err(missing_namespace(self.unserved(error, &manifest.gvk), &kind, manifest)),
        }
    }

    /// A kind that went after it was asked for: it is asked for anew from now on.
    fn unserved(&self, error: Error, gvk: &Gvk) -> Error {
        let Error::Unserved = error else { return error };
        self.kinds().forget(&gvk.group);
        Error::UnknownKind { api_version: gvk.api_version(), kind: gvk.kind.clone() }
    }

    /// Asks whether an object like this would be taken if it were new; nothing is made.
    ///
    /// # Errors
    /// When it would not be taken, or as [`apply`](Self::apply).
    pub async fn try_create(&self, manifest: &Manifest) -> Result<(), Error> {
        let kind = self.shared.kinds.resolve(&manifest.gvk).await?;
        let api = self.api(&kind, &manifest.key.namespace);
        let mut object: DynamicObject = serde_json::from_value(manifest.body.clone())
            .map_err(|error| Error::Refused { code: 400, message: error.to_string() })?;
        // Another name, as the old object still has this one.
        let start: String = manifest.key.name.chars().take(TRIED_NAME).collect();
        object.metadata.name = Some(format!("{}-tried", start.trim_end_matches(['-', '.'])));
        let params = PostParams { field_manager: Some(FIELD_MANAGER.to_owned()), dry_run: true };
        match self.within(&manifest.key.to_string(), api.create(&params, &object)).await {
            // The old object holds a port or address that the new one wants.
            Err(Error::Refused { message, .. }) if message.contains("already allocated") => Ok(()),
            tried => tried.map(|_| ()),
        }
    }

    /// Writes `metadata.managedFields`, only onto the version of the object that they were made from.
    ///
    /// # Errors
    /// When the object changed meanwhile, or as [`apply`](Self::apply).
    pub async fn set_managed_fields(
        &self,
        manifest: &Manifest,
        live: &Value,
        fields: Vec<Value>,
    ) -> Result<Value, Error> {
        let kind = self.shared.kinds.resolve(&manifest.gvk).await?;
        let api = self.api(&kind, &manifest.key.namespace);
        let patch = serde_json::json!({
            "metadata": { "managedFields": fields, "resourceVersion": live.pointer("/metadata/resourceVersion") }
        });
        let _permit = self.shared.writes.acquire().await;
        let params = PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
        let what = manifest.key.to_string();
        let live = self.within(&what, api.patch(&manifest.key.name, &params, &Patch::Merge(&patch))).await?;
        serde_json::to_value(live).map_err(|error| Error::Unavailable(error.to_string()))
    }

    /// Deletes one object if it is still the one with this uid; its dependants go in the background. Gone already is fine.
    ///
    /// # Errors
    /// When the server can't be asked or refuses.
    pub async fn delete(&self, gvk: &Gvk, key: &ObjectKey, uid: &str) -> Result<(), Error> {
        let kind = match self.shared.kinds.resolve(gvk).await {
            Ok(kind) => kind,
            // The kind is gone, and its objects with it.
            Err(Error::UnknownKind { .. }) => return Ok(()),
            Err(error) => return Err(error),
        };
        let params = DeleteParams {
            preconditions: Some(Preconditions { uid: Some(uid.to_owned()), resource_version: None }),
            propagation_policy: Some(PropagationPolicy::Background),
            ..DeleteParams::default()
        };
        let _permit = self.shared.writes.acquire().await;
        match self.within(&key.to_string(), self.api(&kind, &key.namespace).delete(&key.name, &params)).await {
            Ok(_) | Err(Error::NotFound(_) | Error::Unserved) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Creates a namespace when it is missing; one that is there stays as it is.
    ///
    /// # Errors
    /// When the server can't be asked or refuses.
    pub async fn ensure_namespace(&self, name: &str) -> Result<(), Error> {
        let gvk = Gvk::new("v1", "Namespace");
        let key =
            ObjectKey { group: String::new(), kind: "Namespace".into(), namespace: String::new(), name: name.into() };
        if self.get(&gvk, &key).await?.is_some() {
            return Ok(());
        }
        let body = serde_json::json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
        let manifest = Manifest { gvk, key, body, file: String::new(), line: 0 };
        self.apply(&manifest).await.map(|_| ())
    }
}

/// An apply creates what is missing, so what was not found is what it was to be created in.
fn missing_namespace(error: Error, kind: &Kind, manifest: &Manifest) -> Error {
    match error {
        Error::NotFound(_) if kind.is_namespaced => {
            Error::Refused { code: 404, message: format!("namespace {} does not exist", manifest.key.namespace) }
        }
        error => error,
    }
}
