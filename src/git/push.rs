//! Moving a branch elsewhere: compare and swap. In: the head that was read and the commit to put there. Out: done, or the
//! branch moved. Never a merge, never a second guess: whoever loses the race reads again and decides again.

use std::sync::Arc;

use git2::{Oid, Repository, TreeEntry};

use super::along::{self, Along};
use super::client::{self, Host, REPORT_LIMIT, Service};
use super::mirror::{Route, blocking, branch_ref, full_ref, known_heads, limited, oid};
use super::place::Place;
use super::report::{self, Report};
use super::ssh::talk;
use super::{Error, Mirror, Remote, local};
use crate::revision::CommitId;

/// Ends of refusals that another round may cure (as Git's receive-pack says them).
const AGAIN: [&str; 2] = ["failed to update ref", "missing necessary objects"];

/// What became of a push that the host understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pushed {
    /// The branch points to the new commit, by this push or by one before whose answer was lost.
    Done,
    /// The branch points somewhere else than was read: fetch and decide again.
    Moved,
}

impl Mirror {
    /// Moves the branch from `old` (nothing: it must not exist yet) to `new`, with the objects that the host lacks. Over HTTP
    /// this is one POST, over SSH one session. `new` need not descend from `old`: the caller answers for what it replaces.
    ///
    /// # Errors
    /// [`Error::Rejected`] with the host's words when its rules forbid it; or whatever keeps us from the host. After a lost
    /// reply the head is asked for, so an error means that the commit did not land as far as anyone can tell.
    pub async fn push(
        &self,
        remote: &Remote,
        branch: &str,
        old: Option<&CommitId>,
        new: &CommitId,
    ) -> Result<Pushed, Error> {
        self.push_along(remote, branch, (old, new), &Along::default()).await
    }

    /// The same with options and a second ref. The host is asked first whether it can do that, and where that ref is: all of
    /// its refs are listed then, over HTTP in one more request.
    ///
    /// # Errors
    /// Those of [`Mirror::push`], and [`Error::Rejected`] when the host cannot do that.
    pub async fn push_along(
        &self,
        remote: &Remote,
        branch: &str,
        (old, new): (Option<&CommitId>, &CommitId),
        along: &Along,
    ) -> Result<Pushed, Error> {
        self.check_history()?;
        let name = branch_ref(branch)?;
        let place = remote.place()?;
        if let Some(second) = &along.second {
            full_ref(&second.name)?;
        }
        let (old_id, new_id) = (old.map(oid).transpose()?, oid(new)?);
        if old == Some(new) {
            return Ok(Pushed::Done);
        }
        let _alone = limited(remote.timeout, async { Ok(Arc::clone(&self.inner.network).lock_owned().await) }).await?;
        let pushed = if let Place::Folder(url) = place {
            if !along.is_nothing() {
                return Err(Error::rejected("a file:// repository takes neither push options nor a second ref"));
            }
            let pack = self.pack(old_id, new_id, Known::Much).await?;
            limited(remote.timeout, blocking(move || local::push(&url, &name, old_id, new_id, &pack))).await?
        } else {
            self.swap(remote, branch, &Swap { place: &place, old, new, name: &name, along }).await?
        };
        if pushed == Pushed::Done {
            self.note_head(branch, new_id)?;
        }
        Ok(pushed)
    }

    async fn swap(&self, remote: &Remote, branch: &str, swap: &Swap<'_>) -> Result<Pushed, Error> {
        // A second round, with all objects, helps a host that refused while another push held its lock, or that has thrown
        // away what we thought it had. Its words only say whether that round is worth it; the head says what is true.
        let mut refusal = None;
        for known in [Known::Much, Known::OldOnly] {
            let pack = self.pack(swap.old.map(oid).transpose()?, oid(swap.new)?, known).await?;
            let failure = match limited(remote.timeout, self.send_push(remote, swap, &pack)).await {
                Ok(Report::Done) => return Ok(Pushed::Done),
                Ok(Report::Refused(words)) => Error::rejected(&words),
                Err(error) if error.lost_reply() => error,
                Err(error) => return Err(error),
            };
            let head = match self.head(remote, branch).await {
                Ok(head) => Some(head),
                Err(Error::BranchNotFound { .. }) => None,
                Err(_) => return Err(failure),
            };
            if head.as_ref() == Some(swap.new) {
                return Ok(Pushed::Done);
            }
            match &failure {
                Error::Rejected { .. } if head.as_ref() != swap.old => return Ok(Pushed::Moved),
                Error::Rejected { message } if AGAIN.iter().any(|words| message.ends_with(words)) => {
                    refusal = Some(failure)
                }
                _ => return Err(failure),
            }
        }
        Err(refusal.unwrap_or(Error::Cancelled))
    }

    async fn send_push(&self, remote: &Remote, swap: &Swap<'_>, pack: &[u8]) -> Result<Report, Error> {
        match swap.place {
            Place::Ssh(shell) => talk::push(shell, &remote.ssh()?, |said| self.commands(swap, Some(said)), pack).await,
            Place::Http(url) | Place::Folder(url) => {
                let host = Host::of(remote, url.clone())?;
                let said = if swap.along.is_nothing() { None } else { Some(self.ask_first(&host, remote).await?) };
                let (mut body, names) = self.commands(swap, said.as_deref())?;
                body.extend_from_slice(pack);
                self.post_push(&host, remote, &names, &body).await
            }
        }
    }

    /// What the host says of itself and its refs; and where it is from now on.
    pub(super) async fn ask_first(&self, host: &Host, remote: &Remote) -> Result<Vec<u8>, Error> {
        let (base, said) = host.advertisement(remote.url.trim_end_matches('/'), Service::ReceivePack).await?;
        self.remember(remote, Route { base, ..self.route(remote) });
        Ok(said)
    }

    /// One POST; a host that wants to be asked for its refs first gets its way.
    pub(super) async fn post_push(
        &self,
        host: &Host,
        remote: &Remote,
        names: &[&str],
        body: &[u8],
    ) -> Result<Report, Error> {
        let post = |base: String| host.send(host.post(&base, Service::ReceivePack, body.to_vec()));
        let answer = match post(self.route(remote).base).await {
            Err(error) if error.wants_get_first() => {
                self.ask_first(host, remote).await?;
                post(self.route(remote).base).await?
            }
            answer => answer?,
        };
        report::read(&client::read(answer, REPORT_LIMIT).await?, names)
    }

    /// The commands for the branch and what goes along, by what the host says that it can and has; and the refs in them.
    fn commands<'s>(&self, swap: &Swap<'s>, said: Option<&[u8]>) -> Result<(Vec<u8>, Vec<&'s str>), Error> {
        let second = swap.along.second.as_ref();
        let said = said.map(|said| along::advertised(said, second.map(|second| second.name.as_str()))).transpose()?;
        let Some(said) = said.filter(|_| !swap.along.is_nothing()) else {
            return Ok((report::command(swap.old, swap.new, swap.name), vec![swap.name]));
        };
        if let (Some(second), Some(there)) = (second, &said.second)
            && !second.may_go_back
            && !self.descends(swap.new, there)?
        {
            return Err(Error::rejected(&format!(
                "{} is at {}, which the commit does not follow: write + before spec.push.refspec if it may be lost",
                second.name,
                there.short()
            )));
        }
        let (body, both) = along::commands((swap.old, swap.new, swap.name), swap.along, &said)?;
        let second = second.filter(|_| both).map(|second| second.name.as_str());
        Ok((body, [swap.name].into_iter().chain(second).collect()))
    }

    /// Whether a commit is another one or comes after it. One that is not in the mirror is not before anything.
    fn descends(&self, commit: &CommitId, from: &CommitId) -> Result<bool, Error> {
        let (commit, from) = (oid(commit)?, oid(from)?);
        let is_after = |repository: &Repository| {
            repository.find_commit(from).is_ok() && repository.graph_descendant_of(commit, from).unwrap_or(false)
        };
        self.with(|repository| Ok(commit == from || is_after(repository)))
    }

    /// The objects of `new` that the host lacks.
    async fn pack(&self, old: Option<Oid>, new: Oid, known: Known) -> Result<Arc<[u8]>, Error> {
        if let Some(fresh) = self.fresh().take().filter(|fresh| Some(fresh.parent) == old && fresh.commit == new) {
            return Ok(fresh.pack);
        }
        let mirror = self.clone();
        blocking(move || mirror.with(|repository| pack(repository, old, new, known).map_err(Error::storage)))
            .await
            .map(Arc::from)
    }
}

struct Swap<'a> {
    place: &'a Place,
    old: Option<&'a CommitId>,
    new: &'a CommitId,
    name: &'a str,
    along: &'a Along,
}

/// What the host is taken to have.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Known {
    /// Every head that was ever fetched from it or pushed to it.
    Much,
    /// The commit that it says its branch points to.
    OldOnly,
}

/// The objects of `new` that who has `known` lacks.
pub(super) fn pack(repository: &Repository, old: Option<Oid>, new: Oid, known: Known) -> Result<Vec<u8>, git2::Error> {
    let mut walk = repository.revwalk()?;
    walk.push(new)?;
    if known == Known::Much {
        walk.hide_glob(&known_heads())?;
    }
    if let Some(old) = old.filter(|old| repository.find_commit(*old).is_ok()) {
        walk.hide(old)?;
    }
    let mut builder = repository.packbuilder()?;
    builder.set_threads(1);
    for id in walk {
        let commit = repository.find_commit(id?)?;
        builder.insert_object(commit.id(), None)?;
        let parent = commit.parents().next().map(|parent| parent.tree_id());
        insert_changed(repository, &mut builder, parent, commit.tree_id())?;
    }
    let mut pack = git2::Buf::new();
    builder.write_buf(&mut pack)?;
    Ok(pack.to_vec())
}

/// Adds the tree `new` and what below it differs from the tree `old` at the same place.
fn insert_changed(
    repository: &Repository,
    builder: &mut git2::PackBuilder<'_>,
    old: Option<Oid>,
    new: Oid,
) -> Result<(), git2::Error> {
    if old == Some(new) {
        return Ok(());
    }
    builder.insert_object(new, None)?;
    let old = old.map(|id| repository.find_tree(id)).transpose()?;
    for entry in &repository.find_tree(new)? {
        let before: Option<TreeEntry<'_>> = old.as_ref().and_then(|tree| tree.get_name_bytes(entry.name_bytes()));
        match entry.kind() {
            _ if before.as_ref().is_some_and(|before| before.id() == entry.id()) => {}
            Some(git2::ObjectType::Tree) => {
                let before =
                    before.filter(|before| before.kind() == Some(git2::ObjectType::Tree)).map(|before| before.id());
                insert_changed(repository, builder, before, entry.id())?;
            }
            Some(git2::ObjectType::Blob) => {
                builder.insert_object(entry.id(), entry.name().ok())?;
            }
            // A submodule's commit lives in another repository.
            _ => {}
        }
    }
    Ok(())
}
