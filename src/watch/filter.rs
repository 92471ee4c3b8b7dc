//! `filterTags`: which tags count, and what of them is compared. A tag comes in, what is compared goes out, or nothing.
//!
//! Patterns are written in RE2 as Go spells it and match anywhere in the tag; templates expand as Go's `Expand` does.
//! Matching takes time linear in the tag; what compiling may cost is bounded.

use std::borrow::Cow;
use std::fmt;

use regex::bytes::{CaptureLocations, Regex, RegexBuilder};

use self::template::Template;
use crate::api::image_policy::FilterTags;

mod dialect;
mod template;

/// Longest pattern, in bytes; the kind's schema has the same limit.
const LONGEST_PATTERN: usize = 1024;
/// Longest template, in bytes.
const LONGEST_TEMPLATE: usize = 1024;
/// Memory of a compiled pattern, in bytes. Nested counted repetitions reach it.
const LARGEST_PROGRAM: usize = 1 << 20;
/// How deep groups may nest.
const DEEPEST: u32 = 100;

/// A compiled `filterTags`.
#[derive(Debug, Clone)]
pub struct Filter {
    regex: Regex,
    template: Option<Template>,
}

/// What is wrong with a `filterTags`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flaw {
    /// `pattern` or `extract`.
    pub field: &'static str,
    /// What is wrong with it, and where.
    pub reason: String,
}

impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.field, self.reason)
    }
}

impl Filter {
    /// Compiles pattern and template. An empty template is none, as in Flux.
    ///
    /// # Errors
    /// When the pattern is no RE2, or the template names a group that the pattern lacks.
    pub fn parse(tags: &FilterTags) -> Result<Self, Flaw> {
        let in_pattern = |reason| Flaw { field: "pattern", reason };
        let in_extract = |reason| Flaw { field: "extract", reason };
        if tags.pattern.len() > LONGEST_PATTERN {
            return Err(in_pattern(format!("it is longer than {LONGEST_PATTERN} bytes")));
        }
        let pattern = dialect::translate(&tags.pattern).map_err(in_pattern)?;
        let regex = RegexBuilder::new(&pattern.text)
            .unicode(false)
            .size_limit(LARGEST_PROGRAM)
            .nest_limit(DEEPEST)
            .build()
            .map_err(|error| in_pattern(plain(&error)))?;
        let template = match tags.extract.as_deref() {
            None | Some("") => None,
            Some(text) if text.len() > LONGEST_TEMPLATE => {
                return Err(in_extract(format!("it is longer than {LONGEST_TEMPLATE} bytes")));
            }
            Some(text) => Some(Template::parse(text, &pattern.groups).map_err(in_extract)?),
        };
        Ok(Self { regex, template })
    }

    /// What of a tag is compared; `None` when it doesn't match. A group that took no part in the match is empty.
    pub fn apply<'t>(&self, tag: &'t str) -> Option<Cow<'t, str>> {
        self.extractor().apply(tag)
    }

    /// Whether something else than the whole tag is compared.
    pub fn has_template(&self) -> bool {
        self.template.is_some()
    }

    /// For many tags in a row: the memory for matches is kept.
    pub fn extractor(&self) -> Extractor<'_> {
        Extractor { filter: self, locations: self.regex.capture_locations() }
    }
}

/// A filter with its memory for matches.
#[derive(Debug)]
pub struct Extractor<'f> {
    filter: &'f Filter,
    locations: CaptureLocations,
}

impl Extractor<'_> {
    /// Whether a tag counts.
    pub fn matches(&mut self, tag: &str) -> bool {
        self.filter.regex.is_match(tag.as_bytes())
    }

    /// What of a tag is compared; `None` when it doesn't match.
    pub fn apply<'t>(&mut self, tag: &'t str) -> Option<Cow<'t, str>> {
        let Filter { regex, template } = self.filter;
        let Some(template) = template else {
            return regex.is_match(tag.as_bytes()).then_some(Cow::Borrowed(tag));
        };
        regex.captures_read(&mut self.locations, tag.as_bytes())?;
        // Tags are ASCII; in other text a match could split a character, and such a group counts as one without part.
        let group = |index| self.locations.get(index).and_then(|(start, end)| tag.get(start..end));
        Some(template.expand(group))
    }
}

/// The last line of the engine's message, which draws the translated pattern above it.
fn plain(error: &regex::Error) -> String {
    match error {
        regex::Error::CompiledTooBig(limit) => {
            format!("compiled it is larger than {limit} bytes: use smaller repetitions")
        }
        error => {
            let text = error.to_string();
            let last = text.lines().last().unwrap_or_default();
            last.strip_prefix("error: ").unwrap_or(last).to_owned()
        }
    }
}

#[cfg(test)]
mod tests;
