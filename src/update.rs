//! LOOP 1b: decisions → edits → commit → push → ImageUpdate status → wakes loop two.
//!
//! 1. choices of the namespace's policies  2. batch window  3. marked and targeted files of the head (git, from the mirror)
//! 4. edits (pure)  5. message (pure)  6. commit (git, no network)  7. compare-and-swap push (git, one request);
//!    the branch moved: read it again and go back to 3  8. status, event (pure, cluster)  9. wake loop two

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use kube::ResourceExt;
use kube::runtime::controller::Action;
use kube::runtime::reflector::ObjectRef;

pub mod marker;
pub mod scalar;
pub mod edit;
pub mod hold;
pub mod target;
pub mod link;
pub mod lint;
pub mod diff;
pub mod refspec;
pub mod advice;
pub mod trailers;
pub mod message;
pub mod batch;
pub mod status;

use crate::api::condition::Reason;
use crate::api::{ImagePolicyStatus, ImageUpdate, ImageUpdateStatus};
use crate::clock::{self, Now};
use crate::cluster::events::Severity;
use crate::context::{Context, Grounded, Progress, requested_at};
use crate::failure::{Answer, Failure};
use crate::git::{self, Along, Entry, Kind, NewCommit, ObjectId, Person, Pushed, Second, SigningKey};
use crate::holding::{self, Look, Policies, Reverts};
use crate::revision::{CommitId, Revision};
use crate::signing;
use crate::source::failure;
use batch::{Aims, Batch, Content, Settled};
use edit::{Choices, Known};
use message::Occasion;
use refspec::Refspec;
use status::Outcome;
use target::Target;

/// How often a lost race is run again at once before the scheduler takes over.
const RACES: u32 = 20;
/// How long one waits for another's push to the same branch.
const TURN: Duration = Duration::from_secs(10);

/// What is remembered of an ImageUpdate.
#[derive(Clone, Default)]
pub struct Remembered {
    progress: Progress<ImageUpdateStatus>,
    /// What was wanted and the head that were compared last.
    compared: Option<(Choices, Reverts, Revision)>,
    /// The key that signs.
    key: signing::Kept,
    /// Files that need no edit.
    settled: Arc<Mutex<Settled>>,
    /// Choices that wait for the end of the batch window, and since when.
    waiting: Option<(Choices, Instant)>,
}

/// What the namespace's policies want.
#[derive(Default)]
struct Wants {
    choices: Choices,
    /// When each of them chose.
    chosen_at: BTreeMap<String, DateTime<Utc>>,
    policies: Policies,
}

/// Brings the marked and targeted values of one ImageUpdate's repository up to date.
pub async fn reconcile(update: Arc<ImageUpdate>, context: Arc<Context>) -> Action {
    let now = clock::now();
    let mut memory = context.updates.get(&*update);
    let before = memory.progress.status.clone().or_else(|| update.status.clone()).unwrap_or_default();
    let outcome = commit_choices(&update, &context, &mut memory, &before, now).await;
    let status = status::next(&before, &outcome, update.metadata.generation, requested_at(&*update), clock::now().wall);
    let mut again = match &outcome {
        Ok(Outcome::Waiting { left }) => *left,
        Ok(Outcome::Resting { until, .. }) => {
            (*until - now.wall).to_std().unwrap_or_default().max(Duration::from_secs(1))
        }
        // Nothing to poll: a choice or the branch wakes it.
        Ok(_) => Duration::from_secs(24 * 3600),
        Err(failure) => {
            tracing::warn!(kind = "ImageUpdate", namespace = update.namespace(), name = update.name_any(), "{failure}");
            failure.retry_after(memory.progress.failures + 1)
        }
    };
    memory.progress.failures = if outcome.is_err() { memory.progress.failures + 1 } else { 0 };
    context.metrics.reconciled("ImageUpdate", outcome.as_ref().err().map(|failure| failure.reason));
    match context.cluster.write_status(&*update, &before, &status).await {
        Ok(()) => {
            tell(&update, &context, &before, &status, &outcome).await;
            memory.progress.status = Some(status);
        }
        Err(error) => {
            tracing::warn!(kind = "ImageUpdate", name = update.name_any(), "status not written: {error}");
            again = again.min(Duration::from_secs(2));
            memory.compared = None;
        }
    }
    memory.progress.generation = update.metadata.generation;
    context.updates.put(&*update, memory);
    Action::requeue(again)
}

async fn commit_choices(
    update: &ImageUpdate,
    context: &Context,
    memory: &mut Remembered,
    before: &ImageUpdateStatus,
    now: Now,
) -> Result<Outcome, Failure> {
    if update.spec.suspend {
        return Ok(Outcome::Suspended);
    }
    let namespace = update.namespace().unwrap_or_default();
    let repo = &update.spec.config_repo_ref.name;
    let Some(grounded) = context.footing(update, repo)? else { return Ok(Outcome::Unchanged) };
    let wants = wants(context, &namespace, update);
    let reverts = holding::on_revert(&wants.policies);
    let release = holding::release(update);
    let is_same = memory.progress.generation == update.metadata.generation
        && requested_at(update) == before.last_handled_reconcile_at
        && (release.is_none() || release == before.last_handled_release)
        && memory.compared.as_ref().is_some_and(|(choices, compared, at)| {
            *choices == wants.choices && *compared == reverts && *at == grounded.revision
        });
    if is_same && memory.progress.failures == 0 {
        return Ok(Outcome::Unchanged);
    }
    if let Some(left) = wait(memory, &wants.choices, update.spec.batch_window.0, now) {
        return Ok(Outcome::Waiting { left });
    }
    let key = signing::key(update, &context.cluster, &mut memory.key).await?;
    let task = Task {
        update: update.clone(),
        wants,
        status: before.clone(),
        settled: memory.settled.clone(),
        key,
        rests: update.spec.min_interval.and_then(|rest| status::rests_until(before.last_push_time, rest.0, now.wall)),
    };
    let task = Arc::new(task);
    let (outcome, revision) = write(task.clone(), context, grounded).await?;
    memory.waiting = None;
    // What rests is to be looked at again.
    let is_done = !matches!(outcome, Outcome::Resting { .. });
    memory.compared = is_done.then(|| (task.wants.choices.clone(), reverts, revision));
    Ok(outcome)
}

/// How much of the batch window is left: choices that are new wait for others to join them.
fn wait(memory: &mut Remembered, choices: &Choices, window: Duration, now: Now) -> Option<Duration> {
    if memory.compared.as_ref().is_none_or(|(compared, ..)| compared == choices) {
        return None;
    }
    let since = memory.waiting.as_ref().map_or(now.steady, |(_, since)| *since);
    memory.waiting = Some((choices.clone(), since));
    Some(now.until(Some(since), window)).filter(|left| !left.is_zero())
}

/// What the namespace's policies chose, and when.
fn wants(context: &Context, namespace: &str, update: &ImageUpdate) -> Wants {
    let mut wants = Wants::default();
    for policy in context.stores.image_policies.state() {
        let ours = policy.namespace().as_deref() == Some(namespace);
        if !ours {
            continue;
        }
        let id = format!("{namespace}:{}", policy.name_any());
        let latest_of = |status: &ImagePolicyStatus| Some((status.latest_ref.clone()?, status.chosen_at));
        // What was written last may be newer than what the watch shows.
        let written = context.policies.look(&*policy, |memory| memory.written().map(latest_of)).flatten();
        let latest = written.or_else(|| policy.status.as_ref().map(latest_of)).flatten();
        let known = match latest {
            _ if !update.spec.policy_selector.matches(policy.labels()) => Known::NotSelected,
            Some((latest, at)) => match latest.image() {
                Some(image) => {
                    wants.chosen_at.extend(at.map(|at| (id.clone(), at)));
                    Known::Chosen(image)
                }
                None => Known::Undecided,
            },
            None => Known::Undecided,
        };
        wants.choices.insert(id.clone(), known);
        wants.policies.insert(id, policy);
    }
    wants
}

/// What one run works on.
struct Task {
    update: ImageUpdate,
    wants: Wants,
    /// The status as it is.
    status: ImageUpdateStatus,
    settled: Arc<Mutex<Settled>>,
    key: Option<Arc<SigningKey>>,
    /// Until when nothing may be pushed.
    rests: Option<DateTime<Utc>>,
}

/// Edits, commits and pushes until the branch holds the choices.
async fn write(task: Arc<Task>, context: &Context, mut grounded: Grounded) -> Result<(Outcome, Revision), Failure> {
    let update = &task.update;
    let namespace = update.namespace().unwrap_or_default();
    let repo = update.spec.config_repo_ref.name.clone();
    let source = grounded.revision.branch.clone();
    let target = update.spec.push.as_ref().map_or(&source, |push| push.branch_or(&source)).clone();
    let along = along(update, &target)?;
    // Those who write to one branch do so one after the other, each on the head of the one before: no race among our own. It saves
    // races and guards nothing, so a host that hangs for one of them does not hold up the others for long.
    let turn = context.writers.turn(&grounded.remote.url, &target);
    let _turn = tokio::time::timeout(TURN, turn.lock()).await;
    if let Some(now) = context.ground.head(&namespace, &repo) {
        grounded = now;
    }
    for _ in 0..RACES {
        let head = grounded.revision.commit.clone();
        let Made { mut batch, commit } = make(task.clone(), grounded.clone(), target.clone()).await?;
        let Some(commit) = commit else {
            return Ok((Outcome::UpToDate { revision: grounded.revision.clone(), batch }, grounded.revision));
        };
        let url = &grounded.remote.url;
        let old = if target == source {
            Some(head)
        } else {
            let there = grounded.mirror.head(&grounded.remote, &target).await;
            match there {
                Ok(there) => Some(there),
                Err(git::Error::BranchNotFound { .. }) => None,
                Err(error) => return Err(failure(&error, url)),
            }
        };
        if old.as_ref() == Some(&commit) {
            return Ok((Outcome::UpToDate { revision: grounded.revision.clone(), batch }, grounded.revision));
        }
        if let Some(until) = task.rests {
            return Ok((Outcome::Resting { until, batch }, grounded.revision));
        }
        let pushed = grounded.mirror.push_along(&grounded.remote, &target, (old.as_ref(), &commit), &along).await;
        match pushed.map_err(|error| refusal(&error, url))? {
            Pushed::Done => {
                context.metrics.pushed();
                if target == source {
                    grounded.revision.commit = commit.clone();
                    context.ground.set(&namespace, &repo, grounded.clone());
                    wake(context, &namespace, &repo, update);
                    // Whoever takes it back from here on means it anew.
                    batch.holding.used.clear();
                }
                return Ok((Outcome::Pushed { commit, branch: target, batch }, grounded.revision));
            }
            Pushed::Moved => grounded = read_again(context, &namespace, &repo, grounded).await?,
        }
    }
    Err(Failure::retry(Reason::GitOperationFailed, format!("the branch moved {RACES} times while pushing to it")))
}

/// What a push that failed means; a host that protects the branch has a way round.
fn refusal(error: &git::Error, url: &str) -> Failure {
    let mut failure = failure(error, url);
    if let git::Error::Rejected { message } = error {
        failure.message.push_str(advice::on_refusal(message).unwrap_or_default());
    }
    failure
}

/// What goes along with a push to a branch.
fn along(update: &ImageUpdate, branch: &str) -> Result<Along, Failure> {
    let Some(push) = &update.spec.push else { return Ok(Along::default()) };
    let wrong =
        |field: &str, reason: String| Failure::user(Reason::InvalidSpec, format!("spec.push.{field}: {reason}"));
    let options = refspec::options(&push.options).map_err(|reason| wrong("options", reason))?;
    let second = push.refspec.as_ref().map(|text| refspec::refspec(text, branch)).transpose();
    let second = second.map_err(|reason| wrong("refspec", reason))?;
    let second = second.map(|Refspec { name, may_go_back }| Second { name, may_go_back });
    Ok(Along { options, second })
}

/// One batch of edits, and the commit that holds them if there are any.
struct Made {
    batch: Batch,
    commit: Option<CommitId>,
}

/// Reads the marked and targeted files of a head and makes the commit; no network, but disk, so not on an async worker.
async fn make(task: Arc<Task>, grounded: Grounded, target: String) -> Result<Made, Failure> {
    let job = move || -> Result<Made, crate::git::Error> {
        let Task { update, wants, status, settled, key, .. } = &*task;
        let Grounded { mirror, revision: Revision { branch: source, commit: head }, remote } = &grounded;
        let Wants { choices, chosen_at, policies } = wants;
        let namespace = update.namespace().unwrap_or_default();
        let (targets, wrong) = Target::all(&update.spec.targets, &namespace);
        let found = mirror.grep(head, &update.spec.path, edit::is_marked_file_name, edit::NEEDLE)?;
        let mut ids: BTreeMap<String, ObjectId> = found.iter().map(|file| (file.path.clone(), file.id)).collect();
        let marked = found.into_iter().map(|file| (file.path, file.id.to_string())).collect();
        let mut look = |path: &str| -> Result<Content, git::Error> {
            let entry = mirror.find(head, path)?;
            ids.extend(entry.as_ref().map(|entry| (path.to_owned(), entry.id)));
            Ok(content(entry))
        };
        let sources = batch::sources(marked, &targets, &mut look)?;
        let read = &mut |path: &str| match mirror.blob(ids[path]) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(git::Error::TooLarge { .. }) => Ok(None),
            Err(error) => Err(error),
        };
        let aims = Aims { choices, namespace: Some(&namespace), targets: &targets };
        let mut settled = settled.lock().unwrap_or_else(PoisonError::into_inner);
        let mut batch = batch::edit_new(&sources, read, &aims, &mut settled)?;
        batch.problems.splice(0..0, wrong);
        let found = |path: &str| sources.binary_search_by(|source| source.path.as_str().cmp(path));
        let is_marked = &|path: &str| found(path).is_ok_and(|index| sources[index].is_marked);
        let (targets, target) = (&*targets, &*target);
        let look = Look { mirror, head, update, status, choices, policies, targets, source, target, is_marked };
        look.hold_back(&mut batch)?;
        let template = update.spec.commit.message_template.as_deref();
        if batch.changes.is_empty() {
            batch.check_template(template);
            return Ok(Made { batch, commit: None });
        }
        let parent = mirror.commit_info(head)?;
        let time = batch::commit_time(&batch.changes, chosen_at, parent.time);
        let author = &update.spec.commit.author;
        let object = (namespace.as_str(), &*update.name_any());
        let occasion = Occasion { object, url: &remote.url, branch: target, parent: head.as_str() };
        let new = NewCommit {
            parent: head,
            message: batch.message(template, &occasion),
            files: batch.files.clone(),
            author: Person { name: author.name.clone(), email: author.email.clone() },
            time,
        };
        let commit = mirror.commit_signed(new, key.as_deref())?;
        Ok(Made { batch, commit: Some(commit) })
    };
    match tokio::task::spawn_blocking(job).await {
        Ok(made) => made.map_err(|error| failure(&error, "the mirror")),
        Err(error) => Err(Failure {
            answer: Answer::Bug,
            reason: Reason::InternalError,
            message: format!("the edit broke off: {error}"),
        }),
    }
}

/// What a target finds at its path.
fn content(entry: Option<Entry>) -> Content {
    match entry.map(|entry| (entry.kind, entry.id)) {
        Some((Kind::File | Kind::Executable, id)) => Content::File(id.to_string()),
        Some((Kind::Folder, _)) => Content::Nothing("it is a folder"),
        Some((Kind::Symlink, _)) => Content::Nothing("it is a symbolic link: name the file that it leads to"),
        Some((Kind::Submodule, _)) => Content::Nothing("it is a submodule: its files are another repository's"),
        None => Content::Nothing("there is no such file"),
    }
}

async fn read_again(
    context: &Context,
    namespace: &str,
    repo: &str,
    mut grounded: Grounded,
) -> Result<Grounded, Failure> {
    let branch = grounded.revision.branch.clone();
    let url = grounded.remote.url.clone();
    let commit = grounded.mirror.head(&grounded.remote, &branch).await.map_err(|error| failure(&error, &url))?;
    grounded.mirror.fetch(&grounded.remote, &branch, &commit).await.map_err(|error| failure(&error, &url))?;
    grounded.revision = Revision { branch, commit };
    if context.ground.set(namespace, repo, grounded.clone()) {
        context.wake_dependants(namespace, repo);
    }
    Ok(grounded)
}

/// Loop two first: what was pushed is here already, so it needs no fetch.
fn wake(context: &Context, namespace: &str, repo: &str, update: &ImageUpdate) {
    context.wake_dependants(namespace, repo);
    let repo: ObjectRef<crate::api::ConfigRepo> = ObjectRef::new(repo).within(namespace);
    let _ = context.wakes.config_repos.send(repo);
    tracing::debug!(name = update.name_any(), "woke loop two");
}

async fn tell(
    update: &ImageUpdate,
    context: &Context,
    before: &ImageUpdateStatus,
    status: &ImageUpdateStatus,
    outcome: &Result<Outcome, Failure>,
) {
    let mut notes = Vec::new();
    if let Ok(Outcome::Pushed { commit, branch, batch }) = outcome {
        let note = format!("pushed {} to {branch}: {}", commit.short(), batch.summary());
        tracing::info!(namespace = update.namespace(), name = update.name_any(), "{note}");
        notes.push((Severity::Normal, Reason::Committed, note));
    }
    notes.extend(status::hold_notes(before, status).into_iter().map(|(reason, note)| (Severity::Normal, reason, note)));
    if status.problems != before.problems && !status.problems.is_empty() {
        let listed: Vec<String> = status.problems.iter().take(5).map(ToString::to_string).collect();
        notes.push((Severity::Warning, Reason::UpdateProblems, listed.join("; ")));
    }
    if let Err(failure) = outcome
        && before.conditions.first().is_none_or(|ready| ready.message != failure.message)
    {
        notes.push((Severity::Warning, failure.reason, failure.message.clone()));
    }
    for (severity, reason, note) in notes {
        let _ = context.cluster.publish(update, severity, reason, &note, clock::now().wall).await;
    }
}
