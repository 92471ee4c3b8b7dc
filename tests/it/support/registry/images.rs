//! What the tests push: small images whose manifests and configurations say what a test wants them to.

use std::path::Path;

use futures::StreamExt;
use reqwest::Method;
use serde_json::{Value, json};

use super::{Registry, digest};

const MANIFEST_TYPE: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX_TYPE: &str = "application/vnd.oci.image.index.v1+json";
const CONFIG_TYPE: &str = "application/vnd.oci.image.config.v1+json";
const LAYER_TYPE: &str = "application/vnd.oci.image.layer.v1.tar";

/// What an image says of itself.
#[derive(Debug, Clone)]
pub struct Build {
    /// Makes its digest another one.
    pub label: String,
    /// Such as `linux/arm/v7`.
    pub platform: &'static str,
    /// `created` of its configuration.
    pub created: Option<&'static str>,
    /// `org.opencontainers.image.created` of its manifest.
    pub annotated: Option<&'static str>,
}

impl Build {
    /// For linux/amd64, built at some time.
    pub fn new(label: &str) -> Self {
        let created = Some("2026-01-02T03:04:05Z");
        Self { label: label.to_owned(), platform: "linux/amd64", created, annotated: None }
    }

    /// For another platform.
    pub fn on(platform: &'static str) -> Self {
        Self { platform, ..Self::new(platform) }
    }

    /// Built at this time.
    pub fn created(time: &'static str) -> Self {
        Self { created: Some(time), ..Self::new(time) }
    }

    /// As the entry of an index and the configuration have it.
    fn platform(&self) -> Value {
        let words: Vec<&str> = self.platform.split('/').collect();
        let mut platform = json!({"os": words[0], "architecture": words[1]});
        if let Some(variant) = words.get(2) {
            platform["variant"] = json!(variant);
        }
        platform
    }
}

impl Registry {
    /// Pushes a small image; its digest, which is another one for every tag.
    pub async fn push(&self, repository: &str, tag: &str) -> String {
        self.push_variant(repository, tag, "").await
    }

    /// Pushes a small image; another `variant` under the same tag gives another digest.
    pub async fn push_variant(&self, repository: &str, tag: &str, variant: &str) -> String {
        self.push_build(repository, tag, &Build::new(&format!("{tag} {variant}"))).await
    }

    /// Pushes an image that says this; its digest.
    pub async fn push_build(&self, repository: &str, tag: &str, build: &Build) -> String {
        let manifest = self.push_content(repository, build).await;
        self.put_manifest(repository, tag, MANIFEST_TYPE, &manifest).await;
        digest(&manifest)
    }

    /// Pushes an index of these images; its digest.
    pub async fn push_index(&self, repository: &str, tag: &str, builds: &[Build]) -> String {
        let mut entries = Vec::new();
        for build in builds {
            let manifest = self.push_content(repository, build).await;
            let digest = digest(&manifest);
            self.put_manifest(repository, &digest, MANIFEST_TYPE, &manifest).await;
            entries.push(json!({
                "mediaType": MANIFEST_TYPE, "digest": digest, "size": manifest.len(), "platform": build.platform(),
            }));
        }
        let index = json!({"schemaVersion": 2, "mediaType": INDEX_TYPE, "manifests": entries}).to_string();
        self.put_manifest(repository, tag, INDEX_TYPE, index.as_bytes()).await;
        digest(index.as_bytes())
    }

    /// Pushes one image under many tags.
    pub async fn push_many(&self, repository: &str, tags: impl IntoIterator<Item = String>) {
        let manifest = self.push_content(repository, &Build::new("many")).await;
        let manifest = &manifest;
        let puts = tags
            .into_iter()
            .map(|tag| async move { self.put_manifest(repository, &tag, MANIFEST_TYPE, manifest).await });
        futures::stream::iter(puts).buffer_unordered(16).collect::<()>().await;
    }

    /// The one image of a layout on disk (OCI image specification, "Image Layout"); its digest.
    pub async fn push_layout(&self, repository: &str, tag: &str, layout: &Path) -> String {
        let index: Value = serde_json::from_slice(&std::fs::read(layout.join("index.json")).unwrap()).unwrap();
        let blob = |digest: &str| std::fs::read(layout.join("blobs").join(digest.replace(':', "/"))).unwrap();
        let found = index["manifests"][0]["digest"].as_str().unwrap();
        let manifest = blob(found);
        let parts: Value = serde_json::from_slice(&manifest).unwrap();
        for part in std::iter::once(&parts["config"]).chain(parts["layers"].as_array().unwrap()) {
            self.push_blob(repository, blob(part["digest"].as_str().unwrap())).await;
        }
        self.put_manifest(repository, tag, MANIFEST_TYPE, &manifest).await;
        found.to_owned()
    }

    /// A manifest or blob, by its path below the repository.
    pub async fn pull(&self, repository: &str, path: &str) -> Vec<u8> {
        let get = self.request(Method::GET, &format!("/v2/{repository}/{path}")).header("accept", MANIFEST_TYPE);
        self.send(get).await.bytes().await.unwrap().to_vec()
    }

    /// Layer and configuration of an image; its manifest.
    async fn push_content(&self, repository: &str, build: &Build) -> Vec<u8> {
        let layer = vec![0; 1024]; // an empty tar archive
        let mut config = build.platform();
        config["config"] = json!({"Labels": {"org.opencontainers.image.version": build.label}});
        config["rootfs"] = json!({"type": "layers", "diff_ids": [digest(&layer)]});
        if let Some(created) = build.created {
            config["created"] = json!(created);
        }
        let config = config.to_string().into_bytes();
        let mut manifest = json!({
            "schemaVersion": 2, "mediaType": MANIFEST_TYPE,
            "config": {"mediaType": CONFIG_TYPE, "digest": digest(&config), "size": config.len()},
            "layers": [{"mediaType": LAYER_TYPE, "digest": digest(&layer), "size": layer.len()}],
        });
        if let Some(created) = build.annotated {
            manifest["annotations"] = json!({"org.opencontainers.image.created": created});
        }
        self.push_blob(repository, layer).await;
        self.push_blob(repository, config).await;
        manifest.to_string().into_bytes()
    }

    async fn push_blob(&self, repository: &str, content: Vec<u8>) {
        let upload = self.send(self.request(Method::POST, &format!("/v2/{repository}/blobs/uploads/"))).await;
        let mut url = self.backend.join(upload.headers()["location"].to_str().unwrap()).unwrap();
        url.query_pairs_mut().append_pair("digest", &digest(&content));
        self.send(self.client.put(url).body(content)).await;
    }

    async fn put_manifest(&self, repository: &str, tag: &str, media_type: &str, manifest: &[u8]) {
        let put = self.request(Method::PUT, &format!("/v2/{repository}/manifests/{tag}"));
        self.send(put.header("content-type", media_type).body(manifest.to_vec())).await;
    }
}
