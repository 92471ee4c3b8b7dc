//! Which host keys are trusted. In: the text of a `known_hosts` file (sshd(8), SSH_KNOWN_HOSTS FILE FORMAT), a host and the key
//! that it showed. Out: trusted or not, and which kinds of key to ask the host for. Nothing is ever trusted on first use. Pure.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use russh::keys::{Algorithm, HashAlg, PublicKey};
use sha1::Sha1;

/// The trusted and revoked keys of hosts.
#[derive(Debug, Clone)]
pub struct KnownHosts {
    lines: Vec<Line>,
    /// The number of the first line that could not be read.
    unread: Option<usize>,
}

#[derive(Debug, Clone)]
struct Line {
    kind: Kind,
    hosts: String,
    key: PublicKey,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Trusted,
    Authority,
    Revoked,
}

impl KnownHosts {
    /// Reads a file. Lines that can't be read are passed over, as `ssh` does.
    pub fn parse(text: &str) -> Self {
        let (mut lines, mut unread) = (Vec::new(), None);
        for (number, text) in text.lines().enumerate() {
            let text = text.trim();
            if text.is_empty() || text.starts_with('#') {
                continue;
            }
            match line(text) {
                Some(line) => lines.push(line),
                None => unread = unread.or(Some(number + 1)),
            }
        }
        Self { lines, unread }
    }

    /// The kinds of host key that can be proved with what is known of this host; the order is ours, the best first.
    ///
    /// # Errors
    /// When nothing is known of the host, with what to do.
    pub fn algorithms(&self, host: &str, port: u16) -> Result<Vec<Algorithm>, String> {
        let known = self.of(host, port, Kind::Trusted);
        if known.is_empty() {
            let name = name(host, port);
            let hint = match (self.of(host, port, Kind::Authority).is_empty(), self.unread) {
                (false, _) => "; its @cert-authority line is not used, as certificates of hosts are not".to_owned(),
                (true, Some(line)) => format!("; line {line} of it cannot be read"),
                (true, None) => String::new(),
            };
            return Err(format!(
                "known_hosts has no line for {name}{hint}: add the one that the host's owner publishes (ssh-keyscan prints \
                 what the host shows today)"
            ));
        }
        let has = |algorithm: &Algorithm| {
            known.iter().any(|key| match (key.algorithm(), algorithm) {
                (Algorithm::Rsa { .. }, Algorithm::Rsa { .. }) => true,
                (of, algorithm) => of == *algorithm,
            })
        };
        Ok(preferred().into_iter().filter(has).collect())
    }

    /// Whether the key that a host showed is trusted.
    ///
    /// # Errors
    /// When it is not, with both fingerprints and what to do.
    pub fn check(&self, host: &str, port: u16, shown: &PublicKey) -> Result<(), String> {
        let is_shown = |key: &&PublicKey| key.key_data() == shown.key_data();
        if self.of(host, port, Kind::Revoked).iter().any(is_shown) {
            return Err(format!("its key {} is @revoked in known_hosts", words(shown)));
        }
        let known = self.of(host, port, Kind::Trusted);
        if known.iter().any(is_shown) {
            return Ok(());
        }
        let same: Vec<_> = known.iter().filter(|key| key.algorithm() == shown.algorithm()).collect();
        let of = if same.is_empty() { known.iter().collect() } else { same };
        let of: Vec<String> = of.into_iter().map(|key| words(key)).collect();
        Err(format!(
            "it shows {}, known_hosts has {}: if the host changed its key on purpose, put its new line into known_hosts; if it \
             did not, somebody else answers in its place",
            words(shown),
            of.join(" and ")
        ))
    }

    /// As `ssh` does, a host on another port than 22 may also be listed without it; its own lines win.
    fn of(&self, host: &str, port: u16, kind: Kind) -> Vec<&PublicKey> {
        let named = |name: &str| -> Vec<&PublicKey> {
            self.lines
                .iter()
                .filter(|line| line.kind == kind && is_for(&line.hosts, name))
                .map(|line| &line.key)
                .collect()
        };
        let found = named(&name(host, port));
        if found.is_empty() && port != 22 { named(host) } else { found }
    }
}

/// Kinds of host key, the best first. RSA only with SHA-2.
fn preferred() -> Vec<Algorithm> {
    use russh::keys::EcdsaCurve::{NistP256, NistP384, NistP521};
    let curves = [NistP256, NistP384, NistP521].map(|curve| Algorithm::Ecdsa { curve });
    let rsa = [HashAlg::Sha512, HashAlg::Sha256].map(|hash| Algorithm::Rsa { hash: Some(hash) });
    [Algorithm::Ed25519].into_iter().chain(curves).chain(rsa).collect()
}

/// A key as a person compares it.
fn words(key: &PublicKey) -> String {
    format!("{} {}", key.algorithm(), key.fingerprint(HashAlg::Sha256))
}

/// A host as the lines name it.
fn name(host: &str, port: u16) -> String {
    if port == 22 { host.to_owned() } else { format!("[{host}]:{port}") }
}

fn line(text: &str) -> Option<Line> {
    let mut words = text.split_ascii_whitespace();
    let mut hosts = words.next()?;
    let kind = match hosts {
        "@revoked" => Kind::Revoked,
        "@cert-authority" => Kind::Authority,
        marker if marker.starts_with('@') => return None,
        _ => Kind::Trusted,
    };
    if kind != Kind::Trusted {
        hosts = words.next()?;
    }
    let key = PublicKey::from_openssh(&format!("{} {}", words.next()?, words.next()?)).ok()?;
    Some(Line { kind, hosts: hosts.to_owned(), key })
}

/// Whether a line's list of hosts is for this name: hashed, or patterns of which one fits and none forbids.
fn is_for(hosts: &str, name: &str) -> bool {
    if let Some(hashed) = hosts.strip_prefix("|1|") {
        return is_hash_of(hashed, name).unwrap_or_default();
    }
    let mut fits = false;
    for pattern in hosts.split(',') {
        match pattern.strip_prefix('!') {
            Some(forbidden) if glob(forbidden.as_bytes(), name.as_bytes()) => return false,
            Some(_) => {}
            None => fits |= glob(pattern.as_bytes(), name.as_bytes()),
        }
    }
    fits
}

/// `|1|salt|hash`: HMAC-SHA1 of the name.
fn is_hash_of(hashed: &str, name: &str) -> Option<bool> {
    let (salt, hash) = hashed.split_once('|')?;
    let mut mac = Hmac::<Sha1>::new_from_slice(&STANDARD.decode(salt).ok()?).ok()?;
    mac.update(name.as_bytes());
    Some(mac.verify_slice(&STANDARD.decode(hash).ok()?).is_ok())
}

/// `*` is any text, `?` any one character; letters of either case are the same. In time of both lengths multiplied.
fn glob(pattern: &[u8], text: &[u8]) -> bool {
    let (mut p, mut t, mut star) = (0, 0, None);
    while t < text.len() {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p, t));
                p += 1;
            }
            Some(c) if *c == b'?' || c.eq_ignore_ascii_case(&text[t]) => (p, t) = (p + 1, t + 1),
            _ => match star {
                Some((at, from)) => {
                    star = Some((at, from + 1));
                    (p, t) = (at + 1, from + 1);
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|c| *c == b'*')
}

#[cfg(test)]
mod tests;
