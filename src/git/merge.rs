//! What a merge added of its own: the tree of a merge commit × what merging its parents makes. From the mirror alone; nothing is kept
//! but trees that nobody refers to.

use git2::{ErrorCode, MergeOptions, Oid};

use super::tree::find_commit;
use super::{Error, Mirror};
use crate::revision::CommitId;

impl Mirror {
    /// Whether `commit` is a merge of two whose tree is exactly what merging them gives, without conflicts and without looking for
    /// renames: whoever made it added nothing. In doubt it is not.
    ///
    /// # Errors
    /// [`Error::CommitGone`] when the mirror lacks it; or the mirror is damaged.
    pub fn is_plain_merge(&self, commit: &CommitId) -> Result<bool, Error> {
        self.with(|repository| {
            let merge = find_commit(repository, commit)?;
            let parents: Vec<Oid> = merge.parent_ids().collect();
            let [one, other] = parents[..] else { return Ok(false) };
            let parent = |id: Oid| repository.find_commit(id).map_err(Error::storage);
            let mut options = MergeOptions::new();
            options.find_renames(false).fail_on_conflict(true);
            let made = repository.merge_commits(&parent(one)?, &parent(other)?, Some(&options));
            let mut index = match made {
                Ok(index) if !index.has_conflicts() => index,
                Ok(_) => return Ok(false),
                Err(error) if matches!(error.code(), ErrorCode::MergeConflict | ErrorCode::NotFound) => {
                    return Ok(false);
                }
                Err(error) => return Err(Error::storage(error)),
            };
            Ok(index.write_tree_to(repository).map_err(Error::storage)? == merge.tree_id())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::git::tests::server::{git, write};

    /// Two branches that change these files (`NAME=TEXT`; several lines by `/`), merged as `git` does it, and then maybe more files in the
    /// same commit.
    #[track_caller]
    fn check(ours: &[&str], theirs: &[&str], more: &[&str], args: &[&str], expected: bool) {
        let folder = tempfile::tempdir().unwrap();
        let mirror = Mirror::open(folder.path(), "fleet").unwrap();
        let work = folder.path().join("work");
        git(folder.path(), &["init", "-q", "-b", "main", "work"]);
        let save = |files: &[&str], commit: &[&str]| {
            for file in files {
                let (name, text) = file.split_once('=').unwrap();
                write(&work.join(name), format!("{}\n", text.replace('/', "\n")).as_bytes());
            }
            git(&work, &["add", "-A"]);
            git(&work, &[&["commit", "-q", "--allow-empty"], commit].concat());
        };
        save(&["a=1/2/3/4/5", "b=1"], &["-m", "first"]);
        git(&work, &["checkout", "-q", "-b", "side"]);
        save(ours, &["-m", "ours"]);
        git(&work, &["checkout", "-q", "main"]);
        save(theirs, &["-m", "theirs"]);
        git(&work, &["checkout", "-q", "side"]);
        git(&work, &[&["merge", "-q", "--no-ff", "-m", "merge"], args, &["main"]].concat());
        if !more.is_empty() {
            save(more, &["--amend", "--no-edit"]);
        }
        git(&work, &["push", "-q", mirror.inner.path.to_str().unwrap(), "side:refs/tagboat/side"]);
        let head: CommitId = git(&work, &["rev-parse", "side"]).parse().unwrap();
        assert_eq!(mirror.is_plain_merge(&head).unwrap(), expected, "{ours:?} {theirs:?} {more:?}");
        let first = mirror.commit_info(&head).unwrap().parents.remove(0);
        assert!(!mirror.is_plain_merge(&first).unwrap(), "no merge");
    }

    #[test]
    fn what_a_merge_adds() {
        check(&["a=1/2/3/4/6"], &["b=2"], &[], &[], true);
        check(&["a=1/2/3/4/6"], &["a=0/2/3/4/5", "c=1"], &[], &[], true);
        check(&["a=1/2/3/4/6"], &["b=2"], &["b=3"], &[], false);
        check(&["a=1/2/3/4/6"], &["b=2"], &["c=1"], &[], false);
        check(&["a=1/2/3/4/6"], &["b=2"], &["a=1/2/3/4/7"], &[], false);
        check(&["a=1/2/3/4/6"], &["b=2"], &[], &["-s", "ours"], false);
        check(&["a=1/2/3/4/6"], &["a=1/2/3/4/7"], &[], &["-X", "ours"], false);
    }
}
