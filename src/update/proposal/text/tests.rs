//! What requests say, and what is read from them again.

use proptest::prelude::*;

use super::super::super::edit::Field;
use super::*;

fn change(file: &str, old: &str, new: &str) -> Change {
    let (policy, field) = ("web:app".to_owned(), Field::Image);
    Change { file: file.into(), line: 7, policy, field, old: old.into(), new: new.into() }
}

fn occasion(url: &str) -> Occasion<'_> {
    Occasion { object: ("web", "fleet"), url, branch: "bot/images", parent: "5f0c" }
}

fn bump() -> Change {
    change("apps/app.yaml", "x.io/acme/app:1.0.0", "x.io/acme/app:1.1.0")
}

#[track_caller]
fn check(templates: Templates<'_>, url: &str, title: &str, text: &str, wrong: &[&str]) {
    let (words, found) = words(templates, &occasion(url), &[bump()], 60_000);
    assert_eq!(words.title, title);
    assert!(words.body.starts_with(text), "{}", words.body);
    assert_eq!(found.iter().map(|(field, _)| *field).collect::<Vec<_>>(), wrong, "{found:?}");
    assert_eq!(trailers::lines(&words.body).len(), 1);
}

#[test]
fn titles_and_descriptions() {
    let usual = "update acme/app to 1.1.0";
    let change = "`x.io/acme/app:1.0.0` → `x.io/acme/app:1.1.0`";
    let none = Templates::default();
    check(
        none,
        "https://git.example.com/acme/fleet",
        usual,
        &format!("- `apps/app.yaml:7`: {change}\n\nProposed by"),
        &[],
    );
    let link = "https://github.com/acme/fleet/blob/bot/images/apps/app.yaml#L7";
    check(none, "git@github.com:acme/fleet.git", usual, &format!("- [`apps/app.yaml:7`]({link}): {change}"), &[]);
    let own = Templates {
        title: Some("bump {{ changes[0].newTag }}\n  in {{ object.name }}"),
        body: Some("{% for c in changes %}* {{ c.file }}\n{% endfor %}"),
    };
    check(own, "", "bump 1.1.0 in fleet", "* apps/app.yaml\n\n<!--\n", &[]);
    let broken = Templates { title: Some("{{ nobody }}"), body: Some("{{") };
    check(broken, "", usual, "- `apps/app.yaml:7`", &["titleTemplate", "bodyTemplate"]);
    assert_eq!(broken.check().len(), 1, "what can be known beforehand");
    let empty = Templates { title: Some(" {{ '' }} "), body: None };
    check(empty, "", usual, "- `apps/app.yaml:7`", &["titleTemplate"]);
}

#[test]
fn what_is_read_again() {
    let bumps = [bump(), change("odd --> `name`\n.yaml", "", "y:2")];
    let (said, _) = words(Templates::default(), &occasion(""), &bumps, 60_000);
    let ending = format!("{}\n-->", said.mark);
    assert!(said.body.ends_with(&ending) && said.body.matches("-->").count() == 2, "{}", said.body);
    // Hosts and browsers change line ends, people write above and below.
    let edited = format!("Please wait.\r\n{}\r\nthanks", said.body.replace('\n', "\r\n"));
    assert!(has_mark(&edited, &said.mark));
    let recorded = trailers::lines(&edited);
    assert_eq!(recorded.len(), 2);
    assert_eq!((&*recorded[1].file, &*recorded[1].new), ("odd --> `name`\n.yaml", "y:2"));
    let (other, _) = words(Templates::default(), &occasion(""), &bumps[..1], 60_000);
    assert_ne!(said.mark, other.mark);
    let bare = without_record(&said.body);
    assert!(trailers::lines(&bare).is_empty() && bare.contains("Proposed by") && !bare.contains("<!--"), "{bare}");
    assert!(trailers::lines(&without_record(&edited)).is_empty());
    assert_eq!(without_record("mine\n"), "mine");
}

#[test]
fn trailers_go_before_words() {
    let bumps: Vec<Change> = (0..20).map(|n| change(&format!("apps/{n}.yaml"), "x:1", "x:2")).collect();
    let (said, _) = words(Templates::default(), &occasion(""), &bumps, 2_000);
    assert_eq!(trailers::lines(&said.body).len(), 20);
    assert!(said.body.len() <= 2_000 && said.body.contains("\n\n…\n\n<!--\n"), "{}", said.body);
    // Where they are too many, keys stand for them, and say the same.
    let keys = |room| said::read(&words(Templates::default(), &occasion(""), &bumps, room).0.body);
    let (short, _) = words(Templates::default(), &occasion(""), &bumps, 1_000);
    assert!(short.body.len() <= 1_000 && short.body.contains("Tagboat-Values: "), "{}", short.body);
    assert_eq!((keys(1_000), short.mark), (keys(60_000), said.mark));
    assert_eq!(said::read(&without_record(&short.body)), []);
}

proptest! {
    #[test]
    fn any_change_is_read_again(file in ".{0,40}", old in ".{0,20}", new in ".{1,20}", room in 600_usize..4_000) {
        let bumps = [change(&file, &old, &new)];
        let (said, _) = words(Templates::default(), &occasion(""), &bumps, room);
        prop_assert!(said.body.len() <= room, "{} > {room}", said.body.len());
        let recorded = trailers::lines(&said.body);
        let recorded_all = recorded.iter().all(|recorded| (&recorded.file, &recorded.new) == (&file, &new));
        prop_assert!(recorded_all && recorded.len() <= 1);
        prop_assert_eq!(said::read(&said.body), vec![said::Said::of(&file, "web:app", "image", &new)]);
        prop_assert!(has_mark(&said.body, &said.mark));
        prop_assert!(trailers::lines(&without_record(&said.body)).is_empty());
    }

    #[test]
    fn any_description_can_lose_its_record(text in "(.|\n){0,200}") {
        prop_assert!(trailers::lines(&without_record(&text)).is_empty());
    }
}
