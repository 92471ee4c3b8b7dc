//! Who asks, and by which way. In: an access. Out: what makes a session, a scan and a share of a server one's own, and the
//! HTTP clients for it. Two callers are the same only if all of it is; must never lend one caller's connections to another.

#![expect(clippy::disallowed_methods, reason = "the shell's one HTTP client")]

use reqwest::redirect::Policy;
use reqwest::{Client, Request, Response, Url};

use super::credential::Credential;
use super::proxy::Proxy;
use super::tls::Tls;
use super::{Access, Limits};
use crate::failure::chain;

/// How many idle connections are kept to a host: as many as one caller may have in flight.
const IDLE_CONNECTIONS: usize = 16;

/// Everything in an access but the repository.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Caller {
    pub credential: Option<Credential>,
    pub tls: Option<Tls>,
    pub proxy: Option<Proxy>,
}

impl Caller {
    pub(super) fn of(access: &Access) -> Self {
        Self { credential: access.credential.clone(), tls: access.tls.clone(), proxy: access.proxy.clone() }
    }
}

/// The connections of one caller to the servers of one registry.
#[derive(Debug)]
pub(super) struct Clients {
    /// To the registry's own origin.
    own: Client,
    /// To any other one, if the client certificate is not to be shown there.
    others: Option<Client>,
}

impl Clients {
    /// Unless the registry's address is plain HTTP, nothing ever is.
    pub(super) fn new(caller: &Caller, registry: &Url, user_agent: &str, limits: &Limits) -> Result<Self, String> {
        let made = |shows_identity| {
            let client = builder(caller, registry, user_agent, limits, shows_identity).build();
            client.map_err(|error| chain(&error))
        };
        let has_identity = caller.tls.as_ref().is_some_and(Tls::has_identity);
        Ok(Self { own: made(true)?, others: has_identity.then(|| made(false)).transpose()? })
    }

    /// Sends a request, to the registry's own origin or another; no redirect is followed. The error's text may hold the address.
    pub(super) async fn execute(&self, request: Request, is_own: bool) -> Result<Response, reqwest::Error> {
        let client = self.others.as_ref().filter(|_| !is_own).unwrap_or(&self.own);
        client.execute(request).await
    }
}

fn builder(
    caller: &Caller,
    registry: &Url,
    user_agent: &str,
    limits: &Limits,
    shows_identity: bool,
) -> reqwest::ClientBuilder {
    let mut client = Client::builder()
        .user_agent(user_agent)
        .https_only(registry.scheme() == "https")
        .redirect(Policy::none()) // followed by hand
        .referer(false)
        .connect_timeout(limits.connect)
        .read_timeout(limits.read)
        .pool_max_idle_per_host(IDLE_CONNECTIONS);
    if let Some(tls) = &caller.tls {
        client = tls.apply(client, shows_identity);
    }
    if let Some(proxy) = &caller.proxy {
        client = client.proxy(proxy.proxy());
    }
    client
}
