//! Another cluster: an API server and its etcd, and nobody who makes pods of workloads. And a gate on the way to it, so that it can be
//! out of reach for one test alone.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use k8s_openapi::api::core::v1::Namespace;
use kube::api::PostParams;
use kube::{Api, Client};
use serde_json::{Value, json};
use tagboat::api::{ConfigRepo, GitSync};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use super::audit::AuditLog;
use super::{READY, client_of, http_get, on_free_ports, start_api_server, start_etcd, token, write_kubeconfig};
use crate::support::process::Process;
use crate::support::wait::eventually;
use crate::support::world::apply_yaml;
use crate::support::{checkout, free_ports, guard};

/// The test itself, and two whom a kubeconfig may name; all may do everything.
const USERS: [&str; 3] = ["admin", "first", "second"];

/// See the module.
pub struct Other {
    folder: PathBuf,
    url: String,
    client: Client,
    audit: AuditLog,
    _processes: [Process; 2],
}

impl Other {
    /// Starts both; ready when it answers.
    pub async fn start() -> Result<Self, String> {
        on_free_ports("other", Self::try_start).await
    }

    async fn try_start(name: String) -> Result<Self, String> {
        let folder = guard::folder().join(name);
        std::fs::create_dir_all(folder.join("certs")).unwrap();
        let [etcd_port, api_port] = free_ports();
        let url = format!("https://127.0.0.1:{api_port}");
        let tokens = USERS.map(|user| format!("{},{user},{user},system:masters\n", token(user)));
        std::fs::write(folder.join("tokens.csv"), tokens.concat()).unwrap();
        let audit = AuditLog::new(&folder, &[]);
        let etcd = start_etcd(&folder, etcd_port)?;
        let api_server = start_api_server(&folder, etcd_port, api_port, &audit)?;
        let certificate = folder.join("certs/apiserver.crt");
        api_server.ready(READY, || async { std::fs::metadata(&certificate) }).await?;
        write_kubeconfig(&folder, USERS[0], &url);
        let client = client_of(&folder.join(format!("{}.kubeconfig", USERS[0]))).await?;
        api_server.ready(READY, || async { client.request_text(http_get("/readyz")).await }).await?;
        Ok(Self { folder, url, client, audit, _processes: [etcd, api_server] })
    }

    /// A client with all rights, as `admin`.
    pub fn client(&self) -> Client {
        self.client.clone()
    }

    /// Who asked its API server for what.
    pub fn audit(&self) -> &AuditLog {
        &self.audit
    }

    /// A kubeconfig file of `admin`.
    pub fn admin(&self) -> PathBuf {
        self.folder.join(format!("{}.kubeconfig", USERS[0]))
    }

    /// The product's kinds, for a controller that works here.
    pub async fn install_definitions(&self) {
        for file in std::fs::read_dir(checkout("crds")).unwrap() {
            let text = std::fs::read_to_string(file.unwrap().path()).unwrap();
            apply_yaml(&self.client, "default", &text).await;
        }
        let lists = || async {
            Api::<ConfigRepo>::all(self.client()).list(&Default::default()).await?;
            Api::<GitSync>::all(self.client()).list(&Default::default()).await
        };
        eventually("the kinds are served", READY, lists).await;
    }

    /// A namespace of it.
    pub async fn namespace(&self, name: &str) {
        let namespace: Namespace = serde_json::from_value(json!({"metadata": {"name": name}})).unwrap();
        Api::<Namespace>::all(self.client()).create(&PostParams::default(), &namespace).await.unwrap();
    }

    /// A kubeconfig that needs no files, with the token of `user`, by a gate if one is given.
    pub fn kubeconfig(&self, user: &str, gate: Option<&Gate>) -> Value {
        let authority = BASE64.encode(std::fs::read(self.folder.join("certs/apiserver.crt")).unwrap());
        let server = gate.map_or_else(|| self.url.clone(), |gate| format!("https://{}", gate.host));
        json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "other",
            "clusters": [{"name": "other", "cluster": {"server": server, "certificate-authority-data": authority}}],
            "users": [{"name": user, "user": {"token": token(user)}}],
            "contexts": [{"name": "other", "context": {"cluster": "other", "user": user}}],
        })
    }

    /// A gate before its API server.
    pub async fn gate(&self) -> Gate {
        Gate::before(self.url.trim_start_matches("https://").to_owned()).await
    }
}

/// Lets bytes through until it is closed; then connections stand still.
pub struct Gate {
    /// Where it listens.
    pub host: String,
    is_open: watch::Sender<bool>,
    /// The connections that its clients hold, by number.
    held: Arc<Mutex<BTreeSet<u64>>>,
}

impl Gate {
    async fn before(host: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let gate = Self {
            host: listener.local_addr().unwrap().to_string(),
            is_open: watch::Sender::new(true),
            held: Arc::default(),
        };
        let (is_open, held) = (gate.is_open.subscribe(), gate.held.clone());
        tokio::spawn(async move {
            for number in 0.. {
                let Ok((near, _)) = listener.accept().await else { return };
                held.lock().unwrap().insert(number);
                let (host, is_open, held) = (host.clone(), is_open.clone(), held.clone());
                tokio::spawn(async move {
                    if let Ok(far) = TcpStream::connect(host).await {
                        let ((near_in, near_out), (far_in, far_out)) = (near.into_split(), far.into_split());
                        tokio::join!(pass(near_in, far_out, is_open.clone()), pass(far_in, near_out, is_open));
                    }
                    held.lock().unwrap().remove(&number);
                });
            }
        });
        gate
    }

    /// Nothing gets through, and nobody is told.
    pub fn close(&self) {
        self.is_open.send_replace(false);
    }

    /// What waits goes on.
    pub fn open(&self) {
        self.is_open.send_replace(true);
    }

    /// The connections that are held now.
    pub fn connections(&self) -> Vec<u64> {
        self.held.lock().unwrap().iter().copied().collect()
    }
}

async fn pass(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut is_open: watch::Receiver<bool>) {
    let mut bytes = vec![0; 16 << 10];
    while let Ok(length @ 1..) = from.read(&mut bytes).await {
        if is_open.wait_for(|is_open| *is_open).await.is_err() || to.write_all(&bytes[..length]).await.is_err() {
            break;
        }
    }
    let _ = to.shutdown().await;
}
