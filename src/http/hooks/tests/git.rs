//! What each Git host sends: which of its webhooks wake a ConfigRepo of `acme/fleet` at `main`, and which proof it must bring.

use super::*;
use crate::api::webhook::GitWebhookType::{
    self, AzureDevops, Bitbucket, BitbucketDatacenter, Generic, GenericHmac, Gitea, Github, Gitlab,
};
use crate::api::webhook::WebhookType;

/// One hook of the repository at this URL, and how often it woke.
fn one(kind: GitWebhookType, url: &str, secret: Secret) -> One {
    let subject = Subject::Git { url: url.to_owned(), reference: "refs/heads/main".to_owned() };
    One::about(kind.into(), subject, Hooks::new("http://127.0.0.1:9/"), secret)
}

fn proof(kind: GitWebhookType, body: &str) -> Vec<(&'static str, String)> {
    let prefixed = || format!("sha256={}", sha256(TOKEN, body));
    match kind {
        Github => vec![("x-hub-signature-256", prefixed())],
        Gitea => vec![("x-gitea-signature", sha256(TOKEN, body))],
        Gitlab => vec![("x-gitlab-token", TOKEN.to_owned())],
        Bitbucket | BitbucketDatacenter => vec![("x-hub-signature", prefixed())],
        AzureDevops | Generic => vec![("authorization", "Basic of-the-tests".to_owned())],
        GenericHmac => vec![("x-signature", prefixed())],
    }
}

fn url(kind: GitWebhookType) -> &'static str {
    match kind {
        AzureDevops => "https://dev.azure.com/org/acme/_git/fleet",
        BitbucketDatacenter => "ssh://git@git.example.com:7999/ACME/fleet.git",
        _ => "https://git.example.com/acme/fleet.git",
    }
}

/// A body with its proof is genuine, and wakes or doesn't; without, or with another one, it is nobody's.
#[track_caller]
fn check(kind: GitWebhookType, body: &str, wakes: bool) {
    let secret = || {
        let data = [("token", TOKEN), ("authorization", "Basic of-the-tests")];
        let data = data.map(|(key, value)| (key.to_owned(), value.as_bytes().to_vec())).into();
        Secret::new(kind, data).unwrap_or_else(|error| panic!("{error}"))
    };
    let host = one(kind, url(kind), secret());
    let proof = proof(kind, body);
    let genuine = headers(proof.iter().map(|(name, value)| (*name, value.as_str())));
    assert_eq!(host.send(&genuine, body), Verdict::Genuine, "{kind:?} {body}");
    assert_eq!(host.woken(), u64::from(wakes), "{kind:?} {body}");

    let stranger = one(kind, url(kind), secret());
    let forged: Vec<_> = proof.iter().map(|(name, value)| (*name, format!("{value}0"))).collect();
    let forged = headers(forged.iter().map(|(name, value)| (*name, value.as_str())));
    for headers in [HeaderMap::new(), forged] {
        assert_eq!(stranger.send(&headers, body), Verdict::Unknown, "{kind:?} {body}");
    }
    assert_eq!(stranger.woken(), 0);
}

#[test]
fn github_and_gitea() {
    for kind in [Github, Gitea] {
        let repository = r#""repository":{"full_name":"Acme/fleet","clone_url":"https://elsewhere/x.git"}"#;
        let other = r#""repository":{"full_name":"acme/other"}"#;
        for (body, wakes) in [
            (format!(r#"{{"ref":"refs/heads/main","before":"a","after":"b",{repository}}}"#), true),
            (format!(r#"{{"ref":"refs/heads/work",{repository}}}"#), false),
            (format!(r#"{{"ref":"refs/tags/main",{repository}}}"#), false),
            (format!(r#"{{"ref":"refs/heads/main",{other}}}"#), false),
            (format!(r#"{{"ref":"main","ref_type":"branch",{repository}}}"#), true),
            (format!(r#"{{"ref":"main","ref_type":"tag",{repository}}}"#), false),
            (format!(r#"{{"action":"closed","number":7,"pull_request":{{"merged":false}},{repository}}}"#), true),
            (format!(r#"{{"action":"closed","pull_request":{{}},{other}}}"#), false),
            (format!(r#"{{"zen":"Keep it logically awesome.","hook_id":1,{repository}}}"#), false),
            ("{}".to_owned(), false),
            (r#"{"ref":7,"repository":{"full_name":["acme/fleet"]}}"#.to_owned(), false),
        ] {
            check(kind, &body, wakes);
        }
    }
    // As GitHub's form fills it in when nobody chooses JSON.
    let form = "payload=%7B%22ref%22%3A%22refs%2Fheads%2Fmain%22%2C%22repository%22%3A%7B%22full_name%22%3A%22acme%2Ffleet%22%7D%7D";
    let host = one(Github, url(Github), secret(WebhookType::Generic, &[]));
    let signature = format!("sha256={}", sha256(TOKEN, form));
    let kind = "application/x-www-form-urlencoded";
    assert_eq!(
        host.send(&headers([("x-hub-signature-256", &*signature), ("content-type", kind)]), form),
        Verdict::Genuine
    );
    assert_eq!(host.woken(), 1);
}

#[test]
fn gitlab() {
    let project = r#""project":{"path_with_namespace":"acme/fleet"}"#;
    for (body, wakes) in [
        (format!(r#"{{"object_kind":"push","event_name":"push","ref":"refs/heads/main",{project}}}"#), true),
        (format!(r#"{{"event_name":"push","ref":"refs/heads/main",{project}}}"#), true),
        (format!(r#"{{"object_kind":"push","ref":"refs/heads/work",{project}}}"#), false),
        (format!(r#"{{"object_kind":"tag_push","ref":"refs/tags/1",{project}}}"#), false),
        (format!(r#"{{"object_kind":"merge_request","object_attributes":{{"action":"close"}},{project}}}"#), true),
        (format!(r#"{{"object_kind":"note",{project}}}"#), false),
        (r#"{"event_name":"project_create","path_with_namespace":"acme/fleet"}"#.to_owned(), false),
    ] {
        check(Gitlab, &body, wakes);
    }
}

#[test]
fn bitbucket() {
    let repository = r#""repository":{"full_name":"acme/fleet"}"#;
    let push = |changes: &str| format!(r#"{{"push":{{"changes":[{changes}]}},{repository}}}"#);
    let (main, work) = (r#"{"type":"branch","name":"main"}"#, r#"{"type":"branch","name":"work"}"#);
    for (body, wakes) in [
        (push(&format!(r#"{{"new":{main},"old":{main}}}"#)), true),
        (push(&format!(r#"{{"new":null,"old":{main}}}"#)), true),
        (push(&format!(r#"{{"new":{work},"old":null}}, {{"new":{main},"old":null}}"#)), true),
        (push(&format!(r#"{{"new":{work},"old":{main}}}"#)), false),
        (push(r#"{"new":{"type":"tag","name":"main"}}"#), false),
        (push(""), false),
        (format!(r#"{{"pullrequest":{{"state":"DECLINED"}},{repository}}}"#), true),
        (format!(r#"{{"issue":{{}},{repository}}}"#), false),
    ] {
        check(Bitbucket, &body, wakes);
    }
}

#[test]
fn bitbucket_data_center() {
    let repository = r#""repository":{"slug":"fleet","project":{"key":"ACME"}}"#;
    for (body, wakes) in [
        (format!(r#"{{"eventKey":"repo:refs_changed",{repository},"changes":[{{"ref":{{"id":"refs/heads/work"}}}},{{"ref":{{"id":"refs/heads/main"}}}}]}}"#), true),
        (format!(r#"{{"eventKey":"repo:refs_changed",{repository},"changes":[{{"ref":{{"id":"refs/heads/work"}}}}]}}"#), false),
        (format!(r#"{{"eventKey":"pr:declined","pullRequest":{{"toRef":{{"id":"refs/heads/main",{repository}}}}}}}"#), true),
        (r#"{"eventKey":"pr:declined","pullRequest":{"toRef":{"repository":{"slug":"other","project":{"key":"ACME"}}}}}"#.to_owned(), false),
        (r#"{"test":true}"#.to_owned(), false),
    ] {
        check(BitbucketDatacenter, &body, wakes);
    }
}

#[test]
fn azure_devops() {
    let repository = r#""repository":{"name":"fleet","project":{"name":"acme"}}"#;
    let update = |name: &str| {
        format!(r#"{{"eventType":"git.push","resource":{{"refUpdates":[{{"name":"{name}"}}],{repository}}}}}"#)
    };
    for (body, wakes) in [
        (update("refs/heads/main"), true),
        (update("refs/heads/work"), false),
        (
            format!(r#"{{"eventType":"git.pullrequest.updated","resource":{{"status":"abandoned",{repository}}}}}"#),
            true,
        ),
        (format!(r#"{{"eventType":"build.complete","resource":{{{repository}}}}}"#), false),
        (r#"{"eventType":"git.push","resource":null}"#.to_owned(), false),
    ] {
        check(AzureDevops, &body, wakes);
    }
}

#[test]
fn anything_with_the_path() {
    check(Generic, "", true);
    check(Generic, "not even JSON", true);
    check(GenericHmac, "{}", true);
}

#[test]
fn the_same_body_is_the_same_event_where_bodies_say_when_they_were_made() {
    let body = r#"{"ref":"refs/heads/main","repository":{"full_name":"acme/fleet"}}"#;
    for (kind, rung) in [(Github, 1), (Gitea, 1), (Generic, 2)] {
        let host = one(kind, url(kind), secret(WebhookType::Generic, &[]));
        let proof = proof(kind, body);
        let headers = headers(proof.iter().map(|(name, value)| (*name, value.as_str())));
        (0..2).for_each(|_| assert_eq!(host.send(&headers, body), Verdict::Genuine));
        assert_eq!(host.hooks.rung("app"), rung, "{kind:?}");
    }
}

#[test]
fn the_path_of_a_url() {
    for (url, path) in [
        ("https://git.example.com/acme/fleet.git", "acme/fleet"),
        ("https://git.example.com:8443/git/acme/fleet/", "git/acme/fleet"),
        ("ssh://git@git.example.com:22/acme/fleet.git", "acme/fleet"),
        ("git@git.example.com:acme/fleet.git", "acme/fleet"),
        ("git@[::1]:acme/fleet.git", "acme/fleet"),
        ("https://dev.azure.com/org/My%20Project/_git/fleet", "org/My Project/fleet"),
        ("git@ssh.dev.azure.com:v3/org/acme/fleet", "org/acme/fleet"),
        ("https://git.example.com", ""),
    ] {
        assert_eq!(payload::git_path(url), path, "{url}");
    }
    for (ours, named, expected) in [
        ("https://h/git/acme/fleet", "acme/fleet", true),
        ("https://h/acme/fleet", "ACME/Fleet", true),
        ("https://h/xacme/fleet", "acme/fleet", false),
        ("https://h/fleet", "acme/fleet", false),
        ("https://h/äcme/fleet", "cme/fleet", false),
    ] {
        let subject = Subject::Git { url: ours.to_owned(), reference: "refs/heads/main".to_owned() };
        let event =
            Event { names: Some(vec![Named { host: None, path: named.to_owned(), below: false }]), ..Event::default() };
        assert_eq!(subject.is_of(&event), expected, "{ours} {named}");
    }
}

#[test]
fn which_refs_are_heard_of() {
    for (ours, moved, expected) in [
        ("refs/heads/main", Some("refs/heads/main"), true),
        ("refs/heads/main", Some("refs/heads/main-2"), false),
        ("refs/tags/v1", Some("refs/tags/v1"), true),
        ("refs/tags/", Some("refs/tags/v1"), true),
        ("refs/tags/", Some("refs/heads/tags/"), false),
        ("", Some("refs/heads/main"), false),
        ("", None, true),
    ] {
        let subject = Subject::Git { url: "https://h/acme/fleet".to_owned(), reference: ours.to_owned() };
        let event = Event { reference: moved.map(str::to_owned), ..Event::default() };
        assert_eq!(subject.is_of(&event), expected, "{ours} {moved:?}");
    }
}
