//! Whose the head of a proposal's branch is. In: the head, the status, what its commits say. Out: nobody's, or the person whose work
//! must not be overwritten; in doubt it is a person's.

use super::Proposing;
use crate::api::condition::Reason;
use crate::context::Grounded;
use crate::failure::{Failure, printable};
use crate::git::{self, Reach};
use crate::revision::CommitId;
use crate::source::failure;
use crate::update::proposal;

/// So many merges of the base, one on the other, are looked through.
const MERGES: usize = 16;

impl Proposing<'_> {
    /// Whose the proposal's head is: nobody when it is ours, or ours with its base merged in by a button of the host; else the
    /// person.
    pub(super) async fn owner(&self, grounded: &Grounded, head: &CommitId) -> Result<Option<String>, Failure> {
        if self.is_last_push(head) {
            return Ok(None);
        }
        let Grounded { mirror, remote, .. } = grounded;
        let failed = |error: git::Error| failure(&error, &remote.url);
        mirror.fetch(remote, &self.target, head, Reach::History).await.map_err(failed)?;
        let mut commit = head.clone();
        // The base may have moved since it was read.
        let mut base = None;
        for _ in 0..MERGES {
            if self.is_last_push(&commit) {
                return Ok(None);
            }
            let info = mirror.commit_info(&commit).map_err(failed)?;
            if is_ours(&info, &self.namespace) {
                return Ok(None);
            }
            let [below, merged] = &info.parents[..] else { break };
            if base.is_none() {
                base = Some(self.read_again(grounded.clone()).await?.revision.commit);
            }
            let base = base.as_ref().unwrap_or(&grounded.revision.commit);
            let (mirror, one, merged, base) = (mirror.clone(), commit.clone(), merged.clone(), base.clone());
            let look = move || Ok(mirror.is_ancestor(&merged, &base)? && mirror.is_plain_merge(&one)?);
            let is_plain = tokio::task::spawn_blocking(look).await.unwrap_or(Ok(false)).map_err(failed)?;
            if !is_plain {
                break;
            }
            commit = below.clone();
        }
        let info = mirror.commit_info(head).map_err(failed)?;
        Ok(Some(printable(&info.committer.name, 100)))
    }

    fn is_last_push(&self, commit: &CommitId) -> bool {
        let status = &self.task.status;
        status.last_push_commit.as_ref() == Some(commit) && status.last_push_branch.as_ref() == Some(&self.target)
    }

    pub(super) async fn check_ours(&self, grounded: &Grounded, head: &CommitId) -> Result<(), Failure> {
        let Some(owner) = self.owner(grounded, head).await? else { return Ok(()) };
        let message = format!(
            "branch {} is at {} by {owner}, which is not overwritten: merge it, or delete the branch, and what is left is \
             proposed anew",
            self.target,
            head.short()
        );
        Err(Failure::user(Reason::BranchTaken, message))
    }
}

fn is_ours(info: &git::CommitInfo, namespace: &str) -> bool {
    let git::CommitInfo { author, committer, parents, message, .. } = info;
    let known = proposal::Head {
        author: (&author.name, &author.email),
        committer: (&committer.name, &committer.email),
        parents: parents.len(),
        message,
    };
    proposal::is_ours(&known, namespace)
}
