//! `helm template`: a chart and values → the objects as YAML.

use std::path::Path;

use super::run::{Call, run};
use super::{Error, Given};

/// Folders that helm would use, each below the one that it may read; nothing is in them, so there are no repositories, no caches,
/// no plugins and no cluster.
const ENVIRONMENT: [(&str, &str); 7] = [
    ("HOME", "home"),
    ("HELM_CACHE_HOME", "home/cache"),
    ("HELM_CONFIG_HOME", "home/config"),
    ("HELM_DATA_HOME", "home/data"),
    ("HELM_PLUGINS", "home/plugins"),
    ("HELM_REGISTRY_CONFIG", "home/registry.json"),
    ("KUBECONFIG", "home/kubeconfig"),
];

/// Renders the chart in the folder `chart` among the files, with these arguments, and returns the objects as YAML.
///
/// helm gets no environment but empty folders and no program to call. It asks no cluster (`lookup` finds nothing) and no name server.
///
/// # Errors
/// When the chart is refused, takes too long, or helm can't be started.
pub async fn template(program: &Path, chart: &str, arguments: &[String], given: Given<'_>) -> Result<Vec<u8>, Error> {
    let arguments = std::iter::once("template".to_owned()).chain(arguments.iter().cloned()).collect();
    let environment = &ENVIRONMENT;
    run(Call { name: "helm", program, work: "the chart", arguments, path: chart, environment, given }).await
}
