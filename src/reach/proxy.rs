//! The way to a server through a proxy. In: its address, a user name and a password. Out: what the client needs. Its identity
//! is a fingerprint; must never show the password in a log, a message or a debug print.

use std::collections::BTreeMap;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use reqwest::Url;

use super::fingerprint;

/// An HTTP proxy for all requests, those to token servers included (Flux's `proxySecretRef`). Nothing is exempt.
#[derive(Clone)]
pub struct Proxy(Arc<Parts>);

struct Parts {
    proxy: reqwest::Proxy,
    fingerprint: [u8; 32],
}

impl Proxy {
    /// `http://host:port` or `https://host:port`, where a user name and a password may stand inside or beside.
    ///
    /// # Errors
    /// What is wrong with the address; never a part of it.
    pub fn new(address: &str, username: Option<&str>, password: Option<&str>) -> Result<Self, String> {
        let unfit = "the proxy's address is no URL such as http://proxy.example.com:3128";
        let url = Url::parse(address.trim()).map_err(|_| unfit)?;
        if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none_or(str::is_empty) {
            return Err(unfit.to_owned());
        }
        if !matches!(url.path(), "" | "/") || url.query().is_some() {
            return Err("the proxy's address has a path or a query, leave them out".to_owned());
        }
        let mut proxy = reqwest::Proxy::all(url).map_err(|_| unfit)?;
        if let Some(username) = username.filter(|username| !username.is_empty()) {
            proxy = proxy.basic_auth(username, password.unwrap_or_default());
        }
        let parts = [address, username.unwrap_or_default(), password.unwrap_or_default()].map(str::as_bytes);
        Ok(Self(Arc::new(Parts { proxy, fingerprint: fingerprint(b'x', &parts) })))
    }

    /// What a Secret's data says under Flux's names `address`, `username` and `password`.
    ///
    /// # Errors
    /// What is wrong with which key; never a part of its value.
    pub fn read(data: &BTreeMap<String, Vec<u8>>) -> Result<Self, String> {
        let text = |key: &str| match data.get(key).map(|value| std::str::from_utf8(value)) {
            None => Ok(None),
            Some(Ok(text)) => Ok(Some(text.trim())),
            Some(Err(_)) => Err(format!("{key} is not UTF-8")),
        };
        let address = text("address")?.ok_or("it lacks the key address")?;
        Self::new(address, text("username")?, text("password")?)
    }

    /// For the client.
    pub fn proxy(&self) -> reqwest::Proxy {
        self.0.proxy.clone()
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Proxy(hidden)")
    }
}

impl PartialEq for Proxy {
    fn eq(&self, other: &Self) -> bool {
        self.0.fingerprint == other.0.fingerprint
    }
}

impl Eq for Proxy {}

impl Hash for Proxy {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.fingerprint.hash(state);
    }
}
