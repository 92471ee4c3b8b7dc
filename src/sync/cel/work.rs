//! How much work an expression can be at most, told by its shape and by the size of the objects before it runs: CEL always ends,
//! but loops within loops over a large object may end next week.

use std::collections::BTreeSet;

use cel::IdedExpr;
use cel::common::ast::{EntryExpr, Expr, LiteralValue, operators};
use serde_json::Value;

use super::Trouble;
use super::bind::is_left_out;

/// How many steps an expression may take: some tenths of a second.
const STEPS: u64 = 1_000_000;
/// How many values the objects of an expression may hold.
const VALUES: u64 = 200_000;
/// What a regular expression costs, in steps: it is compiled each time.
const REGEX: u64 = 500;
/// How large a compiled regular expression may be, in bytes.
const REGEX_SIZE: usize = 64 << 10;

/// Functions that may be called. Those that make a text longer by more than they are given are not among them, as repeated ones
/// would make it as long as they please.
const FUNCTIONS: [&str; 30] = [
    "contains",
    "startsWith",
    "endsWith",
    "matches",
    "size",
    "int",
    "uint",
    "double",
    "string",
    "bool",
    "type",
    "dyn",
    "charAt",
    "indexOf",
    "lastIndexOf",
    "join",
    "lowerAscii",
    "upperAscii",
    "split",
    "substring",
    "trim",
    "hasValue",
    "value",
    "or",
    "orValue",
    "optional.of",
    "optional.none",
    "optional.ofNonZeroValue",
    "of",
    "none",
];
const OPERATORS: [&str; 20] = [
    operators::CONDITIONAL,
    operators::LOGICAL_AND,
    operators::LOGICAL_OR,
    operators::LOGICAL_NOT,
    operators::SUBSTRACT,
    operators::ADD,
    operators::MULTIPLY,
    operators::DIVIDE,
    operators::MODULO,
    operators::EQUALS,
    operators::NOT_EQUALS,
    operators::GREATER_EQUALS,
    operators::LESS_EQUALS,
    operators::GREATER,
    operators::LESS,
    operators::NEGATE,
    operators::INDEX,
    operators::OPT_INDEX,
    operators::OPT_SELECT,
    operators::IN,
];

/// What the shape says.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Work {
    /// Nodes by how many loops they stand in: what runs `n` × `n` times is at index 2.
    nodes: Vec<u64>,
    /// By how much lists and texts can grow at most, as a power of two.
    growth: u32,
}

/// An expression looked through.
#[derive(Default)]
pub(super) struct Found {
    pub work: Work,
    /// The variables that it does not bind itself.
    pub free: BTreeSet<String>,
}

/// Looks through an expression.
///
/// # Errors
/// The word that is wrong, and why.
pub(super) fn look(tree: &IdedExpr, depth: usize) -> Result<Found, (String, String)> {
    let mut look = Look { found: Found::default(), bound: Vec::new(), depth };
    look.at(tree, 0, 0)?;
    Ok(look.found)
}

struct Look<'a> {
    found: Found,
    bound: Vec<&'a str>,
    depth: usize,
}

impl<'a> Look<'a> {
    fn at(&mut self, node: &'a IdedExpr, level: usize, loops: usize) -> Result<(), (String, String)> {
        if level > self.depth {
            return Err((String::new(), format!("it nests deeper than {}", self.depth)));
        }
        self.count(loops, 1);
        let level = level + 1;
        match &node.expr {
            Expr::Unspecified | Expr::Literal(_) => Ok(()),
            Expr::Ident(name) => {
                // Names with an @ are made by macros; `optional` is a family of functions.
                if !name.starts_with('@') && name != "optional" && !self.bound.contains(&name.as_str()) {
                    self.found.free.insert(name.clone());
                }
                Ok(())
            }
            Expr::Select(select) => self.at(&select.operand, level, loops),
            Expr::List(list) => list.elements.iter().try_for_each(|element| self.at(element, level, loops)),
            Expr::Map(map) => map.entries.iter().try_for_each(|entry| match &entry.expr {
                EntryExpr::MapEntry(entry) => {
                    self.at(&entry.key, level, loops)?;
                    self.at(&entry.value, level, loops)
                }
                EntryExpr::StructField(field) => self.at(&field.value, level, loops),
            }),
            Expr::Struct(made) => Err((made.type_name.clone(), "messages can't be made here".to_owned())),
            Expr::Call(call) => {
                self.call(call, loops)?;
                call.target.iter().try_for_each(|target| self.at(target, level, loops))?;
                call.args.iter().try_for_each(|argument| self.at(argument, level, loops))
            }
            Expr::Comprehension(each) => {
                self.at(&each.iter_range, level, loops)?;
                self.at(&each.accu_init, level, loops)?;
                let names = self.bound.len();
                self.bound.push(&each.iter_var);
                self.bound.extend(each.iter_var2.as_deref());
                let inner = [&each.loop_cond, &each.loop_step];
                inner.into_iter().try_for_each(|part| self.at(part, level, loops + 1))?;
                self.bound.truncate(names);
                self.at(&each.result, level, loops)
            }
        }
    }

    fn call(&mut self, call: &'a cel::common::ast::CallExpr, loops: usize) -> Result<(), (String, String)> {
        let name = call.func_name.as_str();
        let is_known = FUNCTIONS.contains(&name) || OPERATORS.contains(&name) || name.starts_with('@');
        if !is_known {
            return Err((name.to_owned(), format!("there is no function {name} here")));
        }
        match name {
            operators::ADD if !is_appending(call) => self.found.work.growth += 1,
            "join" | "string" => self.found.work.growth += 1,
            "matches" => {
                self.count(loops, REGEX);
                let Some(Expr::Literal(LiteralValue::String(pattern))) = call.args.last().map(|last| &last.expr) else {
                    return Err((name.to_owned(), "matches needs its pattern as a text in quotes".to_owned()));
                };
                let built = regex::RegexBuilder::new(pattern.inner()).size_limit(REGEX_SIZE).build();
                built.map_err(|error| {
                    (name.to_owned(), format!("its pattern: {}", crate::failure::printable(&error.to_string(), 200)))
                })?;
            }
            _ => {}
        }
        Ok(())
    }

    fn count(&mut self, loops: usize, nodes: u64) {
        let all = &mut self.found.work.nodes;
        if all.len() <= loops {
            all.resize(loops + 1, 0);
        }
        all[loops] += nodes;
    }
}

/// The `@result + [x]` of a macro: one item a turn.
fn is_appending(call: &cel::common::ast::CallExpr) -> bool {
    matches!(call.args.first().map(|first| &first.expr), Some(Expr::Ident(name)) if name.starts_with('@'))
}

/// How large some objects are.
#[derive(Default)]
struct Size {
    values: u64,
    /// The longest list, object or text.
    longest: u64,
}

impl Size {
    fn add(&mut self, value: &Value) {
        self.values += 1;
        match value {
            Value::String(text) => self.longest = self.longest.max(text.len() as u64 / 16),
            Value::Array(items) => {
                self.longest = self.longest.max(items.len() as u64);
                items.iter().for_each(|item| self.add(item));
            }
            Value::Object(fields) => {
                self.longest = self.longest.max(fields.len() as u64);
                fields.iter().filter(|(name, _)| !is_left_out(name)).for_each(|(_, field)| self.add(field));
            }
            _ => {}
        }
    }
}

impl Work {
    /// Whether it may run on these objects.
    ///
    /// # Errors
    /// When they are too large for it.
    pub(super) fn check<'a>(&self, objects: impl Iterator<Item = &'a Value>) -> Result<(), Trouble> {
        let mut size = Size::default();
        objects.for_each(|object| size.add(object));
        let turns = size.longest.max(16).saturating_mul(1_u64.checked_shl(self.growth).unwrap_or(u64::MAX));
        let mut times = 1_u64;
        let mut steps = 0_u64;
        for nodes in &self.nodes {
            steps = steps.saturating_add(nodes.saturating_mul(times));
            times = times.saturating_mul(turns);
        }
        if size.values > VALUES || steps > STEPS {
            let text = "the object is too large for it: loop over less, or in fewer loops within loops";
            return Err(Trouble::Wrong(text.to_owned()));
        }
        Ok(())
    }
}
