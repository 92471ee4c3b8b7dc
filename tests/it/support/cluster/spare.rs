//! A second API server beside the shared one, on the same etcd: one that a test may kill.

use std::path::PathBuf;

use serde_json::{Value, json};

use super::audit::AuditLog;
use super::{CONTROLLER, Cluster, PROGRAMS, READY, client_of, http_get, start_api_server};
use crate::support::process::Process;
use crate::support::{free_ports, guard, next_number};

/// See the module.
pub struct Spare<'a> {
    cluster: &'a Cluster,
    port: u16,
    /// As the product, by this server.
    pub kubeconfig: PathBuf,
    /// What it was asked.
    pub audit: AuditLog,
    process: Option<Process>,
}

impl Cluster {
    /// Another API server, running.
    pub async fn spare(&self) -> Spare<'_> {
        let folder = guard::folder().join(format!("spare-{}", next_number()));
        std::fs::create_dir_all(&folder).unwrap();
        let [port] = free_ports();
        let kubeconfig = folder.join("tagboat.kubeconfig");
        let text = std::fs::read_to_string(self.kubeconfig("tagboat")).unwrap();
        std::fs::write(&kubeconfig, text.replace(&self.url, &format!("https://127.0.0.1:{port}"))).unwrap();
        let audit = AuditLog::new(&folder, &PROGRAMS);
        let mut spare = Spare { cluster: self, port, kubeconfig, audit, process: None };
        spare.start().await;
        spare
    }

    /// etcd forgets everything but how things are now.
    pub async fn compact(&self) {
        let ask = async |path: &str, body: Value| -> Value {
            let url = format!("http://127.0.0.1:{}/v3/kv/{path}", self.etcd_port);
            let answer = reqwest::Client::new().post(url).body(body.to_string()).send().await.unwrap();
            serde_json::from_str(&answer.error_for_status().unwrap().text().await.unwrap()).unwrap()
        };
        let now = ask("range", json!({"key": "AA==", "count_only": true})).await;
        let revision = &now["header"]["revision"];
        ask("compaction", json!({"revision": revision, "physical": true})).await;
    }
}

impl Spare<'_> {
    /// Starts it; ready when it answers.
    pub async fn start(&mut self) {
        let process = start_api_server(&self.cluster.folder, self.cluster.etcd_port, self.port, &self.audit).unwrap();
        let client = client_of(&self.kubeconfig).await.unwrap();
        // Its own readiness waits for more than an answer to what we ask.
        let served = || async { client.request_text(http_get("/apis/tagboat.dev/v1alpha1/gitsyncs")).await };
        process.ready(READY, served).await.unwrap();
        self.process = Some(process);
    }

    /// Kills it.
    pub async fn kill(&mut self) {
        if let Some(process) = self.process.take() {
            process.signal(nix::sys::signal::Signal::SIGKILL);
            process.exited().await;
        }
    }

    /// What the product wrote by it: `patch configmaps/a`.
    pub fn acts(&self, since: super::audit::Mark) -> Vec<String> {
        let requests = self.audit.requests(since).into_iter().filter(|request| request.user == CONTROLLER);
        let own = ["events", "gitsyncs", "configrepos"];
        let acts = requests.filter(|r| !["get", "list", "watch"].contains(&&*r.verb) && !own.contains(&&*r.resource));
        acts.map(|r| format!("{} {}/{}", r.verb, r.resource, r.name)).collect()
    }
}
