//! GitSync: keeps a part of the cluster equal to a path of a ConfigRepo.

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::condition::Condition;
use super::duration::Span;
use super::reference::LocalRef;
use crate::revision::Revision;

mod build;
mod checks;
mod decryption;
mod helm;
mod history;
mod remote;
mod treatment;
mod windows;

pub use build::{
    CommonMetadata, ImageOverride, PatchTarget, PostBuild, Source, SourceKind, SubstituteStrategy, SyncPatch,
};
pub use checks::{AccessFrom, Dependency, HealthCheck, HealthCheckExpr};
pub use decryption::{Decryption, DecryptionProvider};
pub use helm::HelmChart;
pub use history::{HISTORY, RevisionOutcome, RevisionRecord};
pub use remote::{KubeConfig, KubeConfigSecret};
pub use treatment::{DeletionPolicy, IgnoreDifference, IgnoreTarget, ObjectDrift};
pub use windows::{SyncWindow, WindowKind, WindowState, WindowStatus};

/// Keeps a part of the cluster equal to a path of a ConfigRepo.
#[derive(CustomResource, Debug, Clone, PartialEq, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "tagboat.dev",
    version = "v1alpha1",
    kind = "GitSync",
    plural = "gitsyncs",
    shortname = "gsync",
    category = "tagboat",
    namespaced,
    status = "GitSyncStatus",
    derive = "PartialEq",
    printcolumn = r#"{"name":"Path","type":"string","jsonPath":".spec.path"}"#,
    printcolumn = r#"{"name":"Revision","type":"string","jsonPath":".status.lastAppliedRevision"}"#,
    printcolumn = r#"{"name":"Healthy","type":"string","jsonPath":".status.health.summary"}"#,
    printcolumn = r#"{"name":"Age","type":"date","jsonPath":".metadata.creationTimestamp"}"#,
    printcolumn = r#"{"name":"Ready","type":"string","jsonPath":".status.conditions[?(@.type==\"Ready\")].status"}"#,
    printcolumn = r#"{"name":"Message","type":"string","jsonPath":".status.conditions[?(@.type==\"Ready\")].message"}"#
)]
#[serde(rename_all = "camelCase")]
pub struct GitSyncSpec {
    /// The repository.
    pub config_repo_ref: LocalRef,
    /// The folder in it: plain YAML (read with its sub-folders), a kustomization or a Helm chart. The whole repository when absent.
    #[serde(default = "default_path")]
    pub path: String,
    /// How often everything is compared again from the ground; drift is watched, not polled.
    #[serde(default = "default_interval")]
    pub interval: Span,
    /// Files below `path` that are not read, in the syntax of a `.gitignore` that stands there. A kustomization names its files itself,
    /// so this is for plain YAML.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 65536))]
    pub ignore: Option<String>,
    /// How the Helm chart in `path` is rendered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub helm: Option<HelmChart>,
    /// How encrypted files are read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decryption: Option<Decryption>,
    /// Puts every namespaced object into this namespace, and what refers to it, as kustomize's `namespace` does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub target_namespace: Option<String>,
    /// Comes before every name, as kustomize's `namePrefix`; it replaces one of the kustomization.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 200))]
    pub name_prefix: Option<String>,
    /// Comes after every name, as kustomize's `nameSuffix`; it replaces one of the kustomization.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 200))]
    pub name_suffix: Option<String>,
    /// Other images, as kustomize's `images`; each replaces the kustomization's entry of the same name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub images: Vec<ImageOverride>,
    /// Patches, after those of the kustomization, as kustomize's `patches`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub patches: Vec<SyncPatch>,
    /// Folders of kustomize components, relative to `path`, after those of the kustomization.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub components: Vec<String>,
    /// Leaves out components that are not in the repository.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub ignore_missing_components: bool,
    /// Labels and annotations of every object, in place of those of the same name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub common_metadata: Option<CommonMetadata>,
    /// Replaces `${…}` in the built objects by variables.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub post_build: Option<PostBuild>,
    /// Creates `targetNamespace` when it is missing; it is never deleted again.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub create_namespace: bool,
    /// Deletes objects that left Git.
    #[serde(default = "yes")]
    pub prune: bool,
    /// When more than this share of the owned objects left Git at once, in percent, they are deleted only after a person confirmed it
    /// by the annotation `tagboat.dev/confirmPrune: COMMIT`; up to ten objects always go. 100 asks never.
    #[serde(default = "default_prune_limit")]
    #[schemars(range(max = 100))]
    pub prune_limit: u8,
    /// What happens to the objects when the GitSync is deleted.
    #[serde(default)]
    pub deletion_policy: DeletionPolicy,
    /// Deletes objects and makes them anew when a field that can't be changed has to, where no data can be lost by that.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub force: bool,
    /// Fields that are left as others set them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 50))]
    pub ignore_differences: Vec<IgnoreDifference>,
    /// Undoes changes that others make; `false`: reports them.
    #[serde(default = "yes")]
    pub self_heal: bool,
    /// Ready only when every object is healthy.
    #[serde(default = "yes")]
    pub wait: bool,
    /// How long objects may take to become healthy.
    #[serde(default = "default_timeout")]
    pub timeout: Span,
    /// Objects beside those of the path that must be healthy too; with `wait: false` the only ones.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 50))]
    pub health_checks: Vec<HealthCheck>,
    /// What healthy means for kinds that we know nothing about, or that are another matter here.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 50))]
    pub health_check_exprs: Vec<HealthCheckExpr>,
    /// GitSyncs that must be ready first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 100))]
    pub depends_on: Vec<Dependency>,
    /// Namespaces whose GitSyncs may depend on this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub access_from: Option<AccessFrom>,
    /// The service account of the namespace as which everything is read, watched, applied and deleted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub service_account_name: Option<String>,
    /// Another cluster: everything is read, watched, applied and deleted there. The GitSync, its Secrets, its status and its events stay
    /// where they are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kube_config: Option<KubeConfig>,
    /// When objects may be applied, corrected and pruned; at any time when empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub windows: Vec<SyncWindow>,
    /// Stops applying, correcting and pruning.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub suspend: bool,
}

fn default_path() -> String {
    "./".to_owned()
}

fn default_interval() -> Span {
    Span(std::time::Duration::from_secs(600))
}

fn default_timeout() -> Span {
    Span(std::time::Duration::from_secs(300))
}

fn default_prune_limit() -> u8 {
    50
}

pub(crate) fn yes() -> bool {
    true
}

/// What was applied, what is owned, how it fares.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GitSyncStatus {
    /// Ready, Reconciling, Stalled.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
    /// The generation that the conditions speak of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// The last value of the annotation `tagboat.dev/requestedAt` that was acted on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_handled_reconcile_at: Option<String>,
    /// The revision that was applied last, in full.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_applied_revision: Option<Revision>,
    /// The revision that was tried last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_attempted_revision: Option<Revision>,
    /// Every object that this GitSync owns.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inventory: Option<Inventory>,
    /// How its objects fare.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health: Option<HealthStatus>,
    /// Objects that others changed and that are left so: with `selfHeal: false`, or since another controller insists; at most 20.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub drift: Vec<ObjectDrift>,
    /// Whether changes are allowed now, with `spec.windows`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window: Option<WindowStatus>,
    /// What became of the last ten revisions, the newest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 10))]
    pub history: Vec<RevisionRecord>,
}

/// Every object that a GitSync owns.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Inventory {
    /// One entry an object, in the order of their ids; empty when they are packed.
    pub entries: Vec<InventoryEntry>,
    /// The entries of a large inventory, so that they fit into one object of etcd: JSON, compressed by gzip, in Base64.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub packed: Option<String>,
    /// Stands for the address of the cluster that the objects are in, with `spec.kubeConfig`. What is in another cluster than the one of
    /// now is never touched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster: Option<String>,
}

/// One owned object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct InventoryEntry {
    /// `<namespace>_<name>_<group>_<kind>` (Flux's form; a colon in a name becomes `__`).
    pub id: String,
    /// The API version.
    pub v: String,
    /// Hashes of what was applied and of what the cluster made of it, so that a restart needs no request to see that they are equal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub h: Option<String>,
}

/// How the objects of a GitSync fare.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HealthStatus {
    /// Healthy objects of all, such as `3/4`.
    pub summary: String,
    /// The objects that are not healthy; at most 50 entries.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unhealthy: Vec<ObjectHealth>,
}

/// One object that is not healthy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ObjectHealth {
    /// `Kind/namespace/name`.
    pub object: String,
    /// `Progressing`, `Failed` or `Missing`.
    pub status: String,
    /// Why.
    pub message: String,
}
