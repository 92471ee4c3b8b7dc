//! Very many images at little cost, pushed past the proxy: all of them are one small artifact, and its one blob is mounted from
//! repository to repository.

use futures::StreamExt;
use reqwest::{Method, Response};
use serde_json::{Value, json};

use crate::support::guard;
use crate::support::registry::digest;

/// Requests in flight.
const IN_FLIGHT: usize = 8;
/// Whose blob is mounted.
const FIRST: &str = "bench/first";
const BLOB: &[u8] = b"{}";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// The shared registry without its proxy: what is asked here is not counted.
pub struct Images {
    client: reqwest::Client,
    /// `http://127.0.0.1:PORT`
    pub url: String,
}

impl Images {
    /// Of the shared registry, which must be running.
    pub async fn new() -> Self {
        let config = std::fs::read_to_string(guard::folder().join("registry/config.yaml")).unwrap();
        let config: Value = serde_yaml::from_str(&config).unwrap();
        let url = format!("http://{}", config["http"]["addr"].as_str().unwrap());
        let images = Self { client: client(), url };
        let upload = images.send(Method::POST, &format!("{FIRST}/blobs/uploads/"), &[]).await;
        let upload = upload.headers()["location"].to_str().unwrap().to_owned();
        let place = upload.split_once("/v2/").unwrap().1;
        images.send(Method::PUT, &format!("{place}&digest={}", digest(BLOB)), BLOB).await;
        images
    }

    /// The same tags in each of these repositories.
    pub async fn fill(&self, repositories: &[String], tags: &[String]) {
        let manifest = json!({
            "schemaVersion": 2, "mediaType": MANIFEST, "layers": [],
            "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": digest(BLOB), "size": BLOB.len()},
        });
        let manifest = &manifest.to_string().into_bytes();
        let mounts = repositories.iter().map(|repository| async move {
            let path = format!("{repository}/blobs/uploads/?mount={}&from={FIRST}", digest(BLOB));
            let mounted = self.send(Method::POST, &path, &[]).await;
            assert_eq!(mounted.status(), 201, "the blob is not uploaded again");
        });
        futures::stream::iter(mounts).buffer_unordered(IN_FLIGHT).collect::<()>().await;
        let images = repositories.iter().flat_map(|repository| tags.iter().map(move |tag| (repository, tag)));
        let puts = images.map(|(repository, tag)| async move {
            self.send(Method::PUT, &format!("{repository}/manifests/{tag}"), manifest).await;
        });
        futures::stream::iter(puts).buffer_unordered(IN_FLIGHT).collect::<()>().await;
    }

    async fn send(&self, method: Method, path: &str, body: &[u8]) -> Response {
        let request = self.client.request(method, format!("{}/v2/{path}", self.url)).body(body.to_vec());
        request.header("content-type", MANIFEST).send().await.unwrap().error_for_status().unwrap()
    }
}

/// The client that does no more than it is told.
pub fn client() -> reqwest::Client {
    reqwest::Client::builder().no_gzip().no_proxy().build().unwrap()
}

/// Versions, in the order of their bytes.
pub fn versions(count: usize) -> Vec<String> {
    (0..count).map(|n| format!("1.{}.{}", n / 100, 100 + n % 100)).collect()
}
