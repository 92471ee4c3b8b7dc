//! An ImagePolicy's spec, checked and compiled. The spec comes in; out go the image, what of a tag is compared, and in which order.

use std::cmp::Ordering;
use std::fmt;
use std::time::Duration;

use super::filter::Filter;
use super::number::Number;
use super::range::{Fit, Range};
use super::version::{self, Parts};
use crate::api::image_policy::{FilterTags, ImagePolicySpec, Order, PolicyChoice};
use crate::image::Repository;

/// The shortest interval between two looks at the registry.
const SHORTEST_INTERVAL: Duration = Duration::from_secs(1);

/// A policy that can choose.
#[derive(Debug, Clone)]
pub struct Policy {
    /// The image, as the user typed it.
    pub image: Repository,
    /// How often the registry is asked.
    pub interval: Duration,
    /// Which tags count, and what of them is compared; all of all tags when absent.
    pub filter: Option<Filter>,
    /// The pattern of `filter`, for people.
    pub pattern: Box<str>,
    /// The order.
    pub ranking: Ranking,
}

/// An order of tags, or of what was extracted from them.
#[derive(Debug, Clone)]
pub enum Ranking {
    /// By precedence of versions, within a range.
    Semver {
        /// The range.
        range: Range,
        /// The range as the user wrote it.
        text: Box<str>,
    },
    /// As numbers.
    Numerical(Order),
    /// As text, byte by byte.
    Alphabetical(Order),
}

/// What of a tag is compared, read by its ranking. Keys of different rankings are never compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Key<'t> {
    /// A version inside of the range.
    Version(Parts<'t>),
    /// A number.
    Number(Number<'t>),
    /// Any text.
    Text(&'t str),
}

/// A spec that can't choose: which field, and why.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {reason}")]
pub struct Invalid {
    /// The field's path from the object, such as `spec.policy.semver.range`.
    pub field: String,
    /// What is wrong with it.
    pub reason: String,
}

fn invalid(field: impl fmt::Display, reason: impl fmt::Display) -> Invalid {
    Invalid { field: format!("spec.{field}"), reason: reason.to_string() }
}

impl Policy {
    /// Checks and compiles a spec.
    ///
    /// # Errors
    /// The first field that makes it useless, with the reason.
    pub fn parse(spec: &ImagePolicySpec) -> Result<Self, Invalid> {
        let image = spec.image.parse().map_err(|error| invalid("image", error))?;
        let interval = spec.interval.0;
        if interval < SHORTEST_INTERVAL {
            return Err(invalid("interval", format!("{} is shorter than 1s", spec.interval)));
        }
        let ranking = Ranking::parse(&spec.policy)?;
        let (filter, pattern) = match &spec.filter_tags {
            Some(tags) => (Some(parse_filter(tags)?), tags.pattern.as_str().into()),
            None => (None, Box::default()),
        };
        Ok(Self { image, interval, filter, pattern, ranking })
    }
}

fn parse_filter(tags: &FilterTags) -> Result<Filter, Invalid> {
    Filter::parse(tags).map_err(|flaw| invalid(format!("filterTags.{}", flaw.field), flaw.reason))
}

impl Ranking {
    fn parse(choice: &PolicyChoice) -> Result<Self, Invalid> {
        match (&choice.semver, &choice.numerical, &choice.alphabetical) {
            (Some(semver), None, None) => {
                let range = Range::parse(&semver.range).map_err(|reason| {
                    let shown: String = semver.range.chars().take(160).collect();
                    invalid("policy.semver.range", format!("{shown:?} is no range: {reason}"))
                })?;
                Ok(Self::Semver { range, text: semver.range.trim().into() })
            }
            (None, Some(numerical), None) => Ok(Self::Numerical(numerical.order)),
            (None, None, Some(alphabetical)) => Ok(Self::Alphabetical(alphabetical.order)),
            (None, None, None) => {
                Err(invalid("policy", "none is set: set exactly one of semver, numerical and alphabetical"))
            }
            _ => Err(invalid("policy", "more than one is set: set exactly one of semver, numerical and alphabetical")),
        }
    }

    /// Reads what is compared; `None` when this ranking can't read it or doesn't let it in.
    pub fn key<'t>(&self, text: &'t str) -> Option<Key<'t>> {
        match self {
            Self::Semver { range, .. } => {
                version::read(text).ok().filter(|version| range.contains(version)).map(Key::Version)
            }
            Self::Numerical(_) => Number::read(text).map(Key::Number),
            Self::Alphabetical(_) => Some(Key::Text(text)),
        }
    }

    /// Why [`key`](Self::key) has none, for people.
    pub fn refusal(&self, text: &str) -> String {
        match self {
            Self::Semver { range, text: written } => match version::read(text) {
                Err(_) => version::parse(text).err().unwrap_or_default(),
                Ok(version) => match range.fit(&version) {
                    Fit::Prerelease => format!("{text} is a prerelease, and no comparator of the range names one"),
                    Fit::PrereleaseOfGroup => {
                        format!(
                            "{text} is a prerelease, and no comparator of the part of the range that it fits names one"
                        )
                    }
                    Fit::Inside | Fit::Outside => format!("{text} is outside of {written}"),
                },
            },
            Self::Numerical(_) => Number::parse(text).err().unwrap_or_default(),
            Self::Alphabetical(_) => String::new(),
        }
    }

    /// Which key is newer: the greater is.
    pub fn compare(&self, a: &Key<'_>, b: &Key<'_>) -> Ordering {
        let ascending = match (a, b) {
            (Key::Version(a), Key::Version(b)) => a.cmp(b),
            (Key::Number(a), Key::Number(b)) => a.cmp(b),
            (Key::Text(a), Key::Text(b)) => a.cmp(b),
            // Never of one ranking.
            _ => Ordering::Equal,
        };
        match self {
            Self::Numerical(Order::Desc) | Self::Alphabetical(Order::Desc) => ascending.reverse(),
            _ => ascending,
        }
    }
}

#[cfg(test)]
mod tests;
