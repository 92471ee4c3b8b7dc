//! Objects of which some fields are left to others: Git sets those only when the object is made.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde_json::Value;

use crate::api::GitSync;
use crate::api::condition::Reason;
use crate::cluster::Error;
use crate::failure::Failure;
use crate::object::{Gvk, Manifest, ObjectKey};
use crate::rendering::Rendering;
use crate::sync::hash;
use crate::sync::ignore::{self, Ignored};
use crate::sync::manner::Manner;
use crate::sync::plan::{Action, Cause, Observed};

use super::Applying;

/// What is left to others, and what that makes of the objects' hashes.
pub(crate) struct Others<'a> {
    /// What of which object.
    pub ignored: BTreeMap<ObjectKey, Ignored>,
    /// The hash of each object without it.
    pub hashes: Cow<'a, BTreeMap<ObjectKey, String>>,
}

impl<'a> Others<'a> {
    /// What the rules of the GitSync say.
    ///
    /// # Errors
    /// When a rule can't be read.
    pub fn of(sync: &GitSync, rendering: &'a Rendering) -> Result<Self, Failure> {
        let ignored = ignore::rules(&sync.spec.ignore_differences, &rendering.manifests)
            .map_err(|reason| Failure::user(Reason::InvalidSpec, reason))?;
        let mut hashes = Cow::Borrowed(&rendering.hashes);
        for manifest in rendering.manifests.iter().filter(|_| !ignored.is_empty()) {
            if let Some(ignored) = ignored.get(&manifest.key).filter(|ignored| !ignored.paths.is_empty()) {
                let rest = ignore::without(&manifest.body, &ignored.paths);
                hashes.to_mut().insert(manifest.key.clone(), hash::of(&rest));
            }
        }
        Ok(Self { ignored, hashes })
    }

    /// Adds the replicas of what an autoscaler that is not in Git was seen to scale.
    pub fn add_autoscaled(&mut self, manifests: &[Manifest], observed: &BTreeMap<ObjectKey, Observed>) {
        let is_scaled = |key: &ObjectKey| observed.get(key).is_some_and(|live| live.autoscaled);
        for manifest in manifests.iter().filter(|m| is_scaled(&m.key) && ignore::has_replicas(m)) {
            let ignored = self.ignored.entry(manifest.key.clone()).or_default();
            if !ignored.paths.iter().any(|path| path == ignore::REPLICAS) {
                ignored.paths.push(ignore::REPLICAS.to_owned());
                ignored.is_seen = true;
            }
        }
    }
}

impl Applying<'_> {
    /// Applies an object without the fields that are left to others, after giving up those that we own of them. Returns the live
    /// object, and what was applied.
    pub(super) async fn apply_ignoring<'m>(
        &self,
        manifest: &'m Manifest,
        action: &Action,
    ) -> Result<(Value, Cow<'m, Manifest>), Error> {
        let without =
            |left: &[String]| Cow::Owned(Manifest { body: ignore::without(&manifest.body, left), ..manifest.clone() });
        let Some(live) = self.cluster.get(&manifest.gvk, &manifest.key).await? else {
            let mut live = self.apply_or_instead(manifest, &action.manner).await?;
            let left = self.left_of(manifest, &live);
            if let Some(fields) = ignore::given_up(&manifest.body, &live, &left) {
                live = self.cluster.set_managed_fields(manifest, &live, fields).await?;
            }
            return Ok((live, without(&left)));
        };
        let mut left = self.left_of(manifest, &live);
        let is_seen = self.ignored.get(&manifest.key).is_some_and(|ignored| ignored.is_seen);
        if is_seen && action.cause == Cause::Changed && !self.has_autoscaler(manifest).await {
            left.retain(|path| path != ignore::REPLICAS);
        }
        if let Some(fields) = ignore::given_up(&manifest.body, &live, &left) {
            self.cluster.set_managed_fields(manifest, &live, fields).await?;
        }
        let applied: Cow<'m, Manifest> = without(&left);
        Ok((self.apply_or_instead(&applied, &action.manner).await?, applied))
    }

    /// Field ownership without what is left to others.
    pub(super) fn but_left(&self, manifest: &Manifest, live: &Value, fields: Vec<Value>) -> Vec<Value> {
        let left = self.left_of(manifest, live);
        if left.is_empty() {
            return fields;
        }
        let migrated = serde_json::json!({"metadata": {"managedFields": &fields}});
        ignore::given_up(&manifest.body, &migrated, &left).unwrap_or(fields)
    }

    /// Whether an autoscaler is there for a workload that one has scaled; taken for granted when that can't be read.
    async fn has_autoscaler(&self, manifest: &Manifest) -> bool {
        let scalers = Gvk::new("autoscaling/v2", "HorizontalPodAutoscaler");
        let Ok(scalers) = self.cluster.list(&scalers, &manifest.key.namespace).await else { return true };
        scalers.iter().any(|scaler| {
            let target = scaler.pointer("/spec/scaleTargetRef");
            let text = |name: &str| target.and_then(|target| target.get(name)).and_then(Value::as_str);
            text("kind") == Some(&manifest.key.kind) && text("name") == Some(&manifest.key.name)
        })
    }

    /// Applies, or does what is to be done about a field that can't be changed.
    pub(super) async fn apply_or_instead(&self, manifest: &Manifest, manner: &Manner) -> Result<Value, Error> {
        match self.cluster.apply(manifest).await {
            Ok(live) => Ok(live),
            Err(refused) => self.instead(manifest, manner, refused).await,
        }
    }
}
