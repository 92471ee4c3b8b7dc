//! Loop two's reach: the cluster that a GitSync's objects are in. Its own, or that of a kubeconfig, which is opened once for all GitSyncs
//! that use the same one, and closed when the last of them goes. A server that does not answer holds nobody: who knows it is told at
//! once, who works on it lets go, and all are woken when it answers again.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::FutureExt;
use kube::runtime::reflector::ObjectRef;
use tokio::sync::{Notify, mpsc};

use crate::api::GitSync;
use crate::api::condition::Reason;
use crate::clock;
use crate::cluster::remote::Site;
use crate::cluster::watches::Job;
use crate::cluster::{Cluster, Error};
use crate::context::Context;
use crate::failure::Failure;
use crate::observing::{self, identity, owner, view};
use crate::reach::Kubeconfig;
use crate::referring;
use crate::sync::Remembered;
use crate::sync::inventory::Inventory;
use crate::sync::observed::Owner;
use crate::sync::referred::Data;
use crate::sync::status;

/// Where in the spec the kubeconfig stands.
const FIELD: &str = "spec.kubeConfig.secretRef";
/// The keys of a Secret that may hold one.
const KEYS: [&str; 2] = ["value", "value.yaml"];
/// How soon a server that did not answer is asked again, at first and at most.
const AGAIN: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(15)];
/// How soon to look for a free place, in case nobody says that there is one.
pub(crate) const LATER: Duration = Duration::from_secs(5);

/// The clusters of kubeconfigs.
pub struct Remotes {
    open: Mutex<HashMap<Site, Open>>,
    /// So many GitSyncs of one cluster are worked on at once; the rest is for others.
    places: usize,
    jobs: mpsc::UnboundedSender<Job>,
    wake: mpsc::UnboundedSender<ObjectRef<GitSync>>,
}

struct Open {
    cluster: Cluster,
    users: HashSet<Owner>,
    /// Those that are worked on.
    busy: usize,
    /// Those that wait for a place.
    waiting: BTreeSet<Owner>,
    stop: Arc<Notify>,
}

/// A place among those that are worked on; given back at its end.
pub(crate) struct Place {
    remotes: Arc<Remotes>,
    site: Site,
}

/// The cluster of a GitSync's objects, with its rights, and a place there.
pub(crate) struct Reached {
    /// The cluster.
    pub cluster: Cluster,
    _place: Option<Place>,
}

impl Remotes {
    /// None open yet. `concurrency` is how many GitSyncs are worked on at once in all.
    pub fn new(
        concurrency: u16,
        jobs: mpsc::UnboundedSender<Job>,
        wake: mpsc::UnboundedSender<ObjectRef<GitSync>>,
    ) -> Self {
        Self { open: Mutex::default(), places: usize::from(concurrency / 2).max(1), jobs, wake }
    }

    /// The cluster of a kubeconfig, opened when it is not yet.
    fn enter(self: &Arc<Self>, kubeconfig: &Kubeconfig, user: &Owner) -> Result<Cluster, Error> {
        let mut open = self.lock();
        let found = open
            .values_mut()
            .find(|open| matches!(open.cluster.site(), Site::Remote { way, .. } if **way == *kubeconfig.id()));
        if let Some(found) = found {
            found.users.insert(user.clone());
            return Ok(found.cluster.clone());
        }
        let (cluster, stop) = (Cluster::remote(kubeconfig)?, Arc::new(Notify::new()));
        let (users, waiting) = (HashSet::from([user.clone()]), BTreeSet::new());
        open.insert(
            cluster.site().clone(),
            Open { cluster: cluster.clone(), users, busy: 0, waiting, stop: stop.clone() },
        );
        let (remotes, watched) = (Arc::downgrade(self), cluster.clone());
        let job = async move {
            let site = watched.site().clone();
            let back = || remotes.upgrade().iter().for_each(|remotes| remotes.wake_users(&site));
            tokio::select! {
                () = look_after(&watched, &back) => {}
                () = stop.notified() => {}
            }
        };
        let _ = self.jobs.send(job.boxed());
        Ok(cluster)
    }

    /// Says whether nobody uses it any more; then it is closed.
    fn leave(&self, site: &Site, user: &Owner) -> bool {
        let mut open = self.lock();
        let Some(found) = open.get_mut(site) else { return false };
        found.users.remove(user);
        found.waiting.remove(user);
        let is_last = found.users.is_empty();
        if is_last && let Some(closed) = open.remove(site) {
            closed.stop.notify_one();
        }
        is_last
    }

    /// A place among those that are worked on; none when all are taken: `user` is woken when one is free.
    fn place(self: &Arc<Self>, site: &Site, user: &Owner) -> Option<Place> {
        let mut open = self.lock();
        let found = open.get_mut(site)?;
        if found.busy >= self.places {
            found.waiting.insert(user.clone());
            return None;
        }
        found.busy += 1;
        found.waiting.remove(user);
        Some(Place { remotes: self.clone(), site: site.clone() })
    }

    fn give_back(&self, site: &Site) {
        let mut open = self.lock();
        let Some(found) = open.get_mut(site) else { return };
        found.busy = found.busy.saturating_sub(1);
        for _ in found.busy..self.places {
            let Some((namespace, name)) = found.waiting.pop_first() else { return };
            let _ = self.wake.send(ObjectRef::new(&name).within(&namespace));
        }
    }

    fn wake_users(&self, site: &Site) {
        for (namespace, name) in self.lock().get(site).iter().flat_map(|open| &open.users) {
            let _ = self.wake.send(ObjectRef::new(name).within(namespace));
        }
    }

    fn users(&self) -> Vec<(Site, Owner)> {
        let open = self.lock();
        open.iter().flat_map(|(site, open)| open.users.iter().map(|user| (site.clone(), user.clone()))).collect()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Site, Open>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.remotes.give_back(&self.site);
    }
}

/// Asks a server that was silent whether it is there, until it is.
async fn look_after(cluster: &Cluster, back: &(dyn Fn() + Sync)) {
    let Some(link) = cluster.link() else { return };
    loop {
        link.doubted().await;
        let Err(mut why) = cluster.probe().await else { continue };
        let [mut wait, longest] = AGAIN;
        loop {
            link.set_broken(Some(why));
            clock::pause(wait).await;
            wait = (wait * 2).min(longest);
            match cluster.probe().await {
                Ok(()) => break,
                Err(still) => why = still,
            }
        }
        link.set_broken(None);
        back();
    }
}

/// The cluster of a GitSync's objects, with its rights. None when too many others are worked on there: it is woken later.
///
/// # Errors
/// When there is no usable kubeconfig in its Secret, or its server does not answer. What was held of another cluster is given up.
pub(crate) async fn reach(
    context: &Context,
    sync: &GitSync,
    memory: &mut Remembered,
) -> Result<Option<Reached>, Failure> {
    let account = sync.spec.service_account_name.as_deref();
    let user = owner(sync);
    let Some(wanted) = &sync.spec.kube_config else {
        leave(context, sync, memory);
        let cluster = context.cluster.by(&identity(sync, context));
        memory.cluster = Some(cluster.clone());
        return Ok(Some(Reached { cluster, _place: None }));
    };
    let secret = &wanted.secret_ref;
    let data = referring::kubeconfig(context, sync, &mut memory.references, FIELD).await;
    let name = format!("Secret {}/{}", user.0, secret.name);
    let read = data.and_then(|data| read(data.as_ref(), secret.key.as_deref(), &name));
    let opened = read.and_then(|read| {
        let failed = |error: Error| Failure::user(Reason::InvalidSecret, format!("{FIELD}: {name}: {error}"));
        context.remotes.enter(&read, &user).map_err(failed)
    });
    let base = match opened {
        Ok(base) => base,
        Err(failure) => {
            leave(context, sync, memory);
            return Err(failure);
        }
    };
    let cluster = base.by_account(&user.0, account);
    if memory.cluster.as_ref().is_some_and(|before| before.site() != cluster.site()) {
        leave(context, sync, memory);
    }
    memory.cluster = Some(cluster.clone());
    if let Some(why) = cluster.link().and_then(crate::cluster::remote::Link::broken) {
        let message = format!("the API server of {name} can't be asked: {why}");
        return Err(Failure::retry(Reason::ClusterUnavailable, message));
    }
    let place = context.remotes.place(cluster.site(), &user);
    Ok(place.map(|place| Reached { cluster, _place: Some(place) }))
}

/// Uses no other cluster any more; the last who used one closes it.
pub(crate) fn leave(context: &Context, sync: &GitSync, memory: &mut Remembered) {
    let Some(before) = memory.cluster.take().filter(|before| *before.site() != Site::Home) else { return };
    observing::leave(context, sync, &mut memory.unhealthy);
    memory.judged = None;
    close(context, before.site(), &owner(sync));
}

fn close(context: &Context, site: &Site, user: &Owner) {
    if context.remotes.leave(site, user) {
        context.watches.stop_all(site).iter().for_each(|key| context.table.forget(&view(key)));
    }
}

/// Closes what only GitSyncs used that are gone.
pub(crate) fn forget_the_gone(context: &Context) {
    let living: HashSet<Owner> = context.stores.git_syncs.state().iter().map(|sync| owner(sync)).collect();
    for (site, user) in context.remotes.users() {
        if !living.contains(&user) {
            close(context, &site, &user);
        }
    }
}

/// The kubeconfig in a Secret.
fn read(data: Option<&Data>, key: Option<&str>, name: &str) -> Result<Kubeconfig, Failure> {
    let failure = |reason: String| Failure::user(Reason::InvalidSecret, format!("{FIELD}: {reason}"));
    let missing = || Failure::user(Reason::DependencyNotReady, format!("{FIELD}: {name} does not exist"));
    let data = data.ok_or_else(missing)?;
    let keys = key.map_or_else(|| KEYS.to_vec(), |key| vec![key]);
    let Some((key, text)) = keys.iter().find_map(|key| data.get_key_value(*key)) else {
        let keys = keys.join(" or ");
        return Err(failure(format!(
            "{name} has no key {keys}: put the kubeconfig there, or name its key in {FIELD}.key"
        )));
    };
    Kubeconfig::read(text).map_err(|reason| failure(format!("{name}, key {key}: {reason}")))
}

/// What is still in another cluster that the GitSync no longer leads to.
pub(crate) fn left_behind(owned: &Inventory) -> Option<String> {
    let all: Vec<String> = owned.objects().map(|(key, _)| key.to_string()).collect();
    let few = status::few(&all);
    let place = if owned.cluster().is_some() { "the cluster of the kubeconfig of before" } else { "this cluster" };
    (!all.is_empty()).then(|| {
        format!("spec.kubeConfig leads to another cluster now; what was applied stays in {place}, and is left alone from now on: {few}")
    })
}

#[cfg(test)]
mod tests;
