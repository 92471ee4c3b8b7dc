//! Controllers that are killed at random moments, with their data lost now and then, while tag after tag appears.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant, SystemTime};

use futures::future::join_all;
use tagboat::api::ImageUpdate;
use tagboat::api::condition::Reason;

use super::LONG;
use crate::setup::*;
use crate::support::git::Repo;
use crate::support::wait::eventually;
use crate::support::world::World;
use crate::support::{guard, next_number};

/// How many are killed at once, each with its own objects.
pub const LANES: usize = 4;
/// The files of a repository, with a policy for each.
const APPS: [&str; 2] = ["a", "b"];
/// Lives are at most so many times as long as a start and its bump take, undisturbed.
const LIFE: f64 = 1.5;
/// A life that bumps is ended when its push has just begun, as often.
const AT_THE_PUSH: u64 = 3;

/// What came of it.
#[derive(Debug, Default)]
pub struct Done {
    kills: usize,
    /// Values that were to be written, each once.
    bumps: usize,
    commits: usize,
    doubled: Vec<String>,
    lost: Vec<String>,
    /// Commits of something else, or with other parents than the one before.
    strange: Vec<String>,
}

impl fmt::Display for Done {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kills, bumps, commits, doubled, lost, strange } = self;
        let (doubled, lost, strange) = (doubled.len(), lost.len(), strange.len());
        write!(
            f,
            "{kills} kills, {bumps} bumps in {commits} commits: {doubled} doubled, {lost} lost, {strange} strange"
        )
    }
}

impl Done {
    /// Panics unless all is well.
    pub fn check(&self) {
        assert!(self.doubled.is_empty() && self.lost.is_empty() && self.strange.is_empty(), "{self:#?}");
    }
}

/// So many kills over all lanes, one of a world each.
pub async fn kill(worlds: Vec<World>, kills: usize) -> Done {
    let (left, lanes) = (AtomicUsize::new(kills), worlds.len());
    let all = join_all(worlds.iter().enumerate().map(|(lane, world)| run_lane(world, lane as u64, &left, kills))).await;
    let mut done = Done::default();
    for lane in all {
        done.kills += lane.kills;
        done.bumps += lane.bumps;
        done.commits += lane.commits;
        done.doubled.extend(lane.doubled);
        done.lost.extend(lane.lost);
        done.strange.extend(lane.strange);
    }
    assert_eq!((done.kills, lanes), (kills, worlds.len()));
    done
}

async fn run_lane(world: &World, lane: u64, left: &AtomicUsize, all: usize) -> Done {
    let file = |app: &str, tag: &str| marked(world, app, tag);
    let files: Vec<(String, String)> = APPS.iter().map(|app| (format!("{app}.yaml"), file(app, "1.0.0"))).collect();
    let files: Vec<(&str, &str)> = files.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
    let repo = world.repo("fleet", &files);
    config_repo(world, &repo).await;
    for app in APPS {
        world.push(app, &["1.0.0"]).await;
        image_policy(world, app, app, NEWEST).await;
    }
    image_update(world, "batchWindow: 10ms").await;
    let mut chance = Chance::new(lane);
    let (mut launch, mut tag, mut killed) = (world.launch(), 1, 0);
    push(world, tag).await;
    let begun = Instant::now();
    let tagboat = launch.start_unready();
    let first = || async { if is_written(world, &repo, tag) { Ok(()) } else { Err("not yet") } };
    eventually("the first bump", LONG, first).await;
    tagboat.kill9().await;
    let life = begun.elapsed().mul_f64(LIFE);
    while take(left) {
        if is_written(world, &repo, tag) {
            tag += 1;
            push(world, tag).await;
        }
        if chance.below(4) == 0 {
            launch.data_dir = guard::folder().join(format!("{}-data-{}", world.namespace, next_number()));
        }
        let pushes = || repo.requests().iter().filter(|request| request.path.ends_with("/git-receive-pack")).count();
        let (before, end) = (pushes(), Instant::now() + life.mul_f64(chance.part()));
        let ends_at_push = chance.below(AT_THE_PUSH) == 0;
        let tagboat = launch.start_unready();
        while Instant::now() < end {
            if ends_at_push && pushes() > before {
                tokio::time::sleep(Duration::from_millis(chance.below(25))).await;
                break;
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        tagboat.kill9().await;
        killed += 1;
        let done = all - left.load(Ordering::SeqCst);
        if done.is_multiple_of(50) {
            println!("{done} of {all} kills; lane {lane} is at bump {tag}");
        }
    }
    let tagboat = launch.start_unready();
    let last = || async { if is_written(world, &repo, tag) { Ok(()) } else { Err(repo.log().len()) } };
    eventually("the last bump", LONG, last).await;
    ready::<ImageUpdate>(world, "fleet", "True", Reason::Succeeded).await;
    // Two more looks at both sides, in which a doubled commit would show.
    for app in APPS {
        scanned(world, &world.repository(app), 2).await;
    }
    let before = repo.requests().len();
    asked("the branch", before + 3, || repo.requests().len()).await;
    let update = world.api::<ImageUpdate>().get("fleet").await.unwrap();
    assert!(update.status.unwrap_or_default().holds.is_empty(), "nobody took anything back");
    tagboat.terminate().await;
    Done { kills: killed, ..count(world, &repo, tag) }
}

async fn push(world: &World, tag: usize) {
    for app in APPS {
        world.registry.push_many(&world.repository(app), [format!("1.{tag}.0")]).await;
    }
}

fn take(left: &AtomicUsize) -> bool {
    left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok()
}

fn is_written(world: &World, repo: &Repo, tag: usize) -> bool {
    let tag = format!("1.{tag}.0");
    APPS.iter().all(|app| repo.file_at_head(&format!("{app}.yaml")).unwrap() == marked(world, app, &tag))
}

fn count(world: &World, repo: &Repo, tags: usize) -> Done {
    let log = repo.log();
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    bumps(&log).into_iter().for_each(|bump| *seen.entry(bump.new).or_default() += 1);
    let wanted: Vec<String> =
        APPS.iter().flat_map(|app| (1..=tags).map(|n| format!("{}:1.{n}.0", world.image(app)))).collect();
    let (root, rest) = log.split_last().unwrap();
    let is_plain = |commit: &&crate::support::git::Commit| {
        commit.parents.len() == 1 && commit.message.contains("\nTagboat-Update: ")
    };
    let strange = rest.iter().filter(|commit| !is_plain(commit)).map(|commit| commit.id.clone());
    let others = seen.keys().filter(|value| !wanted.contains(value)).cloned();
    assert!(root.parents.is_empty());
    Done {
        kills: 0,
        bumps: wanted.len(),
        commits: rest.len(),
        doubled: seen.iter().filter(|(_, times)| **times > 1).map(|(value, _)| value.clone()).collect(),
        lost: wanted.iter().filter(|value| !seen.contains_key(*value)).cloned().collect(),
        strange: strange.chain(others).collect(),
    }
}

/// Another one in each run, and the seed is not needed again: what is found is found in Git.
struct Chance(u64);

impl Chance {
    fn new(lane: u64) -> Self {
        Self(SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_nanos() as u64 ^ (lane << 57))
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.0 >> 33
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    fn part(&mut self) -> f64 {
        self.below(1000) as f64 / 1000.0
    }
}
