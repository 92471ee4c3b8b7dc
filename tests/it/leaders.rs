//! Several replicas: one works, the others wait, and a leader that was thought dead does no harm when it wakes.

use std::time::{Duration, Instant};

use k8s_openapi::api::coordination::v1::Lease;
use libtest_mimic::Trial;

use crate::setup::*;
use crate::support::git::Repo;
use crate::support::tagboat::{Launch, Tagboat};
use crate::support::trial;
use crate::support::wait::eventually;
use crate::support::world::World;

pub fn trials() -> Vec<Trial> {
    vec![
        trial("leaders: one works, the next takes over at once when it goes", one_works),
        trial("leaders: a leader that wakes in mid-push doubles nothing", a_leader_wakes_in_mid_push),
        trial("leaders: a leader that can't renew ends", a_leader_that_cannot_renew),
    ]
}

const FILE: &str = "apps/app.yaml";

/// A repository with one marked file, and an ImageUpdate for it.
async fn fleet(world: &World) -> Repo {
    world.push("app", &["1.0.0"]).await;
    let repo = world.repo("fleet", &[(FILE, &marked(world, "app", "1.0.0"))]);
    config_repo(world, &repo).await;
    image_policy(world, "app", "app", NEWEST).await;
    image_update(world, "batchWindow: 10ms").await;
    repo
}

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
    let repo = fleet(&world).await;
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
    let repo = fleet(&world).await;
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

async fn a_leader_that_cannot_renew(world: World) {
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
