//! What the tests of loop one and the story say again and again: the product's objects as YAML, waits for their conditions, and what
//! is read back from Git, events and the audit log.

use std::fmt::Debug;
use std::time::Duration;

use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::events::v1::Event;
use kube::Resource;
use kube::api::{ListParams, Patch, PatchParams};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;
use tagboat::api::condition::{Condition, Reason};
use tagboat::api::image_policy::TagVerdict;
use tagboat::api::{ConfigRepo, GitSync, ImagePolicy, ImageUpdate};

use crate::support::cluster::audit::{ApiRequest, Mark};
use crate::support::git::{Commit, Repo, git};
use crate::support::wait::{eventually, wait_for};
use crate::support::world::World;

/// Enough for anything that takes a second on an idle machine.
pub const SOON: Duration = Duration::from_secs(45);

/// A ConfigRepo `fleet` that asks every second, and its Secret.
pub async fn config_repo(world: &World, repo: &Repo) {
    world.git_secret("git").await;
    let spec = format!("{{url: '{}', interval: 1s, secretRef: {{name: git}}}}", repo.url);
    apply(world, "ConfigRepo", "fleet", &spec).await;
}

/// An ImagePolicy for an image of the test, asked every second; `spec` as flow YAML without braces.
pub async fn image_policy(world: &World, name: &str, app: &str, spec: &str) {
    let interval = if spec.contains("interval:") { "" } else { "interval: 1s, " };
    let spec = format!("{{image: '{}', insecure: true, {interval}{spec}}}", world.image(app));
    apply(world, "ImagePolicy", name, &spec).await;
}

/// Any version.
pub const NEWEST: &str = "policy: {semver: {range: '*'}}";

/// An ImageUpdate `fleet`; `spec` as flow YAML without braces.
pub async fn image_update(world: &World, spec: &str) {
    apply(world, "ImageUpdate", "fleet", &format!("{{configRepoRef: {{name: fleet}}, {spec}}}")).await;
}

/// One app at 1.0.0 in one marked file, with all objects that keep it up to date; no controller yet.
pub async fn one_app(world: &World, path: &str) -> Repo {
    world.push("app", &["1.0.0"]).await;
    let repo = world.repo("fleet", &[(path, &marked(world, "app", "1.0.0"))]);
    config_repo(world, &repo).await;
    image_policy(world, "app", "app", NEWEST).await;
    image_update(world, "batchWindow: 10ms").await;
    repo
}

/// A GitSync `apps` into the test's namespace; `spec` as flow YAML without braces.
pub async fn git_sync(world: &World, spec: &str) {
    let spec = format!("{{configRepoRef: {{name: fleet}}, targetNamespace: {}, {spec}}}", world.namespace);
    apply(world, "GitSync", "apps", &spec).await;
}

/// One object of the product's.
pub async fn apply(world: &World, kind: &str, name: &str, spec: &str) {
    let text = format!("apiVersion: tagboat.dev/v1alpha1\nkind: {kind}\nmetadata: {{name: {name}}}\nspec: {spec}\n");
    world.apply_yaml(&text).await;
}

/// The comment that ties a scalar to a policy of the test's namespace.
pub fn marker(world: &World, policy: &str) -> String {
    format!("# {{\"$imagepolicy\": \"{}:{policy}\"}}", world.namespace)
}

/// `image: NAME:TAG # marker`, as a file of its own.
pub fn marked(world: &World, app: &str, tag: &str) -> String {
    format!("image: {}:{tag} {}\n", world.image(app), marker(world, app))
}

/// What all four kinds have.
pub trait Product:
    Resource<Scope = NamespaceResourceScope, DynamicType = ()>
    + Clone
    + Debug
    + Send
    + Sync
    + Serialize
    + DeserializeOwned
    + 'static
{
    fn conditions(&self) -> &[Condition];
}

macro_rules! product {
    ($($kind:ty),*) => {$(
        impl Product for $kind {
            fn conditions(&self) -> &[Condition] {
                self.status.as_ref().map_or(&[], |status| &status.conditions)
            }
        }
    )*};
}

product!(ConfigRepo, ImagePolicy, ImageUpdate, GitSync);

/// Waits until the object's `Ready` has this status and reason for its present generation.
pub async fn ready<K: Product>(world: &World, name: &str, status: &str, reason: Reason) -> K {
    let what = format!("{} {name} Ready={status} {}", K::kind(&()), reason.as_str());
    wait_for(&world.api::<K>(), name, &what, SOON, |object| {
        let object = object?;
        let ready = object.conditions().iter().find(|condition| condition.kind == "Ready")?;
        let is_it = ready.status == status
            && ready.reason == reason.as_str()
            && ready.observed_generation == object.meta().generation;
        is_it.then(|| object.clone())
    })
    .await
}

/// The message of `Ready`.
pub fn message<K: Product>(object: &K) -> String {
    object.conditions().iter().find(|condition| condition.kind == "Ready").unwrap().message.clone()
}

/// Waits until the policy has chosen this tag.
pub async fn chosen(world: &World, policy: &str, tag: &str) -> ImagePolicy {
    wait_for(&world.api::<ImagePolicy>(), policy, &format!("tag {tag}"), SOON, |object| {
        object.filter(|object| latest(object).as_deref() == Some(tag)).cloned()
    })
    .await
}

/// The chosen tag.
pub fn latest(policy: &ImagePolicy) -> Option<String> {
    Some(policy.status.as_ref()?.latest_ref.as_ref()?.tag.as_str().to_owned())
}

/// The chosen digest.
pub fn pinned(policy: &ImagePolicy) -> Option<String> {
    Some(policy.status.as_ref()?.latest_ref.as_ref()?.digest.as_ref()?.as_str().to_owned())
}

/// Waits until the policy has chosen this tag with this digest.
pub async fn chosen_as(world: &World, policy: &str, tag: &str, digest: &str) -> ImagePolicy {
    wait_for(&world.api::<ImagePolicy>(), policy, &format!("tag {tag}@{digest}"), SOON, |object| {
        let is_it =
            |object: &&ImagePolicy| latest(object).as_deref() == Some(tag) && pinned(object).as_deref() == Some(digest);
        object.filter(is_it).cloned()
    })
    .await
}

/// Waits until the status says that this rule decided about a tag.
pub async fn ruled(world: &World, policy: &str, tag: &str, rule: &str) -> (ImagePolicy, TagVerdict) {
    wait_for(&world.api::<ImagePolicy>(), policy, &format!("{tag} stopped by {rule}"), SOON, |object| {
        let mut verdicts = object?.status.as_ref()?.verdicts.iter();
        let verdict = verdicts.find(|verdict| verdict.tag.as_str() == tag && verdict.rule == rule)?;
        Some((object?.clone(), verdict.clone()))
    })
    .await
}

/// Waits for scans from now on: so many whole ones that began after this.
pub async fn scanned(world: &World, repository: &str, times: usize) {
    // The first list that is counted may have been on its way already.
    let before = world.registry.lists(repository);
    asked("the list", before + times + 1, || world.registry.lists(repository)).await;
}

/// Waits until a file of the branch holds a text.
pub async fn in_git(repo: &Repo, path: &str, text: &str) {
    eventually(&format!("{text} in {path}"), SOON, || async {
        let file = repo.file_at_head(path).unwrap_or_default();
        if file.contains(text) { Ok(()) } else { Err(file) }
    })
    .await;
}

/// Waits until something was asked for or written so many times in all.
pub async fn asked(what: &str, times: usize, count: impl Fn() -> usize) {
    eventually(&format!("{what} ({times})"), SOON, || async {
        let count = count();
        if count >= times { Ok(()) } else { Err(count) }
    })
    .await;
}

/// Reconcile now.
pub async fn request<K: Product>(world: &World, name: &str, value: &str) {
    let patch = json!({"metadata": {"annotations": {"tagboat.dev/requestedAt": value}}});
    world.api::<K>().patch(name, &PatchParams::default(), &Patch::Merge(patch)).await.unwrap();
}

/// The notes of an object's events of one reason.
pub async fn events(world: &World, object: &str, reason: Reason) -> Vec<String> {
    let events = world.api::<Event>().list(&ListParams::default()).await.unwrap().items;
    let ours = events.into_iter().filter(|event| {
        event.reason.as_deref() == Some(reason.as_str())
            && event.regarding.as_ref().and_then(|regarding| regarding.name.as_deref()) == Some(object)
    });
    ours.filter_map(|event| event.note).collect()
}

/// Waits for an event whose note holds all words.
pub async fn event(world: &World, object: &str, reason: Reason, words: &[&str]) -> String {
    eventually(&format!("event {} with {words:?}", reason.as_str()), SOON, || async {
        let notes = events(world, object, reason).await;
        let found = notes.iter().find(|note| words.iter().all(|word| note.contains(word)));
        found.cloned().ok_or_else(|| format!("{notes:?}"))
    })
    .await
}

/// What the controller wrote in the test's namespace since, such as `patch gitsyncs/apps/status`.
pub fn writes(world: &World, since: Mark) -> Vec<String> {
    let requests = world.cluster.audit().requests_by("tagboat", since).into_iter();
    let is_write = |r: &ApiRequest| r.namespace == world.namespace && !matches!(&*r.verb, "get" | "list" | "watch");
    let show = |r: ApiRequest| format!("{} {}/{}/{}", r.verb, r.resource, r.name, r.subresource);
    requests.filter(is_write).map(|r| show(r).trim_end_matches('/').to_owned()).collect()
}

/// What a commit says that it changed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Bump {
    pub policy: String,
    pub file: String,
    pub new: String,
}

/// The trailers of commits, in their order.
pub fn bumps(log: &[Commit]) -> Vec<Bump> {
    let lines = log.iter().flat_map(|commit| commit.message.lines());
    let values = lines.filter_map(|line| line.strip_prefix("Tagboat-Update: "));
    let read = |value| {
        let (policy, file, _, _, _, new): (String, String, u32, String, String, String) =
            serde_json::from_str(value).unwrap();
        Bump { policy, file, new }
    };
    values.map(read).collect()
}

/// The commits of the controller.
pub fn robots(log: &[Commit]) -> Vec<&Commit> {
    log.iter().filter(|commit| commit.message.contains("\nTagboat-Update: ")).collect()
}

/// Git's words about a repository.
pub fn git_says(repo: &Repo, args: &[&str]) -> String {
    let output = git().arg("--git-dir").arg(&repo.folder).args(args).output().unwrap();
    assert!(output.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim_end().to_owned()
}

/// The lines that a commit takes away and adds, as Git shows them.
pub fn changed_lines(repo: &Repo, id: &str) -> Vec<String> {
    let shown = repo.show(id);
    let is_change = |line: &&str| line.starts_with(['+', '-']) && !line.starts_with("+++") && !line.starts_with("---");
    shown.lines().filter(is_change).map(str::to_owned).collect()
}
