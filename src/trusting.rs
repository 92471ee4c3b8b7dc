//! Part of the GROUND, and of whoever pushes: whether a revision is signed as `spec.verify` says. In: the revision, the Secret's keys, what
//! was verified before. Out: which keys signed it, or which commit is refused, and why. The Secret is read at each look.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::api::condition::Reason;
use crate::api::config_repo::{VerificationStatus, VerifySpec};
use crate::clock;
use crate::cluster;
use crate::context::{Context, Grounded};
use crate::failure::{Failure, printable};
use crate::git::{self, Keyring, Mirror, Reach, Target};
use crate::quarantine::caught_aside;
use crate::reach::fingerprint;
use crate::revision::{CommitId, Revision};
use crate::source::verify::{self, Checks, Suspect};
use crate::source::{failure, secret_failure, signed};
use crate::tracking::Found;

/// So many commits are verified in one go.
const COMMITS_LIMIT: usize = 10_000;

/// What a ConfigRepo trusts.
#[derive(Debug, Clone)]
pub struct Trust {
    /// The spec.
    pub spec: VerifySpec,
    /// What was verified last.
    pub last: Option<VerificationStatus>,
}

/// Why a revision is not trusted, or could not be looked at.
enum Refused {
    /// It is not trusted.
    Suspect(Suspect, String),
    Git(git::Error),
}

impl From<git::Error> for Refused {
    fn from(error: git::Error) -> Self {
        Self::Git(error)
    }
}

impl Trust {
    /// Verifies a revision. `stays` is what stays in use when it is refused.
    ///
    /// # Errors
    /// It is not trusted; the Secret can't be read; those of the host when what came before must be fetched.
    pub async fn judge(
        &self,
        (context, namespace): (&Context, &str),
        found: &Found,
        mirror: &Mirror,
        remote: &git::Remote,
        stays: Option<&str>,
    ) -> Result<VerificationStatus, Failure> {
        let ring = self.ring(context, namespace).await?;
        let checks = verify::checks(self.spec.mode, self.last.as_ref());
        let commit = &found.revision.commit;
        if checks.since.as_ref().is_some_and(|last| last != commit) {
            let fetched = mirror.fetch(remote, &found.target, commit, Reach::History).await;
            fetched.map_err(|error| failure(&error, &remote.url))?;
        }
        let job = Job {
            mirror: mirror.clone(),
            ring,
            target: found.target.clone(),
            commit: commit.clone(),
            now: clock::now().wall.timestamp(),
        };
        let (mode, since) = (self.spec.mode, checks.since.clone());
        match caught_aside(move || job.run(&checks)).await? {
            Ok((key, tag_key)) => Ok(VerificationStatus { mode, commit: commit.clone(), key, tag_key }),
            Err(Refused::Git(error)) => Err(failure(&error, &remote.url)),
            Err(Refused::Suspect(suspect, flaw)) => {
                let mut words = verify::refusal(&suspect, &flaw, &self.spec.secret_ref.name, stays);
                if let (Some(last), Suspect::Commit(of, _)) = (since, &suspect)
                    && of != commit
                {
                    words = format!("{words}; {}", verify::way_on(&last));
                }
                Err(Failure::user(Reason::VerificationFailed, words))
            }
        }
    }

    async fn ring(&self, context: &Context, namespace: &str) -> Result<Arc<Keyring>, Failure> {
        let name = &self.spec.secret_ref.name;
        let data = context.cluster.secret(namespace, name).await.map_err(|error| secret_failure(&error))?;
        let read = caught_aside(move || Keyring::read(&data)).await?;
        let invalid =
            |reason| Failure::user(Reason::InvalidSecret, format!("spec.verify: Secret {namespace}/{name}: {reason}"));
        read.map(Arc::new).map_err(invalid)
    }
}

/// Tells the keys that a Secret holds from others, so that one that is taken out counts although the branch stays; none when the
/// Secret can't be read now.
pub async fn keys(context: &Context, namespace: &str, spec: &VerifySpec) -> Option<[u8; 32]> {
    let data = match context.cluster.secret(namespace, &spec.secret_ref.name).await {
        Ok(data) => data,
        Err(cluster::Error::NotFound(_)) => BTreeMap::new(),
        Err(_) => return None,
    };
    let parts: Vec<&[u8]> = data.iter().flat_map(|(key, value)| [key.as_bytes(), value]).collect();
    Some(fingerprint(b'v', &parts))
}

/// Verifies what we are about to push onto a branch that is trusted only when signed: else we would not take our own commit back.
///
/// # Errors
/// It is not signed, or by none of the keys.
pub async fn check_own(
    context: &Context,
    namespace: &str,
    grounded: &Grounded,
    commit: &CommitId,
) -> Result<(), Failure> {
    let Some(trust) = &grounded.trust else { return Ok(()) };
    let revision = Revision { name: grounded.revision.name.clone(), commit: commit.clone() };
    let found = Found { revision, target: grounded.target.clone() };
    let judged = trust.judge((context, namespace), &found, &grounded.mirror, &grounded.remote, None).await;
    let advise = |failure: Failure| match failure.reason {
        Reason::VerificationFailed => Failure {
            message: format!(
                "spec.commit.signingKey: the ConfigRepo takes only commits that are signed by a key of Secret {}: set one that is \
                 there; nothing was pushed ({})",
                trust.spec.secret_ref.name, failure.message
            ),
            ..failure
        },
        _ => failure,
    };
    judged.map(drop).map_err(advise)
}

struct Job {
    mirror: Mirror,
    ring: Arc<Keyring>,
    target: Target,
    commit: CommitId,
    now: i64,
}

impl Job {
    /// Who signed the commit and the tag, as far as they must be.
    fn run(&self, checks: &Checks) -> Result<(Option<String>, Option<String>), Refused> {
        let tag_key = if checks.tag { Some(self.tag()?) } else { None };
        if let Some(last) = checks.since.as_ref().filter(|last| **last != self.commit) {
            for commit in self.mirror.since(&self.commit, last, COMMITS_LIMIT)? {
                self.commit(&commit)?;
            }
        }
        let key = if checks.head { Some(self.commit(&self.commit)?) } else { None };
        Ok((key, tag_key))
    }

    fn commit(&self, commit: &CommitId) -> Result<String, Refused> {
        let raw = self.mirror.raw(commit)?;
        let judged = match signed::commit(&raw) {
            Ok(Some(signed)) => self.ring.signer(&signed.payload, &signed.signature, self.now),
            Ok(None) => Err("it is not signed".to_owned()),
            Err(flaw) => Err(flaw),
        };
        judged.map_err(|flaw| {
            let committer = self.mirror.commit_info(commit).map(|info| info.committer.name).unwrap_or_default();
            Refused::Suspect(Suspect::Commit(commit.clone(), printable(&committer, 100)), flaw)
        })
    }

    fn tag(&self) -> Result<String, Refused> {
        let Target::Ref { name, object } = &self.target else {
            let suspect = Suspect::Tag("of a branch".to_owned());
            return Err(Refused::Suspect(suspect, "what spec.ref follows is no tag".to_owned()));
        };
        let short = name.strip_prefix("refs/tags/").unwrap_or(name);
        let refuse = |flaw: String| Refused::Suspect(Suspect::Tag(printable(short, 200)), flaw);
        if *object == self.commit {
            return Err(refuse("it is not annotated, so that it cannot be signed".to_owned()));
        }
        let tag = signed::tag(&self.mirror.raw(object)?).map_err(refuse)?;
        if tag.object != self.commit.as_str() {
            return Err(refuse("it is put on another tag, and not on a commit".to_owned()));
        }
        // Else an old tag would do under a new name.
        if tag.name != short {
            return Err(refuse(format!("it was made under another name, {:?}", printable(&tag.name, 100))));
        }
        let Some(signed) = tag.signed else { return Err(refuse("it is not signed".to_owned())) };
        self.ring.signer(&signed.payload, &signed.signature, self.now).map_err(refuse)
    }
}
