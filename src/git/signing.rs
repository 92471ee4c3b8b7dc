//! Signatures of commits. In: a Secret's data; then a commit's bytes and its time. Out: the armoured signature for its header
//! `gpgsig`. The same key, bytes and time give the same signature, so that whoever makes a commit again makes the same one.

use std::collections::BTreeMap;
use std::fmt;

use russh::keys::ssh_key::public::RsaPublicKey;
use russh::keys::ssh_key::{HashAlg, LineEnding, PrivateKey, SshSig};

mod openpgp;
pub(super) mod validity;

use super::Error;
use super::ssh::identity;
use crate::api::image_update::SigningType;

/// The namespace of Git's SSH signatures (gitformat-signature).
pub(super) const NAMESPACE: &str = "git";
/// The smallest RSA key that hosts and `ssh-keygen` still take, in bits.
pub(super) const RSA_BITS: u32 = 2048;
/// What is signed once when a key is read, to see that it can.
const PROBE: &[u8] = b"tagboat";

/// A private key that signs commits. `Debug` prints nothing of it.
pub struct SigningKey(Kind);

enum Kind {
    Ssh(Box<PrivateKey>),
    OpenPgp(Box<openpgp::Key>),
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningKey(hidden)")
    }
}

impl SigningKey {
    /// The key in a Secret, as Flux lays it out: `git.asc` and maybe `passphrase` for OpenPGP, `identity` and maybe `password`
    /// for SSH. It is opened here, and has signed something once when this returns.
    ///
    /// # Errors
    /// Which key of the Secret is missing or unusable, and why. Nothing of its content is repeated.
    pub fn new(kind: SigningType, data: &BTreeMap<String, Vec<u8>>) -> Result<Self, String> {
        let (key, opener) = match kind {
            SigningType::Gpg => ("git.asc", "passphrase"),
            SigningType::Ssh => ("identity", "password"),
        };
        let text = data.get(key).ok_or_else(|| match kind {
            SigningType::Gpg if data.contains_key("identity") => {
                "it lacks the key git.asc (an SSH key in identity is used with spec.commit.signingKey.type: ssh)"
                    .to_owned()
            }
            SigningType::Ssh if data.contains_key("git.asc") => {
                "it lacks the key identity (an OpenPGP key in git.asc is used with spec.commit.signingKey.type: gpg)"
                    .to_owned()
            }
            _ => format!("it lacks the key {key}"),
        })?;
        let text = std::str::from_utf8(text).map_err(|_| format!("{key} is not text"))?.trim();
        let opener = data.get(opener).map(|words| without_line_end(words));
        let key = match kind {
            SigningType::Gpg => {
                let key = openpgp::Key::read(text, opener).map_err(|reason| format!("{key}: {reason}"))?;
                Self(Kind::OpenPgp(Box::new(key)))
            }
            SigningType::Ssh => Self(Kind::Ssh(Box::new(ssh(text, opener)?))),
        };
        key.armoured(PROBE, None).map_err(|reason| format!("it cannot sign: {reason}"))?;
        Ok(key)
    }

    /// The signature of a commit's bytes. `time` is the commit's, in seconds since 1970: SSH signatures carry none, and that of
    /// an OpenPGP signature is the commit's or, when that is later, the key's.
    ///
    /// # Errors
    /// When the key is not valid at that time.
    pub(super) fn sign(&self, commit: &[u8], time: i64) -> Result<String, Error> {
        self.armoured(commit, Some(time)).map_err(|reason| Error::Signing { reason })
    }

    fn armoured(&self, bytes: &[u8], time: Option<i64>) -> Result<String, String> {
        let text = match &self.0 {
            Kind::OpenPgp(key) => key.sign(bytes, time)?,
            Kind::Ssh(key) => {
                let signed = SshSig::sign(key.as_ref(), NAMESPACE, HashAlg::Sha512, bytes);
                let text = signed.and_then(|signature| signature.to_pem(LineEnding::LF));
                text.map_err(|_| "the SSH key is of a kind that tagboat cannot sign with".to_owned())?
            }
        };
        Ok(text.trim_end().to_owned())
    }
}

fn ssh(text: &str, password: Option<&[u8]>) -> Result<PrivateKey, String> {
    let password = password.map(|password| std::str::from_utf8(password).map_err(|_| "password is not text"));
    let key = identity::open(text.as_bytes(), password.transpose()?)?;
    let bits = key.public_key().key_data().rsa().map_or(RSA_BITS, RsaPublicKey::key_size);
    if bits < RSA_BITS {
        return Err(format!("identity is an RSA key of {bits} bits, which is too short: {RSA_BITS} at least"));
    }
    Ok(key)
}

/// No terminal lets a person type a line end into a password, but many editors add one to a file.
fn without_line_end(words: &[u8]) -> &[u8] {
    let words = words.strip_suffix(b"\n").unwrap_or(words);
    words.strip_suffix(b"\r").unwrap_or(words)
}
