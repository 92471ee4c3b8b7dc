//! From URLs for Git to addresses of APIs.

use super::*;

#[track_caller]
fn check(provider: Provider, url: &str, base: Option<&str>, expected: Result<(&str, &str, &str), &str>) {
    match (Repository::find(provider, url, base), expected) {
        (Ok(found), Ok(expected)) => {
            let base = found.base.as_str().trim_end_matches('/');
            assert_eq!((base, &*found.owner, &*found.name), expected, "{url}");
        }
        (Err(error), Err(words)) => assert!(error.to_string().contains(words), "{url}: {error}"),
        (found, _) => panic!("{url}: {found:?}"),
    }
}

#[test]
fn github() {
    let check = |url: &str, expected: &str| check(Provider::Github, url, None, Ok((expected, "acme", "fleet")));
    check("https://github.com/acme/fleet", "https://api.github.com");
    check("https://github.com/acme/fleet.git/", "https://api.github.com");
    check("git@github.com:acme/fleet.git", "https://api.github.com");
    check("ssh://git@ssh.github.com:443/acme/fleet.git", "https://api.github.com");
    check("https://octo.ghe.com/acme/fleet", "https://api.octo.ghe.com");
    check("https://git.example.com:8443/acme/fleet", "https://git.example.com:8443/api/v3");
    check("ssh://git@git.example.com:2222/acme/fleet", "https://git.example.com/api/v3");
    check("http://git.example.com/acme/fleet", "http://git.example.com/api/v3");
}

#[test]
fn gitlab() {
    let check = |url: &str, base: Option<&str>, expected| check(Provider::Gitlab, url, base, Ok(expected));
    check("https://gitlab.com/acme/fleet.git", None, ("https://gitlab.com/api/v4", "acme", "fleet"));
    check("git@gitlab.com:acme/team/sub/fleet.git", None, ("https://gitlab.com/api/v4", "acme/team/sub", "fleet"));
    check("ssh://git@altssh.gitlab.com:443/acme/fleet", None, ("https://gitlab.com/api/v4", "acme", "fleet"));
    let below = "https://example.com/gitlab/api/v4";
    check("https://example.com/gitlab/acme/fleet", Some(below), (below, "acme", "fleet"));
    check("git@example.com:acme/fleet", Some(below), (below, "acme", "fleet"));
}

#[test]
fn gitea() {
    let check = |url: &str, expected| check(Provider::Gitea, url, None, Ok(expected));
    check("https://codeberg.org/acme/fleet.git", ("https://codeberg.org/api/v1", "acme", "fleet"));
    check("https://example.com/git/acme/fleet.git", ("https://example.com/git/api/v1", "acme", "fleet"));
    check("git@git.example.com:acme/fleet.git", ("https://git.example.com/api/v1", "acme", "fleet"));
    check("git@[::1]:acme/fleet.git", ("https://[::1]/api/v1", "acme", "fleet"));
    check("https://git.example.com/a%20b/fleet.git", ("https://git.example.com/api/v1", "a b", "fleet"));
}

#[test]
fn bitbucket() {
    let check = |url: &str, base: Option<&str>, expected| check(Provider::Bitbucket, url, base, Ok(expected));
    let cloud = ("https://api.bitbucket.org/2.0", "acme", "fleet");
    check("https://bitbucket.org/acme/fleet.git", None, cloud);
    check("git@bitbucket.org:acme/fleet.git", None, cloud);
    check("ssh://git@altssh.bitbucket.org:443/acme/fleet.git", None, cloud);
    let own = ("https://git.example.com/rest/api/latest", "SHOP", "fleet");
    check("https://git.example.com/scm/SHOP/fleet.git", None, own);
    check("ssh://git@git.example.com:7999/SHOP/fleet.git", None, own);
    check(
        "https://git.example.com/scm/~ann/fleet.git",
        None,
        ("https://git.example.com/rest/api/latest", "~ann", "fleet"),
    );
    let below = ("https://example.com/bitbucket/rest/api/latest", "SHOP", "fleet");
    check("https://example.com/bitbucket/scm/SHOP/fleet.git", None, below);
    let old = "https://git.example.com:7990/rest/api/1.0";
    check("ssh://git@git.example.com:7999/SHOP/fleet.git", Some(old), (old, "SHOP", "fleet"));
}

#[test]
fn azure() {
    let check = |url: &str, base: Option<&str>, expected| check(Provider::Azure, url, base, Ok(expected));
    let own = ("https://dev.azure.com/acme", "Web Shop", "fleet");
    check("https://dev.azure.com/acme/Web%20Shop/_git/fleet", None, own);
    check("git@ssh.dev.azure.com:v3/acme/Web%20Shop/fleet", None, own);
    check("ssh://git@ssh.dev.azure.com/v3/acme/Web%20Shop/fleet", None, own);
    check("https://dev.azure.com/acme/_git/fleet", None, ("https://dev.azure.com/acme", "fleet", "fleet"));
    check("https://acme.visualstudio.com/Shop/_git/a.git", None, ("https://acme.visualstudio.com", "Shop", "a.git"));
    let collection = "https://acme.visualstudio.com/DefaultCollection";
    check("https://acme.visualstudio.com/DefaultCollection/Shop/_git/fleet", None, (collection, "Shop", "fleet"));
    check("https://acme.visualstudio.com/DefaultCollection/_git/fleet", None, (collection, "fleet", "fleet"));
    check("https://acme.visualstudio.com/_git/fleet", None, ("https://acme.visualstudio.com", "fleet", "fleet"));
    check("acme@vs-ssh.visualstudio.com:v3/acme/Shop/fleet", None, ("https://acme.visualstudio.com", "Shop", "fleet"));
    let server = "https://tfs.example.com/tfs/Main";
    check("https://tfs.example.com/tfs/Main/Shop/_git/fleet", None, (server, "Shop", "fleet"));
    check("https://tfs.example.com/tfs/Main/_git/fleet", Some(server), (server, "fleet", "fleet"));
}

#[test]
fn what_is_refused() {
    let check = |provider, url: &str, words: &str| check(provider, url, None, Err(words));
    check(Provider::Github, "https://github.com/acme", "https://github.com/owner/repository");
    check(Provider::Github, "https://github.com/acme/team/fleet", "https://github.com/owner/repository");
    check(Provider::Gitlab, "https://gitlab.com/fleet", "https://gitlab.com/group/project");
    check(Provider::Gitea, "git@git.example.com:a/acme/fleet", "ssh://");
    check(Provider::Bitbucket, "https://bitbucket.org/acme", "https://bitbucket.org/workspace");
    check(Provider::Bitbucket, "https://git.example.com/SHOP/fleet", "/scm/project/repository.git");
    check(Provider::Azure, "https://dev.azure.com/acme/Shop/fleet", "_git/repository");
    check(Provider::Azure, "https://tfs.example.com/_git/fleet", "_git/repository");
    check(Provider::Gitea, "file:///srv/fleet", "neither https://");
    check(Provider::Gitea, "/srv/fleet", "neither https://");
    check(Provider::Gitea, "https://git.example.com/acme/..%2Ffleet", "neither https://");
    check(Provider::Gitea, "https://git.example.com/a/%2e%2e", "https://gitea.example.com/owner/repository");
    check(Provider::Gitea, "git@git.example.com:acme/..", "neither https://");
    check(Provider::Gitea, "https://git.example.com/acme/fl%0aeet", "neither https://");
    check(Provider::Gitea, "https://git.example.com/acme/ fleet", "a space");
}

#[test]
fn an_address_that_is_given() {
    let check = |url: &str, base: &str, expected| check(Provider::Gitea, url, Some(base), expected);
    let found = ("https://api.example.com/v1", "acme", "fleet");
    check("https://git.example.com/acme/fleet", "https://api.example.com/v1/", Ok(found));
    check("http://git.example.com/acme/fleet", "http://h/v1", Ok(("http://h/v1", "acme", "fleet")));
    check("https://git.example.com/acme/fleet", "http://git.example.com/api/v1", Err("write it as https"));
    check("git@git.example.com:acme/fleet", "http://git.example.com/api/v1", Err("write it as https"));
    check("https://git.example.com/acme/fleet", "https://ann:s3cret@git.example.com/", Err("no url such as"));
    check("https://git.example.com/acme/fleet", "git.example.com/api", Err("no url such as"));
    check("https://git.example.com/acme/fleet", "https://h/api?x=1", Err("no url such as"));
}

proptest::proptest! {
    #[test]
    fn no_url_makes_it_leave_the_host(path in "[a-z%2ef./_~@:-]{0,40}") {
        for provider in [Provider::Github, Provider::Gitlab, Provider::Gitea, Provider::Bitbucket, Provider::Azure] {
            if let Ok(found) = Repository::find(provider, &format!("https://git.example.com/{path}"), None) {
                proptest::prop_assert_eq!(found.base.host_str(), Some("git.example.com"));
                proptest::prop_assert!(found.base.scheme() == "https" && !found.name.contains('/'));
            }
        }
    }
}
