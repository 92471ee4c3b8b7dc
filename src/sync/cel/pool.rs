//! Expressions by their text: a thousand GitSyncs with the same rules share one copy of each.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use super::{Expression, Mistake};

/// A text and the variables that it may use.
type Key = (String, Vec<String>);

/// Everything that is in use.
#[derive(Default)]
pub struct Pool {
    known: Mutex<HashMap<Key, Weak<Expression>>>,
}

impl Pool {
    /// The expression of a text; read only when nobody holds it.
    ///
    /// # Errors
    /// As [`Expression::compile`].
    pub fn compile(&self, text: &str, variables: &[&str]) -> Result<Arc<Expression>, Mistake> {
        let key: Key = (text.to_owned(), variables.iter().map(|name| (*name).to_owned()).collect());
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(expression) = known.get(&key).and_then(Weak::upgrade) {
            return Ok(expression);
        }
        let expression = Arc::new(Expression::compile(text, variables)?);
        known.retain(|_, expression| expression.strong_count() > 0);
        known.insert(key, Arc::downgrade(&expression));
        Ok(expression)
    }
}
