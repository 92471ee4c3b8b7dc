//! A kubeconfig from a Secret → the way to its API server, or what must be changed in it. Whoever writes it may be anybody, so nothing in
//! it starts a program or reads a file of ours (CVE-2022-24817), and TLS is always verified. Its identity is a fingerprint; must never
//! show a part of it in a log, a message or a debug print.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use reqwest::Url;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use serde_json::{Map, Value};

use super::{Proxy, Tls, fingerprint};

/// The longest kubeconfig that is read, in bytes.
const BYTES: usize = 256 << 10;

/// The way to one API server.
#[derive(Clone, PartialEq, Eq)]
pub struct Kubeconfig {
    /// Its address, with `https`.
    pub server: String,
    /// The authorities of its certificate, in DER; those of the system when none.
    pub authorities: Option<Vec<Vec<u8>>>,
    /// The name in its certificate, when it is another one than the address says.
    pub server_name: Option<String>,
    /// The proxy's address, with user and password.
    pub proxy: Option<String>,
    /// Whether answers come as they are.
    pub is_uncompressed: bool,
    /// Who we are to it.
    pub login: Login,
    fingerprint: [u8; 32],
}

/// Who we are to an API server.
#[derive(Clone, PartialEq, Eq)]
pub enum Login {
    /// By a token.
    Token(String),
    /// By a user name and a password.
    Password(String, String),
    /// By a client certificate and its key, each as PEM in Base64.
    Certificate(String, String),
}

/// What may not stand in a kubeconfig's user, and what does instead.
const USER: [(&str, &str); 9] = [
    ("exec", "programs are never started: put the token of a service account into token"),
    ("auth-provider", "login helpers are not supported: put the token of a service account into token"),
    ("tokenFile", "files of the controller are never read: put the token itself into token"),
    (
        "client-certificate",
        "files of the controller are never read: put the certificate in Base64 into client-certificate-data",
    ),
    ("client-key", "files of the controller are never read: put the key in Base64 into client-key-data"),
    ("as", "name a service account of that cluster in spec.serviceAccountName instead"),
    ("as-uid", "name a service account of that cluster in spec.serviceAccountName instead"),
    ("as-groups", "name a service account of that cluster in spec.serviceAccountName instead"),
    ("as-user-extra", "name a service account of that cluster in spec.serviceAccountName instead"),
];

impl Kubeconfig {
    /// Reads the text of a Secret.
    ///
    /// # Errors
    /// What is wrong with which field, and what to put in instead; never a part of a value that may be secret.
    pub fn read(bytes: &[u8]) -> Result<Self, String> {
        if bytes.len() > BYTES {
            return Err(format!("it is longer than {BYTES} bytes"));
        }
        let read: Option<Value> = std::str::from_utf8(bytes).ok().and_then(|text| serde_yaml::from_str(text).ok());
        let Some(Value::Object(config)) = read else {
            return Err("it is no kubeconfig: YAML with clusters, users, contexts and current-context".to_owned());
        };
        let name = context_name(&config)?;
        let context = named(&config, "contexts", "context", &name)?;
        let part = |field: &str| {
            let named = text(context, field)?;
            named.ok_or_else(|| format!("context {name:?} names no {field}: set {field}"))
        };
        let (cluster_name, user_name) = (part("cluster")?, part("user")?);
        let cluster = named(&config, "clusters", "cluster", &cluster_name)?;
        let user = named(&config, "users", "user", &user_name)?;
        let (of_cluster, of_user) = (format!("cluster {cluster_name:?}"), format!("user {user_name:?}"));
        let in_cluster = |reason: String| format!("{of_cluster}: {reason}");
        let in_user = |reason: String| format!("{of_user}: {reason}");

        let server = server(cluster).map_err(in_cluster)?;
        let (authorities, ca) = authorities(cluster).map_err(in_cluster)?;
        let proxy = proxy(cluster).map_err(in_cluster)?;
        let server_name = text(cluster, "tls-server-name").map_err(in_cluster)?;
        let login = login(user, ca.as_deref()).map_err(in_user)?;
        Ok(Self {
            server,
            authorities,
            server_name,
            proxy,
            is_uncompressed: cluster.get("disable-compression").and_then(Value::as_bool).unwrap_or_default(),
            login,
            fingerprint: fingerprint(b'k', &[bytes]),
        })
    }

    /// Tells it from all others, and shows nothing of it.
    pub fn id(&self) -> String {
        hex::encode(&self.fingerprint[..16])
    }

    /// Stands for the API server's address, whoever asks it.
    pub fn cluster(&self) -> String {
        hex::encode(&fingerprint(b's', &[self.server.as_bytes()])[..8])
    }
}

/// The context in use.
fn context_name(config: &Map<String, Value>) -> Result<String, String> {
    if let Some(name) = text(config, "current-context")? {
        return Ok(name);
    }
    let contexts = config.get("contexts").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    match contexts {
        [only] => {
            only.get("name").and_then(Value::as_str).map(str::to_owned).ok_or_else(|| "its context has no name".into())
        }
        [] => {
            Err("it has no context: add contexts with one that names its cluster and user, and current-context"
                .to_owned())
        }
        many => {
            Err(format!("it has {} contexts and no current-context: set current-context to the one to use", many.len()))
        }
    }
}

/// One of a list of named things.
fn named<'a>(
    config: &'a Map<String, Value>,
    list: &str,
    of: &str,
    name: &str,
) -> Result<&'a Map<String, Value>, String> {
    let all = config.get(list).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let found = all.iter().find(|entry| entry.get("name").and_then(Value::as_str) == Some(name));
    let found = found.and_then(|entry| entry.get(of)).and_then(Value::as_object);
    found.ok_or_else(|| format!("{list} holds no {name:?}: add it, with its field {of}"))
}

/// A text that is not empty.
fn text(of: &Map<String, Value>, field: &str) -> Result<Option<String>, String> {
    match of.get(field) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.trim().to_owned()).filter(|text| !text.is_empty())),
        Some(_) => Err(format!("{field} is no text")),
    }
}

fn server(cluster: &Map<String, Value>) -> Result<String, String> {
    let server =
        text(cluster, "server")?.ok_or("it has no server: set server to the address, such as https://10.0.0.1:6443")?;
    let unfit = "server is no address such as https://10.0.0.1:6443";
    let url = Url::parse(&server).map_err(|_| unfit)?;
    if url.scheme() != "https" {
        return Err("server does not start with https://: only TLS keeps its credentials secret".to_owned());
    }
    let is_plain =
        url.username().is_empty() && url.password().is_none() && url.query().is_none() && url.fragment().is_none();
    if url.host_str().is_none_or(str::is_empty) || !is_plain {
        return Err(format!("{unfit}: leave out user, password, query and fragment"));
    }
    Ok(url.as_str().trim_end_matches('/').to_owned())
}

/// The authorities in DER, and as PEM.
type Authorities = (Option<Vec<Vec<u8>>>, Option<Vec<u8>>);

fn authorities(cluster: &Map<String, Value>) -> Result<Authorities, String> {
    if cluster.get("insecure-skip-tls-verify").is_some_and(|skip| *skip != Value::Bool(false) && !skip.is_null()) {
        let instead = "put the server's authority in Base64 into certificate-authority-data";
        return Err(format!("insecure-skip-tls-verify is not supported: {instead}"));
    }
    let pem = decoded(cluster, "certificate-authority-data")?;
    if pem.is_none() && text(cluster, "certificate-authority")?.is_some() {
        let instead = "put the certificate in Base64 into certificate-authority-data";
        return Err(format!("certificate-authority: files of the controller are never read: {instead}"));
    }
    let Some(pem) = pem else { return Ok((None, None)) };
    Tls::new(Some(&pem), None).map_err(|reason| format!("certificate-authority-data: {reason}"))?;
    let read = CertificateDer::pem_slice_iter(&pem).collect::<Result<Vec<_>, _>>();
    let read = read.map_err(|_| "certificate-authority-data is no PEM text in Base64")?;
    Ok((Some(read.iter().map(|certificate| certificate.to_vec()).collect()), Some(pem)))
}

fn proxy(cluster: &Map<String, Value>) -> Result<Option<String>, String> {
    let Some(address) = text(cluster, "proxy-url")? else { return Ok(None) };
    Proxy::new(&address, None, None).map_err(|reason| format!("proxy-url: {reason}"))?;
    Ok(Some(address))
}

fn login(user: &Map<String, Value>, ca: Option<&[u8]>) -> Result<Login, String> {
    for (field, instead) in USER {
        // As kubectl has it, the data wins over the file.
        let is_overridden = match field {
            "client-certificate" | "client-key" => user.contains_key(&format!("{field}-data")),
            "tokenFile" => user.contains_key("token"),
            _ => false,
        };
        if user.get(field).is_some_and(|value| !value.is_null()) && !is_overridden {
            return Err(format!("{field}: {instead}"));
        }
    }
    let certificate = decoded(user, "client-certificate-data")?;
    let key = decoded(user, "client-key-data")?;
    match (certificate, key) {
        (Some(certificate), Some(key)) => {
            Tls::new(ca, Some((&certificate, &key)))?;
            return Ok(Login::Certificate(BASE64.encode(certificate), BASE64.encode(key)));
        }
        (None, None) => {}
        _ => {
            return Err(
                "client-certificate-data and client-key-data belong together, one of them is missing".to_owned()
            );
        }
    }
    if let Some(token) = text(user, "token")? {
        let is_header = token.bytes().all(|byte| byte.is_ascii_graphic());
        return if is_header {
            Ok(Login::Token(token))
        } else {
            Err("token is no token: it holds blanks or odd characters".into())
        };
    }
    match (text(user, "username")?, text(user, "password")?) {
        (Some(username), Some(password)) => Ok(Login::Password(username, password)),
        _ => Err("it has no credentials: put the token of a service account into token".to_owned()),
    }
}

/// Base64 that is not empty.
fn decoded(of: &Map<String, Value>, field: &str) -> Result<Option<Vec<u8>>, String> {
    let Some(encoded) = text(of, field)? else { return Ok(None) };
    let compact: String = encoded.split_whitespace().collect();
    BASE64.decode(compact).map(Some).map_err(|_| format!("{field} is no Base64"))
}

impl fmt::Debug for Kubeconfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Kubeconfig(hidden)")
    }
}

#[cfg(test)]
mod tests;
