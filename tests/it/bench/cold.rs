//! A fleet from nothing: from the first GitSync that is created until all of them are ready. The bare client makes the same GitSyncs
//! (suspended; no controller runs meanwhile), one finalizer, four applies and one status for each.

use tagboat::api::ConfigRepo;
use tagboat::api::condition::Reason;

use super::fleet::{self, Fleet, apps};
use super::table::{Row, Table, Times, counted, mib, per};
use super::wire::Wire;
use super::{Sizes, by_way_of, clear, controller, controllers, is_write, progress, settled};
use crate::setup::{apply, ready};
use crate::support::cluster::audit::ApiRequest;
use crate::support::world::World;

/// Requests for an application.
const GOAL: usize = 7;
/// Beside the bare client's time.
const RATIO: f64 = 1.25;

/// The fleet of the last round stays up.
pub async fn run(sizes: Sizes, table: &mut Table) -> Fleet {
    let apps = apps(sizes.apps);
    let (mut floor, mut ours, mut deleted) = (Vec::new(), Vec::new(), Vec::new());
    let mut last = None;
    for round in 1..=sizes.rounds {
        progress(&format!("cold: floor, round {round}"));
        let world = World::new("floor").await;
        let client = world.cluster.client_of("person").await;
        let mark = world.cluster.audit().mark();
        floor.push(fleet::bare(&world, &client, &apps).await);
        let bare = world.cluster.audit().requests_by("person", mark).len();
        fleet::let_go(&world, &apps).await;
        clear(&world).await;

        progress(&format!("cold: ours, round {round}"));
        let fleet = set(&apps).await;
        let (mark, cpu) = (fleet.world.cluster.audit().mark(), fleet.tagboat.cpu());
        ours.push(fleet::ours(&fleet.world, &apps).await);
        settled(&fleet.world).await;
        let cpu = fleet.tagboat.cpu().saturating_sub(cpu);
        let requests = controllers(&fleet.world, mark);
        eprintln!("bench: round {round}: floor {:?}, ours {:?}", floor[round - 1], ours[round - 1]);
        let counts = format!(
            "{}; CPU {:.2} s; floor {} an app",
            show(&requests, sizes.apps),
            cpu.as_secs_f64(),
            per(bare, sizes.apps)
        );
        if round < sizes.rounds {
            deleted.push(fleet::delete(&fleet.world).await);
            fleet.tagboat.terminate().await;
            clear(&fleet.world).await;
        } else {
            last = Some((fleet, counts, requests));
        }
    }
    let (fleet, counts, requests) = last.expect("at least one round");
    let counts = format!("{counts}; Git {} of {} KB", fleet.repo.requests().len(), fleet.wire.bytes() / 1024);
    let row = Row::new(format!("{} apps × 4 objects: created → all ready", sizes.apps)).counts(counts);
    let (floor, ours) = (Times::new(&floor, 0), Times::new(&ours, 0));
    let is_fast = ours.median() <= floor.median().mul_f64(RATIO);
    let row = row.times(floor, ours).memory(mib(fleet.tagboat.peak_memory()));
    // What is asked once for each kind is nobody's.
    let of_apps = requests.iter().filter(|request| request.verb != "list" && !request.resource.is_empty()).count();
    let row = row.goal(format!("API requests an app ≤ {GOAL}, and once for each kind"), of_apps <= GOAL * sizes.apps);
    table.add(row.goal(format!("≤ {RATIO}×"), is_fast));
    table.detail("API requests an app, cold".to_owned(), counted(&requests, sizes.apps));
    if !deleted.is_empty() {
        let shown: Vec<String> = deleted.iter().map(|time| format!("{:.2} s", time.as_secs_f64())).collect();
        table.detail("all GitSyncs deleted → everything gone".to_owned(), shown);
    }
    fleet
}

fn show(requests: &[ApiRequest], apps: usize) -> String {
    let writes = requests.iter().filter(|request| is_write(request)).count();
    format!("API {} an app, {} of them writes", per(requests.len(), apps), per(writes, apps))
}

async fn set(apps: &[String]) -> Fleet {
    let world = World::new("fleet").await;
    let repo = fleet::repository(&world, apps);
    let wire = Wire::to(&world.git.url).await;
    world.git_secret("git").await;
    let tagboat = controller(&world, true).await;
    let url = by_way_of(&wire, &world, &repo);
    apply(&world, "ConfigRepo", "fleet", &format!("{{url: '{url}', interval: 1s, secretRef: {{name: git}}}}")).await;
    ready::<ConfigRepo>(&world, "fleet", "True", Reason::Succeeded).await;
    Fleet { world, repo, wire, tagboat }
}
