//! FLOW, the end of loop 1b: the commits of all ImageUpdates that want to write to a branch → one push.
//!
//! Who comes while a push is on its way waits in the branch's queue; who gets the turn next commits for all that wait, each commit
//! on the one before, and pushes the last. The queue saves requests and races and guards nothing: that is the compare and swap's
//! part. A refusal is somebody's own, so after one each of them pushes alone.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use kube::ResourceExt;
use kube::runtime::reflector::ObjectRef;
use tokio::sync::oneshot;

use crate::api::ConfigRepo;
use crate::api::condition::Reason;
use crate::committing::{Made, Task, make};
use crate::context::{Context, Grounded};
use crate::failure::{Answer, Failure};
use crate::git::{self, Pushed, Reach};
use crate::quarantine::caught;
use crate::rendering;
use crate::revision::Revision;
use crate::source::failure;
use crate::tracking::Found;
use crate::trusting::{self, Trust};
use crate::update::advice;
use crate::update::status::Outcome;

/// How often a lost race is run again at once before the scheduler takes over.
pub const RACES: u32 = 20;
/// How long one waits for another's push to the same branch.
pub const TURN: Duration = Duration::from_secs(10);

/// What became of an ImageUpdate's commit, and the head that it was compared with.
pub type Written = Result<(Outcome, Revision), Failure>;

/// Who writes to a branch.
#[derive(Default)]
pub struct Queue {
    /// Held from reading the branch's head to the end of the push.
    pub turn: tokio::sync::Mutex<()>,
    waiting: Mutex<Vec<Waiting>>,
}

/// A queue for each branch.
#[derive(Default)]
pub struct Queues {
    queues: Mutex<HashMap<(String, String), Arc<Queue>>>,
}

impl Queues {
    /// The queue for a branch of the repository with this URL.
    pub fn of(&self, url: &str, branch: &str) -> Arc<Queue> {
        let mut queues = self.queues.lock().unwrap_or_else(PoisonError::into_inner);
        queues.retain(|_, queue| Arc::strong_count(queue) > 1);
        queues.entry((url.to_owned(), branch.to_owned())).or_default().clone()
    }
}

/// An ImageUpdate that has something to write.
struct Waiting {
    task: Arc<Task>,
    answer: oneshot::Sender<Written>,
}

impl Waiting {
    /// Whether one push can do for both: another ConfigRepo has another login and another mirror.
    fn may_share(&self, other: &Self) -> bool {
        let repo =
            |waiting: &Self| (waiting.task.update.namespace(), waiting.task.update.spec.config_repo_ref.name.clone());
        repo(self) == repo(other) && self.task.along.is_nothing() && other.task.along.is_nothing()
    }
}

impl Queue {
    fn waiting(&self) -> std::sync::MutexGuard<'_, Vec<Waiting>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes all out that may share a push with the first, in the order of their names.
    fn party(&self, of: &Arc<Task>) -> Vec<Waiting> {
        let mut waiting = self.waiting();
        let Some(own) = waiting.iter().position(|waiting| Arc::ptr_eq(&waiting.task, of)) else { return Vec::new() };
        let own = waiting.swap_remove(own);
        let mut party: Vec<Waiting> = waiting.extract_if(.., |other| own.may_share(other)).collect();
        party.push(own);
        party.sort_by_key(|waiting| waiting.task.update.name_any());
        party
    }
}

/// Commits to the ConfigRepo's own branch and pushes, together with all others that wait to.
pub async fn write(task: Arc<Task>, context: &Context, grounded: Grounded) -> Written {
    let queue = context.queues.of(&grounded.remote.url, &grounded.revision.name);
    let (answer, mut answered) = oneshot::channel();
    queue.waiting().push(Waiting { task: task.clone(), answer });
    // A host that hangs for one of them does not hold up the others for long.
    let _turn = tokio::select! {
        biased;
        written = &mut answered => return written.unwrap_or_else(|_| broken_off()),
        turn = tokio::time::timeout(TURN, queue.turn.lock()) => turn,
    };
    // Nobody is left when another has taken this one along; its answer is on the way.
    let party = queue.party(&task);
    if !party.is_empty() {
        write_all(party, context, grounded).await;
    }
    answered.await.unwrap_or_else(|_| broken_off())
}

fn broken_off() -> Written {
    Err(Failure::retry(Reason::GitOperationFailed, "the run that pushed for this one too broke off".to_owned()))
}

async fn write_all(party: Vec<Waiting>, context: &Context, grounded: Grounded) {
    let tasks: Vec<Arc<Task>> = party.iter().map(|waiting| waiting.task.clone()).collect();
    let pushed = caught(push(&tasks, context, grounded.clone())).await;
    match pushed.and_then(|pushed| pushed) {
        Ok(written) => party.into_iter().zip(written).for_each(|(waiting, written)| drop(waiting.answer.send(written))),
        Err(failure) if tasks.len() == 1 || matches!(failure.answer, Answer::Retry { .. }) => {
            party.into_iter().for_each(|waiting| drop(waiting.answer.send(Err(failure.clone()))));
        }
        Err(_) => {
            for waiting in party {
                let alone = push(std::slice::from_ref(&waiting.task), context, grounded.clone());
                let written = caught(alone).await.and_then(|pushed| pushed);
                let written = written.and_then(|written| written.into_iter().next().unwrap_or_else(broken_off));
                let _ = waiting.answer.send(written);
            }
        }
    }
}

/// Edits, commits and pushes until the branch holds the choices of all of them; what became of each. A failure is that of the push.
async fn push(tasks: &[Arc<Task>], context: &Context, mut grounded: Grounded) -> Result<Vec<Written>, Failure> {
    let Some(first) = tasks.first() else { return Ok(Vec::new()) };
    let namespace = first.update.namespace().unwrap_or_default();
    let repo = first.update.spec.config_repo_ref.name.clone();
    if let Some(now) = context.ground.head(&namespace, &repo) {
        grounded = now;
    }
    look_back(&grounded).await?;
    for _ in 0..RACES {
        let read = grounded.revision.clone();
        let mut all = Vec::new();
        for task in tasks {
            let made = make(task.clone(), grounded.clone(), read.name.clone(), Arc::default()).await;
            if let Ok(Made { commit: Some(commit), .. }) = &made
                && task.rests.is_none()
            {
                grounded.revision.commit = commit.clone();
            }
            all.push(made);
        }
        let tip = grounded.revision.commit.clone();
        if tip == read.commit {
            let fates = tasks.iter().zip(all).map(|(task, made)| Ok((fate(task, made?, &read), read.clone())));
            return Ok(fates.collect());
        }
        trusting::check_own(context, &namespace, &grounded, &tip).await?;
        let pushed = grounded.mirror.push_along(&grounded.remote, &read.name, (Some(&read.commit), &tip), &first.along);
        match pushed.await.map_err(|error| refusal(&error, &grounded.remote.url))? {
            Pushed::Done => {
                context.ground.set(&namespace, &repo, grounded.clone());
                wake(context, &namespace, &repo, &grounded).await;
                let fates = tasks.iter().zip(all).map(|(task, made)| {
                    let made = made?;
                    if made.commit.is_some() && task.rests.is_none() {
                        context.metrics.pushed();
                    }
                    Ok((fate(task, made, &grounded.revision), grounded.revision.clone()))
                });
                return Ok(fates.collect());
            }
            Pushed::Moved => grounded = read_again(context, &namespace, &repo, grounded).await?,
        }
    }
    Err(lost_races())
}

fn fate(task: &Task, Made { mut batch, commit }: Made, head: &Revision) -> Outcome {
    match (commit, task.rests) {
        (None, _) => Outcome::UpToDate { revision: head.clone(), batch },
        (Some(_), Some(until)) => Outcome::Resting { until, batch },
        (Some(commit), None) => {
            // Whoever takes it back from here on means it anew.
            batch.holding.used.clear();
            Outcome::Pushed { commit, branch: head.name.clone(), batch }
        }
    }
}

/// What a push that failed means; a host that protects the branch has a way round.
fn refusal(error: &git::Error, url: &str) -> Failure {
    let mut failure = failure(error, url);
    if let git::Error::Rejected { message } = error {
        failure.message.push_str(advice::on_refusal(message).unwrap_or_default());
    }
    failure
}

/// A branch that others move all the time.
pub fn lost_races() -> Failure {
    Failure::retry(Reason::GitOperationFailed, format!("the branch moved {RACES} times while pushing to it"))
}

/// Gets the history of what a run stands on, if only the head was read so far: until now nobody wrote to the repository.
///
/// # Errors
/// Those of the host.
pub async fn look_back(Grounded { revision, mirror, remote, target, .. }: &Grounded) -> Result<(), Failure> {
    let fetched = mirror.fetch(remote, target, &revision.commit, Reach::History).await;
    fetched.map_err(|error| failure(&error, &remote.url))
}

/// Reads the branch again that a run stands on. What is no branch is read by the ground alone.
///
/// # Errors
/// Those of the host; or what is there now is not trusted.
pub async fn read_again(
    context: &Context,
    namespace: &str,
    repo: &str,
    mut grounded: Grounded,
) -> Result<Grounded, Failure> {
    if !grounded.is_branch {
        return Ok(grounded);
    }
    let branch = grounded.revision.name.clone();
    let url = grounded.remote.url.clone();
    let commit = grounded.mirror.head(&grounded.remote, &branch).await.map_err(|error| failure(&error, &url))?;
    let fetched = grounded.mirror.fetch(&grounded.remote, &branch, &commit, Reach::History).await;
    fetched.map_err(|error| failure(&error, &url))?;
    let revision = Revision { name: branch, commit };
    if let Some(trust) = grounded.trust.as_ref().filter(|_| revision != grounded.revision) {
        let found = Found { revision: revision.clone(), target: grounded.target.clone() };
        let stays = grounded.revision.to_string();
        let judged = trust.judge((context, namespace), &found, &grounded.mirror, &grounded.remote, Some(&stays)).await;
        let trust = Trust { last: Some(judged?), ..(**trust).clone() };
        grounded.trust = Some(Arc::new(trust));
    }
    grounded.revision = revision;
    if context.ground.set(namespace, repo, grounded.clone()) {
        rendering::wake(context, namespace, repo, &grounded).await;
    }
    Ok(grounded)
}

/// Loop two first: what was pushed is here already, so it needs no fetch.
async fn wake(context: &Context, namespace: &str, repo: &str, head: &Grounded) {
    rendering::wake(context, namespace, repo, head).await;
    let repo: ObjectRef<ConfigRepo> = ObjectRef::new(repo).within(namespace);
    let _ = context.wakes.config_repos.send(repo);
}
