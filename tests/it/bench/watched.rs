//! A watch of ours on the cluster, which notes when each version of an object was seen.

use std::fmt::Debug;
use std::time::{Duration, Instant};

use futures::StreamExt;
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Resource};
use serde::de::DeserializeOwned;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// See the module.
pub struct Watched<K> {
    events: UnboundedReceiver<(Instant, K)>,
    task: JoinHandle<()>,
}

impl<K> Watched<K>
where
    K: Resource + Clone + Debug + DeserializeOwned + Send + 'static,
{
    /// Starts it and waits for its first list.
    pub async fn start(api: Api<K>) -> Self {
        let (tell, events) = unbounded_channel();
        let (listed, is_listed) = oneshot::channel();
        let task = tokio::spawn(async move {
            let mut listed = Some(listed);
            let mut seen = std::pin::pin!(watcher(api, watcher::Config::default()).default_backoff());
            while let Some(event) = seen.next().await {
                match event {
                    Ok(watcher::Event::InitApply(object) | watcher::Event::Apply(object)) => {
                        // Whoever no longer listens has stopped this task.
                        let _ = tell.send((Instant::now(), object));
                    }
                    Ok(watcher::Event::InitDone) => {
                        if let Some(listed) = listed.take() {
                            let _ = listed.send(());
                        }
                    }
                    _ => {}
                }
            }
        });
        is_listed.await.unwrap();
        Self { events, task }
    }

    /// The next version of any object.
    pub async fn next(&mut self) -> (Instant, K) {
        self.events.recv().await.expect("a watch never ends")
    }

    /// Waits until `accept` makes something of a version; when that version was seen.
    pub async fn until<T>(
        &mut self,
        what: &str,
        deadline: Duration,
        mut accept: impl FnMut(&K) -> Option<T>,
    ) -> (Instant, T) {
        let mut last = None;
        let search = async {
            loop {
                let (at, object) = self.next().await;
                if let Some(value) = accept(&object) {
                    return (at, value);
                }
                last = Some(object);
            }
        };
        match tokio::time::timeout(deadline, search).await {
            Ok(found) => found,
            Err(_) => panic!("waited {} s for: {what}; last seen: {last:?}", deadline.as_secs()),
        }
    }
}

impl<K> Drop for Watched<K> {
    fn drop(&mut self) {
        self.task.abort();
    }
}
