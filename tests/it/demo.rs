//! `it demo`: the whole path once, told as it is seen. No line claims what was not observed; what does not happen in time ends the
//! story with exit code 1. `KEEP=1` leaves everything up at the end; `CLUSTER=current` uses the cluster of your kubeconfig.

use std::path::PathBuf;
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use k8s_openapi::api::events::v1::Event;
use kube::api::{ApiResource, DeleteParams, DynamicObject, ListParams};
use kube::core::GroupVersionKind;
use kube::{Api, Client};
use serde_json::{Value, json};

use crate::support::cluster::client_of;
use crate::support::git::{GitServer, Repo};
use crate::support::registry::Registry;
use crate::support::tagboat::{BINARY, Launch, Tagboat};
use crate::support::wait::{eventually, wait_for};
use crate::support::world::{apply_yaml, make_namespace};
use crate::support::{bounded, checkout, cluster, git, guard, registry, runtime, tail};

/// How long each thing may take to happen.
const SOON: Duration = Duration::from_secs(60);
const WHOLE: Duration = Duration::from_secs(900);
const APP: &str = "acme/web";

/// Tells it; whatever happens, nothing of it stays unless `KEEP=1`.
pub fn main() -> ExitCode {
    let is_set = |name| std::env::var(name).is_ok_and(|value| !value.is_empty() && value != "0");
    let is_current = std::env::var("CLUSTER").is_ok_and(|value| value == "current");
    let start = Instant::now();
    let scene = match bounded(WHOLE, Scene::set(start, is_current)) {
        Ok(scene) => scene,
        Err(reason) => return failed(&reason),
    };
    let told = bounded(WHOLE, tell(&scene));
    let code = match &told {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            println!("\n--- the end of tagboat's log\n{}", tail(scene.tagboat.log_file(), 20));
            failed(reason)
        }
    };
    if is_set("KEEP") {
        scene.stay();
    }
    if is_current && let Err(reason) = bounded(WHOLE, scene.leave()) {
        println!("left in your cluster: namespace {} ({reason})", scene.namespace);
    }
    code
}

fn failed(reason: &str) -> ExitCode {
    println!("\nThis did not happen: {reason}");
    ExitCode::FAILURE
}

/// What the story plays in.
struct Scene {
    start: Instant,
    namespace: String,
    client: Client,
    kubeconfig: PathBuf,
    /// Whether pods run. On a cluster of somebody else's, nodes cannot pull from a registry on this machine.
    has_pods: bool,
    /// Whether the kinds were not there before.
    has_installed: bool,
    registry: &'static Registry,
    git: &'static GitServer,
    repo: Repo,
    tagboat: Tagboat,
}

async fn tell(scene: &Scene) {
    first_release(scene).await;
    release(scene, "1.1.0").await;
    hand_edit(scene).await;
    removed_manifest(scene).await;
    broken_release(scene).await;
    if scene.has_pods {
        release(scene, "1.2.1").await;
    }
    scene.say("done: all of it was seen to happen");
}

impl Scene {
    async fn set(start: Instant, is_current: bool) -> Self {
        let (kubeconfig, client, namespace) = if is_current { current_cluster().await } else { own_cluster().await };
        let (registry, git) = futures::join!(registry(), git());
        let version = client.apiserver_version().await.unwrap().git_version;
        say(start, &format!("Kubernetes {version}, a registry and a Git server are up"));
        if is_current {
            println!(
                "          nodes elsewhere cannot pull from a registry on this machine, so this does not wait for pods to run;"
            );
            println!(
                "          if you interrupt it, GitSync web and namespace {namespace} stay: delete them, the GitSync first"
            );
        }
        let has_installed = install_kinds(&kubeconfig, &client).await;
        make_namespace(&client, &namespace).await;

        registry.push(APP, "1.0.0").await;
        let image = format!("{}/{APP}", registry.host);
        let repo = git.repo(
            "fleet",
            &[("apps/web/web.yaml", &manifest(&namespace, &image)), ("apps/web/greeting.yaml", GREETING)],
        );
        say(start, &format!("{image}:1.0.0 is pushed; {} has its manifest:\n", repo.url));
        show(&repo.file_at_head("apps/web/web.yaml").unwrap());

        let secret = json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "fleet-git"},
            "stringData": {"username": git.username, "password": git.password},
        });
        apply_yaml(&client, &namespace, &secret.to_string()).await;
        let objects = objects(&repo.url, &image, &namespace);
        say(start, "these four objects tell tagboat what to do:\n");
        show(&objects);
        apply_yaml(&client, &namespace, &objects).await;

        let launch = Launch {
            binary: BINARY.into(),
            largest_file: None,
            kubeconfig: kubeconfig.clone(),
            namespace: Some(namespace.clone()),
            data_dir: guard::folder().join("demo-data"),
            args: Vec::new(),
            env: Vec::new(),
            name: "demo".to_owned(),
        };
        let tagboat = launch.start().await;
        say(start, "tagboat runs and is ready");
        Self {
            start,
            namespace,
            client,
            kubeconfig,
            has_pods: !is_current,
            has_installed,
            registry,
            git,
            repo,
            tagboat,
        }
    }

    fn say(&self, text: &str) {
        say(self.start, text);
    }

    fn api<K>(&self) -> Api<K>
    where
        K: kube::Resource<Scope = k8s_openapi::NamespaceResourceScope>,
        K::DynamicType: Default,
    {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// One of tagboat's kinds.
    fn own(&self, kind: &str, plural: &str) -> Api<DynamicObject> {
        let resource =
            ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk("tagboat.dev", "v1alpha1", kind), plural);
        Api::namespaced_with(self.client.clone(), &self.namespace, &resource)
    }

    fn kubectl(&self) -> Command {
        let mut command = kubectl(&self.kubeconfig);
        command.args(["--namespace", &self.namespace]);
        command
    }

    /// Waits until the Deployment asks for this tag; where pods run, until all of them run it.
    async fn runs(&self, tag: &str) -> i32 {
        let wanted = format!("{}/{APP}:{tag}", self.registry.host);
        let accept = |deployment: Option<&Deployment>| {
            let deployment = deployment?;
            let (spec, status) = (&deployment.spec, deployment.status.as_ref()?);
            let image = spec.template.spec.as_ref()?.containers.first()?.image.as_deref()?;
            let is_seen = status.observed_generation >= deployment.metadata.generation;
            let is_out = [status.updated_replicas, status.available_replicas, status.replicas]
                .iter()
                .all(|n| *n == spec.replicas);
            (image == wanted && (!self.has_pods || (is_seen && is_out))).then(|| status.available_replicas.unwrap_or(0))
        };
        wait_for(&self.api(), "web", &format!("Deployment web with {tag}, rolled out"), SOON, accept).await
    }

    /// Waits until the GitSync is ready at the branch's head.
    async fn synced(&self) {
        let head = self.repo.head();
        let accept = |sync: Option<&DynamicObject>| {
            let status = &sync?.data["status"];
            let is_there = status["lastAppliedRevision"].as_str()?.ends_with(&head);
            (is_there && condition(status, "Ready")?["status"] == "True").then_some(())
        };
        wait_for(&self.own("GitSync", "gitsyncs"), "web", "GitSync web ready at the branch's head", SOON, accept).await;
    }

    /// Waits until the policy chose the tag, and a commit says so.
    async fn chosen_and_committed(&self, tag: &str, before: &str) {
        let accept = |policy: Option<&DynamicObject>| (policy?.data["status"]["latestRef"]["tag"] == tag).then_some(());
        wait_for(
            &self.own("ImagePolicy", "imagepolicies"),
            "web",
            &format!("ImagePolicy web chooses {tag}"),
            SOON,
            accept,
        )
        .await;
        self.say(&format!("ImagePolicy web chose {tag}"));
        let commit = eventually("a commit on the branch", SOON, || async {
            Some(self.repo.head()).filter(|head| head != before).ok_or("the branch has not moved")
        })
        .await;
        let file = self.repo.file_at_head("apps/web/web.yaml").unwrap();
        assert!(
            file.contains(&format!("{APP}:{tag} #")),
            "the commit puts {tag} into the manifest, which is now:\n{file}"
        );
        self.say("tagboat committed it; git log -p says:\n");
        show(&self.repo.show(&commit));
    }

    /// `KEEP=1`: says what there is, and waits for Ctrl-C.
    fn stay(&self) {
        println!("\nEverything stays up until Ctrl-C. Try:\n");
        println!("export KUBECONFIG={}", self.kubeconfig.display());
        println!("kubectl -n {} get tagboat", self.namespace);
        println!(
            "kubectl -n {} set image deployment/web web=example.com/other:1   # and watch it come back",
            self.namespace
        );
        let login = format!("http://{}:{}@", self.git.username, self.git.password);
        println!("git clone {}", self.repo.url.replace("http://", &login));
        println!("curl -s {}/metrics", self.tagboat.url);
        println!("tail -f {}", self.tagboat.log_file().display());
        runtime().block_on(std::future::pending())
    }

    /// Takes everything out of somebody else's cluster again.
    async fn leave(&self) {
        let syncs = self.own("GitSync", "gitsyncs");
        syncs.delete("web", &DeleteParams::default()).await.unwrap();
        let namespaces: Api<Namespace> = Api::all(self.client.clone());
        eventually("the GitSync is gone", SOON, || async {
            match syncs.get_opt("web").await {
                Ok(None) => Ok(()),
                Ok(Some(sync)) => Err(sync.data["status"].to_string()),
                Err(error) => Err(error.to_string()),
            }
        })
        .await;
        namespaces.delete(&self.namespace, &DeleteParams::default()).await.unwrap();
        self.say(&format!(
            "GitSync web is gone with all that it applied; namespace {} is being deleted",
            self.namespace
        ));
        if self.has_installed {
            let output =
                kubectl(&self.kubeconfig).args(["delete", "--filename"]).arg(checkout("crds")).output().unwrap();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            self.say("deleted tagboat's kinds");
        }
    }
}

async fn first_release(scene: &Scene) {
    let available = scene.runs("1.0.0").await;
    scene.say(&format!("Deployment web is in the cluster with 1.0.0, from Git{}", pods(scene, available)));
    if scene.has_pods {
        scene.synced().await;
        scene.say("GitSync web is ready at the branch's head");
    }
}

async fn release(scene: &Scene, tag: &str) {
    println!();
    let before = scene.repo.head();
    let pushed = Instant::now();
    scene.registry.push(APP, tag).await;
    scene.say(&format!("someone pushed {APP}:{tag} to the registry"));
    scene.chosen_and_committed(tag, &before).await;
    let available = scene.runs(tag).await;
    let seconds = pushed.elapsed().as_secs_f32();
    scene.say(&format!("Deployment web has {tag}, {seconds:.1} s after the push{}", pods(scene, available)));
    if scene.has_pods {
        scene.synced().await;
        scene.say("GitSync web is ready at that commit");
    }
}

async fn hand_edit(scene: &Scene) {
    println!();
    let edited = format!("web={}/{APP}:1.0.0", scene.registry.host);
    let output = scene.kubectl().args(["set", "image", "deployment/web", &edited]).output().unwrap();
    assert!(output.status.success(), "kubectl set image: {}", String::from_utf8_lossy(&output.stderr));
    let at = Instant::now();
    scene.say(&format!("someone ran: kubectl set image deployment/web {edited}"));
    let events: Api<Event> = scene.api();
    let note = eventually("an event DriftCorrected", SOON, || async {
        let events = events.list(&ListParams::default()).await.map_err(|e| e.to_string())?;
        let reasons: Vec<_> = events.iter().filter_map(|event| event.reason.as_deref()).collect();
        let event = events.iter().find(|event| event.reason.as_deref() == Some("DriftCorrected"));
        event.and_then(|event| event.note.clone()).ok_or_else(|| format!("events: {reasons:?}"))
    })
    .await;
    let available = scene.runs("1.1.0").await;
    let seconds = at.elapsed().as_secs_f32();
    scene.say(&format!(
        "Deployment web has 1.1.0 again after {seconds:.1} s{}; the event says:",
        pods(scene, available)
    ));
    println!("          {note}");
}

async fn removed_manifest(scene: &Scene) {
    println!();
    let maps: Api<ConfigMap> = scene.api();
    wait_for(&maps, "greeting", "ConfigMap greeting in the cluster", SOON, |map| map.map(drop)).await;
    scene.say("ConfigMap greeting is in the cluster");
    scene.repo.remove(&["apps/web/greeting.yaml"], "no greeting any more");
    scene.say("someone removed its file from Git");
    wait_for(&maps, "greeting", "ConfigMap greeting pruned", SOON, |map| map.is_none().then_some(())).await;
    scene.say("ConfigMap greeting is gone from the cluster");
}

async fn broken_release(scene: &Scene) {
    println!();
    let before = scene.repo.head();
    scene.registry.push(APP, "1.2.0-broken").await;
    scene.say(&format!("someone pushed {APP}:1.2.0-broken, which will not start"));
    scene.chosen_and_committed("1.2.0-broken", &before).await;
    let accept = |sync: Option<&DynamicObject>| {
        let status = &sync?.data["status"];
        let ready = condition(status, "Ready")?;
        let is_there = status["lastAttemptedRevision"].as_str()?.ends_with(&scene.repo.head());
        (is_there && ready["status"] == "False").then(|| (ready["reason"].clone(), ready["message"].clone()))
    };
    let syncs = scene.own("GitSync", "gitsyncs");
    let (reason, message) = wait_for(&syncs, "web", "GitSync web reports the broken image", SOON, accept).await;
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    scene.say(&format!("GitSync web is not ready: {}: {}", text(&reason), text(&message)));
    if scene.has_pods {
        let deployment = scene.api::<Deployment>().get("web").await.unwrap();
        let available = deployment.status.and_then(|status| status.available_replicas).unwrap_or(0);
        scene.say(&format!("{available} pods of the release before still serve"));
    }
}

fn pods(scene: &Scene, available: i32) -> String {
    if scene.has_pods { format!(", {available} pods available") } else { String::new() }
}

async fn own_cluster() -> (PathBuf, Client, String) {
    let cluster = cluster().await;
    (cluster.kubeconfig("admin"), cluster.client(), "web".to_owned())
}

/// The current context of the person's kubeconfig, by itself in a file of this run.
async fn current_cluster() -> (PathBuf, Client, String) {
    let view = Command::new("kubectl").args(["config", "view", "--raw", "--minify", "--flatten"]).output().unwrap();
    assert!(view.status.success(), "kubectl config view: {}", String::from_utf8_lossy(&view.stderr));
    let kubeconfig = guard::folder().join("current.kubeconfig");
    std::fs::write(&kubeconfig, view.stdout).unwrap();
    let client = client_of(&kubeconfig).await.unwrap();
    (kubeconfig, client, format!("tagboat-demo-{}", std::process::id()))
}

/// Whether they were not there before.
async fn install_kinds(kubeconfig: &std::path::Path, client: &Client) -> bool {
    use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
    let kinds: Api<CustomResourceDefinition> = Api::all(client.clone());
    if kinds.get_opt("gitsyncs.tagboat.dev").await.unwrap().is_some() {
        return false;
    }
    let output =
        kubectl(kubeconfig).args(["apply", "--server-side", "--filename"]).arg(checkout("crds")).output().unwrap();
    assert!(output.status.success(), "kubectl apply -f crds: {}", String::from_utf8_lossy(&output.stderr));
    true
}

fn kubectl(kubeconfig: &std::path::Path) -> Command {
    let program = crate::support::parts::program("kubectl").unwrap_or_else(|_| "kubectl".into());
    let mut command = Command::new(program);
    command.arg("--kubeconfig").arg(kubeconfig);
    command
}

fn condition<'a>(status: &'a Value, kind: &str) -> Option<&'a Value> {
    status["conditions"].as_array()?.iter().find(|condition| condition["type"] == kind)
}

fn say(start: Instant, text: &str) {
    println!("{:7.1} s {text}", start.elapsed().as_secs_f32());
}

fn show(text: &str) {
    text.trim_end().lines().for_each(|line| println!("            {line}"));
    println!();
}

const GREETING: &str = "apiVersion: v1
kind: ConfigMap
metadata:
  name: greeting
data:
  text: hello
";

fn manifest(namespace: &str, image: &str) -> String {
    format!(
        r#"apiVersion: apps/v1
kind: Deployment
metadata:
  name: web
spec:
  replicas: 2
  selector:
    matchLabels: {{app: web}}
  template:
    metadata:
      labels: {{app: web}}
    spec:
      containers:
      - name: web
        image: {image}:1.0.0 # {{"$imagepolicy": "{namespace}:web"}}
"#
    )
}

fn objects(url: &str, image: &str, namespace: &str) -> String {
    format!(
        "apiVersion: tagboat.dev/v1alpha1
kind: ConfigRepo
metadata: {{name: fleet}}
spec:
  url: {url}
  interval: 2s
  secretRef: {{name: fleet-git}}
---
apiVersion: tagboat.dev/v1alpha1
kind: ImagePolicy
metadata: {{name: web}}
spec:
  image: {image}
  insecure: true        # plain HTTP, on this machine
  interval: 2s
  policy:
    semver: {{range: '>=1.0.0-0'}}
---
apiVersion: tagboat.dev/v1alpha1
kind: ImageUpdate
metadata: {{name: fleet}}
spec:
  configRepoRef: {{name: fleet}}
  path: ./apps
  batchWindow: 200ms
---
apiVersion: tagboat.dev/v1alpha1
kind: GitSync
metadata: {{name: web}}
spec:
  configRepoRef: {{name: fleet}}
  path: ./apps/web
  targetNamespace: {namespace}
  timeout: 20s          # when a rollout counts as failed
"
    )
}
