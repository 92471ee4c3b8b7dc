//! Every outside call of a bump is cut in turn: before it is heard, in its middle, and before its answer arrives. The controller lives
//! on, or is killed at that moment and starts again, with its data or without: always one commit, and the status tells of it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures::future::join_all;
use libtest_mimic::Trial;
use tagboat::api::condition::Reason;
use tagboat::api::{ImagePolicy, ImageUpdate};

use crate::setup::*;
use crate::support::cutter::{Act, Cutter, POINTS, Point};
use crate::support::git::Repo;
use crate::support::tagboat::{Launch, Tagboat};
use crate::support::wait::wait_for;
use crate::support::world::World;
use crate::support::{guard, next_number, trial};

/// How many cases run at once, each with its own objects.
const LANES: usize = 6;
/// How long a call that is expected may take to come after all else is done.
const LATE: Duration = Duration::from_secs(3);

pub fn trials() -> Vec<Trial> {
    vec![
        trial("cuts: each call of a start and its bump", |world| sweep(world, Life::Starts, false)),
        trial("cuts: each call of a running controller's bump", |world| sweep(world, Life::Runs, false)),
        trial("cuts: a push that arrives after its sender's death", a_push_arrives_late),
        trial("cuts: two controllers and no lead", two_controllers),
        trial("cuts: two controllers, one of which scanned before", one_is_behind),
    ]
}

/// Since when the controller runs that bumps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Life {
    /// It starts, and finds the new tag.
    Starts,
    /// It has done so before.
    Runs,
}

/// What is done in one bump.
#[derive(Debug, Clone)]
struct Case {
    call: String,
    point: Point,
    is_killed: bool,
    is_fresh: bool,
}

/// All of the product, with one app.
struct Lane {
    world: World,
    cutter: Cutter,
    repo: Repo,
    launch: Launch,
    tag: usize,
}

impl Lane {
    async fn new(world: World) -> Self {
        let cutter = Cutter::new(&world).await;
        world.push("app", &["1.0.0"]).await;
        let image = cutter.image(&world, "app");
        let file = format!("image: {image}:1.0.0 {}\n", marker(&world, "app"));
        let repo = world.repo("fleet", &[("app.yaml", &file)]);
        world.git_secret("git").await;
        let url = cutter.git(&world, &repo.url);
        apply(&world, "ConfigRepo", "fleet", &format!("{{url: '{url}', interval: 1s, secretRef: {{name: git}}}}"))
            .await;
        image_update(&world, "batchWindow: 10ms").await;
        let launch = cutter.launch(world.launch());
        let lane = Self { world, cutter, repo, launch, tag: 0 };
        lane.scans_every("1s").await;
        lane
    }

    async fn scans_every(&self, interval: &str) {
        let image = self.cutter.image(&self.world, "app");
        let spec = format!("{{image: '{image}', insecure: true, interval: {interval}, {NEWEST}}}");
        apply(&self.world, "ImagePolicy", "app", &spec).await;
    }

    /// One tag more in the registry.
    async fn next(&mut self) {
        self.tag += 1;
        self.world.push("app", &[&self.tag()]).await;
    }

    fn tag(&self) -> String {
        format!("1.{}.0", self.tag)
    }

    fn value(&self, tag: &str) -> String {
        format!("{}:{tag}", self.cutter.image(&self.world, "app"))
    }

    /// Waits until the tag is in Git, and policy and update say so.
    async fn done(&self) {
        let tag = self.tag();
        in_git(&self.repo, "app.yaml", &format!(":{tag} ")).await;
        let head = self.repo.head();
        wait_for(&self.world.api::<ImageUpdate>(), "fleet", "a status that tells of the commit", SOON, |update| {
            let status = update?.status.as_ref()?;
            let ready = status.conditions.iter().find(|condition| condition.kind == "Ready")?;
            let is_told = ready.status == "True"
                && status.observed_revision.as_ref()?.to_string().ends_with(&head)
                && status.last_push_commit.as_ref()?.as_str() == head
                && status.last_changes.iter().any(|change| change.new.ends_with(&format!(":{tag}")))
                && status.holds.is_empty();
            is_told.then_some(())
        })
        .await;
        wait_for(&self.world.api::<ImagePolicy>(), "app", &tag, SOON, |policy| {
            (latest(policy?).as_deref() == Some(&*tag)).then_some(())
        })
        .await;
    }

    /// So far each tag is one commit on the one before, and nobody ever tried to put two commits on the same one.
    fn check(&self, case: &str) {
        let log = self.repo.log();
        let news: Vec<String> = bumps(&log).into_iter().rev().map(|bump| bump.new).collect();
        let all: Vec<String> = (1..=self.tag).map(|n| self.value(&format!("1.{n}.0"))).collect();
        assert_eq!(news, all, "each once and in their order, after {case}");
        assert_eq!(log.len(), 1 + self.tag, "nothing but bumps, after {case}");
        assert!(log.iter().rev().skip(1).all(|commit| commit.parents.len() == 1), "linear, after {case}");
        let file = format!("image: {} {}\n", self.value(&self.tag()), marker(&self.world, "app"));
        assert_eq!(self.repo.file_at_head("app.yaml").unwrap(), file, "after {case}");
        check_pushes(&self.cutter.pushes());
    }

    /// The next controller finds no data.
    fn fresh(&mut self) {
        self.launch.data_dir = guard::folder().join(format!("{}-data-{}", self.world.namespace, next_number()));
    }

    /// Cuts one call; the controller that runs afterwards, and whether the call came.
    async fn run(&mut self, case: &Case, running: Option<Tagboat>) -> (Tagboat, bool) {
        let met = self.cutter.met();
        self.cutter.plan(&case.call, case.point, Act::Break);
        self.next().await;
        let mut tagboat = running.unwrap_or_else(|| self.launch.start_unready());
        let mut has_come = tokio::select! {
            () = self.cutter.meets(met + 1) => true,
            () = self.done() => false,
        };
        if !has_come {
            // Events come after the status.
            has_come = tokio::time::timeout(LATE, self.cutter.meets(met + 1)).await.is_ok();
        }
        self.cutter.disarm();
        if has_come && case.is_killed {
            tagboat.kill9().await;
            if case.is_fresh {
                self.fresh();
            }
            tagboat = self.launch.start_unready();
        }
        self.done().await;
        self.check(&format!("{case:?}"));
        (tagboat, has_come)
    }
}

/// The same decision is the same commit: on one head, nobody asks for two.
pub fn check_pushes(pushes: &[[String; 2]]) {
    let mut wanted: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for [old, new] in pushes {
        wanted.entry(old).or_default().insert(new);
    }
    let doubled: Vec<_> = wanted.iter().filter(|(_, new)| new.len() > 1).collect();
    assert!(doubled.is_empty(), "two commits for one decision: {doubled:?}");
}

/// All calls at all points; with `is_all` each of them with and without a kill and with and without data, else one of these in turn.
pub async fn sweep(world: World, life: Life, is_all: bool) {
    let more = join_all((1..LANES).map(|lane| async move { World::new(&format!("cuts {life:?} {lane}")).await })).await;
    let mut lanes = join_all([world].into_iter().chain(more).map(Lane::new)).await;
    let calls = learn(&mut lanes[0], life).await;
    let mut cases = Vec::new();
    for (n, (call, point)) in calls.iter().flat_map(|call| POINTS.map(|point| (call, point))).enumerate() {
        // Reads of the API server decide nothing by themselves: one point each is enough for every day.
        if !is_all && call.starts_with("GET ") && n % 3 != n / 3 % 3 {
            continue;
        }
        let all = [(true, true), (false, true), (true, false), (false, false)];
        let chosen = if is_all { &all[..] } else { std::slice::from_ref(&all[cases.len() % all.len()]) };
        for (is_killed, is_fresh) in chosen.iter().copied() {
            cases.push(Case { call: call.clone(), point, is_killed, is_fresh });
        }
    }
    let done = join_all(lanes.iter_mut().enumerate().map(|(lane, own)| {
        let cases: Vec<Case> = cases.iter().skip(lane).step_by(LANES).cloned().collect();
        run_lane(own, life, cases)
    }));
    let came: Vec<Case> = done.await.into_iter().flatten().collect();
    println!("{} calls, {} cases, {} came to pass: {calls:?}", calls.len(), cases.len(), came.len());
    for Case { call, point, .. } in &cases {
        let has_come = came.iter().any(|case| case.call == *call && case.point == *point);
        assert!(has_come, "{call} was never cut {point:?}");
    }
}

/// The names of all calls of a bump.
async fn learn(lane: &mut Lane, life: Life) -> BTreeSet<String> {
    let running = match life {
        Life::Starts => None,
        Life::Runs => {
            let tagboat = lane.launch.start_unready();
            lane.next().await;
            lane.done().await;
            Some(tagboat)
        }
    };
    let before = lane.cutter.calls().len();
    lane.next().await;
    let tagboat = running.unwrap_or_else(|| lane.launch.start_unready());
    lane.done().await;
    asked("the event", 1, || {
        lane.cutter.calls()[before..].iter().filter(|call| *call == "POST events Committed").count()
    })
    .await;
    tagboat.kill9().await;
    lane.cutter.calls()[before..].iter().cloned().collect()
}

async fn run_lane(lane: &mut Lane, life: Life, cases: Vec<Case>) -> Vec<Case> {
    let mut came = Vec::new();
    let mut running = None;
    for case in cases {
        // Only who has nothing must fetch.
        if life == Life::Starts && (case.is_fresh || case.call == "git fetch") {
            lane.fresh();
        }
        if life == Life::Runs && running.is_none() {
            running = Some(lane.launch.start().await);
        }
        let (tagboat, has_come) = lane.run(&case, running.take()).await;
        match life {
            Life::Starts => tagboat.kill9().await,
            Life::Runs => running = Some(tagboat),
        }
        came.extend(has_come.then_some(case));
    }
    came
}

/// The network keeps a push while its sender dies and another one does its work.
async fn a_push_arrives_late(world: World) {
    let mut lane = Lane::new(world).await;
    let mut tagboat = lane.launch.start().await;
    for (point, is_fresh) in POINTS.into_iter().flat_map(|point| [(point, false), (point, true)]) {
        lane.cutter.plan("git push", point, Act::Hold);
        let met = lane.cutter.met();
        lane.next().await;
        lane.cutter.meets(met + 1).await;
        tagboat.kill9().await;
        if is_fresh {
            lane.fresh();
        }
        tagboat = lane.launch.start_unready();
        lane.done().await;
        let head = lane.repo.head();
        lane.cutter.let_go();
        // One more bump goes over the late one.
        lane.next().await;
        lane.done().await;
        assert_eq!(lane.repo.log()[0].parents, [head]);
        lane.check(&format!("{point:?}"));
    }
}

/// Two that know nothing of each other push what was decided before: both the same commit.
async fn two_controllers(world: World) {
    const BUMPS: usize = 4;
    let mut lane = Lane::new(world).await;
    let mut first = lane.launch.start().await;
    for n in 1..=BUMPS {
        image_update(&lane.world, "batchWindow: 10ms, suspend: true").await;
        lane.next().await;
        chosen(&lane.world, "app", &lane.tag()).await;
        lane.fresh();
        let second = lane.launch.start().await;
        // The first push waits on its way until the other one has landed.
        let (met, before) = (lane.cutter.met(), lane.cutter.pushes().len());
        lane.cutter.plan("git push", Point::Before, Act::Hold);
        image_update(&lane.world, "batchWindow: 10ms").await;
        lane.cutter.meets(met + 1).await;
        in_git(&lane.repo, "app.yaml", &format!(":{} ", lane.tag())).await;
        lane.cutter.let_go();
        lane.done().await;
        assert!(lane.cutter.pushes().len() >= before + 2, "both pushed bump {n}");
        lane.check(&format!("bump {n}"));
        first.kill9().await;
        first = second;
    }
}

/// The first one would take back what the second one, which scanned later, has chosen and written.
async fn one_is_behind(world: World) {
    let mut lane = Lane::new(world).await;
    lane.scans_every("1h").await;
    let _first = lane.launch.start().await;
    chosen(&lane.world, "app", "1.0.0").await;
    ready::<ImageUpdate>(&lane.world, "fleet", "True", Reason::Succeeded).await;
    lane.next().await;
    lane.fresh();
    let _second = lane.launch.start().await;
    lane.done().await;
    let polls = lane.repo.requests().len();
    asked("the branch", polls + 10, || lane.repo.requests().len()).await;
    lane.done().await;
    lane.check("a choice that one of them had not scanned");
}
