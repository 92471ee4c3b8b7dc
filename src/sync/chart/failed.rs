//! The words of a failed `helm template` → one problem with its file and line.

use super::{Chart, FOLDER};
use crate::object::Problem;

/// The longest reason, in characters.
const REASON: usize = 600;

/// What a failed render of a chart means. `stderr` comes without the name of the folder in which helm ran.
pub fn template_problem(stderr: &str, chart: &Chart) -> Problem {
    let said = stderr.split_once("Error: ").map_or(stderr, |(_, said)| said);
    let said = said.replace("Use --debug flag to render out invalid YAML", "");
    let mut said = said.split_whitespace().collect::<Vec<_>>().join(" ");
    for (staged, path) in &chart.values {
        said = said.replace(&format!("/{staged}"), path).replace(staged, path);
    }
    let (file, line) = place(&said, chart).unwrap_or((chart.root.clone(), 0));
    let missing = said.split_once("missing in charts/ directory: ").map(|(_, names)| names.to_owned());
    if let Some(names) = missing {
        let reason = format!(
            "the chart's dependencies are not in its charts folder: {names}; nothing is fetched: run \
             `helm dependency build` and commit charts/"
        );
        return Problem { file, line, reason };
    }
    let said = said.replace(&format!("/{FOLDER}/"), "");
    let reason = if said.chars().count() <= REASON { said } else { said.chars().take(REASON).chain(['…']).collect() };
    Problem { file, line, reason: format!("helm template failed: {reason}") }
}

/// The template that it names first, such as `web/templates/app.yaml:3:21`, and its line there.
fn place(said: &str, chart: &Chart) -> Option<(String, u32)> {
    let words = said.split([' ', '(', ')', '"', ',']);
    let word = words.into_iter().find(|word| word.contains("/templates/") || word.contains("/crds/"))?;
    let mut parts = word.split(':');
    let file = parts.next().unwrap_or_default();
    let line = parts.next().and_then(|line| line.parse().ok()).unwrap_or(0);
    Some((chart.in_repository(file), line))
}
