//! The cluster that a person's commands talk to: the kubeconfig's, with the person's own rights.

use std::path::Path;

use anyhow::Context as _;

use crate::cluster::Cluster;

/// A cluster, and the namespace that is meant when none is named.
pub(crate) struct Connection {
    /// The cluster.
    pub cluster: Cluster,
    /// The namespace of the kubeconfig's context.
    pub namespace: String,
}

/// Connects by this kubeconfig, or by the usual places.
pub(crate) async fn open(kubeconfig: Option<&Path>) -> anyhow::Result<Connection> {
    let config = crate::run::config(kubeconfig).await?;
    let namespace = config.default_namespace.clone();
    let client = kube::Client::try_from(config).context("make the client of the API server")?;
    Ok(Connection { cluster: Cluster::new(client), namespace })
}
