//! What users write and read: the four kinds of `tagboat.dev/v1alpha1`, and every name that the cluster sees.

pub mod condition;
pub mod config_repo;
pub mod duration;
pub mod git_sync;
pub mod image_policy;
pub mod image_update;
pub mod reference;
pub mod webhook;

pub use config_repo::{ConfigRepo, ConfigRepoSpec, ConfigRepoStatus};
pub use git_sync::{GitSync, GitSyncSpec, GitSyncStatus};
pub use image_policy::{ImagePolicy, ImagePolicySpec, ImagePolicyStatus};
pub use image_update::{ImageUpdate, ImageUpdateSpec, ImageUpdateStatus};

/// The API group.
pub const GROUP: &str = "tagboat.dev";
/// Group and version, as in `apiVersion`.
pub const API_VERSION: &str = "tagboat.dev/v1alpha1";
/// Field manager of every server-side apply, and the reporting controller of every event.
pub const FIELD_MANAGER: &str = "tagboat";
/// On a GitSync: its objects are deleted before it may go.
pub const FINALIZER: &str = "tagboat.dev/gitsync";
/// Label of every applied object: the GitSync that owns it.
pub const OWNER_NAME: &str = "tagboat.dev/gitsync";
/// Label of every applied object: the namespace of the GitSync that owns it.
pub const OWNER_NAMESPACE: &str = "tagboat.dev/gitsync-namespace";
/// Label of every object that was applied into another cluster: the uid of the GitSync that owns it, since other clusters may have
/// one of the same name.
pub const OWNER_UID: &str = "tagboat.dev/gitsync-uid";
/// Annotation of the four kinds: a changed value reconciles now.
pub const REQUESTED_AT: &str = "tagboat.dev/requestedAt";
/// Annotation of an ImageUpdate: a changed value releases what is held. `POLICY[@VALUE]`, or `*` for all policies; what follows a
/// blank only makes it another value.
pub const RELEASE: &str = "tagboat.dev/release";
/// Annotation of a GitSync: where it applies for the first time, until its status says what it owns.
pub const APPLIES: &str = "tagboat.dev/applies";
/// Annotation of a GitSync: the commit at which a person wants everything deleted that left Git, however much it is.
pub const CONFIRM_PRUNE: &str = "tagboat.dev/confirmPrune";
/// Annotation of a GitSync: the commit that a person lets through while `spec.windows` allows no changes.
pub const OVERRIDE_WINDOWS: &str = "tagboat.dev/overrideWindows";
/// Annotation of a hook's object: for which rendering and phase it was started, so that a crash before the status is written
/// starts it no second time.
pub const HOOK_RUN: &str = "tagboat.dev/hookRun";
/// Label or annotation of a rendered object: `disabled` leaves its `${…}` as they are.
pub const SUBSTITUTE: &str = "tagboat.dev/substitute";

/// The four CustomResourceDefinitions as one multi-document YAML, as `tagboat crds` prints it and `crds/` holds it.
///
/// # Errors
/// When a definition can't be written as YAML, which would be our bug.
pub fn definitions() -> Result<Vec<(String, String)>, serde_yaml::Error> {
    use kube::CustomResourceExt;
    [ConfigRepo::crd(), ImagePolicy::crd(), ImageUpdate::crd(), GitSync::crd()]
        .into_iter()
        .map(|crd| Ok((crd.spec.names.plural.clone(), serde_yaml::to_string(&crd)?)))
        .collect()
}
