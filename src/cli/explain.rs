//! `tagboat explain -f POLICY.yaml --tags TAGS.txt|-`: the choice, and for every other tag why not.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use kube::ResourceExt;

use super::{Output, files, print};
use crate::api::ImagePolicy;
use crate::image::{Tag, TagList, TagListBuilder};
use crate::watch::decide::{Explanation, decide};
use crate::watch::policy::Policy;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// A file with one ImagePolicy
    #[arg(short, long, value_name = "FILE")]
    filename: PathBuf,
    /// A file with one tag a line; - is standard input
    #[arg(long, value_name = "FILE")]
    tags: PathBuf,
    /// The tag that was chosen before, which no older one replaces
    #[arg(long, value_name = "TAG")]
    current: Option<String>,
    /// How to print
    #[arg(short, long, value_enum, default_value_t)]
    output: Output,
}

pub(super) fn main(args: &Args) -> anyhow::Result<ExitCode> {
    let mut policies: Vec<ImagePolicy> = files::objects(&args.filename, "ImagePolicy")?;
    let object = match policies.len() {
        0 => bail!("{}: holds no ImagePolicy of {}", args.filename.display(), crate::api::API_VERSION),
        1 => policies.remove(0),
        more => bail!("{}: holds {more} ImagePolicies; give one", args.filename.display()),
    };
    let policy =
        Policy::parse(&object.spec).map_err(|invalid| anyhow::anyhow!("{}: {invalid}", args.filename.display()))?;
    let current = args.current.as_deref().map(str::parse::<Tag>).transpose()?;
    let text = String::from_utf8(files::read(&args.tags)?).context("the list of tags is not UTF-8")?;
    let (tags, invalid) = read_tags(&text);
    let decision = decide(&policy, current.as_ref(), &tags);
    let explanation = Explanation::new(
        &object.namespace().unwrap_or_else(|| "default".to_owned()),
        &object.name_any(),
        decision,
        invalid,
    );
    print(args.output, &explanation, |out| write_text(out, &explanation))?;
    Ok(if explanation.chosen.is_some() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// One tag a line; a line that is no tag is kept apart, with the reason.
fn read_tags(text: &str) -> (TagList, Vec<(String, String)>) {
    let (mut tags, mut invalid) = (TagListBuilder::default(), Vec::new());
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        if let Err(error) = tags.push(line) {
            invalid.push((crate::failure::printable(line, 128), crate::failure::printable(&error.to_string(), 300)));
        }
    }
    (tags.build(), invalid)
}

fn write_text(out: &mut dyn std::io::Write, explanation: &Explanation) -> std::io::Result<()> {
    let name = format!("{}/{}", explanation.policy.namespace, explanation.policy.name);
    match &explanation.chosen {
        Some(chosen) => writeln!(out, "{name} chooses {}", chosen.tag)?,
        None => writeln!(out, "{name} chooses nothing: no tag may run")?,
    }
    let width = explanation.tags.iter().map(|tag| tag.tag.chars().count()).max().unwrap_or(0).min(60);
    for tag in &explanation.tags {
        writeln!(out, "  {:width$}  {:8}  {}", tag.tag, tag.verdict, tag.reason)?;
    }
    Ok(())
}
