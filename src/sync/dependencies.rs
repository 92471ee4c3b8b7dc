//! GitSyncs that wait for others: who is ready, who is not, who lets nobody look, and who waits in a circle.

use std::sync::Arc;

use serde_json::Value;

use super::cel::{Expression, Trouble};
use crate::api::condition::Reason;
use crate::failure::Failure;
use crate::revision::Revision;

/// Namespace and name of a GitSync.
pub type Name = (String, String);

/// What an expression of `dependsOn` may speak of.
pub const VARIABLES: [&str; 2] = ["self", "dep"];

/// One GitSync.
#[derive(Debug, Clone)]
pub struct Node {
    /// Its namespace and name.
    pub name: Name,
    /// Its ConfigRepo, of its own namespace.
    pub repo: String,
    /// What it waits for.
    pub depends_on: Vec<Wish>,
    /// Namespaces that may depend on it, beside its own.
    pub grants: Option<crate::api::git_sync::AccessFrom>,
    /// Whether it is ready, for the generation that it has now.
    pub is_ready: bool,
    /// What it applied last.
    pub applied: Option<Revision>,
    /// The whole object, if an expression wants to see it.
    pub object: Option<Value>,
}

/// One thing that a GitSync waits for.
#[derive(Debug, Clone)]
pub struct Wish {
    /// Namespace and name.
    pub name: Name,
    /// When it is ready, other than by its conditions and revision.
    pub ready: Option<Arc<Expression>>,
}

/// Checks that everything that `name` waits for is ready; what stands on the same repository must be at the same revision.
///
/// # Errors
/// Says what is missing, not ready, or waits in a circle.
pub fn check(name: &Name, revision: &Revision, all: &[Node]) -> Result<(), Failure> {
    let find = |name: &Name| all.iter().find(|node| node.name == *name);
    let Some(own) = find(name) else { return Ok(()) };
    if let Some(circle) = circle(name, all) {
        let circle: Vec<String> = circle.iter().map(|step| shown(step, name)).collect();
        return Err(Failure::user(
            Reason::DependencyCycle,
            format!("spec.dependsOn goes in a circle: {}", circle.join(" → ")),
        ));
    }
    for (index, wish) in own.depends_on.iter().enumerate() {
        let other = shown(&wish.name, name);
        let not_ready = |text: String| Err(Failure::retry(Reason::DependencyNotReady, text));
        let Some(node) = find(&wish.name).filter(|node| grants(node, name)) else {
            // Who was not let in does not learn what is there.
            return match wish.name.0 == name.0 {
                true => not_ready(format!("GitSync {other} does not exist")),
                false => Err(Failure::user(
                    Reason::AccessDenied,
                    format!("GitSync {other} does not exist, or its spec.accessFrom does not name {}", name.0),
                )),
            };
        };
        match &wish.ready {
            Some(ready) => by_expression(ready, index, &other, own, node)?,
            None if !node.is_ready => return not_ready(format!("GitSync {other} is not ready")),
            None if node.name.0 == name.0 && node.repo == own.repo && node.applied.as_ref() != Some(revision) => {
                return not_ready(format!("GitSync {other} has not applied {revision} yet"));
            }
            None => {}
        }
    }
    Ok(())
}

fn by_expression(ready: &Expression, index: usize, other: &str, own: &Node, dep: &Node) -> Result<(), Failure> {
    let scope: Vec<(&str, &Value)> = [("self", &own.object), ("dep", &dep.object)]
        .into_iter()
        .filter_map(|(name, o)| Some((name, o.as_ref()?)))
        .collect();
    let not_yet = |why: &str| {
        Err(Failure::retry(Reason::DependencyNotReady, format!("GitSync {other} is not ready: its readyExpr {why}")))
    };
    match ready.holds(&scope) {
        Ok(true) => Ok(()),
        Ok(false) => not_yet("does not hold"),
        Err(Trouble::Missing(field)) => not_yet(&format!("reads {field}, which is not there")),
        Err(Trouble::Wrong(why)) => {
            Err(Failure::user(Reason::InvalidSpec, format!("spec.dependsOn[{index}].readyExpr: {why}")))
        }
    }
}

fn grants(node: &Node, to: &Name) -> bool {
    node.name.0 == to.0 || node.grants.as_ref().is_some_and(|grants| grants.grants(&to.0))
}

/// As a reader of `from`'s namespace calls it.
fn shown((namespace, name): &Name, from: &Name) -> String {
    if *namespace == from.0 { name.clone() } else { format!("{namespace}/{name}") }
}

/// The way from `name` back to itself, if there is one.
fn circle(name: &Name, all: &[Node]) -> Option<Vec<Name>> {
    let mut paths = vec![vec![name.clone()]];
    let mut seen = std::collections::BTreeSet::new();
    while let Some(path) = paths.pop() {
        let last = path.last()?;
        let Some(node) = all.iter().find(|node| node.name == *last) else { continue };
        for next in node.depends_on.iter().map(|wish| &wish.name) {
            // What does not let us in stops us before, and its own wishes are its own business.
            if all.iter().any(|other| other.name == *next && !grants(other, last)) {
                continue;
            }
            let mut longer = path.clone();
            longer.push(next.clone());
            if next == name {
                return Some(longer);
            }
            if seen.insert(next.clone()) {
                paths.push(longer);
            }
        }
    }
    None
}

#[cfg(test)]
mod tests;
