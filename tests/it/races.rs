//! Others write to the branch at the same time, and the controller dies at any moment: no commit is lost, none is doubled.

use std::collections::BTreeMap;
use std::time::{Duration, Instant, SystemTime};

use futures::future::join_all;
use libtest_mimic::Trial;
use tagboat::api::condition::Reason;
use tagboat::api::{GitSync, ImageUpdate};

use crate::setup::*;
use crate::support::cutter::{Act, Cutter, Point};
use crate::support::git::Repo;
use crate::support::trial;
use crate::support::wait::eventually;
use crate::support::world::World;

pub fn trials() -> Vec<Trial> {
    vec![
        trial("races: two writers", two_writers),
        trial("races: many ImageUpdates on one branch share pushes", many_updates_share_pushes),
        trial("races: killed a hundred times", killed_a_hundred_times),
        trial("races: a restart writes nothing", a_restart_writes_nothing),
    ]
}

const APPS: [&str; 4] = ["a", "b", "c", "d"];

/// A repository with one marked file for each app, all objects, no controller yet.
async fn fleet(world: &World, apps: &[&str], window: &str) -> Repo {
    let mut files = Vec::new();
    for app in apps {
        world.push(app, &["1.0.0"]).await;
        files.push((path(app), marked(world, app, "1.0.0")));
    }
    let files: Vec<(&str, &str)> = files.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
    let repo = world.repo("fleet", &files);
    config_repo(world, &repo).await;
    for app in apps {
        image_policy(world, app, app, NEWEST).await;
    }
    image_update(world, &format!("batchWindow: {window}")).await;
    repo
}

fn path(app: &str) -> String {
    format!("apps/{app}.yaml")
}

/// Every commit has one parent, and each of these tags was written by exactly one commit.
fn check_history(world: &World, repo: &Repo, apps: &[&str], tags: usize) {
    let log = repo.log();
    let (root, rest) = log.split_last().unwrap();
    assert!(root.parents.is_empty() && rest.iter().all(|commit| commit.parents.len() == 1), "linear");
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    for bump in bumps(&log) {
        *seen.entry(bump.new).or_default() += 1;
    }
    let wanted = apps.iter().flat_map(|app| (1..=tags).map(|n| (format!("{}:1.{n}.0", world.image(app)), 1)));
    assert_eq!(seen, wanted.collect::<BTreeMap<_, _>>());
}

async fn two_writers(world: World) {
    const ROUNDS: usize = 5;
    const HUMAN: usize = 200;
    let repo = fleet(&world, &APPS, "50ms").await;
    let _tagboat = world.tagboat().await;
    ready::<ImageUpdate>(&world, "fleet", "True", Reason::Succeeded).await;

    let person = async {
        let mut pace = tokio::time::interval(Duration::from_millis(25));
        for n in 0..HUMAN {
            pace.tick().await;
            let repo = repo.clone();
            let write = move || repo.commit(&[(&format!("apps/notes/{n}.yaml"), "kind: Note\n")], &format!("note {n}"));
            tokio::task::spawn_blocking(write).await.unwrap();
        }
    };
    let robot = async {
        for n in 1..=ROUNDS {
            let tag = format!("1.{n}.0");
            for app in APPS {
                world.push(app, &[&tag]).await;
            }
            for app in APPS {
                in_git(&repo, &path(app), &format!(":{tag} ")).await;
            }
        }
    };
    tokio::join!(person, robot);

    check_history(&world, &repo, &APPS, ROUNDS);
    let log = repo.log();
    let notes = log.iter().filter(|commit| commit.message.starts_with("note ")).count();
    assert_eq!((notes, log.len()), (HUMAN, 1 + HUMAN + robots(&log).len()), "no commit is lost");
    for n in 0..HUMAN {
        assert!(repo.file_at_head(&format!("apps/notes/{n}.yaml")).is_some(), "note {n}");
    }
    println!("{} commits of the robot among {HUMAN}", robots(&log).len());
}

/// Of one process nobody races with himself: who comes while a push is on its way shares the next one.
async fn many_updates_share_pushes(world: World) {
    let file = |app: &str| format!("{app}/app.yaml");
    let files: Vec<_> = APPS.map(|app| (file(app), marked(&world, app, "1.0.0"))).into();
    let files: Vec<(&str, &str)> = files.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
    let repo = world.repo("fleet", &files);
    let cutter = Cutter::new(&world).await;
    world.git_secret("git").await;
    let url = cutter.git(&world, &repo.url);
    apply(&world, "ConfigRepo", "fleet", &format!("{{url: '{url}', interval: 1s, secretRef: {{name: git}}}}")).await;
    for app in APPS {
        world.push(app, &["1.0.0", "1.1.0"]).await;
        image_policy(&world, app, app, NEWEST).await;
        apply(&world, "ImageUpdate", app, &format!("{{configRepoRef: {{name: fleet}}, path: {app}}}")).await;
    }
    cutter.plan("git push", Point::Before, Act::Hold);
    let _tagboat = cutter.launch(world.launch()).start().await;
    cutter.meets(1).await;
    for app in APPS {
        chosen(&world, app, "1.1.0").await;
    }
    cutter.let_go();
    for app in APPS {
        in_git(&repo, &file(app), ":1.1.0 ").await;
        ready::<ImageUpdate>(&world, app, "True", Reason::Succeeded).await;
    }
    let pushes = repo.requests().iter().filter(|request| request.path.ends_with("/git-receive-pack")).count();
    assert_eq!(robots(&repo.log()).len(), APPS.len());
    assert!(pushes < APPS.len(), "{pushes} pushes");
    check_history(&world, &repo, &APPS, 1);
}

/// Four controllers in four namespaces, so that the kills do not wait for each other.
async fn killed_a_hundred_times(world: World) {
    const KILLS: usize = 26;
    let worlds = join_all((0..3).map(|lane| async move { World::new(&format!("kills {lane}")).await })).await;
    let lanes = worlds.into_iter().chain([world]).enumerate();
    let done = join_all(lanes.map(|(lane, world)| async move { kill_often(&world, KILLS, lane).await })).await;
    let kills: usize = done.iter().map(|(kills, _)| kills).sum();
    let tags: usize = done.iter().map(|(_, tags)| tags).sum();
    println!("{kills} kills, {tags} rounds of bumps");
    assert!(kills >= 100 && tags >= 20, "many kills come while a push is on its way");
}

/// The kills, and how many tags of each app were bumped meanwhile.
async fn kill_often(world: &World, kills: usize, lane: usize) -> (usize, usize) {
    let apps = &APPS[..2];
    let repo = fleet(world, apps, "10ms").await;
    let launch = world.launch();
    let mut chance = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_nanos() as u64 + lane as u64;
    let is_written = |n: usize| {
        let tag = format!(":1.{n}.0 ");
        apps.iter().all(|app| repo.file_at_head(&path(app)).unwrap().contains(&tag))
    };
    let (mut killed, mut tag) = (0, 0);
    while killed < kills {
        if is_written(tag) {
            tag += 1;
            for app in apps {
                world.push(app, &[&format!("1.{tag}.0")]).await;
            }
        }
        // The bump is on its way from here on; where exactly it is hit is up to chance. A push of the one before may still land.
        let images = || world.registry.requests(&world.repository(apps[0]));
        let pushes = || repo.requests().iter().filter(|request| request.path.ends_with("/git-receive-pack")).count();
        let before = (images(), repo.requests().len(), pushes());
        let tagboat = launch.start_unready();
        let is_time = || match killed % 4 {
            0 => images() > before.0,
            1 => repo.requests().len() > before.1,
            _ => pushes() > before.2 || is_written(tag),
        };
        asked("the moment to kill", 1, || usize::from(is_time())).await;
        chance = chance.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let moment = Instant::now() + Duration::from_millis((chance >> 33) % 151);
        tokio::time::sleep_until(moment.into()).await;
        tagboat.kill9().await;
        killed += 1;
    }
    let tagboat = launch.start().await;
    eventually("the last bump", SOON, || async { if is_written(tag) { Ok(()) } else { Err(repo.log().len()) } }).await;
    // Two more looks at both sides, in which a doubled commit would show.
    settled(world, &repo, apps).await;
    check_history(world, &repo, apps, tag);
    tagboat.terminate().await;
    (killed, tag)
}

/// Waits until registry and Git host were asked three more times.
async fn settled(world: &World, repo: &Repo, apps: &[&str]) {
    for app in apps {
        let before = world.registry.requests(&world.repository(app));
        asked("the image", before + 3, || world.registry.requests(&world.repository(app))).await;
    }
    let before = repo.requests().len();
    asked("the branch", before + 3, || repo.requests().len()).await;
}

async fn a_restart_writes_nothing(world: World) {
    let repo = fleet(&world, &["a"], "10ms").await;
    let manifests = "
apiVersion: v1
kind: ConfigMap
metadata: {name: settings}
data: {a: b}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: app}
spec:
  selector: {matchLabels: {app: app}}
  template:
    metadata: {labels: {app: app}}
    spec: {containers: [{name: app, image: 'example.com/app:1.0.0', ports: [{containerPort: 80}]}]}
";
    repo.commit(&[("sync/all.yaml", manifests)], "manifests");
    git_sync(&world, "path: sync").await;
    let launch = world.launch();
    let mut tagboat = world.run(&launch).await;
    world.push("a", &["1.1.0"]).await;
    in_git(&repo, &path("a"), ":1.1.0 ").await;
    let head = repo.head();
    let is_at_head = async || {
        let status = world.api::<GitSync>().get("apps").await.unwrap().status.unwrap_or_default();
        let revision = status.last_applied_revision.map(|revision| revision.to_string()).unwrap_or_default();
        let is_ready = status.conditions.iter().any(|c| c.kind == "Ready" && c.status == "True");
        if is_ready && revision.ends_with(&head) { Ok(()) } else { Err(revision) }
    };
    eventually("the GitSync at the bump", SOON, is_at_head).await;
    ready::<ImageUpdate>(&world, "fleet", "True", Reason::Succeeded).await;
    settled(&world, &repo, &["a"]).await;

    for is_killed in [false, true] {
        if is_killed {
            tagboat.kill9().await;
        } else {
            assert_eq!(tagboat.terminate().await, 0);
        }
        let mark = world.cluster.audit().mark();
        tagboat = world.run(&launch).await;
        let watched = ["configrepos", "imagepolicies", "imageupdates", "gitsyncs", "configmaps", "deployments"];
        eventually("all watches", SOON, || async {
            let requests = world.cluster.audit().requests_by("tagboat", mark);
            let is_watched = |kind: &str| {
                requests.iter().any(|r| r.verb == "watch" && r.resource == kind && r.namespace == world.namespace)
            };
            let missing: Vec<_> = watched.iter().filter(|kind| !is_watched(kind)).collect();
            if missing.is_empty() { Ok(()) } else { Err(format!("not watched: {missing:?}")) }
        })
        .await;
        settled(&world, &repo, &["a"]).await;
        let written = writes(&world, mark);
        assert!(written.is_empty(), "killed: {is_killed}: {written:#?}");
        assert_eq!(repo.head(), head);
    }
}
