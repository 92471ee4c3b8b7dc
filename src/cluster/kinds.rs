//! Which kinds the server knows, under which resource name, and whether they live in namespaces.

use std::collections::HashMap;
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use kube::Client;
use kube::core::GroupVersion;
use kube::discovery::{ApiResource, Scope};

use super::remote::{Link, answer};
use super::{Error, Identity, settled};
use crate::object::Gvk;

/// One kind as the server serves it.
#[derive(Debug, Clone)]
pub struct Kind {
    /// Group, version, kind and plural.
    pub resource: ApiResource,
    /// Whether its objects live in namespaces.
    pub is_namespaced: bool,
}

/// What the server is, for templates that ask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Served {
    /// Its version, such as `v1.37.0`.
    pub version: String,
    /// What it serves, each as `group/version` and as `group/version/Kind`.
    pub api_versions: Vec<String>,
}

/// The kinds that were asked for so far. A kind that was not found is asked for again, as it may have been installed since.
pub struct Kinds {
    client: Client,
    identity: Identity,
    link: Option<Link>,
    known: RwLock<HashMap<Gvk, Kind>>,
    /// One question at a time: many ask for the same group at once.
    asking: tokio::sync::Mutex<()>,
}

impl Kinds {
    pub(super) fn new(client: Client, identity: Identity, link: Option<Link>) -> Self {
        Self { client, identity, link, known: RwLock::default(), asking: tokio::sync::Mutex::default() }
    }

    /// What is known already of a kind.
    pub fn known(&self, gvk: &Gvk) -> Option<Kind> {
        self.read().get(gvk).cloned()
    }

    fn read(&self) -> RwLockReadGuard<'_, HashMap<Gvk, Kind>> {
        self.known.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, HashMap<Gvk, Kind>> {
        self.known.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// A kind; asks the server for its group and version when it is not known yet.
    ///
    /// # Errors
    /// [`Error::UnknownKind`] when the server does not serve it.
    pub async fn resolve(&self, gvk: &Gvk) -> Result<Kind, Error> {
        if let Some(kind) = self.known(gvk) {
            return Ok(kind);
        }
        let _asking = self.asking.lock().await;
        if let Some(kind) = self.known(gvk) {
            return Ok(kind);
        }
        self.ask(gvk).await?;
        self.known(gvk).ok_or_else(|| Error::UnknownKind { api_version: gvk.api_version(), kind: gvk.kind.clone() })
    }

    async fn ask(&self, gvk: &Gvk) -> Result<(), Error> {
        let version = GroupVersion { group: gvk.group.clone(), version: gvk.version.clone() };
        let asked = kube::discovery::pinned_group(&self.client, &version);
        let group = match answer(self.link.as_ref(), asked).await {
            // A group that nobody serves is answered in plain text, so only the code tells.
            Ok(Err(kube::Error::Api(status))) if status.code == 404 => return Ok(()),
            Ok(Err(kube::Error::Discovery(_))) => return Ok(()),
            answer => settled(self.link.as_ref(), answer, &self.identity, "the API group")?,
        };
        let mut known = self.write();
        for (resource, capabilities) in group.versioned_resources(&gvk.version) {
            let is_namespaced = capabilities.scope == Scope::Namespaced;
            let gvk = Gvk { group: gvk.group.clone(), version: gvk.version.clone(), kind: resource.kind.clone() };
            known.insert(gvk, Kind { resource, is_namespaced });
        }
        Ok(())
    }

    /// What the server is and serves now; three requests.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn served(&self) -> Result<Served, Error> {
        let asked = async {
            let core = self.client.list_core_api_versions_aggregated();
            futures::try_join!(self.client.apiserver_version(), core, self.client.list_api_groups_aggregated())
        };
        let answer = answer(self.link.as_ref(), asked).await;
        let (version, core, groups) = settled(self.link.as_ref(), answer, &self.identity, "the API's versions")?;
        let mut api_versions = Vec::new();
        for group in core.items.into_iter().chain(groups.items) {
            let name = group.metadata.and_then(|metadata| metadata.name).unwrap_or_default();
            for served in group.versions {
                let version = served.version.unwrap_or_default();
                let version = if name.is_empty() { version } else { format!("{name}/{version}") };
                let kinds = served.resources.into_iter().filter_map(|resource| resource.response_kind?.kind);
                api_versions.extend(kinds.filter(|kind| !kind.is_empty()).map(|kind| format!("{version}/{kind}")));
                api_versions.push(version);
            }
        }
        Ok(Served { version: version.git_version, api_versions })
    }

    /// Forgets a group, whose definitions changed.
    pub fn forget(&self, group: &str) {
        self.write().retain(|gvk, _| gvk.group != group);
    }
}
