//! GROUND: branch head → fetch → ConfigRepo status → wakes both loops.
//!
//! 1. is it time to ask, or was it asked for?  2. credentials (cluster)  3. head (git, one request)
//! 4. fetch (git, only when the head is new)  5. verify signatures  6. status (pure, cluster)  7. wake what stands on it

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use kube::ResourceExt;
use kube::runtime::controller::Action;
use kube::runtime::reflector::ObjectRef;

pub mod follow;
pub mod login;
pub mod signed;
pub mod status;
pub mod verify;

use crate::api::condition::{Reason, ready};
use crate::api::config_repo::{VerificationStatus, VerifyMode};
use crate::api::reference::LocalRef;
use crate::api::{ConfigRepo, ConfigRepoStatus};
use crate::clock::{self, Now};
use crate::cluster;
use crate::context::{Context, Grounded, Progress, requested_at};
use crate::failure::{Answer, Failure, chain};
use crate::git::{self, App, Auth, Installation, Mirror, Remote, Ssh, Target};
use crate::http::hooks::Subject;
use crate::listening::{self, Asked};
use crate::reach::{Proxy, Tls, Way};
use crate::rendering;
use crate::revision::Revision;
use crate::tracking::{self, Found};
use crate::trusting::{self, Trust};
use follow::Follow;
use login::Login;
use status::Outcome;

/// How long what was read from a webhook's Secret is used before it is read again.
const HOOK_LIFE: Duration = Duration::from_secs(600);

/// What is remembered of a ConfigRepo.
#[derive(Clone, Default)]
pub struct Remembered {
    pub(crate) progress: Progress<ConfigRepoStatus>,
    /// Where webhooks go, if they do; not known before the Secret was read.
    webhook_path: Option<Option<String>>,
    /// When that was.
    listened: Option<Instant>,
    /// Tells the keys that the present revision was verified by from others.
    keys: Option<[u8; 32]>,
    /// The number of the last webhook that had come when the host was last asked.
    heard: u64,
}

impl Remembered {
    /// The status as it was last written.
    pub fn written(&self) -> Option<&ConfigRepoStatus> {
        self.progress.status.as_ref()
    }
}

/// Brings what is known of one ConfigRepo up to date.
pub async fn reconcile(repo: Arc<ConfigRepo>, context: Arc<Context>) -> Action {
    let now = clock::now();
    let mut memory = context.repos.get(&*repo);
    let before = memory.progress.status.clone().or_else(|| repo.status.clone()).unwrap_or_default();
    let outcome = ground(&repo, &context, &mut memory, &before, now).await;
    let status = status::next(&before, &outcome, repo.metadata.generation, requested_at(&*repo), now.wall);
    let webhook_path = memory.webhook_path.clone().unwrap_or_else(|| before.webhook_path.clone());
    let status = ConfigRepoStatus { webhook_path, ..status };
    let mut again = match &outcome {
        Ok(Outcome::Suspended) => Duration::from_secs(24 * 3600),
        Ok(Outcome::Grounded { .. }) => {
            memory.progress.failures = 0;
            now.until(memory.progress.asked, repo.spec.interval.0).max(Duration::from_secs(1))
        }
        Err(failure) => {
            memory.progress.failures += 1;
            tracing::warn!(kind = "ConfigRepo", namespace = repo.namespace(), name = repo.name_any(), "{failure}");
            let wait = failure.retry_after(memory.progress.failures, repo.metadata.uid.as_deref());
            // Who is refused mends it on the branch, and then waits no longer than usual.
            let is_refused = failure.reason == Reason::VerificationFailed;
            if is_refused { wait.min(repo.spec.interval.0.max(Duration::from_secs(1))) } else { wait }
        }
    };
    context.metrics.reconciled("ConfigRepo", outcome.as_ref().err().map(|failure| failure.reason));
    match context.cluster.write_status(&*repo, &before, &status).await {
        Ok(_) => memory.progress.status = Some(status),
        Err(error) => {
            tracing::warn!(kind = "ConfigRepo", name = repo.name_any(), "status not written: {error}");
            again = again.min(Duration::from_secs(2));
        }
    }
    memory.progress.generation = repo.metadata.generation;
    context.repos.put(&*repo, memory);
    if outcome.is_err() && ready(&before.conditions).is_none_or(|ready| ready.status != "False") {
        // They say so if they have never seen it.
        context.wake_dependants(&repo.namespace().unwrap_or_default(), &repo.name_any());
    }
    Action::requeue(again)
}

async fn ground(
    repo: &ConfigRepo,
    context: &Context,
    memory: &mut Remembered,
    before: &ConfigRepoStatus,
    now: Now,
) -> Result<Outcome, Failure> {
    let (namespace, name) = (repo.namespace().unwrap_or_default(), repo.name_any());
    let known = context.ground.head(&namespace, &name);
    if repo.spec.suspend {
        return Ok(Outcome::Suspended);
    }
    if repo.spec.verify.is_some() && known.is_some_and(|known| known.trust.is_none()) {
        // Nobody looked at its signature.
        context.ground.remove(&namespace, &name);
    }
    let known = context.ground.head(&namespace, &name);
    let follow = Follow::read(&repo.spec.reference).map_err(|reason| Failure::user(Reason::InvalidSpec, reason))?;
    let is_asked_for = requested_at(repo) != before.last_handled_reconcile_at;
    let progress = &memory.progress;
    let is_heard = context.hooks.rung(&audience(repo)) > memory.heard;
    let is_due = now.until(progress.asked, repo.spec.interval.0).is_zero() || progress.failures > 0 || is_heard;
    let is_same = progress.generation == repo.metadata.generation;
    let is_verified = |known: &Grounded| repo.spec.verify.is_none() || is_trusted(before, &known.revision);
    if let Some(known) = known.filter(|known| is_same && !is_asked_for && !is_due && is_verified(known)) {
        return Ok(Outcome::Grounded { revision: known.revision, verification: before.verification.clone() });
    }
    memory.progress.asked = Some(now.steady);
    // What rings from now on may be news that this look misses.
    memory.heard = context.hooks.seen(&audience(repo));
    if !is_same || is_asked_for || now.until(memory.listened, HOOK_LIFE).is_zero() {
        listen((repo, &follow), context, memory, now).await;
    }
    if is_heard {
        wake_proposals(context, &namespace, &name);
    }
    let url = &repo.spec.url;
    // The Secret is read again when the object changed, when somebody asks, and when the host no longer takes what it held.
    let kept = context.ground.head(&namespace, &name).filter(|known| is_same && known.remote.url == *url);
    let (mirror, remote, is_kept) = match kept {
        Some(known) if !is_asked_for => (known.mirror, known.remote, true),
        Some(known) => (known.mirror, self::remote(repo, context, &namespace).await?, false),
        None => {
            let key = format!("{namespace}/{name}/{url}");
            let mirror = Mirror::open(&context.settings.data_dir, &key).map_err(|error| failure(&error, url))?;
            (mirror, self::remote(repo, context, &namespace).await?, false)
        }
    };
    // What a person changed is not what was read before.
    let is_untouched = before.observed_generation == repo.metadata.generation;
    let keys = match &repo.spec.verify {
        Some(spec) => trusting::keys(context, &namespace, spec).await,
        None => None,
    };
    let verifies_anew = is_asked_for || (keys.is_some() && keys != memory.keys);
    let mut look = Look { repo, context, before, follow, mirror, remote, is_untouched, verifies_anew };
    let mut found = look.find().await;
    if is_kept && found.as_ref().is_err_and(git::Error::is_refusal) {
        look.remote = self::remote(repo, context, &namespace).await?;
        found = look.find().await;
    }
    let taken = match found {
        Ok(found) => look.take(found).await,
        Err(error) => return look.fall_back(failure(&error, url)).await,
    };
    // These keys had their say.
    if taken.as_ref().map_or_else(|failure| failure.reason == Reason::VerificationFailed, |_| true) {
        memory.keys = keys;
    }
    taken
}

/// Whether this revision was verified, as the status says.
fn is_trusted(status: &ConfigRepoStatus, revision: &Revision) -> bool {
    status.verification.as_ref().is_some_and(|verified| verified.commit == revision.commit)
}

/// One look at the host.
struct Look<'a> {
    repo: &'a ConfigRepo,
    context: &'a Context,
    before: &'a ConfigRepoStatus,
    follow: Follow,
    mirror: Mirror,
    remote: Remote,
    /// Whether the spec is the one of which the status speaks.
    is_untouched: bool,
    /// What was verified before is verified again: somebody asks, or the keys are others.
    verifies_anew: bool,
}

impl Look<'_> {
    fn names(&self) -> (String, String) {
        (self.repo.namespace().unwrap_or_default(), self.repo.name_any())
    }

    /// Asks where it is, and fetches that when it is new.
    async fn find(&self) -> Result<Found, git::Error> {
        let (namespace, name) = self.names();
        let reach = self.context.reach(&namespace, &name);
        let last = self.before.revision.as_ref().filter(|_| self.is_untouched);
        tracking::find(&self.follow, (&self.mirror, &self.remote), reach, last).await
    }

    /// What was read in an earlier life stays in use until the host answers again, or has again what it had.
    async fn fall_back(self, failure: Failure) -> Result<Outcome, Failure> {
        let is_ours = |last: &&Revision| {
            self.follow.may_be(last) && (self.repo.spec.verify.is_none() || is_trusted(self.before, last))
        };
        let last = self.before.revision.as_ref().filter(is_ours);
        let last = last.filter(|last| self.mirror.commit_info(&last.commit).is_ok()).cloned();
        let (namespace, name) = self.names();
        if let Some(revision) = last.filter(|_| self.context.ground.head(&namespace, &name).is_none()) {
            let target = self.target(&revision);
            self.set(Found { revision, target }, self.before.verification.clone()).await;
        }
        Err(failure)
    }

    /// How to fetch what was found in an earlier life.
    fn target(&self, revision: &Revision) -> Target {
        if self.follow.is_branch() { Target::from(&revision.name) } else { Target::Commit }
    }

    /// Takes what was found into use, if it is to be trusted.
    async fn take(self, found: Found) -> Result<Outcome, Failure> {
        let verification = match self.verify(&found).await {
            Ok(verification) => verification,
            Err(failure) if failure.reason == Reason::VerificationFailed => {
                self.stay(&found.revision).await;
                return Err(failure);
            }
            // The keys can't be read: what is not verified is not taken, and what was stays.
            Err(failure) => return self.fall_back(failure).await,
        };
        let revision = found.revision.clone();
        self.set(found, verification.clone()).await;
        Ok(Outcome::Grounded { revision, verification })
    }

    async fn verify(&self, found: &Found) -> Result<Option<VerificationStatus>, Failure> {
        let Some(trust) = self.trust(self.before.verification.clone()) else { return Ok(None) };
        // By its name too: a signed tag may have been copied to another one.
        let is_known = verify::is_known(trust.spec.mode, trust.last.as_ref(), &found.revision.commit)
            && self.before.revision.as_ref() == Some(&found.revision);
        if is_known && self.is_untouched && !self.verifies_anew {
            return Ok(trust.last);
        }
        let stays = self.stays(&found.revision).map(ToString::to_string);
        let (namespace, _) = self.names();
        let at = (self.context, namespace.as_str());
        trust.judge(at, found, &self.mirror, &self.remote, stays.as_deref()).await.map(Some)
    }

    fn trust(&self, last: Option<VerificationStatus>) -> Option<Trust> {
        self.repo.spec.verify.clone().map(|spec| Trust { spec, last })
    }

    /// What stays in use when something else is refused: what was verified last.
    fn stays(&self, refused: &Revision) -> Option<&Revision> {
        let last = self.before.revision.as_ref()?;
        let is_by_tag = matches!(
            self.repo.spec.verify.as_ref().map(|verify| verify.mode),
            Some(VerifyMode::Tag | VerifyMode::TagAndHead)
        );
        // One commit may have a tag that is trusted and another that is not.
        let is_other = if is_by_tag { last != refused } else { last.commit != refused.commit };
        (is_trusted(self.before, last) && is_other).then_some(last)
    }

    /// Goes on with that, or with nothing: what is not trusted must not reach a cluster by a way that nobody thought of.
    async fn stay(&self, refused: &Revision) {
        let (namespace, name) = self.names();
        let Some(last) = self.stays(refused) else { return self.context.ground.remove(&namespace, &name) };
        let target = self.target(last);
        let reach = self.context.reach(&namespace, &name);
        // After a restart on another disk the host has it, unless it was rewritten and cleaned up there.
        match self.mirror.fetch(&self.remote, &Target::Commit, &last.commit, reach).await {
            Ok(()) => self.set(Found { revision: last.clone(), target }, self.before.verification.clone()).await,
            Err(error) => {
                tracing::warn!(namespace, name, %error, "cannot read {last}, which was verified last");
                self.context.ground.remove(&namespace, &name);
            }
        }
    }

    async fn set(&self, found: Found, verification: Option<VerificationStatus>) {
        let (namespace, name) = self.names();
        let grounded = Grounded {
            is_branch: self.follow.is_branch() && self.follow.may_be(&found.revision),
            revision: found.revision.clone(),
            mirror: self.mirror.clone(),
            remote: self.remote.clone(),
            target: found.target,
            trust: self.trust(verification).map(Arc::new),
        };
        let was = self.context.ground.head(&namespace, &name).map(|was| was.revision.to_string());
        if self.context.ground.set(&namespace, &name, grounded.clone()) {
            tracing::info!(namespace, name, revision = %found.revision, was, "new head");
            rendering::wake(self.context, &namespace, &name, &grounded).await;
        }
    }
}

/// Lets webhooks in, or no longer.
async fn listen((repo, follow): (&ConfigRepo, &Follow), context: &Context, memory: &mut Remembered, now: Now) {
    let asked = repo.spec.webhook.as_ref().map(|webhook| {
        let (wakes, this) = (context.wakes.config_repos.clone(), ObjectRef::from_obj(repo));
        let wake = Arc::new(move || {
            let _ = wakes.send(this.clone());
        });
        Asked {
            sender: webhook.kind.into(),
            secret: &webhook.secret_ref,
            subject: Subject::Git { url: repo.spec.url.clone(), reference: follow.asks().unwrap_or_default() },
            audience: audience(repo),
            wake,
        }
    });
    memory.listened = Some(now.steady);
    memory.webhook_path = listening::listen(repo, asked, context, now).await.or(memory.webhook_path.take());
}

/// A person may have answered a pull request, which moves no branch.
fn wake_proposals(context: &Context, namespace: &str, repo: &str) {
    for update in context.writers(namespace, repo).filter(|update| update.spec.pull_request.is_some()) {
        let _ = context.wakes.image_updates.send(ObjectRef::from_obj(&*update));
    }
}

/// Who hears a webhook of this repository: those that stand on it.
fn audience(repo: &ConfigRepo) -> String {
    heard_by(&repo.namespace().unwrap_or_default(), &repo.name_any())
}

/// The audience of a ConfigRepo's webhooks.
pub(crate) fn heard_by(namespace: &str, repo: &str) -> String {
    format!("{namespace}/{repo} ConfigRepo")
}

async fn remote(repo: &ConfigRepo, context: &Context, namespace: &str) -> Result<Remote, Failure> {
    let url = repo.spec.url.clone();
    if url.starts_with("file:") && !context.settings.allow_file_urls {
        return Err(Failure::user(
            Reason::InvalidSpec,
            "spec.url: file:// is refused unless the controller runs with --allow-file-urls",
        ));
    }
    let is_ssh = git::is_ssh(&url);
    let (mut auth, mut way) = (Auth::None, Way::default());
    match &repo.spec.secret_ref {
        Some(secret) => {
            let data = context.cluster.secret(namespace, &secret.name).await.map_err(|error| secret_failure(&error))?;
            auth = self::auth(&data, is_ssh).await.map_err(|reason| invalid(secret, reason))?;
            way.tls = Tls::read(&data).map_err(|reason| invalid(secret, reason))?;
        }
        None if is_ssh => {
            let message = "spec.secretRef: ssh needs a Secret with the keys identity and known_hosts";
            return Err(Failure::user(Reason::InvalidSpec, message));
        }
        None => {}
    }
    if let Some(secret) = &repo.spec.proxy_secret_ref {
        if is_ssh {
            return Err(Failure::user(
                Reason::InvalidSpec,
                "spec.proxySecretRef: ssh goes through no proxy, leave it out",
            ));
        }
        let data = context.cluster.secret(namespace, &secret.name).await.map_err(|error| secret_failure(&error))?;
        way.proxy = Some(Proxy::read(&data).map_err(|reason| invalid(secret, reason))?);
    }
    Ok(Remote { url, auth, way, timeout: repo.spec.timeout.0 })
}

/// A Secret's data as a login.
///
/// # Errors
/// What is wrong with which key; never a part of its value.
pub(crate) async fn auth(data: &BTreeMap<String, Vec<u8>>, is_ssh: bool) -> Result<Auth, String> {
    if is_ssh {
        let key = login::ssh(data)?;
        return Ssh::new(key.identity, key.password, key.known_hosts).await.map(Auth::Ssh);
    }
    Ok(match login::login(data)? {
        Login::None => Auth::None,
        Login::Basic { username, password } => Auth::Basic { username, password },
        Login::Bearer(token) => Auth::Bearer(token),
        Login::App(app) => {
            let installation = Installation::new(app.installation.as_deref(), app.owner.as_deref())?;
            Auth::App(App::new(&app.id, installation, &app.key, app.api.as_deref())?)
        }
    })
}

/// What a Secret that can't be used means.
pub(crate) fn invalid(secret: &LocalRef, reason: impl std::fmt::Display) -> Failure {
    Failure::user(Reason::InvalidSecret, format!("Secret {}: {reason}", secret.name))
}

/// What a Secret that can't be read means.
pub(crate) fn secret_failure(error: &cluster::Error) -> Failure {
    match error {
        cluster::Error::NotFound(_) => Failure::user(Reason::InvalidSecret, error.to_string()),
        cluster::Error::Forbidden { .. } => {
            let hint = "the namespace's owner allows it by a RoleBinding to the ClusterRole tagboat-tenant";
            Failure::user(Reason::AccessDenied, format!("{error}; {hint}"))
        }
        _ => Failure::retry(Reason::ClusterUnavailable, error.to_string()),
    }
}

/// What a failed Git operation means for the object that wanted it.
pub(crate) fn failure(error: &git::Error, url: &str) -> Failure {
    let message = format!("{url}: {}", chain(error));
    let reason = match error {
        git::Error::Authentication { .. }
        | git::Error::AppRefused { .. }
        | git::Error::KeyRefused { .. }
        | git::Error::HostKey { .. }
        | git::Error::SessionRefused { .. } => Reason::GitAuthenticationFailed,
        git::Error::BranchNotFound { .. } => Reason::BranchNotFound,
        git::Error::RefNotFound { .. } => Reason::RefNotFound,
        git::Error::UnsupportedUrl { .. } => Reason::InvalidSpec,
        git::Error::Signing { .. } => Reason::InvalidSecret,
        // A hook or a protection may be lifted without anything that we see, so the push is tried again, ever more rarely.
        git::Error::Rejected { .. } => return Failure::retry(Reason::PushRejected, message),
        _ => Reason::GitOperationFailed,
    };
    if error.needs_user() {
        return Failure::user(reason, message);
    }
    Failure { answer: Answer::Retry { after: error.retry_after() }, reason, message }
}
