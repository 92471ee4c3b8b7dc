//! A whole cluster on loopback: etcd, API server, controller manager, scheduler, and kwok in place of kubelets. A pod whose image ends in
//! `-broken` crash-loops, every other one is ready at once.

pub mod audit;
pub mod other;
pub mod spare;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use k8s_openapi::api::core::v1::{Node, ServiceAccount};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, Config};
use nix::sys::signal::Signal;
use serde_json::json;

use self::audit::AuditLog;
use super::parts::{program, stage};
use super::process::Process;
use super::{checkout, free_ports, guard};

/// How long one server may take to be ready.
const READY: Duration = Duration::from_secs(60);

/// Tests and a person, who may do everything, and the product, which may do what `deploy/` lets it. The audit log and managed fields
/// tell them apart.
pub const USERS: [&str; 3] = ["admin", "tagboat", "person"];
/// Whom the API server takes the product for.
pub const CONTROLLER: &str = "system:serviceaccount:tagboat-system:tagboat";
/// The cluster's own programs; what they ask for is not in the audit log.
const PROGRAMS: [&str; 3] = ["system:kube-controller-manager", "system:kube-scheduler", "system:kwok"];

/// See the module.
pub struct Cluster {
    folder: PathBuf,
    etcd_port: u16,
    url: String,
    client: Client,
    audit: AuditLog,
    api_server: Process,
    others: Vec<Process>,
}

impl Cluster {
    /// Starts everything; ready when a Deployment would become Available.
    pub async fn start() -> Result<Self, String> {
        on_free_ports("cluster", Self::try_start).await
    }

    async fn try_start(name: String) -> Result<Self, String> {
        let folder = guard::folder().join(name);
        std::fs::create_dir_all(folder.join("certs")).unwrap();
        let [etcd_port, api_port, manager_port, scheduler_port, kwok_port] = free_ports();
        let url = format!("https://127.0.0.1:{api_port}");
        write_tokens(&folder);
        let audit = AuditLog::new(&folder, &PROGRAMS);

        let etcd = start_etcd(&folder, etcd_port)?;
        let api_server = start_api_server(&folder, etcd_port, api_port, &audit)?;
        let certificate = folder.join("certs/apiserver.crt");
        api_server.ready(READY, || async { std::fs::metadata(&certificate) }).await?;
        for user in USERS.iter().chain(&PROGRAMS) {
            write_kubeconfig(&folder, user, &url);
        }
        let client = client_of(&folder.join("admin.kubeconfig")).await?;
        let readyz = || async { client.request_text(http_get("/readyz")).await };
        api_server.ready(READY, readyz).await?;

        let others = vec![
            etcd,
            start_with_kubeconfig(&folder, "kube-controller-manager", PROGRAMS[0], manager_port, |command| {
                command.arg("--service-account-private-key-file").arg(folder.join("certs/apiserver.key"));
                command.args(["--kube-api-qps=500", "--kube-api-burst=1000"]);
            })?,
            start_with_kubeconfig(&folder, "kube-scheduler", PROGRAMS[1], scheduler_port, |_| {})?,
            start_kwok(&folder, kwok_port)?,
        ];
        let cluster = Self { folder, etcd_port, url, client, audit, api_server, others };
        cluster.install_definitions()?;
        cluster.install()?;
        cluster.add_node().await?;
        Ok(cluster)
    }

    /// The API server's address.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// A client with all rights, as `admin`.
    pub fn client(&self) -> Client {
        self.client.clone()
    }

    /// A kubeconfig for one of [`USERS`].
    pub fn kubeconfig(&self, user: &str) -> PathBuf {
        self.folder.join(format!("{user}.kubeconfig"))
    }

    /// A client for one of [`USERS`].
    pub async fn client_of(&self, user: &str) -> Client {
        client_of(&self.kubeconfig(user)).await.unwrap()
    }

    /// Who asked the API server for what.
    pub fn audit(&self) -> &AuditLog {
        &self.audit
    }

    /// The API server answers nobody until [`Cluster::cont`]. For the whole run: other tests stand still too.
    pub fn stop(&self) {
        self.api_server.signal(Signal::SIGSTOP);
    }

    /// The API server goes on.
    pub fn cont(&self) {
        self.api_server.signal(Signal::SIGCONT);
    }

    /// `kubectl` as one of [`USERS`].
    pub fn kubectl(&self, user: &str) -> Command {
        let mut command = Command::new(program("kubectl").unwrap_or_else(|_| "kubectl".into()));
        command.arg("--kubeconfig").arg(self.kubeconfig(user)).env("HOME", &self.folder);
        command
    }

    /// The product's kinds, once `crds/` holds them.
    fn install_definitions(&self) -> Result<(), String> {
        let folder = checkout("crds");
        if std::fs::read_dir(&folder).map_or(0, Iterator::count) == 0 {
            return Ok(());
        }
        let mut apply = self.kubectl("admin");
        let output = apply.args(["apply", "--server-side", "-f"]).arg(&folder).output().map_err(|e| e.to_string())?;
        if !output.status.success() {
            return Err(format!("kubectl apply -f crds: {}", String::from_utf8_lossy(&output.stderr)));
        }
        let mut wait = self.kubectl("admin");
        let output =
            wait.args(["wait", "--for=condition=Established", "--timeout=30s", "crd", "--all"]).output().unwrap();
        if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).into_owned()) }
    }

    /// The product as users install it: its rights, and a Deployment of which kwok plays the pods.
    fn install(&self) -> Result<(), String> {
        let output = self.kubectl("admin").args(["apply", "--server-side", "-k"]).arg(checkout("deploy")).output();
        let output = output.map_err(|error| error.to_string())?;
        let words = String::from_utf8_lossy(&output.stderr);
        if output.status.success() { Ok(()) } else { Err(format!("kubectl apply -k deploy: {words}")) }
    }

    /// One node with room for everything, and the service account that pods want.
    async fn add_node(&self) -> Result<(), String> {
        let room = json!({"cpu": "1k", "memory": "1Ti", "pods": "100k", "ephemeral-storage": "1Ti"});
        let node: Node = serde_json::from_value(json!({
            "metadata": {"name": "node", "annotations": {"kwok.x-k8s.io/node": "fake"}},
            "status": {"allocatable": room, "capacity": room},
        }))
        .unwrap();
        let nodes: Api<Node> = Api::all(self.client());
        nodes.create(&Default::default(), &node).await.map_err(|e| e.to_string())?;
        let [_, manager, _, kwok] = self.others.as_slice() else { unreachable!("four others") };
        let is_ready = async || {
            let node = nodes.get("node").await.map_err(|e| e.to_string())?;
            let conditions = node.status.and_then(|status| status.conditions).unwrap_or_default();
            let is_tainted = node.spec.and_then(|spec| spec.taints).is_some_and(|taints| !taints.is_empty());
            let is_ready = conditions.iter().any(|c| c.type_ == "Ready" && c.status == "True");
            if is_ready && !is_tainted { Ok(()) } else { Err("the node is not ready".to_owned()) }
        };
        kwok.ready(READY, is_ready).await?;
        let accounts: Api<ServiceAccount> = Api::namespaced(self.client(), "default");
        manager.ready(READY, || accounts.get("default")).await.map(drop)
    }
}

/// Starts something in a folder of this name, and anew in another one when somebody else took a port meanwhile.
async fn on_free_ports<T>(name: &str, start: impl AsyncFn(String) -> Result<T, String>) -> Result<T, String> {
    let mut last = String::new();
    for attempt in 1..=3 {
        match start(format!("{name}-{attempt}")).await {
            Err(reason) if reason.contains("address already in use") => last = reason,
            result => return result,
        }
    }
    Err(last)
}

fn start_etcd(folder: &Path, port: u16) -> Result<Process, String> {
    let url = format!("http://127.0.0.1:{port}");
    let mut command = Command::new(program("etcd")?);
    command.arg("--data-dir").arg(folder.join("etcd"));
    command.args(["--listen-client-urls", &url, "--advertise-client-urls", &url]);
    command.args(["--listen-peer-urls", "http://127.0.0.1:0", "--log-level", "error", "--unsafe-no-fsync"]);
    Process::start("etcd", &mut command)
}

/// Its serving key also signs the tokens of service accounts: it makes one itself, so that no program is needed to make another.
fn start_api_server(folder: &Path, etcd_port: u16, port: u16, audit: &AuditLog) -> Result<Process, String> {
    let key = folder.join("certs/apiserver.key");
    let mut command = Command::new(program("kube-apiserver")?);
    command.arg("--etcd-servers").arg(format!("http://127.0.0.1:{etcd_port}"));
    command.args(["--bind-address", "127.0.0.1", "--advertise-address", "127.0.0.1"]);
    command.arg("--secure-port").arg(port.to_string());
    command.arg("--cert-dir").arg(folder.join("certs"));
    command.arg("--service-account-key-file").arg(&key);
    command.arg("--service-account-signing-key-file").arg(&key);
    command.args(["--service-account-issuer", "https://kubernetes.default.svc", "--authorization-mode", "RBAC"]);
    command.arg("--token-auth-file").arg(folder.join("tokens.csv"));
    command.args(["--service-cluster-ip-range", "10.96.0.0/16"]);
    command.args(audit.flags());
    Process::start("kube-apiserver", &mut command)
}

fn start_with_kubeconfig(
    folder: &Path,
    name: &str,
    user: &str,
    port: u16,
    more: impl FnOnce(&mut Command),
) -> Result<Process, String> {
    let mut command = Command::new(program(name)?);
    for flag in ["--kubeconfig", "--authentication-kubeconfig", "--authorization-kubeconfig"] {
        command.arg(flag).arg(folder.join(format!("{user}.kubeconfig")));
    }
    command.args(["--bind-address", "127.0.0.1", "--leader-elect=false", "--secure-port", &port.to_string()]);
    more(&mut command);
    Process::start(name, &mut command)
}

fn start_kwok(folder: &Path, port: u16) -> Result<Process, String> {
    let broken = folder.join("broken.yaml");
    std::fs::write(&broken, BROKEN).unwrap();
    let mut command = Command::new(program("kwok")?);
    command.arg("--kubeconfig").arg(folder.join(format!("{}.kubeconfig", PROGRAMS[2])));
    command.args(["--manage-all-nodes=true", "--server-address", &format!("127.0.0.1:{port}")]);
    command.arg("--node-lease-duration-seconds=40"); // without a lease the node is given up after some minutes
    for path in [
        "node/fast/node-initialize.yaml",
        "pod/fast/pod-ready.yaml",
        "pod/fast/pod-complete.yaml",
        "pod/fast/pod-delete.yaml",
    ] {
        command.arg("--config").arg(stage(path)?);
    }
    command.arg("--config").arg(broken).env("HOME", folder);
    Process::start("kwok", &mut command)
}

/// As a kubelet shows an image whose program fails at its start.
const BROKEN: &str = r#"
apiVersion: kwok.x-k8s.io/v1alpha1
kind: Stage
metadata: {name: pod-broken}
spec:
  resourceRef: {apiGroup: v1, kind: Pod}
  selector:
    matchExpressions:
    - {key: .metadata.deletionTimestamp, operator: DoesNotExist}
    - {key: .status.phase, operator: In, values: [Pending]}
    - {key: '.spec.containers.[] | select(.image | test("-broken(@|$)")) | .name', operator: Exists}
  weight: 1000
  next:
    statusTemplate: |
      {{ $now := Now }}
      phase: Running
      startTime: {{ $now | Quote }}
      conditions:
      - {type: Initialized, status: "True", lastTransitionTime: {{ $now | Quote }}}
      - {type: Ready, status: "False", reason: ContainersNotReady, lastTransitionTime: {{ $now | Quote }}}
      - {type: ContainersReady, status: "False", reason: ContainersNotReady, lastTransitionTime: {{ $now | Quote }}}
      containerStatuses:
      {{ range .spec.containers }}
      - name: {{ .name | Quote }}
        image: {{ .image | Quote }}
        ready: false
        restartCount: 3
        state:
          waiting: {reason: CrashLoopBackOff, message: "back-off restarting failed container"}
        lastState:
          terminated: {exitCode: 1, reason: Error, startedAt: {{ $now | Quote }}, finishedAt: {{ $now | Quote }}}
      {{ end }}
"#;

fn write_tokens(folder: &Path) {
    let groups = "system:serviceaccounts,system:serviceaccounts:tagboat-system";
    let lines = USERS.iter().chain(&PROGRAMS).map(|user| match *user {
        "tagboat" => format!("{},{CONTROLLER},{user},\"{groups}\"\n", token(user)),
        _ => format!("{},{user},{user},system:masters\n", token(user)),
    });
    std::fs::write(folder.join("tokens.csv"), lines.collect::<String>()).unwrap();
}

fn token(user: &str) -> String {
    format!("token-of-{}", user.replace(':', "-"))
}

fn write_kubeconfig(folder: &Path, user: &str, url: &str) {
    let config = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "tagboat-it",
        "clusters": [{"name": "tagboat-it", "cluster": {"server": url, "certificate-authority": folder.join("certs/apiserver.crt")}}],
        "users": [{"name": user, "user": {"token": token(user)}}],
        "contexts": [{"name": "tagboat-it", "context": {"cluster": "tagboat-it", "user": user}}],
    });
    std::fs::write(folder.join(format!("{user}.kubeconfig")), serde_yaml::to_string(&config).unwrap()).unwrap();
}

/// A client from a kubeconfig file.
pub async fn client_of(kubeconfig: &Path) -> Result<Client, String> {
    let kubeconfig = Kubeconfig::read_from(kubeconfig).map_err(|e| e.to_string())?;
    let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await;
    Client::try_from(config.map_err(|e| e.to_string())?).map_err(|e| e.to_string())
}

fn http_get(path: &str) -> axum::http::Request<Vec<u8>> {
    axum::http::Request::get(path).body(Vec::new()).unwrap()
}
