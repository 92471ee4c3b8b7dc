//! The URL of a repository → links for people, where its host is one whose pages we know by its name. Nothing else is linked:
//! a wrong link in a commit stays there for ever.

/// A repository's pages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pages {
    host: Host,
    /// `https://github.com/acme/fleet`
    base: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Host {
    GitHub,
    GitLab,
    /// Forgejo too.
    Gitea,
    Bitbucket,
}

impl Pages {
    /// Of a clone URL: `https://`, `ssh://`, or `git@host:path`. A host of one's own counts when its name starts with the
    /// product's, as in `gitlab.example.com`.
    pub fn of(url: &str) -> Option<Self> {
        let (scheme, rest) = match url.split_once("://") {
            Some((scheme @ ("https" | "http" | "ssh"), rest)) => (scheme, rest.to_owned()),
            Some(_) => return None,
            None => ("ssh", url.replacen(':', "/", 1)),
        };
        let (authority, path) = rest.split_once('/')?;
        let authority = authority.rsplit('@').next()?;
        // The port of SSH is not that of the pages.
        let authority = if scheme == "ssh" { authority.split(':').next()? } else { authority };
        let name = authority.split(':').next()?.to_ascii_lowercase();
        let host = match name.as_str() {
            "github.com" => Host::GitHub,
            "gitlab.com" => Host::GitLab,
            "bitbucket.org" => Host::Bitbucket,
            "codeberg.org" => Host::Gitea,
            name => match name.split_once('.')?.0 {
                "github" => Host::GitHub,
                "gitlab" => Host::GitLab,
                "gitea" | "forgejo" => Host::Gitea,
                _ => return None,
            },
        };
        let path = path.trim_matches('/');
        let path = path.strip_suffix(".git").unwrap_or(path);
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "-._~/".contains(c);
        if !path.contains('/') || !path.chars().all(is_plain) || !authority.chars().all(|c| is_plain(c) || c == ':') {
            return None;
        }
        let scheme = if scheme == "http" { "http" } else { "https" };
        Some(Self { host, base: format!("{scheme}://{}/{path}", authority.to_ascii_lowercase()) })
    }

    /// The repository.
    pub fn home(&self) -> &str {
        &self.base
    }

    /// What the branch has that the commit `from` has not.
    pub fn compare(&self, from: &str, branch: &str) -> String {
        let (base, branch) = (&self.base, encoded(branch));
        match self.host {
            Host::GitHub | Host::Gitea => format!("{base}/compare/{from}...{branch}"),
            Host::GitLab => format!("{base}/-/compare/{from}...{branch}"),
            Host::Bitbucket => format!("{base}/branches/compare/{branch}%0D{from}"),
        }
    }

    /// A line of a file on a branch.
    pub fn line(&self, branch: &str, file: &str, line: u32) -> String {
        let (base, branch, file) = (&self.base, encoded(branch), encoded(file));
        match self.host {
            Host::GitHub => format!("{base}/blob/{branch}/{file}#L{line}"),
            Host::GitLab => format!("{base}/-/blob/{branch}/{file}#L{line}"),
            Host::Gitea => format!("{base}/src/branch/{branch}/{file}#L{line}"),
            Host::Bitbucket => format!("{base}/src/{branch}/{file}#lines-{line}"),
        }
    }
}

/// Percent-encoded for a URL's path, slashes kept (RFC 3986, 2.3).
fn encoded(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(url: &str, compare: Option<&str>, line: &str) {
        let pages = Pages::of(url);
        assert_eq!(pages.as_ref().map(|pages| pages.compare("0a1b", "bot/x")).as_deref(), compare, "{url}");
        if let Some(pages) = pages {
            assert_eq!(pages.line("bot/x", "apps/a b#.yaml", 7), line, "{url}");
        }
    }

    #[test]
    fn links_of_known_hosts() {
        let github = Some("https://github.com/acme/fleet/compare/0a1b...bot/x");
        let line = "https://github.com/acme/fleet/blob/bot/x/apps/a%20b%23.yaml#L7";
        check("https://github.com/acme/fleet", github, line);
        check("https://GitHub.com/acme/fleet.git/", github, line);
        check("git@github.com:acme/fleet.git", github, line);
        check("ssh://git@github.com:22/acme/fleet.git", github, line);
        check("https://user:secret@github.com/acme/fleet", github, line);
        check(
            "https://gitlab.example.com:8443/group/sub/fleet.git",
            Some("https://gitlab.example.com:8443/group/sub/fleet/-/compare/0a1b...bot/x"),
            "https://gitlab.example.com:8443/group/sub/fleet/-/blob/bot/x/apps/a%20b%23.yaml#L7",
        );
        check(
            "http://gitea.local/acme/fleet",
            Some("http://gitea.local/acme/fleet/compare/0a1b...bot/x"),
            "http://gitea.local/acme/fleet/src/branch/bot/x/apps/a%20b%23.yaml#L7",
        );
        check(
            "https://codeberg.org/acme/fleet.git",
            Some("https://codeberg.org/acme/fleet/compare/0a1b...bot/x"),
            "https://codeberg.org/acme/fleet/src/branch/bot/x/apps/a%20b%23.yaml#L7",
        );
        check(
            "git@bitbucket.org:acme/fleet.git",
            Some("https://bitbucket.org/acme/fleet/branches/compare/bot/x%0D0a1b"),
            "https://bitbucket.org/acme/fleet/src/bot/x/apps/a%20b%23.yaml#lines-7",
        );
    }

    #[test]
    fn whoever_is_not_known_is_not_linked() {
        for url in [
            "https://git.example.com/acme/fleet",
            "https://github.com.example.com/acme",
            "https://github.com/acme",
            "https://github.com",
            "https://notgithub.com/acme/fleet",
            "file:///srv/github.com/acme/fleet",
            "javascript://github.com/acme/fleet",
            "https://github.com/acme/fl\"eet",
            "https://github.com/acme/fleet?x",
            "",
            "fleet",
        ] {
            check(url, None, "");
        }
    }
}
