//! What a hook is about, and whether an event is about it. In: an image, or a repository's URL and ref; an event. Out: yes or no.
//! Only ever compares: what an event names must never reach a request, a pattern or a template.

use super::payload::{Event, Named, git_path, one_name};
use crate::image::Repository;

/// What a webhook must name to be heard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subject {
    /// An image's repository in a registry.
    Image(Repository),
    /// A repository at a Git host. Its host is not compared: senders know it by other names, and the path of the hook is for it alone.
    Git {
        /// Its URL.
        url: String,
        /// The ref that is followed, whole (`refs/heads/main`), or with a slash at its end all below it.
        reference: String,
    },
}

impl Subject {
    /// Whether an event is about this.
    pub fn is_of(&self, event: &Event) -> bool {
        let is_named = |named: &Named| match self {
            Self::Image(repository) => is_image(repository, named),
            Self::Git { url, .. } => is_below(&git_path(url), &named.path),
        };
        let is_ref = |moved: &String| match self {
            Self::Git { reference, .. } if reference.ends_with('/') => moved.starts_with(reference),
            Self::Git { reference, .. } => reference == moved,
            Self::Image(_) => false,
        };
        event.names.as_ref().is_none_or(|names| names.iter().any(is_named))
            && event.reference.as_ref().is_none_or(is_ref)
    }
}

fn is_image(repository: &Repository, named: &Named) -> bool {
    let path = repository.path();
    let is_host = named.host.as_ref().is_none_or(|host| one_name(host) == one_name(repository.host()));
    // A path has no capitals, but the owners in payloads do.
    let below = || path.split_once('/').is_some_and(|(_, rest)| rest.eq_ignore_ascii_case(&named.path));
    is_host && (path.eq_ignore_ascii_case(&named.path) || (named.below && below()))
}

/// Whether a path is another one, or ends with it after a slash: hosts may serve their repositories below a folder.
fn is_below(path: &str, end: &str) -> bool {
    let Some(start) = path.len().checked_sub(end.len()).filter(|start| path.is_char_boundary(*start)) else {
        return false;
    };
    let (above, rest) = path.split_at(start);
    rest.eq_ignore_ascii_case(end) && (above.is_empty() || above.ends_with('/'))
}
