//! AWS: STS and ECR, the pod's agent and the node's metadata service.

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Digest as _, Sha256};

use super::*;

const ROLE: &str = "arn:aws:iam::123456789012:role/teams/reader";
const AUDIENCE: &str = "sts.amazonaws.com";
const ID: &str = "ASIAEXAMPLE";
const SECRET: &str = "secret/key+of/the-role";
const SESSION: &str = "session-token==";

fn reader() -> Subject {
    account(&[("eks.amazonaws.com/role-arn", ROLE)])
}

/// The answer of the STS API reference, with keys of ours.
fn sts(id: &str) -> Given {
    let body = format!(
        r#"<AssumeRoleWithWebIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">
  <AssumeRoleWithWebIdentityResult>
    <SubjectFromWebIdentityToken>system:serviceaccount:shop:scanner</SubjectFromWebIdentityToken>
    <AssumedRoleUser><Arn>arn:aws:sts::123456789012:assumed-role/reader/x</Arn></AssumedRoleUser>
    <Credentials>
      <SessionToken>{SESSION}</SessionToken>
      <SecretAccessKey>{SECRET}</SecretAccessKey>
      <Expiration>2030-01-01T00:00:00Z</Expiration>
      <AccessKeyId>{id}</AccessKeyId>
    </Credentials>
  </AssumeRoleWithWebIdentityResult>
  <ResponseMetadata><RequestId>r</RequestId></ResponseMetadata>
</AssumeRoleWithWebIdentityResponse>"#
    );
    (200, vec![("content-type", "text/xml")], body)
}

/// `AWS:<password>` in base64, and an end in twelve hours.
fn ecr(password: &str) -> Given {
    let token = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, format!("AWS:{password}"));
    let ends = super::super::local::now().wall.timestamp() as f64 + 43_200.5;
    json(&serde_json::json!({"authorizationData": [
        {"authorizationToken": token, "expiresAt": ends, "proxyEndpoint": "https://123456789012.dkr.ecr.eu-central-1.amazonaws.com"}
    ]}))
}

/// The signature again, from what arrived, by the steps of the AWS General Reference.
fn signature(asked: &Asked, secret: &str, region: &str, service: &str) -> String {
    let authorization = asked.header("authorization");
    let part = |name: &str| {
        authorization.split(&[',', ' '][..]).find_map(|part| part.strip_prefix(name)).unwrap_or_default().to_owned()
    };
    let names = part("SignedHeaders=");
    for needed in ["host", "x-amz-date", "x-amz-target"] {
        assert!(names.split(';').any(|name| name == needed), "{names} lacks {needed}");
    }
    let headers: String = names.split(';').map(|name| format!("{name}:{}\n", asked.header(name))).collect();
    let hash = |text: &str| hex::encode(Sha256::digest(text.as_bytes()));
    let request = format!("{}\n{}\n\n{headers}\n{names}\n{}", asked.method, asked.target, hash(&asked.body));
    let date = asked.header("x-amz-date");
    let scope = format!("{}/{region}/{service}/aws4_request", &date[..8]);
    assert!(authorization.contains(&format!("/{scope},")), "{authorization}");
    let mac = |key: &[u8], text: &str| {
        let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
        mac.update(text.as_bytes());
        mac.finalize().into_bytes().to_vec()
    };
    let mut key = format!("AWS4{secret}").into_bytes();
    for part in scope.split('/') {
        key = mac(&key, part);
    }
    let expected = hex::encode(mac(&key, &format!("AWS4-HMAC-SHA256\n{date}\n{scope}\n{}", hash(&request))));
    assert_eq!(part("Signature="), expected);
    part("Credential=").split('/').next().unwrap_or_default().to_owned()
}

/// STS below `/sts/`, ECR below `/ecr/`.
async fn services(script: impl Fn(&Asked) -> Option<Given> + Send + Sync + 'static) -> (Server, Cloud) {
    let server = stand_in(move |asked| {
        script(asked).unwrap_or_else(|| match asked.target.as_str() {
            "/sts/" => sts(ID),
            "/ecr/" => ecr("hunter-12"),
            _ => plain(404, ""),
        })
    });
    let server = server.await;
    let (sts, ecr) = (format!("{}/sts", server.url()), format!("{}/ecr", server.url()));
    let cloud = cloud(&[("AWS_ENDPOINT_URL_STS", &sts), ("AWS_ENDPOINT_URL_ECR", &ecr)]);
    (server, cloud)
}

#[test]
fn a_serviceaccount_assumes_its_role_and_signs_at_ecr() {
    run(async {
        let (server, cloud) = services(|_| None).await;
        let found = login(&cloud, Provider::Aws, AWS, &reader(), AUDIENCE).await.unwrap();
        assert_eq!(found, Credential::password("AWS", "hunter-12"));
        let [assume, token] = &server.asked()[..] else { panic!("{:?}", server.lines()) };

        assert_eq!(assume.line(), "POST /sts/");
        assert_eq!(assume.header("authorization"), "");
        let expected = [
            ("Action", "AssumeRoleWithWebIdentity"),
            ("RoleArn", ROLE),
            ("RoleSessionName", "tagboat.shop.scanner"),
            ("Version", "2011-06-15"),
            ("WebIdentityToken", OIDC),
        ];
        let expected: BTreeMap<_, _> = expected.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        assert_eq!(assume.form(), expected);

        assert_eq!(token.line(), "POST /ecr/");
        assert_eq!(token.header("content-type"), "application/x-amz-json-1.1");
        assert_eq!(token.header("x-amz-target"), "AmazonEC2ContainerRegistry_V20150921.GetAuthorizationToken");
        assert_eq!(token.header("x-amz-security-token"), SESSION);
        assert_eq!(token.body, "{}");
        assert_eq!(signature(token, SECRET, "eu-central-1", "ecr"), ID);
    });
}

#[test]
fn a_login_is_kept_for_its_subject_and_region() {
    run(async {
        let (server, cloud) = services(|_| None).await;
        let subject = reader();
        let again = "123456789012.dkr.ecr.eu-central-1.amazonaws.com/another";
        for image in [AWS, AWS, again] {
            login(&cloud, Provider::Aws, image, &subject, AUDIENCE).await.unwrap();
        }
        assert_eq!(server.asked().len(), 2);
        let other_region = "123456789012.dkr.ecr.us-east-1.amazonaws.com/app";
        login(&cloud, Provider::Aws, other_region, &subject, AUDIENCE).await.unwrap();
        assert_eq!(server.asked().len(), 4);
        let mut other = subject.clone();
        other.key = "bank/scanner".to_owned();
        login(&cloud, Provider::Aws, AWS, &other, AUDIENCE).await.unwrap();
        assert_eq!(server.asked().len(), 6);
        let moved = account(&[("eks.amazonaws.com/role-arn", "arn:aws:iam::123456789012:role/other")]);
        login(&cloud, Provider::Aws, AWS, &moved, AUDIENCE).await.unwrap();
        assert_eq!(server.asked().len(), 8);
        cloud.forget(Provider::Aws, &image(AWS), &subject);
        login(&cloud, Provider::Aws, AWS, &subject, AUDIENCE).await.unwrap();
        login(&cloud, Provider::Aws, AWS, &other, AUDIENCE).await.unwrap();
        assert_eq!(server.asked().len(), 10);
    });
}

#[test]
fn callers_at_the_same_time_share_one_login() {
    run(async {
        let (server, cloud) = services(|_| None).await;
        let subject = reader();
        let logins = (0..20).map(|_| login(&cloud, Provider::Aws, AWS, &subject, AUDIENCE));
        let found = futures::future::join_all(logins).await;
        assert!(found.iter().all(|found| *found == Ok(Credential::password("AWS", "hunter-12"))));
        assert_eq!(server.lines(), ["POST /sts/", "POST /ecr/"]);
    });
}

/// One login whose STS or ECR answers otherwise.
#[track_caller]
fn check(target: &'static str, answer: Given, parts: &[&str]) {
    let found = run(async {
        let (_server, cloud) = services(move |asked| (asked.target == target).then(|| answer.clone())).await;
        login(&cloud, Provider::Aws, AWS, &reader(), AUDIENCE).await
    });
    check_error(&found, parts, &[SECRET, SESSION, "hunter-12"]);
}

#[test]
fn a_refusal_says_who_refused_what() {
    let denied = "<ErrorResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><Error><Type>Sender</Type>\
                  <Code>AccessDenied</Code><Message>Not authorized to perform sts:AssumeRoleWithWebIdentity</Message>\
                  </Error><RequestId>r</RequestId></ErrorResponse>";
    check(
        "/sts/",
        plain(403, denied),
        &[
            ": AssumeRoleWithWebIdentity answered 403: Not authorized to perform sts:AssumeRoleWithWebIdentity (AccessDenied)",
        ],
    );
    let unknown = r#"{"__type":"UnrecognizedClientException","message":"The security token is invalid."}"#;
    check(
        "/ecr/",
        plain(400, unknown),
        &[": GetAuthorizationToken answered 400: The security token is invalid. (UnrecognizedClientException)"],
    );
    check("/ecr/", plain(302, ""), &["GetAuthorizationToken answered 302"]);
    check("/sts/", plain(502, "<html><body>a proxy's page</body></html>"), &["AssumeRoleWithWebIdentity answered 502"]);
}

#[test]
fn the_clock_of_aws_is_repeated_for_people() {
    let skew = r#"{"__type":"InvalidSignatureException","message":"Signature expired: 20150830T123600Z is now earlier than 20150830T124100Z"}"#;
    check(
        "/ecr/",
        plain(400, skew),
        &["Signature expired: 20150830T123600Z is now earlier than 20150830T124100Z (InvalidSignatureException)"],
    );
}

#[test]
fn a_redirect_is_not_followed() {
    run(async {
        let (server, cloud) = services(|asked| {
            let to = vec![("location", "/elsewhere")];
            (asked.target == "/sts/").then(|| (307, to, String::new()))
        })
        .await;
        let found = login(&cloud, Provider::Aws, AWS, &reader(), AUDIENCE).await;
        check_error(&found, &["AssumeRoleWithWebIdentity answered 307"], &[]);
        assert_eq!(server.lines(), ["POST /sts/"]);
    });
}

#[test]
fn a_secret_that_is_sent_back_is_not_repeated() {
    let echo = format!(r#"{{"message":"bad token {OIDC} \u001b[31m{}"}}"#, "long ".repeat(200));
    check("/sts/", plain(400, &echo), &["bad token (hidden) \\u{1b}[31mlong", "…"]);
    check("/ecr/", plain(400, &format!(r#"{{"message":"keys {SECRET} {SESSION}"}}"#)), &["keys (hidden) (hidden)"]);
}

#[test]
fn an_answer_without_what_was_promised_is_not_used() {
    let ok = |body: &str| plain(200, body);
    check(
        "/sts/",
        ok("<A><Credentials><AccessKeyId>a</AccessKeyId></Credentials></A>"),
        &["it holds no Credentials/SecretAccessKey"],
    );
    check("/sts/", ok("<!DOCTYPE a><A/>"), &["it has a document type or CDATA"]);
    check("/sts/", ok(&"a".repeat(300_000)), &["it is longer than"]);
    check(
        "/sts/",
        ok("<A><Credentials><AccessKeyId>a b</AccessKeyId></Credentials></A>"),
        &["AccessKeyId is no printable text"],
    );
    check("/ecr/", ok("{}"), &["it is no JSON with an authorizationToken"]);
    check("/ecr/", ok(r#"{"authorizationData":[]}"#), &["it holds no authorizationToken"]);
    check("/ecr/", ok(r#"{"authorizationData":[{"authorizationToken":"%%%"}]}"#), &["is not user:password in base64"]);
    check("/ecr/", ok(r#"{"authorizationData":[{"authorizationToken":"YWJj"}]}"#), &["is not user:password in base64"]);
    check(
        "/ecr/",
        ok(r#"{"authorizationData":[{"authorizationToken":"QVdTOmFiYw==","expiresAt":1000}]}"#),
        &["what it gave has already ended: check the clock"],
    );
}

#[test]
fn a_serviceaccount_without_a_role_is_told_so() {
    let found = run(async { own_and_foreign(&account(&[])).await });
    check_error(&found, &["serviceaccount shop/scanner lacks the annotation eks.amazonaws.com/role-arn"], &[]);
    for role in
        ["reader", "arn:aws:iam::1:role/a", "arn:aws:iam::123456789012:user/a", "arn:aws:iam::123456789012:role/a b"]
    {
        let found = run(async { own_and_foreign(&account(&[("eks.amazonaws.com/role-arn", role)])).await });
        check_error(
            &found,
            &["the annotation eks.amazonaws.com/role-arn of serviceaccount shop/scanner is no role"],
            &[],
        );
    }
}

/// A tenant's login never falls back to what the controller has.
async fn own_and_foreign(subject: &Subject) -> Result<Credential, Error> {
    let cloud = cloud(&[("AWS_ACCESS_KEY_ID", ID), ("AWS_SECRET_ACCESS_KEY", SECRET)]);
    login(&cloud, Provider::Aws, AWS, subject, AUDIENCE).await
}

#[test]
fn the_controller_has_its_keys_from_the_environment() {
    run(async {
        let server = stand_in(|_| ecr("own")).await;
        let cloud = cloud(&[
            ("AWS_ENDPOINT_URL_ECR", &server.url()),
            ("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE"),
            ("AWS_SECRET_ACCESS_KEY", "own-secret"),
        ]);
        let found = own_login(&cloud, Provider::Aws, AWS).await.unwrap();
        assert_eq!(found, Credential::password("AWS", "own"));
        let [token] = &server.asked()[..] else { panic!("{:?}", server.lines()) };
        assert_eq!(signature(token, "own-secret", "eu-central-1", "ecr"), "AKIDEXAMPLE");
        assert!(!token.headers.contains_key("x-amz-security-token"));
    });
}

#[test]
fn the_controller_assumes_its_role_with_the_token_file() {
    run(async {
        let server = stand_in(|asked| if asked.number == 0 { sts(ID) } else { ecr("own") }).await;
        let token = file("own-oidc\n");
        let cloud = cloud(&[
            ("AWS_ENDPOINT_URL_STS", &server.url()),
            ("AWS_ENDPOINT_URL_ECR", &server.url()),
            ("AWS_ROLE_ARN", ROLE),
            ("AWS_WEB_IDENTITY_TOKEN_FILE", path(&token)),
        ]);
        own_login(&cloud, Provider::Aws, AWS).await.unwrap();
        let form = server.asked()[0].form();
        assert_eq!(
            (form["WebIdentityToken"].as_str(), form["RoleSessionName"].as_str()),
            ("own-oidc", "tagboat.controller")
        );
    });
}

#[test]
fn a_missing_token_file_is_named() {
    let cloud = cloud(&[("AWS_ROLE_ARN", ROLE), ("AWS_WEB_IDENTITY_TOKEN_FILE", "/nowhere/token")]);
    let found = run(own_login(&cloud, Provider::Aws, AWS));
    check_error(&found, &["the file /nowhere/token of AWS_WEB_IDENTITY_TOKEN_FILE can't be opened"], &[]);
}

/// Keys as the pod's agent and the metadata service give them.
fn keys() -> Given {
    json(&serde_json::json!({
        "Code": "Success", "AccessKeyId": ID, "SecretAccessKey": SECRET, "Token": SESSION,
        "Expiration": "2030-01-01T00:00:00Z"
    }))
}

#[test]
fn the_controller_has_its_keys_from_the_pods_agent() {
    run(async {
        let server = stand_in(|asked| if asked.target == "/v1/credentials" { keys() } else { ecr("own") }).await;
        let token = file("agent-token");
        let uri = format!("{}/v1/credentials", server.url());
        let cloud = cloud(&[
            ("AWS_ENDPOINT_URL_ECR", &server.url()),
            ("AWS_CONTAINER_CREDENTIALS_FULL_URI", &uri),
            ("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", path(&token)),
        ]);
        own_login(&cloud, Provider::Aws, AWS).await.unwrap();
        let [agent, token] = &server.asked()[..] else { panic!("{:?}", server.lines()) };
        assert_eq!((agent.line().as_str(), agent.header("authorization")), ("GET /v1/credentials", "agent-token"));
        assert_eq!(signature(token, SECRET, "eu-central-1", "ecr"), ID);
    });
    let cloud = cloud(&[("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://192.0.2.1/v1/credentials")]);
    check_error(
        &run(own_login(&cloud, Provider::Aws, AWS)),
        &["plain HTTP to a host that is not the pod's own agent"],
        &[],
    );
}

#[test]
fn the_controller_has_its_keys_from_the_node_at_last() {
    run(async {
        let server = stand_in(|asked| match (asked.line().as_str(), asked.header("x-aws-ec2-metadata-token")) {
            ("PUT /latest/api/token", _) if asked.header("x-aws-ec2-metadata-token-ttl-seconds") == "60" => {
                plain(200, "node-token")
            }
            ("GET /latest/meta-data/iam/security-credentials/", "node-token") => plain(200, "node-role\n"),
            ("GET /latest/meta-data/iam/security-credentials/node-role", "node-token") => keys(),
            ("POST /", _) => ecr("own"),
            _ => plain(401, ""),
        })
        .await;
        let cloud =
            cloud(&[("AWS_ENDPOINT_URL_ECR", &server.url()), ("AWS_EC2_METADATA_SERVICE_ENDPOINT", &server.url())]);
        own_login(&cloud, Provider::Aws, AWS).await.unwrap();
        assert_eq!(signature(&server.asked()[3], SECRET, "eu-central-1", "ecr"), ID);
    });
    let cloud = cloud(&[("AWS_EC2_METADATA_DISABLED", "true")]);
    check_error(&run(own_login(&cloud, Provider::Aws, AWS)), &["the controller has no identity in AWS"], &[]);
}

#[test]
fn the_public_registry_has_an_api_of_its_own() {
    run(async {
        let token = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, "AWS:public");
        let answer = json(&serde_json::json!({"authorizationData": {"authorizationToken": token}}));
        let server = stand_in(move |_| answer.clone()).await;
        let cloud = cloud(&[
            ("AWS_ENDPOINT_URL_ECR_PUBLIC", &server.url()),
            ("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE"),
            ("AWS_SECRET_ACCESS_KEY", "own-secret"),
        ]);
        let found = own_login(&cloud, Provider::Aws, "public.ecr.aws/acme/app").await.unwrap();
        assert_eq!(found, Credential::password("AWS", "public"));
        let asked = &server.asked()[0];
        assert_eq!(asked.header("x-amz-target"), "SpencerFrontendService.GetAuthorizationToken");
        signature(asked, "own-secret", "us-east-1", "ecr-public");
    });
}
