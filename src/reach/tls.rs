//! How TLS to a server differs from the usual. In: PEM texts. Out: more certificate authorities, a client certificate. Checked
//! when it is made; its identity is a fingerprint; must never show the key in a log, a message or a debug print.

use std::collections::BTreeMap;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use reqwest::{Certificate, ClientBuilder, Identity};
use rustls::RootCertStore;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;

use super::fingerprint;

/// The longest bundle of certificates that is read, in bytes (a Secret holds 1 MiB).
const PEM_BYTES: usize = 1 << 20;

/// Certificate authorities beside the system's own, and who we are by certificate (Flux's `certSecretRef`).
#[derive(Clone)]
pub struct Tls(Arc<Parts>);

struct Parts {
    authorities: Vec<Certificate>,
    identity: Option<Identity>,
    fingerprint: [u8; 32],
}

impl Tls {
    /// The authorities extend the system's pool. The identity is a certificate, with its chain, and its private key.
    ///
    /// # Errors
    /// What is wrong with which of the texts; never a part of them.
    pub fn new(ca: Option<&[u8]>, identity: Option<(&[u8], &[u8])>) -> Result<Self, String> {
        let authorities = ca.map_or_else(|| Ok(Vec::new()), authorities)?;
        let (cert, key) = identity.unwrap_or_default();
        let fingerprint = fingerprint(b't', &[ca.unwrap_or_default(), cert, key]);
        let identity = identity.map(|(cert, key)| self::identity(cert, key)).transpose()?;
        Ok(Self(Arc::new(Parts { authorities, identity, fingerprint })))
    }

    /// What a Secret's data says under Flux's names `ca.crt`, `tls.crt` and `tls.key`; none of them: nothing.
    ///
    /// # Errors
    /// What is wrong with which key; never a part of its value.
    pub fn read(data: &BTreeMap<String, Vec<u8>>) -> Result<Option<Self>, String> {
        let text = |key: &str| data.get(key).map(Vec::as_slice);
        let identity = match (text("tls.crt"), text("tls.key")) {
            (Some(certificate), Some(key)) => Some((certificate, key)),
            (None, None) => None,
            _ => return Err("tls.crt and tls.key belong together, one of them is missing".to_owned()),
        };
        match text("ca.crt") {
            None if identity.is_none() => Ok(None),
            ca => Self::new(ca, identity).map(Some),
        }
    }

    /// Whether there is a client certificate.
    pub fn has_identity(&self) -> bool {
        self.0.identity.is_some()
    }

    /// A client that trusts more, and shows the client certificate if it may.
    pub fn apply(&self, mut client: ClientBuilder, shows_identity: bool) -> ClientBuilder {
        if !self.0.authorities.is_empty() {
            client = client.tls_certs_merge(self.0.authorities.iter().cloned());
        }
        match &self.0.identity {
            Some(identity) if shows_identity => client.identity(identity.clone()),
            _ => client,
        }
    }
}

fn certificates(pem: &[u8], what: &str) -> Result<Vec<CertificateDer<'static>>, String> {
    if pem.len() > PEM_BYTES {
        return Err(format!("the {what} is longer than {PEM_BYTES} bytes"));
    }
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let read = read.map_err(|_| format!("the {what} is no PEM text"))?;
    if read.is_empty() {
        return Err(format!("the {what} holds no certificate in PEM"));
    }
    Ok(read)
}

fn authorities(pem: &[u8]) -> Result<Vec<Certificate>, String> {
    let mut checked = RootCertStore::empty();
    let mut authorities = Vec::new();
    for (n, der) in certificates(pem, "CA bundle")?.into_iter().enumerate() {
        checked
            .add(der.clone())
            .map_err(|error| format!("certificate {} of the CA bundle is none that can be trusted: {error}", n + 1))?;
        let read = Certificate::from_der(&der);
        authorities.push(read.map_err(|_| format!("certificate {} of the CA bundle is malformed", n + 1))?);
    }
    Ok(authorities)
}

fn identity(cert: &[u8], key: &[u8]) -> Result<Identity, String> {
    let chain = certificates(cert, "client certificate")?;
    let not_a_key = "the client's private key is no unencrypted key in PEM (PKCS#8, PKCS#1 or SEC1)";
    let private = PrivateKeyDer::from_pem_slice(key).map_err(|_| not_a_key)?;
    let provider = CryptoProvider::get_default().cloned().unwrap_or_else(|| Arc::new(ring::default_provider()));
    CertifiedKey::from_der(chain, private, &provider)
        .map_err(|error| format!("the client certificate and its private key do not fit: {error}"))?;
    let both = [key, b"\n", cert].concat();
    Identity::from_pem(&both).map_err(|_| "the client certificate and its private key can't be used".to_owned())
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tls(hidden)")
    }
}

impl PartialEq for Tls {
    fn eq(&self, other: &Self) -> bool {
        self.0.fingerprint == other.0.fingerprint
    }
}

impl Eq for Tls {}

impl Hash for Tls {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.fingerprint.hash(state);
    }
}
