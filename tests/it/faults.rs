//! What a Git host, a disk or a clock can do to a bump, beside what `cuts` breaks: each is told, does no harm, and is over when it is over.

mod content;
mod disk;

use std::time::Duration;

use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{Patch, PatchParams};
use libtest_mimic::Trial;
use serde_json::json;
use tagboat::api::condition::Reason;
use tagboat::api::{ConfigRepo, ImagePolicy, ImageUpdate};

use crate::objects::{config_map, exists, synced};
use crate::setup::*;
use crate::support::cutter::{Act, Cutter, Point};
use crate::support::git::Repo;
use crate::support::wait::{eventually, wait_for};
use crate::support::world::World;
use crate::support::{gitea_host, guard, trial};

pub fn trials() -> Vec<Trial> {
    vec![
        trial("faults: a hook that always refuses is asked ever more rarely", a_hook_that_always_refuses),
        trial("faults: a protected branch", a_protected_branch),
        trial("faults: a person writes the same line while a push is on its way", the_same_line),
        trial("faults: a branch is rewritten while a push is on its way", a_branch_is_rewritten),
        trial("faults: a branch is deleted while a push is on its way", a_branch_is_deleted),
        trial("faults: clocks that are wrong", clocks_that_are_wrong),
        trial("faults: two policies for one value", two_policies_for_one_value),
        trial("faults: a data folder that is damaged anywhere", disk::damaged),
        trial("faults: a pack that is cut in place", disk::cut_in_place),
        trial("faults: a disk that is full", disk::full),
        trial("faults: a data folder that cannot be", disk::nowhere),
        trial("faults: files and folders beyond the limits", content::beyond_the_limits),
        trial("faults: packs that swell", content::packs_that_swell),
        trial("faults: links, submodules and names that lead astray", content::astray),
        trial("faults: YAML that swells, repeats or is odd", content::odd_yaml),
    ]
}

pub(crate) const FILE: &str = "app.yaml";

/// The way to the Git server is in the test's hands.
async fn cut(world: &World, repo: &Repo) -> Cutter {
    let cutter = Cutter::new(world).await;
    let url = cutter.git(world, &repo.url);
    apply(world, "ConfigRepo", "fleet", &format!("{{url: '{url}', interval: 1s, secretRef: {{name: git}}}}")).await;
    cutter
}

/// Waits until the ImageUpdate has looked at the branch's head.
async fn seen(world: &World, repo: &Repo) -> ImageUpdate {
    wait_for(&world.api::<ImageUpdate>(), "fleet", "that the head was looked at", SOON, |update| {
        let revision = update?.status.as_ref()?.observed_revision.as_ref()?.to_string();
        revision.ends_with(&repo.head()).then(|| update.cloned())?
    })
    .await
}

/// The tags that bumps wrote, oldest first.
fn written(repo: &Repo) -> Vec<String> {
    let tag = |value: String| value.rsplit(':').next().unwrap_or_default().to_owned();
    bumps(&repo.log()).into_iter().rev().map(|bump| tag(bump.new)).collect()
}

async fn a_hook_that_always_refuses(world: World) {
    let repo = one_app(&world, FILE).await;
    let _tagboat = world.tagboat().await;
    ready::<ImageUpdate>(&world, "fleet", "True", Reason::Succeeded).await;
    let asked_at = guard::folder().join(format!("{}-asked", world.namespace));
    let noise = "head -c 300000 /dev/zero | tr '\\0' x >&2; printf '\\033[31m\\r\\nno deploys on fridays\\n' >&2";
    repo.hook(Some(&format!("date +%s%N >> {}; {noise}; exit 1", asked_at.display())));
    world.push("app", &["1.1.0"]).await;
    let times = || -> Vec<u64> {
        let text = std::fs::read_to_string(&asked_at).unwrap_or_default();
        text.lines().map(|line| line.parse::<u64>().unwrap() / 1_000_000).collect()
    };
    asked("refusals", 4, || times().len()).await;
    let gaps: Vec<u64> = times().windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!(gaps[0] >= 900 && gaps[1] >= 1900 && gaps[2] >= 3900, "about twice as long each time: {gaps:?} ms");
    let refused: ImageUpdate = ready(&world, "fleet", "False", Reason::PushRejected).await;
    let said = message(&refused);
    assert!(said.chars().count() < 1000 && !said.contains(|c: char| c.is_control()), "{} characters", said.len());
    assert_eq!(events(&world, "fleet", Reason::PushRejected).await.len(), 1, "told once");
    repo.hook(None);
    in_git(&repo, FILE, ":1.1.0 ").await;
    ready::<ImageUpdate>(&world, "fleet", "True", Reason::Succeeded).await;
    assert_eq!(written(&repo), ["1.1.0"]);
}

async fn a_protected_branch(world: World) {
    let gitea = gitea_host().await;
    world.push("app", &["1.0.0", "1.1.0"]).await;
    let repo = gitea.repo(&world.namespace.replace("--", "-"), &[(FILE, &marked(&world, "app", "1.0.0"))]).await;
    gitea.protect(&repo).await;
    let (user, password) = crate::support::registry::LOGIN;
    world.secret("git", "Opaque", json!({"username": user, "password": password})).await;
    let url = gitea.url(&repo);
    apply(&world, "ConfigRepo", "fleet", &format!("{{url: '{url}', interval: 1s, secretRef: {{name: git}}}}")).await;
    image_policy(&world, "app", "app", NEWEST).await;
    image_update(&world, "batchWindow: 10ms").await;
    let _tagboat = world.tagboat().await;
    let refused: ImageUpdate = ready(&world, "fleet", "False", Reason::PushRejected).await;
    println!("{}", message(&refused));
    for words in ["protected branch", "spec.push.branch"] {
        assert!(message(&refused).contains(words), "{}", message(&refused));
    }
    assert_eq!(repo.log().len(), 1);
    // What it says helps.
    image_update(&world, "batchWindow: 10ms, push: {branch: proposals/images}").await;
    asked("the proposal", 1, || repo.branch("proposals/images").into_iter().count()).await;
    ready::<ImageUpdate>(&world, "fleet", "True", Reason::Succeeded).await;
}

/// A newer value stays, the same one is not written twice, and the other app's bump goes in all the same.
async fn the_same_line(world: World) {
    // What is kept at `db` was never written by anybody but the person.
    let all = ["app", "web", "db"];
    for app in all {
        world.push(app, &["1.0.0"]).await;
    }
    let text = |tags: [&str; 3]| all.iter().zip(tags).map(|(app, tag)| marked(&world, app, tag)).collect::<String>();
    let repo = world.repo("fleet", &[(FILE, &text(["1.0.0"; 3]))]);
    config_repo(&world, &repo).await;
    for app in all {
        image_policy(&world, app, app, NEWEST).await;
    }
    image_update(&world, "batchWindow: 2s").await;
    let cutter = cut(&world, &repo).await;
    let tagboat = cutter.launch(world.launch()).start().await;
    ready::<ImageUpdate>(&world, "fleet", "True", Reason::Succeeded).await;
    for app in ["app", "web"] {
        world.push(app, &["1.0.1"]).await;
    }
    in_git(&repo, FILE, &text(["1.0.1", "1.0.1", "1.0.0"])).await;
    for (n, tag, person) in [(1, "1.1.0", "2.0.0"), (2, "2.1.0", "2.1.0")] {
        cutter.plan("git push", Point::Before, Act::Hold);
        for app in all {
            world.push(app, &[tag]).await;
        }
        for policy in all {
            chosen(&world, policy, tag).await;
        }
        cutter.meets(n).await;
        let before = repo.file_at_head(FILE).unwrap();
        let web = before.lines().nth(1).unwrap();
        let (app, db) = (marked(&world, "app", person), marked(&world, "db", person));
        repo.commit(&[(FILE, &format!("{app}{web}\n{db}"))], "we need this now");
        cutter.let_go();
        in_git(&repo, FILE, &text([person, tag, person])).await;
        let update = seen(&world, &repo).await;
        assert_eq!(update.status.unwrap().holds.len(), if person == tag { 0 } else { 2 });
    }
    let of = |policy: &str| {
        let log = bumps(&repo.log()).into_iter().rev();
        log.filter(|bump| bump.policy.ends_with(policy)).map(|bump| bump.new).collect::<Vec<_>>()
    };
    assert_eq!(of(":app"), [format!("{}:1.0.1", world.image("app"))]);
    assert!(of(":db").is_empty());
    let web = ["1.0.1", "1.1.0", "2.1.0"].map(|tag| format!("{}:{tag}", world.image("web")));
    assert_eq!(of(":web"), web);
    assert!(!tagboat.log().contains("panicked"));
}

/// What people put there is the ground of the next try, and nothing of the old branch comes back.
async fn a_branch_is_rewritten(world: World) {
    let repo = one_app(&world, FILE).await;
    let cutter = cut(&world, &repo).await;
    let _tagboat = cutter.launch(world.launch()).start().await;
    ready::<ImageUpdate>(&world, "fleet", "True", Reason::Succeeded).await;
    repo.commit(&[("secret.txt", "pushed by mistake\n")], "oh no");
    seen(&world, &repo).await;
    cutter.plan("git push", Point::Middle, Act::Hold);
    world.push("app", &["1.1.0"]).await;
    cutter.meets(1).await;
    let tree = git_says(&repo, &["rev-parse", "main~1^{tree}"]);
    let root = git_says(&repo, &["commit-tree", "-m", "a new beginning", &tree]);
    git_says(&repo, &["update-ref", "refs/heads/main", &root]);
    cutter.let_go();
    in_git(&repo, FILE, ":1.1.0 ").await;
    let log = repo.log();
    assert_eq!((log.len(), &log[0].parents, &log[1].id), (2, &vec![root.clone()], &root));
    assert_eq!(repo.file_at_head("secret.txt"), None);
    let update = seen(&world, &repo).await;
    assert_eq!(update.status.unwrap().holds, []);
}

/// Nobody makes it anew, and nothing that was applied from it goes.
async fn a_branch_is_deleted(world: World) {
    let repo = one_app(&world, FILE).await;
    repo.commit(&[("sync/map.yaml", &config_map("kept", "x"))], "manifests");
    let cutter = cut(&world, &repo).await;
    git_sync(&world, "path: sync, prune: true").await;
    let _tagboat = cutter.launch(world.launch()).start().await;
    ready::<ImageUpdate>(&world, "fleet", "True", Reason::Succeeded).await;
    synced(&world, "apps", &repo.head()).await;
    cutter.plan("git push", Point::Before, Act::Hold);
    world.push("app", &["1.1.0"]).await;
    cutter.meets(1).await;
    let head = repo.head();
    git_says(&repo, &["update-ref", "-d", "refs/heads/main"]);
    cutter.let_go();
    ready::<ConfigRepo>(&world, "fleet", "False", Reason::BranchNotFound).await;
    ready::<ImageUpdate>(&world, "fleet", "False", Reason::BranchNotFound).await;
    world.push("app", &["1.2.0"]).await;
    chosen(&world, "app", "1.2.0").await;
    let before = repo.requests().len();
    request::<ConfigRepo>(&world, "fleet", "again").await;
    request::<ImageUpdate>(&world, "fleet", "again").await;
    asked("the branch", before + 2, || repo.requests().len()).await;
    assert_eq!(repo.branch("main"), None, "it was not made anew");
    exists::<ConfigMap>(&world, "kept", true).await;
    git_says(&repo, &["update-ref", "refs/heads/main", &head]);
    request::<ConfigRepo>(&world, "fleet", "it is back").await;
    in_git(&repo, FILE, ":1.2.0 ").await;
    // A push that was on its way all the time may have found the branch again.
    let written = written(&repo);
    assert!(written == ["1.2.0"] || written == ["1.1.0", "1.2.0"], "{written:?}");
    ready::<ImageUpdate>(&world, "fleet", "True", Reason::Succeeded).await;
}

/// A controller whose clock was a year ahead chose and pushed; the next one's clock is right.
async fn clocks_that_are_wrong(world: World) {
    let repo = one_app(&world, FILE).await;
    image_update(&world, "batchWindow: 10ms, suspend: true").await;
    let tagboat = world.tagboat().await;
    world.push("app", &["1.1.0"]).await;
    chosen(&world, "app", "1.1.0").await;
    tagboat.terminate().await;
    let ahead = chrono::Utc::now() + chrono::TimeDelta::days(365);
    let time = ahead.to_rfc3339_opts(chrono::SecondsFormat::Secs, true);
    let as_controller = PatchParams::default();
    let choice = Patch::Merge(json!({"status": {"chosenAt": time, "lastScanTime": time}}));
    world.api::<ImagePolicy>().patch_status("app", &as_controller, &choice).await.unwrap();
    let push = Patch::Merge(json!({"status": {"lastPushTime": time, "observedGeneration": 1}}));
    world.api::<ImageUpdate>().patch_status("fleet", &as_controller, &push).await.unwrap();
    image_update(&world, "batchWindow: 10ms, minInterval: 1h, suspend: false").await;
    let tagboat = world.tagboat().await;
    in_git(&repo, FILE, ":1.1.0 ").await;
    let time_of = |id: &str| git_says(&repo, &["log", "-1", "--format=%at %ct", id]);
    let first = time_of(&repo.head());
    assert_eq!(first, format!("{0} {0}", ahead.timestamp()), "the recorded time, whatever the clock says");

    // The next commit is no older than the one below it, and nobody waits for a year.
    image_update(&world, "batchWindow: 10ms").await;
    world.push("app", &["1.2.0"]).await;
    in_git(&repo, FILE, ":1.2.0 ").await;
    assert_eq!(time_of(&repo.head()), first);
    seen(&world, &repo).await;
    tagboat.terminate().await;
    assert_eq!(written(&repo), ["1.1.0", "1.2.0"]);
}

/// They do not write against each other for ever.
async fn two_policies_for_one_value(world: World) {
    world.push("app", &["1.0.0", "1.5.0", "2.5.0"]).await;
    let repo = world.repo("fleet", &[("values.yaml", "image: {tag: 1.0.0}\n")]);
    config_repo(&world, &repo).await;
    for (name, range) in [("one", "1.x"), ("two", "2.x")] {
        image_policy(&world, name, "app", &format!("policy: {{semver: {{range: '{range}'}}}}")).await;
        let target = format!("targets: [{{file: values.yaml, key: image.tag, field: tag, policy: {name}}}]");
        let spec = format!("{{configRepoRef: {{name: fleet}}, batchWindow: 10ms, {target}}}");
        apply(&world, "ImageUpdate", name, &spec).await;
    }
    let _tagboat = world.tagboat().await;
    in_git(&repo, "values.yaml", ".5.0").await;
    let still = || async {
        let before = (repo.log().len(), repo.requests().len());
        asked("the branch", before.1 + 8, || repo.requests().len()).await;
        if repo.log().len() == before.0 { Ok(()) } else { Err(format!("{} commits", repo.log().len())) }
    };
    eventually("that they stop", Duration::from_secs(30), still).await;
    println!("{} commits", repo.log().len() - 1);
    assert!(repo.log().len() <= 4, "{:?}", written(&repo));
    let held = async |name: &str| world.api::<ImageUpdate>().get(name).await.unwrap().status.unwrap().holds.len();
    assert_eq!(held("one").await + held("two").await, 1, "one of them is held, and says so");
}
