//! What a person released × what would be held → what stays held, and which releases still wait to be used.

use crate::api::image_policy::OnRevert;
use crate::api::image_update::{HoldStatus, ReleasedStatus};
use crate::image::Image;

/// How many releases are remembered.
const REMEMBERED: usize = 100;

/// What a person asks for by the annotation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Release {
    /// The policy's name; all when absent.
    policy: Option<String>,
    /// The value or its tag; all when absent.
    value: Option<String>,
}

impl Release {
    /// Reads `POLICY[@VALUE]` or `*[@VALUE]`; what follows a blank counts for nothing. Nothing in an empty text.
    pub fn read(text: &str) -> Option<Self> {
        let word = text.split_whitespace().next()?;
        let (policy, value) = word.split_once('@').map_or((word, None), |(policy, value)| (policy, Some(value)));
        let policy = Some(policy).filter(|policy| *policy != "*").map(str::to_owned);
        Some(Self { policy, value: value.filter(|value| !value.is_empty()).map(str::to_owned) })
    }

    /// Whether it is about this hold. A value is named by its whole text, its tag, or `tag@digest`.
    pub fn is_of(&self, hold: &HoldStatus) -> bool {
        let name = hold.policy.split_once(':').map_or(hold.policy.as_str(), |(_, name)| name);
        let is_policy = self.policy.as_ref().is_none_or(|policy| policy == name || *policy == hold.policy);
        is_policy && self.value.as_ref().is_none_or(|value| is_named(&hold.value, value))
    }
}

fn is_named(held: &str, value: &str) -> bool {
    let by_part = || {
        let image = held.parse::<Image>().ok()?;
        let with_digest = image.digest.as_ref().map(|digest| format!("{}@{digest}", image.tag));
        Some(image.tag.as_str() == value || with_digest.as_deref() == Some(value))
    };
    held == value || by_part().unwrap_or(false)
}

/// What became of holds and releases.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Settled {
    /// Whether each hold stands, in their order.
    pub stands: Vec<bool>,
    /// Releases that let something be written.
    pub used: Vec<ReleasedStatus>,
    /// Releases of policies that have no choice at the moment.
    pub waiting: Vec<ReleasedStatus>,
}

/// Sets holds against releases. `holds` are those of now, with what their policy says; `told` are those that the status told of,
/// which a person may have answered; `is_undecided` says of a policy whether it has no choice at the moment.
pub fn settle(
    holds: &[(HoldStatus, OnRevert)],
    told: &[HoldStatus],
    released: &[ReleasedStatus],
    asked: Option<&Release>,
    is_undecided: &dyn Fn(&str) -> bool,
) -> Settled {
    let mut all = released.to_vec();
    let answered = holds.iter().map(|(hold, _)| hold).chain(told);
    for hold in answered.filter(|hold| asked.is_some_and(|asked| asked.is_of(hold))) {
        let HoldStatus { policy, value, request, .. } = hold.clone();
        let released = ReleasedStatus { policy, value, request };
        if !all.contains(&released) && all.len() < REMEMBERED {
            all.push(released);
        }
    }
    // Under `Hold` the value that waits moves on with the choice. Who closes the next pull request has decided anew.
    let is_by = |released: &ReleasedStatus, (hold, on_revert): &(HoldStatus, OnRevert)| {
        released.policy == hold.policy
            && released.request == hold.request
            && (released.value == hold.value || *on_revert == OnRevert::Hold)
    };
    let stands = holds.iter().map(|hold| !all.iter().any(|released| is_by(released, hold))).collect();
    let (used, rest): (Vec<_>, Vec<_>) =
        all.into_iter().partition(|released| holds.iter().any(|hold| is_by(released, hold)));
    let waiting = rest.into_iter().filter(|released| is_undecided(&released.policy)).collect();
    Settled { stands, used, waiting }
}

#[cfg(test)]
mod tests;
