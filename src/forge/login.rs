//! How to prove who we are to an API. In: what a Secret holds. Out: the value of a header. `Debug` prints no secret.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::address::Api;

/// How to prove who we are to the API. `Debug` prints no secret.
#[derive(Clone, Default, PartialEq, Eq)]
pub enum Login {
    /// Anonymous.
    #[default]
    None,
    /// A token of the host: personal, of a project, of an app's installation.
    Token(String),
    /// As for Git over HTTP; where the API takes no passwords, the password is used as a token.
    Basic {
        /// The user's name.
        username: String,
        /// The password or token.
        password: String,
    },
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if *self == Self::None { "Login::None" } else { "Login(hidden)" })
    }
}

/// The value of `Authorization` as this API wants it.
pub(super) fn authorization(api: Api, login: &Login) -> Option<String> {
    let basic = |username: &str, password: &str| format!("Basic {}", STANDARD.encode(format!("{username}:{password}")));
    Some(match (api, login) {
        (_, Login::None) => return None,
        // These APIs take no passwords; what stands in its place for Git is a token.
        (Api::Github | Api::Gitlab, Login::Token(token) | Login::Basic { password: token, .. }) => {
            format!("Bearer {token}")
        }
        (Api::Gitea, Login::Token(token)) => format!("token {token}"),
        // A token of Entra ID is a JWT; a personal one is a password without a user.
        (Api::Azure, Login::Token(token)) if !is_jwt(token) => basic("", token),
        // The user's name that goes with an access token for Git.
        (Api::BitbucketCloud, Login::Basic { username, password }) if username == "x-token-auth" => {
            format!("Bearer {password}")
        }
        (_, Login::Token(token)) => format!("Bearer {token}"),
        (_, Login::Basic { username, password }) => basic(username, password),
    })
}

fn is_jwt(token: &str) -> bool {
    token.starts_with("ey") && token.split('.').count() == 3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(api: Api, login: Login, expected: Option<&str>) {
        assert_eq!(authorization(api, &login).as_deref(), expected);
        assert!(!format!("{login:?}").contains("s3cret"));
    }

    #[test]
    fn each_host_in_its_own_way() {
        let token = || Login::Token("s3cret".to_owned());
        let basic = |user: &str| Login::Basic { username: user.to_owned(), password: "s3cret".to_owned() };
        check(Api::Github, Login::None, None);
        check(Api::Github, token(), Some("Bearer s3cret"));
        check(Api::Github, basic("ann"), Some("Bearer s3cret"));
        check(Api::Gitlab, token(), Some("Bearer s3cret"));
        check(Api::Gitlab, basic("oauth2"), Some("Bearer s3cret"));
        check(Api::Gitea, token(), Some("token s3cret"));
        check(Api::Gitea, basic("ann"), Some("Basic YW5uOnMzY3JldA=="));
        check(Api::BitbucketCloud, token(), Some("Bearer s3cret"));
        check(Api::BitbucketCloud, basic("ann"), Some("Basic YW5uOnMzY3JldA=="));
        check(Api::BitbucketCloud, basic("x-token-auth"), Some("Bearer s3cret"));
        check(Api::BitbucketDataCenter, token(), Some("Bearer s3cret"));
        check(Api::BitbucketDataCenter, basic("ann"), Some("Basic YW5uOnMzY3JldA=="));
        check(Api::Azure, token(), Some("Basic OnMzY3JldA=="));
        check(Api::Azure, basic("ann"), Some("Basic YW5uOnMzY3JldA=="));
        check(Api::Azure, Login::Token("eyJh.eyJi.c".to_owned()), Some("Bearer eyJh.eyJi.c"));
    }
}
