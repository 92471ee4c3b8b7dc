//! `tagboat explain`: an ImagePolicy's choice, and for every other tag why not; from a file and a list of tags, or from the cluster.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use chrono::{DateTime, Utc};
use kube::ResourceExt;

use super::{Output, files, print};
use crate::api::ImagePolicy;
use crate::api::image_policy::{PolicyChoice, SemverPolicy, TagVerdict};
use crate::failure::printable;
use crate::image::{Tag, TagList, TagListBuilder};
use crate::watch::decide::{Explanation, decide};
use crate::watch::policy::Policy;

mod cluster;
mod text;

#[derive(Debug, clap::Args)]
#[command(after_help = "Offline: tagboat explain -f POLICY.yaml --tags TAGS.txt\n\
    From the cluster: tagboat explain imagepolicy NAME -n NAMESPACE")]
pub(super) struct Args {
    /// What to explain in the cluster: imagepolicy (or imgpol)
    #[arg(value_parser = ["imagepolicy", "imagepolicies", "imgpol"], requires = "name", conflicts_with = "filename")]
    kind: Option<String>,
    /// Its name
    name: Option<String>,
    /// Its namespace; else that of the kubeconfig's context
    #[arg(long, short, env = "TAGBOAT_NAMESPACE", requires = "kind")]
    namespace: Option<String>,
    /// The kubeconfig; else KUBECONFIG, the home folder's, or the cluster that it runs in
    #[arg(long, env = "TAGBOAT_KUBECONFIG", value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    /// A file with one ImagePolicy
    #[arg(short, long, value_name = "FILE", requires = "tags", required_unless_present = "kind")]
    filename: Option<PathBuf>,
    /// A file with one tag a line, and when its image was built if that matters; - is standard input
    #[arg(long, value_name = "FILE")]
    tags: Option<PathBuf>,
    /// The tag that was chosen before, which no older one replaces
    #[arg(long, value_name = "TAG")]
    current: Option<Tag>,
    /// What the policy would choose by this range of versions
    #[arg(long, value_name = "RANGE")]
    range: Option<String>,
    /// How to print
    #[arg(short, long, value_enum, default_value_t)]
    output: Output,
}

/// What a choice is made from.
#[derive(Default)]
struct Given {
    tags: TagList,
    /// When images were built, where that is known.
    built: BTreeMap<Tag, DateTime<Utc>>,
    /// Texts that are no tags, each with the reason.
    invalid: Vec<(String, String)>,
}

pub(super) fn main(args: &Args) -> anyhow::Result<ExitCode> {
    let (explanation, is_chosen) = match (&args.filename, &args.name) {
        (Some(filename), _) => offline(args, filename)?,
        (None, Some(name)) => cluster::explain(args, name)?,
        (None, None) => bail!("give -f FILE with --tags, or imagepolicy NAME"),
    };
    print(args.output, &explanation, |out| text::write(out, &explanation))?;
    Ok(if is_chosen { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn offline(args: &Args, filename: &Path) -> anyhow::Result<(Explanation, bool)> {
    let mut policies: Vec<ImagePolicy> = files::objects(filename, "ImagePolicy")?;
    let mut object = match policies.len() {
        0 => bail!("{}: holds no ImagePolicy of {}", filename.display(), crate::api::API_VERSION),
        1 => policies.remove(0),
        more => bail!("{}: holds {more} ImagePolicies; give one", filename.display()),
    };
    change(&mut object, args);
    let policy = Policy::parse(&object.spec).map_err(|invalid| anyhow::anyhow!("{}: {invalid}", filename.display()))?;
    let given = given(args.tags.as_deref().context("--tags is missing")?)?;
    let mut explanation = explained(&object, policy, args.current.as_ref(), given, &[]);
    explanation.not_checked = gates(&object);
    let is_chosen = explanation.chosen.is_some();
    Ok((explanation, is_chosen))
}

/// The small change that the person wants to see the effect of.
fn change(object: &mut ImagePolicy, args: &Args) {
    if let Some(range) = &args.range {
        object.spec.policy =
            PolicyChoice { semver: Some(SemverPolicy { range: range.clone() }), ..PolicyChoice::default() };
    }
}

/// `stopped` are the verdicts of gates that are known.
fn explained(
    object: &ImagePolicy,
    policy: Policy,
    current: Option<&Tag>,
    given: Given,
    stopped: &[TagVerdict],
) -> Explanation {
    let policy = policy.with_builds(given.built);
    let decision = decide(&policy, current, &given.tags, stopped);
    let namespace = object.namespace().unwrap_or_else(|| "default".to_owned());
    Explanation::new(&namespace, &object.name_any(), decision, given.invalid)
}

/// What only the controller can check, since it needs the registry, a signature, or to know when it saw a tag first.
fn gates(object: &ImagePolicy) -> Vec<&'static str> {
    let spec = &object.spec;
    let gates = spec.gates.clone().unwrap_or_default();
    let of = [
        ("minAge", gates.min_age.is_some()),
        ("windows", !gates.windows.is_empty()),
        ("platforms", !spec.platforms.is_empty()),
        ("verify", gates.verify.is_some()),
    ];
    of.into_iter().filter(|(_, is_set)| *is_set).map(|(name, _)| name).collect()
}

/// One tag a line, and after it the time at which its image was built; a line that is no tag is kept apart, with the reason.
fn given(path: &Path) -> anyhow::Result<Given> {
    let text = String::from_utf8(files::read(path)?).context("the list of tags is not UTF-8")?;
    let (mut tags, mut given) = (TagListBuilder::default(), Given::default());
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let (tag, built) = match line.split_once(char::is_whitespace) {
            Some((tag, built)) if built.trim().parse::<DateTime<Utc>>().is_ok() => (tag, built.trim().parse().ok()),
            _ => (line, None),
        };
        match tags.push(tag) {
            Ok(()) => given.built.extend(built.and_then(|built| Some((tag.parse().ok()?, built)))),
            Err(error) => given.invalid.push((printable(line, 128), printable(&error.to_string(), 300))),
        }
    }
    given.tags = tags.build();
    Ok(given)
}
