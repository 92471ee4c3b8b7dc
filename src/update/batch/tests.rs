//! What is remembered of settled files never changes what a run makes of them.

use std::convert::Infallible;

use proptest::prelude::*;
use serde_json::json;

use super::super::edit::Field;
use super::*;

const FILES: [&str; 7] = [
    "image: x.io/app:1.0.0 # {\"$imagepolicy\": \"web:app\"}\n",
    "tag: 1.0.0 # {\"$imagepolicy\": \"web:app:tag\"}\ndb: x.io/db:7 # {\"$imagepolicy\":\"web:db\"}\n",
    "bad: 1 # {\"$imagepolicy\": \"web:nope\"}\n",
    "bad: 1 # {\"$imagepolicy\" \"web:app\"}\n",
    "other: 1 # {\"$imagepolicy\": \"web:app:foo\"}\n",
    "escaped: x.io/app:1.0.0 # {\"$imagepolicy\": \"web:\\u0061pp\"}\n",
    "image: {tag: 0.9.0}\n",
];

/// One in a file without a marker, one that contradicts a marker.
fn targets() -> Vec<Target> {
    let specs = json!([
        {"file": "6.yaml", "key": "image.tag", "field": "tag", "policy": "db"},
        {"file": "0.yaml", "key": "image", "policy": "db"},
    ]);
    let (targets, problems) = Target::all(&serde_json::from_value::<Vec<_>>(specs).unwrap(), "web");
    assert_eq!(problems, []);
    targets
}

/// What the two policies chose: nothing known, not decided, not selected, or one of three tags.
fn choices(app: u8, db: u8) -> Choices {
    let known = |name: &str, choice: u8| match choice {
        0 => None,
        1 => Some(Known::Undecided),
        2 => Some(Known::NotSelected),
        tag => Some(Known::Chosen(format!("x.io/{name}:{tag}.0.0").parse().unwrap())),
    };
    let all = [("web:app", known("app", app)), ("web:db", known("db", db))];
    all.into_iter().filter_map(|(id, known)| Some((id.to_owned(), known?))).collect()
}

fn id(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

proptest! {
    #[test]
    fn a_run_with_memory_makes_what_a_run_without_makes(runs in prop::collection::vec((0..6u8, 0..6u8), 1..8)) {
        let mut files: Vec<(String, Vec<u8>)> =
            FILES.iter().enumerate().map(|(n, text)| (format!("{n}.yaml"), text.as_bytes().to_vec())).collect();
        let mut settled = Settled::default();
        for (app, db) in runs {
            let choices = choices(app, db);
            // Targets come and go between the runs, as an ImageUpdate that is edited would have it.
            let targets = &targets()[..usize::from(app % 3).min(2)];
            let aims = Aims { choices: &choices, namespace: Some("web"), targets };
            let marked = files[..FILES.len() - 1].iter().map(|(path, bytes)| (path.clone(), id(bytes))).collect();
            let mut look = |path: &str| Ok::<_, Infallible>(match files.iter().find(|(other, _)| other == path) {
                Some((_, bytes)) => Content::File(id(bytes)),
                None => Content::Nothing("there is no such file"),
            });
            let Ok(sources) = sources(marked, targets, &mut look);
            let mut read = |path: &str| Ok::<_, Infallible>(files.iter().find(|(other, _)| other == path).map(|(_, bytes)| bytes.clone()));
            let Ok(batch) = edit_new(&sources, &mut read, &aims, &mut settled);
            let Ok(fresh) = edit_new(&sources, &mut read, &aims, &mut Settled::default());
            prop_assert_eq!(&batch, &fresh);
            for (path, bytes) in batch.files {
                files.iter_mut().find(|(other, _)| *other == path).unwrap().1 = bytes;
            }
        }
    }
}

#[test]
fn a_settled_file_is_read_again_only_when_a_policy_that_it_names_chooses_anew() {
    let sources = [Source { path: "a.yaml".to_owned(), is_marked: true, content: Content::File("1".to_owned()) }];
    let mut settled = Settled::default();
    let mut reads = 0;
    for (choice, expected) in [(choices(3, 0), 1), (choices(3, 5), 1), (choices(1, 5), 2), (choices(1, 5), 2)] {
        let mut read = |_: &str| {
            reads += 1;
            Ok::<_, Infallible>(Some(b"image: x.io/app:3.0.0 # {\"$imagepolicy\": \"web:app\"}\n".to_vec()))
        };
        let aims = Aims { choices: &choice, namespace: Some("web"), targets: &[] };
        let Ok(batch) = edit_new(&sources, &mut read, &aims, &mut settled);
        assert_eq!((batch.changes.len(), batch.markers), (0, 1));
        assert_eq!(reads, expected);
    }
}

#[test]
fn targets_that_name_no_file_and_files_that_are_too_large() {
    let targets = targets();
    let choices = choices(2, 2);
    let aims = Aims { choices: &choices, namespace: Some("web"), targets: &targets };
    let mut look = |path: &str| {
        Ok::<_, Infallible>(if path == "6.yaml" {
            Content::Nothing("it is a folder")
        } else {
            Content::File("1".into())
        })
    };
    let Ok(sources) = sources(Vec::new(), &targets, &mut look);
    let mut read = |_: &str| Ok::<_, Infallible>(None);
    let Ok(batch) = edit_new(&sources, &mut read, &aims, &mut Settled::default());
    let problems: Vec<String> = batch.problems.iter().map(ToString::to_string).collect();
    assert_eq!(
        problems,
        ["0.yaml: the file is larger than 2 MiB: split it", "6.yaml: target key image.tag: it is a folder"]
    );
}

proptest! {
    /// No clock is asked, and neither the order of the changes nor when one looks makes a difference.
    #[test]
    fn the_time_of_a_commit_is_that_of_its_facts(
        times in prop::collection::vec(prop::option::of(-4_000_000_000_i64..9_000_000_000), 1..6),
        parent in -4_000_000_000_i64..9_000_000_000,
    ) {
        let policy = |n: usize| format!("web:app-{n}");
        let at = |(n, time): (usize, &Option<i64>)| Some((policy(n), DateTime::from_timestamp((*time)?, 0)?));
        let chosen_at: BTreeMap<String, DateTime<Utc>> = times.iter().enumerate().filter_map(at).collect();
        let mut changes: Vec<Change> = (0..times.len()).map(|n| Change {
            file: "a.yaml".into(), line: 1, policy: policy(n), field: Field::Tag, old: "1".into(), new: "2".into(),
        }).collect();
        let time = commit_time(&changes, &chosen_at, parent);
        changes.reverse();
        prop_assert_eq!(commit_time(&changes, &chosen_at, parent), time);
        prop_assert!(time >= parent, "never before its parent");
        prop_assert!(time == parent || times.contains(&Some(time)), "and always one that is written down");
        prop_assert_eq!(commit_time(&changes, &chosen_at, time), time, "a jump back of the clock changes nothing");
    }
}
