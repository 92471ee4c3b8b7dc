//! Loop two's first half: files of one revision → objects. Joins the mirror, the real kustomize and the pure render step,
//! and keeps what it made for as long as everything that it read is unchanged.

use std::collections::BTreeMap;
use std::sync::Arc;

use kube::ResourceExt;

use crate::api::GitSync;
use crate::api::condition::Reason;
use crate::context::{Context, Grounded};
use crate::failure::Failure;
use crate::git::{self, Kind, Mirror};
use crate::kustomize;
use crate::object::{Gvk, Manifest, ObjectKey, Problem};
use crate::revision::{CommitId, Revision};
use crate::sync::render::{self, Rendered, Scope};
use crate::sync::{hash, kustomize as kustomization, status};

/// The objects of one revision.
#[derive(Debug, Clone)]
pub struct Rendering {
    /// The objects, in the order of their keys.
    pub manifests: Vec<Manifest>,
    /// The hash of each object as it is applied.
    pub hashes: BTreeMap<ObjectKey, String>,
    /// Every path that was read, with the id of what was there; equal ids make an equal rendering.
    read: BTreeMap<String, Option<String>>,
}

/// Renders a GitSync's path; `kept` is used again when nothing that it read has changed.
///
/// # Errors
/// [`Reason::RenderFailed`] with every problem's file and line.
pub async fn render(
    context: &Context,
    sync: &GitSync,
    grounded: &Grounded,
    revision: &Revision,
    kept: Option<Arc<Rendering>>,
) -> Result<Arc<Rendering>, Failure> {
    let (mirror, commit) = (grounded.mirror.clone(), revision.commit.clone());
    let path = sync.spec.path.clone();
    let read = tokio::task::spawn_blocking(move || read(&mirror, &commit, &path, kept));
    let read =
        read.await.map_err(|error| Failure::retry(Reason::InternalError, format!("the read broke off: {error}")))?;
    let (input, ids) = match read? {
        Read::Kept(rendering) => return Ok(rendering),
        Read::Fresh(input, ids) => (input, ids),
    };
    let rendered = match input {
        Input::Plain(files) => render::plain(&files),
        Input::Kustomization { root, files } => {
            match kustomize::build(&context.settings.kustomize, &root, &files).await {
                Ok(output) => render::from_build(&output),
                Err(kustomize::Error::Refused(said)) => {
                    Rendered { manifests: Vec::new(), problems: vec![kustomization::build_problem(&said, &root)] }
                }
                Err(error) => return Err(Failure::retry(Reason::RenderFailed, error.to_string())),
            }
        }
    };
    let scopes = scopes(context, &rendered.manifests).await?;
    let owner = (sync.namespace().unwrap_or_default(), sync.name_any());
    let options = render::Options { owner, target_namespace: sync.spec.target_namespace.clone() };
    let finished = render::finish(rendered, &options, &|gvk| scopes.get(gvk).copied().unwrap_or(Scope::Namespaced));
    if !finished.problems.is_empty() {
        return Err(problems(&finished.problems));
    }
    let hashes = finished.manifests.iter().map(|m| (m.key.clone(), hash::of(&m.body))).collect();
    Ok(Arc::new(Rendering { manifests: finished.manifests, hashes, read: ids }))
}

/// What a render that did not work means: the cluster keeps what it has until somebody mends the files.
fn problems(problems: &[Problem]) -> Failure {
    let texts: Vec<String> = problems.iter().map(ToString::to_string).collect();
    Failure::user(Reason::RenderFailed, status::few(&texts))
}

enum Input {
    Plain(Vec<(String, Vec<u8>)>),
    Kustomization { root: String, files: BTreeMap<String, Vec<u8>> },
}

enum Read {
    Kept(Arc<Rendering>),
    Fresh(Input, BTreeMap<String, Option<String>>),
}

/// Reads what a render needs from the mirror; disk, so not on an async worker.
fn read(mirror: &Mirror, commit: &CommitId, path: &str, kept: Option<Arc<Rendering>>) -> Result<Read, Failure> {
    if let Some(kept) = kept
        && kept.is_current(mirror, commit).map_err(|error| storage(&error))?
    {
        return Ok(Read::Kept(kept));
    }
    let root = kustomization::normalise(path).map_err(|problem| problems(&[problem]))?;
    let missing = || {
        problems(&[Problem {
            file: path.to_owned(),
            line: 0,
            reason: "the folder is not in the repository".to_owned(),
        }])
    };
    let folder = mirror.find(commit, &root).map_err(|error| storage(&error))?;
    let folder = folder.filter(|folder| folder.kind == Kind::Folder).ok_or_else(missing)?;
    let entries = mirror.list(folder.id).map_err(|error| storage(&error))?;
    if entries.iter().any(|entry| kustomization::is_kustomization(&entry.name)) {
        return read_kustomization(mirror, commit, root);
    }
    let mut files = Vec::new();
    for entry in mirror.files(folder.id).map_err(|error| storage(&error))? {
        let is_plain = matches!(entry.kind, Kind::File | Kind::Executable);
        if is_plain && render::is_manifest_file_name(&entry.name) {
            let path = if root.is_empty() { entry.name } else { format!("{root}/{}", entry.name) };
            files.push((path, mirror.blob(entry.id).map_err(|error| storage(&error))?));
        }
    }
    let ids = BTreeMap::from([(root, Some(folder.id.to_string()))]);
    Ok(Read::Fresh(Input::Plain(files), ids))
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

/// Reads only the files that the build reads, and notes each of them. A folder only leads to files, which are noted one by
/// one; its own id would change with files that the build never reads.
fn read_kustomization(mirror: &Mirror, commit: &CommitId, root: String) -> Result<Read, Failure> {
    let mut ids = BTreeMap::new();
    let mut broken = None;
    let walked = kustomization::walk(&root, &mut |path: &str| {
        let found = look(mirror, commit, path, &mut ids);
        found.unwrap_or_else(|error| {
            broken.get_or_insert(error);
            kustomization::Entry::Missing
        })
    });
    if let Some(error) = broken {
        return Err(storage(&error));
    }
    let walked = walked.map_err(|found| problems(found.as_slice()))?;
    Ok(Read::Fresh(Input::Kustomization { root, files: walked.files }, ids))
}

fn look(
    mirror: &Mirror,
    commit: &CommitId,
    path: &str,
    ids: &mut BTreeMap<String, Option<String>>,
) -> Result<kustomization::Entry, git::Error> {
    let entry = mirror.find(commit, path)?;
    let (id, found) = match entry {
        Some(entry) if entry.kind == Kind::Folder => {
            let names = mirror.list(entry.id)?.into_iter().map(|entry| entry.name).collect();
            return Ok(kustomization::Entry::Dir(names));
        }
        Some(entry) if matches!(entry.kind, Kind::File | Kind::Executable) => {
            (Some(entry.id.to_string()), kustomization::Entry::File(mirror.blob(entry.id)?))
        }
        // A symbolic link may lead anywhere, so it leads nowhere.
        Some(entry) => (Some(entry.id.to_string()), kustomization::Entry::Missing),
        None => (None, kustomization::Entry::Missing),
    };
    ids.insert(path.to_owned(), id);
    Ok(found)
}

fn storage(error: &git::Error) -> Failure {
    Failure::retry(Reason::GitOperationFailed, crate::failure::chain(error))
}

/// Whether the rendered kinds live in namespaces: as the server says, or as a definition among the manifests will.
async fn scopes(context: &Context, manifests: &[Manifest]) -> Result<BTreeMap<Gvk, Scope>, Failure> {
    let mut scopes = BTreeMap::new();
    for manifest in manifests {
        if scopes.contains_key(&manifest.gvk) {
            continue;
        }
        let scope = match render::builtin_scope(&manifest.gvk, manifests) {
            Some(scope) => scope,
            None => match context.cluster.kinds().resolve(&manifest.gvk).await {
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
