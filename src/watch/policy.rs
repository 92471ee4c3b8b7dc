//! An ImagePolicy's spec, checked and compiled. The spec comes in; out go the image, what of a tag is compared, in which order, and
//! what must hold before a newer choice is taken.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};

use super::exclusion::Exclusion;
use super::filter::Filter;
use super::number::Number;
use crate::api::image_policy::{
    DigestReflectionPolicy, FilterTags, ImagePolicySpec, Order, PolicyChoice, Window as WindowSpec,
};
use crate::image::{Platform, Repository, Tag};
use crate::version::range::{Fit, Range};
use crate::version::{self, Parts};
use crate::window::Window;

/// The shortest interval between two looks at the registry.
const SHORTEST_INTERVAL: Duration = Duration::from_secs(1);

/// A policy that can choose.
#[derive(Debug, Clone)]
pub struct Policy {
    /// The image, as the user typed it.
    pub image: Repository,
    /// How often the registry is asked.
    pub interval: Duration,
    /// Which tags never count.
    pub exclusion: Exclusion,
    /// Which tags count, and what of them is compared; all of all tags when absent.
    pub filter: Option<Filter>,
    /// The pattern of `filter`, for people.
    pub pattern: Box<str>,
    /// The order.
    pub ranking: Ranking,
    /// Whether and when the digest is looked up.
    pub reflection: DigestReflectionPolicy,
    /// What an image must run on.
    pub platforms: Vec<Platform>,
    /// What must hold before a newer choice is taken.
    pub gates: Gates,
    /// Whether an older tag may replace one that is no longer listed.
    pub allows_downgrade: bool,
}

/// The gates of a policy.
#[derive(Debug, Clone, Default)]
pub struct Gates {
    /// How long ago a tag must have been seen first with its digest.
    pub min_age: Option<Duration>,
    /// Whether it must be signed.
    pub verify: bool,
    /// When a choice may change; at any time when empty.
    pub windows: Vec<Window>,
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
    /// By the time at which they were built, which isn't in the tags: a tag whose time is not known doesn't fit.
    NewestBuild(Arc<BTreeMap<Tag, DateTime<Utc>>>),
    /// One tag, whatever it points at.
    DigestOf(Tag),
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
    /// When it was built.
    Built(DateTime<Utc>),
    /// Nothing: all are equal.
    Any,
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
        Ok(Self {
            image,
            interval,
            exclusion: parse_exclusion(spec.exclusion_list.as_deref())?,
            filter,
            pattern,
            reflection: reflection(spec, &ranking)?,
            ranking,
            platforms: parse_platforms(&spec.platforms)?,
            gates: parse_gates(spec)?,
            allows_downgrade: spec.allow_downgrade,
        })
    }

    /// What of a tag is compared; `None` when it is excluded or the filter leaves it out. Where the order isn't in the tag, the tag.
    pub fn compared<'t>(&self, tag: &'t str) -> Option<Cow<'t, str>> {
        if self.exclusion.pattern(tag).is_some() {
            return None;
        }
        let text = self.filter.as_ref().map_or(Some(Cow::Borrowed(tag)), |filter| filter.apply(tag))?;
        Some(if self.ranking.is_of_the_tag() { text } else { Cow::Borrowed(tag) })
    }

    /// The same policy when it is known when tags were built; of no use to other orders than by newest build.
    pub fn with_builds(mut self, built: BTreeMap<Tag, DateTime<Utc>>) -> Self {
        if let Ranking::NewestBuild(known) = &mut self.ranking {
            *known = Arc::new(built);
        }
        self
    }
}

fn parse_exclusion(patterns: Option<&[String]>) -> Result<Exclusion, Invalid> {
    Exclusion::parse(patterns).map_err(|(at, reason)| invalid(format!("exclusionList[{at}]"), reason))
}

fn parse_platforms(texts: &[String]) -> Result<Vec<Platform>, Invalid> {
    let parse =
        |(at, text): (usize, &String)| text.parse().map_err(|reason| invalid(format!("platforms[{at}]"), reason));
    texts.iter().enumerate().map(parse).collect()
}

fn parse_gates(spec: &ImagePolicySpec) -> Result<Gates, Invalid> {
    let Some(gates) = &spec.gates else { return Ok(Gates::default()) };
    let parse = |(at, window): (usize, &WindowSpec)| {
        Window::parse(&window.schedule, window.duration, window.timezone.as_deref())
            .map_err(|flaw| invalid(format!("gates.windows[{at}].{}", flaw.field), flaw.reason))
    };
    Ok(Gates {
        min_age: gates.min_age.map(|span| span.0).filter(|age| !age.is_zero()),
        verify: gates.verify.is_some(),
        windows: gates.windows.iter().enumerate().map(parse).collect::<Result<_, _>>()?,
    })
}

/// The digest that was verified is the one that gets written, and a tag that is followed by its digest is nothing without it.
fn reflection(spec: &ImagePolicySpec, ranking: &Ranking) -> Result<DigestReflectionPolicy, Invalid> {
    use DigestReflectionPolicy::{Always, IfNotPresent, Never};
    let must_verify = spec.gates.as_ref().is_some_and(|gates| gates.verify.is_some());
    match (ranking, spec.digest_reflection_policy) {
        (Ranking::DigestOf(_), None | Some(Always)) => Ok(Always),
        (Ranking::DigestOf(_), Some(_)) => {
            Err(invalid("digestReflectionPolicy", "policy.digestOf follows the digest: leave it out or set Always"))
        }
        (_, Some(Never)) if must_verify => Err(invalid(
            "digestReflectionPolicy",
            "gates.verify needs the digest to be written: leave it out, or set IfNotPresent or Always",
        )),
        (_, Some(policy)) => Ok(policy),
        (_, None) => Ok(if must_verify { IfNotPresent } else { Never }),
    }
}

fn parse_filter(tags: &FilterTags) -> Result<Filter, Invalid> {
    Filter::parse(tags).map_err(|flaw| invalid(format!("filterTags.{}", flaw.field), flaw.reason))
}

impl Ranking {
    fn parse(choice: &PolicyChoice) -> Result<Self, Invalid> {
        let range = |text: &str| {
            Range::parse(text).map_err(|reason| {
                let shown: String = text.chars().take(160).collect();
                invalid("policy.semver.range", format!("{shown:?} is no range: {reason}"))
            })
        };
        let mut set = Vec::new();
        if let Some(semver) = &choice.semver {
            set.push(Self::Semver { range: range(&semver.range)?, text: semver.range.trim().into() });
        }
        set.extend(choice.numerical.as_ref().map(|numerical| Self::Numerical(numerical.order)));
        set.extend(choice.alphabetical.as_ref().map(|alphabetical| Self::Alphabetical(alphabetical.order)));
        set.extend(choice.newest_build.as_ref().map(|_| Self::NewestBuild(Arc::default())));
        set.extend(choice.digest_of.as_ref().map(|digest_of| Self::DigestOf(digest_of.tag.clone())));
        const ONE: &str = "set exactly one of semver, numerical, alphabetical, newestBuild and digestOf";
        match (set.pop(), set.len()) {
            (None, _) => Err(invalid("policy", format!("none is set: {ONE}"))),
            (Some(ranking), 0) => Ok(ranking),
            _ => Err(invalid("policy", format!("more than one is set: {ONE}"))),
        }
    }

    /// When a tag's image was built, as far as this order knows.
    pub fn built_at(&self, tag: &Tag) -> Option<DateTime<Utc>> {
        match self {
            Self::NewestBuild(built) => built.get(tag).copied(),
            _ => None,
        }
    }

    /// Whether the order is by what the tag says.
    pub fn is_of_the_tag(&self) -> bool {
        !matches!(self, Self::NewestBuild(_) | Self::DigestOf(_))
    }

    /// Reads what is compared; `None` when this ranking can't read it or doesn't let it in.
    pub fn key<'t>(&self, text: &'t str) -> Option<Key<'t>> {
        match self {
            Self::Semver { range, .. } => {
                version::read(text).ok().filter(|version| range.contains(version)).map(Key::Version)
            }
            Self::Numerical(_) => Number::read(text).map(Key::Number),
            Self::Alphabetical(_) => Some(Key::Text(text)),
            Self::NewestBuild(built) => built.get(text).copied().map(Key::Built),
            Self::DigestOf(tag) => (tag.as_str() == text).then_some(Key::Any),
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
            Self::NewestBuild(_) => format!("{text} does not say when it was built"),
            Self::DigestOf(tag) => format!("{text} is not {tag}, the one tag that is followed"),
        }
    }

    /// Which key is newer: the greater is.
    pub fn compare(&self, a: &Key<'_>, b: &Key<'_>) -> Ordering {
        let ascending = match (a, b) {
            (Key::Version(a), Key::Version(b)) => a.cmp(b),
            (Key::Number(a), Key::Number(b)) => a.cmp(b),
            (Key::Text(a), Key::Text(b)) => a.cmp(b),
            (Key::Built(a), Key::Built(b)) => a.cmp(b),
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
