//! How single objects ask to be treated: made once, left alone, kept, in waves; and what a word that nobody knows stops.

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::ResourceExt;
use kube::api::DeleteParams;
use libtest_mimic::Trial;
use serde_json::{Value, json};
use tagboat::api::GitSync;
use tagboat::api::condition::Reason;

use crate::objects::*;
use crate::setup::*;
use crate::support::trial;
use crate::support::world::World;

pub fn trials() -> Vec<Trial> {
    vec![
        trial("manners: made once", made_once),
        trial("manners: left alone and kept", left_alone_and_kept),
        trial("manners: an unknown word stops its object only", an_unknown_word),
        trial("manners: nothing is pruned by an empty or partial render", an_empty_or_partial_render),
        trial("manners: waves wait for health", waves_wait_for_health),
        trial("manners: a definition and its objects", a_definition_and_its_objects),
    ]
}

/// A ConfigMap with one entry and annotations, as flow YAML without braces.
pub fn map(name: &str, greeting: &str, annotations: &str) -> String {
    format!(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}, annotations: {{{annotations}}}}}\ndata: {{greeting: {greeting}}}\n---\n"
    )
}

async fn made_once(world: World) {
    world.apply_yaml("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: theirs}\ndata: {greeting: person}\n").await;
    let once = "kustomize.toolkit.fluxcd.io/ssa: IfNotPresent";
    let (ours, theirs) = (map("ours", "one", once), map("theirs", "one", once));
    let repo = fleet(&world, &[("ours.yaml", &ours), ("theirs.yaml", &theirs)]).await;
    git_sync(&world, "path: ./").await;
    let _tagboat = world.tagboat().await;
    synced(&world, "apps", &repo.head()).await;
    assert_eq!(live::<ConfigMap>(&world, "theirs").await["data"]["greeting"], "person");

    let mark = world.cluster.audit().mark();
    edit::<ConfigMap>(&world, "ours", "kubectl-edit", json!({"data": {"greeting": "edited"}})).await;
    let commit = repo.commit(&[("ours.yaml", &map("ours", "two", once)), ("b.yaml", &config_map("b", "x"))], "two");
    synced(&world, "apps", &commit).await;
    assert_eq!(acts(&world, mark), ["patch configmaps/b"]);
    assert_eq!(live::<ConfigMap>(&world, "ours").await["data"]["greeting"], "edited");

    let commit = repo.remove(&["ours.yaml", "theirs.yaml"], "both go");
    exists::<ConfigMap>(&world, "ours", false).await;
    synced(&world, "apps", &commit).await;
    exists::<ConfigMap>(&world, "theirs", true).await;
}

async fn left_alone_and_kept(world: World) {
    let files = [
        ("never.yaml", map("never", "one", "tagboat.dev/ssa: Ignore")),
        ("flux.yaml", map("flux", "one", "kustomize.toolkit.fluxcd.io/prune: Disabled")),
        ("argo.yaml", map("argo", "one", "argocd.argoproj.io/sync-options: 'Prune=false,ServerSideApply=true'")),
        ("helm.yaml", map("helm", "one", "helm.sh/resource-policy: keep")),
        ("later.yaml", config_map("later", "one")),
        ("goes.yaml", config_map("goes", "one")),
        ("stays.yaml", config_map("stays", "one")),
    ];
    let files: Vec<(&str, &str)> = files.iter().map(|(path, text)| (*path, text.as_str())).collect();
    let repo = fleet(&world, &files).await;
    git_sync(&world, "path: ./").await;
    let _tagboat = world.tagboat().await;
    synced(&world, "apps", &repo.head()).await;
    assert_eq!(live::<ConfigMap>(&world, "never").await, Value::Null);

    // A person asks in the cluster, and then Git does.
    let pause =
        json!({"metadata": {"annotations": {"tagboat.dev/reconcile": "disabled"}}, "data": {"greeting": "mine"}});
    edit::<ConfigMap>(&world, "stays", "kubectl-edit", pause).await;
    let commit = repo.commit(&[("later.yaml", &map("later", "two", "tagboat.dev/ssa: Ignore"))], "leave it alone");
    synced(&world, "apps", &commit).await;
    assert_eq!(live::<ConfigMap>(&world, "later").await["data"]["greeting"], "one");
    assert_eq!(live::<ConfigMap>(&world, "stays").await["data"]["greeting"], "mine");
    edit::<ConfigMap>(&world, "stays", "kubectl-edit", json!({"metadata": {"annotations": null}})).await;
    holds::<ConfigMap>(&world, "stays", "/data/greeting", json!("one")).await;

    let commit =
        repo.remove(&["never.yaml", "flux.yaml", "argo.yaml", "helm.yaml", "later.yaml", "goes.yaml"], "all go");
    exists::<ConfigMap>(&world, "goes", false).await;
    synced(&world, "apps", &commit).await;
    for kept in ["flux", "argo", "helm", "later"] {
        exists::<ConfigMap>(&world, kept, true).await;
    }
    // Argo CD's Prune=false says nothing of the deletion of the whole.
    world.api::<GitSync>().delete("apps", &DeleteParams::default()).await.unwrap();
    exists::<GitSync>(&world, "apps", false).await;
    exists::<ConfigMap>(&world, "argo", false).await;
    for kept in ["flux", "helm", "later"] {
        exists::<ConfigMap>(&world, kept, true).await;
    }
}

async fn an_unknown_word(world: World) {
    let repo = fleet(
        &world,
        &[("a.yaml", &config_map("a", "one")), ("b.yaml", &map("b", "one", "tagboat.dev/ssa: Sometimes"))],
    )
    .await;
    git_sync(&world, "path: ./").await;
    let _tagboat = world.tagboat().await;
    let place = format!("ConfigMap/{}/b", world.namespace);
    fails(&world, "apps", Reason::ApplyFailed, &[&place, "tagboat.dev/ssa", "Sometimes", "IfNotPresent"]).await;
    exists::<ConfigMap>(&world, "a", true).await;
    exists::<ConfigMap>(&world, "b", false).await;
    let commit = repo.commit(&[("b.yaml", &map("b", "one", "tagboat.dev/ssa: Merge"))], "a word that is known");
    synced(&world, "apps", &commit).await;
}

async fn an_empty_or_partial_render(world: World) {
    let files =
        [("apps/a.yaml", &*config_map("a", "one")), ("apps/b.yaml", &config_map("b", "one")), ("README.md", "hello\n")];
    let repo = fleet(&world, &files).await;
    git_sync(&world, "path: apps").await;
    let _tagboat = world.tagboat().await;
    synced(&world, "apps", &repo.head()).await;
    let mark = world.cluster.audit().mark();

    repo.commit(&[("apps/a.yaml", "kind: [\n"), ("apps/b.yaml", "# gone\n")], "one can't be read, one left");
    fails(&world, "apps", Reason::RenderFailed, &["apps/a.yaml"]).await;
    let commit = repo.remove(&["apps/a.yaml"], "no object is left");
    fails(&world, "apps", Reason::ApplyFailed, &["the path holds no objects, so the 2 owned ones are kept"]).await;
    let tried = world.api::<GitSync>().get("apps").await.unwrap().status.unwrap().last_attempted_revision.unwrap();
    assert!(tried.to_string().ends_with(&commit));
    repo.remove(&["apps/b.yaml"], "no folder is left");
    fails(&world, "apps", Reason::RenderFailed, &["apps"]).await;
    // What can't be applied keeps what would go.
    repo.commit(&[("apps/web.yaml", &service("web", 70_000))], "nothing but a bad port");
    fails(&world, "apps", Reason::ApplyFailed, &["Service", "70000"]).await;
    let deletions = acts(&world, mark).into_iter().filter(|act| act.starts_with("delete")).collect::<Vec<_>>();
    assert_eq!(deletions, Vec::<String>::new());
    for name in ["a", "b"] {
        exists::<ConfigMap>(&world, name, true).await;
    }
    let commit = repo.commit(&[("apps/web.yaml", &service("web", 80))], "mended");
    synced(&world, "apps", &commit).await;
    for name in ["a", "b"] {
        exists::<ConfigMap>(&world, name, false).await;
    }
}

async fn waves_wait_for_health(world: World) {
    let first = |tag: &str| {
        let text = deployment("db", "", "");
        let text = text.replace("example.com/db:1.0.0", &format!("example.com/db:{tag}"));
        text.replace("name: db}\nspec", "name: db, annotations: {tagboat.dev/wave: '-1'}}\nspec")
    };
    let second = map("settings", "one", "argocd.argoproj.io/sync-wave: '1'");
    let repo = fleet(
        &world,
        &[("db.yaml", &first("1-broken")), ("settings.yaml", &second), ("z.yaml", &config_map("z", "one"))],
    )
    .await;
    git_sync(&world, "path: ./").await;
    let _tagboat = world.tagboat().await;
    let waits =
        fails(&world, "apps", Reason::HealthCheckFailed, &["settings waits for Deployment", "CrashLoopBackOff"]).await;
    println!("{}", message(&waits));
    assert_eq!(waits.status.unwrap().last_applied_revision, None);
    assert_eq!(live::<ConfigMap>(&world, "settings").await, Value::Null);
    assert_eq!(live::<ConfigMap>(&world, "z").await, Value::Null);

    // The newest commit does not wait for the one that is stuck.
    let mark = world.cluster.audit().mark();
    let commit = repo.commit(&[("db.yaml", &first("2"))], "mended");
    synced(&world, "apps", &commit).await;
    assert_eq!(acts(&world, mark), ["patch deployments/db", "patch configmaps/z", "patch configmaps/settings"]);

    // Nor does what follows come when an object of a lower wave is refused.
    let bad =
        service("early", 70_000).replace("name: early}\n", "name: early, annotations: {tagboat.dev/wave: '-1'}}\n");
    repo.commit(&[("bad.yaml", &bad), ("settings.yaml", &second.replace("greeting: one", "greeting: new"))], "refused");
    let early = format!("Service/{}/early", world.namespace);
    fails(&world, "apps", Reason::ApplyFailed, &[&early, "70000"]).await;
    assert_eq!(live::<ConfigMap>(&world, "settings").await["data"]["greeting"], "one");
    repo.remove(&["bad.yaml"], "without it");
    holds::<ConfigMap>(&world, "settings", "/data/greeting", json!("new")).await;
    let commit = repo.commit(&[("settings.yaml", &second)], "as before");
    synced(&world, "apps", &commit).await;

    // A correction waits for nothing.
    repo.commit(&[("db.yaml", &first("3-broken"))], "broken again");
    holds::<Deployment>(&world, "db", "/spec/template/spec/containers/0/image", json!("example.com/db:3-broken")).await;
    edit::<ConfigMap>(&world, "settings", "kubectl-edit", json!({"data": {"greeting": "two"}})).await;
    holds::<ConfigMap>(&world, "settings", "/data/greeting", json!("one")).await;
}

async fn a_definition_and_its_objects(world: World) {
    let group = format!("{}.example.com", world.namespace);
    let definition = format!(
        "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata: {{name: widgets.{group}}}\n\
         spec: {{group: {group}, scope: Namespaced, names: {{plural: widgets, singular: widget, kind: Widget}}, \
         versions: [{{name: v1, served: true, storage: true, schema: {{openAPIV3Schema: {{type: object, x-kubernetes-preserve-unknown-fields: true}}}}}}]}}\n"
    );
    let widget = format!("apiVersion: {group}/v1\nkind: Widget\nmetadata: {{name: w}}\nspec: {{size: 1}}\n");
    let repo = fleet(
        &world,
        &[("a-widget.yaml", &widget), ("definition.yaml", &definition), ("map.yaml", &config_map("a", "one"))],
    )
    .await;
    git_sync(&world, "path: ./").await;
    let _tagboat = world.tagboat().await;
    let sync = synced(&world, "apps", &repo.head()).await;
    assert_eq!(sync.status.unwrap().health.unwrap().summary, "3/3");
    let commit = repo.remove(&["a-widget.yaml", "definition.yaml"], "no widgets");
    let sync = synced(&world, "apps", &commit).await;
    assert_eq!(sync.name_any(), "apps");
}
