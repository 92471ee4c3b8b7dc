//! Azure: Entra ID, the registry's exchange, the node's identity service.

use base64::Engine as _;

use super::*;

const CLIENT: &str = "11111111-2222-3333-4444-555555555555";
const TENANT: &str = "99999999-8888-7777-6666-000000000000";
const AUDIENCE: &str = "api://AzureADTokenExchange";
const ENTRA: &str = "entra-access-token";

fn scanner() -> Subject {
    account(&[("azure.workload.identity/client-id", CLIENT), ("azure.workload.identity/tenant-id", TENANT)])
}

/// A registry's refresh token that ends in so many seconds.
fn refresh_token(seconds: i64) -> String {
    let ends = super::super::local::now().wall.timestamp() + seconds;
    let claims = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(format!(r#"{{"exp":{ends}}}"#));
    format!("e30.{claims}.c2ln")
}

fn entra() -> Given {
    json(&serde_json::json!({"token_type": "Bearer", "expires_in": 3599, "access_token": ENTRA}))
}

/// Entra ID and the registry in one.
async fn services(script: impl Fn(&Asked) -> Option<Given> + Send + Sync + 'static) -> (Server, Cloud) {
    let refresh = json(&serde_json::json!({"refresh_token": refresh_token(10_800)}));
    let server = stand_in(move |asked| {
        script(asked).unwrap_or_else(|| match asked.target.as_str() {
            "/oauth2/exchange" => refresh.clone(),
            target if target.ends_with("/oauth2/v2.0/token") => entra(),
            _ => plain(404, ""),
        })
    });
    let server = server.await;
    let authority = format!("{}/", server.url());
    let cloud = cloud(&[("AZURE_AUTHORITY_HOST", &authority), ("TAGBOAT_ACR_ENDPOINT", &server.url())]);
    (server, cloud)
}

fn fields(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

#[test]
fn a_serviceaccount_gets_the_registrys_refresh_token() {
    run(async {
        let (server, cloud) = services(|_| None).await;
        let found = login(&cloud, Provider::Azure, ACR, &scanner(), AUDIENCE).await.unwrap();
        assert!(found.identity_token().is_some_and(|token| token.ends_with(".c2ln")));
        let [entra, exchange] = &server.asked()[..] else { panic!("{:?}", server.lines()) };
        assert_eq!(entra.line(), format!("POST /{TENANT}/oauth2/v2.0/token"));
        let expected = fields(&[
            ("grant_type", "client_credentials"),
            ("client_id", CLIENT),
            ("scope", "https://containerregistry.azure.net/.default"),
            ("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"),
            ("client_assertion", OIDC),
        ]);
        assert_eq!(entra.form(), expected);
        assert_eq!(exchange.line(), "POST /oauth2/exchange");
        let expected = fields(&[
            ("grant_type", "access_token"),
            ("service", "acme.azurecr.io"),
            ("tenant", TENANT),
            ("access_token", ENTRA),
        ]);
        assert_eq!(exchange.form(), expected);
    });
}

#[test]
fn every_registry_has_a_login_of_its_own() {
    run(async {
        let (server, cloud) = services(|_| None).await;
        for image in [ACR, ACR, "acme.azurecr.io/other", "beta.azurecr.io/app"] {
            login(&cloud, Provider::Azure, image, &scanner(), AUDIENCE).await.unwrap();
        }
        assert_eq!(server.asked().len(), 4);
        assert_eq!(server.asked()[3].form()["service"], "beta.azurecr.io");
    });
}

#[test]
fn a_token_that_ends_soon_is_not_kept() {
    run(async {
        let short = json(&serde_json::json!({"refresh_token": refresh_token(50)}));
        let (server, cloud) = services(move |asked| (asked.target == "/oauth2/exchange").then(|| short.clone())).await;
        for _ in 0..2 {
            login(&cloud, Provider::Azure, ACR, &scanner(), AUDIENCE).await.unwrap();
        }
        assert_eq!(server.asked().len(), 4);
    });
}

#[test]
fn the_controller_has_its_token_from_a_file() {
    run(async {
        let (server, _) = services(|_| None).await;
        let token = file("own-federated-token\n");
        let cloud = cloud(&[
            ("AZURE_AUTHORITY_HOST", &server.url()),
            ("TAGBOAT_ACR_ENDPOINT", &server.url()),
            ("AZURE_CLIENT_ID", CLIENT),
            ("AZURE_TENANT_ID", TENANT),
            ("AZURE_FEDERATED_TOKEN_FILE", path(&token)),
        ]);
        own_login(&cloud, Provider::Azure, ACR).await.unwrap();
        assert_eq!(server.asked()[0].form()["client_assertion"], "own-federated-token");
        // A ServiceAccount without a tenant is in the controller's.
        let subject = account(&[("azure.workload.identity/client-id", "another")]);
        login(&cloud, Provider::Azure, ACR, &subject, AUDIENCE).await.unwrap();
        let asked = &server.asked()[2];
        assert_eq!(
            (asked.line(), asked.form()["client_id"].clone()),
            (format!("POST /{TENANT}/oauth2/v2.0/token"), "another".to_owned())
        );
    });
}

#[test]
fn the_controller_has_its_token_from_the_node_at_last() {
    run(async {
        let (server, _) = services(|asked| {
            let is_node = asked.method == "GET" && asked.header("metadata") == "true";
            is_node.then(|| json(&serde_json::json!({"access_token": ENTRA, "expires_in": "86399"})))
        })
        .await;
        let url = server.url();
        let variables = [
            ("AZURE_POD_IDENTITY_AUTHORITY_HOST", url.as_str()),
            ("TAGBOAT_ACR_ENDPOINT", &url),
            ("AZURE_CLIENT_ID", CLIENT),
        ];
        own_login(&cloud(&variables), Provider::Azure, ACR).await.unwrap();
        let expected = "GET /metadata/identity/oauth2/token?api-version=2018-02-01\
                        &resource=https%3A%2F%2Fcontainerregistry.azure.net&client_id=11111111-2222-3333-4444-555555555555";
        assert_eq!(server.lines()[0], expected);
        assert_eq!(server.asked()[1].form().get("tenant"), None);
    });
}

/// One login at services that answer otherwise below this target.
#[track_caller]
fn check(target_end: &'static str, answer: Given, parts: &[&str]) {
    let found = run(async {
        let (_server, cloud) = services(move |asked| asked.target.ends_with(target_end).then(|| answer.clone())).await;
        login(&cloud, Provider::Azure, ACR, &scanner(), AUDIENCE).await
    });
    check_error(&found, parts, &[ENTRA]);
}

#[test]
fn refusals_and_answers_that_are_not_used() {
    let unknown = r#"{"error":"invalid_client","error_description":"AADSTS700213: No matching federated identity record found."}"#;
    check(
        "/v2.0/token",
        plain(401, unknown),
        &[
            "the token of the federated identity answered 401: AADSTS700213: No matching federated identity record found. (invalid_client)",
        ],
    );
    let denied = r#"{"errors":[{"code":"UNAUTHORIZED","message":"authentication required"}]}"#;
    check(
        "/exchange",
        plain(401, denied),
        &["the registry's token answered 401: authentication required (UNAUTHORIZED)"],
    );
    check("/exchange", plain(200, "{}"), &["it is no JSON with a refresh_token"]);
    check("/exchange", plain(200, r#"{"refresh_token":"a b"}"#), &["the refresh_token is no printable text"]);
    check("/v2.0/token", plain(200, r#"{"access_token":""}"#), &["the access_token is no printable text"]);
    let ended = serde_json::json!({"refresh_token": refresh_token(-10)}).to_string();
    check("/exchange", plain(200, &ended), &["what it gave has already ended: check the clock"]);
}

#[track_caller]
fn check_subject(annotations: &[(&str, &str)], part: &str) {
    let found = run(async { login(&cloud(&[]), Provider::Azure, ACR, &account(annotations), AUDIENCE).await });
    check_error(&found, &[part], &[]);
}

#[test]
fn an_annotation_never_bends_an_address() {
    let client = ("azure.workload.identity/client-id", CLIENT);
    check_subject(&[], "serviceaccount shop/scanner lacks the annotation azure.workload.identity/client-id");
    check_subject(&[client], "serviceaccount shop/scanner lacks the annotation azure.workload.identity/tenant-id");
    for tenant in ["../evil", "a/b", "a?b", "a#b", "a%2f", ".."] {
        check_subject(
            &[client, ("azure.workload.identity/tenant-id", tenant)],
            "tenant-id of serviceaccount shop/scanner is no id",
        );
    }
}
