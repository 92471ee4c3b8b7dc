//! Changes → the commit's message: a subject and a body for people, trailers for machines.

use minijinja::context;
use minijinja::value::Serde;
use serde::Serialize;

mod template;

use super::edit::{Change, Field};
use super::link::Pages;
use super::trailers;
use crate::image::Image;

/// What a message may speak of beside its changes.
#[derive(Debug, Clone, Copy)]
pub struct Occasion<'a> {
    /// Namespace and name of the ImageUpdate.
    pub object: (&'a str, &'a str),
    /// The repository's clone URL.
    pub url: &'a str,
    /// The branch that the commit is for.
    pub branch: &'a str,
    /// The commit below it.
    pub parent: &'a str,
}

/// A change as a template sees it: what is not known is none.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Seen<'a> {
    #[serde(flatten)]
    change: &'a Change,
    image: Option<String>,
    old_tag: Option<String>,
    new_tag: Option<String>,
    url: Option<String>,
}

impl<'a> Seen<'a> {
    fn of(change: &'a Change, pages: Option<&Pages>, branch: &str) -> Self {
        let parse = |value: &str| value.parse::<Image>().ok();
        let whole = |value: &str| if change.field == Field::Image { parse(value) } else { None };
        let tag = |value: &str| match change.field {
            Field::Tag => Some(value.to_owned()).filter(|tag| !tag.is_empty()),
            _ => whole(value).map(|image| image.tag.to_string()),
        };
        let image = match change.field {
            Field::Name => Some(change.new.clone()),
            _ => whole(&change.new).map(|image| image.name.to_string()),
        };
        let url = pages.map(|pages| pages.line(branch, &change.file, change.line));
        Self { change, image, old_tag: tag(&change.old), new_tag: tag(&change.new), url }
    }
}

/// Checks a template's grammar, before there is anything to commit.
///
/// # Errors
/// The parser's words, with the line.
pub fn check_template(template: &str) -> Result<(), String> {
    template::check(template)
}

/// The whole message. A template sees `changes` (each with `file`, `line`, `policy`, `field`, `old`, `new`, and as far as they
/// are known `image`, `oldTag`, `newTag` and `url`), `policies`, `object` (`namespace`, `name` of the ImageUpdate), `branch`,
/// and for hosts that we know the links `repository` and `compare`. The trailers are always added below its text.
///
/// # Errors
/// When the template names what is not there, runs too long, or makes an empty or too long text.
pub fn message(template: Option<&str>, occasion: &Occasion<'_>, changes: &[Change]) -> Result<String, String> {
    let text = match template {
        None => default_text(changes),
        Some(template) => render(template, occasion, changes)?,
    };
    let text: String = text.chars().filter(|c| *c == '\n' || *c == '\t' || !c.is_control()).collect();
    let text = text.trim();
    if text.is_empty() {
        return Err("the template makes an empty message".to_owned());
    }
    Ok(format!("{text}\n\n{}", trailers::write(changes)))
}

/// What a template makes of the names above, bounded but otherwise as it is.
///
/// # Errors
/// When the template names what is not there, runs too long, or makes a too long text.
pub(super) fn render(template: &str, occasion: &Occasion<'_>, changes: &[Change]) -> Result<String, String> {
    let policies: std::collections::BTreeSet<String> = changes.iter().map(|change| change.policy.clone()).collect();
    let policies: Vec<String> = policies.into_iter().collect();
    let Occasion { object: (namespace, name), url, branch, parent } = *occasion;
    let pages = Pages::of(url);
    let seen: Vec<Seen<'_>> = changes.iter().map(|change| Seen::of(change, pages.as_ref(), branch)).collect();
    let values = context! {
        changes => minijinja::Value::from(Serde(seen)),
        policies,
        object => context! { namespace, name },
        branch,
        repository => pages.as_ref().map(Pages::home),
        compare => pages.as_ref().map(|pages| pages.compare(parent, branch)),
    };
    template::render(template, values)
}

/// The usual subject, and a line for each change.
fn default_text(changes: &[Change]) -> String {
    let lines = changes.iter().map(|change| {
        let old = if change.old.is_empty() { "(nothing)".to_owned() } else { one_line(&change.old) };
        format!("- {}:{}: {old} -> {}", one_line(&change.file), change.line, change.new)
    });
    format!("{}\n\n{}", default_subject(changes), lines.collect::<Vec<_>>().join("\n"))
}

/// `update acme/app to 1.1.0`, or how many images.
pub(super) fn default_subject(changes: &[Change]) -> String {
    let mut bumps: Vec<(&str, String)> =
        changes.iter().map(|change| (change.policy.as_str(), bump(changes, &change.policy))).collect();
    bumps.sort_unstable();
    bumps.dedup();
    match bumps.as_slice() {
        [(_, bump)] => format!("update {bump}"),
        bumps => format!("update {} images", bumps.len()),
    }
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
mod tests;
