//! What an ImagePolicy chose, from what, and why.

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::api::condition::Condition;
use crate::image::{Digest, Image, Tag};

/// An image, the tag chosen for it, and the digest that pins it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ImageRef {
    /// The image's name, as the user typed it.
    pub name: String,
    /// The tag.
    pub tag: Tag,
    /// The digest that is written beside the tag; none when the tag alone is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
}

impl ImageRef {
    /// The whole reference; none when the name is no image's, as somebody else wrote the status.
    pub fn image(&self) -> Option<Image> {
        Some(Image { name: self.name.parse().ok()?, tag: self.tag.clone(), digest: self.digest.clone() })
    }
}

/// What was chosen, from what, and why.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ImagePolicyStatus {
    /// Ready, Reconciling, Stalled.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
    /// The generation that the conditions speak of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// The last value of the annotation `tagboat.dev/requestedAt` that was acted on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_handled_reconcile_at: Option<String>,
    /// The choice.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latest_ref: Option<ImageRef>,
    /// When it was chosen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chosen_at: Option<DateTime<Utc>>,
    /// When its image was built, if the policy goes by that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub built_at: Option<DateTime<Utc>>,
    /// The choice before it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_previous_ref: Option<ImageRef>,
    /// The list of tags that the choice rests on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_scan: Option<LastScan>,
    /// The tags nearest to the choice, newest first, each with the reason why it was chosen or not. Those that wait for a gate
    /// are all here, up to a limit, since this is also where tagboat remembers when it saw them first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub verdicts: Vec<TagVerdict>,
    /// Where the registry's webhooks go, below the controller's address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub webhook_path: Option<String>,
}

/// The last list of tags that was read whole and believed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LastScan {
    /// The image that the list is of, as the registry knows it.
    pub image: String,
    /// How many tags it has.
    pub tags: u32,
    /// How many names in it were no valid tags and were left out.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub skipped: u32,
    /// SHA-256 of the tags, shortened: equal lists have equal revisions.
    pub revision: String,
    /// When this list was first read. That nothing changed since is looked at every interval, but not written.
    pub changed_at: DateTime<Utc>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn is_zero(count: &u32) -> bool {
    *count == 0
}

/// Why a tag was chosen or not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TagVerdict {
    /// The tag.
    pub tag: Tag,
    /// `chosen`, `waiting`, `older` or `refused`.
    pub verdict: String,
    /// The part of the policy that decided: `semver`, `filter`, `minAge`, `verify` and so on.
    pub rule: String,
    /// For people.
    pub reason: String,
    /// The digest with which it was seen, if that was looked up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
    /// When this tag was first seen with this digest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_seen: Option<DateTime<Utc>>,
    /// When the gate that it waits for opens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<DateTime<Utc>>,
}
