//! `tagboat lint PATH`: markers that cannot work and files that do not parse, as `file:line: reason`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde::Serialize;

use super::{Output, files, print};
use crate::object::Problem;
use crate::update::{edit, lint};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// A file, or a folder to look through
    path: PathBuf,
    /// How to print
    #[arg(short, long, value_enum, default_value_t)]
    output: Output,
}

#[derive(Serialize)]
struct Report<'a> {
    problems: &'a [Problem],
}

pub(super) fn main(args: &Args) -> anyhow::Result<ExitCode> {
    let is_folder = files::names(&args.path).is_some();
    let root: &Path = if is_folder { &args.path } else { Path::new("") };
    let found = if is_folder { files::walk(root, "")? } else { vec![args.path.to_string_lossy().into_owned()] };
    let mut problems = Vec::new();
    for file in found {
        let name = file.rsplit('/').next().unwrap_or(&file);
        if is_folder && !edit::is_marked_file_name(name) {
            continue;
        }
        problems.extend(lint::lint(&file, &files::read(&root.join(&file))?, None));
    }
    print(args.output, &Report { problems: &problems }, |out| {
        problems.iter().try_for_each(|problem| writeln!(out, "{problem}"))
    })?;
    Ok(if problems.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
