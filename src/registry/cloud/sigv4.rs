//! AWS Signature Version 4 (AWS General Reference, "Signing AWS API requests"), in headers. In: a request, keys, a scope and the
//! time. Out: the headers to add. Pure; must never give away more of the keys than the signature.

use std::fmt::Write as _;

use chrono::{DateTime, Utc};
use ring::digest::{SHA256, digest};
use ring::hmac;

/// Keys of an identity in AWS. They have no debug print.
pub(super) struct Keys {
    /// The public part.
    pub id: String,
    /// The secret part.
    pub secret: String,
    /// Belongs to temporary keys.
    pub session: Option<String>,
}

/// What is signed.
pub(super) struct Unsigned<'a> {
    /// In upper case.
    pub method: &'a str,
    /// Starts with `/`; not encoded. There is no query.
    pub path: &'a str,
    /// All headers to sign but `x-amz-*` ones that this adds; `host` must be among them.
    pub headers: &'a [(&'a str, &'a str)],
    pub body: &'a [u8],
}

/// For which service, where.
pub(super) struct Scope<'a> {
    pub region: &'a str,
    pub service: &'a str,
}

/// The headers to add to the request.
pub(super) struct Signed {
    /// `x-amz-date`
    pub date: String,
    /// `authorization`
    pub authorization: String,
}

/// Signs the request, `x-amz-date` and, with temporary keys, `x-amz-security-token`.
pub(super) fn sign(request: &Unsigned<'_>, keys: &Keys, scope: &Scope<'_>, now: DateTime<Utc>) -> Signed {
    let date = now.format("%Y%m%dT%H%M%SZ").to_string();
    let day = &date[..8];
    let mut headers: Vec<(String, String)> =
        request.headers.iter().map(|(name, value)| (name.to_ascii_lowercase(), folded(value))).collect();
    headers.push(("x-amz-date".to_owned(), date.clone()));
    headers.extend(keys.session.iter().map(|token| ("x-amz-security-token".to_owned(), folded(token))));
    headers.sort();
    let names = headers.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(";");

    let mut canonical = format!("{}\n{}\n\n", request.method, encoded(request.path));
    for (name, value) in &headers {
        let _ = writeln!(canonical, "{name}:{value}"); // a String takes everything
    }
    let _ = write!(canonical, "\n{names}\n{}", hash(request.body));

    let whole = format!("{day}/{}/{}/aws4_request", scope.region, scope.service);
    let to_sign = format!("AWS4-HMAC-SHA256\n{date}\n{whole}\n{}", hash(canonical.as_bytes()));
    let key = key(&keys.secret, day, scope);
    let signature = hex::encode(mac(&key, &to_sign));
    let authorization =
        format!("AWS4-HMAC-SHA256 Credential={}/{whole}, SignedHeaders={names}, Signature={signature}", keys.id);
    Signed { date, authorization }
}

/// The key of one day, region and service.
fn key(secret: &str, day: &str, scope: &Scope<'_>) -> Vec<u8> {
    let mut key = format!("AWS4{secret}").into_bytes();
    for part in [day, scope.region, scope.service, "aws4_request"] {
        key = mac(&key, part);
    }
    key
}

fn mac(key: &[u8], text: &str) -> Vec<u8> {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text.as_bytes()).as_ref().to_vec()
}

fn hash(bytes: &[u8]) -> String {
    hex::encode(digest(&SHA256, bytes))
}

/// No space around it, and one where there were many.
fn folded(value: &str) -> String {
    value.split_ascii_whitespace().collect::<Vec<_>>().join(" ")
}

/// RFC 3986: everything but the unreserved characters and `/` as `%XX`.
fn encoded(path: &str) -> String {
    let mut out = String::with_capacity(path.len());
    for byte in path.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

#[cfg(test)]
mod tests;
