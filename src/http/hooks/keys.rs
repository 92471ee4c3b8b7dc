//! Google's public keys, asked for when a token names one that isn't known. Must never be asked from where a payload says.
#![expect(clippy::disallowed_methods, reason = "this is the webhooks' one request to the outside")]

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use reqwest::{Client, Response, header, redirect};
use serde::Deserialize;
use tokio::sync::Mutex;

use super::token::Key;
use crate::failure::chain;

/// For the whole answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// The most that a key set may take, in bytes; Google's takes about 2 KiB.
const LARGEST: usize = 64 << 10;
/// How long keys are used, whatever `Cache-Control` says.
const SHORTEST_USE: TimeDelta = TimeDelta::minutes(5);
const LONGEST_USE: TimeDelta = TimeDelta::hours(24);
/// Between two requests, so that tokens with made-up key names cost no more.
const PAUSE: TimeDelta = TimeDelta::minutes(1);

/// The keys that are known.
pub struct Keys {
    url: String,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    keys: Vec<Key>,
    until: Option<DateTime<Utc>>,
    asked: Option<DateTime<Utc>>,
}

#[derive(Deserialize)]
struct KeySet {
    keys: Vec<Key>,
}

impl Keys {
    /// Keys of this address.
    pub fn new(url: String) -> Self {
        Self { url, known: Mutex::default() }
    }

    /// The key of this name; asks for it when it is unknown or the keys are too old, at most once a minute.
    pub async fn find(&self, name: &str, now: DateTime<Utc>) -> Option<Key> {
        let mut known = self.known.lock().await;
        let is_fresh = |known: &Known| known.until.is_some_and(|until| now < until);
        let key = |known: &Known| known.keys.iter().find(|key| key.kid == name).filter(|_| is_fresh(known)).cloned();
        if let Some(key) = key(&known) {
            return Some(key);
        }
        // In both directions: a clock that was set back must not keep us from asking.
        if known.asked.is_some_and(|asked| (now - asked).abs() < PAUSE) {
            return None;
        }
        known.asked = Some(now);
        match fetch(&self.url).await {
            Ok((keys, used)) => (known.keys, known.until) = (keys, Some(now + used)),
            Err(error) => tracing::warn!("ask for the keys that sign webhooks at {}: {error}", self.url),
        }
        key(&known)
    }
}

async fn fetch(url: &str) -> Result<(Vec<Key>, TimeDelta), String> {
    let client = Client::builder()
        .user_agent(concat!("tagboat/", env!("CARGO_PKG_VERSION")))
        .https_only(url.starts_with("https:"))
        .redirect(redirect::Policy::none())
        .timeout(PATIENCE)
        .build()
        .map_err(|error| chain(&error))?;
    let response = client.get(url).send().await.map_err(|error| chain(&error))?;
    if !response.status().is_success() {
        return Err(format!("it answered {}", response.status()));
    }
    let used = used(&response);
    let set: KeySet = serde_json::from_slice(&body(response).await?).map_err(|error| error.to_string())?;
    Ok((set.keys, used))
}

async fn body(mut response: Response) -> Result<Vec<u8>, String> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| chain(&error))? {
        if body.len() + chunk.len() > LARGEST {
            return Err(format!("the key set is larger than {LARGEST} bytes"));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

fn used(response: &Response) -> TimeDelta {
    let control = response.headers().get(header::CACHE_CONTROL).and_then(|value| value.to_str().ok());
    let seconds = control.and_then(|control| {
        control.split(',').find_map(|directive| directive.trim().strip_prefix("max-age=")?.parse::<u32>().ok())
    });
    TimeDelta::seconds(seconds.unwrap_or_default().into()).clamp(SHORTEST_USE, LONGEST_USE)
}
