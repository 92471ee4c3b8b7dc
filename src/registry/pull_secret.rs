//! The credential for a repository in a pull secret. In: the bytes of `.dockerconfigjson` and a repository. Out: the
//! credential of the closest entry, or none. Pure; must never put a value from the secret into a message.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde::Deserialize;

use super::credential::Credential;
use crate::failure::printable;
use crate::image::Repository;

/// Padding is optional, as some tools leave it out.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

#[derive(Deserialize)]
struct Config {
    #[serde(default)]
    auths: BTreeMap<String, Option<Entry>>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Entry {
    auth: Option<String>,
    username: Option<String>,
    password: Option<String>,
    identitytoken: Option<String>,
    registrytoken: Option<String>,
}

/// The credential for this repository: the entry with the longest path that leads to it wins, then one without wildcards.
/// Keys are read as Kubernetes reads them: with or without scheme, `/v1/` or `/v2/`, with `*` inside a label of the host.
///
/// # Errors
/// The secret is not JSON of that shape, or the entry that matches can't be read. The text names the entry, never its value.
pub fn credential(dockerconfigjson: &[u8], repository: &Repository) -> Result<Option<Credential>, String> {
    let config: Config = serde_json::from_slice(dockerconfigjson).map_err(|error| {
        // The parser's own text may quote a value.
        format!("the pull secret is no .dockerconfigjson: line {}, column {}", error.line(), error.column())
    })?;
    let path = repository.path();
    let mut matching: Vec<(Reverse<usize>, bool, String, Entry)> = Vec::new();
    for (key, entry) in config.auths {
        if let (Some(length), Some(entry)) = (matches(&key, repository.host(), path), entry) {
            matching.push((Reverse(length), key.contains(['*', '?']), key, entry));
        }
    }
    matching.sort_by(|a, b| (a.0, a.1, &a.2).cmp(&(b.0, b.1, &b.2)));
    for (_, _, key, entry) in matching {
        let read =
            entry.read().map_err(|reason| format!("the pull secret's entry {:?}: {reason}", printable(&key, 120)))?;
        if read.is_some() {
            return Ok(read);
        }
    }
    Ok(None)
}

impl Entry {
    /// Tokens come before passwords, `auth` before the fields that it replaced (as in Docker).
    fn read(self) -> Result<Option<Credential>, &'static str> {
        let given = |value: Option<String>| value.filter(|text| !text.is_empty());
        if let Some(token) = given(self.registrytoken) {
            return Ok(Some(Credential::registry(token)));
        }
        if let Some(token) = given(self.identitytoken) {
            return Ok(Some(Credential::identity(token)));
        }
        if let Some(auth) = given(self.auth) {
            let bytes = BASE64.decode(auth.trim()).map_err(|_| "auth is no base64 of user:password")?;
            let text = String::from_utf8(bytes).map_err(|_| "auth is no base64 of user:password")?;
            let (username, password) = text.split_once(':').ok_or("auth has no colon between user and password")?;
            return Ok(Some(Credential::password(username, password.trim_matches('\0'))));
        }
        match (given(self.username), given(self.password)) {
            (Some(username), Some(password)) => Ok(Some(Credential::password(username, password))),
            (None, None) => Ok(None),
            _ => Err("it needs both a user name and a password"),
        }
    }
}

/// How many characters of the path a key pins when it leads to this repository.
fn matches(key: &str, host: &str, path: &str) -> Option<usize> {
    let key = key.trim();
    let key = key.strip_prefix("https://").or_else(|| key.strip_prefix("http://")).unwrap_or(key);
    let (key_host, key_path) = key.split_once('/').unwrap_or((key, ""));
    let key_path = key_path.trim_matches('/');
    let key_path = match key_path.split_once('/') {
        Some(("v1" | "v2", rest)) => rest,
        None if matches!(key_path, "v1" | "v2") => "",
        _ => key_path,
    };
    let path_leads =
        key_path.is_empty() || path.strip_prefix(key_path).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    (path_leads && same_host(&known_as(key_host), &known_as(host))).then_some(key_path.len())
}

/// Docker Hub has several names.
fn known_as(host: &str) -> String {
    let host = host.to_ascii_lowercase();
    match host.as_str() {
        "index.docker.io" | "registry-1.docker.io" | "registry.docker.io" => "docker.io".to_owned(),
        _ => host,
    }
}

/// Label by label, so that a `*` never reaches across a dot; the port must be the same.
fn same_host(pattern: &str, host: &str) -> bool {
    let (pattern_name, pattern_port) = pattern.rsplit_once(':').unwrap_or((pattern, ""));
    let (name, port) = host.rsplit_once(':').unwrap_or((host, ""));
    let (pattern_labels, labels) = (pattern_name.split('.'), name.split('.'));
    pattern_port == port
        && pattern_labels.clone().count() == labels.clone().count()
        && pattern_labels.zip(labels).all(|(pattern, label)| glob(pattern.as_bytes(), label.as_bytes()))
}

/// `*` stands for any characters, `?` for one. Linear: only the last `*` is ever tried again.
fn glob(pattern: &[u8], text: &[u8]) -> bool {
    let (mut p, mut t) = (0, 0);
    let mut star = None;
    while t < text.len() {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p, t));
                p += 1;
            }
            Some(&c) if c == text[t] || c == b'?' => {
                p += 1;
                t += 1;
            }
            _ => match star {
                Some((at, taken)) => {
                    star = Some((at, taken + 1));
                    p = at + 1;
                    t = taken + 1;
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|c| *c == b'*')
}

#[cfg(test)]
mod tests;
