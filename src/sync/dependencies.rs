//! GitSyncs that wait for others: who is ready, who is not, and who waits in a circle.

use crate::api::condition::Reason;
use crate::failure::Failure;
use crate::revision::Revision;

/// One GitSync of the namespace.
#[derive(Debug, Clone)]
pub struct Node {
    /// Its name.
    pub name: String,
    /// Its ConfigRepo.
    pub repo: String,
    /// What it waits for.
    pub depends_on: Vec<String>,
    /// Whether it is ready, for the generation that it has now.
    pub is_ready: bool,
    /// What it applied last.
    pub applied: Option<Revision>,
}

/// Checks that everything that `name` waits for is ready; what stands on the same repository must be at the same revision.
///
/// # Errors
/// Says what is missing, not ready, or waits in a circle.
pub fn check(name: &str, revision: &Revision, all: &[Node]) -> Result<(), Failure> {
    let find = |name: &str| all.iter().find(|node| node.name == name);
    let Some(own) = find(name) else { return Ok(()) };
    if let Some(circle) = circle(name, all) {
        return Err(Failure::user(
            Reason::DependencyCycle,
            format!("spec.dependsOn goes in a circle: {}", circle.join(" → ")),
        ));
    }
    for dependency in &own.depends_on {
        let not_ready = |text: String| Err(Failure::retry(Reason::DependencyNotReady, text));
        match find(dependency) {
            None => return not_ready(format!("GitSync {dependency} does not exist")),
            Some(node) if !node.is_ready => return not_ready(format!("GitSync {dependency} is not ready")),
            Some(node) if node.repo == own.repo && node.applied.as_ref() != Some(revision) => {
                return not_ready(format!("GitSync {dependency} has not applied {revision} yet"));
            }
            Some(_) => {}
        }
    }
    Ok(())
}

/// The way from `name` back to itself, if there is one.
fn circle(name: &str, all: &[Node]) -> Option<Vec<String>> {
    let mut paths = vec![vec![name.to_owned()]];
    let mut seen = std::collections::BTreeSet::new();
    while let Some(path) = paths.pop() {
        let last = path.last()?;
        let Some(node) = all.iter().find(|node| node.name == *last) else { continue };
        for next in &node.depends_on {
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
mod tests {
    use super::*;

    fn revision(digit: &str) -> Revision {
        format!("main@sha1:{}", digit.repeat(40)).parse().unwrap()
    }

    fn node(name: &str, depends_on: &[&str], is_ready: bool) -> Node {
        let depends_on = depends_on.iter().map(|name| (*name).to_owned()).collect();
        Node { name: name.into(), repo: "fleet".into(), depends_on, is_ready, applied: Some(revision("a")) }
    }

    #[track_caller]
    fn check_message(nodes: &[Node], expected: Option<&str>) {
        let message = check("app", &revision("a"), nodes).err().map(|failure| failure.message);
        assert_eq!(message.as_deref(), expected);
    }

    #[test]
    fn who_waits_for_whom() {
        check_message(&[node("app", &["infra"], false), node("infra", &[], true)], None);
        check_message(&[node("app", &["infra"], false), node("infra", &[], false)], Some("GitSync infra is not ready"));
        check_message(&[node("app", &["infra"], false)], Some("GitSync infra does not exist"));
        let nodes = [node("app", &["infra"], true), node("infra", &["base"], true), node("base", &["app"], true)];
        check_message(&nodes, Some("spec.dependsOn goes in a circle: app → infra → base → app"));
        let mut behind = [node("app", &["infra"], false), node("infra", &[], true)];
        behind[1].applied = Some(revision("b"));
        check_message(&behind, Some(&format!("GitSync infra has not applied {} yet", revision("a"))));
    }
}
