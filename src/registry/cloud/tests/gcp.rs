//! Google: the metadata server, STS and IAM Credentials.

use super::*;

const PROVIDER: &str = "projects/1234567890/locations/global/workloadIdentityPools/pool/providers/cluster";
const EMAIL: &str = "reader@acme.iam.gserviceaccount.com";
const FEDERATED: &str = "federated-token";

fn outside(email: Option<&str>) -> Subject {
    let mut annotations = vec![("gcp.auth.fluxcd.io/workload-identity-provider", PROVIDER)];
    annotations.extend(email.map(|email| ("iam.gke.io/gcp-service-account", email)));
    account(&annotations)
}

fn metadata(body: &str) -> Given {
    (200, vec![("metadata-flavor", "Google")], body.to_owned())
}

/// Everything of Google's in one server.
async fn services(script: impl Fn(&Asked) -> Option<Given> + Send + Sync + 'static) -> (Server, Cloud) {
    let in_an_hour = (super::super::local::now().wall + chrono::TimeDelta::hours(1)).to_rfc3339();
    let server = stand_in(move |asked| {
        let is_metadata = asked.header("metadata-flavor") == "Google";
        script(asked).unwrap_or_else(|| match asked.target.as_str() {
            "/v1/token" => json(&serde_json::json!({
                "access_token": FEDERATED, "expires_in": 3600, "token_type": "Bearer",
                "issued_token_type": "urn:ietf:params:oauth:token-type:access_token"
            })),
            "/v1/projects/-/serviceAccounts/reader@acme.iam.gserviceaccount.com:generateAccessToken" => {
                json(&serde_json::json!({"accessToken": "token-of-reader", "expireTime": in_an_hour}))
            }
            "/computeMetadata/v1/project/project-id" if is_metadata => metadata("acme"),
            "/computeMetadata/v1/instance/attributes/cluster-location" if is_metadata => metadata("europe-west3"),
            "/computeMetadata/v1/instance/attributes/cluster-name" if is_metadata => metadata("prod"),
            "/computeMetadata/v1/instance/service-accounts/default/token" if is_metadata => {
                metadata(r#"{"access_token":"token-of-the-node","expires_in":3000,"token_type":"Bearer"}"#)
            }
            _ => plain(404, ""),
        })
    });
    let server = server.await;
    let cloud = cloud(&[
        ("GCE_METADATA_HOST", &server.host),
        ("TAGBOAT_GCP_STS_ENDPOINT", &server.url()),
        ("TAGBOAT_GCP_IAM_ENDPOINT", &server.url()),
    ]);
    (server, cloud)
}

fn password(token: &str) -> Credential {
    Credential::password("oauth2accesstoken", token)
}

#[test]
fn a_serviceaccount_outside_of_googles_clusters_trades_its_token() {
    run(async {
        let (server, cloud) = services(|_| None).await;
        let audience = format!("//iam.googleapis.com/{PROVIDER}");
        let subject = outside(None);
        let found = login(&cloud, Provider::Gcp, GAR, &subject, &audience).await.unwrap();
        assert_eq!(found, password(FEDERATED));
        let [trade] = &server.asked()[..] else { panic!("{:?}", server.lines()) };
        assert_eq!(trade.line(), "POST /v1/token");
        assert_eq!(trade.header("authorization"), "");
        let expected = [
            ("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange"),
            ("audience", audience.as_str()),
            ("scope", "https://www.googleapis.com/auth/cloud-platform"),
            ("requested_token_type", "urn:ietf:params:oauth:token-type:access_token"),
            ("subject_token_type", "urn:ietf:params:oauth:token-type:jwt"),
            ("subject_token", OIDC),
        ];
        let expected: BTreeMap<_, _> = expected.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        assert_eq!(trade.form(), expected);
        // The same token is good for all of Google's registries.
        login(&cloud, Provider::Gcp, "gcr.io/acme/app", &subject, &audience).await.unwrap();
        assert_eq!(server.asked().len(), 1);
    });
}

#[test]
fn a_serviceaccount_acts_as_the_account_that_it_names() {
    run(async {
        let (server, cloud) = services(|_| None).await;
        let audience = format!("//iam.googleapis.com/{PROVIDER}");
        let found = login(&cloud, Provider::Gcp, GAR, &outside(Some(EMAIL)), &audience).await.unwrap();
        assert_eq!(found, password("token-of-reader"));
        let [_, act] = &server.asked()[..] else { panic!("{:?}", server.lines()) };
        assert_eq!(act.line(), format!("POST /v1/projects/-/serviceAccounts/{EMAIL}:generateAccessToken"));
        assert_eq!(act.header("authorization"), format!("Bearer {FEDERATED}"));
        assert_eq!(act.body, r#"{"scope":["https://www.googleapis.com/auth/cloud-platform"]}"#);
    });
}

#[test]
fn in_googles_clusters_the_metadata_server_names_the_pool() {
    run(async {
        let (server, cloud) = services(|_| None).await;
        let subject = account(&[]);
        login(&cloud, Provider::Gcp, GAR, &subject, "acme.svc.id.goog").await.unwrap();
        let sts_audience = "identitynamespace:acme.svc.id.goog:\
                            https://container.googleapis.com/v1/projects/acme/locations/europe-west3/clusters/prod";
        assert_eq!(server.asked()[3].form()["audience"], sts_audience);
        // Who the cluster is is asked once.
        let mut other = subject.clone();
        other.key = "bank/scanner".to_owned();
        login(&cloud, Provider::Gcp, GAR, &other, "acme.svc.id.goog").await.unwrap();
        assert_eq!(server.asked().len(), 5);
    });
}

#[test]
fn the_controller_asks_the_metadata_server() {
    run(async {
        let (server, cloud) = services(|_| None).await;
        let found = own_login(&cloud, Provider::Gcp, GAR).await.unwrap();
        assert_eq!(found, password("token-of-the-node"));
        assert_eq!(server.lines(), ["GET /computeMetadata/v1/instance/service-accounts/default/token"]);
    });
}

#[test]
fn an_answer_that_is_not_googles_is_not_used() {
    let found = run(async {
        let (_server, cloud) = services(|_| Some(plain(200, r#"{"access_token":"a","expires_in":3000}"#))).await;
        own_login(&cloud, Provider::Gcp, GAR).await
    });
    check_error(&found, &["it does not come from Google's metadata server"], &[]);
}

fn config(server: &Server, kind: &str, token: &str) -> String {
    serde_json::json!({
        "type": kind,
        "audience": format!("//iam.googleapis.com/{PROVIDER}"),
        "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
        "token_url": format!("{}/v1/token", server.url()),
        "service_account_impersonation_url":
            format!("{}/v1/projects/-/serviceAccounts/{EMAIL}:generateAccessToken", server.url()),
        "credential_source": {"file": token, "format": {"type": "text"}},
    })
    .to_string()
}

#[test]
fn the_controller_outside_of_googles_clusters_has_a_file() {
    run(async {
        let (server, _) = services(|_| None).await;
        let token = file("own-oidc-token\n");
        let good = file(&config(&server, "external_account", path(&token)));
        let found = own_login(&cloud(&[("GOOGLE_APPLICATION_CREDENTIALS", path(&good))]), Provider::Gcp, GAR).await;
        assert_eq!(found, Ok(password("token-of-reader")));
        assert_eq!(server.asked()[0].form()["subject_token"], "own-oidc-token");
        let bad = file(&config(&server, "service_account", path(&token)));
        let found = own_login(&cloud(&[("GOOGLE_APPLICATION_CREDENTIALS", path(&bad))]), Provider::Gcp, GAR).await;
        check_error(&found, &["of GOOGLE_APPLICATION_CREDENTIALS is no external_account with a token file"], &[]);
    });
}

/// One login at services that answer otherwise below this target.
#[track_caller]
fn check(target_end: &'static str, answer: Given, parts: &[&str]) {
    let found = run(async {
        let (_server, cloud) = services(move |asked| asked.target.ends_with(target_end).then(|| answer.clone())).await;
        let audience = format!("//iam.googleapis.com/{PROVIDER}");
        login(&cloud, Provider::Gcp, GAR, &outside(Some(EMAIL)), &audience).await
    });
    check_error(&found, parts, &[FEDERATED, "token-of-reader"]);
}

#[test]
fn refusals_and_answers_that_are_not_used() {
    let grant = r#"{"error":"invalid_grant","error_description":"The audience in ID Token does not match."}"#;
    check(
        "/v1/token",
        plain(400, grant),
        &["the token exchange answered 400: The audience in ID Token does not match. (invalid_grant)"],
    );
    let denied = r#"{"error":{"code":403,"message":"Permission 'iam.serviceAccounts.getAccessToken' denied","status":"PERMISSION_DENIED"}}"#;
    check(
        ":generateAccessToken",
        plain(403, denied),
        &[
            "generateAccessToken answered 403: Permission 'iam.serviceAccounts.getAccessToken' denied (PERMISSION_DENIED)",
        ],
    );
    check("/v1/token", plain(200, r#"{"access_token":1}"#), &["it is no JSON with an access_token"]);
    check(
        "/v1/token",
        plain(200, r#"{"access_token":"a","expires_in":9223372036854775807}"#),
        &["its expires_in is no time"],
    );
    check(":generateAccessToken", plain(200, "{}"), &["it is no JSON with accessToken and expireTime"]);
}

#[test]
fn a_refusal_for_being_too_fast_says_how_long_to_wait() {
    let found = run(async {
        let slow = || (429, vec![("retry-after", "7")], String::new());
        let (_server, cloud) = services(move |_| Some(slow())).await;
        own_login(&cloud, Provider::Gcp, GAR).await
    });
    assert_eq!(found.unwrap_err().retry_after(), Some(Duration::from_secs(7)));
}

#[track_caller]
fn check_subject(name: &str, value: &str, part: &str) {
    let subject = account(&[(name, value)]);
    let found = run(async { login(&cloud(&[]), Provider::Gcp, GAR, &subject, "").await });
    check_error(&found, &[part], &[]);
}

#[test]
fn an_annotation_never_bends_an_address() {
    for email in [
        "reader@example.com",
        "a/b@c.iam.gserviceaccount.com",
        "@.gserviceaccount.com",
        "a@b/../c.gserviceaccount.com",
        "a?@b.iam.gserviceaccount.com",
    ] {
        check_subject(
            "iam.gke.io/gcp-service-account",
            email,
            "iam.gke.io/gcp-service-account of serviceaccount shop/scanner is no account",
        );
    }
    for provider in
        ["pool", "projects/1/locations/global/workloadIdentityPools/../providers/p", "//iam.googleapis.com/projects/1"]
    {
        check_subject(
            "gcp.auth.fluxcd.io/workload-identity-provider",
            provider,
            "workload-identity-provider of serviceaccount shop/scanner is no provider",
        );
    }
}
