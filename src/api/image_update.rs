//! ImageUpdate: keeps the marked and targeted values of a ConfigRepo equal to what the policies chose.

use std::collections::BTreeMap;
use std::fmt;

use chrono::{DateTime, Utc};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::condition::Condition;
use super::duration::Span;
use super::reference::{LabelSelector, LocalRef};
use crate::revision::{CommitId, Revision};

mod pull_request;

pub use pull_request::{
    AutoMerge, ProposalStatus, PullRequestProvider, PullRequestSpec, PullRequestState, PullRequestStatus,
};

/// Keeps the marked and targeted values of a ConfigRepo equal to what the policies chose, by commits.
#[derive(CustomResource, Debug, Clone, PartialEq, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "tagboat.dev",
    version = "v1alpha1",
    kind = "ImageUpdate",
    plural = "imageupdates",
    shortname = "imgup",
    category = "tagboat",
    namespaced,
    status = "ImageUpdateStatus",
    derive = "PartialEq",
    printcolumn = r#"{"name":"Repo","type":"string","jsonPath":".spec.configRepoRef.name"}"#,
    printcolumn = r#"{"name":"Last-Commit","type":"string","jsonPath":".status.lastPushCommit"}"#,
    printcolumn = r#"{"name":"Pushed","type":"date","jsonPath":".status.lastPushTime"}"#,
    printcolumn = r#"{"name":"Request","type":"string","jsonPath":".status.pullRequest.url","priority":1}"#,
    printcolumn = r#"{"name":"Age","type":"date","jsonPath":".metadata.creationTimestamp"}"#,
    printcolumn = r#"{"name":"Ready","type":"string","jsonPath":".status.conditions[?(@.type==\"Ready\")].status"}"#,
    printcolumn = r#"{"name":"Message","type":"string","jsonPath":".status.conditions[?(@.type==\"Ready\")].message"}"#
)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = ("!has(self.pullRequest) || (has(self.push) && has(self.push.branch))", "pullRequest needs push.branch: the branch that the request is from"))]
pub struct ImageUpdateSpec {
    /// The repository to commit to.
    pub config_repo_ref: LocalRef,
    /// Only marked files below this folder are edited; the whole repository when absent.
    #[serde(default = "default_path")]
    pub path: String,
    /// Values without a marker that follow a policy too, in any file of the repository.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 500))]
    pub targets: Vec<ImageTarget>,
    /// Which ImagePolicies of the namespace count; all when absent.
    #[serde(default)]
    pub policy_selector: LabelSelector,
    /// Choices that arrive within it share one commit.
    #[serde(default = "default_batch_window")]
    pub batch_window: Span,
    /// Pushes are at least this far apart; choices that come in between share the next one. No rest when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_interval: Option<Span>,
    /// Who commits, and with which words.
    #[serde(default)]
    pub commit: CommitSpec,
    /// Where to push; the ConfigRepo's branch when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub push: Option<PushSpec>,
    /// Asks the Git host for a pull request from `push.branch`: one, opened, kept up to date and closed when it became pointless.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pull_request: Option<PullRequestSpec>,
    /// Stops committing.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub suspend: bool,
}

fn default_path() -> String {
    "./".to_owned()
}

fn default_batch_window() -> Span {
    Span(std::time::Duration::from_secs(2))
}

/// A value that follows a policy without a marker beside it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = ("has(self.kustomizeImage) != has(self.key)", "set exactly one of kustomizeImage and key"))]
#[x_kube(validation = ("!has(self.field) || has(self.key)", "field goes with key: kustomizeImage writes all that its entry needs"))]
#[x_kube(validation = ("!has(self.kustomizeImage) || !self.file.endsWith('.json')", "kustomizeImage is for YAML: use key in a JSON file"))]
pub struct ImageTarget {
    /// The file, from the repository's root. Symbolic links are not followed.
    #[schemars(length(min = 1, max = 1024))]
    #[x_kube(validation = ("self.matches('^([^/.][^/]*|[.]|[.][^/.][^/]*|[.][.][^/]+)(/+([^/.][^/]*|[.]|[.][^/.][^/]*|[.][.][^/]+))*$')", "write the file's path from the repository's root, without .."))]
    pub file: String,
    /// The ImagePolicy whose choice is written, of the same namespace.
    #[schemars(length(min = 1, max = 253))]
    #[x_kube(validation = ("self.matches('^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$')", "write the name of an ImagePolicy of this namespace"))]
    pub policy: String,
    /// In a kustomization, the entry of `images` with this `name`: its `newTag`, with a digest in the choice its `digest`,
    /// and with another image name its `newName`. What is missing is added.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 255))]
    #[x_kube(validation = ("self.matches('^[^[:space:]]+$')", "write the name of an entry of images, without blanks"))]
    pub kustomize_image: Option<String>,
    /// In YAML or JSON, the value at this path, such as `image.tag`, `containers[0].image` or `images."my.app"`. It must be there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024))]
    pub key: Option<String>,
    /// Which part of the choice `key` gets; the whole reference when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field: Option<TargetField>,
}

/// A part of the chosen image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum TargetField {
    /// The whole reference: `name:tag`, with `@digest` if the choice has one.
    Image,
    /// The tag.
    Tag,
    /// The image's name without tag and digest.
    Name,
    /// The digest.
    Digest,
}

/// Who commits, and with which words.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CommitSpec {
    /// Author and committer.
    #[serde(default)]
    pub author: Author,
    /// The message, as a template (Jinja syntax) over `changes` and `object`; trailers are added below it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 8192))]
    pub message_template: Option<String>,
    /// The key that signs the commits. Without it they are not signed; with it, never pushed unsigned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signing_key: Option<SigningKey>,
}

/// The key that signs the commits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SigningKey {
    /// The Secret of the namespace that holds it: `git.asc` (an armoured OpenPGP private key) and maybe `passphrase` for `gpg`;
    /// `identity` (an OpenSSH private key: ed25519, ecdsa, rsa) and maybe `password` for `ssh`.
    pub secret_ref: LocalRef,
    /// The kind of signature.
    #[serde(default, rename = "type")]
    pub kind: SigningType,
}

/// The kind of a commit's signature.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum SigningType {
    /// OpenPGP.
    #[default]
    Gpg,
    /// An SSH key (PROTOCOL.sshsig).
    Ssh,
}

/// Author and committer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Author {
    /// The name.
    #[serde(default = "default_author_name")]
    #[schemars(length(min = 1, max = 255))]
    pub name: String,
    /// The address.
    #[serde(default = "default_author_email")]
    #[schemars(length(min = 1, max = 255))]
    pub email: String,
}

impl Default for Author {
    fn default() -> Self {
        Self { name: default_author_name(), email: default_author_email() }
    }
}

fn default_author_name() -> String {
    "tagboat".to_owned()
}

fn default_author_email() -> String {
    "tagboat@tagboat.dev".to_owned()
}

/// Where to push.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
pub struct PushSpec {
    /// The branch; the ConfigRepo's when absent. Another one is a proposal: one commit, rebuilt on the head of that at every
    /// change, and deleted when nothing is left to propose. Commits of other people on it are never overwritten.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 255))]
    pub branch: Option<String>,
    /// A second ref that gets the same commit in the same push, both or neither: `HEAD:refs/…`, with `+` before it when it may
    /// be moved back too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024))]
    #[x_kube(validation = ("self.matches('^[+]?[^:+]+:refs/[^:]+$')", "write it as HEAD:refs/…, the full name of a ref on its right"))]
    pub refspec: Option<String>,
    /// Push options: sent as `key=value`, or as `key` when the value is empty. The host must take them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[x_kube(validation = ("self.size() <= 32", "no more than 32 push options"))]
    pub options: BTreeMap<String, String>,
}

impl PushSpec {
    /// The branch, if the ConfigRepo's is this one.
    pub fn branch_or<'a>(&'a self, source: &'a String) -> &'a String {
        self.branch.as_ref().unwrap_or(source)
    }
}

/// One value that a commit changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ChangeStatus {
    /// The file, from the repository's root.
    pub file: String,
    /// The value's line.
    pub line: u32,
    /// `namespace:name` of the policy.
    pub policy: String,
    /// `image`, `tag`, `name` or `digest`.
    pub field: String,
    /// The value before.
    pub old: String,
    /// The value now.
    pub new: String,
}

/// Something that keeps a value from being kept up to date.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ProblemStatus {
    /// The file, from the repository's root.
    pub file: String,
    /// The line of the marker or of the target's value; 0 for the whole file.
    pub line: u32,
    /// What is wrong.
    pub reason: String,
}

/// A value that is not written, since a person decided against it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct HoldStatus {
    /// The file, from the repository's root.
    pub file: String,
    /// The value's line.
    pub line: u32,
    /// `namespace:name` of the policy.
    pub policy: String,
    /// `image`, `tag`, `name` or `digest`.
    pub field: String,
    /// What is not written.
    pub value: String,
    /// Who decided against it.
    pub by: String,
    /// When.
    pub at: DateTime<Utc>,
    /// In which commit; where the branch was rewritten, the commit that is gone.
    pub commit: CommitId,
    /// How, for people.
    pub reason: String,
    /// The page of the pull request that was closed unmerged, when that was the decision; `commit` is its last commit then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<String>,
}

/// A value that a person released and that is not written yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ReleasedStatus {
    /// `namespace:name` of the policy.
    pub policy: String,
    /// What may be written again.
    pub value: String,
    /// The page of the pull request that was closed unmerged, when that had held it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<String>,
}

impl fmt::Display for ProblemStatus {
    /// `file:line: reason`; without the line when it is about the whole file.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, line, reason } = self;
        if *line == 0 { write!(f, "{file}: {reason}") } else { write!(f, "{file}:{line}: {reason}") }
    }
}

/// What was committed, and what could not be.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ImageUpdateStatus {
    /// Ready, Reconciling, Stalled.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
    /// The generation that the conditions speak of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// The last value of the annotation `tagboat.dev/requestedAt` that was acted on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_handled_reconcile_at: Option<String>,
    /// Stands for the repository that all of this is about: a hash of its URL. What is known of another one counts for nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_repository: Option<String>,
    /// The head of the branch whose files were compared with the choices.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_revision: Option<Revision>,
    /// The last commit that was pushed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_push_commit: Option<CommitId>,
    /// The branch that it went to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_push_branch: Option<String>,
    /// When it was pushed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_push_time: Option<DateTime<Utc>>,
    /// What it changed; at most 100 entries.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub last_changes: Vec<ChangeStatus>,
    /// What keeps values from being kept up to date; at most 100 entries.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<ProblemStatus>,
    /// What is not written, since a person decided against it; at most 100 entries.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub holds: Vec<HoldStatus>,
    /// What a person released and is not written yet; at most 100 entries.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub released: Vec<ReleasedStatus>,
    /// The last value of the annotation `tagboat.dev/release` that was acted on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_handled_release: Option<String>,
    /// How many values follow a policy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub markers: Option<u32>,
    /// Where proposals are or may be, so that they are found again when the spec names another place; at most 10 entries.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub proposals: Vec<ProposalStatus>,
    /// The newest pull request: the open one, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pull_request: Option<PullRequestStatus>,
}
