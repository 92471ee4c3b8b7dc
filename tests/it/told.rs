//! Changes by others: what is told of them and to whom, what is never told, and who gives way.

use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::api::{Patch, PatchParams};
use libtest_mimic::Trial;
use serde_json::json;
use tagboat::api::GitSync;
use tagboat::api::condition::Reason;

use crate::objects::*;
use crate::setup::*;
use crate::support::trial;
use crate::support::wait::wait_for;
use crate::support::world::World;

pub fn trials() -> Vec<Trial> {
    vec![
        trial("told: drift in the status", drift_is_told),
        trial("told: drift goes with its cause", told_drift_goes_with_its_cause),
        trial("told: no message holds a Secret's value", no_message_holds_a_secret),
        trial("told: a fight is given up", a_fight_is_given_up),
    ]
}

async fn drift_is_told(world: World) {
    let secret = "apiVersion: v1\nkind: Secret\nmetadata: {name: login}\nstringData: {word: sesame}\n";
    let repo = fleet(&world, &[("a.yaml", &config_map("a", "one")), ("login.yaml", secret)]).await;
    git_sync(&world, "path: ./, selfHeal: false").await;
    let _tagboat = world.tagboat().await;
    synced(&world, "apps", &repo.head()).await;
    edit::<ConfigMap>(&world, "a", "kubectl-edit", json!({"data": {"greeting": "two"}})).await;
    edit::<Secret>(&world, "login", "kubectl-edit", json!({"stringData": {"word": "hocus-pocus"}})).await;
    let sync = wait_for(&world.api::<GitSync>(), "apps", "both changes", SOON, |sync| {
        sync.filter(|sync| sync.status.as_ref().is_some_and(|status| status.drift.len() == 2)).cloned()
    })
    .await;
    let status = sync.status.clone().unwrap();
    println!("{}\n{:?}", message(&sync), status.drift);
    let a = &status.drift[0];
    assert_eq!(a.object, format!("ConfigMap/{}/a", world.namespace));
    assert!(a.changes[0].starts_with("data.greeting is \"two\", Git has \"one\" (set by kubectl-edit at 20"), "{a:?}");
    assert!(status.drift[1].changes[0].starts_with("data.word is \"***\""), "{:?}", status.drift[1]);
    edit::<ConfigMap>(&world, "a", "kubectl-edit", json!({"data": {"greeting": "one"}})).await;
    edit::<Secret>(&world, "login", "kubectl-edit", json!({"stringData": {"word": "sesame"}})).await;
    git_sync(&world, "path: ./").await;
    wait_for(&world.api::<GitSync>(), "apps", "no drift", SOON, |sync| {
        sync?.status.as_ref()?.drift.is_empty().then_some(())
    })
    .await;
}

/// Waits until the drift in the status is of so many objects.
async fn drifted(world: &World, objects: usize) {
    wait_for(&world.api::<GitSync>(), "apps", &format!("drift of {objects} objects"), SOON, |sync| {
        (sync?.status.as_ref()?.drift.len() == objects).then_some(())
    })
    .await;
}

async fn told_drift_goes_with_its_cause(world: World) {
    let repo = fleet(&world, &[("a.yaml", &config_map("a", "one")), ("b.yaml", &config_map("b", "one"))]).await;
    git_sync(&world, "path: ./, selfHeal: false").await;
    let _tagboat = world.tagboat().await;
    synced(&world, "apps", &repo.head()).await;
    let change = |name: &'static str, to: &'static str| {
        let world = &world;
        async move { edit::<ConfigMap>(world, name, "operator", json!({"data": {"greeting": to}})).await }
    };
    change("a", "two").await;
    drifted(&world, 1).await;
    event(&world, "apps", Reason::DriftDetected, &["ConfigMap", "data.greeting", "operator"]).await;

    // Also while something else keeps it from being ready.
    repo.commit(&[("web.yaml", &service("web", 70_000))], "a bad port");
    fails(&world, "apps", Reason::ApplyFailed, &["70000"]).await;
    change("b", "two").await;
    drifted(&world, 2).await;
    change("a", "one").await;
    change("b", "one").await;
    // Their values are as in Git, and nobody says that their owner is another now.
    let commit = repo.remove(&["web.yaml"], "mended");
    git_sync(&world, "path: ./, selfHeal: true").await;
    synced(&world, "apps", &commit).await;
    drifted(&world, 0).await;

    // A rule that leaves it to others.
    git_sync(&world, "path: ./, selfHeal: false").await;
    synced(&world, "apps", &commit).await;
    change("a", "two").await;
    drifted(&world, 1).await;
    git_sync(&world, "path: ./, selfHeal: false, ignoreDifferences: [{managedFieldsManagers: [operator]}]").await;
    drifted(&world, 0).await;
    assert_eq!(live::<ConfigMap>(&world, "a").await["data"]["greeting"], "two");
    // Nobody looks at what is suspended.
    git_sync(&world, "path: ./, selfHeal: false").await;
    edit::<ConfigMap>(&world, "b", "someone", json!({"data": {"greeting": "two"}})).await;
    drifted(&world, 1).await;
    git_sync(&world, "path: ./, selfHeal: false, suspend: true").await;
    drifted(&world, 0).await;
}

async fn no_message_holds_a_secret(world: World) {
    let words = ["open-sesame", "hocus-pocus", "abracadabra", "rumpelstilzchen"];
    world.secret("variables", "Opaque", json!({"word": words[3]})).await;
    let secret = |more: &str| {
        format!(
            "apiVersion: v1\nkind: Secret\nmetadata: {{name: login}}\nimmutable: true\nstringData: {{{more}}}\n---\n"
        )
    };
    let files = [
        ("login.yaml", &*secret("word: open-sesame")),
        ("a.yaml", &config_map("a", "'say-${word}'")),
        ("b.yaml", &config_map("b", "one")),
    ];
    let repo = fleet(&world, &files).await;
    let spec = "path: ./, selfHeal: false, postBuild: {substituteFrom: [{kind: Secret, name: variables}]}";
    git_sync(&world, spec).await;
    let tagboat = world.tagboat().await;
    synced(&world, "apps", &repo.head()).await;

    // Changes by others: of a value that came from a Secret, and to one.
    edit::<ConfigMap>(&world, "a", "kubectl-edit", json!({"data": {"greeting": "two"}})).await;
    edit::<ConfigMap>(&world, "b", "kubectl-edit", json!({"data": {"greeting": words[3]}})).await;
    drifted(&world, 2).await;
    event(&world, "apps", Reason::DriftDetected, &["ConfigMap", "***"]).await;
    // A Secret that can't be changed, two that are none, and an object that holds a value where none may be.
    let mut told = Vec::new();
    for odd in ["word: hocus-pocus", "word: [abracadabra, 1]", "word: abracadabra}\ndata: {word: 'abracadabra!'"] {
        let commit = repo.commit(&[("login.yaml", &secret(odd))], "odd");
        let failed = wait_for(&world.api::<GitSync>(), "apps", "a failure", SOON, |sync| {
            let is_it = sync?.status.as_ref()?.last_attempted_revision.as_ref()?.to_string().ends_with(&commit);
            let ready = sync?.conditions().iter().find(|condition| condition.kind == "Ready")?;
            (is_it && ready.status == "False").then(|| message(sync.unwrap()))
        })
        .await;
        println!("{failed}");
        told.push(failed);
    }
    let port = service("web", 80).replace("port: 80", "port: '${word}'");
    repo.commit(&[("login.yaml", &secret("word: open-sesame")), ("web.yaml", &port)], "a word for a port");
    let failed = fails(&world, "apps", Reason::ApplyFailed, &["Service", "web", "***"]).await;
    println!("{}", message(&failed));
    told.push(message(&failed));
    repo.remove(&["web.yaml"], "no port");
    repo.commit(&[("login.yaml", &secret("word: hocus-pocus"))], "made anew");
    git_sync(&world, &format!("{spec}, force: true")).await;
    holds::<Secret>(&world, "login", "/data/word", json!("aG9jdXMtcG9jdXM=")).await;
    synced(&world, "apps", &repo.head()).await;

    told.push(tagboat.log());
    told.push(serde_json::to_string(&world.api::<GitSync>().get("apps").await.unwrap().status).unwrap());
    for reason in [Reason::ApplyFailed, Reason::DriftDetected, Reason::DriftCorrected, Reason::Applied] {
        told.extend(events(&world, "apps", reason).await);
    }
    let told = told.join("\n");
    let encoded = ["b3Blbi1zZXNhbWU", "aG9jdXMtcG9jdXM"];
    for word in words.iter().chain(&encoded) {
        assert!(!told.contains(word), "{word} in\n{told}");
    }
}

async fn a_fight_is_given_up(world: World) {
    let repo = fleet(&world, &[("a.yaml", &config_map("a", "one"))]).await;
    git_sync(&world, "path: ./").await;
    let _tagboat = world.tagboat().await;
    synced(&world, "apps", &repo.head()).await;
    let mark = world.cluster.audit().mark();
    let rival = {
        let api = world.api::<ConfigMap>();
        async move {
            let params = PatchParams { field_manager: Some("rival".to_owned()), ..PatchParams::default() };
            loop {
                wait_for(&api, "a", "ours", SOON, |map| (map?.data.as_ref()?.get("greeting")? == "one").then_some(()))
                    .await;
                api.patch("a", &params, &Patch::Merge(json!({"data": {"greeting": "rival"}}))).await.unwrap();
            }
        }
    };
    let told = event(&world, "apps", Reason::Contested, &["ConfigMap", "10 times", "rival"]);
    let note = tokio::select! {
        () = rival => String::new(),
        note = told => note,
    };
    println!("{note}");
    assert_eq!(acts(&world, mark).len(), 10, "{:?}", acts(&world, mark));
    let sync: GitSync = ready(&world, "apps", "True", Reason::DriftDetected).await;
    assert!(sync.status.unwrap().drift[0].changes[0].contains("rival"));
    assert_eq!(live::<ConfigMap>(&world, "a").await["data"]["greeting"], "rival");
    let commit = repo.commit(&[("a.yaml", &config_map("a", "two"))], "Git still decides");
    holds::<ConfigMap>(&world, "a", "/data/greeting", json!("two")).await;
    synced(&world, "apps", &commit).await;
}
