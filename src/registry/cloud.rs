//! Logins to the registries of AWS, Azure and Google by workload identity. In: a registry, and whose identity. Out: a credential
//! for it. Addresses come from the environment and this program alone; must never send a token to a host that is not the
//! provider's, nor give one subject's login to another.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::OnceCell;

use super::Credential;
use crate::image::Repository;

mod environment;
mod error;
mod local;
mod call;
mod complaint;
pub(super) mod xml;
mod cache;
mod sigv4;
mod aws;
mod azure;
mod gcp;

pub use environment::Environment;
use environment::address;
pub use error::Error;

/// Whose registry it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Provider {
    /// Elastic Container Registry, private and public.
    Aws,
    /// Azure Container Registry.
    Azure,
    /// Artifact Registry and Container Registry.
    Gcp,
}

impl fmt::Display for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Aws => "aws",
            Self::Azure => "azure",
            Self::Gcp => "gcp",
        })
    }
}

/// Whose identity in the cloud: the controller's own, or that of a ServiceAccount.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject {
    /// `controller`, or a ServiceAccount as `namespace/name`.
    pub key: String,
    /// Of the ServiceAccount. Those that say who it is in the cloud are `eks.amazonaws.com/role-arn`,
    /// `azure.workload.identity/client-id` and `azure.workload.identity/tenant-id`, `iam.gke.io/gcp-service-account` and
    /// `gcp.auth.fluxcd.io/workload-identity-provider` (as in Flux).
    pub annotations: BTreeMap<String, String>,
}

impl Subject {
    /// The controller's own identity, from its environment, its files and its node.
    pub fn controller() -> Self {
        Self { key: "controller".to_owned(), annotations: BTreeMap::new() }
    }

    /// A ServiceAccount's identity.
    pub fn service_account(namespace: &str, name: &str, annotations: BTreeMap<String, String>) -> Self {
        Self { key: format!("{namespace}/{name}"), annotations }
    }

    /// No ServiceAccount has this key, as theirs hold a slash.
    fn is_controller(&self) -> bool {
        self.key == "controller"
    }

    fn annotation(&self, name: &str) -> Option<&str> {
        self.annotations.get(name).map(|value| value.trim()).filter(|value| !value.is_empty())
    }
}

/// Logins to all clouds. Clones share what was obtained.
#[derive(Clone)]
pub struct Cloud {
    world: Arc<World>,
}

struct World {
    environment: Environment,
    caller: call::Caller,
    logins: cache::Logins,
    /// Which cluster of Google's this is, once asked.
    cluster: OnceCell<gcp::Cluster>,
}

/// One login on its way.
struct Flight<'a> {
    world: &'a World,
    subject: &'a Subject,
    deadline: Instant,
}

impl Flight<'_> {
    fn environment(&self) -> &Environment {
        &self.world.environment
    }

    async fn send(&self, call: call::Call) -> Result<call::Answer, Error> {
        self.world.caller.send(call, self.deadline).await
    }

    /// The ServiceAccount's token for this audience, by the caller's means.
    async fn token<F: Future<Output = Result<String, String>>>(
        &self,
        token: impl FnOnce(String) -> F,
        audience: String,
    ) -> Result<String, Error> {
        let failed = |reason: String| Error::Token { subject: self.subject.key.clone(), reason };
        let token = token(audience).await.map_err(failed)?;
        if token.is_empty() { Err(failed("it is empty".to_owned())) } else { Ok(token) }
    }
}

/// Where a login is valid, after the registry's host was found to be the provider's.
enum Place {
    Aws(aws::Place),
    Azure(azure::Place),
    Gcp,
}

impl Place {
    fn of(provider: Provider, repository: &Repository) -> Result<Self, Error> {
        let host = repository.host();
        let (place, expected) = match provider {
            Provider::Aws => (aws::Place::of(host).map(Self::Aws), aws::HOSTS),
            Provider::Azure => (azure::Place::of(host).map(Self::Azure), azure::HOSTS),
            Provider::Gcp => (gcp::is_registry(host).then_some(Self::Gcp), gcp::HOSTS),
        };
        place.ok_or_else(|| {
            Error::Configuration(format!(
                "{host} is no registry of provider {provider}, which has {expected}: correct provider or image"
            ))
        })
    }

    /// As far as one login reaches.
    fn reach(&self) -> String {
        match self {
            Self::Aws(place) => place.api(),
            Self::Azure(place) => place.registry.clone(),
            Self::Gcp => String::new(), // one token for all of Google's registries
        }
    }
}

impl Cloud {
    /// No connection is made before the first login. The process must have a rustls provider by then.
    pub fn new(environment: Environment, user_agent: &str) -> Self {
        let caller = call::Caller::new(user_agent.to_owned());
        let world = World { environment, caller, logins: cache::Logins::default(), cluster: OnceCell::new() };
        Self { world: Arc::new(world) }
    }

    /// A credential for this repository. What was obtained is used again until shortly before it ends. `token` is called only
    /// when nothing valid is kept, and never for the controller's own identity: it returns a fresh token of the ServiceAccount
    /// for the audience that it is given, or why there is none (without secrets).
    ///
    /// # Errors
    /// See [`Error`]; after `timeout`, [`Error::Unreachable`]. A failure is not kept, but who waited for it has it too.
    pub async fn login<F: Future<Output = Result<String, String>>>(
        &self,
        provider: Provider,
        repository: &Repository,
        subject: &Subject,
        token: impl FnOnce(String) -> F,
        timeout: Duration,
    ) -> Result<Credential, Error> {
        let place = Place::of(provider, repository)?;
        let key = key(provider, &place, subject);
        let flight = Flight { world: &self.world, subject, deadline: local::now().steady + timeout };
        let fly = async {
            match &place {
                Place::Aws(place) => aws::login(&flight, place, token).await,
                Place::Azure(place) => azure::login(&flight, place, token).await,
                Place::Gcp => gcp::login(&flight, token).await,
            }
        };
        let waited = tokio::time::timeout_at(flight.deadline.into(), self.world.logins.get(key, fly)).await;
        waited.unwrap_or_else(|_| {
            let step = format!("{provider}: the login of {}", subject.key);
            Err(Error::Unreachable { step, reason: "no answer in time".to_owned() })
        })
    }

    /// Forget what is kept for this subject, after a registry refused it.
    pub fn forget(&self, provider: Provider, repository: &Repository, subject: &Subject) {
        if let Ok(place) = Place::of(provider, repository) {
            self.world.logins.forget(&key(provider, &place, subject));
        }
    }
}

fn key(provider: Provider, place: &Place, subject: &Subject) -> cache::Key {
    let annotations: &[&str] = match provider {
        Provider::Aws => &[aws::ROLE],
        Provider::Azure => &[azure::CLIENT, azure::TENANT],
        Provider::Gcp => &[gcp::SERVICE_ACCOUNT, gcp::IDENTITY_PROVIDER],
    };
    let identity = annotations.iter().map(|name| subject.annotation(name).unwrap_or_default());
    cache::Key {
        provider,
        place: place.reach(),
        subject: subject.key.clone(),
        identity: identity.collect::<Vec<_>>().join("\n"),
    }
}

impl fmt::Debug for Cloud {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cloud").field("environment", &self.world.environment).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
