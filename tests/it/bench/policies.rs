//! ImagePolicies in great number: all of one repository, and each of a repository of its own. What is asked of the registry and
//! written to the cluster is counted at the registry's proxy and in the API server's audit log.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use futures::StreamExt;
use k8s_openapi::api::events::v1::Event;
use kube::api::{Patch, PatchParams, PostParams};
use kube::{Api, Client, ResourceExt};
use serde_json::json;
use tagboat::api::ImagePolicy;

use super::fleet::IN_FLIGHT;
use super::images::{Images, client, versions};
use super::table::{Row, Table, Times, counted, mib, per};
use super::watched::Watched;
use super::{SOON, Sizes, clear_policies, controller, controllers, is_write, progress, settled};
use crate::setup::{asked, latest};
use crate::support::cluster::audit::ApiRequest;
use crate::support::world::World;

/// How often the policies of one repository ask.
const INTERVAL: Duration = Duration::from_secs(2);
/// The shortest that an interval gets by the spread of those who ask, and by when we look.
const SHORTEST: f64 = 0.88;

/// Many who want to know the same.
pub async fn alike(sizes: Sizes, table: &mut Table) {
    progress("policies of one repository");
    let world = World::new("alike").await;
    let (repository, tags) = (world.repository("app"), versions(50));
    Images::new().await.fill(std::slice::from_ref(&repository), &tags).await;
    let policies: Vec<ImagePolicy> = (0..sizes.alike)
        .map(|n| policy(&world, &format!("app-{n:04}"), "app", &format!("<={}", tags[n % tags.len()]), INTERVAL))
        .collect();
    create(&world.client, &world.namespace, &policies).await;
    let mut seen = Watched::start(world.api::<ImagePolicy>()).await;
    let tagboat = controller(&world, false).await;
    all_decided(&mut seen, &policies).await;
    let lists = || world.registry.lists(&repository);
    let looks = world.registry.requests(&repository) - lists();
    settled(&world).await;
    let first = lists() + 1;
    asked("the list", first, lists).await;
    let (mark, begin, cpu) = (world.cluster.audit().mark(), Instant::now(), tagboat.cpu());
    let before = world.registry.requests(&repository);
    asked("the list", first + sizes.scans, lists).await;
    let (time, cpu) = (begin.elapsed(), tagboat.cpu().saturating_sub(cpu));
    let scans = lists() - first;
    let others = world.registry.requests(&repository) - before - scans;
    let requests = controllers(&world, mark);
    let writes = requests.iter().filter(|request| is_write(request)).count();
    let counts = format!(
        "first {looks} looks at images; then {scans} lists in {:.1} s, other requests {others}; API {}, {writes} of them writes; CPU {} ms a scan",
        time.as_secs_f64(),
        requests.len(),
        cpu.as_millis() / scans as u128
    );
    let row = Row::new(format!("{} policies of one repository, every {} s", sizes.alike, INTERVAL.as_secs()));
    let row = row.counts(counts).memory(mib(tagboat.peak_memory()));
    let is_one = time.as_secs_f64() >= INTERVAL.as_secs_f64() * SHORTEST * scans as f64 && others == 0;
    table.add(row.goal("1 list an interval", is_one).goal("API writes ≤ 0", writes == 0));
    tagboat.terminate().await;
    clear_policies(&world).await;
}

/// Many who want to know something else each. The floor is a bare client that lists, looks at the image, writes a status and an
/// event for each, with the same policies of a namespace that no controller serves.
pub async fn unlike(sizes: Sizes, table: &mut Table) {
    progress("policies of many repositories: images");
    let world = World::new("unlike").await;
    let apps: Vec<String> = (0..sizes.unlike).map(|n| format!("app-{n:04}")).collect();
    let repositories: Vec<String> = apps.iter().map(|app| world.repository(app)).collect();
    Images::new().await.fill(&repositories, &versions(2)).await;
    let policies: Vec<ImagePolicy> = apps.iter().map(|app| policy(&world, app, app, "*", sizes.interval)).collect();
    progress("policies of many repositories: floor");
    let floor = bare(&world, &policies).await;

    progress("policies of many repositories: ours");
    create(&world.client, &world.namespace, &policies).await;
    let mut seen = Watched::start(world.api::<ImagePolicy>()).await;
    let (mark, before, begin) = (world.cluster.audit().mark(), count(&world, &repositories), Instant::now());
    let tagboat = controller(&world, false).await;
    let ours = all_decided(&mut seen, &policies).await.duration_since(begin);
    settled(&world).await;
    let (cpu, requests) = (tagboat.cpu(), controllers(&world, mark));
    let asked = count(&world, &repositories).since(before);
    let writes: Vec<ApiRequest> = requests.iter().filter(|request| is_write(request)).cloned().collect();
    let counts = format!(
        "a policy: registry {}, API {}, {} of them writes; CPU {:.2} ms",
        per(asked.requests, sizes.unlike),
        per(requests.len(), sizes.unlike),
        per(writes.len(), sizes.unlike),
        cpu.as_secs_f64() * 1e3 / sizes.unlike as f64
    );
    let row = Row::new(format!("{} policies × 1 repository: start → all decided", sizes.unlike)).counts(counts);
    let row = row.times(Times::new(&[floor], 0), Times::new(&[ours], 0)).memory(mib(tagboat.peak_memory()));
    let row = row.goal("registry requests a policy ≤ 2", asked.requests <= 2 * sizes.unlike);
    table.add(row.goal("API writes a policy ≤ 2", writes.len() <= 2 * sizes.unlike));
    table.detail("API writes a policy, first choice".to_owned(), counted(&writes, sizes.unlike));

    progress("policies of many repositories: unchanged");
    let (mark, before, cpu) = (world.cluster.audit().mark(), count(&world, &repositories), tagboat.cpu());
    tokio::time::sleep(sizes.interval).await;
    let asked = count(&world, &repositories).since(before);
    let (cpu, requests) = (tagboat.cpu().saturating_sub(cpu), controllers(&world, mark));
    let writes = requests.iter().filter(|request| is_write(request)).count();
    let a_policy = asked.lists as f64 / sizes.unlike as f64;
    let counts = format!(
        "{} lists, other requests {}; API {}, {writes} of them writes; CPU {} µs a scan",
        asked.lists,
        asked.requests - asked.lists,
        requests.len(),
        cpu.as_micros() / asked.lists.max(1) as u128
    );
    let row =
        Row::new(format!("{} policies, unchanged for an interval of {} s", sizes.unlike, sizes.interval.as_secs()));
    let row = row.counts(counts).memory(format!("now {}", mib(tagboat.memory_now())));
    let row = row.goal("1 request a scan", asked.requests == asked.lists);
    // The interval is up to a tenth shorter, so that not all ask at once.
    let row = row.goal("1 to 1.12 scans a policy", (1.0..=1.12).contains(&a_policy));
    table.add(row.goal("API writes ≤ 0", writes == 0));
    tagboat.terminate().await;
    clear_policies(&world).await;
}

/// What was asked of the registry.
#[derive(Clone, Copy)]
struct Asked {
    requests: usize,
    lists: usize,
}

impl Asked {
    fn since(self, before: Self) -> Self {
        Self { requests: self.requests - before.requests, lists: self.lists - before.lists }
    }
}

fn count(world: &World, repositories: &[String]) -> Asked {
    let sum = |count: &dyn Fn(&String) -> usize| repositories.iter().map(count).sum();
    Asked {
        requests: sum(&|repository| world.registry.requests(repository)),
        lists: sum(&|repository| world.registry.lists(repository)),
    }
}

fn policy(world: &World, name: &str, app: &str, range: &str, interval: Duration) -> ImagePolicy {
    let policy = json!({
        "apiVersion": "tagboat.dev/v1alpha1", "kind": "ImagePolicy", "metadata": {"name": name},
        "spec": {
            "image": world.image(app), "insecure": true, "interval": format!("{}s", interval.as_secs()),
            "policy": {"semver": {"range": range}},
        },
    });
    serde_json::from_value(policy).unwrap()
}

async fn create(client: &Client, namespace: &str, policies: &[ImagePolicy]) {
    let api = &Api::<ImagePolicy>::namespaced(client.clone(), namespace);
    let created = policies.iter().map(|policy| async move {
        api.create(&PostParams::default(), policy).await.unwrap();
    });
    futures::stream::iter(created).buffer_unordered(IN_FLIGHT).collect::<()>().await;
}

async fn all_decided(seen: &mut Watched<ImagePolicy>, policies: &[ImagePolicy]) -> Instant {
    let mut missing: BTreeSet<String> = policies.iter().map(ResourceExt::name_any).collect();
    let (at, ()) = seen
        .until("all policies are decided", SOON, |policy| {
            if latest(policy).is_some() {
                missing.remove(&policy.name_any());
            }
            missing.is_empty().then_some(())
        })
        .await;
    at
}

async fn bare(images: &World, policies: &[ImagePolicy]) -> Duration {
    let world = World::new("floor").await;
    create(&world.client, &world.namespace, policies).await;
    let cluster = world.cluster.client_of("person").await;
    let (http, mut seen) = (client(), Watched::start(world.api::<ImagePolicy>()).await);
    let begin = Instant::now();
    let each = policies.iter().map(|policy| one(images, &http, &world.namespace, &cluster, policy));
    futures::stream::iter(each).buffer_unordered(IN_FLIGHT).collect::<()>().await;
    let time = all_decided(&mut seen, policies).await.max(Instant::now()).duration_since(begin);
    clear_policies(&world).await;
    time
}

async fn one(images: &World, http: &reqwest::Client, namespace: &str, cluster: &Client, policy: &ImagePolicy) {
    let (name, tag) = (policy.name_any(), "1.0.101");
    look(http, &images.registry.host, &images.repository(&name), tag).await;
    decide(cluster, namespace, &name, &images.image(&name), tag).await;
    let note = format!("chose {}:{tag}, the newest of 2 tags in range *", images.image(&name));
    let event = json!({
        "metadata": {"name": format!("{name}.0123456789abcdef"), "namespace": namespace}, "note": note,
        "action": "Chosen", "reason": "Chosen", "type": "Normal", "eventTime": "2026-01-02T03:04:05.000000Z",
        "reportingController": "bench", "reportingInstance": "bench",
        "regarding": {"apiVersion": "tagboat.dev/v1alpha1", "kind": "ImagePolicy", "name": name, "namespace": namespace},
    });
    let event: Event = serde_json::from_value(event).unwrap();
    Api::<Event>::namespaced(cluster.clone(), namespace).create(&PostParams::default(), &event).await.unwrap();
}

/// The requests to a registry that nobody can leave out: the list, and whether the image is there.
pub async fn look(http: &reqwest::Client, host: &str, repository: &str, tag: &str) {
    let list = http.get(format!("http://{host}/v2/{repository}/tags/list?n=1000")).send().await.unwrap();
    assert!(list.error_for_status().unwrap().text().await.unwrap().contains(tag));
    let image = http.head(format!("http://{host}/v2/{repository}/manifests/{tag}"));
    let image = image.header("accept", "application/vnd.oci.image.manifest.v1+json").send().await.unwrap();
    assert!(image.error_for_status().unwrap().headers().contains_key("docker-content-digest"));
}

/// A choice, as somebody who only writes it.
pub async fn decide(cluster: &Client, namespace: &str, name: &str, image: &str, tag: &str) {
    let ready = json!({
        "type": "Ready", "status": "True", "reason": "Succeeded", "message": format!("{image}:{tag}"),
        "observedGeneration": 1, "lastTransitionTime": "2026-01-02T03:04:05Z",
    });
    let status = json!({"status": {
        "conditions": [ready], "observedGeneration": 1, "chosenAt": "2026-01-02T03:04:05Z",
        "latestRef": {"name": image, "tag": tag},
    }});
    let api = Api::<ImagePolicy>::namespaced(cluster.clone(), namespace);
    api.patch_status(name, &PatchParams::default(), &Patch::Merge(status)).await.unwrap();
}
