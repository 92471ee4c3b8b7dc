//! The harness itself: real servers answer, faults can be made, requests are counted, nothing stays behind.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::Duration;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use kube::api::{ListParams, PostParams};
use libtest_mimic::Trial;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::json;

use crate::support::git::git;
use crate::support::process::Process;
use crate::support::traffic::Fault;
use crate::support::wait::{eventually, wait_for};
use crate::support::world::World;
use crate::support::{bare_trial, guard, private_registry, registry, runtime, trial};

const SOON: Duration = Duration::from_secs(30);

pub fn trials() -> Vec<Trial> {
    vec![
        trial("parts: a deployment becomes available", a_deployment_becomes_available),
        trial("parts: a broken image crash-loops", a_broken_image_crash_loops),
        trial("parts: the registry lists what was pushed", the_registry_lists_what_was_pushed),
        trial("parts: the private registry wants its password", the_private_registry_wants_its_password),
        trial("parts: git clones and pushes over HTTP", git_clones_and_pushes_over_http),
        trial("parts: git reverts", git_reverts),
        trial("parts: a stopped API server goes on", a_stopped_api_server_goes_on),
        trial("parts: requests of a user are counted", requests_of_a_user_are_counted),
        bare_trial("parts: a killed run leaves nothing behind", a_killed_run_leaves_nothing_behind),
    ]
}

fn deployment(image: &str) -> String {
    format!(
        "
apiVersion: apps/v1
kind: Deployment
metadata: {{name: app}}
spec:
  selector: {{matchLabels: {{app: app}}}}
  template:
    metadata: {{labels: {{app: app}}}}
    spec: {{containers: [{{name: app, image: '{image}'}}]}}
"
    )
}

async fn a_deployment_becomes_available(world: World) {
    world.apply_yaml(&deployment("example.com/app:1.0.0")).await;
    let is_available = |object: Option<&Deployment>| {
        let conditions = object?.status.as_ref()?.conditions.as_ref()?;
        conditions
            .iter()
            .any(|c| c.type_.as_deref() == Some("Available") && c.status.as_deref() == Some("True"))
            .then_some(())
    };
    wait_for(&world.api::<Deployment>(), "app", "Available", SOON, is_available).await;
}

async fn a_broken_image_crash_loops(world: World) {
    world.apply_yaml(&deployment("example.com/app:1.0.0-broken")).await;
    let pods = world.api::<Pod>();
    eventually("CrashLoopBackOff", SOON, || async {
        let pods = pods.list(&ListParams::default()).await.unwrap().items;
        let statuses = pods.iter().filter_map(|pod| pod.status.as_ref()?.container_statuses.as_ref()).flatten();
        let reasons: Vec<_> = statuses.map(|status| status.state.as_ref()?.waiting.as_ref()?.reason.clone()).collect();
        if reasons == [Some("CrashLoopBackOff".to_owned())] { Ok(()) } else { Err(format!("{reasons:?}")) }
    })
    .await;
}

async fn the_registry_lists_what_was_pushed(world: World) {
    let repository = world.repository("app");
    let first = world.registry.push(&repository, "1.0.0").await;
    let second = world.registry.push(&repository, "1.1.0").await;
    assert_ne!(first, second);
    assert_eq!(world.registry.requests(&repository), 0, "pushes of tests are not counted");

    let list = format!("http://{}/v2/{repository}/tags/list?n=1", world.registry.host);
    let answer = reqwest::get(&list).await.unwrap();
    assert!(answer.headers()["link"].to_str().unwrap().contains("last=1.0.0"));
    let manifest = format!("http://{}/v2/{repository}/manifests/1.1.0", world.registry.host);
    let answer = reqwest::Client::new().head(&manifest).header("accept", "application/vnd.oci.image.manifest.v1+json");
    assert_eq!(answer.send().await.unwrap().headers()["docker-content-digest"], second);
    assert_eq!(world.registry.requests(&repository), 2);

    world.registry.delete(&repository, "1.0.0").await;
    assert_eq!(world.registry.tags(&repository).await, ["1.1.0"]);
    world.registry.down(&repository, true);
    assert_eq!(reqwest::get(&list).await.unwrap().status(), 503);
    world.registry.traffic().fault(&repository, Some(Fault::Truncate));
    assert!(reqwest::get(&list).await.unwrap().text().await.is_err());

    let repository = world.repository("many");
    world.registry.push_many(&repository, (0..100).map(|n| format!("1.0.{n}"))).await;
    assert_eq!(world.registry.tags(&repository).await.len(), 100);
}

async fn the_private_registry_wants_its_password(world: World) {
    let registry = private_registry().await;
    let repository = world.repository("app");
    registry.push(&repository, "1.0.0").await;
    let list = format!("http://{}/v2/{repository}/tags/list", registry.host);
    let ask = |password| reqwest::Client::new().get(&list).basic_auth("tagboat", Some(password)).send();
    assert_eq!(ask("harbour-7").await.unwrap().status(), 200);
    assert_eq!(ask("wrong").await.unwrap().status(), 401);
    assert_eq!(registry.requests(&repository), 2);
}

async fn git_clones_and_pushes_over_http(world: World) {
    let repo = world.repo("fleet", &[("apps/app.yaml", "image: app:1.0.0\n"), ("README", "hello\n")]);
    let folder = tempfile::tempdir_in(guard::folder()).unwrap();
    let clone = folder.path().join("clone");
    let login = |password| repo.url.replace("http://", &format!("http://{}:{password}@", world.git.username));

    assert!(!run_git(folder.path(), &["clone", &login("wrong"), "refused"]).await);
    assert!(run_git(folder.path(), &["clone", &login(world.git.password), "clone"]).await);
    std::fs::write(clone.join("README"), "changed\n").unwrap();
    assert!(run_git(&clone, &["commit", "-am", "a change"]).await);
    repo.hook(Some("echo 'not today' >&2; exit 1"));
    assert!(!run_git(&clone, &["push"]).await);
    repo.hook(None);
    repo.down(true);
    assert!(!run_git(&clone, &["push"]).await);
    repo.down(false);
    let before = repo.requests().len();
    assert!(run_git(&clone, &["push"]).await);
    assert!(repo.requests()[before..].iter().any(|request| request.path.ends_with("/git-receive-pack")));

    assert_eq!(repo.file_at_head("README").unwrap(), "changed\n");
    assert_eq!(repo.log().iter().map(|commit| commit.message.trim()).collect::<Vec<_>>(), ["a change", "first commit"]);

    std::fs::write(clone.join("README"), "lost\n").unwrap();
    assert!(run_git(&clone, &["commit", "-am", "reply lost"]).await);
    repo.fault(Some(Fault::LostReply));
    assert!(!run_git(&clone, &["push"]).await);
    assert_eq!(repo.file_at_head("README").unwrap(), "lost\n", "the push itself was done");
}

async fn git_reverts(world: World) {
    let repo = world.repo("fleet", &[("a", "1\n"), ("b", "1\n")]);
    let change = repo.commit(&[("a", "2\n")], "a is 2");
    repo.remove(&["b"], "no b");
    let revert = repo.revert(&change);
    assert_eq!((repo.file_at_head("a").as_deref(), repo.file_at_head("b")), (Some("1\n"), None));
    assert_eq!(repo.head(), revert);
    assert!(repo.show(&revert).contains("+1\n"));
}

async fn requests_of_a_user_are_counted(world: World) {
    let person = kube::Api::<ConfigMap>::namespaced(world.cluster.client_of("person").await, &world.namespace);
    let mark = world.cluster.audit().mark();
    let map = serde_json::from_value(json!({"metadata": {"name": "a"}})).unwrap();
    person.create(&PostParams::default(), &map).await.unwrap();
    person.get("a").await.unwrap();
    let requests = world.cluster.audit().requests_by("person", mark);
    let seen: Vec<_> = requests.iter().map(|r| (r.verb.as_str(), r.resource.as_str(), r.code)).collect();
    assert_eq!(seen, [("create", "configmaps", 201), ("get", "configmaps", 200)]);
    assert!(requests.iter().all(|r| r.namespace == world.namespace));
}

async fn a_stopped_api_server_goes_on(world: World) {
    let maps = world.api::<ConfigMap>();
    world.cluster.stop();
    let waited = tokio::time::timeout(Duration::from_millis(200), maps.get_opt("a")).await;
    world.cluster.cont();
    assert!(waited.is_err());
    assert!(maps.get_opt("a").await.unwrap().is_none());
}

async fn a_killed_run_leaves_nothing_behind() {
    let mut run = Command::new(std::env::current_exe().unwrap()).arg("hold").stdout(Stdio::piped()).spawn().unwrap();
    let pid = Pid::from_raw(run.id().cast_signed());
    let mut line = String::new();
    BufReader::new(run.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let (child, folder) = line.trim_end().split_once(' ').expect("a pid and a folder");
    let (child, folder) = (Pid::from_raw(child.parse().unwrap()), PathBuf::from(folder));
    assert!(guard::is_running(child) && folder.exists());

    kill(pid, Signal::SIGKILL).unwrap();
    run.wait().unwrap();
    eventually("child and folder gone", SOON, || async {
        let left = (guard::is_running(child), folder.exists());
        if left == (false, false) { Ok(()) } else { Err(format!("running, exists: {left:?}")) }
    })
    .await;
}

/// A run that is killed by the test above: a real server that ignores no signal, a program that ignores SIGTERM, a folder.
pub fn hold() -> ExitCode {
    runtime().block_on(async {
        registry().await;
        let stubborn =
            Process::start("stubborn", Command::new("sh").args(["-c", "trap '' TERM; while :; do sleep 1; done"]));
        println!("{} {}", stubborn.as_ref().unwrap().pid(), guard::folder().display());
        std::future::pending().await
    })
}

async fn run_git(folder: &Path, args: &[&str]) -> bool {
    let mut command = tokio::process::Command::from(git());
    command.current_dir(folder).args(args).kill_on_drop(true);
    command.output().await.unwrap().status.success()
}
