//! Pull requests by another login than Git's: Git by an SSH key and the API by a token, behind an own authority that wants a
//! certificate; and an API that is asked as a GitHub App.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use tagboat::api::ImageUpdate;
use tagboat::api::condition::Reason;
use tagboat::api::image_update::PullRequestState;

use super::project::PROPOSAL;
use crate::private::pem;
use crate::setup::*;
use crate::support::registry::LOGIN;
use crate::support::ssh_key::SshKey;
use crate::support::traffic::serve;
use crate::support::wait::eventually;
use crate::support::world::World;
use crate::transports::https::front;

pub async fn git_over_ssh(world: World) {
    let (project, title) = super::project(&world, "", "").await;
    let gitea = project.gitea;
    let key = SshKey::new("ed25519", "");
    gitea.user_key(&key).await;
    let content = json!({"identity": key.private, "known_hosts": gitea.known_host("ed25519")});
    world.secret("key", "Opaque", content).await;
    let url = gitea.ssh_url(&project.repo.name);
    apply(&world, "ConfigRepo", "fleet", &format!("{{url: '{url}', interval: 1s, secretRef: {{name: key}}}}")).await;
    let api = format!("apiURL: 'https://{}/api/v1'", front(gitea.registry.host.clone()).await);
    let token = gitea.token(&format!("{}-api", project.repo.name), &["all"]).await;
    let content = json!({
        "token": token, "ca.crt": pem("ca.crt"), "tls.crt": pem("client.crt"), "tls.key": pem("client.key"),
    });
    world.secret("api", "Opaque", content).await;
    project.update(&format!(", {api}")).await;
    let tagboat = world.tagboat().await;
    let failed: ImageUpdate = ready(&world, "fleet", "False", Reason::InvalidSpec).await;
    assert!(message(&failed).starts_with("spec.pullRequest.secretRef: the ConfigRepo has no"), "{}", message(&failed));
    project.update(&format!(", {api}, secretRef: {{name: api}}")).await;
    project.listed(&[&format!("1 open {title} 1.1.0")]).await;
    let first = project.proposed("1.1.0").await;
    world.push("app", &["1.2.0"]).await;
    project.listed(&[&format!("1 open {title} 1.2.0")]).await;
    assert_ne!(project.proposed("1.2.0").await, first);
    project.commit(&[("app.yaml", &marked(&world, "app", "1.2.0"))], "by hand");
    project.listed(&[&format!("1 closed {title} 1.2.0")]).await;
    project.withdrawn().await;
    assert!(!tagboat.log().contains(&token));
}

/// GitHub's API as far as one request needs it.
#[derive(Default)]
struct Github {
    /// Method and path of each call.
    calls: Vec<String>,
    pull: Option<Value>,
}

const TOKEN: &str = "ghs_0f-an-inst4llation";

async fn answer(github: Arc<Mutex<Github>>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let body = axum::body::to_bytes(body, 1 << 20).await.unwrap();
    let sent: Value = serde_json::from_slice(&body).unwrap_or_default();
    let (path, method) = (head.uri.path(), head.method.as_str());
    let login = head.headers["authorization"].to_str().unwrap();
    let mut github = github.lock().unwrap();
    github.calls.push(format!("{method} {path}"));
    let (status, answer) = if path == "/api/v3/app/installations/34/access_tokens" {
        // Signed by the app's key, as its own tests check.
        assert_eq!(login.split('.').count(), 3);
        (StatusCode::CREATED, json!({"token": TOKEN, "expires_at": "2099-01-01T00:00:00Z"}))
    } else if login != format!("Bearer {TOKEN}") {
        (StatusCode::UNAUTHORIZED, json!({"message": "Bad credentials"}))
    } else if method == "POST" {
        let branch = |name: &Value| json!({"ref": name, "sha": "", "repo": {"id": 42}});
        let pull = json!({
            "number": 1, "node_id": "PR_1", "html_url": "https://github.com/acme/fleet/pull/1", "state": "open",
            "title": sent["title"], "body": sent["body"], "merged_at": null, "closed_at": null, "auto_merge": null,
            "head": branch(&sent["head"]), "base": branch(&sent["base"]),
        });
        github.pull = Some(pull.clone());
        (StatusCode::CREATED, pull)
    } else if let (true, Some(pull)) = (method == "PATCH", &mut github.pull) {
        pull.as_object_mut().unwrap().extend(sent.as_object().unwrap().clone());
        (StatusCode::OK, pull.clone())
    } else {
        (StatusCode::OK, github.pull.iter().cloned().collect())
    };
    (status, [("content-type", "application/json")], answer.to_string()).into_response()
}

/// Git by the ConfigRepo's own login, the API by the token of an app's installation, which is asked for once.
pub async fn a_github_app(world: World) {
    let (project, title) = super::project(&world, "", "").await;
    let github = Arc::new(Mutex::new(Github::default()));
    let shared = github.clone();
    let port = serve(Router::new().fallback(move |request| answer(shared.clone(), request))).await;
    let api = format!("http://127.0.0.1:{port}/api/v3");
    let key = include_str!("../../../src/git/ssh/identity/keys/rsa-pem");
    let app = json!({
        "githubAppID": "12", "githubAppInstallationID": "34", "githubAppPrivateKey": key, "githubAppBaseURL": api,
    });
    world.secret("app", "Opaque", app).await;
    let request = format!("pullRequest: {{provider: github, apiURL: '{api}', secretRef: {{name: app}}}}");
    image_update(&world, &format!("batchWindow: 10ms, push: {{branch: {PROPOSAL}}}, {request}")).await;
    let tagboat = world.tagboat().await;
    project.proposed("1.1.0").await;
    project.shown(1, PullRequestState::Open).await;
    world.push("app", &["1.2.0"]).await;
    project.proposed("1.2.0").await;
    eventually("the title of the next value", SOON, || async {
        let pull = github.lock().unwrap().pull.clone().unwrap();
        if pull["title"] == format!("{title} 1.2.0") { Ok(()) } else { Err(pull.to_string()) }
    })
    .await;
    let calls = github.lock().unwrap().calls.clone();
    let pulls = format!("/api/v3/repos/{}/{}/pulls", LOGIN.0, project.repo.name);
    let count = |call: &str| calls.iter().filter(|other| *other == call).count();
    let counts = ["POST /api/v3/app/installations/34/access_tokens", &format!("POST {pulls}")].map(count);
    assert_eq!((counts, count(&format!("PATCH {pulls}/1"))), ([1, 1], 1), "{calls:?}");
    assert!(!tagboat.log().contains(TOKEN));
}
