//! SHELL: the Kubernetes API. Reads, watches, applies, deletes, writes statuses and events, as the controller or as a service account.
//! It decides nothing: what to apply, when and why comes from the steps.

use std::sync::Arc;
use std::time::Duration;

use kube::Client;

pub mod accounts;
pub mod events;
pub mod kinds;
pub mod leases;
pub mod objects;
pub mod own;
pub mod remote;
pub mod watches;

mod immutable;
mod impersonate;

use kinds::Kinds;
use remote::{Link, Site};

/// How long one request may take, so that a silent API server never holds a reconcile.
pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
/// How long an API server may say nothing at all: watches that have nothing to tell are renewed sooner, and a list that never comes
/// would end a watch for good.
pub const SILENCE: Duration = Duration::from_secs(330);
/// Writes in flight at once: about what saturates an API server; more only adds latency.
pub const WRITES_AT_ONCE: usize = 24;

/// Whose rights a request uses.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Identity {
    /// The controller's own.
    Controller,
    /// Those of a kubeconfig's user.
    Kubeconfig,
    /// A service account's, by impersonation.
    ServiceAccount {
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
    },
}

impl std::fmt::Display for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Controller => f.write_str("the controller"),
            Self::Kubeconfig => f.write_str("the kubeconfig's user"),
            Self::ServiceAccount { namespace, name } => write!(f, "service account {namespace}/{name}"),
        }
    }
}

/// What went wrong between us and the API server.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The identity lacks a right.
    #[error("{identity} may not do this: {message}")]
    Forbidden {
        /// Whose rights.
        identity: Identity,
        /// The server's words: user, verb, resource.
        message: String,
    },
    /// The object is not there.
    #[error("{0} does not exist")]
    NotFound(String),
    /// The server no longer has the path that it named for a kind.
    #[error("the cluster no longer serves this kind")]
    Unserved,
    /// The server does not know the kind.
    #[error("the cluster does not know kind {kind} of {api_version}")]
    UnknownKind {
        /// `apiVersion`.
        api_version: String,
        /// The kind.
        kind: String,
    },
    /// The server refused a change, since fields can't be changed and for no other reason.
    #[error("{message}")]
    Immutable {
        /// The server's words.
        message: String,
    },
    /// The server refused the object.
    #[error("{message}")]
    Refused {
        /// HTTP status.
        code: u16,
        /// The server's words.
        message: String,
    },
    /// The server can't be asked now.
    #[error("the API server can't be asked: {0}")]
    Unavailable(String),
}

impl Error {
    /// Whether the same request may work later without anybody's doing.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Unavailable(_) => true,
            Self::Refused { code, .. } => matches!(code, 404 | 409 | 429 | 500..),
            _ => false,
        }
    }

    fn from_kube(error: kube::Error, identity: &Identity, what: &str) -> Self {
        match error {
            kube::Error::Api(status) if status.code == 404 && !is_served(&status.message) => Self::Unserved,
            kube::Error::Api(status) if status.code == 404 => Self::NotFound(what.to_owned()),
            // Refused with 403, though no right is missing: the namespace is on its way out.
            kube::Error::Api(status) if status.is_forbidden() && status.message.contains("is being terminated") => {
                Self::Refused { code: 409, message: crate::failure::printable(&status.message, 500) }
            }
            // Quotas, admission policies and webhooks say no with the same code.
            kube::Error::Api(status) if status.code == 403 && !lacks_a_right(&status.message) => {
                Self::Refused { code: 403, message: crate::failure::printable(&status.message, 1000) }
            }
            kube::Error::Api(status) if status.is_forbidden() => {
                Self::Forbidden { identity: identity.clone(), message: crate::failure::printable(&status.message, 500) }
            }
            kube::Error::Api(status) if status.code == 401 => Self::Refused {
                code: 401,
                message: format!(
                    "the credentials of {identity} are not accepted ({})",
                    crate::failure::printable(&status.message, 500)
                ),
            },
            kube::Error::Api(status) if immutable::is_immutable(&status) => {
                Self::Immutable { message: crate::failure::printable(&status.message, 1000) }
            }
            kube::Error::Api(status) => {
                Self::Refused { code: status.code, message: crate::failure::printable(&status.message, 1000) }
            }
            other => Self::Unavailable(crate::failure::printable(&crate::failure::chain(&other), 300)),
        }
    }
}

/// Whether a refusal is for lack of rights (Kubernetes: RBAC), and not by a quota, an admission policy or a webhook.
fn lacks_a_right(message: &str) -> bool {
    message.contains(" cannot ")
        || message.contains(" attempting to grant ")
        || message.to_lowercase().trim() == "forbidden"
}

/// Whether what was not found is an object, and not the whole kind.
fn is_served(message: &str) -> bool {
    !message.contains("page not found") && !message.contains("could not find the requested resource")
}

/// The Kubernetes API, as one identity. Cheap to clone.
#[derive(Clone)]
pub struct Cluster {
    client: Client,
    identity: Identity,
    shared: Arc<Shared>,
}

/// What all identities share.
struct Shared {
    client: Client,
    /// Who we are without impersonation.
    own: Identity,
    site: Site,
    link: Option<Link>,
    kinds: Kinds,
    writes: tokio::sync::Semaphore,
}

impl Shared {
    fn new(client: Client, own: Identity, site: Site, link: Option<Link>) -> Self {
        let kinds = Kinds::new(client.clone(), own.clone(), link.clone());
        Self { client, own, site, link, kinds, writes: tokio::sync::Semaphore::new(WRITES_AT_ONCE) }
    }
}

impl Cluster {
    /// The API as the controller itself.
    pub fn new(client: Client) -> Self {
        Self::of(Shared::new(client, Identity::Controller, Site::Home, None))
    }

    fn of(shared: Shared) -> Self {
        Self { client: shared.client.clone(), identity: shared.own.clone(), shared: Arc::new(shared) }
    }

    /// The same API with the rights of `identity`; connections, kinds and limits are shared.
    pub fn by(&self, identity: &Identity) -> Self {
        let client = match identity {
            Identity::Controller | Identity::Kubeconfig => self.shared.client.clone(),
            Identity::ServiceAccount { namespace, name } => {
                impersonate::service_account(&self.shared.client, namespace, name)
            }
        };
        Self { client, identity: identity.clone(), shared: self.shared.clone() }
    }

    /// The same API with the rights of the service account, or without impersonation.
    pub fn by_account(&self, namespace: &str, name: Option<&str>) -> Self {
        match name {
            Some(name) => self.by(&Identity::ServiceAccount { namespace: namespace.to_owned(), name: name.to_owned() }),
            None => self.by(&self.shared.own),
        }
    }

    /// Whose rights this uses.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Which API server this is.
    pub fn site(&self) -> &Site {
        &self.shared.site
    }

    /// Of the API server of a kubeconfig: whether it answers.
    pub fn link(&self) -> Option<&Link> {
        self.shared.link.as_ref()
    }

    /// The kinds that the server knows.
    pub fn kinds(&self) -> &Kinds {
        &self.shared.kinds
    }

    /// The client beneath, for the controllers' own watches.
    pub fn client(&self) -> Client {
        self.client.clone()
    }

    async fn within<T>(&self, what: &str, request: impl Future<Output = kube::Result<T>>) -> Result<T, Error> {
        let answer = remote::answer(self.link(), request).await;
        settled(self.link(), answer, &self.identity, what)
    }
}

/// The answer, or what its absence means.
fn settled<T>(
    link: Option<&Link>,
    answer: Result<kube::Result<T>, String>,
    identity: &Identity,
    what: &str,
) -> Result<T, Error> {
    let settled = match answer {
        Ok(reply) => reply.map_err(|error| Error::from_kube(error, identity, what)),
        Err(silence) => Err(Error::Unavailable(silence)),
    };
    settled.map_err(|error| match (error, link) {
        (Error::Unavailable(why), Some(link)) => {
            link.doubt();
            Error::Unavailable(format!("that of spec.kubeConfig: {why}"))
        }
        (error, _) => error,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use kube::core::Status;

    #[test]
    fn a_refusal_is_told_from_a_missing_right() {
        let quota =
            "configmaps \"b\" is forbidden: exceeded quota: small, requested: count/configmaps=1, used: 1, limited: 1";
        let policy =
            "configmaps \"b\" is forbidden: ValidatingAdmissionPolicy 'p' with binding 'p' denied request: no b here";
        let webhook = "admission webhook \"w.example.com\" denied the request: not on Fridays";
        let security = "pods \"b\" is forbidden: violates PodSecurity \"restricted:latest\": privileged";
        let right = "configmaps \"b\" is forbidden: User \"system:serviceaccount:a:b\" cannot patch resource \"configmaps\" in API group \"\" in the namespace \"a\"";
        let roles = "roles \"b\" is forbidden: user \"x\" (groups=[\"y\"]) is attempting to grant RBAC permissions not currently held:";
        let ending =
            "configmaps \"b\" is forbidden: unable to create new content in namespace a because it is being terminated";
        for (message, code, kind) in [
            (quota, 403, "refused 403"),
            (policy, 403, "refused 403"),
            (webhook, 403, "refused 403"),
            (security, 403, "refused 403"),
            (right, 403, "forbidden"),
            (roles, 403, "forbidden"),
            (ending, 403, "refused 409"),
            ("404 page not found", 404, "unserved"),
            ("the server could not find the requested resource", 404, "unserved"),
            ("configmaps \"b\" not found", 404, "not found"),
            ("Too many requests, please try again later.", 429, "refused 429"),
        ] {
            let reason = if code == 403 { "Forbidden" } else { "" };
            let status = Status { message: message.to_owned(), code, reason: reason.to_owned(), ..Status::default() };
            let error = Error::from_kube(kube::Error::Api(Box::new(status)), &Identity::Controller, "b");
            let seen = match error {
                Error::Refused { code, .. } => format!("refused {code}"),
                Error::Forbidden { .. } => "forbidden".to_owned(),
                Error::Unserved => "unserved".to_owned(),
                Error::NotFound(_) => "not found".to_owned(),
                other => other.to_string(),
            };
            assert_eq!(seen, kind, "{message}");
        }
    }
}
