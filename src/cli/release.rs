//! `tagboat release NAME`: lets values be written again that a person took back, by an annotation on their ImageUpdates; without a
//! name, what is held. Exits 1 when nothing of what was named is held.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use kube::api::{Patch, PatchParams};
use kube::{Api, ResourceExt};
use serde::Serialize;

use super::connection::{self, Connection};
use super::{Output, print};
use crate::api::image_update::HoldStatus;
use crate::api::{ImagePolicy, ImageUpdate, RELEASE};
use crate::clock;
use crate::update::hold::release::Release;

/// Who writes the annotation.
const FIELD_MANAGER: &str = "tagboat-cli";

#[derive(Debug, clap::Args)]
#[command(after_help = "What is held:       tagboat release -n NAMESPACE\n\
    Of a policy:        tagboat release app -n NAMESPACE, or imagepolicy/app\n\
    Of an ImageUpdate:  tagboat release fleet -n NAMESPACE, or imageupdate/fleet")]
pub(super) struct Args {
    /// An ImagePolicy or ImageUpdate; the kind may be written before a slash
    name: Option<String>,
    /// Its namespace; else that of the kubeconfig's context
    #[arg(long, short, env = "TAGBOAT_NAMESPACE")]
    namespace: Option<String>,
    /// Only this value: as it is held, its tag, or TAG@DIGEST
    #[arg(long, requires = "name")]
    value: Option<String>,
    /// The kubeconfig; else KUBECONFIG, the home folder's, or the cluster that it runs in
    #[arg(long, env = "TAGBOAT_KUBECONFIG", value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    /// How to print
    #[arg(short, long, value_enum, default_value_t)]
    output: Output,
}

/// What is held, or was until now.
#[derive(Serialize)]
struct Report {
    #[serde(skip_serializing_if = "Option::is_none")]
    held: Option<Vec<Item>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    released: Option<Vec<Item>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Item {
    image_update: String,
    #[serde(flatten)]
    hold: HoldStatus,
}

/// What the person named.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Named {
    Policy(String),
    Update(String),
}

pub(super) fn main(args: &Args) -> anyhow::Result<ExitCode> {
    tokio::runtime::Runtime::new().context("start the runtime")?.block_on(release(args))
}

async fn release(args: &Args) -> anyhow::Result<ExitCode> {
    let connection = connection::open(args.kubeconfig.as_deref()).await?;
    let namespace = args.namespace.clone().unwrap_or_else(|| connection.namespace.clone());
    let updates = connection::image_updates(&connection, &namespace).await?;
    let Some(name) = &args.name else {
        let held = updates.iter().flat_map(|update| items(update, |_| true)).collect();
        show(args.output, &Report { held: Some(held), released: None })?;
        return Ok(ExitCode::SUCCESS);
    };
    let named = named(name, &namespace, &updates, &connection).await?;
    let text = asked(&named, args.value.as_deref());
    let release = Release::read(&text).with_context(|| format!("{text:?} names nothing"))?;
    let mut released = Vec::new();
    for update in updates.iter().filter(|update| !matches!(&named, Named::Update(name) if *name != update.name_any())) {
        let items = items(update, |hold| release.is_of(hold));
        if items.is_empty() {
            continue;
        }
        // The time makes it a new value, so that the same can be released twice.
        let value = format!("{text} {}", clock::now().wall.to_rfc3339());
        let patch = serde_json::json!({ "metadata": { "annotations": { RELEASE: value } } });
        let api: Api<ImageUpdate> = Api::namespaced(connection.cluster.client(), &namespace);
        let params = PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
        let patched = api.patch(&update.name_any(), &params, &Patch::Merge(patch)).await;
        patched.with_context(|| format!("annotate ImageUpdate {namespace}/{}", update.name_any()))?;
        released.extend(items);
    }
    let is_nothing = released.is_empty();
    show(args.output, &Report { held: None, released: Some(released) })?;
    Ok(if is_nothing { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn items(update: &ImageUpdate, is_meant: impl Fn(&HoldStatus) -> bool) -> Vec<Item> {
    let holds = update.status.iter().flat_map(|status| &status.holds);
    holds
        .filter(|hold| is_meant(hold))
        .map(|hold| Item { image_update: update.name_any(), hold: hold.clone() })
        .collect()
}

/// What a name without a kind is: a policy if there is one.
async fn named(text: &str, namespace: &str, updates: &[ImageUpdate], connection: &Connection) -> anyhow::Result<Named> {
    let (kind, name) = text.split_once('/').map_or((None, text), |(kind, name)| (Some(kind), name));
    let is_update = updates.iter().any(|update| update.name_any() == name);
    let policies: Api<ImagePolicy> = Api::namespaced(connection.cluster.client(), namespace);
    let policy = async || policies.get_opt(name).await.context("ask the cluster for the ImagePolicy");
    match kind {
        None | Some("imagepolicy" | "imagepolicies" | "imgpol") if policy().await?.is_some() => {
            Ok(Named::Policy(name.to_owned()))
        }
        None | Some("imageupdate" | "imageupdates" | "imgup") if is_update => Ok(Named::Update(name.to_owned())),
        None => bail!("there is neither an ImagePolicy nor an ImageUpdate {namespace}/{name}"),
        Some("imagepolicy" | "imagepolicies" | "imgpol") => bail!("ImagePolicy {namespace}/{name} does not exist"),
        Some("imageupdate" | "imageupdates" | "imgup") => bail!("ImageUpdate {namespace}/{name} does not exist"),
        Some(kind) => bail!("{kind:?} is neither imagepolicy nor imageupdate"),
    }
}

/// What the annotation says.
fn asked(named: &Named, value: Option<&str>) -> String {
    let policy = match named {
        Named::Policy(name) => name,
        Named::Update(_) => "*",
    };
    value.map_or_else(|| policy.to_owned(), |value| format!("{policy}@{value}"))
}

fn show(output: Output, report: &Report) -> anyhow::Result<()> {
    print(output, report, |out| {
        let (what, items) = match (&report.released, &report.held) {
            (Some(released), _) => ("released", released.as_slice()),
            (None, held) => ("held", held.as_deref().unwrap_or_default()),
        };
        if items.is_empty() {
            return writeln!(out, "nothing is held");
        }
        items.iter().try_for_each(|Item { image_update, hold }| {
            let HoldStatus { file, line, policy, value, reason, .. } = hold;
            writeln!(out, "{what} {value} of policy {policy} in {file}:{line} (ImageUpdate {image_update}): {reason}")
        })
    })
}
