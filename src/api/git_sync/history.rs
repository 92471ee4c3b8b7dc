//! What became of the last revisions.

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::revision::Revision;

/// How many revisions a status remembers.
pub const HISTORY: usize = 10;

/// What became of one revision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RevisionRecord {
    /// The revision.
    pub revision: Revision,
    /// How it ended, or how far it got.
    pub outcome: RevisionOutcome,
    /// When it came to that.
    pub at: DateTime<Utc>,
    /// When it was committed, as the commit says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub committed_at: Option<DateTime<Utc>>,
    /// From the commit until all its objects were healthy, such as `42s` or `3m5s`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lead_time: Option<String>,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// How a revision ended, or how far it got.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum RevisionOutcome {
    /// Applied; its objects are on their way.
    Progressing,
    /// Applied, and not waited for (`wait: false`) while objects were not healthy.
    Applied,
    /// All its objects were healthy.
    Healthy,
    /// It was not applied whole, or not healthy in time.
    Failed,
    /// A newer one came before it was healthy.
    Superseded,
}
