//! Part of LOOP 1a: one look at a registry. In: a policy, a login, and what was seen before. Out: what was judged, from a whole
//! list that is believed. It fetches what the pure steps want to know, and nothing else.

use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};

use crate::api::ImagePolicyStatus;
use crate::api::condition::{Reason, ready};
use crate::api::image_policy::DigestReflectionPolicy;
use crate::authenticating::Login;
use crate::clock::Now;
use crate::context::Context;
use crate::failure::{Answer, Failure, chain};
use crate::image::TagList;
use crate::inquiring::{self, Signers};
use crate::registry::{self, Tags};
use crate::watch::decide;
use crate::watch::guard::Believed;
use crate::watch::judge::{self, Facts, Judgement, Question, Step};
use crate::watch::policy::{Policy, Ranking};
use crate::watch::status::{self, Judged, Outcome, Scan};

/// How long one scan may take, all pages together.
const SCAN_TIMEOUT: Duration = Duration::from_secs(60);

/// What was seen of a registry before. All of it can be lost.
#[derive(Clone, Default)]
pub struct Seen {
    /// When a gate opens.
    pub opens: Option<DateTime<Utc>>,
    /// When the list was begun that was looked at last, whoever read it.
    pub begun: Option<Instant>,
    /// The list that was believed last.
    believed: Believed,
    /// Who signed what.
    signers: Signers,
    /// The list and the generation that were judged last, when nothing was left to find out.
    settled: Option<([u8; 32], i64)>,
}

impl Seen {
    /// Forgets who signed what: other keys may be trusted now.
    pub fn distrust(&mut self) {
        self.signers.clear();
    }
}

/// What can go wrong while a registry is looked at.
pub enum Problem {
    /// The registry can't be asked, refuses, or answers badly.
    Registry(registry::Error),
    /// The policy asks for what can't be had.
    Policy(Failure),
}

impl Problem {
    /// Whether the registry refused the credential.
    pub fn is_refusal(&self) -> bool {
        matches!(self, Self::Registry(registry::Error::Authentication { .. }))
    }

    /// Whether another credential may help: what is private may look as if it weren't there.
    pub fn is_about_credentials(&self) -> bool {
        self.is_refusal() || matches!(self, Self::Registry(registry::Error::NotFound { .. }))
    }
}

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Self {
        match problem {
            Problem::Policy(failure) => failure,
            Problem::Registry(error @ registry::Error::Authentication { .. }) => {
                Self::user(Reason::RegistryAuthenticationFailed, chain(&error))
            }
            Problem::Registry(error) => {
                let answer = Answer::Retry { after: error.retry_after() };
                Self { answer, reason: Reason::ScanFailed, message: chain(&error) }
            }
        }
    }
}

impl From<registry::Error> for Problem {
    fn from(error: registry::Error) -> Self {
        Self::Registry(error)
    }
}

/// One look at a registry.
pub struct Look<'l> {
    /// The policy.
    pub policy: &'l Policy,
    /// Everything that a flow may use.
    pub context: &'l Context,
    /// The status of before.
    pub before: &'l ImagePolicyStatus,
    /// The time.
    pub now: Now,
    /// How old a list may be that somebody else has read.
    pub within: Duration,
    /// Whether a person asked for this look, which confirms what was seen before.
    pub is_confirmed: bool,
    /// The object's generation when it is the same as before and nobody asked.
    pub generation: Option<i64>,
}

impl Look<'_> {
    /// Looks with this login.
    ///
    /// # Errors
    /// See [`Problem`].
    pub async fn at(&self, login: &Login, seen: &mut Seen) -> Result<Outcome, Problem> {
        // Of a tag that is followed, only what it points at is of interest.
        if let Ranking::DigestOf(tag) = &self.policy.ranking {
            let list = TagList::from_iter([tag.clone()]);
            return self.judge(&list, None, login, seen).await;
        }
        let tags = self.context.registry.tags(&login.access, self.within, SCAN_TIMEOUT).await?;
        seen.begun = Some(tags.begun);
        let scan = self.scan(tags.tags.len(), tags.skipped, &tags.fingerprint);
        if self.is_settled(&tags, &scan, seen) {
            return Ok(Outcome::NotDue);
        }
        let known = self.before.last_scan.as_ref().filter(|known| known.image == scan.image);
        let (steady, interval) = (self.now.steady, self.policy.interval);
        let believed =
            seen.believed.check(&tags.tags, known.map(|known| known.tags), (steady, interval), self.is_confirmed);
        if let Err(reason) = believed {
            seen.settled = None;
            return Ok(Outcome::NotBelieved(reason));
        }
        let outcome = self.judge(&tags.tags, Some(scan), login, seen).await?;
        seen.settled =
            self.generation.filter(|_| seen.opens.is_none()).map(|generation| (tags.fingerprint, generation));
        Ok(outcome)
    }

    /// Whether the list is the one that was judged last, and no answer of the registry can have changed since.
    fn is_settled(&self, tags: &Tags, scan: &Scan, seen: &Seen) -> bool {
        let policy = self.policy;
        let rests_on_the_list = policy.ranking.is_of_the_tag() && policy.reflection != DigestReflectionPolicy::Always;
        let passed_all = self.before.verdicts.iter().all(|verdict| !decide::is_stop(verdict));
        let is_told = self.before.last_scan.as_ref().is_some_and(|last| last.revision == scan.revision)
            && ready(&self.before.conditions).is_some_and(|ready| ready.reason == Reason::Succeeded.as_str());
        rests_on_the_list
            && passed_all
            && is_told
            && self.generation.is_some_and(|generation| seen.settled == Some((tags.fingerprint, generation)))
    }

    async fn judge(
        &self,
        list: &TagList,
        scan: Option<Scan>,
        login: &Login,
        seen: &mut Seen,
    ) -> Result<Outcome, Problem> {
        let by_build = self.by_build(list, login).await?;
        let policy = by_build.as_ref().unwrap_or(self.policy);
        let current = self.before.latest_ref.as_ref().filter(|latest| latest.name == policy.image.as_str());
        let candidates = decide::candidates(policy, current.map(|current| &current.tag), list);
        let question = Question {
            policy,
            candidates: &candidates.newer,
            current: current.filter(|_| candidates.current_stands),
            is_listed: candidates.is_listed,
            seen: &self.before.verdicts,
            now: self.now.wall,
        };
        let judgement = self.ask(&question, login, &mut seen.signers).await?;
        seen.opens = judgement.opens;
        let scan = scan.unwrap_or_else(|| {
            let points_at = judgement.chosen.as_ref().and_then(|(_, digest)| digest.as_ref());
            self.scan(1, 0, points_at.map_or(b"".as_slice(), |digest| digest.as_str().as_bytes()))
        });
        let chosen = judgement.chosen.as_ref().map(|(tag, _)| tag);
        let verdicts = decide::nearest(policy, &judgement, list);
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
    async fn ask(&self, question: &Question<'_>, login: &Login, signers: &mut Signers) -> Result<Judgement, Problem> {
        let mut facts = Facts::default();
        loop {
            match judge::judge(question, &facts) {
                Step::Done(judgement) => return Ok(judgement),
                Step::Ask(needs) => {
                    inquiring::find_out(needs, &mut facts, login, signers, &self.context.registry, self.now.wall)
                        .await?;
                }
            }
        }
    }
}
