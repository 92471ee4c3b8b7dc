//! `tagboat lint PATH`: markers that cannot work, files that do not parse and targets that name nothing, as `file:line: reason`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde::Serialize;
use serde_json::Value;

use super::{Output, files, print};
use crate::api::image_update::ImageTarget;
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
    // Targets are named from the repository's root.
    let folder = if is_folder { root } else { args.path.parent().unwrap_or(root) };
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let checkout = files::repository(folder).unwrap_or_else(|| folder.to_owned());
    let mut problems = Vec::new();
    for file in found {
        let name = file.rsplit('/').next().unwrap_or(&file);
        if is_folder && !edit::is_marked_file_name(name) {
            continue;
        }
        let bytes = files::read(&root.join(&file))?;
        problems.extend(lint::lint(&file, &bytes, None));
        if files::has(&bytes, "ImageUpdate") {
            problems.extend(targets(&file, &bytes, &checkout)?);
        }
    }
    print(args.output, &Report { problems: &problems }, |out| {
        problems.iter().try_for_each(|problem| writeln!(out, "{problem}"))
    })?;
    Ok(if problems.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// What is wrong with the targets of the ImageUpdates in a file, looked for in a checkout. Whether the ImageUpdate belongs
/// to this repository can't be seen here; it is taken for granted.
fn targets(file: &str, bytes: &[u8], checkout: &Path) -> anyhow::Result<Vec<Problem>> {
    let mut problems = Vec::new();
    for document in files::documents(bytes, "ImageUpdate") {
        let name = document.value.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default();
        let problem = |reason: String| Problem {
            file: file.to_owned(),
            line: document.line,
            reason: format!("ImageUpdate {name}: {reason}"),
        };
        let Some(specs) = document.value.pointer("/spec/targets") else { continue };
        let specs: Vec<ImageTarget> = match serde_json::from_value(specs.clone()) {
            Ok(specs) => specs,
            Err(error) => {
                problems.push(problem(format!("spec.targets: {error}")));
                continue;
            }
        };
        for spec in &specs {
            let found = lint::target(spec, &mut |path: &str| files::below(checkout, path))?;
            problems.extend(found.map(|found| problem(found.to_string())));
        }
    }
    Ok(problems)
}
