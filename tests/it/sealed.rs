//! Files that the real sops encrypted, on their way into the cluster: objects, generators and values files; keys that fit and keys that
//! don't; and nothing of it on a disk or in a message. The files and their keys are those of `tests/data/sops`.

use std::os::unix::fs::PermissionsExt;

use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::ResourceExt;
use kube::api::{DeleteParams, ListParams};
use libtest_mimic::Trial;
use serde_json::{Value, json};
use tagboat::api::GitSync;
use tagboat::api::condition::Reason;

use crate::objects::*;
use crate::setup::*;
use crate::support::parts::program;
use crate::support::trial;
use crate::support::world::World;

pub fn trials() -> Vec<Trial> {
    vec![
        trial("sealed: Secrets for age", secrets_for_age),
        trial("sealed: a Secret for OpenPGP", a_secret_for_openpgp),
        trial("sealed: in a kustomization, on no disk", in_a_kustomization),
        trial("sealed: values of a chart, on no disk", values_of_a_chart),
        trial("sealed: keys that don't fit, and files that were changed", keys_that_do_not_fit),
    ]
}

macro_rules! data {
    ($name:literal) => {
        include_str!(concat!("../data/sops/", $name))
    };
}

const PASSWORD: &str = "correct horse battery";
/// Of nobody.
const OTHER: &str = "AGE-SECRET-KEY-1NOBODY";
const SPEC: &str = "path: apps, interval: 1h, decryption: {provider: sops, secretRef: {name: keys}}";

async fn keys(world: &World, entries: Value) {
    world.api::<Secret>().delete("keys", &DeleteParams::default()).await.ok();
    world.secret("keys", "Opaque", entries).await;
}

async fn password(world: &World, name: &str) -> Value {
    let secret = world.api::<Secret>().get(name).await.unwrap();
    let value = secret.data.unwrap_or_default().remove("password").unwrap();
    Value::from(String::from_utf8(value.0).unwrap())
}

/// Nothing that people read holds what was encrypted.
async fn stays_secret(world: &World, log: &str) {
    let sync = serde_json::to_string(&world.api::<GitSync>().get("apps").await.unwrap()).unwrap();
    let events = world.api::<k8s_openapi::api::events::v1::Event>().list(&ListParams::default()).await.unwrap();
    let events = serde_json::to_string(&events.items).unwrap();
    for (what, text) in [("status", &*sync), ("events", &*events), ("log", log)] {
        for word in [PASSWORD, "horse", "Y29ycmVjdCBob3JzZSBiYXR0ZXJ5", "0123-staple", "AGE-SECRET-KEY-18257XX"] {
            assert!(!text.contains(word), "{what}: {word}: {text}");
        }
    }
}

async fn secrets_for_age(world: World) {
    keys(&world, json!({"fleet.agekey": data!("key.agekey")})).await;
    let repo =
        fleet(&world, &[("apps/secret.yaml", data!("secret.yaml")), ("apps/map.yaml", &config_map("map", "x"))]).await;
    git_sync(&world, SPEC).await;
    let tagboat = world.tagboat().await;
    synced(&world, "apps", &repo.head()).await;
    assert_eq!(password(&world, "login").await, PASSWORD);
    exists::<Secret>(&world, "token", true).await;
    assert_eq!(live::<Secret>(&world, "login").await.get("sops"), None);

    // Changed by hand, it is set back, and the event says nothing of it.
    edit::<Secret>(&world, "login", "kubectl-edit", json!({"stringData": {"password": "other"}})).await;
    event(&world, "apps", Reason::DriftCorrected, &["login", "kubectl-edit"]).await;
    assert_eq!(password(&world, "login").await, PASSWORD);

    // Another commit that it has no part in costs nothing; encrypted anew with the same content, nothing either.
    let mark = world.cluster.audit().mark();
    let again = repo.commit(&[("apps/secret.yaml", data!("secret-mac-only.yaml"))], "encrypted again");
    synced(&world, "apps", &again).await;
    assert_eq!(acts(&world, mark), Vec::<String>::new());
    // A part of a file is not the file.
    let half = data!("secret-mac-only.yaml").split("\n---\n").next().unwrap().to_owned();
    repo.commit(&[("apps/secret.yaml", &half)], "half of it");
    println!("{}", message(&fails(&world, "apps", Reason::RenderFailed, &["apps/secret.yaml", "MAC"]).await));
    exists::<Secret>(&world, "token", true).await;
    stays_secret(&world, &tagboat.log()).await;
}

async fn a_secret_for_openpgp(world: World) {
    keys(&world, json!({"fleet.asc": data!("key.asc")})).await;
    let repo = fleet(&world, &[("apps/secret.yaml", data!("secret-openpgp.yaml"))]).await;
    git_sync(&world, SPEC).await;
    let tagboat = world.tagboat().await;
    synced(&world, "apps", &repo.head()).await;
    assert_eq!(password(&world, "login").await, PASSWORD);
    stays_secret(&world, &tagboat.log()).await;
}

/// A program that notes on which kind of file system it works, and runs.
fn watched(folder: &std::path::Path, name: &str) -> (String, String) {
    let path = folder.join(name);
    let script = format!(
        "#!/bin/sh\n/usr/bin/stat -f -c %T . >>{}\nexec {} \"$@\"\n",
        folder.join("seen").display(),
        program(name).unwrap().display()
    );
    std::fs::write(&path, script).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    (format!("TAGBOAT_{}", name.to_uppercase()), path.display().to_string())
}

fn seen(folder: &std::path::Path) -> Vec<String> {
    std::fs::read_to_string(folder.join("seen")).unwrap().lines().map(str::to_owned).collect()
}

async fn in_a_kustomization(world: World) {
    keys(&world, json!({"fleet.agekey": data!("key.agekey")})).await;
    let kustomization = "resources: [secret.yaml]\nnamePrefix: my-\nsecretGenerator:\n- {name: settings, envs: [settings.env]}\n- {name: store, files: [keystore.bin, types.yaml]}\n";
    let keystore = data!("keystore.bin");
    let files = [
        ("apps/kustomization.yaml", kustomization),
        ("apps/secret.yaml", data!("secret.yaml")),
        ("apps/settings.env", data!("settings.env")),
        ("apps/keystore.bin", keystore),
        ("apps/types.yaml", data!("types.yaml")),
    ];
    let repo = fleet(&world, &files).await;
    git_sync(&world, SPEC).await;
    let folder = tempfile::tempdir().unwrap();
    let mut launch = world.launch();
    launch.env.push(watched(folder.path(), "kustomize"));
    let tagboat = world.run(&launch).await;
    synced(&world, "apps", &repo.head()).await;
    assert_eq!(password(&world, "my-login").await, PASSWORD);
    let all = world.api::<Secret>().list(&ListParams::default().labels("tagboat.dev/gitsync")).await.unwrap().items;
    let of = |start: &str| {
        let found = all.iter().find(|secret| secret.name_any().starts_with(start)).unwrap();
        found
            .data
            .clone()
            .unwrap()
            .into_iter()
            .map(|(key, value)| (key, value.0))
            .collect::<std::collections::BTreeMap<_, _>>()
    };
    let settings = of("my-settings-");
    assert_eq!(settings["PASSWORD"], PASSWORD.as_bytes());
    assert_eq!(settings["USER"], b"web");
    let store = of("my-store-");
    assert_eq!(store["keystore.bin"], include_bytes!("../data/sops/plain/keystore.bin"));
    let types: Value = serde_yaml::from_slice(&store["types.yaml"]).unwrap();
    assert_eq!((&types["int"], &types["list"][0]), (&json!(420), &json!("one")));
    assert!(seen(folder.path()).iter().all(|kind| kind == "tmpfs"), "{:?}", seen(folder.path()));

    // A generator in a folder without keys of its own would carry the encrypted file: it is refused instead.
    git_sync(&world, "path: apps, interval: 1h").await;
    println!(
        "{}",
        message(
            &fails(&world, "apps", Reason::RenderFailed, &["encrypted by SOPS", "spec.decryption", "and 1 more"]).await
        )
    );
    assert_eq!(password(&world, "my-login").await, PASSWORD);
    stays_secret(&world, &tagboat.log()).await;
}

async fn values_of_a_chart(world: World) {
    keys(&world, json!({"fleet.agekey": data!("key.agekey")})).await;
    let template = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: app}\ndata: {text: {{ .Values.text }}, deep: {{ (index .Values.list 2).deep | first }}}\n";
    let files = [
        ("apps/Chart.yaml", "apiVersion: v2\nname: web\nversion: 0.1.0\n"),
        ("apps/templates/app.yaml", &template.replace(".Values.text }}", ".Values.text | quote }}")),
        ("apps/types.yaml", data!("types.yaml")),
    ];
    let repo = fleet(&world, &files).await;
    git_sync(&world, &format!("{SPEC}, helm: {{valuesFiles: [types.yaml]}}")).await;
    let folder = tempfile::tempdir().unwrap();
    let mut launch = world.launch();
    launch.env.push(watched(folder.path(), "helm"));
    let _tagboat = world.run(&launch).await;
    synced(&world, "apps", &repo.head()).await;
    holds::<ConfigMap>(&world, "app", "/data", json!({"text": "yes", "deep": "three"})).await;
    assert!(seen(folder.path()).iter().all(|kind| kind == "tmpfs"), "{:?}", seen(folder.path()));
}

async fn keys_that_do_not_fit(world: World) {
    let repo = fleet(&world, &[("apps/secret.yaml", data!("secret.yaml"))]).await;
    git_sync(&world, SPEC).await;
    let tagboat = world.tagboat().await;
    println!(
        "{}",
        message(
            &fails(&world, "apps", Reason::RenderFailed, &["spec.decryption.secretRef", "keys does not exist"]).await
        )
    );
    keys(&world, json!({"fleet.asc": data!("key.asc")})).await;
    let words = ["apps/secret.yaml", "no key of Secret", "decrypts it", "age age1"];
    println!("{}", message(&fails(&world, "apps", Reason::RenderFailed, &words).await));
    keys(&world, json!({"fleet.agekey": OTHER})).await;
    println!(
        "{}",
        message(&fails(&world, "apps", Reason::RenderFailed, &["fleet.agekey", "line 1 is no identity"]).await)
    );
    exists::<Secret>(&world, "login", false).await;

    // The right one counts at once.
    keys(&world, json!({"fleet.agekey": data!("key.agekey")})).await;
    synced(&world, "apps", &repo.head()).await;
    assert_eq!(password(&world, "login").await, PASSWORD);

    // From now on the last good state stays, whatever happens to the file or the key.
    let changed = data!("secret.yaml").replace("tier: web", "tier: db");
    repo.commit(&[("apps/secret.yaml", &changed)], "by hand");
    println!(
        "{}",
        message(
            &fails(&world, "apps", Reason::RenderFailed, &["apps/secret.yaml", "MAC does not match", "sops edit"])
                .await
        )
    );
    edit::<Secret>(&world, "login", "kubectl-edit", json!({"stringData": {"password": "other"}})).await;
    event(&world, "apps", Reason::DriftCorrected, &["login"]).await;
    assert_eq!(password(&world, "login").await, PASSWORD);
    let mended = repo.commit(&[("apps/secret.yaml", data!("secret.yaml"))], "mended");
    synced(&world, "apps", &mended).await;
    world.api::<Secret>().delete("keys", &DeleteParams::default()).await.unwrap();
    fails(&world, "apps", Reason::RenderFailed, &["keys does not exist"]).await;
    assert_eq!(password(&world, "login").await, PASSWORD);
    stays_secret(&world, &tagboat.log()).await;
}
