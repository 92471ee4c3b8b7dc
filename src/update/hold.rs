//! A value that a policy wants to write × what Git says of its past → whether a person decided against it: who, when, how.
//! Git's history is the only truth; a status only adds what a rewritten branch has lost.

use chrono::{DateTime, Utc};

use super::edit::Field;
use super::edit::values::Place;
use super::proposal::Refused;
use super::proposal::said::Said;
use super::trailers::Recorded;
use crate::api::image_policy::OnRevert;
use crate::api::image_update::{ChangeStatus, HoldStatus};
use crate::failure::printable;
use crate::image::Image;
use crate::revision::CommitId;

pub mod release;

/// How the reason of a hold begins that is not a person's doing: another writer wants the same value to be another one.
const RIVALS: &str = "two writers: ";
/// After so many steps back and forth between two values, all of them by robots, nobody is to take the next.
const ROUNDS: usize = 3;
/// How much of a commit's subject and of a name is shown.
const SHOWN: usize = 100;

/// A value that differs from what its policy chose.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// The file, from the repository's root.
    pub file: String,
    /// The value's line.
    pub line: u32,
    /// Which of the file's values it is.
    pub place: Place,
    /// The value at the head.
    pub now: String,
    /// The value that the policy wants.
    pub choice: String,
    /// What the policy says about values that a person took back.
    pub on_revert: OnRevert,
    /// Whether the policy orders the value at the head as newer than its choice.
    pub is_newer: bool,
}

/// A commit, as far as blame goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cause {
    /// Who.
    pub by: String,
    /// When.
    pub at: DateTime<Utc>,
    /// The commit.
    pub commit: CommitId,
    /// The first line of its message.
    pub subject: String,
}

/// A commit that changed the file, and the value at each of its parents: nothing where there was none.
#[derive(Debug, Clone)]
pub struct Seen<'a> {
    /// The commit.
    pub cause: Cause,
    /// What its trailers say.
    pub recorded: &'a [Recorded],
    /// The value at each parent, the branch's own first.
    pub before: &'a [Option<String>],
    /// Of a merge, the value at each merge base of its parents; empty for others, and where that is not known.
    pub bases: &'a [Option<String>],
}

impl Seen<'_> {
    /// Whether a merge left out what one of its parents had made of the value, as `git merge` by itself never does.
    fn drops(&self, value: &str) -> bool {
        let is_it = |other: &Option<String>| other.as_deref() == Some(value);
        !self.bases.is_empty() && self.before.iter().any(is_it) && !self.bases.iter().any(is_it)
    }
}

/// A look at a value's past, from the head back.
#[derive(Debug, Clone)]
pub struct Search<'a> {
    asked: &'a Asked,
    /// What we wrote last, as the status remembers it.
    wrote: Option<&'a str>,
    /// The value below the commits that were seen.
    value: String,
    /// The commit after which the value was there again, when it wasn't for a while.
    gap: Option<Cause>,
    /// Who made the value at the head.
    mover: Option<Cause>,
    /// The value from which a person made it.
    from: Option<String>,
    /// The commits of tagboat that went back and forth between the choice and the value at the head.
    rounds: Vec<Cause>,
    /// Whether a step of ours was reached.
    is_answered: bool,
    held: Option<HoldStatus>,
}

impl<'a> Search<'a> {
    /// Begins at the head. `changes` are what the status says that we wrote last.
    pub fn new(asked: &'a Asked, changes: &'a [ChangeStatus]) -> Self {
        let wrote = changes.iter().find(|change| asked.is_of(change)).map(|change| change.new.as_str());
        Self {
            asked,
            wrote,
            value: asked.now.clone(),
            gap: None,
            mover: None,
            from: None,
            rounds: Vec::new(),
            is_answered: false,
            held: None,
        }
    }

    /// Looks at the next older commit that changed the file. Returns the parent to go on with; nothing when all is known.
    ///
    /// A merge that has the value of one of its parents changed nothing, unless it dropped the choice that the other one had made
    /// of it: as by `git merge -s ours`, or of two sides of a conflict. Of a step from one value to another:
    /// - one of ours ends the search: what lies below it we have answered. But one away from the choice may be that of another
    ///   tagboat, whose policy has this one's name: when it goes back and forth, nobody writes;
    /// - a person's step away from the choice holds it, whoever had written that;
    /// - a person's step away from what we wrote may hold by [`OnRevert::Hold`], or as a step forward; where we wrote nothing, a
    ///   step forward holds too.
    pub fn see(&mut self, seen: &Seen<'_>) -> Option<usize> {
        let Asked { choice, .. } = self.asked;
        if self.gap.is_none() && self.rounds.is_empty() && seen.drops(choice) {
            let how = format!("moved from {} to {} in a merge", shown(choice), shown(&self.value));
            self.held = Some(self.asked.held(&seen.cause, how));
            return None;
        }
        let same = seen.before.iter().position(|before| before.as_ref() == Some(&self.value));
        if same.is_some() {
            self.gap = None;
            return same;
        }
        let Some((side, before)) = seen.before.iter().enumerate().find_map(|(side, b)| Some((side, b.as_ref()?)))
        else {
            self.gap.get_or_insert_with(|| seen.cause.clone());
            return Some(0);
        };
        let is_ours = self.gap.is_none() && seen.recorded.iter().any(|recorded| self.is_in(recorded));
        if is_ours && self.goes_on_and_on(&seen.cause, before) {
            return if self.held.is_none() { Some(side) } else { None };
        }
        if is_ours {
            self.reach_ours(&self.value.clone());
        }
        if is_ours || !self.rounds.is_empty() {
            return None;
        }
        let cause = self.gap.take().unwrap_or_else(|| seen.cause.clone());
        if *before == self.asked.choice {
            let how = format!("moved from {} to {}", shown(before), shown(&self.value));
            let rival = seen.recorded.iter().find(|recorded| self.is_of_another(recorded));
            let how = match rival {
                None => how,
                Some(rival) => {
                    format!("{RIVALS}policy {} writes this value too, {how}", printable(&rival.policy, SHOWN))
                }
            };
            self.held = Some(self.asked.held(&cause, how));
            return None;
        }
        if self.mover.is_none() {
            let is_person = !seen.recorded.iter().any(|recorded| self.is_of_another(recorded));
            self.from = is_person.then(|| before.clone());
            self.mover = Some(cause);
        }
        if self.wrote == Some(before) {
            self.reach_ours(before);
            return None;
        }
        self.value.clone_from(before);
        Some(side)
    }

    /// What was found: why the choice is not written, if it isn't. `is_newer` says whether the policy orders a value as newer than
    /// the one at the head.
    ///
    /// Where nothing of ours was found, a person's last step holds if it was one forward, to a value that is newer than the choice.
    /// A value that was there from the beginning is nobody's step.
    pub fn held(self, is_newer: &dyn Fn(&str) -> bool) -> Option<HoldStatus> {
        let Self { asked, wrote, held, mover, from, is_answered, .. } = self;
        let is_open = held.is_none() && !is_answered && asked.is_newer;
        match mover.zip(from).filter(|_| is_open) {
            // What a squash without trailers brought in is ours as well.
            Some((mover, from)) if wrote != Some(&asked.now) && !is_newer(&from) => Some(asked.forward(&mover)),
            _ => held,
        }
    }

    fn is_in(&self, recorded: &Recorded) -> bool {
        let Asked { file, place: Place { policy, field, .. }, .. } = self.asked;
        recorded.file == *file
            && recorded.policy == *policy
            && recorded.field == field.to_string()
            && recorded.new == self.value
    }

    /// Whether a trailer tells of another policy that wrote the value as it was then.
    fn is_of_another(&self, recorded: &Recorded) -> bool {
        let Asked { file, place: Place { policy, field, .. }, .. } = self.asked;
        recorded.file == *file
            && recorded.policy != *policy
            && recorded.field == field.to_string()
            && recorded.new == self.value
    }

    /// Takes one more step between the choice and the value at the head, if that is what all steps so far were. The third one holds.
    fn goes_on_and_on(&mut self, cause: &Cause, before: &str) -> bool {
        let Asked { now, choice, .. } = self.asked;
        let (from, to) = if self.rounds.len().is_multiple_of(2) { (choice, now) } else { (now, choice) };
        if self.mover.is_some() || before != from || self.value != *to {
            return false;
        }
        self.rounds.push(cause.clone());
        before.clone_into(&mut self.value);
        if let (ROUNDS, Some(last)) = (self.rounds.len(), self.rounds.first()) {
            let commits: Vec<String> = self.rounds.iter().map(|round| round.commit.short().to_owned()).collect();
            let how = format!(
                "{RIVALS}another tagboat with a policy of this name goes back and forth between {} and {} ({}), last",
                shown(choice),
                shown(now),
                commits.join(", ")
            );
            self.held = Some(self.asked.held(last, how));
        }
        true
    }

    /// We wrote `value`; all steps since were a person's.
    fn reach_ours(&mut self, value: &str) {
        self.is_answered = true;
        let Some(mover) = &self.mover else { return };
        let now = &self.asked.now;
        if self.asked.on_revert == OnRevert::Hold {
            self.held = Some(
                self.asked.held(mover, format!("moved from {} to {}, and onRevert is Hold,", shown(value), shown(now))),
            );
        } else if self.asked.is_newer {
            self.held = Some(self.asked.forward(mover));
        }
    }
}

/// Whether a hold is no person's decision, but that of another writer: a problem that somebody has to solve.
pub fn is_rivalry(hold: &HoldStatus) -> bool {
    hold.reason.starts_with(RIVALS)
}

/// A value for people.
fn shown(value: &str) -> &str {
    if value.is_empty() { "nothing" } else { value }
}

impl Asked {
    fn is_of(&self, change: &ChangeStatus) -> bool {
        let Place { policy, field, .. } = &self.place;
        change.file == self.file && change.policy == *policy && change.field == field.to_string()
    }

    fn forward(&self, cause: &Cause) -> HoldStatus {
        self.held(cause, format!("moved forward to {}", self.now))
    }

    fn held(&self, cause: &Cause, how: String) -> HoldStatus {
        let Cause { by, at, commit, subject } = cause;
        let (by, subject) = (printable(by, SHOWN), printable(subject, SHOWN));
        let reason = format!("{} by {by} in {} ({subject})", printable(&how, 4 * SHOWN), commit.short());
        self.status(by, *at, commit.clone(), reason)
    }

    fn status(&self, by: String, at: DateTime<Utc>, commit: CommitId, reason: String) -> HoldStatus {
        HoldStatus {
            file: self.file.clone(),
            line: self.line,
            policy: self.place.policy.clone(),
            field: self.place.field.to_string(),
            value: self.choice.clone(),
            by,
            at,
            commit,
            reason,
            request: None,
        }
    }

    /// The hold that a status told of, if it is about this value, and what it tells of was rewritten since. `is_lost` says
    /// whether a commit is no longer below the head.
    pub fn told<E>(
        &self,
        holds: &[HoldStatus],
        is_lost: &mut dyn FnMut(&CommitId) -> Result<bool, E>,
    ) -> Result<Option<HoldStatus>, E> {
        let is_it = |hold: &&HoldStatus| {
            let Place { policy, field, .. } = &self.place;
            let is_here = hold.file == self.file && hold.policy == *policy && hold.field == field.to_string();
            is_here && hold.line == self.line && (hold.value == self.choice || self.on_revert == OnRevert::Hold)
        };
        match holds.iter().find(is_it) {
            Some(hold) if is_lost(&hold.commit)? => {
                Ok(Some(self.status(hold.by.clone(), hold.at, hold.commit.clone(), hold.reason.clone())))
            }
            _ => Ok(None),
        }
    }

    /// The hold after a person closed a pull request that had the choice, or under [`OnRevert::Hold`] the last one that had any
    /// value for this place. `head` stands for a last commit that is not known.
    pub fn refused(&self, refused: &[Refused], head: &CommitId) -> Option<HoldStatus> {
        let Place { policy, field, .. } = &self.place;
        let asked = Said::of(&self.file, policy, &field.to_string(), &self.choice);
        let is_any = |r: &Refused| self.on_revert == OnRevert::Hold && r.is_latest && r.said.place == asked.place;
        let refused = refused.iter().find(|r| r.said == asked || is_any(r))?;
        let commit = refused.commit.clone().unwrap_or_else(|| head.clone());
        let hold = self.status(refused.by.clone(), refused.at, commit, refused.reason.clone());
        Some(HoldStatus { request: Some(refused.url.clone()), ..hold })
    }

    /// The hold after a person rewrote the branch so that our commit `lost` is gone, if that had the choice here: by `then`, the
    /// value in that commit, if it is still to be had, or by what the status says that we wrote. `head` is who made the new head.
    pub fn rewritten(
        &self,
        lost: &CommitId,
        then: Option<&str>,
        changes: &[ChangeStatus],
        head: &Cause,
    ) -> Option<HoldStatus> {
        let was_written = || changes.iter().any(|change| self.is_of(change) && change.new == self.choice);
        if then != Some(self.choice.as_str()) && !was_written() {
            return None;
        }
        let by = printable(&head.by, SHOWN);
        let reason = format!(
            "the branch was rewritten to {} by {by}: commit {}, which had {}, is gone from it",
            head.commit.short(),
            lost.short(),
            self.choice
        );
        Some(self.status(by, head.at, lost.clone(), reason))
    }
}

/// A name and a digest belong to a tag: where a file would get the tag of another choice than the one that is held, they go with
/// it. `held` are places in `asked`; the remaining ones are returned.
pub fn with_their_tags(asked: &[&Asked], held: Vec<(usize, HoldStatus)>) -> Vec<(usize, HoldStatus)> {
    let leads = |asked: &Asked| matches!(asked.place.field, Field::Image | Field::Tag);
    let is_held = |index: usize| held.iter().any(|(held, _)| *held == index);
    let stays = |index: usize| {
        let one = asked[index];
        let is_sibling =
            |other: &Asked| other.file == one.file && other.place.policy == one.place.policy && leads(other);
        let mut siblings = (0..asked.len()).filter(|other| is_sibling(asked[*other])).peekable();
        leads(one) || siblings.peek().is_none() || siblings.any(is_held)
    };
    let stay: Vec<bool> = held.iter().map(|(index, _)| stays(*index)).collect();
    held.into_iter().zip(stay).filter(|(_, stays)| *stays).map(|(held, _)| held).collect()
}

/// The tag in a value, if it is of a field that has one.
pub fn tag_of(field: Field, value: &str) -> Option<String> {
    match field {
        Field::Tag => Some(value.to_owned()),
        Field::Image => value.parse::<Image>().ok().map(|image| image.tag.to_string()),
        Field::Name | Field::Digest => None,
    }
}

#[cfg(test)]
mod tests;
