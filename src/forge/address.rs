//! Where a repository is at its host's API. In: the URL that Git uses, and the API's address when a person gave it. Out: that
//! address, and the repository's names there. Pure; must never let a login pass in the open when the repository's URL does not.

use reqwest::Url;

use super::Provider;
use super::error::Error;
use crate::reach;

/// Which of the APIs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Api {
    /// GitHub's REST, and GraphQL for auto-merge.
    Github,
    /// GitLab's v4.
    Gitlab,
    /// Gitea's and Forgejo's v1.
    Gitea,
    /// Bitbucket Cloud's 2.0.
    BitbucketCloud,
    /// Bitbucket Data Center's REST.
    BitbucketDataCenter,
    /// Azure DevOps's Git REST.
    Azure,
}

/// A repository at an API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repository {
    /// The API.
    pub api: Api,
    /// The API's address, without a slash at its end.
    pub base: Url,
    /// Who owns it: user, organization, workspace, project; with all groups for GitLab.
    pub owner: String,
    /// Its name.
    pub name: String,
}

/// What a URL for Git says.
struct Cloned {
    /// Whether anybody on the way can read along.
    is_plain: bool,
    is_ssh: bool,
    /// Host and, for HTTP, port.
    authority: String,
    /// Decoded, without empty parts.
    path: Vec<String>,
}

impl Repository {
    /// Reads the URL, which must be one of the provider's, and the address that was given.
    ///
    /// # Errors
    /// [`Error::Address`].
    pub fn find(provider: Provider, url: &str, base: Option<&str>) -> Result<Self, Error> {
        let cloned = Cloned::parse(url)?;
        let base = base.map(|base| cloned.checked(base)).transpose()?;
        match provider {
            Provider::Github => cloned.github(base),
            Provider::Gitlab => cloned.gitlab(base),
            Provider::Gitea => cloned.gitea(base),
            Provider::Bitbucket if cloned.authority == "bitbucket.org" => cloned.bitbucket_cloud(base),
            Provider::Bitbucket => cloned.bitbucket_data_center(base),
            Provider::Azure => cloned.azure(base),
        }
    }
}

impl Cloned {
    fn parse(text: &str) -> Result<Self, Error> {
        if text.chars().any(|c| c.is_control() || c.is_whitespace()) {
            return refuse("its url holds a space or a control character");
        }
        let unfit = "its url is neither https://, http://, ssh:// nor user@host:path";
        let (is_ssh, is_plain, host, path) = match text.contains("://") {
            true => {
                let Ok(url) = Url::parse(text) else { return refuse(unfit) };
                let (is_ssh, is_plain) = match url.scheme() {
                    "https" => (false, false),
                    "http" => (false, true),
                    "ssh" => (true, false),
                    _ => return refuse(unfit),
                };
                let port = url.port().filter(|_| !is_ssh).map(|port| format!(":{port}")).unwrap_or_default();
                let path = url.path().split('/').map(decoded).collect::<Result<Vec<_>, _>>()?;
                (is_ssh, is_plain, format!("{}{port}", url.host_str().unwrap_or_default()), path)
            }
            false => {
                let after_user = text.split_once('@').map(|(_, rest)| rest);
                let parts = after_user.and_then(|rest| match rest.find("]:") {
                    Some(end) => Some((&rest[..=end], &rest[end + 2..])),
                    None => rest.split_once(':'),
                });
                let Some((host, path)) = parts else { return refuse(unfit) };
                // Azure DevOps shows blanks as %20 in this form too.
                let path = path.split('/').map(decoded).collect::<Result<Vec<_>, _>>()?;
                (true, false, host.to_owned(), path)
            }
        };
        let path: Vec<String> = path.into_iter().filter(|part| !part.is_empty()).collect();
        let is_odd = |part: &String| part == "." || part == ".." || part.contains(|c: char| c == '/' || c.is_control());
        if host.is_empty() || path.iter().any(is_odd) {
            return refuse(unfit);
        }
        // The hosts' other doors for SSH.
        let authority = match host.to_ascii_lowercase().as_str() {
            "ssh.github.com" => "github.com".to_owned(),
            "altssh.gitlab.com" => "gitlab.com".to_owned(),
            "altssh.bitbucket.org" => "bitbucket.org".to_owned(),
            other => other.to_owned(),
        };
        Ok(Self { is_plain, is_ssh, authority, path })
    }

    /// The API's address as a person gave it.
    fn checked(&self, base: &str) -> Result<Url, Error> {
        let url = Url::parse(base.trim().trim_end_matches('/')).ok().filter(|url| {
            matches!(url.scheme(), "https" | "http")
                && url.username().is_empty()
                && url.password().is_none()
                && url.query().is_none()
                && url.fragment().is_none()
        });
        let Some(url) = url else {
            return refuse("the api's address is no url such as https://git.example.com/api/v4");
        };
        if url.scheme() == "http" && !self.is_plain {
            return refuse("the api's address is plain http and the repository's url is not, write it as https");
        }
        Ok(url)
    }

    /// The address of the host and what follows.
    fn at(&self, path: &str) -> Result<Url, Error> {
        let scheme = if self.is_plain { "http" } else { "https" };
        let url = Url::parse(&format!("{scheme}://{}{path}", self.authority));
        url.or_else(|_| refuse("its url names no host that could have an api"))
    }

    /// The parts of the path below the folder that the given API lies in, when the host serves more than this one program.
    fn below(&self, base: Option<&Url>, api: &str) -> &[String] {
        let folder = base.filter(|_| !self.is_ssh).and_then(|base| base.path().strip_suffix(api)).unwrap_or_default();
        let folder: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
        let is_below = self.path.len() > folder.len() && self.path.iter().zip(&folder).all(|(one, other)| one == other);
        if is_below { &self.path[folder.len()..] } else { &self.path }
    }

    fn github(&self, base: Option<Url>) -> Result<Repository, Error> {
        let [owner, name] = self.path.as_slice() else {
            return refuse("a url of github is like https://github.com/owner/repository");
        };
        let base = match (base, self.authority.as_str()) {
            (Some(base), _) => base,
            (None, "github.com" | "www.github.com") => parsed("https://api.github.com")?,
            (None, host) if host.ends_with(".ghe.com") => parsed(&format!("https://api.{host}"))?,
            (None, _) => self.at("/api/v3")?,
        };
        Ok(Repository { api: Api::Github, base, owner: owner.clone(), name: bare(name) })
    }

    fn gitlab(&self, base: Option<Url>) -> Result<Repository, Error> {
        let Some((name, groups @ [_, ..])) = self.below(base.as_ref(), "/api/v4").split_last() else {
            return refuse("a url of gitlab is like https://gitlab.com/group/project");
        };
        let base = base.map_or_else(|| self.at("/api/v4"), Ok)?;
        Ok(Repository { api: Api::Gitlab, base, owner: groups.join("/"), name: bare(name) })
    }

    fn gitea(&self, base: Option<Url>) -> Result<Repository, Error> {
        let [folder @ .., owner, name] = self.path.as_slice() else {
            return refuse("a url of gitea is like https://gitea.example.com/owner/repository");
        };
        if self.is_ssh && !folder.is_empty() {
            return refuse("a url of gitea is like ssh://git@gitea.example.com/owner/repository");
        }
        let folder: String = folder.iter().map(|part| format!("/{part}")).collect();
        let base = base.map_or_else(|| self.at(&format!("{folder}/api/v1")), Ok)?;
        Ok(Repository { api: Api::Gitea, base, owner: owner.clone(), name: bare(name) })
    }

    fn bitbucket_cloud(&self, base: Option<Url>) -> Result<Repository, Error> {
        let [workspace, name] = self.path.as_slice() else {
            return refuse("a url of bitbucket cloud is like https://bitbucket.org/workspace/repository");
        };
        let base = base.map_or_else(|| parsed("https://api.bitbucket.org/2.0"), Ok)?;
        Ok(Repository { api: Api::BitbucketCloud, base, owner: workspace.clone(), name: bare(name) })
    }

    fn bitbucket_data_center(&self, base: Option<Url>) -> Result<Repository, Error> {
        let (folder, project, name) = match self.path.as_slice() {
            [folder @ .., scm, project, name] if !self.is_ssh && scm == "scm" => (folder, project, name),
            [project, name] if self.is_ssh => (&[][..], project, name),
            _ => {
                return refuse(
                    "a url of bitbucket data center is like https://git.example.com/scm/project/repository.git or \
                     ssh://git@git.example.com:7999/project/repository.git",
                );
            }
        };
        let folder: String = folder.iter().map(|part| format!("/{part}")).collect();
        let base = base.map_or_else(|| self.at(&format!("{folder}/rest/api/latest")), Ok)?;
        Ok(Repository { api: Api::BitbucketDataCenter, base, owner: project.clone(), name: bare(name) })
    }

    fn azure(&self, base: Option<Url>) -> Result<Repository, Error> {
        let form = "a url of azure devops is like https://dev.azure.com/organization/project/_git/repository or \
                    git@ssh.dev.azure.com:v3/organization/project/repository";
        let (collection, project, name) = match self.path.as_slice() {
            [v3, organization, project, name] if self.is_ssh && v3 == "v3" => {
                let base = match self.authority.as_str() {
                    "ssh.dev.azure.com" => parsed(&format!("https://dev.azure.com/{organization}"))?,
                    "vs-ssh.visualstudio.com" => parsed(&format!("https://{organization}.visualstudio.com"))?,
                    _ => self.at(&format!("/{organization}"))?,
                };
                (base, project, name)
            }
            [folder @ .., git, name] if git == "_git" => {
                // A repository that is called as its project is shown without the project.
                let given = base.as_ref().map(|base| base.path().split('/').filter(|part| !part.is_empty()));
                let is_short = match given {
                    Some(given) => given.eq(folder.iter().map(String::as_str)),
                    None if self.authority == "dev.azure.com" => folder.len() == 1,
                    None if self.authority.ends_with(".visualstudio.com") => {
                        folder.iter().all(|part| part == "DefaultCollection")
                    }
                    None => false,
                };
                let (folder, project) = match folder.split_last() {
                    Some((project, rest)) if !is_short => (rest, project),
                    _ if is_short => (folder, name),
                    _ => return refuse(form),
                };
                let mut base = self.at("")?;
                if let Ok(mut segments) = base.path_segments_mut() {
                    segments.pop_if_empty().extend(folder);
                }
                (base, project, name)
            }
            _ => return refuse(form),
        };
        let base = base.unwrap_or(collection);
        Ok(Repository { api: Api::Azure, base, owner: project.clone(), name: name.clone() })
    }
}

fn parsed(address: &str) -> Result<Url, Error> {
    Url::parse(address).or_else(|_| refuse("its url names no host that could have an api"))
}

fn bare(name: &str) -> String {
    name.strip_suffix(".git").unwrap_or(name).to_owned()
}

fn refuse<T>(reason: &str) -> Result<T, Error> {
    Err(Error::Address { reason: reason.to_owned() })
}

fn decoded(text: &str) -> Result<String, Error> {
    reach::decoded(text).map_or_else(|| refuse("its url is not UTF-8"), Ok)
}

#[cfg(test)]
mod tests;
