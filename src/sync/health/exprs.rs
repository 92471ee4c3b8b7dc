//! `spec.healthCheckExprs` of a GitSync → rules that can only be valid.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use super::rule::{Rule, VARIABLES};
use crate::api::condition::Reason;
use crate::api::git_sync::HealthCheckExpr;
use crate::failure::Failure;
use crate::object::Gvk;
use crate::sync::cel::Expression;
use crate::sync::cel::pool::Pool;

/// The rules of one GitSync.
#[derive(Debug)]
pub struct Rules {
    rules: Vec<(String, String, Rule)>,
    id: u64,
}

impl Rules {
    /// Reads the field; none when it is empty.
    ///
    /// # Errors
    /// Names the field, and the place in it.
    pub fn read(exprs: &[HealthCheckExpr], pool: &Pool) -> Result<Option<Arc<Self>>, Failure> {
        if exprs.is_empty() {
            return Ok(None);
        }
        let rules = exprs.iter().enumerate().map(|(index, expr)| read(index, expr, pool));
        let mut hash = DefaultHasher::new();
        exprs.hash(&mut hash);
        Ok(Some(Arc::new(Self { rules: rules.collect::<Result<_, _>>()?, id: hash.finish().max(1) })))
    }

    /// The rule for a kind: the one that names it, or one for its whole group.
    pub(super) fn of(&self, group: &str, kind: &str) -> Option<&Rule> {
        let in_group = || self.rules.iter().filter(|(of, ..)| of == group);
        let named = in_group().find(|(_, named, _)| named == kind);
        named.or_else(|| in_group().find(|(_, named, _)| named.is_empty())).map(|(.., rule)| rule)
    }

    /// What tells apart verdicts of these rules from others on an object of this kind; 0 when none of them is for it.
    pub fn id(&self, group: &str, kind: &str) -> u64 {
        if self.of(group, kind).is_some() { self.id } else { 0 }
    }
}

fn read(index: usize, expr: &HealthCheckExpr, pool: &Pool) -> Result<(String, String, Rule), Failure> {
    let place = format!("spec.healthCheckExprs[{index}]");
    let compile = |name: &str, text: &str| -> Result<Arc<Expression>, Failure> {
        pool.compile(text, &VARIABLES)
            .map_err(|mistake| Failure::user(Reason::InvalidSpec, format!("{place}.{name}, {mistake}")))
    };
    let optional = |name: &str, text: &Option<String>| text.as_ref().map(|text| compile(name, text)).transpose();
    let rule = Rule {
        in_progress: optional("inProgress", &expr.in_progress)?,
        failed: optional("failed", &expr.failed)?,
        current: compile("current", &expr.current)?,
        place: place.clone(),
    };
    Ok((Gvk::new(&expr.api_version, "").group, expr.kind.clone(), rule))
}
