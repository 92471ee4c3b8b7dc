//! Helm charts in the repository: values, what is run again and what is not, what a broken template costs, and what helm may not reach.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::Api;
use libtest_mimic::Trial;
use serde_json::json;
use tagboat::api::condition::Reason;

use crate::objects::*;
use crate::setup::*;
use crate::support::git::Repo;
use crate::support::parts::program;
use crate::support::trial;
use crate::support::world::World;

pub fn trials() -> Vec<Trial> {
    vec![
        trial("charts: two values files, and a change of one", two_values_files),
        trial("charts: a template that goes, and one that breaks", a_template_that_goes_and_one_that_breaks),
        trial("charts: what the cluster is and serves", what_the_cluster_is_and_serves),
        trial("charts: additions to the objects of a chart", additions_to_a_chart),
        trial("charts: what is wrong is told", what_is_wrong_is_told),
        trial("charts: helm that is not there", helm_that_is_not_there),
    ]
}

const CHART: &str = "apiVersion: v2\nname: web\nversion: 0.1.0\ndependencies: [{name: cache, version: 0.1.0}]\n";
const APP: &str = "apiVersion: apps/v1
kind: Deployment
metadata: {name: {{ .Release.Name }}, namespace: {{ .Release.Namespace }}}
spec:
  replicas: {{ .Values.replicas }}
  selector: {matchLabels: {app: {{ .Release.Name }}}}
  template:
    metadata: {labels: {app: {{ .Release.Name }}}}
    spec: {containers: [{name: app, image: 'example.com/app:{{ .Values.image.tag }}'}]}
";
const MAP: &str = "{{- if .Values.settings }}
apiVersion: v1
kind: ConfigMap
metadata: {name: {{ .Release.Name }}-settings}
data: {{ toYaml .Values.settings | nindent 2 }}
{{- end }}
";
const CACHE: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: {{ .Release.Name }}-cache}\ndata: {size: {{ .Values.size | quote }}}\n";
const TEST: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: tested, annotations: {helm.sh/hook: test}}\n";
const GOING: &str =
    "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: going, annotations: {helm.sh/hook: pre-delete}}\n";

async fn chart(world: &World, more: &[(&str, &str)]) -> Repo {
    let files = [
        ("charts/web/Chart.yaml", CHART),
        ("charts/web/values.yaml", "replicas: 1\nimage: {tag: 1.0.0}\nsettings: {mode: none}\n"),
        ("charts/web/prod.yaml", "replicas: 2\nsettings: {mode: prod}\ncache: {size: 5}\n"),
        ("charts/web/templates/app.yaml", APP),
        ("charts/web/templates/settings.yaml", MAP),
        ("charts/web/templates/tests/test.yaml", TEST),
        ("charts/web/templates/going.yaml", GOING),
        ("charts/web/templates/NOTES.txt", "kind: Nothing\n"),
        ("charts/web/charts/cache/Chart.yaml", "apiVersion: v2\nname: cache\nversion: 0.1.0\n"),
        ("charts/web/charts/cache/values.yaml", "size: 1\n"),
        ("charts/web/charts/cache/templates/map.yaml", CACHE),
        ("values/eu.yaml", "image: {tag: 1.1.0}\nsettings: {region: eu}\n"),
    ];
    fleet(world, &[&files[..], more].concat()).await
}

const SPEC: &str = "path: charts/web, interval: 1h, wait: false, helm: {valuesFiles: [prod.yaml, ../../values/eu.yaml], values: {settings: {own: 'yes'}}}";

/// The real helm, with a line in a file for each run.
struct Counted {
    folder: tempfile::TempDir,
}

impl Counted {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let script = format!(
            "#!/bin/sh\necho run >>{}\nexec {} \"$@\"\n",
            folder.path().join("runs").display(),
            program("helm").unwrap().display()
        );
        std::fs::write(folder.path().join("helm"), script).unwrap();
        std::fs::set_permissions(folder.path().join("helm"), std::fs::Permissions::from_mode(0o755)).unwrap();
        Self { folder }
    }

    fn program(&self) -> PathBuf {
        self.folder.path().join("helm")
    }

    fn runs(&self) -> usize {
        std::fs::read_to_string(self.folder.path().join("runs")).unwrap_or_default().lines().count()
    }
}

async fn two_values_files(world: World) {
    let helm = Counted::new();
    let repo = chart(&world, &[]).await;
    git_sync(&world, SPEC).await;
    let mut launch = world.launch();
    launch.env.push(("TAGBOAT_HELM".to_owned(), helm.program().display().to_string()));
    let _tagboat = world.run(&launch).await;
    let status = synced(&world, "apps", &repo.head()).await.status.unwrap();
    let mut ids: Vec<String> = status.inventory.unwrap().entries.into_iter().map(|entry| entry.id).collect();
    ids.sort();
    let id = |rest: &str| format!("{}_{rest}", world.namespace);
    assert_eq!(ids, [id("apps-cache__ConfigMap"), id("apps-settings__ConfigMap"), id("apps_apps_Deployment")]);
    holds::<Deployment>(&world, "apps", "/spec/replicas", json!(2)).await;
    holds::<Deployment>(&world, "apps", "/spec/template/spec/containers/0/image", json!("example.com/app:1.1.0")).await;
    holds::<ConfigMap>(&world, "apps-settings", "/data", json!({"mode": "prod", "own": "yes", "region": "eu"})).await;
    holds::<ConfigMap>(&world, "apps-cache", "/data/size", json!("5")).await;
    assert_eq!(helm.runs(), 1);

    let mark = world.cluster.audit().mark();
    let unread = repo.commit(&[("values/us.yaml", "a: 1\n"), ("charts/other/Chart.yaml", "x\n")], "others");
    synced(&world, "apps", &unread).await;
    assert_eq!((helm.runs(), acts(&world, mark)), (1, Vec::new()), "what is not read is not run for");
    let commit = repo.commit(&[("values/eu.yaml", "image: {tag: 1.2.0}\nsettings: {region: eu}\n")], "1.2.0");
    synced(&world, "apps", &commit).await;
    assert_eq!(helm.runs(), 2, "one render");
    let acts = acts(&world, mark);
    assert!(acts.len() == 1 && acts[0].contains("deployments/apps"), "only what changed: {acts:#?}");
    holds::<Deployment>(&world, "apps", "/spec/template/spec/containers/0/image", json!("example.com/app:1.2.0")).await;
    exists::<ConfigMap>(&world, "tested", false).await;
    exists::<ConfigMap>(&world, "going", false).await;
}

async fn a_template_that_goes_and_one_that_breaks(world: World) {
    let repo = chart(&world, &[]).await;
    git_sync(&world, SPEC).await;
    let _tagboat = world.tagboat().await;
    synced(&world, "apps", &repo.head()).await;
    let good = "charts/web/templates/app.yaml";
    let cases: [(&str, &str, &[&str]); 4] = [
        (good, "a: {{ .Values.a.b.c }}\n", &["charts/web/templates/app.yaml:1", ".Values.a.b.c"]),
        (good, "a: {{ if }\n", &["charts/web/templates/app.yaml:1", "unexpected"]),
        (good, "kind: {{ required \"say what\" .Values.what }}\n", &["charts/web/templates/app.yaml:1", "say what"]),
        ("values/eu.yaml", "a: 1\nb: [\n", &["values/eu.yaml:2"]),
    ];
    for (path, text, words) in cases {
        let was = repo.file_at_head(path).unwrap();
        repo.commit(&[(path, text)], "broken");
        println!("{}", message(&fails(&world, "apps", Reason::RenderFailed, words).await));
        // The last good state is kept, and kept up.
        edit::<Deployment>(&world, "apps", "kubectl-edit", json!({"spec": {"replicas": 5}})).await;
        holds::<Deployment>(&world, "apps", "/spec/replicas", json!(2)).await;
        let mended = repo.commit(&[(path, &was)], "mended");
        synced(&world, "apps", &mended).await;
    }
    repo.remove(&["charts/web/templates/settings.yaml"], "no settings");
    exists::<ConfigMap>(&world, "apps-settings", false).await;
    synced(&world, "apps", &repo.head()).await;
    exists::<Deployment>(&world, "apps", true).await;
}

async fn what_the_cluster_is_and_serves(world: World) {
    let crd = "apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: boats.NS.example.com}
spec:
  group: NS.example.com
  scope: Namespaced
  names: {kind: Boat, plural: boats}
  versions: [{name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}}]
".replace("NS", &world.namespace);
    let asks = "apiVersion: v1
kind: ConfigMap
metadata: {name: asked}
data:
  version: '{{ .Capabilities.KubeVersion.Version }}'
  cron: '{{ .Capabilities.APIVersions.Has \"batch/v1/CronJob\" }}'
  sync: '{{ .Capabilities.APIVersions.Has \"tagboat.dev/v1alpha1/GitSync\" }}'
  own: '{{ .Capabilities.APIVersions.Has \"example.com/v7\" }}'
  found: '{{ len (lookup \"v1\" \"Namespace\" \"\" \"default\") }}'
  address: '{{ getHostByName \"localhost\" }}'
";
    let boat = "apiVersion: NS.example.com/v1\nkind: Boat\nmetadata: {name: tug}\n".replace("NS", &world.namespace);
    let files = [
        ("Chart.yaml", "apiVersion: v2\nname: web\nversion: 0.1.0\n"),
        ("crds/boats.yaml", &crd),
        ("templates/asked.yaml", asks),
        ("templates/boat.yaml", &boat),
    ];
    let repo = fleet(&world, &files).await;
    git_sync(&world, "path: ./, wait: false, helm: {apiVersions: [example.com/v7]}").await;
    let _tagboat = world.tagboat().await;
    synced(&world, "apps", &repo.head()).await;
    let version = world.client.apiserver_version().await.unwrap().git_version;
    for (key, value) in [("cron", "true"), ("sync", "true"), ("own", "true"), ("found", "0"), ("address", "")] {
        holds::<ConfigMap>(&world, "asked", &format!("/data/{key}"), json!(value)).await;
    }
    holds::<ConfigMap>(&world, "asked", "/data/version", json!(version)).await;
    let definitions: Api<CustomResourceDefinition> = Api::all(world.client.clone());
    let name = format!("boats.{}.example.com", world.namespace);
    assert!(definitions.get_opt(&name).await.unwrap().is_some());
    git_sync(&world, "path: ./, wait: false, helm: {kubeVersion: v1.29.1}").await;
    holds::<ConfigMap>(&world, "asked", "/data/version", json!("v1.29.1")).await;
    holds::<ConfigMap>(&world, "asked", "/data/own", json!("false")).await;
    definitions.delete(&name, &kube::api::DeleteParams::default()).await.unwrap();
}

async fn additions_to_a_chart(world: World) {
    let repo = chart(&world, &[]).await;
    let additions = "namePrefix: my-, images: [{name: example.com/app, newTag: 9.9.9}], commonMetadata: {labels: {team: web}}, \
        patches: [{patch: '{apiVersion: apps/v1, kind: Deployment, metadata: {name: front}, spec: {minReadySeconds: 7}}', target: {kind: Deployment}}], \
        postBuild: {substitute: {mode: careful}}";
    let spec = "wait: false, path: charts/web, helm: {releaseName: front, values: {settings: {mode: '${mode}'}}}";
    git_sync(&world, &format!("{spec}, {additions}")).await;
    let _tagboat = world.tagboat().await;
    synced(&world, "apps", &repo.head()).await;
    for (pointer, value) in [
        ("/spec/replicas", json!(1)),
        ("/spec/minReadySeconds", json!(7)),
        ("/metadata/labels/team", json!("web")),
        ("/spec/template/spec/containers/0/image", json!("example.com/app:9.9.9")),
    ] {
        holds::<Deployment>(&world, "my-front", pointer, value).await;
    }
    holds::<ConfigMap>(&world, "my-front-settings", "/data/mode", json!("careful")).await;
    // Without a word about helm, it is a chart as well.
    git_sync(&world, "wait: false, path: charts/web").await;
    exists::<Deployment>(&world, "my-front", false).await;
    holds::<ConfigMap>(&world, "apps-settings", "/data/mode", json!("none")).await;
}

async fn what_is_wrong_is_told(world: World) {
    let repo = chart(&world, &[("plain/map.yaml", &config_map("map", "x"))]).await;
    let _tagboat = world.tagboat().await;
    let cases: [(&str, &[&str]); 4] = [
        ("path: plain, helm: {}", &["plain", "no Chart.yaml"]),
        (
            "path: charts/web, helm: {valuesFiles: [none.yaml]}",
            &["spec.helm.valuesFiles[0]", "charts/web/none.yaml is not in"],
        ),
        (
            "path: charts/web, helm: {valuesFiles: [../../../etc/passwd]}",
            &["spec.helm.valuesFiles[0]", "leads out of the repository"],
        ),
        ("path: charts/web, helm: {valuesFiles: ['https://example.com/v.yaml']}", &["is on the network"]),
    ];
    for (spec, words) in cases {
        git_sync(&world, spec).await;
        println!("{}", message(&fails(&world, "apps", Reason::RenderFailed, words).await));
    }
    git_sync(&world, "path: charts/web, wait: false").await;
    synced(&world, "apps", &repo.head()).await;
    repo.remove(
        &[
            "charts/web/charts/cache/Chart.yaml",
            "charts/web/charts/cache/values.yaml",
            "charts/web/charts/cache/templates/map.yaml",
        ],
        "no cache",
    );
    let words = ["charts/web", "cache", "nothing is fetched", "helm dependency build"];
    println!("{}", message(&fails(&world, "apps", Reason::RenderFailed, &words).await));
    exists::<ConfigMap>(&world, "apps-cache", true).await;
}

async fn helm_that_is_not_there(world: World) {
    chart(&world, &[]).await;
    git_sync(&world, SPEC).await;
    let mut launch = world.launch();
    launch.env.push(("TAGBOAT_HELM".to_owned(), "no-such-helm".to_owned()));
    let _tagboat = world.run(&launch).await;
    let words = ["helm can't be run (no-such-helm)", "No such file", "--helm"];
    println!("{}", message(&fails(&world, "apps", Reason::RenderFailed, &words).await));
}
