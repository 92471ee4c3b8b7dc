//! Changes → the commit's message: a subject and a body for people, trailers for machines.

use minijinja::{Environment, UndefinedBehavior, context};

use super::edit::Change;
use super::trailers;
use crate::image::Image;

/// The longest text that a template may make, in bytes.
const TEXT_BYTES: usize = 32 << 10;
/// Steps that a template may take, so that no loop in it runs for ever.
const FUEL: u64 = 100_000;

/// Checks a template's grammar, before there is anything to commit.
///
/// # Errors
/// The parser's words, with the line.
pub fn check_template(template: &str) -> Result<(), String> {
    environment().template_from_str(template).map(|_| ()).map_err(|error| said(&error))
}

/// The whole message. A template sees `changes` (each with `file`, `line`, `policy`, `field`, `old`, `new`), `policies` and
/// `object` (`namespace`, `name` of the ImageUpdate); the trailers are always added below its text.
///
/// # Errors
/// When the template names what is not there, runs too long, or makes an empty or too long text.
pub fn message(template: Option<&str>, object: (&str, &str), changes: &[Change]) -> Result<String, String> {
    let text = match template {
        None => default_text(changes),
        Some(template) => render(template, object, changes)?,
    };
    let text: String = text.chars().filter(|c| *c == '\n' || *c == '\t' || !c.is_control()).collect();
    let text = text.trim();
    if text.is_empty() {
        return Err("the template makes an empty message".to_owned());
    }
    Ok(format!("{text}\n\n{}", trailers::write(changes)))
}

fn render(template: &str, (namespace, name): (&str, &str), changes: &[Change]) -> Result<String, String> {
    let policies: std::collections::BTreeSet<String> = changes.iter().map(|change| change.policy.clone()).collect();
    let policies: Vec<String> = policies.into_iter().collect();
    let values = context! { changes => minijinja::Value::from(minijinja::value::Serde(changes)), policies, object => context! { namespace, name } };
    let environment = environment();
    let template = environment.template_from_str(template).map_err(|error| said(&error))?;
    let text = template.render(values).map_err(|error| said(&error))?;
    if text.len() > TEXT_BYTES {
        return Err(format!("the template makes more than {} KiB of text", TEXT_BYTES >> 10));
    }
    Ok(text)
}

fn environment() -> Environment<'static> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_fuel(Some(FUEL));
    environment
}

fn said(error: &minijinja::Error) -> String {
    crate::failure::printable(&format!("{error:#}"), 300)
}

/// `update acme/app to 1.1.0`, or how many images, and a line for each change.
fn default_text(changes: &[Change]) -> String {
    let mut bumps: Vec<(&str, String)> =
        changes.iter().map(|change| (change.policy.as_str(), bump(changes, &change.policy))).collect();
    bumps.sort_unstable();
    bumps.dedup();
    let subject = match bumps.as_slice() {
        [(_, bump)] => format!("update {bump}"),
        bumps => format!("update {} images", bumps.len()),
    };
    let lines = changes.iter().map(|change| {
        let old = if change.old.is_empty() { "(nothing)".to_owned() } else { one_line(&change.old) };
        format!("- {}:{}: {old} -> {}", one_line(&change.file), change.line, change.new)
    });
    format!("{subject}\n\n{}", lines.collect::<Vec<_>>().join("\n"))
}

/// What a policy's changes come down to: `acme/app to 1.1.0`; without a whole reference among them, the policy and its new value.
fn bump(changes: &[Change], policy: &str) -> String {
    let of_policy = || changes.iter().filter(|change| change.policy == policy);
    let image = of_policy().find_map(|change| change.new.parse::<Image>().ok());
    match (image, of_policy().next()) {
        (Some(image), _) => format!("{} to {}", image.name.path(), image.tag),
        (None, Some(change)) => format!("{policy} to {}", change.new),
        (None, None) => policy.to_owned(),
    }
}

fn one_line(text: &str) -> String {
    crate::failure::printable(text, 300)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::update::edit::Field;

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

    #[test]
    fn the_default_message() {
        let text = message(None, ("web", "fleet"), &[change("web:app", "x.io/app:1.0.0", "x.io/app:1.1.0")]).unwrap();
        insta::assert_snapshot!(text, @r#"
        update app to 1.1.0

        - apps/app.yaml:7: x.io/app:1.0.0 -> x.io/app:1.1.0

        Tagboat-Update: ["web:app","apps/app.yaml",7,"image","x.io/app:1.0.0","x.io/app:1.1.0"]
        "#);
        let two = [change("web:app", "a:1", "a:2"), change("web:db", "d:1", "d:2")];
        assert!(message(None, ("web", "fleet"), &two).unwrap().starts_with("update 2 images\n\n- "));
    }

    #[test]
    fn a_template_sees_changes_policies_and_object() {
        let template = "chore({{ object.name }}): {{ policies | join(', ') }}\n{% for c in changes %}\n* {{ c.old }} to {{ c.new }}{% endfor %}";
        let text = message(Some(template), ("web", "fleet"), &[change("web:app", "a:1", "a:2")]).unwrap();
        assert!(text.starts_with("chore(fleet): web:app\n\n* a:1 to a:2\n\nTagboat-Update: "), "{text}");
    }

    #[test]
    fn what_a_template_may_not_do() {
        let changes = [change("web:app", "a:1", "a:2")];
        for bad in [
            "{{ nothing }}",
            "{% for x in range(1000000) %}{{ x }}{% endfor %}",
            "   ",
            "{% if %}",
            "{{ 'x' * 40000 }}",
        ] {
            assert!(message(Some(bad), ("web", "fleet"), &changes).is_err(), "{bad}");
        }
        assert!(check_template("{{ changes").is_err());
        assert!(check_template("{{ changes | length }}").is_ok());
    }
}
