//! Git over SSH. In: a place, a key, known hosts. Out: a branch's head, a pack, the fate of a push; one connection for each.
//! Hosts that `known_hosts` does not vouch for get nothing from us; no key is ever shown.

use std::fmt;
use std::sync::Arc;

use russh::keys::PrivateKey;

use self::known_hosts::KnownHosts;
use crate::reach::fingerprint;

pub mod identity;
mod known_hosts;
pub mod session;
pub mod talk;

/// Who we are to an SSH host, and which hosts are who they say.
#[derive(Clone)]
pub struct Ssh(Arc<Parts>);

struct Parts {
    key: Arc<PrivateKey>,
    known: KnownHosts,
    fingerprint: [u8; 32],
}

impl Ssh {
    /// `identity` is a private key in the form of OpenSSH or in PEM, `password` opens it when it is encrypted, `known_hosts` is
    /// a file of that name. Opening takes up to some hundred milliseconds, so it runs away from the runtime's workers.
    ///
    /// # Errors
    /// What is wrong with which of them; never a part of it.
    pub async fn new(identity: Vec<u8>, password: Option<String>, known_hosts: Vec<u8>) -> Result<Self, String> {
        let known = str::from_utf8(&known_hosts).map_err(|_| "the value of known_hosts is not UTF-8")?;
        let known = KnownHosts::parse(known);
        let fingerprint =
            fingerprint(b's', &[&identity, password.as_deref().unwrap_or_default().as_bytes(), &known_hosts]);
        let opened = tokio::task::spawn_blocking(move || identity::open(&identity, password.as_deref())).await;
        let key = Arc::new(opened.map_err(|_| "identity cannot be read")??);
        Ok(Self(Arc::new(Parts { key, known, fingerprint })))
    }
}

impl fmt::Debug for Ssh {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Ssh(hidden)")
    }
}

impl PartialEq for Ssh {
    fn eq(&self, other: &Self) -> bool {
        self.0.fingerprint == other.0.fingerprint
    }
}

impl Eq for Ssh {}
