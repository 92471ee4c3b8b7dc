//! Histories made with the `git` program, next to what the program itself says of them; and any history, next to a plain walk.

use std::collections::BTreeMap;
use std::path::Path;

use git2::{FileMode, Signature, Time};
use proptest::prelude::*;

use super::*;
use crate::git::Kind;
use crate::git::tests::server::{git, remove, write};

/// An empty mirror, not fetched from anywhere.
fn mirror(folder: &Path) -> Mirror {
    Mirror::open(folder, "fleet").unwrap()
}

/// The walk, as commits by path, always going on with the first parent below a change.
fn walked(mirror: &Mirror, head: &CommitId, paths: &[&str], depth: Depth) -> (Vec<Vec<Version>>, Vec<usize>) {
    let mut all = vec![Vec::new(); paths.len()];
    let mut visit = |index: usize, version: &Version| {
        all[index].push(version.clone());
        Ok(Some(0))
    };
    let cut = mirror.history(head, paths, depth, &mut visit).unwrap();
    (all, cut)
}

/// Makes a repository with `git` by a script (one command a line; `FILE=TEXT` writes), and compares each path's walk with
/// `git log`; twice, as the second walk jumps.
#[track_caller]
fn check(script: &str, paths: &[&str]) -> Vec<Vec<Version>> {
    let folder = tempfile::tempdir().unwrap();
    let mirror = mirror(folder.path());
    let work = folder.path().join("work");
    git(folder.path(), &["init", "-q", "-b", "main", "work"]);
    for line in script.lines().map(str::trim).filter(|line| !line.is_empty()) {
        match line.split_once('=') {
            Some((file, text)) if !line.contains(' ') => {
                write(&work.join(file), text.as_bytes());
                git(&work, &["add", file]);
            }
            _ => drop(git(&work, &line.split(' ').collect::<Vec<_>>())),
        }
    }
    git(&work, &["push", "-q", mirror.inner.path.to_str().unwrap(), "main:refs/tagboat/main"]);
    let head: CommitId = git(&work, &["rev-parse", "main"]).parse().unwrap();
    let (found, cut) = walked(&mirror, &head, paths, Depth::default());
    assert!(cut.is_empty());
    assert_eq!(walked(&mirror, &head, paths, Depth::default()).0, found);
    for (path, found) in paths.iter().zip(&found) {
        let told = git(&work, &["log", "--no-renames", "--topo-order", "--format=%H %an %ct", "main", "--", path]);
        let found: Vec<String> = found.iter().map(|v| format!("{} {} {}", v.commit, v.author.name, v.time)).collect();
        assert_eq!(found, told.lines().collect::<Vec<_>>(), "{path}");
    }
    found
}

fn subjects(versions: &[Version]) -> Vec<&str> {
    versions.iter().map(|version| version.message.lines().next().unwrap_or_default()).collect()
}

#[test]
fn deletes_renames_modes_and_neighbours() {
    let script = "
        a/x.yaml=1
        a/y.yaml=1
        commit -q -m first
        a/y.yaml=2
        commit -q -m other
        a/x.yaml=2
        commit -q -m second
        update-index --chmod=+x a/x.yaml
        commit -q -m mode
        rm -q a/x.yaml
        commit -q -m gone
        a/x.yaml=2
        commit -q -m back
        mv a/x.yaml a/z.yaml
        commit -q -m renamed
        commit -q --allow-empty -m empty";
    let paths = ["a/x.yaml", "a/z.yaml", "a/none.yaml", "a/y.yaml", "a/x.yaml"];
    let found = check(&script.replace("update-index --chmod=+x a/x.yaml\n        commit -q -m mode\n", ""), &paths);
    assert_eq!(subjects(&found[0]), ["renamed", "back", "gone", "second", "first"]);
    assert_eq!((subjects(&found[1]), found[4].len()), (vec!["renamed"], 5));
    assert_eq!((found[0][2].after, found[0][3].before[0].is_some()), (None, true));
    assert_eq!(found[0][4].before, [None], "made by a commit without parents");
    // Git's log tells of modes; they are no change here.
    let folder = tempfile::tempdir().unwrap();
    let (mirror, work) = (mirror(folder.path()), folder.path().join("work"));
    git(folder.path(), &["init", "-q", "-b", "main", "work"]);
    write(&work.join("x.yaml"), b"1");
    git(&work, &["add", "-A"]);
    git(&work, &["commit", "-q", "-m", "first"]);
    git(&work, &["update-index", "--chmod=+x", "x.yaml"]);
    git(&work, &["commit", "-q", "-m", "mode"]);
    git(&work, &["push", "-q", mirror.inner.path.to_str().unwrap(), "main:refs/tagboat/main"]);
    let head = git(&work, &["rev-parse", "main"]).parse().unwrap();
    assert_eq!(subjects(&walked(&mirror, &head, &["x.yaml"], Depth::default()).0[0]), ["first"]);
}

#[test]
fn a_merge_is_followed_to_where_the_file_comes_from() {
    let found = check(
        "
        x=1
        y=1
        commit -q -m first
        checkout -q -b side
        x=2
        commit -q -m side
        checkout -q main
        y=2
        commit -q -m main
        merge -q --no-edit side
        y=3
        commit -q -m after",
        &["x", "y"],
    );
    assert_eq!((subjects(&found[0]), subjects(&found[1])), (vec!["side", "first"], vec!["after", "main", "first"]));
}

#[test]
fn a_merge_that_is_like_no_parent_shows_all_of_them() {
    let folder = tempfile::tempdir().unwrap();
    let mirror = mirror(folder.path());
    let base = commit(&mirror, &[], 1, &[("x", Some(1))]);
    let (left, right) =
        (commit(&mirror, &[base], 2, &[("x", Some(2))]), commit(&mirror, &[base], 3, &[("x", Some(3))]));
    let merge = commit(&mirror, &[left, right], 4, &[("x", Some(4))]);
    let seen_by = |parent: usize| {
        let mut seen = Vec::new();
        let mut visit = |_: usize, version: &Version| {
            seen.push((version.time, version.before.len()));
            Ok(Some(parent.min(version.before.len() - 1)))
        };
        mirror.history(&commit_id(merge), &["x"], Depth::default(), &mut visit).unwrap();
        seen
    };
    assert_eq!(seen_by(0), [(4, 2), (2, 1), (1, 1)]);
    assert_eq!(seen_by(1), [(4, 2), (3, 1), (1, 1)]);
}

/// By the `git` program, with what it calls a merge: the subjects of what is shown, and the contents at its merge bases.
#[test]
fn a_merge_that_drops_a_change_is_one() {
    let folder = tempfile::tempdir().unwrap();
    let mirror = mirror(folder.path());
    let work = folder.path().join("work");
    git(folder.path(), &["init", "-q", "-b", "main", "work"]);
    let save = |text: &str, subject: &str| {
        write(&work.join("x"), text.as_bytes());
        git(&work, &["add", "-A"]);
        git(&work, &["commit", "-q", "--allow-empty", "-m", subject]);
    };
    let shown = |branch: &str| {
        git(&work, &["push", "-q", "-f", mirror.inner.path.to_str().unwrap(), &format!("{branch}:refs/tagboat/x")]);
        let head: CommitId = git(&work, &["rev-parse", branch]).parse().unwrap();
        let found = walked(&mirror, &head, &["x"], Depth::default()).0.remove(0);
        found.iter().map(|v| format!("{} {}", v.message.trim(), v.bases.len())).collect::<Vec<_>>()
    };
    save("1", "first");
    git(&work, &["branch", "old"]);
    git(&work, &["branch", "stale"]);
    save("2", "bump");
    git(&work, &["checkout", "-q", "old"]);
    git(&work, &["merge", "-q", "-s", "ours", "-m", "dropped", "main"]);
    assert_eq!(shown("old"), ["dropped 1", "first 0"]);
    // An ordinary one takes the change in, from either side, and a branch may go on from there.
    git(&work, &["checkout", "-q", "stale"]);
    git(&work, &["commit", "-q", "--allow-empty", "-m", "elsewhere"]);
    git(&work, &["merge", "-q", "-m", "into stale", "main"]);
    assert_eq!(shown("stale"), ["bump 0", "first 0"]);
    git(&work, &["checkout", "-q", "main"]);
    git(&work, &["commit", "-q", "--allow-empty", "-m", "main goes on"]);
    git(&work, &["merge", "-q", "-m", "into main", "stale"]);
    assert_eq!(shown("main"), ["bump 0", "first 0"]);
    // The side that dropped it is dropped in its turn.
    git(&work, &["merge", "-q", "-s", "ours", "-m", "kept", "old"]);
    assert_eq!(shown("main"), ["kept 1", "bump 0", "first 0"]);
    git(&work, &["branch", "-f", "stale", "main"]);
    save("3", "next");
    git(&work, &["checkout", "-q", "stale"]);
    git(&work, &["commit", "-q", "--allow-empty", "-m", "work"]);
    git(&work, &["checkout", "-q", "main"]);
    git(&work, &["merge", "-q", "-m", "ordinary", "stale"]);
    assert_eq!(shown("main"), ["next 0", "kept 1", "bump 0", "first 0"]);
}

#[test]
fn a_walk_ends_at_its_limits_and_where_the_visitor_wants() {
    let folder = tempfile::tempdir().unwrap();
    let mirror = mirror(folder.path());
    let mut head = commit(&mirror, &[], 0, &[("x", Some(0)), ("y", Some(0))]);
    for n in 1..=100 {
        head = commit(&mirror, &[head], n, &[(if n % 10 == 0 { "x" } else { "z" }, Some(n))]);
    }
    let head = commit_id(head);
    for _ in 0..2 {
        let (found, cut) = walked(&mirror, &head, &["x", "y"], Depth { commits: 50, changes: 100 });
        assert_eq!((found[0].len(), found[1].len(), cut), (5, 0, vec![0, 1]), "the fifty newest commits");
    }
    let (found, cut) = walked(&mirror, &head, &["x", "y"], Depth { commits: 1000, changes: 3 });
    assert_eq!((found[0].len(), found[1].len(), cut), (3, 1, vec![0]));
    let mut count = 0;
    let mut visit = |_: usize, _: &Version| {
        count += 1;
        Ok(None)
    };
    assert!(mirror.history(&head, &["x", "y"], Depth::default(), &mut visit).unwrap().is_empty());
    assert_eq!(count, 2);
    assert!(mirror.history(&head, &["../x"], Depth::default(), &mut |_, _| Ok(None)).is_err());
}

#[test]
fn what_lies_below_a_head() {
    let folder = tempfile::tempdir().unwrap();
    let mirror = mirror(folder.path());
    let base = commit(&mirror, &[], 1, &[("x", Some(1))]);
    let (left, right) =
        (commit(&mirror, &[base], 2, &[("x", Some(2))]), commit(&mirror, &[base], 3, &[("x", Some(3))]));
    let is = |commit: Oid, head: Oid| mirror.is_ancestor(&commit_id(commit), &commit_id(head)).unwrap();
    assert_eq!((is(base, left), is(left, left), is(left, right), is(left, base)), (true, true, false, false));
    let lost = "c0ffee".repeat(6) + "c0ff";
    assert!(!mirror.is_ancestor(&lost.parse().unwrap(), &commit_id(left)).unwrap(), "not in the mirror");
    assert!(mirror.is_ancestor(&commit_id(left), &lost.parse().unwrap()).is_err());
    remove(&mirror.inner.path);
}

/// A commit whose tree is its first parent's with some paths changed; `None` removes.
fn commit(mirror: &Mirror, parents: &[Oid], time: i64, changes: &[(&str, Option<i64>)]) -> Oid {
    let work = |repository: &Repository| {
        let parents: Vec<_> = parents.iter().map(|id| repository.find_commit(*id).unwrap()).collect();
        let empty = repository.find_tree(repository.treebuilder(None).unwrap().write().unwrap()).unwrap();
        let mut tree = parents.first().map_or(empty, |parent| parent.tree().unwrap());
        for (path, content) in changes {
            let mut builder = git2::build::TreeUpdateBuilder::new();
            match content {
                Some(number) => {
                    let blob = repository.blob(number.to_string().as_bytes()).unwrap();
                    builder.upsert(*path, blob, FileMode::Blob);
                }
                None if tree.get_path(Path::new(path)).is_err() => continue,
                None => drop(builder.remove(*path)),
            }
            let Ok(id) = builder.create_updated(repository, &tree) else { continue };
            tree = repository.find_tree(id).unwrap();
        }
        let who = Signature::new("Ann", "ann@example.com", &Time::new(time, 0)).unwrap();
        let parents: Vec<_> = parents.iter().collect();
        Ok(repository.commit(None, &who, &who, "x", &tree, &parents).unwrap())
    };
    mirror.with(work).unwrap()
}

const PATHS: [&str; 6] = ["a", "d/a", "d/b", "d/e/a", "d.x", "e"];

/// What is shown of a commit: contents at its parents, and at their bases.
type Shown = (CommitId, Vec<Option<Oid>>, Vec<Option<Oid>>);

/// The same walk without any cleverness.
fn plainly(mirror: &Mirror, head: &CommitId, path: &str) -> Vec<Shown> {
    let bases_of = |parents: &[CommitId]| {
        let [one, other] = parents else { return Vec::new() };
        let found = mirror.with(|repository| Ok(repository.merge_bases(oid(one)?, oid(other)?)));
        found.unwrap().map_or(Vec::new(), |bases| bases.iter().map(|base| commit_id(*base)).collect())
    };
    let at = |commit: &CommitId| {
        let entry = mirror.find(commit, path).unwrap()?;
        matches!(entry.kind, Kind::File | Kind::Executable).then_some(entry.id)
    };
    let (mut here, mut found) = (head.clone(), Vec::new());
    loop {
        let parents = mirror.commit_info(&here).unwrap().parents;
        let before: Vec<_> = parents.iter().map(at).collect();
        let same = before.iter().position(|content| *content == at(&here));
        let is_one = before.iter().all(|content| *content == before[0]);
        let bases: Vec<_> = if is_one { Vec::new() } else { bases_of(&parents).iter().map(at).collect() };
        let is_change = |content: &Option<Oid>| *content != at(&here) && !bases.contains(content);
        let is_dropped = !bases.is_empty() && before.iter().any(is_change);
        let is_shown = (same.is_none() || is_dropped) && !(parents.is_empty() && at(&here).is_none());
        if is_shown {
            found.push((here.clone(), if before.is_empty() { vec![None] } else { before }, bases));
        }
        match parents.get(same.filter(|_| !is_shown).unwrap_or(0)) {
            Some(parent) => here = parent.clone(),
            None => return found,
        }
    }
}

/// A commit of a made-up history: how far back its parents are, its time, what it changes.
type Made = (Vec<usize>, i64, BTreeMap<usize, Option<i64>>);

fn any_history() -> impl Strategy<Value = Vec<Made>> {
    let changes = prop::collection::btree_map(0..PATHS.len(), prop::option::weighted(0.8, 0..3_i64), 0..3);
    prop::collection::vec((prop::collection::vec(1..4_usize, 1..3), 0..50_i64, changes), 1..40)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn any_history_is_walked_as_a_plain_walk_does(made in any_history()) {
        let folder = tempfile::tempdir().unwrap();
        let mirror = mirror(folder.path());
        let mut commits: Vec<Oid> = Vec::new();
        for (n, (back, time, changes)) in made.into_iter().enumerate() {
            let parents: Vec<Oid> = back.iter().filter_map(|back| commits.get(n.checked_sub(*back)?).copied()).collect();
            let parents = if parents.is_empty() { commits.last().copied().into_iter().collect() } else { parents };
            let changes: Vec<_> = changes.into_iter().map(|(path, content)| (PATHS[path], content)).collect();
            commits.push(commit(&mirror, &parents, time, &changes));
            if n % 5 != 0 {
                continue;
            }
            // Again and again while it grows, so that what is remembered is used.
            let head = commit_id(commits[n]);
            let found = walked(&mirror, &head, &PATHS, Depth::default()).0;
            for (path, found) in PATHS.iter().zip(found) {
                let found: Vec<_> = found.into_iter().map(|version| (version.commit, version.before, version.bases)).collect();
                prop_assert_eq!(found, plainly(&mirror, &head, path), "{}", path);
            }
        }
    }
}
