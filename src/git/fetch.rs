//! What a branch points to, and bringing that commit into the mirror. In: a remote, a branch. Out: its commit; its objects.
//! A head costs one small request; a fetch costs one more; what is here already costs none.

use std::io::Write;
use std::sync::Arc;

use git2::{AutotagOption, ErrorClass, FetchOptions, RemoteCallbacks, Repository};
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

use super::client::{self, Host, REFS_LIMIT, Service};
use super::lsrefs::{self, Advertisement};
use super::mirror::{Route, blocking, branch_ref, commit_id, head_ref, known_heads, limited, locked, oid};
use super::place::{Place, Shell};
use super::ssh::fetch::Ask;
use super::ssh::{self, Ssh};
use super::transport::{self, Context};
use super::{Error, Mirror, Remote, local};
use crate::revision::CommitId;

/// The most objects that we fetch at once.
const OBJECTS_LIMIT: usize = 20_000_000;

impl Mirror {
    /// The commit that the branch points to now. One request (over SSH, one session) of some hundred bytes, however many refs the repository has.
    ///
    /// # Errors
    /// [`Error::BranchNotFound`], or whatever keeps us from the host.
    pub async fn head(&self, remote: &Remote, branch: &str) -> Result<CommitId, Error> {
        let name = branch_ref(branch)?;
        let place = remote.place()?;
        let head = limited(remote.timeout, async {
            match place {
                Place::Folder(url) => blocking(move || local::head(&url, &name)).await,
                Place::Http(url) => self.ask_head(&Host::of(remote, url)?, remote, &name).await,
                Place::Ssh(shell) => ssh::talk::head(&shell, &remote.ssh()?, &name).await,
            }
        });
        head.await?.ok_or_else(|| Error::BranchNotFound { branch: branch.to_owned() })
    }

    async fn ask_head(&self, host: &Host, remote: &Remote, name: &str) -> Result<Option<CommitId>, Error> {
        let route = self.route(remote);
        if route.v2 != Some(false) {
            match ls_refs(host, &route.base, name).await {
                Ok(found) => {
                    self.remember(remote, Route { v2: Some(true), ..route });
                    return Ok(found);
                }
                // A host that spoke v2 before just has a problem; another one may not know v2, or wants the GET first.
                Err(error)
                    if !(error.wants_get_first() || route.v2.is_none() && matches!(error, Error::Protocol { .. })) =>
                {
                    return Err(error);
                }
                Err(_) => {}
            }
        }
        let (base, answer) = host.advertisement(remote.url.trim_end_matches('/'), Service::UploadPack).await?;
        match lsrefs::advertisement(&answer, name)? {
            Advertisement::Commands => {
                let found = ls_refs(host, &base, name).await?;
                self.remember(remote, Route { base, v2: Some(true) });
                Ok(found)
            }
            Advertisement::Refs(found) => {
                self.remember(remote, Route { base, v2: Some(false) });
                Ok(found)
            }
        }
    }

    /// Brings `wanted`, which the branch's head was when it was read, and its history into the mirror. No request when it is here.
    ///
    /// # Errors
    /// [`Error::CommitGone`] when the branch was rewritten since; or whatever keeps us from the host.
    pub async fn fetch(&self, remote: &Remote, branch: &str, wanted: &CommitId) -> Result<(), Error> {
        let name = branch_ref(branch)?;
        let place = remote.place()?;
        if self.holds(wanted)? {
            return Ok(());
        }
        let by = match place {
            Place::Folder(_) => By::Folder,
            Place::Http(url) => By::Http(Host::of(remote, url)?, self.route(remote).base),
            Place::Ssh(shell) => By::Ssh(shell, remote.ssh()?),
        };
        // Whoever drops this future, or waits too long, ends the work on its thread too.
        let cancel = CancellationToken::new();
        let _ends = cancel.clone().drop_guard();
        limited(remote.timeout, async {
            let alone = Arc::clone(&self.inner.network).lock_owned().await;
            let job = Fetch {
                mirror: self.clone(),
                url: remote.url.clone(),
                head: head_ref(branch),
                name,
                wanted: wanted.clone(),
                by,
                runtime: Handle::current(),
                cancel,
            };
            blocking(move || {
                let _alone = alone;
                job.run()
            })
            .await
        })
        .await
    }
}

/// The head by protocol v2, in one request.
async fn ls_refs(host: &Host, base: &str, name: &str) -> Result<Option<CommitId>, Error> {
    let request = client::v2(host.post(base, Service::UploadPack, lsrefs::request(name)));
    let answer = client::read(host.send(request).await?, REFS_LIMIT).await?;
    lsrefs::find(&answer, name)
}

enum By {
    Folder,
    Http(Host, String),
    Ssh(Shell, Ssh),
}

struct Fetch {
    mirror: Mirror,
    url: String,
    name: String,
    /// The ref of the mirror.
    head: String,
    wanted: CommitId,
    by: By,
    runtime: Handle,
    cancel: CancellationToken,
}

impl Fetch {
    /// First with a list of refs of our own, which saves a request; then, when the host did not like that, with the host's.
    fn run(&self) -> Result<(), Error> {
        if self.mirror.holds(&self.wanted)? {
            return Ok(());
        }
        let mut result = Ok(());
        let lists: &[bool] = if matches!(self.by, By::Ssh(..)) { &[true] } else { &[true, false] };
        for own_list in lists.iter().copied() {
            result = self.attempt(own_list);
            self.mirror.note_damage(&result);
            match &result {
                Ok(()) if self.mirror.holds(&self.wanted)? => {
                    // The commit is here; too many packs are only slow.
                    if let Err(error) = self.mirror.tidy() {
                        tracing::warn!(%error, "cannot merge the packs of a mirror");
                    }
                    return Ok(());
                }
                Ok(()) | Err(Error::Protocol { .. } | Error::Storage { .. }) => {}
                Err(error) if error.wants_get_first() => {}
                Err(_) => return result,
            }
        }
        result.and(Err(Error::CommitGone { commit: self.wanted.to_string() }))
    }

    fn attempt(&self, own_list: bool) -> Result<(), Error> {
        let repository = self.mirror.second_handle()?;
        let (host, base) = match &self.by {
            By::Folder => return self.transfer(&repository),
            By::Ssh(shell, login) => return self.download(&repository, shell, login),
            By::Http(host, base) => (host, base),
        };
        let base = match own_list {
            true => base.clone(),
            false => self.wait(host.advertisement(self.url.trim_end_matches('/'), Service::UploadPack))?.0,
        };
        let context = Context {
            host: host.clone(),
            base,
            runtime: self.runtime.clone(),
            cancel: self.cancel.clone(),
            advertisement: own_list.then(|| lsrefs::advertise(&self.wanted, &self.name)),
            failure: Arc::default(),
        };
        let failure = Arc::clone(&context.failure);
        let result = transport::within(context, || self.transfer(&repository));
        match locked(&failure).take() {
            Some(failure) => Err(failure),
            None => result,
        }
    }

    /// Waits on this blocking thread, unless nobody wants the answer any more.
    fn wait<T>(&self, work: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        self.runtime.block_on(async {
            tokio::select! {
                biased;
                () = self.cancel.cancelled() => Err(Error::Cancelled),
                done = work => done,
            }
        })
    }

    fn transfer(&self, repository: &Repository) -> Result<(), Error> {
        let mut callbacks = RemoteCallbacks::new();
        callbacks
            .transfer_progress(|progress| progress.total_objects() <= OBJECTS_LIMIT && !self.cancel.is_cancelled());
        let mut options = FetchOptions::new();
        options.remote_callbacks(callbacks).download_tags(AutotagOption::None).update_fetchhead(false);
        let mut remote = repository.remote_anonymous(&self.url).map_err(Error::storage)?;
        let refspec = format!("+{}:{}", self.name, self.head);
        remote.fetch(&[refspec], Some(&mut options), None).map_err(|error| {
            if self.cancel.is_cancelled() {
                return Error::Cancelled;
            }
            match error.class() {
                ErrorClass::Net | ErrorClass::Http | ErrorClass::Indexer => Error::protocol(error.message()),
                ErrorClass::Callback => {
                    Error::TooLarge { what: "the number of objects to fetch".into(), limit: OBJECTS_LIMIT as u64 }
                }
                _ => Error::storage(error),
            }
        })
    }

    /// By a session: our own request, and libgit2 only keeps what comes.
    fn download(&self, repository: &Repository, shell: &Shell, login: &Ssh) -> Result<(), Error> {
        let haves = haves(repository)?;
        let ask = Ask { name: &self.name, wanted: &self.wanted, haves: &haves };
        let mut pack = self.wait(ssh::fetch::start(shell, login, &ask))?;
        let odb = repository.odb().map_err(Error::storage)?;
        let mut writer = odb.packwriter().map_err(Error::storage)?;
        let mut start = Vec::new();
        while let Some(piece) = self.wait(pack.piece())? {
            if start.len() < PACK_HEAD {
                start.extend_from_slice(&piece[..piece.len().min(PACK_HEAD - start.len())]);
                check_count(&start)?;
            }
            writer.write_all(&piece).map_err(|_| unstored())?;
        }
        writer.commit().map_err(|_| unstored())?;
        self.wait(async {
            pack.end().await;
            Ok(())
        })?;
        let wanted = oid(&self.wanted)?;
        if repository.find_commit(wanted).is_ok() {
            repository.reference(&self.head, wanted, true, "").map_err(Error::storage)?;
        }
        Ok(())
    }
}

/// How long a pack's head is: `PACK`, the version, the number of objects.
const PACK_HEAD: usize = 12;
/// Of how many commits the host is told that they are here: more than heads, as a rewritten branch lost its head.
const HAVES: usize = 32;

fn check_count(start: &[u8]) -> Result<(), Error> {
    let count = start.get(8..PACK_HEAD).and_then(|count| count.try_into().ok()).map_or(0, u32::from_be_bytes);
    if count as usize > OBJECTS_LIMIT {
        return Err(Error::TooLarge { what: "the number of objects to fetch".into(), limit: OBJECTS_LIMIT as u64 });
    }
    Ok(())
}

fn haves(repository: &Repository) -> Result<Vec<CommitId>, Error> {
    let mut walk = repository.revwalk().map_err(Error::storage)?;
    walk.push_glob(&known_heads()).map_err(Error::storage)?;
    walk.take(HAVES).map(|id| id.map(commit_id).map_err(Error::storage)).collect()
}

/// Why libgit2 did not take a pack: its own disk, or the bytes.
fn unstored() -> Error {
    let error = git2::Error::last_error(-1);
    match error.class() {
        ErrorClass::Os | ErrorClass::Filesystem => Error::storage(error),
        _ => Error::protocol(&format!("a pack that cannot be read: {}", error.message())),
    }
}
