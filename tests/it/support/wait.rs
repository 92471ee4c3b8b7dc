//! Waiting for a condition, never for a time.

use std::fmt::{Debug, Display};
use std::future::Future;
use std::time::Duration;

use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Resource};
use serde::de::DeserializeOwned;

/// Asks until the answer is `Ok`; `Err` is the state seen instead, which the message at the deadline shows.
///
/// # Panics
/// At the deadline.
pub async fn eventually<T, E, F>(what: &str, deadline: Duration, mut ask: impl FnMut() -> F) -> T
where
    F: Future<Output = Result<T, E>>,
    E: Display,
{
    let end = tokio::time::Instant::now() + deadline;
    let mut ticks = tokio::time::interval(Duration::from_millis(20));
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut last = "no answer".to_owned();
    loop {
        ticks.tick().await;
        match tokio::time::timeout_at(end, ask()).await {
            Ok(Ok(value)) => return value,
            Ok(Err(state)) => last = state.to_string(),
            Err(_) => {}
        }
        // Also for a question that is answered at once, which no time limit ever meets.
        assert!(tokio::time::Instant::now() < end, "waited {} s for: {what}; last seen: {last}", deadline.as_secs());
    }
}

/// Watches the object until `accept` makes something of it, `None` while it is missing.
///
/// # Panics
/// At the deadline, with the last object seen.
pub async fn wait_for<K, T>(
    api: &Api<K>,
    name: &str,
    what: &str,
    deadline: Duration,
    mut accept: impl FnMut(Option<&K>) -> Option<T>,
) -> T
where
    K: Resource + Clone + Debug + DeserializeOwned + Send + serde::Serialize + 'static,
{
    use futures::StreamExt;
    let mut last = None;
    let search = async {
        let mut objects = std::pin::pin!(watcher::watch_object(api.clone(), name).default_backoff());
        while let Some(object) = objects.next().await {
            let Ok(object) = object else { continue };
            if let Some(value) = accept(object.as_ref()) {
                return Some(value);
            }
            last = object;
        }
        None
    };
    match tokio::time::timeout(deadline, search).await {
        Ok(Some(value)) => value,
        _ => {
            let last = last.map_or("nothing".to_owned(), |object| serde_json::to_string(&object).unwrap());
            panic!("waited {} s for: {what}; last seen of {name}: {last}", deadline.as_secs())
        }
    }
}
