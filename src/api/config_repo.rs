//! ConfigRepo: a Git repository, what of it to follow, how to reach it, and whose signatures to trust.

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::condition::Condition;
use super::duration::Span;
use super::reference::LocalRef;
use super::webhook::GitWebhook;
use crate::revision::{CommitId, Revision};

/// A Git repository, what of it to follow, how to reach it, and whose commits to trust.
#[derive(CustomResource, Debug, Clone, PartialEq, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "tagboat.dev",
    version = "v1alpha1",
    kind = "ConfigRepo",
    plural = "configrepos",
    shortname = "cfgrepo",
    category = "tagboat",
    namespaced,
    status = "ConfigRepoStatus",
    derive = "PartialEq",
    printcolumn = r#"{"name":"URL","type":"string","jsonPath":".spec.url"}"#,
    printcolumn = r#"{"name":"Revision","type":"string","jsonPath":".status.revision"}"#,
    printcolumn = r#"{"name":"Age","type":"date","jsonPath":".metadata.creationTimestamp"}"#,
    printcolumn = r#"{"name":"Ready","type":"string","jsonPath":".status.conditions[?(@.type==\"Ready\")].status"}"#,
    printcolumn = r#"{"name":"Message","type":"string","jsonPath":".status.conditions[?(@.type==\"Ready\")].message"}"#
)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = (
    "!has(self.verify) || !(self.verify.mode in ['Tag', 'TagAndHEAD']) || (has(self.ref) && (has(self.ref.tag) || has(self.ref.semver) || (has(self.ref.name) && self.ref.name.startsWith('refs/tags/'))))",
    "verify.mode: Tag and TagAndHEAD need ref.tag, ref.semver, or a ref.name that starts with refs/tags/"
))]
pub struct ConfigRepoSpec {
    /// Where the repository is: `https://`, `http://`, `ssh://user@host/path` or `user@host:path`, or `file://` when the controller
    /// allows it. Without password, and without user but for SSH.
    #[x_kube(validation = (
        "self.matches('^(https?|file)://[^@]+$') || self.matches('^ssh://([^@:/]+@)?[^@]+$') || self.matches('^[^@:/]+@([^@:/]+|[[][0-9A-Fa-f:.]+[]]):[^@]+$')",
        "write it as https://, ssh://user@host/path, user@host:path, http:// or file://, without password"
    ))]
    pub url: String,
    /// What to follow; the branch `main` when absent.
    #[serde(default, rename = "ref")]
    pub reference: GitRef,
    /// How often the host is asked where that is.
    #[serde(default = "default_interval")]
    pub interval: Span,
    /// How long one operation with the Git host may take.
    #[serde(default = "default_timeout")]
    pub timeout: Span,
    /// A Secret that says who we are. For HTTPS: `username` and `password`; or `bearerToken`; or `githubAppID`, `githubAppPrivateKey`
    /// and `githubAppInstallationID` or `githubAppInstallationOwner` (`githubAppBaseURL` where the API is not at github.com); beside
    /// them or alone, `ca.crt` with more authorities to trust, and `tls.crt` with `tls.key` to show to the host. For SSH: `identity`,
    /// a private key, its passphrase `password`, and `known_hosts`, without which no host is trusted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<LocalRef>,
    /// A Secret with the `address` of a proxy for HTTP and HTTPS, and maybe its `username` and `password`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proxy_secret_ref: Option<LocalRef>,
    /// Whose signatures to trust: what is not signed by one of these keys is not applied, and the last that was stays in use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verify: Option<VerifySpec>,
    /// Lets the Git host say when something was pushed or a pull request was answered: it is looked at at once. See `status.webhookPath`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub webhook: Option<GitWebhook>,
    /// Stops asking; what was read stays in use.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub suspend: bool,
}

fn default_interval() -> Span {
    Span(std::time::Duration::from_secs(60))
}

fn default_timeout() -> Span {
    Span(std::time::Duration::from_secs(60))
}

/// What of a repository to follow: one of these, or a commit with its branch. Only a branch can be written to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[x_kube(validation = (
    "[has(self.tag), has(self.semver), has(self.name), has(self.commit)].filter(given, given).size() <= 1",
    "set only one of tag, semver, name and commit"
))]
#[x_kube(validation = (
    "!has(self.branch) || !(has(self.tag) || has(self.semver) || has(self.name))",
    "branch goes alone or with commit: remove it beside tag, semver or name"
))]
pub struct GitRef {
    /// The branch's short name; `main` when nothing else is set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 255))]
    pub branch: Option<String>,
    /// The tag's short name. It is followed when it moves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 255))]
    pub tag: Option<String>,
    /// The newest tag in this range, as `>=1.2.0 <2.0.0` or `~1.4`. Tags count that are whole versions, as `v1.2.3` or `1.2.3`;
    /// prereleases only when the range names one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024))]
    pub semver: Option<String>,
    /// A ref by its full name, as `refs/pull/420/head`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 6, max = 1024))]
    #[x_kube(validation = ("self.startsWith('refs/')", "write the ref's full name, as in refs/heads/main"))]
    pub name: Option<String>,
    /// A commit by its whole id. With `branch`, it must be on that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = ("self.matches('^([0-9a-f]{40}|[0-9a-f]{64})$')", "write all 40 digits of the commit's id, in lower case"))]
    pub commit: Option<String>,
}

/// Whose signatures to trust.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct VerifySpec {
    /// What must be signed: the commit that is followed (`HEAD`); the annotated tag that leads to it (`Tag`); both (`TagAndHEAD`); or
    /// every commit since the last one that was verified (`EveryCommit`).
    #[serde(default)]
    pub mode: VerifyMode,
    /// A Secret with the public keys to trust. Each of its values is one or more armoured OpenPGP keys, or lines of SSH keys as in
    /// `authorized_keys` or `allowed_signers`.
    pub secret_ref: LocalRef,
}

/// What must be signed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum VerifyMode {
    /// The commit.
    #[default]
    #[serde(rename = "HEAD")]
    Head,
    /// The same, as it was written once.
    #[serde(rename = "head")]
    OldHead,
    /// The annotated tag.
    Tag,
    /// The annotated tag and the commit.
    #[serde(rename = "TagAndHEAD")]
    TagAndHead,
    /// Every commit since the last verified one.
    EveryCommit,
}

/// What was verified.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct VerificationStatus {
    /// What had to be signed.
    pub mode: VerifyMode,
    /// The commit that is trusted.
    pub commit: CommitId,
    /// The key that signed the commit, if that had to be signed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// The key that signed the tag, if that had to be signed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tag_key: Option<String>,
}

/// What is known of the repository.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ConfigRepoStatus {
    /// Ready, Reconciling, Stalled.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
    /// The generation that the conditions speak of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// The last value of the annotation `tagboat.dev/requestedAt` that was acted on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_handled_reconcile_at: Option<String>,
    /// What is followed and where that is, as `main@sha1:<commit>`, `v1.2.0@sha1:<commit>`, `refs/pull/420/head@sha1:<commit>`, or
    /// `sha1:<commit>` for a commit alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<Revision>,
    /// What was verified last, if `spec.verify` is set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verification: Option<VerificationStatus>,
    /// Where the Git host's webhooks go, below the controller's address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub webhook_path: Option<String>,
}
