//! Very many bumps at once: from the moment when an ImageUpdate may write them all to the Git host's answer to the one push.

use std::time::{Duration, Instant};

use kube::api::{Patch, PatchParams};
use serde_json::json;
use tagboat::api::condition::Reason;
use tagboat::api::{ImagePolicy, ImageUpdate};

use super::table::{Row, Table, Times, mib};
use super::wire::Wire;
use super::{SOON, Sizes, by_way_of, clear, controller, progress, settled};
use crate::setup::{apply, image_policy, image_update, latest, marked, ready, request, robots};
use crate::support::wait::eventually;
use crate::support::world::World;

/// What a push of all of them may take.
const GOAL: Duration = Duration::from_millis(150);
/// What is left out of the medians.
const WARM: usize = 1;

pub async fn run(sizes: Sizes, table: &mut Table) {
    progress("many bumps at once");
    let world = World::new("burst").await;
    let names: Vec<String> = (0..sizes.burst).map(|n| format!("app-{n:03}")).collect();
    world.push("app", &["1.0.0"]).await;
    // Every policy chooses of the same tags; each has a file of its own.
    let text = |name: &str| marked(&world, "app", "1.0.0").replace(":app\"", &format!(":{name}\""));
    let files: Vec<(String, String)> = names.iter().map(|name| (format!("apps/{name}.yaml"), text(name))).collect();
    let files: Vec<(&str, &str)> = files.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
    let repo = world.repo("fleet", &files);
    let wire = Wire::to(&world.git.url).await;
    world.git_secret("git").await;
    let spec = format!("{{url: '{}', interval: 1h, secretRef: {{name: git}}}}", by_way_of(&wire, &world, &repo));
    apply(&world, "ConfigRepo", "fleet", &spec).await;
    for name in &names {
        image_policy(&world, name, "app", "interval: 1h, policy: {semver: {range: '*'}}").await;
    }
    image_update(&world, "batchWindow: 1ms").await;
    let tagboat = controller(&world, false).await;
    ready::<ImageUpdate>(&world, "fleet", "True", Reason::Succeeded).await;
    settled(&world).await;

    let mut ours = Vec::new();
    for n in 1..=sizes.bursts {
        let tag = format!("1.0.{n}");
        suspend(&world, true).await;
        world.push("app", &[&tag]).await;
        request::<ImagePolicy>(&world, &names[0], &tag).await;
        let policies = world.api::<ImagePolicy>();
        eventually("all have chosen", SOON, || async {
            let all = policies.list(&Default::default()).await.unwrap().items;
            let behind = all.iter().filter(|policy| latest(policy).as_deref() != Some(&tag)).count();
            // Asked one by one, as they would be by their intervals.
            for policy in all.iter().filter(|policy| latest(policy).as_deref() != Some(&tag)) {
                request::<ImagePolicy>(&world, policy.metadata.name.as_deref().unwrap(), &tag).await;
            }
            if behind == 0 { Ok(()) } else { Err(behind) }
        })
        .await;
        settled(&world).await;
        let begin = Instant::now();
        suspend(&world, false).await;
        eventually("the push", SOON, || async {
            let pushed = robots(&repo.log()).len();
            if pushed == n { Ok(()) } else { Err(pushed) }
        })
        .await;
        ours.push(wire.replied().saturating_duration_since(begin));
        settled(&world).await;
    }
    let times = Times::new(&ours, WARM);
    let is_met = times.median() <= GOAL;
    let row = Row::new(format!("{} bumps at once: resumed → pushed", sizes.burst)).ours(times);
    let row = row.counts("1 commit, 1 push").memory(mib(tagboat.peak_memory()));
    table.add(row.goal(format!("≤ {} ms", GOAL.as_millis()), is_met));
    tagboat.terminate().await;
    clear(&world).await;
}

async fn suspend(world: &World, suspend: bool) {
    let patch = Patch::Merge(json!({"spec": {"suspend": suspend}}));
    world.api::<ImageUpdate>().patch("fleet", &PatchParams::default(), &patch).await.unwrap();
    if suspend {
        ready::<ImageUpdate>(world, "fleet", "True", Reason::Suspended).await;
    }
}
