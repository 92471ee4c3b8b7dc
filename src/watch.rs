//! LOOP 1a: registry → tags → decision → ImagePolicy status → wakes the commits.
//!
//! 1. policy (pure)  2. is it time to ask, or was it asked for?  3. who we are to the registry  4. tags (registry, shared and whole)
//! 5. is the list believed? (pure)  6. choose, and ask the gates (pure; facts from the registry)  7. status, event (pure, cluster)
//! 8. wake the ImageUpdates of the namespace

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use kube::ResourceExt;
use kube::runtime::controller::Action;
use kube::runtime::reflector::ObjectRef;

pub mod version;
pub mod range;
pub mod number;
pub mod filter;
pub mod exclusion;
pub mod window;
pub mod signature;
pub mod policy;
pub mod decide;
pub mod guard;
pub mod judge;
pub mod status;

use crate::api::condition::Reason;
use crate::api::{ImagePolicy, ImagePolicyStatus};
use crate::authenticating::{self, Login};
use crate::clock::{self, Now};
use crate::cluster::events::Severity;
use crate::context::{Context, Progress, requested_at};
use crate::failure::{Answer, Failure, chain};
use crate::http::hooks::Hook;
use crate::image::TagList;
use crate::inquiring::{self, Signers};
use crate::registry;
use guard::Believed;
use judge::{Facts, Judgement, Question, Step};
use policy::{Policy, Ranking};
use status::{Judged, Outcome, Scan};

/// How long one scan may take, all pages together.
const SCAN_TIMEOUT: Duration = Duration::from_secs(60);
/// How often the registry is asked at most, however many webhooks come.
const SHORTEST_PAUSE: Duration = Duration::from_secs(1);
/// How long what was read from Secrets is used before it is read again.
const LOGIN_LIFE: Duration = Duration::from_secs(600);

/// What is remembered of an ImagePolicy.
#[derive(Clone, Default)]
pub struct Remembered {
    progress: Progress<ImagePolicyStatus>,
    /// What its Secrets held, and when they were read.
    login: Option<(Login, Now)>,
    /// The list that was believed last.
    believed: Believed,
    /// Who signed what.
    signers: Signers,
    /// Where webhooks go.
    webhook_path: Option<String>,
    /// How many webhooks had come when the registry was last asked.
    heard: u64,
    /// When a gate opens.
    opens: Option<DateTime<Utc>>,
}

impl Remembered {
    /// The status as it was last written.
    pub fn written(&self) -> Option<&ImagePolicyStatus> {
        self.progress.status.as_ref()
    }
}

/// Brings one ImagePolicy's choice up to date.
pub async fn reconcile(policy: Arc<ImagePolicy>, context: Arc<Context>) -> Action {
    let now = clock::now();
    let mut memory = context.policies.get(&*policy);
    let before = memory.progress.status.clone().or_else(|| policy.status.clone()).unwrap_or_default();
    let outcome = judge(&policy, &context, &mut memory, &before, now).await;
    let mut status = status::next(&before, &outcome, policy.metadata.generation, requested_at(&*policy), now.wall);
    status.webhook_path.clone_from(&memory.webhook_path);
    let mut again = match &outcome {
        Ok(Outcome::Suspended) => Duration::from_secs(24 * 3600),
        Ok(_) => {
            memory.progress.failures = 0;
            next_look(&policy, &context, &memory, now)
        }
        Err(failure) => {
            memory.progress.failures += 1;
            tracing::warn!(kind = "ImagePolicy", namespace = policy.namespace(), name = policy.name_any(), "{failure}");
            failure.retry_after(memory.progress.failures)
        }
    };
    context.metrics.reconciled("ImagePolicy", outcome.as_ref().err().map(|failure| failure.reason));
    let mut is_news = memory.progress.generation != policy.metadata.generation;
    match context.cluster.write_status(&*policy, &before, &status).await {
        Ok(()) => {
            is_news |= status.latest_ref != before.latest_ref;
            memory.progress.status = Some(status.clone());
        }
        Err(error) => {
            tracing::warn!(kind = "ImagePolicy", name = policy.name_any(), "status not written: {error}");
            again = again.min(Duration::from_secs(2));
            // Not remembered, so that the next run does not take "not due" for "written".
            memory.progress.asked = None;
        }
    }
    memory.progress.generation = policy.metadata.generation;
    let is_written = memory.progress.status.as_ref() == Some(&status);
    context.policies.put(&*policy, memory);
    // Only now, as who is woken reads what was put; and before the event, which nobody waits for.
    if is_news {
        wake_updates(&policy, &context);
    }
    if is_written {
        tell(&policy, &context, &before, &status, now).await;
    }
    Action::requeue(again)
}

/// How long until there is something to do: the interval, a gate that opens, or a webhook that came while the registry was asked.
fn next_look(policy: &ImagePolicy, context: &Context, memory: &Remembered, now: Now) -> Duration {
    let mut wait = now.until(memory.progress.asked, policy.spec.interval.0).max(SHORTEST_PAUSE);
    if let Some(opens) = memory.opens {
        // The clock of statuses has whole seconds.
        let until = (opens - now.wall).to_std().unwrap_or_default() + Duration::from_millis(50);
        wait = wait.min(until.max(Duration::from_millis(50)));
    }
    if context.hooks.rung(&policy.uid().unwrap_or_default()) != memory.heard {
        wait = wait.min(now.until(memory.progress.asked, SHORTEST_PAUSE));
    }
    wait
}

/// Why a run looks.
struct Occasion {
    /// The interval has passed, or the run before failed.
    is_due: bool,
    /// A person asked.
    is_asked_for: bool,
    /// A webhook came.
    is_heard: bool,
    /// The object changed.
    is_new: bool,
    /// A gate opened.
    is_open: bool,
}

impl Occasion {
    fn of(object: &ImagePolicy, context: &Context, memory: &Remembered, before: &ImagePolicyStatus, now: Now) -> Self {
        let progress = &memory.progress;
        let has_paused = now.until(progress.asked, SHORTEST_PAUSE).is_zero();
        Self {
            is_due: now.until(progress.asked, object.spec.interval.0).is_zero() || progress.failures > 0,
            is_asked_for: requested_at(object) != before.last_handled_reconcile_at,
            is_heard: has_paused && context.hooks.rung(&object.uid().unwrap_or_default()) != memory.heard,
            is_new: progress.generation != object.metadata.generation,
            is_open: memory.opens.is_some_and(|opens| opens <= now.wall),
        }
    }

    fn is_one(&self) -> bool {
        self.is_due || self.is_asked_for || self.is_heard || self.is_new || self.is_open
    }

    /// How old a list may be: what was just announced is not in one that was read before.
    fn within(&self, interval: Duration) -> Duration {
        if self.is_asked_for || self.is_heard { Duration::ZERO } else { interval }
    }
}

async fn judge(
    object: &ImagePolicy,
    context: &Context,
    memory: &mut Remembered,
    before: &ImagePolicyStatus,
    now: Now,
) -> Result<Outcome, Failure> {
    if object.spec.suspend {
        return Ok(Outcome::Suspended);
    }
    let policy =
        Policy::parse(&object.spec).map_err(|invalid| Failure::user(Reason::InvalidSpec, format!("{invalid}")))?;
    let occasion = Occasion::of(object, context, memory, before, now);
    if !occasion.is_one() {
        return Ok(Outcome::NotDue);
    }
    if occasion.is_due || occasion.is_asked_for || occasion.is_heard {
        memory.progress.asked = Some(now.steady);
        // What comes from now on is not in the list that is about to be read.
        memory.heard = context.hooks.seen(&object.uid().unwrap_or_default());
    }
    let is_young = |(_, read): &(Login, Now)| now.until(Some(read.steady), LOGIN_LIFE) > Duration::ZERO;
    let kept = memory.login.take().filter(|kept| !occasion.is_new && !occasion.is_asked_for && is_young(kept));
    let (mut login, mut read, is_kept) = match kept {
        Some((login, read)) => (login.renewed(&context.cluster, &context.cloud).await?, read, true),
        None => {
            listen(object, &policy, context, memory, now).await;
            (authenticating::login(object, &policy.image, &context.cluster, &context.cloud).await?, now, false)
        }
    };
    let look = Look { policy: &policy, context, before, now, occasion: &occasion };
    let mut looked = look.at(&login, memory).await;
    // What the Secret held may be out of date: it is read again when the registry no longer takes it.
    if is_kept && looked.as_ref().is_err_and(is_about_credentials) {
        login.refused(&context.cloud);
        (login, read) = (authenticating::login(object, &policy.image, &context.cluster, &context.cloud).await?, now);
        looked = look.at(&login, memory).await;
    }
    if let Err(Problem::Registry(registry::Error::Authentication { .. })) = &looked {
        login.refused(&context.cloud);
    }
    memory.login = Some((login, read));
    looked.map_err(|problem| match problem {
        Problem::Registry(error) => failure(&error),
        Problem::Policy(failure) => failure,
    })
}

/// Lets webhooks in, or no longer. That a webhook can't work is told, and stops nothing: the interval finds all that it would.
async fn listen(object: &ImagePolicy, policy: &Policy, context: &Context, memory: &mut Remembered, now: Now) {
    let owner = object.uid().unwrap_or_default();
    let hook = match authenticating::hook(object, &context.cluster).await {
        Ok(hook) => hook,
        Err(failure) => {
            let note = format!("spec.webhook: {failure}; the registry is asked at every interval all the same");
            let _ = context.cluster.publish(object, Severity::Warning, failure.reason, &note, now.wall).await;
            None
        }
    };
    memory.webhook_path = hook.as_ref().map(|(path, _)| path.clone());
    match (hook, &object.spec.webhook) {
        (Some((path, secret)), Some(webhook)) => {
            let (wakes, policy_ref) = (context.wakes.image_policies.clone(), ObjectRef::from_obj(object));
            let wake = Arc::new(move || drop(wakes.send(policy_ref.clone())));
            let repository = policy.image.clone();
            context.hooks.set(&owner, Hook { path, kind: webhook.kind, secret, repository, wake });
        }
        _ => context.hooks.remove(&owner),
    }
}

/// What can go wrong while a registry is looked at.
enum Problem {
    Registry(registry::Error),
    Policy(Failure),
}

impl From<registry::Error> for Problem {
    fn from(error: registry::Error) -> Self {
        Self::Registry(error)
    }
}

fn is_about_credentials(problem: &Problem) -> bool {
    matches!(problem, Problem::Registry(registry::Error::Authentication { .. } | registry::Error::NotFound { .. }))
}

/// One look at a registry.
struct Look<'l> {
    policy: &'l Policy,
    context: &'l Context,
    before: &'l ImagePolicyStatus,
    now: Now,
    occasion: &'l Occasion,
}

impl Look<'_> {
    async fn at(&self, login: &Login, memory: &mut Remembered) -> Result<Outcome, Problem> {
        let (list, scan) = match &self.policy.ranking {
            // Only what it points at is of interest.
            Ranking::DigestOf(tag) => (TagList::from_iter([tag.clone()]), None),
            _ => {
                let within = self.occasion.within(self.policy.interval);
                let tags = self.context.registry.tags(&login.access, within, SCAN_TIMEOUT).await?;
                let scan = self.scan(tags.tags.len(), tags.skipped, &tags.fingerprint);
                let known = self.before.last_scan.as_ref().filter(|known| known.image == scan.image);
                let counts = self.occasion.is_asked_for;
                let believed = memory.believed.check(
                    &tags.tags,
                    known.map(|known| known.tags),
                    self.now.steady,
                    self.policy.interval,
                    counts,
                );
                if let Err(reason) = believed {
                    return Ok(Outcome::NotBelieved(reason));
                }
                (tags.tags, Some(scan))
            }
        };
        let by_build = self.by_build(&list, login).await?;
        let policy = by_build.as_ref().unwrap_or(self.policy);
        let current = self.before.latest_ref.as_ref().filter(|latest| latest.name == policy.image.as_str());
        let candidates = decide::candidates(policy, current.map(|current| &current.tag), &list);
        let question = Question {
            policy,
            candidates: &candidates.newer,
            current: current.filter(|_| candidates.current_stands),
            is_listed: candidates.is_listed,
            seen: &self.before.verdicts,
            now: self.now.wall,
        };
        let (judgement, facts) = self.ask(&question, login, memory).await?;
        memory.opens = judgement.opens;
        let scan = scan.unwrap_or_else(|| {
            let points_at = judgement.chosen.as_ref().and_then(|(_, digest)| digest.as_ref());
            self.scan(1, 0, points_at.map_or(b"", |digest| digest.as_str().as_bytes()))
        });
        let chosen = judgement.chosen.as_ref().map(|(tag, _)| tag);
        let verdicts = decide::nearest(policy, &judgement, &list, &facts);
        let built_at = chosen.and_then(|tag| policy.ranking.built_at(tag));
        Ok(Outcome::Judged(Box::new(Judged {
            image: policy.image.clone(),
            held: candidates.held.filter(|held| Some(&held.kept) == chosen).map(|held| held.reason),
            chosen: judgement.chosen,
            built_at,
            scan,
            verdicts,
        })))
    }

    fn scan(&self, tags: usize, skipped: u32, revision: &[u8]) -> Scan {
        let image = &self.policy.image;
        Scan {
            image: format!("{}/{}", image.host(), image.path()),
            tags: u32::try_from(tags).unwrap_or(u32::MAX),
            skipped,
            revision: status::revision(revision),
        }
    }

    /// The policy with the times at which its tags were built, if it goes by those.
    async fn by_build(&self, list: &TagList, login: &Login) -> Result<Option<Policy>, Problem> {
        if !matches!(self.policy.ranking, Ranking::NewestBuild(_)) {
            return Ok(None);
        }
        let fitting = decide::fitting(self.policy, list)
            .map_err(|reason| Problem::Policy(Failure::user(Reason::InvalidSpec, reason)))?;
        let mut built = inquiring::builds(fitting, login, &self.context.registry).await?;
        // A choice that is no longer listed is still as old as it was.
        if let (Some(latest), Some(built_at)) = (&self.before.latest_ref, self.before.built_at) {
            built.entry(latest.tag.clone()).or_insert(built_at);
        }
        Ok(Some(self.policy.clone().with_builds(built)))
    }

    /// Finds out what the gates want to know, until they can judge.
    async fn ask(
        &self,
        question: &Question<'_>,
        login: &Login,
        memory: &mut Remembered,
    ) -> Result<(Judgement, Facts), Problem> {
        let mut facts = Facts::default();
        loop {
            match judge::judge(question, &facts) {
                Step::Done(judgement) => return Ok((judgement, facts)),
                Step::Ask(needs) => {
                    let signers = &mut memory.signers;
                    inquiring::find_out(needs, &mut facts, login, signers, &self.context.registry, self.now.wall)
                        .await?;
                }
            }
        }
    }
}

/// Tells people when the choice changed, when it is held, or why there is none.
async fn tell(
    policy: &ImagePolicy,
    context: &Context,
    before: &ImagePolicyStatus,
    status: &ImagePolicyStatus,
    now: Now,
) {
    let Some(news) = status::news(before, status) else { return };
    let severity = if news.is_warning { Severity::Warning } else { Severity::Normal };
    if !news.is_warning {
        tracing::info!(namespace = policy.namespace(), name = policy.name_any(), "{}", news.note);
    }
    let _ = context.cluster.publish(policy, severity, news.reason, &news.note, now.wall).await;
}

fn wake_updates(policy: &ImagePolicy, context: &Context) {
    let namespace = policy.namespace();
    for update in context.stores.image_updates.state().iter().filter(|update| update.namespace() == namespace) {
        let _ = context.wakes.image_updates.send(ObjectRef::from_obj(&**update));
    }
}

/// What a failed scan means for the policy.
fn failure(error: &registry::Error) -> Failure {
    let message = chain(error);
    match error {
        registry::Error::Authentication { .. } => Failure::user(Reason::RegistryAuthenticationFailed, message),
        _ => Failure { answer: Answer::Retry { after: error.retry_after() }, reason: Reason::ScanFailed, message },
    }
}
