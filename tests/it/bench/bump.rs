//! One bump in a large repository: from the decision, as the cluster shows it, to the Git host's whole answer to the push.
//! The floor is one bare POST of such a commit to the same host.

use std::time::{Duration, Instant};

use tagboat::api::condition::Reason;
use tagboat::api::{ConfigRepo, ImagePolicy, ImageUpdate};

use super::bare::Bare;
use super::table::{Row, Table, Times, counted, mib, per};
use super::watched::Watched;
use super::wire::Wire;
use super::{SOON, by_way_of, clear, controller, controllers, is_write, progress, settled};
use crate::setup::{apply, image_policy, image_update, latest, marker, ready, request};
use crate::support::git::{Repo, git};
use crate::support::tagboat::Tagboat;
use crate::support::world::World;

const BUMPED: &str = "clusters/prod/team-00/app-00/deployment.yaml";
/// What is left out of the medians.
const WARM: usize = 2;
/// What a bump may take in a repository of at most so many files.
const GOAL: Duration = Duration::from_millis(60);
const FILES: usize = 10_000;

/// The world of this stage.
struct Stage {
    world: World,
    repo: Repo,
    wire: Wire,
    tagboat: Tagboat,
}

pub async fn run(files: usize, bumps: usize, table: &mut Table) {
    progress("a bump: repositories");
    let stage = set(files).await;
    let world = &stage.world;
    let other = large(world, "other", files);
    let contents: Vec<String> = (0..bumps).map(|n| deployment(world, "bumped", &format!("2.0.{n}"))).collect();
    let floor_wire = Wire::to(&world.git.url).await;
    let mut bare = Bare::prepare(world.git, &other, &by_way_of(&floor_wire, world, &other), BUMPED, &contents);

    progress("a bump: floor and ours in turns");
    let mut policies = Watched::start(world.api::<ImagePolicy>()).await;
    let mut updates = Watched::start(world.api::<ImageUpdate>()).await;
    let (requests, bytes, mark) = (stage.repo.requests().len(), stage.wire.bytes(), world.cluster.audit().mark());
    let (mut floor, mut ours) = (Vec::new(), Vec::new());
    for n in 0..bumps {
        let begin = Instant::now();
        bare.push().await;
        floor.push(begin.elapsed());
        let tag = format!("1.0.{}", n + 1);
        world.push("bumped", &[&tag]).await;
        request::<ImagePolicy>(world, "bumped", &tag).await;
        let is_it = |policy: &ImagePolicy| (latest(policy).as_deref() == Some(&tag)).then_some(());
        let (decided, ()) = policies.until("the decision", SOON, is_it).await;
        let says_so = |update: &ImageUpdate| {
            update.status.as_ref()?.last_changes.first().filter(|c| c.new.ends_with(&format!(":{tag}"))).map(drop)
        };
        updates.until("the push", SOON, says_so).await;
        ours.push(stage.wire.replied().saturating_duration_since(decided));
    }
    settled(world).await;
    let requests = stage.repo.requests().len() - requests;
    let bytes = usize::try_from(stage.wire.bytes() - bytes).unwrap();
    let api = controllers(world, mark);
    let writes = api.iter().filter(|request| is_write(request)).count();
    let counts = format!(
        "a bump: Git {}, {} bytes (floor 1, {}); API {}, {} of them writes",
        per(requests, bumps),
        bytes / bumps,
        usize::try_from(floor_wire.bytes()).unwrap() / bumps,
        per(api.len(), bumps),
        per(writes, bumps),
    );
    let name = format!("bump in {files} files, {} marked: decided → pushed", files / 5);
    let ours = Times::new(&ours, WARM);
    let is_fast = ours.median() <= GOAL;
    let row = Row::new(name).times(Times::new(&floor, WARM).with_tail(), ours.with_tail());
    let row = row.counts(counts).memory(mib(stage.tagboat.peak_memory()));
    let row = row.goal("Git requests ≤ 1", requests <= bumps);
    table.add(if files <= FILES { row.goal(format!("≤ {} ms", GOAL.as_millis()), is_fast) } else { row });
    table.detail("API requests a bump".to_owned(), counted(&api, bumps));
    drop((policies, updates));
    stage.tagboat.terminate().await;
    clear(world).await;
}

async fn set(files: usize) -> Stage {
    let world = World::new("bump").await;
    let repo = large(&world, "fleet", files);
    let wire = Wire::to(&world.git.url).await;
    world.push("bumped", &["1.0.0"]).await;
    world.push("steady", &["1.0.0"]).await;
    world.git_secret("git").await;
    let url = by_way_of(&wire, &world, &repo);
    apply(&world, "ConfigRepo", "fleet", &format!("{{url: '{url}', interval: 1h, secretRef: {{name: git}}}}")).await;
    for policy in ["bumped", "steady"] {
        image_policy(&world, policy, policy, "interval: 1h, policy: {semver: {range: '*'}}").await;
    }
    image_update(&world, "batchWindow: 1ms").await;
    let tagboat = controller(&world, false).await;
    ready::<ConfigRepo>(&world, "fleet", "True", Reason::Succeeded).await;
    ready::<ImagePolicy>(&world, "bumped", "True", Reason::Succeeded).await;
    ready::<ImageUpdate>(&world, "fleet", "True", Reason::Succeeded).await;
    settled(&world).await;
    Stage { world, repo, wire, tagboat }
}

/// Teams of a hundred applications of four files; of every ten files two are marked, one of all with the policy that moves.
fn large(world: &World, name: &str, files: usize) -> Repo {
    let mut all = Vec::with_capacity(files);
    for n in 0..files {
        let (app, part) = (n / 4, n % 4);
        let folder = format!("clusters/prod/team-{:02}/app-{:02}", app / 100, app % 100);
        // 4 of 5 Deployments are 2 of 10 files.
        let (file, content) = match part {
            0 if app == 0 => ("deployment", deployment(world, "bumped", "1.0.0")),
            0 if app % 5 != 4 => ("deployment", deployment(world, "steady", "1.0.0")),
            0 => (
                "deployment",
                deployment(world, "steady", "1.0.0").replace('#', "# not marked:").replace("imagepolicy", "policy"),
            ),
            1 => (
                "service",
                format!(
                    "apiVersion: v1\nkind: Service\nmetadata: {{name: app-{app}}}\nspec:\n  selector: {{app: app-{app}}}\n  ports:\n    - port: 80\n"
                ),
            ),
            2 => (
                "config",
                format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: app-{app}}}\ndata:\n  number: '{n}'\n"),
            ),
            _ => ("account", format!("apiVersion: v1\nkind: ServiceAccount\nmetadata: {{name: app-{app}}}\n")),
        };
        all.push((format!("{folder}/{file}.yaml"), content));
    }
    let all: Vec<(&str, &str)> = all.iter().map(|(path, content)| (path.as_str(), content.as_str())).collect();
    let repo = world.repo(name, &all);
    let packed = git().arg("--git-dir").arg(&repo.folder).args(["repack", "-a", "-d", "-q"]).status().unwrap();
    assert!(packed.success());
    repo
}

fn deployment(world: &World, app: &str, tag: &str) -> String {
    format!(
        "apiVersion: apps/v1
kind: Deployment
metadata:
  name: {app}
  labels: {{app: {app}}}
spec:
  replicas: 2
  selector:
    matchLabels: {{app: {app}}}
  template:
    metadata:
      labels: {{app: {app}}}
    spec:
      containers:
        - name: main
          image: {}:{tag} {}
          ports:
            - containerPort: 8080
          resources:
            requests: {{cpu: 100m, memory: 64Mi}}
            limits: {{memory: 256Mi}}
",
        world.image(app),
        marker(world, app)
    )
}
