//! A release: from the pushed image (and a word to the policy, in place of the registry's webhook) until the cluster's Deployment runs it.
//! The floor is the sum of the requests that can't be left out, each alone: list the tags, push a commit, apply the Deployment.

use std::time::{Duration, Instant};

use k8s_openapi::api::apps::v1::Deployment;
use tagboat::api::condition::Reason;
use tagboat::api::{ConfigRepo, GitSync, ImagePolicy, ImageUpdate};

use super::bare::Bare;
use super::fleet::{self, Fleet, deployment, image};
use super::table::{Row, Table, Times, counted, mib, per};
use super::watched::Watched;
use super::wire::Wire;
use super::{SOON, Sizes, by_way_of, controllers, is_write, progress, settled};
use crate::setup::{NEWEST, apply, git_sync, image_policy, image_update, marker, ready, request};
use crate::support::git::Repo;
use crate::support::world::World;

/// What is left out of the percentiles.
const WARM: usize = 2;
const GOAL: Duration = Duration::from_millis(100);
const APP: &str = "boat";

/// What stays up.
pub struct Release {
    pub world: World,
    pub repo: Repo,
    /// The image's repository in the registry.
    pub app: String,
}

pub async fn run(sizes: Sizes, fleet: &Fleet, table: &mut Table) -> Release {
    progress("releases");
    let world = World::new("release").await;
    let repo = world.repo("fleet", &[("apps/boat/app.yaml", &manifest(&world, "1.0.0"))]);
    let wire = Wire::to(&world.git.url).await;
    set(&world, &by_way_of(&wire, &world, &repo)).await;
    let mut least = Least::prepare(&world, sizes.releases).await;
    settled(&fleet.world).await;

    let mut seen = Watched::start(world.api::<Deployment>()).await;
    let (requests, bytes, mark) = (repo.requests().len(), wire.bytes(), world.cluster.audit().mark());
    let cpu = fleet.tagboat.cpu();
    let (mut floor, mut ours) = (Vec::new(), Vec::new());
    for n in 1..=sizes.releases {
        let tag = format!("1.0.{n}");
        let begin = Instant::now();
        least.once(&world, &tag).await;
        floor.push(begin.elapsed());
        world.push(APP, &[&tag]).await;
        let begin = Instant::now();
        request::<ImagePolicy>(&world, APP, &tag).await;
        let wanted = format!("{}:{tag}", world.image(APP));
        let is_it = |deployment: &Deployment| (image(deployment) == wanted).then_some(());
        let (at, ()) = seen.until("the Deployment runs it", SOON, is_it).await;
        ours.push(at.duration_since(begin));
    }
    settled(&fleet.world).await;
    let cpu = fleet.tagboat.cpu().saturating_sub(cpu);
    let api = controllers(&world, mark);
    let writes = api.iter().filter(|request| is_write(request)).count();
    let pushes =
        repo.requests()[requests..].iter().filter(|request| request.path.ends_with("/git-receive-pack")).count();
    let counts = format!(
        "a release: API {}, {} of them writes; Git push requests {}, {} bytes with the polls of 1 s; CPU {} ms",
        per(api.len(), sizes.releases),
        per(writes, sizes.releases),
        per(pushes, sizes.releases),
        usize::try_from(wire.bytes() - bytes).unwrap() / sizes.releases,
        cpu.as_millis() / sizes.releases as u128,
    );
    let row = Row::new(format!("image pushed → Deployment patched, beside {} apps", sizes.apps)).counts(counts);
    let (floor, ours) = (Times::new(&floor, WARM).with_tail(), Times::new(&ours, WARM).with_tail());
    let is_met = ours.median() <= GOAL;
    let row = row.times(floor, ours).memory(mib(fleet.tagboat.peak_memory()));
    table.add(row.goal(format!("≤ {} ms", GOAL.as_millis()), is_met));
    table.detail("API requests a release".to_owned(), counted(&api, sizes.releases));
    let app = world.repository(APP);
    Release { world, repo, app }
}

async fn set(world: &World, url: &str) {
    world.push(APP, &["1.0.0"]).await;
    world.git_secret("git").await;
    apply(world, "ConfigRepo", "fleet", &format!("{{url: '{url}', interval: 1s, secretRef: {{name: git}}}}")).await;
    image_policy(world, APP, APP, NEWEST).await;
    image_update(world, "batchWindow: 1ms").await;
    git_sync(world, "path: ./apps").await;
    ready::<ConfigRepo>(world, "fleet", "True", Reason::Succeeded).await;
    ready::<ImageUpdate>(world, "fleet", "True", Reason::Succeeded).await;
    ready::<GitSync>(world, "apps", "True", Reason::Succeeded).await;
}

/// The manifest in Git, with its marker.
fn manifest(world: &World, tag: &str) -> String {
    let image = format!("{}:{tag}", world.image(APP));
    let text = serde_yaml::to_string(&deployment(APP, &image)).unwrap();
    let (before, after) = text.split_once(&image).unwrap();
    // The rest of the line: a closing quote, if any.
    let (rest, after) = after.split_once('\n').unwrap();
    format!("{before}{image}{rest} {}\n{after}", marker(world, APP))
}

/// The requests that nobody can leave out.
struct Least {
    client: reqwest::Client,
    tags: String,
    bare: Bare,
    cluster: kube::Client,
}

impl Least {
    async fn prepare(world: &World, releases: usize) -> Self {
        let path = "apps/boat/app.yaml";
        let repo = world.repo("floor", &[(path, &manifest(world, "1.0.0"))]);
        let wire = Wire::to(&world.git.url).await;
        let contents: Vec<String> = (1..=releases).map(|n| manifest(world, &format!("1.0.{n}"))).collect();
        let bare = Bare::prepare(world.git, &repo, &by_way_of(&wire, world, &repo), path, &contents);
        let client = reqwest::Client::builder().no_gzip().no_proxy().build().unwrap();
        world.push("floor", &["1.0.0"]).await;
        let tags = format!("http://{}/v2/{}/tags/list?n=1000", world.registry.host, world.repository("floor"));
        let cluster = world.cluster.client_of("person").await;
        Self { client, tags, bare, cluster }
    }

    async fn once(&mut self, world: &World, tag: &str) {
        let answer = self.client.get(&self.tags).send().await.unwrap();
        assert!(answer.error_for_status().unwrap().text().await.unwrap().contains("1.0.0"));
        self.bare.push().await;
        let object = deployment("floor", &format!("{}:{tag}", world.image("floor")));
        fleet::apply(&self.cluster, &world.namespace, &object).await;
    }
}
