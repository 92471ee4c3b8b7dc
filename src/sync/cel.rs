//! Text of the Common Expression Language → an expression that can only be valid → whether it holds for some objects.
//! Bounded: by size and nesting when it is read, by work (`work.rs`) before it runs. No error prints a value of an object.

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, LazyLock};

use cel::parser::PrattParser;
use cel::{Context, Env, ExecutionError, extensions};
use serde_json::{Map, Value};

use crate::failure::printable;

mod bind;
pub mod pool;
mod work;

use work::Work;

/// How long an expression may be, in bytes.
pub const LENGTH: usize = 2048;
/// How deep an expression may nest, written and once its macros are expanded: each level is a frame of the evaluator's stack.
const DEPTH: u16 = 40;

/// The standard library of CEL and the functions on text that Kubernetes users know.
static ENV: LazyLock<Arc<Env>> = LazyLock::new(|| {
    let mut env = Env::stdlib();
    env.add_extension(extensions::strings).expect("its names are not taken in the standard library");
    Arc::new(env)
});

/// An expression that was read and checked.
#[derive(Debug)]
pub struct Expression {
    text: String,
    tree: cel::IdedExpr,
    work: Work,
    free: BTreeSet<String>,
}

/// Why a text is no expression that we run.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, column {column}: {reason}")]
pub struct Mistake {
    /// The line, from 1.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
    /// What is wrong.
    pub reason: String,
}

/// Why an expression says neither yes nor no.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Trouble {
    /// A field that it reads is not there (yet).
    #[error("there is no {0}")]
    Missing(String),
    /// It does something with a value that can't be done, or too much.
    #[error("{0}")]
    Wrong(String),
}

/// The objects that an expression speaks of, by the names that it has for them.
pub type Scope<'a> = [(&'a str, &'a Value)];

impl Expression {
    /// Reads a text that may use these variables.
    ///
    /// # Errors
    /// When it is too long or too deep, does not parse, or names what does not exist; with the place.
    pub fn compile(text: &str, variables: &[&str]) -> Result<Self, Mistake> {
        let whole = |reason: String| Mistake { line: 1, column: 1, reason };
        if text.trim().is_empty() {
            return Err(whole("the expression is empty".to_owned()));
        }
        if text.len() > LENGTH {
            return Err(whole(format!("an expression may have {LENGTH} bytes, this one has {}", text.len())));
        }
        let parse = || PrattParser::new().max_recursion_depth(DEPTH).enable_optional_syntax(true).parse(text);
        // A crate that can't read some text should not end a watch.
        let parsed = catch_unwind(AssertUnwindSafe(parse)).map_err(|_| whole("it can't be read".to_owned()))?;
        let tree = parsed.map_err(|errors| mistake(&errors))?;
        let found = work::look(&tree, DEPTH.into()).map_err(|(word, reason)| at(text, &word, reason))?;
        if let Some(unknown) = found.free.iter().find(|name| !variables.contains(&name.as_str())) {
            let reason = format!("{unknown} is not known here; there are {}", variables.join(", "));
            return Err(at(text, unknown, reason));
        }
        Ok(Self { text: text.to_owned(), tree, work: found.work, free: found.free })
    }

    /// As it was written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether it holds. A variable that the scope lacks is an empty object.
    ///
    /// # Errors
    /// When a field is missing, or what it does can't be done.
    pub fn holds(&self, scope: &Scope<'_>) -> Result<bool, Trouble> {
        match self.value(scope)? {
            cel::Value::Bool(holds) => Ok(holds),
            other => Err(Trouble::Wrong(format!("it gives {} where true or false is needed", named(&other)))),
        }
    }

    /// The text that it makes.
    ///
    /// # Errors
    /// As [`holds`](Self::holds).
    pub fn says(&self, scope: &Scope<'_>) -> Result<String, Trouble> {
        match self.value(scope)? {
            cel::Value::String(text) => Ok(text.to_string()),
            other => Err(Trouble::Wrong(format!("it gives {} where a text is needed", named(&other)))),
        }
    }

    fn value(&self, scope: &Scope<'_>) -> Result<cel::Value, Trouble> {
        let none = Value::Object(Map::new());
        let find = |name: &String| scope.iter().find(|(known, _)| known == name).map_or(&none, |(_, value)| *value);
        let used: Vec<(&String, &Value)> = self.free.iter().map(|name| (name, find(name))).collect();
        self.work.check(used.iter().map(|(_, value)| *value))?;
        let run = || {
            let mut context = Context::with_env(ENV.clone());
            for (name, value) in &used {
                context.add_variable_from_value(name.as_str(), bind::value(value));
            }
            cel::Value::resolve(&self.tree, &context)
        };
        let ran = catch_unwind(AssertUnwindSafe(run));
        ran.map_err(|_| Trouble::Wrong("its evaluation broke off".to_owned()))?.map_err(|error| trouble(&error))
    }
}

fn mistake(errors: &cel::ParseErrors) -> Mistake {
    let Some(first) = errors.errors.first() else {
        return Mistake { line: 1, column: 1, reason: "it does not parse".to_owned() };
    };
    let from_one = |number: isize| usize::try_from(number).unwrap_or(1).max(1);
    Mistake { line: from_one(first.pos.0), column: from_one(first.pos.1), reason: printable(&first.msg, 200) }
}

/// A mistake at the first place where a word stands by itself.
fn at(text: &str, word: &str, reason: String) -> Mistake {
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    let alone = |&(start, _): &(usize, &str)| {
        !text[..start].ends_with(is_part) && !text[start + word.len()..].starts_with(is_part)
    };
    let found = || text.match_indices(word).find(alone);
    let start = if word.is_empty() { 0 } else { found().map_or(0, |(start, _)| start) };
    let before = &text[..start];
    let line = before.rsplit('\n').next().unwrap_or_default();
    Mistake { line: before.matches('\n').count() + 1, column: line.chars().count() + 1, reason }
}

fn named(value: &cel::Value) -> &'static str {
    use cel::Value::{Bool, Float, Int, List, Map, Null, String, UInt};
    match value {
        Null => "null",
        Bool(_) => "true or false",
        Int(_) | UInt(_) | Float(_) => "a number",
        String(_) => "a text",
        List(_) => "a list",
        Map(_) => "an object",
        _ => "something else",
    }
}

/// In words without values, since the objects may be Secrets.
fn trouble(error: &ExecutionError) -> Trouble {
    match error {
        ExecutionError::NoSuchKey(name) => Trouble::Missing(printable(name, 100)),
        ExecutionError::IndexOutOfBounds(_) => Trouble::Missing("such item in a list".to_owned()),
        ExecutionError::NoSuchOverload(overload) => Trouble::Wrong(printable(&overload.to_string(), 200)),
        ExecutionError::UndeclaredReference(name) => Trouble::Wrong(format!("{} is not known", printable(name, 100))),
        ExecutionError::InvalidArgumentCount { expected, actual } => {
            Trouble::Wrong(format!("a function takes {expected} arguments, it gets {actual}"))
        }
        ExecutionError::UnexpectedType { got, want } => {
            Trouble::Wrong(format!("{} where {} is needed", printable(got, 50), printable(want, 50)))
        }
        ExecutionError::FunctionError { function, .. } => Trouble::Wrong(format!("{} fails", printable(function, 50))),
        ExecutionError::DivisionByZero(_) | ExecutionError::RemainderByZero(_) => {
            Trouble::Wrong("it divides by zero".to_owned())
        }
        ExecutionError::Overflow(..) => Trouble::Wrong("a number is too large".to_owned()),
        _ => Trouble::Wrong("it does something with a value that can't be done".to_owned()),
    }
}

#[cfg(test)]
mod tests;
