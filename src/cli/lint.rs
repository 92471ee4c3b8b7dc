//! `tagboat lint PATH`: markers that cannot work, files that do not parse, targets that name nothing, values that follow two
//! policies and policies that nothing follows, as `file:line: reason`.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde::Serialize;
use serde_json::Value;

use super::{Output, files, print};
use crate::api::image_update::ImageTarget;
use crate::object::Problem;
use crate::update::lint::checkout::Manifests;
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
    let mut read = Vec::new();
    let mut manifests = Manifests::default();
    for file in found {
        let name = file.rsplit('/').next().unwrap_or(&file);
        if is_folder && !edit::is_marked_file_name(name) {
            continue;
        }
        let bytes = files::read(&root.join(&file))?;
        let text = String::from_utf8_lossy(&bytes);
        if text.contains("ImageUpdate") {
            problems.extend(targets(&file, &bytes, &checkout)?);
        }
        // A single file says nothing about who else there is.
        if is_folder && (text.contains("ImageUpdate") || text.contains("ImagePolicy")) {
            let policies = files::documents(&bytes, "ImagePolicy");
            policies.iter().for_each(|found| manifests.add_policy(&file, found.line, &found.value));
            files::documents(&bytes, "ImageUpdate").iter().for_each(|found| manifests.add_update(&found.value));
        }
        if edit::has_marker(&bytes) {
            read.push((file, bytes));
        }
    }
    let inside = inside(folder, &checkout)?;
    problems.extend(markers(&read, &manifests, &inside));
    let is_read = |path: &str| read.iter().any(|(file, _)| path.strip_prefix(&inside) == Some(file));
    for path in manifests.targeted().iter().filter(|path| !is_read(path)) {
        if let Ok(bytes) = files::below(&checkout, path)? {
            problems.extend(lint::rivals(path, &bytes, &BTreeSet::new(), &manifests.targets(path)));
        }
    }
    problems.sort_by(|a, b| (&a.file, a.line).cmp(&(&b.file, b.line)));
    print(args.output, &Report { problems: &problems }, |out| {
        problems.iter().try_for_each(|problem| writeln!(out, "{problem}"))
    })?;
    Ok(if problems.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Where a folder is in its checkout: a path with a slash at its end, or nothing.
fn inside(folder: &Path, checkout: &Path) -> anyhow::Result<String> {
    let (folder, checkout) = (files::full(folder)?, files::full(checkout)?);
    let inside = folder.strip_prefix(&checkout).unwrap_or(Path::new("")).to_string_lossy().replace('\\', "/");
    Ok(if inside.is_empty() { inside } else { inside + "/" })
}

/// What is wrong with markers, and which policies have neither marker nor target.
fn markers(read: &[(String, Vec<u8>)], manifests: &Manifests, inside: &str) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut named = BTreeSet::new();
    for (file, bytes) in read {
        let place = format!("{inside}{file}");
        let mut here = BTreeSet::new();
        problems.extend(lint::lint(file, bytes, &mut |marker| {
            here.insert(marker.policy());
            manifests.marker(&place, marker)
        }));
        problems.extend(lint::rivals(file, bytes, &here, &manifests.targets(&place)));
        named.extend(here);
    }
    // Of a part, or of a repository in which nothing follows a policy, it can't be told.
    if inside.is_empty() && !(named.is_empty() && manifests.targeted().is_empty()) {
        problems.extend(manifests.idle(&named));
    }
    problems
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
