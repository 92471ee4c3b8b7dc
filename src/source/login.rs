//! A Secret's data → how to log in at the Git host (the shapes of Flux: `username` and `password`, or `bearerToken`).

use std::collections::BTreeMap;

/// How to log in.
#[derive(PartialEq, Eq)]
pub enum Login {
    /// Not at all: the Secret only holds certificates.
    None,
    /// By user name and password (or token).
    Basic {
        /// The user.
        username: String,
        /// The password.
        password: String,
    },
    /// By a token.
    Bearer(String),
}

/// Reads the data of a Secret for a host that is reached by HTTP.
///
/// # Errors
/// When it holds none of the shapes, half of one, or text that is not UTF-8; the reason names keys, never values.
pub fn login(data: &BTreeMap<String, Vec<u8>>) -> Result<Login, String> {
    if let Some(token) = text(data, "bearerToken")? {
        return Ok(Login::Bearer(token));
    }
    match (text(data, "username")?, text(data, "password")?) {
        (Some(username), Some(password)) => Ok(Login::Basic { username, password }),
        (None, None) if data.contains_key("ca.crt") || data.contains_key("tls.crt") => Ok(Login::None),
        _ => Err("it needs the keys username and password, or bearerToken".to_owned()),
    }
}

fn text(data: &BTreeMap<String, Vec<u8>>, key: &str) -> Result<Option<String>, String> {
    data.get(key)
        .map(|bytes| {
            let text = std::str::from_utf8(bytes).map_err(|_| format!("the value of {key} is not UTF-8"))?;
            // A file made with an editor ends with a line break that belongs to no token.
            Ok(text.trim_end_matches(['\r', '\n']).to_owned())
        })
        .transpose()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn data(pairs: &[(&str, &str)]) -> BTreeMap<String, Vec<u8>> {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), value.as_bytes().to_vec())).collect()
    }

    #[test]
    fn the_two_shapes() {
        let basic = login(&data(&[("username", "bot"), ("password", "s3cret\n")]));
        assert!(basic == Ok(Login::Basic { username: "bot".into(), password: "s3cret".into() }));
        assert!(login(&data(&[("bearerToken", "t")])) == Ok(Login::Bearer("t".into())));
        assert!(login(&data(&[("ca.crt", "-")])) == Ok(Login::None));
        assert!(login(&data(&[("username", "bot"), ("ca.crt", "-")])).is_err());
        assert!(login(&data(&[])).is_err());
    }
}
