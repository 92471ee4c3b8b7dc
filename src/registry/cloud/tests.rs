//! Whole logins against a stand-in for a cloud's services. In: what it answers. Out: the credential, and every request as it
//! came: path, headers, form, signature.

mod aws;
mod azure;
mod gcp;

use std::collections::BTreeMap;
use std::io::Write as _;
use std::time::Duration;

use super::{Cloud, Credential, Environment, Error, Provider, Subject};
use crate::image::Repository;
use crate::registry::tests::server::{Asked, Server, reply};
use crate::registry::tests::{LONG, run};

/// What the cluster gives for a ServiceAccount.
const OIDC: &str = "oidc-token-of-the-serviceaccount";

/// Status, headers and body of an answer.
type Given = (u16, Vec<(&'static str, &'static str)>, String);

/// A success.
fn json(body: &serde_json::Value) -> Given {
    (200, vec![("content-type", "application/json")], body.to_string())
}

/// No success, or a success that is no JSON.
fn plain(status: u16, body: &str) -> Given {
    (status, Vec::new(), body.to_owned())
}

/// A server in a cloud's place.
async fn stand_in(script: impl Fn(&Asked) -> Given + Send + Sync + 'static) -> Server {
    Server::start(move |asked| {
        let (status, headers, body) = script(asked);
        reply(status, &headers, body)
    })
    .await
}

fn cloud(variables: &[(&str, &str)]) -> Cloud {
    let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    Cloud::new(Environment { variables }, "tagboat-test")
}

fn account(annotations: &[(&str, &str)]) -> Subject {
    let annotations = annotations.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    Subject::service_account("shop", "scanner", annotations)
}

fn image(name: &str) -> Repository {
    name.parse().unwrap()
}

/// A file that a cloud would mount.
fn file(content: &str) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(content.as_bytes()).unwrap();
    file
}

fn path(file: &tempfile::NamedTempFile) -> &str {
    file.path().to_str().unwrap()
}

/// A ServiceAccount's login; `audience` is the one that its token must be asked for.
async fn login(
    cloud: &Cloud,
    provider: Provider,
    image_: &str,
    subject: &Subject,
    audience: &str,
) -> Result<Credential, Error> {
    let token = |asked: String| {
        assert_eq!(asked, audience);
        std::future::ready(Ok(OIDC.to_owned()))
    };
    cloud.login(provider, &image(image_), subject, token, LONG).await
}

/// The controller's own login, for which no token is asked.
async fn own_login(cloud: &Cloud, provider: Provider, image_: &str) -> Result<Credential, Error> {
    let token = |_| -> std::future::Ready<Result<String, String>> { unreachable!("the controller needs no token") };
    cloud.login(provider, &image(image_), &Subject::controller(), token, LONG).await
}

/// The error's text has these parts, and no secret.
#[track_caller]
fn check_error(found: &Result<Credential, Error>, parts: &[&str], secrets: &[&str]) {
    let error = found.as_ref().unwrap_err();
    let (text, debug) = (error.to_string(), format!("{error:?}"));
    for part in parts {
        assert!(text.contains(part), "{text} lacks {part}");
    }
    for secret in secrets.iter().chain([&OIDC]) {
        assert!(!text.contains(secret) && !debug.contains(secret), "{debug} shows {secret}");
    }
    assert!(text.chars().count() < 700, "{text}");
}

const AWS: &str = "123456789012.dkr.ecr.eu-central-1.amazonaws.com/acme/app";
const ACR: &str = "acme.azurecr.io/app";
const GAR: &str = "europe-docker.pkg.dev/acme/apps/app";

/// A provider sees nothing of a registry that is not its own, whatever the object says.
#[test]
fn a_foreign_host_gets_nothing() {
    let cases = [
        (Provider::Aws, ACR),
        (Provider::Aws, "registry.example.com/acme/app"),
        (Provider::Aws, "123456789012.dkr.ecr.eu-central-1.amazonaws.com.example.com/acme/app"),
        (Provider::Azure, GAR),
        (Provider::Azure, "acme.azurecr.io.example.com/app"),
        (Provider::Gcp, AWS),
        (Provider::Gcp, "gcr.io.example.com/acme/app"),
        (Provider::Gcp, "evil.com-docker.pkg.dev.example.com/app"),
        (Provider::Gcp, "127.0.0.1:5000/app"),
    ];
    for (provider, image_) in cases {
        let token = |_| -> std::future::Ready<Result<String, String>> { unreachable!("no token is asked for") };
        let found = run(cloud(&[]).login(provider, &image(image_), &account(&[]), token, LONG));
        check_error(&found, &[&format!("is no registry of provider {provider}")], &[]);
        assert!(matches!(found, Err(Error::Configuration(_))));
    }
}

#[test]
fn a_secret_is_in_no_debug_print() {
    let cloud = cloud(&[("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE"), ("AWS_SECRET_ACCESS_KEY", "very-secret")]);
    let print = format!("{cloud:?} {:?}", cloud.world.environment);
    assert!(print.contains("AWS_SECRET_ACCESS_KEY") && !print.contains("very-secret"), "{print}");
}

#[test]
fn without_a_token_of_the_cluster_there_is_no_login() {
    let subject = account(&[("azure.workload.identity/client-id", "c"), ("azure.workload.identity/tenant-id", "t")]);
    let cloud = cloud(&[]);
    let token = |_| std::future::ready(Err("serviceaccounts \"scanner\" not found".to_owned()));
    let found = run(cloud.login(Provider::Azure, &image(ACR), &subject, token, LONG));
    check_error(&found, &["no token for serviceaccount shop/scanner: serviceaccounts \"scanner\" not found"], &[]);
}

#[test]
fn a_cluster_that_never_answers_ends_at_the_timeout() {
    let subject = account(&[("eks.amazonaws.com/role-arn", "arn:aws:iam::123456789012:role/reader")]);
    let token = |_| std::future::pending::<Result<String, String>>();
    let soon = Duration::from_millis(20);
    let found = run(async { cloud(&[]).login(Provider::Aws, &image(AWS), &subject, token, soon).await });
    check_error(&found, &["aws: the login of shop/scanner can't be reached: no answer in time"], &[]);
}

#[test]
fn every_variable_is_listed_once() {
    let names: std::collections::BTreeSet<_> = Environment::NAMES.iter().collect();
    assert_eq!(names.len(), Environment::NAMES.len());
}

/// Flows run on many threads.
#[test]
fn a_login_can_move_between_threads() {
    fn check<T: Send>(_: T) {}
    let (cloud, subject, image) = (cloud(&[]), account(&[]), image(GAR));
    let token = |_| async { Ok(OIDC.to_owned()) };
    check(cloud.login(Provider::Gcp, &image, &subject, token, LONG));
}
