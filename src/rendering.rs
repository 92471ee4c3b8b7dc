//! Loop two's first half: files of one revision → objects. Joins the mirror, the real kustomize and helm and the pure render step,
//! and keeps what it made for as long as everything that it read is unchanged.

use std::collections::BTreeMap;
use std::sync::Arc;

use kube::runtime::reflector::ObjectRef;

use crate::api::GitSync;
use crate::api::condition::Reason;
use crate::cluster::Cluster;
use crate::context::{Context, Grounded};
use crate::failure::Failure;
use crate::git::{self, Kind, Mirror, Reach};
use crate::object::{Gvk, Manifest, ObjectKey, Problem};
use crate::quarantine::caught_aside;
use crate::referring::Outside;
use crate::revision::{CommitId, Revision};
use crate::sync::chart::{self, Release};
use crate::sync::input::{self, Files, Input};
use crate::sync::overlay::Overlay;
use crate::sync::render::{self, Rendered, Scope};
use crate::sync::sops::{self, Keys, Opener};
use crate::sync::substitute::{self, Mask};
use crate::sync::{hash, kustomize as kustomization, status};
use crate::tool::{self, Given, Programs};

/// Paths with the id of what was there.
type Ids = BTreeMap<String, Option<String>>;

/// The objects of one revision.
#[derive(Debug, Clone)]
pub struct Rendering {
    /// The objects, in the order of their keys.
    pub manifests: Vec<Manifest>,
    /// The hash of each object as it is applied.
    pub hashes: BTreeMap<ObjectKey, String>,
    /// Every path that was read, with the id of what was there; equal ids make an equal rendering.
    read: Ids,
    /// The generation of the GitSync that it was made for.
    pub generation: Option<i64>,
    /// Tells the variables that stand in it, and the keys that it needed, from others.
    outside: String,
    /// What of it must not be shown.
    pub mask: Mask,
}

/// Renders a GitSync's path; `kept` is used again when nothing that it read has changed, and no variable.
///
/// # Errors
/// [`Reason::RenderFailed`] with every problem's file and line.
pub(crate) async fn render(
    context: &Context,
    sync: &GitSync,
    grounded: &Grounded,
    revision: &Revision,
    kept: Option<Arc<Rendering>>,
    outside: &Outside,
) -> Result<Arc<Rendering>, Failure> {
    let variables = &outside.variables;
    let keys = outside.keys.as_ref().map(Keys::fingerprint).unwrap_or_default();
    // What a chart is told and where kinds live is the cluster's.
    let fingerprint =
        format!("{}{keys}{}", variables.fingerprint(), outside.cluster.site().cluster().unwrap_or_default());
    let kept = kept.filter(|kept| kept.outside == fingerprint);
    let overlay = Overlay::of(&sync.spec);
    let reading = Reading::new(grounded.mirror.clone(), revision.commit.clone(), sync.spec.ignore.clone());
    let mut release = Release::of(sync);
    let (path, asked, keys) = (sync.spec.path.clone(), (overlay.clone(), release.clone()), outside.keys.clone());
    let read = caught_aside(move || read(reading, &path, &asked, kept, keys.as_ref())).await?;
    let (input, ids, secrets) = match read? {
        Read::Kept(rendering) => return Ok(rendering),
        Read::Fresh(fresh) => *fresh,
    };
    if matches!(input, Input::Chart(..)) {
        let served = outside.cluster.kinds().served().await;
        let served = served.map_err(|error| Failure::retry(Reason::ClusterUnavailable, error.to_string()))?;
        release.know(&served.version, served.api_versions);
    }
    let is_secret = secrets.is_some();
    let made = make(&context.settings.programs, (&overlay, &release), input, is_secret).await;
    let mut made = made.map_err(|error| Failure::retry(Reason::RenderFailed, error.to_string()))?;
    let secrets = [secrets.unwrap_or_default(), decrypt_inside(&mut made, outside.keys.as_ref())].concat();
    let mask = variables.mask().and(&secrets);
    let rendered = substitute::objects(made, variables);
    let scopes = scopes(&outside.cluster, &rendered.manifests).await?;
    let options = render::Options::of(sync);
    let finished = render::finish(rendered, &options, &|gvk| scopes.get(gvk).copied().unwrap_or(Scope::Namespaced));
    if !finished.problems.is_empty() {
        let failure = problems(&finished.problems);
        return Err(Failure { message: mask.hide(&failure.message), ..failure });
    }
    let hashes = finished.manifests.iter().map(|m| (m.key.clone(), hash::of(&m.body))).collect();
    let (manifests, generation) = (finished.manifests, sync.metadata.generation);
    Ok(Arc::new(Rendering { manifests, hashes, read: ids, generation, outside: fingerprint, mask }))
}

/// Makes objects of what was read: plain files are read as they are, and built where the spec or their folders ask for it; so is what
/// a chart makes.
///
/// # Errors
/// When a program can't be run; what it refuses is a problem of the objects.
pub(crate) async fn make(
    programs: &Programs,
    (overlay, release): (&Overlay, &Release),
    input: Input,
    is_secret: bool,
) -> Result<Rendered, tool::Error> {
    let (root, files) = match input {
        Input::Kustomization { root, files } => (root, files),
        Input::Plain(plain) => {
            let rendered = render::plain(&plain.files);
            match around(plain, overlay, rendered) {
                Ok(build) => build,
                Err(rendered) => return Ok(rendered),
            }
        }
        Input::Chart(chart, plain) => {
            let given = Given { files: &chart.files, is_secret };
            let rendered =
                match tool::helm::template(&programs.helm, chart::FOLDER, &release.arguments(&chart), given).await {
                    Ok(output) => chart::objects(&chart, &output),
                    Err(tool::Error::Refused(said)) => refused(chart.refused(&said)),
                    Err(error) => return Err(error),
                };
            match around(plain, overlay, rendered) {
                Ok(build) => build,
                Err(rendered) => return Ok(rendered),
            }
        }
    };
    let given = Given { files: &files, is_secret };
    match tool::kustomize::build(&programs.kustomize, &root, given).await {
        Ok(output) => Ok(render::from_build(&output)),
        Err(tool::Error::Refused(said)) => Ok(refused(vec![kustomization::build_problem(&said, &root)])),
        Err(error) => Err(error),
    }
}

/// The build that objects still need: its root and its files. Else the objects themselves.
fn around(plain: input::Plain, overlay: &Overlay, rendered: Rendered) -> Result<(String, input::Tree), Rendered> {
    let root = plain.root.clone();
    match plain.build(overlay, &rendered) {
        None => Err(rendered),
        Some(Err(problems)) => Err(refused(problems)),
        Some(Ok(files)) => Ok((root, files)),
    }
}

fn refused(problems: Vec<Problem>) -> Rendered {
    Rendered { manifests: Vec::new(), problems }
}

/// What a render that did not work means: the cluster keeps what it has until somebody mends the files.
fn problems(problems: &[Problem]) -> Failure {
    let texts: Vec<String> = problems.iter().map(ToString::to_string).collect();
    Failure::user(Reason::RenderFailed, status::few(&texts))
}

enum Read {
    Kept(Arc<Rendering>),
    /// What to render, what it was read from, and what of it must not be shown; none when nothing was encrypted.
    Fresh(Box<(Input, Ids, Option<Vec<String>>)>),
}

/// Reads what a render needs from the mirror; disk, so not on an async worker.
fn read(
    mut reading: Reading,
    path: &str,
    (overlay, release): &(Overlay, Release),
    kept: Option<Arc<Rendering>>,
    keys: Option<&Keys>,
) -> Result<Read, Failure> {
    if let Some(kept) = kept
        && kept.is_current(&reading.mirror, &reading.commit).map_err(|error| storage(&error))?
    {
        return Ok(Read::Kept(kept));
    }
    let root = kustomization::normalise(path).map_err(|problem| problems(&[problem]))?;
    let chosen = input::choose(&root, overlay, release, &mut reading);
    if let Some(error) = reading.broken {
        return Err(storage(&error));
    }
    let mut input = chosen.map_err(|found| problems(&found))?;
    let secrets = decrypt(&mut input, keys).map_err(|found| problems(&found))?;
    Ok(Read::Fresh(Box::new((input, reading.ids, secrets))))
}

/// Puts what encrypted files hold in their place, in memory. Returns what must not be shown from now on; none when no file was
/// encrypted.
///
/// # Errors
/// Files that the keys don't decrypt, or that were changed.
pub(crate) fn decrypt(input: &mut Input, keys: Option<&Keys>) -> Result<Option<Vec<String>>, Vec<Problem>> {
    let Some(keys) = keys else { return Ok(None) };
    let mut opener = Opener::new(keys);
    input.each_file(&mut |path, bytes| opener.open(path, bytes));
    if opener.problems.is_empty() {
        Ok(Some(opener.secrets).filter(|_| opener.has_opened))
    } else {
        Err(opener.problems)
    }
}

/// The same for files within Secrets. A Secret that is encrypted still is a problem.
pub(crate) fn decrypt_inside(rendered: &mut Rendered, keys: Option<&Keys>) -> Vec<String> {
    let mut secrets = Vec::new();
    if let Some(keys) = keys {
        let mut opener = Opener::new(keys);
        opener.open_inside(&mut rendered.manifests);
        rendered.problems.extend(opener.problems);
        secrets = opener.secrets;
    }
    rendered.problems.extend(sops::still_encrypted(&rendered.manifests, keys.is_some()));
    secrets
}

/// The files of one commit; notes the id of everything that a rendering depends on.
struct Reading {
    mirror: Mirror,
    commit: CommitId,
    ignore: Option<String>,
    ids: Ids,
    /// The blobs of plain files, by path.
    plain: BTreeMap<String, git::ObjectId>,
    broken: Option<git::Error>,
}

impl Reading {
    fn new(mirror: Mirror, commit: CommitId, ignore: Option<String>) -> Self {
        Self { mirror, commit, ignore, ids: Ids::new(), plain: BTreeMap::new(), broken: None }
    }

    /// The first error stands for all; what follows it counts for nothing.
    fn or_note<T>(&mut self, result: Result<T, git::Error>, instead: T) -> T {
        result.unwrap_or_else(|error| {
            self.broken.get_or_insert(error);
            instead
        })
    }

    /// A folder only leads to files, which are noted one by one; its own id would change with files that nobody reads.
    fn find(&mut self, path: &str) -> Result<kustomization::Entry, git::Error> {
        let entry = self.mirror.find(&self.commit, path)?;
        let (id, found) = match entry {
            Some(entry) if entry.kind == Kind::Folder => {
                let names = self.mirror.list(entry.id)?.into_iter().map(|entry| entry.name).collect();
                return Ok(kustomization::Entry::Dir(names));
            }
            Some(entry) if matches!(entry.kind, Kind::File | Kind::Executable) => {
                (Some(entry.id.to_string()), kustomization::Entry::File(self.mirror.blob(entry.id)?))
            }
            // A symbolic link may lead anywhere, so it leads nowhere.
            Some(entry) => (Some(entry.id.to_string()), kustomization::Entry::Missing),
            None => (None, kustomization::Entry::Missing),
        };
        self.ids.insert(path.to_owned(), id);
        Ok(found)
    }

    /// All files of a folder, so its own id is noted.
    fn all(&mut self, folder: &str) -> Result<Vec<String>, git::Error> {
        let Some(entry) = self.mirror.find(&self.commit, folder)? else { return Ok(Vec::new()) };
        self.ids.insert(folder.to_owned(), Some(entry.id.to_string()));
        let mut files = self.mirror.files(entry.id)?;
        files.retain(|file| matches!(file.kind, Kind::File | Kind::Executable));
        let names: Vec<String> = files.iter().map(|file| file.name.clone()).collect();
        let ignored = match &self.ignore {
            Some(patterns) => git::ignored(patterns, &names)?,
            None => vec![false; names.len()],
        };
        for file in files {
            let path = if folder.is_empty() { file.name } else { format!("{folder}/{}", file.name) };
            self.plain.insert(path, file.id);
        }
        Ok(names.into_iter().zip(ignored).filter(|(_, is_ignored)| !is_ignored).map(|(name, _)| name).collect())
    }
}

impl Files for Reading {
    fn look(&mut self, path: &str) -> kustomization::Entry {
        let found = self.find(path);
        self.or_note(found, kustomization::Entry::Missing)
    }

    fn below(&mut self, folder: &str) -> Vec<String> {
        let found = self.all(folder);
        self.or_note(found, Vec::new())
    }

    fn bytes(&mut self, path: &str) -> Vec<u8> {
        let Some(id) = self.plain.get(path) else { return Vec::new() };
        let read = self.mirror.blob(*id);
        self.or_note(read, Vec::new())
    }
}

impl Rendering {
    /// The rendering without the objects of some kinds and namespaces.
    pub(crate) fn without<T>(self: &Arc<Self>, places: &BTreeMap<(Gvk, String), T>) -> Arc<Self> {
        if places.is_empty() {
            return self.clone();
        }
        let mut rest = Self::clone(self);
        rest.manifests.retain(|m| !places.contains_key(&(m.gvk.clone(), m.key.namespace.clone())));
        Arc::new(rest)
    }

    /// Whether everything that was read is the same in this commit.
    fn is_current(&self, mirror: &Mirror, commit: &CommitId) -> Result<bool, git::Error> {
        for (path, id) in &self.read {
            if mirror.find(commit, path)?.map(|entry| entry.id.to_string()) != *id {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// Wakes what stands on a ConfigRepo whose head moved: first the GitSyncs whose files changed, then those that have nothing to report
/// but another revision, so that one change among a thousand applications does not wait for the others.
pub(crate) async fn wake(context: &Context, namespace: &str, repo: &str, head: &Grounded) {
    context.wake_writers(namespace, repo);
    let named = |sync: Arc<GitSync>| (ObjectRef::from_obj(&*sync), context.rendered(&sync));
    let syncs: Vec<(ObjectRef<GitSync>, Option<Arc<Rendering>>)> =
        context.readers(namespace, repo).map(named).collect();
    let (wakes, head) = (context.wakes.git_syncs.clone(), head.clone());
    let wake = move || {
        let is_same = |kept: &Rendering| kept.is_current(&head.mirror, &head.revision.commit).unwrap_or(false);
        // Whoever no longer listens is about to end.
        let send = |sync: ObjectRef<GitSync>| drop(wakes.send(sync));
        let mut same = Vec::new();
        for (sync, kept) in syncs {
            if kept.as_deref().is_some_and(is_same) { same.push(sync) } else { send(sync) }
        }
        same.into_iter().for_each(send);
    };
    if let Err(error) = tokio::task::spawn_blocking(wake).await {
        tracing::warn!("GitSyncs were not woken: {error}");
    }
}

fn storage(error: &git::Error) -> Failure {
    Failure::retry(Reason::GitOperationFailed, crate::failure::chain(error))
}

/// Whether the rendered kinds live in namespaces: as the server says, or as a definition among the manifests will.
async fn scopes(cluster: &Cluster, manifests: &[Manifest]) -> Result<BTreeMap<Gvk, Scope>, Failure> {
    let mut scopes = BTreeMap::new();
    for manifest in manifests {
        if scopes.contains_key(&manifest.gvk) {
            continue;
        }
        let scope = match render::builtin_scope(&manifest.gvk, manifests) {
            Some(scope) => scope,
            None => match cluster.kinds().resolve(&manifest.gvk).await {
                Ok(kind) if kind.is_namespaced => Scope::Namespaced,
                Ok(_) => Scope::Cluster,
                Err(crate::cluster::Error::UnknownKind { .. }) => Scope::Namespaced,
                Err(error) => return Err(Failure::retry(Reason::ClusterUnavailable, error.to_string())),
            },
        };
        scopes.insert(manifest.gvk.clone(), scope);
    }
    Ok(scopes)
}

/// Sees to it that an earlier revision can be read: only heads were fetched, and this was one in an earlier life.
pub async fn look_back(last: &Revision, Grounded { mirror, remote, revision, target, .. }: &Grounded) {
    if mirror.commit_info(&last.commit).is_err() {
        let fetched = mirror.fetch(remote, target, &revision.commit, Reach::History).await;
        fetched.unwrap_or_else(|error| tracing::warn!(%error, "cannot look back to {last}"));
    }
}
