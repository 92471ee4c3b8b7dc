//! Changes → the commit's message: a subject and a body for people, trailers for machines.

use minijinja::value::Serde;
use minijinja::{Environment, UndefinedBehavior, context};
use serde::Serialize;

use super::edit::{Change, Field};
use super::link::Pages;
use super::trailers;
use crate::image::Image;

/// The longest text that a template may make, in bytes.
const TEXT_BYTES: usize = 32 << 10;
/// Steps that a template may take, so that no loop in it runs for ever.
const FUEL: u64 = 100_000;

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
    environment().template_from_str(template).map(|_| ()).map_err(|error| said(&error))
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
    let environment = environment();
    let template = environment.template_from_str(template).map_err(|error| said(&error))?;
    let mut text = Bounded::default();
    match template.render_captured_to(values, &mut text) {
        _ if text.is_full => Err(format!("the template makes more than {} KiB of text", TEXT_BYTES >> 10)),
        Ok(_) => Ok(String::from_utf8_lossy(&text.bytes).into_owned()),
        Err(error) => Err(said(&error)),
    }
}

/// What a template writes, as long as it is not too much.
#[derive(Default)]
struct Bounded {
    bytes: Vec<u8>,
    is_full: bool,
}

impl std::io::Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.is_full |= self.bytes.len() + bytes.len() > TEXT_BYTES;
        if self.is_full {
            return Err(std::io::ErrorKind::WriteZero.into());
        }
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
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
