//! What was proposed in a place that the spec no longer names.

use tagboat::api::ImageUpdate;
use tagboat::api::condition::Reason;
use tagboat::api::image_update::{ImageUpdateStatus, PullRequestState};

use super::project::PROPOSAL;
use crate::setup::*;
use crate::support::traffic::Fault;
use crate::support::world::World;

/// What the spec no longer names is closed and deleted, also when the controller was away; but nothing of a person's.
pub async fn another_branch_and_none(world: World) {
    let (project, title) = super::project(&world, "", "").await;
    let tagboat = world.tagboat().await;
    project.listed(&[&format!("1 open {title} 1.1.0")]).await;
    project.shown(1, PullRequestState::Open).await;
    let spec = |branch: &str, request: &str| format!("batchWindow: 10ms, push: {{branch: {branch}}}{request}");
    let request = ", pullRequest: {provider: gitea}";
    image_update(&world, &spec("bot/other", request)).await;
    let first = format!("1 closed {title} 1.1.0");
    project.listed(&[&format!("2 open {title} 1.1.0"), &first]).await;
    project.withdrawn().await;
    event(&world, "fleet", Reason::ProposalEnded, &["pull request 1", "deleted branch bot/images"]).await;
    let places = |branches: &'static [&'static str]| {
        let is_it = |status: &ImageUpdateStatus| {
            status.proposals.iter().map(|place| &*place.branch).eq(branches.iter().copied())
        };
        project.status("the places", is_it)
    };
    places(&["bot/other"]).await;
    // Without a request the branch stays; a closed request of ours holds nothing.
    tagboat.kill9().await;
    image_update(&world, &spec("bot/other", "")).await;
    let tagboat = world.tagboat().await;
    let second = format!("2 closed {title} 1.1.0");
    project.listed(&[&second, &first]).await;
    assert!(project.repo.branch("bot/other").is_some());
    image_update(&world, &spec("bot/other", request)).await;
    project.listed(&[&format!("3 open {title} 1.1.0"), &second, &first]).await;
    project.shown(3, PullRequestState::Open).await;
    // The host does not answer: the values are written, and the rest is made good later.
    project.fault(Some(Fault::NoWrites(500)));
    image_update(&world, "batchWindow: 10ms").await;
    in_git(&project.repo, "app.yaml", ":1.1.0 ").await;
    let failed: ImageUpdate = ready(&world, "fleet", "False", Reason::PullRequestFailed).await;
    assert!(
        message(&failed).starts_with("what was proposed on branch bot/other is still there: "),
        "{}",
        message(&failed)
    );
    tagboat.kill9().await;
    project.fault(None);
    let _tagboat = world.tagboat().await;
    project.listed(&[&format!("3 closed {title} 1.1.0"), &second, &first]).await;
    places(&[]).await;
    assert_eq!(project.repo.branch("bot/other"), None);
    ready::<ImageUpdate>(&world, "fleet", "True", Reason::Succeeded).await;
    // A person's commit.
    world.push("app", &["1.2.0"]).await;
    in_git(&project.repo, "app.yaml", ":1.2.0 ").await;
    image_update(&world, &spec(PROPOSAL, "")).await;
    world.push("app", &["1.3.0"]).await;
    let proposal = project.proposed("1.3.0").await;
    let fix = ["commit-tree", &format!("{proposal}^{{tree}}"), "-p", &proposal, "-m", "and a fix"];
    let fix = git_says(&project.repo, &fix);
    git_says(&project.repo, &["update-ref", &format!("refs/heads/{PROPOSAL}"), &fix]);
    image_update(&world, "batchWindow: 10ms").await;
    event(&world, "fleet", Reason::ProposalEnded, &["branch bot/images stays", &fix[..8], "A Person"]).await;
    places(&[]).await;
    assert_eq!(project.repo.branch(PROPOSAL), Some(fix));
}
