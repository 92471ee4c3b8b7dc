//! People with clones of their own commit and push as fast as Git lets them, also into the files that the controller writes to.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};

use futures::future::join_all;

use super::LONG;
use crate::setup::*;
use crate::support::git::{Repo, git};
use crate::support::guard;
use crate::support::wait::eventually;
use crate::support::world::World;

/// How much of everything.
#[derive(Debug, Clone, Copy)]
pub struct Sizes {
    /// Commits of people, all together.
    pub commits: usize,
    /// How many people.
    pub people: usize,
    /// Bumps, all together: a number of rounds over all apps.
    pub bumps: usize,
    /// Apps, each with its file and policy.
    pub apps: usize,
}

/// What came of it.
#[derive(Debug)]
pub struct Done {
    sizes: Sizes,
    robots: usize,
    rejected: usize,
    lost_races: usize,
}

impl fmt::Display for Done {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { sizes, robots, rejected, lost_races } = self;
        let Sizes { commits, people, bumps, .. } = sizes;
        write!(
            f,
            "{commits} commits of {people} people and {bumps} bumps in {robots} commits: linear, none lost, none doubled; \
             people lost {rejected} races, the controller {lost_races}"
        )
    }
}

/// The value is the first line; people write at the end, far enough away for Git to merge both.
fn text(world: &World, app: usize) -> String {
    let between: String = (0..8).map(|n| format!("# {n}\n")).collect();
    format!("{}{between}notes:\n", marked(world, &name(app), "1.0.0"))
}

fn name(app: usize) -> String {
    format!("app-{app}")
}

fn path(app: usize) -> String {
    format!("apps/{}.yaml", name(app))
}

/// Runs both sides at once, and checks the history.
pub async fn compete(world: &World, sizes: Sizes) -> Done {
    let files: Vec<(String, String)> = (0..sizes.apps).map(|app| (path(app), text(world, app))).collect();
    let files: Vec<(&str, &str)> = files.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
    let repo = world.repo("fleet", &files);
    config_repo(world, &repo).await;
    for app in 0..sizes.apps {
        world.push(&name(app), &["1.0.0"]).await;
        image_policy(world, &name(app), &name(app), NEWEST).await;
    }
    image_update(world, "batchWindow: 10ms").await;
    let tagboat = world.tagboat().await;
    let shares = (0..sizes.people).map(|who| {
        let commits = sizes.commits / sizes.people + usize::from(who < sizes.commits % sizes.people);
        let person = Person::new(world, &repo, who, sizes);
        tokio::task::spawn_blocking(move || person.work(commits))
    });
    let rounds = sizes.bumps / sizes.apps;
    let robot = async {
        for n in 1..=rounds {
            let tag = format!("1.{n}.0");
            for app in 0..sizes.apps {
                world.registry.push_many(&world.repository(&name(app)), [tag.clone()]).await;
            }
            for app in 0..sizes.apps {
                let is_in = || repo.file_at_head(&path(app)).unwrap_or_default().contains(&format!(":{tag} "));
                let bumped = || async { if is_in() { Ok(()) } else { Err(repo.log().len()) } };
                eventually(&format!("{tag} of {}", name(app)), LONG, bumped).await;
            }
            if n.is_multiple_of(10) {
                println!("round {n} of {rounds}; {} commits so far", repo.log().len());
            }
        }
    };
    let (rejected, ()) = tokio::join!(join_all(shares), robot);
    let rejected = rejected.into_iter().map(Result::unwrap).sum();
    tagboat.terminate().await;
    let robots = check(world, &repo, sizes, rounds);
    let pushes = repo.requests().iter().filter(|request| request.path.ends_with("/git-receive-pack")).count();
    Done { sizes, robots, rejected, lost_races: pushes.saturating_sub(robots + sizes.commits + rejected) }
}

/// The commits of the controller.
fn check(world: &World, repo: &Repo, sizes: Sizes, rounds: usize) -> usize {
    let log = repo.log();
    assert!(log.iter().rev().skip(1).all(|commit| commit.parents.len() == 1), "linear");
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    bumps(&log).into_iter().for_each(|bump| *seen.entry(bump.new).or_default() += 1);
    let wanted = (0..sizes.apps).flat_map(|app| (1..=rounds).map(move |n| (app, n)));
    let wanted = wanted.map(|(app, n)| (format!("{}:1.{n}.0", world.image(&name(app))), 1));
    assert_eq!(seen, wanted.collect::<BTreeMap<_, _>>(), "each bump once");
    let subjects: Vec<&str> = log
        .iter()
        .filter_map(|commit| commit.message.lines().next())
        .filter(|line| line.starts_with("note "))
        .collect();
    let different: BTreeSet<&&str> = subjects.iter().collect();
    assert_eq!((subjects.len(), different.len()), (sizes.commits, sizes.commits), "each commit of a person once");
    assert_eq!(log.len(), 1 + sizes.commits + robots(&log).len(), "and nothing else");

    // Every line that a person wrote is there, and what they did not write is as the controller left it.
    let mut notes: Vec<String> = Vec::new();
    for app in 0..sizes.apps {
        let now = repo.file_at_head(&path(app)).unwrap();
        let (above, below) = now.split_once("notes:\n").unwrap();
        let wanted = text(world, app).replace(":1.0.0 ", &format!(":1.{rounds}.0 "));
        assert_eq!(format!("{above}notes:\n"), wanted);
        notes.extend(below.lines().map(|line| line.trim_start_matches("- ").to_owned()));
    }
    for who in 0..sizes.people {
        let mine = repo.file_at_head(&format!("people/{who}.txt")).unwrap_or_default();
        notes.extend(mine.lines().map(str::to_owned));
    }
    let mut subjects: Vec<String> = subjects.into_iter().map(str::to_owned).collect();
    notes.sort();
    subjects.sort();
    assert_eq!(notes, subjects, "no edit is lost");
    git_says(repo, &["fsck", "--strict"]);
    robots(&log).len()
}

struct Person {
    who: usize,
    clone: PathBuf,
    apps: usize,
    people: usize,
}

impl Person {
    fn new(world: &World, repo: &Repo, who: usize, sizes: Sizes) -> Self {
        let clone = guard::folder().join(format!("{}-person-{who}", world.namespace));
        let login = format!("http://{}:{}@", world.git.username, world.git.password);
        let url = repo.url.replace("http://", &login);
        say(Path::new("/"), &["clone", "-q", &url, clone.to_str().unwrap()]).unwrap();
        std::fs::create_dir_all(clone.join("people")).unwrap();
        Self { who, clone, apps: sizes.apps, people: sizes.people }
    }

    /// Each second note goes to a file that the controller writes to and that no other person does. How often a push was rejected.
    fn work(self, commits: usize) -> usize {
        let mut rejected = 0;
        for n in 0..commits {
            let note = format!("note {n} of {}", self.who);
            let mine: Vec<usize> = (0..self.apps).filter(|app| app % self.people == self.who).collect();
            let (file, line) = match mine.get(n / 2 % mine.len().max(1)) {
                Some(app) if n % 2 == 0 => (path(*app), format!("- {note}\n")),
                _ => (format!("people/{}.txt", self.who), format!("{note}\n")),
            };
            let path = self.clone.join(&file);
            let before = std::fs::read_to_string(&path).unwrap_or_default();
            std::fs::write(&path, before + &line).unwrap();
            say(&self.clone, &["add", &file]).unwrap();
            say(&self.clone, &["commit", "-q", "-m", &note]).unwrap();
            while let Err(words) = say(&self.clone, &["push", "-q", "origin", "HEAD:main"]) {
                let is_race = ["rejected", "cannot lock ref", "failed to update ref", "fetch first"];
                assert!(is_race.iter().any(|race| words.contains(race)), "{words}");
                rejected += 1;
                say(&self.clone, &["pull", "-q", "--rebase", "origin", "main"]).unwrap();
            }
        }
        rejected
    }
}

fn say(folder: &Path, args: &[&str]) -> Result<(), String> {
    let output = git().current_dir(folder).args(["-c", "gc.auto=0"]).args(args).output().unwrap();
    if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).into_owned()) }
}
