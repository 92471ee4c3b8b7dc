//! Runs a translated pattern over very many tags. A tag comes in; whether it matches and where its groups lie goes out.
//! The fastest of three engines that can run the pattern does; which one it is must never show.

use std::sync::Arc;

use regex::bytes::{CaptureLocations, Regex, RegexBuilder};
use regex_automata::dfa::onepass::{self, DFA};
use regex_automata::nfa::thompson::{self, NFA};
use regex_automata::util::primitives::NonMaxUsize;
use regex_automata::util::syntax;
use regex_automata::{Anchored, Input};

use self::row::Row;

mod row;

/// Memory of a compiled pattern, in bytes. Nested counted repetitions reach it.
const LARGEST_PROGRAM: usize = 1 << 20;
/// How deep groups may nest.
const DEEPEST: u32 = 100;

/// A compiled pattern. Clones share its memory.
#[derive(Debug, Clone)]
pub(super) enum Engine {
    /// For a row of characters and sets.
    Row(Arc<Row>),
    /// For a pattern that matches only from a tag's start and leaves no choice at any character: one walk finds the groups too.
    OnePass(Arc<DFA>),
    /// For all others.
    General(Regex),
}

/// What an engine needs while it runs, kept from tag to tag, and where the groups of the last match lie.
#[derive(Debug)]
pub(super) enum Memory {
    Row(Vec<usize>),
    OnePass(onepass::Cache, Vec<Option<NonMaxUsize>>),
    General(CaptureLocations),
}

impl Engine {
    /// Compiles a pattern in the Rust engine's spelling.
    ///
    /// # Errors
    /// One line that says what is wrong with it.
    pub(super) fn compile(pattern: &str) -> Result<Self, String> {
        let general = Self::general(pattern)?;
        Ok(if let Some(row) = Self::program(pattern).and_then(|program| Row::read(&program)) {
            Self::Row(Arc::new(row))
        } else if let Some(dfa) = Self::one_pass(pattern) {
            Self::OnePass(Arc::new(dfa))
        } else {
            general
        })
    }

    fn general(pattern: &str) -> Result<Self, String> {
        let builder = RegexBuilder::new(pattern).unicode(false).size_limit(LARGEST_PROGRAM).nest_limit(DEEPEST).build();
        builder.map(Self::General).map_err(|error| plain(&error))
    }

    /// The same program that the general engine makes of a pattern.
    fn program(pattern: &str) -> Option<NFA> {
        let syntax = syntax::Config::new().unicode(false).utf8(false).nest_limit(DEEPEST);
        let config = thompson::Config::new().utf8(false).nfa_size_limit(Some(LARGEST_PROGRAM));
        thompson::Compiler::new().configure(config).syntax(syntax).build(pattern).ok()
    }

    /// A pattern that isn't tied to the start would need a search, which this engine has not.
    fn one_pass(pattern: &str) -> Option<DFA> {
        let program = Self::program(pattern).filter(NFA::is_always_start_anchored)?;
        let config = DFA::config().size_limit(Some(LARGEST_PROGRAM));
        DFA::builder().configure(config).build_from_nfa(program).ok()
    }

    /// Room for the groups up to the `last` one; the whole match is group 0.
    pub(super) fn memory(&self, last: usize) -> Memory {
        match self {
            Self::Row(_) => Memory::Row(vec![0; 2 * (last + 1)]),
            Self::OnePass(dfa) => Memory::OnePass(dfa.create_cache(), vec![None; 2 * (last + 1)]),
            Self::General(regex) => Memory::General(regex.capture_locations()),
        }
    }

    /// Whether a tag matches.
    pub(super) fn matches(&self, memory: &mut Memory, tag: &str) -> bool {
        match (self, memory) {
            (Self::Row(row), _) => row.find(tag.as_bytes(), &mut []),
            (Self::OnePass(dfa), Memory::OnePass(cache, _)) => walk(dfa, cache, tag, true, &mut []),
            (Self::General(regex), _) => regex.is_match(tag.as_bytes()),
            _ => false,
        }
    }

    /// Whether a tag matches; where its groups lie is in the memory then.
    pub(super) fn find(&self, memory: &mut Memory, tag: &str) -> bool {
        match (self, memory) {
            (Self::Row(row), Memory::Row(slots)) => row.find(tag.as_bytes(), slots),
            (Self::OnePass(dfa), Memory::OnePass(cache, slots)) => walk(dfa, cache, tag, false, slots),
            (Self::General(regex), Memory::General(locations)) => {
                regex.captures_read(locations, tag.as_bytes()).is_some()
            }
            // Memory is made by the engine that it is used with.
            _ => false,
        }
    }
}

fn walk(
    dfa: &DFA,
    cache: &mut onepass::Cache,
    tag: &str,
    is_any_enough: bool,
    slots: &mut [Option<NonMaxUsize>],
) -> bool {
    let input = Input::new(tag).anchored(Anchored::Yes).earliest(is_any_enough);
    // It fails only for kinds of search that this is none of.
    dfa.try_search_slots(cache, &input, slots).is_ok_and(|pattern| pattern.is_some())
}

impl Memory {
    /// Where a group lies in the last tag that was found; `None` when it took no part.
    pub(super) fn group(&self, index: usize) -> Option<(usize, usize)> {
        match self {
            Self::Row(slots) => Some((*slots.get(2 * index)?, *slots.get(2 * index + 1)?)),
            Self::OnePass(_, slots) => {
                Some((slots.get(2 * index)?.as_ref()?.get(), slots.get(2 * index + 1)?.as_ref()?.get()))
            }
            Self::General(locations) => locations.get(index),
        }
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
