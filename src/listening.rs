//! Letting webhooks in. In: what an object says of who may announce news. Out: its hook among the others, and the path for its status.

use std::sync::Arc;

use kube::{Resource, ResourceExt};

use crate::api::reference::LocalRef;
use crate::api::webhook::Sender;
use crate::clock::Now;
use crate::cluster::events::Severity;
use crate::context::Context;
use crate::failure::{Answer, Failure};
use crate::http::hooks::{self, Hook, Subject};
use crate::source::{invalid, secret_failure};

/// What an object asks for.
pub struct Asked<'a> {
    /// Who sends.
    pub sender: Sender,
    /// What the sender knows.
    pub secret: &'a LocalRef,
    /// What must be named.
    pub subject: Subject,
    /// Who hears it.
    pub audience: String,
    /// Called when there is news.
    pub wake: Arc<dyn Fn() + Send + Sync>,
}

/// Lets an object's webhooks in, or no longer when it asks for none; and where they go, unless that is as before. That a webhook
/// can't work is told, and stops nothing: the interval finds all that it would.
pub async fn listen<K: Resource<DynamicType = ()>>(
    object: &K,
    asked: Option<Asked<'_>>,
    context: &Context,
    now: Now,
) -> Option<Option<String>> {
    let owner = object.uid().unwrap_or_default();
    let Some(asked) = asked else {
        context.hooks.remove(&owner);
        return Some(None);
    };
    match secret(object, &asked, context).await {
        Ok(secret) => {
            let path = hooks::path(secret.token(), &object.namespace().unwrap_or_default(), &object.name_any());
            let Asked { sender, subject, audience, wake, .. } = asked;
            context.hooks.set(&owner, Hook { path: path.clone(), sender, secret, subject, audience, wake });
            Some(Some(path))
        }
        Err(failure) => {
            let note = format!("spec.webhook: {failure}; spec.interval finds what is new all the same");
            let _ = context.cluster.publish(object, Severity::Warning, failure.reason, &note, now.wall).await;
            if matches!(failure.answer, Answer::Retry { .. }) {
                return None; // what was let in before stays let in
            }
            context.hooks.remove(&owner);
            Some(None)
        }
    }
}

async fn secret<K: Resource<DynamicType = ()>>(
    object: &K,
    asked: &Asked<'_>,
    context: &Context,
) -> Result<hooks::Secret, Failure> {
    let namespace = object.namespace().unwrap_or_default();
    let data = context.cluster.secret(&namespace, &asked.secret.name).await.map_err(|error| secret_failure(&error))?;
    hooks::Secret::new(asked.sender, data).map_err(|reason| invalid(asked.secret, reason))
}
