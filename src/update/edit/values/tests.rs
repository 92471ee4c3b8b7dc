//! The values that are read are those that an edit would change, in their places.

use super::*;
use crate::api::image_update::ImageTarget;
use crate::update::edit::{edit_file, edit_without};
use crate::update::target::Target;

const TWO: &str = "\
a: x.io/app:1.0 # {\"$imagepolicy\": \"web:app\"}
b: x.io/app:2.0 # {\"$imagepolicy\": \"web:app\"}
c: x.io/app:1.5 # {\"$imagepolicy\": \"web:app\"}
d: 1.0 # {\"$imagepolicy\": \"web:app:tag\"}
e: nowhere # {\"$imagepolicy\": \"web:gone\"}
";

fn choices() -> Choices {
    [("web:app".to_owned(), Known::Chosen("x.io/app:2.0".parse().unwrap()))].into()
}

fn kustomize(name: &str) -> Target {
    let spec = ImageTarget {
        file: "k.yaml".into(),
        policy: "app".into(),
        kustomize_image: Some(name.to_owned()),
        ..ImageTarget::default()
    };
    Target::read(&spec, "web").unwrap()
}

/// Each value as `WHO FIELD ORDINAL = TEXT`, and what it would become.
fn check(bytes: &str, targets: &[&Target], values: &[&str], wanted: &[&str]) {
    let choices = choices();
    let wishes = Wishes { choices: &choices, namespace: Some("web"), is_marked: true, targets };
    let probe = Probe::new(&choices);
    let show = |value: &Value| {
        let Place { field, who, ordinal, .. } = &value.place;
        format!("{who} {field} {ordinal} = {}", value.text)
    };
    let found: Vec<String> = probe.values(bytes.as_bytes(), &wishes).iter().map(show).collect();
    assert_eq!(found, values);
    let all = probe.wanted(bytes.as_bytes(), &wishes);
    let found: Vec<String> = all.iter().map(|w| format!("{} > {}", show(&w.now), w.choice)).collect();
    assert_eq!(found, wanted);
    let edited = edit_file("k.yaml", bytes.as_bytes(), &wishes);
    let mut changes: Vec<(&str, &str)> = edited.changes.iter().map(|c| (c.old.as_str(), c.new.as_str())).collect();
    let mut wanted: Vec<(&str, &str)> = all.iter().map(|w| (w.now.text.as_str(), w.choice.as_str())).collect();
    changes.sort_unstable();
    wanted.sort_unstable();
    assert_eq!(changes, wanted, "what an edit changes");
    assert_eq!(edit_without("k.yaml", bytes.as_bytes(), &wishes, &all).bytes, None, "all held back");
}

#[test]
fn markers_are_counted_by_policy_and_field() {
    let values = [
        "the marker image 0 = x.io/app:1.0",
        "the marker image 1 = x.io/app:2.0",
        "the marker image 2 = x.io/app:1.5",
        "the marker tag 0 = 1.0",
    ];
    let wanted = [
        "the marker image 0 = x.io/app:1.0 > x.io/app:2.0",
        "the marker image 2 = x.io/app:1.5 > x.io/app:2.0",
        "the marker tag 0 = 1.0 > 2.0",
    ];
    check(TWO, &[], &values, &wanted);
    check("image: x.io/app:1.0\n", &[], &[], &[]);
    check("a: [b\n# {\"$imagepolicy\": \"web:app\"}\n", &[], &[], &[]);
}

#[test]
fn targets_are_known_by_what_they_name() {
    let (app, other) = (kustomize("x.io/app"), kustomize("other"));
    let both = "images:\n- name: x.io/app\n  newTag: '1.0'\n";
    let values = [
        "target kustomizeImage x.io/app name 0 = ",
        "target kustomizeImage x.io/app tag 0 = 1.0",
        "target kustomizeImage other name 0 = ",
        "target kustomizeImage other tag 0 = ",
    ];
    let wanted = [
        "target kustomizeImage x.io/app tag 0 = 1.0 > 2.0",
        "target kustomizeImage other name 0 =  > x.io/app",
        "target kustomizeImage other tag 0 =  > 2.0",
    ];
    check(both, &[&app, &other], &values, &wanted);
}

#[test]
fn one_of_two_is_held_back() {
    let choices = choices();
    let wishes = Wishes { choices: &choices, namespace: Some("web"), is_marked: true, targets: &[] };
    let all = Probe::new(&choices).wanted(TWO.as_bytes(), &wishes);
    let edited = edit_without("k.yaml", TWO.as_bytes(), &wishes, &all[1..2]);
    let lines: Vec<u32> = edited.changes.iter().map(|change| change.line).collect();
    assert_eq!(lines, [1, 4]);
    assert!(String::from_utf8(edited.bytes.unwrap()).unwrap().contains("c: x.io/app:1.5 #"));
}
