//! The host's side of a proposal: who we are to its API, what it lists, and what is asked of it. In: the spec, the ConfigRepo's
//! login. Out: requests as plain data, failures with words. Keeps the login until the host refuses it.

use kube::ResourceExt;
use kube::runtime::reflector::ObjectRef;

use crate::api::ImageUpdate;
use crate::api::condition::Reason;
use crate::api::image_update::{PullRequestSpec, PullRequestState, PullRequestStatus};
use crate::api::reference::LocalRef;
use crate::context::{Context, Grounded, requested_at};
use crate::failure::{Failure, chain};
use crate::forge::{self, Forge, Login, Wanted};
use crate::git::{self, Auth, Remote};
use crate::pull_request::PullRequest;
use crate::reach::Tls;
use crate::source::{auth, failure, invalid, secret_failure};
use crate::update::proposal::text;

/// A login that works, of which Secret it is, and whom it was made for: the object's generation and who asked last.
pub(super) type Kept = Option<(MadeFor, Auth, Option<Tls>)>;
type MadeFor = (LocalRef, Option<i64>, Option<String>);

/// A repository's pull requests from one branch to another.
pub struct Host {
    forge: Forge,
    /// The newest first.
    pub(super) seen: Vec<PullRequest>,
    /// Whether it is not what was listed before.
    pub is_news: bool,
}

impl Host {
    /// Asks for the newest requests from the first branch to the second.
    pub(super) async fn ask(
        spec: &PullRequestSpec,
        (source, target): (&str, &str),
        most: usize,
        kept: &mut Kept,
        (update, context, grounded): (&ImageUpdate, &Context, &Grounded),
    ) -> Result<Self, Failure> {
        let remote = remote(spec, kept, (update, context, grounded)).await?;
        let login = match &remote.auth {
            Auth::Basic { username, password } => {
                Login::Basic { username: username.clone(), password: password.clone() }
            }
            Auth::Bearer(token) => Login::Token(token.clone()),
            Auth::App(_) => {
                let token = remote.app_token().await.map_err(|error| failure(&error, &remote.url))?;
                token.map_or(Login::None, Login::Token)
            }
            Auth::None | Auth::Ssh(_) => Login::None,
        };
        let forge = Forge::new(spec.provider, &remote.url, spec.api_url.as_deref(), login, &remote.way, remote.timeout);
        let forge = forge.map_err(|error| Failure::user(Reason::InvalidSpec, format!("spec.pullRequest: {error}")))?;
        let seen = forge.requests(source, target, most).await.map_err(|error| failed(&error))?;
        Ok(Self { forge, seen, is_news: true })
    }

    /// Opens a request, or brings the one at this place up to date. What is known of it then, and what went wrong.
    pub(super) async fn bring_up(
        &self,
        open: Option<usize>,
        wanted: &Wanted<'_>,
    ) -> (Option<PullRequestStatus>, Option<Failure>) {
        let known = open.and_then(|at| self.seen.get(at));
        let request = match known {
            Some(request) => request.clone(),
            None => match self.forge.open(wanted).await {
                Ok(request) => {
                    tracing::info!(number = request.number, url = request.url, "opened a pull request");
                    request
                }
                Err(error) => return (None, Some(failed(&error))),
            },
        };
        let updated = self.forge.update(&request, wanted).await;
        let status = PullRequestStatus { number: request.number, url: request.url, state: PullRequestState::Open };
        (Some(status), updated.err().map(|error| failed(&error)))
    }

    /// Closes a request that has become pointless. Its trailers are taken away before, so that nobody takes it for a person's no.
    pub(super) async fn close(&self, at: usize, (source, target): (&str, &str), farewell: &str) -> Result<(), Failure> {
        let Some(request) = self.seen.get(at) else { return Ok(()) };
        let body = text::without_record(&request.body);
        let wanted = Wanted { source, target, title: &request.title, body: &body, labels: &[], auto_merge: None };
        self.forge.update(request, &wanted).await.map_err(|error| failed(&error))?;
        self.forge.close(request, farewell).await.map_err(|error| failed(&error))?;
        tracing::info!(number = request.number, url = request.url, "closed a pull request that became pointless");
        Ok(())
    }
}

/// The repository with the login for its API.
async fn remote(
    spec: &PullRequestSpec,
    kept: &mut Kept,
    (update, context, grounded): (&ImageUpdate, &Context, &Grounded),
) -> Result<Remote, Failure> {
    let mut remote = grounded.remote.clone();
    let namespace = update.namespace().unwrap_or_default();
    let repo = ObjectRef::new(&update.spec.config_repo_ref.name).within(&namespace);
    let repo = context.stores.config_repos.get(&repo);
    let of_repo = || repo.filter(|repo| !git::is_ssh(&repo.spec.url))?.spec.secret_ref.clone();
    let Some(secret) = spec.secret_ref.clone().or_else(of_repo) else {
        return Err(Failure::user(
            Reason::InvalidSpec,
            "spec.pullRequest.secretRef: the ConfigRepo has no secret that the host's api takes, name one with token, or username \
             and password",
        ));
    };
    let made_for = (secret.clone(), update.metadata.generation, requested_at(update));
    if kept.as_ref().is_none_or(|(known, ..)| *known != made_for) {
        *kept = None;
        let data = context.cluster.secret(&namespace, &secret.name).await.map_err(|error| secret_failure(&error))?;
        let tls = Tls::read(&data).map_err(|reason| invalid(&secret, reason))?;
        let auth = match data.get("token") {
            Some(token) => std::str::from_utf8(token)
                .map(|token| Auth::Bearer(token.trim().to_owned()))
                .map_err(|_| invalid(&secret, "the value of token is not UTF-8"))?,
            None => auth(&data, false).await.map_err(|reason| invalid(&secret, reason))?,
        };
        *kept = Some((made_for, auth, tls));
    }
    if let Some((_, auth, tls)) = kept {
        remote.auth = auth.clone();
        remote.way.tls = tls.clone().or(remote.way.tls);
    }
    Ok(remote)
}

/// What a failed call to the host's API means.
fn failed(error: &forge::Error) -> Failure {
    Failure {
        answer: error.answer(),
        reason: Reason::PullRequestFailed,
        message: format!("spec.pullRequest: {}", chain(error)),
    }
}
