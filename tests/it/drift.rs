//! What others change in the cluster: undone when Git says otherwise, reported when it shall stay, left alone when Git says nothing.

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::ResourceExt;
use kube::api::DeleteParams;
use libtest_mimic::Trial;
use serde_json::json;
use tagboat::api::GitSync;
use tagboat::api::condition::Reason;

use crate::objects::*;
use crate::setup::*;
use crate::support::trial;
use crate::support::wait::wait_for;
use crate::support::world::World;

pub fn trials() -> Vec<Trial> {
    vec![
        trial("drift: changes by others are undone", changes_by_others_are_undone),
        trial("drift: what Git does not say is left alone", what_git_does_not_say_is_left_alone),
        trial("drift: selfHeal false reports and leaves", self_heal_false_reports_and_leaves),
        trial("drift: selfHeal false and a deleted object", self_heal_false_and_a_deleted_object),
        trial("drift: a Secret's values are not told", a_secrets_values_are_not_told),
        trial("drift: an object that is slow to go is made anew", an_object_that_is_slow_to_go),
        trial("drift: another API version is no drift", another_api_version_is_no_drift),
    ]
}

async fn changes_by_others_are_undone(world: World) {
    let map =
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings, labels: {tier: web}}\ndata: {greeting: hello}\n";
    let repo = fleet(&world, &[("map.yaml", map), ("app.yaml", &deployment("app", "replicas: 1,", ""))]).await;
    git_sync(&world, "path: ./").await;
    let _tagboat = world.tagboat().await;
    synced(&world, "apps", &repo.head()).await;

    let edits = [
        ("data.greeting", json!({"data": {"greeting": "bye"}}), "/data/greeting", json!("hello")),
        (
            "metadata.labels.tier",
            json!({"metadata": {"labels": {"tier": "db"}}}),
            "/metadata/labels/tier",
            json!("web"),
        ),
        (
            "tagboat.dev/gitsync",
            json!({"metadata": {"labels": {"tagboat.dev/gitsync": null}}}),
            "/metadata/labels/tagboat.dev~1gitsync",
            json!("apps"),
        ),
    ];
    for (field, patch, pointer, value) in edits {
        edit::<ConfigMap>(&world, "settings", "kubectl-edit", patch.clone()).await;
        holds::<ConfigMap>(&world, "settings", pointer, value).await;
        let is_removal = field.starts_with("tagboat");
        let words = if is_removal { vec!["settings", field] } else { vec!["settings", field, "kubectl-edit"] };
        println!("{}", event(&world, "apps", Reason::DriftCorrected, &words).await);
    }
    edit::<Deployment>(&world, "app", "kubectl-edit", json!({"spec": {"replicas": 3}})).await;
    holds::<Deployment>(&world, "app", "/spec/replicas", json!(1)).await;
    event(&world, "apps", Reason::DriftCorrected, &["Deployment", "app", "spec.replicas", "3", "kubectl-edit"]).await;

    let before = world.api::<ConfigMap>().get("settings").await.unwrap().uid();
    world.api::<ConfigMap>().delete("settings", &DeleteParams::default()).await.unwrap();
    wait_for(&world.api::<ConfigMap>(), "settings", "made anew", SOON, |map| (map?.uid() != before).then_some(()))
        .await;
    holds::<ConfigMap>(&world, "settings", "/data/greeting", json!("hello")).await;
    event(&world, "apps", Reason::DriftCorrected, &["ConfigMap", "settings", "deleted"]).await;
    synced(&world, "apps", &repo.head()).await;
}

async fn what_git_does_not_say_is_left_alone(world: World) {
    let files = [
        ("a.yaml", config_map("a", "one")),
        ("b.yaml", config_map("b", "one")),
        ("app.yaml", deployment("app", "", "")),
        ("api.yaml", deployment("api", "replicas: 1,", "")),
    ];
    let files: Vec<(&str, &str)> = files.iter().map(|(path, text)| (*path, text.as_str())).collect();
    let repo = fleet(&world, &files).await;
    git_sync(&world, "path: ./").await;
    let _tagboat = world.tagboat().await;
    synced(&world, "apps", &repo.head()).await;

    let mark = world.cluster.audit().mark();
    let foreign =
        json!({"metadata": {"annotations": {"who": "someone"}, "labels": {"colour": "red"}}, "data": {"extra": "1"}});
    edit::<ConfigMap>(&world, "a", "someone", foreign).await;
    edit::<Deployment>(&world, "app", "autoscaler", json!({"spec": {"replicas": 3}})).await;
    // What comes after it in the same watch was seen, so it was seen too.
    edit::<ConfigMap>(&world, "b", "kubectl-edit", json!({"data": {"greeting": "two"}})).await;
    holds::<ConfigMap>(&world, "b", "/data/greeting", json!("one")).await;
    edit::<Deployment>(&world, "api", "kubectl-edit", json!({"spec": {"replicas": 2}})).await;
    holds::<Deployment>(&world, "api", "/spec/replicas", json!(1)).await;
    assert_eq!(acts(&world, mark), ["patch configmaps/b", "patch deployments/api"]);

    // Also when the same objects change in Git.
    let app = deployment("app", "minReadySeconds: 1,", "");
    let commit = repo.commit(&[("a.yaml", &config_map("a", "three")), ("app.yaml", &app)], "three");
    synced(&world, "apps", &commit).await;
    let a = live::<ConfigMap>(&world, "a").await;
    assert_eq!(a["data"], json!({"greeting": "three", "extra": "1"}));
    assert_eq!(a["metadata"]["annotations"]["who"], "someone");
    assert_eq!(a["metadata"]["labels"]["colour"], "red");
    assert_eq!(live::<Deployment>(&world, "app").await["spec"]["replicas"], 3);
}

async fn self_heal_false_reports_and_leaves(world: World) {
    let repo = fleet(&world, &[("a.yaml", &config_map("a", "one"))]).await;
    git_sync(&world, "path: ./, selfHeal: false").await;
    let _tagboat = world.tagboat().await;
    synced(&world, "apps", &repo.head()).await;

    edit::<ConfigMap>(&world, "a", "kubectl-edit", json!({"data": {"greeting": "two"}})).await;
    let sync: GitSync = ready(&world, "apps", "True", Reason::DriftDetected).await;
    assert!(message(&sync).contains(&format!("ConfigMap/{}/a", world.namespace)), "{}", message(&sync));
    event(&world, "apps", Reason::DriftDetected, &["ConfigMap", "a"]).await;
    let other = repo.commit(&[("b.yaml", &config_map("b", "one"))], "another object");
    synced(&world, "apps", &other).await;
    assert_eq!(live::<ConfigMap>(&world, "a").await["data"]["greeting"], "two");

    let commit = repo.commit(&[("a.yaml", &config_map("a", "three"))], "three");
    holds::<ConfigMap>(&world, "a", "/data/greeting", json!("three")).await;
    synced(&world, "apps", &commit).await;
    ready::<GitSync>(&world, "apps", "True", Reason::Succeeded).await;
}

async fn self_heal_false_and_a_deleted_object(world: World) {
    let repo = fleet(&world, &[("a.yaml", &config_map("a", "one"))]).await;
    git_sync(&world, "path: ./, selfHeal: false").await;
    let _tagboat = world.tagboat().await;
    synced(&world, "apps", &repo.head()).await;
    let mark = world.cluster.audit().mark();
    world.api::<ConfigMap>().delete("a", &DeleteParams::default()).await.unwrap();
    let sync: GitSync = ready(&world, "apps", "True", Reason::DriftDetected).await;
    assert!(message(&sync).contains("ConfigMap"), "{}", message(&sync));
    assert_eq!(acts(&world, mark), Vec::<String>::new());
    let commit = repo.commit(&[("a.yaml", &config_map("a", "two"))], "two");
    synced(&world, "apps", &commit).await;
    holds::<ConfigMap>(&world, "a", "/data/greeting", json!("two")).await;
}

async fn a_secrets_values_are_not_told(world: World) {
    let secret = |word: &str| {
        format!("apiVersion: v1\nkind: Secret\nmetadata: {{name: login}}\nstringData: {{word: {word}, other: x}}\n")
    };
    let repo = fleet(&world, &[("a.yaml", &secret("open-sesame"))]).await;
    git_sync(&world, "path: ./").await;
    let tagboat = world.tagboat().await;
    synced(&world, "apps", &repo.head()).await;
    let stolen = json!({"stringData": {"word": "hocus-pocus"}});
    edit::<Secret>(&world, "login", "kubectl-edit", stolen).await;
    holds::<Secret>(&world, "login", "/data/word", json!("b3Blbi1zZXNhbWU=")).await;
    let note =
        event(&world, "apps", Reason::DriftCorrected, &["Secret", "login", "data", "word", "kubectl-edit"]).await;
    println!("{note}");
    let commit = repo.commit(&[("a.yaml", &secret("[not, text]"))], "no text");
    let failed = wait_for(&world.api::<GitSync>(), "apps", "the odd Secret tried", SOON, |sync| {
        let tried = sync?.status.as_ref()?.last_attempted_revision.as_ref()?.to_string();
        tried.ends_with(&commit).then(|| sync.cloned())?
    })
    .await;
    println!("{}", message(&failed));
    let all =
        format!("{note}{}{}{:?}", tagboat.log(), message(&failed), events(&world, "apps", Reason::ApplyFailed).await);
    for word in ["open-sesame", "hocus-pocus", "b3Blbi1zZXNhbWU", "aG9jdXMtcG9jdXM"] {
        assert!(!all.contains(word), "{word} in\n{all}");
    }
}

async fn an_object_that_is_slow_to_go(world: World) {
    let repo = fleet(&world, &[("a.yaml", &config_map("a", "x"))]).await;
    git_sync(&world, "path: ./").await;
    let _tagboat = world.tagboat().await;
    synced(&world, "apps", &repo.head()).await;
    let before =
        edit::<ConfigMap>(&world, "a", "someone", json!({"metadata": {"finalizers": ["example.com/slow"]}})).await;
    world.api::<ConfigMap>().delete("a", &DeleteParams::default()).await.unwrap();
    let waiting: GitSync = ready(&world, "apps", "Unknown", Reason::Progressing).await;
    assert!(message(&waiting).contains("ConfigMap"), "{}", message(&waiting));
    edit::<ConfigMap>(&world, "a", "someone", json!({"metadata": {"finalizers": null}})).await;
    let uid = before.uid();
    wait_for(&world.api::<ConfigMap>(), "a", "made anew", SOON, |map| (map?.uid() != uid).then_some(())).await;
    ready::<GitSync>(&world, "apps", "True", Reason::Succeeded).await;
}

async fn another_api_version_is_no_drift(world: World) {
    let scaler = |version: u32| {
        let wish = match version {
            1 => "targetCPUUtilizationPercentage: 70",
            _ => {
                "metrics: [{type: Resource, resource: {name: cpu, target: {type: Utilization, averageUtilization: 70}}}]"
            }
        };
        format!(
            "apiVersion: autoscaling/v{version}\nkind: HorizontalPodAutoscaler\nmetadata: {{name: app}}\n\
             spec: {{scaleTargetRef: {{apiVersion: apps/v1, kind: Deployment, name: app}}, maxReplicas: 3, {wish}}}\n"
        )
    };
    let repo = fleet(&world, &[("scaler.yaml", &scaler(2))]).await;
    git_sync(&world, "path: ./, wait: false").await;
    let _tagboat = world.tagboat().await;
    synced(&world, "apps", &repo.head()).await;
    for version in [1, 2] {
        let mark = world.cluster.audit().mark();
        let commit = repo.commit(&[("scaler.yaml", &scaler(version))], "another version");
        synced(&world, "apps", &commit).await;
        let before = repo.requests().len();
        asked("the branch", before + 3, || repo.requests().len()).await;
        assert_eq!(acts(&world, mark), ["patch horizontalpodautoscalers/app"], "to v{version}");
        let own = synced(&world, "apps", &commit).await.status.unwrap().inventory.unwrap();
        assert_eq!((own.entries.len(), own.entries[0].v.clone()), (1, format!("v{version}")));
    }
}
