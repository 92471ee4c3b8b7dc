//! Where a repository is. In: a URL, or the form that scp made common. Out: how it is reached, by one of the transports that we
//! have. Everything else is refused here, as libgit2 would hand it to an `ssh` or a path of its own. Pure.

use reqwest::Url;

use super::error::Error;
use crate::reach;

/// How a repository is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// `http://` or `https://`.
    Http(Url),
    /// `file://`: a folder of this machine.
    Folder(Url),
    /// `ssh://user@host:port/path` or `user@host:path`.
    Ssh(Shell),
}

/// A repository at the end of an SSH session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shell {
    /// Who logs in; `git` when the URL names nobody.
    pub user: String,
    /// Name or address, in lower case, without brackets.
    pub host: String,
    /// 22 unless the URL says another.
    pub port: u16,
    /// As the host's Git gets it: from the root, or from the user's home in the scp form.
    pub path: String,
}

const PASSWORD: &str = "it holds a user or password: put them into the secret";

impl Place {
    /// Reads a repository's URL.
    ///
    /// # Errors
    /// [`Error::UnsupportedUrl`], with the reason.
    pub fn parse(text: &str) -> Result<Self, Error> {
        if text.chars().any(|c| c.is_control() || c.is_whitespace()) {
            return refuse("it holds a space or a control character");
        }
        if !text.contains("://") {
            return Shell::scp(text).map(Self::Ssh);
        }
        let Ok(url) = Url::parse(text) else { return refuse("it is no absolute URL") };
        if url.query().is_some() || url.fragment().is_some() {
            return refuse("it holds a query or a fragment");
        }
        if url.password().is_some() {
            return refuse(PASSWORD);
        }
        match url.scheme() {
            "ssh" => Shell::url(&url).map(Self::Ssh),
            _ if !url.username().is_empty() => refuse(PASSWORD),
            "http" | "https" => Ok(Self::Http(url)),
            "file" => Ok(Self::Folder(url)),
            _ => refuse("its scheme is none of https, http, ssh, file"),
        }
    }
}

impl Shell {
    fn url(url: &Url) -> Result<Self, Error> {
        let path = decoded(url.path())?;
        // A home is asked for without the slash before it, as Git does.
        let path = if path.starts_with("/~") { path[1..].to_owned() } else { path };
        let user = if url.username().is_empty() { "git".to_owned() } else { decoded(url.username())? };
        Self::checked(user, url.host_str().unwrap_or_default(), url.port().unwrap_or(22), path)
    }

    fn scp(text: &str) -> Result<Self, Error> {
        const FORM: &str = "it is neither an absolute URL nor user@host:path";
        let Some((user, rest)) = text.split_once('@') else { return refuse(FORM) };
        let parts = match rest.strip_prefix('[') {
            Some(rest) => rest.split_once("]:"),
            None => rest.split_once(':'),
        };
        let Some((host, path)) = parts else { return refuse(FORM) };
        if user.contains(':') {
            return refuse(PASSWORD);
        }
        if user.is_empty() || user.contains('/') {
            return refuse(FORM);
        }
        Self::checked(user.to_owned(), host, 22, path.to_owned())
    }

    fn checked(user: String, host: &str, port: u16, path: String) -> Result<Self, Error> {
        let host = host.trim_start_matches('[').trim_end_matches(']').to_ascii_lowercase();
        let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':');
        if host.is_empty() || host.starts_with('-') || !host.chars().all(is_name) {
            return refuse("its host is no host's name");
        }
        if path.trim_matches('/').is_empty() || path.starts_with('-') || path.chars().any(char::is_control) {
            return refuse("it names no repository on the host");
        }
        if user.chars().any(char::is_control) {
            return refuse("its user holds a control character");
        }
        Ok(Self { user, host, port, path })
    }

    /// The path as one word for the shell that runs a command there.
    pub fn quoted_path(&self) -> String {
        format!("'{}'", self.path.replace('\'', "'\\''").replace('!', "'\\!'"))
    }
}

fn refuse<T>(reason: &'static str) -> Result<T, Error> {
    Err(Error::UnsupportedUrl { reason })
}

fn decoded(text: &str) -> Result<String, Error> {
    reach::decoded(text).map_or_else(|| refuse("it is not UTF-8"), Ok)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(url: &str, expected: Result<(&str, &str, u16, &str), &str>) {
        match (Place::parse(url), expected) {
            (Ok(Place::Ssh(shell)), Ok(expected)) => {
                assert_eq!((&*shell.user, &*shell.host, shell.port, &*shell.quoted_path()), expected, "{url}");
            }
            (Err(error), Err(words)) => assert!(error.to_string().contains(words), "{url}: {error}"),
            (found, _) => panic!("{url}: {found:?}"),
        }
    }

    #[test]
    fn the_forms_of_ssh() {
        check("ssh://git@git.example.com/acme/fleet.git", Ok(("git", "git.example.com", 22, "'/acme/fleet.git'")));
        check("ssh://Git.Example.com:2222/acme/fleet", Ok(("git", "git.example.com", 2222, "'/acme/fleet'")));
        check("ssh://bot@[::1]:2222/x", Ok(("bot", "::1", 2222, "'/x'")));
        check("ssh://git@h/~ann/x%20y", Ok(("git", "h", 22, "'~ann/x y'")));
        check("ssh://git@h/it's/!", Ok(("git", "h", 22, "'/it'\\''s/'\\!''")));
        check("git@github.com:acme/fleet.git", Ok(("git", "github.com", 22, "'acme/fleet.git'")));
        check("git@[::1]:/srv/fleet", Ok(("git", "::1", 22, "'/srv/fleet'")));
        check("org-1234@ssh.example.com:v3/a/b", Ok(("org-1234", "ssh.example.com", 22, "'v3/a/b'")));
    }

    #[test]
    fn what_is_refused() {
        check("ssh://git:s3cret@h/x", Err("put them into the secret"));
        check("git:s3cret@h:x", Err("put them into the secret"));
        check("https://git@h/x", Err("put them into the secret"));
        check("git@h", Err("user@host:path"));
        check("h:x", Err("user@host:path"));
        check("/srv/x", Err("user@host:path"));
        check("git@h:", Err("names no repository"));
        check("ssh://git@h/", Err("names no repository"));
        check("git@h:--upload-pack=x", Err("names no repository"));
        check("git@-oProxyCommand=x:y", Err("no host's name"));
        check("ssh://git@h%0a/x", Err("cannot be used"));
        check("ssh://git@h/x%0ay", Err("names no repository"));
        check("ssh://git@h/x y", Err("a space"));
        check("ssh://git@h/x?y", Err("a query"));
        check("git://h/x", Err("none of https"));
        check("ext::sh -c x", Err("a space"));
    }
}
