//! Proposals: one branch, rebuilt on its base, and one pull request at a real Gitea, whatever people, restarts and cut connections do.

mod leaving;
mod logins;
pub mod project;

use libtest_mimic::Trial;
use reqwest::Method;
use serde_json::{Value, json};
use tagboat::api::condition::Reason;
use tagboat::api::image_update::{HoldStatus, ImageUpdateStatus, PullRequestState};
use tagboat::api::{ImagePolicy, ImageUpdate};

use self::project::{ANN, PROPOSAL, Project};
use crate::setup::*;
use crate::support::git::{BRANCH, git};
use crate::support::tagboat::{Output, cli};
use crate::support::traffic::Fault;
use crate::support::trial;
use crate::support::wait::eventually;
use crate::support::world::World;

pub fn trials() -> Vec<Trial> {
    vec![
        trial("proposals: opened, updated in place, merged, and the next one", opened_updated_merged),
        trial("proposals: closed by a person, held, reopened, released", closed_by_a_person),
        trial("proposals: closed by a person, onRevert Ignore and Hold", closed_and_on_revert),
        trial("proposals: pointless ones are closed, and hold nothing", pointless_ones),
        trial("proposals: nothing is doubled by restarts and lost replies", nothing_is_doubled),
        trial("proposals: the api fails", the_api_fails),
        trial("proposals: words, labels and merges by the host", words_labels_and_merges),
        trial("proposals: a person's commit on the branch stays", a_persons_commit_stays),
        trial("proposals: the host merges the base into the branch", the_host_merges_the_base),
        trial("proposals: another branch, and none", leaving::another_branch_and_none),
        trial("proposals: one branch for one ImageUpdate", one_branch_for_one),
        trial("proposals: two controllers and no lead", two_controllers),
        trial("proposals: git over ssh and a token for the api", logins::git_over_ssh),
        trial("proposals: the api as a github app", logins::a_github_app),
    ]
}

/// A project at 1.0.0 with 1.1.0 to propose, and its first title.
async fn project<'w>(world: &'w World, spec: &str, policy: &str) -> (Project<'w>, String) {
    world.push("app", &["1.0.0", "1.1.0"]).await;
    let project = Project::new(world, &[("app.yaml", &marked(world, "app", "1.0.0"))], spec).await;
    image_policy(world, "app", "app", &format!("{NEWEST}{policy}")).await;
    (project, format!("update {} to", world.repository("app")))
}

async fn person(world: &World, args: &[&str]) -> Output {
    let kubeconfig = world.cluster.kubeconfig("person");
    let place = ["--namespace", &world.namespace, "--kubeconfig", kubeconfig.to_str().unwrap()];
    cli(args.iter().chain(&place)).await
}

/// Waits until so many values are held, all by a request; those.
async fn held(project: &Project<'_>, count: usize) -> Vec<HoldStatus> {
    let update = project.status(&format!("{count} held"), |status| status.holds.len() == count).await;
    update.status.unwrap().holds
}

async fn opened_updated_merged(world: World) {
    let (project, title) = project(&world, "", "").await;
    let _tagboat = world.tagboat().await;
    project.listed(&[&format!("1 open {title} 1.1.0")]).await;
    let update = project.shown(1, PullRequestState::Open).await;
    let url = project.page(1);
    assert_eq!(message(&update), format!("1 new value waits in pull request 1 ({url})"));
    event(&world, "fleet", Reason::Proposed, &["pull request 1", &url, "is open"]).await;
    let first = project.proposed("1.1.0").await;
    let body = project.requests().await[0]["body"].as_str().unwrap().to_owned();
    let old = format!("{}:1.0.0", world.image("app"));
    assert!(body.starts_with(&format!("- `app.yaml:1`: `{old}` → `{}:1.1.0`\n", world.image("app"))), "{body}");

    // A look without news is one call, and nothing is written.
    project.looks(3).await;
    let (calls, written) = project.looks(4).await;
    assert!(calls.iter().all(|call| call == "GET pulls"), "{calls:?}");
    assert_eq!(written, Vec::<String>::new());

    // Something newer comes into the same request; a base that moves takes it along.
    world.push("app", &["1.2.0"]).await;
    project.listed(&[&format!("1 open {title} 1.2.0")]).await;
    let second = project.proposed("1.2.0").await;
    project.commit(&[("README.md", "main moves\n")], "main moves");
    let third = project.proposed("1.2.0").await;
    assert!(first != second && second != third);
    eventually("the request at its new head", SOON, || async {
        let head = project.requests().await[0]["head"]["sha"].as_str().unwrap().to_owned();
        if head == third { Ok(()) } else { Err(head) }
    })
    .await;

    // Merged by a person, and on it goes.
    project.merge(1).await;
    project.shown(1, PullRequestState::Merged).await;
    event(&world, "fleet", Reason::ProposalEnded, &["pull request 1", "is merged"]).await;
    assert_eq!(project.repo.file_at_head("app.yaml").unwrap(), marked(&world, "app", "1.2.0"));
    project.withdrawn().await;
    world.push("app", &["1.3.0"]).await;
    project.listed(&[&format!("2 open {title} 1.3.0"), &format!("1 merged {title} 1.2.0")]).await;
    project.proposed("1.3.0").await;
    project.shown(2, PullRequestState::Open).await;
    project.merge(2).await;
    project.shown(2, PullRequestState::Merged).await;
    project.withdrawn().await;
    assert_eq!(bumps(&project.repo.log()).len(), 2, "each value once");
}

async fn closed_by_a_person(world: World) {
    let (project, title) = project(&world, "", "").await;
    let tagboat = world.tagboat().await;
    project.listed(&[&format!("1 open {title} 1.1.0")]).await;
    let proposal = project.proposed("1.1.0").await;
    project.shown(1, PullRequestState::Open).await;
    project.set(1, "closed").await;
    let hold = held(&project, 1).await.remove(0);
    let url = project.page(1);
    assert_eq!((hold.by.as_str(), hold.commit.as_str(), hold.request.as_ref()), (ANN.0, &*proposal, Some(&url)));
    assert_eq!(hold.reason, format!("pull request 1 was closed unmerged by ann ({url})"));
    assert_eq!((hold.value, hold.line), (format!("{}:1.1.0", world.image("app")), 1));
    let update = project.shown(1, PullRequestState::Closed).await;
    assert!(message(&update).contains(&hold.reason), "{}", message(&update));
    event(&world, "fleet", Reason::Held, &["1.1.0", "closed unmerged by ann"]).await;
    let output = person(&world, &["explain", "imagepolicy", "app"]).await;
    assert!(output.stdout.contains("held back: ") && output.stdout.contains(&hold.reason), "{}", output.stdout);

    // It holds on a base that moves, and when all is forgotten: mirror, memory and status.
    project.commit(&[("README.md", "main moves\n")], "main moves");
    tagboat.kill9().await;
    world.api::<ImageUpdate>().delete("fleet", &Default::default()).await.unwrap();
    project.update("").await;
    let _tagboat = world.tagboat().await;
    let again = held(&project, 1).await.remove(0);
    assert_eq!((again.by.as_str(), again.reason), (ANN.0, hold.reason));
    project.looks(3).await;
    project.listed(&[&format!("1 closed {title} 1.1.0")]).await;
    assert_eq!(project.repo.branch(PROPOSAL), Some(proposal), "for whoever opens it again");

    // Opened again, it goes on.
    project.set(1, "open").await;
    held(&project, 0).await;
    event(&world, "fleet", Reason::HoldReleased, &["1.1.0"]).await;
    project.proposed("1.1.0").await;
    project.shown(1, PullRequestState::Open).await;
    project.set(1, "closed").await;
    held(&project, 1).await;

    // Something newer is another request.
    world.push("app", &["1.2.0"]).await;
    project.listed(&[&format!("2 open {title} 1.2.0"), &format!("1 closed {title} 1.1.0")]).await;
    held(&project, 0).await;
    project.proposed("1.2.0").await;
    project.shown(2, PullRequestState::Open).await;
    project.set(2, "closed").await;
    held(&project, 1).await;

    // A release opens a third one, and is used up by it.
    let output = person(&world, &["release", "app", "--value", "1.2.0"]).await;
    assert_eq!(output.code, 0, "{output:?}");
    let (second, first) = (format!("2 closed {title} 1.2.0"), format!("1 closed {title} 1.1.0"));
    project.listed(&[&format!("3 open {title} 1.2.0"), &second, &first]).await;
    project.shown(3, PullRequestState::Open).await;
    held(&project, 0).await;
    project.set(3, "closed").await;
    assert!(held(&project, 1).await[0].reason.contains("pull request 3"));
    project.looks(3).await;
    project.listed(&[&format!("3 closed {title} 1.2.0"), &second, &first]).await;
}

async fn closed_and_on_revert(world: World) {
    let (project, title) = project(&world, "", ", onRevert: Ignore").await;
    let _tagboat = world.tagboat().await;
    project.listed(&[&format!("1 open {title} 1.1.0")]).await;
    project.shown(1, PullRequestState::Open).await;
    project.set(1, "closed").await;
    let first = format!("1 closed {title} 1.1.0");
    project.listed(&[&format!("2 open {title} 1.1.0"), &first]).await;
    project.shown(2, PullRequestState::Open).await;
    image_policy(&world, "app", "app", &format!("{NEWEST}, onRevert: Hold")).await;
    // Known to the controller.
    ready::<ImagePolicy>(&world, "app", "True", Reason::Succeeded).await;
    project.set(2, "closed").await;
    held(&project, 1).await;
    world.push("app", &["1.2.0"]).await;
    let update = project.status("1.2.0 held", |status| status.holds.iter().any(|hold| hold.value.ends_with(":1.2.0")));
    assert_eq!(update.await.status.unwrap().holds.len(), 1);
    let second = format!("2 closed {title} 1.1.0");
    project.listed(&[&second, &first]).await;
    assert_eq!(person(&world, &["release", "app"]).await.code, 0);
    project.listed(&[&format!("3 open {title} 1.2.0"), &second, &first]).await;
    held(&project, 0).await;
}

async fn pointless_ones(world: World) {
    let (project, title) = project(&world, "", "").await;
    let tagboat = world.tagboat().await;
    project.listed(&[&format!("1 open {title} 1.1.0")]).await;
    project.shown(1, PullRequestState::Open).await;
    // A person makes the same bump.
    let accepted = project.commit(&[("app.yaml", &marked(&world, "app", "1.1.0"))], "by hand");
    project.listed(&[&format!("1 closed {title} 1.1.0")]).await;
    project.withdrawn().await;
    let update = project.shown(1, PullRequestState::Closed).await;
    assert_eq!(message(&update), "1 value holds what its policy chose");
    let comments = project.call(Method::GET, "issues/1/comments", json!({})).await;
    let said = comments[0]["body"].as_str().unwrap();
    assert!(said.starts_with("Closed by tagboat, since main has what the policies chose"), "{said}");
    assert!(said.contains(&accepted[..8]), "{said}");
    // And takes it back: that is held by Git, the request holds nothing.
    let old = project.commit(&[("app.yaml", &marked(&world, "app", "1.0.0"))], "not yet");
    let holds = held(&project, 1).await;
    assert_eq!((holds[0].request.as_ref(), holds[0].commit.as_str()), (None, &*old));
    assert_eq!(person(&world, &["release", "app"]).await.code, 0);
    project.listed(&[&format!("2 open {title} 1.1.0"), &format!("1 closed {title} 1.1.0")]).await;
    held(&project, 0).await;
    // A request for what Git holds can be closed too, which is another decision.
    project.shown(2, PullRequestState::Open).await;
    project.set(2, "closed").await;
    assert!(held(&project, 1).await[0].reason.contains("pull request 2"));
    // The same after a restart with nothing but a status.
    tagboat.kill9().await;
    let _tagboat = world.tagboat().await;
    project.looks(3).await;
    assert_eq!(project.list().await.len(), 2);
}

async fn nothing_is_doubled(world: World) {
    let (project, title) = project(&world, "", "").await;
    // The host opens the request, and its answer is lost; so are the answers to all that follows.
    project.fault(Some(Fault::LostReply));
    let tagboat = world.tagboat().await;
    project.listed(&[&format!("1 open {title} 1.1.0")]).await;
    let proposal = project.proposed("1.1.0").await;
    project
        .status("a failure or the request", |status| {
            let failed =
                status.conditions.iter().any(|condition| condition.reason == Reason::PullRequestFailed.as_str());
            failed || status.pull_request.is_some()
        })
        .await;
    tagboat.kill9().await;
    let tagboat = world.tagboat().await;
    project.shown(1, PullRequestState::Open).await;
    project.fault(None);
    // Restarts with nothing, at any time.
    let mut tagboat = Some(tagboat);
    for n in 2..6 {
        world.push("app", &[&format!("1.{n}.0")]).await;
        eventually("the push or the update is under way", SOON, || async {
            let head = project.repo.branch(PROPOSAL);
            if n % 2 == 0 || head != Some(proposal.clone()) { Ok(()) } else { Err(format!("{head:?}")) }
        })
        .await;
        tagboat.take().unwrap().kill9().await;
        tagboat = Some(world.tagboat().await);
    }
    project.listed(&[&format!("1 open {title} 1.5.0")]).await;
    project.proposed("1.5.0").await;
    project.merge(1).await;
    // Dead while it is merged: what is there already is not proposed again.
    tagboat.take().unwrap().kill9().await;
    let _tagboat = world.tagboat().await;
    project.shown(1, PullRequestState::Merged).await;
    project.withdrawn().await;
    assert_eq!(bumps(&project.repo.log()).len(), 1);
    project.listed(&[&format!("1 merged {title} 1.5.0")]).await;
}

async fn the_api_fails(world: World) {
    let (project, title) = project(&world, "", "").await;
    project.fault(Some(Fault::Status(503)));
    let _tagboat = world.tagboat().await;
    let failed: ImageUpdate = ready(&world, "fleet", "False", Reason::PullRequestFailed).await;
    assert!(message(&failed).starts_with("spec.pullRequest: the git host could not list"), "{}", message(&failed));
    assert_eq!(project.repo.branch(PROPOSAL), None, "what people said no to is not known");
    // What is pushed stays pushed, once, while the request can't be opened.
    project.fault(Some(Fault::NoWrites(500)));
    let proposal = project.proposed("1.1.0").await;
    let is_pushed = |status: &ImageUpdateStatus| {
        let pushed = status.last_push_commit.as_ref().is_some_and(|commit| commit.as_str() == proposal);
        pushed && status.conditions[0].message.contains("could not open a pull request")
    };
    let pushed = project.status("pushed, and not opened", is_pushed).await.status.unwrap().last_push_time;
    let before = project.calls().len();
    asked("tries", before + 4, || project.calls().len()).await;
    assert_eq!(project.list().await, Vec::<String>::new());
    project.fault(None);
    project.listed(&[&format!("1 open {title} 1.1.0")]).await;
    let healed: ImageUpdate = ready(&world, "fleet", "True", Reason::Succeeded).await;
    assert_eq!((project.repo.branch(PROPOSAL), healed.status.unwrap().last_push_time), (Some(proposal), pushed));
    // A token that may not write is the user's to mend; another one in the Secret is enough.
    let reads = project.gitea.token(&format!("{}-reads", world.namespace), &["read:repository", "read:issue"]).await;
    world.secret("git-api", "Opaque", json!({"token": reads})).await;
    project.update(", secretRef: {name: git-api}").await;
    world.push("app", &["1.2.0"]).await;
    project.proposed("1.2.0").await;
    let refused: ImageUpdate = ready(&world, "fleet", "False", Reason::PullRequestFailed).await;
    assert!(message(&refused).contains("http 403"), "{}", message(&refused));
    let writes = project.gitea.token(&format!("{}-writes", world.namespace), &["all"]).await;
    world.secret("git-api", "Opaque", json!({"token": writes})).await;
    eventually("another token", 2 * SOON, || async {
        let list = project.list().await;
        if list == [format!("1 open {title} 1.2.0")] { Ok(()) } else { Err(format!("{list:?}")) }
    })
    .await;
    let nobodys = json!({"token": "0123456789012345678901234567890123456789"});
    world.secret("git-wrong", "Opaque", nobodys).await;
    project.update(", secretRef: {name: git-wrong}").await;
    let refused: ImageUpdate = ready(&world, "fleet", "False", Reason::PullRequestFailed).await;
    assert!(message(&refused).contains("http 401"), "{}", message(&refused));
    project.update(", secretRef: {name: nobody}").await;
    ready::<ImageUpdate>(&world, "fleet", "False", Reason::InvalidSecret).await;
    project.update("").await;
    ready::<ImageUpdate>(&world, "fleet", "True", Reason::Succeeded).await;
    project.listed(&[&format!("1 open {title} 1.2.0")]).await;
}

async fn words_labels_and_merges(world: World) {
    let words = ", titleTemplate: 'bump {{ changes[0].newTag }} of {{ object.name }}', bodyTemplate: '{{ nobody }}', labels: [images, bot]";
    let (project, _) = project(&world, words, "").await;
    let _tagboat = world.tagboat().await;
    project.listed(&["1 open bump 1.1.0 of fleet"]).await;
    let labels = |request: &Value| {
        let labels =
            request["labels"].as_array().unwrap().iter().map(|label| label["name"].as_str().unwrap().to_owned());
        let mut labels: Vec<String> = labels.collect();
        labels.sort();
        labels
    };
    eventually("labels", SOON, || async {
        let labels = labels(&project.requests().await[0]);
        if labels == ["bot", "images"] { Ok(()) } else { Err(format!("{labels:?}")) }
    })
    .await;
    let broken: ImageUpdate = ready(&world, "fleet", "False", Reason::UpdateProblems).await;
    let said = message(&broken);
    assert!(said.starts_with("spec.pullRequest.bodyTemplate: ") && said.contains("usual words instead"), "{said}");
    // What a person writes stays, until there is something new to say.
    project.call(Method::PATCH, "pulls/1", json!({"title": "please review"})).await;
    project.looks(4).await;
    project.listed(&["1 open please review"]).await;
    let words = ", titleTemplate: 'bump {{ changes[0].newTag }}', bodyTemplate: '{{ changes|length }} on {{ branch }}'";
    project.update(words).await;
    project.listed(&["1 open bump 1.1.0"]).await;
    eventually("the description", SOON, || async {
        let body = project.requests().await[0]["body"].as_str().unwrap().to_owned();
        if body.starts_with("1 on bot/images\n\n<!--\nTagboat-Update: [") { Ok(()) } else { Err(body) }
    })
    .await;
    ready::<ImageUpdate>(&world, "fleet", "True", Reason::Succeeded).await;
    // The host merges by itself what nothing stands in the way of.
    project.update(", autoMerge: Squash").await;
    in_git(&project.repo, "app.yaml", ":1.1.0 ").await;
    project.shown(1, PullRequestState::Merged).await;
    project.withdrawn().await;
}

async fn a_persons_commit_stays(world: World) {
    let (project, title) = project(&world, "", "").await;
    let _tagboat = world.tagboat().await;
    project.listed(&[&format!("1 open {title} 1.1.0")]).await;
    let proposal = project.proposed("1.1.0").await;
    project.shown(1, PullRequestState::Open).await;
    let parent = project.repo.head();
    let tree = git_says(&project.repo, &["rev-parse", &format!("{proposal}^{{tree}}")]);
    let fix = git()
        .arg("--git-dir")
        .arg(&project.repo.folder)
        .args(["commit-tree", &tree, "-p", &proposal, "-m", "and a fix"])
        .output()
        .unwrap();
    let fix = String::from_utf8(fix.stdout).unwrap().trim().to_owned();
    git_says(&project.repo, &["update-ref", &format!("refs/heads/{PROPOSAL}"), &fix]);
    world.push("app", &["1.2.0"]).await;
    let taken: ImageUpdate = ready(&world, "fleet", "False", Reason::BranchTaken).await;
    let said = message(&taken);
    assert!(said.contains(&format!("branch {PROPOSAL} is at {} by A Person", &fix[..8])), "{said}");
    assert_eq!(project.repo.branch(PROPOSAL), Some(fix.clone()));
    // Not even when nothing is left to propose.
    project.commit(&[("app.yaml", &marked(&world, "app", "1.2.0"))], "by hand");
    ready::<ImageUpdate>(&world, "fleet", "True", Reason::Succeeded).await;
    assert_eq!(project.repo.branch(PROPOSAL), Some(fix));
    assert_eq!(project.list().await, [format!("1 open {title} 1.1.0")]);
    assert_ne!(project.repo.head(), parent);
    // Deleted by a person, it is made anew for what comes next.
    project.push(&format!(":refs/heads/{PROPOSAL}"));
    world.push("app", &["1.3.0"]).await;
    project.proposed("1.3.0").await;
}

/// A person presses "Update branch".
async fn the_host_merges_the_base(world: World) {
    let (project, title) = project(&world, "", "").await;
    let tagboat = world.tagboat().await;
    project.listed(&[&format!("1 open {title} 1.1.0")]).await;
    let first = project.proposed("1.1.0").await;
    project.shown(1, PullRequestState::Open).await;
    tagboat.kill9().await;
    let mut merged = first;
    for n in 0..2 {
        project.commit(&[("README.md", &format!("{n}\n"))], "main moves");
        eventually("the host to merge", SOON, || async {
            // It takes note of a push a little later.
            let _ = project.answer(Method::POST, "pulls/1/update").await;
            let head = project.repo.branch(PROPOSAL).unwrap();
            if head == merged { Err(head) } else { Ok(()) }
        })
        .await;
        merged = project.repo.branch(PROPOSAL).unwrap();
        let parents = git_says(&project.repo, &["log", "-1", "--format=%P", &merged]);
        assert_eq!(parents.split(' ').count(), 2, "a merge");
    }
    // Nothing of a person's is in it, and so it is rebuilt, in a new life of the controller as well.
    world.api::<ImageUpdate>().delete("fleet", &Default::default()).await.unwrap();
    project.update("").await;
    let _tagboat = world.tagboat().await;
    project.proposed("1.1.0").await;
    ready::<ImageUpdate>(&world, "fleet", "True", Reason::Succeeded).await;
    project.listed(&[&format!("1 open {title} 1.1.0")]).await;
    // A merge with something of its own is a person's work.
    let proposal = project.proposed("1.1.0").await;
    let tree = git_says(&project.repo, &["rev-parse", "main^{tree}"]);
    let dropped = ["commit-tree", &tree, "-p", &proposal, "-p", "main", "-m", "merge"];
    let dropped = git_says(&project.repo, &dropped);
    git_says(&project.repo, &["update-ref", &format!("refs/heads/{PROPOSAL}"), &dropped]);
    world.push("app", &["1.2.0"]).await;
    ready::<ImageUpdate>(&world, "fleet", "False", Reason::BranchTaken).await;
    assert_eq!(project.repo.branch(PROPOSAL), Some(dropped));
}

/// Each of them scans for itself and notes when it chose: they still agree about the commit.
async fn two_controllers(world: World) {
    let (project, title) = project(&world, "", "").await;
    let (_first, _second) = tokio::join!(world.tagboat(), world.tagboat());
    for tag in ["1.1.0", "1.2.0", "1.3.0", "1.4.0"] {
        world.push("app", &[tag]).await;
        project.proposed(tag).await;
        let still = || async {
            let before = project.repo.branch(PROPOSAL);
            project.looks(8).await;
            let after = project.repo.branch(PROPOSAL);
            if before == after { Ok(()) } else { Err(format!("{before:?} {after:?}")) }
        };
        eventually("that they agree", SOON, still).await;
        // Gitea does not lock: two that open one at the same moment get two, of which the later one is closed.
        eventually("one request", SOON, || async {
            let open: Vec<String> = project.list().await.into_iter().filter(|line| line.contains(" open ")).collect();
            if open.len() == 1 && open[0].ends_with(&format!(" open {title} {tag}")) {
                Ok(())
            } else {
                Err(format!("{open:?}"))
            }
        })
        .await;
    }
}

async fn one_branch_for_one(world: World) {
    world.push("app", &["1.0.0", "1.1.0"]).await;
    let repo = world.repo("fleet", &[("app.yaml", &marked(&world, "app", "1.0.0"))]);
    config_repo(&world, &repo).await;
    image_policy(&world, "app", "app", NEWEST).await;
    image_update(&world, "batchWindow: 10ms, push: {branch: bot/images}").await;
    let _tagboat = world.tagboat().await;
    asked("the proposal", 1, || repo.branch(PROPOSAL).into_iter().count()).await;
    let spec = "{configRepoRef: {name: fleet}, push: {branch: bot/images}}";
    apply(&world, "ImageUpdate", "late", spec).await;
    let late: ImageUpdate = ready(&world, "late", "False", Reason::InvalidSpec).await;
    assert!(message(&late).contains("ImageUpdate fleet proposes on bot/images already"), "{}", message(&late));
    // A request needs a branch of its own.
    let spec = "{configRepoRef: {name: fleet}, push: {branch: main}, pullRequest: {provider: gitea}}";
    apply(&world, "ImageUpdate", "same", spec).await;
    let same: ImageUpdate = ready(&world, "same", "False", Reason::InvalidSpec).await;
    assert!(message(&same).contains("name another branch than main"), "{}", message(&same));
    assert_eq!(BRANCH, "main");
}
