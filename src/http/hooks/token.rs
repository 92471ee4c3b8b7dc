//! Google's identity tokens (OpenID Connect, RFC 7519; RS256 of RFC 7518). In: a token, a key, whom it must speak of, now.
//! Out: yes or no. Must never accept a token that is made for somebody else.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};
use ring::signature::{RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents};
use serde::Deserialize;
use serde::de::DeserializeOwned;

/// Longer tokens are not looked at; Google's are about 1 KiB.
const LONGEST: usize = 8 << 10;
/// How much the clocks may differ, in seconds.
const SKEW: i64 = 60;

/// An RSA key of a key set (RFC 7517).
#[derive(Clone, Deserialize)]
pub struct Key {
    /// Its name.
    #[serde(default)]
    pub kid: String,
    #[serde(default)]
    n: String,
    #[serde(default)]
    e: String,
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: String,
    crit: Option<serde::de::IgnoredAny>,
}

#[derive(Deserialize)]
struct Claims {
    iss: String,
    aud: String,
    email: String,
    email_verified: bool,
    exp: i64,
    iat: i64,
}

/// The name of the key that a token says it is signed with; none for what is no RS256 token.
pub fn key_name(token: &str) -> Option<String> {
    let (header, _) = token.split_once('.').filter(|_| token.len() <= LONGEST)?;
    let header: Header = part(header)?;
    (header.alg == "RS256" && header.crit.is_none() && !header.kid.is_empty()).then_some(header.kid)
}

/// Whether `key` signed the token, for this audience and this account, and it is in force.
pub fn is_genuine(token: &str, key: &Key, audience: &[u8], email: &[u8], now: DateTime<Utc>) -> bool {
    signed_claims(token, key).is_some_and(|claims| {
        let is_google = matches!(claims.iss.as_str(), "https://accounts.google.com" | "accounts.google.com");
        let is_for_us = !audience.is_empty() && claims.aud.as_bytes() == audience;
        let is_account = !email.is_empty() && claims.email_verified && claims.email.as_bytes() == email;
        let (now, skew) = (now.timestamp(), SKEW);
        let is_in_force = now < claims.exp.saturating_add(skew) && now > claims.iat.saturating_sub(skew);
        is_google && is_for_us && is_account && is_in_force
    })
}

fn signed_claims(token: &str, key: &Key) -> Option<Claims> {
    let (signed, signature) = token.rsplit_once('.').filter(|_| token.len() <= LONGEST)?;
    let (_, claims) = signed.split_once('.')?;
    let bytes = |text: &str| URL_SAFE_NO_PAD.decode(text).ok();
    let key = RsaPublicKeyComponents { n: bytes(&key.n)?, e: bytes(&key.e)? };
    key.verify(&RSA_PKCS1_2048_8192_SHA256, signed.as_bytes(), &bytes(signature)?).ok()?;
    part(claims)
}

fn part<T: DeserializeOwned>(text: &str) -> Option<T> {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(text).ok()?).ok()
}
