//! The words of a failed `kustomize build` → one problem with its file, without what patches and generators hold.

use std::collections::BTreeMap;

use super::{is_kustomization, join};
use crate::object::Problem;
use crate::sync::yaml;

/// The longest reason, in characters.
const REASON: usize = 600;

/// What a failed build of `root` means. `stderr` comes without the name of the folder in which the build ran.
///
/// The line is the one that kustomize names; it counts from the start of the YAML document, so it is the file's only in the
/// first one: [`broken_files`] knows better.
pub fn build_problem(stderr: &str, root: &str) -> Problem {
    let said = stderr.split_once("Error: ").map_or(stderr, |(_, said)| said);
    let said = without_contents(said);
    let folder =
        between_last(&said, "recursed accumulation of path '", "'").map_or(root, |path| path.trim_start_matches('/'));
    let (file, reason) = match said.rsplit_once("accumulating resources from '") {
        Some((_, rest)) => match rest.split_once("': ") {
            Some((file, reason)) => (Some(file), reason),
            None => (None, rest),
        },
        None => (None, said.as_str()),
    };
    let reason = reason.split("': must build at directory").next().unwrap_or(reason);
    let (reason, named) = match reason.rsplit_once(" in File: ") {
        Some((reason, file)) => (reason, Some(file.trim())),
        None => (reason, None),
    };
    let path = named.or(file).and_then(|file| join(folder, file)).unwrap_or_else(|| folder.to_owned());
    let line = between_last(reason, "yaml: line ", ":").and_then(|line| line.parse().ok()).unwrap_or(0);
    let reason = reason.replace(&format!("/{root}/"), &format!("{root}/"));
    Problem { file: path, line, reason: format!("kustomize build failed: {}", bounded(&reason)) }
}

/// Files of a failed build that are no YAML, each with its true line: a better reason than kustomize's own, if there is one.
pub fn broken_files(files: &BTreeMap<String, Vec<u8>>) -> Vec<Problem> {
    let is_yaml = |path: &str| {
        let name = path.rsplit('/').next().unwrap_or(path);
        is_kustomization(name) || name.ends_with(".yaml") || name.ends_with(".yml")
    };
    files.iter().filter(|(path, _)| is_yaml(path)).flat_map(|(path, bytes)| yaml::documents(path, bytes).1).collect()
}

/// Cuts out what kustomize quotes of patches and generators, since that may be a Secret's.
fn without_contents(said: &str) -> String {
    let mut text = said.to_owned();
    // The last is how Go shows an object.
    let quotes = [("with config: `", "`"), ("from [", "]\n"), ("from [", "]"), ("map[string]interface {}{", "}: ")];
    for (start, end) in quotes {
        while let Some(from) = text.find(start) {
            let after = from + start.len();
            let to = text[after..].rfind(end).map_or(text.len(), |at| after + at + end.len());
            text.replace_range(from..to, "…");
        }
    }
    text
}

fn between_last<'a>(text: &'a str, start: &str, end: &str) -> Option<&'a str> {
    let (_, rest) = text.rsplit_once(start)?;
    rest.split_once(end).map(|(found, _)| found)
}

fn bounded(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if line.chars().count() <= REASON { line } else { line.chars().take(REASON).chain(['…']).collect() }
}
