//! The HTTP clients: one for each way to a host, shared by all repositories that take it. In: a way. Out: its client, with timeouts
//! and without redirects of its own. Who proves something else by certificate, or takes another proxy, shares no connection.

#![expect(clippy::disallowed_methods, reason = "this is the shell's network")]

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use reqwest::{Client, redirect};

use crate::reach::Way;

/// How long to wait for a connection.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a host may stay silent before and inside of an answer. Opening a request can take a host's hooks some time.
pub const READ_TIMEOUT: Duration = Duration::from_secs(30);
/// GitHub answers nobody without a name.
const USER_AGENT: &str = concat!("tagboat/", env!("CARGO_PKG_VERSION"));
/// How many clients are kept; whoever comes back later connects anew.
const CLIENTS: usize = 100;

/// The client for a way.
///
/// # Errors
/// The certificates can't be used together.
pub fn get(way: &Way) -> Result<Client, reqwest::Error> {
    static KNOWN: Mutex<Vec<(Way, Client)>> = Mutex::new(Vec::new());
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    let found = match known.iter().position(|(of, _)| of == way) {
        Some(at) => known.remove(at),
        None => (way.clone(), make(way)?),
    };
    let client = found.1.clone();
    known.push(found);
    if known.len() > CLIENTS {
        known.remove(0); // the one that was not asked for the longest
    }
    Ok(client)
}

fn make(way: &Way) -> Result<Client, reqwest::Error> {
    let mut client = Client::builder()
        .user_agent(USER_AGENT)
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
