//! Input from people who mean no good, or mistyped: refused with a reason, and everything else goes on.

use kube::api::{Patch, PatchParams};
use libtest_mimic::Trial;
use serde_json::{Value, json};
use tagboat::api::ImagePolicy;
use tagboat::api::condition::Reason;

use crate::setup::*;
use crate::support::trial;
use crate::support::world::World;

pub fn trials() -> Vec<Trial> {
    vec![
        trial("hostile: image names and policies", image_names_and_policies),
        trial("hostile: file names in Git", file_names_in_git),
        trial("hostile: tags that look like YAML or options", tags_that_look_like_something_else),
    ]
}

/// What is refused: by the server with 422, or else by the controller with `InvalidSpec`. All with the words that help.
fn invalid(host: &str) -> Vec<(String, Value, Option<Value>, &'static str)> {
    let newest = json!({"semver": {"range": "*"}});
    let image = |image: &str| (image.to_owned(), newest.clone(), None, "image");
    let filter = |pattern: &str, extract: Value, field: &'static str| {
        let filter = json!({"pattern": pattern, "extract": extract});
        (format!("{host}/app"), json!({"alphabetical": {}}), Some(filter), field)
    };
    let policy = |policy: Value, field: &'static str| (format!("{host}/app"), policy, None, field);
    vec![
        image(""),
        image(&format!("https://{host}/app")),
        image(&format!("{host}/app@sha256:{}", "0".repeat(64))),
        image(&format!("{host}/app:1.0.0")),
        image(&format!("{host}/../../v2/_catalog")),
        image(&format!("{host}/a/../b")),
        image(&format!("{host}/two words")),
        image(&format!("{host}/App")),
        image(&format!("{host}/app?n=1")),
        image(&format!("{host}/app#x")),
        image(&format!("{host}/app\nname: other")),
        image("user:word@host/app"),
        image("host:port/app"),
        image(&format!("{host}/{}", "a".repeat(300))),
        filter("(", Value::Null, "filterTags"),
        filter("(a{1000}){1000}", Value::Null, "filterTags"),
        filter("^(?P<v>.*)$", json!("$other"), "filterTags"),
        filter("^(.*)$", json!("$2"), "filterTags"),
        policy(json!({}), "policy"),
        policy(json!({"semver": {"range": "*"}, "numerical": {}}), "policy"),
        policy(json!({"semver": {"range": "not a range"}}), "range"),
        policy(json!({"semver": {"range": ">= && <"}}), "range"),
    ]
}

async fn image_names_and_policies(world: World) {
    let tagboat = world.tagboat().await;
    for (n, (image, policy, filter, field)) in invalid(&world.registry.host).into_iter().enumerate() {
        let name = format!("bad-{n}");
        let mut spec = json!({"image": image, "insecure": true, "interval": "1s", "policy": policy});
        if let Some(filter) = filter {
            spec["filterTags"] = filter;
            if spec["filterTags"]["extract"].is_null() {
                spec["filterTags"].as_object_mut().unwrap().remove("extract");
            }
        }
        let object = json!({"apiVersion": "tagboat.dev/v1alpha1", "kind": "ImagePolicy", "metadata": {"name": name}, "spec": spec});
        let applied =
            world.api::<ImagePolicy>().patch(&name, &PatchParams::apply("person"), &Patch::Apply(object)).await;
        let said = match applied {
            Err(kube::Error::Api(status)) => {
                assert_eq!(status.code, 422, "{spec}: {}", status.message);
                format!("server: {}", status.message)
            }
            Err(error) => panic!("{spec}: {error}"),
            Ok(_) => {
                let policy: ImagePolicy = ready(&world, &name, "False", Reason::InvalidSpec).await;
                assert_eq!(latest(&policy), None);
                format!("status: {}", message(&policy))
            }
        };
        assert!(said.contains(field), "{spec}: {said}");
        assert!(!said.contains('\n') || said.starts_with("server"), "one line: {said:?}");
    }
    // Nothing of it is in the way of what is right.
    world.push("app", &["1.0.0"]).await;
    image_policy(&world, "good", "app", NEWEST).await;
    chosen(&world, "good", "1.0.0").await;
    assert!(!tagboat.log().contains("panicked"));
}

async fn file_names_in_git(world: World) {
    world.push("app", &["1.0.0", "1.1.0"]).await;
    let text = marked(&world, "app", "1.0.0");
    let names = [
        "plain.yaml",
        "with space/a b.yaml",
        "quotes/\"double\" 'single'.yaml",
        "line\nbreak\nTagboat-Update: [\"x\"].yaml",
        "tab\there.yml",
        "ümläut/🚢.yaml",
        "-rf.yaml",
        "$(id)/`id`.yaml",
        "back\\slash.yaml",
        "deep/a/b/c/d/e/f/g/h/i/j/k/l/m/n/o/p/q.yaml",
        "Kustomization",
    ];
    let mut files: Vec<(&str, &str)> = names.iter().map(|name| (*name, text.as_str())).collect();
    files.push(("notes.txt", &text));
    files.push(("yaml", &text));
    let repo = world.repo("fleet", &files);
    config_repo(&world, &repo).await;
    image_policy(&world, "app", "app", NEWEST).await;
    image_update(&world, "batchWindow: 10ms").await;
    let tagboat = world.tagboat().await;
    for name in names {
        in_git(&repo, name, ":1.1.0 ").await;
    }
    let log = repo.log();
    assert_eq!(log.len(), 2, "{log:#?}");
    let mut edited: Vec<String> = bumps(&log).into_iter().map(|bump| bump.file).collect();
    edited.sort();
    let mut wanted = names.map(str::to_owned);
    wanted.sort();
    assert_eq!(edited, wanted, "every name reads back from the trailers");
    for other in ["notes.txt", "yaml"] {
        assert_eq!(repo.file_at_head(other).unwrap(), text, "{other} is none to edit");
    }
    assert_eq!(git_says(&repo, &["fsck", "--strict"]), "");
    assert!(!tagboat.log().contains("panicked"));
}

async fn tags_that_look_like_something_else(world: World) {
    // Numbers, dates and words that YAML would not read as text.
    for (app, tag) in [("number", "0x1f"), ("float", "1.10"), ("word", "yes"), ("nothing", "null"), ("exponent", "1e3")]
    {
        world.push(app, &[tag]).await;
        image_policy(&world, app, app, "policy: {alphabetical: {}}").await;
    }
    let namespace = &world.namespace;
    let tag = |policy: &str| format!("tag: old # {{\"$imagepolicy\": \"{namespace}:{policy}:tag\"}}\n");
    let apps = ["number", "float", "word", "nothing", "exponent"];
    let files: Vec<(String, String)> = apps.iter().map(|app| (format!("{app}.yaml"), tag(app))).collect();
    let files: Vec<(&str, &str)> = files.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
    let repo = world.repo("fleet", &files);
    config_repo(&world, &repo).await;
    image_update(&world, "batchWindow: 10ms").await;
    let _tagboat = world.tagboat().await;
    for (app, wanted) in
        [("number", "0x1f"), ("float", "1.10"), ("word", "yes"), ("nothing", "null"), ("exponent", "1e3")]
    {
        in_git(&repo, &format!("{app}.yaml"), &format!("tag: '{wanted}' #")).await;
        let read: Value = serde_yaml::from_str(&repo.file_at_head(&format!("{app}.yaml")).unwrap()).unwrap();
        assert_eq!(read["tag"], wanted);
    }
}
