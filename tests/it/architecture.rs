//! The shape of the code, checked: pure folders, shells apart from each other, first lines, sizes, no forgotten file.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use libtest_mimic::{Failed, Trial};

/// Folders of steps on plain data.
const PURE: [&str; 5] = ["api", "source", "watch", "update", "sync"];
/// Everything that touches the world.
const SHELLS: [&str; 6] = ["registry", "git", "forge", "cluster", "http", "tool"];
/// Flows and edges, where the two meet.
const JOINTS: [&str; 26] = [
    "context",
    "tracking",
    "trusting",
    "signing",
    "authenticating",
    "inquiring",
    "looking",
    "holding",
    "committing",
    "pushing",
    "proposing",
    "rendering",
    "referring",
    "remotes",
    "awaiting",
    "observing",
    "applying",
    "concluding",
    "finalizing",
    "leading",
    "listening",
    "quarantine",
    "pulse",
    "run",
    "cli",
    "clock",
];
/// A file tells one story.
const LINES: usize = 500;

pub fn trials() -> Vec<Trial> {
    let check = |name: &str, check: fn() -> Vec<String>| {
        Trial::test(format!("architecture: {name}"), move || {
            let found = check();
            if found.is_empty() { Ok(()) } else { Err(Failed::from(found.join("\n"))) }
        })
    };
    vec![
        check("pure folders know no async and no shell", pure_folders_are_pure),
        check("pure folders know no other flow's folder", flows_are_apart),
        check("a shell knows no step and no other shell", shells_are_apart),
        check("every file says in its first line what it is for", first_lines),
        check("no file is too long", sizes),
        check("a file that has a folder lifts no ban for it", bans_are_lifted_in_leaves),
        check("every file is declared", every_file_is_declared),
    ]
}

pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

pub fn files(below: &str) -> Vec<PathBuf> {
    let (mut found, mut folders) = (Vec::new(), vec![root().join(below)]);
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

fn code(path: &Path) -> String {
    let lines = std::fs::read_to_string(path).unwrap();
    // What tests do and comments say is free.
    let lines = lines.lines().take_while(|line| *line != "#[cfg(test)]");
    lines.filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

fn is_test(path: &Path) -> bool {
    path.components().any(|part| part.as_os_str() == "tests" || part.as_os_str() == "tests.rs")
        && path.starts_with(root().join("src"))
        && (path.file_stem().is_some_and(|stem| stem == "tests")
            || path.parent().is_some_and(|parent| parent.file_name().is_some_and(|name| name == "tests")))
}

/// The top-level module of a source file.
fn module(path: &Path) -> String {
    let relative = path.strip_prefix(root().join("src")).unwrap();
    relative.iter().next().unwrap().to_string_lossy().trim_end_matches(".rs").to_owned()
}

/// Top-level modules of this crate that a text names.
fn named(text: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for part in text.split("crate::").skip(1) {
        match part.strip_prefix('{') {
            Some(list) => {
                let list = list.split('}').next().unwrap_or_default();
                found.extend(list.split(',').map(|item| item.trim().split("::").next().unwrap_or_default().to_owned()));
            }
            None => found.extend(part.split(|c: char| !c.is_alphanumeric() && c != '_').next().map(str::to_owned)),
        }
    }
    found
}

fn offences(of: &[&str], only_in_folders: bool, forbidden: impl Fn(&str) -> Vec<&'static str>) -> Vec<String> {
    let mut found = Vec::new();
    for path in files("src").into_iter().filter(|path| !is_test(path)) {
        let module = module(&path);
        let is_flow = path.parent() == Some(&root().join("src"));
        if !of.contains(&module.as_str()) || (only_in_folders && is_flow) {
            continue;
        }
        let names = named(&code(&path));
        let bad = forbidden(&module).into_iter().filter(|name| names.contains(*name) && *name != module);
        found.extend(bad.map(|name| format!("{} names crate::{name}", path.display())));
    }
    found
}

fn pure_folders_are_pure() -> Vec<String> {
    let mut found = offences(&PURE, true, |_| SHELLS.into_iter().chain(JOINTS).collect());
    for path in files("src").into_iter().filter(|path| !is_test(path) && path.parent() != Some(&root().join("src"))) {
        let code = code(&path);
        if PURE.contains(&module(&path).as_str()) && (code.contains("async ") || code.contains(".await")) {
            found.push(format!("{} is async", path.display()));
        }
    }
    found
}

fn flows_are_apart() -> Vec<String> {
    let flows = ["source", "watch", "update", "sync"];
    offences(&flows, true, |_| flows.to_vec())
}

fn shells_are_apart() -> Vec<String> {
    let steps = ["source", "watch", "update", "sync"];
    offences(&SHELLS, false, |_| steps.into_iter().chain(SHELLS).chain(JOINTS).collect())
}

fn first_lines() -> Vec<String> {
    let without = |path: &PathBuf| !std::fs::read_to_string(path).unwrap().starts_with("//! ");
    let all = files("src").into_iter().chain(files("tests/it"));
    all.filter(without).map(|path| format!("{} does not start with //!", path.display())).collect()
}

fn sizes() -> Vec<String> {
    let all = files("src").into_iter().chain(files("tests/it"));
    let sized = all.map(|path| (std::fs::read_to_string(&path).unwrap().lines().count(), path));
    sized
        .filter(|(lines, _)| *lines > LINES)
        .map(|(lines, path)| format!("{} has {lines} lines", path.display()))
        .collect()
}

/// A file-level `expect` reaches the files in the folder beside it, and would lift the ban there unseen.
fn bans_are_lifted_in_leaves() -> Vec<String> {
    let lifts = |path: &PathBuf| {
        let text = std::fs::read_to_string(path).unwrap();
        let compact: String = text.split_whitespace().collect();
        compact.contains("#![expect(clippy::disallowed_methods")
            || compact.contains("#![allow(clippy::disallowed_methods")
    };
    let has_folder = |path: &PathBuf| {
        let folder = path.with_extension("");
        folder.is_dir() && std::fs::read_dir(folder).unwrap().any(|entry| entry.unwrap().file_name() != "tests.rs")
    };
    let found = files("src").into_iter().filter(|path| lifts(path) && has_folder(path));
    found.map(|path| format!("{} lifts the ban for its folder too", path.display())).collect()
}

fn every_file_is_declared() -> Vec<String> {
    let mut found = Vec::new();
    for path in files("src").into_iter().chain(files("tests/it")) {
        let stem = path.file_stem().unwrap().to_string_lossy().into_owned();
        let folder = path.parent().unwrap();
        let is_root = folder == root().join("src") || folder == root().join("tests/it");
        if is_root && matches!(stem.as_str(), "main" | "lib") {
            continue;
        }
        let parents = match (is_root, folder == root().join("tests/it")) {
            (true, true) => vec![folder.join("main.rs")],
            (true, false) => vec![folder.join("lib.rs")],
            (false, _) => vec![folder.with_extension("rs")],
        };
        let declares = |text: &str| {
            text.lines().any(|line| {
                line.trim_start_matches("pub ").trim_start_matches("pub(crate) ").trim_start_matches("pub(super) ")
                    == format!("mod {stem};")
            })
        };
        if !parents.iter().any(|parent| std::fs::read_to_string(parent).is_ok_and(|text| declares(&text))) {
            found.push(format!("{} is declared nowhere, so it is not compiled", path.display()));
        }
    }
    found
}
