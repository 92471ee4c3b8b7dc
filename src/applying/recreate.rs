//! An object whose fields can't be changed is deleted and made anew, once the server says that it would take the new one.

use crate::cluster::Error;
use crate::object::Manifest;
use crate::sync::manner::Manner;
use crate::sync::recreate;
use crate::sync::substitute::Mask;

use super::Applying;

impl Applying<'_> {
    /// What to do about a refused change: the object made anew, or the refusal with a hint.
    pub(super) async fn instead(
        &self,
        manifest: &Manifest,
        manner: &Manner,
        refused: Error,
    ) -> Result<serde_json::Value, Error> {
        let Error::Immutable { message } = refused else { return Err(refused) };
        let is_forced = self.sync.spec.force;
        if !recreate::is_allowed(&manifest.key, manner.recreate, is_forced) {
            let hint = recreate::hint(&manifest.key, is_forced);
            return Err(Error::Immutable { message: format!("{message}; {hint}") });
        }
        // The old one goes only when the server would take the new one.
        self.cluster.try_create(manifest).await?;
        let Some(live) = self.cluster.get(&manifest.gvk, &manifest.key).await? else {
            return self.cluster.apply(manifest).await;
        };
        let uid = live.pointer("/metadata/uid").and_then(|uid| uid.as_str()).unwrap_or_default();
        self.cluster.delete(&manifest.gvk, &manifest.key, uid).await?;
        let why = self.mask.hide(&Mask::of(&manifest.body).hide(&message));
        tracing::info!(object = %manifest.key, "deleted to be made anew: {why}");
        self.cluster.apply(manifest).await.map_err(|error| match error {
            // Finalizers hold the old one; its watch says when it is gone.
            Error::Immutable { .. } | Error::Refused { code: 409, .. } => {
                Error::Refused { code: 409, message: "the old object is being deleted to be made anew".to_owned() }
            }
            error => error,
        })
    }
}
