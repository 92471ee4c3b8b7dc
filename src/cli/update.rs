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
use crate::update::batch::{self, Batch};
use crate::update::diff;
use crate::update::edit::{self, Change, Choices, Known};

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
        let found = texts.marked(args, &update.spec.path)?;
        let batch = batch::edit_all(&found, &choices, Some(&namespace));
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

/// The marked files that were read, as they are on disk and as the edits so far made them.
#[derive(Default)]
struct Texts {
    before: BTreeMap<String, Vec<u8>>,
    now: BTreeMap<String, Vec<u8>>,
}

impl Texts {
    fn marked(&mut self, args: &Args, below: &str) -> anyhow::Result<Vec<(String, Vec<u8>)>> {
        let mut found = Vec::new();
        for file in files::walk(&args.path, below)? {
            if !edit::is_marked_file_name(file.rsplit('/').next().unwrap_or(&file)) {
                continue;
            }
            if !self.before.contains_key(&file) {
                self.before.insert(file.clone(), files::read(&args.path.join(&file))?);
            }
            let bytes = self.now.get(&file).unwrap_or(&self.before[&file]);
            if edit::has_marker(bytes) {
                found.push((file, bytes.clone()));
            }
        }
        Ok(found)
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
