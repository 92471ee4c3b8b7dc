//! HTTP clients: one for each way to a server, shared by all who take it. In: a way. Out: its client, with timeouts and without
//! redirects of its own. Who proves something else by certificate, or takes another proxy, shares no connection.

#![expect(clippy::disallowed_methods, reason = "the shells' clients are made here")]

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use reqwest::{Client, redirect};

use super::Way;

/// How long to wait for a connection.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a server may stay silent before and inside of an answer; a host's hooks take some of it.
pub const READ_TIMEOUT: Duration = Duration::from_secs(30);
/// How many clients are kept; whoever comes back later connects anew.
const CLIENTS: usize = 100;

/// The clients of one shell.
pub struct Clients {
    user_agent: &'static str,
    known: Mutex<Vec<(Way, Client)>>,
}

impl Clients {
    /// None yet. `user_agent` is how they call themselves.
    pub const fn new(user_agent: &'static str) -> Self {
        Self { user_agent, known: Mutex::new(Vec::new()) }
    }

    /// The client for a way.
    ///
    /// # Errors
    /// The certificates can't be used together.
    pub fn get(&self, way: &Way) -> Result<Client, reqwest::Error> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let found = match known.iter().position(|(of, _)| of == way) {
            Some(at) => known.remove(at),
            None => (way.clone(), self.make(way)?),
        };
        let client = found.1.clone();
        known.push(found);
        if known.len() > CLIENTS {
            known.remove(0); // the one that was not asked for the longest
        }
        Ok(client)
    }

    fn make(&self, way: &Way) -> Result<Client, reqwest::Error> {
        let mut client = Client::builder()
            .user_agent(self.user_agent)
            .redirect(redirect::Policy::none())
            .connect_timeout(CONNECT_TIMEOUT)
            .read_timeout(READ_TIMEOUT);
        if let Some(tls) = &way.tls {
            client = tls.apply(client, true);
        }
        if let Some(proxy) = &way.proxy {
            client = client.proxy(proxy.proxy());
        }
        client.build()
    }
}
