//! Webhooks. Input: the sender's type (a Git host's behind `git/`), headers, an empty line, the body.

use std::collections::BTreeMap;

use http::{HeaderMap, HeaderName, HeaderValue};
use tagboat::api::webhook::{GitWebhookType, Sender, WebhookType};
use tagboat::http::hooks::fuzzing::{is_of, is_proved};
use tagboat::http::hooks::{Event, Secret, parse};

use super::first_line;

/// Nobody who doesn't know it can prove anything.
const TOKEN: &str = "0123456789abcdef-never-in-an-input";

pub fn run(input: &[u8]) {
    let (kind, mut rest) = first_line(input);
    let Some(kind) = sender(kind) else { return };
    let mut headers = HeaderMap::new();
    loop {
        let (line, after) = first_line(rest);
        rest = after;
        let Some((name, value)) = line.split_once(':') else { break };
        if let (Ok(name), Ok(value)) = (name.parse::<HeaderName>(), HeaderValue::from_str(value.trim())) {
            headers.append(name, value);
        }
    }
    check_proof(kind, &headers, rest);
    let Ok(events) = parse(kind, &headers, rest) else { return };
    check_events(&events, input.len());
    let ours =
        ["registry.example.com/acme/app", "nginx", "ghcr.io/acme/app"].map(|name| name.parse().expect("constant"));
    for event in &events {
        for repository in &ours {
            let is_of = is_of(repository, event);
            let names = event.names.iter().flatten();
            let is_somewhere =
                |path: &str| repository.path().to_ascii_lowercase().ends_with(&path.to_ascii_lowercase());
            assert!(!is_of || event.names.is_none() || names.into_iter().any(|named| is_somewhere(&named.path)));
        }
    }
    assert_eq!(parse(kind, &headers, rest).as_ref(), Ok(&events), "the same each time");
}

fn sender(text: &str) -> Option<Sender> {
    Some(match text.strip_prefix("git/") {
        Some(host) => serde_json::from_value::<GitWebhookType>(host.into()).ok()?.into(),
        None => serde_json::from_value::<WebhookType>(text.into()).ok()?.into(),
    })
}

/// What is kept of a webhook is not larger than the webhook, but for a few constants.
fn check_events(events: &[Event], input: usize) {
    let (mut bytes, mut names) = (0, 0);
    for event in events {
        for named in event.names.iter().flatten() {
            assert!(!named.path.starts_with('/') && !named.path.ends_with('/'));
            names += 1;
            bytes += named.path.len() + named.host.as_ref().map_or(0, String::len);
        }
        bytes += event.id.as_ref().map_or(0, String::len) + event.reference.as_ref().map_or(0, String::len);
    }
    // Harbor says a name of up to 255 bytes once for all its resources.
    assert!(events.len() <= 1 + input / 2, "each entry takes two bytes at least");
    assert!(bytes <= 4 * input + 255 * (names + 1), "{bytes} bytes of {input}");
}

/// Who doesn't know the Secret can't prove it, whatever the headers are.
fn check_proof(kind: Sender, headers: &HeaderMap, body: &[u8]) {
    let data = ["token", "authorization", "email", "audience", "api-key"];
    let data: BTreeMap<String, Vec<u8>> = data.map(|key| (key.to_owned(), TOKEN.into())).into();
    let secret = Secret::new(kind, data).expect("it has everything");
    let by_path_alone = matches!(kind, Sender::Registry(WebhookType::Dockerhub | WebhookType::Quay));
    assert_eq!(is_proved(kind, &secret, headers, body), by_path_alone, "a proof without the secret");
}
