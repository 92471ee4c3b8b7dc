//! Who took a value back: the way through a long history to where a few files were written last, beside Git's own. The first walk
//! is that of an empty data dir; the next ones are those of every later bump.

use std::io::Write;
use std::process::Stdio;
use std::time::{Duration, Instant};

use tagboat::git::{Auth, Depth, Mirror, Reach, Remote, Version};
use tagboat::reach::Way;

use super::table::{Row, Table, Times};
use super::{Sizes, progress};
use crate::support::git::{BRANCH, Repo, git};
use crate::support::world::World;
use crate::support::{guard, next_number};

/// Folders of ten files.
const FOLDERS: usize = 1000;

pub async fn run(sizes: Sizes, table: &mut Table) {
    progress("the past of a value");
    tagboat::git::prepare().unwrap();
    let world = World::new("history").await;
    let repo = world.repo("fleet", &[("README.md", "fleet\n")]);
    grow(&repo, sizes.commits);
    let remote = Remote {
        url: repo.url.clone(),
        auth: Auth::Basic { username: world.git.username.into(), password: world.git.password.into() },
        way: Way::default(),
        timeout: Duration::from_secs(300),
    };
    for count in [1, 10] {
        // Those that were written once, long ago: the whole history has to be walked.
        let paths: Vec<String> = (0..count).map(|n| format!("old/app-{n}.yaml")).collect();
        let paths: Vec<&str> = paths.iter().map(String::as_str).collect();
        let mut floor = Vec::new();
        for _ in 0..3 {
            let begin = Instant::now();
            let mut log = git();
            log.arg("--git-dir").arg(&repo.folder).args(["log", "--format=%H", BRANCH, "--"]).args(&paths);
            let found = log.output().unwrap().stdout;
            floor.push(begin.elapsed());
            assert_eq!(found.iter().filter(|byte| **byte == b'\n').count(), 1);
        }
        let mirror = Mirror::open(&guard::folder().join(format!("history-{}", next_number())), &repo.url).unwrap();
        let head = mirror.head(&remote, BRANCH).await.unwrap();
        mirror.fetch(&remote, BRANCH, &head, Reach::History).await.unwrap();
        let mut walks = Vec::new();
        for _ in 0..4 {
            let mut seen = 0;
            let mut visit = |_: usize, _: &Version| {
                seen += 1;
                Ok(None)
            };
            let begin = Instant::now();
            let cut = mirror.history(&head, &paths, Depth::default(), &mut visit).unwrap();
            walks.push(begin.elapsed());
            assert_eq!((seen, cut.len()), (count, 0));
        }
        let name = |which: &str| format!("history of {} commits, {count} files: {which}", sizes.commits);
        table.add(Row::new(name("first")).times(Times::new(&floor, 0), Times::new(&walks[..1], 0)));
        table.add(Row::new(name("again")).times(Times::new(&floor, 0), Times::new(&walks[1..], 0)));
    }
}

/// One commit with the files that are looked for, and so many more of other files.
fn grow(repo: &Repo, commits: usize) {
    let mut stream = String::new();
    let mut commit = |number: usize, files: &mut dyn Iterator<Item = String>| {
        let time = 1_700_000_000 + number;
        stream +=
            &format!("commit refs/heads/{BRANCH}\ncommitter A Person <person@example.com> {time} +0000\ndata 1\nx\n");
        if number == 0 {
            stream += &format!("from refs/heads/{BRANCH}^0\n");
        }
        for file in files {
            let content = format!("number: {number}\n");
            stream += &format!("M 100644 inline {file}\ndata {}\n{content}\n", content.len());
        }
    };
    commit(0, &mut (0..10).map(|n| format!("old/app-{n}.yaml")));
    for number in 1..commits {
        let file = number.wrapping_mul(2_654_435_761) % (FOLDERS * 10);
        commit(number, &mut std::iter::once(format!("apps/team-{:03}/app-{}.yaml", file / 10, file % 10)));
    }
    let mut import = git();
    import.arg("--git-dir").arg(&repo.folder).args(["fast-import", "--quiet"]).stdin(Stdio::piped());
    let mut import = import.spawn().unwrap();
    import.stdin.take().unwrap().write_all(stream.as_bytes()).unwrap();
    assert!(import.wait().unwrap().success());
}
