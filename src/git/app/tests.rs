//! A stand-in for GitHub's API that checks every request as GitHub documents it.

use std::sync::Mutex;

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use ring::signature::{RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey};

use super::*;
use crate::git::mirror::locked;

const KEY: &[u8] = include_bytes!("../ssh/identity/keys/rsa-pem");

struct Stand {
    url: String,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    requests: Mutex<Vec<String>>,
    refuses: Mutex<Option<(u16, &'static str)>>,
    /// How long tokens live, in seconds.
    life: Mutex<i64>,
    public: Mutex<Vec<u8>>,
}

impl Stand {
    async fn start() -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let shared = Arc::new(Shared::default());
        *locked(&shared.life) = 3600;
        *locked(&shared.public) = rsa(KEY).unwrap().public().as_ref().to_vec();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/api/v3", listener.local_addr().unwrap());
        let router = axum::Router::new().fallback(answer).with_state(shared.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { url, shared }
    }

    fn app(&self, installation: Installation) -> App {
        App::new("12", installation, KEY, Some(&self.url)).unwrap()
    }

    fn requests(&self) -> Vec<String> {
        std::mem::take(&mut *locked(&self.shared.requests))
    }
}

/// What GitHub demands of an app's signature.
fn is_signed(shared: &Shared, token: &str) -> bool {
    let parts: Vec<&str> = token.split('.').collect();
    let [head, claims, signature] = parts[..] else { return false };
    let read =
        |part: &str| -> serde_json::Value { serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap() };
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let (head, read) = (read(head), read(claims));
    let at = |name: &str| read[name].as_u64().unwrap();
    let text = &token[..token.rfind('.').unwrap()];
    let public = UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, locked(&shared.public).clone());
    public.verify(text.as_bytes(), &URL_SAFE_NO_PAD.decode(signature).unwrap()).is_ok()
        && head == json!({"alg": "RS256", "typ": "JWT"})
        && read["iss"] == "12"
        && (now - 70..=now - 50).contains(&at("iat"))
        && at("exp") - now <= 600
        && at("exp") > now + 300
}

async fn answer(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let header = |name: &str| request.headers().get(name).and_then(|v| v.to_str().ok()).unwrap_or_default();
    let line = format!("{} {}", request.method(), request.uri().path());
    locked(&shared.requests).push(line.clone());
    assert_eq!(header("accept"), "application/vnd.github+json");
    assert_eq!(header("x-github-api-version"), "2022-11-28");
    assert!(!header("user-agent").is_empty());
    if let Some((status, words)) = *locked(&shared.refuses) {
        let status = StatusCode::from_u16(status).unwrap();
        return (status, json!({"message": words}).to_string()).into_response();
    }
    if !is_signed(&shared, header("authorization").strip_prefix("Bearer ").unwrap()) {
        return (StatusCode::UNAUTHORIZED, "{\"message\":\"A JSON web token could not be decoded\"}").into_response();
    }
    let date = chrono::DateTime::from_timestamp(1_800_000_000, 0).unwrap();
    let end = date + chrono::Duration::seconds(*locked(&shared.life));
    let number = locked(&shared.requests).len();
    let token =
        json!({"token": format!("ghs_s3cret{number}"), "expires_at": end.format("%Y-%m-%dT%H:%M:%SZ").to_string()});
    let (status, body) = match line.as_str() {
        "POST /api/v3/app/installations/34/access_tokens" => (StatusCode::CREATED, token),
        "GET /api/v3/users/ann/installation" | "GET /api/v3/orgs/acme/installation" => {
            (StatusCode::OK, json!({"id": 34}))
        }
        _ => (StatusCode::NOT_FOUND, json!({"message": "Not Found"})),
    };
    (status, [("date", date.format("%a, %d %b %Y %H:%M:%S GMT").to_string())], body.to_string()).into_response()
}

fn client() -> Client {
    crate::reach::Clients::new("tests").get(&crate::reach::Way::default()).unwrap()
}

const TOKEN: &str = "POST /api/v3/app/installations/34/access_tokens";

#[tokio::test]
async fn a_token_is_kept_while_it_is_good() {
    let stand = Stand::start().await;
    let app = stand.app(Installation::Id(34));
    let (one, two) = (client(), client());
    let both = tokio::join!(app.token(&one), app.token(&two));
    assert_eq!(both, (Ok("ghs_s3cret1".into()), Ok("ghs_s3cret1".into())), "one request for all who wait");
    assert_eq!(app.clone().token(&one).await, Ok("ghs_s3cret1".into()));
    assert_eq!(stand.requests(), [TOKEN]);
    app.forget().await;
    *locked(&stand.shared.life) = 0;
    assert!(app.token(&one).await.is_ok() && app.token(&one).await.is_ok());
    assert_eq!(stand.requests(), [TOKEN, TOKEN], "one that ended is not used");
    assert_eq!(format!("{app:?} {:?}", crate::git::Auth::App(app.clone())), "App(hidden) Auth(hidden)");
}

#[tokio::test]
async fn an_installation_is_found_by_its_owner() {
    let stand = Stand::start().await;
    let owned = |owner: &str| stand.app(Installation::new(None, Some(owner)).unwrap());
    assert!(owned("acme").token(&client()).await.is_ok());
    assert_eq!(stand.requests(), ["GET /api/v3/orgs/acme/installation", TOKEN]);
    assert!(owned("ann").token(&client()).await.is_ok());
    assert_eq!(stand.requests()[..2], ["GET /api/v3/orgs/ann/installation", "GET /api/v3/users/ann/installation"]);
    let none = owned("nobody").token(&client()).await.unwrap_err();
    assert!(
        none.to_string().contains("Not Found") && none.to_string().contains("githubAppInstallationOwner"),
        "{none}"
    );
}

#[tokio::test]
async fn refusals_name_what_to_check() {
    let stand = Stand::start().await;
    let check = async |app: App, words: &[&str]| {
        let error = app.token(&client()).await.unwrap_err();
        words.iter().for_each(|words| assert!(error.to_string().contains(words), "{error}"));
        error
    };
    let missing = check(stand.app(Installation::Id(35)), &["http 404: Not Found", "githubAppInstallationID"]).await;
    assert!(missing.needs_user() && missing.is_refusal());
    let other = include_bytes!("../ssh/identity/keys/rsa-pkcs8");
    let other = App::new("12", Installation::Id(34), other, Some(&stand.url)).unwrap();
    check(other, &["http 401: A JSON web token", "githubAppPrivateKey"]).await;
    *locked(&stand.shared.refuses) = Some((403, "suspended\u{1b}"));
    check(stand.app(Installation::Id(34)), &["http 403: suspended\\u{1b}"]).await;
    *locked(&stand.shared.refuses) = Some((502, ""));
    assert!(!check(stand.app(Installation::Id(34)), &["http 502"]).await.needs_user());
}

#[test]
fn what_cannot_be_an_app() {
    let check = |id: &str, key: &[u8], api: Option<&str>, words: &str| {
        let reason = App::new(id, Installation::Id(1), key, api).unwrap_err();
        assert!(reason.contains(words) && !reason.contains("s3cret"), "{reason}");
    };
    check("", KEY, None, "githubAppID");
    check("1\n2", KEY, None, "githubAppID");
    check("12", b"s3cret", None, "githubAppPrivateKey");
    check("12", include_bytes!("../ssh/identity/keys/ed25519"), None, "githubAppPrivateKey");
    check("12", KEY, Some("github.example.com"), "githubAppBaseURL");
    check("12", KEY, Some("https://u:s3cret@h/"), "githubAppBaseURL");
    assert!(Installation::new(Some("x"), None).is_err() && Installation::new(None, Some("a/b")).is_err());
    let app = App::new("Iv1.ab12", Installation::Id(1), KEY, Some("http://h/api/v3/")).unwrap();
    assert!(app.fits(false).is_err() && app.fits(true).is_ok());
    assert_ne!(app, App::new("Iv1.ab12", Installation::Id(2), KEY, Some("http://h/api/v3/")).unwrap());
}
