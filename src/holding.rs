//! LOOP 1b's look back: what would be written × the history of its files → what a person decided against, and what a person
//! released. Reads the mirror only, and only of files that would change.

mod earlier;

use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;
use std::sync::Arc;

use chrono::DateTime;
use kube::Resource;

use crate::api::image_policy::{OnRevert, SemverPolicy};
use crate::api::image_update::HoldStatus;
use crate::api::{ImagePolicy, ImageUpdate, ImageUpdateStatus, RELEASE};
use crate::git::{Depth, Error, Kind, Mirror, ObjectId, Person, Version};
use crate::object::Problem;
use crate::revision::CommitId;
use crate::update::batch::{Batch, Holding};
use crate::update::edit::values::{Place, Probe, Value, Wanted};
use crate::update::edit::{self, Choices, Known, Wishes};
use crate::update::hold::release::{self, Release};
use crate::update::hold::{Asked, Cause, Search, Seen, is_rivalry, tag_of, with_their_tags};
use crate::update::proposal::Refused;
use crate::update::target::Target;
use crate::update::trailers::{self, Recorded};
use crate::watch::decide;
use crate::watch::policy::Policy;

/// Any version: what a person moves to need not be in the policy's range to be newer.
const ANY_VERSION: &str = ">=0.0.0-0";
/// So many old contents of files stay parsed.
const KEPT: usize = 64;

/// The policies that choose, by `namespace:name`.
pub type Policies = BTreeMap<String, Arc<ImagePolicy>>;

/// What policies say about values that a person took back, by `namespace:name`.
pub type Reverts = BTreeMap<String, OnRevert>;

/// What the policies say; those that say nothing are left out.
pub fn on_revert(policies: &Policies) -> Reverts {
    let said = policies.iter().map(|(id, policy)| (id.clone(), policy.spec.on_revert));
    said.filter(|(_, on_revert)| *on_revert != OnRevert::default()).collect()
}

/// The annotation that releases.
pub fn release(update: &ImageUpdate) -> Option<String> {
    update.meta().annotations.as_ref()?.get(RELEASE).cloned()
}

/// The head whose files would change, and all that is wanted of them.
pub struct Look<'a> {
    /// The repository.
    pub mirror: &'a Mirror,
    /// The head.
    pub head: &'a CommitId,
    /// The ImageUpdate.
    pub update: &'a ImageUpdate,
    /// Its status as it is.
    pub status: &'a ImageUpdateStatus,
    /// What the policies chose.
    pub choices: &'a Choices,
    /// The policies.
    pub policies: &'a Policies,
    /// All targets.
    pub targets: &'a [Target],
    /// The branch that is read.
    pub source: &'a str,
    /// The branch that our commits go to.
    pub target: &'a str,
    /// Whether the markers of a file count.
    pub is_marked: &'a dyn Fn(&str) -> bool,
    /// What people said no to by closing pull requests.
    pub refused: &'a [Refused],
}

/// A file that would change.
struct File<'a> {
    path: &'a str,
    bytes: Vec<u8>,
    is_marked: bool,
    targets: Vec<&'a Target>,
}

/// A value that would change, and of which file.
struct Open {
    file: usize,
    wanted: Wanted,
    asked: Asked,
    /// The policy's order.
    order: Option<Rc<Policy>>,
}

impl Open {
    /// Whether the policy orders a value as newer than the one at the head.
    fn is_above(&self, value: &str) -> bool {
        let field = self.asked.place.field;
        let tags = tag_of(field, value).zip(tag_of(field, &self.asked.now));
        self.order.as_deref().zip(tags).is_some_and(|(order, (value, now))| is_newer(order, &value, &now))
    }
}

impl Look<'_> {
    /// Takes out of the batch what is held.
    ///
    /// # Errors
    /// Those of the mirror.
    pub fn hold_back(&self, batch: &mut Batch) -> Result<(), Error> {
        let paths: Vec<String> = batch.files.iter().map(|(path, _)| path.clone()).collect();
        let files: Vec<File<'_>> =
            paths.iter().filter_map(|path| self.file(path).transpose()).collect::<Result<_, _>>()?;
        let probe = Probe::new(self.choices);
        let open = self.open(&files, &probe);
        let found = self.past(&files, &open, &probe)?;
        let holds: Vec<(HoldStatus, OnRevert)> =
            found.iter().map(|(index, hold)| (hold.clone(), open[*index].asked.on_revert)).collect();
        let release = release(self.update);
        let asked = release.as_ref().filter(|release| self.status.last_handled_release.as_ref() != Some(release));
        let asked = asked.and_then(|release| Release::read(release));
        let is_undecided = |policy: &str| self.choices.get(policy) == Some(&Known::Undecided);
        let told = (&*self.status.holds, &*self.status.released);
        let settled = release::settle(&holds, told.0, told.1, asked.as_ref(), &is_undecided);
        let mut held: BTreeMap<usize, Vec<Wanted>> = BTreeMap::new();
        let mut standing = Vec::new();
        let mut last = None;
        for ((index, hold), _) in found.into_iter().zip(&settled.stands).filter(|(_, stands)| **stands) {
            if last.replace(index) == Some(index) {
                continue; // what Git says goes before what the host says
            }
            held.entry(open[index].file).or_default().push(open[index].wanted.clone());
            if is_rivalry(&hold) {
                batch.problems.push(Problem { file: hold.file.clone(), line: hold.line, reason: hold.reason.clone() });
            }
            standing.push(hold);
        }
        for (file, held) in held {
            let file = &files[file];
            batch.replace(file.path, edit::edit_without(file.path, &file.bytes, &self.wishes(file), &held));
        }
        batch.holding = Holding { holds: standing, used: settled.used, waiting: settled.waiting, release };
        Ok(())
    }

    fn file<'f>(&'f self, path: &'f str) -> Result<Option<File<'f>>, Error> {
        let Some(entry) = self.mirror.find(self.head, path)? else { return Ok(None) };
        let bytes = self.mirror.blob(entry.id)?;
        let targets = self.targets.iter().filter(|target| target.file == path).collect();
        Ok(Some(File { path, bytes, is_marked: (self.is_marked)(path), targets }))
    }

    fn wishes<'f>(&'f self, file: &'f File<'f>) -> Wishes<'f> {
        let namespace = self.update.meta().namespace.as_deref();
        Wishes { choices: self.choices, namespace, is_marked: file.is_marked, targets: &file.targets }
    }

    /// The values that would change, but for those whose policy writes on in any case.
    fn open(&self, files: &[File<'_>], probe: &Probe) -> Vec<Open> {
        let mut open = Vec::new();
        let mut orders: BTreeMap<String, Option<Rc<Policy>>> = BTreeMap::new();
        for (index, file) in files.iter().enumerate() {
            for wanted in probe.wanted(&file.bytes, &self.wishes(file)) {
                let Place { policy, field, .. } = &wanted.now.place;
                let on_revert = self.policies.get(policy).map(|policy| policy.spec.on_revert).unwrap_or_default();
                if on_revert == OnRevert::Ignore {
                    continue;
                }
                let order =
                    orders.entry(policy.clone()).or_insert_with(|| order(self.policies.get(policy)?).map(Rc::new));
                let tags = tag_of(*field, &wanted.now.text).zip(tag_of(*field, &wanted.choice));
                let is_newer =
                    order.as_deref().zip(tags).is_some_and(|(order, (now, choice))| is_newer(order, &now, &choice));
                let asked = Asked {
                    file: file.path.to_owned(),
                    line: wanted.now.line,
                    place: wanted.now.place.clone(),
                    now: wanted.now.text.clone(),
                    choice: wanted.choice.clone(),
                    on_revert,
                    is_newer,
                };
                open.push(Open { file: index, wanted, asked, order: order.clone() });
            }
        }
        open
    }

    /// What is held, by its place in `open`.
    fn past(&self, files: &[File<'_>], open: &[Open], probe: &Probe) -> Result<Vec<(usize, HoldStatus)>, Error> {
        let mut searches: Vec<Search<'_>> =
            open.iter().map(|open| Search::new(&open.asked, &self.status.last_changes)).collect();
        let paths: Vec<&str> = open.iter().map(|open| files[open.file].path).collect();
        let mut reader = Reader { look: self, files, probe, parsed: HashMap::new(), said: None };
        let mut visit = |index: usize, version: &Version| {
            let Open { file, asked, .. } = &open[index];
            let mut values = |blobs: &[Option<ObjectId>]| -> Result<Vec<Option<String>>, Error> {
                blobs.iter().map(|blob| reader.value(*file, *blob, &asked.place)).collect()
            };
            let (before, bases) = (values(&version.before)?, values(&version.bases)?);
            let recorded = reader.recorded(version);
            let cause = cause(&version.author, version.time, &version.commit, &version.message);
            Ok(searches[index].see(&Seen { cause, recorded: &recorded, before: &before, bases: &bases }))
        };
        let cut = self.mirror.history(self.head, &paths, Depth::default(), &mut visit)?;
        if let Some(first) = cut.first() {
            tracing::warn!("the history of {} is too long to be searched to its end for reverts", paths[*first]);
        }
        // What is known of another branch says nothing about this one.
        let seen = self.status.observed_revision.as_ref().map(|seen| seen.name.as_str());
        let is_known = seen.is_some_and(|seen| [self.source, self.target].contains(&seen));
        // Those of requests are the host's to tell.
        let told = self.status.holds.iter().filter(|hold| is_known && hold.request.is_none());
        let told: Vec<HoldStatus> = told.cloned().collect();
        let mut lost = Lost { look: self, known: HashMap::new() };
        let mut held = Vec::new();
        for (index, search) in searches.into_iter().enumerate() {
            let asked = &open[index].asked;
            let found = match search.held(&|value| open[index].is_above(value)) {
                Some(found) => Some(found),
                None => match asked.told(&told, &mut |commit| lost.is(commit))? {
                    Some(told) => Some(told),
                    None => self.rewritten(&mut lost, &mut reader, &open[index])?,
                },
            };
            held.extend(found.map(|hold| (index, hold)));
            held.extend(asked.refused(self.refused, self.head).map(|hold| (index, hold)));
        }
        let asked: Vec<&Asked> = open.iter().map(|open| &open.asked).collect();
        Ok(with_their_tags(&asked, held))
    }

    /// The hold of a value that our last commit had, when a person made the branch go another way. Proposals go their own way.
    fn rewritten(
        &self,
        lost: &mut Lost<'_>,
        reader: &mut Reader<'_>,
        open: &Open,
    ) -> Result<Option<HoldStatus>, Error> {
        let was_here = self.target == self.source && self.status.last_push_branch.as_deref() == Some(self.source);
        let Some(pushed) = self.status.last_push_commit.as_ref().filter(|_| was_here) else {
            return Ok(None);
        };
        if !lost.is(pushed)? {
            return Ok(None);
        }
        let then = match self.mirror.find(pushed, &open.asked.file) {
            Ok(entry) => {
                let blob = entry.filter(|entry| matches!(entry.kind, Kind::File | Kind::Executable));
                reader.value(open.file, blob.map(|entry| entry.id), &open.asked.place)?
            }
            Err(Error::CommitGone { .. }) => None,
            Err(error) => return Err(error),
        };
        let head = self.mirror.commit_info(self.head)?;
        let head = cause(&head.committer, head.time, self.head, &head.message);
        Ok(open.asked.rewritten(pushed, then.as_deref(), &self.status.last_changes, &head))
    }
}

/// Which commits are no longer below the head.
struct Lost<'a> {
    look: &'a Look<'a>,
    known: HashMap<CommitId, bool>,
}

impl Lost<'_> {
    fn is(&mut self, commit: &CommitId) -> Result<bool, Error> {
        if let Some(known) = self.known.get(commit) {
            return Ok(*known);
        }
        let is_lost = !self.look.mirror.is_ancestor(commit, self.look.head)?;
        self.known.insert(commit.clone(), is_lost);
        Ok(is_lost)
    }
}

/// Reads values of old contents, each content once.
struct Reader<'a> {
    look: &'a Look<'a>,
    files: &'a [File<'a>],
    probe: &'a Probe,
    parsed: HashMap<(usize, ObjectId), Rc<Vec<Value>>>,
    said: Option<(CommitId, Rc<Vec<Recorded>>)>,
}

impl Reader<'_> {
    fn value(&mut self, file: usize, blob: Option<ObjectId>, place: &Place) -> Result<Option<String>, Error> {
        let Some(blob) = blob else { return Ok(None) };
        if !self.parsed.contains_key(&(file, blob)) {
            if self.parsed.len() >= KEPT {
                self.parsed.clear();
            }
            let values = match self.look.mirror.blob(blob) {
                Ok(bytes) => self.probe.values(&bytes, &self.look.wishes(&self.files[file])),
                Err(Error::TooLarge { .. }) => Vec::new(),
                Err(error) => return Err(error),
            };
            self.parsed.insert((file, blob), Rc::new(values));
        }
        let values = self.parsed.get(&(file, blob));
        let value = values.and_then(|values| values.iter().find(|value| value.place == *place));
        Ok(value.map(|value| value.text.clone()))
    }

    fn recorded(&mut self, version: &Version) -> Rc<Vec<Recorded>> {
        match &self.said {
            Some((commit, recorded)) if *commit == version.commit => recorded.clone(),
            _ => {
                let recorded = Rc::new(trailers::read(&version.message));
                self.said = Some((version.commit.clone(), recorded.clone()));
                recorded
            }
        }
    }
}

fn cause(who: &Person, time: i64, commit: &CommitId, message: &str) -> Cause {
    let by = if who.name.is_empty() { &who.email } else { &who.name };
    Cause {
        by: by.clone(),
        at: DateTime::from_timestamp(time, 0).unwrap_or_default(),
        commit: commit.clone(),
        subject: message.trim_start().lines().next().unwrap_or_default().to_owned(),
    }
}

/// The policy's order, over all that it can read.
fn order(policy: &ImagePolicy) -> Option<Policy> {
    let mut spec = policy.spec.clone();
    if spec.policy.semver.is_some() {
        spec.policy.semver = Some(SemverPolicy { range: ANY_VERSION.to_owned() });
    }
    Policy::parse(&spec).ok()
}

/// Whether a tag is newer than the choice; one that is as new isn't.
fn is_newer(order: &Policy, tag: &str, choice: &str) -> bool {
    let Ok(current) = choice.parse() else { return false };
    decide::compare(order, Some(&current), tag, choice).is_some_and(std::cmp::Ordering::is_gt)
}
