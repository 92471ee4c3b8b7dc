//! `tagboat update -f FILE… --path DIR`: what the ImageUpdates in the files would change in a checkout.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use kube::ResourceExt;
use serde::Serialize;

use super::{Output, files, print};
use crate::api::image_policy::ImageRef;
use crate::api::{ImagePolicy, ImageUpdate};
use crate::image::Image;
use crate::object::Problem;
use crate::update::batch::{self, Aims, Batch, Content, Settled};
use crate::update::diff;
use crate::update::edit::{self, Change, Choices, Known};
use crate::update::target::Target;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Files with ImageUpdates and ImagePolicies
    #[arg(short, long, value_name = "FILE", required = true, num_args = 1..)]
    filename: Vec<PathBuf>,
    /// The checkout of the config repository
    #[arg(long, value_name = "DIR")]
    path: PathBuf,
    /// What a policy chose: NAMESPACE:NAME=IMAGE:TAG[@DIGEST]
    #[arg(long, value_name = "CHOICE")]
    choose: Vec<String>,
    /// Change the files
    #[arg(long)]
    write: bool,
    /// How to print
    #[arg(short, long, value_enum, default_value_t)]
    output: Output,
}

#[derive(Serialize)]
struct Report<'a> {
    changes: &'a [Change],
    problems: &'a [Problem],
}

pub(super) fn main(args: &Args) -> anyhow::Result<ExitCode> {
    let (updates, policies) = objects(args)?;
    let chosen = args.choose.iter().map(|choice| choose(choice)).collect::<anyhow::Result<BTreeMap<_, _>>>()?;
    let mut texts = Texts::default();
    let mut all = Batch::default();
    for update in &updates {
        let namespace = update.namespace().unwrap_or_else(|| "default".to_owned());
        let choices = choices(update, &namespace, &policies, &chosen);
        let (targets, wrong) = Target::all(&update.spec.targets, &namespace);
        let marked = texts.marked(args, &update.spec.path)?;
        let sources = batch::sources(marked, &targets, &mut |path| texts.look(args, path))?;
        let aims = Aims { choices: &choices, namespace: Some(&namespace), targets: &targets };
        let read = &mut |path: &str| Ok::<_, anyhow::Error>(texts.bytes(path).cloned());
        let mut batch = batch::edit_new(&sources, read, &aims, &mut Settled::default())?;
        batch.problems.splice(0..0, wrong);
        texts.now.extend(batch.files);
        all.changes.extend(batch.changes);
        all.problems
            .extend(batch.problems.into_iter().filter(|problem| !all.problems.contains(problem)).collect::<Vec<_>>());
    }
    if args.write {
        for (file, bytes) in texts.changed() {
            files::write(&args.path.join(file), bytes)?;
        }
    }
    print(args.output, &Report { changes: &all.changes, problems: &all.problems }, |out| {
        texts
            .changed()
            .try_for_each(|(file, bytes)| out.write_all(diff::unified(file, &texts.before[file], bytes).as_bytes()))
    })?;
    if args.output == Output::Text {
        let mut err = std::io::stderr().lock();
        all.problems.iter().try_for_each(|problem| writeln!(err, "{problem}"))?;
    }
    Ok(if all.problems.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The files that were read, as they are on disk and as the edits so far made them.
#[derive(Default)]
struct Texts {
    before: BTreeMap<String, Vec<u8>>,
    now: BTreeMap<String, Vec<u8>>,
}

impl Texts {
    /// The files with markers, each with an id that nothing else in this run has.
    fn marked(&mut self, args: &Args, below: &str) -> anyhow::Result<Vec<(String, String)>> {
        let mut found = Vec::new();
        for file in files::walk(&args.path, below)? {
            if !edit::is_marked_file_name(file.rsplit('/').next().unwrap_or(&file)) {
                continue;
            }
            if !self.before.contains_key(&file) {
                self.before.insert(file.clone(), files::read(&args.path.join(&file))?);
            }
            if self.bytes(&file).is_some_and(|bytes| edit::has_marker(bytes)) {
                found.push((file, String::new()));
            }
        }
        Ok(found)
    }

    /// What a target finds at its path.
    fn look(&mut self, args: &Args, path: &str) -> anyhow::Result<Content> {
        if self.before.contains_key(path) {
            return Ok(Content::File(String::new()));
        }
        Ok(match files::below(&args.path, path)? {
            Ok(bytes) => {
                self.before.insert(path.to_owned(), bytes);
                Content::File(String::new())
            }
            Err(why) => Content::Nothing(why),
        })
    }

    /// A file as the edits so far made it.
    fn bytes(&self, file: &str) -> Option<&Vec<u8>> {
        self.now.get(file).or_else(|| self.before.get(file))
    }

    fn changed(&self) -> impl Iterator<Item = (&String, &Vec<u8>)> {
        self.now.iter().filter(|(file, bytes)| self.before[*file] != **bytes)
    }
}

fn objects(args: &Args) -> anyhow::Result<(Vec<ImageUpdate>, Vec<ImagePolicy>)> {
    let (mut updates, mut policies) = (Vec::new(), Vec::new());
    for file in &args.filename {
        updates.extend(files::objects::<ImageUpdate>(file, "ImageUpdate")?);
        policies.extend(files::objects::<ImagePolicy>(file, "ImagePolicy")?);
    }
    if updates.is_empty() {
        bail!("the files hold no ImageUpdate of {}", crate::api::API_VERSION);
    }
    Ok((updates, policies))
}

/// Reads `NAMESPACE:NAME=IMAGE:TAG[@DIGEST]`.
fn choose(text: &str) -> anyhow::Result<(String, Image)> {
    let (policy, image) =
        text.split_once('=').with_context(|| format!("--choose {text}: write NAMESPACE:NAME=IMAGE:TAG"))?;
    let is_policy = policy.split_once(':').is_some_and(|(namespace, name)| !namespace.is_empty() && !name.is_empty());
    if !is_policy {
        bail!("--choose {text}: {policy:?} is no NAMESPACE:NAME");
    }
    Ok((policy.to_owned(), image.parse().with_context(|| format!("--choose {text}"))?))
}

/// What the policies chose: by `--choose`, else by the status in their file.
fn choices(
    update: &ImageUpdate,
    namespace: &str,
    policies: &[ImagePolicy],
    chosen: &BTreeMap<String, Image>,
) -> Choices {
    let mut choices: Choices = chosen.iter().map(|(id, image)| (id.clone(), Known::Chosen(image.clone()))).collect();
    for policy in policies {
        let policy_namespace = policy.namespace().unwrap_or_else(|| "default".to_owned());
        let id = format!("{policy_namespace}:{}", policy.name_any());
        let latest = policy.status.as_ref().and_then(|status| status.latest_ref.as_ref());
        let by_status = latest.and_then(ImageRef::image);
        let known = match chosen.get(&id).cloned().or(by_status) {
            _ if policy_namespace == namespace && !update.spec.policy_selector.matches(policy.labels()) => {
                Known::NotSelected
            }
            Some(image) => Known::Chosen(image),
            None => Known::Undecided,
        };
        choices.insert(id, known);
    }
    choices
}
