//! Targets. Input: a line with `images NAME`, `json PATH` or `PATH`, and a file.

use tagboat::api::image_update::{ImageTarget, TargetField};
use tagboat::update::edit::{Edited, Wishes, edit_file};
use tagboat::update::target::Target;

use super::edit::choices;

pub fn run(input: &[u8]) {
    let (line, file) = super::first_line(input);
    let (kind, what) = line.split_once(' ').unwrap_or(("", line));
    let mut spec = ImageTarget { file: "f.yaml".into(), policy: "pinned".into(), ..ImageTarget::default() };
    match kind {
        "images" => spec.kustomize_image = Some(what.to_owned()),
        "json" => {
            spec.file = "f.json".into();
            spec.key = Some(what.to_owned());
        }
        _ => {
            spec.key = Some(line.to_owned());
            spec.field = Some(TargetField::Tag);
        }
    }
    let Ok(target) = Target::read(&spec, "apps") else { return };
    let choices = choices();
    let wishes = Wishes { choices: &choices, namespace: Some("apps"), is_marked: false, targets: &[&target] };
    let edited = edit_file(&spec.file, file, &wishes);
    assert_eq!(edited.bytes.is_some(), !edited.changes.is_empty(), "every change is told");
    if target.check(file).is_err() {
        assert_eq!((edited.changes.len(), edited.problems.len()), (0, 1), "what names nothing is a problem");
    }
    let Some(bytes) = &edited.bytes else { return };
    let again = edit_file(&spec.file, bytes, &wishes);
    assert_eq!((again.bytes, again.problems), (None, edited.problems.clone()), "a second run rests");
    if kind == "json" {
        let read = |bytes: &[u8]| serde_json::from_slice::<serde_json::Value>(bytes).is_ok();
        assert!(read(bytes) || !read(file), "it is JSON as before");
        assert_only(file, bytes, &edited);
    }
}

/// One value changed: what stands before and behind it is the same.
fn assert_only(before: &[u8], after: &[u8], edited: &Edited) {
    let [change] = edited.changes.as_slice() else { panic!("one target, one value") };
    let same = before.iter().zip(after).take_while(|(a, b)| a == b).count();
    let rest = before.iter().rev().zip(after.iter().rev()).take_while(|(a, b)| a == b).count();
    assert!(same + rest + change.new.len() + 2 >= after.len(), "{change:?}");
}
