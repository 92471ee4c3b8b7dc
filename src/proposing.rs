//! Part of LOOP 1b: what goes to another branch than the one that is read. In: what a run would write, and what the host says of
//! its pull requests. Out: the branch, one commit on its base, and its one request; or neither, when nothing is left to propose.
//! Nothing is remembered that the host and Git do not say again after a restart.

use std::sync::Arc;
use std::time::{Duration, Instant};

use kube::ResourceExt;
use kube::runtime::reflector::ObjectRef;

mod host;
mod leaving;
mod owner;

pub use host::Host;
pub use leaving::{announce, leave};

use crate::api::condition::Reason;
use crate::api::image_update::{PullRequestSpec, PullRequestState, PullRequestStatus};
use crate::api::{ImageUpdate, ImageUpdateStatus};
use crate::clock::Now;
use crate::committing::{Made, Task, make};
use crate::context::{Context, Grounded};
use crate::failure::Failure;
use crate::forge::{self, Wanted};
use crate::git::{self, Pushed};
use crate::pull_request::PullRequest;
use crate::pushing::{RACES, TURN, Written, look_back, lost_races, read_again};
use crate::revision::{CommitId, Revision};
use crate::source::{failure, heard_by};
use crate::update::batch::Batch;
use crate::update::message::Occasion;
use crate::update::proposal::text::{self, Templates};
use crate::update::proposal::{self, Refused, Step};
use crate::update::status::Outcome;

/// What is remembered of an ImageUpdate's pull request between two looks. It saves requests, never decides.
#[derive(Clone, Default)]
pub struct Kept {
    login: host::Kept,
    /// What the host listed, and for which branch and base.
    seen: Option<Seen>,
    /// When that was.
    looked: Option<Instant>,
    /// The number of the last webhook of the repository that had come then.
    heard: u64,
}

/// Branch, base, and the requests from the one to the other.
type Seen = (String, String, Vec<PullRequest>);

impl Kept {
    /// How long until the host is to be asked again: never while there is nothing that a person could answer.
    pub fn next_look(
        &self,
        update: &ImageUpdate,
        context: &Context,
        status: &ImageUpdateStatus,
        now: Now,
    ) -> Option<Duration> {
        let is_open = status.pull_request.as_ref().is_some_and(|request| request.state == PullRequestState::Open);
        let is_held = status.holds.iter().any(|hold| hold.request.is_some());
        if update.spec.suspend || update.spec.pull_request.is_none() || !(is_open || is_held) {
            return None;
        }
        let namespace = update.namespace().unwrap_or_default();
        let repo = ObjectRef::new(&update.spec.config_repo_ref.name).within(&namespace);
        let interval = context.stores.config_repos.get(&repo)?.spec.interval.0;
        let is_heard = context.hooks.rung(&heard_by(&namespace, &repo.name)) > self.heard;
        Some(if is_heard { Duration::ZERO } else { now.until(self.looked, interval) })
    }

    /// Forgets the login, since something failed: its Secret may hold another one by now.
    pub fn distrust(&mut self) {
        self.login = None;
    }

    /// Asks the host for the requests; nothing when the object wants none. One call at most hosts; the first look goes far back.
    ///
    /// # Errors
    /// The object, its Secret or the host don't allow it.
    pub async fn look(
        &mut self,
        update: &ImageUpdate,
        context: &Context,
        grounded: &Grounded,
        now: Now,
    ) -> Result<Option<Host>, Failure> {
        let Some(spec) = &update.spec.pull_request else {
            *self = Self::default();
            return Ok(None);
        };
        let base = &grounded.revision.name;
        let branch = update.spec.push.as_ref().and_then(|push| push.branch.as_ref()).filter(|branch| *branch != base);
        let branch = branch.ok_or_else(|| {
            let message = format!("spec.pullRequest: name another branch than {base} in spec.push.branch");
            Failure::user(Reason::InvalidSpec, message)
        })?;
        self.looked = Some(now.steady);
        let namespace = update.namespace().unwrap_or_default();
        self.heard = context.hooks.rung(&heard_by(&namespace, &update.spec.config_repo_ref.name));
        let before = self.seen.take().filter(|(of, onto, _)| of == branch && onto == base);
        let most = if before.is_some() { forge::REQUESTS } else { forge::ALL_REQUESTS };
        let mut host = Host::ask(spec, (branch, base), most, &mut self.login, (update, context, grounded)).await?;
        if let Some((_, _, before)) = &before {
            proposal::add_older(&mut host.seen, before);
        }
        host.is_news = before.is_none_or(|(_, _, before)| before != host.seen);
        self.seen = Some((branch.clone(), base.clone(), host.seen.clone()));
        Ok(Some(host))
    }
}

/// Edits, commits and pushes until the branch `target` is one commit on its base, and brings its request up to date. `host` is
/// what it says of the pull requests, if there are to be any.
pub async fn write(
    task: Arc<Task>,
    context: &Context,
    mut grounded: Grounded,
    target: String,
    host: Option<Host>,
) -> Written {
    let namespace = task.update.namespace().unwrap_or_default();
    let repo = task.update.spec.config_repo_ref.name.clone();
    let queue = context.queues.of(&grounded.remote.url, &target);
    let _turn = tokio::time::timeout(TURN, queue.turn.lock()).await;
    if let Some(now) = context.ground.head(&namespace, &repo) {
        grounded = now;
    }
    Proposing { task, context, namespace, repo, target, host }.write(grounded).await
}

/// One run for a proposal.
struct Proposing<'a> {
    task: Arc<Task>,
    context: &'a Context,
    namespace: String,
    repo: String,
    /// The proposal's branch.
    target: String,
    host: Option<Host>,
}

impl Proposing<'_> {
    async fn write(self, mut grounded: Grounded) -> Written {
        self.check_alone()?;
        self.close_doubles(&grounded).await;
        look_back(&grounded).await?;
        let seen = self.seen();
        let is_cut = seen.len() >= forge::REQUESTS;
        let refused: Arc<Vec<Refused>> = Arc::new(proposal::refused(seen, is_cut, &self.task.status.holds));
        if proposal::is_merged(seen) {
            // Else what was merged since would be proposed once more.
            grounded = self.read_again(grounded).await?;
        }
        for _ in 0..RACES {
            let made = make(self.task.clone(), grounded.clone(), self.target.clone(), refused.clone()).await?;
            let Made { mut batch, commit } = made;
            batch.proposal.request = proposal::told(seen);
            let there = self.there(&grounded).await?;
            let Some(commit) = commit else {
                self.withdraw(&mut batch, &grounded, there).await?;
                return Ok((Outcome::UpToDate { revision: grounded.revision.clone(), batch }, grounded.revision));
            };
            let is_there = there.as_ref() == Some(&commit);
            if !is_there {
                if let Some(until) = self.task.rests {
                    return Ok((Outcome::Resting { until, batch }, grounded.revision));
                }
                if let Some(there) = &there {
                    self.check_ours(&grounded, there).await?;
                }
                let Grounded { mirror, remote, .. } = &grounded;
                let pushed = mirror.push_along(remote, &self.target, (there.as_ref(), &commit), &self.task.along).await;
                if pushed.map_err(|error| failure(&error, &remote.url))? == Pushed::Moved {
                    grounded = self.read_again(grounded).await?;
                    continue;
                }
                self.context.metrics.pushed();
            }
            self.bring_up(&mut batch, &grounded).await;
            let outcome = if is_there {
                Outcome::UpToDate { revision: grounded.revision.clone(), batch }
            } else {
                Outcome::Pushed { commit, branch: self.target.clone(), batch }
            };
            return Ok((outcome, grounded.revision));
        }
        Err(lost_races())
    }

    /// A failure waits for the next look: two requests for one branch do no harm but to order.
    async fn close_doubles(&self, grounded: &Grounded) {
        let Some(host) = &self.host else { return };
        for at in proposal::doubles(&host.seen) {
            if let Err(failure) = host.close(at, (&self.target, &grounded.revision.name), proposal::DOUBLE).await {
                tracing::warn!(namespace = self.namespace, branch = self.target, "{failure}");
            }
        }
    }

    fn seen(&self) -> &[PullRequest] {
        self.host.as_ref().map_or(&[], |host| &host.seen)
    }

    fn spec(&self) -> Option<&PullRequestSpec> {
        self.task.update.spec.pull_request.as_ref()
    }

    async fn read_again(&self, grounded: Grounded) -> Result<Grounded, Failure> {
        read_again(self.context, &self.namespace, &self.repo, grounded).await
    }

    /// The proposal's head as it is.
    async fn there(&self, grounded: &Grounded) -> Result<Option<CommitId>, Failure> {
        match grounded.mirror.head(&grounded.remote, &self.target).await {
            Ok(there) => Ok(Some(there)),
            Err(git::Error::BranchNotFound { .. }) => Ok(None),
            Err(error) => Err(failure(&error, &grounded.remote.url)),
        }
    }

    /// Two that propose on one branch would overwrite each other for ever: the older one has it.
    fn check_alone(&self) -> Result<(), Failure> {
        let ours = &self.task.update;
        let age = |update: &ImageUpdate| (update.creation_timestamp().map(|time| time.0), update.name_any());
        let repos = &self.context.stores.config_repos;
        let url = |update: &ImageUpdate| {
            let repo = ObjectRef::new(&update.spec.config_repo_ref.name).within(&self.namespace);
            repos.get(&repo).map(|repo| repo.spec.url.clone())
        };
        let is_other = |other: &Arc<ImageUpdate>| {
            let branch = other.spec.push.as_ref().and_then(|push| push.branch.as_ref());
            other.namespace().as_deref() == Some(&*self.namespace)
                && branch == Some(&self.target)
                && !other.spec.suspend
                && age(other) < age(ours)
                && url(other) == url(ours)
        };
        let Some(other) = self.context.stores.image_updates.state().into_iter().find(is_other) else { return Ok(()) };
        let message = format!(
            "spec.push.branch: ImageUpdate {} proposes on {} already, name another branch",
            other.name_any(),
            self.target
        );
        Err(Failure::user(Reason::InvalidSpec, message))
    }

    /// Nothing is left to propose: closes the request and deletes the branch, unless a person has a commit there. The branch of a
    /// request that a person closed stays, since without it nobody can open that again.
    async fn withdraw(&self, batch: &mut Batch, grounded: &Grounded, there: Option<CommitId>) -> Result<(), Failure> {
        if let Some(spec) = self.spec() {
            batch.note_wrong_templates(templates(spec).check(), "");
        }
        let open = proposal::open(self.seen());
        let ours = match there {
            Some(head) => match self.owner(grounded, &head).await? {
                None => Some(head),
                Some(_) => return Ok(()),
            },
            None => None,
        };
        if let (Some(at), Some(host)) = (open, &self.host) {
            let base = &grounded.revision;
            let farewell = proposal::farewell(&base.name, &base.commit, &batch.holding.holds);
            if let Err(failure) = host.close(at, (&self.target, &base.name), &farewell).await {
                batch.proposal.failure = Some(failure);
                return Ok(());
            }
            let closed = |request| PullRequestStatus { state: PullRequestState::Closed, ..request };
            batch.proposal.request = batch.proposal.request.take().map(closed);
        }
        let may_reopen = batch.holding.holds.iter().any(|hold| hold.request.is_some());
        if let Some(head) = ours.filter(|_| !may_reopen) {
            let Grounded { mirror, remote, .. } = grounded;
            let deleted = mirror.delete(remote, &self.target, &head).await;
            let deleted = deleted.map_err(|error| failure(&error, &remote.url))?;
            tracing::info!(branch = self.target, commit = %head, is_gone = deleted == Pushed::Done, "nothing to propose");
        }
        Ok(())
    }

    /// Opens the request of what was pushed, or makes it say what it should.
    async fn bring_up(&self, batch: &mut Batch, grounded: &Grounded) {
        let (Some(host), Some(spec)) = (&self.host, self.spec()) else { return };
        let Revision { name: base, commit: parent } = &grounded.revision;
        let name = self.task.update.name_any();
        let occasion = Occasion {
            object: (&self.namespace, &name),
            url: &grounded.remote.url,
            branch: &self.target,
            parent: parent.as_str(),
        };
        let (words, wrong) = text::words(templates(spec), &occasion, &batch.changes, proposal::room(spec.provider));
        batch.note_wrong_templates(wrong, "; the request has the usual words instead");
        let open = proposal::open(&host.seen);
        let step =
            proposal::step(open.and_then(|at| host.seen.get(at)), &words, &spec.labels, spec.auto_merge.is_some());
        let (title, body) = match &step {
            Step::Nothing => return,
            Step::Open => (&words.title, &words.body),
            Step::Update { title, body } => (title, body),
        };
        let wanted = Wanted {
            source: &self.target,
            target: base,
            title,
            body,
            labels: &spec.labels,
            auto_merge: spec.auto_merge,
        };
        let (request, failure) = host.bring_up(open, &wanted).await;
        if let Some(request) = request {
            batch.proposal.request = Some(request);
        }
        batch.proposal.failure = failure;
    }
}

fn templates(spec: &PullRequestSpec) -> Templates<'_> {
    Templates { title: spec.title_template.as_deref(), body: spec.body_template.as_deref() }
}
