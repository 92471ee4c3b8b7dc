//! Tables over the folder of cases, and properties on generated files.
#![expect(clippy::disallowed_methods, reason = "the cases are files")]

use std::path::{Path, PathBuf};

use proptest::prelude::*;

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

/// The one stretch in which two texts differ: what it was and what it is.
fn difference<'a>(old: &'a str, new: &'a str) -> (&'a str, &'a str) {
    let same = |(a, b): &(char, char)| a == b;
    let front: usize = old.chars().zip(new.chars()).take_while(same).map(|(c, _)| c.len_utf8()).sum();
    let (old, new) = (&old[front..], &new[front..]);
    let back: usize = old.chars().rev().zip(new.chars().rev()).take_while(same).map(|(c, _)| c.len_utf8()).sum();
    (&old[..old.len() - back], &new[..new.len() - back])
}

fn target(file: &str, spec: &str) -> Target {
    let mut spec: serde_json::Value = serde_yaml::from_str(spec).unwrap();
    spec["file"] = file.into();
    Target::read(&serde_json::from_value(spec).unwrap(), "web").unwrap()
}

/// A kustomization without an entry for `app`, or with one that lacks everything but its name.
fn kustomization() -> impl Strategy<Value = String> {
    let name = prop_oneof![Just("db"), Just("'quay.io/x'"), Just("\"é😀\""), Just("app")];
    let entry = (name, prop_oneof![Just(""), Just("newTag: '1.0'"), Just("digest: x # d"), Just("newTag: v1\n\n")]);
    let entries = proptest::sample::subsequence((0..4).collect::<Vec<_>>(), 0..4);
    let entries = (entries, proptest::collection::vec(entry, 4)).prop_map(|(chosen, entries)| {
        let mut has_app = false;
        let keep = |(name, rest): (&'static str, &'static str)| {
            let is_app = name == "app";
            let again = is_app && std::mem::replace(&mut has_app, true);
            (!again).then_some((name, if is_app { "" } else { rest }))
        };
        chosen.into_iter().map(|index: usize| entries[index]).filter_map(keep).collect::<Vec<_>>()
    });
    let noise = || {
        prop_oneof![
            Just(""),
            Just("# note\n"),
            Just("\n"),
            Just("patch: |-\n  a\n  # b\n\n"),
            Just("namePrefix: x # p\n")
        ]
    };
    let layout = (0..5usize, 1..4usize, 0..3usize, any::<[bool; 3]>());
    (entries, noise(), noise(), layout).prop_map(|(entries, front, back, (indent, gap, form, [crlf, mark, is_cut]))| {
        let (indent, gap) = (" ".repeat(indent), " ".repeat(gap));
        let back = if front.starts_with(['p', 'n']) && back.starts_with(['p', 'n']) { "" } else { back };
        let mut list = String::new();
        for (name, rest) in &entries {
            let flow = rest.split(" #").next().unwrap_or_default().trim();
            list += &match (form, rest.is_empty()) {
                (0, true) => format!("{indent}-{gap}name: {name} # n\n"),
                (0, false) => format!("{indent}-{gap}name: {name}\n{indent} {gap}{rest}\n"),
                (1, true) => format!("{indent}-{gap}{{name: {name}}}\n"),
                (1, false) => format!("{indent}-{gap}{{ name: {name}, {flow} }}\n"),
                (_, true) => format!("{{name: {name}}}, "),
                (_, false) => format!("{{\"name\":{name}, {flow}}}, "),
            };
        }
        let images = match (form, entries.is_empty()) {
            (0, true) => String::new(),
            (1, true) => "images: # none\n".to_owned(),
            (2, _) => format!("images: [{list}]\n"),
            _ => format!("images:\n{list}"),
        };
        let mut text = format!("{front}resources:\n- a.yaml\n{images}{back}");
        if is_cut {
            text.truncate(text.trim_end().len());
        }
        let text = if crlf { text.replace('\n', "\r\n") } else { text };
        format!("{}{text}", if mark { "\u{feff}" } else { "" })
    })
}

/// A tree of mappings and lists, and the path to one of its strings.
fn tree() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof!["[a-z0-9.:/-]{1,12}", "[a-zé😀\"'\\\\ #]{1,8}"].prop_map(serde_json::Value::from);
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 1..4).prop_map(serde_json::Value::from),
            prop::collection::btree_map("[a-c]{1,2}|[a.\\[\"' ]{1,3}", inner, 1..4)
                .prop_map(|map| map.into_iter().collect::<serde_json::Map<_, _>>().into()),
        ]
    })
}

/// The path to the first string, by keys and items.
fn path_of(tree: &serde_json::Value) -> (String, String) {
    let (mut here, mut key, mut pointer) = (tree, String::new(), String::new());
    loop {
        here = match here {
            serde_json::Value::Array(items) => {
                key += "[0]";
                pointer += "/0";
                &items[0]
            }
            serde_json::Value::Object(map) => {
                let (name, value) = map.iter().next_back().unwrap();
                let dot = if key.is_empty() { "" } else { "." };
                key += &format!("{dot}\"{}\"", name.replace('\\', "\\\\").replace('"', "\\\""));
                pointer += &format!("/{}", name.replace('~', "~0").replace('/', "~1"));
                value
            }
            _ => return (key, pointer),
        };
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// Whatever the layout: one stretch is put in, a reader finds the old file with the new keys, and a second run rests.
    #[test]
    fn what_is_missing_is_added_and_nothing_else(text in kustomization()) {
        let targets = [target("k.yaml", "{kustomizeImage: app, policy: app}")];
        let edited = run("k.yaml", text.as_bytes(), &targets);
        prop_assert_eq!(&edited.problems, &Vec::new(), "{}", text);
        let new = String::from_utf8(edited.bytes.clone().unwrap()).unwrap();
        prop_assert_eq!(difference(&text, &new).0, "", "{}", new);
        let read = |text: &str| serde_yaml::from_str::<serde_json::Value>(text.trim_start_matches('\u{feff}')).unwrap();
        let mut wanted = read(&text);
        let images = wanted.as_object_mut().unwrap().entry("images").or_insert(serde_json::Value::Null);
        if images.is_null() {
            *images = serde_json::json!([]);
        }
        let images = images.as_array_mut().unwrap();
        let index = images.iter().position(|image| image["name"] == "app").unwrap_or_else(|| {
            images.push(serde_json::json!({"name": "app"}));
            images.len() - 1
        });
        images[index]["newName"] = "registry.example.com/acme/app".into();
        images[index]["newTag"] = "1.5.0".into();
        prop_assert_eq!(read(&new), wanted, "{}", new);
        let again = run("k.yaml", new.as_bytes(), &targets);
        prop_assert_eq!(again, Edited { bytes: None, changes: Vec::new(), ..edited });
    }

    /// Whatever the tree: only the one value differs, in YAML and in JSON, in bytes and for a reader.
    #[test]
    fn only_the_value_at_the_path_changes(tree in tree(), form in 0..4usize, policy in prop_oneof![Just("app"), Just("ten"), Just("build")]) {
        let (key, pointer) = path_of(&tree);
        prop_assume!(!key.is_empty());
        let (file, text) = match form {
            0 => ("f.yaml", serde_yaml::to_string(&tree).unwrap()),
            1 => ("f.yaml", serde_json::to_string_pretty(&tree).unwrap()),
            2 => ("f.json", serde_json::to_string(&tree).unwrap()),
            _ => ("f.json", serde_json::to_string_pretty(&tree).unwrap()),
        };
        let spec = serde_json::json!({"key": key, "policy": policy, "field": "tag"}).to_string();
        let targets = [target(file, &spec)];
        let edited = run(file, text.as_bytes(), &targets);
        prop_assert_eq!(&edited.problems, &Vec::new(), "{}", text);
        let new = edited.bytes.clone().map_or(text.clone(), |bytes| String::from_utf8(bytes).unwrap());
        let mut wanted = tree;
        let tag = match policy { "app" => "1.5.0", "ten" => "1.10", _ => "20240131" };
        *wanted.pointer_mut(&pointer).unwrap() = tag.into();
        prop_assert_eq!(serde_yaml::from_str::<serde_json::Value>(&new).unwrap(), wanted);
        let (went, came) = difference(&text, &new);
        prop_assert!(!went.contains('\n') && came.len() <= tag.len() + 2, "{:?} became {:?}", went, came);
        let again = run(file, new.as_bytes(), &targets);
        prop_assert_eq!(again, Edited { bytes: None, changes: Vec::new(), ..edited });
    }

    /// Whatever the bytes: no panic, nothing changes without a change that says so, and a second run rests.
    #[test]
    fn any_text_is_survived(text in "(images:|name: app|- |- name: app\n|newTag: 1|a: |\n|\r\n|\n  |\n- |\\{|\\}|\\[|\\]|, |\"|'|#c|&a |\\*a|<<: |---\n|\\.\\.\\.\n|\\|\n|é|\u{feff}|\\? |: |\t){0,24}") {
        for (file, spec) in [
            ("f.yaml", "{kustomizeImage: app, policy: app}"),
            ("f.yaml", "{key: a, policy: app}"),
            ("f.yaml", "{key: 'images[0].newTag', policy: app}"),
            ("f.json", "{key: a, policy: app}"),
        ] {
            let targets = [target(file, spec)];
            let edited = run(file, text.as_bytes(), &targets);
            prop_assert_eq!(edited.bytes.is_some(), !edited.changes.is_empty());
            prop_assert_eq!(edited.markers as usize + edited.problems.len(), 1, "{:?}", edited.problems);
            if let Some(bytes) = edited.bytes {
                let again = run(file, &bytes, &targets);
                prop_assert_eq!((again.changes, again.markers), (Vec::new(), 1), "{}", String::from_utf8_lossy(&bytes));
            }
        }
    }
}
