//! What messages say, and that every template of the pages is true.

use super::*;

const OCCASION: Occasion<'_> = Occasion {
    object: ("web", "fleet"),
    url: "https://github.com/acme/fleet.git",
    branch: "main",
    parent: "5f0c2a91d3",
};

fn change(policy: &str, old: &str, new: &str) -> Change {
    Change {
        file: "apps/app.yaml".into(),
        line: 7,
        policy: policy.into(),
        field: Field::Image,
        old: old.into(),
        new: new.into(),
    }
}

fn with(template: &str, changes: &[Change]) -> Result<String, String> {
    message(Some(template), &OCCASION, changes)
}

#[test]
fn the_default_message() {
    let text = message(None, &OCCASION, &[change("web:app", "x.io/app:1.0.0", "x.io/app:1.1.0")]).unwrap();
    insta::assert_snapshot!(text, @r#"
    update app to 1.1.0

    - apps/app.yaml:7: x.io/app:1.0.0 -> x.io/app:1.1.0

    Tagboat-Update: ["web:app","apps/app.yaml",7,"image","x.io/app:1.0.0","x.io/app:1.1.0"]
    "#);
    let two = [change("web:app", "a:1", "a:2"), change("web:db", "d:1", "d:2")];
    assert!(message(None, &OCCASION, &two).unwrap().starts_with("update 2 images\n\n- "));
}

#[test]
fn a_template_sees_changes_policies_and_object() {
    let template = "chore({{ object.name }}): {{ policies | join(', ') }}\n{% for c in changes %}\n* {{ c.old }} to {{ c.new }}{% endfor %}";
    let text = with(template, &[change("web:app", "a:1", "a:2")]).unwrap();
    assert!(text.starts_with("chore(fleet): web:app\n\n* a:1 to a:2\n\nTagboat-Update: "), "{text}");
}

/// The page shows a template on each line, and in a comment behind it what it makes.
#[test]
fn the_examples_of_the_page() {
    let page = include_str!("../../../docs/commits.md");
    let blocks = page.split("```jinja\n").skip(1).map(|rest| rest.split("```").next().unwrap());
    let examples: String = blocks.collect();
    let tag = Change { field: Field::Tag, line: 3, ..change("web:db", "15.1", "15.2") };
    let changes =
        [change("web:app", "registry.example.com/acme/app:1.0.0", "registry.example.com/acme/app:1.1.0"), tag];
    let mut seen = String::new();
    for line in examples.lines() {
        let (_, makes) = line.rsplit_once("{# ").unwrap();
        let makes = makes.strip_suffix(" #}").unwrap();
        let text = with(line, &changes).unwrap_or_else(|reason| panic!("{line}: {reason}"));
        assert_eq!(text.split("\n\nTagboat-Update").next().unwrap(), makes, "{line}");
        seen.push_str(line);
    }
    for variable in [
        "object.namespace",
        "object.name",
        "policies",
        "branch",
        "repository",
        "compare",
        ".file",
        ".line",
        ".policy",
        ".field",
        ".old }",
        ".new }",
        ".image",
        ".oldTag",
        ".newTag",
        ".url",
    ] {
        assert!(seen.contains(variable), "{variable} has no example");
    }
}

#[test]
fn what_is_not_known_is_none() {
    let template = "{% for c in changes %}{{ c.image }} {{ c.oldTag }} {{ c.newTag }} {{ c.url }};{% endfor %} {{ repository }} {{ compare }}";
    let elsewhere = Occasion { url: "https://git.example.com/acme/fleet.git", ..OCCASION };
    let field = |field: Field, old: &str, new: &str| Change { field, ..change("web:app", old, new) };
    let changes = [
        field(Field::Image, "<nothing>", "x.io/a:2"),
        field(Field::Tag, "", "2"),
        field(Field::Name, "x.io/a", "x.io/b"),
        field(Field::Digest, "sha256:1", "sha256:2"),
    ];
    let text = message(Some(template), &elsewhere, &changes).unwrap();
    let wanted = "x.io/a None 2 None;None None 2 None;x.io/b None None None;None None None None; None None\n\n";
    assert!(text.starts_with(wanted), "{text}");
}

#[test]
fn what_a_template_may_not_do() {
    let changes = [change("web:app", "a:1", "a:2")];
    for bad in [
        "{{ nothing }}",
        "{{ changes[0].nothing }}",
        "{{ changes[1].new }}",
        "{% for x in range(1000000) %}{{ x }}{% endfor %}",
        "   ",
        "{% if %}",
        "{% include 'other' %}",
        "{% for i in range(9000) %}{{ changes }}{% endfor %}",
        "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
    ] {
        assert!(with(bad, &changes).is_err(), "{bad}");
    }
    let mapped = with("{{ changes | map(attribute='policy') | join }}", &changes).unwrap();
    assert!(mapped.starts_with("web:app\n"), "{mapped}");
    assert!(check_template("{{ changes").is_err());
    assert!(check_template("{{ changes | length }}").is_ok());
}
