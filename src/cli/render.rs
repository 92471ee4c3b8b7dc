//! `tagboat render DIR [-f GITSYNC.yaml]`: the objects that a GitSync would apply.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use kube::ResourceExt;
use serde::Serialize;
use serde_json::Value;

use super::{Output, files};
use crate::api::GitSync;
use crate::object::Problem;
use crate::sync::kustomize as kustomization;
use crate::sync::render::{self, Rendered, Scope};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The folder; with -f, a checkout's root that holds the GitSync's path, or that path itself
    dir: PathBuf,
    /// A file with one GitSync: its name, namespace and targetNamespace are used
    #[arg(short, long, value_name = "FILE")]
    filename: Option<PathBuf>,
    /// The kustomize program
    #[arg(long, env = "TAGBOAT_KUSTOMIZE", default_value = "kustomize", value_name = "FILE")]
    kustomize: PathBuf,
    /// How to print; text is a multi-document YAML
    #[arg(short, long, value_enum, default_value_t)]
    output: Output,
}

#[derive(Serialize)]
struct Report {
    objects: Vec<Value>,
    problems: Vec<Problem>,
}

pub(super) fn main(args: &Args) -> anyhow::Result<ExitCode> {
    let sync = args.filename.as_deref().map(one_sync).transpose()?;
    let inside = sync
        .as_ref()
        .map(|sync| args.dir.join(files::clean(&sync.spec.path)))
        .filter(|path| files::names(path).is_some());
    let folder = inside.unwrap_or_else(|| args.dir.clone());
    if files::names(&folder).is_none() {
        bail!("{}: is no folder", folder.display());
    }
    let (root, path) = files::checkout(&folder)?;
    let rendered = read(&root, &path, &args.kustomize)?;
    let finished = match &sync {
        Some(sync) => finish(rendered, sync),
        None => rendered,
    };
    let has_problems = !finished.problems.is_empty();
    write(args.output, finished)?;
    Ok(if has_problems { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn one_sync(file: &Path) -> anyhow::Result<GitSync> {
    let mut syncs: Vec<GitSync> = files::objects(file, "GitSync")?;
    match syncs.len() {
        1 => Ok(syncs.remove(0)),
        count => bail!("{}: holds {count} GitSyncs of {}; give one", file.display(), crate::api::API_VERSION),
    }
}

fn read(root: &Path, path: &str, kustomize: &Path) -> anyhow::Result<Rendered> {
    let names = files::names(&root.join(path)).unwrap_or_default();
    if !names.keys().any(|name| kustomization::is_kustomization(name)) {
        let found = files::walk(root, path)?.into_iter().filter(|file| render::is_manifest_file_name(file));
        let read = found.map(|file| anyhow::Ok((file.clone(), files::read(&root.join(&file))?)));
        return Ok(render::plain(&read.collect::<anyhow::Result<Vec<_>>>()?));
    }
    let mut look = |path: &str| match (files::names(&root.join(path)), files::read_plain(&root.join(path))) {
        (Some(names), _) => kustomization::Entry::Dir(names.into_keys().collect()),
        (None, Some(bytes)) => kustomization::Entry::File(bytes),
        (None, None) => kustomization::Entry::Missing,
    };
    let walked = match kustomization::walk(path, &mut look) {
        Ok(walked) => walked,
        Err(problems) => return Ok(Rendered { manifests: Vec::new(), problems }),
    };
    let runtime = tokio::runtime::Runtime::new().context("start the runtime")?;
    match runtime.block_on(crate::kustomize::build(kustomize, path, &walked.files)) {
        Ok(output) => Ok(render::from_build(&output)),
        Err(crate::kustomize::Error::Refused(said)) => {
            Ok(Rendered { manifests: Vec::new(), problems: vec![kustomization::build_problem(&said, path)] })
        }
        Err(error) => Err(error.into()),
    }
}

/// As the controller would apply it; a kind that is neither built in nor defined among the manifests is taken as namespaced.
fn finish(rendered: Rendered, sync: &GitSync) -> Rendered {
    let owner = (sync.namespace().unwrap_or_else(|| "default".to_owned()), sync.name_any());
    let options = render::Options { owner, target_namespace: sync.spec.target_namespace.clone() };
    let manifests = rendered.manifests.clone();
    render::finish(rendered, &options, &|gvk| render::builtin_scope(gvk, &manifests).unwrap_or(Scope::Namespaced))
}

fn write(output: Output, rendered: Rendered) -> anyhow::Result<()> {
    let objects: Vec<Value> = rendered.manifests.into_iter().map(|manifest| manifest.body).collect();
    if output == Output::Text {
        let mut out = std::io::stdout().lock();
        for object in &objects {
            write!(out, "---\n{}", serde_yaml::to_string(object)?)?;
        }
        let mut err = std::io::stderr().lock();
        rendered.problems.iter().try_for_each(|problem| writeln!(err, "{problem}"))?;
        return Ok(());
    }
    super::print(output, &Report { objects, problems: rendered.problems }, |_| Ok(()))
}
