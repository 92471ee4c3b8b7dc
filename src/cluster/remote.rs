//! The API server of a kubeconfig: its client, which takes nothing from the controller's surroundings, and the link to it, which lets
//! go of all requests at once when the server is known not to answer.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use kube::config::AuthInfo;
use kube::{Client, Config};
use tokio::sync::{Notify, watch};

use super::{Cluster, Error, Identity, REQUEST_TIMEOUT, SILENCE, Shared};
use crate::reach::Kubeconfig;
use crate::reach::kubeconfig::Login;

/// How long to wait for a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a server may be silent before somebody asks whether it is there; a slow webhook takes longer at times.
const DOUBT: Duration = Duration::from_secs(5);

/// Which API server, and whose credentials: clients, kinds and watches are shared by all who use the same.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Site {
    /// The one that the controller's own objects are in.
    #[default]
    Home,
    /// The one of a kubeconfig.
    Remote {
        /// Tells the kubeconfig from all others.
        way: Arc<str>,
        /// Stands for the server's address.
        cluster: Arc<str>,
    },
}

impl Site {
    /// Stands for the cluster; none for the controller's own.
    pub fn cluster(&self) -> Option<&str> {
        match self {
            Self::Home => None,
            Self::Remote { cluster, .. } => Some(cluster),
        }
    }
}

/// Whether a remote server answers.
#[derive(Clone)]
pub struct Link(Arc<State>);

struct State {
    /// Why it does not.
    broken: watch::Sender<Option<String>>,
    doubted: Notify,
    /// How long it may be silent before it is doubted.
    patience: Duration,
}

impl Link {
    fn new(patience: Duration) -> Self {
        Self(Arc::new(State { broken: watch::Sender::new(None), doubted: Notify::new(), patience }))
    }

    /// Why the server does not answer, if that is known.
    pub fn broken(&self) -> Option<String> {
        self.0.broken.borrow().clone()
    }

    /// Says whether the server answers: what waits for it lets go when it does not.
    pub fn set_broken(&self, why: Option<String>) {
        self.0.broken.send_replace(why);
    }

    /// Somebody got no answer.
    pub fn doubt(&self) {
        self.0.doubted.notify_one();
    }

    /// Waits until somebody got no answer.
    pub async fn doubted(&self) {
        self.0.doubted.notified().await;
    }

    async fn answer<T>(&self, request: impl Future<Output = T>) -> Result<T, String> {
        let mut request = pin!(request);
        let mut broken = self.0.broken.subscribe();
        let mut breaks = pin!(broken.wait_for(Option::is_some));
        let rest = tokio::select! {
            biased;
            broken = &mut breaks => return Err(broken.ok().and_then(|why| why.clone()).unwrap_or_default()),
            reply = tokio::time::timeout(self.0.patience, &mut request) => match reply {
                Ok(reply) => return Ok(reply),
                Err(_) => REQUEST_TIMEOUT.saturating_sub(self.0.patience),
            },
        };
        self.doubt();
        tokio::select! {
            broken = &mut breaks => Err(broken.ok().and_then(|why| why.clone()).unwrap_or_default()),
            reply = tokio::time::timeout(rest, &mut request) => reply.map_err(|_| silent(REQUEST_TIMEOUT)),
        }
    }
}

/// Waits for an answer, but not for ever.
///
/// # Errors
/// Says what is the matter when there is none.
pub(super) async fn answer<T>(link: Option<&Link>, request: impl Future<Output = T>) -> Result<T, String> {
    match link {
        Some(link) => link.answer(request).await,
        None => tokio::time::timeout(REQUEST_TIMEOUT, request).await.map_err(|_| silent(REQUEST_TIMEOUT)),
    }
}

fn silent(after: Duration) -> String {
    format!("no answer within {} s", after.as_secs())
}

impl Cluster {
    /// The API server of a kubeconfig, as its user. Nothing is asked yet.
    ///
    /// # Errors
    /// When no client can be made of it.
    pub fn remote(kubeconfig: &Kubeconfig) -> Result<Self, Error> {
        let unusable =
            |error: &dyn std::error::Error| Error::Unavailable(crate::failure::printable(&error.to_string(), 300));
        let server = kubeconfig.server.parse().map_err(|error: http::uri::InvalidUri| unusable(&error))?;
        let proxy = kubeconfig.proxy.as_deref().map(str::parse).transpose();
        let proxy = proxy.map_err(|error: http::uri::InvalidUri| unusable(&error))?;
        let mut config = Config::new(server);
        config.root_cert.clone_from(&kubeconfig.authorities);
        config.tls_server_name.clone_from(&kubeconfig.server_name);
        config.proxy_url = proxy;
        config.disable_compression = kubeconfig.is_uncompressed;
        config.auth_info = user(&kubeconfig.login);
        config.connect_timeout = Some(CONNECT_TIMEOUT);
        config.default_retry = false;
        config.read_timeout = Some(SILENCE);
        config.reset_reader_on_write = true;
        let client = Client::try_from(config).map_err(|error| unusable(&error))?;
        let site = Site::Remote { way: kubeconfig.id().into(), cluster: kubeconfig.cluster().into() };
        Ok(Self::of(Shared::new(client, Identity::Kubeconfig, site, Some(Link::new(DOUBT)))))
    }

    /// Whether the server answers at all, whatever it says.
    ///
    /// # Errors
    /// Why it does not.
    pub async fn probe(&self) -> Result<(), String> {
        match tokio::time::timeout(DOUBT, self.shared.client.apiserver_version()).await {
            Ok(Ok(_) | Err(kube::Error::Api(_) | kube::Error::SerdeError(_))) => Ok(()),
            Ok(Err(error)) => Err(crate::failure::printable(&crate::failure::chain(&error), 300)),
            Err(_) => Err(silent(DOUBT)),
        }
    }
}

fn user(login: &Login) -> AuthInfo {
    match login.clone() {
        Login::Token(token) => AuthInfo { token: Some(token.into()), ..AuthInfo::default() },
        Login::Password(username, password) => {
            AuthInfo { username: Some(username), password: Some(password.into()), ..AuthInfo::default() }
        }
        Login::Certificate(certificate, key) => AuthInfo {
            client_certificate_data: Some(certificate),
            client_key_data: Some(key.into()),
            ..AuthInfo::default()
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_silent_server_is_doubted_and_let_go_of_when_it_is_gone() {
        let link = Link::new(Duration::from_millis(10));
        assert_eq!(link.answer(async { 1 }).await, Ok(1));
        let (other, never) = (link.clone(), std::future::pending::<()>());
        let watcher = async {
            other.doubted().await;
            other.set_broken(Some("gone".to_owned()));
        };
        let (answer, ()) = tokio::join!(link.answer(never), watcher);
        assert_eq!(answer, Err("gone".to_owned()));
        assert_eq!(link.answer(async { 1 }).await, Err("gone".to_owned()), "nobody waits for it any more");
        link.set_broken(None);
        assert_eq!(link.answer(async { 1 }).await, Ok(1));
    }
}
