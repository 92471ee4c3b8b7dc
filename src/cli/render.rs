//! `tagboat render DIR [-f GITSYNC.yaml]`: the objects that a GitSync would apply.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use kube::ResourceExt;
use serde::Serialize;
use serde_json::Value;

use super::{Output, ProgramArgs, files};
use crate::api::GitSync;
use crate::api::git_sync::Decryption;
use crate::object::Problem;
use crate::sync::chart::Release;
use crate::sync::input::{self, Files};
use crate::sync::overlay::Overlay;
use crate::sync::render::{self, Rendered, Scope};
use crate::sync::sops::Keys;
use crate::sync::{kustomize as kustomization, referred, substitute, yaml};
use crate::{referring, rendering};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The folder; with -f, a checkout's root that holds the GitSync's path, or that path itself
    dir: PathBuf,
    /// A file with one GitSync, of which all is used that makes objects; ConfigMaps and Secrets that it takes variables from may stand
    /// beside it
    #[arg(short, long, value_name = "FILE")]
    filename: Option<PathBuf>,
    #[command(flatten)]
    programs: ProgramArgs,
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
    let rendered = read(root, &path, args, sync.as_ref())?;
    let finished = match (&sync, &args.filename) {
        (Some(sync), Some(file)) => finish(substituted(rendered, sync, file)?, sync),
        _ => rendered,
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

fn read(root: PathBuf, path: &str, args: &Args, sync: Option<&GitSync>) -> anyhow::Result<Rendered> {
    let overlay = sync.map(|sync| Overlay::of(&sync.spec)).unwrap_or_default();
    let name = path.rsplit('/').next().filter(|name| !name.is_empty()).unwrap_or("release");
    let release = sync.map_or_else(|| Release::named(name), Release::of);
    let mut disk = Disk { root, ignore: sync.and_then(|sync| sync.spec.ignore.clone()), broken: None };
    let chosen = input::choose(path, &overlay, &release, &mut disk);
    if let Some(error) = disk.broken {
        return Err(error);
    }
    let mut input = match chosen {
        Ok(input) => input,
        Err(problems) => return Ok(Rendered { manifests: Vec::new(), problems }),
    };
    let keys = sync.and_then(|sync| Some((sync.spec.decryption.as_ref()?, sync)));
    let keys = keys.map(|(wanted, sync)| keys_of(wanted, sync, args)).transpose()?;
    let secrets = match rendering::decrypt(&mut input, keys.as_ref()) {
        Ok(secrets) => secrets,
        Err(problems) => return Ok(Rendered { manifests: Vec::new(), problems }),
    };
    let runtime = tokio::runtime::Runtime::new().context("start the runtime")?;
    let programs = args.programs.clone().into();
    let made = rendering::make(&programs, (&overlay, &release), input, secrets.is_some());
    let mut made = runtime.block_on(made)?;
    rendering::decrypt_inside(&mut made, keys.as_ref());
    Ok(made)
}

/// The keys of the Secret in the file of the GitSync.
fn keys_of(wanted: &Decryption, sync: &GitSync, args: &Args) -> anyhow::Result<Keys> {
    let Some(file) = &args.filename else { bail!("keys come from the file of the GitSync") };
    let (documents, _) = yaml::documents("", &files::read(file)?);
    let namespace = sync.namespace().unwrap_or_else(|| "default".to_owned());
    let held = held(&documents, "Secret", &wanted.secret_ref.name, sync);
    let keys = referring::keys_of(wanted, held, &namespace);
    keys.map_err(|failure| anyhow::anyhow!("{}: {failure}; it may stand in this file", file.display()))
}

/// What a ConfigMap or Secret among documents holds.
fn held(documents: &[yaml::Document], kind: &str, name: &str, sync: &GitSync) -> Option<referred::Data> {
    let is_it = |object: &&Value| {
        object["kind"] == kind
            && object["apiVersion"] == "v1"
            && object["metadata"]["name"] == name
            && object["metadata"]["namespace"].as_str() == sync.metadata.namespace.as_deref()
    };
    documents.iter().map(|document| &document.value).find(is_it).map(referred::data)
}

/// The files of a checkout.
struct Disk {
    root: PathBuf,
    ignore: Option<String>,
    broken: Option<anyhow::Error>,
}

impl Disk {
    fn all(&self, folder: &str) -> anyhow::Result<Vec<String>> {
        let inside = |file: String| match folder {
            "" => Some(file),
            folder => file.strip_prefix(folder)?.strip_prefix('/').map(str::to_owned),
        };
        let names: Vec<String> = files::walk(&self.root, folder)?.into_iter().filter_map(inside).collect();
        let Some(patterns) = &self.ignore else { return Ok(names) };
        let ignored = crate::git::ignored(patterns, &names)?;
        Ok(names.into_iter().zip(ignored).filter(|(_, is_ignored)| !is_ignored).map(|(name, _)| name).collect())
    }
}

impl Files for Disk {
    fn look(&mut self, path: &str) -> kustomization::Entry {
        match (files::names(&self.root.join(path)), files::read_plain(&self.root.join(path))) {
            (Some(names), _) => kustomization::Entry::Dir(names.into_keys().collect()),
            (None, Some(bytes)) => kustomization::Entry::File(bytes),
            (None, None) => kustomization::Entry::Missing,
        }
    }

    fn below(&mut self, folder: &str) -> Vec<String> {
        self.all(folder).unwrap_or_else(|error| {
            self.broken.get_or_insert(error);
            Vec::new()
        })
    }

    fn bytes(&mut self, path: &str) -> Vec<u8> {
        files::read(&self.root.join(path)).unwrap_or_else(|error| {
            self.broken.get_or_insert(error);
            Vec::new()
        })
    }
}

/// With the variables of the spec, and those of ConfigMaps and Secrets in the same file.
fn substituted(rendered: Rendered, sync: &GitSync, file: &Path) -> anyhow::Result<Rendered> {
    let bytes = files::read(file)?;
    let (documents, _) = yaml::documents("", &bytes);
    let sources = sync.spec.post_build.iter().flat_map(|build| &build.substitute_from);
    let held: Vec<_> =
        sources.map(|source| (source, held(&documents, source.kind.as_str(), &source.name, sync))).collect();
    let namespace = sync.namespace().unwrap_or_else(|| "default".to_owned());
    let variables = referring::gather(sync.spec.post_build.as_ref(), &held, &namespace)
        .map_err(|failure| anyhow::anyhow!("{}: {failure}; it may stand in this file", file.display()))?;
    Ok(substitute::objects(rendered, &variables))
}

/// As the controller would apply it; a kind that is neither built in nor defined among the manifests is taken as namespaced.
fn finish(rendered: Rendered, sync: &GitSync) -> Rendered {
    let manifests = rendered.manifests.clone();
    let scope = |gvk: &_| render::builtin_scope(gvk, &manifests).unwrap_or(Scope::Namespaced);
    render::finish(rendered, &render::Options::of(sync), &scope)
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
