//! Taking a branch away: compare and swap with nothing. In: the head that was read. Out: it is gone, or the branch moved.

use std::sync::Arc;

use super::client::Host;
use super::mirror::{blocking, branch_ref, limited, oid};
use super::place::Place;
use super::report::{self, Report};
use super::ssh::talk;
use super::{Error, Mirror, Pushed, Remote, local};
use crate::revision::CommitId;

impl Mirror {
    /// Deletes the branch if it is at `old` ([`Pushed::Done`], also when it is gone already), else leaves it ([`Pushed::Moved`]).
    ///
    /// # Errors
    /// [`Error::Rejected`] with the host's words when its rules forbid it; or whatever keeps us from the host.
    pub async fn delete(&self, remote: &Remote, branch: &str, old: &CommitId) -> Result<Pushed, Error> {
        let name = branch_ref(branch)?;
        let (place, old_id) = (remote.place()?, oid(old)?);
        let _alone = limited(remote.timeout, async { Ok(Arc::clone(&self.inner.network).lock_owned().await) }).await?;
        if let Place::Folder(url) = place {
            let deleted = limited(remote.timeout, blocking(move || local::delete(&url, &name, old_id))).await?;
            return self.forget(branch, deleted);
        }
        let failure = match limited(remote.timeout, self.send_deletion(remote, &place, (&name, old))).await {
            Ok(Report::Done) => return self.forget(branch, Pushed::Done),
            Ok(Report::Refused(words)) => Error::rejected(&words),
            Err(error) if error.lost_reply() => error,
            Err(error) => return Err(error),
        };
        // The head says what is true.
        match self.head(remote, branch).await {
            Err(Error::BranchNotFound { .. }) => self.forget(branch, Pushed::Done),
            Ok(head) if head != *old => Ok(Pushed::Moved),
            Ok(_) | Err(_) => Err(failure),
        }
    }

    async fn send_deletion(
        &self,
        remote: &Remote,
        place: &Place,
        (name, old): (&str, &CommitId),
    ) -> Result<Report, Error> {
        let body = report::deletion(old, name);
        match place {
            Place::Ssh(shell) => talk::push(shell, &remote.ssh()?, |_| Ok((body, vec![name])), &[]).await,
            Place::Http(url) | Place::Folder(url) => {
                let host = Host::of(remote, url.clone())?;
                self.post_push(&host, remote, &[name], &body).await
            }
        }
    }

    /// The host need not have its commits any more.
    fn forget(&self, branch: &str, deleted: Pushed) -> Result<Pushed, Error> {
        if deleted == Pushed::Done {
            self.forget_head(branch)?;
        }
        Ok(deleted)
    }
}
