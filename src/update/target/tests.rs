//! Tables over the folder of cases, and properties on generated files.
#![expect(clippy::disallowed_methods, reason = "the cases are files")]

use std::path::{Path, PathBuf};

use super::*;
use crate::update::edit::{Choices, Edited, Known, edit_file};

/// The policies that the cases name, all of namespace `web`.
fn choices() -> Choices {
    let digest = format!("sha256:{}", "a1".repeat(32));
    let pinned = format!("registry.example.com/acme/pinned:2.0.0@{digest}");
    let chosen = [
        ("app", "registry.example.com/acme/app:1.5.0"),
        ("same", "registry.example.com/acme/app:1.5.0"),
        ("other", "registry.example.com/acme/other:7.1.0"),
        ("pinned", pinned.as_str()),
        ("short", "app:1.5.0"),
        ("ten", "acme/ten:1.10"),
        ("build", "acme/build:20240131"),
    ];
    let chosen = chosen.into_iter().map(|(name, image)| (name, Known::Chosen(image.parse().unwrap())));
    let others = [("waiting", Known::Undecided), ("aside", Known::NotSelected)];
    chosen.chain(others).map(|(name, known)| (format!("web:{name}"), known)).collect()
}

fn cases() -> Vec<PathBuf> {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/targets");
    let mut cases: Vec<_> = std::fs::read_dir(root).unwrap().map(|entry| entry.unwrap().path()).collect();
    cases.sort();
    cases
}

/// A case's targets: YAML, as in an ImageUpdate but without `file`.
fn targets(case: &Path, file: &str) -> Vec<Target> {
    let text = std::fs::read_to_string(case.join("targets.yaml")).unwrap();
    let mut specs: Vec<serde_json::Value> = serde_yaml::from_str(&text).unwrap();
    specs.iter_mut().for_each(|spec| spec["file"] = file.into());
    let specs: Vec<ImageTarget> = specs.into_iter().map(|spec| serde_json::from_value(spec).unwrap()).collect();
    let (targets, problems) = Target::all(&specs, "web");
    assert_eq!(problems, [], "{}", case.display());
    targets
}

fn run(file: &str, bytes: &[u8], targets: &[Target]) -> Edited {
    let targets: Vec<&Target> = targets.iter().collect();
    edit_file(file, bytes, &Wishes { choices: &choices(), namespace: Some("web"), is_marked: true, targets: &targets })
}

/// Every folder: `before.*` becomes `after.*` by `targets.yaml`, and says what `problems.txt` says; a second run changes nothing.
#[test]
fn cases_of_the_folder() {
    let mut wrong = Vec::new();
    for case in cases() {
        let end = if case.join("before.json").exists() { "json" } else { "yaml" };
        let read = |name: &str| std::fs::read(case.join(name)).unwrap_or_default();
        let (before, after) = (read(&format!("before.{end}")), read(&format!("after.{end}")));
        let problems_wanted = String::from_utf8(read("problems.txt")).unwrap();
        let file = format!("f.{end}");
        let targets = targets(&case, &file);
        let edited = run(&file, &before, &targets);
        let problems: String = edited.problems.iter().map(|p| format!("{}: {}\n", p.line, p.reason)).collect();
        let bytes = edited.bytes.clone().unwrap_or_else(|| before.clone());
        if bytes != after || problems != problems_wanted || edited.bytes.is_some() == edited.changes.is_empty() {
            let text = String::from_utf8_lossy(&bytes);
            wrong.push(format!("{}\n{text}{problems}{:?}\n", case.display(), edited.changes));
        }
        let text = String::from_utf8_lossy(&bytes).into_owned();
        for change in &edited.changes {
            let line = text.lines().nth(change.line as usize - 1).unwrap_or_default();
            if !line.contains(&change.new) {
                wrong.push(format!("{}: {change:?} is not on its line", case.display()));
            }
        }
        let again = run(&file, &bytes, &targets);
        if again != (Edited { bytes: None, changes: Vec::new(), ..edited }) {
            wrong.push(format!("{}: not at rest after one edit: {again:?}", case.display()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(cases().len() >= 60);
}
