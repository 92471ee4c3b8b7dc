//! What is recorded before anything is applied, so that a crash in between forgets nothing.

use std::collections::{BTreeMap, BTreeSet};

use kube::ResourceExt;

use crate::api::{APPLIES, FINALIZER, GitSync, GitSyncStatus};
use crate::failure::Failure;
use crate::object::ObjectKey;
use crate::observing::cluster_failure;
use crate::rendering::Rendering;
use crate::sync::inventory::Inventory;
use crate::sync::places::{self, Place};
use crate::sync::plan::{Action, Cause, Plan};

use super::Applying;

/// The places that were announced with the finalizer; none before that.
pub(crate) type Announced = Option<BTreeSet<Place>>;

/// The places that a GitSync announced, as long as its status says nothing yet.
pub(crate) fn announced(sync: &GitSync, before: &GitSyncStatus) -> BTreeSet<Place> {
    let written = sync.annotations().get(APPLIES).filter(|_| before.inventory.is_none());
    written.map(|text| places::read(text)).unwrap_or_default()
}

impl Applying<'_> {
    /// Makes sure of the finalizer, and that a next life would find what is about to be applied. With the finalizer goes, in one request,
    /// where objects will be; later the status says so, when it does not yet. Returns the status that was written, if one had to be.
    ///
    /// # Errors
    /// When it can't be written; then nothing is applied.
    pub async fn write_ahead(
        &self,
        (before, memory): (&GitSyncStatus, &mut Announced),
        owned: &mut Inventory,
        plan: &Plan,
        rendering: &Rendering,
    ) -> Result<Option<GitSyncStatus>, Failure> {
        self.announce(before, memory, owned, rendering).await?;
        let actions = || plan.apply.iter().flatten();
        if actions().next().is_none() {
            return Ok(None);
        }
        let versions: BTreeMap<&ObjectKey, &str> =
            rendering.manifests.iter().map(|m| (&m.key, m.gvk.version.as_str())).collect();
        for action in actions() {
            owned.add(action.key.clone(), versions[&action.key]);
        }
        let is_missing = |action: &Action| matches!(action.cause, Cause::New | Cause::Drifted);
        if let (Some(namespace), true) = (&self.sync.spec.target_namespace, self.sync.spec.create_namespace)
            && actions().any(is_missing)
        {
            self.cluster.ensure_namespace(namespace).await.map_err(|error| cluster_failure(&error))?;
        }
        let recorded = before.inventory.as_ref().map(Inventory::decode);
        let is_same_cluster = owned.cluster() == recorded.as_ref().and_then(Inventory::cluster);
        let known = recorded.map_or_else(|| memory.clone().unwrap_or_default(), |all| places::owned(&all).collect());
        if is_same_cluster && places::are_within(owned, &known) {
            return Ok(None);
        }
        let mut ahead = before.clone();
        ahead.inventory = Some(owned.encode());
        self.context.cluster.write_status(self.sync, before, &ahead).await.map_err(|error| cluster_failure(&error))?;
        Ok(Some(ahead))
    }

    async fn announce(
        &self,
        before: &GitSyncStatus,
        memory: &mut Announced,
        owned: &Inventory,
        rendering: &Rendering,
    ) -> Result<(), Failure> {
        if memory.is_some() {
            return Ok(());
        }
        let mut finalizers = self.sync.finalizers().to_vec();
        if finalizers.iter().any(|finalizer| finalizer == FINALIZER) {
            *memory = Some(announced(self.sync, before));
            return Ok(());
        }
        finalizers.push(FINALIZER.to_owned());
        let all: BTreeSet<Place> = places::rendered(&rendering.manifests).chain(places::owned(owned)).collect();
        // Only the status can say which other cluster that was.
        let is_first = before.inventory.is_none() && owned.cluster().is_none();
        let text = places::write(&all).filter(|_| is_first);
        let annotation = text.as_ref().map(|text| (APPLIES, text.as_str()));
        let written = self.context.cluster.write_finalizers(self.sync, &finalizers, annotation).await;
        written.map_err(|error| cluster_failure(&error))?;
        *memory = Some(text.map(|_| all).unwrap_or_default());
        Ok(())
    }
}
