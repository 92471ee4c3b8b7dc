//! The Lease by which replicas agree on a leader: read, created, and written over only on the version that was read.

use std::time::Duration;

use chrono::{DateTime, SecondsFormat, Utc};
use k8s_openapi::api::coordination::v1::Lease;
use kube::Api;
use kube::api::{Patch, PatchParams, PostParams};
use serde_json::json;

use super::{Cluster, Error};
use crate::api::FIELD_MANAGER;
use crate::lease::{Claim, Found};

impl Cluster {
    /// The Lease of this namespace and name, if there is one.
    ///
    /// # Errors
    /// As every read.
    pub async fn lease(&self, (namespace, name): (&str, &str)) -> Result<Option<Found>, Error> {
        let api: Api<Lease> = Api::namespaced(self.client.clone(), namespace);
        match self.within(&format!("Lease {namespace}/{name}"), api.get(name)).await {
            Ok(lease) => Ok(Some(found(lease))),
            Err(Error::NotFound(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Writes a Lease: a new one, or over the one that was read if nobody wrote since. False when somebody did. The times in it
    /// are for people.
    ///
    /// # Errors
    /// As every write.
    pub async fn write_lease(
        &self,
        (namespace, name): (&str, &str),
        before: Option<&Found>,
        claim: &Claim,
        now: DateTime<Utc>,
    ) -> Result<bool, Error> {
        let api: Api<Lease> = Api::namespaced(self.client.clone(), namespace);
        let what = format!("Lease {namespace}/{name}");
        let time = now.to_rfc3339_opts(SecondsFormat::Micros, true);
        let mut spec = json!({
            "holderIdentity": claim.holder,
            "leaseDurationSeconds": claim.duration.as_secs(),
            "leaseTransitions": claim.transitions,
            "renewTime": time,
        });
        if before.is_none_or(|before| before.claim.holder != claim.holder) {
            spec["acquireTime"] = time.into();
        }
        let manager = Some(FIELD_MANAGER.to_owned());
        let written = match before {
            None => {
                let lease = json!({ "metadata": { "name": name }, "spec": spec });
                let lease: Lease = serde_json::from_value(lease).expect("its fields are written here");
                let params = PostParams { field_manager: manager, ..PostParams::default() };
                self.within(&what, api.create(&params, &lease)).await
            }
            Some(before) => {
                let patch = json!({ "metadata": { "resourceVersion": before.version }, "spec": spec });
                let params = PatchParams { field_manager: manager, ..PatchParams::default() };
                self.within(&what, api.patch(name, &params, &Patch::Merge(&patch))).await
            }
        };
        match written {
            Ok(_) => Ok(true),
            Err(Error::Refused { code: 409, .. } | Error::NotFound(_)) => Ok(false),
            Err(error) => Err(error),
        }
    }
}

fn found(lease: Lease) -> Found {
    let spec = lease.spec.unwrap_or_default();
    let seconds = spec.lease_duration_seconds.and_then(|seconds| u64::try_from(seconds).ok()).unwrap_or_default();
    let claim = Claim {
        holder: spec.holder_identity.unwrap_or_default(),
        duration: Duration::from_secs(seconds),
        transitions: spec.lease_transitions.unwrap_or_default(),
    };
    Found { claim, version: lease.metadata.resource_version.unwrap_or_default() }
}
