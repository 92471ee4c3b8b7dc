//! The last push that no status tells of, as the process died, or the API server was away, right after it. In: commits since the head
//! that was observed last. Out: the newest one that only this ImageUpdate can have made, by its author and its trailers.

use super::Look;
use crate::api::image_update::ChangeStatus;
use crate::git::{CommitInfo, Error, Person};
use crate::revision::CommitId;
use crate::update::batch::Earlier;
use crate::update::trailers::{self, Recorded};

/// So many commits are looked at.
const STEPS: usize = 64;

impl Look<'_> {
    /// See the module. Proposals are commits of their own branch, and found there.
    ///
    /// # Errors
    /// Those of the mirror.
    pub fn earlier(&self) -> Result<Option<Earlier>, Error> {
        if self.target != self.source {
            return Ok(None);
        }
        let observed = self.status.observed_revision.as_ref().filter(|seen| seen.name == self.source);
        // Of what was before the first look, the head is enough.
        let steps = if observed.is_some() { STEPS } else { 1 };
        let known = [observed.map(|seen| &seen.commit), self.status.last_push_commit.as_ref()];
        let mut next = Some(self.head.clone());
        for _ in 0..steps {
            let Some(commit) = next.filter(|commit| !known.contains(&Some(commit))) else { return Ok(None) };
            let info = match self.mirror.commit_info(&commit) {
                Err(Error::CommitGone { .. }) => return Ok(None),
                info => info?,
            };
            if let Some(changes) = self.own(&info) {
                return Ok(Some(self.told(commit, &changes)));
            }
            next = info.parents.into_iter().next();
        }
        Ok(None)
    }

    /// What a commit of ours changed.
    fn own(&self, info: &CommitInfo) -> Option<Vec<Recorded>> {
        let author = &self.update.spec.commit.author;
        let is_ours = |who: &Person| who.name == author.name && who.email == author.email;
        if !is_ours(&info.author) || !is_ours(&info.committer) {
            return None;
        }
        let changes = trailers::read(&info.message);
        let is_in = |file: &str| (self.is_marked)(file) || self.targets.iter().any(|target| target.file == file);
        let all = changes.iter().all(|change| self.choices.contains_key(&change.policy) && is_in(&change.file));
        Some(changes).filter(|changes| all && !changes.is_empty())
    }

    fn told(&self, commit: CommitId, changes: &[Recorded]) -> Earlier {
        let changes = changes.iter().map(|change| ChangeStatus {
            file: change.file.clone(),
            line: change.line,
            policy: change.policy.clone(),
            field: change.field.clone(),
            old: change.old.clone(),
            new: change.new.clone(),
        });
        Earlier { commit, branch: self.target.to_owned(), changes: changes.collect() }
    }
}
