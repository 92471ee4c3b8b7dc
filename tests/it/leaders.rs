//! Several replicas: one works, the others wait, and a leader that was thought dead does no harm when it wakes.

use std::time::{Duration, Instant};

use k8s_openapi::api::coordination::v1::Lease;
use libtest_mimic::Trial;
use tagboat::api::condition::Reason;
use tagboat::api::{ConfigRepo, ImageUpdate};

use crate::cuts::check_pushes;
use crate::setup::*;
use crate::support::cutter::{Act, Cutter, Point};
use crate::support::git::{Repo, git};
use crate::support::tagboat::{Launch, Tagboat};
use crate::support::trial;
use crate::support::wait::{eventually, wait_for};
use crate::support::world::World;

pub fn trials() -> Vec<Trial> {
    vec![
        trial("leaders: one works, the next takes over at once when it goes", one_works),
        trial("leaders: a leader that wakes in mid-push doubles nothing", a_leader_wakes_in_mid_push),
        trial("leaders: a push that the network kept while its sender slept", |world| {
            a_leader_sleeps(world, Point::Before)
        }),
        trial("leaders: a leader that slept after its push landed", |world| a_leader_sleeps(world, Point::After)),
        trial("leaders: SIGTERM gives up a push that hangs", sigterm_gives_up_a_push),
        trial("leaders: SIGTERM finishes a push", sigterm_finishes_a_push),
        trial("leaders: SIGTERM ends whatever else hangs", sigterm_ends_whatever_hangs),
        trial("leaders: a leader whose Lease was taken ends", a_leader_whose_lease_was_taken),
    ]
}

const FILE: &str = "apps/app.yaml";

/// One of several, each with its own data.
fn replica(world: &World) -> Launch {
    world.launch().arg("--leader-election").env("TAGBOAT_LEASE_NAMESPACE", &world.namespace)
}

async fn lease(world: &World) -> Option<Lease> {
    world.api::<Lease>().get_opt("tagboat").await.unwrap()
}

async fn holder(world: &World) -> String {
    lease(world).await.and_then(|lease| lease.spec?.holder_identity).unwrap_or_default()
}

/// Waits until somebody other than this one leads.
async fn another(world: &World, before: &str) -> String {
    eventually("another leader", SOON, || async {
        let holder = holder(world).await;
        if holder.is_empty() || holder == before { Err(holder) } else { Ok(holder) }
    })
    .await
}

async fn works(tagboat: &Tagboat) -> bool {
    tagboat.get("/metrics").await.contains("tagboat_leader 1")
}

async fn bump(world: &World, repo: &Repo, tag: &str) {
    world.push("app", &[tag]).await;
    in_git(repo, FILE, &format!(":{tag} ")).await;
}

async fn one_works(world: World) {
    let repo = one_app(&world, FILE).await;
    let first = world.run(&replica(&world)).await;
    let leader = another(&world, "").await;
    let second = world.run(&replica(&world)).await;
    bump(&world, &repo, "1.1.0").await;
    assert!(works(&first).await && !works(&second).await);
    assert!(second.log().contains("waits for the lead"), "{}", second.log());
    let knocked = reqwest::Client::new().post(format!("{}/hook/any", second.url)).send().await.unwrap();
    assert_eq!(knocked.status(), 503, "its sender comes again");

    let asked = Instant::now();
    assert_eq!(first.terminate().await, 0);
    let took = asked.elapsed();
    assert!(took < Duration::from_secs(5), "it ended after {took:?}");
    assert_ne!(another(&world, &leader).await, leader);
    let spec = lease(&world).await.unwrap().spec.unwrap();
    assert_eq!((spec.lease_duration_seconds, spec.lease_transitions), (Some(15), Some(1)));
    bump(&world, &repo, "1.2.0").await;
    assert!(works(&second).await);
    let third = world.run(&replica(&world)).await;
    assert_eq!(third.terminate().await, 0, "one that waits ends as well");
    assert_eq!(robots(&repo.log()).len(), 2);
}

/// The first push stands in the server's hook while its sender is stopped for longer than its lease.
async fn a_leader_wakes_in_mid_push(world: World) {
    let repo = one_app(&world, FILE).await;
    let gate = crate::support::guard::folder().join(format!("{}-gate", world.namespace));
    std::fs::create_dir(&gate).unwrap();
    let [taken, open] = ["taken", "open"].map(|name| gate.join(name));
    repo.hook(Some(&format!(
        "mkdir {} 2>/dev/null || exit 0; while [ ! -e {} ]; do sleep 0.05; done",
        taken.display(),
        open.display()
    )));
    let first = world.run(&replica(&world)).await;
    let leader = another(&world, "").await;
    let second = world.run(&replica(&world)).await;
    world.push("app", &["1.1.0"]).await;
    eventually("the push is in the hook", SOON, || async { if taken.exists() { Ok(()) } else { Err("not yet") } })
        .await;
    first.stop();

    another(&world, &leader).await;
    in_git(&repo, FILE, ":1.1.0 ").await;
    let written = repo.head();
    std::fs::write(&open, "").unwrap();
    first.cont();
    assert_eq!(first.exited().await, 1, "it lost the lead: {}", first.log());
    assert!(first.log().contains("lost the lead"), "{}", first.log());

    bump(&world, &repo, "1.2.0").await;
    let log = repo.log();
    assert!(log.iter().any(|commit| commit.id == written), "nothing was lost");
    let new: Vec<String> = bumps(&log).into_iter().map(|bump| bump.new).collect();
    assert_eq!(new, [format!("{}:1.2.0", world.image("app")), format!("{}:1.1.0", world.image("app"))]);
    assert!(works(&second).await);
}

/// The same, with the ways to all servers in the test's hands.
async fn cut_fleet(world: &World) -> (Repo, Cutter) {
    let cutter = Cutter::new(world).await;
    let repo = one_app(world, FILE).await;
    let url = cutter.git(world, &repo.url);
    apply(world, "ConfigRepo", "fleet", &format!("{{url: '{url}', interval: 1s, secretRef: {{name: git}}}}")).await;
    (repo, cutter)
}

/// Each of these tags is one commit on the one before it, and no head was ever to get two of them.
fn check(world: &World, repo: &Repo, cutter: &Cutter, tags: &[&str]) {
    let log = repo.log();
    let new: Vec<String> = bumps(&log).into_iter().rev().map(|bump| bump.new).collect();
    let wanted: Vec<String> = tags.iter().map(|tag| format!("{}:{tag}", world.image("app"))).collect();
    assert_eq!((new, log.len()), (wanted, 1 + tags.len()));
    assert!(log.iter().rev().skip(1).all(|commit| commit.parents.len() == 1), "linear");
    check_pushes(&cutter.pushes());
}

/// It is stopped while its push is on the way, or the answer to it, for longer than its lease; then both wake.
async fn a_leader_sleeps(world: World, point: Point) {
    let (repo, cutter) = cut_fleet(&world).await;
    let replica = || cutter.launch(replica(&world));
    let first = world.run(&replica()).await;
    let leader = another(&world, "").await;
    let second = world.run(&replica()).await;
    cutter.plan("git push", point, Act::Hold);
    world.push("app", &["1.1.0"]).await;
    cutter.meets(1).await;
    first.stop();
    another(&world, &leader).await;
    in_git(&repo, FILE, ":1.1.0 ").await;
    told(&world, &repo.head()).await;
    cutter.let_go();
    first.cont();
    assert_eq!(first.exited().await, 1, "it lost the lead: {}", first.log());
    bump(&world, &repo, "1.2.0").await;
    check(&world, &repo, &cutter, &["1.1.0", "1.2.0"]);
    let pushes = cutter.pushes().len();
    assert_eq!(pushes, if point == Point::Before { 3 } else { 2 }, "the second leader only writes what is not there");
    assert!(works(&second).await);
}

/// Waits until the status tells of a commit.
async fn told(world: &World, commit: &str) {
    wait_for(&world.api::<ImageUpdate>(), "fleet", &format!("a status that tells of {commit}"), SOON, |update| {
        let status = update?.status.as_ref()?;
        (status.last_push_commit.as_ref()?.as_str() == commit).then_some(())
    })
    .await;
}

/// How long a process may take to end.
const END: Duration = Duration::from_secs(5);

/// Asks it to end, and how long that took.
async fn end(tagboat: Tagboat) -> Duration {
    let asked = Instant::now();
    assert_eq!(tagboat.terminate().await, 0);
    asked.elapsed()
}

async fn sigterm_gives_up_a_push(world: World) {
    let (repo, cutter) = cut_fleet(&world).await;
    let replica = || cutter.launch(replica(&world));
    let first = world.run(&replica()).await;
    let leader = another(&world, "").await;
    let second = world.run(&replica()).await;
    cutter.plan("git push", Point::Middle, Act::Hold);
    world.push("app", &["1.1.0"]).await;
    cutter.meets(1).await;
    let took = end(first).await;
    assert!(took < END, "it ended after {took:?}");
    assert_ne!(holder(&world).await, leader, "the lead was given back before it ended");
    in_git(&repo, FILE, ":1.1.0 ").await;
    told(&world, &repo.head()).await;
    cutter.let_go();
    bump(&world, &repo, "1.2.0").await;
    check(&world, &repo, &cutter, &["1.1.0", "1.2.0"]);
    assert!(works(&second).await);
}

async fn sigterm_finishes_a_push(world: World) {
    let (repo, cutter) = cut_fleet(&world).await;
    let first = world.run(&cutter.launch(replica(&world))).await;
    another(&world, "").await;
    cutter.plan("git push", Point::After, Act::Hold);
    world.push("app", &["1.1.0"]).await;
    cutter.meets(1).await;
    let log = first.log_file().to_owned();
    let ending = tokio::spawn(end(first));
    let stops = || async {
        let text = std::fs::read_to_string(&log).unwrap();
        if text.contains("stopping") { Ok(()) } else { Err(text) }
    };
    eventually("that it stops", SOON, stops).await;
    cutter.let_go();
    let took = ending.await.unwrap();
    assert!(took < END, "it ended after {took:?}");
    assert_eq!(holder(&world).await, "", "the lead is nobody's");
    let status = world.api::<ImageUpdate>().get("fleet").await.unwrap().status.unwrap();
    assert_eq!(
        status.last_push_commit.map(|commit| commit.to_string()),
        Some(repo.head()),
        "it was told by the one who did it"
    );
    check(&world, &repo, &cutter, &["1.1.0"]);
}

async fn sigterm_ends_whatever_hangs(world: World) {
    let (_repo, cutter) = cut_fleet(&world).await;
    for (n, call) in ["git head", "git fetch", "registry tags", "PATCH imagepolicies/status"].into_iter().enumerate() {
        if call == "registry tags" {
            let image = cutter.image(&world, "app");
            apply(&world, "ImagePolicy", "app", &format!("{{image: '{image}', insecure: true, {NEWEST}}}")).await;
        }
        cutter.plan(call, Point::Before, Act::Hold);
        let tagboat = cutter.launch(world.launch()).start().await;
        cutter.meets(n + 1).await;
        let took = end(tagboat).await;
        assert!(took < END, "{call}: it ended after {took:?}");
        cutter.let_go();
    }
    // A disk that does not answer: nobody ever writes to this pipe.
    let folder = crate::support::guard::folder().join(format!("{}-hangs", world.namespace));
    let made = git().args(["init", "-q", "--bare"]).arg(&folder).status().unwrap();
    std::fs::remove_file(folder.join("HEAD")).unwrap();
    let piped = std::process::Command::new("mkfifo").arg(folder.join("HEAD")).status().unwrap();
    assert!(made.success() && piped.success());
    apply(&world, "ConfigRepo", "hangs", &format!("{{url: 'file://{}'}}", folder.display())).await;
    let tagboat = world.launch().arg("--allow-file-urls").start().await;
    ready::<ConfigRepo>(&world, "fleet", "True", Reason::Succeeded).await;
    let took = end(tagboat).await;
    assert!(took < END, "a disk: it ended after {took:?}");
}

async fn a_leader_whose_lease_was_taken(world: World) {
    let first = world.run(&replica(&world)).await;
    let leader = another(&world, "").await;
    // As somebody who has taken the Lease away.
    let spec = serde_json::json!({"spec": {"holderIdentity": "somebody", "leaseDurationSeconds": 3600}});
    let patch = kube::api::Patch::Merge(&spec);
    world.api::<Lease>().patch("tagboat", &kube::api::PatchParams::default(), &patch).await.unwrap();
    assert_eq!(first.exited().await, 1);
    assert!(first.log().contains("lost the lead to somebody"), "{}", first.log());
    assert_ne!(holder(&world).await, leader, "what is another's is not given back");
}
