//! Loop two's part: the ConfigMaps and Secrets that a GitSync refers to → its variables, keys and kubeconfig. Each is watched alone, with the rights of the
//! service account, so that a change renders anew and a run without news asks nobody.

use std::collections::BTreeSet;

use kube::ResourceExt;

use crate::api::GitSync;
use crate::api::condition::Reason;
use crate::api::git_sync::{Decryption, PostBuild, Source, SourceKind, SubstituteStrategy};
use crate::cluster::Cluster;
use crate::cluster::remote::Site;
use crate::cluster::watches::{One, WatchKey};
use crate::context::{Context, synced};
use crate::failure::Failure;
use crate::object::Gvk;
use crate::observing::{LIST_TIMEOUT, cluster_failure, identity, owner, view};
use crate::sync::referred::Data;
use crate::sync::sops::Keys;
use crate::sync::substitute::Variables;

/// The watches of what a GitSync refers to.
pub type References = BTreeSet<WatchKey>;

/// Where in the spec the keys stand.
const KEYS_FIELD: &str = "spec.decryption.secretRef";
/// Where in the spec the sources of variables stand.
const FIELD: &str = "spec.postBuild.substituteFrom";

/// What a rendering needs beside the repository.
pub(crate) struct Outside {
    /// The variables.
    pub variables: Variables,
    /// The keys of encrypted files.
    pub keys: Option<Keys>,
    /// The cluster that the objects are for.
    pub cluster: Cluster,
}

/// The kubeconfig's Secret, as it is now; none when it is not there. `watched` is what the GitSync referred to before.
///
/// # Errors
/// When it can't be read.
pub(crate) async fn kubeconfig(
    context: &Context,
    sync: &GitSync,
    watched: &mut References,
    field: &str,
) -> Result<Option<Data>, Failure> {
    let Some(secret) = remote(sync) else { return Ok(None) };
    let key = key(context, sync, &secret);
    if !watched.contains(&key) {
        let wanted = watched.iter().cloned().chain([key.clone()]).collect();
        follow(context, sync, watched, wanted);
    }
    look(context, &key, field).await
}

fn remote(sync: &GitSync) -> Option<Source> {
    let name = sync.spec.kube_config.as_ref()?.secret_ref.name.clone();
    Some(Source { kind: SourceKind::Secret, name, optional: false })
}

/// The variables and keys of a GitSync. `watched` is what it referred to before, and becomes what it refers to now.
///
/// # Errors
/// When an object is missing and not optional, can't be read, or a variable has no name that can be used.
pub(crate) async fn outside(
    context: &Context,
    sync: &GitSync,
    cluster: &Cluster,
    watched: &mut References,
) -> Result<Outside, Failure> {
    let build = sync.spec.post_build.as_ref();
    let sources = build.map(|build| build.substitute_from.as_slice()).unwrap_or_default();
    let keys: Vec<WatchKey> = sources.iter().map(|source| key(context, sync, source)).collect();
    let decryption = sync.spec.decryption.as_ref().map(|decryption| {
        let name = decryption.secret_ref.name.clone();
        key(context, sync, &Source { kind: SourceKind::Secret, name, optional: false })
    });
    let remote = remote(sync).map(|secret| key(context, sync, &secret));
    follow(context, sync, watched, keys.iter().chain(&decryption).chain(&remote).cloned().collect());
    let mut held = Vec::with_capacity(keys.len());
    for (at, (source, key)) in sources.iter().zip(&keys).enumerate() {
        held.push((source, look(context, key, &format!("{FIELD}[{at}]")).await?));
    }
    let namespace = sync.namespace().unwrap_or_default();
    let variables = gather(build, &held, &namespace)?;
    let keys = match (&sync.spec.decryption, &decryption) {
        (Some(wanted), Some(key)) => Some(keys_of(wanted, look(context, key, KEYS_FIELD).await?, &namespace)?),
        _ => None,
    };
    Ok(Outside { variables, keys, cluster: cluster.clone() })
}

/// The keys that a Secret holds.
///
/// # Errors
/// When there is none.
pub(crate) fn keys_of(wanted: &Decryption, held: Option<Data>, namespace: &str) -> Result<Keys, Failure> {
    let name = format!("Secret {namespace}/{}", wanted.secret_ref.name);
    let missing = || Failure::user(Reason::RenderFailed, format!("{KEYS_FIELD}: {name} does not exist"));
    held.map(|held| Keys::new(&name, held)).ok_or_else(missing)
}

/// Puts the variables together, in the order in which they win over each other.
///
/// # Errors
/// As [`variables`].
pub(crate) fn gather(
    build: Option<&PostBuild>,
    held: &[(&Source, Option<Data>)],
    namespace: &str,
) -> Result<Variables, Failure> {
    let Some(build) = build else { return Ok(Variables::new(true, false)) };
    let mut variables = Variables::new(build.strict, build.substitute_strategy == SubstituteStrategy::Always);
    for (at, (source, data)) in held.iter().enumerate() {
        let origin = format!("{} {}", source.kind.as_str(), source.name);
        match data {
            Some(data) => variables.add(&origin, source.kind == SourceKind::Secret, data),
            None if source.optional => {}
            None => {
                let kind = source.kind.as_str();
                let message = format!("{FIELD}[{at}]: {kind} {namespace}/{} does not exist", source.name);
                return Err(Failure::user(Reason::RenderFailed, message));
            }
        }
    }
    let inline = variables.add_inline("spec.postBuild.substitute", &build.substitute);
    inline.map_err(|reason| Failure::user(Reason::RenderFailed, reason))?;
    Ok(variables)
}

/// Ends the watches that a GitSync no longer needs, and asks for news of those that it needs.
pub(crate) fn follow(context: &Context, sync: &GitSync, watched: &mut References, wanted: References) {
    let owner = owner(sync);
    for key in watched.difference(&wanted) {
        if context.table.referred.leave(&view(key), &owner) {
            context.watches.stop(key);
        }
    }
    for key in &wanted {
        context.table.referred.wait(&view(key), &owner);
    }
    *watched = wanted;
}

fn key(context: &Context, sync: &GitSync, source: &Source) -> WatchKey {
    WatchKey {
        site: Site::Home,
        identity: identity(sync, context),
        gvk: Gvk::new("v1", source.kind.as_str()),
        namespace: sync.namespace(),
        is_owned: false,
        one: Some(One { name: source.name.clone(), asker: None }),
    }
}

/// What an object holds now; none when it is not there.
async fn look(context: &Context, key: &WatchKey, field: &str) -> Result<Option<Data>, Failure> {
    loop {
        let state = context.watches.start(&context.cluster, key).await.map_err(|error| cluster_failure(&error))?;
        let listed = tokio::time::timeout(LIST_TIMEOUT, synced(state)).await;
        let listed = listed.unwrap_or_else(|_| Err("no list within 30 s".to_owned()));
        if let Err(reason) = listed {
            let name = key.one.as_ref().map(|one| one.name.as_str()).unwrap_or_default();
            let message = format!("{field}: {} can't watch {} {name}: {reason}", key.identity, key.gvk.kind);
            return Err(match reason.contains("forbidden") {
                true => Failure::user(Reason::AccessDenied, message),
                false => Failure::retry(Reason::ClusterUnavailable, message),
            });
        }
        let data = context.table.referred.data(&view(key));
        // Who else needed it may have ended its watch just now.
        if context.watches.state(key).is_some() {
            return Ok(data);
        }
    }
}
