//! When things do not go: rollouts that hang or fail, an API server that does not answer, a Git host that is down, a controller that starts again.

use std::time::{Duration, Instant};

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::DeleteParams;
use libtest_mimic::Trial;
use serde_json::json;
use tagboat::api::condition::Reason;
use tagboat::api::{ConfigRepo, GitSync, ImageUpdate};

use crate::objects::*;
use crate::setup::*;
use crate::support::cluster::{CONTROLLER, Cluster};
use crate::support::tagboat::{Launch, Tagboat};
use crate::support::trial;
use crate::support::wait::{eventually, wait_for};
use crate::support::world::World;

pub fn trials() -> Vec<Trial> {
    vec![
        trial("health: a rollout is awaited, or not", a_rollout_is_awaited_or_not),
        trial("health: not healthy in time", not_healthy_in_time),
        trial("health: containers that crash", containers_that_crash),
        trial("outages: the API server stands still", the_api_server_stands_still),
        trial("outages: etcd forgets what a watch missed", etcd_forgets_what_a_watch_missed),
        trial("outages: a choice is pushed while the API server stands still", a_choice_is_pushed_meanwhile),
        trial("outages: alive while idle and while nobody answers", alive_while_idle_and_while_nobody_answers),
        trial("outages: Git is down when the controller starts", git_is_down_at_the_start),
        trial("outages: a broken head when the controller starts", a_broken_head_at_the_start),
        trial("outages: a controller that starts again writes nothing", a_controller_that_starts_again_writes_nothing),
        trial("outages: what happened while no controller ran", what_happened_while_no_controller_ran),
        trial("outages: a controller killed again and again", a_controller_killed_again_and_again),
    ]
}

async fn a_rollout_is_awaited_or_not(world: World) {
    let app = deployment("app", "minReadySeconds: 6,", "");
    let stuck = deployment("stuck", "", "nodeSelector: {no: where},");
    let repo = fleet(&world, &[("apps/app.yaml", &app), ("stuck/stuck.yaml", &stuck)]).await;
    git_sync(&world, "path: apps").await;
    sync(&world, "unwaited", &format!("path: stuck, wait: false, targetNamespace: {}", world.namespace)).await;
    let _tagboat = world.tagboat().await;

    let unwaited = synced(&world, "unwaited", &repo.head()).await;
    let health = unwaited.status.unwrap().health.unwrap();
    assert_eq!(health.summary, "0/1");
    assert!(health.unhealthy[0].object.ends_with("/stuck"), "{health:?}");

    let waiting: GitSync = ready(&world, "apps", "Unknown", Reason::Progressing).await;
    assert!(message(&waiting).contains("Deployment"), "{}", message(&waiting));
    assert!(waiting.conditions().iter().any(|condition| condition.kind == "Reconciling" && condition.status == "True"));
    let status = waiting.status.unwrap();
    assert_eq!(status.health.unwrap().summary, "0/1");
    let done = synced(&world, "apps", &repo.head()).await;
    assert_eq!(done.conditions().len(), 1, "{:?}", done.conditions());
    assert_eq!(done.status.unwrap().health.unwrap().summary, "1/1");
    event(&world, "apps", Reason::Applied, &[&repo.head()]).await;
}

async fn not_healthy_in_time(world: World) {
    let stuck = deployment("app", "", "nodeSelector: {no: where},");
    let repo = fleet(&world, &[("app.yaml", &stuck), ("a.yaml", &config_map("a", "x"))]).await;
    git_sync(&world, "path: ./, timeout: 4s").await;
    let _tagboat = world.tagboat().await;
    ready::<GitSync>(&world, "apps", "Unknown", Reason::Progressing).await;
    let failed = fails(&world, "apps", Reason::HealthCheckFailed, &["Deployment", "app", "not healthy in time"]).await;
    println!("{}", message(&failed));
    assert_eq!(failed.status.unwrap().health.unwrap().summary, "1/2");
    event(&world, "apps", Reason::HealthCheckFailed, &["not healthy in time"]).await;

    edit::<ConfigMap>(&world, "a", "someone", json!({"data": {"greeting": "y"}})).await;
    holds::<ConfigMap>(&world, "a", "/data/greeting", json!("x")).await;
    let commit = repo.commit(&[("app.yaml", &deployment("app", "", ""))], "a place for it");
    synced(&world, "apps", &commit).await;
}

async fn containers_that_crash(world: World) {
    let broken = deployment("app", "", "").replace(":1.0.0", ":1.0.0-broken");
    let repo = fleet(&world, &[("app.yaml", &broken), ("web.yaml", &deployment("web", "", ""))]).await;
    git_sync(&world, "path: ./").await;
    let _tagboat = world.tagboat().await;
    let failed = fails(&world, "apps", Reason::HealthCheckFailed, &["app", "CrashLoopBackOff"]).await;
    println!("{}", message(&failed));
    let failed = wait_for(&world.api::<GitSync>(), "apps", "1/2", SOON, |sync| {
        sync?.status.as_ref()?.health.clone().filter(|health| health.summary == "1/2")
    })
    .await;
    assert_eq!((failed.unhealthy.len(), failed.unhealthy[0].status.as_str()), (1, "Failed"));
    let commit = repo.commit(&[("app.yaml", &deployment("app", "", ""))], "mended");
    synced(&world, "apps", &commit).await;
}

async fn the_api_server_stands_still(world: World) {
    let repo = fleet(&world, &[("a.yaml", &config_map("a", "x")), ("b.yaml", &config_map("b", "x"))]).await;
    git_sync(&world, "path: ./").await;
    let tagboat = world.tagboat().await;
    synced(&world, "apps", &repo.head()).await;
    let mark = world.cluster.audit().mark();

    world.cluster.stop();
    let commit = repo.commit(&[("c.yaml", &config_map("c", "x"))], "while nobody answers");
    let (before, begin) = (repo.requests().len(), Instant::now());
    eventually("two polls or three seconds", Duration::from_secs(10), async || {
        let polls = repo.requests().len() - before;
        if polls >= 2 || begin.elapsed() > Duration::from_millis(2500) { Ok(()) } else { Err(polls) }
    })
    .await;
    world.cluster.cont();

    edit::<ConfigMap>(&world, "a", "kubectl-edit", json!({"data": {"greeting": "y"}})).await;
    world.api::<ConfigMap>().delete("b", &DeleteParams::default()).await.unwrap();
    holds::<ConfigMap>(&world, "a", "/data/greeting", json!("x")).await;
    exists::<ConfigMap>(&world, "b", true).await;
    synced(&world, "apps", &commit).await;
    exists::<ConfigMap>(&world, "c", true).await;
    let mut acts = acts(&world, mark);
    acts.sort();
    acts.dedup();
    assert_eq!(acts, ["patch configmaps/a", "patch configmaps/b", "patch configmaps/c"]);
    tagboat.get("/livez").await;
}

/// The API server dies, and when it is back its etcd has no history: every watch has to list anew.
async fn etcd_forgets_what_a_watch_missed(world: World) {
    let files = ["a", "b", "c"].map(|name| (format!("{name}.yaml"), config_map(name, "x")));
    let files: Vec<(&str, &str)> = files.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
    let repo = fleet(&world, &files).await;
    git_sync(&world, "path: ./").await;
    let mut spare = world.cluster.spare().await;
    let tagboat = world.run(&Launch { kubeconfig: spare.kubeconfig.clone(), ..world.launch() }).await;
    synced(&world, "apps", &repo.head()).await;

    let mark = spare.audit.mark();
    spare.kill().await;
    edit::<ConfigMap>(&world, "a", "kubectl-edit", json!({"data": {"greeting": "y"}})).await;
    world.api::<ConfigMap>().delete("b", &DeleteParams::default()).await.unwrap();
    let commit = repo.commit(&[("d.yaml", &config_map("d", "x"))], "while nobody answers");
    world.cluster.compact().await;
    let before = repo.requests().len();
    asked("Git, meanwhile", before + 3, || repo.requests().len()).await;
    tagboat.get("/livez").await;
    tagboat.get("/readyz").await;
    spare.start().await;

    let begin = Instant::now();
    holds::<ConfigMap>(&world, "a", "/data/greeting", json!("x")).await;
    exists::<ConfigMap>(&world, "b", true).await;
    synced(&world, "apps", &commit).await;
    println!("recovered after {:?}", begin.elapsed());
    let mut acts = spare.acts(mark);
    acts.sort();
    acts.dedup();
    assert_eq!(acts, ["patch configmaps/a", "patch configmaps/b", "patch configmaps/d"]);
    let asked = spare.audit.requests(mark).into_iter().filter(|r| r.user == CONTROLLER);
    let lists = asked.filter(|r| r.verb == "list").count();
    println!("{lists} lists");
    assert!(lists <= 60, "no storm: {lists}");
}

/// The API server goes on, however the test ends.
struct Still<'a>(&'a Cluster);

impl Drop for Still<'_> {
    fn drop(&mut self) {
        self.0.cont();
    }
}

async fn a_choice_is_pushed_meanwhile(world: World) {
    world.push("app", &["1.0.0"]).await;
    let repo = world.repo("fleet", &[("app.yaml", &marked(&world, "app", "1.0.0"))]);
    config_repo(&world, &repo).await;
    image_policy(&world, "app", "app", NEWEST).await;
    image_update(&world, "batchWindow: 2s").await;
    let _tagboat = world.tagboat().await;
    ready::<ImageUpdate>(&world, "fleet", "True", Reason::Succeeded).await;
    world.push("app", &["1.1.0"]).await;
    chosen(&world, "app", "1.1.0").await;
    let still = Still(world.cluster);
    world.cluster.stop();
    in_git(&repo, "app.yaml", "1.1.0").await;
    drop(still);
    let head = repo.head();
    wait_for(&world.api::<ImageUpdate>(), "fleet", "told of the push", SOON, |update| {
        (update?.status.as_ref()?.last_push_commit.as_ref()?.as_str() == head).then_some(())
    })
    .await;
    assert_eq!(robots(&repo.log()).len(), 1);
}

async fn alive_while_idle_and_while_nobody_answers(world: World) {
    let repo = fleet(&world, &[("a.yaml", &config_map("a", "x"))]).await;
    git_sync(&world, "path: ./").await;
    let mut spare = world.cluster.spare().await;
    let launch = Launch { kubeconfig: spare.kubeconfig.clone(), ..world.launch() };
    let lease = ["--leader-election", "--lease-namespace", &world.namespace];
    let launch = lease.into_iter().fold(launch, |launch, arg| launch.arg(arg));
    let first = world.run(&launch).await;
    synced(&world, "apps", &repo.head()).await;
    let second = world.run(&launch).await;
    // The one that works has nothing to do, and the other one waits for the Lease.
    for tagboat in [&first, &second] {
        assert_eq!(tagboat.get("/livez").await, "ok\n");
    }
    spare.kill().await;
    let log = second.log().len();
    eventually("it can't ask for the lead", SOON, async || {
        if second.log()[log..].contains("can't ask for the lead") { Ok(()) } else { Err("not yet") }
    })
    .await;
    assert_eq!(second.get("/livez").await, "ok\n");
    assert_eq!(second.get("/readyz").await, "ok\n");
}

async fn git_is_down_at_the_start(world: World) {
    let repo = fleet(&world, &[("a.yaml", &config_map("a", "x"))]).await;
    git_sync(&world, "path: ./").await;
    let launch = world.launch();
    let tagboat = world.run(&launch).await;
    let first = repo.head();
    synced(&world, "apps", &first).await;
    assert_eq!(tagboat.terminate().await, 0);

    repo.down(true);
    edit::<ConfigMap>(&world, "a", "kubectl-edit", json!({"data": {"greeting": "y"}})).await;
    let commit = repo.commit(&[("b.yaml", &config_map("b", "x"))], "that nobody can read yet");
    let _tagboat = world.run(&launch).await;
    holds::<ConfigMap>(&world, "a", "/data/greeting", json!("x")).await;
    ready::<ConfigRepo>(&world, "fleet", "False", Reason::GitOperationFailed).await;
    synced(&world, "apps", &first).await;
    edit::<ConfigMap>(&world, "a", "kubectl-edit", json!({"data": {"greeting": "z"}})).await;
    holds::<ConfigMap>(&world, "a", "/data/greeting", json!("x")).await;
    repo.down(false);
    synced(&world, "apps", &commit).await;
}

async fn a_broken_head_at_the_start(world: World) {
    let repo = fleet(&world, &[("a.yaml", &config_map("a", "x"))]).await;
    git_sync(&world, "path: ./").await;
    let launch = world.launch();
    let tagboat = world.run(&launch).await;
    synced(&world, "apps", &repo.head()).await;
    repo.commit(&[("bad.yaml", "a: [\n")], "broken");
    fails(&world, "apps", Reason::RenderFailed, &["bad.yaml"]).await;
    assert_eq!(tagboat.terminate().await, 0);

    edit::<ConfigMap>(&world, "a", "kubectl-edit", json!({"data": {"greeting": "y"}})).await;
    let tagboat = world.run(&launch).await;
    holds::<ConfigMap>(&world, "a", "/data/greeting", json!("x")).await;
    assert_eq!(tagboat.terminate().await, 0);

    // And once more with nothing on disk.
    edit::<ConfigMap>(&world, "a", "kubectl-edit", json!({"data": {"greeting": "z"}})).await;
    let _tagboat = world.tagboat().await;
    holds::<ConfigMap>(&world, "a", "/data/greeting", json!("x")).await;
    fails(&world, "apps", Reason::RenderFailed, &["bad.yaml"]).await;
    let fixed = repo.remove(&["bad.yaml"], "mended");
    synced(&world, "apps", &fixed).await;
}

/// Waits until every GitSync was looked at so many times in all since the start.
pub async fn runs(tagboat: &Tagboat, times: u64) {
    eventually(&format!("{times} runs"), SOON, async || {
        let text = tagboat.get("/metrics").await;
        let lines =
            text.lines().filter(|line| line.starts_with("tagboat_reconciles_total") && line.contains("\"GitSync\""));
        let count: u64 = lines.map(|line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap()).sum();
        if count >= times { Ok(()) } else { Err(format!("{count} in\n{text}")) }
    })
    .await;
}

async fn a_controller_that_starts_again_writes_nothing(world: World) {
    let one = format!("{}{}", config_map("a", "x"), service("a", 80));
    let two = format!("{}{}", config_map("b", "x"), deployment("b", "", ""));
    let files = [
        ("one/one.yaml", &*one),
        ("two/two.yaml", &two),
        ("three/kustomization.yaml", "configMapGenerator: [{name: c, literals: [a=b]}]\n"),
    ];
    let repo = fleet(&world, &files).await;
    let launch = world.launch();
    let tagboat = world.run(&launch).await;
    for name in ["one", "two", "three"] {
        sync(&world, name, &format!("path: {name}, targetNamespace: {}", world.namespace)).await;
    }
    for name in ["one", "two", "three"] {
        synced(&world, name, &repo.head()).await;
    }
    assert_eq!(tagboat.terminate().await, 0);

    for launch in [launch, world.launch()] {
        let mark = world.cluster.audit().mark();
        let tagboat = world.run(&launch).await;
        runs(&tagboat, 6).await;
        let before = repo.requests().len();
        asked("the branch", before + 3, || repo.requests().len()).await;
        assert_eq!(writes(&world, mark), Vec::<String>::new());
        let reads = |verb: &str| {
            let requests = asked_in(&world, &world.namespace, mark).into_iter();
            let ours = ["configmaps", "deployments", "services"];
            let reads = requests.filter(|r| r.verb == verb && ours.contains(&r.resource.as_str()));
            let mut kinds: Vec<String> = reads.map(|r| r.resource).collect();
            kinds.sort();
            kinds
        };
        assert_eq!(reads("list"), ["configmaps", "deployments", "services"]);
        assert_eq!(reads("watch"), ["configmaps", "deployments", "services"]);
        assert_eq!(reads("get"), Vec::<String>::new());
        assert_eq!(tagboat.terminate().await, 0);
    }
}

async fn what_happened_while_no_controller_ran(world: World) {
    let files = [("a.yaml", config_map("a", "x")), ("b.yaml", config_map("b", "x")), ("c.yaml", config_map("c", "x"))];
    let files: Vec<(&str, &str)> = files.iter().map(|(path, text)| (*path, text.as_str())).collect();
    let repo = fleet(&world, &files).await;
    git_sync(&world, "path: ./").await;
    let launch = world.launch();
    let tagboat = world.run(&launch).await;
    synced(&world, "apps", &repo.head()).await;
    assert_eq!(tagboat.terminate().await, 0);

    let mark = world.cluster.audit().mark();
    edit::<ConfigMap>(&world, "a", "kubectl-edit", json!({"data": {"greeting": "y"}})).await;
    world.api::<ConfigMap>().delete("b", &DeleteParams::default()).await.unwrap();
    let commit = repo.remove(&["c.yaml"], "c is not needed");
    let _tagboat = world.run(&launch).await;
    synced(&world, "apps", &commit).await;
    holds::<ConfigMap>(&world, "a", "/data/greeting", json!("x")).await;
    exists::<ConfigMap>(&world, "b", true).await;
    exists::<ConfigMap>(&world, "c", false).await;
    let mut acts = acts(&world, mark);
    acts.sort();
    assert_eq!(acts, ["delete configmaps/c", "patch configmaps/a", "patch configmaps/b"]);
    event(&world, "apps", Reason::DriftCorrected, &["ConfigMap", "a", "kubectl-edit"]).await;
}

/// Killed in the middle of applies and prunes: nothing is forgotten, everything is found again.
async fn a_controller_killed_again_and_again(world: World) {
    let names = |round: u32| (0..30).map(move |n| format!("m{}", n + 10 * round));
    let text = |round: u32| names(round).map(|name| config_map(&name, "x")).collect::<String>();
    let repo = fleet(&world, &[("all.yaml", &text(0)), ("app.yaml", &deployment("app", "", ""))]).await;
    git_sync(&world, "path: ./").await;
    let launch = world.launch();
    for round in 0..4 {
        let tagboat = world.run(&launch).await;
        let mark = world.cluster.audit().mark();
        repo.commit(&[("all.yaml", &text(round + 1))], "others");
        eventually("some acts", SOON, async || {
            let count = acts(&world, mark).len();
            if count > 3 * round as usize { Ok(()) } else { Err(count) }
        })
        .await;
        tagboat.kill9().await;
    }
    let _tagboat = world.run(&launch).await;
    let status = synced(&world, "apps", &repo.head()).await.status.unwrap();
    assert_eq!(status.inventory.unwrap().entries.len(), 31);
    let maps =
        world.api::<ConfigMap>().list(&kube::api::ListParams::default().labels("tagboat.dev/gitsync")).await.unwrap();
    let mut found: Vec<String> = maps.items.into_iter().filter_map(|map| map.metadata.name).collect();
    let mut expected: Vec<String> = names(4).collect();
    found.sort();
    expected.sort();
    assert_eq!(found, expected, "nothing is left of the rounds before");
    exists::<Deployment>(&world, "app", true).await;
}
