//! When a GitSync may change the cluster.

use chrono::{DateTime, Utc};
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::api::duration::Span;
use crate::revision::Revision;

/// A time in which changes are allowed or denied: again and again (`schedule`, `duration`), or once (`from`, `to`).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[x_kube(
    validation = (
        "has(self.schedule) == has(self.duration) && has(self.from) == has(self.to) && has(self.schedule) != has(self.from)",
        "set schedule and duration, or from and to"
    ),
    validation = ("!has(self.timezone) || has(self.schedule)", "timezone belongs to schedule; from and to name theirs themselves"),
    validation = ("!has(self.from) || !has(self.to) || self.from < self.to", "to must be later than from")
)]
#[serde(rename_all = "camelCase")]
pub struct SyncWindow {
    /// Whether changes are allowed or denied in it. `Deny` wins over `Allow`; where there is a window that allows, changes need one.
    #[serde(default)]
    pub kind: WindowKind,
    /// When it opens, as cron has it: minute, hour, day of month, month, day of week.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256))]
    pub schedule: Option<String>,
    /// For how long it stays open.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration: Option<Span>,
    /// The time zone of the schedule, such as `Europe/Berlin`; UTC when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64))]
    pub timezone: Option<String>,
    /// When it opens, once, such as `2026-12-20T00:00:00+01:00`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<DateTime<Utc>>,
    /// When it closes again, for good.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<DateTime<Utc>>,
}

/// What a window does to changes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum WindowKind {
    /// They are allowed in it.
    #[default]
    Allow,
    /// They are denied in it.
    Deny,
}

/// Whether changes are allowed now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct WindowStatus {
    /// `Open`, `Closed`, or `Overridden`: closed, but a person lets one revision through.
    pub state: WindowState,
    /// When `spec.windows` says something else next; never when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<DateTime<Utc>>,
    /// The revision that a person lets through.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overridden_for: Option<Revision>,
}

/// Whether changes are allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum WindowState {
    /// By the windows.
    Open,
    /// They are not.
    Closed,
    /// By a person, for one revision.
    Overridden,
}
