//! Part of the GROUND: from what is followed to the commit that it leads to now. In: what a spec follows, the host. Out: a revision
//! whose objects are in the mirror, and how to fetch more of it. One request for a branch, a tag or a range; none for a commit alone.

use crate::failure::printable;
use crate::git::{self, Listed, Mirror, Reach, Remote, Target};
use crate::revision::{CommitId, Revision};
use crate::source::follow::{Follow, Newest, newest};

/// What is followed, and where it is.
#[derive(Debug, Clone)]
pub struct Found {
    /// What it is called, and its commit.
    pub revision: Revision,
    /// How to fetch it.
    pub target: Target,
}

/// Finds and fetches it. `last` is what it led to before.
///
/// # Errors
/// It is not there, or those of the host.
pub async fn find(
    follow: &Follow,
    (mirror, remote): (&Mirror, &Remote),
    reach: Reach,
    last: Option<&Revision>,
) -> Result<Found, git::Error> {
    if let Follow::Commit { commit, branch } = follow {
        return pinned((commit, branch.as_deref()), (mirror, remote), reach).await;
    }
    let asks = follow.asks().unwrap_or_default();
    let listed = mirror.refs(remote, &asks).await?;
    let listed = choose(follow, listed, last)?;
    let target = match follow {
        Follow::Branch(branch) => Target::Branch(branch.clone()),
        _ => Target::Ref { name: listed.name.clone(), object: listed.object },
    };
    mirror.fetch(remote, &target, &listed.commit, reach).await?;
    let name = follow.label(&listed.name).to_owned();
    Ok(Found { revision: Revision { name, commit: listed.commit }, target })
}

/// The ref among those that the host lists.
fn choose(follow: &Follow, mut listed: Vec<Listed>, last: Option<&Revision>) -> Result<Listed, git::Error> {
    let missing = |what: String| git::Error::RefNotFound { what: printable(&what, 300) };
    let at = match follow {
        Follow::Semver { range, text } => {
            let current = last.filter(|last| follow.may_be(last)).map(|last| last.name.as_str());
            match newest(range, listed.iter().map(|listed| follow.label(&listed.name)), current) {
                Newest::Tag(at) => at,
                Newest::OnlyOlder(older) => {
                    let current = current.unwrap_or_default();
                    return Err(missing(format!(
                        "tag {current} any more, and the newest that is left in the range {text:?} is older ({older}): nothing goes \
                         back by itself, set spec.ref.semver to a range without {current} if that is meant"
                    )));
                }
                Newest::None => {
                    return Err(missing(format!("tag in the range {text:?}, of {} tags", listed.len())));
                }
            }
        }
        _ => 0,
    };
    if at < listed.len() {
        return Ok(listed.swap_remove(at));
    }
    Err(match follow {
        Follow::Branch(branch) => git::Error::BranchNotFound { branch: branch.clone() },
        Follow::Tag(tag) => missing(format!("tag {tag:?}")),
        _ => missing(format!("ref {:?}", follow.asks().unwrap_or_default())),
    })
}

/// One commit, which must be on its branch if there is one (as in Flux).
async fn pinned(
    (commit, branch): (&CommitId, Option<&str>),
    (mirror, remote): (&Mirror, &Remote),
    reach: Reach,
) -> Result<Found, git::Error> {
    let revision = Revision { name: branch.unwrap_or_default().to_owned(), commit: commit.clone() };
    let Some(branch) = branch else {
        return match mirror.fetch(remote, Target::Commit, commit, reach).await {
            Ok(()) => Ok(Found { revision, target: Target::Commit }),
            Err(git::Error::CommitGone { .. }) => {
                let what = format!(
                    "commit {commit}, or gives out no single commits: then name its branch in spec.ref.branch too"
                );
                Err(git::Error::RefNotFound { what })
            }
            Err(error) => Err(error),
        };
    };
    let target = Target::Branch(branch.to_owned());
    let head = mirror.head(remote, branch).await?;
    if head == *commit {
        mirror.fetch(remote, &target, &head, reach).await?;
        return Ok(Found { revision, target });
    }
    mirror.fetch(remote, &target, &head, Reach::History).await?;
    let (mirror, below) = (mirror.clone(), commit.clone());
    let look = move || match mirror.commit_info(&below) {
        Ok(_) => mirror.is_ancestor(&below, &head),
        Err(git::Error::CommitGone { .. }) => Ok(false),
        Err(error) => Err(error),
    };
    let looked = tokio::task::spawn_blocking(look).await;
    let is_there = looked.unwrap_or(Err(git::Error::Cancelled))?;
    if is_there {
        return Ok(Found { revision, target });
    }
    Err(git::Error::RefNotFound { what: printable(&format!("commit {commit} on its branch {branch:?}"), 300) })
}
