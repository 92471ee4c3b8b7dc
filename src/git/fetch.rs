//! What a ref points to, and bringing that commit into the mirror. In: a remote, a ref. Out: its commit; its objects.
//! A head costs one small request; a fetch costs one more; what is here already costs none.

use std::io::Write;
use std::sync::Arc;

use git2::{AutotagOption, ErrorClass, FetchOptions, Indexer, RemoteCallbacks, Repository};
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

use super::client::{self, Host, REFS_LIMIT, Service};
use super::lsrefs::{self, Advertisement};
use super::mirror::{Route, blocking, branch_ref, commit_id, full_ref, heads, known_heads, limited, oid};
use super::place::{Place, Shell};
use super::ssh::session::Session;
use super::ssh::{self, Ssh};
use super::{Error, Listed, Mirror, Remote, Target, local};
use crate::revision::CommitId;

mod ask;
mod swell;
mod wire;

use ask::Ask;
use swell::{OBJECTS_LIMIT, Watch};
use wire::{PACK_LIMIT, Pack, Wire};

/// Of how many commits the host is told that they are here: more than heads, as a rewritten branch lost its head.
const HAVES: usize = 32;

/// How much a fetch brings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// The commit and its files. Enough to read it; a host that can't leave the rest out sends that too.
    Head,
    /// The commit and all that it can reach, as who walks, compares or pushes needs it.
    History,
}

impl Mirror {
    /// The commit that the branch points to now. One request (over SSH, one session) of some hundred bytes, however many refs the repository has.
    ///
    /// # Errors
    /// [`Error::BranchNotFound`], or whatever keeps us from the host.
    pub async fn head(&self, remote: &Remote, branch: &str) -> Result<CommitId, Error> {
        let found = self.refs(remote, &branch_ref(branch)?).await?.into_iter().next();
        found.map(|head| head.commit).ok_or_else(|| Error::BranchNotFound { branch: branch.to_owned() })
    }

    /// The refs of this full name, or all below it when it ends with a slash. One request, in which the host names no others when it
    /// speaks protocol v2.
    ///
    /// # Errors
    /// [`Error::Invalid`] for what is no ref's name, or whatever keeps us from the host.
    pub async fn refs(&self, remote: &Remote, name: &str) -> Result<Vec<Listed>, Error> {
        full_ref(name.strip_suffix('/').unwrap_or(name))?;
        let place = remote.place()?;
        limited(remote.timeout, async {
            match place {
                Place::Folder(url) => {
                    let name = name.to_owned();
                    blocking(move || local::refs(&url, &name)).await
                }
                Place::Http(url) => self.ask_refs(&Host::of(remote, url)?, remote, name).await,
                Place::Ssh(shell) => ssh::talk::refs(&shell, &remote.ssh()?, name).await,
            }
        })
        .await
    }

    async fn ask_refs(&self, host: &Host, remote: &Remote, name: &str) -> Result<Vec<Listed>, Error> {
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
        match self.ask_terms(host, remote, name).await? {
            (base, Advertisement::Commands { .. }) => ls_refs(host, &base, name).await,
            (_, Advertisement::Refs { found, .. }) => Ok(found),
        }
    }

    /// What the host says of itself, and of the ref `name`; and where it is from now on.
    async fn ask_terms(&self, host: &Host, remote: &Remote, name: &str) -> Result<(String, Advertisement), Error> {
        let (base, answer) = host.advertisement(remote.url.trim_end_matches('/'), Service::UploadPack).await?;
        let said = lsrefs::advertisement(&answer, name)?;
        let (v2, shallow) = match said {
            Advertisement::Commands { shallow } => (true, shallow),
            Advertisement::Refs { shallow, .. } => (false, shallow),
        };
        self.remember(remote, Route { base: base.clone(), v2: Some(v2), shallow });
        Ok((base, said))
    }

    /// Brings `wanted`, which the target led to when it was read, into the mirror, as far as `reach` says. No request when it
    /// is here. A mirror with history stays one; one without gets the whole at once when somebody wants it.
    ///
    /// # Errors
    /// [`Error::CommitGone`] when the host has it no more; or whatever keeps us from the host.
    pub async fn fetch(
        &self,
        remote: &Remote,
        target: impl Into<Target>,
        wanted: &CommitId,
        reach: Reach,
    ) -> Result<(), Error> {
        let target = target.into();
        let name = target.name()?;
        let place = remote.place()?;
        if self.reaches(wanted, reach)? && self.has_object(target.object(wanted))? {
            return Ok(());
        }
        let by = match place {
            Place::Folder(_) => None,
            Place::Http(url) => Some(By::Http(Host::of(remote, url)?)),
            Place::Ssh(shell) => Some(By::Ssh(shell, remote.ssh()?)),
        };
        // Whoever drops this future, or waits too long, ends the work on its thread too.
        let cancel = CancellationToken::new();
        let _ends = cancel.clone().drop_guard();
        limited(remote.timeout, async {
            let alone = Arc::clone(&self.inner.network).lock_owned().await;
            let job = Fetch {
                mirror: self.clone(),
                remote: remote.clone(),
                head: target.kept(),
                name,
                object: target.object(wanted).clone(),
                wanted: wanted.clone(),
                reach,
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

/// The refs by protocol v2, in one request.
async fn ls_refs(host: &Host, base: &str, name: &str) -> Result<Vec<Listed>, Error> {
    let request = client::v2(host.post(base, Service::UploadPack, lsrefs::request(name)));
    let answer = client::read(host.send(request).await?, REFS_LIMIT).await?;
    lsrefs::find(&answer, name)
}

/// Who is asked.
enum By {
    Http(Host),
    Ssh(Shell, Ssh),
}

/// Where the request goes.
enum Line<'a> {
    Http(&'a Host, String),
    Ssh(Session),
}

struct Fetch {
    mirror: Mirror,
    remote: Remote,
    /// The ref's full name; none for a commit that is wanted by its id.
    name: Option<String>,
    /// The ref of the mirror.
    head: String,
    wanted: CommitId,
    /// What is asked for, which leads to what is wanted: the same, or an annotated tag.
    object: CommitId,
    reach: Reach,
    /// Nobody for a folder of this machine.
    by: Option<By>,
    runtime: Handle,
    cancel: CancellationToken,
}

impl Fetch {
    /// First by what is known of the host, which saves a request; then, when the host did not like that, by what it says.
    fn run(&self) -> Result<(), Error> {
        if self.is_done()? {
            return Ok(());
        }
        let mut result = Ok(());
        for is_second in [false, true] {
            result = self.attempt(is_second);
            self.mirror.note_damage(&result);
            match &result {
                Ok(()) if self.is_done()? => {
                    // The commit is here; too many packs are only slow.
                    if let Err(error) = self.mirror.tidy() {
                        tracing::warn!(%error, "cannot merge the packs of a mirror");
                    }
                    return Ok(());
                }
                Err(error) if !self.is_worth_another(error) => return result,
                _ => {}
            }
        }
        result.and(Err(Error::CommitGone { commit: self.wanted.to_string() }))
    }

    fn is_done(&self) -> Result<bool, Error> {
        Ok(self.mirror.reaches(&self.wanted, self.reach)? && self.mirror.has_object(&self.object)?)
    }

    fn is_worth_another(&self, error: &Error) -> bool {
        match error {
            Error::Protocol { .. } | Error::Storage { .. } => true,
            // In a session the host has said all of itself the first time.
            _ if matches!(self.by, Some(By::Ssh(..))) => false,
            Error::CommitGone { .. } => true,
            error => error.wants_get_first(),
        }
    }

    fn attempt(&self, is_second: bool) -> Result<(), Error> {
        // A mirror with history would lose what others rely on.
        let reach = if self.mirror.has_history() { Reach::History } else { self.reach };
        let repository = self.mirror.second_handle()?;
        let Some(by) = &self.by else {
            self.transfer(&repository)?;
            return self.mirror.note_fetched(&repository, (&self.head, &self.wanted), Reach::History, None);
        };
        let (pack, reach) = self.wait(self.ask(by, &repository, reach, is_second))?;
        let kept = self.store(&repository, pack)?;
        self.mirror.note_fetched(&repository, (&self.head, &self.wanted), reach, Some(&kept))
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

    /// Asks for the pack, as far as the host can reach; the answer, and how far that is.
    async fn ask(
        &self,
        by: &By,
        repository: &Repository,
        reach: Reach,
        is_second: bool,
    ) -> Result<(Pack, Reach), Error> {
        let (line, said) = self.terms(by, is_second).await?;
        let (is_v2, wanted, shallow) = match &said {
            Advertisement::Commands { shallow } => (true, &self.object, *shallow),
            // Before v2 a host gives only what its list names; what is wanted may be below that by now.
            Advertisement::Refs { found, shallow } => match found.first() {
                Some(head) => (false, &head.object, *shallow),
                // Some give out others too.
                None if self.name.is_none() => (false, &self.object, *shallow),
                None => return Err(Error::CommitGone { commit: self.wanted.to_string() }),
            },
        };
        let reach = if shallow { reach } else { Reach::History };
        // The second time nothing is taken for granted, as far as that is cheap.
        let haves = if is_second && reach == Reach::Head { Vec::new() } else { self.haves(repository, reach)? };
        let ask = Ask { wanted, haves: &haves, reach };
        let body = if is_v2 { ask.v2() } else { ask.v0() };
        let wire = match line {
            Line::Ssh(session) => {
                session.send(body).await?;
                Wire::Ssh(session)
            }
            Line::Http(host, base) => {
                let request = host.post(&base, Service::UploadPack, body);
                host.send(if is_v2 { client::v2(request) } else { request }).await?.into()
            }
        };
        Ok((Pack::new(wire, self.wanted.clone(), !is_v2 && reach == Reach::Head), reach))
    }

    /// How to reach the host, and what it says of itself: by HTTP, the first time, what it said once or what most would say.
    async fn terms<'b>(&self, by: &'b By, is_second: bool) -> Result<(Line<'b>, Advertisement), Error> {
        match by {
            By::Ssh(shell, login) => {
                let mut session = Session::start(shell, login, Service::UploadPack, REFS_LIMIT + PACK_LIMIT).await?;
                let said = lsrefs::advertisement(&session.message().await?, self.asked())?;
                Ok((Line::Ssh(session), said))
            }
            By::Http(host) if is_second => {
                let (base, said) = self.mirror.ask_terms(host, &self.remote, self.asked()).await?;
                Ok((Line::Http(host, base), said))
            }
            By::Http(host) => {
                let Route { base, v2, shallow } = self.mirror.route(&self.remote);
                let said = match v2 {
                    Some(false) => Advertisement::Refs { found: self.expected(), shallow },
                    _ => Advertisement::Commands { shallow },
                };
                Ok((Line::Http(host, base), said))
            }
        }
    }

    /// The name to look for in a list of refs: one that no ref has, for a commit.
    fn asked(&self) -> &str {
        self.name.as_deref().unwrap_or_default()
    }

    /// What a host would list that did not move since it was asked.
    fn expected(&self) -> Vec<Listed> {
        let Some(name) = self.name.clone() else { return Vec::new() };
        vec![Listed { name, object: self.object.clone(), commit: self.wanted.clone() }]
    }

    /// What is here, with all that the host would leave out for it.
    fn haves(&self, repository: &Repository, reach: Reach) -> Result<Vec<CommitId>, Error> {
        match (reach, self.mirror.is_shallow()) {
            (Reach::Head, _) => Ok(heads(repository)?.into_iter().take(HAVES).map(commit_id).collect()),
            // The whole takes the place of what is here.
            (Reach::History, true) => Ok(Vec::new()),
            (Reach::History, false) => {
                let mut walk = repository.revwalk().map_err(Error::storage)?;
                walk.push_glob(&known_heads()).map_err(Error::storage)?;
                walk.take(HAVES).map(|id| id.map(commit_id).map_err(Error::storage)).collect()
            }
        }
    }

    /// Keeps a commit of a folder, with all that it can reach.
    fn copy(&self, repository: &Repository) -> Result<(), Error> {
        let Place::Folder(url) = self.remote.place()? else { return Ok(()) };
        let pack = local::pack(&url, oid(&self.wanted)?)?;
        let pack = pack.ok_or_else(|| Error::CommitGone { commit: self.wanted.to_string() })?;
        let odb = repository.odb().map_err(Error::storage)?;
        let mut writer = odb.packwriter().map_err(Error::storage)?;
        writer.write_all(&pack).map_err(|error| Error::Storage { message: error.to_string(), damaged: false })?;
        writer.commit().map(drop).map_err(Error::storage)
    }

    /// Keeps a pack; its name.
    fn store(&self, repository: &Repository, mut pack: Pack) -> Result<String, Error> {
        let odb = repository.odb().map_err(Error::storage)?;
        let folder = repository.path().join("objects/pack");
        let mut indexer = Indexer::new(Some(&odb), &folder, 0o444, false).map_err(Error::storage)?;
        let mut watch = Watch::default();
        while let Some(piece) = self.wait(pack.piece())? {
            watch.look(&piece)?;
            indexer.write_all(&piece).map_err(|error| match error.downcast() {
                Ok(error) => unstored(error),
                Err(error) => Error::Storage { message: error.to_string(), damaged: false },
            })?;
        }
        let name = indexer.commit().map_err(unstored)?;
        self.wait(async {
            pack.end().await;
            Ok(())
        })?;
        Ok(name)
    }

    /// From a folder of this machine.
    fn transfer(&self, repository: &Repository) -> Result<(), Error> {
        let mut callbacks = RemoteCallbacks::new();
        let limit = OBJECTS_LIMIT as usize;
        callbacks.transfer_progress(|progress| progress.total_objects() <= limit && !self.cancel.is_cancelled());
        let mut options = FetchOptions::new();
        options.remote_callbacks(callbacks).download_tags(AutotagOption::None).update_fetchhead(false);
        let mut remote = repository.remote_anonymous(&self.remote.url).map_err(Error::storage)?;
        let Some(name) = &self.name else { return self.copy(repository) };
        let refspec = format!("+{name}:{}", self.head);
        remote.fetch(&[refspec], Some(&mut options), None).map_err(|error| {
            if self.cancel.is_cancelled() {
                return Error::Cancelled;
            }
            match error.class() {
                ErrorClass::Net | ErrorClass::Indexer => Error::protocol(error.message()),
                ErrorClass::Callback => {
                    Error::TooLarge { what: "the number of objects to fetch".into(), limit: OBJECTS_LIMIT.into() }
                }
                _ => Error::storage(error),
            }
        })
    }
}

/// Why libgit2 did not take a pack: its own disk, or the bytes.
fn unstored(error: git2::Error) -> Error {
    match error.class() {
        ErrorClass::Os | ErrorClass::Filesystem => Error::storage(error),
        _ => Error::protocol(&format!("a pack that cannot be read: {}", error.message())),
    }
}
