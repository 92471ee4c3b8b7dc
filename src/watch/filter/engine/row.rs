//! A pattern that is a row of characters and sets of characters, such as `^main-[0-9a-f]{7}-([0-9]+)$`, as most are that people
//! write for tags. A compiled program comes in; out goes a form that walks over a tag without looking back, or nothing.

use regex_automata::nfa::thompson::{NFA, State};
use regex_automata::util::look::Look;
use regex_automata::util::primitives::StateID;

/// How many parts a row may have.
const LONGEST: usize = 256;

/// A pattern that matches only at a tag's start, and in which each part takes as many characters as it can.
#[derive(Debug)]
pub(in crate::watch::filter) struct Row {
    parts: Vec<Part>,
    /// It matches only up to the tag's end.
    is_to_end: bool,
}

#[derive(Debug)]
enum Part {
    /// These bytes.
    Text(Vec<u8>),
    /// Bytes of a set.
    Set(Set),
    /// Here begins or ends a group.
    Slot(usize),
}

#[derive(Debug, Clone, PartialEq)]
struct Set {
    has: Box<[bool; 256]>,
    least: usize,
    most: usize,
}

impl Row {
    /// Whether a tag matches; then `slots` has where group `n` begins and ends at `2 n` and `2 n + 1`, as far as it is long.
    pub(super) fn find(&self, tag: &[u8], slots: &mut [usize]) -> bool {
        let mut rest = tag;
        for part in &self.parts {
            match part {
                Part::Text(text) => match rest.strip_prefix(&text[..]) {
                    Some(after) => rest = after,
                    None => return false,
                },
                Part::Set(Set { has, least, most }) => {
                    let within = &rest[..rest.len().min(*most)];
                    let length = within.iter().position(|byte| !has[usize::from(*byte)]).unwrap_or(within.len());
                    if length < *least {
                        return false;
                    }
                    rest = &rest[length..];
                }
                Part::Slot(slot) => {
                    if let Some(slot) = slots.get_mut(*slot) {
                        *slot = tag.len() - rest.len();
                    }
                }
            }
        }
        !self.is_to_end || rest.is_empty()
    }

    /// Reads a program; `None` when it is no row.
    pub(super) fn read(program: &NFA) -> Option<Self> {
        if !program.is_always_start_anchored() {
            return None;
        }
        let mut row = Self { parts: Vec::new(), is_to_end: false };
        let mut at = program.start_anchored();
        while row.parts.len() < LONGEST {
            at = match program.state(at) {
                State::Match { .. } => return row.never_looks_back().then_some(row),
                State::Capture { next, slot, .. } => {
                    row.parts.push(Part::Slot(slot.as_usize()));
                    *next
                }
                State::Look { look: Look::Start, next } if row.is_at_start() => *next,
                State::Look { look: Look::End, next } => {
                    row.is_to_end = true;
                    *next
                }
                _ if row.is_to_end => return None,
                _ => {
                    let (set, next) = repeated(program, at)?;
                    row.push(set);
                    next
                }
            };
        }
        None
    }

    fn is_at_start(&self) -> bool {
        self.parts.iter().all(|part| matches!(part, Part::Slot(_)))
    }

    /// Joins what is the same as one longer part.
    fn push(&mut self, set: Set) {
        match (self.parts.last_mut(), set.only()) {
            (Some(Part::Text(text)), Some(byte)) => text.push(byte),
            (_, Some(byte)) => self.parts.push(Part::Text(vec![byte])),
            (Some(Part::Set(last)), None) if last.has == set.has => {
                last.least = last.least.saturating_add(set.least);
                last.most = last.most.saturating_add(set.most);
            }
            (_, None) => self.parts.push(Part::Set(set)),
        }
    }

    /// Whether taking as much as goes is always right: no part that could take less is followed by one that could go on there.
    fn never_looks_back(&self) -> bool {
        self.parts.iter().enumerate().all(|(index, part)| match part {
            Part::Set(set) if set.least < set.most => !self.may_follow(index + 1, &set.has),
            _ => true,
        })
    }

    /// Whether what comes at this place or after it may begin with one of these bytes.
    fn may_follow(&self, index: usize, bytes: &[bool; 256]) -> bool {
        for part in &self.parts[index..] {
            match part {
                Part::Text(text) => return bytes[usize::from(text[0])],
                Part::Set(set) if set.has.iter().zip(bytes).any(|(a, b)| *a && *b) => return true,
                Part::Set(set) if set.least > 0 => return false,
                Part::Set(_) | Part::Slot(_) => {}
            }
        }
        false
    }
}

impl Set {
    /// The one byte that it stands for, if that is all it does.
    fn only(&self) -> Option<u8> {
        let mut bytes = (0..=u8::MAX).filter(|byte| self.has[usize::from(*byte)]);
        let first = bytes.next().filter(|_| (self.least, self.most) == (1, 1))?;
        bytes.next().is_none().then_some(first)
    }
}

/// One byte of a set, and the state after it.
fn single(program: &NFA, at: StateID) -> Option<(Set, StateID)> {
    let transitions = match program.state(at) {
        State::ByteRange { trans } => std::slice::from_ref(trans),
        State::Sparse(sparse) => &sparse.transitions,
        _ => return None,
    };
    let next = transitions.first()?.next;
    let mut has = Box::new([false; 256]);
    for transition in transitions {
        if transition.next != next {
            return None;
        }
        has[usize::from(transition.start)..=usize::from(transition.end)].fill(true);
    }
    Some((Set { has, least: 1, most: 1 }, next))
}

/// A set as often as the program repeats it there (`x`, `x+`, `x*`, `x?` and rows of the last), and the state after it. What
/// prefers to take less has its choices in the other order, and is none of these.
fn repeated(program: &NFA, at: StateID) -> Option<(Set, StateID)> {
    if let State::BinaryUnion { alt1: again, alt2: after } = program.state(at) {
        let (mut set, mut next) = single(program, *again)?;
        set.least = 0;
        if next == at {
            set.most = usize::MAX;
            return Some((set, *after));
        }
        while next != *after {
            let State::BinaryUnion { alt1, alt2 } = program.state(next) else { return None };
            let (other, other_next) = single(program, *alt1)?;
            if alt2 != after || other.has != set.has || set.most >= LONGEST {
                return None;
            }
            set.most += 1;
            next = other_next;
        }
        return Some((set, *after));
    }
    let (mut set, next) = single(program, at)?;
    match program.state(next) {
        State::BinaryUnion { alt1, alt2 } if *alt1 == at => {
            set.most = usize::MAX;
            Some((set, *alt2))
        }
        _ => Some((set, next)),
    }
}
