//! A person takes a value back in Git: it stays so, until something newer is chosen or a person says otherwise.

use libtest_mimic::Trial;
use serde_json::Value;
use tagboat::api::ImageUpdate;
use tagboat::api::condition::Reason;
use tagboat::api::image_update::HoldStatus;

use crate::setup::*;
use crate::support::git::Repo;
use crate::support::tagboat::{Output, Tagboat, cli};
use crate::support::trial;
use crate::support::wait::wait_for;
use crate::support::world::World;

pub fn trials() -> Vec<Trial> {
    vec![
        trial("holds: a git revert sticks, also after a restart with nothing", a_git_revert_sticks),
        trial("holds: something newer ends it", something_newer_ends_it),
        trial("holds: reverting the revert ends it", reverting_the_revert_ends_it),
        trial("holds: an edit by hand", an_edit_by_hand),
        trial("holds: a rewritten branch", a_rewritten_branch),
        trial("holds: a squash that lost the trailers", a_squash_that_lost_the_trailers),
        trial("holds: onRevert Hold waits for a release", on_revert_hold),
        trial("holds: onRevert Ignore writes again", on_revert_ignore),
        trial("holds: tagboat release", tagboat_release),
        trial("holds: each place for itself", each_place_for_itself),
        trial("holds: a step forward by hand", a_step_forward_by_hand),
        trial("holds: a step forward from a value of nobody's", a_step_forward_from_nobodys),
        trial("holds: a merge that drops the bump", a_merge_that_drops_the_bump),
        trial("holds: another repository is no rewritten branch", another_repository),
        trial("holds: a target that was put in and taken out", a_target_taken_out),
    ]
}

/// One app, bumped from 1.0.0 to 1.1.0 by a running controller; the bump's commit.
async fn bumped(world: &World, policy: &str) -> (Repo, Tagboat, String) {
    world.push("app", &["1.0.0"]).await;
    let repo = world.repo("fleet", &[("app.yaml", &marked(world, "app", "1.0.0"))]);
    config_repo(world, &repo).await;
    image_policy(world, "app", "app", &format!("{NEWEST}{policy}")).await;
    image_update(world, "batchWindow: 10ms").await;
    let tagboat = world.tagboat().await;
    ready::<ImageUpdate>(world, "fleet", "True", Reason::Succeeded).await;
    world.push("app", &["1.1.0"]).await;
    in_git(&repo, "app.yaml", ":1.1.0 ").await;
    let bump = repo.head();
    (repo, tagboat, bump)
}

/// Waits until the ImageUpdate has looked at the branch's head and holds so many values; those.
async fn held(world: &World, repo: &Repo, count: usize) -> Vec<HoldStatus> {
    let update = wait_for(&world.api::<ImageUpdate>(), "fleet", &format!("{count} held at the head"), SOON, |update| {
        let status = update?.status.as_ref()?;
        let is_at_head = status.observed_revision.as_ref()?.to_string().ends_with(&repo.head());
        (is_at_head && status.holds.len() == count).then(|| update.cloned())?
    })
    .await;
    let holds = update.status.as_ref().unwrap().holds.clone();
    if let Some(hold) = holds.first() {
        assert!(message(&update).contains(&hold.reason), "{}", message(&update));
    }
    holds
}

fn value(world: &World, tag: &str) -> String {
    format!("{}:{tag}", world.image("app"))
}

/// A command of a person about the test's namespace.
async fn person(world: &World, args: &[&str]) -> Output {
    let kubeconfig = world.cluster.kubeconfig("person");
    let place = ["--namespace", &world.namespace, "--kubeconfig", kubeconfig.to_str().unwrap()];
    cli(args.iter().chain(&place)).await
}

async fn a_git_revert_sticks(world: World) {
    let (repo, tagboat, bump) = bumped(&world, "").await;
    let revert = repo.revert(&bump);
    let holds = held(&world, &repo, 1).await;
    let hold = &holds[0];
    assert_eq!((hold.file.as_str(), hold.line, hold.field.as_str()), ("app.yaml", 1, "image"));
    assert_eq!((hold.policy.clone(), hold.value.clone()), (format!("{}:app", world.namespace), value(&world, "1.1.0")));
    assert_eq!((hold.by.as_str(), hold.commit.as_str()), ("A Person", revert.as_str()));
    assert!(hold.reason.contains("Revert \\\"update") || hold.reason.contains("Revert \"update"), "{}", hold.reason);
    event(&world, "fleet", Reason::Held, &["1.1.0", "A Person", &revert[..8]]).await;

    // Explained.
    let output = person(&world, &["explain", "imagepolicy", "app", "-o", "json"]).await;
    let said: Value = serde_json::from_str(&output.stdout).unwrap_or_else(|_| panic!("{output:?}"));
    assert_eq!(
        (&said["holds"][0]["imageUpdate"], &said["holds"][0]["commit"]),
        (&"fleet".into(), &revert.clone().into())
    );
    let output = person(&world, &["explain", "imagepolicy", "app"]).await;
    assert!(output.stdout.contains("held back: ") && output.stdout.contains(&hold.reason), "{}", output.stdout);

    // Other commits do not matter, and neither does forgetting all: mirror, memory and status.
    let head = repo.commit(&[("README.md", "hello\n")], "readme");
    assert_eq!(held(&world, &repo, 1).await, holds);
    tagboat.kill9().await;
    let updates = world.api::<ImageUpdate>();
    updates.delete("fleet", &Default::default()).await.unwrap();
    image_update(&world, "batchWindow: 10ms").await;
    let _tagboat = world.tagboat().await;
    assert_eq!(held(&world, &repo, 1).await, holds);
    scanned(&world, &world.repository("app"), 2).await;
    assert_eq!(repo.head(), head);
}

async fn something_newer_ends_it(world: World) {
    let (repo, _tagboat, bump) = bumped(&world, "").await;
    repo.revert(&bump);
    held(&world, &repo, 1).await;
    world.push("app", &["1.2.0"]).await;
    in_git(&repo, "app.yaml", ":1.2.0 ").await;
    held(&world, &repo, 0).await;
    event(&world, "fleet", Reason::HoldReleased, &["1.1.0"]).await;
    assert_eq!(bumps(&repo.log()).iter().filter(|bump| bump.new.ends_with(":1.1.0")).count(), 1);
}

async fn reverting_the_revert_ends_it(world: World) {
    let (repo, _tagboat, bump) = bumped(&world, "").await;
    let revert = repo.revert(&bump);
    held(&world, &repo, 1).await;
    let again = repo.revert(&revert);
    held(&world, &repo, 0).await;
    assert_eq!((repo.head(), repo.file_at_head("app.yaml").unwrap()), (again.clone(), marked(&world, "app", "1.1.0")));
    // And that can be taken back too.
    let third = repo.revert(&again);
    assert_eq!(held(&world, &repo, 1).await[0].commit.as_str(), third);
}

async fn an_edit_by_hand(world: World) {
    let (repo, _tagboat, _) = bumped(&world, "").await;
    let text = format!("# it broke the shop\n{}", marked(&world, "app", "1.0.0"));
    let edit = repo.commit(&[("app.yaml", &text)], "back to the old one");
    let hold = held(&world, &repo, 1).await.remove(0);
    assert_eq!((hold.line, hold.commit.as_str()), (2, edit.as_str()));
    assert!(hold.reason.contains("(back to the old one)"), "{}", hold.reason);
    assert_eq!(repo.head(), edit);
}

async fn a_rewritten_branch(world: World) {
    let (repo, tagboat, bump) = bumped(&world, "").await;
    let base = git_says(&repo, &["rev-parse", "main~1"]);
    // Known to the controller, also after a restart.
    held(&world, &repo, 0).await;
    git_says(&repo, &["update-ref", "refs/heads/main", &base]);
    let holds = held(&world, &repo, 1).await;
    assert_eq!((holds[0].commit.as_str(), holds[0].by.as_str()), (bump.as_str(), "A Person"));
    assert!(holds[0].reason.contains("the branch was rewritten"), "{}", holds[0].reason);
    repo.commit(&[("README.md", "on we go\n")], "readme");
    assert_eq!(held(&world, &repo, 1).await, holds);
    tagboat.kill9().await;
    let _tagboat = world.tagboat().await;
    let head = repo.commit(&[("README.md", "and on\n")], "readme");
    assert_eq!(held(&world, &repo, 1).await, holds);
    assert_eq!(repo.head(), head);
    world.push("app", &["1.2.0"]).await;
    in_git(&repo, "app.yaml", ":1.2.0 ").await;
    held(&world, &repo, 0).await;
}

async fn a_squash_that_lost_the_trailers(world: World) {
    world.push("app", &["1.0.0", "1.1.0"]).await;
    let repo = world.repo("fleet", &[("app.yaml", &marked(&world, "app", "1.0.0"))]);
    config_repo(&world, &repo).await;
    image_policy(&world, "app", "app", NEWEST).await;
    image_update(&world, "batchWindow: 10ms, push: {branch: proposals/images}").await;
    let _tagboat = world.tagboat().await;
    asked("the proposal", 1, || repo.branch("proposals/images").into_iter().count()).await;
    let squash = repo.commit(&[("app.yaml", &marked(&world, "app", "1.1.0"))], "Update images (#7)");
    held(&world, &repo, 0).await;
    let revert = repo.revert(&squash);
    assert_eq!(held(&world, &repo, 1).await[0].commit.as_str(), revert);
    assert_eq!(repo.branch("proposals/images"), None, "gone as it was merged, and not made anew");
}

async fn on_revert_hold(world: World) {
    let (repo, _tagboat, bump) = bumped(&world, ", onRevert: Hold").await;
    let revert = repo.revert(&bump);
    held(&world, &repo, 1).await;
    world.push("app", &["1.2.0"]).await;
    chosen(&world, "app", "1.2.0").await;
    event(&world, "fleet", Reason::Held, &["1.2.0", &revert[..8]]).await;
    assert_eq!(held(&world, &repo, 1).await[0].value, value(&world, "1.2.0"));
    assert_eq!(repo.head(), revert);
    let output = person(&world, &["release", "app"]).await;
    assert_eq!(output.code, 0, "{output:?}");
    in_git(&repo, "app.yaml", ":1.2.0 ").await;
    held(&world, &repo, 0).await;
    // From here on all is as ever.
    world.push("app", &["1.3.0"]).await;
    in_git(&repo, "app.yaml", ":1.3.0 ").await;
}

async fn on_revert_ignore(world: World) {
    let (repo, _tagboat, bump) = bumped(&world, ", onRevert: Ignore").await;
    let revert = repo.revert(&bump);
    in_git(&repo, "app.yaml", ":1.1.0 ").await;
    held(&world, &repo, 0).await;
    assert_eq!(repo.log()[0].parents, [revert]);
}

async fn tagboat_release(world: World) {
    let (repo, _tagboat, bump) = bumped(&world, "").await;
    let nothing = person(&world, &["release", "app"]).await;
    assert_eq!((nothing.code, nothing.stdout.as_str()), (1, "nothing is held\n"));
    repo.revert(&bump);
    let hold = held(&world, &repo, 1).await.remove(0);
    let listed = person(&world, &["release", "-o", "json"]).await;
    let said: Value = serde_json::from_str(&listed.stdout).unwrap();
    assert_eq!((listed.code, &said["held"][0]["value"]), (0, &hold.value.clone().into()));
    for (args, code) in [
        (vec!["release", "app", "--value", "1.0.0"], 1),
        (vec!["release", "nobody"], 2),
        (vec!["release", "imageupdate/app"], 2),
        (vec!["release", "gitsync/app"], 2),
        (vec!["release", "imagepolicy/app", "--value", "1.1.0"], 0),
    ] {
        let output = person(&world, &args).await;
        assert_eq!(output.code, code, "{args:?}: {output:?}");
    }
    in_git(&repo, "app.yaml", ":1.1.0 ").await;
    held(&world, &repo, 0).await;
    event(&world, "fleet", Reason::HoldReleased, &["1.1.0"]).await;
    // A release is used up by what it lets be written.
    let revert = repo.revert(&repo.head());
    assert_eq!(held(&world, &repo, 1).await[0].commit.as_str(), revert);
    let output = person(&world, &["release", "imageupdate/fleet", "-o", "json"]).await;
    let said: Value = serde_json::from_str(&output.stdout).unwrap();
    assert_eq!((output.code, &said["released"][0]["imageUpdate"]), (0, &"fleet".into()));
    in_git(&repo, "app.yaml", ":1.1.0 ").await;
    held(&world, &repo, 0).await;
}

async fn each_place_for_itself(world: World) {
    world.push("app", &["1.0.0"]).await;
    let old = marked(&world, "app", "1.0.0");
    let two = format!("{old}{old}");
    let repo = world.repo("fleet", &[("a.yaml", &old), ("b.yaml", &two)]);
    config_repo(&world, &repo).await;
    image_policy(&world, "app", "app", NEWEST).await;
    image_update(&world, "batchWindow: 10ms").await;
    let _tagboat = world.tagboat().await;
    ready::<ImageUpdate>(&world, "fleet", "True", Reason::Succeeded).await;
    world.push("app", &["1.1.0"]).await;
    in_git(&repo, "b.yaml", ":1.1.0 ").await;
    held(&world, &repo, 0).await;
    // The second place of b, and with it a new file that holds nothing back.
    let new = marked(&world, "app", "1.1.0");
    repo.commit(&[("b.yaml", &format!("# two\n{new}{old}")), ("c.yaml", &old)], "not there");
    in_git(&repo, "c.yaml", ":1.1.0 ").await;
    let holds = held(&world, &repo, 1).await;
    assert_eq!((holds[0].file.as_str(), holds[0].line), ("b.yaml", 3));
    assert_eq!(repo.file_at_head("b.yaml").unwrap(), format!("# two\n{new}{old}"));
    assert_eq!(bumps(&repo.log()[..1]).len(), 1);
    world.push("app", &["1.2.0"]).await;
    in_git(&repo, "a.yaml", ":1.2.0 ").await;
    let newest = marked(&world, "app", "1.2.0");
    assert_eq!(repo.file_at_head("b.yaml").unwrap(), format!("# two\n{newest}{newest}"));
    held(&world, &repo, 0).await;
}

async fn a_step_forward_by_hand(world: World) {
    let (repo, _tagboat, _) = bumped(&world, "").await;
    let forward = repo.commit(&[("app.yaml", &marked(&world, "app", "1.5.0"))], "we need this now");
    held(&world, &repo, 1).await;
    world.push("app", &["1.2.0"]).await;
    chosen(&world, "app", "1.2.0").await;
    event(&world, "fleet", Reason::Held, &["1.2.0", "1.5.0", &forward[..8]]).await;
    assert_eq!(held(&world, &repo, 1).await[0].value, value(&world, "1.2.0"));
    assert_eq!(repo.head(), forward);
    world.push("app", &["1.6.0"]).await;
    in_git(&repo, "app.yaml", ":1.6.0 ").await;
    held(&world, &repo, 0).await;
}

/// Nothing here was ever written by the controller before the end.
async fn a_step_forward_from_nobodys(world: World) {
    world.push("app", &["1.0.0"]).await;
    let file = |tag: &str| marked(&world, "app", tag);
    // Where a value stands from the beginning, it is no decision.
    let repo = world.repo("fleet", &[("app.yaml", &file("1.0.0")), ("new.yaml", &file("3.0.0"))]);
    config_repo(&world, &repo).await;
    image_policy(&world, "app", "app", NEWEST).await;
    image_update(&world, "batchWindow: 10ms").await;
    let tagboat = world.tagboat().await;
    in_git(&repo, "new.yaml", ":1.0.0 ").await;
    let forward = repo.commit(&[("app.yaml", &file("1.5.0"))], "we need this now");
    let holds = held(&world, &repo, 1).await;
    assert_eq!((holds[0].commit.as_str(), holds[0].value.clone()), (forward.as_str(), value(&world, "1.0.0")));
    world.push("app", &["1.2.0"]).await;
    in_git(&repo, "new.yaml", ":1.2.0 ").await;
    let hold = held(&world, &repo, 1).await.remove(0);
    assert_eq!((hold.value.as_str(), hold.file.as_str()), (&*value(&world, "1.2.0"), "app.yaml"));
    assert!(hold.reason.starts_with("moved forward to "), "{}", hold.reason);
    // The same with nothing but the history.
    tagboat.kill9().await;
    world.api::<ImageUpdate>().delete("fleet", &Default::default()).await.unwrap();
    image_update(&world, "batchWindow: 10ms").await;
    let _tagboat = world.tagboat().await;
    assert_eq!(held(&world, &repo, 1).await[0].commit.as_str(), forward);
    assert_eq!(repo.file_at_head("app.yaml").unwrap(), file("1.5.0"));
    world.push("app", &["1.6.0"]).await;
    in_git(&repo, "app.yaml", ":1.6.0 ").await;
    held(&world, &repo, 0).await;
}

/// A merge of two commits with the tree of the first, which becomes the head; its id.
fn merged(repo: &Repo, one: &str, other: &str, tree: &str) -> String {
    let tree = format!("{tree}^{{tree}}");
    let id = git_says(repo, &["commit-tree", &tree, "-p", one, "-p", other, "-m", "merge it"]);
    git_says(repo, &["update-ref", "refs/heads/main", &id]);
    id
}

async fn a_merge_that_drops_the_bump(world: World) {
    let (repo, _tagboat, bump) = bumped(&world, "").await;
    let base = git_says(&repo, &["rev-parse", "main~1"]);
    // A stale branch that main is merged into, and main goes on from there: nothing was dropped.
    let stale = git_says(&repo, &["commit-tree", &format!("{base}^{{tree}}"), "-p", &base, "-m", "stale"]);
    let head = merged(&repo, &stale, &bump, &bump);
    world.push("app", &["1.2.0"]).await;
    in_git(&repo, "app.yaml", ":1.2.0 ").await;
    held(&world, &repo, 0).await;
    // The same branch, by `git merge -s ours`.
    let bump = repo.head();
    let dropped = merged(&repo, &stale, &bump, &stale);
    let holds = held(&world, &repo, 1).await;
    assert_eq!((holds[0].commit.as_str(), holds[0].value.clone()), (dropped.as_str(), value(&world, "1.2.0")));
    assert!(holds[0].reason.contains("in a merge by A Person"), "{}", holds[0].reason);
    assert_eq!((repo.head(), repo.log().iter().any(|commit| commit.id == head)), (dropped, true));
    world.push("app", &["1.3.0"]).await;
    in_git(&repo, "app.yaml", ":1.3.0 ").await;
    held(&world, &repo, 0).await;
}

async fn another_repository(world: World) {
    let (_repo, tagboat, _) = bumped(&world, "").await;
    ready::<ImageUpdate>(&world, "fleet", "True", Reason::Succeeded).await;
    let other = world.repo("other", &[("app.yaml", &marked(&world, "app", "1.0.0"))]);
    config_repo(&world, &other).await;
    in_git(&other, "app.yaml", ":1.1.0 ").await;
    held(&world, &other, 0).await;
    // The same while the controller is away.
    tagboat.kill9().await;
    let third = world.repo("third", &[("app.yaml", &marked(&world, "app", "1.0.0"))]);
    config_repo(&world, &third).await;
    let _tagboat = world.tagboat().await;
    in_git(&third, "app.yaml", ":1.1.0 ").await;
    held(&world, &third, 0).await;
    // In this one it is a rewritten branch.
    let base = git_says(&third, &["rev-parse", "main~1"]);
    git_says(&third, &["update-ref", "refs/heads/main", &base]);
    assert!(held(&world, &third, 1).await[0].reason.contains("the branch was rewritten"));
}

async fn a_target_taken_out(world: World) {
    world.push("app", &["1.0.0"]).await;
    let plain = "resources: [app.yaml]\n";
    let repo = world.repo("fleet", &[("kustomization.yaml", plain)]);
    config_repo(&world, &repo).await;
    image_policy(&world, "app", "app", NEWEST).await;
    let target = "targets: [{file: kustomization.yaml, kustomizeImage: app, policy: app}]";
    image_update(&world, &format!("batchWindow: 10ms, {target}")).await;
    let _tagboat = world.tagboat().await;
    in_git(&repo, "kustomization.yaml", "1.0.0").await;
    let revert = repo.revert(&repo.head());
    let holds = held(&world, &repo, 2).await;
    assert!(holds.iter().all(|hold| hold.commit.as_str() == revert), "{holds:?}");
    assert_eq!(repo.file_at_head("kustomization.yaml").unwrap(), plain);
    world.push("app", &["1.1.0"]).await;
    in_git(&repo, "kustomization.yaml", "1.1.0").await;
}
