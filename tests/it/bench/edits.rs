//! Edits by hand, and how long they stand: from the answer to the edit until a watch shows the corrected object. The floor is a bare
//! client that watches as well and applies again at every event that shows an edit.

use std::time::{Duration, Instant};

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{Patch, PatchParams};
use kube::{Api, Client, ResourceExt};
use serde_json::{Value, json};

use super::fleet::{self, Fleet, apps, image, objects};
use super::table::{Row, Table, Times, counted, mib, per};
use super::watched::Watched;
use super::{SOON, Sizes, clear, controllers, is_write, progress, settled};
use crate::support::world::World;

/// What is left out of the percentiles.
const WARM: usize = 2;
const FLOOR_APPS: usize = 10;
const GOAL: Duration = Duration::from_millis(25);
/// For the slowest of a hundred.
const TAIL: Duration = Duration::from_millis(150);

pub async fn run(sizes: Sizes, fleet: &Fleet, table: &mut Table) {
    progress("edits by hand");
    let world = World::new("edits").await;
    let client = world.cluster.client_of("person").await;
    let floor_apps = apps(FLOOR_APPS);
    for object in floor_apps.iter().flat_map(|app| objects(app)) {
        fleet::apply(&client, &world.namespace, &object).await;
    }
    let healers = [
        tokio::spawn(heal_configs(world.api(), client.clone(), world.namespace.clone())),
        tokio::spawn(heal_deployments(world.api(), client.clone(), world.namespace.clone())),
    ];
    settled(&fleet.world).await;
    let apps = apps(sizes.apps);
    let mut of_floor = Editor::new(&world).await;
    let mut of_ours = Editor::new(&fleet.world).await;
    let mark = world.cluster.audit().mark();
    let (mut floor, mut ours) = (Vec::new(), Vec::new());
    for n in 0..sizes.edits {
        floor.push(of_floor.edit(&floor_apps[n % floor_apps.len()], n).await);
        ours.push(of_ours.edit(&apps[n * 7919 % apps.len()], n).await);
    }
    settled(&fleet.world).await;
    let requests = controllers(&fleet.world, mark);
    let writes = requests.iter().filter(|request| is_write(request)).count();
    let counts =
        format!("an edit: API {}, {} of them writes", per(requests.len(), sizes.edits), per(writes, sizes.edits));
    let row = Row::new(format!("{} edits of {} apps: edited → corrected", sizes.edits, sizes.apps)).counts(counts);
    let (floor, ours) = (Times::new(&floor, WARM).with_tail(), Times::new(&ours, WARM).with_tail());
    let is_met = ours.median() <= GOAL && ours.tail() <= TAIL;
    let row = row.times(floor, ours).memory(mib(fleet.tagboat.peak_memory()));
    table.add(row.goal(format!("≤ {} ms, p99 ≤ {} ms", GOAL.as_millis(), TAIL.as_millis()), is_met));
    table.detail("API requests an edit".to_owned(), counted(&requests, sizes.edits));
    drop((of_floor, of_ours));
    healers.iter().for_each(tokio::task::JoinHandle::abort);
    clear(&world).await;
}

/// A person who edits, and sees what becomes of it.
struct Editor {
    configs: (Api<ConfigMap>, Watched<ConfigMap>),
    deployments: (Api<Deployment>, Watched<Deployment>),
}

impl Editor {
    async fn new(world: &World) -> Self {
        let (configs, deployments) = (world.api::<ConfigMap>(), world.api::<Deployment>());
        let (of_configs, of_deployments) =
            (Watched::start(configs.clone()).await, Watched::start(deployments.clone()).await);
        Self { configs: (configs, of_configs), deployments: (deployments, of_deployments) }
    }

    /// ConfigMaps and Deployments in turns.
    async fn edit(&mut self, app: &str, n: usize) -> Duration {
        let params = PatchParams { field_manager: Some("kubectl-edit".to_owned()), ..PatchParams::default() };
        let new = format!("edit-{n}");
        let (corrected, edited) = if n.is_multiple_of(2) {
            let patch = json!({"data": {"greeting": new}});
            let (api, seen) = &mut self.configs;
            api.patch(app, &params, &Patch::Merge(patch)).await.unwrap();
            let edited = Instant::now();
            let mut was_edited = false;
            let is_it =
                |config: &ConfigMap| turned_back(config.name_any() == app, greeting(config), &new, &mut was_edited);
            (seen.until("the ConfigMap as in Git", SOON, is_it).await.0, edited)
        } else {
            let patch = json!({"spec": {"template": {"spec": {"containers": [{"name": "main", "image": new}]}}}});
            let (api, seen) = &mut self.deployments;
            api.patch(app, &params, &Patch::Strategic(patch)).await.unwrap();
            let edited = Instant::now();
            let mut was_edited = false;
            let is_it = |deployment: &Deployment| {
                turned_back(deployment.name_any() == app, image(deployment), &new, &mut was_edited)
            };
            (seen.until("the Deployment as in Git", SOON, is_it).await.0, edited)
        };
        corrected.saturating_duration_since(edited)
    }
}

/// Whether the object shows something else after it has shown the edit.
fn turned_back(is_it: bool, value: &str, edit: &str, was_edited: &mut bool) -> Option<()> {
    if !is_it {
        return None;
    }
    *was_edited |= value == edit;
    (*was_edited && value != edit).then_some(())
}

fn greeting(config: &ConfigMap) -> &str {
    config.data.as_ref().and_then(|data| data.get("greeting")).map_or("", String::as_str)
}

async fn heal_configs(api: Api<ConfigMap>, client: Client, namespace: String) {
    let mut seen = Watched::start(api).await;
    loop {
        let (_, config) = seen.next().await;
        if greeting(&config).starts_with("edit-") {
            heal(&client, &namespace, &objects(&config.name_any())[1]).await;
        }
    }
}

async fn heal_deployments(api: Api<Deployment>, client: Client, namespace: String) {
    let mut seen = Watched::start(api).await;
    loop {
        let (_, deployment) = seen.next().await;
        if image(&deployment).starts_with("edit-") {
            heal(&client, &namespace, &objects(&deployment.name_any())[3]).await;
        }
    }
}

async fn heal(client: &Client, namespace: &str, object: &Value) {
    fleet::apply(client, namespace, object).await;
}
