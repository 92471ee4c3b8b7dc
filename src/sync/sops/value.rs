//! One encrypted value: `ENC[AES256_GCM,data:…,iv:…,tag:…,type:…]`.

use aes_gcm::aead::consts::{U12, U32};
use aes_gcm::aead::generic_array::GenericArray;
use aes_gcm::aead::{Aead, Payload};
use aes_gcm::aes::Aes256;
use aes_gcm::{AesGcm, KeyInit};
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;

use super::ENCRYPTED;

/// What a value was before it was encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    Int,
    Float,
    Bool,
    Bytes,
    Time,
    Comment,
}

/// A decrypted value: its text, and what it was.
pub(super) struct Plain {
    pub bytes: Vec<u8>,
    pub kind: Kind,
}

/// Decrypts a value that stands at a place. The reason of a failure never holds the value.
///
/// # Errors
/// When it is malformed, was changed, was moved from another place, or the key is another.
pub(super) fn open(text: &str, data_key: &[u8], place: &str) -> Result<Plain, &'static str> {
    const MALFORMED: &str = "is malformed";
    let inner = text.strip_prefix(ENCRYPTED).and_then(|rest| rest.strip_suffix(']')).ok_or(MALFORMED)?;
    let mut parts = inner.splitn(4, ',');
    let mut part = |name: &str| parts.next().and_then(|part| part.strip_prefix(name)).ok_or(MALFORMED);
    let decode = |text: &str| BASE64.decode(text).map_err(|_| MALFORMED);
    let mut sealed = decode(part("data:")?)?;
    let iv = decode(part("iv:")?)?;
    sealed.extend(decode(part("tag:")?)?);
    let kind = match part("type:")? {
        "str" => Kind::Text,
        "int" | "int64" => Kind::Int,
        "float" => Kind::Float,
        "bool" => Kind::Bool,
        "bytes" => Kind::Bytes,
        "time" => Kind::Time,
        "comment" => Kind::Comment,
        _ => return Err("is of a type that is not known"),
    };
    let key = (data_key.len() == 32).then(|| GenericArray::from_slice(data_key)).ok_or(MALFORMED)?;
    let payload = Payload { msg: &sealed, aad: place.as_bytes() };
    let opened = match iv.len() {
        32 => AesGcm::<Aes256, U32>::new(key).decrypt(GenericArray::from_slice(&iv), payload),
        12 => AesGcm::<Aes256, U12>::new(key).decrypt(GenericArray::from_slice(&iv), payload),
        _ => return Err(MALFORMED),
    };
    let bytes = opened.map_err(|_| "can't be decrypted: it was changed, or moved here from another place")?;
    Ok(Plain { bytes, kind })
}
