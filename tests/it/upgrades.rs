//! From one version to the next and back: neither writes what the other one has written. What is recorded in clusters and commits is
//! compared with what it has been since the first version that recorded it.

use std::collections::BTreeMap;
use std::path::PathBuf;

use k8s_openapi::api::core::v1::ConfigMap;
use libtest_mimic::{Failed, Trial};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tagboat::api::condition::Reason;
use tagboat::api::{
    ConfigRepoStatus, GitSyncStatus, ImagePolicyStatus, ImageUpdate, ImageUpdateStatus, git_sync::Inventory as Recorded,
};
use tagboat::sync::inventory::Inventory;
use tagboat::sync::render::{Options, Scope, builtin_scope, finish, plain};
use tagboat::sync::{fields, hash};
use tagboat::update::trailers;

use crate::objects::*;
use crate::outages::runs;
use crate::setup::*;
use crate::support::git::Repo;
use crate::support::tagboat::{BINARY, Launch, Tagboat};
use crate::support::wait::wait_for;
use crate::support::world::World;
use crate::support::{checkout, trial};

pub fn trials() -> Vec<Trial> {
    vec![
        Trial::test("upgrades: what is recorded reads as ever", what_is_recorded),
        trial("upgrades: there and back without a commit or an apply", there_and_back),
    ]
}

fn data(name: &str) -> String {
    std::fs::read_to_string(checkout("tests/data/recorded").join(name)).unwrap()
}

/// Hashes, inventories, trailers and statuses, as they lie in the clusters and repositories of users.
fn what_is_recorded() -> Result<(), Failed> {
    let recorded: Value = serde_json::from_str(&data("recorded.json")).unwrap();
    let owner = ("web".to_owned(), "apps".to_owned());
    let options = Options { owner, uid: None, target_namespace: None, common_metadata: Default::default() };
    let read = plain(&[("objects.yaml".to_owned(), data("objects.yaml").into_bytes())]);
    let known = read.manifests.clone();
    let rendered = finish(read, &options, &|gvk| builtin_scope(gvk, &known).unwrap_or(Scope::Namespaced));
    assert_eq!(rendered.problems, []);
    let hashes: BTreeMap<String, String> =
        rendered.manifests.iter().map(|m| (m.key.inventory_id(), hash::of(&m.body))).collect();
    let live: Value = serde_json::from_str(&data("live.json")).unwrap();
    let packed: Recorded = serde_json::from_value(json!({"entries": [], "packed": recorded["packed"]})).unwrap();
    let message = recorded["message"].as_str().unwrap_or_default();
    let found = json!({
        "rendered": hashes,
        "live": fields::projection_hash(&live, "tagboat"),
        "packed": recorded["packed"],
        "unpacked": Inventory::decode(&packed).encode(),
        "message": message,
        "trailers": trailers::read(message).iter().map(|t| json!([t.policy, t.file, t.line, t.field, t.old, t.new])).collect::<Vec<_>>(),
        "statuses": {
            "ConfigRepo": again::<ConfigRepoStatus>(&recorded["statuses"]["ConfigRepo"]),
            "GitSync": again::<GitSyncStatus>(&recorded["statuses"]["GitSync"]),
            "ImagePolicy": again::<ImagePolicyStatus>(&recorded["statuses"]["ImagePolicy"]),
            "ImageUpdate": again::<ImageUpdateStatus>(&recorded["statuses"]["ImageUpdate"]),
        },
        "names": [tagboat::api::FIELD_MANAGER, tagboat::api::FINALIZER, tagboat::api::OWNER_NAME, tagboat::api::OWNER_NAMESPACE,
            tagboat::api::HOOK_RUN, trailers::KEY],
    });
    if found == recorded {
        return Ok(());
    }
    Err(Failed::from(format!(
        "what earlier versions recorded reads otherwise now: after an upgrade every object would be applied again, or every value \
         committed again. If there is no way to read both, say so in CHANGELOG.md under \"Upgrading\" and record it anew in \
         tests/data/recorded/recorded.json:\n{}",
        serde_json::to_string_pretty(&found).unwrap()
    )))
}

/// A status, read and written again.
fn again<S: DeserializeOwned + Serialize>(recorded: &Value) -> Value {
    match serde_json::from_value::<S>(recorded.clone()) {
        Ok(status) => serde_json::to_value(status).unwrap(),
        Err(error) => json!(error.to_string()),
    }
}

/// The program of before: `TAGBOAT_BEFORE` names one (`make upgrade`); else the same one twice.
fn before() -> PathBuf {
    std::env::var_os("TAGBOAT_BEFORE").map_or_else(|| BINARY.into(), PathBuf::from)
}

async fn there_and_back(world: World) {
    let before = before();
    let is_same = before.as_os_str() == BINARY;
    world.push("app", &["1.0.0"]).await;
    let app = |tag: &str| {
        format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: app}}\ndata:\n  {}", marked(&world, "app", tag))
    };
    let plain = format!("{}{}", service("web", 80), deployment("web", "replicas: 2,", ""));
    let secret = "apiVersion: v1\nkind: Secret\nmetadata: {name: login}\nstringData: {word: sesame}\n";
    let files = [
        ("plain/app.yaml", app("1.0.0")),
        ("plain/web.yaml", plain),
        ("plain/login.yaml", secret.to_owned()),
        ("built/kustomization.yaml", "namePrefix: x-\nconfigMapGenerator: [{name: c, literals: [a=b]}]\n".to_owned()),
        ("chart/Chart.yaml", "apiVersion: v2\nname: web\nversion: 0.1.0\n".to_owned()),
        ("chart/templates/map.yaml", config_map("'{{ .Release.Name }}-map'", "'{{ .Chart.Version }}'")),
    ];
    let files: Vec<(&str, &str)> = files.iter().map(|(path, text)| (*path, text.as_str())).collect();
    let repo = world.repo("fleet", &files);
    config_repo(&world, &repo).await;
    image_policy(&world, "app", "app", NEWEST).await;
    image_update(&world, "batchWindow: 10ms").await;
    for name in ["plain", "built", "chart"] {
        sync(&world, name, &format!("path: {name}, targetNamespace: {}", world.namespace)).await;
    }
    let old = Launch { binary: before, ..world.launch() };
    let tagboat = world.run(&old).await;
    bump(&world, &repo, "1.1.0").await;
    assert_eq!(tagboat.terminate().await, 0);

    // Once with the folder of the one before, once without.
    let new = Launch { binary: BINARY.into(), ..old.clone() };
    let tagboat = world.run(&new).await;
    nothing_is_written(&world, &repo, &tagboat, is_same).await;
    bump(&world, &repo, "1.2.0").await;
    assert_eq!(tagboat.terminate().await, 0);
    for launch in [old, Launch { binary: BINARY.into(), ..world.launch() }] {
        let tagboat = world.run(&launch).await;
        nothing_is_written(&world, &repo, &tagboat, is_same).await;
        assert_eq!(tagboat.terminate().await, 0);
    }
    assert_eq!(robots(&repo.log()).len(), 2);
}

/// A tag is pushed, committed and applied, and everything told.
async fn bump(world: &World, repo: &Repo, tag: &str) {
    world.push("app", &[tag]).await;
    in_git(repo, "plain/app.yaml", tag).await;
    for name in ["plain", "built", "chart"] {
        synced(world, name, &repo.head()).await;
    }
    let image = format!("{}:{tag}", world.image("app"));
    holds::<ConfigMap>(world, "app", "/data/image", json!(image)).await;
    wait_for(&world.api::<ImageUpdate>(), "fleet", "told of the push", SOON, |update| {
        (update?.status.as_ref()?.last_push_commit.as_ref()?.as_str() == repo.head()).then_some(())
    })
    .await;
    ready::<ImageUpdate>(world, "fleet", "True", Reason::Succeeded).await;
}

/// Another version may have more to say of what it sees, and nothing to do.
async fn nothing_is_written(world: &World, repo: &Repo, tagboat: &Tagboat, is_same: bool) {
    let (mark, head) = (world.cluster.audit().mark(), repo.head());
    runs(tagboat, 6).await;
    scanned(world, &world.repository("app"), 2).await;
    let before = repo.requests().len();
    asked("the branch", before + 3, || repo.requests().len()).await;
    let status = |write: &&String| write.ends_with("/status") || write.contains(" events/");
    let writes = writes(world, mark);
    let acts: Vec<&String> = writes.iter().filter(|write| is_same || !status(write)).collect();
    assert_eq!(acts, Vec::<&String>::new());
    assert_eq!(repo.head(), head);
}
