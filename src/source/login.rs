//! A Secret's data → how to log in at the Git host, in the shapes of Flux: `username` and `password`, `bearerToken`, a GitHub App,
//! or a key for SSH.

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
    /// As an app that is installed at GitHub.
    App(App),
}

/// A GitHub App.
#[derive(PartialEq, Eq)]
pub struct App {
    /// The app's id.
    pub id: String,
    /// The installation's id, if it is known.
    pub installation: Option<String>,
    /// Whose installation it is, if its id is not known.
    pub owner: Option<String>,
    /// The private key, in PEM.
    pub key: Vec<u8>,
    /// Where GitHub's API is, if not at github.com.
    pub api: Option<String>,
}

/// A login by SSH.
#[derive(PartialEq, Eq)]
pub struct SshKey {
    /// The private key.
    pub identity: Vec<u8>,
    /// Its passphrase.
    pub password: Option<String>,
    /// The host keys to trust.
    pub known_hosts: Vec<u8>,
}

/// Reads the data of a Secret for a host that is reached by SSH.
///
/// # Errors
/// When a key is missing; the reason says how to make it.
pub fn ssh(data: &BTreeMap<String, Vec<u8>>) -> Result<SshKey, String> {
    let Some(identity) = data.get("identity") else {
        return Err("it lacks the key identity, which ssh needs: a private key without or with passphrase (ssh-keygen -t ed25519), \
                    whose public part the git host knows"
            .to_owned());
    };
    let known_hosts = data.get("known_hosts").filter(|text| !text.is_empty());
    let known_hosts = known_hosts.ok_or(
        "it lacks the key known_hosts, without which no host can be trusted: put the line there that the git host publishes",
    )?;
    Ok(SshKey { identity: identity.clone(), password: text(data, "password")?, known_hosts: known_hosts.clone() })
}

/// Reads the data of a Secret for a host that is reached by HTTP.
///
/// # Errors
/// When it holds none of the shapes, half of one, or text that is not UTF-8; the reason names keys, never values.
pub fn login(data: &BTreeMap<String, Vec<u8>>) -> Result<Login, String> {
    if let Some(id) = text(data, "githubAppID")? {
        return app(data, id).map(Login::App);
    }
    if let Some(token) = text(data, "bearerToken")? {
        return Ok(Login::Bearer(token));
    }
    match (text(data, "username")?, text(data, "password")?) {
        (Some(username), Some(password)) => Ok(Login::Basic { username, password }),
        (None, None) if data.contains_key("ca.crt") || data.contains_key("tls.crt") => Ok(Login::None),
        _ if data.contains_key("identity") => {
            Err("it holds a key for ssh, and spec.url is none of ssh (ssh://git@host/path, or git@host:path)"
                .to_owned())
        }
        _ => {
            Err("it needs the keys username and password, or bearerToken, or githubAppID and what belongs to it"
                .to_owned())
        }
    }
}

fn app(data: &BTreeMap<String, Vec<u8>>, id: String) -> Result<App, String> {
    let (installation, owner) = (text(data, "githubAppInstallationID")?, text(data, "githubAppInstallationOwner")?);
    if installation.is_none() && owner.is_none() {
        return Err(
            "beside githubAppID it needs the key githubAppInstallationID, or githubAppInstallationOwner".to_owned()
        );
    }
    let key = data.get("githubAppPrivateKey").ok_or("beside githubAppID it needs the key githubAppPrivateKey")?.clone();
    Ok(App { id, installation, owner, key, api: text(data, "githubAppBaseURL")? })
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

    #[track_caller]
    fn check_reason(found: Result<(), String>, words: &str) {
        let reason = found.unwrap_err();
        assert!(reason.contains(words) && !reason.contains("s3cret"), "{reason}");
    }

    #[test]
    fn what_ssh_needs() {
        let whole = [("identity", "s3cret"), ("identity.pub", "x"), ("known_hosts", "h k"), ("password", "p\n")];
        let key = ssh(&data(&whole)).ok().unwrap();
        assert_eq!(
            (&*key.identity, key.password.as_deref(), &*key.known_hosts),
            (&b"s3cret"[..], Some("p"), &b"h k"[..])
        );
        check_reason(ssh(&data(&whole[..1])).map(drop), "lacks the key known_hosts");
        check_reason(ssh(&data(&[("identity", "s3cret"), ("known_hosts", "")])).map(drop), "lacks the key known_hosts");
        check_reason(ssh(&data(&whole[1..])).map(drop), "lacks the key identity");
        check_reason(login(&data(&whole)).map(drop), "spec.url is none of ssh");
    }

    #[test]
    fn what_an_app_needs() {
        let whole =
            [("githubAppID", "12\n"), ("githubAppInstallationOwner", "acme"), ("githubAppPrivateKey", "s3cret")];
        let Ok(Login::App(app)) = login(&data(&whole)) else { panic!("no app") };
        assert_eq!((&*app.id, app.owner.as_deref(), app.installation, app.api), ("12", Some("acme"), None, None));
        check_reason(login(&data(&whole[..2])).map(drop), "githubAppPrivateKey");
        check_reason(login(&data(&[whole[0], whole[2]])).map(drop), "githubAppInstallationID");
    }
}
