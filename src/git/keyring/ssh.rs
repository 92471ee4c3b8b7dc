//! SSH signatures (PROTOCOL.sshsig) by trusted keys. In: lines as in `authorized_keys` or `allowed_signers` (ssh-keygen, ALLOWED
//! SIGNERS); then bytes and a signature. Out: the key's fingerprint and whose it is.

use chrono::NaiveDateTime;
use russh::keys::ssh_key::public::RsaPublicKey;
use russh::keys::ssh_key::{HashAlg, PublicKey, SshSig};

use super::{date, named};
use crate::git::signing::{NAMESPACE, RSA_BITS};

/// Trusted keys.
#[derive(Default)]
pub struct Keys(Vec<Key>);

struct Key {
    public: PublicKey,
    /// Principals of `allowed_signers`, or the comment.
    whose: String,
    /// When it may be used, in seconds since 1970.
    after: Option<i64>,
    before: Option<i64>,
}

impl Keys {
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Adds the keys of all lines. Those for other namespaces than Git's are left out.
    pub fn read(&mut self, text: &str) -> Result<(), String> {
        for (index, line) in text.lines().enumerate() {
            let line = line.trim();
            if !line.is_empty() && !line.starts_with('#') {
                self.0.extend(key(line).map_err(|reason| format!("line {}: {reason}", index + 1))?);
            }
        }
        Ok(())
    }

    pub fn signer(&self, payload: &[u8], text: &str, now: i64) -> Result<String, String> {
        let signature = SshSig::from_pem(text).map_err(|_| "its signature cannot be read as one of SSH".to_owned())?;
        if signature.namespace() != NAMESPACE {
            let other = crate::failure::printable(signature.namespace(), 40);
            return Err(format!("its signature was made for {other:?} and not for git (ssh-keygen -n git)"));
        }
        let public = PublicKey::from(signature.public_key().clone());
        let print = format!("SSH key {}", public.fingerprint(HashAlg::Sha256));
        let mut of_it = self.0.iter().filter(|key| key.public.key_data() == signature.public_key()).peekable();
        let Some(first) = of_it.peek() else {
            return Err(format!("it is signed by the {print}, which is not among the trusted ones"));
        };
        let name = named(&print, &first.whose);
        if public.verify(NAMESPACE, payload, &signature).is_err() {
            return Err(format!("it is signed by {name}, but it is not what was signed: it was changed afterwards"));
        }
        let mut flaw = String::new();
        for key in of_it {
            match key.in_time(now) {
                Ok(()) => return Ok(named(&print, &key.whose)),
                Err(reason) => flaw = reason,
            }
        }
        Err(format!("it is signed by {name}, {flaw}"))
    }
}

impl Key {
    fn in_time(&self, now: i64) -> Result<(), String> {
        let day = |time: i64| date(time.try_into().unwrap_or_default());
        match (self.after, self.before) {
            (Some(after), _) if now < after => Err(format!("a key that is valid only after {}", day(after))),
            (_, Some(before)) if now >= before => Err(format!("a key that was valid only before {}", day(before))),
            _ => Ok(()),
        }
    }
}

/// The key of a line; none when it is for other namespaces only.
fn key(line: &str) -> Result<Option<Key>, String> {
    let (mut words, mut at) = (Vec::new(), line);
    // Principals, options, kind, key: what follows is a comment.
    while words.len() < 4 && !at.is_empty() {
        let (word, rest) = word(at)?;
        words.push((word, at));
        at = rest;
        if is_kind(word) {
            break;
        }
    }
    let kind = words.iter().position(|(word, _)| is_kind(word));
    let kind = kind.ok_or("it names no kind of SSH key, as in \"ann@example.com ssh-ed25519 AAAA…\"")?;
    let (_, from) = words[kind];
    let public = PublicKey::from_openssh(from).map_err(|_| "its key cannot be read")?;
    let bits = public.key_data().rsa().map_or(RSA_BITS, RsaPublicKey::key_size);
    if bits < RSA_BITS {
        return Err(format!("an RSA key of {bits} bits is too short: {RSA_BITS} at least"));
    }
    if public.key_data().dsa().is_some() {
        return Err("keys of the kind DSA are not trusted".to_owned());
    }
    let before = |index: usize| words[..kind].get(index).map(|(word, _)| *word);
    let (principals, options) = match kind {
        0 => (None, None),
        1 if before(0).is_some_and(|word| word == "cert-authority" || word.contains('=')) => (None, before(0)),
        _ => (before(0), before(1)),
    };
    let whose = principals.map_or_else(|| public.comment().to_string(), |principals| unquoted(principals).to_owned());
    let mut found = Key { public, whose, after: None, before: None };
    for option in options.map(split_options).unwrap_or_default() {
        let (name, value) = option.split_once('=').unwrap_or((option, ""));
        let value = unquoted(value);
        match name.to_ascii_lowercase().as_str() {
            "cert-authority" => return Err("certificates are not trusted: list the keys themselves".to_owned()),
            "namespaces" if !is_for_git(value) => return Ok(None),
            "valid-after" => found.after = Some(time(value)?),
            "valid-before" => found.before = Some(time(value)?),
            // What else an `authorized_keys` allows or forbids is about logging in.
            _ => {}
        }
    }
    Ok(Some(found))
}

fn is_kind(word: &str) -> bool {
    ["ssh-", "ecdsa-sha2-", "sk-ssh-", "sk-ecdsa-"].iter().any(|kind| word.starts_with(kind))
}

/// The first word, up to a space outside of quotes, and what follows it.
fn word(text: &str) -> Result<(&str, &str), String> {
    let mut is_quoted = false;
    let end = text.find(|c: char| {
        is_quoted ^= c == '"';
        !is_quoted && c.is_whitespace()
    });
    match end {
        _ if is_quoted => Err("a quote is not closed".to_owned()),
        Some(end) => Ok((&text[..end], text[end..].trim_start())),
        None => Ok((text, "")),
    }
}

fn split_options(text: &str) -> Vec<&str> {
    let mut is_quoted = false;
    let is_end = |c: char| {
        is_quoted ^= c == '"';
        !is_quoted && c == ','
    };
    text.split(is_end).collect()
}

fn unquoted(text: &str) -> &str {
    text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(text)
}

/// Whether a list of patterns, with `*` and `?`, names Git's namespace, and none with a `!` does.
fn is_for_git(patterns: &str) -> bool {
    let mut found = false;
    for pattern in patterns.split(',') {
        match pattern.strip_prefix('!') {
            Some(not) if fits(not.as_bytes(), NAMESPACE.as_bytes()) => return false,
            Some(_) => {}
            None => found |= fits(pattern.as_bytes(), NAMESPACE.as_bytes()),
        }
    }
    found
}

fn fits(pattern: &[u8], text: &[u8]) -> bool {
    match (pattern, text) {
        ([], []) => true,
        // Stars in a row are one, so that this ends soon.
        ([b'*', rest @ ..], _) if rest.first() == Some(&b'*') => fits(rest, text),
        ([b'*', rest @ ..], _) => (0..=text.len()).any(|from| fits(rest, &text[from..])),
        ([b'?', rest @ ..], [_, text @ ..]) => fits(rest, text),
        ([one, rest @ ..], [other, text @ ..]) if one == other => fits(rest, text),
        _ => false,
    }
}

/// `YYYYMMDD`, with `HHMM` or `HHMMSS` behind it, in UTC.
fn time(text: &str) -> Result<i64, String> {
    let digits = text.strip_suffix('Z').unwrap_or(text);
    let whole = match digits.len() {
        8 => format!("{digits}000000"),
        12 => format!("{digits}00"),
        _ => digits.to_owned(),
    };
    let read = NaiveDateTime::parse_from_str(&whole, "%Y%m%d%H%M%S");
    read.map(|time| time.and_utc().timestamp())
        .map_err(|_| "a time in it is not written as 20260131 or 202601312359".to_owned())
}
