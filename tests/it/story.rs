//! The demo's story from end to end: a tag becomes a commit becomes a rollout, and the cluster stays equal to Git.

use std::time::{Duration, Instant};

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{Patch, PatchParams};
use libtest_mimic::Trial;
use serde_json::json;
use tagboat::api::condition::Reason;
use tagboat::api::{ConfigRepo, GitSync, ImagePolicy, ImageUpdate};

use crate::setup::*;
use crate::support::git::Repo;
use crate::support::trial;
use crate::support::wait::wait_for;
use crate::support::world::World;

pub fn trials() -> Vec<Trial> {
    vec![trial("story: from tag to rollout and back", from_tag_to_rollout_and_back)]
}

fn app(world: &World) -> String {
    let (image, marker) = (world.image("app"), marker(world, "app"));
    format!(
        "# the demo's app
apiVersion: apps/v1
kind: Deployment
metadata:
  name:   app     # odd spaces stay
spec:
  replicas: 2
  selector: {{matchLabels: {{app: app}}}}
  template:
    metadata: {{labels: {{app: app}}}}
    spec:
      containers:
      - name: app
        image: \"{image}:1.0.0\"   {marker}
        env:
        - {{name: MODE,   value: 'on'}}
"
    )
}

fn web(tag: &str) -> String {
    format!(
        "apiVersion: apps/v1
kind: Deployment
metadata: {{name: web}}
spec:
  selector: {{matchLabels: {{app: web}}}}
  template:
    metadata: {{labels: {{app: web}}}}
    spec: {{containers: [{{name: web, image: 'example.com/web:{tag}'}}]}}
"
    )
}

fn config_map(name: &str) -> String {
    format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}}}\ndata: {{greeting: hello}}\n")
}

async fn from_tag_to_rollout_and_back(world: World) {
    world.push("app", &["0.9.0", "1.0.0"]).await;
    let files = [
        ("apps/app/deployment.yaml", app(&world)),
        ("apps/app/settings.yaml", config_map("settings")),
        ("apps/app/old.yaml", config_map("old")),
        ("apps/web/deployment.yaml", web("1.0.0")),
        ("README.md", "no manifest\n".to_owned()),
    ];
    let files: Vec<(&str, &str)> = files.iter().map(|(path, text)| (*path, text.as_str())).collect();
    let repo = world.repo("fleet", &files);
    let first = repo.head();

    config_repo(&world, &repo).await;
    image_policy(&world, "app", "app", NEWEST).await;
    image_update(&world, "batchWindow: 10ms, commit: {author: {name: Bosun, email: bosun@example.com}}").await;
    git_sync(&world, "path: apps").await;
    let begin = Instant::now();
    let _tagboat = world.tagboat().await;

    image_of(&world, "app", "1.0.0").await;
    synced(&world, &first).await;
    println!("deployed after {:?}", begin.elapsed());
    ready::<ConfigRepo>(&world, "fleet", "True", Reason::Succeeded).await;
    ready::<ImagePolicy>(&world, "app", "True", Reason::Succeeded).await;
    let update: ImageUpdate = ready(&world, "fleet", "True", Reason::Succeeded).await;
    assert_eq!(update.status.unwrap().markers, Some(1));
    assert_eq!(repo.head(), first, "nothing to bump");

    a_tag_becomes_a_rollout(&world, &repo).await;
    a_hand_edit_is_undone(&world).await;

    repo.remove(&["apps/app/old.yaml"], "old is not needed");
    wait_for(&world.api::<ConfigMap>(), "old", "gone", SOON, |map| map.is_none().then_some(())).await;
    event(&world, "apps", Reason::Pruned, &["ConfigMap", "old"]).await;
    synced(&world, &repo.head()).await;
    assert!(world.api::<ConfigMap>().get_opt("settings").await.unwrap().is_some());

    a_broken_rollout_is_told_and_overtaken(&world, &repo).await;
}

async fn a_tag_becomes_a_rollout(world: &World, repo: &Repo) {
    let before = repo.log().len();
    let begin = Instant::now();
    world.push("app", &["1.1.0"]).await;
    let policy = chosen(world, "app", "1.1.0").await;
    let status = policy.status.unwrap();
    assert_eq!(status.observed_previous_ref.unwrap().tag.as_str(), "1.0.0");
    image_of(world, "app", "1.1.0").await;
    println!("rolled out after {:?}", begin.elapsed());

    let log = repo.log();
    assert_eq!(log.len(), before + 1, "{log:#?}");
    let commit = &log[0];
    assert_eq!(commit.author, "Bosun <bosun@example.com>");
    assert_eq!(commit.parents, [log[1].id.clone()]);
    let (image, marker) = (world.image("app"), marker(world, "app"));
    let line = |sign, tag| format!("{sign}        image: \"{image}:{tag}\"   {marker}");
    assert_eq!(changed_lines(repo, &commit.id), [line('-', "1.0.0"), line('+', "1.1.0")]);
    let bump = Bump {
        policy: format!("{}:app", world.namespace),
        file: "apps/app/deployment.yaml".to_owned(),
        new: format!("{image}:1.1.0"),
    };
    assert_eq!(bumps(&log), [bump]);
    assert_eq!(git_says(repo, &["log", "-1", "--format=%(trailers:key=Tagboat-Update)", "main"]).lines().count(), 1);

    synced(world, &commit.id).await;
    println!("healthy after {:?}", begin.elapsed());
    let status = wait_for(&world.api::<ImageUpdate>(), "fleet", "the commit in status", SOON, |update| {
        update?.status.clone().filter(|status| status.last_push_commit.is_some())
    })
    .await;
    assert_eq!(status.last_push_commit.unwrap().to_string(), commit.id);
    assert_eq!((status.last_changes[0].line, status.last_changes[0].field.as_str()), (14, "image"));
    event(world, "fleet", Reason::Committed, &["1.1.0"]).await;
    event(world, "app", Reason::Chosen, &["1.1.0", "1.0.0"]).await;
}

async fn a_hand_edit_is_undone(world: &World) {
    let deployments = world.api::<Deployment>();
    let params = PatchParams { field_manager: Some("kubectl-edit".to_owned()), ..PatchParams::default() };
    let begin = Instant::now();
    let edited = deployments.patch("app", &params, &Patch::Merge(json!({"spec": {"replicas": 5}}))).await.unwrap();
    wait_for(&deployments, "app", "two replicas again", SOON, |deployment| {
        let deployment = deployment?;
        let is_later = deployment.metadata.generation > edited.metadata.generation;
        (is_later && deployment.spec.replicas == Some(2)).then_some(())
    })
    .await;
    println!("undone after {:?}", begin.elapsed());
    let note = event(world, "apps", Reason::DriftCorrected, &["Deployment", "app", "replicas", "kubectl-edit"]).await;
    println!("{note}");
}

async fn a_broken_rollout_is_told_and_overtaken(world: &World, repo: &Repo) {
    repo.commit(&[("apps/web/deployment.yaml", &web("1.1.0-broken"))], "web 1.1.0");
    let begin = Instant::now();
    let sync: GitSync = ready(world, "apps", "False", Reason::HealthCheckFailed).await;
    println!("told after {:?}: {}", begin.elapsed(), message(&sync));
    assert!(message(&sync).contains("CrashLoopBackOff"), "{}", message(&sync));
    assert!(message(&sync).contains("web"), "{}", message(&sync));
    event(world, "apps", Reason::HealthCheckFailed, &["CrashLoopBackOff"]).await;

    let fixed = repo.commit(&[("apps/web/deployment.yaml", &web("1.1.1"))], "web 1.1.1");
    let begin = Instant::now();
    image_of(world, "web", "1.1.1").await;
    synced(world, &fixed).await;
    println!("ready again after {:?}", begin.elapsed());
    assert!(begin.elapsed() < Duration::from_secs(20), "a newer commit never waits: {:?}", begin.elapsed());
}

/// Waits until the Deployment runs this tag.
async fn image_of(world: &World, name: &str, tag: &str) {
    wait_for(&world.api::<Deployment>(), name, tag, SOON, |deployment| {
        let template = deployment?.spec.template.spec.as_ref()?;
        template.containers[0].image.as_ref()?.ends_with(&format!(":{tag}")).then_some(())
    })
    .await;
}

/// Waits until everything of this commit is applied and healthy.
async fn synced(world: &World, commit: &str) {
    wait_for(&world.api::<GitSync>(), "apps", &format!("ready at {commit}"), SOON, |sync| {
        let status = sync?.status.as_ref()?;
        let ready = status.conditions.iter().find(|condition| condition.kind == "Ready")?;
        let revision = status.last_applied_revision.as_ref()?.to_string();
        (ready.status == "True" && revision == format!("main@sha1:{commit}")).then_some(())
    })
    .await;
}
