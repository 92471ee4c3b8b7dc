//! What one test has to itself on the shared servers: a namespace, image names, repositories, controllers.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use k8s_openapi::api::core::v1::{Namespace, Secret, ServiceAccount};
use kube::api::{DynamicObject, Patch, PatchParams, PostParams};
use kube::core::GroupVersionKind;
use kube::discovery::{Scope, pinned_kind};
use kube::{Api, Client};
use serde::Deserialize;
use serde_json::{Value, json};

use super::cluster::Cluster;
use super::git::{GitServer, Repo};
use super::registry::{Registry, docker_config};
use super::tagboat::{BINARY, Launch, Tagboat};
use super::wait::eventually;
use super::{guard, next_number, tail};

/// See the module.
pub struct World {
    /// The test's namespace; also the beginning of its repositories' and images' names.
    pub namespace: String,
    /// The shared cluster.
    pub cluster: &'static Cluster,
    /// The shared registry.
    pub registry: &'static Registry,
    /// The shared Git server.
    pub git: &'static GitServer,
    /// A client with all rights, as `admin`.
    pub client: Client,
    logs: Logs,
}

impl World {
    /// Starts what the run has not started yet, and makes the namespace.
    pub async fn new(name: &str) -> Self {
        let (cluster, registry, git) = futures::join!(super::cluster(), super::registry(), super::git());
        let client = cluster.client();
        let words: String =
            name.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' }).collect();
        let words: String = words.trim_matches('-').chars().take(40).collect();
        let namespace = format!("t{}-{}", next_number(), words.trim_end_matches('-'));
        make_namespace(&client, &namespace).await;
        Self { namespace, cluster, registry, git, client, logs: Logs::default() }
    }

    /// The same names in another cluster.
    pub fn elsewhere(&self, client: Client) -> Self {
        let (cluster, registry, git) = (self.cluster, self.registry, self.git);
        Self { namespace: self.namespace.clone(), cluster, registry, git, client, logs: self.logs.clone() }
    }

    /// The kind's objects in the test's namespace.
    pub fn api<K>(&self) -> Api<K>
    where
        K: kube::Resource<Scope = k8s_openapi::NamespaceResourceScope>,
        K::DynamicType: Default,
    {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// A repository name in the registry: `NAMESPACE/app`.
    pub fn repository(&self, app: &str) -> String {
        format!("{}/{app}", self.namespace)
    }

    /// An image name without tag: `127.0.0.1:PORT/NAMESPACE/app`.
    pub fn image(&self, app: &str) -> String {
        format!("{}/{}", self.registry.host, self.repository(app))
    }

    /// Pushes images `app:tag`.
    pub async fn push(&self, app: &str, tags: &[&str]) {
        for tag in tags {
            self.registry.push(&self.repository(app), tag).await;
        }
    }

    /// A Git repository of this test, with a first commit of these files.
    pub fn repo(&self, name: &str, files: &[(&str, &str)]) -> Repo {
        self.git.repo(&format!("{}-{name}", self.namespace), files)
    }

    /// Server-side apply of one or more documents, as the field manager `person`; objects without namespace get the test's.
    pub async fn apply_yaml(&self, text: &str) -> Vec<DynamicObject> {
        apply_yaml(&self.client, &self.namespace, text).await
    }

    /// A Secret that logs in to the Git server.
    pub async fn git_secret(&self, name: &str) {
        self.secret(name, "Opaque", json!({"username": self.git.username, "password": self.git.password})).await;
    }

    /// A Secret that logs in to a registry.
    pub async fn registry_secret(&self, name: &str, host: &str, login: (&str, &str)) {
        let content = json!({".dockerconfigjson": docker_config(host, login)});
        self.secret(name, "kubernetes.io/dockerconfigjson", content).await;
    }

    /// A Secret of any content.
    pub async fn secret(&self, name: &str, kind: &str, content: Value) {
        let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "type": kind, "stringData": content});
        let secret: Secret = serde_json::from_value(secret).unwrap();
        let params = PatchParams::apply("person").force();
        self.api::<Secret>().patch(name, &params, &Patch::Apply(secret)).await.unwrap();
    }

    /// How to run the controller for this test's namespace, with the rights of `deploy/` and data of its own. GitSyncs act as the
    /// namespace's service account `default`.
    pub fn launch(&self) -> Launch {
        let data_dir = guard::folder().join(format!("{}-data-{}", self.namespace, next_number()));
        Launch {
            binary: BINARY.into(),
            kubeconfig: self.cluster.kubeconfig("tagboat"),
            namespace: Some(self.namespace.clone()),
            data_dir,
            args: Vec::new(),
            env: vec![("TAGBOAT_DEFAULT_SERVICE_ACCOUNT".to_owned(), "default".to_owned())],
            name: self.namespace.clone(),
            largest_file: None,
        }
    }

    /// Runs the controller for this test's namespace; its log is shown when the test fails.
    pub async fn tagboat(&self) -> Tagboat {
        self.run(&self.launch()).await
    }

    /// Runs a controller; its log is shown when the test fails.
    pub async fn run(&self, launch: &Launch) -> Tagboat {
        let tagboat = launch.start_unready();
        self.logs.0.lock().unwrap().push(tagboat.log_file().to_owned());
        tagboat.wait_ready().await;
        tagboat
    }

    pub(super) fn logs(&self) -> Logs {
        self.logs.clone()
    }
}

/// Logs to show when the test fails.
#[derive(Debug, Clone, Default)]
pub(super) struct Logs(Arc<Mutex<Vec<PathBuf>>>);

impl Logs {
    pub(super) fn tails(&self) -> String {
        let logs = self.0.lock().unwrap();
        logs.iter().map(|log| format!("\n--- {} (its end)\n{}", log.display(), tail(log, 40))).collect()
    }
}

/// Makes a namespace, and waits for the service account that pods in it want.
pub async fn make_namespace(client: &Client, name: &str) {
    let namespace: Namespace = serde_json::from_value(json!({"metadata": {"name": name}})).unwrap();
    Api::<Namespace>::all(client.clone()).create(&PostParams::default(), &namespace).await.unwrap();
    let accounts: Api<ServiceAccount> = Api::namespaced(client.clone(), name);
    eventually("the default service account", Duration::from_secs(30), || accounts.get("default")).await;
    apply_yaml(client, name, &rights(name)).await;
}

/// What a namespace's owner gives the controller, what it has of its own in the namespace of its Lease, and rights to everything for the
/// service account that it acts as.
fn rights(namespace: &str) -> String {
    format!(
        "apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {{name: tagboat}}
roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: tagboat-tenant}}
subjects: [{{kind: ServiceAccount, name: tagboat, namespace: tagboat-system}}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {{name: tagboat-lease}}
rules:
- {{apiGroups: [coordination.k8s.io], resources: [leases], verbs: [create]}}
- {{apiGroups: [coordination.k8s.io], resources: [leases], resourceNames: [tagboat], verbs: [get, patch]}}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {{name: tagboat-lease}}
roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: Role, name: tagboat-lease}}
subjects: [{{kind: ServiceAccount, name: tagboat, namespace: tagboat-system}}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {{name: {namespace}}}
roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: cluster-admin}}
subjects: [{{kind: ServiceAccount, name: default, namespace: {namespace}}}]
"
    )
}

/// Server-side apply of one or more documents, as the field manager `person`.
pub async fn apply_yaml(client: &Client, namespace: &str, text: &str) -> Vec<DynamicObject> {
    let mut applied = Vec::new();
    for document in serde_yaml::Deserializer::from_str(text) {
        let object = Value::deserialize(document).unwrap_or_else(|e| panic!("{e} in\n{text}"));
        if object.is_null() {
            continue;
        }
        let object: DynamicObject = serde_json::from_value(object).unwrap();
        let types = object.types.as_ref().expect("apiVersion and kind");
        let gvk = GroupVersionKind::try_from(types).unwrap();
        let (resource, capabilities) =
            pinned_kind(client, &gvk).await.unwrap_or_else(|e| panic!("{} {}: {e}", types.api_version, types.kind));
        let namespace = object.metadata.namespace.as_deref().unwrap_or(namespace);
        let api: Api<DynamicObject> = match capabilities.scope {
            Scope::Cluster => Api::all_with(client.clone(), &resource),
            Scope::Namespaced => Api::namespaced_with(client.clone(), namespace, &resource),
        };
        let name = object.metadata.name.clone().expect("metadata.name");
        let params = PatchParams::apply("person").force();
        let result = api.patch(&name, &params, &Patch::Apply(&object)).await;
        applied.push(result.unwrap_or_else(|e| panic!("apply {} {name}: {e}", types.kind)));
    }
    applied
}
