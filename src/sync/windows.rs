//! `spec.windows` × now → whether changes are allowed, and when that changes next. Deny wins over allow; where there is a window
//! that allows, changes need one. `now` and every answer are in whole seconds.

use chrono::{DateTime, Utc};

use super::plan;
use crate::api::OVERRIDE_WINDOWS;
use crate::api::condition::Reason;
use crate::api::git_sync::{SyncWindow, WindowKind, WindowState, WindowStatus};
use crate::failure::Failure;
use crate::revision::Revision;
use crate::window::Window;

/// How many openings and closings are followed until all windows together say something else.
const CHANGES: usize = 64;

/// When a window is open.
enum Times {
    /// Again and again.
    Often(Box<Window>),
    /// From a time until before another.
    Once(DateTime<Utc>, DateTime<Utc>),
}

impl Times {
    fn read(spec: &SyncWindow) -> Result<Self, String> {
        match (&spec.schedule, spec.duration, spec.from, spec.to) {
            (Some(schedule), Some(duration), None, None) => Window::parse(schedule, duration, spec.timezone.as_deref())
                .map(|window| Self::Often(Box::new(window)))
                .map_err(|flaw| format!(".{}: {}", flaw.field, flaw.reason)),
            (None, None, Some(from), Some(to)) if from < to => Ok(Self::Once(from, to)),
            (None, None, Some(_), Some(_)) => Err(": to must be later than from".to_owned()),
            _ => Err(": set schedule and duration, or from and to".to_owned()),
        }
    }

    fn is_open(&self, now: DateTime<Utc>) -> bool {
        match self {
            Self::Often(window) => window.is_open(now),
            Self::Once(from, to) => (*from..*to).contains(&now),
        }
    }

    /// When it opens or closes next, after this time.
    fn next(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        match self {
            Self::Often(window) => window.end(now).or_else(|| window.start_after(now)),
            Self::Once(from, to) => [*from, *to].into_iter().find(|time| *time > now),
        }
    }
}

/// All windows of a GitSync.
pub struct Windows {
    allow: Vec<Times>,
    deny: Vec<Times>,
}

/// Whether changes are allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// They are.
    pub is_open: bool,
    /// When that changes next, later than now; never when absent. Where windows open and close so often without a change that it
    /// can't be followed, a time until which there is none.
    pub until: Option<DateTime<Utc>>,
}

impl Windows {
    /// Reads the windows; nothing when there are none.
    ///
    /// # Errors
    /// When one can't be read. Then nothing is known that could allow a change.
    pub fn read(specs: &[SyncWindow]) -> Result<Option<Self>, Failure> {
        let mut windows = Self { allow: Vec::new(), deny: Vec::new() };
        for (at, spec) in specs.iter().enumerate() {
            let times = Times::read(spec)
                .map_err(|reason| Failure::user(Reason::InvalidSpec, format!("spec.windows[{at}]{reason}")))?;
            match spec.kind {
                WindowKind::Allow => windows.allow.push(times),
                WindowKind::Deny => windows.deny.push(times),
            }
        }
        Ok((!specs.is_empty()).then_some(windows))
    }

    /// Whether changes are allowed at a time, and when that changes next.
    pub fn standing(&self, now: DateTime<Utc>) -> Standing {
        let is_open = self.allows(now);
        let mut until = now;
        for _ in 0..CHANGES {
            match self.allow.iter().chain(&self.deny).filter_map(|times| times.next(until)).min() {
                Some(next) => until = next,
                None => return Standing { is_open, until: None },
            }
            if self.allows(until) != is_open {
                break;
            }
        }
        Standing { is_open, until: Some(until) }
    }

    fn allows(&self, now: DateTime<Utc>) -> bool {
        let is_any_open = |all: &[Times]| all.iter().any(|times| times.is_open(now));
        !is_any_open(&self.deny) && (self.allow.is_empty() || is_any_open(&self.allow))
    }
}

impl Standing {
    /// What the status says of it. `overridden` is what a person wrote into the annotation: the commit that is let through.
    pub fn status(self, overridden: Option<&str>, revision: Option<&Revision>) -> WindowStatus {
        let lets = |revision: &&Revision| overridden.is_some_and(|written| plan::confirms(written, revision));
        let let_through = revision.filter(|_| !self.is_open).filter(lets).cloned();
        let state = match (self.is_open, &let_through) {
            (true, _) => WindowState::Open,
            (false, None) => WindowState::Closed,
            (false, Some(_)) => WindowState::Overridden,
        };
        WindowStatus { state, until: self.until, overridden_for: let_through }
    }
}

/// Why a revision waits: until when, for what, and what a person can do.
pub fn waits(revision: &Revision, window: Option<&WindowStatus>, held: &str) -> String {
    let waits = match window.and_then(|window| window.until) {
        Some(until) => format!("waits until {}", until.format("%Y-%m-%dT%H:%M:%SZ")),
        None => "waits for a window, and none opens any more".to_owned(),
    };
    let commit = revision.commit.to_string();
    let commit = &commit[..commit.len().min(12)];
    format!("{revision} {waits}: {held}; the annotation {OVERRIDE_WINDOWS}: {commit} lets it through now")
}

#[cfg(test)]
mod tests;
