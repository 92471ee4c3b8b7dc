//! What an ImageUpdate proposed before its spec named another branch, or none, or asked for no request any more: closed and deleted, as
//! far as it is ours. In: the places that the status remembers. Out: those that are still to be dealt with, and what to tell.

use std::sync::Arc;

use kube::ResourceExt;
use kube::runtime::reflector::ObjectRef;

use super::{Host, Proposing};
use crate::api::condition::Reason;
use crate::api::image_update::{ProposalStatus, PullRequestSpec};
use crate::api::{ImageUpdate, ImageUpdateStatus};
use crate::committing::Task;
use crate::context::{Context, Grounded};
use crate::failure::Failure;
use crate::forge;
use crate::git::Pushed;
use crate::source::failure;
use crate::source::follow::Follow;
use crate::update::batch::Batch;
use crate::update::proposal::left::{self, Left};
use crate::update::{proposal, status};

/// Notes in the status where a proposal is about to be, so that it is found again whatever happens next. Says whether that is news.
///
/// # Errors
/// The status cannot be written: nothing may be pushed then.
pub async fn announce(
    update: &ImageUpdate,
    context: &Context,
    grounded: &Grounded,
    before: &mut ImageUpdateStatus,
) -> Result<bool, Failure> {
    let known = status::here(before, &status::repository(&grounded.remote.url)).into_owned();
    let Some(proposals) = left::announced(&known.proposals, &update.spec, &grounded.revision.name) else {
        return Ok(false);
    };
    let after = ImageUpdateStatus { proposals, ..known };
    context
        .cluster
        .write_status(update, &*before, &after)
        .await
        .map_err(|error| Failure::retry(Reason::ClusterUnavailable, format!("status not written: {error}")))?;
    *before = after;
    Ok(true)
}

/// Ends what was left behind, after all else is done. What fails is the batch's to tell, and stays in its places.
pub async fn leave(task: &Arc<Task>, context: &Context, grounded: &Grounded, batch: &mut Batch) {
    let known = status::here(&task.status, &status::repository(&grounded.remote.url)).into_owned().proposals;
    let mut stay = known.clone();
    for left in left::left(&known, &task.update.spec, &grounded.revision.name) {
        let place = left.place.clone();
        match (Leaving { task, context, grounded, left }).end().await {
            Ok(note) => {
                stay.retain(|other| *other != place);
                batch.proposal.notes.extend(note);
            }
            Err(failure) => {
                let message =
                    format!("what was proposed on branch {} is still there: {}", place.branch, failure.message);
                batch.proposal.failure.get_or_insert(Failure { message, ..failure });
            }
        }
    }
    batch.proposal.places = Some(stay);
}

/// One of them.
struct Leaving<'a> {
    task: &'a Arc<Task>,
    context: &'a Context,
    grounded: &'a Grounded,
    left: Left,
}

impl Leaving<'_> {
    /// Closes its request and deletes its branch; what to tell of it.
    async fn end(self) -> Result<Option<String>, Failure> {
        let Self { task, context, grounded, left: Left { place, keeps_branch } } = self;
        let ProposalStatus { branch, base, .. } = &place;
        if !keeps_branch && is_of_another(task, context, grounded, branch) {
            return Ok(Some(format!("branch {branch} stays, since another object names it")));
        }
        let proposing = Proposing {
            task: task.clone(),
            context,
            namespace: task.update.namespace().unwrap_or_default(),
            repo: task.update.spec.config_repo_ref.name.clone(),
            target: branch.clone(),
            host: None,
        };
        let head = proposing.there(grounded).await?;
        if !keeps_branch {
            let Some(head) = &head else { return Ok(None) };
            if let Some(owner) = proposing.owner(grounded, head).await? {
                return Ok(Some(format!("branch {branch} stays, since it is at {} by {owner}", head.short())));
            }
        }
        let mut done = Vec::new();
        if let Some(spec) = access(&place) {
            let mut login = None;
            let host = Host::ask(&spec, (branch, base), forge::REQUESTS, &mut login, (&task.update, context, grounded))
                .await?;
            let open = proposal::open(&host.seen);
            if let Some((at, request)) = open.and_then(|at| Some((at, host.seen.get(at)?))) {
                host.close(at, (branch, base), left::FAREWELL).await?;
                done.push(format!("closed pull request {} ({})", request.number, request.url));
            }
        }
        if let Some(head) = head.filter(|_| !keeps_branch) {
            let Grounded { mirror, remote, .. } = grounded;
            let deleted = mirror.delete(remote, branch, &head).await.map_err(|error| failure(&error, &remote.url))?;
            if deleted == Pushed::Moved {
                return Err(crate::pushing::lost_races());
            }
            done.push(format!("deleted branch {branch}"));
        }
        let note = (!done.is_empty()).then(|| format!("{}: nothing is proposed there any more", done.join(", ")));
        if let Some(note) = &note {
            tracing::info!(namespace = task.update.namespace(), name = task.update.name_any(), "{note}");
        }
        Ok(note)
    }
}

/// How to reach the host's API, as it was when the request was asked for.
fn access(place: &ProposalStatus) -> Option<PullRequestSpec> {
    Some(PullRequestSpec {
        provider: place.provider?,
        secret_ref: place.secret_ref.clone(),
        api_url: place.api_url.clone(),
        title_template: None,
        body_template: None,
        labels: Vec::new(),
        auto_merge: None,
    })
}

/// Whether a ConfigRepo reads the branch, or another ImageUpdate proposes there.
fn is_of_another(task: &Task, context: &Context, grounded: &Grounded, branch: &str) -> bool {
    let url = &grounded.remote.url;
    let reads = context.stores.config_repos.state();
    let is_read = reads.iter().any(|repo| {
        let follow = Follow::read(&repo.spec.reference);
        repo.spec.url == *url && follow.is_ok_and(|follow| follow.reads_branch() == Some(branch))
    });
    let proposes = |other: &Arc<ImageUpdate>| {
        let repo = ObjectRef::new(&other.spec.config_repo_ref.name).within(&other.namespace().unwrap_or_default());
        other.metadata.uid != task.update.metadata.uid
            && other.spec.push.as_ref().and_then(|push| push.branch.as_deref()) == Some(branch)
            && context.stores.config_repos.get(&repo).is_some_and(|repo| repo.spec.url == *url)
    };
    is_read || context.stores.image_updates.state().iter().any(proposes)
}
