//! The peculiarities of hosted registries, each as a table: what it answers, what we ask in turn. The server plays the proxy
//! on the way to them, so that names and other hosts are the real ones.

use super::*;

/// What a registry answers to a question, in the order of the table: method and address as they must be, how it must be
/// signed, and the answer.
type Line = (&'static str, Option<&'static str>, Answer);

enum Answer {
    /// 401 with this challenge.
    Challenge(&'static str),
    /// A status and a body.
    Body(u16, &'static str),
    /// A page and its Link.
    Page(&'static str, &'static str),
}

use Answer::{Body as Says, Challenge, Page};

/// Lists an image's tags; the conversation must be exactly this one.
#[track_caller]
fn check(image: &str, credential: Option<Credential>, lines: Vec<Line>, expected: &[&str]) {
    run(async {
        let count = lines.len();
        let server = Server::start(move |asked| {
            let Some((address, signed, answer)) = lines.get(asked.number) else { return reply(500, &[], "too many") };
            let found = asked.line();
            if found != *address || asked.authorization() != *signed {
                return reply(500, &[], format!("{found} {:?}, expected {address} {signed:?}", asked.authorization()));
            }
            match answer {
                Challenge(text) => reply(401, &[("www-authenticate", text)], ""),
                Says(status, body) => reply(*status, &[("content-type", "application/json")], *body),
                Page(body, link) => reply(200, &[("content-type", "application/json"), ("link", link)], *body),
            }
        });
        let server = server.await;
        let proxy = Some(Proxy::new(&format!("http://{}", server.host), Some("pu"), Some("pp")).unwrap());
        let access = Access { insecure: true, credential, proxy, ..Access::new(image.parse().unwrap()) };
        let registry = registry();
        let found = registry.tags(&access, FRESH, LONG).await;
        let asked = server.asked();
        assert_eq!(names(&found.unwrap_or_else(|error| panic!("{error}\n{asked:#?}"))), expected, "{image}");
        assert_eq!(asked.len(), count);
        for asked in asked {
            assert_eq!(asked.header("proxy-authorization"), "Basic cHU6cHA=");
        }
    });
}

const TOKEN: &str = r#"{"token":"t"}"#;
const T: Option<&str> = Some("Bearer t");
const PASSWORD: Option<&str> = Some("Basic dTpw");

fn password() -> Option<Credential> {
    Some(Credential::password("u", "p"))
}

#[test]
fn docker_hub_has_short_names_and_two_hosts_more() {
    let list = "GET http://registry-1.docker.io/v2/library/nginx/tags/list?n=1000";
    let challenge = r#"Bearer realm="http://auth.docker.io/token",service="registry.docker.io",scope="repository:library/nginx:pull""#;
    let token = "GET http://auth.docker.io/token?service=registry.docker.io&scope=repository%3Alibrary%2Fnginx%3Apull";
    let page = r#"{"name":"library/nginx","tags":["1.0"]}"#;
    for (image, credential, signed) in [("nginx", None, None), ("docker.io/library/nginx", password(), PASSWORD)] {
        let lines =
            vec![(list, None, Challenge(challenge)), (token, signed, Says(200, TOKEN)), (list, T, Says(200, page))];
        check(image, credential, lines, &["1.0"]);
    }
}

#[test]
fn ghcr_wants_a_token_even_of_nobody_and_links_relatively() {
    let list = "GET http://ghcr.io/v2/acme/app/tags/list?n=1000";
    let challenge = r#"Bearer realm="http://ghcr.io/token",service="ghcr.io",scope="repository:acme/app:pull""#;
    let token = "GET http://ghcr.io/token?service=ghcr.io&scope=repository%3Aacme%2Fapp%3Apull";
    let next = "GET http://ghcr.io/v2/acme/app/tags/list?last=a&n=1000";
    let lines = vec![
        (list, None, Challenge(challenge)),
        (token, None, Says(200, TOKEN)),
        (list, T, Page(r#"{"name":"acme/app","tags":["a"]}"#, r#"</v2/acme/app/tags/list?last=a&n=1000>; rel="next""#)),
        (next, T, Says(200, r#"{"name":"acme/app","tags":["b"]}"#)),
    ];
    check("ghcr.io/acme/app", None, lines, &["a", "b"]);
}

#[test]
fn ecr_takes_basic_and_gives_opaque_cursors() {
    const HOST: &str = "123456789012.dkr.ecr.eu-west-1.amazonaws.com";
    let list = "GET http://123456789012.dkr.ecr.eu-west-1.amazonaws.com/v2/app/tags/list?n=1000";
    let next = "GET http://123456789012.dkr.ecr.eu-west-1.amazonaws.com/v2/app/tags/list?last=q%2FE%3D%3D+x&n=1000";
    let challenge =
        r#"Basic realm="https://123456789012.dkr.ecr.eu-west-1.amazonaws.com/",service="ecr.amazonaws.com""#;
    let link = r#"<http://123456789012.dkr.ecr.eu-west-1.amazonaws.com/v2/app/tags/list?last=q%2FE%3D%3D+x&n=1000>; rel="next""#;
    let signed = Some("Basic QVdTOnB3");
    let lines = vec![
        (list, None, Challenge(challenge)),
        (list, signed, Page(r#"{"name":"app","tags":["b"]}"#, link)),
        (next, signed, Says(200, r#"{"name":"app","tags":["a"]}"#)),
    ];
    check(&format!("{HOST}/app"), Some(Credential::password("AWS", "pw")), lines, &["a", "b"]);
}

#[test]
fn acr_trades_a_refresh_token_and_orders_its_pages() {
    let list = "GET http://acme.azurecr.io/v2/app/tags/list?n=1000";
    let next = "GET http://acme.azurecr.io/v2/app/tags/list?last=a&n=1000&orderby=";
    let challenge = r#"Bearer realm="http://acme.azurecr.io/oauth2/token",service="acme.azurecr.io",scope="repository:app:metadata_read",error="invalid_token""#;
    let lines = vec![
        (list, None, Challenge(challenge)),
        ("POST http://acme.azurecr.io/oauth2/token", None, Says(200, r#"{"access_token":"t"}"#)),
        (list, T, Page(r#"{"name":"app","tags":["a"]}"#, r#"</v2/app/tags/list?last=a&n=1000&orderby=>; rel="next""#)),
        (next, T, Says(200, r#"{"name":"app","tags":["b"]}"#)),
    ];
    check("acme.azurecr.io/app", Some(Credential::identity("refresh")), lines, &["a", "b"]);
}

#[test]
fn artifact_registry_says_more_than_it_is_asked() {
    let list = "GET http://europe-docker.pkg.dev/v2/p/r/app/tags/list?n=1000";
    let challenge = r#"Bearer realm="http://europe-docker.pkg.dev/v2/token",service="europe-docker.pkg.dev",scope="repository:p/r/app:pull""#;
    let token =
        "GET http://europe-docker.pkg.dev/v2/token?service=europe-docker.pkg.dev&scope=repository%3Ap%2Fr%2Fapp%3Apull";
    let body = r#"{"child":[],"manifest":{"sha256:00":{"imageSizeBytes":"7","tag":["x"],"timeCreatedMs":"1"}},"name":"p/r/app","tags":["a"]}"#;
    let token = (token, PASSWORD, Says(200, r#"{"expires_in":3600,"token":"t","issued_at":"2026-11-24T12:00:00Z"}"#));
    let lines = vec![(list, None, Challenge(challenge)), token, (list, T, Says(200, body))];
    check("europe-docker.pkg.dev/p/r/app", password(), lines, &["a"]);
}

#[test]
fn quay_gives_no_more_than_a_hundred_at_once() {
    let refusal = r#"{"errors":[{"code":"TOO_MANY_TAGS_REQUESTED","message":"at most 100"}]}"#;
    let lines = vec![
        ("GET http://quay.io/v2/acme/app/tags/list?n=1000", None, Says(400, refusal)),
        (
            "GET http://quay.io/v2/acme/app/tags/list?n=100",
            None,
            Page(r#"{"name":"acme/app","tags":["a"]}"#, r#"</v2/acme/app/tags/list?n=100&last=a>; rel="next""#),
        ),
        (
            "GET http://quay.io/v2/acme/app/tags/list?n=100&last=a",
            None,
            Says(200, r#"{"name":"acme/app","tags":["b"]}"#),
        ),
    ];
    check("quay.io/acme/app", None, lines, &["a", "b"]);
}

#[test]
fn harbor_has_its_token_server_at_home() {
    let list = "GET http://harbor.example.com/v2/proj/team/app/tags/list?n=1000";
    let next = "GET http://harbor.example.com/v2/proj/team/app/tags/list?last=a&n=1000";
    let challenge = r#"Bearer realm="http://harbor.example.com/service/token",service="harbor-registry",scope="repository:proj/team/app:pull""#;
    let token = "GET http://harbor.example.com/service/token?service=harbor-registry&scope=repository%3Aproj%2Fteam%2Fapp%3Apull";
    let link = r#"</v2/proj/team/app/tags/list?last=a&n=1000>; rel="next""#;
    let lines = vec![
        (list, None, Challenge(challenge)),
        (token, PASSWORD, Says(200, r#"{"token":"t","access_token":"","expires_in":1800}"#)),
        (list, T, Page(r#"{"name":"proj/team/app","tags":["a"]}"#, link)),
        (next, T, Says(200, r#"{"name":"proj/team/app","tags":["b"]}"#)),
    ];
    check("harbor.example.com/proj/team/app", password(), lines, &["a", "b"]);
}

#[test]
fn artifactory_leaves_out_its_own_part_of_the_name() {
    let list = "GET http://acme.jfrog.io/v2/docker-local/team/app/tags/list?n=1000";
    let challenge = r#"Basic realm="Artifactory Realm""#;
    let lines =
        vec![(list, None, Challenge(challenge)), (list, PASSWORD, Says(200, r#"{"name":"team/app","tags":["a"]}"#))];
    check("acme.jfrog.io/docker-local/team/app", password(), lines, &["a"]);
}

#[test]
fn a_token_is_as_old_as_its_server_says() {
    // Each list takes a new token only when the one before is over by the server's own clock.
    for (date, issued, requests) in [
        ("Tue, 24 Nov 2026 12:00:01 GMT", "2026-11-24T12:00:00Z", 4),
        ("Tue, 24 Nov 2026 13:00:00 GMT", "2026-11-24T12:00:00Z", 5),
        ("Tue, 24 Nov 2026 13:00:00 GMT", "0001-01-01T00:00:00Z", 4),
    ] {
        run(async {
            let server = Server::start(move |asked| match asked.authorization() {
                _ if asked.target.contains("/token") => {
                    let body = format!(r#"{{"token":"t","expires_in":300,"issued_at":"{issued}"}}"#);
                    reply(200, &[("date", date)], body)
                }
                None => reply(401, &[("www-authenticate", r#"Bearer realm="http://r.example.com/token""#)], ""),
                Some(_) => page(&["a"]),
            });
            let server = server.await;
            let proxy = Some(Proxy::new(&format!("http://{}", server.host), None, None).unwrap());
            let access = Access { insecure: true, proxy, ..Access::new("r.example.com/acme/app".parse().unwrap()) };
            let registry = registry();
            registry.tags(&access, FRESH, LONG).await.unwrap();
            registry.tags(&access, FRESH, LONG).await.unwrap();
            assert_eq!(server.asked().len(), requests, "{issued} at {date}");
        });
    }
}
