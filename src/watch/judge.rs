//! The gates: which candidate may be taken now. Candidates, the choice of before and the facts known so far come in; out comes
//! what must be found out next, or the judgement with a reason for every tag that was looked at.
//!
//! It is asked again with every fact that was found, so that only those are fetched that decide. A candidate that a gate stops
//! passes the choice on to the next best one; a choice of before stands until one that is newer passes.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};

use super::policy::Policy;
use crate::api::image_policy::{DigestReflectionPolicy as Reflection, ImageRef, TagVerdict};
use crate::image::{Digest, Platform, Tag};
use crate::window;

/// How many candidates wait for their age at once; others wait for their turn, so that a flood of tags can't fill the status.
const TRACKED: usize = 32;
/// How many candidates of one run are looked at closer than by the age of their tag.
const LOOKED_AT: usize = 16;
/// How many verdicts of candidates that were stopped go into the status, besides those that wait for their age.
const TOLD: usize = 16;
/// The rules by which a gate stops a tag, in the order in which they are asked.
pub const GATES: [&str; 5] = ["minAge", "windows", "manifest", "platforms", "verify"];
/// The verdict on a tag that a gate stops for now.
pub const WAITING: &str = "waiting";
/// The verdict on a tag that a gate stops for good.
const REFUSED: &str = "refused";

/// What is to be judged.
#[derive(Debug, Clone, Copy)]
pub struct Question<'q> {
    /// The policy.
    pub policy: &'q Policy,
    /// Tags that are newer than the choice of before, newest first.
    pub candidates: &'q [Tag],
    /// The choice of before, if it is of the same image.
    pub current: Option<&'q ImageRef>,
    /// Whether the choice of before is still listed.
    pub is_listed: bool,
    /// The verdicts of before: when which tag was first seen.
    pub seen: &'q [TagVerdict],
    /// The time.
    pub now: DateTime<Utc>,
}

/// What the registry said so far.
#[derive(Debug, Clone, Default)]
pub struct Facts {
    /// What tags point at; nothing when their manifest is missing.
    pub digests: BTreeMap<Tag, Option<Digest>>,
    /// What was built.
    pub platforms: BTreeMap<Digest, Vec<Platform>>,
    /// Who signed it, or why no signature counts.
    pub signers: BTreeMap<Digest, Result<String, String>>,
}

/// What must be found out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Need {
    /// What a tag points at.
    Digest(Tag),
    /// What it was built for.
    Platforms(Digest),
    /// Who signed it.
    Signer(Digest),
}

/// What comes next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Find this out and ask again.
    Ask(Vec<Need>),
    /// It is decided.
    Done(Judgement),
}

/// Which tag is taken, and what became of the newer ones.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judgement {
    /// The tag and the digest to write; nothing when none may run yet.
    pub chosen: Option<(Tag, Option<Digest>)>,
    /// The tags that were stopped by a gate, newest first.
    pub stopped: Vec<TagVerdict>,
    /// When the first gate opens.
    pub opens: Option<DateTime<Utc>>,
}

/// Judges as far as the facts go.
pub fn judge(question: &Question<'_>, facts: &Facts) -> Step {
    let mut bench = Bench::new(question, facts);
    for tag in question.candidates {
        match bench.examine(tag) {
            Examined::Passed(digest) => return bench.conclude(Some((tag.clone(), digest))),
            Examined::Unknown => return Step::Ask(bench.needs),
            Examined::Stopped => {}
        }
        if bench.looked_at == LOOKED_AT {
            break;
        }
    }
    match question.current {
        None => bench.conclude(None),
        Some(current) => {
            let digest = bench.keep(current);
            bench.conclude(Some((current.tag.clone(), digest)))
        }
    }
}

enum Examined {
    Passed(Option<Digest>),
    Stopped,
    /// A fact is missing that decides.
    Unknown,
}

/// Why a gate stops a tag.
struct Stop {
    verdict: &'static str,
    rule: &'static str,
    reason: String,
    until: Option<DateTime<Utc>>,
    first_seen: Option<DateTime<Utc>>,
    digest: Option<Digest>,
}

/// What a gate says.
enum Gate {
    Open,
    Closed(Stop),
    Unknown(Need),
}

struct Bench<'q> {
    question: &'q Question<'q>,
    facts: &'q Facts,
    needs: Vec<Need>,
    stopped: Vec<TagVerdict>,
    tracked: usize,
    looked_at: usize,
    told: usize,
    window_opens: Option<DateTime<Utc>>,
}

impl<'q> Bench<'q> {
    fn new(question: &'q Question<'q>, facts: &'q Facts) -> Self {
        let is_remembered = |seen: &TagVerdict| seen.verdict == WAITING && seen.first_seen.is_some();
        let waits = |tag: &&Tag| question.seen.iter().any(|seen| seen.tag == **tag && is_remembered(seen));
        Self {
            question,
            facts,
            needs: Vec::new(),
            stopped: Vec::new(),
            tracked: question.candidates.iter().filter(waits).count(),
            looked_at: 0,
            told: 0,
            window_opens: window::opens(&question.policy.gates.windows, question.now),
        }
    }

    fn conclude(self, chosen: Option<(Tag, Option<Digest>)>) -> Step {
        if !self.needs.is_empty() {
            return Step::Ask(self.needs);
        }
        let opens = self.stopped.iter().filter_map(|verdict| verdict.until).min();
        Step::Done(Judgement { chosen, stopped: self.stopped, opens })
    }

    /// Asks the gates of a candidate, the cheap ones first.
    fn examine(&mut self, tag: &Tag) -> Examined {
        match self.age(tag, None) {
            Gate::Open => {}
            Gate::Closed(stop) => {
                self.tracked += usize::from(stop.first_seen.is_some() && self.question.first_seen(tag).is_none());
                return self.stop(tag, stop);
            }
            // The others are asked for at the same time: all of them start to wait now.
            Gate::Unknown(need) => {
                self.needs.push(need);
                return Examined::Stopped;
            }
        }
        if let Some(until) = self.window_opens {
            return self.stop(tag, waiting_for_window(until));
        }
        self.looked_at += 1;
        let digest = match self.facts.digests.get(tag) {
            None => return self.ask(Need::Digest(tag.clone())),
            Some(None) => return self.stop(tag, missing()),
            Some(Some(digest)) => digest,
        };
        match self.content(digest) {
            Gate::Open => {
                Examined::Passed((self.question.policy.reflection != Reflection::Never).then(|| digest.clone()))
            }
            Gate::Closed(stop) => self.stop(tag, stop),
            Gate::Unknown(need) => self.ask(need),
        }
    }

    /// The digest with which the choice of before is kept: its own, the one that it lacked, or the one that its tag moved to.
    fn keep(&mut self, current: &ImageRef) -> Option<Digest> {
        let reflection = self.question.policy.reflection;
        if reflection == Reflection::Never {
            return None;
        }
        let is_settled = reflection == Reflection::IfNotPresent && current.digest.is_some();
        if is_settled || !self.question.is_listed {
            return current.digest.clone();
        }
        let digest = match self.facts.digests.get(&current.tag) {
            None => {
                self.needs.push(Need::Digest(current.tag.clone()));
                return None;
            }
            // Its manifest is gone: what runs stays.
            Some(None) => return current.digest.clone(),
            Some(Some(digest)) if Some(digest) == current.digest.as_ref() => return Some(digest.clone()),
            Some(Some(digest)) => digest,
        };
        // The same tag with another digest is as new as another tag.
        let has_moved = current.digest.is_some();
        let gate = match self.age(&current.tag, Some(digest)) {
            Gate::Closed(stop) if has_moved => Gate::Closed(stop),
            Gate::Unknown(need) => Gate::Unknown(need),
            _ => match self.window_opens.filter(|_| has_moved) {
                Some(until) => Gate::Closed(waiting_for_window(until)),
                None => self.content(digest),
            },
        };
        match gate {
            Gate::Open => return Some(digest.clone()),
            Gate::Closed(stop) => {
                self.stop(&current.tag, Stop { digest: Some(digest.clone()), ..stop });
            }
            Gate::Unknown(need) => self.needs.push(need),
        }
        current.digest.clone()
    }

    /// `gates.minAge`. The digest is looked at when a tag is first seen and when it is old enough, not in between; `moved_to`
    /// is it when it is known already.
    fn age(&self, tag: &Tag, moved_to: Option<&Digest>) -> Gate {
        let Question { policy, now, .. } = *self.question;
        let Some(age) = policy.gates.min_age.and_then(|age| TimeDelta::from_std(age).ok()) else { return Gate::Open };
        let waiting = |first_seen: DateTime<Utc>, digest: &Digest| {
            let until = later(first_seen, age);
            let span = crate::api::duration::Span(age.to_std().unwrap_or_default());
            Gate::Closed(Stop {
                verdict: WAITING,
                rule: "minAge",
                reason: format!("first seen with this digest at {first_seen:?}; it may run {span} later, at {until:?}"),
                until: Some(until),
                first_seen: Some(first_seen),
                digest: Some(digest.clone()),
            })
        };
        let seen = self.question.first_seen(tag);
        if let Some((first_seen, digest)) = seen
            && now < later(first_seen, age)
            && moved_to.is_none_or(|moved_to| moved_to == digest)
        {
            return waiting(first_seen, digest);
        }
        match (moved_to.map(Some).or_else(|| self.facts.digests.get(tag).map(Option::as_ref)), seen) {
            (None, None) if self.tracked + self.needs.len() >= TRACKED => Gate::Closed(Stop {
                verdict: WAITING,
                rule: "minAge",
                reason: format!("{TRACKED} other tags wait already: its own wait begins when one of them may run"),
                until: None,
                first_seen: None,
                digest: None,
            }),
            (None, _) => Gate::Unknown(Need::Digest(tag.clone())),
            (Some(None), _) => Gate::Closed(missing()),
            (Some(Some(digest)), Some((_, known))) if digest == known => Gate::Open,
            (Some(Some(digest)), _) => waiting(now, digest),
        }
    }

    /// The gates that look at what was built: `platforms` and `gates.verify`.
    fn content(&self, digest: &Digest) -> Gate {
        let policy = self.question.policy;
        if !policy.platforms.is_empty() {
            let Some(built) = self.facts.platforms.get(digest) else {
                return Gate::Unknown(Need::Platforms(digest.clone()));
            };
            let lacks = |wanted: &&Platform| !built.iter().any(|platform| platform.runs_on(wanted));
            if let Some(lacking) = policy.platforms.iter().find(lacks) {
                let built: Vec<String> = built.iter().take(8).map(ToString::to_string).collect();
                return Gate::Closed(refused(
                    "platforms",
                    format!("it is not built for {lacking}, only for {}", built.join(", ")),
                    digest,
                ));
            }
        }
        if policy.gates.verify {
            return match self.facts.signers.get(digest) {
                None => Gate::Unknown(Need::Signer(digest.clone())),
                Some(Ok(_)) => Gate::Open,
                Some(Err(reason)) => Gate::Closed(refused("verify", reason.clone(), digest)),
            };
        }
        Gate::Open
    }

    fn ask(&mut self, need: Need) -> Examined {
        self.needs.push(need);
        Examined::Unknown
    }

    fn stop(&mut self, tag: &Tag, stop: Stop) -> Examined {
        let Stop { verdict, rule, reason, until, first_seen, digest } = stop;
        // What stops it now does not make it younger.
        let seen = self.question.policy.gates.min_age.and_then(|_| self.question.first_seen(tag));
        let first_seen = first_seen.or(seen.map(|(first_seen, _)| first_seen));
        let digest = digest.or_else(|| seen.map(|(_, digest)| digest.clone()));
        // Those whose age is counted are remembered here; of the others a few are enough.
        let is_remembered = verdict == WAITING && first_seen.is_some();
        if is_remembered || self.told < TOLD {
            self.told += usize::from(!is_remembered);
            let (tag, verdict, rule) = (tag.clone(), verdict.to_owned(), rule.to_owned());
            self.stopped.push(TagVerdict { tag, verdict, rule, reason, digest, first_seen, until });
        }
        Examined::Stopped
    }
}

impl Question<'_> {
    fn first_seen(&self, tag: &Tag) -> Option<(DateTime<Utc>, &Digest)> {
        let seen = self.seen.iter().find(|seen| seen.tag == *tag)?;
        // What a clock that ran ahead wrote down is not in the future for ever.
        seen.first_seen.map(|first_seen| first_seen.min(self.now)).zip(seen.digest.as_ref())
    }
}

/// A time of a status may be any, and an age may be a century.
fn later(time: DateTime<Utc>, age: TimeDelta) -> DateTime<Utc> {
    time.checked_add_signed(age).unwrap_or(DateTime::<Utc>::MAX_UTC)
}

fn waiting_for_window(until: DateTime<Utc>) -> Stop {
    Stop {
        verdict: WAITING,
        rule: "windows",
        reason: format!("no window is open; the next one opens at {until:?}"),
        until: Some(until),
        first_seen: None,
        digest: None,
    }
}

fn missing() -> Stop {
    let reason = "it is listed, but the registry has no manifest of it".to_owned();
    Stop { verdict: REFUSED, rule: "manifest", reason, until: None, first_seen: None, digest: None }
}

fn refused(rule: &'static str, reason: String, digest: &Digest) -> Stop {
    Stop { verdict: REFUSED, rule, reason, until: None, first_seen: None, digest: Some(digest.clone()) }
}

#[cfg(test)]
mod tests;
