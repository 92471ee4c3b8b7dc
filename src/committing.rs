//! Part of LOOP 1b: a head × what the policies want → a commit on top of it, in the mirror. No network. The same head, choices and
//! recorded times make the same commit, whoever makes it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use chrono::{DateTime, Utc};
use kube::ResourceExt;

use crate::api::condition::Reason;
use crate::api::{ImageUpdate, ImageUpdateStatus};
use crate::context::Grounded;
use crate::failure::Failure;
use crate::git::{self, Along, Entry, Kind, NewCommit, ObjectId, Person, Second, SigningKey};
use crate::holding::{Look, Policies};
use crate::quarantine::caught_aside;
use crate::revision::{CommitId, Revision};
use crate::source::failure;
use crate::update::batch::{self, Aims, Batch, Content, Settled};
use crate::update::edit::{self, Choices};
use crate::update::message::Occasion;
use crate::update::proposal::Refused;
use crate::update::refspec::{self, Refspec};
use crate::update::status;
use crate::update::target::Target;

/// What the namespace's policies want.
#[derive(Default)]
pub struct Wants {
    /// What they chose.
    pub choices: Arc<Choices>,
    /// When each of them chose.
    pub chosen_at: BTreeMap<String, DateTime<Utc>>,
    /// The policies.
    pub policies: Policies,
}

/// What one run works on.
pub struct Task {
    /// The ImageUpdate.
    pub update: ImageUpdate,
    /// What the policies want.
    pub wants: Wants,
    /// The status as it is.
    pub status: ImageUpdateStatus,
    /// Files that need no edit.
    pub settled: Arc<Mutex<Settled>>,
    /// What signs the commit.
    pub key: Option<Arc<SigningKey>>,
    /// What goes along with the push.
    pub along: Along,
    /// Until when nothing may be pushed.
    pub rests: Option<DateTime<Utc>>,
}

/// What goes along with a push to a branch.
///
/// # Errors
/// The object asks for what cannot be pushed.
pub fn along(update: &ImageUpdate, branch: &str) -> Result<Along, Failure> {
    let Some(push) = &update.spec.push else { return Ok(Along::default()) };
    let wrong =
        |field: &str, reason: String| Failure::user(Reason::InvalidSpec, format!("spec.push.{field}: {reason}"));
    let options = refspec::options(&push.options).map_err(|reason| wrong("options", reason))?;
    let second = push.refspec.as_ref().map(|text| refspec::refspec(text, branch)).transpose();
    let second = second.map_err(|reason| wrong("refspec", reason))?;
    let second = second.map(|Refspec { name, may_go_back }| Second { name, may_go_back });
    Ok(Along { options, second })
}

/// One batch of edits, and the commit that holds them if there are any.
pub struct Made {
    /// The edits.
    pub batch: Batch,
    /// The commit.
    pub commit: Option<CommitId>,
}

/// Reads the marked and targeted files of a head and makes the commit for the branch `target`; no network, but disk, so not on an
/// async worker. `refused` is what people said no to elsewhere than in Git.
///
/// # Errors
/// The mirror cannot be read or written, or lacks the history.
pub async fn make(
    task: Arc<Task>,
    grounded: Grounded,
    target: String,
    refused: Arc<Vec<Refused>>,
) -> Result<Made, Failure> {
    let job = move || -> Result<Made, crate::git::Error> {
        let Task { update, wants, status, settled, key, .. } = &*task;
        let Grounded { mirror, revision: Revision { name: source, commit: head }, remote, .. } = &grounded;
        let repository = status::repository(&remote.url);
        let here = status::here(status, &repository);
        let status = &*here;
        let Wants { choices, chosen_at, policies } = wants;
        // Without it, what people took back would look as if they had not.
        mirror.check_history()?;
        let namespace = update.namespace().unwrap_or_default();
        let (targets, wrong) = Target::all(&update.spec.targets, &namespace);
        let found = mirror.grep(head, &update.spec.path, edit::is_marked_file_name, edit::NEEDLE)?;
        let mut ids: BTreeMap<String, ObjectId> = found.iter().map(|file| (file.path.clone(), file.id)).collect();
        let marked = found.into_iter().map(|file| (file.path, file.id.to_string())).collect();
        let mut look = |path: &str| -> Result<Content, git::Error> {
            let entry = mirror.find(head, path)?;
            ids.extend(entry.as_ref().map(|entry| (path.to_owned(), entry.id)));
            Ok(content(entry))
        };
        let sources = batch::sources(marked, &targets, &mut look)?;
        let read = &mut |path: &str| match mirror.blob(ids[path]) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(git::Error::TooLarge { .. }) => Ok(None),
            Err(error) => Err(error),
        };
        let aims = Aims { choices, namespace: Some(&namespace), targets: &targets };
        let mut settled = settled.lock().unwrap_or_else(PoisonError::into_inner);
        let mut batch = batch::edit_new(&sources, read, &aims, &mut settled)?;
        batch.problems.splice(0..0, wrong);
        let found = |path: &str| sources.binary_search_by(|source| source.path.as_str().cmp(path));
        let is_marked = &|path: &str| found(path).is_ok_and(|index| sources[index].is_marked);
        let (targets, target, refused) = (&*targets, &*target, &**refused);
        let look =
            Look { mirror, head, update, status, choices, policies, targets, source, target, is_marked, refused };
        look.hold_back(&mut batch)?;
        batch.earlier = look.earlier()?;
        batch.repository = Some(repository);
        let template = update.spec.commit.message_template.as_deref();
        if batch.changes.is_empty() {
            batch.check_template(template);
            return Ok(Made { batch, commit: None });
        }
        let parent = mirror.commit_info(head)?;
        let time = batch::commit_time(&batch.changes, chosen_at, parent.time);
        let author = &update.spec.commit.author;
        let object = (namespace.as_str(), &*update.name_any());
        let occasion = Occasion { object, url: &remote.url, branch: target, parent: head.as_str() };
        let new = NewCommit {
            parent: head,
            message: batch.message(template, &occasion),
            files: batch.files.clone(),
            author: Person { name: author.name.clone(), email: author.email.clone() },
            time,
        };
        let commit = mirror.commit_signed(new, key.as_deref())?;
        Ok(Made { batch, commit: Some(commit) })
    };
    caught_aside(job).await?.map_err(|error| failure(&error, "the mirror"))
}

/// What a target finds at its path.
fn content(entry: Option<Entry>) -> Content {
    match entry.map(|entry| (entry.kind, entry.id)) {
        Some((Kind::File | Kind::Executable, id)) => Content::File(id.to_string()),
        Some((Kind::Folder, _)) => Content::Nothing("it is a folder"),
        Some((Kind::Symlink, _)) => Content::Nothing("it is a symbolic link: name the file that it leads to"),
        Some((Kind::Submodule, _)) => Content::Nothing("it is a submodule: its files are another repository's"),
        None => Content::Nothing("there is no such file"),
    }
}
