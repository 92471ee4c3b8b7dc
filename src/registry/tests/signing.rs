//! How requests are signed, and to whom a secret never goes.

use std::sync::Arc;

use super::*;

fn bearer(realm: &str) -> Response {
    let challenge = format!(r#"Bearer realm="{realm}",service="reg",scope="repository:acme/app:pull""#);
    reply(
        401,
        &[("www-authenticate", &challenge)],
        r#"{"errors":[{"code":"UNAUTHORIZED","message":"authentication required"}]}"#,
    )
}

/// A registry and, below `/token`, its token server; `token` gives the n-th token's body, `good` says which header is.
async fn registry_with_tokens(
    token: impl Fn(&Asked) -> Response + Send + Sync + 'static,
    list: impl Fn(&Asked) -> Option<Response> + Send + Sync + 'static,
) -> Server {
    Server::start(move |asked| {
        if asked.target.starts_with("/token") {
            return token(asked);
        }
        list(asked).unwrap_or_else(|| bearer(&format!("http://{}/token", asked.header("host"))))
    })
    .await
}

fn signed_with<'a>(asked: &'a Asked, token: &str) -> Option<&'a str> {
    asked.authorization().filter(|given| *given == format!("Bearer {token}"))
}

/// The method, path and Authorization of each request, in short.
fn log(server: &Server) -> Vec<String> {
    let path = |target: &str| target.split('?').next().unwrap_or_default().to_owned();
    let line =
        |asked: Asked| format!("{} {} {}", asked.method, path(&asked.target), asked.authorization().unwrap_or("-"));
    server.asked().into_iter().map(line).collect()
}

const LIST: &str = "/v2/acme/app/tags/list";

#[test]
fn a_token_is_fetched_once_and_used_again() {
    run(async {
        let token = |_: &Asked| reply(200, &[], r#"{"token":"t1","expires_in":300}"#);
        let server = registry_with_tokens(token, |asked| signed_with(asked, "t1").map(|_| page(&["a"]))).await;
        let registry = registry();
        let access = access(&server, Some(Credential::password("u", "p")));
        registry.tags(&access, FRESH, LONG).await.unwrap();
        registry.tags(&access, FRESH, LONG).await.unwrap();
        let expected = [
            format!("GET {LIST} -"),
            "GET /token Basic dTpw".to_owned(),
            format!("GET {LIST} Bearer t1"),
            format!("GET {LIST} Bearer t1"),
        ];
        assert_eq!(log(&server), expected, "no ping; the warm scan is one request");
        assert_eq!(server.asked()[1].target, "/token?service=reg&scope=repository%3Aacme%2Fapp%3Apull");
        assert_eq!(registry.requests(), 4);
    });
}

#[test]
fn a_token_is_renewed_when_it_is_old_or_refused() {
    // Its life is over at once: every page fetches another one.
    run(async {
        let token =
            |asked: &Asked| reply(200, &[], format!(r#"{{"access_token":"t{}","expires_in":0}}"#, asked.number));
        let list = |asked: &Asked| {
            asked.authorization()?;
            Some(if asked.target.contains("?2") { page(&["b"]) } else { page_then(&["a"], Some("?2")) })
        };
        let server = registry_with_tokens(token, list).await;
        let tags = registry().tags(&access(&server, None), FRESH, LONG).await.unwrap();
        assert_eq!(names(&tags), ["a", "b"]);
        let expected = [
            format!("GET {LIST} -"),
            "GET /token -".to_owned(),
            format!("GET {LIST} Bearer t1"),
            "GET /token -".to_owned(),
            format!("GET {LIST} Bearer t3"),
        ];
        assert_eq!(log(&server), expected);
    });
    // The registry refuses it between two pages: renewed once, then it goes on from there.
    run(async {
        let token = |asked: &Asked| reply(200, &[], format!(r#"{{"token":"t{}","expires_in":300}}"#, asked.number));
        let list = |asked: &Asked| match (asked.target.contains("?2"), asked.authorization()) {
            (false, Some("Bearer t1")) => Some(page_then(&["a"], Some("?2"))),
            (true, Some("Bearer t4")) => Some(page(&["b"])),
            _ => None,
        };
        let server = registry_with_tokens(token, list).await;
        let tags = registry().tags(&access(&server, None), FRESH, LONG).await.unwrap();
        assert_eq!(names(&tags), ["a", "b"]);
        assert_eq!(server.asked().len(), 6);
    });
    // It refuses every token: an error after the second one, not a loop.
    run(async {
        let token = |_: &Asked| reply(200, &[], r#"{"token":"t"}"#);
        let server = registry_with_tokens(token, |_| None).await;
        let error = registry().tags(&access(&server, None), FRESH, LONG).await.unwrap_err();
        assert!(matches!(error, Error::Authentication { .. }), "{error}");
        assert_eq!(server.asked().len(), 3);
    });
}

#[test]
fn tags_and_images_may_want_different_scopes() {
    run(async {
        let server = Server::start(|asked| {
            let scope = if asked.target.contains("/tags/") { "metadata_read" } else { "pull" };
            match asked.authorization() {
                _ if asked.target.starts_with("/token") => {
                    let token = asked.target.rsplit("%3A").next().unwrap();
                    reply(200, &[], format!(r#"{{"access_token":"{token}","expires_in":300}}"#))
                }
                Some(token) if token == format!("Bearer {scope}") && scope == "pull" => {
                    let digest = crate::registry::manifest::sha256(b"{}");
                    reply(200, &[("docker-content-digest", &digest)], "{}")
                }
                Some(token) if token == format!("Bearer {scope}") => page(&["v1"]),
                _ => {
                    let realm = format!("http://{}/token", asked.header("host"));
                    let challenge = format!(r#"Bearer realm="{realm}",scope="repository:acme/app:{scope}""#);
                    reply(401, &[("www-authenticate", &challenge)], "")
                }
            }
        });
        let server = server.await;
        let (registry, access) = (registry(), access(&server, None));
        for requests in [6, 8, 10] {
            registry.tags(&access, FRESH, LONG).await.unwrap();
            registry.digest(&access, &"v1".parse().unwrap(), LONG).await.unwrap();
            assert_eq!(registry.requests(), requests, "both are learned");
        }
    });
}

#[test]
fn basic_is_sent_when_it_is_asked_for_and_remembered() {
    run(async {
        let script = |asked: &Asked| match asked.authorization() {
            Some("Basic dTpw") => page(&["a"]),
            _ => reply(401, &[("www-authenticate", r#"Basic realm="r""#)], ""),
        };
        let server = Server::start(script).await;
        let registry = registry();
        for (user, password, expected) in [("u", "p", 3), ("u", "wrong", 4)] {
            let access = access(&server, Some(Credential::password(user, password)));
            let before = registry.requests();
            let first = registry.tags(&access, FRESH, LONG).await;
            let second = registry.tags(&access, FRESH, LONG).await;
            assert_eq!(first.is_ok(), password == "p");
            assert_eq!(second.is_ok(), password == "p");
            assert_eq!(registry.requests() - before, expected);
        }
        let error = registry.tags(&access(&server, None), FRESH, LONG).await.unwrap_err().to_string();
        assert!(error.contains("there is no credential for it"), "{error}");
    });
}

#[test]
fn wrong_credentials_are_told_without_showing_them() {
    run(async {
        let token = |_: &Asked| {
            reply(401, &[], r#"{"errors":[{"code":"UNAUTHORIZED","message":"incorrect canary-password"}]}"#)
        };
        let server = registry_with_tokens(token, |_| None).await;
        let credential = Credential::password("canary-user", "canary-password");
        let access = access(&server, Some(credential));
        let error = registry().tags(&access, FRESH, LONG).await.unwrap_err();
        assert!(
            matches!(&error, Error::Authentication { reason, .. } if reason == "incorrect (hidden) (UNAUTHORIZED)")
        );
        let shown = format!("{error} {error:?} {access:?}");
        assert!(!shown.contains("canary"), "{shown}");
    });
}

#[test]
fn tokens_of_a_pull_secret_are_used_as_docker_does() {
    run(async {
        let token = |asked: &Asked| {
            assert_eq!((asked.method.as_str(), asked.target.as_str(), asked.authorization()), ("POST", "/token", None));
            let form = "service=reg&scope=repository%3Aacme%2Fapp%3Apull&grant_type=refresh_token&client_id=tagboat&refresh_token=id%2F1";
            assert_eq!(asked.body, form);
            reply(200, &[], r#"{"access_token":"t1"}"#)
        };
        let list = |asked: &Asked| signed_with(asked, "t1").or_else(|| signed_with(asked, "own")).map(|_| page(&["a"]));
        let server = registry_with_tokens(token, list).await;
        for credential in [Credential::identity("id/1"), Credential::registry("own")] {
            registry().tags(&access(&server, Some(credential)), FRESH, LONG).await.unwrap();
        }
    });
}

#[test]
fn a_registry_that_hides_what_is_private_is_asked_how() {
    run(async {
        let script = |asked: &Asked| match (&*asked.target, asked.authorization()) {
            (_, Some("Basic dTpw")) => page(&["a"]),
            ("/v2/", None) => reply(401, &[("www-authenticate", "Basic realm=r")], ""),
            _ => reply(404, &[], ""),
        };
        let server = Server::start(script).await;
        let credential = Some(Credential::password("u", "p"));
        assert!(registry().tags(&access(&server, credential), FRESH, LONG).await.is_ok());
        assert_eq!(server.asked().len(), 3);
        let error = registry().tags(&access(&server, None), FRESH, LONG).await.unwrap_err();
        assert!(matches!(error, Error::NotFound { .. }));
        assert_eq!(server.asked().len(), 4);
    });
}

#[test]
fn no_redirect_carries_a_secret_to_another_host() {
    run(async {
        let thief = Arc::new(Server::start(|_| page(&["stolen"])).await);
        let away = format!("http://{}{LIST}", thief.host);
        let script = move |asked: &Asked| match asked.authorization() {
            Some(_) => reply(307, &[("location", &away)], ""),
            None => reply(401, &[("www-authenticate", "Basic realm=r")], ""),
        };
        let server = Server::start(script).await;
        let error =
            registry().tags(&access(&server, Some(Credential::password("u", "p"))), FRESH, LONG).await.unwrap_err();
        assert!(error.to_string().contains(&format!("redirects to http://{},", thief.host)), "{error}");

        let away = format!("http://{}/token", thief.host);
        let server = registry_with_tokens(move |_| reply(302, &[("location", &away)], ""), |_| None).await;
        for credential in [Credential::password("u", "p"), Credential::identity("t")] {
            let error = registry().tags(&access(&server, Some(credential)), FRESH, LONG).await.unwrap_err();
            assert!(matches!(error, Error::Malformed { .. }), "{error}");
        }
        assert_eq!(thief.asked().len(), 0);
    });
    run(async {
        let script = |asked: &Asked| match &*asked.target {
            "/moved" => page(&["a"]),
            _ => reply(307, &[("location", "/moved")], ""),
        };
        let server = Server::start(script).await;
        assert!(registry().tags(&access(&server, None), FRESH, LONG).await.is_ok(), "the same origin is followed");
        let server = Server::start(|_| reply(307, &[("location", "/round")], "")).await;
        assert!(registry().tags(&access(&server, None), FRESH, LONG).await.is_err());
        assert_eq!(server.asked().len(), 6);
    });
}

#[test]
fn token_answers_that_are_none_are_errors() {
    let cases = [
        (200, "", "no JSON with a token"),
        (200, "{}", "holds no token"),
        (200, r#"{"token":""}"#, "holds no token"),
        (200, r#"{"token":"a\nb"}"#, "no text for a header"),
        (500, "", "answered 500"),
        (429, "", "limits the rate"),
    ];
    for (status, body, expected) in cases {
        run(async {
            let server = registry_with_tokens(move |_| reply(status, &[], body), |_| None).await;
            let error = registry().tags(&access(&server, None), FRESH, LONG).await.unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        });
    }
}

#[test]
fn a_realm_must_fit_its_registry() {
    use crate::registry::auth::realm;
    let fits = |realm_text: &str, registry: &str| realm(realm_text, &registry.parse().unwrap()).is_ok();
    for (text, registry, expected) in [
        ("https://auth.docker.io/token", "https://registry-1.docker.io/v2/", true),
        ("https://gitlab.example.com/jwt/auth", "https://registry.example.com/v2/", true),
        ("http://auth.example.com/token", "https://registry.example.com/v2/", false),
        ("http://auth.example.com/token", "http://registry.example.com/v2/", true),
        ("https://u:p@auth.example.com/token", "https://registry.example.com/v2/", false),
        ("file:///etc/passwd", "http://registry.example.com/v2/", false),
        ("/token", "https://registry.example.com/v2/", false),
        ("http://169.254.169.254/latest", "http://registry.example.com/v2/", false),
        ("http://[::ffff:169.254.169.254]/latest", "http://registry.example.com/v2/", false),
        ("http://2852039166/latest", "http://registry.example.com/v2/", false),
        ("https://localhost/token", "https://registry.example.com/v2/", false),
        ("http://127.0.0.1:5001/token", "http://127.0.0.1:5000/v2/", true),
        ("http://[fe80::1]/token", "http://registry.example.com/v2/", false),
        ("http://[fd00:ec2::254]/latest", "http://registry.example.com/v2/", false),
        ("http://[fd00:1::1]/token", "http://registry.example.com/v2/", true),
    ] {
        assert_eq!(fits(text, registry), expected, "{text} for {registry}");
    }
}
