//! An object of ours with a field that can't be read hides none of its kind: it is told and left alone, as a newer tagboat may have
//! written it.

use std::collections::HashMap;

use futures::stream::{Stream, StreamExt};
use kube::core::DeserializeGuard;
use kube::core::error_boundary::InvalidObject;
use kube::runtime::reflector::{ObjectRef, Store};
use kube::runtime::watcher::{Error, Event};

use super::Item;
use crate::api::condition::{Reason, Verdict, conditions};
use crate::clock;
use crate::cluster::Cluster;
use crate::failure::{Failure, printable};

type Guarded<K> = Result<Event<DeserializeGuard<K>>, Error>;

/// What the watch saw, without what can't be read: of that its last readable version stays, and `tell` hears of it once.
pub fn left_out<K: Item>(
    seen: impl Stream<Item = Guarded<K>> + Send + 'static,
    store: Store<K>,
    tell: impl Fn(InvalidObject) + Send + 'static,
) -> impl Stream<Item = Result<Event<K>, Error>> + Send + 'static {
    let mut told = HashMap::new();
    seen.filter_map(move |event| {
        let mut unreadable = |invalid: InvalidObject| {
            let uid = invalid.metadata.uid.clone().unwrap_or_default();
            // Telling it changes the object, which is seen again.
            if told.insert(uid, invalid.error.clone()).as_ref() != Some(&invalid.error) {
                tell(invalid);
            }
            None
        };
        let event = match event {
            Err(error) => Some(Err(error)),
            Ok(Event::Init) => Some(Ok(Event::Init)),
            Ok(Event::InitDone) => Some(Ok(Event::InitDone)),
            Ok(Event::InitApply(DeserializeGuard(read))) => {
                read.map_or_else(&mut unreadable, |object| Some(Ok(Event::InitApply(object))))
            }
            Ok(Event::Apply(DeserializeGuard(read))) => {
                read.map_or_else(&mut unreadable, |object| Some(Ok(Event::Apply(object))))
            }
            Ok(Event::Delete(DeserializeGuard(read))) => {
                let name = |meta: &InvalidObject| (meta.metadata.name.clone(), meta.metadata.namespace.clone());
                let known = |(name, namespace): (Option<String>, Option<String>)| {
                    let known = store.get(&ObjectRef::new(&name?).within(&namespace?))?;
                    Some(K::clone(&known))
                };
                let gone = read.map_or_else(|invalid| known(name(&invalid)), Some);
                gone.map(|object| Ok(Event::Delete(object)))
            }
        };
        std::future::ready(event)
    })
}

/// Says in its conditions and in the log that an object can't be read.
pub async fn tell<K: Item>(invalid: InvalidObject, cluster: Cluster) {
    let InvalidObject { error, metadata } = invalid;
    let (namespace, name) = (metadata.namespace.unwrap_or_default(), metadata.name.unwrap_or_default());
    let message = format!(
        "a field can't be read, so the object is left alone: {}; mend it, or run the tagboat that wrote it",
        printable(&error, 300)
    );
    tracing::error!(kind = K::KIND, namespace, name, "{message}");
    let verdict = Verdict::Failed(Failure::user(Reason::InvalidSpec, message));
    let conditions = conditions(&verdict, metadata.generation, &[], clock::now().wall);
    if let Err(error) = cluster.write_conditions::<K>((&namespace, &name), &conditions).await {
        tracing::warn!(kind = K::KIND, namespace, name, "status not written: {error}");
    }
}
