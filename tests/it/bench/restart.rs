//! A controller that starts again where nothing has changed: what it asks and writes until every application was looked at.

use std::time::Instant;

use super::fleet::Fleet;
use super::table::{Row, Table, Times, counted, mib};
use super::{SOON, Sizes, controller, controllers, is_write, progress, settled};
use crate::support::wait::eventually;

/// What a restarted controller may take with a thousand applications.
const MEMORY: u64 = 40 << 20;

pub async fn run(sizes: Sizes, fleet: Fleet, table: &mut Table) -> Fleet {
    progress("restart");
    let Fleet { world, repo, wire, tagboat } = fleet;
    settled(&world).await;
    tagboat.terminate().await;
    let (mark, begin) = (world.cluster.audit().mark(), Instant::now());
    let tagboat = controller(&world, true).await;
    eventually("all were looked at", SOON, || async {
        let runs = looked_at(&tagboat.get("/metrics").await);
        if runs >= sizes.apps { Ok(()) } else { Err(runs) }
    })
    .await;
    let took = begin.elapsed();
    settled(&world).await;
    let cpu = tagboat.cpu();
    let requests = controllers(&world, mark);
    let writes = requests.iter().filter(|request| is_write(request) && request.resource != "leases").count();
    let lists = requests.iter().filter(|request| request.verb == "list").count();
    let counts = format!("{lists} lists, {writes} writes; CPU {} ms", cpu.as_millis());
    let row = Row::new(format!("restart with {} apps: started → all looked at", sizes.apps)).counts(counts);
    let row = row.ours(Times::new(&[took], 0)).memory(format!(
        "{} (now {})",
        mib(tagboat.peak_memory()),
        mib(tagboat.memory_now())
    ));
    let row = row.goal("0 writes", writes == 0);
    table.add(row.goal(format!("now ≤ {}", mib(MEMORY)), tagboat.memory_now() <= MEMORY));
    table.detail("API requests of a restart".to_owned(), counted(&requests, 1));
    Fleet { world, repo, wire, tagboat }
}

/// How many runs of GitSyncs went well, as the metrics tell.
fn looked_at(metrics: &str) -> usize {
    let is_it = |line: &&str| {
        line.starts_with("tagboat_reconciles_total{") && line.contains("GitSync") && line.contains("\"ok\"")
    };
    metrics.lines().filter(is_it).filter_map(|line| line.rsplit(' ').next()?.parse::<usize>().ok()).sum()
}
