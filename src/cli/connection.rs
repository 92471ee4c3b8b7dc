//! The cluster that a person's commands talk to: the kubeconfig's, with the person's own rights.

use std::path::Path;

use anyhow::Context as _;
use kube::Api;
use kube::api::ListParams;

use crate::api::ImageUpdate;
use crate::cluster::Cluster;

/// A cluster, and the namespace that is meant when none is named.
pub(crate) struct Connection {
    /// The cluster.
    pub cluster: Cluster,
    /// The namespace of the kubeconfig's context.
    pub namespace: String,
}

/// The ImageUpdates of a namespace.
pub(crate) async fn image_updates(connection: &Connection, namespace: &str) -> anyhow::Result<Vec<ImageUpdate>> {
    let api: Api<ImageUpdate> = Api::namespaced(connection.cluster.client(), namespace);
    Ok(api.list(&ListParams::default()).await.context("list the ImageUpdates")?.items)
}

/// Connects by this kubeconfig, or by the usual places.
pub(crate) async fn open(kubeconfig: Option<&Path>) -> anyhow::Result<Connection> {
    let config = crate::run::config(kubeconfig).await?;
    let namespace = config.default_namespace.clone();
    let client = kube::Client::try_from(config).context("make the client of the API server")?;
    Ok(Connection { cluster: Cluster::new(client), namespace })
}
