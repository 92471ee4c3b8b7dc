//! From choices to commits: what is committed together, where it is pushed, and what keeps a value from following.

use std::time::{Duration, Instant};

use kube::api::{Patch, PatchParams};
use libtest_mimic::Trial;
use serde_json::json;
use tagboat::api::condition::Reason;
use tagboat::api::{ConfigRepo, ImageUpdate};

use crate::setup::*;
use crate::support::traffic::Fault;
use crate::support::trial;
use crate::support::wait::{eventually, wait_for};
use crate::support::world::World;

pub fn trials() -> Vec<Trial> {
    vec![
        trial("loop one: a poll of an unchanged branch is one request", a_poll_is_one_request),
        trial("loop one: the Git host goes and comes back", the_git_host_goes_and_comes_back),
        trial("loop one: a lost reply makes no second commit", a_lost_reply_makes_no_second_commit),
        trial("loop one: a hook refuses the push", a_hook_refuses_the_push),
        trial("loop one: a broken file does not hold the others", a_broken_file_does_not_hold_the_others),
        trial("loop one: choices within the window share a commit", choices_within_the_window_share_a_commit),
        trial("loop one: pushes are an interval apart", pushes_are_an_interval_apart),
        trial("loop one: targets and a marker share a commit", targets_and_a_marker_share_a_commit),
        trial("loop one: a proposal branch follows main", a_proposal_branch_follows_main),
        trial("loop one: policies that do not count are problems", policies_that_do_not_count_are_problems),
    ]
}

async fn a_poll_is_one_request(world: World) {
    let repo = world.repo("fleet", &[("README.md", "nothing\n")]);
    for n in 0..50 {
        git_says(&repo, &["branch", &format!("other/{n}"), "main"]);
    }
    config_repo(&world, &repo).await;
    let _tagboat = world.tagboat().await;
    ready::<ConfigRepo>(&world, "fleet", "True", Reason::Succeeded).await;
    let before = repo.requests().len();
    asked("the branch", before + 1, || repo.requests().len()).await;
    let (before, mark, begin) = (repo.requests().len(), world.cluster.audit().mark(), Instant::now());
    asked("the branch", before + 4, || repo.requests().len()).await;
    let requests = &repo.requests()[before..];
    let posts = requests.iter().all(|r| r.method == "POST" && r.path.ends_with("/git-upload-pack"));
    assert!(posts, "the question for one branch's head, nothing else: {requests:?}");
    assert!(begin.elapsed() > Duration::from_millis(2500), "one request a second: {:?}", begin.elapsed());
    assert!(writes(&world, mark).is_empty(), "{:?}", writes(&world, mark));
}

async fn the_git_host_goes_and_comes_back(world: World) {
    let repo = one_app(&world, "app.yaml").await;
    let _tagboat = world.tagboat().await;
    ready::<ImageUpdate>(&world, "fleet", "True", Reason::Succeeded).await;
    repo.down(true);
    let failed: ConfigRepo = ready(&world, "fleet", "False", Reason::GitOperationFailed).await;
    assert!(message(&failed).contains("503"), "{}", message(&failed));
    assert!(!message(&failed).contains(world.git.password));
    assert!(failed.status.unwrap().revision.is_some(), "what was read stays in use");

    world.push("app", &["1.1.0"]).await;
    let failed: ImageUpdate = ready(&world, "fleet", "False", Reason::GitOperationFailed).await;
    assert!(message(&failed).contains("503"), "{}", message(&failed));
    repo.down(false);
    in_git(&repo, "app.yaml", ":1.1.0 ").await;
    ready::<ImageUpdate>(&world, "fleet", "True", Reason::Succeeded).await;
    ready::<ConfigRepo>(&world, "fleet", "True", Reason::Succeeded).await;
    assert_eq!(bumps(&repo.log()).len(), 1);
}

async fn a_lost_reply_makes_no_second_commit(world: World) {
    let repo = one_app(&world, "app.yaml").await;
    let _tagboat = world.tagboat().await;
    ready::<ImageUpdate>(&world, "fleet", "True", Reason::Succeeded).await;
    let mut head = repo.head();
    for (tag, fault) in [("1.1.0", Fault::LostReply), ("1.2.0", Fault::Truncate)] {
        repo.fault(Some(fault));
        world.push("app", &[tag]).await;
        if fault == Fault::Truncate {
            // Reads are cut off too, so that it cannot even see whether its push arrived.
            ready::<ImageUpdate>(&world, "fleet", "False", Reason::GitOperationFailed).await;
            repo.fault(None);
        }
        in_git(&repo, "app.yaml", &format!(":{tag} ")).await;
        let pushed = repo.head();
        wait_for(&world.api::<ImageUpdate>(), "fleet", "Ready at the commit", SOON, |update| {
            let seen = update?.status.as_ref()?.observed_revision.as_ref()?.to_string();
            let ready = update?.conditions().iter().find(|condition| condition.kind == "Ready")?;
            (ready.status == "True" && seen.ends_with(&pushed)).then_some(())
        })
        .await;
        repo.fault(None);
        assert_eq!(repo.log()[0].parents, [head], "{:#?}", repo.log());
        head = pushed;
    }
    assert_eq!(bumps(&repo.log()).len(), 2);
}

async fn a_hook_refuses_the_push(world: World) {
    let repo = one_app(&world, "app.yaml").await;
    let _tagboat = world.tagboat().await;
    ready::<ImageUpdate>(&world, "fleet", "True", Reason::Succeeded).await;
    repo.hook(Some("echo 'no deploys on fridays' >&2; exit 1"));
    let head = repo.head();
    world.push("app", &["1.1.0"]).await;
    let refused: ImageUpdate = ready(&world, "fleet", "False", Reason::PushRejected).await;
    assert!(message(&refused).contains("no deploys on fridays"), "{}", message(&refused));
    event(&world, "fleet", Reason::PushRejected, &["no deploys on fridays"]).await;
    assert_eq!(repo.head(), head);

    repo.hook(None);
    in_git(&repo, "app.yaml", ":1.1.0 ").await;
    ready::<ImageUpdate>(&world, "fleet", "True", Reason::Succeeded).await;
    assert_eq!(bumps(&repo.log()).len(), 1);
}

async fn a_broken_file_does_not_hold_the_others(world: World) {
    world.push("app", &["1.0.0", "1.1.0"]).await;
    let good = marked(&world, "app", "1.0.0");
    let broken = format!("fine: 1\nlist: [a, b\n{good}");
    let files = [("apps/good.yaml", good.as_str()), ("apps/broken.yaml", &broken), ("other/outside.yaml", &good)];
    let repo = world.repo("fleet", &files);
    config_repo(&world, &repo).await;
    image_policy(&world, "app", "app", NEWEST).await;
    image_update(&world, "path: ./apps, batchWindow: 10ms").await;
    let _tagboat = world.tagboat().await;

    in_git(&repo, "apps/good.yaml", ":1.1.0 ").await;
    let update: ImageUpdate = ready(&world, "fleet", "False", Reason::UpdateProblems).await;
    let problems = update.status.as_ref().unwrap().problems.clone();
    assert!(!problems.is_empty() && problems.iter().all(|p| p.file == "apps/broken.yaml"), "{problems:?}");
    assert!(problems[0].line >= 2, "{problems:?}");
    assert!(message(&update).contains(&format!("apps/broken.yaml:{}", problems[0].line)), "{}", message(&update));
    event(&world, "fleet", Reason::UpdateProblems, &["apps/broken.yaml:"]).await;
    assert_eq!(repo.file_at_head("apps/broken.yaml").unwrap(), broken);
    assert_eq!(repo.file_at_head("other/outside.yaml").unwrap(), good, "below another path");

    repo.commit(&[("apps/broken.yaml", &format!("fine: 1\n{good}"))], "mended");
    in_git(&repo, "apps/broken.yaml", ":1.1.0 ").await;
    let update: ImageUpdate = ready(&world, "fleet", "True", Reason::Succeeded).await;
    assert_eq!(update.status.unwrap().problems, []);
}

async fn pushes_are_an_interval_apart(world: World) {
    const REST: Duration = Duration::from_secs(6);
    let repo = one_app(&world, "app.yaml").await;
    image_update(&world, "batchWindow: 10ms, minInterval: 6s").await;
    let _tagboat = world.tagboat().await;
    ready::<ImageUpdate>(&world, "fleet", "True", Reason::Succeeded).await;
    world.push("app", &["1.1.0"]).await;
    in_git(&repo, "app.yaml", ":1.1.0 ").await;
    let first = Instant::now();
    world.push("app", &["1.2.0"]).await;
    wait_for(&world.api::<ImageUpdate>(), "fleet", "that it waits", SOON, |update: Option<&ImageUpdate>| {
        update.filter(|update| message(*update).starts_with("1 new value waits until ")).map(drop)
    })
    .await;
    world.push("app", &["1.3.0"]).await;
    in_git(&repo, "app.yaml", ":1.3.0 ").await;
    // Times in a status are whole seconds.
    assert!(first.elapsed() > REST - Duration::from_millis(1500), "{:?}", first.elapsed());
    assert_eq!(robots(&repo.log()).len(), 2, "one commit for both that waited");
}

async fn choices_within_the_window_share_a_commit(world: World) {
    const APPS: [&str; 5] = ["a", "b", "c", "d", "e"];
    let mut files = Vec::new();
    for app in APPS {
        world.push(app, &["1.0.0"]).await;
        files.push((format!("{app}.yaml"), marked(&world, app, "1.0.0")));
    }
    let files: Vec<(&str, &str)> = files.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
    let repo = world.repo("fleet", &files);
    config_repo(&world, &repo).await;
    for app in APPS {
        image_policy(&world, app, app, NEWEST).await;
    }
    let template = "'chore: {{ changes | length }} in {{ object.name }}'";
    image_update(&world, &format!("batchWindow: 4s, commit: {{messageTemplate: {template}}}")).await;
    let _tagboat = world.tagboat().await;
    ready::<ImageUpdate>(&world, "fleet", "True", Reason::Succeeded).await;
    for app in APPS {
        chosen(&world, app, "1.0.0").await;
    }
    for app in APPS {
        world.push(app, &["1.1.0"]).await;
    }
    for app in APPS {
        in_git(&repo, &format!("{app}.yaml"), ":1.1.0 ").await;
    }
    let log = repo.log();
    assert_eq!((log.len(), bumps(&log).len()), (2, 5), "{log:#?}");
    assert!(log[0].message.starts_with("chore: 5 in fleet\n\n"), "{}", log[0].message);
}

async fn targets_and_a_marker_share_a_commit(world: World) {
    world.push("app", &["1.0.0", "1.1.0"]).await;
    let image = world.image("app");
    let kustomization = format!("resources: [app.yaml]\nimages:\n  - name: '{image}' # ours\n");
    let values = "# values\nimage: {tag: 1.0.0}\n";
    let marked_file = marked(&world, "app", "1.0.0");
    let files = [
        ("apps/kustomization.yaml", kustomization.as_str()),
        ("chart/values.yaml", values),
        ("chart/values.json", "{\"image\":\"x\"}"),
        ("apps/marked.yaml", &marked_file),
    ];
    let repo = world.repo("fleet", &files);
    config_repo(&world, &repo).await;
    image_policy(&world, "app", "app", NEWEST).await;
    let targets = format!(
        "targets: [{{file: apps/kustomization.yaml, kustomizeImage: '{image}', policy: app}}, \
         {{file: chart/values.yaml, key: image.tag, field: tag, policy: app}}, \
         {{file: chart/values.json, key: image, policy: app}}]"
    );
    image_update(&world, &format!("path: ./apps, batchWindow: 10ms, {targets}")).await;
    for (wrong, said) in [
        (json!({"file": "a.yaml", "policy": "app"}), "exactly one"),
        (json!({"file": "a.yaml", "policy": "app", "key": "a", "kustomizeImage": "b"}), "exactly one"),
        (json!({"file": "a.yaml", "policy": "app", "kustomizeImage": "b", "field": "tag"}), "field goes with key"),
        (json!({"file": "a.json", "policy": "app", "kustomizeImage": "b"}), "use key in a JSON file"),
        (json!({"file": "a/../b.yaml", "policy": "app", "key": "a"}), "without .."),
        (json!({"file": "/b.yaml", "policy": "app", "key": "a"}), "without .."),
        (json!({"file": "a.yaml", "policy": "other/app", "key": "a"}), "of this namespace"),
        (json!({"file": "a.yaml", "policy": "app", "kustomizeImage": "a b"}), "without blanks"),
    ] {
        let patch = Patch::Merge(json!({"spec": {"targets": [wrong]}}));
        let refused = world.api::<ImageUpdate>().patch("fleet", &PatchParams::default(), &patch).await.unwrap_err();
        assert!(refused.to_string().contains(said), "{refused}");
    }
    let _tagboat = world.tagboat().await;
    in_git(&repo, "apps/marked.yaml", ":1.1.0 ").await;
    let update: ImageUpdate = ready(&world, "fleet", "True", Reason::Succeeded).await;
    assert_eq!((repo.log().len(), bumps(&repo.log()).len()), (2, 4), "{:#?}", repo.log());
    let status = update.status.unwrap();
    assert_eq!((status.markers, status.problems), (Some(4), Vec::new()));
    let now = |path: &str| repo.file_at_head(path).unwrap();
    assert_eq!(now("apps/kustomization.yaml"), format!("{kustomization}    newTag: '1.1.0'\n"));
    assert_eq!(now("chart/values.yaml"), values.replace("1.0.0", "1.1.0"));
    assert_eq!(now("chart/values.json"), format!("{{\"image\":\"{image}:1.1.0\"}}"));

    // A target that names nothing any more is a problem; the others go on.
    repo.commit(&[("chart/values.yaml", "image: {}\n")], "no tag");
    let update: ImageUpdate = ready(&world, "fleet", "False", Reason::UpdateProblems).await;
    let said = "chart/values.yaml:1: target key image.tag: there is no key tag here";
    assert_eq!(message(&update), said);
    event(&world, "fleet", Reason::UpdateProblems, &[said]).await;
    world.push("app", &["1.2.0"]).await;
    in_git(&repo, "apps/kustomization.yaml", "newTag: '1.2.0'").await;
    in_git(&repo, "chart/values.json", ":1.2.0").await;
}

async fn a_proposal_branch_follows_main(world: World) {
    world.push("app", &["1.0.0", "1.1.0"]).await;
    let repo = world.repo("fleet", &[("app.yaml", &marked(&world, "app", "1.0.0"))]);
    let first = repo.head();
    config_repo(&world, &repo).await;
    image_policy(&world, "app", "app", NEWEST).await;
    image_update(&world, "batchWindow: 10ms, push: {branch: proposals/images}").await;
    let _tagboat = world.tagboat().await;
    let proposed = async |tag: &str, parent: &str| {
        eventually(&format!("{tag} proposed on {parent}"), SOON, || async {
            let Some(id) = repo.branch("proposals/images") else { return Err("no branch".to_owned()) };
            let ahead = git_says(&repo, &["rev-list", "--parents", &format!("main..{id}")]);
            let text = git_says(&repo, &["show", &format!("{id}:app.yaml")]);
            if ahead == format!("{id} {parent}") && text.contains(&format!(":{tag} ")) { Ok(id) } else { Err(ahead) }
        })
        .await
    };
    proposed("1.1.0", &first).await;
    let second = repo.commit(&[("README.md", "main moves\n")], "main moves");
    let proposal = proposed("1.1.0", &second).await;
    world.push("app", &["1.2.0"]).await;
    proposed("1.2.0", &second).await;
    assert_eq!(repo.head(), second, "main is a person's");
    assert!(git_says(&repo, &["show", "--stat", "--format=", &proposal]).contains("1 file changed"));

    // A person accepts it.
    let accepted = repo.commit(&[("app.yaml", &marked(&world, "app", "1.2.0"))], "accept");
    let update = wait_for(&world.api::<ImageUpdate>(), "fleet", "main observed", SOON, |update| {
        let revision = update?.status.as_ref()?.observed_revision.as_ref()?.to_string();
        revision.ends_with(&accepted).then(|| update.cloned())?
    })
    .await;
    assert_eq!(message(&update), "1 value holds what its policy chose");
    assert_eq!((repo.head(), repo.branch("proposals/images")), (accepted, None), "nothing is left to propose");
}

async fn policies_that_do_not_count_are_problems(world: World) {
    for app in ["in", "out"] {
        world.push(app, &["1.0.0", "1.1.0"]).await;
    }
    let image = world.image("in");
    let namespace = &world.namespace;
    let line = |policy: &str| format!("image: {image}:1.0.0 # {{\"$imagepolicy\": \"{policy}\"}}\n");
    let bad = [
        ("a.yaml", line(&format!("{namespace}:out"))),
        ("b.yaml", line("elsewhere:in")),
        ("c.yaml", line(&format!("{namespace}:nobody"))),
        ("d.yaml", line(&format!("{namespace}:in:version"))),
        ("e.yaml", format!("# top\nimage: # {{\"$imagepolicy\": \"{namespace}:in\"}}\n  {image}:1.0.0\n")),
        ("f.yaml", format!("image: {image}:1.0.0 # {{\"$imagepolicy\": \"{namespace}:in\"}} keep\n")),
    ];
    let good = line(&format!("{namespace}:in"));
    let mut files: Vec<(&str, &str)> = bad.iter().map(|(file, text)| (*file, text.as_str())).collect();
    files.push(("good.yaml", &good));
    let repo = world.repo("fleet", &files);
    config_repo(&world, &repo).await;
    let label = |name: &str, channel: &str| {
        format!(
            "apiVersion: tagboat.dev/v1alpha1\nkind: ImagePolicy\nmetadata: {{name: {name}, labels: {{channel: {channel}}}}}\nspec: {{image: '{}', insecure: true, interval: 1s, {NEWEST}}}\n",
            world.image(name)
        )
    };
    world.apply_yaml(&format!("{}---\n{}", label("in", "stable"), label("out", "edge"))).await;
    image_update(&world, "batchWindow: 10ms, policySelector: {matchLabels: {channel: stable}}").await;
    let _tagboat = world.tagboat().await;

    in_git(&repo, "good.yaml", ":1.1.0 ").await;
    let update: ImageUpdate = ready(&world, "fleet", "False", Reason::UpdateProblems).await;
    let problems = update.status.unwrap().problems;
    let seen: Vec<_> = problems.iter().map(|problem| (problem.file.as_str(), problem.line)).collect();
    assert_eq!(
        seen,
        [("a.yaml", 1), ("b.yaml", 1), ("c.yaml", 1), ("d.yaml", 1), ("e.yaml", 2), ("f.yaml", 1)],
        "{problems:#?}"
    );
    for (problem, word) in problems.iter().zip(["out", "elsewhere", "nobody", "version", "", ""]) {
        assert!(problem.reason.contains(word), "{problem:?}");
    }
    for (file, text) in &bad {
        assert_eq!(repo.file_at_head(file).unwrap(), *text, "{file}");
    }
    event(&world, "fleet", Reason::UpdateProblems, &["a.yaml:1", "b.yaml:1", "c.yaml:1"]).await;
}
