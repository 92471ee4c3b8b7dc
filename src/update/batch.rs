//! The marked and targeted files of one head × the choices → one batch: new texts, changes, problems, and the facts of their commit.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use chrono::{DateTime, Utc};

use super::edit::{self, Change, Choices, Edited, Known, NEEDLE, Wishes, edit_file};
use super::message::{self, Occasion};
use super::proposal::Proposal;
use super::target::Target;
use crate::api::image_update::{ChangeStatus, HoldStatus, ReleasedStatus};
use crate::object::Problem;
use crate::revision::CommitId;

/// Where a problem with the message's template is: in the object, not in a file.
pub const TEMPLATE: &str = "spec.commit.messageTemplate";

/// Where a problem with a pull request's template is.
pub fn request_template(field: &str) -> String {
    format!("spec.pullRequest.{field}")
}

/// Everything that one run would change.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Batch {
    /// The files that change, with their new bytes.
    pub files: Vec<(String, Vec<u8>)>,
    /// Every changed value, in the order of files and lines.
    pub changes: Vec<Change>,
    /// What keeps values from being kept up to date.
    pub problems: Vec<Problem>,
    /// How many markers and targets work.
    pub markers: u32,
    /// The policies that files and targets name, if that is plain to see.
    pub named: Option<BTreeSet<String>>,
    /// Policies that nothing follows, of which somebody should hear.
    pub idle: Vec<Problem>,
    /// What a person decided about values.
    pub holding: Holding,
    /// What became of the pull request.
    pub proposal: Proposal,
    /// The repository, as the status names it.
    pub repository: Option<String>,
    /// A push that the status does not tell of yet.
    pub earlier: Option<Earlier>,
}

/// A push whose maker died before it could tell of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Earlier {
    /// The commit.
    pub commit: CommitId,
    /// The branch that it is on.
    pub branch: String,
    /// What it changed.
    pub changes: Vec<ChangeStatus>,
}

/// What a person decided about values.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Holding {
    /// Values that are not written, in the order of files.
    pub holds: Vec<HoldStatus>,
    /// Releases that let some of the changes be written.
    pub used: Vec<ReleasedStatus>,
    /// Releases of policies without a choice.
    pub waiting: Vec<ReleasedStatus>,
    /// The annotation that was acted on.
    pub release: Option<String>,
}

/// A file of a head that one run looks at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// Its path, from the repository's root.
    pub path: String,
    /// Whether its markers count.
    pub is_marked: bool,
    /// Its content.
    pub content: Content,
}

/// What stands at a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// A file; the same id is the same bytes.
    File(String),
    /// None that could be edited: why, as in `it is a folder`.
    Nothing(&'static str),
}

/// What one run wants.
#[derive(Debug, Clone, Copy)]
pub struct Aims<'a> {
    /// What the policies chose.
    pub choices: &'a Choices,
    /// The only namespace whose policies may be named; none allows all.
    pub namespace: Option<&'a str>,
    /// The values without a marker.
    pub targets: &'a [Target],
}

/// The marked files and those of targets, sorted by path; `look` says what stands at the path of a target in a file without a marker.
///
/// # Errors
/// Those of `look`.
pub fn sources<E>(
    marked: Vec<(String, String)>,
    targets: &[Target],
    look: &mut dyn FnMut(&str) -> Result<Content, E>,
) -> Result<Vec<Source>, E> {
    let marked = marked.into_iter().map(|(path, id)| (path, (true, Content::File(id))));
    let mut all: BTreeMap<String, (bool, Content)> = marked.collect();
    for target in targets {
        if !all.contains_key(&target.file) {
            all.insert(target.file.clone(), (false, look(&target.file)?));
        }
    }
    Ok(all.into_iter().map(|(path, (is_marked, content))| Source { path, is_marked, content }).collect())
}

/// Files that need no edit, remembered by path and content: they are looked at again only when a policy that they name chooses
/// anew or their targets are others. It saves reading and parsing, and can be lost at any time.
#[derive(Debug, Clone, Default)]
pub struct Settled {
    files: HashMap<(String, String), Rest>,
}

/// What is known of a file that needs no edit.
#[derive(Debug, Clone)]
struct Rest {
    /// What the policies that it names had chosen.
    choices: Vec<(String, Option<Known>)>,
    is_marked: bool,
    targets: Vec<Target>,
    problems: Vec<Problem>,
    markers: u32,
}

impl Rest {
    fn holds(&self, source: &Source, targets: &[&Target], choices: &Choices) -> bool {
        self.is_marked == source.is_marked
            && self.targets.iter().eq(targets.iter().copied())
            && self.choices.iter().all(|(id, known)| choices.get(id) == known.as_ref())
    }
}

/// The bytes of a file by its path; nothing for one that is too large.
pub type Read<'a, E> = dyn FnMut(&str) -> Result<Option<Vec<u8>>, E> + 'a;

/// Edits all files of a head; `read` is called only for those that are not settled.
///
/// # Errors
/// Those of `read`.
pub fn edit_new<E>(
    sources: &[Source],
    read: &mut Read<'_, E>,
    aims: &Aims<'_>,
    settled: &mut Settled,
) -> Result<Batch, E> {
    let mut batch = Batch { named: Some(BTreeSet::new()), ..Batch::default() };
    let mut before = std::mem::take(&mut settled.files);
    let mut targets: BTreeMap<&str, Vec<&Target>> = BTreeMap::new();
    for target in aims.targets {
        targets.entry(target.file.as_str()).or_default().push(target);
    }
    for source in sources {
        let targets = targets.get(source.path.as_str()).map_or(&[][..], Vec::as_slice);
        let id = match &source.content {
            Content::File(id) => id,
            Content::Nothing(why) => {
                batch.problems.extend(targets.iter().map(|target| target.problem(why)));
                continue;
            }
        };
        let place = (source.path.clone(), id.clone());
        let rest = before.remove(&place).filter(|rest| rest.holds(source, targets, aims.choices));
        if let Some(rest) = rest {
            batch.problems.extend(rest.problems.iter().cloned());
            batch.markers += rest.markers;
            batch.names(rest.choices.iter().map(|(policy, _)| policy));
            settled.files.insert(place, rest);
            continue;
        }
        let Some(bytes) = read(&source.path)? else {
            batch.problems.push(Problem { file: source.path.clone(), line: 0, reason: edit::TOO_LARGE.to_owned() });
            continue;
        };
        let Aims { choices, namespace, .. } = *aims;
        let wishes = Wishes { choices, namespace, is_marked: source.is_marked, targets };
        let edited = edit_file(&source.path, &bytes, &wishes);
        let names = if source.is_marked { named(&bytes) } else { Some(BTreeSet::new()) };
        let Some(mut names) = names else {
            batch.named = None;
            batch.add(&source.path, edited);
            continue;
        };
        names.extend(targets.iter().map(|target| target.policy.clone()));
        batch.names(&names);
        if edited.bytes.is_none() {
            let choices = names.into_iter().map(|id| (id.clone(), choices.get(&id).cloned())).collect();
            let rest = Rest {
                choices,
                is_marked: source.is_marked,
                targets: targets.iter().map(|target| (*target).clone()).collect(),
                problems: edited.problems.clone(),
                markers: edited.markers,
            };
            settled.files.insert(place, rest);
        }
        batch.add(&source.path, edited);
    }
    Ok(batch)
}

/// The policies that a file's markers name; none when one of them is not plain to see, as then anything may depend on anything.
fn named(bytes: &[u8]) -> Option<BTreeSet<String>> {
    let text = std::str::from_utf8(bytes).ok()?;
    let needle = std::str::from_utf8(NEEDLE).ok()?;
    let mut names = BTreeSet::new();
    for (at, _) in text.match_indices(needle) {
        let value = text[at + needle.len()..]
            .strip_prefix('"')?
            .trim_start()
            .strip_prefix(':')?
            .trim_start()
            .strip_prefix('"')?;
        let value = value.split('"').next().filter(|value| !value.contains(['\\', '\n']))?;
        let mut parts = value.splitn(3, ':');
        names.insert(format!("{}:{}", parts.next()?, parts.next().unwrap_or_default()));
    }
    Some(names)
}

/// The commit's time in seconds: when the newest of its choices was made, but never before its parent.
/// Only recorded facts, so that whoever makes this commit again makes the same one.
pub fn commit_time(changes: &[Change], chosen_at: &BTreeMap<String, DateTime<Utc>>, parent: i64) -> i64 {
    changes
        .iter()
        .filter_map(|change| chosen_at.get(&change.policy))
        .map(DateTime::timestamp)
        .max()
        .unwrap_or(parent)
        .max(parent)
}

impl Batch {
    fn names<'a>(&mut self, policies: impl IntoIterator<Item = &'a String>) {
        if let Some(named) = &mut self.named {
            named.extend(policies.into_iter().cloned());
        }
    }

    /// Finds the policies that neither this ImageUpdate names nor another one of the namespace (`others`), as far as they may.
    pub fn find_idle(&mut self, choices: &Choices, others: Option<&BTreeSet<String>>) {
        let (Some(named), Some(others)) = (&self.named, others) else { return };
        let is_idle = |(policy, known): &(&String, &Known)| {
            **known != Known::NotSelected && !named.contains(*policy) && !others.contains(*policy)
        };
        let problem = |(policy, _): (&String, &Known)| Problem {
            file: format!("ImagePolicy {}", policy.replace(':', "/")),
            line: 0,
            reason: "no marker and no target names it".to_owned(),
        };
        self.idle = choices.iter().filter(is_idle).map(problem).collect();
    }

    fn add(&mut self, path: &str, edited: Edited) {
        self.files.extend(edited.bytes.map(|bytes| (path.to_owned(), bytes)));
        self.changes.extend(edited.changes);
        self.problems.extend(edited.problems);
        self.markers += edited.markers;
    }

    /// Edits a file anew, without the values that are held back.
    pub fn replace(&mut self, path: &str, edited: Edited) {
        self.files.retain(|(file, _)| file != path);
        self.changes.retain(|change| change.file != path);
        self.files.extend(edited.bytes.map(|bytes| (path.to_owned(), bytes)));
        self.changes.extend(edited.changes);
        self.files.sort_by(|(a, _), (b, _)| a.cmp(b));
        self.changes.sort_by(|a, b| a.file.cmp(&b.file));
    }

    /// The commit's message. A template that fails on these changes gives way to the default one, since a bump must not
    /// wait for its wording; the failure is a problem of the batch.
    pub fn message(&mut self, template: Option<&str>, occasion: &Occasion<'_>) -> String {
        message::message(template, occasion, &self.changes)
            .or_else(|reason| {
                let reason = format!("{reason}; the commit has the usual message instead");
                self.problems.push(Problem { file: TEMPLATE.to_owned(), line: 0, reason });
                message::message(None, occasion, &self.changes)
            })
            .unwrap_or_else(|_| "update images".to_owned())
    }

    /// Looks at a template that this batch has no use for, so that a wrong one is known before the next bump.
    pub fn check_template(&mut self, template: Option<&str>) {
        if let Some(Err(reason)) = template.map(message::check_template) {
            self.problems.push(Problem { file: TEMPLATE.to_owned(), line: 0, reason });
        }
    }

    /// Notes what is wrong with templates of a pull request; `instead` says what became of it.
    pub fn note_wrong_templates(&mut self, wrong: Vec<(&'static str, String)>, instead: &str) {
        let problem =
            |(field, reason)| Problem { file: request_template(field), line: 0, reason: format!("{reason}{instead}") };
        self.problems.extend(wrong.into_iter().map(problem));
    }

    /// The changes in one line, for events.
    pub fn summary(&self) -> String {
        let mut changes: Vec<String> = self.changes.iter().map(summed_up).collect();
        changes.dedup();
        let more = changes.len().saturating_sub(5);
        changes.truncate(5);
        let listed = changes.join(", ");
        if more > 0 { format!("{listed} and {more} more") } else { listed }
    }
}

fn summed_up(change: &Change) -> String {
    if change.old.is_empty() { format!("+ {}", change.new) } else { format!("{} → {}", change.old, change.new) }
}

#[cfg(test)]
mod tests;
