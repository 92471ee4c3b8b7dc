//! Changes → title and description of their pull request: words for people, and below them, unseen where Markdown is rendered, the
//! same trailers as a commit's, from which what a person said no to is read again.

use sha2::{Digest, Sha256};

use super::super::edit::Change;
use super::super::link::Pages;
use super::super::message::{self, Occasion};
use super::super::trailers;
use super::said;
use crate::failure::printable;

/// The trailer by which a description is known as ours and unchanged; its value stands for title and text.
const TEXT: &str = "Tagboat-Text";
/// The longest title, in characters: the shortest limit of a host is 255.
const TITLE: usize = 250;
/// Where the part that is not for people begins and ends.
const BEGIN: &str = "<!--";
const END: &str = "-->";

/// What a request should say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Words {
    /// One line.
    pub title: String,
    /// The description, trailers included.
    pub body: String,
    /// Stands for all of it, and is a line of the description.
    pub mark: String,
}

/// The templates of a request; none makes the usual words.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Templates<'a> {
    /// For the title.
    pub title: Option<&'a str>,
    /// For the description.
    pub body: Option<&'a str>,
}

impl Templates<'_> {
    /// Checks their grammar, before there is anything to propose. Returns what is wrong, each with the template's field.
    pub fn check(&self) -> Vec<(&'static str, String)> {
        let all = [("titleTemplate", self.title), ("bodyTemplate", self.body)];
        all.into_iter().filter_map(|(field, text)| Some((field, message::check_template(text?).err()?))).collect()
    }
}

/// Title and description, and what was wrong with templates, which then give way to the usual words. `room` is how long a
/// description may be at the host, in bytes: trailers go before words.
pub fn words(
    templates: Templates<'_>,
    occasion: &Occasion<'_>,
    changes: &[Change],
    room: usize,
) -> (Words, Vec<(&'static str, String)>) {
    let mut wrong = Vec::new();
    let mut made = |field, template: Option<&str>, usual: &dyn Fn() -> String| match template {
        None => usual(),
        Some(template) => match message::render(template, occasion, changes) {
            Ok(text) if !text.trim().is_empty() => text,
            rendered => {
                wrong.push((field, rendered.err().unwrap_or_else(|| "the template makes an empty text".to_owned())));
                usual()
            }
        },
    };
    let title = made("titleTemplate", templates.title, &|| message::default_subject(changes));
    let text = made("bodyTemplate", templates.body, &|| usual_text(occasion, changes));
    let title = printable(&title.split_whitespace().collect::<Vec<_>>().join(" "), TITLE);
    let text: String = text.chars().filter(|c| *c == '\n' || *c == '\t' || !c.is_control()).collect();
    (assemble(title, text.trim(), changes, room), wrong)
}

fn assemble(title: String, text: &str, changes: &[Change], room: usize) -> Words {
    // A file's name must not end the comment; JSON may escape any character.
    let kept = said::write(changes, room * 3 / 4).replace(END, "--\\u003e");
    let all = trailers::write(changes);
    let mut hash = Sha256::new();
    for part in [title.as_bytes(), text.as_bytes(), all.as_bytes()] {
        hash.update(part.len().to_be_bytes());
        hash.update(part);
    }
    let mark = format!("{TEXT}: {}", hex::encode(&hash.finalize()[..8]));
    let below = format!("\n\n{BEGIN}\n{kept}{mark}\n{END}");
    let text = cut(text, room.saturating_sub(below.len()));
    Words { title, body: format!("{text}{below}"), mark }
}

/// As many whole lines as fit, and a sign that there were more.
fn cut(text: &str, room: usize) -> String {
    const MORE: &str = "\n\n…";
    if text.len() <= room {
        return text.to_owned();
    }
    let mut kept = String::new();
    for line in text.lines().take_while(|line| line.len() < room) {
        if kept.len() + line.len() + MORE.len() + 1 > room {
            break;
        }
        kept.push_str(line);
        kept.push('\n');
    }
    format!("{}{MORE}", kept.trim_end())
}

fn usual_text(occasion: &Occasion<'_>, changes: &[Change]) -> String {
    let pages = Pages::of(occasion.url);
    let lines = changes.iter().map(|change| {
        let place = code(&format!("{}:{}", change.file, change.line));
        let place = match &pages {
            Some(pages) => format!("[{place}]({})", pages.line(occasion.branch, &change.file, change.line)),
            None => place,
        };
        let old = if change.old.is_empty() { "nothing".to_owned() } else { code(&change.old) };
        format!("- {place}: {old} → {}", code(&change.new))
    });
    let (namespace, name) = occasion.object;
    format!(
        "{}\n\nProposed by the ImageUpdate {}, which keeps this request up to date. Closed unmerged, it holds these values back \
         until something newer is chosen, it is opened again, or they are released (`tagboat release`).",
        lines.collect::<Vec<_>>().join("\n"),
        code(&format!("{namespace}/{name}"))
    )
}

/// A code span, whatever is in it (CommonMark 6.1).
fn code(text: &str) -> String {
    let text = printable(text, 300);
    if text.contains('`') { format!("``` {text} ```") } else { format!("`{text}`") }
}

/// Whether a description is the one with this mark, whatever a person or the host did to its words.
pub fn has_mark(body: &str, mark: &str) -> bool {
    body.lines().any(|line| line.trim() == mark)
}

/// A description without what tagboat reads in it.
pub fn without_record(body: &str) -> String {
    let is_ours = |line: &str| {
        let line = line.trim();
        [TEXT, trailers::KEY, said::KEYS].iter().any(|key| line.starts_with(key))
    };
    let kept: Vec<&str> = body.lines().filter(|line| !is_ours(line)).collect();
    let text = kept.join("\n");
    let text = text.trim_end();
    // The comment that held it is empty now.
    let empty = text.strip_suffix(END).and_then(|text| text.trim_end().strip_suffix(BEGIN));
    empty.unwrap_or(text).trim_end().to_owned()
}

#[cfg(test)]
mod tests;
