//! Noun: the way to a server, the same for registries and Git hosts, and to the API server of a kubeconfig. In: the data of Secrets.
//! Out: whom TLS trusts and who we are by certificate; a proxy; the clients that go that way. No request is made here, and no secret is ever shown.

mod clients;
pub mod kubeconfig;
mod proxy;
mod tls;

use sha2::{Digest as _, Sha256};

pub use clients::{CONNECT_TIMEOUT, Clients, READ_TIMEOUT};
pub use kubeconfig::Kubeconfig;
pub use proxy::Proxy;
pub use tls::Tls;

/// A URL's part with its percent signs decoded; nothing when that is no text.
pub fn decoded(text: &str) -> Option<String> {
    percent_encoding::percent_decode_str(text).decode_utf8().ok().map(Into::into)
}

/// All of it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Way {
    /// How TLS differs from the usual.
    pub tls: Option<Tls>,
    /// The proxy that all requests go through.
    pub proxy: Option<Proxy>,
}

/// A hash of secrets in which no two lists of them look the same, so that it can be their identity.
pub fn fingerprint(kind: u8, parts: &[&[u8]]) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update([kind]);
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    hash.finalize().into()
}
