//! `it cluster`: everything up for a person to play with, until Ctrl-C.

use std::process::ExitCode;

use crate::support::{bounded, cluster, git, guard, registry, runtime};

/// Starts it, says what there is, and waits.
pub fn main() -> ExitCode {
    eprintln!("starting a cluster, a registry and a Git server …");
    let start = std::time::Instant::now();
    let all = async { futures::join!(cluster(), registry(), git()) };
    let (cluster, registry, git) = match bounded(std::time::Duration::from_secs(120), all) {
        Ok(all) => all,
        Err(reason) => {
            eprintln!("{reason}");
            return ExitCode::FAILURE;
        }
    };
    let repo = git.repo("fleet", &[("README.md", "A repository to play with.\n")]);
    let clone = repo.url.replace("http://", &format!("http://{}:{}@", git.username, git.password));
    eprintln!(
        "up after {:.1} s; logs in {}; Ctrl-C stops everything\n",
        start.elapsed().as_secs_f32(),
        guard::folder().display()
    );
    println!("export KUBECONFIG={}", cluster.kubeconfig("person").display());
    println!(
        "
# registry (plain HTTP, no login)   {}
# Git (user {}, password {})   {}
# pods run at once without containers; an image whose tag ends in -broken crash-loops

kubectl get nodes
kubectl create deployment app --image example.com/app:1.0.0 && kubectl rollout status deployment app
git clone {clone}
cargo run -- run --listen 127.0.0.1:8080 --data-dir /tmp/tagboat",
        registry.host, git.username, git.password, repo.url,
    );
    runtime().block_on(std::future::pending())
}
