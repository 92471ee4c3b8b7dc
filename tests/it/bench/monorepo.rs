//! One image line of one application among all: from the fetch of the commit until the cluster's Deployment has it. Everybody else's
//! GitSync gets the new revision too, and has to wait.

use k8s_openapi::api::apps::v1::Deployment;
use kube::ResourceExt;
use tagboat::api::ConfigRepo;

use super::fleet::{self, Fleet, apps, image, objects};
use super::table::{Row, Table, Times, counted};
use super::watched::Watched;
use super::{SOON, Sizes, controllers, progress, settled};
use crate::setup::request;

/// After the fetch.
const GOAL: std::time::Duration = std::time::Duration::from_millis(50);

pub async fn run(sizes: Sizes, fleet: &Fleet, table: &mut Table) {
    progress("one line of a monorepo");
    let apps = apps(sizes.apps);
    let mut seen = Watched::start(fleet.world.api::<Deployment>()).await;
    settled(&fleet.world).await;
    let (mut ours, mut applied, mut last) = (Vec::new(), 0, Vec::new());
    for n in 1..=sizes.lines {
        let app = &apps[n * 7919 % apps.len()];
        let wanted = format!("registry.example.com/acme/app:1.1.{n}");
        let mark = fleet.world.cluster.audit().mark();
        fleet.repo.commit(&[(&fleet::path(app), &with_image(app, &wanted))], "one line");
        request::<ConfigRepo>(&fleet.world, "fleet", &wanted).await;
        let is_it =
            |deployment: &Deployment| (deployment.name_any() == *app && image(deployment) == wanted).then_some(());
        let (at, ()) = seen.until("the Deployment of the new line", SOON, is_it).await;
        ours.push(at.saturating_duration_since(fleet.wire.replied()));
        settled(&fleet.world).await;
        last = controllers(&fleet.world, mark);
        applied = last.iter().filter(|request| request.verb == "patch" && request.resource == "deployments").count();
    }
    let times = Times::new(&ours, 1);
    let is_met = times.median() <= GOAL && applied == 1;
    let row = Row::new(format!("1 image line of {} apps: fetched → patched", sizes.apps)).ours(times);
    let row = row.counts(format!("{applied} apply"));
    table.add(row.goal(format!("1 apply, ≤ {} ms", GOAL.as_millis()), is_met));
    table.detail("API requests of one line in all".to_owned(), counted(&last, 1));
}

fn with_image(app: &str, image: &str) -> String {
    let [account, config, service, _] = objects(app);
    let all = [account, config, service, fleet::deployment(app, image)];
    all.iter().map(|object| serde_yaml::to_string(object).unwrap()).collect::<Vec<_>>().join("---\n")
}
