//! A webhook: from the registry's word that there is a new tag until the policy's status has it. The floor is what can't be left out:
//! the list, a look at the image, the status, one after the other by a bare client.

use std::time::{Duration, Instant};

use serde_json::json;
use tagboat::api::ImagePolicy;

use super::images::client;
use super::policies::{decide, look};
use super::table::{Row, Table, Times, counted, mib, per};
use super::watched::Watched;
use super::{SOON, Sizes, clear_policies, controller, controllers, is_write, progress, settled};
use crate::setup::{NEWEST, apply, image_policy, latest};
use crate::support::world::World;

/// Left out of the percentiles.
const WARM: usize = 1;
/// Between two webhooks: a registry is asked once a second at most, and that wait is not what is measured.
const PAUSE: Duration = Duration::from_millis(1100);

pub async fn run(sizes: Sizes, table: &mut Table) {
    progress("webhooks");
    let (world, floor_world) = (World::new("announced").await, World::new("floor").await);
    let repository = world.repository("app");
    world.push("app", &["1.0.0"]).await;
    world.secret("hook", "Opaque", json!({"token": "long-enough-and-known-to-two"})).await;
    let spec = format!("interval: 1h, webhook: {{type: distribution, secretRef: {{name: hook}}}}, {NEWEST}");
    image_policy(&world, "app", "app", &spec).await;
    let suspended =
        format!("{{image: '{}', insecure: true, interval: 1h, suspend: true, {NEWEST}}}", world.image("app"));
    apply(&floor_world, "ImagePolicy", "app", &suspended).await;
    let mut seen = Watched::start(world.api::<ImagePolicy>()).await;
    let tagboat = controller(&world, false).await;
    let path_of = |policy: &ImagePolicy| latest(policy).and(policy.status.as_ref()?.webhook_path.clone());
    let (_, path) = seen.until("the path of the hook", SOON, path_of).await;
    let hook = format!("{}{path}", tagboat.url);
    settled(&world).await;

    let (http, cluster) = (client(), world.cluster.client_of("person").await);
    let counted_before = (world.registry.requests(&repository), world.cluster.audit().mark());
    let (mut floor, mut ours) = (Vec::new(), Vec::new());
    for n in 1..=sizes.webhooks {
        let tag = format!("1.0.{n}");
        tokio::time::sleep(PAUSE).await;
        world.push("app", &[&tag]).await;
        let begin = Instant::now();
        look(&http, &world.registry.host, &repository, &tag).await;
        decide(&cluster, &floor_world.namespace, "app", &world.image("app"), &tag).await;
        floor.push(begin.elapsed());
        let envelope = envelope(&repository, &tag);
        let begin = Instant::now();
        let kind = "application/vnd.docker.distribution.events.v2+json";
        let answer = http.post(&hook).header("content-type", kind).body(envelope).send().await.unwrap();
        answer.error_for_status().unwrap();
        let is_it = |policy: &ImagePolicy| (latest(policy).as_deref() == Some(&tag)).then_some(());
        let (at, ()) = seen.until("the tag in the status", SOON, is_it).await;
        ours.push(at.duration_since(begin));
    }
    settled(&world).await;
    // The floor's requests pass the proxy too.
    let asked = world.registry.requests(&repository) - counted_before.0 - 2 * sizes.webhooks;
    let requests = controllers(&world, counted_before.1);
    let writes = requests.iter().filter(|request| is_write(request)).count();
    let counts = format!(
        "a webhook: registry {}, API {}, {} of them writes",
        per(asked, sizes.webhooks),
        per(requests.len(), sizes.webhooks),
        per(writes, sizes.webhooks)
    );
    let row = Row::new("webhook → status has the new tag").counts(counts).memory(mib(tagboat.peak_memory()));
    let row = row.times(Times::new(&floor, WARM).with_tail(), Times::new(&ours, WARM).with_tail());
    let row = row.goal("registry requests ≤ 2", asked <= 2 * sizes.webhooks);
    table.add(row.goal("API writes ≤ 2", writes <= 2 * sizes.webhooks));
    table.detail("API requests a webhook".to_owned(), counted(&requests, sizes.webhooks));
    tagboat.terminate().await;
    clear_policies(&world).await;
    clear_policies(&floor_world).await;
}

/// What distribution sends when a manifest was pushed.
fn envelope(repository: &str, tag: &str) -> String {
    let event = json!({
        "id": format!("event-{tag}"), "timestamp": chrono::Utc::now().to_rfc3339(), "action": "push",
        "target": {
            "mediaType": "application/vnd.oci.image.manifest.v1+json", "size": 500, "repository": repository, "tag": tag,
        },
        "request": {"id": format!("request-{tag}"), "method": "PUT", "useragent": "bench"},
    });
    json!({"events": [event]}).to_string()
}
