//! `tagboat explain imagepolicy NAME`: what the controller decided, from which list, and what it waits for. The tags are listed anew,
//! with the rights and the network of the person who asks; `--tags` gives them instead.

use anyhow::{Context as _, bail};
use kube::{Api, ResourceExt};

use super::{Args, Given, change, explained, given};
use crate::api::ImagePolicy;
use crate::authenticating;
use crate::cli::connection::{self, Connection};
use crate::inquiring;
use crate::registry::cloud::Cloud;
use crate::registry::{Limits, Registry};
use crate::run::USER_AGENT;
use crate::watch::decide::explain::{Controller, HoldBack};
use crate::watch::decide::{self, Explanation};
use crate::watch::policy::{Policy, Ranking};

/// How long the registry may take.
const TIMEOUT: std::time::Duration = std::time::Duration::from_secs(60);

pub(super) fn explain(args: &Args, name: &str) -> anyhow::Result<(Explanation, bool)> {
    tokio::runtime::Runtime::new().context("start the runtime")?.block_on(ask(args, name))
}

async fn ask(args: &Args, name: &str) -> anyhow::Result<(Explanation, bool)> {
    let connection = connection::open(args.kubeconfig.as_deref()).await?;
    let namespace = args.namespace.clone().unwrap_or_else(|| connection.namespace.clone());
    let api: Api<ImagePolicy> = Api::namespaced(connection.cluster.client(), &namespace);
    let Some(mut object) = api.get_opt(name).await.context("ask the cluster")? else {
        bail!("ImagePolicy {namespace}/{name} does not exist");
    };
    let is_as_it_is = args.range.is_none() && args.tags.is_none();
    change(&mut object, args);
    let policy =
        Policy::parse(&object.spec).map_err(|invalid| anyhow::anyhow!("ImagePolicy {namespace}/{name}: {invalid}"))?;
    let status = object.status.clone().unwrap_or_default();
    let latest = status.latest_ref.clone().filter(|latest| latest.name == policy.image.as_str());
    let (given, note) = match &args.tags {
        Some(path) => (given(path)?, None),
        None => match list(&object, &policy, &connection).await {
            Ok(given) => (given, None),
            Err(error) => (
                Given::default(),
                Some(format!(
                    "the registry can't be asked from here ({error:#}); what the controller last saw is shown"
                )),
            ),
        },
    };
    let current = args.current.as_ref().or(latest.as_ref().map(|latest| &latest.tag));
    let could_ask = note.is_none();
    let mut explanation = if could_ask {
        explained(&object, policy, current, given, &status.verdicts)
    } else {
        Explanation::of_status(&namespace, &object.name_any(), &status)
    };
    explanation.controller = Controller::new(&status);
    explanation.last_scan.clone_from(&status.last_scan);
    explanation.notes.extend(note);
    match holds(&connection, &namespace, name).await {
        Ok(holds) => explanation.holds = holds,
        Err(error) => explanation.notes.push(format!("what people hold back is not known: {error:#}")),
    }
    if let (Some(chosen), Some(latest)) = (&mut explanation.chosen, &latest) {
        if chosen.tag == latest.tag {
            chosen.digest.clone_from(&latest.digest);
        } else if is_as_it_is {
            let note = format!("the controller runs {} and looks again within {}", latest.tag, object.spec.interval);
            explanation.notes.push(note);
        }
    }
    let is_chosen = explanation.chosen.is_some();
    Ok((explanation, is_chosen))
}

/// Where people decided against the policy's choice.
async fn holds(connection: &Connection, namespace: &str, name: &str) -> anyhow::Result<Vec<HoldBack>> {
    let id = format!("{namespace}:{name}");
    let updates = connection::image_updates(connection, namespace).await?;
    let holds = updates.into_iter().flat_map(|update| {
        let image_update = update.name_any();
        let holds = update.status.map(|status| status.holds).unwrap_or_default();
        holds.into_iter().map(move |hold| HoldBack { image_update: image_update.clone(), hold })
    });
    Ok(holds.filter(|held| held.hold.policy == id).collect())
}

/// The tags as the registry lists them now.
async fn list(object: &ImagePolicy, policy: &Policy, connection: &Connection) -> anyhow::Result<Given> {
    if let Ranking::DigestOf(tag) = &policy.ranking {
        return Ok(Given { tags: [tag.clone()].into_iter().collect(), ..Given::default() });
    }
    let cloud = Cloud::new(crate::cli::cloud_environment(), USER_AGENT);
    let login = authenticating::login(object, &policy.image, &connection.cluster, &cloud).await?;
    let registry = Registry::new(USER_AGENT, Limits::default());
    let tags = registry.tags(&login.access, std::time::Duration::ZERO, TIMEOUT).await?;
    let mut given = Given { tags: tags.tags, ..Given::default() };
    if matches!(policy.ranking, Ranking::NewestBuild(_)) {
        let fitting = decide::fitting(policy, &given.tags).map_err(anyhow::Error::msg)?;
        given.built = inquiring::builds(fitting, &login, &registry).await?;
    }
    Ok(given)
}
