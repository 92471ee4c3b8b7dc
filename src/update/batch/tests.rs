//! What is remembered of settled files never changes what a run makes of them.

use std::convert::Infallible;

use proptest::prelude::*;

use super::*;

const FILES: [&str; 6] = [
    "image: x.io/app:1.0.0 # {\"$imagepolicy\": \"web:app\"}\n",
    "tag: 1.0.0 # {\"$imagepolicy\": \"web:app:tag\"}\ndb: x.io/db:7 # {\"$imagepolicy\":\"web:db\"}\n",
    "bad: 1 # {\"$imagepolicy\": \"web:nope\"}\n",
    "bad: 1 # {\"$imagepolicy\" \"web:app\"}\n",
    "other: 1 # {\"$imagepolicy\": \"web:app:foo\"}\n",
    "escaped: x.io/app:1.0.0 # {\"$imagepolicy\": \"web:\\u0061pp\"}\n",
];

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
            let places: Vec<_> = files.iter().map(|(path, bytes)| (path.clone(), id(bytes))).collect();
            let mut read = |index: usize| Ok::<_, Infallible>(files[index].1.clone());
            let Ok(batch) = edit_new(&places, &mut read, &choices, Some("web"), &mut settled);
            prop_assert_eq!(&batch, &edit_all(&files, &choices, Some("web")));
            for (path, bytes) in batch.files {
                files.iter_mut().find(|(other, _)| *other == path).unwrap().1 = bytes;
            }
        }
    }
}

#[test]
fn a_settled_file_is_read_again_only_when_a_policy_that_it_names_chooses_anew() {
    let places = [("a.yaml".to_owned(), "1".to_owned())];
    let mut settled = Settled::default();
    let mut reads = 0;
    for (choice, expected) in [(choices(3, 0), 1), (choices(3, 5), 1), (choices(1, 5), 2), (choices(1, 5), 2)] {
        let mut read = |_: usize| {
            reads += 1;
            Ok::<_, Infallible>(b"image: x.io/app:3.0.0 # {\"$imagepolicy\": \"web:app\"}\n".to_vec())
        };
        let Ok(batch) = edit_new(&places, &mut read, &choice, Some("web"), &mut settled);
        assert_eq!((batch.changes.len(), batch.markers), (0, 1));
        assert_eq!(reads, expected);
    }
}
