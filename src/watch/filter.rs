//! `filterTags`: which tags count, and what of them is compared. A tag comes in, what is compared goes out, or nothing.
//!
//! Patterns are written in RE2 as Go spells it and match anywhere in the tag; templates expand as Go's `Expand` does.
//! Matching takes time linear in the tag; what compiling may cost is bounded.

use std::borrow::Cow;
use std::fmt;

use self::engine::{Engine, Memory};
use self::template::Template;
use crate::api::image_policy::FilterTags;

mod dialect;
mod engine;
mod template;

/// Longest pattern, in bytes; the kind's schema has the same limit.
const LONGEST_PATTERN: usize = 1024;
/// Longest template, in bytes.
const LONGEST_TEMPLATE: usize = 1024;

/// A compiled `filterTags`.
#[derive(Debug, Clone)]
pub struct Filter {
    engine: Engine,
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
        let engine = Engine::compile(&pattern.text).map_err(in_pattern)?;
        let template = match tags.extract.as_deref() {
            None | Some("") => None,
            Some(text) if text.len() > LONGEST_TEMPLATE => {
                return Err(in_extract(format!("it is longer than {LONGEST_TEMPLATE} bytes")));
            }
            Some(text) => Some(Template::parse(text, &pattern.groups).map_err(in_extract)?),
        };
        Ok(Self { engine, template })
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
        let last = self.template.as_ref().map_or(0, Template::last_group);
        Extractor { filter: self, memory: self.engine.memory(last) }
    }
}

/// A filter with its memory for matches.
#[derive(Debug)]
pub struct Extractor<'f> {
    filter: &'f Filter,
    memory: Memory,
}

impl Extractor<'_> {
    /// Whether a tag counts.
    pub fn matches(&mut self, tag: &str) -> bool {
        self.filter.engine.matches(&mut self.memory, tag)
    }

    /// What of a tag is compared; `None` when it doesn't match.
    pub fn apply<'t>(&mut self, tag: &'t str) -> Option<Cow<'t, str>> {
        let Filter { engine, template } = self.filter;
        let Some(template) = template else {
            return self.matches(tag).then_some(Cow::Borrowed(tag));
        };
        if !engine.find(&mut self.memory, tag) {
            return None;
        }
        // Tags are ASCII; in other text a match could split a character, and such a group counts as one without part.
        let group = |index| self.memory.group(index).and_then(|(start, end)| tag.get(start..end));
        Some(template.expand(group))
    }
}

#[cfg(test)]
mod tests;
